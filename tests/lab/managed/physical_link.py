# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RDS for PostgreSQL without a major version upgrade: green is a physical copy, which strictly only reads."""

from __future__ import annotations

import contextlib

from tests.lab.engine import EngineError
from tests.lab.managed import metadata, postgresql_sides
from tests.lab.managed.ends import SIDES
from tests.lab.managed.link import Health, SideName
from tests.lab.managed.postgresql_link import PostgreSQLLink
from tests.lab.managed.postgresql_sides import run
from tests.lab.postgresql.servers import Server


class PhysicalLink(PostgreSQLLink):
    """A link whose green volume follows blue's from the copy on, so that nothing is lost in between."""

    physical = True
    _end = "0/0"  # of blue's WAL when its writes have ended

    def prepare(self) -> None:
        """See that blue runs; a physical copy needs nothing of it."""
        self._server("blue")

    def start(self) -> None:
        """See that green's volume follows: it does since it was made."""
        if self._follower() is None:
            raise EngineError("The green environment does not follow the blue one.")

    def _follower(self) -> Server | None:
        return self._engine.volume(self._ends.target.volume_id).follower

    def health(self) -> Health:
        """Look at the stream from blue, and at how far behind green is."""
        follower = self._follower()
        if follower is None or not follower.running():
            return Health(False, 0.0, "the physical replication has stopped")
        with self._server("blue").connection() as connection:
            found = run(
                connection,
                "SELECT COALESCE(EXTRACT(EPOCH FROM replay_lag), 0)::float8 FROM pg_stat_replication"
                " WHERE application_name = %s AND state = 'streaming'",
                self._ends.target.volume_id,
            )
        return Health(True, float(found[0][0])) if found else Health(False, 0.0, "the physical replication has stopped")

    def receives(self) -> Health:
        """Look at what green's server receives, whatever it follows: the source of a read replica may follow itself."""
        follower = self._follower()
        statement = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        if follower is None or not follower.running() or follower.query(statement) != "1":
            return Health(False, 0.0, "the physical replication has stopped")
        return Health(True)

    def objections(self, side: SideName) -> list[str]:
        """Look for long transactions on blue; nobody can write on green."""
        if side == "green":
            return []
        with self._server("blue").connection() as connection:
            ages = postgresql_sides.writing(connection)
        long = any(age >= self.long_seconds for age in ages)
        return ["the blue environment has long-running active writes or DDL statements"] if long else []

    def degraded(self) -> str | None:
        """Return None: a physical copy gets every change."""
        return None

    def stop_writes(self) -> None:
        """Let no client be on either side, then read where blue's changes end."""
        self._keep_out()
        self._end = self._server("blue").query("SELECT pg_catalog.pg_current_wal_insert_lsn()")

    def caught_up(self) -> bool:
        """Compare what green has replayed with the end of blue's changes."""
        follower = self._follower()
        return follower is not None and follower.query(f"SELECT pg_last_wal_replay_lsn() >= '{self._end}'") == "True"

    def finish(self) -> str | None:
        """Let green be a server of its own: its servers start anew, for the copy becomes one that is written to."""
        self._promote()
        return None

    def _promote(self) -> None:
        volume, engine = self._ends.target.volume_id, self._engine
        if self._follower() is None:
            return
        specs = engine.specs(volume)
        for spec in reversed(specs):
            engine.stop(spec.instance_id)
        engine.promote_volume(volume, complete=False)
        for spec in specs:
            engine.start(spec)
            self._ends.identify()
        engine.refuse_clients(volume, True)
        for server in engine.servers(volume):
            metadata.publish_postgresql(server, self._shown.get("green", ()))

    def drop(self) -> None:
        """Leave nothing of the deployment on either side; green is a DB instance of its own."""
        self._shown = {}
        for side in SIDES:
            for server in self._engine.servers(self._ends.volume(side)):
                metadata.publish_postgresql(server, ())
        with contextlib.suppress(EngineError):  # its volume may be gone
            self._promote()
        for side in SIDES:
            with contextlib.suppress(EngineError):
                self._engine.set_read_only(self._ends.volume(side), False)
        for volume in self._ends.volumes():
            self._engine.refuse_clients(volume, False)
