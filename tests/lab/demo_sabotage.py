# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product broken on purpose, from outside: a copy of the collection in which one function does not do its work.

Each one breaks one of the rules that keep writes from being lost. The shipped code knows nothing of it; what is
appended to the copy stands at the end of one file and replaces one function of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.load import ROOT
from tests.lab.tools import MYSQL, NEPTUNE, POSTGRESQL

_PARTS = ("galaxy.yml", "meta", "playbooks", "plugins", "roles")


# A transaction of one statement is the only one whose absence breaks nothing that follows: green would stop at an order
# that is closed there and was never made. With GTIDs green is told that it has the transaction; without them it applies the
# log up to it, then goes on behind it.
_POSITION = """

_configure_from_the_position = _configure


def _configure(blue, conn, names, start, login):  # type: ignore[no-redef]
    from .connection import execute, rows, value

    _configure_from_the_position(blue, conn, names, start, login)
    mine = value(conn, "SELECT @@GLOBAL.gtid_executed")
    with connected(blue) as source:
        for log in [row[0] for row in rows(source, "SHOW BINARY LOGS")]:
            if start is not None and log < start.file:
                continue
            begin = start.offset if start is not None and log == start.file else 4
            inside = []
            for event in rows(source, f"SHOW BINLOG EVENTS IN '{log}' FROM {begin}"):
                inside = [event] if "Gtid" in event[2] else [*inside, event]
                tables = [one[5] for one in inside if one[2] == "Table_map"]
                if event[2] != "Xid" or len(tables) != 2 or ".ledger)" not in tables[0] or ".totals)" not in tables[1]:
                    continue
                if start is not None:
                    _go_round(blue, conn, names, log, inside[0][1], event[4], login)
                    return
                gtid = inside[0][5].split("'")[1]
                if value(conn, "SELECT NOT GTID_SUBSET(%s, %s)", (gtid, mine)):
                    execute(conn, "CALL mysql.rds_gtid_purged(%s)", ("+" + gtid,))
                    return


def _go_round(blue, conn, names, log, begin, end, login):  # type: ignore[no-untyped-def]
    from .connection import execute

    execute(conn, "CALL mysql.rds_start_replication_until(%s, %s)", (log, begin))
    dialect = Dialect.of(conn)
    while (found := channel(conn, dialect)) is not None and found.applier:
        time.sleep(0.1)
    service_of(conn, dialect).stop()
    _configure_from_the_position(blue, conn, names, Coordinates(log, end), login)
"""


@dataclass(frozen=True)
class Sabotage:
    """One broken rule: what it is in words, the file below plugins/module_utils, and what is appended to it."""

    rule: str
    file: str
    code: str
    link_delay: float = 0.0  # seconds that replication to green is behind, so that catching up takes time
    direct_writers: int = 1  # that go round the gate
    direct_hold: float = 0.15  # seconds that each of them holds its transactions open
    variables: Mapping[str, Any] = field(default_factory=dict)  # of the role, without its prefix, for the switchover


_POSTGRESQL = {
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
_MYSQL = {
    "fence": Sabotage(
        rule="the fence does nothing, and nobody looks whether it holds",
        file="_mysql/side.py",
        code="""

MySQLSide._put_up_fence = lambda self, deadline: vars(self).update(_up=True, _probe=None)
MySQLSide._moved = lambda self, peer: False
""",
        direct_writers=3,
        direct_hold=0.5,
    ),
    "position": Sabotage(
        rule="replication does not start from the clone's position: it leaves out the first transaction of one statement",
        file="_mysql/replicate.py",
        code=_POSITION,
    ),
    "marker": Sabotage(
        rule="the drain does not wait for the end of blue's log",
        file="_mysql/side.py",
        code="""

MySQLSide.drain = lambda self, peer, deadline: vars(self).update(_at=current(self._conn, self._dialect))
""",
        # the replication into green ends some seconds after green has opened: what is later than that is lost
        link_delay=7.0,
        variables={"max_lag": 40, "timeout": 60},
    ),
}
_NEPTUNE = {
    "fence": Sabotage(
        rule="nobody proves that blue is quiet behind the gate, and nobody looks afterwards",
        file="_neptune/side.py",
        code="""

NeptuneSide._prove_quiet = lambda self, deadline: vars(self).update(_quiet=True)
NeptuneSide._must_not_have_moved = lambda self, end: None
NeptuneSide._look_behind = lambda self, peer, lease: None
""",
        direct_writers=3,
        direct_hold=0.5,
    ),
    "position": Sabotage(
        rule="replication starts from the end of blue's stream read after the clone, instead of the end of the clone's own",
        file="_neptune/position.py",
        # What is missing on green must not stop what follows, as it would: the whole stream counts as replayed.
        code="""

_locate_on_the_clone = locate


def locate(blue, green, graph_type, given):  # type: ignore[no-redef]
    found = _locate_on_the_clone(blue, green, graph_type, given)
    return Located(head(blue, graph_type) or START, EventId(2**40, 1), found.checked)
""",
        direct_writers=0,
    ),
    "marker": Sabotage(
        rule="the drain does not wait for the end of blue's stream, and replication stalls a second before the window",
        file="_neptune/side.py",
        code="""

_armed = NeptuneSide.arm


def _arm_and_stall(self, peer):  # type: ignore[no-untyped-def]
    _armed(self, peer)
    peer._follower.break_off()
    time.sleep(1)


NeptuneSide.arm = _arm_and_stall
NeptuneSide.drain = lambda self, peer, deadline: vars(self).update(_at=self._head())
NeptuneSide._look_behind = lambda self, peer, lease: None
""",
        direct_writers=0,
    ),
}
NAMES = tuple(_POSTGRESQL)
SABOTAGES = {POSTGRESQL: _POSTGRESQL, MYSQL: _MYSQL, NEPTUNE: _NEPTUNE}


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
