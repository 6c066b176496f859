# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One side as the states see it: a status, a stream, bulk loads and the marker; no graph."""

from __future__ import annotations

from typing import Any, cast

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client, NeptuneError
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import EventId

Event = tuple[int, int]


class FakeSide:
    """A side whose stream holds the events ``(commit, op)`` that it was given, each with a value of its own."""

    def __init__(self, side: str = "blue", events: list[Event] | None = None, **status: Any) -> None:
        self.endpoint = Endpoint(side, f"{side}.example", 8182, "", "")
        self.reply: dict[str, Any] = {"status": "healthy", "role": "writer", "dbEngineVersion": "1.2.1.0", **status}
        self.events = list(events or [])
        self.kept_from: Event = (0, 0)
        self.others: set[Event] = set()  # events that are not what the other side has there
        self.loads: list[str] = []
        self.marked = False
        self.off = False

    @property
    def client(self) -> Client:
        """As the code under test takes it."""
        return cast(Client, self)

    def status(self) -> dict[str, Any]:
        return self.reply

    def loads_in_progress(self) -> list[str]:
        return self.loads

    def get(self, _path: str, **query: Any) -> Any:
        if self.off:
            raise NeptuneError("Streams are off.", "UnsupportedOperationException", 400)
        kept = [event for event in self.events if event >= self.kept_from]
        at = (int(query.get("commitNum", 0)), int(query.get("opNum", 0)))
        found = {
            "TRIM_HORIZON": kept,
            "LATEST": kept[-1:],
            "AT_SEQUENCE_NUMBER": [event for event in kept if event >= at],
            "AFTER_SEQUENCE_NUMBER": [event for event in kept if event > at],
        }[str(query["iteratorType"])][: int(query.get("limit", 10))]
        if not found:
            raise NeptuneError("No records.", "StreamRecordsNotFoundException", 404)
        last = found[-1]
        return {
            "lastEventId": {"commitNum": last[0], "opNum": last[1]},
            "records": [self._record(one) for one in found],
        }

    def cypher(self, query: str, _parameters: Any) -> list[dict[str, Any]]:
        if "CREATE" in query:
            self.mark()
        elif "DELETE" in query:
            self.marked = False
        return [{"there": int(self.marked)}]

    def sparql_update(self, text: str) -> None:
        if text.startswith("INSERT"):
            self.mark()
        else:
            self.marked = False

    def sparql_query(self, _text: str) -> Any:
        return {"boolean": self.marked}

    def mark(self) -> None:
        self.marked = True
        self.events.append((self.events[-1][0] + 1 if self.events else 1, 1))

    def clone(self) -> FakeSide:
        """A copy of it, stream and all."""
        made = FakeSide("green", self.events, **self.reply)
        made.kept_from, made.marked = self.kept_from, self.marked
        return made

    def head(self) -> EventId:
        return EventId(*self.events[-1])

    def _record(self, event: Event) -> dict[str, Any]:
        data = f"of {self.endpoint.side}" if event in self.others else "of both"
        return {
            "commitTimestamp": 1_700_000_000_000 + event[0],
            "eventId": {"commitNum": event[0], "opNum": event[1]},
            "data": data,
            "op": "ADD",
            "isLastOp": True,
        }
