# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How the work after an upgrade is done: journaled, with a limit on waiting for locks, and no failure stops the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

try:
    import psycopg2
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.errors import BlueGreenError, words
from .._core.journal import Journal
from .connection import execute

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection


class Work:
    """One run: its journal, what failed, and what is left to somebody with more rights."""

    def __init__(self, journal: Journal, lock_timeout: float, parallel: int) -> None:
        self._journal, self._lock_timeout = journal, lock_timeout
        self.parallel = max(1, parallel)
        self.failed: list[str] = []
        self.left: list[str] = []

    @property
    def check_mode(self) -> bool:
        """Whether nothing is really done."""
        return self._journal.check_mode

    def limit(self, conn: Connection) -> None:
        """Let no statement of ``conn`` wait longer for a lock: what waits for a strong one blocks the apply worker."""
        execute(
            conn, "SELECT pg_catalog.set_config('lock_timeout', %s, false)", (f"{int(self._lock_timeout * 1000)}ms",)
        )

    def act(self, what: str, effect: Callable[[], object]) -> bool:
        """Do one thing and note it; returns whether it succeeded. A failure is kept for the end."""
        try:
            self._journal.act(what, effect)
        except psycopg2.Error as error:
            self.failed.append(f"{what} ({words(error)})")
            return False
        return True

    def guard(self, what: str, task: Callable[[], None]) -> None:
        """Run a task whose looking may fail too."""
        try:
            task()
        except (psycopg2.Error, BlueGreenError) as error:
            self.failed.append(f"{what} ({words(error)})")
