# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where the gates of a managed switchover lead: to green's address while the names move, and to production's name afterwards.

Green's own name goes away with the switchover and blue's needs its time, so the window uses the address. A gate that stayed there
would not follow a failover: once the switchover is over, a run leads it back to the name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .._aws.api import Api
from .._clients.resolve import addresses
from .._core.checks import Check, failed
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from .._postgresql.connection import connected
from .._switchover.gates import Gates, Target
from .._switchover.gates.options import build, haproxy, pgbouncer
from .service import Places, is_green

Quick = Callable[[str], Api]
Options = Mapping[str, Any]
_NAMES = 180.0  # s for a name to lead to new production; 58 to 74 s were seen with AWS
_LOOK = 0.5  # s between two looks at a name
_OTHER_NAME = "does not match host name"  # libpq's words for a certificate of somebody else


def gates_of(
    options: Sequence[Options], places: Places, *, over: bool, quick: Quick, patience: float = _NAMES
) -> Gates:
    """The gates; ``over``: the switchover has ended.

    A run that goes on with a switchover finds the names given away already, while the clients' one leads to old production for
    ``patience`` seconds at most: raises :class:`BlueGreenError` when it still does.
    """
    renamed = places.green is not None and not is_green(places.green.identifier)
    blue, green = (places.green if renamed else places.blue), places.green
    if not options or blue is None or green is None or not blue.host or not green.host:
        return Gates([])
    found = _addresses(green.host, places.blue.host if renamed and places.blue else None, patience)
    name = Target(blue.host, blue.port or 0)
    number = Target(found[0] if found else green.host, green.port or 0)
    wanted = [_home(one, name, number) if over and found else one for one in options]
    return build(wanted, {"blue": name, "green": number}, quick)


def _addresses(host: str, old: str | None, patience: float) -> list[str]:
    """Where green's name leads, once it does not lead to old production, whose name now is ``old``, any more."""
    deadline = Deadline(patience)
    while True:
        found = addresses(host)
        stale = sorted(set(found) & set(addresses(old))) if old else []
        if not stale:
            return found
        if deadline.passed:
            raise BlueGreenError(
                f"The gates should be led to new production, but its name {host} still leads to {stale[0]}, which is {old}, after "
                f"{patience:g} s: run this again when the names have moved, or look at the DNS that this host asks."
            )
        time.sleep(min(_LOOK, deadline.left))


def certificate_checks(options: Sequence[Options], green: Endpoint | None) -> list[Check]:
    """A PgBouncer that compares the server's name with the certificate's must be able to do so by green's address."""
    asked = [one for one in options if one["type"] == "pgbouncer" and not one["green_host"]]
    found = addresses(green.host) if green is not None and asked else []
    if green is None or not found:
        return []
    target = Target(found[0], green.port)
    strict = [name for one in asked if (name := _strict(one, target))]
    if not strict:
        return []
    try:
        with connected(replace(green, host=found[0], address=None, ssl_mode="verify-full")):
            return []
    except BlueGreenError as error:
        if _OTHER_NAME not in error.message:
            return []
    return [
        failed(
            "gate_pgbouncer_certificate",
            f"{', '.join(strict)} has server_tls_sslmode verify-full, but in the window it is led to green by its address {found[0]}, "
            "which is not in green's certificate",
            "set server_tls_sslmode to verify-ca for the switchover",
        )
    ]


def _strict(gate: Options, target: Target) -> str | None:
    """The name of a PgBouncer that verifies names, None of another."""
    found = pgbouncer(gate, {"blue": target, "green": target})
    try:
        return found.name if found.strict() else None
    finally:
        found.close()


def _home(gate: Options, name: Target, number: Target) -> Options:
    """The gate's options with the sides so named that ``green`` is where it is to stay."""
    if gate["blue_host"] or gate["green_host"]:
        return gate  # the user's own addresses, of whose names nothing is known
    with suppress(BlueGreenError):  # what cannot be looked at is left to the run, which says why
        if gate["type"] == "pgbouncer" and _may_have_the_name(gate, name, number):
            by_name = {"green_host": name.host, "green_port": name.port}
            return {**gate, "blue_host": number.host, "blue_port": number.port, **by_name}
        if gate["type"] == "haproxy" and _leads_there(gate, name, number):
            return {**gate, "blue_server": gate["green_server"], "green_server": gate["blue_server"]}
    return gate


def _may_have_the_name(gate: Options, name: Target, number: Target) -> bool:
    """Whether a PgBouncer has the name already, or leads to the address and remembers no older one of the name."""
    found = pgbouncer(gate, {"blue": number, "green": name})
    try:
        position = found.facts()
        return position == "green" or (position == "blue" and not found.remembers(name.host, number.host))
    finally:
        found.close()


def _leads_there(gate: Options, name: Target, number: Target) -> bool:
    """Whether the server for blue, whose name leads to production by now, is in use and knows its new address."""
    found = haproxy(gate, {"blue": name, "green": number}, cuts=False)
    return found.facts() == "blue" and found.address("blue") == number.host
