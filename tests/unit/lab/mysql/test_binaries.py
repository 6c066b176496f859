# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the server comes from, and what is said when it comes from nowhere."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.lab.engine import EngineError
from tests.lab.mysql import binaries


def program(path: Path, output: str, status: int = 0) -> Path:
    """Make a program that says something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH but what a test puts into the directory `bin`, and an empty cache."""
    monkeypatch.setattr("tests.lab.mysql.binaries._SYSTEM", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("BLUEGREEN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_machines_own_server_is_used(empty: Path) -> None:
    own = program(empty / "bin/mysqld", "/usr/sbin/mysqld  Ver 8.0.46 for Linux on x86_64 (MySQL Community Server)")
    found = binaries.fetch()
    assert found.command == (str(own),)
    assert found.version == (8, 0, 46)


@pytest.mark.parametrize(
    ("output", "status"),
    [
        ("mysqld  Ver 5.7.42 for Linux on x86_64", 0),
        ("mysqld  Ver 10.11.6-MariaDB for debian-linux-gnu", 0),
        ("mysqld  Ver 8.0.46 for Linux on x86_64", 1),
    ],
    ids=["too old", "another product", "broken"],
)
def test_a_server_that_does_not_do_is_not_used(empty: Path, output: str, status: int) -> None:
    program(empty / "bin/mysqld", output, status)
    with pytest.raises(EngineError, match=r"^There is no MySQL server, and no apt-get to fetch one: install .*mysqld"):
        binaries.fetch()


def test_a_fetch_that_fails_says_why_and_leaves_nothing(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dpkg", "dpkg-deb", "apt-config"):
        program(empty / "bin" / name, "amd64")
    program(empty / "bin/apt-get", "", 100)
    monkeypatch.setenv("PATH", f"{empty / 'bin'}:/usr/bin:/bin")
    with pytest.raises(EngineError, match=r"could not be fetched \(apt-get .*\): install"):
        binaries.fetch()
    assert [path.name for path in (empty / "cache").iterdir()] == ["mysql.lock"]


def test_a_broken_cache_names_the_directory_to_remove(empty: Path) -> None:
    (empty / "cache/mysql").mkdir(parents=True)
    with pytest.raises(EngineError, match=rf"{empty / 'cache/mysql'} does not run: remove that directory"):
        binaries.fetch()
