# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`aurora_clone` and `aurora_upgrade` on a MySQL cluster: green is closed by a group of its own, through every version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.events import clone_position
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.green_parameters import GreenParameters
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.mysql.conftest import NEWER, VERSION, MySQLLab, run
from tests.lab.lab import Blue
from tests.lab.tools import MYSQL, production_group, wait_until

QUICK = {"wait_delay": 0.1, "wait_timeout": 120}
SNAPSHOT, WRITER = "born-closed-before", "born-closed-writer"
CLOSED = {
    "read_only": "1",
    "event_scheduler": "OFF",
    "replica_parallel_workers": "4",
    "replica_preserve_commit_order": "ON",
    "replica_checkpoint_period": "1",
}
Result = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """One green and the results of the runs that made it; ``at_birth`` is what its server said then."""

    lab: MySQLLab
    blue: Blue
    options: Result
    predicted: Result
    prepared: Result
    first: Result
    second: Result
    at_birth: dict[str, str]

    @property
    def rds(self) -> Any:
        return self.lab.lab.client("rds")

    @property
    def green(self) -> Endpoint:
        return self.lab.endpoint(self.blue, "green", "born-closed")

    @property
    def group(self) -> str:
        """The name of green's cluster parameter group."""
        found = self.rds.describe_db_clusters(DBClusterIdentifier="born-closed")["DBClusters"][0]
        return str(found["DBClusterParameterGroup"])

    def switches(self) -> GreenParameters:
        return GreenParameters(Api(self.rds), "born-closed", self.group)


def variables(server: Endpoint) -> dict[str, str]:
    """The server's own values of the parameters that close green, and of those that are as on blue."""
    names = {
        "read_only": "read_only",
        "event_scheduler": "event_scheduler",
        "replica_parallel_workers": "replica_parallel_workers",
        "replica_preserve_commit_order": "replica_preserve_commit_order",
        "replica_checkpoint_period": "replica_checkpoint_period",
        "binlog_format": "binlog_format",
        "gtid_mode": "gtid_mode",
        "max_connections": "max_connections",
    }
    ((*values,),) = run(server, "SELECT " + ", ".join(f"@@GLOBAL.{name}" for name in names))
    words = {"replica_preserve_commit_order": {1: "ON", 0: "OFF"}}
    return {name: str(words.get(name, {}).get(value, value)) for name, value in zip(names, values, strict=True)}


@pytest.fixture(scope="module")
def made(mysql_lab: MySQLLab, run_module: RunModule) -> Iterator[Made]:
    """Green: predicted, made with a snapshot of blue and a writer of the user's, and made again."""
    before = mysql_lab.lab.clusters()
    blue = mysql_lab.blue("born", event_scheduler="ON", max_connections="123")
    window = "wed:03:15-wed:03:45"  # not one that a clone has by itself
    mysql_lab.lab.client("rds").modify_db_cluster(
        DBClusterIdentifier=blue.cluster, PreferredMaintenanceWindow=window, ApplyImmediately=True
    )
    mysql_lab.lab.wait_available(blue.cluster)
    options = {
        "deployment_id": "born-closed",
        "source_db_cluster_identifier": blue.cluster,
        "source_snapshot_identifier": SNAPSHOT,
        "writer_db_instance_identifier": WRITER,
        "deletion_protection": False,
        **QUICK,
    }
    predicted = run_module("aurora_clone", check=True, **options)
    prepared = run_module("aurora_clone", state="prepared", **options)
    first = run_module("aurora_clone", diff=True, **options)
    at_birth = variables(mysql_lab.endpoint(blue, "green", "born-closed"))
    yield Made(mysql_lab, blue, options, predicted, prepared, first, run_module("aurora_clone", **options), at_birth)
    mysql_lab.lab.clear(before)
    mysql_lab.lab.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=SNAPSHOT)


def test_green_is_born_closed_with_what_was_set_for_blue(made: Made) -> None:
    assert made.at_birth == {**CLOSED, "binlog_format": "ROW", "gtid_mode": "ON", "max_connections": "123"}


def test_its_group_is_its_own_and_in_sync(made: Made) -> None:
    assert made.first["green"]["db_cluster_parameter_group_name"] == "born-closed-aurora-mysql8-0"
    assert made.first["blue"]["db_cluster_parameter_group_name"] != "born-closed-aurora-mysql8-0"
    assert made.first["green"]["parameter_group_status"] == "in-sync"


def test_what_is_predicted_is_done_and_the_second_run_does_nothing(made: Made) -> None:
    assert made.prepared["actions"] == [f"take the snapshot {SNAPSHOT} of {made.blue.cluster}"]
    assert made.predicted["actions"] == made.prepared["actions"] + made.first["actions"]
    assert (made.second["changed"], made.second["actions"]) == (False, [])


def test_the_snapshot_of_blue_was_there_before_green(made: Made) -> None:
    found = made.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=SNAPSHOT)["DBClusterSnapshots"][0]
    green = made.rds.describe_db_clusters(DBClusterIdentifier="born-closed")["DBClusters"][0]
    assert (found["DBClusterIdentifier"], found["Status"]) == (made.blue.cluster, "available")
    assert found["SnapshotCreateTime"] < green["ClusterCreateTime"]


def test_the_writer_has_the_users_name(made: Made) -> None:
    assert [one["db_instance_identifier"] for one in made.first["green"]["instances"]] == [WRITER]


def test_the_clones_position_is_the_first_that_was_told_of_the_cluster(made: Made) -> None:
    told = made.lab.recovered(WRITER)
    found = clone_position(Api(made.rds), WRITER)
    assert found and told[0] == f"Binlog position from crash recovery is {found[0]}"
    made.rds.reboot_db_instance(DBInstanceIdentifier=WRITER)
    made.lab.lab.wait_available("born-closed")
    assert len(made.lab.recovered(WRITER)) > len(told)
    assert clone_position(Api(made.rds), WRITER) == found


def test_blues_own_groups_are_refused(made: Made, run_module: RunModule) -> None:
    made.rds.create_db_parameter_group(
        DBParameterGroupName="born-instances", DBParameterGroupFamily="aurora-mysql8.0", Description="blue's"
    )
    made.rds.modify_db_instance(
        DBInstanceIdentifier=made.first["blue"]["instances"][0]["db_instance_identifier"],
        DBParameterGroupName="born-instances",
        ApplyImmediately=True,
    )
    made.lab.lab.wait_available(made.blue.cluster)
    fresh = {**made.options, "deployment_id": "born-other"}
    fresh.pop("writer_db_instance_identifier")
    for option, name in (
        ("db_cluster_parameter_group_name", made.first["blue"]["db_cluster_parameter_group_name"]),
        ("db_parameter_group_name", "born-instances"),
    ):
        with pytest.raises(
            ModuleFailed, match=rf"{name} is named for green, which needs one of its own .*, but .* has it"
        ):
            run_module("aurora_clone", **fresh, **{option: name})
    assert "born-other" not in {name for _region, name in made.lab.lab.clusters()}


@pytest.mark.parametrize("reserved", ["read_only", "event_scheduler"])
def test_what_closes_green_is_not_the_users_to_set(made: Made, run_module: RunModule, reserved: str) -> None:
    with pytest.raises(ModuleFailed, match=f"The parameters {reserved} of green are the deployment's own"):
        run_module("aurora_clone", **{**made.options, "parameter_overrides": {reserved: "0"}})


def test_a_snapshot_of_another_cluster_is_refused(made: Made, run_module: RunModule, mysql_lab: MySQLLab) -> None:
    fresh = {**made.options, "deployment_id": "born-other", "source_db_cluster_identifier": "born-closed"}
    fresh.pop("writer_db_instance_identifier")
    with pytest.raises(ModuleFailed, match=f"but the one that exists is of {made.blue.cluster}: give another"):
        run_module("aurora_clone", **fresh)
    assert "born-other" not in {name for _region, name in made.lab.lab.clusters()}


# From here on green goes through its life: opened, upgraded, closed again.


def test_an_opened_green_stays_open_and_its_events_are_blues(made: Made, run_module: RunModule) -> None:
    made.switches().lift()
    wait_until(lambda: variables(made.green)["read_only"] == "0", 20, "read_only to be lifted")
    assert variables(made.green)["event_scheduler"] == "OFF"
    made.switches().after_opening(variables(made.lab.endpoint(made.blue))["event_scheduler"])
    wait_until(lambda: variables(made.green)["event_scheduler"] == "ON", 20, "events to run")
    again = run_module("aurora_clone", **made.options)
    assert (again["changed"], variables(made.green)["read_only"]) == (False, "0")


def test_it_is_closed_again_as_at_its_birth(made: Made) -> None:
    made.switches().close()
    wait_until(lambda: variables(made.green) == made.at_birth, 20, "green to be closed")


def test_blues_group_can_be_neither_opened_nor_closed(made: Made) -> None:
    group = made.first["blue"]["db_cluster_parameter_group_name"]
    with pytest.raises(BlueGreenError, match=f"{group} should be green's alone, .* but {made.blue.cluster} has it too"):
        GreenParameters(Api(made.rds), "born-closed", group).lift()


def test_the_upgrade_keeps_it_closed_in_the_next_family(made: Made, run_module: RunModule) -> None:
    options = {"deployment_id": "born-closed", "engine_version": NEWER, "allow_major_version_upgrade": True, **QUICK}
    predicted = run_module("aurora_upgrade", check=True, **options)
    upgraded = run_module("aurora_upgrade", **options)
    assert predicted["path"] == upgraded["path"] == [NEWER]
    assert upgraded["green"]["db_cluster_parameter_group_name"] == "born-closed-aurora-mysql8-4"
    assert variables(made.green) == made.at_birth
    assert run_module("aurora_upgrade", **options)["changed"] is False
    assert run_module("aurora_clone", **made.options)["changed"] is False


def test_a_group_that_is_named_is_closed_before_green_gets_it(made: Made, run_module: RunModule) -> None:
    production_group(made.rds, "born-named", MYSQL, NEWER, {"max_connections": "77", "binlog_format": "ROW"})
    options = {
        "deployment_id": "born-closed",
        "engine_version": NEWER,
        "db_cluster_parameter_group_name": "born-named",
        **QUICK,
    }
    attached = run_module("aurora_upgrade", **options)
    assert attached["green"]["db_cluster_parameter_group_name"] == "born-named"
    found = variables(made.green)
    assert {name: found[name] for name in CLOSED} == CLOSED
    assert found["max_connections"] == "77"
    assert run_module("aurora_upgrade", **options)["changed"] is False


def test_a_version_that_is_older_is_refused(made: Made, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match="is older, and an upgrade never goes back"):
        run_module("aurora_upgrade", deployment_id="born-closed", engine_version=VERSION, **QUICK)


def test_deletion_leaves_no_group_of_the_deployment(made: Made, run_module: RunModule) -> None:
    absent = {"deployment_id": "born-closed", "state": "absent", "skip_final_snapshot": True, **QUICK}
    run_module("aurora_clone", **absent)
    groups = made.rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    left = [one["DBClusterParameterGroupName"] for one in groups]
    assert "born-named" in left
    assert not [name for name in left if name.startswith("born-closed-")]
    assert run_module("aurora_clone", **absent)["changed"] is False
