# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The control record on green while traffic moves, over a connection of its own; both sides share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Names
from . import record
from .connection import close, connect, connection_id, sever
from .coordinates import Coordinates

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

ANSWER = 60.0  # s, the longest that one statement may take


class Record:
    """Reads and writes it; the connection is made when it is needed."""

    def __init__(self, green: Endpoint, names: Names) -> None:
        self._green, self._names = green, names
        self._conn: Connection[Cursor] | None = None

    def read(self) -> record.ControlRecord:
        """The record; raises :class:`BlueGreenError` when green has none."""
        found = record.read(self._connected, self._names.deployment_id)
        if found is None:
            raise BlueGreenError(
                f"Green at {self._green.host} should hold the control record of {self._names.deployment_id}, but has none: it "
                "was not built by this deployment, or its clean-up has run."
            )
        return found

    def opened_at(self, side: str) -> Coordinates | None:
        """Where in its own log ``side`` was last opened by a switchover, None when it never was."""
        found: Coordinates | None = getattr(self.read(), f"opened_{side}")
        return found

    def commit(self, **fields: Any) -> None:
        """Write down, durably, the given fields."""
        record.commit(self._connected, self._names.deployment_id, **fields)

    def set(self, **settings: Any) -> None:
        """Write down, durably, the given settings beside the others; None takes one away."""
        merged = {**self.read().settings, **settings}
        self.commit(settings={name: content for name, content in merged.items() if content is not None})

    @property
    def ids(self) -> list[int]:
        """The connection's id, if there is one."""
        return [connection_id(self._conn)] if self._conn is not None and self._conn.open else []

    def sever(self) -> None:
        """Break the connection, from whatever thread."""
        sever(self._conn)

    def close(self) -> None:
        """Close the connection."""
        close(self._conn)
        self._conn = None

    @property
    def _connected(self) -> Connection[Cursor]:
        if self._conn is None or not self._conn.open:
            self._conn = connect(self._green, read_timeout=ANSWER)
        return self._conn
