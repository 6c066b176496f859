# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The sides of a deployment by engine, from the module's options: the one place that knows the engines by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .._core.differences import ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Names
from .._mysql import side as mysql
from .._mysql.replication_user import login
from .._mysql.side_policy import Policy, ReadOnlyParameter
from .._postgresql import side as postgresql
from .side import Side

ENGINES = ("aurora_mysql", "aurora_postgresql")
REPLICATION_SSL_MODES = ("disable", "require", "verify-ca", "verify-full")
# Options that mean something to one engine only.
_MYSQL_ONLY = ("replication_user", "replication_password", "green_db_cluster_parameter_group_name")


def pair(
    engine: str,
    blue: Endpoint,
    green: Endpoint,
    names: Names,
    options: Mapping[str, Any],
    parameters: ReadOnlyParameter | None,
) -> tuple[Side, Side]:
    """Blue and green, not connected yet; raises :class:`BlueGreenError` for an option that the engine has no use for.

    ``parameters`` are the switches in green's parameter group, when that was named.
    """
    expected = ExpectedDifferences.of(options["expected_differences"])
    mode = options["replication_ssl_mode"]
    if engine == "aurora_postgresql":
        _refuse(engine, options, _MYSQL_ONLY)
        policy = postgresql.SequencePolicy(options["sequences"], options["sequence_margin"])
        return postgresql.pair(blue, green, names, options["databases"], policy, mode, expected)
    if any(gate["type"] == "pgbouncer" for gate in options["gates"]):
        raise BlueGreenError(
            "PgBouncer speaks PostgreSQL's protocol only: give clients of MySQL another gate, such as haproxy."
        )
    if mode not in ("disable", "require"):
        raise BlueGreenError(
            f"replication_ssl_mode is disable or require for MySQL, whose service does not let a replica verify its source, but is "
            f"{mode}: give require."
        )
    user = login(names.replication_user, options["replication_user"], options["replication_password"], mode)
    return mysql.pair(blue, green, names, Policy(user, expected, parameters))


def sequences(side: Side) -> dict[str, Any] | None:
    """The sequences that a side took over, None when it was not opened or its engine has none."""
    carried = side.carried if isinstance(side, postgresql.PostgreSQLSide) else None
    return asdict(carried) if carried else None


def _refuse(engine: str, options: Mapping[str, Any], names: tuple[str, ...]) -> None:
    given = [name for name in names if options[name] is not None]
    if given:
        raise BlueGreenError(f"The option {given[0]} means nothing to the engine {engine}: leave it out.")
