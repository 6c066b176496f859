# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Green and its read replicas asked how they follow, whoever else follows blue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import instance_of
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Place
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import guardrails, replicas

ARN = "arn:aws:rds:us-east-1:123456789012:db"
Row = dict[str, Any]
RUNS: Row = {"replica_io_running": "Yes", "replica_sql_running": "Yes", "seconds_behind_source": 0}
STREAMS: Row = {"follows": True, "state": "streaming", "seconds": 0}
GREEN = Endpoint("green", "shop-green.x", 3306, "admin", "secret")


def _place(*names: str, kind: str = "db") -> Place:
    described = [
        {
            "DBInstanceIdentifier": name,
            "DBInstanceArn": f"{ARN}:{name}",
            "DBInstanceStatus": "available",
            "Endpoint": {"Address": f"{name}.x"},
        }
        for name in names
    ]
    members = tuple(instance_of(one, writer=not number) for number, one in enumerate(described))
    arn = f"arn:aws:rds:us-east-1:123456789012:{kind}:{names[0]}"
    return Place(names[0], arn, "mysql", "8.0.40", "available", "h", 3306, None, members, None, described[0])


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Row | None]], list[str]]:
    """Let hosts answer with these rows, None for no answer; returns the hosts that were asked."""

    def given(rows: dict[str, Row | None]) -> list[str]:
        asked: list[str] = []

        class Session:
            def __init__(self, endpoint: Endpoint, family: str) -> None:
                self.endpoint, self.family = endpoint, family

            def rows(self, statement: str) -> list[Row]:
                asked.append(self.endpoint.host)
                row = rows[self.endpoint.host]
                if row is None:
                    raise BlueGreenError("green at x should answer user admin, but: no route.")
                if "innodb_trx" in statement or "backend_xid" in statement:
                    return []
                return [row]

            def value(self, statement: str) -> Any:
                return self.rows(statement)[0].get("follows")

            def close(self) -> None:
                pass

        for module in (replicas, guardrails):
            monkeypatch.setattr(module, "Session", Session)
        return asked

    return given


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**RUNS, "replica_sql_running": "No"}, "the replication of shop-r1 does not run"),
        ({**RUNS, "seconds_behind_source": None}, "the replication of shop-r1 does not run"),
        ({}, "the replication of shop-r1 does not run"),
        ({**RUNS, "seconds_behind_source": 31}, "shop-r1 is 31 s behind green"),
        (None, "shop-r1 does not answer: green at x should answer"),
    ],
)
def test_a_replica_that_stands_still_or_lags_is_refused(servers: Any, row: Row | None, said: str) -> None:
    servers({"shop-r1.x": row, "shop-r2.x": RUNS})
    (found,) = replicas.checks(GREEN, "rds_mysql", _place("shop", "shop-r1", "shop-r2"), 30.0)
    assert found.status == "failed" and said in found.evidence and "shop-r2" not in found.evidence


def test_replicas_that_follow_are_all_right_and_green_itself_is_not_asked(servers: Any) -> None:
    asked = servers({"shop-r1.x": RUNS, "shop-r2.x": RUNS})
    (found,) = replicas.checks(GREEN, "rds_mysql", _place("shop", "shop-r1", "shop-r2"), 30.0)
    assert (found.status, asked) == ("ok", ["shop-r1.x", "shop-r2.x"])


def test_there_is_nothing_to_ask_without_replicas_or_of_a_clusters_readers(servers: Any) -> None:
    servers({})
    assert replicas.checks(GREEN, "rds_mysql", _place("shop"), 30.0) == []
    assert replicas.checks(GREEN, "aurora_mysql", _place("shop", "shop-1", kind="cluster"), 30.0) == []
    assert replicas.checks(GREEN, "rds_mysql", None, 30.0) == []


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (STREAMS, "ok"),
        ({**STREAMS, "seconds": 40}, "failed"),
        ({**STREAMS, "state": None}, "failed"),  # hidden from the user, or gone: blue's own replicas tell nothing of it
    ],
)
def test_a_physical_green_is_asked_itself_how_far_it_is(servers: Any, row: Row, status: str) -> None:
    servers({"blue.x": {"seconds": 0, "position": "0/400"}, "shop-green.x": {**row, "has": True}})
    blue = Endpoint("blue", "blue.x", 5432, "admin", "secret")
    found = guardrails.server_checks({"blue": (blue, "rds_postgresql"), "green": (GREEN, "rds_postgresql")}, 10.0)
    assert [(one.id, one.status) for one in found] == [("transactions", "ok"), ("lag", status)]


def test_the_lag_of_a_logical_green_is_known_on_blue(servers: Any) -> None:
    servers({"blue.x": {"seconds": 40}, "shop-green.x": {"follows": False}})
    blue = Endpoint("blue", "blue.x", 5432, "admin", "secret")
    found = guardrails.server_checks({"blue": (blue, "rds_postgresql"), "green": (GREEN, "rds_postgresql")}, 10.0)
    assert [(one.id, one.status) for one in found] == [("transactions", "ok"), ("lag", "failed")]
