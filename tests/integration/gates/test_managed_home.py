# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates when a managed switchover is over: back to the name of production, which follows a failover, as soon as that is safe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Place
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import gates as managed_gates
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.service import Places
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Gates
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.options import gates_option
from tests.lab.gate import Gate
from tests.lab.gate_haproxy import HAProxy

OLD_NAME = "old.example"
NAME, OLD, NEW, PORT = "localhost", "127.0.0.1", "127.0.0.2", 9  # nobody listens at either


@pytest.fixture(autouse=True)
def _moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to the new address, as this host sees it."""
    monkeypatch.setattr(managed_gates, "addresses", lambda host: [OLD if host == OLD_NAME else NEW])


@pytest.fixture
def bouncer() -> Iterator[Gate]:
    """A PgBouncer that leads to the name; it takes `localhost` for the old address."""
    with Gate.start(None, ["shop"], NAME, PORT, "app", "secret", None) as gate:
        yield gate


def place(identifier: str, host: str) -> Place:
    """A cluster of the deployment."""
    arn = f"arn:aws:rds:us-east-1:123456789012:cluster:{identifier}"
    return Place(identifier, arn, "aurora-postgresql", "18.4", "available", host, PORT, None, (), None, {})


def gates(option: dict[str, Any], *, over: bool = True, patience: float = 5.0) -> Gates:
    """The gates as a run has them, whose option was given as a user gives it."""
    empty = dict.fromkeys(gates_option()["options"])
    given = {**empty, "blue_server": "blue", "green_server": "green", **option}
    places = Places(place("shop-old1", OLD_NAME), place("shop", NAME))
    return managed_gates.gates_of([given], places, over=over, quick=pytest.fail, patience=patience)


def state(option: dict[str, Any]) -> str:
    found = gates(option)
    try:
        return found.state("blue", "green")
    finally:
        found.close()


def lead(option: dict[str, Any], side: str, *, over: bool = True) -> None:
    found = gates(option, over=over)
    found.switch_to(side)
    found.close()


def host(gate: Gate) -> str:
    """Where PgBouncer's file says that it leads."""
    text = Path(gate.config_file).read_text(encoding="utf-8")
    return next(line for line in text.splitlines() if line.startswith("shop")).split("host=")[1].split()[0]


def test_a_pgbouncer_goes_from_the_address_back_to_the_name_and_stays_there(bouncer: Gate) -> None:
    option = bouncer.option()
    lead(option, "green", over=False)
    assert host(bouncer) == NEW
    assert state(option) == "source"
    lead(option, "green")
    assert (host(bouncer), state(option)) == (NAME, "target")


def test_a_pgbouncer_that_remembers_the_old_address_of_the_name_is_left_at_the_new_one(bouncer: Gate) -> None:
    with suppress(psycopg2.Error):
        psycopg2.connect(
            host=bouncer.host, port=bouncer.port, user="app", password="secret", dbname="shop", connect_timeout=2
        )
    option = bouncer.option()
    lead(option, "green", over=False)
    assert (host(bouncer), state(option)) == (NEW, "target")


@pytest.mark.parametrize("over", [False, True])
def test_nobody_is_led_to_the_old_address_while_the_name_still_has_it(
    bouncer: Gate, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    looks: list[str] = []

    def moving(host: str) -> list[str]:
        looks.append(host)
        return [OLD if host == OLD_NAME or len(looks) < 4 else NEW]

    monkeypatch.setattr(managed_gates, "addresses", moving)
    lead({**bouncer.option(), "blue_host": OLD}, "green", over=over)
    assert host(bouncer) == NEW
    monkeypatch.setattr(managed_gates, "addresses", lambda host: [OLD])
    with pytest.raises(BlueGreenError, match=f"its name {NAME} still leads to {OLD}, which is {OLD_NAME}, after 0 s"):
        gates(bouncer.option(), over=over, patience=0.0)


def test_an_address_that_the_user_gave_is_kept(bouncer: Gate) -> None:
    option = {**bouncer.option(), "blue_host": OLD}
    lead(option, "green", over=False)
    assert (host(bouncer), state(option)) == (NEW, "target")


def test_an_haproxy_that_leads_to_production_by_the_first_server_is_left_there() -> None:
    with HAProxy.start((NEW, PORT), ("127.0.0.3", PORT)) as proxy:
        assert state(proxy.option()) == "target"


def test_an_haproxy_that_still_leads_to_the_old_address_goes_to_the_other_server() -> None:
    with HAProxy.start((OLD, PORT), (NEW, PORT)) as proxy:
        assert state(proxy.option()) == "source"
        lead(proxy.option(), "green")
        assert state(proxy.option()) == "target"
