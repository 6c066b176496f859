# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair whose equality is proved in the tests of bg_verify: one table of every kind that a verification could get wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._core.comparison import TableProof
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect, execute
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import verify
from tests.integration.postgresql.conftest import Pair, login, run

NAMES = Names.of("proof-test")
PLAIN_TABLES = (
    "CREATE TABLE plain (id int PRIMARY KEY, v text)",
    "INSERT INTO plain SELECT g, 'row ' || g FROM generate_series(1, 5000) g",
    "ANALYZE plain",
    "CREATE TABLE keyless (v text, n numeric)",
    "ALTER TABLE keyless REPLICA IDENTITY FULL",
    "INSERT INTO keyless SELECT 'same', 1.50 FROM generate_series(1, 10)",
    'CREATE TABLE "100% ""odd""" ("the %key" char(5), b uuid, "v%s" float8, w timestamptz, x bytea, y jsonb, z int[],'
    ' PRIMARY KEY ("the %key", b))',
    'INSERT INTO "100% ""odd""" SELECT g::text, gen_random_uuid(), g / 3.0, now(), decode(md5(g::text), \'hex\'),'
    " '{\"a\": [1, null]}', ARRAY[g, NULL] FROM generate_series(1, 50) g",
    "CREATE TABLE part (id bigint PRIMARY KEY, v interval, m money) PARTITION BY RANGE (id)",
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200)",
    "INSERT INTO part SELECT g, g * interval '1 hour', g::money FROM generate_series(50, 150) g",
    "CREATE TABLE by_index (a int NOT NULL UNIQUE, b text)",
    "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a_key",
    "INSERT INTO by_index VALUES (1, NULL), (2, '')",
    "CREATE TABLE nothing ()",
    "ALTER TABLE nothing REPLICA IDENTITY FULL",
    "INSERT INTO nothing DEFAULT VALUES",
)

# A row per type whose own equality is not identity, or that has several forms; the second value is what green gets instead.
NEARLY = {
    "i8 int8": ("-1", "4294967295"),
    "num numeric": ("1.0", "1.00"),
    "f4 float4": ("0", "'-0'"),
    "f8 float8": ("'-0'", "0"),
    "ts timestamp": ("'infinity'", "'-infinity'"),
    "tz timestamptz": ("'2024-01-01 00:00:00+00'", "'2024-01-01 00:00:00.000001+00'"),
    "d date": ("'0044-03-15 BC'", "'0044-03-15'"),
    "tt timetz": ("'12:00+00'", "'13:00+01'"),
    "iv interval": ("'1 mon'", "'30 days'"),
    "ok boolean": ("true", "NULL"),
    "ch char(5)": ("'a'", "'A'"),
    "tx text": ("''", "NULL"),
    "vc varchar": ("'a '", "'a'"),
    "by bytea": ("'\\x00ff'", "'\\x00fe'"),
    "u uuid": ("'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    "j json": ("'{\"a\": 1}'", "'{\"a\":1}'"),
    "jb jsonb": ("'[1.0]'", "'[1.00]'"),
    "e mood": ("'sad'", "'ok'"),
    "dm cents": ("1", "2"),
    "comp couple": ("'(1,)'", "'(1,\"\")'"),
    "arr numeric[]": ("'{1.0,NULL}'", "'{1.00,NULL}'"),
    "txs text[]": ("'[0:0]={a}'", "'{a}'"),
    "rng numrange": ("'[1.0,2)'", "'[1,2)'"),
    "mr int4multirange": ("'{[1,2),[5,6)}'", "'{[1,3)}'"),
    "pt point": ("'(0,0)'", "'(-0,0)'"),
    "bx box": ("'((1,1),(0,0))'", "'((2,0.5),(0,0))'"),
    "bt bit(3)": ("'101'", "'100'"),
    "vb varbit": ("'1'", "'10'"),
    "ip inet": ("'10.0.0.1/8'", "'10.0.0.1/24'"),
    "mon money": ("1", "2"),
    "tsv tsvector": ("'a:1'", "'a:2'"),
    "o oid": ("1", "4294967295"),
    "nm name": ("'a'", "'b'"),
}
KINDS = list(NEARLY)

TABLES = (
    *PLAIN_TABLES,
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE DOMAIN cents AS int",
    "CREATE TYPE couple AS (a int, b text)",
    f"CREATE TABLE kinds (id int PRIMARY KEY, gen int GENERATED ALWAYS AS (id * 2) STORED, {', '.join(KINDS)})",
    *(
        f"INSERT INTO kinds (id, {kind.split()[0]}) VALUES ({number}, {NEARLY[kind][0]})"
        for number, kind in enumerate(KINDS)
    ),
    "INSERT INTO kinds (id, f4, f8, num) VALUES (900, 'NaN', 'NaN', 'NaN'), (901, 'infinity', '-infinity', 'infinity')",
    "CREATE TABLE swapped (id int PRIMARY KEY, a int, b text)",
    "INSERT INTO swapped VALUES (1, 1, 'x'), (2, 2, 'y')",
    "CREATE TABLE swapped_keyless (a int, b text)",
    "ALTER TABLE swapped_keyless REPLICA IDENTITY FULL",
    "INSERT INTO swapped_keyless VALUES (1, 'x'), (5, 'y')",  # records whose hashes have the same sum when they swap
    "CREATE TABLE folded (k numeric PRIMARY KEY, v int)",
    "INSERT INTO folded VALUES (1.0, 1), (2, 2)",
    "CREATE TABLE by_mood (m mood PRIMARY KEY, v int)",
    "INSERT INTO by_mood VALUES ('sad', 1), ('ok', 2)",
    "CREATE TABLE aliases (k int, c0 int, c1 text, t int, w int, k0 text, PRIMARY KEY (k, k0))",
    "INSERT INTO aliases SELECT g, g, g, g, g, g FROM generate_series(1, 20) g",
    "CREATE TABLE covered (id int, v text, PRIMARY KEY (id) INCLUDE (v))",
    "INSERT INTO covered VALUES (1, 'one'), (2, 'two')",
    "CREATE TABLE nullable (a int UNIQUE, b text)",
    "ALTER TABLE nullable REPLICA IDENTITY FULL",
    "INSERT INTO nullable VALUES (NULL, 'x'), (NULL, 'x'), (1, 'x')",
    "CREATE TABLE parent (id int PRIMARY KEY, gone text, v text)",
    "ALTER TABLE parent DROP gone",
    "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)",
    "INSERT INTO parent VALUES (1, 'parent')",
    "INSERT INTO child VALUES (1, 'child'), (2, 'child')",
    "CREATE TABLE guarded (id int PRIMARY KEY, v text)",
    "INSERT INTO guarded VALUES (1, 'seen'), (2, 'hidden')",
    "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY seen ON guarded USING (v = 'seen')",
    "CREATE TABLE wide (id int PRIMARY KEY, v text, w bytea)",
    "INSERT INTO wide SELECT 1, repeat('wide', 500000), decode(repeat('00ff', 500000), 'hex')",
    "CREATE TABLE empty (id int PRIMARY KEY)",
    "CREATE SEQUENCE counted",
    "CREATE MATERIALIZED VIEW summed AS SELECT count(*) FROM plain",
    "SELECT lo_from_bytea(4711, decode(repeat('ab', 1500000), 'hex')), lo_from_bytea(4712, ''), lo_from_bytea(4713, 'x')",
)

NAMES_OF_TABLES = [
    '100% "odd"',
    "aliases",
    "by_index",
    "by_mood",
    "child",
    "covered",
    "empty",
    "folded",
    "guarded",
    "keyless",
    "kinds",
    "nothing",
    "nullable",
    "parent",
    "part_1",
    "part_2",
    "pg_largeobject",
    "plain",
    "swapped",
    "swapped_keyless",
    "wide",
]


def proofs(pair: Pair, **options: Any) -> dict[str, TableProof]:
    """What the library finds, by table."""
    found = verify(pair.blue, pair.green, NAMES, ["shop"], Options(**options))
    return {proof.table: proof for proof in found.tables}


def unequal(found: dict[str, TableProof]) -> dict[str, tuple[str, ...]]:
    """The tables that are not equal, with their differences."""
    return {name: tuple(proof.differences) for name, proof in found.items() if not proof.equal}


@contextmanager
def on_green(pair: Pair, *statements: str, undo: tuple[str, ...]) -> Iterator[None]:
    """Change green behind replication's back, and take it back."""
    run(pair.green, *statements, database="shop")
    try:
        yield
    finally:
        run(pair.green, *undo, database="shop")


def options(pair: Pair, **more: Any) -> dict[str, Any]:
    return {
        "deployment_id": "proof-test",
        "engine": "aurora_postgresql",
        "blue": login(pair.blue),
        "green": login(pair.green),
        **more,
    }


@contextmanager
def load(pair: Pair) -> Iterator[list[int]]:
    """Writers that keep a counter row, most rows of a table (not every seventh) and a table without a key in flux."""
    stop, written = threading.Event(), [0, 0]

    def write(number: int) -> None:
        with closing(connect(pair.blue.at("shop"))) as conn:
            while not stop.is_set():
                execute(conn, "UPDATE plain SET v = v || '.' WHERE id = 1")
                execute(
                    conn,
                    "UPDATE plain SET v = left(v, 20) || '!' WHERE id %% 100 = %s AND id %% 7 <> 0",
                    (written[number] % 100,),
                )
                execute(conn, "INSERT INTO keyless VALUES (%s, 2)", (f"{number} {written[number]}",))
                written[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()
