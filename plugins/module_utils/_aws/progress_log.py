# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Lines about the progress of a deployment in CloudWatch Logs, where AWS's own solution writes them: ``/aws/neptune/<id>``.

A line that cannot be written stops nothing: what is logged is true without it. It is told once, as a warning.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .._core.errors import BlueGreenError
from .api import Api, ApiError
from .ownership import ownership_tags

_EXISTS = "ResourceAlreadyExistsException"
_MISSING = "ResourceNotFoundException"
_STREAM = "replication"


class ProgressLog:
    """The deployment's log group; ``wait`` seconds at least pass between two lines that are not ``always`` written."""

    def __init__(
        self,
        api: Api,
        group: str,
        deployment_id: str,
        *,
        wait: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._api, self._group, self._deployment_id = api, group, deployment_id
        self._wait, self._clock, self._now = wait, clock, now
        self._last: float | None = None
        self.problem: str | None = None

    def write(self, line: str, *, always: bool = False) -> None:
        """Write a line now, or leave it out when the one before is younger than ``wait``; never raises."""
        at = self._clock()
        if self.problem is not None or (not always and self._last is not None and at - self._last < self._wait):
            return
        self._last = at
        try:
            self._put(line)
        except BlueGreenError as error:
            self.problem = f"The progress is not written to the log group {self._group}: {error.message}"

    def _put(self, line: str) -> None:
        event = {"timestamp": int(self._now() * 1000), "message": line}
        try:
            self._api.call("put_log_events", logGroupName=self._group, logStreamName=_STREAM, logEvents=[event])
        except ApiError as error:
            if error.code != _MISSING:
                raise
            self._make("create_log_group", tags=ownership_tags(self._deployment_id))
            self._make("create_log_stream", logStreamName=_STREAM)
            self._api.call("put_log_events", logGroupName=self._group, logStreamName=_STREAM, logEvents=[event])

    def _make(self, operation: str, **parameters: object) -> None:
        try:
            self._api.call(operation, logGroupName=self._group, **parameters)
        except ApiError as error:
            if error.code != _EXISTS:
                raise
