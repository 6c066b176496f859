# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What HAProxy's runtime API says about a backend, as plain values."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..._core.errors import BlueGreenError

ONE = 1  # the maxconn of a server that is held

# srv_admin_state of `show servers state`: forced or inherited maintenance, forced or inherited drain
_OUT_OF_USE = 0x01 | 0x02 | 0x08 | 0x10


@dataclass(frozen=True)
class Server:
    """One server; ``limit`` is its maxconn, 0 for none, ``fqdn`` empty when it was configured by number."""

    in_use: bool
    address: str
    port: int
    fqdn: str
    limit: int
    sessions: int


@dataclass(frozen=True)
class Snapshot:
    """The two servers by name, how many clients wait in the queue, and the other servers that are in use."""

    servers: Mapping[str, Server]
    queue: int
    others: tuple[str, ...]


def snapshot(gate: str, backend: str, names: Sequence[str], state: str, stat: str) -> Snapshot:
    """Read the answers to ``show servers state BACKEND`` and ``show stat``.

    Raises :class:`BlueGreenError` when the backend or one of the servers ``names`` is not among them.
    """
    rows = {row["srv_name"]: row for row in _table(state, " ")}
    numbers = {row["svname"]: row for row in _table(stat, ",") if row["pxname"] == backend}
    missing = [name for name in names if name not in rows or name not in numbers]
    if missing:
        raise BlueGreenError(
            f"The backend {backend} of {gate} should have the server {', '.join(missing)}, but has "
            f"{', '.join(sorted(rows)) or 'none'}: correct the gate's options backend, blue_server and green_server."
        )
    every = {name: _server(row, numbers.get(name, {})) for name, row in rows.items()}
    return Snapshot(
        {name: every[name] for name in names},
        int(numbers.get("BACKEND", {}).get("qcur") or 0),
        tuple(name for name, server in every.items() if server.in_use and name not in names),
    )


def _server(row: Mapping[str, str], numbers: Mapping[str, str]) -> Server:
    return Server(
        in_use=not int(row["srv_admin_state"]) & _OUT_OF_USE,
        address=row["srv_addr"],
        port=int(row["srv_port"]),
        fqdn="" if row.get("srv_fqdn", "-") == "-" else row["srv_fqdn"],
        limit=int(numbers.get("slim") or 0),
        sessions=int(numbers.get("scur") or 0),
    )


def _table(text: str, delimiter: str) -> list[dict[str, str]]:
    """The rows below the line that begins with ``# ``."""
    lines = [line for line in text.splitlines() if line.strip()]
    start = next((number for number, line in enumerate(lines) if line.startswith("# ")), None)
    if start is None:
        return []
    lines[start] = lines[start].removeprefix("# ")
    return list(csv.DictReader(lines[start:], delimiter=delimiter))
