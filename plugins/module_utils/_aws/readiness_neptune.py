# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails of Amazon Neptune on the control plane: streams, their expiry, instances, the way to DynamoDB.

The first sentence of the messages is the one of AWS's own blue/green solution for Neptune, word for word; what was found follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .api import Api
from .clusters import IN_SYNC, PENDING_REBOOT, Cluster
from .parameter_groups import CLUSTER, Group, require_group, user_values
from .readiness_engine import NEPTUNE
from .readiness_engine import NEPTUNE_GUIDE as GUIDE
from .readiness_topic import Topic, some

STREAMS_OFF = "Streams should be enabled on the source cluster for blue/green deployment."
OUT_OF_SYNC = "Blue/green deployment requires instances to be in sync with the DB cluster parameter group."

ENGINE = Topic("engine", GUIDE + "intro.html")
STREAMS = Topic("streams_parameter", GUIDE + "streams-using-enabling.html")
EXPIRY = Topic("streams_expiry", GUIDE + "parameters.html#parameters-db-cluster-parameters-neptune_streams_expiry_days")
IN_SYNC_TOPIC = Topic("parameter_status", GUIDE + "parameter-groups.html")
INSTANCES = Topic("instances", GUIDE + "manage-console-instances.html")
ENDPOINT = Topic(
    "dynamodb_endpoint", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/vpc-endpoints-dynamodb.html"
)

_EXPIRY_DAYS = 7  # the default of neptune_streams_expiry_days, and the fixed one before 1.2.0.0
_ENOUGH_DAYS = 3  # a clone and an upgrade take hours; what is over has to be found, understood and done again


def source_checks(client: Callable[[str], Api], cluster: Cluster, side: str = "blue") -> list[Check]:
    """What must hold on the control plane of a side whose stream is read."""
    rds = client("rds")
    return [
        engine(cluster),
        instances(side, cluster),
        in_sync(side, cluster),
        *_parameters(rds, side, cluster),
        _endpoint(client, rds, cluster),
    ]


def engine(cluster: Cluster) -> Check:
    """It is a Neptune cluster; the APIs of RDS and of Neptune list both kinds."""
    if cluster.engine != NEPTUNE:
        return ENGINE.failed(
            f"{cluster.identifier} should be a cluster of {NEPTUNE}, but its engine is {cluster.engine}",
            "correct engine, or the identifier",
        )
    return ENGINE.ok(f"{cluster.identifier} is a cluster of {NEPTUNE}")


def instances(side: str, cluster: Cluster) -> Check:
    """Every instance is available."""
    topic = INSTANCES.of(side)
    if not cluster.instances:
        return topic.failed(f"{cluster.identifier} must have an instance, but has none", "give it one")
    down = [one for one in cluster.instances if one.status != "available"]
    if not down:
        return topic.ok(f"the {len(cluster.instances)} instances of {cluster.identifier} are available")
    return topic.failed(
        f"every instance of {cluster.identifier} must be available, but "
        + some(f"{one.identifier} is {one.status}" for one in down),
        f"aws neptune wait db-instance-available --db-instance-identifier {down[0].identifier}",
    )


def in_sync(side: str, cluster: Cluster) -> Check:
    """No instance waits for a reboot."""
    topic = IN_SYNC_TOPIC.of(side)
    behind = [one for one in cluster.instances if one.parameter_group_status != IN_SYNC]
    if not behind:
        return topic.ok(f"the parameter groups of {cluster.identifier} are in sync on every instance")
    reboots = [
        f"aws neptune reboot-db-instance --db-instance-identifier {one.identifier}"
        for one in behind
        if one.parameter_group_status == PENDING_REBOOT
    ]
    return topic.failed(
        f"{OUT_OF_SYNC} Found on {side}: "
        + some(f"{one.identifier} is {one.parameter_group_status}" for one in behind),
        "; ".join(reboots) or "wait until they are applied",
    )


def streams(side: str, cluster: Cluster, group: Group, values: Mapping[str, str]) -> Check:
    """``neptune_streams`` is on in the cluster's parameter group; ``values`` are the user-set ones."""
    topic = STREAMS.of(side)
    found = values.get("neptune_streams")
    if found == "1":
        return topic.ok(f"neptune_streams is 1 in {group.name}")
    if group.is_default:
        return topic.failed(
            f"{STREAMS_OFF} Found on {side}: {cluster.identifier} has {group.name}, in which they are off and which cannot be modified",
            f"aws neptune create-db-cluster-parameter-group --db-parameter-group-family {group.family} .., attach it with "
            "modify-db-cluster, set neptune_streams=1 in it and reboot every instance",
        )
    return topic.failed(
        f"{STREAMS_OFF} Found on {side}: neptune_streams is {found or 'not set'} in {group.name}",
        f"aws neptune modify-db-cluster-parameter-group --db-cluster-parameter-group-name {group.name} --parameters "
        "ParameterName=neptune_streams,ParameterValue=1,ApplyMethod=pending-reboot, then reboot every instance",
    )


def expiry(side: str, group: Group, values: Mapping[str, str]) -> Check:
    """The stream outlasts the time from the clone until green follows."""
    topic = EXPIRY.of(side)
    text = values.get("neptune_streams_expiry_days") or str(_EXPIRY_DAYS)
    days = int(text) if text.isdigit() else 0
    if days >= _ENOUGH_DAYS:
        return topic.ok(f"the stream of {side} is kept for {days} days")
    return topic.warning(
        f"the stream of {side} must outlast the time from the clone until green follows it, and every later pause, but is kept for "
        f"{text} days only",
        f"aws neptune modify-db-cluster-parameter-group --db-cluster-parameter-group-name {group.name} --parameters "
        f"ParameterName=neptune_streams_expiry_days,ParameterValue={_EXPIRY_DAYS},ApplyMethod=pending-reboot, then reboot every "
        "instance",
    )


def dynamodb_endpoint(region: str, network: str, found: Sequence[Mapping[str, Any]]) -> Check:
    """A runner within blue's network reaches DynamoDB; ``found`` are the endpoints there, as the EC2 API describes them."""
    service = f"com.amazonaws.{region}.dynamodb"
    ours = [one for one in found if one.get("ServiceName") == service and str(one.get("State")).lower() == "available"]
    if ours:
        return ENDPOINT.ok(f"{network} has an endpoint for DynamoDB ({ours[0].get('VpcEndpointId')})")
    return ENDPOINT.warning(
        f"{network} should have an endpoint for DynamoDB, through which what replicates within it reaches its checkpoints, but has none",
        f"aws ec2 create-vpc-endpoint --vpc-id {network} --service-name {service} --route-table-ids ..; not needed with "
        "runner=foreground, nor with a NAT gateway",
    )


def network_of(rds: Api, cluster: Cluster) -> str:
    """The VPC that a cluster is in, from its subnet group."""
    group = cluster.description.get("DBSubnetGroup")
    if not group:
        raise BlueGreenError(f"{cluster.identifier} has no subnet group, so its VPC is not known.")
    found = rds.call("describe_db_subnet_groups", DBSubnetGroupName=group)["DBSubnetGroups"]
    return str(found[0]["VpcId"])


def _parameters(rds: Api, side: str, cluster: Cluster) -> list[Check]:
    try:
        group = require_group(rds, CLUSTER, cluster.parameter_group)
        values = user_values(rds, group)
    except BlueGreenError as error:
        return [STREAMS.of(side).unmade(error, needed=True)]
    return [streams(side, cluster, group, values), expiry(side, group, values)]


def _endpoint(client: Callable[[str], Api], rds: Api, cluster: Cluster) -> Check:
    try:
        network = network_of(rds, cluster)
        ec2 = client("ec2")
        found = ec2.pages("describe_vpc_endpoints", "VpcEndpoints", Filters=[{"Name": "vpc-id", "Values": [network]}])
    except BlueGreenError as error:
        return ENDPOINT.unmade(error, needed=False)
    return dynamodb_endpoint(ec2.region, network, found)
