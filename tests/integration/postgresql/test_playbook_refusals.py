# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user can get wrong: the playbook stops with one sentence that says so, and nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab.lab import Blue, Lab
from tests.playbook import Finished, Playbook
from tests.scene import DEPLOYMENT, connect, fingerprint, shop_variables

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Shop:
    """Blue in good order, without load."""

    lab: Lab
    blue: Blue
    playbook: Playbook

    def sql(self, statement: str) -> None:
        """Run one statement on blue as the master user."""
        with closing(connect(self.lab, self.blue, self.blue.cluster, self.blue.database)) as connection:
            connection.cursor().execute(statement)

    def set_parameters(self, reboot: bool, **values: str) -> None:
        """Set cluster parameters of blue (dots as two underscores) and reboot its writer if that is wanted."""
        client = self.lab.client("rds")
        client.modify_db_cluster_parameter_group(
            DBClusterParameterGroupName=f"{self.blue.cluster}-blue",
            Parameters=[
                {"ParameterName": name.replace("__", "."), "ParameterValue": value, "ApplyMethod": "pending-reboot"}
                for name, value in values.items()
            ],
        )
        if reboot:
            self.reboot()

    def reboot(self) -> None:
        """Reboot blue's writer and wait for it."""
        self.lab.client("rds").reboot_db_instance(DBInstanceIdentifier=f"{self.blue.cluster}-1")
        self.lab.wait_available(self.blue.cluster)


@pytest.fixture(scope="module", name="shop")
def _shop(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    blue = lab.seed_postgresql("refusals", readers=0)
    shop = Shop(lab, blue, Playbook(tmp_path_factory.mktemp("refusals"), lab.env, shop_variables(lab, blue)))
    shop.sql("CREATE TABLE goods (id int PRIMARY KEY, name text); INSERT INTO goods VALUES (1, 'pencil')")
    yield shop
    lab.delete(blue.cluster)


@contextmanager
def nothing(_shop: Shop) -> Iterator[None]:
    """Blue stays as it is: the variables are what is wrong."""
    yield


@contextmanager
def green_taken(shop: Shop) -> Iterator[None]:
    """Somebody else's cluster has green's identifier."""
    shop.lab.client("rds").create_db_cluster(
        DBClusterIdentifier=DEPLOYMENT,
        Engine="aurora-postgresql",
        EngineVersion="16.14",
        MasterUsername="somebody",
        MasterUserPassword="somebodys-own-password",
    )
    try:
        yield
    finally:
        shop.lab.delete(DEPLOYMENT)


@contextmanager
def replication_off(shop: Shop) -> Iterator[None]:
    """Logical replication is off."""
    shop.set_parameters(True, rds__logical_replication="0")
    try:
        yield
    finally:
        shop.set_parameters(True, rds__logical_replication="1")


@contextmanager
def replication_pending(shop: Shop) -> Iterator[None]:
    """Logical replication has been switched on, the writer has not been rebooted since."""
    shop.set_parameters(True, rds__logical_replication="0")
    shop.set_parameters(False, rds__logical_replication="1")
    try:
        yield
    finally:
        shop.reboot()


@contextmanager
def no_replica_identity(shop: Shop) -> Iterator[None]:
    """A table has neither a primary key nor another replica identity."""
    shop.sql("CREATE TABLE keyless (note text)")
    try:
        yield
    finally:
        shop.sql("DROP TABLE keyless")


@contextmanager
def few_slots(shop: Shop) -> Iterator[None]:
    """Every replication slot that blue may have is taken."""
    shop.set_parameters(True, max_replication_slots="5")
    shop.sql("SELECT pg_create_physical_replication_slot('taken' || n) FROM generate_series(1, 5) AS n")
    try:
        yield
    finally:
        shop.sql("SELECT pg_drop_replication_slot('taken' || n) FROM generate_series(1, 5) AS n")
        shop.set_parameters(True, max_replication_slots="20")


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, and the words that its message must have, all of them.

    The default phases find what readiness looks for; without readiness before it create finds the same by itself.
    """

    words: tuple[str, ...]
    phases: tuple[str, ...] = ()
    variables: dict[str, Any] = field(default_factory=dict)
    breakage: Callable[[Shop], AbstractContextManager[None]] = nothing


CREATE = ("create",)
MISTAKES = {
    "unknown cluster": Mistake(("nosuch",), variables={"aurora_postgresql_source_db_cluster_identifier": "nosuch"}),
    "green's identifier is taken": Mistake(
        (f"Cluster with id = {DEPLOYMENT} already exists.",), CREATE, breakage=green_taken
    ),
    "version that cannot be reached": Mistake(("16.10", "18.4"), CREATE, {"aurora_postgresql_engine_version": "16.10"}),
    "major upgrade not allowed": Mistake(
        ("allow_major_version_upgrade",), variables={"aurora_postgresql_allow_major_version_upgrade": False}
    ),
    "deployment id that is no identifier": Mistake(
        ("Shop_18",), variables={"aurora_postgresql_deployment_id": "Shop_18"}
    ),
    "logical replication off": Mistake(("rds.logical_replication",), breakage=replication_off),
    "logical replication pending a reboot": Mistake(
        ("rds.logical_replication", "reboot"), CREATE, breakage=replication_pending
    ),
    "table without replica identity": Mistake(("keyless", "replica identity"), CREATE, breakage=no_replica_identity),
    "too few slots": Mistake(("max_replication_slots",), breakage=few_slots),
    "wrong password": Mistake(
        ("shop_admin", "password"),
        CREATE,
        {"aurora_postgresql_admin": {"user": "shop_admin", "password": "Wr0ng/and-longEnough"}},
    ),
    "database that does not exist": Mistake(("nodatabase",), variables={"aurora_postgresql_databases": ["nodatabase"]}),
}


def refused(shop: Shop, mistake: Mistake) -> Finished:
    """Run the phases that the mistake is for; blue and AWS are as they were."""
    variables = dict(mistake.variables)
    if "aurora_postgresql_admin" in variables:
        variables["aurora_postgresql_admin"] = {**variables["aurora_postgresql_admin"], "ca_cert": shop.lab.ca_file}
    with mistake.breakage(shop):
        before = fingerprint(shop.lab, shop.blue)
        finished = shop.playbook.run(*mistake.phases, **variables)
        assert fingerprint(shop.lab, shop.blue) == before
    return finished


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_and_changes_nothing(shop: Shop, name: str) -> None:
    finished = refused(shop, MISTAKES[name])
    assert finished.code != 0
    message = finished.failure["msg"]
    assert all(word in message for word in MISTAKES[name].words), message
    assert "\n" not in message and message.endswith("."), message
    assert "Traceback" not in finished.output
    assert "Wr0ng/and-longEnough" not in finished.output
    assert finished.changed == 0


def test_a_phase_that_does_not_exist_is_named(shop: Shop) -> None:
    finished = shop.playbook.run("destroy")
    assert finished.code != 0
    assert re.search(r"aurora_postgresql_phases.*destroy", str(finished.failure["msg"]) + finished.output)


@pytest.mark.parametrize("phase", ["verify", "switchover", "rollback"])
def test_a_phase_that_needs_green_says_so(shop: Shop, phase: str) -> None:
    finished = shop.playbook.run(phase)
    assert finished.code != 0
    assert finished.failure["msg"] == (
        f"The green cluster of {DEPLOYMENT} was wanted, but does not exist; run the phase create first."
    )


def test_cleanup_of_what_never_was_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    finished = shop.playbook.succeed("cleanup", aurora_postgresql_delete_green=True)
    assert finished.changed == 0


def test_create_goes_on_from_a_green_without_instances(shop: Shop) -> None:
    shop.lab.faults.fail("CreateDBInstance", "InsufficientDBInstanceCapacity")
    assert "InsufficientDBInstanceCapacity" in shop.playbook.run("create").failure["msg"]
    assert "writer missing" in shop.playbook.run("verify").failure["msg"]
    assert "writer missing" in shop.playbook.run("cleanup").failure["msg"]
    assert shop.playbook.succeed().changed > 0
    shop.playbook.succeed("cleanup", aurora_postgresql_delete_green=True)


def test_cleanup_deletes_a_green_without_instances(shop: Shop) -> None:
    before = fingerprint(shop.lab, shop.blue)
    shop.lab.faults.fail("CreateDBInstance", "InsufficientDBInstanceCapacity")
    assert "InsufficientDBInstanceCapacity" in shop.playbook.run("create").failure["msg"]
    shop.playbook.succeed("cleanup", aurora_postgresql_delete_green=True)
    assert fingerprint(shop.lab, shop.blue) == before
