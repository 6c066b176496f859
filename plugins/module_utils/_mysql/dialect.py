# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a statement is called: one table by server version, the newest that applies wins.

Sources: MySQL 8.4 release notes (terms source/replica only, SHOW MASTER STATUS gone), 8.2.0 (SHOW BINARY LOG STATUS),
8.0.26 (SOURCE_POS_WAIT), 8.0.23 (CHANGE REPLICATION SOURCE TO), 8.0.22 (START/STOP/SHOW REPLICA).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._core.errors import BlueGreenError
from .connection import value

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

Version = tuple[int, int, int]
OLDEST: Version = (5, 7, 0)

# What, then (from version, its name), oldest first.
_TABLE: dict[str, tuple[tuple[Version, str], ...]] = {
    "binlog_status": ((OLDEST, "SHOW MASTER STATUS"), ((8, 2, 0), "SHOW BINARY LOG STATUS")),
    "replica_status": ((OLDEST, "SHOW SLAVE STATUS"), ((8, 0, 22), "SHOW REPLICA STATUS")),
    "position_wait": ((OLDEST, "MASTER_POS_WAIT"), ((8, 0, 26), "SOURCE_POS_WAIT")),
    "change_source": ((OLDEST, "CHANGE MASTER TO"), ((8, 0, 23), "CHANGE REPLICATION SOURCE TO")),
    "source": ((OLDEST, "MASTER"), ((8, 0, 23), "SOURCE")),
    "replica": ((OLDEST, "SLAVE"), ((8, 0, 22), "REPLICA")),
    "replicas": ((OLDEST, "SHOW SLAVE HOSTS"), ((8, 0, 22), "SHOW REPLICAS")),
    "parallel_workers": ((OLDEST, "slave_parallel_workers"), ((8, 0, 26), "replica_parallel_workers")),
    "checkpoint_period": ((OLDEST, "slave_checkpoint_period"), ((8, 0, 26), "replica_checkpoint_period")),
    "preserve_commit_order": (
        (OLDEST, "slave_preserve_commit_order"),
        ((8, 0, 26), "replica_preserve_commit_order"),
    ),
    "log_replica_updates": ((OLDEST, "log_slave_updates"), ((8, 0, 26), "log_replica_updates")),
}


@dataclass(frozen=True)
class Dialect:
    """The statements of one server version."""

    version: Version

    @classmethod
    def of(cls, conn: Connection[Cursor]) -> Dialect:
        """The dialect of a server, as it says itself; raises :class:`BlueGreenError` for one that is too old."""
        return cls.parse(str(value(conn, "SELECT VERSION()")))

    @classmethod
    def parse(cls, text: str) -> Dialect:
        """The dialect of a version such as ``8.0.39`` or ``5.7.12-log``."""
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
        version: Version = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
        if version < OLDEST or "mariadb" in text.lower():
            raise BlueGreenError(f"The server must be MySQL 5.7 or later, but says that it is {text!r}.")
        return cls(version)

    def name(self, what: str) -> str:
        """The statement, function, variable or word for ``what`` in this version."""
        return [name for since, name in _TABLE[what] if self.version >= since][-1]

    @property
    def major(self) -> tuple[int, int]:
        """The release series, such as (8, 0)."""
        return self.version[:2]
