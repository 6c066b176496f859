# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Background work: one queue per volume, so that what concerns a volume happens in the order in which it was asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tests.lab.engine import EngineError

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Jobs:
    """The queues; `close` drops what has not begun and waits for what has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, ThreadPoolExecutor] = {}
        self._closed = False

    def submit(self, volume_id: str, job: Callable[[], T]) -> Future[T]:
        """Queue a job; the future has its result or its exception."""
        with self._lock:
            if self._closed:
                raise EngineError("the lab is closing")
            if volume_id not in self._queues:
                self._queues[volume_id] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=volume_id)
            return self._queues[volume_id].submit(job)

    def run(self, volume_id: str, job: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Queue a job of the state machine; when it raises, `failed` gets the reason and must leave a valid state."""

        def guarded() -> None:
            try:
                job()
            except EngineError as exc:
                failed(str(exc))
            except Exception as exc:  # a bug of the lab must show as a failed state, not as a state that never ends
                LOG.exception("a job on %s failed", volume_id)
                failed(f"internal failure: {type(exc).__name__}")

        self.submit(volume_id, guarded)

    @contextmanager
    def still(self, volume_ids: Sequence[str]) -> Iterator[None]:
        """Let nothing of several volumes' queues run while the block does; for a job of another queue."""
        over = threading.Event()
        try:
            for volume_id in sorted(set(volume_ids)):
                self._occupy(volume_id, over)
            yield
        finally:
            over.set()

    def _occupy(self, volume_id: str, over: threading.Event) -> None:
        begun = threading.Event()

        def wait() -> None:
            begun.set()
            over.wait()

        waiting = self.submit(volume_id, wait)
        while not begun.wait(0.05):
            if waiting.cancelled():
                raise EngineError("the lab is closing")

    def retire(self, volume_id: str) -> None:
        """Forget the queue of a volume that is gone; called from the queue's own last job."""
        with self._lock:
            queue = self._queues.pop(volume_id, None)
        if queue is not None:
            queue.shutdown(wait=False)

    def close(self) -> None:
        """End all queues."""
        with self._lock:
            self._closed = True
            queues = list(self._queues.values())
        for queue in queues:
            queue.shutdown(wait=True, cancel_futures=True)
