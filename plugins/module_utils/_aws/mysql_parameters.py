# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the parameter group of a green Aurora MySQL cluster differs in from blue's, and what its families call differently. Pure.

Sources: Amazon Aurora User Guide, "Aurora MySQL configuration parameters"; MySQL 8.0 and 8.4 reference manuals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Family = Mapping[str, Mapping[str, Any]]
"""Every parameter of a family by name, in the shape of the API."""

ENGINE = "aurora-mysql"
READ_ONLY, EVENT_SCHEDULER = "read_only", "event_scheduler"

CLOSED = (READ_ONLY, EVENT_SCHEDULER)
"""What keeps clients and the clone's own events from writing; it belongs to the switchover as soon as green exists."""

# A replica of Aurora MySQL 3 applies with one thread unless told otherwise. Waiting for a position takes up to the
# checkpoint period, 300 ms by default, once several apply.
_APPLIER = {"replica_parallel_workers": "4", "replica_preserve_commit_order": "ON"}
_CHECKPOINT = ("replica_checkpoint_period", "1")

_RENAMED = {
    **{
        f"slave_{name}": f"replica_{name}"
        for name in (
            "allow_batching",
            "checkpoint_group",
            "checkpoint_period",
            "compressed_protocol",
            "exec_mode",
            "load_tmpdir",
            "max_allowed_packet",
            "net_timeout",
            "parallel_type",
            "parallel_workers",
            "pending_jobs_size_max",
            "preserve_commit_order",
            "skip_errors",
            "sql_verify_checksum",
            "transaction_retries",
            "type_conversions",
        )
    },
    "init_slave": "init_replica",
    "log_slave_updates": "log_replica_updates",
    "log_slow_slave_statements": "log_slow_replica_statements",
    "master_verify_checksum": "source_verify_checksum",
    "rpl_stop_slave_timeout": "rpl_stop_replica_timeout",
    "skip_slave_start": "skip_replica_start",
    "sync_master_info": "sync_source_info",
    "tx_isolation": "transaction_isolation",
    "tx_read_only": "transaction_read_only",
}
# Modes that MySQL 8.0 knows no more (its manual, "Changes in MySQL 8.0").
_GONE_MODES = frozenset(
    [
        "DB2",
        "MAXDB",
        "MSSQL",
        "MYSQL323",
        "MYSQL40",
        "ORACLE",
        "POSTGRESQL",
        "NO_AUTO_CREATE_USER",
        "NO_FIELD_OPTIONS",
        "NO_KEY_OPTIONS",
        "NO_TABLE_OPTIONS",
    ]
)


def named_as_in(values: Mapping[str, str], family: Family) -> dict[str, str]:
    """The values under the names that the family has for them: ``slave_parallel_workers`` is ``replica_parallel_workers``.

    A name that the family knows stays; so does one that it knows by no name. The new name wins when both are set. The modes
    that MySQL gave up are left out of ``sql_mode`` in a family that does not list them.
    """
    renamed = {_RENAMED[name]: value for name, value in values.items() if name not in family and name in _RENAMED}
    kept = {name: value for name, value in values.items() if name in family or name not in _RENAMED}
    fitting = {**{name: value for name, value in renamed.items() if name in family}, **kept}
    lost = {name: value for name, value in values.items() if name not in kept and _RENAMED[name] not in family}
    every = {**fitting, **lost}
    if "sql_mode" in every:
        every["sql_mode"] = _modes(every["sql_mode"], str(family.get("sql_mode", {}).get("AllowedValues") or ""))
    return every


def applier_values(blue: Mapping[str, str], family: Family) -> dict[str, str]:
    """How green applies what blue wrote: as blue does, else with several threads in blue's order; and a short checkpoint."""
    wanted = {**_APPLIER, **{name: blue[name] for name in _APPLIER if name in blue}}
    if wanted["replica_parallel_workers"] == "0":
        wanted["replica_parallel_workers"] = _APPLIER["replica_parallel_workers"]
    wanted[_CHECKPOINT[0]] = _CHECKPOINT[1]
    return {name: _spelled(value, family[name]) for name, value in wanted.items() if _settable(name, family)}


def closed_values(family: Family) -> dict[str, str]:
    """What closes green from its first start on; without ``read_only`` in the family it is the account locks alone."""
    wanted = {READ_ONLY: "1", EVENT_SCHEDULER: "OFF"}
    return {name: _spelled(value, family[name]) for name, value in wanted.items() if _settable(name, family)}


def green_values(blue: Mapping[str, str], family: Family, *, newborn: bool) -> dict[str, str]:
    """The values of green's own group, from what is carried over of blue's.

    Whether green is closed is set with ``newborn`` only, before the cluster exists: blue's group says nothing about it, and
    afterwards it is the switchover's business.
    """
    carried = {name: value for name, value in blue.items() if name not in CLOSED}
    return {**carried, **applier_values(blue, family), **(closed_values(family) if newborn else {})}


def open_value(parameter: Mapping[str, Any]) -> str:
    """What ``read_only`` is set to for writers to be let in."""
    return _spelled("0", parameter)


def scheduler_value(value: str, parameter: Mapping[str, Any]) -> str:
    """A server's ``@@event_scheduler`` in the words of the parameter."""
    return _spelled(value.upper(), parameter)


def _settable(name: str, family: Family) -> bool:
    return bool(family.get(name, {}).get("IsModifiable", False))


def _spelled(value: str, parameter: Mapping[str, Any]) -> str:
    """A switch in the one of its two spellings that the parameter allows."""
    allowed = str(parameter.get("AllowedValues") or "").split(",")
    other = {"ON": "1", "OFF": "0", "1": "ON", "0": "OFF"}.get(value)
    return other if other in allowed and value not in allowed and other is not None else value


def _modes(value: str, allowed: str) -> str:
    gone = _GONE_MODES - {mode.strip().upper() for mode in allowed.split(",")}
    return ",".join(mode for mode in value.split(",") if mode.strip().upper() not in gone)
