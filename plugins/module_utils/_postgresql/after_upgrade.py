# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a major version upgrade leaves to be done on green: extensions, collations, statistics, materialised views.

Every task looks at the catalogs first and does what is missing, so a second run does nothing. One object that fails does
not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import control_record
from .after_collations import collations
from .after_extensions import extensions
from .after_statistics import statistics
from .after_views import materialized_views
from .after_work import Work
from .catalog import choose_databases
from .connection import connected

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

TASKS = ("extensions", "collations", "statistics", "materialized_views")


@dataclass(frozen=True)
class Wishes:
    """What the user asked for; ``refresh``: never, when_stale or always; ``lock_timeout`` in seconds."""

    tasks: Sequence[str]
    refresh: str
    parallel: int
    lock_timeout: float


def after_upgrade(
    green: Endpoint, names: Names, databases: Sequence[str] | None, wishes: Wishes, journal: Journal
) -> dict[str, Any]:
    """Do the tasks in every replicated database of green; returns ``{databases, left}``.

    ``left``: what is not ours to do, each with the reason. Raises :class:`BlueGreenError` naming what failed, after
    everything else was done.
    """
    with connected(green) as conn:
        recorded = control_record.exists(conn, names)
        if not recorded and journal.check_mode:
            return {"databases": [], "left": []}
        if not recorded:
            raise BlueGreenError(
                f"Green at {green.host} should hold the control record of {names.deployment_id}, but has no control database: "
                "run this after pg_logical_subscription with state=positioned, and before the clean-up."
            )
        chosen = choose_databases(conn, names, databases)
    work = Work(journal, wishes.lock_timeout, wishes.parallel)
    for database in chosen:
        with connected(green.at(database)) as conn:
            work.limit(conn)
            for task in (task for task in TASKS if task in wishes.tasks):
                _run(task, green, names, database, conn, wishes, work)
    if work.failed:
        raise BlueGreenError(
            f"Everything else was done on green, but {len(work.failed)} of it failed: {'; '.join(work.failed)}. "
            "Running it again does what is missing.",
            failed=work.failed,
            left=work.left,
        )
    return {"databases": chosen, "left": work.left}


def _run(task: str, green: Endpoint, names: Names, database: str, conn: Connection, wishes: Wishes, work: Work) -> None:
    tasks: dict[str, Callable[[], None]] = {
        "extensions": lambda: extensions(conn, database, work),
        "collations": lambda: collations(conn, database, work),
        "statistics": lambda: statistics(conn, green.at(database), work),
        "materialized_views": lambda: materialized_views(conn, green, names, database, wishes.refresh, work),
    }
    work.guard(f"{task} in {database}", tasks[task])
