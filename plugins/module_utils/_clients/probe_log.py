# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The file of a probe: one JSON line for everything that it saw, written so that a kill loses nothing that was acknowledged.

Lines: ``run`` (a process begins to watch), ``attempt``, ``dns``, ``end``. Times ``t`` are milliseconds since the last ``run``
line by the monotonic clock; ``at`` is the time of the day in UTC, for people.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from .._core.errors import BlueGreenError, words

_MODE = 0o600
_SYNC = 1.0  # s between two writes through to the disk
_READ = 1 << 20

Record = dict[str, Any]


class Log:
    """A file that is open for one probe and for no other one."""

    def __init__(self, descriptor: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._descriptor, self._clock = descriptor, clock
        self._lock = threading.Lock()
        self._begin = self._synced = clock()
        self.failed: str | None = None

    @property
    def now(self) -> float:
        """Milliseconds since the last ``run`` line."""
        return (self._clock() - self._begin) * 1000

    def begin(self, **facts: Any) -> None:
        """Write a ``run`` line; ``t`` counts from here."""
        self._begin = self._clock()
        self.write("run", 0.0, **facts)

    def write(self, record: str, t: float, **facts: Any) -> None:
        """Append a line; a disk that is full is told once, by ``failed``, and does not end the probe in the middle."""
        at = datetime.now(UTC).timestamp() - (self.now - t) / 1000
        line = {"record": record, "at": stamp(at), "t": round(t, 3), **facts}
        text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._descriptor < 0:
                return  # of an attempt that nobody waits for any more
            try:
                os.write(self._descriptor, text)
                if self._clock() - self._synced >= _SYNC or record != "attempt":
                    os.fsync(self._descriptor)
                    self._synced = self._clock()
            except OSError as error:
                self.failed = self.failed or words(error)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def opened(path: str) -> Iterator[tuple[Log, list[Record]]]:
    """The file and what is in it already; made when it is missing, readable by its owner alone.

    Raises :class:`BlueGreenError` when it cannot be written, is no file of a probe, or a probe writes to it now.
    """
    try:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags, _MODE)
    except OSError as error:
        raise BlueGreenError(
            f"The probe's file {path} should be written, but: {error.strerror}; give another path, in a directory that exists."
        ) from None
    log = Log(descriptor)
    try:
        _require_file(descriptor, path)
        if not _locked(descriptor):
            raise BlueGreenError(
                f"A probe should write to {path}, but another one does so now: wait for its end, end it with state=stopped, or "
                "give another path."
            )
        text = _content(descriptor)
        records = parse(text, path)
        os.fchmod(descriptor, _MODE)
        if text and not text.endswith(b"\n"):
            os.write(descriptor, b"\n")  # what was killed within a line: the line stays and is no record
        yield log, records
    finally:
        log.close()


def load(path: str) -> tuple[list[Record], bool]:
    """What is in the file of a probe, and whether one writes to it now; raises :class:`BlueGreenError` without one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BlueGreenError(
            f"The file of a probe should be at {path}, but: {error.strerror}; give the path that the probe was started with."
        ) from None
    try:
        _require_file(descriptor, path, own=False)
        return parse(_content(descriptor), path), not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def parse(text: bytes, path: str) -> list[Record]:
    """The records in a file; a line that was cut off by a kill is left out. Pure.

    Raises :class:`BlueGreenError` for a file that is not a probe's.
    """
    records: list[Record] = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict) and "record" in record:
            records.append(record)
        elif not records and line.strip() and not line.startswith(b'{"record":"run"'):
            raise BlueGreenError(
                f"{path} should be the file of a probe, but it holds something else: give the path of one, or of no file."
            )
    return records


def stamp(seconds: float) -> str:
    """A time of the day in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _require_file(descriptor: int, path: str, *, own: bool = True) -> None:
    """A device such as /dev/null would get the probe's permissions, and a file of somebody else's would be read by him."""
    found = os.fstat(descriptor)
    wrong = "" if stat.S_ISREG(found.st_mode) else "it is no regular file"
    if own and not wrong and found.st_uid != os.geteuid():
        wrong = f"it belongs to the user with the id {found.st_uid}"
    if wrong:
        raise BlueGreenError(f"The probe's file {path} should be a file of its own, but {wrong}: give another path.")


def _locked(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _content(descriptor: int) -> bytes:
    parts = []
    offset = 0
    while part := os.pread(descriptor, _READ, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)
