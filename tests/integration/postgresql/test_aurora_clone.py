# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`aurora_clone` on the lab: green as blue is, whatever happens on the way, and nothing touched that is not ours."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.building import Request, build
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone import CloneOptions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.mortal import run_until_it_lives
from tests.integration.runner import ROOT, Runner
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

MODULE = "aurora_clone"
QUICK = {"wait_delay": 0.1, "wait_timeout": 120}
Result = dict[str, Any]


@pytest.fixture(scope="module")
def shop(lab: Lab) -> Iterator[Blue]:
    """One blue with what a clone does not have by itself."""
    blue = lab.seed_postgresql("clonesource", readers=1)
    rds = lab.client("rds")
    rds.modify_db_cluster(
        DBClusterIdentifier=blue.cluster,
        BackupRetentionPeriod=5,
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]},
        CopyTagsToSnapshot=True,
        DeletionProtection=True,
        PreferredMaintenanceWindow="wed:03:15-wed:03:45",
        ApplyImmediately=True,
    )
    rds.modify_db_instance(
        DBInstanceIdentifier=f"{blue.cluster}-2", PromotionTier=7, AutoMinorVersionUpgrade=False, ApplyImmediately=True
    )
    lab.wait_available(blue.cluster)
    yield blue
    lab.delete(blue.cluster)


@dataclass(frozen=True)
class Made:
    """One green and the results of the runs that made it."""

    options: Result
    predicted: Result
    after_prediction: list[str]
    first: Result
    second: Result
    predicted_again: Result


@pytest.fixture(scope="module")
def made(lab: Lab, shop: Blue, run_module: RunModule) -> Iterator[Made]:
    """Green, predicted, made, made again and predicted again."""
    options = {"deployment_id": "mirrored", "source_db_cluster_identifier": shop.cluster, **QUICK}
    predicted = run_module(MODULE, check=True, diff=True, **options)
    between = clusters(lab)
    first = run_module(MODULE, diff=True, **options)
    yield Made(
        options,
        predicted,
        between,
        first,
        run_module(MODULE, **options),
        run_module(MODULE, check=True, **options),
    )
    lab.delete("mirrored")


@pytest.fixture
def fresh(lab: Lab, shop: Blue, request: pytest.FixtureRequest) -> Iterator[Result]:
    """The options of a deployment of the test's own, whose cluster and groups are gone after it."""
    name = f"own-{abs(hash(request.node.name)) % 100_000}"
    instances = [{"db_instance_class": "db.t4g.medium"}]
    yield {
        "deployment_id": name,
        "source_db_cluster_identifier": shop.cluster,
        "instances": instances,
        "deletion_protection": False,
        **QUICK,
    }
    lab.faults.clear()
    if name in clusters(lab):
        lab.delete(name)
    rds = lab.client("rds")
    for group in rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]:
        if group["DBClusterParameterGroupName"].startswith(f"{name}-"):
            rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName=group["DBClusterParameterGroupName"])


def clusters(lab: Lab) -> list[str]:
    return [cluster["DBClusterIdentifier"] for cluster in lab.client("rds").describe_db_clusters()["DBClusters"]]


def cluster(lab: Lab, identifier: str) -> Result:
    found: Result = lab.client("rds").describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0]
    return found


def instances(lab: Lab, identifier: str) -> list[Result]:
    wanted = {"Name": "db-cluster-id", "Values": [identifier]}
    found: list[Result] = lab.client("rds").describe_db_instances(Filters=[wanted])["DBInstances"]
    return found


def tags(described: Result) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described["TagList"]}


def show(lab: Lab, blue: Blue, host: str, parameter: str) -> str:
    """A setting of a running server, as its own user sees it."""
    with (
        psycopg2.connect(
            host=host,
            port=blue.port,
            user=blue.user,
            password=blue.password,
            dbname=blue.database,
            sslmode="verify-full",
            sslrootcert=lab.ca_file,
        ) as conn,
        conn.cursor() as cursor,
    ):
        cursor.execute(f"SHOW {parameter}")
        found = cursor.fetchone()
    conn.close()
    assert found
    return str(found[0])


def refusal(run_module: RunModule, **options: Any) -> str:
    """The sentence of a run that is refused and did nothing."""
    with pytest.raises(ModuleFailed) as caught:
        run_module(MODULE, **options)
    assert caught.value.result["actions"] == []
    assert caught.value.result["changed"] is False
    assert "\n" not in caught.value.msg
    return caught.value.msg


def test_check_mode_changes_nothing_and_predicts_what_the_run_does(made: Made) -> None:
    assert "mirrored" not in made.after_prediction
    assert made.predicted["changed"] is True
    assert made.predicted["actions"] == made.first["actions"]
    assert made.predicted["green"] is None
    assert made.predicted["diff"] == made.first["diff"]


def test_a_second_run_finds_nothing_to_do(made: Made) -> None:
    assert (made.second["changed"], made.second["actions"]) == (False, [])
    assert (made.predicted_again["changed"], made.predicted_again["actions"]) == (False, [])
    assert made.second["green"] == made.first["green"]


def test_green_is_set_as_blue_is(lab: Lab, shop: Blue, made: Made) -> None:
    names = (
        "Engine",
        "EngineVersion",
        "Port",
        "DBClusterParameterGroup",
        "DBSubnetGroup",
        "VpcSecurityGroups",
        "BackupRetentionPeriod",
        "PreferredBackupWindow",
        "PreferredMaintenanceWindow",
        "EnabledCloudwatchLogsExports",
        "CopyTagsToSnapshot",
        "DeletionProtection",
        "IAMDatabaseAuthenticationEnabled",
        "StorageEncrypted",
        "StorageType",
        "NetworkType",
        "CloneGroupId",
    )
    blue, green = cluster(lab, shop.cluster), cluster(lab, "mirrored")
    assert {name: green.get(name) for name in names} == {name: blue.get(name) for name in names}


def test_green_has_the_instances_that_blue_has(lab: Lab, shop: Blue, made: Made) -> None:
    names = (
        "DBInstanceClass",
        "AvailabilityZone",
        "PromotionTier",
        "AutoMinorVersionUpgrade",
        "PubliclyAccessible",
        "CACertificateIdentifier",
        "PreferredMaintenanceWindow",
    )

    def topology(identifier: str) -> dict[str, list[Any]]:
        found = instances(lab, identifier)
        return {each["DBInstanceIdentifier"][-2:]: [each.get(name) for name in names] for each in found}

    assert topology("mirrored") == topology(shop.cluster)
    described = [(each["db_instance_identifier"], each["is_writer"]) for each in made.first["green"]["instances"]]
    assert described == [("mirrored-1", True), ("mirrored-2", False)]


def test_everything_carries_the_tags_of_the_deployment_and_blues(lab: Lab, shop: Blue, made: Made) -> None:
    ours = {
        "bluegreen:owner": "bluegreen.aws",
        "bluegreen:deployment-id": "mirrored",
        "bluegreen:role": "green",
    }
    assert tags(cluster(lab, "mirrored")) == {**ours, "application": shop.cluster}
    assert all(ours.items() <= tags(each).items() for each in instances(lab, "mirrored"))


def test_an_instance_that_is_missing_is_added_and_nothing_else(lab: Lab, made: Made, run_module: RunModule) -> None:
    lab.client("rds").delete_db_instance(DBInstanceIdentifier="mirrored-2")
    while len(instances(lab, "mirrored")) > 1:
        time.sleep(0.1)
    done = run_module(MODULE, **made.options, deployment_mode="resume")
    assert done["actions"] == ["create instance mirrored-2 (db.r6g.large)"]
    assert len(done["green"]["instances"]) == 2


def test_tags_are_corrected_when_they_are_given(lab: Lab, shop: Blue, made: Made, run_module: RunModule) -> None:
    arn = cluster(lab, "mirrored")["DBClusterArn"]
    lab.client("rds").add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "by-hand", "Value": "1"}])
    assert run_module(MODULE, **made.options)["changed"] is False
    done = run_module(MODULE, **made.options, tags={"cost": "7"})
    assert done["changed"] is True
    assert tags(cluster(lab, "mirrored"))["cost"] == "7"
    assert "by-hand" not in tags(cluster(lab, "mirrored"))
    assert tags(cluster(lab, "mirrored"))["application"] == shop.cluster
    assert run_module(MODULE, **made.options, tags={"cost": "7"})["changed"] is False


def test_new_refuses_the_green_that_exists(made: Made, run_module: RunModule) -> None:
    sentence = refusal(run_module, **made.options, deployment_mode="new")
    assert sentence.startswith("Cluster with id = mirrored already exists.")


def test_an_identifier_of_somebody_else_is_refused(shop: Blue, run_module: RunModule) -> None:
    options = {"deployment_id": shop.cluster, "source_db_cluster_identifier": shop.cluster, **QUICK}
    sentence = refusal(run_module, **options)
    assert sentence.startswith(f"Cluster with id = {shop.cluster} already exists.")


def test_the_green_of_another_deployment_is_refused(made: Made, run_module: RunModule) -> None:
    other = {**made.options, "deployment_id": "another", "db_cluster_identifier": "mirrored"}
    assert refusal(run_module, **other).startswith("Cluster with id = mirrored already exists.")
    assert "left alone" in refusal(run_module, **other, state="absent", deletion_protection=False)


def test_an_instance_identifier_that_is_taken_is_refused_before_anything_is_made(
    lab: Lab, shop: Blue, fresh: Result, run_module: RunModule
) -> None:
    fresh["instances"] = [{"db_instance_identifier": f"{shop.cluster}-1"}]
    assert f"the instance identifier {shop.cluster}-1, but" in refusal(run_module, **fresh)
    assert fresh["deployment_id"] not in clusters(lab)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source": "nowhere"}, "The DB cluster nowhere should be blue, but it does not exist"),
        ({"mode": "resume"}, "does not exist: set deployment_mode to auto or new"),
        ({"cluster_parameter_group": "nowhere"}, "The DB cluster parameter group nowhere is wanted, but"),
        ({"cluster_parameter_group": "default.aurora-postgresql18"}, "should be of the family aurora-postgresql16"),
        ({"instance_parameter_group": "nowhere"}, "The DB parameter group nowhere is wanted, but"),
        ({"overrides": {"nonsense": 1}}, "The parameters nonsense should be set for green, but"),
        ({"instances": [{"class": "db.t4g.medium"}]}, "but one holds class: correct it"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_changed(lab: Lab, shop: Blue, wrong: Result, sentence: str) -> None:
    options = {name: value for name, value in wrong.items() if name in CloneOptions.__dataclass_fields__}
    given: Result = {"source": shop.cluster, "mode": "auto", "overrides": None, "purge_tags": True, **wrong}
    request = Request(
        options=CloneOptions("refused", **options),
        waits=Waits(10, 0.1),
        **{name: value for name, value in given.items() if name not in options},
    )
    journal = Journal(check_mode=False)
    with pytest.raises(BlueGreenError) as caught:
        build(Api(lab.client("rds")), Names.of("refused"), request, journal)
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message
    assert journal.actions == []
    assert "refused" not in clusters(lab)


def test_overrides_make_a_group_and_reach_the_server(
    lab: Lab, shop: Blue, fresh: Result, run_module: RunModule
) -> None:
    made = run_module(MODULE, **fresh)
    name = f"{fresh['deployment_id']}-aurora-postgresql16"
    overrides = {"max_replication_slots": 33}
    predicted = run_module(MODULE, check=True, **fresh, parameter_overrides=overrides)
    done = run_module(MODULE, **fresh, parameter_overrides=overrides)
    assert predicted["actions"] == done["actions"]
    assert done["actions"] == [
        f"create DB cluster parameter group {name} in family aurora-postgresql16",
        f"set max_replication_slots, rds.logical_replication in {name}",
        f"attach the parameter group {name} to {fresh['deployment_id']}",
        f"reboot instance {fresh['deployment_id']}-1, whose parameter group waits for it",
    ]
    assert done["green"]["parameter_group_status"] == "in-sync"
    assert show(lab, shop, made["green"]["endpoint"], "max_replication_slots") == "33"
    assert show(lab, shop, made["green"]["endpoint"], "rds.logical_replication") == "on"
    assert run_module(MODULE, **fresh, parameter_overrides=overrides)["changed"] is False


def test_only_what_waits_for_a_reboot_is_rebooted(lab: Lab, fresh: Result, run_module: RunModule) -> None:
    overrides = {"max_replication_slots": 33}
    run_module(MODULE, **fresh, parameter_overrides=overrides)
    dynamic = run_module(MODULE, **fresh, parameter_overrides={**overrides, "log_min_duration_statement": 900})
    assert [action.split()[0] for action in dynamic["actions"]] == ["set"]
    static = run_module(MODULE, **fresh, parameter_overrides={**overrides, "max_wal_senders": 44})
    assert [action.split()[0] for action in static["actions"]] == ["set", "reboot"]
    assert static["green"]["parameter_group_status"] == "in-sync"


def test_killed_after_every_change_it_is_continued_and_removed(
    lab: Lab, shop: Blue, fresh: Result, run_module: RunModule, runner: Runner
) -> None:
    fresh["parameter_overrides"] = {"max_replication_slots": 33}
    fresh["instances"] = [{}, {}]
    name = fresh["deployment_id"]
    assert run_until_it_lives(lab, runner, MODULE, **fresh) == 6  # group, values, clone, settings, two instances
    assert len(instances(lab, name)) == 2
    assert cluster(lab, name)["PreferredMaintenanceWindow"] == "wed:03:15-wed:03:45"
    assert show(lab, shop, cluster(lab, name)["Endpoint"], "max_replication_slots") == "33"
    gone = {"deployment_id": name, "state": "absent", **QUICK}
    assert run_until_it_lives(lab, runner, MODULE, **gone) == 4  # two instances, cluster, group
    assert name not in clusters(lab)
    assert run_module(MODULE, **gone)["changed"] is False


def test_killed_as_ansible_in_the_middle_it_ends_in_the_same_place(
    lab: Lab, fresh: Result, run_module: RunModule
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    dice = random.Random(seed)
    name = fresh["deployment_id"]
    task = {"bluegreen.aws.aurora_clone": {**fresh, "instances": [{}, {}]}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    path = lab.state / "clone.json"
    path.write_text(json.dumps([{**play, "vars": {"ansible_python_interpreter": sys.executable}}]), encoding="utf-8")
    reached: list[Callable[[], bool]] = [lambda: name in clusters(lab), lambda: len(instances(lab, name)) > 0]
    for begun in reached:
        playbook = subprocess.Popen(
            [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(path)],
            cwd=ROOT,
            env={**os.environ, **lab.env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(begun, 60, f"the playbook to begin (seed {seed})")
        time.sleep(dice.uniform(0.0, 0.3))
        os.killpg(playbook.pid, signal.SIGKILL)
        playbook.wait()
    options = {**fresh, "instances": [{}, {}]}
    done = run_module(MODULE, **options)
    assert [each["status"] for each in done["green"]["instances"]] == ["available"] * 2, f"seed {seed}"
    assert run_module(MODULE, **options)["changed"] is False, f"seed {seed}"


def test_throttling_is_survived_in_every_call(lab: Lab, fresh: Result, run_module: RunModule) -> None:
    lab.faults.throttle("DescribeDBClusters", calls=6)  # more than botocore forgives by itself
    lab.faults.throttle("RestoreDBClusterToPointInTime", calls=1)
    lab.faults.throttle("CreateDBInstance", calls=1)
    assert run_module(MODULE, **fresh)["green"]["status"] == "available"


def test_an_answer_that_was_lost_is_not_a_failure(lab: Lab, fresh: Result, run_module: RunModule) -> None:
    fresh["parameter_overrides"] = {"max_replication_slots": 33}
    every = (
        "CreateDBClusterParameterGroup",
        "ModifyDBClusterParameterGroup",
        "RestoreDBClusterToPointInTime",
        "ModifyDBCluster",
        "CreateDBInstance",
        "DeleteDBInstance",
        "DeleteDBCluster",
        "DeleteDBClusterParameterGroup",
    )
    for operation in every:
        lab.faults.fail(operation, "InternalFailure", after=True)
    done = run_module(MODULE, **fresh)
    assert done["green"]["status"] == "available"
    gone = {"deployment_id": fresh["deployment_id"], "state": "absent", "skip_final_snapshot": True, **QUICK}
    assert run_module(MODULE, **gone)["changed"] is True
    assert fresh["deployment_id"] not in clusters(lab)
    seen = {rule["operation"]: rule["seen"] for rule in lab.faults.turn("status")["faults"]}
    assert all(seen[operation] > 0 for operation in every)


def test_a_call_that_is_denied_is_one_sentence_and_the_next_run_goes_on(
    lab: Lab, fresh: Result, run_module: RunModule
) -> None:
    lab.faults.deny("CreateDBInstance")
    with pytest.raises(ModuleFailed) as caught:
        run_module(MODULE, **fresh)
    assert "AWS refused CreateDBInstance" in caught.value.msg
    assert "allow this action" in caught.value.msg
    assert caught.value.result["changed"] is True
    assert caught.value.result["actions"][0] == f"clone clonesource to {fresh['deployment_id']}"
    lab.faults.clear()
    done = run_module(MODULE, **fresh)
    assert [action.split()[0] for action in done["actions"]] == ["create"]


def test_wrong_credentials_are_one_sentence(lab: Lab, fresh: Result, run_module: RunModule) -> None:
    reason = "The security token included in the request is invalid."
    lab.faults.fail("DescribeDBClusters", "InvalidClientTokenId", reason, calls=50)
    assert refusal(run_module, **fresh) == (
        "AWS refused DescribeDBClusters: The security token included in the request is invalid (InvalidClientTokenId); "
        "check the AWS credentials."
    )


def test_an_endpoint_that_does_not_answer_is_one_sentence(lab: Lab, fresh: Result, run_module: RunModule) -> None:
    sentence = refusal(
        run_module, **fresh, endpoint_url="http://127.0.0.1:9", aws_config={"retries": {"max_attempts": 0}}
    )
    assert "AWS could not be asked for DescribeDBClusters: Could not connect to the endpoint URL" in sentence


def test_without_waiting_each_run_does_what_can_be_done(lab: Lab, fresh: Result, run_module: RunModule) -> None:
    first = run_module(MODULE, **fresh, wait=False)
    assert first["actions"] == [f"clone clonesource to {fresh['deployment_id']}"]
    assert first["green"]["status"] != "available"
    done: list[str] = []
    end = time.monotonic() + 60
    while f"create instance {fresh['deployment_id']}-1 (db.t4g.medium)" not in done:
        assert time.monotonic() < end
        done += run_module(MODULE, **fresh, wait=False)["actions"]
    assert run_module(MODULE, **fresh)["changed"] is False


def test_a_protected_green_is_deleted_only_when_told_so(lab: Lab, made: Made, run_module: RunModule) -> None:
    gone = {"deployment_id": "mirrored", "state": "absent", **QUICK}
    assert "protected against deletion" in refusal(run_module, **gone)
    assert len(instances(lab, "mirrored")) == 2


def test_an_instance_that_is_not_ours_keeps_green_from_being_deleted(
    lab: Lab, fresh: Result, run_module: RunModule
) -> None:
    run_module(MODULE, **fresh)
    name = fresh["deployment_id"]
    lab.client("rds").create_db_instance(
        DBInstanceIdentifier=f"{name}-stranger",
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        DBInstanceClass="db.t4g.medium",
    )
    lab.wait_available(name)
    sentence = refusal(run_module, deployment_id=name, state="absent", **QUICK)
    assert f"did not make its instances {name}-stranger" in sentence


def test_absent_leaves_a_snapshot_and_nothing_else(lab: Lab, fresh: Result, run_module: RunModule) -> None:
    fresh["parameter_overrides"] = {"max_replication_slots": 33}
    run_module(MODULE, **fresh)
    name = fresh["deployment_id"]
    gone = {"deployment_id": name, "state": "absent", **QUICK}
    predicted = run_module(MODULE, check=True, diff=True, **gone)
    assert name in clusters(lab)
    done = run_module(MODULE, **gone)
    assert predicted["actions"] == done["actions"]
    assert predicted["diff"]["after"] == {}
    rds = lab.client("rds")
    assert rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=f"{name}-final")["DBClusterSnapshots"]
    assert name not in clusters(lab)
    groups = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    assert not [group for group in groups if group["DBClusterParameterGroupName"].startswith(name)]
    assert run_module(MODULE, **gone)["changed"] is False


def test_a_snapshot_name_that_is_taken_is_refused_before_anything_is_deleted(
    lab: Lab, fresh: Result, run_module: RunModule
) -> None:
    run_module(MODULE, **fresh)
    name = fresh["deployment_id"]
    lab.client("rds").create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-final")
    assert f"A final snapshot {name}-final" in refusal(run_module, deployment_id=name, state="absent", **QUICK)
    assert len(instances(lab, name)) == 1


def test_info_tells_the_clusters_and_who_serves(lab: Lab, shop: Blue, made: Made, run_module: RunModule) -> None:
    found = run_module("bg_info", deployment_id="mirrored", source_db_cluster_identifier=shop.cluster)
    assert found["green"] == run_module(MODULE, **made.options)["green"]
    assert found["blue"]["db_cluster_identifier"] == shop.cluster
    assert (found["serving"], found["replication"], found["changed"]) == ("unknown", None, False)
    nobody = run_module("bg_info", deployment_id="nobody", source_db_cluster_identifier=shop.cluster)
    assert nobody["green"] is None
    not_green = run_module("bg_info", deployment_id=shop.cluster, db_cluster_identifier=shop.cluster)
    assert not_green["green"] is None
    sides = {
        "blue": {"host": shop.host, "secret_arn": shop.secret_arn, "ca_cert": lab.ca_file},
        "green": {"host": found["green"]["endpoint"], "secret_arn": shop.secret_arn, "ca_cert": lab.ca_file},
    }
    assert run_module("bg_info", deployment_id="mirrored", **sides)["serving"] == "blue"


def test_info_with_a_wrong_password_is_one_sentence_without_it(lab: Lab, shop: Blue, run_module: RunModule) -> None:
    login = {"host": shop.host, "user": shop.user, "password": "wrong-but-secret", "ca_cert": lab.ca_file}
    with pytest.raises(ModuleFailed, match="No connection to blue") as caught:
        run_module("bg_info", deployment_id="mirrored", blue=login)
    assert "wrong-but-secret" not in caught.value.msg
