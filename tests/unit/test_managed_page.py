# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the checks in docs/managed.md and docs/clients.md: every check that there is, and none that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import (
    managed_permissions,
    readiness_managed_around,
    readiness_managed_left,
    readiness_managed_members,
    readiness_managed_rules,
    readiness_managed_target,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.client_places import Places
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.readiness_topic import PREFIX, Topic
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.metadata import SOURCE, TARGET
from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import replicas
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import accounts, first_write, rules_facts
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import guardrails as mysql_guardrails
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import managed_guardrails as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.dialect import Dialect
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import catalog
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import guardrails as postgresql_guardrails
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import managed_guardrails as postgresql
from tests.unit.plugins.module_utils._clients.test_readiness import deployment, judged, look, place, row
from tests.unit.plugins.module_utils._mysql.test_guardrail_rules import GREEN, channel, server
from tests.unit.plugins.module_utils._postgresql.test_rules import FACTS, SERVER

DOCS = Path(__file__).parents[2] / "docs"
SECTION = "## What the service refuses, and which check tells it before"
NAMES = Names.of("shop-84")
BLUE, THERE = (Endpoint(side, f"{side}.x", 1, "u", "p") for side in ("blue", "green"))
TOPICS = (
    managed_permissions,
    readiness_managed_around,
    readiness_managed_left,
    readiness_managed_members,
    readiness_managed_rules,
    readiness_managed_target,
)


@contextmanager
def connected(endpoint: Endpoint, **_options: Any) -> Iterator[Endpoint]:
    """A connection is where it leads to."""
    yield endpoint


def ids(checks: Sequence[Check]) -> set[str]:
    return {check.id for check in checks}


@pytest.fixture
def of_mysql(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the guardrails on MySQL servers, from a run on two servers that say that all is well."""
    sound = {"blue": server(), "green": replace(GREEN, variables={**GREEN.variables, "read_only": "ON"})}
    monkeypatch.setattr(mysql, "connected", connected)
    monkeypatch.setattr(mysql_guardrails, "connect", lambda endpoint: endpoint)
    monkeypatch.setattr(mysql_guardrails, "close", lambda _conn: None)
    monkeypatch.setattr(rules_facts, "read", lambda _conn, side: sound[side])
    monkeypatch.setattr(mysql, "ours", lambda _conn, _names: ())
    monkeypatch.setattr(mysql, "channel", lambda _conn, _dialect: channel())
    monkeypatch.setattr(Dialect, "of", lambda _conn: None)
    monkeypatch.setattr(accounts, "differences", lambda *_given: [])
    for name in ("find", "rows"):
        monkeypatch.setattr(mysql, name, lambda *_given: [])
    monkeypatch.setattr(first_write, "rows", lambda *_given: [])
    create = mysql.create_checks(BLUE, NAMES, 804, aurora=True)
    return ids([*create, *mysql.switchover_checks(BLUE, THERE, NAMES)])


@pytest.fixture
def of_postgresql(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The same on PostgreSQL servers, with a logical green and with a physical one."""
    monkeypatch.setattr(postgresql, "connected", connected)
    monkeypatch.setattr(postgresql, "_setting", lambda _endpoint: "on")
    monkeypatch.setattr(
        postgresql_guardrails, "connect", lambda endpoint: type("C", (), {"close": lambda _self: None})()
    )
    monkeypatch.setattr(catalog, "choose_databases", lambda *_given: ["shop"])
    monkeypatch.setattr(catalog, "server_facts", lambda _conn, side: replace(SERVER, side=side))
    monkeypatch.setattr(catalog, "database_facts", lambda _conn: FACTS)
    for name in ("find", "rows"):
        monkeypatch.setattr(postgresql, name, lambda *_given: [])
    found: set[str] = set()
    for physical in (False, True):
        monkeypatch.setattr(postgresql, "value", lambda *_given, physical=physical: physical)
        found |= ids(postgresql.create_checks(BLUE, NAMES, None, major=18, logical=not physical))
        found |= ids(postgresql.switchover_checks(BLUE, THERE, NAMES, None))
    return found


def of_aws() -> set[str]:
    """The names of those on the control plane."""
    return {PREFIX + one.name for module in TOPICS for one in vars(module).values() if isinstance(one, Topic)}


def listed(page: str, section: str) -> set[str]:
    """The names in a page's section, as its tables have them in their column of checks."""
    text = (DOCS / page).read_text(encoding="utf-8").partition(f"\n{section}\n")[2]
    text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    found: set[str] = set()
    column = 0
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if "check" in cells:
            column = cells.index("check")
        elif cells and not cells[0].startswith("---"):
            found |= set(re.findall(r"`([a-z0-9_*]+)`", cells[column]))
    return found


def test_the_page_of_managed_deployments_has_every_check_and_no_other(
    of_mysql: set[str], of_postgresql: set[str]
) -> None:
    there, said = of_mysql | of_postgresql | of_aws() | {replicas.NAME}, listed("managed.md", SECTION)
    assert sorted(one for one in there if not any(fnmatchcase(one, name) for name in said)) == []
    assert sorted(name for name in said if not any(fnmatchcase(one, name) for one in there)) == []


def test_the_page_of_clients_has_every_check_and_no_other() -> None:
    places = Places(deployment("SWITCHOVER_COMPLETED"), place(), place())
    looks = [look(row(SOURCE), row(TARGET), side=side) for side in ("blue", "green")]
    there = {*judged(places, *looks), *judged(Places(deployment(), place(), place()), *looks, dns_server="127.0.0.1:1")}
    assert listed("clients.md", "## Ready for the plugin") == there
