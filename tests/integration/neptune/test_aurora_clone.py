# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`aurora_clone` on a Neptune cluster: green as blue is, in the words of AWS's own solution, and gone again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import require_cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.iam_policies import policies_behind
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.readiness_policies import checks as policy_checks
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.signing import signer
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client, NeptuneError
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.stream import head
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.neptune.conftest import NeptuneLab, endpoint
from tests.integration.postgresql.mortal import run_until_it_lives
from tests.integration.runner import Runner
from tests.lab.control_plane.credentials import ACCESS_KEY, SECRET_KEY
from tests.lab.lab import Blue

MODULE = "aurora_clone"
QUICK = {"wait_delay": 0.1, "wait_timeout": 120}
GREEN, SNAPSHOT = "graph-next", "graph-next-final"
LOADER = "arn:aws:iam::123456789012:role/bulk-loader"
# What a green must have as its blue has it.
CLUSTER = (
    "AssociatedRoles",
    "CloneGroupId",
    "CopyTagsToSnapshot",
    "BackupRetentionPeriod",
    "DBClusterParameterGroup",
    "DBSubnetGroup",
    "DeletionProtection",
    "EnabledCloudwatchLogsExports",
    "Engine",
    "EngineVersion",
    "IAMDatabaseAuthenticationEnabled",
    "Port",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "VpcSecurityGroups",
)
INSTANCE = ("AutoMinorVersionUpgrade", "AvailabilityZone", "DBInstanceClass", "DBParameterGroups", "PromotionTier")
SIGN = signer("us-east-1", {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY})
Result = dict[str, Any]


@pytest.fixture(scope="module")
def shop(neptune_lab: NeptuneLab) -> Iterator[Blue]:
    """A blue with two readers, each another size, and with what a clone does not have by itself."""
    before = neptune_lab.lab.clusters()
    blue = neptune_lab(name="graph-blue", instances=2, iam_auth=True)
    rds = neptune_lab.lab.client("rds")
    rds.modify_db_cluster(
        DBClusterIdentifier=blue.cluster,
        BackupRetentionPeriod=5,
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["audit", "slowquery"]},
        CopyTagsToSnapshot=True,
        PreferredBackupWindow="01:07-01:37",
        PreferredMaintenanceWindow="wed:03:15-wed:03:45",
        ApplyImmediately=True,
    )
    rds.add_role_to_db_cluster(DBClusterIdentifier=blue.cluster, RoleArn=LOADER)
    rds.create_db_parameter_group(
        DBParameterGroupName="graph-blue-instance", DBParameterGroupFamily="neptune1.2", Description="ours"
    )
    rds.create_db_instance(
        DBInstanceIdentifier="graph-blue-3",
        DBClusterIdentifier=blue.cluster,
        Engine="neptune",
        DBInstanceClass="db.r6g.xlarge",
        AvailabilityZone="us-east-1b",
        PromotionTier=9,
        AutoMinorVersionUpgrade=False,
        DBParameterGroupName="graph-blue-instance",
    )
    neptune_lab.lab.wait_available(blue.cluster)
    yield blue
    neptune_lab.lab.faults.clear()
    neptune_lab.lab.clear(before)


@dataclass(frozen=True)
class Made:
    """One green and the results of the runs that made it."""

    options: Result
    predicted: Result
    first: Result
    resumed: Result
    head: str  # of blue's stream before the clone


@pytest.fixture(scope="module")
def made(neptune_lab: NeptuneLab, shop: Blue, run_module: RunModule) -> Made:
    """Green, predicted, made as new, and resumed."""
    options = {"deployment_id": GREEN, "source_db_cluster_identifier": shop.cluster, **QUICK}
    create(Client(endpoint(neptune_lab.lab, shop), SIGN), "a", "b")
    before = head(Client(endpoint(neptune_lab.lab, shop), SIGN), "propertygraph")
    predicted = run_module(MODULE, check=True, diff=True, deployment_mode="new", **options)
    first = run_module(MODULE, diff=True, deployment_mode="new", **options)
    return Made(options, predicted, first, run_module(MODULE, deployment_mode="resume", **options), str(before))


def create(client: Client, *identifiers: str) -> None:
    """Vertices, in one transaction."""
    rows = [{"id": identifier} for identifier in identifiers]
    client.cypher("UNWIND $rows AS r CREATE (:Person {`~id`: r.id})", {"rows": rows})


def count(client: Client) -> int:
    return int(client.cypher("MATCH (n) RETURN count(n) AS n")[0]["n"])


def refusal(run_module: RunModule, **options: Any) -> str:
    """The sentence of a run that is refused and did nothing."""
    with pytest.raises(ModuleFailed) as caught:
        run_module(MODULE, **options)
    assert (caught.value.result["actions"], caught.value.result["changed"]) == ([], False)
    assert "\n" not in caught.value.msg
    return caught.value.msg


def test_what_is_predicted_is_done_and_a_resumed_run_does_nothing(made: Made) -> None:
    assert made.predicted["actions"] == made.first["actions"]
    assert (made.predicted["green"], made.predicted["diff"]) == (None, made.first["diff"])
    assert (made.resumed["changed"], made.resumed["actions"]) == (False, [])


def test_green_is_set_as_blue_is(neptune_lab: NeptuneLab, shop: Blue, made: Made) -> None:
    blue, green = neptune_lab.cluster(shop.cluster), neptune_lab.cluster(GREEN)
    assert {name: green.get(name) for name in CLUSTER} == {name: blue.get(name) for name in CLUSTER}
    assert green["IAMDatabaseAuthenticationEnabled"] is True
    assert [role["RoleArn"] for role in green["AssociatedRoles"]] == [LOADER]
    assert made.first["green"]["parameter_group_status"] == "in-sync"


def test_the_topology_is_identical(neptune_lab: NeptuneLab, shop: Blue, made: Made) -> None:
    def topology(cluster: str) -> list[tuple[Any, ...]]:
        found = neptune_lab.instances(cluster)
        return sorted(tuple(str(one[name]) for name in INSTANCE) for one in found)

    assert len(topology(GREEN)) == 3
    assert topology(GREEN) == topology(shop.cluster)
    sizes = {one["DBInstanceIdentifier"]: one["DBInstanceClass"] for one in neptune_lab.instances(GREEN)}
    assert sizes == {f"{GREEN}-1": "db.r6g.large", f"{GREEN}-2": "db.r6g.large", f"{GREEN}-3": "db.r6g.xlarge"}


def test_a_green_that_exists_is_not_made_anew(made: Made, run_module: RunModule) -> None:
    sentence = refusal(run_module, **made.options, deployment_mode="new")
    assert sentence.startswith(f"Cluster with id = {GREEN} already exists. It belongs to the deployment {GREEN}: set ")


def test_a_cluster_of_somebody_else_is_refused_with_the_same_words(
    shop: Blue, made: Made, run_module: RunModule
) -> None:
    options = {**made.options, "deployment_id": "graph-other"}
    sentence = refusal(run_module, **{**options, "db_cluster_identifier": GREEN})
    assert sentence.startswith(
        f"Cluster with id = {GREEN} already exists. It does not belong to the deployment graph-o"
    )


def test_what_does_not_exist_cannot_be_resumed(made: Made, run_module: RunModule) -> None:
    sentence = refusal(run_module, **{**made.options, "deployment_id": "graph-other"}, deployment_mode="resume")
    assert "should be resumed, but its DB cluster graph-other does not exist" in sentence


def test_overrides_get_a_group_with_blues_own_values_and_are_in_sync(
    neptune_lab: NeptuneLab, shop: Blue, made: Made, run_module: RunModule
) -> None:
    done = run_module(MODULE, **made.options, parameter_overrides={"neptune_streams_expiry_days": 14})
    group = f"{GREEN}-neptune1-2"
    assert done["green"]["db_cluster_parameter_group_name"] == group
    assert done["green"]["parameter_group_status"] == "in-sync"
    found = neptune_lab.lab.client("rds").describe_db_cluster_parameters(
        DBClusterParameterGroupName=group, Source="user"
    )["Parameters"]
    assert {one["ParameterName"]: one["ParameterValue"] for one in found} == {
        "neptune_streams": "1",
        "neptune_query_timeout": "60000",
        "neptune_streams_expiry_days": "14",
    }


def test_green_holds_the_graph_and_the_stream_of_the_moment_and_is_apart_from_then_on(
    neptune_lab: NeptuneLab, shop: Blue, made: Made
) -> None:
    blue = Client(endpoint(neptune_lab.lab, shop), SIGN)
    green = Client(endpoint(neptune_lab.lab, shop, made.first["green"]["endpoint"], "green"), SIGN)
    assert count(green) == 2
    assert head(green, "propertygraph") == EventId.parse(made.head)
    create(blue, "c")
    assert (count(blue), count(green)) == (3, 2)
    assert head(green, "propertygraph") == EventId.parse(made.head)
    with pytest.raises(NeptuneError, match="Missing Authentication Token"):
        count(Client(endpoint(neptune_lab.lab, shop)))


def test_policies_that_name_blues_data_are_listed_with_what_green_needs(
    neptune_lab: NeptuneLab, shop: Blue, made: Made
) -> None:
    iam = neptune_lab.lab.client("iam")
    ids = [made.first[side]["db_cluster_resource_id"] for side in ("blue", "green")]

    def document(resource: str) -> str:
        wanted = f"arn:aws:neptune-db:us-east-1:123456789012:{resource}/*"
        statement = {"Effect": "Allow", "Action": "neptune-db:*", "Resource": wanted}
        return json.dumps({"Version": "2012-10-17", "Statement": statement})

    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.create_role(RoleName="graph-app", AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName="graph-app", PolicyName="data", PolicyDocument=document(ids[0]))
    managed = iam.create_policy(PolicyName="graph-data", PolicyDocument=document(ids[0]))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="graph-app", PolicyArn=managed)
    sides = [require_cluster(Api(neptune_lab.lab.client("rds")), name, "x") for name in (shop.cluster, GREEN)]
    found = policies_behind(Api(iam), sides[0], sides[1])
    needed = json.loads(document(ids[1]))["Statement"]
    assert [(one.policy, one.attached_to, one.needed) for one in found] == [
        ("inline policy data of role graph-app", ("role graph-app",), needed),
        (managed, ("role graph-app",), needed),
    ]
    iam.put_role_policy(RoleName="graph-app", PolicyName="data", PolicyDocument=document("*"))
    (check,) = policy_checks(lambda service: Api(neptune_lab.lab.client(service)), sides[0], sides[1])
    assert (check.status, check.id) == ("warning", "aws_iam_policies")
    assert f"{managed} (of role graph-app)" in check.evidence
    assert check.remedy.endswith(f"{managed} needs {json.dumps(needed)}")


def test_killed_after_every_change_it_is_continued_and_removed_with_a_last_snapshot(
    neptune_lab: NeptuneLab, shop: Blue, run_module: RunModule, runner: Runner
) -> None:
    name = "graph-killed"
    options = {
        "deployment_id": name,
        "source_db_cluster_identifier": shop.cluster,
        "instances": [{}, {"db_instance_class": "db.t4g.medium"}],
        "deletion_protection": False,
        **QUICK,
    }
    assert run_until_it_lives(neptune_lab.lab, runner, MODULE, **options) == 5  # clone, settings, role, two instances
    assert len(neptune_lab.instances(name)) == 2
    assert neptune_lab.cluster(name)["PreferredMaintenanceWindow"] == "wed:03:15-wed:03:45"
    gone = {"deployment_id": name, "state": "absent", **QUICK}
    assert run_until_it_lives(neptune_lab.lab, runner, MODULE, **gone) == 3  # two instances, the cluster
    rds = neptune_lab.lab.client("rds")
    found = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=f"{name}-final")["DBClusterSnapshots"][0]
    assert (found["Engine"], found["Status"], found["DBClusterIdentifier"]) == ("neptune", "available", name)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"{name}-final")
