# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One side of an Aurora MySQL deployment, as the switchover sees it.

The order and the traps that it guards against: ``switchover`` in the documentation of the collection. A side is closed by
its fence, which is on record on the side itself (:mod:`locks`): it can be taken down without the other side.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.checks import Check
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.names import Direction, Names
from .._core.side import SideFacts, TakenOver
from .._core.waiting import Deadline, wait_until
from . import accounts, locks, record, replication_user
from .connection import close, connect, connection_id, execute, sever, unlogged, value
from .coordinates import Coordinates, current
from .dialect import Dialect
from .guardrails import Intent, ours, switchover_checks
from .record import Account
from .service import Service, procedures, service_of
from .side_accounts import carry, fingerprint
from .side_channel import Inbound
from .side_fence import LOCK_WAIT, end_sessions, refuse_prepared, refuse_writes
from .side_policy import Policy
from .side_proof import Probe, drop_probe
from .side_record import ANSWER, Record
from .side_wait import same, wait_for

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_CONNECTING = 5.0  # s for a replication that was started to run
_CLOSE = 0.1  # s, behind no more than this the window does not notice
_BETTER = 0.8  # of the lag before, else it is no longer catching up
_PURPOSE = "switchover"  # of the marker
_LIFTED = 60.0  # s for a parameter group to have its effect
_RETURN = 90.0  # s for a side whose connection broke to take connections again, as after a failover
_SUSPICION = 0.05  # s; each time the next look waits longer, so that a client that writes shows up again
_PATIENCE = 3  # times


def pair(blue: Endpoint, green: Endpoint, names: Names, policy: Policy) -> tuple[MySQLSide, MySQLSide]:
    """Blue and green of a deployment, not connected yet."""
    shared = Record(green, names)
    return MySQLSide(blue, names, policy, shared), MySQLSide(green, names, policy, shared)


class MySQLSide:
    """Implements :class:`Side`."""

    def __init__(self, endpoint: Endpoint, names: Names, policy: Policy, shared: Record) -> None:
        self.name = endpoint.side
        self.endpoint = endpoint
        self._names, self._policy, self._record = names, policy, shared
        self._parameters = policy.parameters if endpoint.side == "green" else None
        self._main: Connection[Cursor] | None = None
        self._killer: Connection[Cursor] | None = None
        self._probe: Probe | None = None
        self._listed: list[Account] | None = None  # the fence's accounts, committed before the window
        self._accounts: object = None  # what the accounts were when they were carried over
        self._before_lock: object = None  # and what they were when the fence was put up
        self._up = False  # whether this run has put up the fence
        self._at: Coordinates | None = None  # the end of the log that the peer has reached
        self._spent: list[str] = []  # where the window's time went

    # -- connections

    def connect(self) -> None:
        """Open every connection that the window needs, and ask what does not change."""
        self._main = connect(self.endpoint, read_timeout=ANSWER)
        self._killer = connect(self.endpoint, read_timeout=ANSWER, several=True)
        execute(self._conn, f"SET SESSION lock_wait_timeout = {LOCK_WAIT}")
        self._dialect = Dialect.of(self._conn)
        self._service: Service = service_of(self._conn, self._dialect)
        self._kill = (
            "CALL mysql.rds_kill({})"
            if self._dialect.version < (8, 0, 0) and "rds_kill" in procedures(self._conn)
            else "KILL {}"
        )
        self._gtid = bool(value(self._conn, "SELECT @@GLOBAL.gtid_mode") == "ON")
        self._inbound = Inbound(self._conn, self._dialect, self._service, self._direction, self._users)

    def close(self) -> None:
        """Close the connections; the account of the proof goes with them."""
        if self._probe is not None:
            with suppress(pymysql.MySQLError, OSError, BlueGreenError), unlogged(self._conn):
                drop_probe(self._conn, self._names.probe_user)
        self._record.close()
        self._close()

    def abandon(self) -> None:
        """Break every connection, from whatever thread: a server that is frozen answers nothing, not even a cancel."""
        for conn in (self._main, self._killer):
            sever(conn)
        if self.name == "green":
            self._record.sever()

    # -- looking

    def facts(self, peer: MySQLSide) -> SideFacts:
        """Look anew; a replication that was started gets some seconds to connect."""
        found = self._record.read()
        deadline = Deadline(_CONNECTING)
        while (inbound := self._inbound.state(found.settings)) == "stopped" and not deadline.passed:
            if not self._inbound.connecting:
                break
            time.sleep(0.05)
        opened = getattr(found, f"opened_{self.name}")
        return SideFacts(open=not self._closed(), inbound=inbound, opened_at=str(opened) if opened else None)

    def guardrails(self, peer: MySQLSide) -> list[Check]:
        """Read-only checks before traffic moves from here to ``peer``."""
        intent = Intent(parameter_group=peer._parameters is not None)
        return switchover_checks(self.endpoint, peer.endpoint, self._names, self._policy.expected, intent)

    def lag(self, peer: MySQLSide, limit: float) -> float:
        """Seconds for a marker to pass from here to ``peer``, by its exact place in the log.

        A side that is behind but catches up gets the time to: the window would have to wait for it.
        """
        deadline, before = Deadline(limit), float("inf")
        while True:
            began = time.monotonic()
            token = record.write_marker(self._conn, self._names.deployment_id, _PURPOSE)
            peer._wait(current(self._conn, self._dialect), Deadline(limit), self)
            if record.marker(peer._conn, self._names.deployment_id, _PURPOSE) != token:
                raise BlueGreenError(
                    f"A marker written on {self.name} should be on {peer.name}, which has applied {self.name}'s log up to there, but "
                    f"is not: {peer.name} does not replicate from {self.name}, or filters the schema bluegreen."
                )
            seconds = time.monotonic() - began
            if seconds < _CLOSE or seconds > before * _BETTER or deadline.passed:
                return seconds
            before = seconds

    # -- before and after the window

    def prepare(self, peer: MySQLSide) -> None:
        """The proof's account here; ``peer`` closed, given the accounts, and let go by its parameter group."""
        for side in (self, peer):
            record.ensure(side._conn)
        record.forget_fence(self._conn, self._names.deployment_id)  # of a run that died before it had effect
        self._new_probe()
        peer._shut()
        self._accounts = self._carry_accounts(peer)
        peer._lift()
        self._listed = self._clients()
        record.remember_fence(self._conn, self._names.deployment_id, self._listed)

    def arm(self, peer: MySQLSide) -> None:
        """The channel from ``peer``, not started and not positioned yet."""
        self._record.set(armed=self._direction, starting=None)
        self._inbound.configure(peer.endpoint, *peer._new_login(), None, gtid=self._both_gtid(peer))

    def start(self, peer: MySQLSide) -> None:
        """Start the armed replication from the position at which ``peer`` opened."""
        found = self._record.read()
        position = getattr(found, f"opened_{peer.name}")
        if position is None:
            raise BlueGreenError(f"The position at which {peer.name} opened should be on record, but is not.")
        if found.settings.get("armed") == self._direction:
            self._inbound.configure(peer.endpoint, *peer._new_login(), position, gtid=self._both_gtid(peer))
            self._record.set(armed=None, starting=self._direction)
        self._inbound.start()
        self._record.set(starting=None)

    def end(self, peer: MySQLSide) -> None:
        """Stop and forget the channel from ``peer``; this side serves."""
        self._inbound.remove()
        settings = self._record.read().settings
        if self._direction in (settings.get("armed"), settings.get("starting")):
            self._record.set(armed=None, starting=None)
        if self._parameters is not None:
            self._parameters.after_opening(str(value(peer._conn, "SELECT @@GLOBAL.event_scheduler")))
        if peer._parameters is not None:
            peer._parameters.close()

    # -- the window

    def fence(self, deadline: Deadline) -> None:
        """Writes refused, accounts locked, sessions ended; that nobody can log in is read in :meth:`drain`."""
        self._put_up_fence(deadline)

    def unfence(self) -> None:
        """Give the writes back, over a new connection when the old one is broken; the peer is not needed for it."""
        self._up = False
        try:
            self._take_down_fence()
        except (pymysql.MySQLError, OSError, BlueGreenError):  # which may be why the writes are given back
            self._reconnect()
            self._take_down_fence()

    def drain(self, peer: MySQLSide, deadline: Deadline) -> None:
        """``peer`` has applied everything up to the end of the log here, and the log has not moved meanwhile."""
        if not self._up:
            self._put_up_fence(deadline)  # a run that died had: nothing is known of it
        began = time.monotonic()
        suspicions = 0
        while True:
            self._at = current(self._conn, self._dialect)
            peer._wait(self._at, deadline, self)
            if self._probe is not None:
                self._probe.must_not_login()
            if not self._moved(peer):
                break
            suspicions += 1
            time.sleep(suspicions * _SUSPICION)
            strangers = self._end_sessions(deadline)
            if deadline.passed or suspicions > _PATIENCE:
                raise BlueGreenError(
                    f"{self.name} should be quiet behind the fence, but its log still moves, to {current(self._conn, self._dialect)}"
                    f" by now: a privileged session or an event writes through it ({strangers} sessions were ended again)."
                )
        self._spend("drained", began)

    def take_over(self, peer: MySQLSide) -> TakenOver:
        """Accounts that changed since they were carried, then the position, committed before anything can be written."""
        notes = peer._carry_late(self)
        began = time.monotonic()
        position = current(self._conn, self._dialect)
        self._record.commit(**{f"opened_{self.name}": position})
        if peer.name == "green" and peer._at is not None and peer._at.file:
            self._record.set(closed_green=str(peer._at))  # what green wrote up to there, while it served, blue has
        if peer._moved(self):
            raise BlueGreenError(f"{peer.name} should be quiet behind the fence, but its log has moved.")
        self._listed = locks.locked_accounts(self._conn, self._names.deployment_id)
        peer._spend("position committed", began)
        return TakenOver(str(position), (*notes, f"{peer.name}: {', '.join(peer._spent)}"))

    def open(self) -> None:
        """``read_only`` off, then every account unlocked in one statement."""
        if self._service.sets_read_only:
            self._service.set_read_only(False)
        locks.unlock(self._conn, self._names.deployment_id, self._listed)

    # -- the fence

    def _put_up_fence(self, deadline: Deadline) -> None:
        if self._probe is None:
            record.ensure(self._conn)
            self._new_probe()
        probe = self._require_probe()
        began = time.monotonic()
        if self._listed is None:
            self._listed = self._clients()
            record.remember_fence(self._conn, self._names.deployment_id, self._listed)
        if self._service.sets_read_only:
            refuse_writes(self._conn, self._service, self.name, deadline)
            probe.must_not_write()
            began = self._spend("read-only", began)
        self._before_lock = fingerprint(self._conn)
        clients = self._clients()
        locks.lock(self._conn, self._names.deployment_id, clients)
        probe.try_login()
        began = self._spend(f"{len(clients)} accounts locked", began)
        ended = self._end_sessions(deadline)
        while late := self._clients():  # made while the others were locked
            locks.lock(self._conn, self._names.deployment_id, late)
            self._accounts = None
            ended += self._end_sessions(deadline)
        probe.must_not_write()
        refuse_prepared(self._conn)
        self._spend(f"{ended} sessions ended", began)
        self._up = True

    def _take_down_fence(self) -> None:
        if self._service.sets_read_only:
            self._service.set_read_only(False)
        locks.unlock(self._conn, self._names.deployment_id)

    def _shut(self) -> None:
        """The side that is to take over is closed by its locks alone: its ``read_only`` goes before the window."""
        clients = self._clients()
        if clients or not locks.closed(self._conn, self._names.deployment_id):
            locks.lock(self._conn, self._names.deployment_id, clients)
        user = str(value(self._conn, "SELECT CURRENT_USER()")).rpartition("@")[0]
        end_sessions(self._kill_conn, self._kill, self._ours(), Deadline(ANSWER), spared=(user,))

    def _end_sessions(self, deadline: Deadline) -> int:
        return end_sessions(self._kill_conn, self._kill, self._ours(), deadline)

    def _closed(self) -> bool:
        """By its locks; or by ``read_only`` while the fence is on record, which is how a run that died on its way leaves it."""
        deployment_id = self._names.deployment_id
        if locks.closed(self._conn, deployment_id):
            return True
        if not record.exists(self._conn, "fence"):
            return False
        statement = "SELECT @@GLOBAL.read_only = 1 AND EXISTS (SELECT 1 FROM bluegreen.fence WHERE deployment_id = %s)"
        return bool(value(self._conn, statement, (deployment_id,)))

    def _clients(self) -> list[Account]:
        return locks.client_accounts(self._conn)

    # -- helpers

    def _moved(self, peer: MySQLSide) -> bool:
        """Whether anything was written here since the peer was waited for."""
        return self._at is None or not same(self._at, current(self._conn, self._dialect), gtid=self._both_gtid(peer))

    def _wait(self, at: Coordinates, deadline: Deadline, source: MySQLSide) -> None:
        wait_for(self._conn, self._dialect, at, deadline, self.name, gtid=self._both_gtid(source))

    def _both_gtid(self, peer: MySQLSide) -> bool:
        return self._gtid and peer._gtid

    def _carry_accounts(self, peer: MySQLSide) -> object:
        before = fingerprint(self._conn)
        ignore = accounts.ignoring(self._users | peer._users, lambda label: self._policy.expected.whole("mysql", label))
        carry(self._conn, peer._conn, self._names.deployment_id, ignore, (self.name, peer.name))
        return before

    def _carry_late(self, peer: MySQLSide) -> tuple[str, ...]:
        """Carry the accounts again when one was changed after they were carried, or when that is not known."""
        if self._accounts is not None and self._accounts == self._before_lock:
            return ()
        began = time.monotonic()
        self._carry_accounts(peer)
        return (f"accounts carried over once more in {(time.monotonic() - began) * 1000:.0f} ms",)

    def _lift(self) -> None:
        """``read_only`` off by the parameter group, behind the locks; without one the opening does it by the procedure."""
        if self._parameters is None:
            return
        self._parameters.lift()
        try:
            wait_until(
                lambda: int(value(self._conn, "SELECT @@GLOBAL.read_only")),
                lambda found: not found,
                timeout=_LIFTED,
                delay=0.1,
                wanted=f"read_only to be off on {self.name}",
                seen=lambda found: "it on" if found else "it off",
            )
        except BlueGreenError:
            if not self._service.sets_read_only:
                raise

    def _new_probe(self) -> None:
        if self._probe is not None:
            self._probe.close()
        self._probe = Probe(self._conn, self.endpoint, self._names.probe_user)

    def _require_probe(self) -> Probe:
        if self._probe is None:
            raise BlueGreenError(f"{self.name} has no account to prove the fence with.")
        return self._probe

    def _new_login(self) -> tuple[replication_user.Login, str]:
        """How a replica logs in here, with a new password unless one was given: nobody else uses it on this side."""
        login = self._policy.login
        noted = record.notes(self._conn, self._names.deployment_id).get(replication_user.NOTE)
        if not login.given and noted:
            login = replace(login, user=noted)
        return login, replication_user.renew(self._conn, self._names.deployment_id, login)

    @property
    def _users(self) -> set[str]:
        """The users that the deployment made here."""
        return {*ours(self._conn, self._names), self._policy.login.user}

    def _spend(self, what: str, began: float) -> float:
        now = time.monotonic()
        self._spent.append(f"{what} {(now - began) * 1000:.1f} ms")
        return now

    def _reconnect(self) -> None:
        """New connections to a side whose old ones are broken; it may be failing over."""
        deadline = Deadline(_RETURN)
        while True:
            self._close()
            try:
                self.connect()
                return
            except (BlueGreenError, pymysql.MySQLError, OSError) as error:
                if deadline.passed:
                    raise BlueGreenError(words(error)) from None
                time.sleep(0.2)

    def _close(self) -> None:
        if self._probe is not None:
            self._probe.close()
        for conn in (self._main, self._killer):
            close(conn)

    @property
    def _conn(self) -> Connection[Cursor]:
        if self._main is None:
            raise BlueGreenError(f"{self.name} is not connected.")
        return self._main

    @property
    def _kill_conn(self) -> Connection[Cursor]:
        if self._killer is None:
            raise BlueGreenError(f"{self.name} is not connected.")
        return self._killer

    def _ours(self) -> Collection[int]:
        own = {connection_id(conn) for conn in (self._main, self._killer) if conn is not None}
        return own | set(self._record.ids if self.name == "green" else ())

    @property
    def _direction(self) -> Direction:
        return "forward" if self.name == "green" else "reverse"
