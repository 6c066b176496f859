# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Every guardrail of a step on Aurora MySQL: the servers are read, the rules judge, nothing is changed.

A server that does not answer is a failed check, not an exception: a check that could not be made has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.checks import Check, failed, ok, warning
from .._core.differences import NONE_DECLARED, ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.names import Names
from .._core.rule import Rule, Versions, judge, some, statements
from . import (
    accounts,
    locks,
    pair_rules,
    record,
    replication_rules,
    replication_user,
    rules_facts,
    schema_rules,
    server_rules,
    upgrade_rules,
)
from .connection import close, connect, connected, dicts, value
from .coordinates import Channel, Coordinates, channel, current, subtract
from .dialect import Dialect
from .rule import MANUAL, find
from .rules_facts import ServerFacts

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_CATCH_UP = 10.0  # seconds; bg_switchover has max_lag, of its own
_EVENTS_READ = 20_000  # of the binary log, for writes of a server's own
_CHANGES = ("Query", "Write_rows", "Update_rows", "Delete_rows", "Xid")


@dataclass(frozen=True)
class Intent:
    """What is wanted: green's release series as a number such as 804, None when it is not known; and of the switchover whether
    green's parameter group may be changed."""

    series: int | None = None
    parameter_group: bool = False


def create_checks(blue: Endpoint, green: Endpoint | None, names: Names, intent: Intent = Intent()) -> list[Check]:
    """What must hold before blue is cloned, and, when there is one, before green replicates."""
    checks = guarded(blue, lambda: _blue_checks(blue, names, intent))
    if green is not None:
        checks += guarded(green, lambda: _green_checks(green))
    return checks


def switchover_checks(
    source: Endpoint,
    target: Endpoint,
    names: Names,
    expected: ExpectedDifferences = NONE_DECLARED,
    intent: Intent = Intent(),
) -> list[Check]:
    """What must hold before traffic moves from ``source`` to ``target``, whichever of them is blue.

    ``expected`` is what was changed on green on purpose; of accounts as ``mysql.user@host``.
    """
    with ExitStack() as stack:
        opened: dict[str, tuple[Connection[Cursor], ServerFacts]] = {}

        def look(endpoint: Endpoint) -> list[Check]:
            conn = stack.enter_context(connected(endpoint))
            opened[endpoint.side] = conn, rules_facts.read(conn, endpoint.side)
            return []

        checks = guarded(target, lambda: look(target)) + guarded(source, lambda: look(source))
        if len(opened) < 2:
            return checks
        (there, source_facts), (here, target_facts) = opened[source.side], opened[target.side]
        checks += guarded(source, lambda: _source_checks(there, source_facts), again=True)
        checks += guarded(target, lambda: _target_checks(here, target_facts, names), again=True)
        checks += guarded(
            target, lambda: _pair_checks(there, here, source_facts, target_facts, names, expected, intent), again=True
        )
    return checks


def move_checks(
    blue: Endpoint,
    green: Endpoint,
    names: Names,
    expected: ExpectedDifferences = NONE_DECLARED,
    intent: Intent = Intent(),
) -> list[Check]:
    """:func:`switchover_checks` from the side that replication comes from to the other; from blue when that is not known."""
    back = False

    def look() -> list[Check]:
        nonlocal back
        with connected(blue) as conn:
            found = channel(conn, Dialect.of(conn))
        back = found is not None and not found.stopped
        return []

    guarded(blue, look)
    source, target = (green, blue) if back else (blue, green)
    return switchover_checks(source, target, names, expected, intent)


def ours(conn: Connection[Cursor], names: Names) -> tuple[str, ...]:
    """The users that this deployment made on a server, whatever name its replication user was given."""
    given = record.notes(conn, names.deployment_id).get(replication_user.NOTE)
    return tuple(filter(None, (names.replication_user, names.probe_user, given)))


def _blue_checks(blue: Endpoint, names: Names, intent: Intent) -> list[Check]:
    with connected(blue) as conn:
        server = rules_facts.read(conn, "blue")
        versions = Versions(server.series, intent.series)
        rules = (*schema_rules.RULES, *upgrade_rules.RULES)
        return [
            server_rules.writer(server),
            server_rules.binary_log(server),
            server_rules.row_image(server),
            server_rules.durability(server),
            server_rules.retention(server, stops=False),
            server_rules.gtids(server),
            server_rules.position_mode(server),
            server_rules.filters(server),
            server_rules.prepared_transactions(server),
            server_rules.long_transactions(server, stops=False),
            server_rules.own_sessions(server, stops=False),
            replication_rules.not_a_replica(server, ours(conn, names)),
            replication_rules.other_readers(server, ours(conn, names)),
            pair_rules.bounded(server),
            *(judge(rule, find(conn, rule, {}), versions) for rule in rules),
            _events(conn, server, stops=False),
        ]


def _green_checks(green: Endpoint) -> list[Check]:
    with connected(green) as conn:
        server = rules_facts.read(conn, "green")
        return [
            server_rules.writer(server),
            server_rules.binary_log(server),
            server_rules.filters(server),
            server_rules.prepared_transactions(server),
            _judged(conn, schema_rules.RUNNING_EVENTS, server),
        ]


def _source_checks(conn: Connection[Cursor], server: ServerFacts) -> list[Check]:
    return [
        server_rules.writer(server),
        server_rules.binary_log(server),
        server_rules.retention(server, stops=True),
        server_rules.prepared_transactions(server),
        server_rules.long_transactions(server, stops=True),
        server_rules.own_sessions(server, stops=True),
        pair_rules.bounded(server),
        _events(conn, server, stops=True),
        *(_judged(conn, rule, server) for rule in schema_rules.RULES if rule.id == "unfenced_accounts"),
    ]


def _target_checks(conn: Connection[Cursor], server: ServerFacts, names: Names) -> list[Check]:
    fenced = locks.closed(conn, names.deployment_id)
    unlocked = locks.client_accounts(conn, users=ours(conn, names))
    return [
        server_rules.writer(server),
        server_rules.binary_log(server),
        server_rules.filters(server),
        server_rules.prepared_transactions(server),
        server_rules.long_transactions(server, stops=True),
        pair_rules.closed(server, fenced, [str(one) for one in unlocked]),
        # A fence stops the events of ordinary definers by read_only, until the next restart.
        _judged(conn, schema_rules.RUNNING_EVENTS, server, stops=server.side == "green" or not server.on("read_only")),
        *(_judged(conn, rule, server) for rule in schema_rules.RULES if rule.id == "missing_definers"),
    ]


def _pair_checks(
    there: Connection[Cursor],
    here: Connection[Cursor],
    source: ServerFacts,
    target: ServerFacts,
    names: Names,
    expected: ExpectedDifferences,
    intent: Intent,
) -> list[Check]:
    found = channel(here, Dialect.of(here))
    missing = subtract(here, source.purged, target.end.gtid_executed) if source.purged and target.end else ""
    auto = found is not None and found.auto_position
    checks = [
        pair_rules.identity(source, target),
        replication_rules.replicates(target, found),
        replication_rules.log_is_there(source, found, missing if auto else ""),
        pair_rules.gtid_pair(source, target),
        _errant(there, here, source, target, names),
        *replication_rules.applier(target, found),
        pair_rules.names_alike(source, target),
        pair_rules.settings_alike(source, target),
        pair_rules.versions(source, target),
        pair_rules.opens(source, target, parameter_group=intent.parameter_group),
        _accounts(there, here, target, names, expected),
    ]
    if found is not None and found.running:
        checks.append(replication_rules.caught_up(target, _wait(there, here, found), _CATCH_UP))
    return checks


def _events(conn: Connection[Cursor], server: ServerFacts, *, stops: bool) -> Check:
    # Without roles and CONNECTION_ADMIN nobody but the service's own writes through read_only: there is none in 5.7.
    modern = server.version >= (8, 0, 0)
    rule = schema_rules.PRIVILEGED_EVENTS if modern or server.sets_read_only else schema_rules.RUNNING_EVENTS
    if not stops:
        rule = replace(rule, status="warning")
    found = find(conn, rule, {"any_event": not server.sets_read_only}) if modern or not server.sets_read_only else []
    return judge(replace(rule, id=f"{server.side}_privileged_events"), found, Versions(server.series, None))


def _judged(conn: Connection[Cursor], rule: Rule, server: ServerFacts, *, stops: bool = True) -> Check:
    named = replace(rule, id=f"{server.side}_{rule.id}", status=rule.status if stops else "warning")
    return judge(named, find(conn, rule, {}), Versions(server.series, None))


def _wait(there: Connection[Cursor], here: Connection[Cursor], found: Channel) -> float | None:
    """Seconds until the target has applied all that the source has written by now, None when that takes too long."""
    at = current(there, Dialect.of(there))
    began = time.monotonic()
    if found.auto_position:
        statement, parameters = "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (at.gtid_executed, _CATCH_UP)
        arrived = value(here, statement, parameters) == 0
    else:
        wait = Dialect.of(here).name("position_wait")
        events = value(here, f"SELECT {wait}(%s, %s, %s)", (at.file, at.offset, int(_CATCH_UP)))  # None: it stopped
        arrived = events is not None and events >= 0
    return time.monotonic() - began if arrived else None


def _errant(
    there: Connection[Cursor], here: Connection[Cursor], source: ServerFacts, target: ServerFacts, names: Names
) -> Check:
    if not (source.gtid and target.gtid):
        if target.side == "blue":
            return ok(
                "errant_transactions",
                "blue's binary log holds what it wrote itself before; its fence has closed it since",
            )
        return replication_rules.own_writes(target, *_own_changes(here, target, _closed_at(here, names)))
    # The target's set was read first: what was in flight then is in the source's by now.
    executed = target.end.gtid_executed if target.end else ""
    return replication_rules.errant(target, subtract(there, executed, current(there, Dialect.of(there)).gtid_executed))


def _closed_at(conn: Connection[Cursor], names: Names) -> Coordinates | None:
    """Where green's log was when a rollback closed it: what it wrote before, while it served, blue has. None: it never served."""
    found = record.read(conn, names.deployment_id)
    text = found.settings.get("closed_green") if found else None
    return Coordinates.parse(text) if text else None


def _own_changes(conn: Connection[Cursor], target: ServerFacts, since: Coordinates | None) -> tuple[int, int]:
    """Changes of the server's own in the last part of its binary log, from ``since`` on, and the bytes before that part."""
    mine, left = int(target.get("server_id") or 0), _EVENTS_READ
    own = unread = 0
    for name, size in reversed(list(target.logs.items())):
        begin = since.offset if since is not None and since.file == name else 4
        if since is not None and Coordinates(name, 0).order[0] < since.order[0]:
            break
        if left <= 0:
            unread += size
            continue
        events = dicts(conn, "SHOW BINLOG EVENTS IN %s FROM %s LIMIT %s", (name, begin, left))
        own += sum(1 for event in events if event["Server_id"] == mine and event["Event_type"].startswith(_CHANGES))
        left -= len(events)
        if left <= 0 and events:
            unread += max(0, size - int(events[-1]["End_log_pos"]))
    return own, unread


def _accounts(
    there: Connection[Cursor],
    here: Connection[Cursor],
    target: ServerFacts,
    names: Names,
    expected: ExpectedDifferences,
) -> Check:
    """The accounts are the same; those that are not and can be brought over are, before the window."""
    docs = MANUAL + "access-control.html"
    mine = {*ours(there, names), *ours(here, names)}
    ignore = accounts.ignoring(mine, lambda label: expected.whole("mysql", label))
    found = accounts.differences(there, here, names.deployment_id, ignore)
    left = [one for one in found if one.obstacle]
    carried = [str(one) for one in found if not one.obstacle]
    also = f"; bg_switchover brings over before its window: {some(carried)}" if carried else ""
    if not left:
        return ok("accounts", f"the accounts of {target.side} are those of the side that serves{also}", docs)
    stops = any(one.what == "is missing" for one in left)
    verdict = failed if stops else warning
    return verdict(
        "accounts",
        f"accounts are not replicated, and on {target.side} these differ and cannot be brought over: "
        + some(f"{one} ({one.obstacle})" for one in left)
        + also,
        statements(one.remedy for one in left)
        + f", on {target.side} with sql_log_bin = 0; or declare it in expected_differences as mysql.user@host",
        docs,
    )


def guarded(endpoint: Endpoint, look: Callable[[], list[Check]], *, again: bool = False) -> list[Check]:
    """What was looked at; a server that does not answer, or does not let itself be read, is a failed check."""
    check_id = f"connection_{endpoint.side}"
    if not again:
        try:
            close(connect(endpoint))
        except BlueGreenError as error:
            return [failed(check_id, error.message.rstrip("."), "")]
    fine = [] if again else [ok(check_id, f"{endpoint.side} answers at {endpoint.host}:{endpoint.port}")]
    try:
        return [*fine, *look()]
    except BlueGreenError as error:
        return [failed(f"{endpoint.side}_readable", error.message.rstrip("."), "")]
    except pymysql.MySQLError as error:
        return [
            failed(
                f"{endpoint.side}_readable",
                f"the guardrails of {endpoint.side} could not be read as {endpoint.user}: {words(error)}",
                f"log in as the master user, or give {endpoint.user} SELECT, PROCESS, REPLICATION CLIENT, REPLICATION SLAVE, EVENT, "
                "SHOW VIEW, TRIGGER and XA_RECOVER_ADMIN on *.*",
            )
        ]
