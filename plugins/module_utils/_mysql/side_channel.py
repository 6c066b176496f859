# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The replication into one side of a deployment: armed before the window, started after it from exactly where the source opened.

What is ahead is on record in the control record's settings before it is done, so that a run that died can be carried on:
``armed`` (its value is the direction) until the position is set, then ``starting`` until the replication was started. Only
what is ``armed`` gets a position: once it may have been started, a position would apply everything from there twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Direction
from .._core.side import Replication
from .coordinates import Channel, Coordinates, channel
from .dialect import Dialect
from .replication_user import Login
from .service import Service

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

# A server that is restarted starts what is configured. There is no such file, so that nothing is applied before its time.
_NOWHERE = Coordinates("mysql-bin-changelog.999999", 4)


class Inbound:
    """The default channel into one side."""

    def __init__(
        self,
        conn: Connection[Cursor],
        dialect: Dialect,
        service: Service,
        direction: Direction,
        users: Collection[str],
    ) -> None:
        self._conn, self._dialect, self._service, self.direction = conn, dialect, service, direction
        self._users = users

    def look(self) -> Channel | None:
        """The channel as the server shows it; raises :class:`BlueGreenError` when it is none of the deployment's."""
        found = channel(self._conn, self._dialect)
        if found is not None and found.user not in self._users:
            replica = "green" if self.direction == "forward" else "blue"
            raise BlueGreenError(
                f"{replica} should replicate from nowhere but the deployment's other side, but does from {found.source_host} as user "
                f"{found.user}: end that replication, or give replication_user if that is the deployment's."
            )
        return found

    def state(self, settings: Mapping[str, Any]) -> Replication:
        """What the channel and what is on record about it amount to."""
        found = self.look()
        if settings.get("armed") == self.direction:
            return "partial" if found is None else "armed"
        if found is None:
            return "gone"
        if found.running:
            return "running"
        return "armed" if settings.get("starting") == self.direction else "stopped"

    @property
    def connecting(self) -> bool:
        """Whether it was started and is about to run."""
        found = self.look()
        return found is not None and found.applier and found.io == "Connecting"

    def configure(self, source: Endpoint, login: Login, password: str, at: Coordinates | None, *, gtid: bool) -> None:
        """Set the source, from ``at`` or from nowhere yet, without starting; with GTIDs the place is found by itself."""
        self.stop()
        place = None if gtid else at or _NOWHERE
        self._service.set_source(source, login.user, password, place, encrypted=login.encrypted)

    def start(self) -> None:
        """Start it unless it runs."""
        found = self.look()
        if found is not None and found.stopped:
            self._service.start()
        elif found is not None and not found.running and not self.connecting:
            self._service.stop()
            self._service.start()

    def stop(self) -> None:
        """Stop it unless it is stopped."""
        found = self.look()
        if found is not None and not found.stopped:
            self._service.stop()

    def remove(self) -> None:
        """Stop and forget it; none is fine."""
        self.stop()
        if self.look() is not None:
            self._service.reset()
