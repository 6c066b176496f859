# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`aurora_upgrade` on the lab: two hops over two majors with real servers, failing, killed, denied and continued."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.mortal import run_until_it_lives
from tests.integration.runner import Runner
from tests.lab.lab import Blue, Lab

MODULE = "aurora_upgrade"
QUICK = {"wait_delay": 0.1, "wait_timeout": 300}
GREEN = "hopper"
GROUP, INSTANCE_GROUP = f"{GREEN}-aurora-postgresql18", f"{GREEN}-aurora-postgresql18-instance"
TO_18 = {"deployment_id": GREEN, "engine_version": "18.4", "allow_major_version_upgrade": True, **QUICK}
Result = dict[str, Any]


@pytest.fixture(scope="module")
def shop(lab: Lab) -> Iterator[Blue]:
    """One blue, two hops behind, with something set in an instance parameter group too."""
    blue = lab.seed_postgresql("hopsource", readers=0, version="16.10")
    rds = lab.client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName="hopsource-instance", DBParameterGroupFamily="aurora-postgresql16", Description="ours"
    )
    parameter = {"ParameterName": "log_min_duration_statement", "ParameterValue": "777", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName="hopsource-instance", Parameters=[parameter])
    rds.modify_db_instance(
        DBInstanceIdentifier="hopsource-1", DBParameterGroupName="hopsource-instance", ApplyImmediately=True
    )
    lab.wait_available("hopsource")
    rds.reboot_db_instance(DBInstanceIdentifier="hopsource-1")
    lab.wait_available("hopsource")
    yield blue
    lab.delete(blue.cluster)


@pytest.fixture(scope="module")
def green(lab: Lab, shop: Blue, run_module: RunModule) -> Iterator[Result]:
    """Green before any upgrade, with a reader; it carries a slot that blue had, as a clone does."""
    sql(lab, shop, shop.host, "SELECT pg_create_logical_replication_slot('carried', 'pgoutput')")
    made = run_module(
        "aurora_clone",
        deployment_id=GREEN,
        source_db_cluster_identifier=shop.cluster,
        instances=[{}, {}],
        **QUICK,
    )
    sql(lab, shop, shop.host, "SELECT pg_drop_replication_slot('carried')")
    yield made["green"]
    lab.faults.clear()
    lab.delete(GREEN)


@dataclass(frozen=True)
class Upgraded:
    """What became of green on its way to 18.4."""

    failure: Result
    predicted: Result
    deaths: int
    second: Result


@pytest.fixture(scope="module")
def upgraded(lab: Lab, shop: Blue, green: Result, run_module: RunModule, runner: Runner) -> Upgraded:
    """Green's way: refused because of the slot, then killed after every change, then finished."""
    with pytest.raises(ModuleFailed) as caught:
        run_module(MODULE, **TO_18)
    sql(lab, shop, green["endpoint"], "SELECT pg_drop_replication_slot('carried')")
    predicted = run_module(MODULE, check=True, diff=True, **TO_18)
    deaths = run_until_it_lives(lab, runner, MODULE, **TO_18)
    return Upgraded(caught.value.result, predicted, deaths, run_module(MODULE, diff=True, **TO_18))


@pytest.fixture(autouse=True)
def without_faults(lab: Lab) -> Iterator[None]:
    """Each test takes back its faults."""
    yield
    lab.faults.clear()


def sql(lab: Lab, blue: Blue, host: str, statement: str) -> Sequence[Any]:
    """The first row of a statement on a running server, as its own user."""
    conn = psycopg2.connect(
        host=host,
        port=blue.port,
        user=blue.user,
        password=blue.password,
        dbname=blue.database,
        sslmode="verify-full",
        sslrootcert=lab.ca_file,
    )
    with contextlib.closing(conn):
        conn.autocommit = True
        with conn.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchone()
    assert found is not None
    return found


def refusal(run_module: RunModule, **options: Any) -> str:
    """The sentence of a run that is refused and did nothing."""
    with pytest.raises(ModuleFailed) as caught:
        run_module(MODULE, **options)
    assert caught.value.result["actions"] == []
    assert caught.value.result["changed"] is False
    assert "\n" not in caught.value.msg
    return caught.value.msg


def test_a_version_that_cannot_be_reached_is_refused_with_those_that_can(green: Result, run_module: RunModule) -> None:
    assert refusal(run_module, **{**TO_18, "engine_version": "17.5"}) == (
        "The engine version should become 17.5, but the cluster runs 16.10 and 17.5 cannot be reached from it; "
        "versions that can be reached: 16.14, 18.1, 18.4."
    )


def test_a_major_upgrade_needs_the_users_word(green: Result, run_module: RunModule) -> None:
    sentence = refusal(run_module, **{**TO_18, "allow_major_version_upgrade": False})
    assert "is a major one (to 18.1), but allow_major_version_upgrade is false" in sentence


def test_blue_and_a_cluster_that_is_not_there_are_refused(shop: Blue, green: Result, run_module: RunModule) -> None:
    assert "so it is left alone" in refusal(run_module, **TO_18, db_cluster_identifier=shop.cluster)
    assert "should be green, but it does not exist" in refusal(run_module, **TO_18, db_cluster_identifier="nowhere")


def test_the_future_green_is_planned_from_blue(lab: Lab, shop: Blue, green: Result, run_module: RunModule) -> None:
    options = {**TO_18, "deployment_id": "future", "source_db_cluster_identifier": shop.cluster}
    planned = run_module(MODULE, check=True, **options)
    assert (planned["path"], planned["changed"], planned["green"]) == (["18.1", "18.4"], True, None)
    assert "17.5 cannot be reached" in refusal(run_module, check=True, **{**options, "engine_version": "17.5"})
    assert "should be green, but it does not exist" in refusal(run_module, **options)


def test_a_named_group_of_another_family_is_refused(green: Result, run_module: RunModule) -> None:
    sentence = refusal(run_module, **TO_18, db_cluster_parameter_group_name="hopsource-blue")
    assert "needs the family aurora-postgresql18, but is of aurora-postgresql16" in sentence


def test_a_failed_upgrade_is_one_sentence_with_the_services_reason(upgraded: Upgraded) -> None:
    message = upgraded.failure["msg"]
    assert message.startswith("The DB cluster hopper should be upgraded to 18.1, but is back at 16.10: ")
    assert "slot" in message
    assert "\n" not in message
    assert upgraded.failure["changed"] is True
    assert upgraded.failure["actions"][-1] == "upgrade hopper from 16.10 to 18.1"


def test_check_mode_predicts_the_hops(upgraded: Upgraded) -> None:
    assert upgraded.predicted["path"] == ["18.1", "18.4"]
    assert upgraded.predicted["actions"] == ["upgrade hopper from 16.10 to 18.1", "upgrade hopper from 18.1 to 18.4"]
    assert upgraded.predicted["green"]["engine_version"] == "16.10"
    assert upgraded.predicted["diff"]["after"]["engine_version"] == "18.4"


def test_killed_after_every_change_it_is_continued(upgraded: Upgraded) -> None:
    # The groups were made by the run that failed; the two hops are left, asked for again when they have not begun yet.
    assert upgraded.deaths >= 2


def test_a_second_run_finds_nothing_to_do(upgraded: Upgraded) -> None:
    second = upgraded.second
    assert (second["changed"], second["actions"], second["path"]) == (False, [], [])
    assert second["diff"]["before"] == second["diff"]["after"]
    assert second["green"]["engine_version"] == "18.4"


def test_every_instance_arrived_with_its_groups_in_sync(lab: Lab, shop: Blue, upgraded: Upgraded) -> None:
    green = upgraded.second["green"]
    assert (green["db_cluster_parameter_group_name"], green["parameter_group_status"]) == (GROUP, "in-sync")
    wanted = {"Name": "db-cluster-id", "Values": [GREEN]}
    found = lab.client("rds").describe_db_instances(Filters=[wanted])["DBInstances"]
    assert [each["EngineVersion"] for each in found] == ["18.4", "18.4"]
    assert {each["DBParameterGroups"][0]["DBParameterGroupName"] for each in found} == {INSTANCE_GROUP}
    assert sql(lab, shop, green["endpoint"], "SELECT current_setting('server_version_num')::int / 10000")[0] == 18


def test_what_was_set_in_blues_groups_is_in_force_on_green(lab: Lab, shop: Blue, upgraded: Upgraded) -> None:
    host = upgraded.second["green"]["endpoint"]
    assert sql(lab, shop, host, "SHOW rds.logical_replication")[0] == "on"
    assert sql(lab, shop, host, "SHOW log_min_duration_statement")[0] == "777ms"


def test_an_upgrade_never_goes_back(upgraded: Upgraded, run_module: RunModule) -> None:
    sentence = refusal(run_module, **{**TO_18, "engine_version": "16.14"})
    assert "16.14 is older, and an upgrade never goes back; versions that can be reached: none" in sentence


def test_the_clone_leaves_an_upgraded_green_as_it_is(
    lab: Lab, shop: Blue, upgraded: Upgraded, run_module: RunModule
) -> None:
    options = {"deployment_id": GREEN, "source_db_cluster_identifier": shop.cluster, "instances": [{}, {}], **QUICK}
    assert run_module("aurora_clone", **options)["changed"] is False
    rds = lab.client("rds")
    rds.delete_db_instance(DBInstanceIdentifier=f"{GREEN}-2")
    rds.get_waiter("db_instance_deleted").wait(
        DBInstanceIdentifier=f"{GREEN}-2", WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )
    done = run_module("aurora_clone", **options)
    assert done["actions"] == [f"create instance {GREEN}-2 (db.r6g.large)"]
    assert done["green"]["parameter_group_status"] == "in-sync"


def test_overrides_reach_the_group_of_an_upgraded_green(
    lab: Lab, shop: Blue, upgraded: Upgraded, run_module: RunModule
) -> None:
    options = {"deployment_id": GREEN, "source_db_cluster_identifier": shop.cluster, "instances": [{}, {}], **QUICK}
    options["parameter_overrides"] = {"max_replication_slots": 33}
    done = run_module("aurora_clone", **options)
    assert done["actions"][0] == f"set max_replication_slots in {GROUP}"
    assert done["actions"][1].startswith(f"reboot instance {GREEN}-1")
    assert sql(lab, shop, done["green"]["endpoint"], "SHOW max_replication_slots")[0] == "33"
    assert run_module("aurora_clone", **options)["changed"] is False
    assert run_module(MODULE, **TO_18)["changed"] is False


def test_a_named_group_is_attached_and_its_instances_rebooted(
    lab: Lab, shop: Blue, upgraded: Upgraded, run_module: RunModule
) -> None:
    rds = lab.client("rds")
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="mine", DBParameterGroupFamily="aurora-postgresql18", Description="mine"
    )
    parameter = {"ParameterName": "max_replication_slots", "ParameterValue": "44", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName="mine", Parameters=[parameter])
    options = {**TO_18, "db_cluster_parameter_group_name": "mine"}
    lab.faults.throttle("ModifyDBCluster", calls=2)
    done = run_module(MODULE, **options)
    assert done["actions"][0] == f"attach the parameter group mine to {GREEN}"
    assert sql(lab, shop, done["green"]["endpoint"], "SHOW max_replication_slots")[0] == "44"
    assert run_module(MODULE, **options)["changed"] is False


def test_absent_removes_the_groups_of_both_kinds(
    lab: Lab, shop: Blue, green: Result, upgraded: Upgraded, run_module: RunModule
) -> None:
    planned = run_module(
        "aurora_clone", check=True, deployment_id=GREEN, state="absent", skip_final_snapshot=True, **QUICK
    )
    assert f"delete DB cluster parameter group {GROUP}" in planned["actions"]
    assert f"delete DB parameter group {INSTANCE_GROUP}" in planned["actions"]
    assert f"delete cluster {GREEN} without a snapshot" in planned["actions"]
