# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as the API describes them."""

from __future__ import annotations

from tests.lab.control_plane.common import tag_list
from tests.lab.control_plane.endpoints import cluster_host, instance_host, reader_host
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape, SubnetGroup, utcnow


def cluster_shape(region: Region, cluster: Cluster) -> Shape:
    """Return a DBCluster."""
    shape = {
        **cluster.api,
        "Endpoint": cluster_host(region, cluster),
        "ReaderEndpoint": reader_host(region, cluster),
        "LatestRestorableTime": utcnow(),
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": member.identifier,
                "IsClusterWriter": member.writer,
                "DBClusterParameterGroupStatus": member.cluster_group_status,
                "PromotionTier": member.api["PromotionTier"],
            }
            for member in region.members(cluster)
        ],
        "TagList": tag_list(cluster.tags),
    }
    shape |= _global_fields(cluster)
    if cluster.pending:
        shape["PendingModifiedValues"] = masked(cluster.pending)
    return shape


def _global_fields(cluster: Cluster) -> Shape:
    """What a member of a global cluster has besides; `api` has the state of its write forwarding."""
    member = cluster.member
    if member is None:
        return {}
    fields: Shape = {"GlobalClusterIdentifier": member.group.identifier}
    primary = member.group.primary
    if member.writer:
        fields["ReadReplicaIdentifiers"] = [other.arn for other in member.group.secondaries]
    elif primary is not None:
        fields["ReplicationSourceIdentifier"] = primary.arn
    return fields


def instance_shape(region: Region, instance: Instance) -> Shape:
    """Return a DBInstance."""
    cluster = instance.cluster
    shape = {name: value for name, value in instance.api.items() if name != "DBParameterGroupName"}
    group = region.subnet_groups.get(str(cluster.api["DBSubnetGroup"]))
    shape |= {
        "Engine": cluster.api["Engine"],
        "EngineVersion": cluster.api["EngineVersion"],
        "DBClusterIdentifier": cluster.identifier,
        "MasterUsername": cluster.api["MasterUsername"],
        "DBName": cluster.api.get("DatabaseName"),
        "VpcSecurityGroups": cluster.api["VpcSecurityGroups"],
        "StorageEncrypted": cluster.api["StorageEncrypted"],
        "KmsKeyId": cluster.api.get("KmsKeyId"),
        "BackupRetentionPeriod": cluster.api["BackupRetentionPeriod"],
        "IAMDatabaseAuthenticationEnabled": cluster.api["IAMDatabaseAuthenticationEnabled"],
        "DBParameterGroups": [
            {
                "DBParameterGroupName": instance.api["DBParameterGroupName"],
                "ParameterApplyStatus": instance.group_status,
            }
        ],
        "PendingModifiedValues": masked(instance.pending),
        "TagList": tag_list(instance.tags),
    }
    if cluster.standalone:
        shape |= {"DBClusterIdentifier": None, "DeletionProtection": cluster.api["DeletionProtection"]}
        shape |= {"PromotionTier": None, "MasterUserSecret": cluster.api.get("MasterUserSecret")}
        shape["EnabledCloudwatchLogsExports"] = cluster.api["EnabledCloudwatchLogsExports"]
        if instance.api.get("ReadReplicaSourceDBInstanceIdentifier") and instance.running:
            replicates = {"StatusType": "read replication", "Normal": True, "Status": "replicating"}
            shape["StatusInfos"] = [{**replicates, **instance.replication}]
        if cluster.api["BackupRetentionPeriod"]:
            shape["LatestRestorableTime"] = utcnow()
    if "Endpoint" in shape:
        shape["Endpoint"] = {**shape["Endpoint"], "Address": instance_host(region, instance)}
    if group is not None:
        shape["DBSubnetGroup"] = subnet_group_shape(group)
    return {name: value for name, value in shape.items() if value is not None}


def subnet_group_shape(group: SubnetGroup) -> Shape:
    """Return a DBSubnetGroup."""
    return dict(group.api)


def masked(pending: Shape) -> Shape:
    """Return PendingModifiedValues without its secret."""
    return {name: "****" if name == "MasterUserPassword" else value for name, value in pending.items()}
