# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the auditor asks MySQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import pymysql

from tests.lab.auditor_snapshot import Query, Row, Snapshot, broken_sums, repeated_ids

# Sums that every transaction keeps, per writer or over all of them; each query returns the rows that break one.
_INVARIANTS = {
    "totals count the ledger's rows": """
        SELECT t.writer, t.transactions, t.amount, COUNT(l.n), COALESCE(SUM(l.amount), 0)
        FROM totals t LEFT JOIN ledger l USING (writer)
        GROUP BY t.writer, t.transactions, t.amount
        HAVING t.transactions <> COUNT(l.n) OR t.amount <> COALESCE(SUM(l.amount), 0)""",
    "ordered amounts are the ledger's": """
        SELECT t.writer, t.ordered, COALESCE(SUM(l.amount), 0)
        FROM totals t LEFT JOIN ledger l ON l.writer = t.writer AND l.kind = 'multi'
        GROUP BY t.writer, t.ordered HAVING t.ordered * 100 <> COALESCE(SUM(l.amount), 0)""",
    "open and closed orders are what was ordered": """
        SELECT t.writer, t.ordered, t.closed, COALESCE(SUM(o.total), 0)
        FROM totals t LEFT JOIN orders o USING (writer)
        GROUP BY t.writer, t.ordered, t.closed HAVING t.ordered <> t.closed + COALESCE(SUM(o.total), 0)""",
    "every order has its lines": """
        SELECT o.writer, o.id, o.doc, COUNT(l.line) FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id
        GROUP BY o.writer, o.id, o.doc HAVING COUNT(l.line) <> JSON_EXTRACT(o.doc, '$.lines')""",
    "every line has its order": """
        SELECT l.order_id, l.line FROM order_lines l LEFT JOIN orders o ON o.id = l.order_id WHERE o.id IS NULL""",
    "the order events are counted": """
        SELECT t.writer, t.events, COUNT(e.n) FROM totals t LEFT JOIN `Order Events` e USING (writer)
        GROUP BY t.writer, t.events HAVING t.events <> COUNT(e.n)""",
    "the customers' balances are what was ordered": """
        SELECT c.sum, t.sum FROM (SELECT SUM(balance) AS sum FROM customers) c, (SELECT SUM(ordered) AS sum FROM totals) t
        WHERE c.sum <> t.sum""",
    "the customers' visits are the orders made": """
        SELECT c.sum, l.count FROM (SELECT SUM(JSON_EXTRACT(profile, '$.visits')) AS sum FROM customers) c,
            (SELECT COUNT(*) AS count FROM ledger WHERE kind = 'multi') l
        WHERE c.sum <> l.count""",
}
_REPEATED_IDS = {"ledger": "SELECT id, COUNT(*) FROM ledger GROUP BY id HAVING COUNT(*) > 1"}
# AUTO_INCREMENT must not be able to hand out a value that is taken.
_COUNTERS = """
SELECT table_name, auto_increment FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name IN ('ledger', 'orders', 'Order Events')
"""


def read(parameters: Mapping[str, Any]) -> Snapshot:
    """Return what a side holds, all of it in one snapshot. Raises pymysql.MySQLError when it cannot be read."""
    with closing(pymysql.connect(**parameters)) as connection, connection.cursor() as cursor:

        def query(statement: str) -> list[tuple[Any, ...]]:
            cursor.execute(statement)
            return list(cursor.fetchall())

        query("SET SESSION information_schema_stats_expiry = 0, transaction_isolation = 'REPEATABLE-READ'")
        query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        found = query("SELECT writer, n, amount, id, server FROM ledger")
        return Snapshot(
            rows=tuple(Row(*row) for row in found),
            broken_sums=broken_sums(query, _INVARIANTS),
            collisions=tuple(_collisions(query)),
        )


def _collisions(query: Query) -> Iterable[str]:
    yield from repeated_ids(query, _REPEATED_IDS)
    for table, following in query(_COUNTERS):
        ((highest,),) = query(f"SELECT MAX(id) FROM `{table}`")
        if highest is not None and (following or 1) <= highest:
            yield f"AUTO_INCREMENT of {table} would hand out {following} next, which is not above the highest id {highest}"
