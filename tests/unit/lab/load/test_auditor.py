# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The auditor finds every way in which an acknowledged write can go wrong, and nothing when all went well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.auditor import Audit, Key, Row, Snapshot, compare
from tests.lab.load_ledger import COMMITTED, INTENT, REFUSED, UNKNOWN, Entry

SERVER = "127.0.0.5"


def told(outcome: str, n: int = 1, writer: int = 1, sqlstate: str | None = None) -> Entry:
    row_id = 1000 * writer + n if outcome == COMMITTED else None
    server = SERVER if outcome == COMMITTED else None
    return Entry(writer, n, outcome, "single", 0.0, 1.0, amount=n, row_id=row_id, server=server, sqlstate=sqlstate)


def row(n: int = 1, writer: int = 1) -> Row:
    return Row(writer, n, amount=n, row_id=1000 * writer + n, server=SERVER)


def ledger(*entries: Entry) -> dict[Key, Entry]:
    return {(entry.writer, entry.n): entry for entry in entries}


def audited(entries: Mapping[Key, Entry], *rows: Row, fenced: tuple[Row, ...] | None = None) -> Audit:
    return compare(entries, Snapshot(rows), entries, None if fenced is None else Snapshot(fenced))


def test_everything_there_once_is_clean() -> None:
    audit = audited(ledger(told(COMMITTED, 1), told(REFUSED, 2), told(COMMITTED, 3)), row(1), row(3), fenced=(row(1),))
    assert audit.clean
    assert (audit.acknowledged, audit.rows) == (2, 2)


def test_an_acknowledged_write_that_is_not_there_is_lost() -> None:
    assert audited(ledger(told(COMMITTED, 1), told(COMMITTED, 2)), row(1)).lost == ((1, 2),)


def test_a_write_that_is_there_twice_is_duplicated() -> None:
    assert audited(ledger(told(COMMITTED)), row(), row()).duplicated == ((1, 1),)


@pytest.mark.parametrize("entries", [ledger(told(REFUSED)), ledger()])
def test_a_row_that_was_refused_or_that_nobody_wrote_is_a_ghost(entries: dict[Key, Entry]) -> None:
    assert audited(entries, row()).ghosts == ((1, 1),)


def test_an_unknown_answer_is_settled_by_what_is_there() -> None:
    audit = audited(ledger(told(UNKNOWN, 1), told(UNKNOWN, 2), told(INTENT, 3)), row(1))
    assert audit.clean
    assert (audit.resolved_committed, audit.resolved_absent) == (1, 2)


def test_an_unknown_write_must_not_be_there_twice() -> None:
    assert audited(ledger(told(UNKNOWN)), row(), row()).duplicated == ((1, 1),)


def test_a_row_on_the_fenced_side_only_went_to_the_wrong_side() -> None:
    audit = audited(ledger(told(COMMITTED, 1), told(UNKNOWN, 2)), row(1), fenced=(row(1), row(2)))
    assert audit.wrong_side_only == ((1, 2),)


def test_what_the_fenced_side_does_not_have_yet_is_no_finding() -> None:
    assert audited(ledger(told(COMMITTED)), row(), fenced=()).clean


@pytest.mark.parametrize(
    "wrong", [replace(row(), amount=7), replace(row(), row_id=7), replace(row(), server="127.0.0.6")]
)
def test_a_row_that_is_not_what_was_acknowledged_is_altered(wrong: Row) -> None:
    assert audited(ledger(told(COMMITTED)), wrong).altered == ((1, 1),)


def test_a_sequence_value_that_two_writers_were_told_is_a_collision() -> None:
    entries = ledger(told(COMMITTED, 1), replace(told(COMMITTED, 2), row_id=1001))
    audit = audited(entries, row(1), replace(row(2), row_id=1001))
    assert audit.collisions == ("1 sequence values of shop.ledger handed out twice (1001, ..)",)


def test_a_write_refused_for_a_taken_key_is_a_collision() -> None:
    audit = audited(ledger(told(REFUSED, sqlstate="23505")))
    assert audit.collisions == ("1 writes refused because a sequence handed out a taken value",)


def test_what_a_side_says_about_its_sums_and_sequences_is_reported() -> None:
    entries = ledger(told(COMMITTED))
    audit = compare(entries, Snapshot((row(),), ("sum",), ("sequence",)), entries)
    assert audit.findings() == ["sum broken: sum", "sequence"]


def test_an_answer_that_came_during_the_cut_is_neither_lost_nor_a_ghost() -> None:
    before = ledger(told(COMMITTED, 1), told(INTENT, 2))
    after = ledger(told(COMMITTED, 1), told(COMMITTED, 2), told(COMMITTED, 3), told(COMMITTED, 4))
    audit = compare(before, Snapshot((row(1), row(2), row(3))), after)
    assert audit.clean
    assert audit.acknowledged == 1


KEYS = st.sets(st.tuples(st.integers(1, 3), st.integers(1, 30)), min_size=1)


@given(KEYS, st.data())
def test_any_one_fault_is_found_and_named(keys: set[Key], data: st.DataObject) -> None:
    entries = ledger(*(told(COMMITTED, n, writer) for writer, n in keys))
    rows = [row(n, writer) for writer, n in sorted(keys)]
    victim = data.draw(st.sampled_from(sorted(keys)))
    fault = data.draw(st.sampled_from(["none", "lose", "double"]))
    hit = [one for one in rows if (one.writer, one.n) == victim]
    shown = [one for one in rows if one not in hit] if fault == "lose" else rows + hit if fault == "double" else rows
    audit = audited(entries, *shown)
    assert audit.clean == (fault == "none")
    assert audit.lost == ((victim,) if fault == "lose" else ())
    assert audit.duplicated == ((victim,) if fault == "double" else ())
