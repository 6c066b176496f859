# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change log of one graph, and how it is read: every iterator, the limit, the 10 MB page, the refusals.

A record is (op, data) with op ADD or REMOVE; what data is only the encoder knows. Records are written down when they
are committed and turned into JSON when somebody reads them.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.neptune.errors import ServiceError

PAGE_BYTES = 10 * 1024 * 1024
MOST_RECORDS = 100_000
DAY_MS = 86_400_000
ITERATORS = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST")
Record = tuple[str, Any]
Position = tuple[int, int]


@dataclass(frozen=True)
class Commit:
    """What one transaction changed."""

    number: int
    timestamp: int  # ms
    records: Sequence[Record]


class Stream:
    """The log: commits in order, the first of them perhaps trimmed up to an operation."""

    def __init__(self, name: str, encode: Callable[[Any], str]) -> None:
        """Name the format of the records and give the function that turns the data of one into JSON."""
        self.name = name
        self._encode = encode
        self._commits: dict[int, Commit] = {}
        self._last = 0
        self._trimmed: Position = (0, 0)
        self.expiry_days = 7

    def copy(self) -> Stream:
        """Return a log that goes its own way from here."""
        other = Stream(self.name, self._encode)
        other._commits = dict(self._commits)
        other._last, other._trimmed, other.expiry_days = self._last, self._trimmed, self.expiry_days
        return other

    def append(self, records: Sequence[Record]) -> None:
        """Write down one transaction; one that changed nothing is none."""
        if records:
            self._last += 1
            self._commits[self._last] = Commit(self._last, int(time.time() * 1000), tuple(records))

    def clear(self) -> None:
        """Forget everything, as when streams are switched off; numbers go on."""
        self._trimmed = (self._last, 1 << 31)
        self._commits.clear()

    def latest(self) -> Position | None:
        """Return the last event that can be read, None when there is none."""
        commit = self._commits.get(self._last)
        if commit is None or (self._last, len(commit.records)) <= self._trimmed:
            return None
        return commit.number, len(commit.records)

    def size(self) -> int:
        """Return how many records there are to read."""
        return sum(1 for _one in self._after(self._trimmed))

    # Faults

    def expire(self, commit: int, op: int) -> None:
        """Let every event up to this one be older than the log's age limit."""
        self._trimmed = max(self._trimmed, (commit, op))
        for number in [number for number in self._commits if number < self._trimmed[0]]:
            del self._commits[number]

    def lose(self, commit: int) -> None:
        """Leave a commit out of what is read, as the service has been seen to."""
        self._commits.pop(commit, None)

    # Reading

    def without(self, commits: int) -> Stream:
        """Return the stream as somebody sees it who has not got the last commits yet."""
        if commits <= 0:
            return self
        view = copy.copy(self)
        view._last = max(0, self._last - commits)
        return view

    def _age_out(self, now: int) -> None:
        for number in list(self._commits):
            commit = self._commits[number]
            if commit.timestamp >= now - self.expiry_days * DAY_MS:
                break
            self.expire(number, len(commit.records))

    def _after(self, position: Position) -> Iterator[tuple[Commit, int]]:
        """Yield every record behind a position as (commit, operation number)."""
        number, op = max(position, self._trimmed)
        while number <= self._last:
            commit = self._commits.get(number)
            if commit is not None:
                for at in range(op, len(commit.records)):
                    yield commit, at + 1
            number, op = number + 1, 0

    def read(self, query: dict[str, str], now: int | None = None) -> bytes:
        """Return one page as the service answers; raises ServiceError."""
        self._age_out(int(time.time() * 1000) if now is None else now)
        limit = _whole(query, "limit", "10")
        if not 1 <= limit <= MOST_RECORDS:
            raise ServiceError("InvalidParameterException", f"Limit must be between 1 and {MOST_RECORDS}: {limit}")
        kind = query.get("iteratorType", "AT_SEQUENCE_NUMBER")
        if kind not in ITERATORS:
            raise ServiceError("InvalidParameterException", f"Invalid iteratorType: {kind}")
        return self._page(self._start(kind, query), limit)

    def _start(self, kind: str, query: dict[str, str]) -> Position:
        """Return the position behind which the page begins."""
        latest = self.latest()
        if kind == "TRIM_HORIZON":
            return self._trimmed
        if kind == "LATEST":
            return (self._last + 1, 0) if latest is None else (latest[0], latest[1] - 1)
        if "commitNum" not in query:
            raise ServiceError("MissingParameterException", f"commitNum is required for the iteratorType {kind}")
        commit, op = _whole(query, "commitNum"), _whole(query, "opNum", "1")
        if commit < 0 or op < 0:
            raise ServiceError("InvalidParameterException", f"Invalid event id: commitNum = {commit}, opNum = {op}")
        start = (commit, op) if kind == "AFTER_SEQUENCE_NUMBER" else (commit, max(op - 1, 0))
        # reading after the event that was trimmed last is allowed (release 1.0.4.2.R4)
        if start < self._trimmed and self._trimmed != (self._last, 1 << 31):
            raise ServiceError(
                "ExpiredStreamException",
                "All of the requested records exceed the maximum age allowed in the log stream.",
            )
        return start

    def _page(self, start: Position, limit: int) -> bytes:
        records: list[str] = []
        size = 0
        commit, op = None, 0
        for commit, op in self._after(start):
            kind, data = commit.records[op - 1]
            last = ',"isLastOp":true' if op == len(commit.records) else ""
            record = (
                f'{{"commitTimestamp":{commit.timestamp},"eventId":{{"commitNum":{commit.number},"opNum":{op}}},'
                f'"data":{self._encode(data)},"op":"{kind}"{last}}}'
            )
            records.append(record)
            size += len(record)
            if len(records) >= limit or size > PAGE_BYTES:
                break
        if commit is None:
            raise self.not_found()
        return (
            f'{{"lastEventId":{{"commitNum":{commit.number},"opNum":{op}}},"lastTrxTimestamp":{commit.timestamp},'
            f'"format":"{self.name}","records":[{",".join(records)}],"totalRecords":{len(records)}}}'
        ).encode()

    def not_found(self) -> ServiceError:
        """Return the refusal to read behind the last event."""
        commit, op = self.latest() or (0, 0)
        text = "Requested startEventId is from the future. Last valid eventId is "
        return ServiceError("StreamRecordsNotFoundException", f"{text}[commitNum = {commit}, opNum = {op}]")


def _whole(query: dict[str, str], name: str, default: str = "") -> int:
    text = query.get(name, default)
    try:
        return int(text)
    except ValueError:
        raise ServiceError("InvalidParameterException", f"{name} must be a whole number: {text}") from None
