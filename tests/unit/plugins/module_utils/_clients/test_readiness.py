# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether clients are ready."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.client_places import Places
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Deployment, Place
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.grants import Look
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.metadata import SOURCE, TARGET, Row
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.readiness import Request, checks

HOST = "shop.cluster-abc123def456.us-east-1.rds.amazonaws.com"


def place(engine: str = "aurora-mysql", version: str = "8.0.mysql_aurora.3.10.0", kind: str = "cluster") -> Place:
    arn = f"arn:aws:rds:us-east-1:123456789012:{kind}:shop"
    return Place("shop", arn, engine, version, "available", HOST, 3306, None, (), None, {})


def deployment(status: str = "AVAILABLE") -> Deployment:
    return Deployment("bgd-1", "shop-next", "blue", "green", status, None, (), (), {})


def row(role: str, status: str = "AVAILABLE", version: str = "1.0") -> Row:
    return Row("1", HOST, 3306, role, status, version)


def judged(places: Places, *looks: Look, **more: Any) -> dict[str, tuple[str, str]]:
    options = {"dialect": "aurora_mysql", "endpoints": [HOST], "dns_server": None, "require_metadata": False, **more}
    found = checks(Request(places=places, **options), looks)
    return {check.id: (check.status, f"{check.evidence}; {check.remedy}") for check in found}


def look(*rows: Row, side: str = "blue") -> Look:
    return Look("app", side, "", "ok", rows, "")


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (Places(blue=place("mysql", "8.4.5")), "a Multi-AZ DB cluster"),
        (Places(blue=place(), world="shop-global"), "the global database shop-global"),
    ],
)
def test_what_the_plugin_does_not_support_is_named(places: Places, said: str) -> None:
    status, evidence = judged(places)["clients_supported"]
    assert status == "failed" and said in evidence


def test_a_version_without_metadata_fails_on_its_side() -> None:
    found = judged(Places(blue=place(version="8.0.mysql_aurora.3.06.0"), green=place()))
    assert (found["clients_version_blue"][0], found["clients_version_green"][0]) == ("failed", "ok")


@pytest.mark.parametrize(("required", "status"), [(True, "failed"), (False, "warning")])
@pytest.mark.parametrize("rows", [(), (row(SOURCE),), (row(SOURCE, version="2.0"), row(TARGET, version="2.0"))])
def test_metadata_that_is_late_or_strange_counts_when_it_is_required(
    rows: tuple[Row, ...], required: bool, status: str
) -> None:
    places = Places(deployment(), place(), place())
    assert judged(places, look(*rows), require_metadata=required)["clients_rows_blue"][0] == status


def test_both_rows_are_fine() -> None:
    found = judged(Places(deployment(), place(), place()), look(row(SOURCE), row(TARGET)), require_metadata=True)
    assert found["clients_rows_blue"][0] == "ok" and "clients_rows_green" not in found


def test_without_a_deployment_no_metadata_is_expected() -> None:
    assert "clients_rows_blue" not in judged(Places(blue=place()), look(), require_metadata=True)


@pytest.mark.parametrize("reason", ["absent", "grant", "login", "unreachable"])
def test_every_reason_fails_with_a_remedy(reason: str) -> None:
    status, evidence = judged(Places(blue=place()), Look("app", "blue", "", reason, (), "It is so."))[
        "clients_metadata"
    ]
    assert status == "failed" and evidence.startswith(f"{reason}: It is so; ") and len(evidence) > 40


def test_after_the_switchover_the_plugin_is_to_be_taken_out() -> None:
    status, evidence = judged(Places(deployment("SWITCHOVER_COMPLETED"), place(), place()))["clients_plugin"]
    assert status == "warning" and "take the plugin bg" in evidence


@pytest.mark.parametrize(("endpoint", "status"), [("db.example.com", "failed"), (HOST, "ok")])
def test_an_alias_is_not_supported(endpoint: str, status: str) -> None:
    assert judged(Places(blue=place()), endpoints=[endpoint])["clients_endpoint"][0] == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (HOST.upper(), "ok"),
        ("other.cluster-abc123def456.us-east-1.rds.amazonaws.com", "warning"),
        ("shop.cluster-custom-abc123def456.us-east-1.rds.amazonaws.com", "ok"),
    ],
)
def test_a_name_of_another_database_is_seen(host: str, status: str) -> None:
    assert judged(Places(blue=place()), endpoints=[host])["clients_endpoint"][0] == status
