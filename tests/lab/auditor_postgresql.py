# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the auditor asks PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2 import extensions

from tests.lab.auditor_snapshot import Query, Row, Snapshot, broken_sums, repeated_ids

# Sums that every transaction keeps, per writer or over all of them; each query returns the rows that break one.
_INVARIANTS = {
    "totals count the ledger's rows": """
        SELECT t.writer, t.transactions, t.amount, count(l.n), coalesce(sum(l.amount), 0)
        FROM shop.totals t LEFT JOIN shop.ledger l USING (writer)
        GROUP BY t.writer, t.transactions, t.amount
        HAVING t.transactions <> count(l.n) OR t.amount <> coalesce(sum(l.amount), 0)""",
    "ordered amounts are the ledger's": """
        SELECT t.writer, t.ordered, coalesce(sum(l.amount), 0)
        FROM shop.totals t LEFT JOIN shop.ledger l ON l.writer = t.writer AND l.kind = 'multi'
        GROUP BY t.writer, t.ordered HAVING t.ordered <> coalesce(sum(l.amount), 0)""",
    "open and closed orders are what was ordered": """
        SELECT t.writer, t.ordered, t.closed, coalesce(sum(o.total), 0)
        FROM shop.totals t LEFT JOIN shop.orders o USING (writer)
        GROUP BY t.writer, t.ordered, t.closed HAVING t.ordered <> t.closed + coalesce(sum(o.total), 0)""",
    "the order events are counted": """
        SELECT t.writer, t.events, count(e.n) FROM shop.totals t LEFT JOIN shop."Order Events" e USING (writer)
        GROUP BY t.writer, t.events HAVING t.events <> count(e.n)""",
    "the customers' balances are what was ordered": """
        SELECT c.sum, t.sum FROM (SELECT sum(balance) FROM shop.customers) c, (SELECT sum(ordered) FROM shop.totals) t
        WHERE c.sum <> t.sum""",
    "the customers' visits are the orders made": """
        SELECT c.sum, l.count FROM (SELECT sum((profile ->> 'visits')::bigint) FROM shop.customers) c,
            (SELECT count(*) FROM shop.ledger WHERE kind = 'multi') l
        WHERE c.sum <> l.count""",
}
# A sequence must not be able to hand out a value that is taken.
_SEQUENCES = {
    "shop.ledger": "SELECT last_value, is_called, (SELECT max(id) FROM shop.ledger) FROM shop.ledger_id_seq",
    "shop.orders": "SELECT last_value, is_called, (SELECT max(id) FROM shop.orders) FROM shop.orders_id_seq",
    'shop."Order Events"': (
        'SELECT last_value, is_called, (SELECT max(id) FROM shop."Order Events") FROM shop."Order Events_id_seq"'
    ),
}
_REPEATED_IDS = {
    "shop.ledger": "SELECT id, count(*) FROM shop.ledger GROUP BY id HAVING count(*) > 1",
    'shop."Order Events"': 'SELECT id, count(*) FROM shop."Order Events" GROUP BY id HAVING count(*) > 1',
}


def read(parameters: Mapping[str, Any]) -> Snapshot:
    """Return what a side holds, all of it in one snapshot. Raises psycopg2.Error when it cannot be read."""
    with closing(psycopg2.connect(**parameters)) as connection:
        connection.set_session(isolation_level=extensions.ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        with connection.cursor() as cursor:

            def query(statement: str) -> list[tuple[Any, ...]]:
                cursor.execute(statement)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                return rows

            found = query("SELECT writer, n, amount, id, host(server) FROM shop.ledger")
            return Snapshot(
                rows=tuple(Row(*row) for row in found),
                broken_sums=broken_sums(query, _INVARIANTS),
                collisions=tuple(_collisions(query)),
            )


def _collisions(query: Query) -> Iterable[str]:
    yield from repeated_ids(query, _REPEATED_IDS)
    for table, statement in _SEQUENCES.items():
        ((last_value, is_called, highest),) = query(statement)
        following = last_value + 1 if is_called else last_value
        if highest is not None and following <= highest:
            yield f"the sequence of {table} would hand out {following} next, which is not above the highest id {highest}"
