# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rewrite of PgBouncer's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Target
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.pgbouncer import (
    PgBouncerGate,
    retargeted,
    rewrite_config,
)

GREEN = Target("10.0.0.2", 5433)
CONFIG = """\
; the shop
[databases]
shop = host=10.0.0.1 port=5432 dbname=shop   # blue
other = host=10.0.0.1 port=5432
; shop = host=old
[users]
shop = pool_mode=session
[pgbouncer]
listen_addr = 127.0.0.1
"""


def test_only_host_and_port_of_the_entry_change() -> None:
    lines = retargeted(CONFIG, ["shop"], GREEN).splitlines()
    assert lines[2] == "shop = host=10.0.0.2 port=5433 dbname=shop   # blue"
    assert [line for number, line in enumerate(lines) if number != 2] == [
        line for number, line in enumerate(CONFIG.splitlines()) if number != 2
    ]


def test_quoted_values_and_missing_keys() -> None:
    assert retargeted("[databases]\n\"a b\" = host='x y'\n", ["a b"], GREEN) == (
        '[databases]\n"a b" = host=10.0.0.2 port=5433\n'
    )


def test_other_keys_that_end_in_host_are_left_alone() -> None:
    assert "myhost=1 host=10.0.0.2" in retargeted("[databases]\nshop = myhost=1 host=a port=1\n", ["shop"], GREEN)


def test_a_missing_entry_is_refused() -> None:
    with pytest.raises(BlueGreenError, match="should have nothere"):
        retargeted(CONFIG, ["shop", "nothere"], GREEN)


def test_the_file_keeps_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "pgbouncer.ini"
    file.write_text(CONFIG)
    file.chmod(0o640)
    rewrite_config(str(file), ["shop"], GREEN)
    assert file.stat().st_mode & 0o777 == 0o640
    assert "host=10.0.0.2 port=5433" in file.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pgbouncer.ini"]


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BlueGreenError, match="No such file"):
        rewrite_config(str(tmp_path / "nothing"), ["shop"], GREEN)


@pytest.mark.parametrize(
    ("text", "databases", "status"),
    [(CONFIG, ["shop"], "ok"), (CONFIG, ["nothere"], "failed"), (None, ["shop"], "failed")],
)
def test_the_file_is_looked_at_before_the_window(
    tmp_path: Path, text: str | None, databases: list[str], status: str
) -> None:
    file = tmp_path / "pgbouncer.ini"
    if text is not None:
        file.write_text(text)
    sides = {"blue": Target("10.0.0.1", 5432), "green": GREEN}
    gate = PgBouncerGate("127.0.0.1", 6432, "admin", None, databases, str(file), sides)
    assert [check.status for check in gate.guardrails("blue", "green")] == [status]
    assert text is None or file.read_text() == text
