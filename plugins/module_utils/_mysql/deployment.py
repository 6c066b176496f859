# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The states of ``binlog_replication``: look, do what is missing, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.journal import Journal
from .._core.names import Names
from . import cleanup, prepare, replication_user
from .connection import code, require_driver
from .locks import parse_account
from .place import GtidPolicy, Reported
from .position import Wanted, position
from .prepare import Prepared
from .replicate import replicate, stop, wait_running
from .replication_user import Login
from .status import State, observe, report

_READ_ONLY = 1290  # ER_OPTION_PREVENTS_STATEMENT


@dataclass(frozen=True)
class Request:
    """What the user asked for; times in seconds, ``position`` as ``file:offset``."""

    state: str
    position: str | None
    gtid: GtidPolicy
    login: Login
    binlog_retention_hours: int
    unlocked_accounts: Sequence[str]
    max_lag: float | None
    wait: bool
    wait_timeout: float
    wait_delay: float


def reach(
    request: Request,
    blue: Endpoint | None,
    green: Endpoint | None,
    names: Names,
    journal: Journal,
    reported: Callable[[], Reported],
) -> dict[str, Any]:
    """Reach ``request.state``; returns ``{replication, serving, msg, checked, before, after}``.

    ``reported`` asks the service for the clone's position, when it is needed. Raises :class:`BlueGreenError` when the state cannot
    be reached; what was done until then is in the journal.
    """
    require_driver()
    try:
        return _reach(request, blue, green, names, journal, reported)
    except pymysql.MySQLError as error:
        advice = (
            "read_only binds this user too, as it does the master user of Aurora MySQL version 2, so turn it off in the parameter group "
            "for now"
            if code(error) == _READ_ONLY
            else "log in as the master user"
        )
        raise BlueGreenError(
            f"A statement that state={request.state} needs did not work: {words(error)}; {advice}."
        ) from None


def _reach(
    request: Request,
    blue: Endpoint | None,
    green: Endpoint | None,
    names: Names,
    journal: Journal,
    reported: Callable[[], Reported],
) -> dict[str, Any]:
    if request.state == "absent":
        return _absent(blue, green, names, journal)
    blue = _required(blue, "blue", request.state)
    if request.state != "prepared":
        green = _required(green, "green", request.state)
    state = observe(blue, green, names)
    _refuse_renamed(state, request.login)
    there = prepare.look(blue, names, request.login)
    before = summary(state, there)
    if state.stage == "switched":
        return {**_outcome(blue, green, state), "msg": _nothing(request.state), "before": before, "after": before}
    if state.stage == "ended" and request.state != "stopped":
        raise BlueGreenError(
            f"Blue serves again and green, which was opened at {state.opened_green}, is not replicated to any more, so it cannot "
            f"be brought to state={request.state}: run state=absent, delete green and begin a new deployment."
        )
    lag, checked = _act(request, blue, green, state, journal, reported)
    if journal.check_mode:
        after = expected(before, there, request)
    else:
        state = observe(blue, green, names)
        after = summary(state, prepare.look(blue, names, request.login))
    if checked:
        after["green"]["checked"] = checked
    return {**_outcome(blue, green, state, lag), "checked": checked, "before": before, "after": after}


def summary(state: State, there: Prepared) -> dict[str, Any]:
    """What is there on each side in words, for a diff."""
    return {
        "blue": there.summary(),
        "green": {
            "position": str(state.record.position) if state.record else None,
            "closed": state.green is not None and state.green.closed and state.record is not None,
            "replication": _channel_word(state),
        },
    }


def expected(before: dict[str, Any], there: Prepared, request: Request) -> dict[str, Any]:
    """What :func:`summary` would say after the run."""
    blue, green = dict(before["blue"]), dict(before["green"])
    if request.state == "prepared":
        blue = there.expected(request.binlog_retention_hours)
    elif request.state == "stopped":
        green["replication"] = "absent" if green["replication"] == "absent" else "stopped"
    else:
        green["closed"] = True
        if request.state == "running":
            green["replication"] = "running"
    return {"blue": blue, "green": green}


def _act(
    request: Request,
    blue: Endpoint,
    green: Endpoint | None,
    state: State,
    journal: Journal,
    reported: Callable[[], Reported],
) -> tuple[float | None, str | None]:
    """Do it; returns the lag that was measured and what the position was checked by, None where there was nothing of it."""
    if request.state == "prepared":
        prepare.prepare(
            blue,
            state.names,
            journal,
            login=request.login,
            retention=request.binlog_retention_hours,
            gtid=request.gtid,
        )
        return None, None
    green = _required(green, "green", request.state)
    if request.state == "positioned":
        accounts = [parse_account(text) for text in request.unlocked_accounts]
        wanted = Wanted(request.login, request.gtid, request.position, reported, accounts)
        return None, position(blue, green, state, journal, wanted)
    if request.state == "stopped":
        stop(green, state, journal)
        return None, None
    replicate(blue, green, state, journal, request.login)
    if journal.check_mode or not request.wait:
        return None, None
    return wait_running(
        blue,
        green,
        state.names,
        max_lag=request.max_lag,
        timeout=request.wait_timeout,
        delay=request.wait_delay,
    ), None


def _absent(blue: Endpoint | None, green: Endpoint | None, names: Names, journal: Journal) -> dict[str, Any]:
    sides = [side for side in (blue, green) if side is not None]
    if not sides:
        raise BlueGreenError(
            "state=absent needs a side to clean, but neither blue nor green is given: give the one that is left."
        )
    cleanup.clean(sides, names, journal)
    return {"replication": None, "before": {"actions": []}, "after": {"actions": list(journal.actions)}}


def _outcome(blue: Endpoint, green: Endpoint | None, state: State, lag: float | None = None) -> dict[str, Any]:
    replication = report(blue, green, state) if green is not None else None
    if replication is not None and lag is not None and replication["running"]:
        replication["lag"]["seconds"] = lag
    return {"replication": replication, "serving": state.serving}


def _refuse_renamed(state: State, login: Login) -> None:
    for name, side in (("blue", state.blue), ("green", state.green)):
        noted = side.notes.get(replication_user.NOTE) if side is not None and (name == "blue" or state.record) else None
        if noted is not None and noted != login.user:
            raise BlueGreenError(
                f"The replication user of the deployment on {name} is {noted}, but is to be {login.user} now: give replication_user as "
                "before, or run state=absent and begin anew."
            )


def _required(side: Endpoint | None, name: str, state: str) -> Endpoint:
    if side is None:
        raise BlueGreenError(
            f"The option {name} is needed for state={state}, but is missing: give the connection to {name}."
        )
    return side


def _nothing(state: str) -> str:
    return f"The traffic has moved to green already, so there is nothing to do for state={state}."


def _channel_word(state: State) -> str:
    found = state.channel("forward")
    if found is None:
        return "absent"
    return "stopped" if found.stopped else "running"
