# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A stream read page by page; its end and its gaps are proved, not concluded from an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._core.errors import BlueGreenError
from .connection import Client, GraphType, NeptuneError
from .events import START, EventId, whole

Record = Mapping[str, Any]

_PATH = {"propertygraph": "/propertygraph/stream", "rdf": "/sparql/stream"}
LARGEST = 100_000
"""What the service gives at once (and no more than 10 MB): a commit that is longer than a page is read whole if it can be."""

_END = "StreamRecordsNotFoundException"
_EXPIRED = "ExpiredStreamException"


class Expired(BlueGreenError):
    """Records behind the checkpoint are gone from the stream."""


class Gap(BlueGreenError):
    """The stream skips a commit. Reading again may show it (AWS's own poller says so and reads again)."""

    def __init__(self, commit: int, found: int) -> None:
        super().__init__(
            f"The stream should go on with commit {commit}, but goes on with {found}: read it again; if that lasts, "
            "commits are lost and green must be built anew."
        )
        self.commit = commit


@dataclass(frozen=True)
class Page:
    """Records in their order, up to the end of a commit unless one is longer than any page (``complete`` is false)."""

    records: Sequence[Record]
    last: EventId
    first_timestamp_ms: int
    complete: bool = True

    @property
    def in_flight(self) -> EventId:
        """What may be on the target in part while the page is applied: the whole of its last commit."""
        return self.last if self.complete else whole(self.last.commit)


def head(client: Client, graph_type: GraphType) -> EventId | None:
    """The last record's id, None when the stream is empty."""
    found = _read(client, graph_type, iteratorType="LATEST", limit=1)
    return None if found is None else _event(found["lastEventId"])


def first(client: Client, graph_type: GraphType) -> tuple[EventId, int] | None:
    """Id and time (ms since 1970) of the oldest record that is kept, None when the stream is empty."""
    found = _read(client, graph_type, iteratorType="TRIM_HORIZON", limit=1)
    if found is None or not found["records"]:
        return None
    record = found["records"][0]
    return _event(record["eventId"]), int(record["commitTimestamp"])


def after(client: Client, graph_type: GraphType, checkpoint: EventId, limit: int) -> Page | None:
    """The records behind a checkpoint, None when the stream says that there are none.

    Raises :class:`Expired` when they are gone and :class:`Gap` when a commit is missing.
    """
    while True:
        records = _behind(client, graph_type, checkpoint, limit)
        if not records:
            return None
        page = _page(records, checkpoint)
        if page.complete or len(records) < limit or limit >= LARGEST:
            return page
        limit = min(LARGEST, limit * 4)


def waiting(client: Client, graph_type: GraphType, checkpoint: EventId) -> int | None:
    """The time (ms since 1970) of the first record behind a checkpoint, None when there is none; raises as :func:`after`."""
    records = _behind(client, graph_type, checkpoint, 1)
    return _page(records, checkpoint).first_timestamp_ms if records else None


def prove_end(client: Client, graph_type: GraphType, checkpoint: EventId) -> EventId | None:
    """The head, when nothing was found behind a checkpoint: equal to it at the end, behind it when there is more by now.

    Raises :class:`Expired` when records may be gone unread: the service answers both cases with the same error.
    """
    oldest = first(client, graph_type)
    newest = head(client, graph_type)
    if oldest is None or newest is None:
        if checkpoint == START:
            return None
        raise expired(checkpoint, None)
    if oldest[0].commit > checkpoint.commit + 1:
        raise expired(checkpoint, oldest[0])
    if newest < checkpoint:
        raise BlueGreenError(
            f"The stream of {client.endpoint.side} ends at {newest}, before the checkpoint {checkpoint}: it is the stream of "
            "another cluster, or it was turned off and on again; build green anew."
        )
    return newest


def expired(checkpoint: EventId, oldest: EventId | None) -> Expired:
    """The error that says that records are gone, and what to do."""
    kept = "nothing is kept" if oldest is None else f"what is kept begins at {oldest}"
    return Expired(
        f"Replication should go on after {checkpoint}, but the stream has lost records there ({kept}): nobody can catch up from "
        "it; build green anew, with neptune_streams_expiry_days long enough for the time that it takes."
    )


def _behind(client: Client, graph_type: GraphType, checkpoint: EventId, limit: int) -> Sequence[Record]:
    where: dict[str, str | int]
    if checkpoint == START:
        where = {"iteratorType": "TRIM_HORIZON"}
    else:
        where = {"iteratorType": "AFTER_SEQUENCE_NUMBER", "commitNum": checkpoint.commit, "opNum": checkpoint.op}
    try:
        found = _read(client, graph_type, limit=limit, **where)
    except NeptuneError as error:
        if error.code == _EXPIRED:
            raise expired(checkpoint, None) from None
        raise
    return found["records"] if found is not None else []


def _read(client: Client, graph_type: GraphType, **query: str | int) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.get(_PATH[graph_type], **query)
    except NeptuneError as error:
        if error.code == _END:
            return None
        raise
    return found


def _page(records: Sequence[Record], checkpoint: EventId) -> Page:
    _prove_sequence(records, checkpoint)
    cut = len(records)
    while cut and not records[cut - 1].get("isLastOp"):
        cut -= 1
    complete = cut > 0
    if complete and cut < len(records):
        records = records[:cut]
    return Page(
        records=records,
        last=_event(records[-1]["eventId"]),
        first_timestamp_ms=int(records[0]["commitTimestamp"]),
        complete=complete,
    )


def _prove_sequence(records: Sequence[Record], checkpoint: EventId) -> None:
    begin = _event(records[0]["eventId"])
    if begin <= checkpoint:
        raise BlueGreenError(
            f"The stream should go on after {checkpoint}, but goes on with {begin}, which is not behind it: it is the stream "
            "of another cluster; check the host of blue."
        )
    if begin.commit > checkpoint.commit + 1 and checkpoint == START:
        raise expired(checkpoint, begin)
    commit = checkpoint.commit
    for record in records:
        found = int(record["eventId"]["commitNum"])
        if found != commit:
            if found != commit + 1:
                raise Gap(commit + 1, found)
            commit = found


def _event(found: Mapping[str, Any]) -> EventId:
    return EventId(int(found["commitNum"]), int(found["opNum"]))
