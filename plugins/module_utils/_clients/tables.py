# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The two tables that an operator looks at: which host becomes which, and what happened when. Pure.

Source of the pairs: aws-advanced-jdbc-wrapper, BlueGreenStatusProvider.updateCorrespondingNodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["cluster", "cluster_reader", "writer", "reader"]
_KINDS: tuple[Kind, ...] = ("cluster", "cluster_reader", "writer", "reader")
_HOSTS = {"kind": "kind", "blue": "blue", "blue_addresses": "address", "green": "green", "green_addresses": "address"}
_GREEN = re.compile(r"-green-[0-9a-z]{6}(?=\.|$)")
_TIMELINE = {"at": "timestamp", "offset_ms": "offset (ms)", "event": "event"}


@dataclass(frozen=True)
class Host:
    """A name that clients connect to, what it is, and the addresses that it leads to now, none when it does not resolve."""

    name: str
    kind: Kind
    addresses: tuple[str, ...] = ()


def hosts(blue: Sequence[Host], green: Sequence[Host]) -> list[dict[str, Any]]:
    """Which host of green takes the place of each host of blue: ``kind``, ``blue``, ``green`` and their addresses.

    What the service has copied corresponds to its copy, which takes its name. Other endpoints and writers correspond to their like,
    readers in the order of their names, round and round when green has fewer, and to green's writer when it has none. ``green`` is
    None as long as there is nothing that could take the place.
    """
    return [
        {
            "kind": host.kind,
            "blue": host.name,
            "blue_addresses": list(host.addresses),
            "green": partner.name if partner else None,
            "green_addresses": list(partner.addresses) if partner else [],
        }
        for kind in _KINDS
        for host, partner in _pairs(kind, blue, green)
    ]


def timeline(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The events by time, each with ``at``, ``offset_ms`` and ``event``; offsets are counted from IN_PROGRESS."""
    return [{key: event.get(key) for key in _TIMELINE} for event in sorted(events, key=lambda event: str(event["at"]))]


def hosts_text(table: Sequence[Mapping[str, Any]]) -> str:
    """The table of :func:`hosts` to read."""
    return text(list(_HOSTS.values()), [[_cell(row[key]) for key in _HOSTS] for row in table])


def timeline_text(table: Sequence[Mapping[str, Any]]) -> str:
    """The table of :func:`timeline` to read, as the wrappers write it into their logs."""
    return text(list(_TIMELINE.values()), [[_cell(row[key]) for key in _TIMELINE] for row in table], right={1})


def text(heads: Sequence[str], lines: Sequence[Sequence[str]], right: frozenset[int] | set[int] = frozenset()) -> str:
    """A table in plain characters; columns in ``right`` end at their right edge."""
    widths = [max(len(line[number]) for line in [heads, *lines]) for number in range(len(heads))]

    def row(cells: Sequence[str]) -> str:
        placed = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return " | ".join(placed).rstrip()

    return "\n".join([row(heads), "-+-".join("-" * width for width in widths), *map(row, lines)])


def _pairs(kind: Kind, blue: Sequence[Host], green: Sequence[Host]) -> list[tuple[Host, Host | None]]:
    here = sorted((host for host in blue if host.kind == kind), key=lambda host: host.name)
    there = sorted((host for host in green if host.kind == kind), key=lambda host: host.name)
    if not there and kind == "reader":
        there = [host for host in green if host.kind == "writer"]
    if not there and kind == "cluster_reader":
        there = [host for host in green if host.kind == "cluster"]
    named = {_GREEN.sub("", host.name): host for host in there}
    return [
        (host, named.get(host.name) or (there[number % len(there)] if there else None))
        for number, host in enumerate(here)
    ]


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, float):
        return f"{value:.0f}"
    return "-" if value is None else str(value)
