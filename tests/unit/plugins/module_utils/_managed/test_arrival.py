# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lag that a server tells is believed only when what blue has written arrives."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.arrival import arrives

DENIED = BlueGreenError("blue should answer, but: access denied.", reason="grant")
AT = {"file": "mysql-bin-changelog.000009", "position": 400}
BEFORE, IN_THE_NEXT = ("mysql-bin-changelog.000009", 157), ("mysql-bin-changelog.000010", 4)
LAST = ("mysql-bin-changelog.1000000", 4)  # the file after the 999999th


class Session:
    """Answers each statement from a list, the last one again and again."""

    def __init__(self, family: str, answers: dict[str, list[Any]]) -> None:
        self.family, self._answers = family, answers

    def rows(self, statement: str) -> list[Any]:
        found = self._answers[statement.split()[1].lower()]
        answer = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(answer, BlueGreenError):
            raise answer
        return [answer] if answer else []


def mysql(master: Any, *seen: tuple[str, int]) -> bool:
    """Whether it arrives on a green whose applier is seen at these places in turn; blue is older than MySQL 8.4."""
    blue: Any = Session("mysql", {"binary": [DENIED], "master": [master]})
    places = [{"relay_source_log_file": file, "exec_source_log_pos": place} for file, place in seen]
    green: Any = Session("mysql", {"replica": places})
    return arrives(blue, green, 0.1, physical=False)


def test_green_has_what_blue_had_or_gets_it_in_time() -> None:
    assert mysql(AT, BEFORE, BEFORE, IN_THE_NEXT)
    assert mysql({**AT, "file": "mysql-bin-changelog.999999"}, LAST)


def test_a_replication_that_stands_still_is_seen() -> None:
    assert not mysql(AT, BEFORE)
    assert not mysql({"file": LAST[0], "position": 4}, ("mysql-bin-changelog.999999", 400))


@pytest.mark.parametrize("answer", [DENIED, None])
def test_without_the_right_to_ask_for_blues_position_the_lag_is_what_is_told(answer: Any) -> None:
    assert mysql(answer, BEFORE)


@pytest.mark.parametrize(("physical", "asked"), [(True, "green"), (False, "blue")])
def test_a_physical_green_tells_itself_what_it_has(physical: bool, asked: str) -> None:
    lsn, yes, no = {"position": "0/400"}, {"has": True}, {"has": False}
    blue: Any = Session("postgresql", {"pg_current_wal_lsn()::text": [lsn], "coalesce(bool_and(r.flush_lsn": [yes]})
    green: Any = Session("postgresql", {"pg_last_wal_receive_lsn()": [no]})
    assert arrives(blue, green, 0.1, physical=physical) is (asked == "blue")
