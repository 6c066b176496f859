# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread per writer that keeps the attribute REPLICATION equal to membership in rds_replication."""

from __future__ import annotations

import contextlib
import threading
import time

import psycopg2
import psycopg2.extensions

from tests.lab.engine import EngineError
from tests.lab.postgresql import privileges
from tests.lab.postgresql.servers import Server

POLL_SECONDS = 0.1
SYNC_SECONDS = 2.5


class RoleWatcher(threading.Thread):
    """Watches one running writer; `sync` does the same work at once for a session that is about to replicate."""

    def __init__(self, server: Server) -> None:
        """Prepare the thread; `start` begins the watch."""
        super().__init__(name="role-watcher", daemon=True)
        self._server = server
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._connection: psycopg2.extensions.connection | None = None

    def run(self) -> None:
        """Poll until `stop`."""
        while not self._over.wait(POLL_SECONDS):
            self._attempt()
        with self._lock:
            self._disconnect()

    def _attempt(self) -> bool:
        """Do the work once; False when the server is away or somebody holds the catalogue."""
        with self._lock:
            try:
                if self._connection is None:
                    if self._over.is_set() or not self._server.running():
                        return False
                    self._connection = self._server.connect(privileges.BOOTSTRAP)
                privileges.replication_rights(self._connection)
            except psycopg2.errors.LockNotAvailable:
                return False
            except (psycopg2.Error, EngineError):
                self._disconnect()
                return False
        return True

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def sync(self) -> None:
        """Bring the roles up to date, or give up after a while."""
        deadline = time.monotonic() + SYNC_SECONDS
        while not self._attempt() and time.monotonic() < deadline and not self._over.is_set():
            time.sleep(0.02)

    def cancel(self) -> None:
        """Let the watch end soon."""
        self._over.set()

    def stop(self) -> None:
        """End the watch."""
        self.cancel()
        self.join(timeout=10)
