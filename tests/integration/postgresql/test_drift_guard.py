# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift guard: every change of either side's schema since the clone is named with what mends it, on PostgreSQL 16 and 18."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import drift_baseline
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connected
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import move_checks
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.schema_catalog import (
    Schema,
    digests,
    read_schema,
)
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import Pair, Servers, login, replicated, run

DEPLOYMENT = "drift-test"
SHOP = (
    "CREATE TYPE mood AS ENUM ('sad', 'glad')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE TYPE span AS RANGE (subtype = float8)",
    "CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL CHECK (name <> ''),"
    " mood mood DEFAULT 'glad', email varchar(80) COLLATE \"C\" UNIQUE, upper text GENERATED ALWAYS AS (upper(name)) STORED,"
    " n positive, p pair, many int[] DEFAULT '{1,2}', span int4range, EXCLUDE USING gist (span WITH &&))",
    "CREATE TABLE orders (id serial PRIMARY KEY, customer bigint REFERENCES customers ON DELETE CASCADE,"
    " amount int DEFAULT 0, old text, said text, at timestamptz NOT NULL DEFAULT now(), again text)",
    "CREATE TABLE gone (id int PRIMARY KEY)",
    "CREATE TABLE parcels (id int PRIMARY KEY, kg int)",
    "CREATE TABLE remade (id int PRIMARY KEY)",
    "CREATE TABLE events (id bigint, at date, what text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
    "CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "CREATE TABLE events_rest PARTITION OF events DEFAULT",
    "CREATE INDEX events_what ON events (what)",
    "CREATE TABLE base (a int PRIMARY KEY)",
    "CREATE TABLE child (c int PRIMARY KEY) INHERITS (base)",
    'CREATE SCHEMA "Odd Name"',
    'CREATE TABLE "Odd Name"."T.x" ("a.b" int PRIMARY KEY, "user" text DEFAULT \'it\'\'s\')',
    "CREATE INDEX orders_at ON orders (at DESC NULLS LAST) INCLUDE (amount) WHERE amount > 0",
    "CREATE UNIQUE INDEX orders_odd ON orders (lower(said), (amount * 2))",
    "CREATE STATISTICS orders_related (dependencies) ON customer, amount FROM orders",
    "CREATE VIEW totals WITH (security_barrier) AS SELECT c.id, sum(o.amount) AS total, count(*) FILTER (WHERE o.said IS NULL)"
    " FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.id HAVING sum(o.amount) > 5 ORDER BY 2 DESC",
    "CREATE VIEW counted AS WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10)"
    " SELECT n, row_number() OVER (PARTITION BY n % 2 ORDER BY n), EXTRACT(year FROM now()) FROM t, LATERAL generate_series(1, n)",
    "CREATE MATERIALIZED VIEW per_customer AS SELECT customer, array_agg(id ORDER BY at) FROM orders GROUP BY 1",
    "CREATE FUNCTION twice(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT a * b'",
    "CREATE FUNCTION count_orders(a int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM orders WHERE id > a; END",
    "CREATE PROCEDURE settle(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN a := a + 1; END $$",
    "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')",
    "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER note BEFORE UPDATE OF amount ON orders FOR EACH ROW WHEN (NEW.amount > 0) EXECUTE FUNCTION noted()",
    "CREATE TRIGGER note AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION noted()",
    "ALTER TABLE customers ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON customers FOR SELECT USING (name = CURRENT_USER)",
    "CREATE RULE keep AS ON DELETE TO gone DO INSTEAD NOTHING",
)


@dataclass(frozen=True)
class Case:
    """A change on one side; what is said about it, what mends it, and whether it stops the switchover."""

    ddl: str
    said: str
    remedy: str = ""
    status: str = "failed"


ON_BLUE = {
    "table": Case(
        "CREATE TABLE late (a int PRIMARY KEY)", "table public.late was created on blue", 'CREATE TABLE "public"."late"'
    ),
    "partition": Case(
        "CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "partition of public.events, public.events_2026 was created on blue",
        "PARTITION OF public.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    ),
    "dropped table": Case("DROP TABLE gone", "table public.gone was dropped on blue", 'DROP TABLE "public"."gone"'),
    "table made again": Case(
        "DROP TABLE remade; CREATE TABLE remade (id int PRIMARY KEY)",
        "table public.remade was dropped and created again on blue",
        "drop it on green too",
    ),
    "column": Case(
        "ALTER TABLE orders ADD note text DEFAULT 'it''s \\ new'",
        "column public.orders.note was created on blue",
        "ADD COLUMN \"note\" text DEFAULT E'it''s \\\\ new'",
    ),
    "dropped column": Case(
        "ALTER TABLE orders DROP old", "column public.orders.old was dropped on blue", 'DROP COLUMN "old"'
    ),
    "column made again": Case(
        "ALTER TABLE orders DROP again; ALTER TABLE orders ADD again text",
        "column public.orders.again was dropped and created again on blue",
        "drop it on green too",
    ),
    "type": Case(
        "ALTER TABLE parcels ALTER kg TYPE bigint",
        "column public.parcels.kg was altered (type integer -> bigint) on blue",
        'ALTER COLUMN "kg" TYPE bigint',
    ),
    "default and NOT NULL": Case(
        "ALTER TABLE orders ALTER said SET DEFAULT 'x'; ALTER TABLE orders ALTER at DROP NOT NULL",
        "column public.orders.at was altered (not null True -> False) on blue",
        'ALTER COLUMN "at" DROP NOT NULL',
    ),
    "index": Case(
        "CREATE INDEX orders_said ON orders (said)",
        "index public.orders.orders_said was created",
        "CREATE INDEX orders_said",
    ),
    "dropped index": Case("DROP INDEX orders_odd", "index public.orders.orders_odd was dropped", "DROP INDEX"),
    "constraint": Case(
        "ALTER TABLE orders ADD CONSTRAINT sane CHECK (amount >= 0)",
        "constraint public.orders.sane was created",
        'ADD CONSTRAINT "sane" CHECK',
    ),
    "view": Case(
        "CREATE OR REPLACE VIEW totals AS SELECT c.id, 1::bigint AS total, 2::bigint AS count FROM customers c",
        "view public.totals was altered",
        "CREATE OR REPLACE VIEW",
    ),
    "function": Case(
        "CREATE OR REPLACE FUNCTION twice(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * a'",
        "function public.twice(a integer, b integer) was altered",
        "CREATE OR REPLACE FUNCTION public.twice",
    ),
    "procedure": Case(
        "DROP PROCEDURE settle", "procedure public.settle(INOUT a integer) was dropped", "DROP PROCEDURE"
    ),
    "sequence": Case("CREATE SEQUENCE more", "sequence public.more was created", "CREATE SEQUENCE"),
    "trigger": Case("DROP TRIGGER note ON orders", "trigger public.orders.note was dropped", "DROP TRIGGER"),
    "enum": Case(
        "ALTER TYPE mood ADD VALUE 'mad' BEFORE 'glad'", "type public.mood was altered", "ADD VALUE 'mad' AFTER 'sad'"
    ),
    "schema": Case("CREATE SCHEMA another", "schema another was created", 'CREATE SCHEMA "another"'),
    "policy": Case(
        "DROP POLICY mine ON customers",
        "policy public.customers.mine was dropped",
        "make the same change of the policy",
    ),
}
ON_GREEN = {
    "column": Case(
        "ALTER TABLE base ADD extra int DEFAULT 1", "public.base.extra was created on green", "expected", "warning"
    ),
    "NOT NULL column": Case(
        "ALTER TABLE child ADD must int NOT NULL", "column public.child.must was created on green", "undo it on green"
    ),
    "dropped column": Case(
        "ALTER TABLE customers DROP n", "which replication does not bear: the rows that arrive have a value for it"
    ),
    "narrower type": Case(
        "ALTER TABLE customers ALTER email TYPE varchar(20)", "does not take every value of character varying(80)"
    ),
    "wider type": Case(
        'ALTER TABLE "Odd Name"."T.x" ALTER "a.b" TYPE bigint', "Odd Name.T.x.a.b was altered", "expected", "warning"
    ),
    "SET NOT NULL": Case("ALTER TABLE customers ALTER mood SET NOT NULL", "may hold NULL"),
    "unique": Case("CREATE UNIQUE INDEX one_name ON customers (name)", "stops at the first row that violates it"),
    "index": Case(
        "CREATE INDEX by_name ON customers (name)", "customers.by_name was created on green", "expected", "warning"
    ),
    "view": Case(
        "CREATE VIEW added AS SELECT 1 AS one", "view public.added was created on green", "expected", "warning"
    ),
}
ON_BOTH = (
    "ALTER TABLE orders ADD same text DEFAULT 'x'",
    "CREATE VIEW same AS SELECT c.id FROM customers c WHERE c.id > 1",
)


@pytest.fixture(scope="module", name="pair")
def _pair(servers: Servers) -> Iterator[Pair]:
    """Blue on 16, green on 18; the database steady was left alone, in moved each side was changed."""
    blue = servers.blue(("steady", "moved"))
    for database in ("steady", "moved"):
        run(blue, *SHOP, database=database)
    made = replicated(servers, blue, DEPLOYMENT, upgrade=True)
    run(blue, *(case.ddl for case in ON_BLUE.values()), *ON_BOTH, database="moved")
    run(made.green, *(case.ddl for case in ON_GREEN.values()), *ON_BOTH, database="moved")
    yield made
    servers.remove(made.blue, made.green)


@pytest.fixture(scope="module", name="checks")
def _checks(pair: Pair) -> list[dict[str, Any]]:
    return [check.as_dict() for check in move_checks(pair.blue, pair.green, pair.names, None)]


def about(checks: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    return [check for check in checks if words in check["evidence"]]


def schema(endpoint: Endpoint, database: str) -> Schema:
    with connected(endpoint.at(database)) as conn:
        return read_schema(conn)


def test_two_major_versions_have_the_same_fingerprints_of_the_same_schema(pair: Pair) -> None:
    blue, green = digests(schema(pair.blue, "steady")), digests(schema(pair.green, "steady"))
    assert len(blue) > 70
    assert blue == green


def test_a_database_that_nobody_changed_is_in_step(checks: list[dict[str, Any]]) -> None:
    (found,) = [check for check in checks if check["id"] == "schema_in_step_steady"]
    assert found["status"] == "ok"


@pytest.mark.parametrize("case", ON_BLUE)
def test_a_change_on_blue_is_named_and_refused_with_what_mends_it(checks: list[dict[str, Any]], case: str) -> None:
    wanted = ON_BLUE[case]
    (found,) = about(checks, wanted.said)
    assert (found["id"], found["status"]) == ("schema_in_step_moved", wanted.status)
    assert "database moved" in found["evidence"]
    assert wanted.remedy in found["remedy"]


@pytest.mark.parametrize("case", ON_GREEN)
def test_a_change_on_green_is_judged_by_what_it_means_for_the_rows(checks: list[dict[str, Any]], case: str) -> None:
    wanted = ON_GREEN[case]
    (found,) = about(checks, wanted.said)
    assert found["status"] == wanted.status
    assert wanted.remedy in found["remedy"]


def test_the_same_change_on_both_sides_is_in_step(checks: list[dict[str, Any]]) -> None:
    assert not about(checks, "public.orders.same") and not about(checks, "view public.same")


def test_what_belongs_to_a_new_table_is_told_with_it(checks: list[dict[str, Any]]) -> None:
    assert len(about(checks, "public.late")) == 1
    assert len(about(checks, "events_2026")) == 1


def test_declared_differences_are_fine_where_replication_bears_them(pair: Pair) -> None:
    option: list[dict[str, Any]] = [
        {"object": "public.orders", "columns": ["*"]},
        {"object": "moved.public.*"},
        {"object": "another.*"},
    ]
    declared = ExpectedDifferences.of(option)
    found = [check.as_dict() for check in move_checks(pair.blue, pair.green, pair.names, None, declared)]
    mine = [check for check in found if check["id"] == "schema_in_step_moved"]
    said = {check["evidence"].partition(" on ")[0] for check in mine if check["status"] == "failed"}
    assert said == {
        "column public.orders.note was created",
        "column public.orders.again was dropped and created again",
        "table public.remade was dropped and created again",
        "column public.child.must was created",
        "column public.customers.n was dropped",
        'column public.customers.email was altered (type character varying(80) -> character varying(20); collation pg_catalog."C" -> none)',
        "column public.customers.mood was altered (not null False -> True)",
    }
    assert about(
        found, "replicates back to blue, which stops at the first row with what blue does not have: public.base.extra"
    )


def test_a_switchover_refuses_with_every_name(pair: Pair, run_module: RunModule) -> None:
    sides = {"deployment_id": DEPLOYMENT, "blue": login(pair.blue), "green": login(pair.green)}
    with pytest.raises(ModuleFailed) as refused:
        run_module("bg_switchover", engine="aurora_postgresql", **sides)
    for case in ON_BLUE.values():
        assert case.said in refused.value.msg
    assert refused.value.result["outcome"] == "refused"


def test_without_a_baseline_tables_columns_and_sequences_are_still_compared(pair: Pair) -> None:
    with connected(pair.green.at(pair.names.control_database)) as conn:
        drift_baseline.forget(conn, pair.names)
    checks = [check.as_dict() for check in move_checks(pair.blue, pair.green, pair.names, None)]
    assert about(checks, "table public.late was created on blue")
    assert about(checks, "column public.orders.note was created on blue")
    assert about(checks, "sequence public.more was created on blue")
    assert not about(checks, "view public.totals")
    assert [check["status"] for check in checks if check["id"] == "schema_in_step_steady"] == ["ok"]
