# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The replicator of one direction: takes the lease, applies page after page, always gives the lease back.

What is applied is applied at least once. Before a page is begun the lease says which records are in flight, so a run that
follows a crash knows up to where the target may be ahead, and applies that part as a replay.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from . import stream
from .apply import Applier
from .coalesce import BlankNodes, GraphChanges, StatementChanges, coalesce_graph, coalesce_rdf
from .connection import Client, GraphType
from .events import START, EventId, whole
from .lease import Held, Lease, LeaseLost
from .progress import Progress, measure
from .retry import persist

__all__ = ["Options", "Progress", "Replicator"]

T = TypeVar("T")

_IDLE = (0.05, 1.0)  # s between looks at a stream that has nothing new: the first, the longest
_GAPS = 6  # looks at a stream that skips a commit, before that is believed
_GAP_PAUSE = 0.05  # s between the first two of them; it doubles
# Records are trees, which go when nobody holds them; to look for cycles among them costs half of the time. While there is a
# lease that is done once in so many pages.
_COLLECT = 50


@dataclass(frozen=True)
class Options:
    """How to replicate; ``owner`` is unique among all runs.

    ``lanes``: write requests at a time (twice the writer's vCPUs is what the service can use). ``batch``: records in a
    request, three times as many of RDF. ``page``: records that are read at once; two pages are in memory at most.
    ``lease_ttl``: s after which somebody else may go on when this run dies.
    """

    owner: str
    lanes: int = 8
    batch: int = 200
    page: int = 20_000
    blank_nodes: BlankNodes = "stop"
    lease_ttl: float = 60


@dataclass(frozen=True)
class _Work:
    """A page and what it comes to."""

    page: stream.Page
    changes: GraphChanges | StatementChanges


@dataclass(frozen=True)
class _Ahead:
    """What was read while a page was applied."""

    work: _Work | None
    head: EventId | None


class Replicator:
    """From ``source``'s stream to ``target``. Made cheaply: nothing is connected before :meth:`open` or :meth:`run`."""

    def __init__(self, source: Client, target: Client, lease: Lease, graph_type: GraphType, options: Options) -> None:
        self.options = options
        self._lease = lease
        self._graph_type: GraphType = graph_type
        # A request ends before the lease can be somebody else's: it is sent only while more than its time is left.
        self._limit = options.lease_ttl / 3
        self._source = source.within(self._limit)
        self._target = target.within(self._limit)
        self._guarding = threading.Lock()
        self._held: Held | None = None
        self._window = START
        self._collected = False
        self._pages = 0
        self._applier: Applier | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._ahead: Future[_Ahead] | None = None

    def run(self, until: Callable[[Progress], bool], deadline: Deadline) -> Progress:
        """Apply until ``until`` says so, the deadline passes or the lease says stop; returns where it is then.

        Raises :class:`BlueGreenError` when replication cannot go on; the lease then holds the reason.
        """
        failure = None
        self.open()
        try:
            pause = _IDLE[0]
            while True:
                before = self.held.checkpoint
                progress = self.step()
                if until(progress) or deadline.passed or self.held.item.desired in ("stopped", "handed_over"):
                    return progress
                if progress.checkpoint > before or not progress.at_head:
                    pause = _IDLE[0]
                    continue
                time.sleep(min(pause, deadline.left))
                pause = min(_IDLE[1], pause * 2)
                self.held.renew()
        except BlueGreenError as error:
            failure = error.message
            raise
        finally:
            self.close(failure)

    def open(self) -> EventId:
        """Take the lease and return its checkpoint; raises :class:`LeaseTaken`."""
        held = self._lease.take(self.options.owner, self.options.lease_ttl)
        self._held = held
        self._window = held.item.window
        self._collected = gc.isenabled()
        gc.disable()
        self._applier = Applier(self._target, self.options.lanes, self.options.batch, self._guard)
        self._reader = ThreadPoolExecutor(1, "reader")
        self._ahead = None
        return held.checkpoint

    def step(self) -> Progress:
        """Apply one page and move the checkpoint behind it, or prove that there is none.

        Raises :class:`BlueGreenError` when replication cannot go on. The checkpoint never covers what is not applied.
        """
        self._guard()
        checkpoint = self.held.checkpoint
        work = self._next(checkpoint)
        if work is None:
            newest = self._ask(lambda: stream.prove_end(self._source, self._graph_type, checkpoint))
            return measure(checkpoint, newest, None, self.held.item.records, time.time)
        page = work.page
        if self.held.item.in_flight < page.in_flight:
            self.held.advance(checkpoint, page.in_flight)
        self._ahead = self._read_ahead(page.last)
        self._apply(work, checkpoint)
        return self._advance(page)

    def close(self, failure: str | None = None) -> None:
        """Give the lease back, with the reason when the run failed."""
        if self._applier is not None:
            self._applier.close()
        if self._reader is not None:
            self._reader.shutdown(wait=False, cancel_futures=True)
        self._applier = self._reader = self._ahead = None
        self._source.close()
        self._target.close()
        if self._held is not None:
            if self._collected:
                gc.enable()
            held, self._held = self._held, None
            held.release(failure)

    @property
    def held(self) -> Held:
        """The lease; raises :class:`BlueGreenError` when it was not taken."""
        if self._held is None:
            raise BlueGreenError("Replication needs its lease, which it has not taken: open it first.")
        return self._held

    def _ask(self, question: Callable[[], T]) -> T:
        """Read from the source, as long as this run goes on."""
        return persist(question, self._still)

    def _still(self) -> None:
        if self._reader is None:
            raise BlueGreenError("Replication reads only while it has its lease: open it first.")

    def _next(self, checkpoint: EventId) -> _Work | None:
        ahead, self._ahead = self._ahead, None
        work = ahead.result().work if ahead is not None else None
        # What was not there while the page before was applied may be there now.
        return work if work is not None else self._work(checkpoint)

    def _work(self, checkpoint: EventId) -> _Work | None:
        page = self._read(checkpoint)
        if page is None:
            return None
        if self._graph_type == "rdf":
            return _Work(page, coalesce_rdf(page.records, self.options.blank_nodes))
        return _Work(page, coalesce_graph(page.records))

    def _read(self, checkpoint: EventId) -> stream.Page | None:
        pause = _GAP_PAUSE
        for left in reversed(range(_GAPS)):
            try:
                return self._ask(lambda: stream.after(self._source, self._graph_type, checkpoint, self.options.page))
            except stream.Gap:
                oldest = self._ask(lambda: stream.first(self._source, self._graph_type))
                if oldest is not None and oldest[0].commit > checkpoint.commit + 1:
                    raise stream.expired(checkpoint, oldest[0]) from None
                if not left:
                    raise
                time.sleep(pause)
                pause *= 2
        return None

    def _read_ahead(self, checkpoint: EventId) -> Future[_Ahead]:
        def read() -> _Ahead:
            work = self._work(checkpoint)
            return _Ahead(work, self._ask(lambda: stream.head(self._source, self._graph_type)))

        if self._reader is None:
            raise BlueGreenError("Replication reads only while it has its lease: open it first.")
        return self._reader.submit(read)

    def _apply(self, work: _Work, checkpoint: EventId) -> None:
        page, changes = work.page, work.changes
        if self._applier is None:
            raise BlueGreenError("Replication writes only while it has its lease: open it first.")
        if isinstance(changes, StatementChanges):
            self._applier.rdf(changes)
            return
        if not page.complete:
            # Half a commit: what it lacks follows, as in a replay, up to the commit's end.
            self._window = max(self._window, whole(page.last.commit))
        replaying = checkpoint < self._window
        self._applier.graph(changes, replaying)
        if replaying and page.complete and whole(page.last.commit) >= self._window:
            self._applier.settle()
            self._window = START

    def _advance(self, page: stream.Page) -> Progress:
        ahead = None
        try:
            ahead = self._ahead.result() if self._ahead is not None else None
        except BlueGreenError:  # the next step tells; what was applied is applied
            pass
        newer = ahead.work.page if ahead is not None and ahead.work is not None else None
        self.held.advance(page.last, newer.in_flight if newer is not None else page.last, len(page.records))
        self._pages += 1
        if self._pages % _COLLECT == 0:
            gc.collect(0)
        head = max([page.last, *([newer.last] if newer else []), *([ahead.head] if ahead and ahead.head else [])])
        waiting = newer.first_timestamp_ms if newer is not None else None
        progress = measure(page.last, head, waiting, self.held.item.records, time.time)
        # Only who has looked may say that there is nothing more.
        return progress if ahead is not None else replace(progress, at_head=False)

    def _guard(self) -> None:
        """Let nothing be sent that could arrive after the lease is lost."""
        with self._guarding:
            held = self.held
            if held.left < self.options.lease_ttl / 2:
                held.renew()
            if held.left <= self._limit:
                raise LeaseLost(
                    f"The lease {self._lease.key} could not be kept long enough to write safely: this run stops, and the next "
                    "one goes on."
                )
