# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Amazon Neptune where its control plane is not that of Aurora; both are reached through the RDS API. Pure.

The RDS client is used because only its descriptions hold a cluster's tags, but it offers settings that Neptune has not: those
that it has are the parameters of the Neptune API (service model ``neptune``) without the ones documented as not supported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

ENGINE = "neptune"

_PARAMETERS: Mapping[str, frozenset[str]] = {
    "restore_db_cluster_to_point_in_time": frozenset(
        {
            "DBClusterIdentifier",
            "DBClusterParameterGroupName",
            "DBSubnetGroupName",
            "DeletionProtection",
            "EnableCloudwatchLogsExports",
            "EnableIAMDatabaseAuthentication",
            "KmsKeyId",
            "NetworkType",
            "Port",
            "RestoreType",
            "ServerlessV2ScalingConfiguration",
            "SourceDBClusterIdentifier",
            "StorageType",
            "Tags",
            "UseLatestRestorableTime",
            "VpcSecurityGroupIds",
        }
    ),
    "modify_db_cluster": frozenset(
        {
            "BackupRetentionPeriod",
            "CloudwatchLogsExportConfiguration",
            "CopyTagsToSnapshot",
            "DeletionProtection",
            "EnableIAMDatabaseAuthentication",
            "NetworkType",
            "Port",
            "PreferredBackupWindow",
            "PreferredMaintenanceWindow",
            "ServerlessV2ScalingConfiguration",
            "StorageType",
            "VpcSecurityGroupIds",
        }
    ),
    "create_db_instance": frozenset(
        {
            "AutoMinorVersionUpgrade",
            "AvailabilityZone",
            "DBClusterIdentifier",
            "DBInstanceClass",
            "DBInstanceIdentifier",
            "DBParameterGroupName",
            "Engine",
            "MonitoringInterval",
            "MonitoringRoleArn",
            "PreferredMaintenanceWindow",
            "PromotionTier",
            "PubliclyAccessible",
            "Tags",
        }
    ),
}


def supported(engine: str, operation: str, parameters: Collection[str]) -> frozenset[str]:
    """Those of the parameters that the operation takes for a cluster of the engine; all of them but for Neptune."""
    return frozenset(parameters) & _PARAMETERS[operation] if engine == ENGINE else frozenset(parameters)


def brought(engine: str, accepted: Collection[str]) -> frozenset[str]:
    """The settings that a clone has as soon as it is there, of a botocore that accepts these for restoring.

    A clone keeps its source's retention of backups when it is not told otherwise (RestoreDBClusterToPointInTime).
    """
    kept = {"BackupRetentionPeriod"} if engine == ENGINE else set()
    return supported(engine, "restore_db_cluster_to_point_in_time", accepted) | kept


def invalid_target(engine: str, version: str) -> str:
    """How the refusal of a target version begins; in the words of AWS's own solution for Neptune."""
    return f"Invalid target engine version for blue/green deployment ({version}). " if engine == ENGINE else ""
