# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guardrails as functions of plain facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import (
    managed_rules,
    schema_rules,
    server_rules,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.catalog import (
    Database,
    DatabaseFacts,
    OpenTransaction,
    Override,
    Prepared,
    ServerFacts,
    Table,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.identity import Bare
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.managed_rules import Slot
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.publication import Publication
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.subscription import Subscription

SERVER = ServerFacts(
    side="blue",
    version=160014,
    user="admin",
    settings={
        "wal_level": "logical",
        "max_replication_slots": "10",
        "max_wal_senders": "10",
        "max_logical_replication_workers": "4",
        "max_worker_processes": "8",
    },
    pending_restart=(),
    slots_used=0,
    origins_used=0,
    senders_used=0,
    workers_used=0,
    open_transactions=(),
    prepared=(),
    overrides=(),
)
TABLE = Table("public", "orders", "owner", settable=True, logged=True, full=False, estimated_rows=10, forced_rls=False)
BARE = Bare("public", "odd", "owner", "it has none", "d", None, True)
FACTS = DatabaseFacts(Database("shop", "owner", True), (TABLE,), (), 0, ())
SUBSCRIPTION = Subscription("bg_x_f_1", "shop", True, "bg_x_f_1", 4711, 0, True)


def with_table(**changes: Any) -> list[DatabaseFacts]:
    return [replace(FACTS, tables=(TABLE, replace(TABLE, name="odd", **changes)))]


def setting(**changes: str) -> ServerFacts:
    return replace(SERVER, settings={**SERVER.settings, **changes})


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (setting(wal_level="replica"), "it is off or waits for a reboot"),
        (replace(setting(wal_level="replica"), pending_restart=("wal_level",)), "it waits for a reboot"),
        (setting(wal_level="replica", **{"rds.logical_replication": "on"}), "it waits for a reboot"),
        (replace(SERVER, settings={}), "wal_level is unknown"),
    ],
)
def test_a_log_that_cannot_be_decoded_fails(server: ServerFacts, words: str) -> None:
    check = server_rules.logical_replication(server)
    assert check.status == "failed" and words in check.evidence
    assert "reboot the writer" in check.remedy
    assert server_rules.logical_replication(SERVER).status == "ok"


@pytest.mark.parametrize(("used", "more", "status"), [(8, 2, "ok"), (9, 2, "failed"), (0, 11, "failed"), (10, 0, "ok")])
def test_slots_are_counted_with_those_in_use(used: int, more: int, status: str) -> None:
    slots = server_rules.publisher_capacity(replace(SERVER, slots_used=used), more)[0]
    assert (slots.id, slots.status) == ("blue_replication_slots", status)
    if status == "failed":
        assert f"raise max_replication_slots to {used + more} or more" in slots.remedy


def test_origins_are_limited_by_a_setting_of_their_own_since_18() -> None:
    older = server_rules.subscriber_capacity(replace(setting(max_replication_slots="1"), version=170004), 2)
    newer = server_rules.subscriber_capacity(
        replace(setting(max_replication_slots="1", max_active_replication_origins="2"), version=180004), 2
    )
    assert (older[0].status, newer[0].status) == ("failed", "ok")


def test_a_setting_the_server_does_not_have_leaves_no_room() -> None:
    assert server_rules.subscriber_capacity(replace(SERVER, settings={}), 1)[1].status == "failed"


def test_worker_processes_that_the_workers_use_up_are_warned_of() -> None:
    assert server_rules.subscriber_capacity(setting(max_worker_processes="4"), 1)[2].status == "warning"


def test_old_servers_are_refused() -> None:
    assert server_rules.server_version(replace(SERVER, version=140012)).status == "failed"
    assert server_rules.server_version(replace(SERVER, version=150002)).status == "ok"


@pytest.mark.parametrize(
    ("seconds", "stops", "status"), [(59, True, "ok"), (61, True, "failed"), (61, False, "warning")]
)
def test_a_transaction_is_long_after_a_minute(seconds: float, stops: bool, status: str) -> None:
    server = replace(SERVER, open_transactions=(OpenTransaction(1, "app", "shop", seconds),))
    assert server_rules.long_transactions(server, stops=stops).status == status


def test_a_prepared_transaction_fails_in_any_database() -> None:
    server = replace(SERVER, prepared=(Prepared("gid", "app", "elsewhere"),))
    check = server_rules.prepared_transactions(server, ["shop"])
    assert check.status == "failed" and "'gid' of app in elsewhere" in check.evidence


@pytest.mark.parametrize(
    ("override", "status"),
    [
        (Override("app", None, "off"), "failed"),
        (Override("app", "shop", "OFF"), "failed"),
        (Override("app", "shop", "0"), "failed"),
        (Override("app", "elsewhere", "off"), "ok"),
        (Override("reporting", None, "on"), "ok"),
        (Override("reporting", None, "true"), "ok"),
    ],
)
def test_a_role_that_wins_over_the_fence_fails(override: Override, status: str) -> None:
    server = replace(SERVER, overrides=(override,))
    assert server_rules.read_only_overrides(server, ["shop"], stops=True).status == status


@pytest.mark.parametrize(
    ("subscription", "words"),
    [
        (None, "has no started subscription"),
        (replace(SUBSCRIPTION, started=False), "has no started subscription"),
        (replace(SUBSCRIPTION, enabled=False), "does not run"),
        (replace(SUBSCRIPTION, worker_pid=None), "does not run"),
        (replace(SUBSCRIPTION, enabled=False, errors=3), "does not run after 3 errors"),
    ],
)
def test_replication_that_does_not_run_fails(subscription: Subscription | None, words: str) -> None:
    check = server_rules.replicates("shop", subscription)
    assert check.status == "failed" and words in check.evidence
    assert server_rules.replicates("shop", SUBSCRIPTION).status == "ok"


def test_tables_are_judged_one_by_one() -> None:
    assert schema_rules.replica_identity([FACTS]).status == "ok"
    bare = schema_rules.replica_identity([replace(FACTS, bare=(BARE,))])
    assert bare.status == "failed" and bare.evidence.endswith("shop: public.odd")
    assert schema_rules.unlogged_tables(with_table(logged=False)).status == "warning"
    assert schema_rules.slow_identity(with_table(full=True, estimated_rows=100_001)).status == "warning"
    assert schema_rules.slow_identity(with_table(full=True, estimated_rows=100_000)).status == "ok"
    assert schema_rules.row_security("blue", with_table(forced_rls=True)).status == "failed"


def test_an_owner_the_admin_cannot_become_is_granted_once() -> None:
    other = replace(TABLE, owner='o"dd', settable=False)
    check = schema_rules.table_owners(SERVER, [replace(FACTS, tables=(other, replace(other, name="second")))])
    assert check.status == "failed"
    assert check.remedy == 'GRANT "o""dd" TO "admin"'


def test_many_findings_are_cut_short() -> None:
    tables = tuple(replace(BARE, name=f"t{number}") for number in range(9))
    check = schema_rules.replica_identity([replace(FACTS, bare=tables)])
    assert check.evidence.endswith("shop: public.t4 and 4 more")


def test_a_published_table_that_is_not_applied_fails_unless_it_is_declared() -> None:
    orders, late = ("public", "orders"), ("public", "late")
    declared = ExpectedDifferences.of([{"object": "public.late"}])
    ok = schema_rules.tables_in_step("shop", {orders}, {orders, late})
    skipped = schema_rules.tables_in_step("shop", {orders, late}, {orders})
    meant = schema_rules.tables_in_step("shop", {orders, late}, {orders}, declared)
    assert (ok.status, skipped.status, meant.status) == ("ok", "failed", "ok")
    assert "public.late" in skipped.evidence


def test_large_objects_and_publications_are_compared() -> None:
    assert schema_rules.large_objects_in_step("shop", 2, 2).status == "ok"
    assert schema_rules.large_objects_in_step("shop", 2, 1).status == "failed"
    assert schema_rules.publication_complete("shop", "blue", Publication("p", True)).status == "ok"
    assert schema_rules.publication_complete("shop", "blue", Publication("p", False)).status == "failed"
    assert schema_rules.publication_complete("shop", "blue", None).status == "failed"


@pytest.mark.parametrize(
    ("settings", "status"),
    [({"synchronous_commit": "on"}, "ok"), ({"synchronous_commit": "local"}, "failed"), ({}, "failed")],
)
def test_a_managed_blue_acknowledges_what_is_on_disk(settings: dict[str, str], status: str) -> None:
    assert managed_rules.durable(replace(SERVER, settings=settings)).status == status


@pytest.mark.parametrize(
    ("slots", "publisher", "lag"),
    [
        ([], "ok", "failed"),
        ([Slot("rds_a", "rdsrepladmin", 10)], "ok", "ok"),
        ([Slot("x_of_the_service", "rdsrepladmin", 10)], "ok", "ok"),
        ([Slot("rds_a", "?", 10)], "ok", "ok"),
        ([Slot("rds_a", None, 10)], "ok", "failed"),
        ([Slot("rds_a", "rdsrepladmin", 1 << 30)], "ok", "failed"),
        ([Slot("rds_a", "rdsrepladmin", 0), Slot("debezium", "cdc", 1 << 30)], "failed", "ok"),
        ([Slot("rds_a", "rdsrepladmin", 0), Slot("dms", None, 0)], "failed", "failed"),
        ([Slot("debezium", "cdc", 0)], "failed", "failed"),
    ],
)
def test_the_slots_of_others_are_told_from_those_of_the_service(slots: list[Slot], publisher: str, lag: str) -> None:
    assert managed_rules.not_a_publisher(slots).status == publisher
    assert managed_rules.follows(slots).status == lag


@pytest.mark.parametrize(("behind", "status"), [(0, "ok"), (-8, "ok"), (1 << 30, "failed"), (None, "failed")])
def test_a_physical_green_that_does_not_say_how_far_it_is_has_failed(behind: int | None, status: str) -> None:
    assert managed_rules.follows_physically(behind).status == status


def test_a_subscription_of_the_service_is_none_of_blue() -> None:
    assert managed_rules.not_a_subscriber([("rds_blue_green", "shop")]).status == "ok"
    assert 'DROP SUBSCRIPTION "their""s"' in managed_rules.not_a_subscriber([('their"s', "shop")]).remedy


def test_a_green_that_can_be_written_to_fails_also_when_nobody_does() -> None:
    assert managed_rules.only_reads("on", []).status == "ok"
    assert managed_rules.only_reads("off", []).status == "failed"
    assert "pg_terminate_backend(7)" in managed_rules.only_reads("on", [OpenTransaction(7, "app", "shop", 1)]).remedy
