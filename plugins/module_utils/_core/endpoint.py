# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where one side of a deployment answers, the same for every engine that is logged in to."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Endpoint:
    """Where one side of a deployment answers, and as whom to log in. ``side`` is ``blue`` or ``green``.

    With an ``address`` the connection goes there, whatever DNS says of ``host``, which the certificate still has to name.
    """

    side: str
    host: str
    port: int
    user: str
    password: str
    database: str = ""
    ssl_mode: str = "verify-full"
    ca_cert: str | None = None
    connect_timeout: int = 10
    address: str | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.side}, {self.user}@{self.host}:{self.port}/{self.database})"

    def at(self, database: str) -> Endpoint:
        """The same side, another database."""
        return replace(self, database=database)
