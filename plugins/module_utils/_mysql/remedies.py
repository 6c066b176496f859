# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What to do about an error that replication stopped at: one table by the server's error number. Pure.

An error is never skipped automatically: a skipped transaction is a lost write. Numbers and texts from the MySQL server error
message reference.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\(error (\d+)\)$")
_STATEMENT = re.compile(r"[.,]? Query: '.*(?= \(error)", re.DOTALL)

_ANEW = "delete green, clone again, and begin anew with state=prepared"
_ROWS = (
    "green's rows are not those that blue had: its position was wrong or something was written on green; do not skip it, find "
    f"out which with bg_verify, then {_ANEW}"
)
_SCHEMA = (
    "the definition of the object on green is not what it was on blue: make it so again on green with sql_log_bin = 0, then run "
    "state=running again"
)
_LOGIN = (
    "the source refuses the replication user: run state=running again, which renews the login, and look at the plugins and the "
    "password policy of the source if it stays so"
)
_REACH = (
    "the source cannot be reached from the replica's server: let the security group of the source allow its port from the "
    "replica, and check that the host resolves there"
)
_TLS = (
    "the connection could not be encrypted: turn TLS on at the source, or run state=running with replication_ssl_mode=disable "
    "if the network may be trusted"
)
_CHARSET = (
    "the replica is older than the source and does not know a collation of it: set default_collation_for_utf8mb4 to "
    "utf8mb4_general_ci in the source's parameter group, else this direction cannot work"
)

_REMEDIES: dict[int, str] = {
    22: _CHARSET,
    1115: _CHARSET,
    1273: _CHARSET,
    1236: (
        "the source no longer has, or never had, the log at that place: a longer binlog_retention_hours would have kept it; "
        f"{_ANEW}"
    ),
    13114: f"the source no longer has, or never had, the log at that place; {_ANEW}",
    1062: _ROWS,
    1032: _ROWS,
    1451: _ROWS,
    1452: _ROWS,
    1050: _SCHEMA,
    1051: _SCHEMA,
    1054: _SCHEMA,
    1060: _SCHEMA,
    1061: _SCHEMA,
    1091: _SCHEMA,
    1146: _SCHEMA,
    1008: _SCHEMA,
    1007: _SCHEMA,
    1049: _SCHEMA,
    1677: _SCHEMA,
    13146: _SCHEMA,
    1045: _LOGIN,
    1130: _LOGIN,
    3118: _LOGIN,
    3955: _LOGIN,
    2061: "the source wants an encrypted connection for this login: use replication_ssl_mode=require, or a user with another plugin",
    2059: "the replica does not know the plugin of the replication user: give it one that both sides know",
    3159: _TLS,
    2026: _TLS,
    2002: _REACH,
    2003: _REACH,
    2005: _REACH,
    2013: _REACH,
    1593: (
        "both servers say that they are the same one (server_uuid or server_id): green is to be a clone that started as a "
        "cluster of its own; check the addresses of blue and green"
    ),
    13117: "both servers have the same server_uuid: check the addresses of blue and green",
    13121: "the relay log is damaged: stop replication and run state=running again, the log is read anew from where it was applied",
    1594: "the relay log is damaged: stop replication and run state=running again, the log is read anew from where it was applied",
    1872: "the replica's own tables about replication are damaged: " + _ANEW,
    1290: (
        "the server refuses the applier's writes: look at innodb_read_only, this must be the writer, and at the option that the "
        "error names"
    ),
    1205: "a lock on green was not given in time: end the session on green that holds it, then run state=running again",
    1213: "transactions of the appliers met in a deadlock too often: run state=running again",
    1114: "a table on green has no room: look at the storage and at tmp_table_size and max_heap_table_size",
    1153: "a change is larger than max_allowed_packet of the source: raise it there",
    1197: "a transaction is larger than max_binlog_cache_size of green: raise it in green's parameter group",
    1227: "the applier lacks a right on green: look at PRIVILEGE_CHECKS_USER of the channel, which should not be set",
    1785: (
        "a statement breaks GTID consistency: change the statement on blue, or use enforce_gtid_consistency as blue has it on green"
    ),
    1837: "GTIDs are on at one side only: give both the same gtid-mode",
    13120: "GTIDs are on at one side only: give both the same gtid-mode",
    3754: "a DEFINER is missing on green: carry the accounts over, then run state=running again",
    1449: "a DEFINER is missing on green: carry the accounts over, then run state=running again",
}

LOGIN_ERRORS = frozenset({1045, 1130, 2061, 2059, 3159, 3118})
"""The source refuses the login: it is not a matter of waiting."""


def number(error: str | None) -> int | None:
    """The server's number of an error as :class:`Channel` has it, None when it tells none."""
    found = _NUMBER.search(error or "")
    return int(found[1]) if found else None


def told(error: str) -> str:
    """An error without the statement that it may quote, which may hold somebody's data."""
    return _STATEMENT.sub("", error)


def remedy(error: str) -> str:
    """What to do about an error."""
    known = _REMEDIES.get(number(error) or 0)
    if known is None and "character set" in error.lower() and "255" in error:
        known = _CHARSET
    return (
        known
        or "its cause has to be ended, then run state=running again; never skip it, because a skipped transaction is a lost one"
    )


def sentence(error: str) -> str:
    """The error and what to do about it."""
    return f"{told(error)}: {remedy(error)}"
