# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The sides of a deployment by engine, from the module's options: the one place that knows the engines by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .._core.differences import ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Names
from .._mysql import side as mysql
from .._mysql.replication_user import login
from .._mysql.side_policy import Policy, ReadOnlyParameter
from .._neptune import side as neptune
from .._neptune.connection import Signer
from .._neptune.lease import Table
from .._neptune.side_policy import FenceKind
from .._neptune.side_policy import Policy as NeptunePolicy
from .._postgresql import side as postgresql
from .side import Side

ENGINES = ("aurora_mysql", "aurora_postgresql", "neptune")
REPLICATION_SSL_MODES = ("disable", "require", "verify-ca", "verify-full")
# Options that mean something to one engine only.
_MYSQL_ONLY = ("replication_user", "replication_password", "green_db_cluster_parameter_group_name")
_MANAGED_ONLY = ("switchover_timeout",)
_NEPTUNE_ONLY = ("checkpoint_table", "graph_type", "writes_stopped", "quiet_interval")
_HOLDING = ("haproxy",)  # gates that can be the fence


@dataclass(frozen=True)
class NeptuneTools:
    """What Neptune needs of AWS: DynamoDB, and what signs the requests to a side, None without IAM authentication.

    ``elsewhere`` says what replicates without a lease of ours, None when nothing does.
    """

    dynamodb: Table
    signers: Mapping[str, Signer | None]
    elsewhere: Callable[[], str | None]


def pair(
    engine: str,
    blue: Endpoint,
    green: Endpoint,
    names: Names,
    options: Mapping[str, Any],
    parameters: ReadOnlyParameter | None,
    tools: NeptuneTools | None = None,
) -> tuple[Side, Side]:
    """Blue and green, not connected yet; raises :class:`BlueGreenError` for an option that the engine has no use for.

    ``parameters`` are the switches in green's parameter group, when that was named; ``tools`` are needed for Neptune.
    """
    _refuse(engine, options, _MANAGED_ONLY)
    if engine == "neptune":
        return _neptune(blue, green, names, options, tools)
    _refuse(engine, options, _NEPTUNE_ONLY)
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


def fence(engine: str, options: Mapping[str, Any]) -> FenceKind | None:
    """Who keeps clients from writing behind the fence, None for an engine whose server does."""
    if engine != "neptune":
        return None
    cutting = [gate["type"] in _HOLDING for gate in options["gates"]]
    if cutting and all(cutting):
        return "gate"
    if options["writes_stopped"]:
        return "user"
    return "part" if any(cutting) else "none"


def problems(*sides: Side) -> list[str]:
    """What a person must look at, although the traffic has moved."""
    return [said for side in sides if isinstance(side, neptune.NeptuneSide) for said in side.problems]


def _neptune(
    blue: Endpoint, green: Endpoint, names: Names, options: Mapping[str, Any], tools: NeptuneTools | None
) -> tuple[Side, Side]:
    _refuse("neptune", options, (*_MYSQL_ONLY, "databases"))
    if any(gate["type"] == "pgbouncer" for gate in options["gates"]):
        raise BlueGreenError(
            "PgBouncer speaks PostgreSQL's protocol only: give clients of Neptune another gate, such as haproxy."
        )
    if tools is None:
        raise BlueGreenError("Neptune needs the table of the checkpoints, but was given no access to DynamoDB.")
    interval = options["quiet_interval"]
    policy = NeptunePolicy(
        fence=fence("neptune", options) or "none",
        quiet_interval=0.1 if interval is None else interval,
        graph_type=options["graph_type"],
        reverse=options["reverse_replication"],
        elsewhere=tools.elsewhere,
    )
    table = options["checkpoint_table"] or names.checkpoint_table
    return neptune.pair(blue, green, names, policy, tools.dynamodb, table, tools.signers)


def _refuse(engine: str, options: Mapping[str, Any], names: tuple[str, ...]) -> None:
    given = [name for name in names if options.get(name) is not None]
    if given:
        raise BlueGreenError(f"The option {given[0]} means nothing to the engine {engine}: leave it out.")
