# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a PgBouncer can be led to green's address; the rest is in tests/integration/gates/test_managed_home.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import gates

GREEN = Endpoint("green", "shop-green-abc123.x", 5432, "admin", "secret")
GATE: dict[str, Any] = {"type": "pgbouncer", "green_host": None}


class _Bouncer:
    name = "PgBouncer at x"

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self.closed = False

    def strict(self) -> bool:
        return self._strict

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were logged in to by name; the certificate is one of the name alone."""
    seen: list[str] = []

    @contextmanager
    def connected(endpoint: Endpoint) -> Iterator[None]:
        seen.append(f"{endpoint.host} {endpoint.ssl_mode}")
        if endpoint.host:
            raise BlueGreenError('No connection: server certificate for "*.x" does not match host name "10.0.0.9".')
        yield

    monkeypatch.setattr(gates, "addresses", lambda _host: ["10.0.0.9"])
    monkeypatch.setattr(gates, "connected", connected)
    return seen


def test_a_pgbouncer_that_verifies_names_is_refused_when_greens_certificate_has_no_address(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bouncer = _Bouncer(strict=True)
    monkeypatch.setattr(gates, "pgbouncer", lambda *_given: bouncer)
    (check,) = gates.certificate_checks([GATE], GREEN)
    assert (check.status, check.id) == ("failed", "gate_pgbouncer_certificate")
    assert "10.0.0.9" in check.evidence and "verify-ca" in check.remedy
    assert asked == ["10.0.0.9 verify-full"]
    assert bouncer.closed


@pytest.mark.parametrize(
    ("strict", "gate", "green"),
    [
        (False, GATE, GREEN),
        (True, {**GATE, "green_host": "green.proxy"}, GREEN),
        (True, {**GATE, "type": "haproxy"}, GREEN),
        (True, GATE, None),
    ],
)
def test_nobody_else_is_asked(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, strict: bool, gate: dict[str, Any], green: Endpoint | None
) -> None:
    monkeypatch.setattr(gates, "pgbouncer", lambda *_given: _Bouncer(strict))
    assert gates.certificate_checks([gate], green) == []
    assert asked == []
