# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe on a table in memory."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._clients import probe
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.probe import Plan
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.probing import Request, Table, reach
from ansible_collections.bluegreen.aws.plugins.module_utils._core.canaries import Canary, Seen
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.failures import AttemptFailed, Failure
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.modules.bg_probe import check_options

TABLE = Table("s.t", (), create=True, cleanup=False)


class Memory:
    """A table that can be away (`down`), and whose answers can be waited for in vain (`silent`)."""

    def __init__(self) -> None:
        self.rows: list[Canary] = []
        self.there, self.down, self.silent, self.right = False, False, False, ""
        self.others = ""  # the columns of what has the table's name and is none of ours

    def open(self) -> Connection:
        self.ask()
        return Connection(self)

    def ask(self) -> None:
        if self.down:
            raise AttemptFailed(Failure("refused", "", "refused"))

    def exists(self) -> bool:
        self.ask()
        return self.there

    def privilege(self) -> str:
        return self.right

    def foreign(self) -> str:
        return self.others

    def obstacle(self) -> str:
        return ""

    def statements(self, users: Sequence[str]) -> list[str]:
        return ["CREATE TABLE s.t"]

    def create(self, users: Sequence[str]) -> None:
        self.there = True

    def written(self, run: str) -> Counter[tuple[str, int]]:
        self.ask()
        return Counter((row.lane, row.number) for row in self.rows if row.run == run)

    def forget(self, run: str) -> bool:
        self.rows = [row for row in self.rows if row.run != run]
        return not self.rows

    def drop(self) -> None:
        self.there = False


class Connection:
    address, server = "10.0.0.1", "one"

    def __init__(self, memory: Memory) -> None:
        self._memory, self._severed = memory, threading.Event()

    def write(self, canary: Canary) -> str:
        self._wait()
        self._memory.rows.append(canary)
        return self.server

    def read(self, run: str, lane: str) -> Seen:
        self._wait()
        found = [row.number for row in self._memory.rows if (row.run, row.lane) == (run, lane)]
        return Seen(self.server, max(found, default=0))

    def _wait(self) -> None:
        self._memory.ask()
        if self._memory.silent and self._severed.wait(10):
            raise AttemptFailed(Failure("server_closed", "", "closed"))

    def sever(self) -> None:
        self._severed.set()

    def close(self) -> None:
        pass


def run(memory: Memory, path: Path, *, check: bool = False, state: str = "running", **more: Any) -> dict[str, Any]:
    table, replaced = more.pop("table", TABLE), more.pop("replace", False)
    options = {"duration": 0.25, "interval": 0.01, "timeout": 0.1, "connections": ("new", "kept"), **more}
    plan = Plan(run="r", path=str(path), engine="memory", host="127.0.0.1", **options)
    return reach(Request(state, plan, table, None, replaced), memory, Journal(check))


def later(seconds: float, effect: Any) -> None:
    threading.Timer(seconds, effect).start()


def test_an_endpoint_that_does_not_answer_at_the_end_is_not_called_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_SETTLE", 0.05)
    memory = Memory()
    later(0.15, lambda: setattr(memory, "down", True))
    with pytest.raises(
        BlueGreenError, match="not known whether acknowledged canaries were lost, because the"
    ) as failed:
        run(memory, tmp_path / "p")
    report = failed.value.details["report"]
    assert report["canaries"]["lost"] is None and report["canaries"]["acknowledged"] > 0
    assert report["errors"][0]["kind"] == "refused" and not report["gaps"]["write"][0]["ended"]


def test_an_attempt_without_an_answer_is_broken_and_counted_as_a_timeout(tmp_path: Path) -> None:
    memory = Memory()
    later(0.05, lambda: setattr(memory, "silent", True))
    later(0.3, lambda: setattr(memory, "silent", False))
    found = run(memory, tmp_path / "p", duration=0.6)["report"]
    assert {error["kind"] for error in found["errors"]} == {"timeout"} and found["longest_write_gap_ms"] >= 100


def test_a_run_that_goes_on_takes_no_number_twice_and_only_the_time_that_is_left(tmp_path: Path) -> None:
    memory, path = Memory(), tmp_path / "p"
    run(memory, path, duration=0.2)
    lines = path.read_text().splitlines()[:-1]  # as if it had been killed before its end
    memory.rows.append(
        Canary("r", "kept", 1 + max(json.loads(line).get("n", 0) for line in lines))
    )  # and within a write
    path.write_text("\n".join(lines) + "\n")
    begin = time.monotonic()
    found = run(memory, path, duration=0.3)["report"]
    assert time.monotonic() - begin < 0.28 and found["canaries"]["doubled"] == 0 and len(found["unwatched"]) == 1


def test_a_file_is_moved_aside_when_it_may_be_and_its_run_has_ended(tmp_path: Path) -> None:
    memory, path = Memory(), tmp_path / "p"
    began = run(memory, path, duration=0.05)["report"]["began"]
    assert run(memory, path)["report"]["began"] == began
    assert run(memory, path, check=True, replace=True) == {} and len(list(tmp_path.iterdir())) == 1
    assert run(memory, path, duration=0.05, replace=True)["report"]["canaries"]["doubled"] == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p", f"p.{began}"]


def test_check_mode_probes_nothing(tmp_path: Path) -> None:
    memory, path = Memory(), tmp_path / "p"
    assert run(memory, path, check=True) == {} and not path.exists() and not memory.there


def test_a_table_that_must_not_be_made_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BlueGreenError, match=r"run as its owner: CREATE TABLE s\.t\."):
        run(Memory(), tmp_path / "p", table=Table("s.t", (), create=False, cleanup=False))


def test_cleaning_up_keeps_the_canaries_of_others(tmp_path: Path) -> None:
    memory, table = Memory(), Table("s.t", (), create=True, cleanup=True)
    memory.rows.append(Canary("other", "new", 1))
    report = run(memory, tmp_path / "p", table=table)["report"]
    assert memory.there and memory.rows == [Canary("other", "new", 1)] and report["canaries"]["found"] > 0
    memory.rows.clear()
    run(memory, tmp_path / "q", table=table)
    assert not memory.there


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, path = Memory(), tmp_path / "p"
    real, begin = os.write, time.monotonic()

    def write(descriptor: int, text: bytes) -> int:
        if 0.1 < time.monotonic() - begin < 0.15:
            raise OSError(28, "No space left on device")
        return real(descriptor, text)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(BlueGreenError, match=r"could not be written: .*No space left on device"):
        run(memory, path)


@pytest.mark.parametrize("state", ["running", "prepared", "absent"])
def test_a_table_of_somebody_else_is_neither_written_to_nor_removed(tmp_path: Path, state: str) -> None:
    memory = Memory()
    memory.there, memory.others = True, "id, customer"
    with pytest.raises(BlueGreenError, match=r"is another one, with the columns id, customer: .* Nothing was changed"):
        if state == "running":
            run(memory, tmp_path / "p")
        else:
            reach(Request(state, None, TABLE, None), memory, Journal(False))
    assert memory.there and not memory.rows


def test_only_a_file_is_written_to_and_its_permissions_changed(tmp_path: Path) -> None:
    before = Path("/dev/null").stat().st_mode
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        for state in ("running", "reported"):
            with pytest.raises(BlueGreenError, match="should be a file of its own, but it is no regular file"):
                run(Memory(), path, state=state)
    assert Path("/dev/null").stat().st_mode == before


def test_a_file_of_another_user_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(BlueGreenError, match=r"but it belongs to the user with the id \d+: give another path"):
        run(Memory(), tmp_path / "p")


def test_a_probe_is_not_ended_through_a_link_of_somebody_else(tmp_path: Path) -> None:
    memory, path, elsewhere = Memory(), tmp_path / "p", tmp_path / "elsewhere"
    going = threading.Thread(target=lambda: run(memory, path, duration=0.6))
    going.start()
    while not path.exists():
        time.sleep(0.01)
    time.sleep(0.05)
    path.with_name("p.stop").symlink_to(elsewhere)
    with pytest.raises(BlueGreenError, match="look who else has a file there"):
        run(memory, path, state="stopped")
    going.join()
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"duration": math.nan, "interval_ms": 0}, "duration and interval_ms must be a number above 0"),
        ({"duration": math.inf}, "duration must be a number above 0"),
        ({"max_gap_ms": math.nan}, "max_gap_ms must be 0 or more, but is nan"),
        ({"max_gap_ms": -1.0}, "max_gap_ms must be 0 or more, but is -1"),
        ({"connections": []}, "connections must name what to probe with"),
        ({"run_id": "a\nb"}, "run_id may have 55 characters at most, and none that cannot be seen"),
        ({"run_id": "a" * 56}, "run_id may have 55 characters at most"),
        ({"table": "a\0b", "schema": ""}, "schema and table must be a name"),
    ],
)
def test_options_that_would_watch_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    usual = {"duration": 1.0, "interval_ms": 1, "attempt_timeout_ms": 1, "max_gap_ms": None, "run_id": None}
    names = {"deployment_id": "shop", "connections": ["new"], "schema": "s", "table": "t"}
    check_options({**usual, **names})
    with pytest.raises(BlueGreenError, match=said):
        check_options({**usual, **names, **options})
