# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL for the writers: the application's tables, and a session.

The tables are in the connection's database. Between them they have what replication trips over: a table without a key,
AUTO_INCREMENT, a trigger (its effects are in the binary log, it must not fire again on a replica), a foreign key whose
cascades are not in the binary log, a composite key, JSON, decimals, utf8mb4 text, a name that needs quotes.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import ER

from tests.lab.load_engine import CUSTOMERS, Booked, Lost, NoSession, Refused, Target, Work, own_customer

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_TABLES = (
    """CREATE TABLE ledger (
        id bigint NOT NULL AUTO_INCREMENT,
        writer int NOT NULL,
        n bigint NOT NULL,
        kind varchar(10) NOT NULL,
        amount bigint NOT NULL,
        note json NOT NULL DEFAULT (JSON_OBJECT()),
        server varchar(60) NOT NULL DEFAULT '',
        at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        KEY (id), KEY (writer, n)
    )""",
    """CREATE TABLE customers (
        id int NOT NULL PRIMARY KEY,
        name varchar(60) NOT NULL,
        balance decimal(16, 2) NOT NULL DEFAULT 0,
        profile json NOT NULL DEFAULT (JSON_OBJECT('visits', 0))
    )""",
    """CREATE TABLE orders (
        id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
        writer int NOT NULL,
        n bigint NOT NULL,
        customer int NOT NULL,
        total decimal(16, 2) NOT NULL,
        doc json NOT NULL,
        ordered_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        FOREIGN KEY (customer) REFERENCES customers (id)
    )""",
    """CREATE TABLE order_lines (
        order_id bigint NOT NULL,
        line int NOT NULL,
        item varchar(60) NOT NULL,
        price decimal(12, 2) NOT NULL,
        PRIMARY KEY (order_id, line),
        FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE
    )""",
    """CREATE TABLE `Order Events` (
        id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
        writer int NOT NULL,
        n bigint NOT NULL,
        `What happened` json NOT NULL
    )""",
    """CREATE TABLE totals (
        writer int NOT NULL PRIMARY KEY,
        transactions bigint NOT NULL DEFAULT 0,
        amount bigint NOT NULL DEFAULT 0,
        ordered decimal(20, 2) NOT NULL DEFAULT 0,
        closed decimal(20, 2) NOT NULL DEFAULT 0,
        events bigint NOT NULL DEFAULT 0
    )""",
)
_TRIGGER = """
CREATE DEFINER = {account} TRIGGER ledger_booked AFTER INSERT ON ledger FOR EACH ROW
UPDATE totals SET transactions = transactions + 1, amount = amount + NEW.amount WHERE writer = NEW.writer
"""
_BOOK = (
    "INSERT INTO ledger (writer, n, kind, amount, note, server) VALUES (%(writer)s, %(n)s, '{}', %(amount)s, %(note)s,"
)
_SINGLE, _FIRST = (_BOOK.format(kind) + " %(server)s)" for kind in ("single", "multi"))
_CUSTOMER = """
UPDATE customers SET balance = balance + %(amount)s / 100,
    profile = JSON_SET(profile, '$.visits', JSON_EXTRACT(profile, '$.visits') + 1)
WHERE id = %(customer)s
"""
_ORDER = """
INSERT INTO orders (writer, n, customer, total, doc)
VALUES (%(writer)s, %(n)s, %(customer)s, %(amount)s / 100, JSON_OBJECT('state', 'new', 'lines', %(lines)s))
"""
_LINE = "INSERT INTO order_lines (order_id, line, item, price) VALUES (%s, %s, 'Tasse ☕ für 買い物', %s)"
_CLOSE = "UPDATE totals t JOIN orders o ON o.id = %(old_order)s SET t.closed = t.closed + o.total WHERE t.writer = %(writer)s"
_DELETE_ORDER = "DELETE FROM orders WHERE id = %(old_order)s"
_TOUCH = """
UPDATE `Order Events` SET `What happened` = JSON_SET(`What happened`, '$.shipped', TRUE) WHERE id = %(last_event)s
"""
_DROP = "DELETE FROM `Order Events` WHERE id = %(old_event)s"
_TOTALS = (
    "UPDATE totals SET ordered = ordered + %(amount)s / 100, events = events + 1 - {dropped} WHERE writer = %(writer)s"
)
_EVENT = """
INSERT INTO `Order Events` (writer, n, `What happened`) VALUES (%(writer)s, %(n)s, JSON_OBJECT('event', 'ordered'))
"""
# What the server says when it has not committed and never will. Everything else at a commit leaves the outcome unknown.
_NOT_COMMITTED = frozenset(
    {
        ER.DUP_ENTRY,
        ER.LOCK_WAIT_TIMEOUT,
        ER.LOCK_DEADLOCK,
        ER.OPTION_PREVENTS_STATEMENT,
        ER.NO_REFERENCED_ROW_2,
        ER.TABLEACCESS_DENIED_ERROR,
        1792,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
        1836,  # ER_READ_ONLY_MODE
    }
)
# What the server says to a session that it has ended: the connection is gone although an answer came.
_ENDED = frozenset({ER.SERVER_SHUTDOWN, 1927, 3169, 4031})


class MySQLSession:
    """`tests.lab.load_engine.Session` on PyMySQL."""

    def __init__(self, target: Target, name: str) -> None:
        """Connect; raises NoSession."""
        try:
            self._connection: Connection[Cursor] = pymysql.connect(
                host=target.host,
                port=target.port,
                database=target.database,
                user=target.user,
                password=target.password,
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=10,
                program_name=name,
                **encryption(target.ssl_mode, target.ca_file),
            )
        except (pymysql.MySQLError, OSError, RuntimeError) as error:
            raise NoSession(str(error)) from error
        try:
            self._server = str(self._run("SELECT @@server_uuid", {}, False).fetchall()[0][0])
        except (Lost, Refused) as error:
            self.close()
            raise NoSession(str(error)) from error

    def single(self, work: Work) -> Booked:
        """Commit a transaction of one statement; a trigger has its part in it."""
        return self._book(_SINGLE, work, commits=True)

    def begin(self, work: Work) -> Booked:
        """Begin a transaction with its row in the ledger."""
        self._run("BEGIN", {}, False)
        return self._book(_FIRST, work, commits=False)

    def order(self, work: Work) -> int:
        """Go on with the customer, a new order and its lines."""
        values = asdict(work)
        self._run(_CUSTOMER, values, False)
        made = self._insert(_ORDER, values)
        lines = [(made, line, work.amount / 4) for line in range(1, work.lines + 1)]
        self._run(_LINE, lines, False, many=True)
        return made

    def finish(self, work: Work) -> int:
        """Close, touch and drop what is due, count it, add an event."""
        values, dropped = asdict(work), 0
        if work.old_order is not None:
            self._run(_CLOSE, values, False)
            self._run(_DELETE_ORDER, values, False)
        if work.last_event is not None:
            self._run(_TOUCH, values, False)
        if work.old_event is not None:
            dropped = self._run(_DROP, values, False).rowcount
        self._run(_TOTALS.format(dropped=dropped), values, False)
        return self._insert(_EVENT, values)

    def commit(self) -> None:
        """Commit."""
        self._run("COMMIT", {}, True)

    def rollback(self) -> None:
        """Roll back."""
        self._run("ROLLBACK", {}, False)

    def close(self) -> None:
        """Close the connection."""
        with suppress(pymysql.MySQLError, OSError):
            self._connection.close()

    def _book(self, statement: str, work: Work, commits: bool) -> Booked:
        return self._insert(statement, {**asdict(work), "server": self._server}, commits), self._server

    def _insert(self, statement: str, values: Any, commits: bool = False) -> int:
        return int(self._run(statement, values, commits).lastrowid)

    def _run(self, statement: str, values: Any, commits: bool, many: bool = False) -> Cursor:
        """Run a statement; ``commits`` marks the one that decides."""
        cursor = self._connection.cursor()
        try:
            (cursor.executemany if many else cursor.execute)(statement, values)
        except (pymysql.MySQLError, OSError) as error:
            number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            code = str(number) if number else None
            gone = number in _ENDED or not self._connection.open or not _from_server(number)
            if gone or (commits and number not in _NOT_COMMITTED):
                raise Lost(commits, code) from error
            raise Refused(code) from error
        return cursor


def _from_server(number: int) -> bool:
    """Whether an error number is one of the server's; 2000 to 2999 are the client's (MySQL error reference)."""
    return 1000 <= number < 2000 or number >= 3000


def encryption(ssl_mode: str, ca_file: str | None) -> dict[str, Any]:
    """Return PyMySQL's options for libpq's words: disable, require, verify-ca, verify-full."""
    if ssl_mode == "disable":
        return {"ssl_disabled": True}
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = ssl_mode == "verify-full"
    if ssl_mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def create(connection: Connection[Cursor], role: str, password: str, writers: Iterable[int]) -> None:
    """Make the application's account, its tables and its rows in the connection's database.

    The account has the usual rights on that database; it is not the master user, who owns nothing in MySQL.
    """
    with connection.cursor() as cursor:
        account = f"'{role}'@'%'"
        cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (role, password))
        cursor.execute("SELECT DATABASE()")
        database = cursor.fetchall()[0][0]
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE, TRIGGER ON `{database}`.* TO {account}")
        for table in _TABLES:
            cursor.execute(table)
        cursor.execute(_TRIGGER.format(account=account))
        customers = [(number, f"customer {number} 顧客 🛒") for number in range(1, CUSTOMERS + 1)]
        # one customer of its own for a writer that holds transactions open, so that nobody waits behind it
        customers += [(own_customer(writer), "of one writer") for writer in writers]
        cursor.executemany("INSERT INTO customers (id, name) VALUES (%s, %s)", customers)
        cursor.executemany("INSERT INTO totals (writer) VALUES (%s)", [(writer,) for writer in writers])
