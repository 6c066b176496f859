# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the tests quick changes nothing else: the code that is kept for a playbook's modules, the order of the files."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT, pytest_collection_modifyitems
from tests.playbook import COMPILED

SAY = "import sys; sys.path.insert(0, sys.argv[1]); import said; print(said.words, said.__file__)"


def said(archive: Path, source: str) -> str:
    """What a Python below a playbook run gets from a module in an archive; the time in the archive is always the same."""
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr(zipfile.ZipInfo("said.py", (2026, 1, 1, 0, 0, 0)), source)
    return subprocess.run(
        [sys.executable, "-c", SAY, str(archive)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(COMPILED)},
    ).stdout.strip()


def test_code_that_is_kept_is_that_of_the_same_source_only(tmp_path: Path) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    assert said(first, "words = 1\n") == f"1 {first}/said.py"
    assert said(second, "words = 1\n") == f"1 {second}/said.py"
    assert said(first, "words = 2\n") == f"2 {first}/said.py"


class Item:
    """What the order looks at of a test."""

    def __init__(self, path: str, timeout: int | None = None) -> None:
        self.path = ROOT / path
        self._timeout = timeout

    def get_closest_marker(self, _name: str) -> pytest.Mark | None:
        return None if self._timeout is None else pytest.mark.timeout(self._timeout).mark


def test_files_that_take_long_begin_first_and_stay_together() -> None:
    items = [
        Item("tests/unit/a.py"),
        Item("tests/integration/b.py"),
        Item("tests/integration/c.py"),
        Item("tests/integration/c.py", 900),
        Item("tests/integration/d.py", 600),
        Item("tests/integration/c.py"),
    ]
    pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert "".join(item.path.stem for item in items) == "cccdba"
