# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger says what each writer was told, and refuses to be read in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.load_ledger import (
    COMMITTED,
    INTENT,
    REFUSED,
    UNKNOWN,
    Entry,
    Ledger,
    LedgerFile,
    Phase,
    Run,
    as_final,
    count_phases,
    longest_gap,
)


def entry(n: int, outcome: str, ended: float = 0.0, writer: int = 1) -> Entry:
    return Entry(writer=writer, n=n, outcome=outcome, kind="single", started=ended - 0.5, ended=ended, amount=n)


def write(directory: Path, *entries: Entry) -> None:
    for one in entries:
        file = LedgerFile(directory, one.writer)
        file.append(one)
        file.close()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    told = Entry(3, 7, COMMITTED, "multi", 1.5, 2.25, amount=-4, row_id=99, server="127.0.0.9", sqlstate=None)
    refused = Entry(3, 8, REFUSED, "single", 2.5, 2.75, amount=5, sqlstate="25006")
    write(tmp_path, told, refused)
    assert Ledger(tmp_path).settled() == {(3, 7): told, (3, 8): refused}


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    ledger, line = Ledger(tmp_path), entry(2, COMMITTED).line()
    write(tmp_path, entry(1, COMMITTED))
    with (tmp_path / "writer-1.ledger").open("ab", buffering=0) as file:
        file.write(line[:-5])
        assert list(ledger.settled()) == [(1, 1)]
        file.write(line[-5:])
        assert list(ledger.settled()) == [(1, 1), (1, 2)]


def test_the_answer_replaces_the_intent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    write(tmp_path, entry(1, INTENT), entry(2, INTENT))
    before = ledger.settled()
    write(tmp_path, entry(1, COMMITTED))
    assert [one.outcome for one in ledger.settled().values()] == [COMMITTED, INTENT]
    assert [one.outcome for one in before.values()] == [INTENT, INTENT]


def test_an_intent_of_a_killed_writer_is_unknown(tmp_path: Path) -> None:
    write(tmp_path, entry(1, INTENT), entry(1, REFUSED), entry(2, INTENT))
    final = as_final(Ledger(tmp_path).settled())
    assert [one.outcome for one in final.values()] == [REFUSED, UNKNOWN]


@pytest.mark.parametrize("again", [INTENT, COMMITTED, REFUSED])
def test_a_number_used_twice_proves_nothing(tmp_path: Path, again: str) -> None:
    write(tmp_path, entry(1, INTENT), entry(1, COMMITTED), entry(1, again))
    with pytest.raises(ValueError, match="n=1"):
        Ledger(tmp_path).settled()


def test_the_longest_gap_is_one_writers_time_between_two_acknowledgements() -> None:
    entries = [
        entry(1, COMMITTED, 1.0),
        entry(1, COMMITTED, 1.5, writer=2),
        entry(2, REFUSED, 2.0),
        entry(3, COMMITTED, 4.0),
        entry(2, COMMITTED, 3.0, writer=2),
    ]
    assert longest_gap(entries, Run(frozenset({1, 2}), 0.5, 4.0)) == 3.0
    assert longest_gap(entries, Run(frozenset({2}), 0.5, 4.0)) == 1.5


def test_a_writer_that_is_held_to_the_end_has_a_gap() -> None:
    assert longest_gap([entry(1, COMMITTED, 1.0)], Run(frozenset({1}), 0.0, 10.0)) == 9.0


def test_a_writer_that_never_got_through_has_the_longest_gap() -> None:
    assert longest_gap([entry(1, COMMITTED, 9.0)], Run(frozenset({1, 2}), 0.0, 10.0)) == 10.0


def test_a_gap_counts_in_full_for_every_stretch_it_touches() -> None:
    entries = [entry(1, COMMITTED, 1.0), entry(2, COMMITTED, 5.0), entry(3, COMMITTED, 6.0)]
    run = Run(frozenset({1}), 0.9, 6.1)
    assert longest_gap(entries, run, 2.0, 3.0) == 4.0
    assert longest_gap(entries, run, 5.5, 6.0) == 1.0


def test_acknowledgements_are_counted_in_the_phase_that_they_came_in() -> None:
    entries = [entry(1, COMMITTED, 1.0), entry(2, COMMITTED, 2.0), entry(3, REFUSED, 2.5), entry(4, UNKNOWN, 2.6)]
    counts = count_phases(entries, [Phase("first", 0.5), Phase("second", 2.0)], Run(frozenset({1}), 0.5, 3.0))
    assert [(c.name, c.seconds, c.committed, c.refused, c.unknown) for c in counts] == [
        ("first", 1.5, 1, 0, 0),
        ("second", 1.0, 1, 1, 1),
    ]
