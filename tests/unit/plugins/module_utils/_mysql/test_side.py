# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the side of a MySQL deployment decides from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pymysql
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import side_channel, side_fence
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import Channel, Coordinates
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.side_channel import Inbound
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.side_wait import same

OFF, UP, HALF = ("No", False), ("Yes", True), ("Yes", False)


def inbound(monkeypatch: pytest.MonkeyPatch, threads: tuple[str, bool] | None, user: str = "repl") -> Inbound:
    """The channel into blue in some state, None when there is none."""
    found = None
    if threads is not None:
        found = Channel("green", 3306, user, *threads, False, None, None, "", "", None, None, None)
    monkeypatch.setattr(side_channel, "channel", lambda _conn, _dialect: found)
    return Inbound(cast(Any, None), cast(Any, None), cast(Any, None), "reverse", {"repl"})


@pytest.mark.parametrize(
    ("threads", "settings", "state"),
    [
        (None, {}, "gone"),
        (None, {"armed": "reverse"}, "partial"),
        (OFF, {"armed": "reverse"}, "armed"),
        (UP, {"armed": "reverse"}, "armed"),  # a restart of the server has started it, before its time
        (OFF, {"starting": "reverse"}, "armed"),
        (UP, {"starting": "reverse"}, "running"),
        (OFF, {}, "stopped"),
        (HALF, {}, "stopped"),
        (UP, {}, "running"),
        (OFF, {"armed": "forward"}, "stopped"),
        (OFF, {"starting": "forward"}, "stopped"),
    ],
)
def test_what_the_channel_and_the_record_amount_to(
    monkeypatch: pytest.MonkeyPatch, threads: tuple[str, bool] | None, settings: Mapping[str, Any], state: str
) -> None:
    assert inbound(monkeypatch, threads).state(settings) == state


def test_a_channel_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BlueGreenError, match="blue should replicate from nowhere but"):
        inbound(monkeypatch, UP, user="other").state({})


def test_a_new_file_of_the_log_alone_is_no_write_with_gtids() -> None:
    before, after = Coordinates("bin.000001", 900, "u:1-9"), Coordinates("bin.000002", 157, "u:1-9")
    assert same(before, after, gtid=True)
    assert not same(before, after, gtid=False)


@pytest.mark.parametrize(("text", "moved"), [("u:1-10", True), ("u:1-9", False)])
def test_what_was_executed_tells_a_write_with_gtids(text: str, moved: bool) -> None:
    assert same(Coordinates("bin.000001", 900, "u:1-9"), Coordinates("bin.000001", 900, text), gtid=True) is not moved


class Cursor:
    """Kills sessions as the server does: statements sent together end at the first one that fails."""

    def __init__(self, there: set[int], sent: list[list[int]]) -> None:
        self._there, self._sent = there, sent
        self._left: list[int] = []

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def execute(self, statements: str) -> None:
        self._left = [int(statement.split()[1]) for statement in statements.split(";")]
        self._sent.append(list(self._left))
        self._next()

    def nextset(self) -> bool:
        if not self._left:
            return False
        self._next()
        return True

    def _next(self) -> None:
        number = self._left.pop(0)
        if number not in self._there:
            code = 1095 if number % 2 else 1094
            raise pymysql.err.OperationalError(code, f"Unknown thread id, or not the owner of thread {number}")
        self._there.remove(number)


@pytest.mark.parametrize("gone", [set(), {1}, {7}, {1, 2, 3}, {50, 51}, {120}, set(range(1, 121))])
def test_every_session_is_ended_whichever_have_ended_by_themselves(gone: set[int]) -> None:
    there, sent = set(range(1, 121)) - gone, list[list[int]]()
    conn = type("Connection", (), {"cursor": lambda _self: Cursor(there, sent)})()
    side_fence._kill(cast(Any, conn), "KILL {}", list(range(1, 121)))
    assert there == set()
    assert max(map(len, sent)) == 50
