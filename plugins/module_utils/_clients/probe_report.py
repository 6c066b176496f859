# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a probe saw, from the lines of its file. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .probe_log import Record

_MOST_NAMED = 20
_WORTH_SAYING = 100.0  # ms


@dataclass(frozen=True)
class Gap:
    """The longest time without a success of one kind in one lane; ``ended`` is False when none came any more."""

    ms: float
    begin: str
    end: str
    lane: str
    ended: bool

    def as_dict(self) -> dict[str, Any]:
        """The gap as plain values."""
        return {"ms": self.ms, "from": self.begin, "to": self.end, "lane": self.lane, "ended": self.ended}


def report(records: Sequence[Record]) -> dict[str, Any]:
    """The report of a run, complete or not."""
    attempts = [record for record in records if record["record"] == "attempt"]
    end = next((record for record in reversed(records) if record["record"] == "end"), None)
    runs = [record for record in records if record["record"] == "run"]
    gaps = {op: _gaps(records, op) for op in ("write", "read")}
    longest = {op: max(found, key=lambda gap: gap.ms, default=None) for op, found in gaps.items()}
    stretches = _stretches(records)
    return {
        "run_id": runs[0]["run"] if runs else None,
        "complete": end is not None,
        "ended_by": end["why"] if end else None,
        "began": runs[0]["at"] if runs else None,
        "last": records[-1]["at"] if records else None,
        "watched_ms": round(sum(_length(stretch) for stretch in stretches), 1),
        "unwatched": _unwatched(stretches),
        "attempts": _counts(attempts),
        **{f"longest_{op}_gap_ms": gap.ms if gap else None for op, gap in longest.items()},
        "gaps": {op: [gap.as_dict() for gap in found] for op, found in gaps.items()},
        "overslept_ms": _overslept(records),
        "errors": _errors(attempts),
        "canaries": end["canaries"] if end else None,
        "stale_reads": _stale_reads(records),
        "servers": _spans(attempts, ("address", "server")),
        "dns": _dns([record for record in records if record["record"] == "dns"]),
    }


def acknowledged(records: Iterable[Record]) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """The canaries that were acknowledged, and those of which it is not known whether they were written."""
    writes = [record for record in records if record["record"] == "attempt" and record["op"] == "write"]
    good = {(record["lane"], record["n"]) for record in writes if record["ok"]}
    return good, {(record["lane"], record["n"]) for record in writes if not record["ok"]} - good


def audit(records: Iterable[Record], written: Counter[tuple[str, int]], server: str) -> dict[str, Any]:
    """What became of the canaries: ``written`` is how often each is there on the side that serves."""
    good, unknown = acknowledged(records)
    lost = sorted(good - set(written))
    doubled = sorted(one for one, count in written.items() if count > 1)
    return {
        "checked": True,
        "acknowledged": len(good),
        "found": len(good & set(written)),
        "lost": len(lost),
        "lost_ids": [_id(one) for one in lost[:_MOST_NAMED]],
        "doubled": len(doubled),
        "doubled_ids": [_id(one) for one in doubled[:_MOST_NAMED]],
        "unacknowledged_found": len(unknown & set(written)),
        "server": server,
        "reason": None,
    }


def unaudited(records: Iterable[Record], reason: str) -> dict[str, Any]:
    """The same when the side that serves could not be asked: nothing is known, and nothing is called whole."""
    good, _unknown = acknowledged(records)
    unknown = dict.fromkeys(("found", "lost", "lost_ids", "doubled", "doubled_ids", "unacknowledged_found", "server"))
    return {"checked": False, "acknowledged": len(good), **unknown, "reason": reason}


def objections(found: dict[str, Any], max_gap_ms: float | None) -> list[str]:
    """What is wrong with a report, in words; none when nothing is."""
    said = [
        f"the longest time without a {op} was {gap['ms']:g} ms (from {gap['from']} to {gap['to']}, "
        f"{'new connections' if gap['lane'] == 'new' else 'a kept connection'}), but at most {max_gap_ms:g} ms are wanted"
        for op in ("write", "read")
        for gap in sorted(found["gaps"][op], key=lambda gap: -float(gap["ms"]))[:1]
        if max_gap_ms is not None and gap["ms"] > max_gap_ms
    ]
    canaries = found["canaries"]
    if canaries is None:
        return said
    if not canaries["checked"]:
        return [*said, f"it is not known whether acknowledged canaries were lost, because {canaries['reason']}"]
    if canaries["lost"]:
        said.append(
            f"{canaries['lost']} of {canaries['acknowledged']} acknowledged canaries are not there on the side that serves"
        )
    if canaries["doubled"]:
        said.append(f"{canaries['doubled']} canaries are there more than once")
    return said


def sentences(found: dict[str, Any]) -> list[str]:
    """The report in lines, for people."""
    counts = found["attempts"]
    lines = [
        f"{counts['writes']} writes, {counts['writes_failed']} failed; {counts['reads']} reads, {counts['reads_failed']} failed",
        *(_gap_line(op, found["gaps"][op]) for op in ("write", "read")),
        *(
            f"error {error['kind']}{' ' + error['code'] if error['code'] else ''}: {error['count']} times from {error['first']} "
            f"to {error['last']}: {error['message']}"
            for error in found["errors"]
        ),
        *(
            f"served by {one['server']} at {one['address']} from {one['from']} to {one['to']}"
            for one in found["servers"]
        ),
    ]
    if found["overslept_ms"] >= _WORTH_SAYING:
        lines.append(f"the probe itself was late by up to {found['overslept_ms']:g} ms: its host was busy")
    canaries = found["canaries"]
    if canaries and canaries["checked"]:
        lines.append(
            f"{canaries['acknowledged']} canaries acknowledged, {canaries['lost']} lost, {canaries['doubled']} doubled"
        )
    elif canaries:
        lines.append(f"canaries not checked: {canaries['reason']}")
    return lines


def _gap_line(op: str, gaps: Sequence[dict[str, Any]]) -> str:
    if not gaps:
        return f"no {op} was tried"
    gap = max(gaps, key=lambda one: float(one["ms"]))
    still = "" if gap["ended"] else ", not ended"
    return f"longest {op} gap {gap['ms']:g} ms from {gap['from']} to {gap['to']} ({gap['lane']}{still})"


def _stretches(records: Iterable[Record]) -> list[list[Record]]:
    """The records of each process that watched."""
    stretches: list[list[Record]] = []
    for record in records:
        if record["record"] == "run":
            stretches.append([])
        if stretches:
            stretches[-1].append(record)
    return stretches


def _length(stretch: Sequence[Record]) -> float:
    return max(_end(record) for record in stretch)


def _end(record: Record) -> float:
    return float(record["t"]) + float(record.get("ms", 0.0))


def _unwatched(stretches: Sequence[Sequence[Record]]) -> list[dict[str, Any]]:
    """The times between two processes: nobody looked, so nothing is said about them."""
    return [{"from": before[-1]["at"], "to": after[0]["at"]} for before, after in itertools.pairwise(stretches)]


def _gaps(records: Sequence[Record], op: str) -> list[Gap]:
    """The longest gap of each lane; between processes that watched there is none."""
    longest: dict[str, Gap] = {}
    for stretch in _stretches(records):
        tries = [record for record in stretch if record["record"] == "attempt" and record["op"] == op]
        begin = _time(stretch[0])
        for lane in sorted({record["lane"] for record in tries}):
            ends = sorted(_end(record) for record in tries if record["lane"] == lane and record["ok"])
            last = max(_end(record) for record in tries if record["lane"] == lane)
            points = [0.0, *ends, *([last] if not ends or last > ends[-1] else [])]
            before, after = max(itertools.pairwise(points), key=lambda pair: pair[1] - pair[0])
            gap = Gap(
                round(after - before, 1),
                _later(begin, before),
                _later(begin, after),
                lane,
                bool(ends) and after <= ends[-1],
            )
            if lane not in longest or gap.ms > longest[lane].ms:
                longest[lane] = gap
    return [longest[lane] for lane in sorted(longest)]


def _overslept(records: Sequence[Record]) -> float:
    """The longest time in which a lane should have tried and did not: the host of the probe was busy, not the database."""
    longest = 0.0
    for stretch in _stretches(records):
        interval = float(stretch[0]["interval_ms"])
        busy: dict[tuple[str, str], float] = {}  # until when a thread was at work; new connections have one for both
        for record in sorted((one for one in stretch if one["record"] == "attempt"), key=lambda one: float(one["t"])):
            thread = (record["lane"], record["op"] if record["lane"] == "kept" else "")
            idle = float(record["t"]) - busy.get(thread, 0.0)
            longest = max(longest, idle - interval)
            busy[thread] = max(busy.get(thread, 0.0), _end(record))
    return round(longest, 1)


def _counts(attempts: Iterable[Record]) -> dict[str, int]:
    counts = Counter((record["op"], bool(record["ok"])) for record in attempts)
    return {
        name: number
        for op in ("write", "read")
        for name, number in (
            (f"{op}s", counts[op, True] + counts[op, False]),
            (f"{op}s_failed", counts[op, False]),
        )
    }


def _errors(attempts: Iterable[Record]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for record in attempts:
        if record["ok"]:
            continue
        kind, code = record["error"]["kind"], record["error"]["code"]
        entry = found.setdefault(
            (kind, code),
            {"kind": kind, "code": code, "count": 0, "first": record["at"], "message": record["error"]["message"]},
        )
        entry["count"] += 1
        entry["last"] = record["at"]
    return sorted(found.values(), key=lambda entry: str(entry["first"]))


def _spans(attempts: Iterable[Record], keys: Sequence[str]) -> list[dict[str, Any]]:
    """The servers that answered, each with from when to when and how often, in the order of their first answer."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in sorted((one for one in attempts if one["ok"]), key=lambda one: str(one["at"])):
        key = tuple(record[name] for name in keys)
        entry = found.setdefault(key, {**dict(zip(keys, key, strict=True)), "from": record["at"], "answers": 0})
        entry["answers"] += 1
        entry["to"] = record["at"]
    return list(found.values())


def _stale_reads(records: Iterable[Record]) -> int:
    """Reads that did not see a canary of their lane that had been acknowledged before they began."""
    stale = 0
    for stretch in _stretches(records):
        for lane in ("kept", "new"):
            mine = [one for one in stretch if one["record"] == "attempt" and one["lane"] == lane and one["ok"]]
            acked = sorted((_end(one), int(one["n"])) for one in mine if one["op"] == "write")
            position, highest = 0, 0
            for read in sorted((one for one in mine if one["op"] == "read"), key=lambda one: float(one["t"])):
                while position < len(acked) and acked[position][0] <= float(read["t"]):
                    highest = max(highest, acked[position][1])
                    position += 1
                stale += int(read["n"]) < highest
    return stale


def _dns(lookups: Sequence[Record]) -> dict[str, Any]:
    """The answers in the order in which they changed, and the TTLs; a TTL is known from a DNS server only."""
    answers: list[dict[str, Any]] = []
    for one in lookups:
        seen = {"addresses": one["addresses"], "error": one["error"]}
        if not answers or {name: answers[-1][name] for name in seen} != seen:
            answers.append({**seen, "from": one["at"], "to": one["at"]})
        answers[-1]["to"] = one["at"]
    ttls = [int(one["ttl"]) for one in lookups if one["ttl"] is not None]
    return {"answers": answers, "ttl_min": min(ttls, default=None), "ttl_max": max(ttls, default=None)}


def _id(canary: tuple[str, int]) -> str:
    return f"{canary[0]}/{canary[1]}"


def _time(record: Record) -> datetime:
    return datetime.fromisoformat(record["at"])


def _later(begin: datetime, ms: float) -> str:
    return (begin + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
