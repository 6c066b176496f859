# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The probe: canaries written and read through an endpoint, on new connections and on kept ones, each attempt in a file."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from .._core.canaries import Canaries, Canary, Session
from .._core.errors import BlueGreenError
from .._core.failures import AttemptFailed, Failure
from .._core.waiting import Deadline
from . import probe_log
from .probe_log import Log, Record
from .probe_report import acknowledged, audit, unaudited
from .resolve import resolve

Why = Literal["duration", "stopped", "until", "signal"]

_BROKEN = ("timeout", "server_closed")  # a connection on which this happened has no other answer
_LOOK = 0.1  # s between two looks whether the probe is to end
_DNS = 1.0  # s between two questions where the name leads
_SETTLE = 30.0  # s to wait at the end for an endpoint that answers
_UNTOLD = 1000  # more canaries than can have been written without a line when the process or the host died
_HURRY = 5.0  # s of the same when a signal has ended the probe


@dataclass(frozen=True)
class Plan:
    """What the user asked for; times in seconds."""

    run: str
    path: str
    engine: str
    host: str
    duration: float
    interval: float
    timeout: float
    connections: Sequence[str]
    until: str | None = None
    dns_server: str | None = None
    key: str = ""  # what the canaries of the run carry, which no other run has, not even one of the same name

    @property
    def stop_file(self) -> Path:
        """The file that ends the probe when it appears."""
        return stop_file(self.path)


def stop_file(path: str) -> Path:
    """The file that ends the probe that writes to ``path``."""
    return Path(path + ".stop")


def watch(plan: Plan, canaries: Canaries, log: Log, before: Sequence[Record]) -> None:
    """Probe until the time is over or something ends it, and append everything with the ``end`` line to the file.

    ``before`` is what earlier processes of the run have written: the numbers go on, and so does the duration.
    """
    plan = replace(plan, key=key_of(before) or f"{plan.run}/{secrets.token_hex(4)}")
    left = plan.duration - _watched(before)
    ended = threading.Event()
    with _signals(ended):
        log.begin(run=plan.run, key=plan.key, engine=plan.engine, host=plan.host, interval_ms=plan.interval * 1000)
        why = _lanes(plan, canaries, log, before, Deadline(max(0.0, left)), ended)
        plan.stop_file.unlink(missing_ok=True)
        log.write("end", log.now, why=why, canaries=_audit(plan, canaries, ended))
    if log.failed:
        raise BlueGreenError(
            f"Every attempt should be in {plan.path}, but a part of them could not be written: {log.failed}; make room and probe again."
        )


def ended_by(records: Sequence[Record], run: str, path: str) -> Record | None:
    """The ``end`` line of a run, None when there is none yet; raises :class:`BlueGreenError` for the file of another run."""
    others = {str(record["run"]) for record in records if record["record"] == "run"} - {run}
    if others:
        raise BlueGreenError(
            f"The file {path} should hold the run {run}, but it holds {', '.join(sorted(others))}: give another path, or the "
            "run_id of that run."
        )
    return next((record for record in records if record["record"] == "end"), None)


def key_of(records: Sequence[Record]) -> str:
    """What the canaries of these records carry, empty without one."""
    return next((str(record["key"]) for record in records if record["record"] == "run"), "")


def _lanes(
    plan: Plan, canaries: Canaries, log: Log, before: Sequence[Record], deadline: Deadline, ended: threading.Event
) -> Why:
    halt = threading.Event()
    guard = _Guard(plan.timeout)
    good, unknown = acknowledged(before)
    lanes: list[Callable[[], None]] = [partial(_names, plan, log, halt)]
    for name in plan.connections:
        last = max((number for lane, number in good | unknown if lane == name), default=-_UNTOLD)
        first = last + _UNTOLD + 1
        lane = _Lane(plan, canaries, log, guard, halt, name, first)
        lanes += [lane.fresh] if name == "new" else [lane.writes, lane.reads]
    threads = [threading.Thread(target=lane, daemon=True) for lane in (guard.run, *lanes)]
    for thread in threads:
        thread.start()
    try:
        why = _wait(plan, deadline, ended)
    finally:
        halt.set()
        for thread in threads[1:]:
            thread.join(plan.timeout + _SETTLE)
        guard.end()
    return why


def _wait(plan: Plan, deadline: Deadline, ended: threading.Event) -> Why:
    while not deadline.passed:
        if ended.wait(min(_LOOK, deadline.left)):
            return "signal"
        if plan.stop_file.exists():
            return "stopped"
        if plan.until and Path(plan.until).exists():
            return "until"
    return "duration"


class _Guard:
    """Breaks the connection of an attempt that takes too long: a dead server answers nothing, and drivers wait."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._due: dict[Session, float] = {}
        self._end = threading.Event()

    @contextmanager
    def over(self, session: Session) -> Iterator[None]:
        """Have an eye on what is done with a session in the ``with`` block; what it broke is a timeout."""
        due = time.monotonic() + self._timeout
        with self._lock:
            self._due[session] = due
        try:
            yield
        except AttemptFailed:
            if time.monotonic() >= due:
                late = f"no answer within {self._timeout:g} s"
                raise AttemptFailed(Failure("timeout", "", late)) from None
            raise
        finally:
            with self._lock:
                self._due.pop(session, None)

    def run(self) -> None:
        """Look after all of them, until :meth:`end`."""
        while not self._end.wait(0.02):
            with self._lock:
                late = [session for session, due in self._due.items() if due <= time.monotonic()]
                for session in late:
                    session.sever()

    def end(self) -> None:
        """Look no more."""
        self._end.set()


class _Lane:
    """One way to use the database, at its own pace."""

    def __init__(
        self, plan: Plan, canaries: Canaries, log: Log, guard: _Guard, halt: threading.Event, name: str, first: int
    ) -> None:
        self._plan, self._canaries, self._log, self._guard, self._halt = plan, canaries, log, guard, halt
        self._name, self._next = name, first

    def fresh(self) -> None:
        """A connection for each attempt: a write, and a read, unless the write showed that the connection is broken."""
        for _tick in self._ticks():
            begin = self._log.now
            try:
                session = self._canaries.open()
            except AttemptFailed as error:
                number = self._number()
                for op, n in (("write", number), ("read", 0)):
                    self._failed(op, n, begin, error)
                continue
            try:
                wrong = self._write(session, begin)
                if wrong is not None and wrong.failure.kind in _BROKEN:
                    self._failed("read", 0, begin, wrong, session.address)
                else:
                    self._read(session, self._log.now)
            finally:
                session.close()

    def writes(self) -> None:
        """Writes on a connection that is kept as long as it works."""
        self._kept("write")

    def reads(self) -> None:
        """Reads on another one."""
        self._kept("read")

    def _kept(self, op: str) -> None:
        session: Session | None = None
        for _tick in self._ticks():
            begin = self._log.now
            if session is None:
                try:
                    session = self._canaries.open()
                except AttemptFailed as error:
                    self._failed(op, self._number() if op == "write" else 0, begin, error)
                    continue
            tried = self._write if op == "write" else self._read
            if tried(session, begin) is not None:
                session.close()
                session = None
        if session is not None:
            session.close()

    def _write(self, session: Session, begin: float) -> AttemptFailed | None:
        canary = Canary(self._plan.key, self._name, self._number())
        try:
            with self._guard.over(session):
                server = session.write(canary)
        except AttemptFailed as error:
            self._failed("write", canary.number, begin, error, session.address)
            return error
        self._worked("write", canary.number, begin, session.address, server)
        return None

    def _read(self, session: Session, begin: float) -> AttemptFailed | None:
        try:
            with self._guard.over(session):
                seen = session.read(self._plan.key, self._name)
        except AttemptFailed as error:
            self._failed("read", 0, begin, error, session.address)
            return error
        self._worked("read", seen.highest, begin, session.address, seen.server)
        return None

    def _number(self) -> int:
        number, self._next = self._next, self._next + 1
        return number

    def _worked(self, op: str, number: int, begin: float, address: str, server: str) -> None:
        self._note(op, number, begin, ok=True, address=address, server=server)

    def _failed(self, op: str, number: int, begin: float, error: AttemptFailed, address: str = "") -> None:
        failure = error.failure
        words = {"kind": failure.kind, "code": failure.code, "message": failure.message}
        self._note(op, number, begin, ok=False, address=address, error=words)

    def _note(self, op: str, number: int, begin: float, **facts: Any) -> None:
        ms = round(self._log.now - begin, 3)
        self._log.write("attempt", begin, lane=self._name, op=op, n=number, ms=ms, **facts)

    def _ticks(self) -> Iterator[None]:
        """The times of the attempts; those that are missed because one took long are left out."""
        begin, tick = time.monotonic(), 0
        while not self._halt.is_set():
            yield None
            passed = time.monotonic() - begin
            tick = max(tick + 1, int(passed / self._plan.interval))
            self._halt.wait(max(0.0, tick * self._plan.interval - passed))


def _names(plan: Plan, log: Log, halt: threading.Event) -> None:
    """Ask where the name leads, once a second."""
    while not halt.is_set():
        begin = log.now
        try:
            found = resolve(plan.host, plan.dns_server)
            log.write("dns", begin, addresses=list(found.addresses), ttl=found.ttl, error=None)
        except BlueGreenError as error:
            log.write("dns", begin, addresses=[], ttl=None, error=error.message)
        halt.wait(_DNS)


def _audit(plan: Plan, canaries: Canaries, ended: threading.Event) -> dict[str, Any]:
    """Look for every canary on the side that serves now; an endpoint that does not answer is waited for a while."""
    records, _running = probe_log.load(plan.path)
    deadline = Deadline(_HURRY if ended.is_set() else _SETTLE)
    while True:
        try:
            written = canaries.written(plan.key)
            session = canaries.open()
            try:
                return audit(records, written, session.read(plan.key, "").server)
            finally:
                session.close()
        except AttemptFailed as error:
            if deadline.passed or (ended.is_set() and deadline.seconds == _SETTLE):
                return unaudited(records, f"the endpoint does not answer: {error.failure.message}")
        time.sleep(min(0.5, deadline.left))


def _watched(records: Sequence[Record]) -> float:
    """How long earlier processes of the run have watched, in seconds."""
    total = last = 0.0
    for record in records:
        if record["record"] == "run":
            total, last = total + last, 0.0
        last = max(last, float(record["t"]))
    return (total + last) / 1000


@contextmanager
def _signals(ended: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT end the probe with its report; the handlers are what they were afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda *_args: ended.set()) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
