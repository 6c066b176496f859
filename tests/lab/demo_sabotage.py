# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product broken on purpose, from outside: a copy of the collection in which one function does not do its work.

Each one breaks one of the rules that keep writes from being lost. The shipped code knows nothing of it; what is
appended to the copy stands at the end of one file and replaces one function of it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.load import ROOT

_PARTS = ("galaxy.yml", "meta", "playbooks", "plugins", "roles")


@dataclass(frozen=True)
class Sabotage:
    """One broken rule: what it is in words, the file below plugins/module_utils, and what is appended to it."""

    rule: str
    file: str
    code: str
    link_delay: float = 0.0  # seconds that replication to green is behind, so that catching up takes time
    direct_writers: int = 1  # that go round the gate
    direct_hold: float = 0.15  # seconds that each of them holds its transactions open


SABOTAGES = {
    "fence": Sabotage(
        rule="the fence does not end the sessions and transactions in flight",
        file="_postgresql/side.py",
        code="""

def end_writers(*_arguments):  # type: ignore[no-redef]
    pass
""",
        direct_writers=3,
        direct_hold=0.5,
    ),
    "position": Sabotage(
        rule="replication starts from blue's LSN read after the clone, instead of the clone's position",
        file="_postgresql/replicate.py",
        code="""

_subscribe_from_the_position = _subscribe


def _subscribe(blue, green, state, missing, start, journal, ssl_mode):  # type: ignore[no-redef]
    from .connection import value

    with connected(blue) as conn:
        start = str(value(conn, "SELECT pg_catalog.pg_current_wal_lsn()"))
    _subscribe_from_the_position(blue, green, state, missing, start, journal, ssl_mode)
""",
    ),
    "marker": Sabotage(
        rule="the drain does not wait for the marker",
        file="_postgresql/side.py",
        code="""

PostgreSQLSide._wait = lambda self, peer, tokens, deadline: None
""",
        link_delay=1.0,
    ),
}


def broken_copy(sabotage: Sabotage, directory: Path) -> Path:
    """Return a directory for ANSIBLE_COLLECTIONS_PATH, below ``directory``, that holds the broken collection."""
    base = directory / "collections"
    copy = base / "ansible_collections" / "bluegreen" / "aws"
    copy.mkdir(parents=True)
    for part in _PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, copy / part)
    with (copy / "plugins" / "module_utils" / sabotage.file).open("a", encoding="utf-8") as file:
        file.write(sabotage.code)
    return base
