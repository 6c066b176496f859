# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What replicates on AWS: our engine as a function (``FunctionRunner``), or the replication that AWS publishes (``PublishedRunner``).

Where it runs is derived from blue's cluster. The parameters of AWS's template are those of the Neptune user guide, "Using AWS
CloudFormation to Set Up Neptune-to-Neptune Replication with the Streams Consumer Application".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from .api import Api
from .clusters import Cluster, require_cluster
from .stack import Stack
from .streams_template import function_template

PUBLISHED_TEMPLATE = "https://aws-neptune-customer-samples.s3.amazonaws.com/neptune-stream/neptune_to_neptune.json"
_MOST_PUBLISHED = 10_000  # StreamRecordsBatchSize
_STREAM = {"propertygraph": "propertygraph/stream", "rdf": "sparql/stream"}
_NO_OBJECT = ("404", "NoSuchKey", "NotFound")


@dataclass(frozen=True)
class Settings:
    """How to replicate."""

    graph_type: str
    lanes: int
    batch: int
    page_size: int
    blank_nodes: str
    lease_ttl: int
    iam_auth: Mapping[str, bool]


@dataclass(frozen=True)
class Place:
    """The clusters' identifiers, and where the runner is to be; what is empty is taken from blue."""

    blue: str | None
    green: str
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """Where it runs."""

    vpc: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]


class FunctionRunner:
    """Our engine as a Lambda function; ``package`` gives its code."""

    kind = "lambda"

    def __init__(
        self,
        client: Callable[[str], Api],
        stack: Stack,
        names: Names,
        place: Place,
        settings: Settings,
        *,
        table: str,
        bucket: str | None,
        package: Callable[[], bytes],
    ) -> None:
        self._client, self._stack, self._names = client, stack, names
        self._place, self._settings = place, settings
        self._table, self._bucket, self._package = table, bucket, package

    def checkpoints(self) -> tuple[str, str] | None:
        """None: it works with the deployment's."""
        return None

    def deploy(self, position: str, journal: Journal) -> None:
        """Upload the code unless it is there, make the stack or bring it up to date, switch its schedule on."""
        if not self._bucket:
            raise BlueGreenError("runner=lambda needs a bucket for its code: give function_s3_bucket.")
        blue, green, network = _look(self._client, self._place)
        code = self._package()
        key = f"{self._prefix}{hashlib.sha256(code).hexdigest()[:16]}.zip"
        self._upload(self._bucket, key, code, journal)
        body = json.dumps(function_template(), sort_keys=True)
        settings = self._settings
        parameters = {
            "CodeBucket": self._bucket,
            "CodeKey": key,
            "SubnetIds": ",".join(network.subnets),
            "SecurityGroupIds": ",".join(network.security_groups),
            "CheckpointTable": self._table,
            "ForwardLease": self._names.lease_key("forward"),
            "ReverseLease": self._names.lease_key("reverse"),
            "Blue": _address(blue),
            "BlueResourceId": _resource(blue),
            "BlueIamAuth": _word(settings.iam_auth["blue"]),
            "Green": _address(green),
            "GreenResourceId": _resource(green),
            "GreenIamAuth": _word(settings.iam_auth["green"]),
            "GraphType": settings.graph_type,
            "Lanes": str(settings.lanes),
            "Batch": str(settings.batch),
            "PageSize": str(settings.page_size),
            "BlankNodes": settings.blank_nodes,
            "LeaseTtl": str(settings.lease_ttl),
        }
        version = hashlib.sha256(body.encode()).hexdigest()[:16]
        self._stack.ensure({"TemplateBody": body}, version, parameters, journal)
        self._stack.start(journal)

    def pause(self, journal: Journal) -> None:
        """Let it not be started any more."""
        self._stack.pause(journal)

    def remove(self, journal: Journal) -> None:
        """Delete the stack, and the code that was uploaded for it."""
        parameters = self._stack.parameters()
        self._stack.remove(journal)
        bucket = self._bucket or parameters.get("CodeBucket")
        if not bucket:
            return
        s3 = self._client("s3")
        for found in s3.pages("list_objects_v2", "Contents", ("NoSuchBucket",), Bucket=bucket, Prefix=self._prefix):
            key = str(found["Key"])
            journal.act(
                f"delete s3://{bucket}/{key}",
                lambda key=key: s3.call("delete_object", Bucket=bucket, Key=key),  # type: ignore[misc]
            )

    @property
    def _prefix(self) -> str:
        return f"bluegreen/{self._names.deployment_id}/streams-"

    def _upload(self, bucket: str, key: str, code: bytes, journal: Journal) -> None:
        s3 = self._client("s3")
        if s3.find("head_object", _NO_OBJECT, Bucket=bucket, Key=key) is None:
            journal.act(
                f"upload the function's code to s3://{bucket}/{key}",
                lambda: s3.call("put_object", Bucket=bucket, Key=key, Body=code),
            )


class PublishedRunner:
    """AWS's own replication: its poller, its table of checkpoints, its schedule."""

    kind = "cloudformation"

    def __init__(
        self,
        client: Callable[[str], Api],
        stack: Stack,
        names: Names,
        place: Place,
        settings: Settings,
        *,
        template_url: str | None,
    ) -> None:
        self._client, self._stack, self._names = client, stack, names
        self._place, self._settings = place, settings
        self._url = template_url or PUBLISHED_TEMPLATE

    def deploy(self, position: str, journal: Journal) -> None:
        """Make the stack that begins at ``position``, or go on with the one that is there."""
        blue, green, network = _look(self._client, self._place)
        begun = self._stack.parameters().get(
            "StartingCheckpoint"
        )  # its checkpoints are further on: not to be set again
        parameters = published_parameters(
            blue,
            green,
            network,
            self._settings,
            application=self._names.lease_key("forward"),
            start=begun or position,
            region=self._client("ec2").region,
            present=self._endpoints(network.vpc) if begun is None else frozenset(),
            routes=self._routes(network),
        )
        if begun is not None:
            made = self._stack.parameters()
            parameters |= {
                name: made[name] for name in ("CreateDDBVPCEndPoint", "CreateMonitoringEndPoint") if name in made
            }
        self._stack.ensure({"TemplateURL": self._url}, self._url, parameters, journal)
        self._stack.start(journal)

    def pause(self, journal: Journal) -> None:
        """Disable its schedule; what runs ends by itself, within the poller's interval."""
        self._stack.pause(journal)

    def remove(self, journal: Journal) -> None:
        """Delete the stack, its table with it."""
        self._stack.remove(journal)

    def checkpoints(self) -> tuple[str, str] | None:
        """Its table and the key of its lease, None before there is a stack."""
        table = self._stack.outputs().get("LeaseDynamoDBTable")
        return (table, self._names.lease_key("forward")) if table else None

    def _endpoints(self, vpc: str) -> frozenset[str]:
        ec2 = self._client("ec2")
        found = ec2.pages("describe_vpc_endpoints", "VpcEndpoints", Filters=[{"Name": "vpc-id", "Values": [vpc]}])
        return frozenset(str(one.get("ServiceName", "")).rpartition(".")[2] for one in found)

    def _routes(self, network: Network) -> tuple[str, ...]:
        """The route tables of the subnets, or the VPC's main one."""
        ec2 = self._client("ec2")
        found = ec2.pages("describe_route_tables", "RouteTables", Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])
        ours, main = [], []
        for table in found:
            for association in table.get("Associations") or []:
                if association.get("SubnetId") in network.subnets:
                    ours.append(str(table["RouteTableId"]))
                if association.get("Main"):
                    main.append(str(table["RouteTableId"]))
        return tuple(sorted(set(ours))) or tuple(main)


def published_parameters(
    blue: Cluster,
    green: Cluster,
    network: Network,
    settings: Settings,
    *,
    application: str,
    start: str,
    region: str,
    present: frozenset[str],
    routes: tuple[str, ...],
) -> dict[str, str]:
    """The parameters of AWS's template; ``present`` are the services that have an endpoint in the VPC already. Pure."""
    rdf = settings.graph_type == "rdf"
    return {
        "ApplicationName": application,
        "VPC": network.vpc,
        "SubnetIDs": ",".join(network.subnets),
        "SecurityGroupIds": ",".join(network.security_groups),
        "RouteTableIds": ",".join(routes),
        "CreateDDBVPCEndPoint": _word("dynamodb" not in present),
        "CreateMonitoringEndPoint": _word("monitoring" not in present),
        "NeptuneStreamEndpoint": f"https://{_address(blue)}/{_STREAM[settings.graph_type]}",
        "NeptuneQueryEngine": "SPARQL" if rdf else "Gremlin",
        "IAMAuthEnabledOnSourceStream": _word(settings.iam_auth["blue"]),
        "StreamDBClusterResourceId": _resource(blue),
        "TargetNeptuneClusterEndpoint": str(green.description["Endpoint"]),
        "TargetNeptuneClusterPort": str(green.description["Port"]),
        "IAMAuthEnabledOnTargetCluster": _word(settings.iam_auth["green"]),
        "TargetAWSRegion": region,
        "TargetNeptuneDBClusterResourceId": _resource(green),
        "TargetSPARQLUpdateEndpoint": f"https://{_address(green)}/sparql" if rdf else "",
        "BlockSparqlReplicationOnBlankNode": _word(settings.blank_nodes == "stop"),
        "StreamRecordsBatchSize": str(min(settings.page_size, _MOST_PUBLISHED)),
        "StartingCheckpoint": start,
        "StreamPollerInitialState": "ENABLED",
    }


def _look(client: Callable[[str], Api], place: Place) -> tuple[Cluster, Cluster, Network]:
    if not place.blue:
        raise BlueGreenError(
            "A runner on AWS is put where blue is, but blue's cluster is not known: give source_db_cluster_identifier."
        )
    rds = client("rds")
    blue, green = require_cluster(rds, place.blue, "blue"), require_cluster(rds, place.green, "green")
    group = str(blue.description.get("DBSubnetGroup") or "")
    if not group:
        raise BlueGreenError(f"A runner on AWS is put where {blue.identifier} is, but that has no subnet group.")
    found = rds.call("describe_db_subnet_groups", DBSubnetGroupName=group)["DBSubnetGroups"][0]
    subnets = place.subnets or tuple(sorted(one["SubnetIdentifier"] for one in found["Subnets"]))
    members = sorted(one["VpcSecurityGroupId"] for one in blue.description.get("VpcSecurityGroups") or [])
    return blue, green, Network(str(found["VpcId"]), subnets, place.security_groups or tuple(members))


def _address(cluster: Cluster) -> str:
    return f"{cluster.description['Endpoint']}:{cluster.description['Port']}"


def _resource(cluster: Cluster) -> str:
    return str(cluster.description.get("DbClusterResourceId") or "*")


def _word(value: Any) -> str:
    return "true" if value else "false"
