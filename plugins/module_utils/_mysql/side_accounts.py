# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Carrying the accounts over before the window, and noticing in it that one was changed since."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .._core.errors import BlueGreenError
from . import accounts
from .connection import rows
from .record import Account

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

# Whatever CREATE USER, ALTER USER, GRANT, REVOKE and SET DEFAULT ROLE write to; some came with version 8.0.
_TABLES = (
    "user",
    "db",
    "tables_priv",
    "columns_priv",
    "procs_priv",
    "proxies_priv",
    "global_grants",
    "role_edges",
    "default_roles",
)


def fingerprint(conn: Connection[Cursor]) -> object:
    """Equal as long as no account, right or role has changed."""
    there = {row[0] for row in rows(conn, "SHOW TABLES IN mysql")}
    return rows(conn, f"CHECKSUM TABLE {', '.join(f'mysql.{name}' for name in _TABLES if name in there)}")


def carry(
    source: Connection[Cursor],
    target: Connection[Cursor],
    deployment_id: str,
    ignore: Callable[[Account], bool],
    names: tuple[str, str],
) -> None:
    """Make the target's accounts what the source's are; raises :class:`BlueGreenError` when one cannot be made there.

    What else could not be carried is a warning of the guardrails. ``names`` are those of the sides.
    """
    _done, left = accounts.carry(source, target, deployment_id, ignore)
    missing = [one for one in left if one.what == "is missing"]
    if missing:
        reasons = "; ".join(f"{one} ({one.obstacle}; {one.remedy})" for one in missing)
        raise BlueGreenError(f"{names[1]} should have every account of {names[0]}, but {reasons}.")
