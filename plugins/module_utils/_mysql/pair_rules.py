# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Guardrails about two servers as a pair: whether one can take the other's place; each a pure function of what both say."""

from __future__ import annotations

from collections.abc import Sequence

from .._core.checks import Check, failed, ok, warning
from .._core.rule import some, statements
from .rule import AURORA, MANUAL
from .rules_facts import ServerFacts
from .server_rules import parameter

_DOCS = AURORA + "AuroraMySQL.Replication.MySQL.html"
# What applications see of a server, by name: the older spelling last.
_ALIKE = (
    ("sql_mode",),
    ("time_zone",),
    ("system_time_zone",),
    ("character_set_server",),
    ("collation_server",),
    ("character_set_database",),
    ("default_collation_for_utf8mb4",),
    ("explicit_defaults_for_timestamp",),
    ("transaction_isolation", "tx_isolation"),
    ("group_concat_max_len",),
    ("innodb_strict_mode",),
    ("log_bin_trust_function_creators",),
    ("activate_all_roles_on_login",),
    ("mandatory_roles",),
    ("partial_revokes",),
    ("require_secure_transport",),
    ("sql_require_primary_key",),
    ("local_infile",),
    ("wait_timeout",),
    ("init_connect",),
)
_AT_LEAST = ("max_allowed_packet", "max_connections")


def identity(source: ServerFacts, target: ServerFacts) -> Check:
    """Two servers, not one by two names."""
    same = [name for name in ("server_uuid", "server_id") if source.get(name) == target.get(name)]
    if not same:
        return ok("server_identity", "blue and green are two servers", _DOCS)
    return failed(
        "server_identity",
        f"blue and green must be two servers, but {' and '.join(same)} are the same on both ({source.get(same[0])})",
        "check the option host of both",
        _DOCS,
    )


def versions(source: ServerFacts, target: ServerFacts) -> Check:
    """The way back is from the newer server to the older one, which MySQL promises nothing about."""
    docs = MANUAL + "replication-compatibility.html"
    here, there = source.name, target.name
    old = source.series < 800 <= target.series
    if old and target.variables.get("default_collation_for_utf8mb4") != "utf8mb4_general_ci":
        return warning(
            "way_back",
            f"after the switchover {source.side} ({here}) cannot follow {target.side} ({there}): the first client that says SET NAMES "
            "utf8mb4 brings a collation that it does not know (number 255)",
            f"{parameter('default_collation_for_utf8mb4', 'utf8mb4_general_ci')} in the group of {target.side}, if the service lets "
            "it be set; else switch over with reverse_replication=false",
            docs,
        )
    if source.series > target.series:
        return warning(
            "way_back",
            f"{target.side} ({there}) follows a newer server ({source.side}, {here}): what only the newer one knows stops it",
            "use nothing new in schema changes until the deployment is over",
            docs,
        )
    return ok("way_back", f"{source.side} runs {here}, {target.side} {there}", docs)


def gtid_pair(source: ServerFacts, target: ServerFacts) -> Check:
    """Both sides have GTIDs or neither."""
    docs = AURORA + "mysql-replication-gtid.html"
    modes = {one.side: one.variables.get("gtid_mode", "OFF").upper() for one in (source, target)}
    if len(set(modes.values())) == 1:
        return ok("gtid_pair", f"gtid_mode is {modes[source.side]} on both sides", docs)
    return failed(
        "gtid_pair",
        "gtid_mode must be the same on both sides, for the way there and the way back, but is "
        + ", ".join(f"{mode} on {side}" for side, mode in modes.items()),
        f"{parameter('gtid-mode', modes['blue'])} in green's own DB cluster parameter group, with enforce_gtid_consistency",
        docs,
    )


def names_alike(source: ServerFacts, target: ServerFacts) -> Check:
    """Both sides tell names of tables apart in the same way."""
    docs = MANUAL + "identifier-case-sensitivity.html"
    held = [one.get("lower_case_table_names") for one in (source, target)]
    if held[0] == held[1]:
        return ok("lower_case_table_names", f"lower_case_table_names is {held[0]} on both sides", docs)
    return failed(
        "lower_case_table_names",
        f"lower_case_table_names must be the same on both sides, but is {held[0]} on {source.side} and {held[1]} on {target.side}: "
        "changes of a table may go to none",
        "it is set when a cluster is made and never after: clone anew with a parameter group that has blue's value",
        docs,
    )


def settings_alike(source: ServerFacts, target: ServerFacts) -> Check:
    """What an application sees of the servers is the same."""
    docs = AURORA + "AuroraMySQL.Reference.ParameterGroups.html"
    differ: dict[str, tuple[str, str]] = {}
    for names in _ALIKE:
        here, there = source.get(*names), target.get(*names)
        if here is not None and there is not None and _words(here) != _words(there):
            differ[names[0]] = (here, there)
    for name in _AT_LEAST:
        here, there = source.get(name), target.get(name)
        if here and there and here.isdigit() and there.isdigit() and int(there) < int(here):
            differ[name] = (here, there)
    if not differ:
        return ok("settings", "both servers have the settings that applications see alike", docs)
    return warning(
        "settings",
        f"applications will find other settings on {target.side} than on {source.side}: "
        + some(f"{name} is {there or 'empty'} instead of {here or 'empty'}" for name, (here, there) in differ.items()),
        statements(parameter(name, here) for name, (here, _there) in differ.items())
        + f", in the group of {target.side}; or leave it so, knowingly",
        docs,
    )


def closed(target: ServerFacts, fenced: bool, unlocked: Sequence[str]) -> Check:
    """The side that replication writes to is closed for everybody else: by locks, and by read_only for those left unlocked."""
    check_id = f"{target.side}_closed"
    docs = AURORA + "AuroraMySQL.Reference.ParameterGroups.html"
    if fenced and (not unlocked or target.on("read_only")):
        how = "its accounts are locked" + (" and it is read only" if target.on("read_only") else "")
        return ok(check_id, f"{target.side} is closed for writers: {how}", docs)
    found = f"these may log in and write: {some(unlocked)}" if unlocked else "no fence of this deployment is on record"
    return failed(
        check_id,
        f"{target.side} must be closed for writers while it is replicated to, but {found}",
        "binlog_replication with state=positioned closes green (it locks its accounts); read_only=1 in its own DB cluster parameter "
        "group beside that; make sure that nobody wrote there",
        docs,
    )


def opens(source: ServerFacts, target: ServerFacts, *, parameter_group: bool) -> Check:
    """Something can take read_only off the target before the window."""
    check_id = f"{target.side}_read_only"
    docs = AURORA + "AuroraMySQL.Reference.ParameterGroups.html"
    if not target.on("read_only"):
        return ok(check_id, f"read_only is off on {target.side}, its locks close it", docs)
    if parameter_group or target.sets_read_only:
        by = "its parameter group" if parameter_group else "mysql.rds_set_read_only"
        return ok(check_id, f"read_only is on on {target.side}, and is lifted by {by} before the window", docs)
    return failed(
        check_id,
        f"read_only is on on {target.side}, this version has no procedure to lift it, and no parameter group was named",
        "give green_db_cluster_parameter_group_name; or " + parameter("read_only", 0),
        docs,
    )


def bounded(source: ServerFacts) -> Check:
    """Whether the fence can stop writes at once, or has to end sessions only."""
    check_id = f"{source.side}_fence"
    docs = AURORA + "mysql-stored-proc-configuring.html"
    if source.sets_read_only:
        return ok(check_id, f"writes on {source.side} can be stopped at once (read_only)", docs)
    return warning(
        check_id,
        f"{source.side} has no mysql.rds_set_read_only (Aurora MySQL 3.06 and later have it): its fence is the lock of every account "
        "and the end of every session, one by one",
        "nothing, it holds; a newer minor version makes the window shorter",
        docs,
    )


def _words(held: str) -> str:
    """A setting as it is compared: lists without order."""
    return ",".join(sorted(held.upper().split(",")))
