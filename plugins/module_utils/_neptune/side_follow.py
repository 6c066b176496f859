# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Replication in this process, from the preparation to the end of the window: nothing else applies meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from .._core.errors import BlueGreenError, words
from .._core.waiting import Deadline
from .events import START, EventId
from .lease import LeaseTaken
from .progress import Progress

_POLL = 0.002  # s, between two looks at a stream of which everything is applied
_TRY = 0.05  # s, between two attempts to get the lease
_END = 30.0  # s, for a page that is being applied


class Steps(Protocol):
    """A replicator that is led step by step."""

    def open(self) -> EventId:
        """Take the lease and return its checkpoint; raises :class:`LeaseTaken`."""

    def step(self) -> Progress:
        """Apply one page."""

    def close(self, failure: str | None = None) -> None:
        """Release the lease."""


class Follower:
    """Applies what is written on the source, in a thread of its own."""

    def __init__(self, steps: Steps, source: str, target: str) -> None:
        self._steps, self._source, self._target = steps, source, target
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reached = START
        self._error: Exception | None = None
        self._held = False

    def start(self, deadline: Deadline, ask: Callable[[], None], resume: Callable[[], None]) -> None:
        """Take the lease, from a runner that is asked to let go by ``ask``, say by ``resume`` that it is meant to run, begin."""
        try:
            reached = self._steps.open()
        except LeaseTaken:
            ask()
            try:
                reached = self._take(deadline)
            except BaseException:
                resume()
                raise
        resume()
        self._begin(reached)

    def try_to_start(self) -> bool:
        """Begin, unless somebody else follows."""
        try:
            self._begin(self._steps.open())
        except LeaseTaken:
            return False
        return True

    def _begin(self, reached: EventId) -> None:
        self._reached, self._held = reached, True
        self._thread = threading.Thread(target=self._run, name=f"follow-{self._source}", daemon=True)
        self._thread.start()

    def wait_for(self, event: EventId, deadline: Deadline) -> None:
        """Return when everything up to ``event`` is applied; raises :class:`BlueGreenError` when it is not in time."""
        while (reached := self.checkpoint) < event:
            if self._error is not None:
                raise self._broken()
            if deadline.passed:
                raise BlueGreenError(
                    f"{self._target} should have applied {self._source}'s stream up to {event} within {deadline.seconds:g} s, "
                    f"but is at {reached}: let the replication catch up first, or give it more time."
                )
            if self._stop.is_set():
                raise BlueGreenError(f"Replication {self._source} -> {self._target} was stopped at {reached}.")
            time.sleep(_POLL / 2)

    @property
    def checkpoint(self) -> EventId:
        """Everything up to here is applied."""
        return self._reached

    @property
    def following(self) -> bool:
        """Whether it applies."""
        return self._thread is not None and self._thread.is_alive() and self._error is None

    def stop(self) -> None:
        """Apply nothing more; the lease stays ours, so that nobody else does."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END)
            if self._thread.is_alive():
                raise BlueGreenError(
                    f"A page of {self._source}'s stream is still being applied on {self._target} after {_END:g} s: it does not "
                    "answer."
                )
        if self._error is not None:
            raise self._broken()

    def break_off(self) -> None:
        """Apply no further page, without waiting for the one that is on its way."""
        self._stop.set()

    def close(self) -> None:
        """Apply nothing more and give the lease back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END)
            if self._thread.is_alive():  # its lease is ours until it expires
                return
        if self._held:
            self._held = False
            self._steps.close()

    def _take(self, deadline: Deadline) -> EventId:
        while True:
            try:
                return self._steps.open()
            except LeaseTaken as error:
                if deadline.passed:
                    raise BlueGreenError(
                        f"The runner of the replication {self._source} -> {self._target} should let go of it within "
                        f"{deadline.seconds:g} s, so that the switchover can go on with it, but does not: {words(error)}"
                    ) from None
                time.sleep(_TRY)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                progress = self._steps.step()
                self._reached = progress.checkpoint
                if progress.at_head:
                    self._stop.wait(_POLL)
        except Exception as error:  # noqa: BLE001  told to whoever waits for it
            self._error = error

    def _broken(self) -> BlueGreenError:
        error = self._error
        if isinstance(error, BlueGreenError):
            return BlueGreenError(error.message, **error.details)
        return BlueGreenError(
            f"Replication {self._source} -> {self._target} should apply, but failed: {words(error) if error else ''}."
        )
