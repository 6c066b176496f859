# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair whose equality is proved in the tests of bg_verify: one table of every kind that a verification could get wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._core.comparison import TableProof
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options, Verdict
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import wait_until
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import record
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, connected, execute
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import channel, current
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.dialect import Dialect
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.service import service_of
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify import verify
from tests.integration.mysql.conftest import Servers, login, run

NAMES = Names.of("proof-test")
REPLICATION = ("bg_proof_repl", "a replication password")


@dataclass(frozen=True)
class Pair:
    """Blue and a green that follows it."""

    blue: Endpoint
    green: Endpoint


def replicated(servers: Servers, blue: Endpoint, *, gtid: bool) -> Pair:
    """Clone ``blue`` and let the clone follow it, by GTIDs or from where its log ended."""
    user, password = REPLICATION
    with connected(blue) as conn:
        record.ensure(conn)
        service_of(conn, Dialect.of(conn)).set_retention(24)
        execute(conn, f"CREATE USER '{user}'@'%%' IDENTIFIED BY %s", (password,))
        execute(conn, f"GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%%'", ())
        at = current(conn, Dialect.of(conn))
    green = servers.clone(blue)
    with connected(green) as conn:
        dialect = Dialect.of(conn)
        service = service_of(conn, dialect)
        service.set_source(blue, user, password, None if gtid else at, encrypted=True)
        service.start()
        wait_until(
            lambda: channel(conn, dialect),
            lambda found: found is not None and found.running,
            timeout=20,
            delay=0.1,
            wanted="replication",
        )
    return Pair(blue, green)


ORDERS = 6000
_NUMBERS = "INSERT INTO {table} WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {count}) SELECT {columns} FROM g"


def numbered(table: str, count: int, columns: str) -> str:
    """Fill a table with ``count`` rows, ``n`` from 1."""
    return _NUMBERS.format(table=table, count=count, columns=columns)


# A row per type whose own equality is not identity, or that has several forms; the second value is what green gets instead.
NEARLY = {
    "i1 tinyint": ("-1", "1"),
    "i8 bigint unsigned": ("18446744073709551615", "18446744073709551614"),
    "zf int(6) unsigned zerofill": ("7", "8"),
    "num decimal(20,4)": ("1.0000", "1.0001"),
    "f4 float": ("16777216", "16777218"),
    "f4b float": ("-0e0", "0e0"),
    "f8 double": ("-0e0", "0e0"),
    "f8b double(10,2)": ("1.50", "1.51"),
    "bt bit(64)": ("b'1'", "b'11'"),
    "bl boolean": ("TRUE", "NULL"),
    "d date": ("'0000-00-00'", "NULL"),
    "dt datetime(6)": ("'2024-01-01 00:00:00'", "'2024-01-01 00:00:00.000001'"),
    "ts timestamp(3) NULL": ("'2024-03-31 02:30:00'", "'2024-03-31 02:30:00.001'"),
    "ti time(3)": ("'-00:00:01'", "'00:00:01'"),
    "y year": ("2000", "2001"),
    "c char(5)": ("'a'", "'A'"),
    "vc varchar(20)": ("''", "NULL"),
    "vt varchar(20)": ("'a '", "'a'"),
    "acc varchar(20)": ("'strasse'", "'straße'"),
    "lat varchar(20) CHARACTER SET latin1": ("'é'", "'e'"),
    "gr varchar(20) CHARACTER SET greek": ("'\u03b1'", "'\u0391'"),
    "u2 varchar(20) CHARACTER SET utf16": ("'x'", "'X'"),
    "tx text": ("'a#b'", "'a##b'"),
    "lt longtext": ("REPEAT('x', 100000)", "CONCAT(REPEAT('x', 99999), 'X')"),
    "bi binary(4)": ("x'00ff'", "x'00fe'"),
    "vb varbinary(10)": ("x'00'", "x''"),
    "bb blob": ("x'0102'", "x'010200'"),
    "lb longblob": ("REPEAT(x'00', 100000)", "REPEAT(x'00', 100001)"),
    "e enum('','a','b')": ("'a'", "'b'"),
    "s set('a','b','c')": ("'a,c'", "'a,b'"),
    "j json": ('\'{"b": 1, "a": [1.0, null]}\'', '\'{"b": 1, "a": [1.0, "null"]}\''),
    "g geometry SRID 4326": ("ST_GeomFromText('POINT(1 2)', 4326)", "ST_GeomFromText('POINT(2 1)', 4326)"),
    "p point": ("POINT(1, 2)", "ST_SRID(POINT(1, 2), 4326)"),
}
KINDS = list(NEARLY)

TABLES = (
    "CREATE TABLE plain (id int PRIMARY KEY, v text)",
    numbered("plain", 1000, "n, CONCAT('row ', n)"),
    "CREATE TABLE orders (id bigint AUTO_INCREMENT PRIMARY KEY, customer int NOT NULL, amount decimal(12,2) DEFAULT 0,"
    " note varchar(80), placed datetime(6), INDEX by_customer (customer))",
    numbered("orders", ORDERS, "n, n % 997, n * 1.37, CONCAT('note of order ', n), '2024-01-01' + INTERVAL n SECOND"),
    "CREATE TABLE items (tenant varchar(20), number int, v text, PRIMARY KEY (tenant, number))",
    numbered("items", ORDERS, "CONCAT('tenant ', n % 3), n, CONCAT('line ', n)"),
    "CREATE TABLE keyless (v text, n decimal(10,2))",
    numbered("keyless", 10, "'same', 1.50"),
    'CREATE TABLE `100% "odd"` (`the %key` char(5), `b``%s` varbinary(16), w timestamp NULL, PRIMARY KEY (`the %key`, `b``%s`))',
    numbered('`100% "odd"`', 50, "n, UNHEX(MD5_OF(n)), NULL").replace("MD5_OF(n)", "LEFT(SHA2(n, 256), 32)"),
    "CREATE TABLE part (id bigint, at date, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at))"
    " (PARTITION p0 VALUES LESS THAN (2021), PARTITION p1 VALUES LESS THAN MAXVALUE)",
    numbered("part", 100, "n, '2020-12-01' + INTERVAL n DAY, n"),
    "CREATE TABLE by_index (a int NOT NULL, b text, UNIQUE (a))",
    "INSERT INTO by_index VALUES (1, NULL), (2, '')",
    "CREATE TABLE by_prefix (k varchar(200), v int, PRIMARY KEY (k(10)))",
    "INSERT INTO by_prefix VALUES ('one', 1), ('two', 2)",
    f"CREATE TABLE kinds (id int PRIMARY KEY, gen int GENERATED ALWAYS AS (id * 2) STORED, virt int AS (id + 1) VIRTUAL,"
    f" {', '.join(KINDS)}, hidden int DEFAULT 7 INVISIBLE)",
    f"INSERT INTO kinds (id, {', '.join(kind.split()[0] for kind in KINDS)})"
    f" WITH RECURSIVE g (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < {len(KINDS) - 1})"
    f" SELECT n, {', '.join(first for first, _second in NEARLY.values())} FROM g",
    "CREATE TABLE swapped (id int PRIMARY KEY, a int, b text)",
    "INSERT INTO swapped VALUES (1, 1, 'x'), (2, 2, 'y')",
    "CREATE TABLE swapped_keyless (a int, b text)",
    "INSERT INTO swapped_keyless VALUES (1, 'x'), (5, 'y')",
    "CREATE TABLE folded (k varchar(10) PRIMARY KEY, v int)",
    "INSERT INTO folded VALUES ('one', 1), ('two', 2)",
    "CREATE TABLE by_mood (m enum('sad', 'ok'), f float, b bit(5), at timestamp(6), v int, PRIMARY KEY (m, f, b, at))",
    "INSERT INTO by_mood VALUES ('sad', 0.1, b'1', '2024-01-01 00:00:00.5', 1), ('ok', -0.1, b'11', '2024-01-01', 2)",
    "CREATE TABLE aliases (k int, h int, r int, b int, t text, PRIMARY KEY (k, h))",
    numbered("aliases", 20, "n, n, n, n, n"),
    "CREATE TABLE nullable (a int UNIQUE, b text)",
    "INSERT INTO nullable VALUES (NULL, 'x'), (NULL, 'x'), (1, 'x')",
    "CREATE TABLE parent (id int PRIMARY KEY)",
    "CREATE TABLE child (id int PRIMARY KEY, parent int, v int, INDEX by_parent (parent),"
    " FOREIGN KEY (parent) REFERENCES parent (id) ON UPDATE CASCADE)",
    "INSERT INTO parent VALUES (1), (2)",
    "INSERT INTO child VALUES (1, 1, 1), (2, 2, 2)",
    "CREATE TABLE invisible_key (v text, my_id bigint unsigned AUTO_INCREMENT INVISIBLE PRIMARY KEY)",
    "INSERT INTO invisible_key (v) VALUES ('a'), ('b')",
    "CREATE TABLE void (id int PRIMARY KEY)",
    "CREATE VIEW recent AS SELECT id FROM plain WHERE id > 900",
    "CREATE TRIGGER stamp BEFORE INSERT ON by_prefix FOR EACH ROW SET NEW.v = COALESCE(NEW.v, 7)",
    "CREATE FUNCTION doubled(n int) RETURNS int DETERMINISTIC RETURN n * 2",
    "CREATE PROCEDURE nothing(IN a int, OUT b int) SET b = a",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2040-01-01' DO DELETE FROM void",
)

NAMES_OF_TABLES = [
    '100% "odd"',
    "aliases",
    "by_index",
    "by_mood",
    "by_prefix",
    "child",
    "folded",
    "invisible_key",
    "items",
    "keyless",
    "kinds",
    "nullable",
    "orders",
    "parent",
    "part",
    "plain",
    "swapped",
    "swapped_keyless",
    "void",
]
SMALL = {"exclude": ["shop.items", "shop.kinds"]}


def verdict(pair: Pair, **options: Any) -> Verdict:
    """What the library finds."""
    return verify(pair.blue, pair.green, NAMES, ["shop"], Options(**options))


def proofs(pair: Pair, **options: Any) -> dict[str, TableProof]:
    """What the library finds, by table."""
    return {proof.table: proof for proof in verdict(pair, **options).tables}


def unequal(found: dict[str, TableProof]) -> dict[str, tuple[str, ...]]:
    """The tables that are not equal, with their differences, or why they could not be compared."""
    return {name: tuple(proof.differences) or (str(proof.error),) for name, proof in found.items() if not proof.equal}


@contextmanager
def on_green(pair: Pair, *statements: str, undo: tuple[str, ...]) -> Iterator[None]:
    """Change green behind replication's back, and take it back."""
    changed(pair.green, *statements)
    try:
        yield
    finally:
        changed(pair.green, *undo)


def changed(endpoint: Endpoint, *statements: str) -> None:
    """Run statements in the schema, with values that a strict mode would refuse."""
    whole = [] if any("sql_log_bin" in one for one in statements) else ["START TRANSACTION"]  # quicker
    run(endpoint, "SET SESSION sql_mode = ''", *whole, *statements, "COMMIT", database="shop")


def options(pair: Pair, **more: Any) -> dict[str, Any]:
    return {
        "deployment_id": "proof-test",
        "engine": "aurora_mysql",
        "blue": login(pair.blue),
        "green": login(pair.green),
        "databases": ["shop"],
        **more,
    }


@contextmanager
def load(pair: Pair) -> Iterator[list[int]]:
    """Writers that keep a counter row, rows all over a large table, a key that moves through it, and rows without a key in flux."""
    stop, written = threading.Event(), [0, 0, 0]

    def write(number: int) -> None:
        with closing(connect(pair.blue.at("shop"))) as conn:
            while not stop.is_set():
                turn = written[number]
                execute(conn, "UPDATE plain SET v = CONCAT(LEFT(v, 100), '.') WHERE id = 1")
                touched = ", ".join(str(id_) for id_ in range(turn % 500, ORDERS, 500) if id_ % 7)
                execute(conn, f"UPDATE orders SET note = 'turn {turn}' WHERE id IN ({touched})")
                execute(conn, "INSERT INTO keyless VALUES (%s, 2)", (f"{number} {turn}",))
                conn.begin()
                execute(conn, "INSERT INTO orders (customer, note) VALUES (1, 'new')")
                execute(conn, "UPDATE items SET v = %s WHERE tenant = 'tenant 1' AND number = 1", (f"{number} {turn}",))
                conn.commit()
                written[number] += 1

    def move() -> None:
        with closing(connect(pair.blue.at("shop"))) as conn:
            here, there = 10, 10_000_000
            while not stop.is_set() or here != 10:
                execute(conn, "UPDATE orders SET id = %s WHERE id = %s", (there, here))
                here, there = there, here
                written[2] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    threads.append(threading.Thread(target=move))
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def stopped(pair: Pair) -> Iterator[None]:
    """Replication does not run meanwhile."""
    with connected(pair.green) as conn:
        service = service_of(conn, Dialect.of(conn))
        service.stop()
        try:
            yield
        finally:
            service.start()
