# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was changed on blue after the clone, made on green too: the same schema and the same rows, on PostgreSQL 16 and 18."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import move_checks
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.schema_catalog import digests
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import verify
from tests.integration.postgresql.conftest import Pair, Servers, everything, replicated, run, step
from tests.integration.postgresql.test_drift_guard import ON_BLUE, SHOP, schema
from tests.integration.postgresql.test_pg_logical_subscription import Killed

DEPLOYMENT = "apply-test"
BY_HAND = ("table made again", "column made again", "policy")
ROWS = (
    "INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 20) n",
    "INSERT INTO orders (customer, amount, old, said) SELECT n, n, 'old', 'said ' || n FROM generate_series(1, 20) n",
    "INSERT INTO parcels SELECT n, n FROM generate_series(1, 20) n",
    "INSERT INTO gone VALUES (1)",
    "INSERT INTO events SELECT n, date '2025-05-01' + n, 'x' FROM generate_series(1, 20) n",
)
CHANGES = (
    *(case.ddl for name, case in ON_BLUE.items() if name not in BY_HAND),
    "CREATE TABLE invoices (id int GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5) PRIMARY KEY, number serial,"
    " orders int NOT NULL REFERENCES orders, mood mood DEFAULT 'mad', twice int GENERATED ALWAYS AS (orders * 2) STORED,"
    " note varchar(9) COLLATE \"C\" NOT NULL DEFAULT 'it''s', UNIQUE (number), CHECK (orders > 0))",
    "CREATE INDEX invoices_note ON invoices (note)",
    "CREATE TRIGGER note BEFORE INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION noted()",
    "GRANT SELECT, INSERT ON invoices TO app WITH GRANT OPTION",
    "CREATE TABLE lines (a int NOT NULL, b int NOT NULL)",
    "CREATE UNIQUE INDEX lines_both ON lines (a, b)",
    "ALTER TABLE lines REPLICA IDENTITY USING INDEX lines_both",
    "CREATE TABLE logs (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
    "CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "ALTER TABLE events DETACH PARTITION events_2025",
    "ALTER TABLE events ADD kind text NOT NULL DEFAULT 'plain'",
    "ALTER TABLE orders ADD paid timestamptz",
    "ALTER TABLE orders ALTER paid SET DEFAULT now()",
    "ALTER TABLE base ADD doubled int GENERATED ALWAYS AS (a * 2) STORED",
    "CREATE VIEW owed AS SELECT i.id, o.note FROM invoices i JOIN orders o ON o.id = i.orders",
    "CREATE FUNCTION owing() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM owed; END",
    "INSERT INTO late VALUES (1), (2)",
    "INSERT INTO invoices (orders) SELECT id FROM orders",
    "INSERT INTO lines VALUES (1, 1), (1, 2)",
    "UPDATE lines SET b = 3 WHERE b = 2",
    "INSERT INTO logs VALUES (1, '2026-02-02')",
    "INSERT INTO events VALUES (1000, '2026-03-03', 'new partition')",
    "INSERT INTO orders (customer, amount, note) VALUES (3, 7, 'after')",
    "UPDATE orders SET note = 'changed' WHERE id = 5",
)


@pytest.fixture(scope="module", name="pair")
def _pair(servers: Servers) -> Iterator[Pair]:
    """A green on 18 that had caught up when blue was changed; replication has stopped at an unknown column since."""
    blue = servers.blue()
    run(blue, "CREATE ROLE app", *SHOP, *ROWS, "ALTER ROLE shop_admin SET search_path = pg_catalog", database="shop")
    run(blue, "ALTER ROLE shop_admin RESET search_path")
    made = replicated(servers, blue, DEPLOYMENT, upgrade=True)
    run(blue, "INSERT INTO orders (customer, amount) VALUES (1, 1)", *CHANGES, database="shop")
    yield made
    servers.remove(made.blue, made.green)


def equal(pair: Pair) -> dict[str, bool]:
    proofs = verify(pair.blue, pair.green, pair.names, ["shop"], Options()).tables
    return {proof.table: bool(proof.equal) for proof in proofs}


def apply(pair: Pair, journal: Journal | None = None) -> tuple[list[str], dict[str, Any]]:
    done, result = step("running", pair.names, pair.blue, pair.green, journal=journal, drift="apply")
    return done.actions, result


def test_what_changed_on_blue_is_refused_then_applied_with_the_same_schema_and_the_same_rows(pair: Pair) -> None:
    deadline = time.monotonic() + 30
    subscription = (
        f"SELECT subenabled FROM pg_subscription WHERE subname = '{pair.names.subscription('forward', 'shop')}'"
    )
    while run(pair.green, subscription) == [(True,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = everything(pair.blue, pair.green)
    with pytest.raises(BlueGreenError, match="replication cannot go on as it is") as refused:
        step("running", pair.names, pair.blue, pair.green)
    for word in ("public.late", "public.events_2026", "public.orders.note", "public.invoices"):
        assert word in refused.value.message
    assert {entry["object"] for entry in refused.value.details["drift"]} >= {"public.late", "public.totals"}
    planned, _result = apply(pair, Journal(check_mode=True))
    assert everything(pair.blue, pair.green) == before
    done, result = apply(pair)
    assert done == planned
    assert result["replication"]["running"] is True
    assert digests(schema(pair.green, "shop")) == digests(schema(pair.blue, "shop"))
    found = equal(pair)
    assert {"late", "invoices", "lines", "events_2026", "logs_2026", "orders", "events_rest", "parcels"} <= set(found)
    assert [table for table, same in found.items() if not same] == []
    assert apply(pair)[0] == []
    assert step("running", pair.names, pair.blue, pair.green)[0].actions == []
    failed = [c for c in move_checks(pair.blue, pair.green, pair.names, None) if c.status == "failed"]
    assert failed == []


def test_owner_grants_and_the_numbers_to_come_are_as_on_blue(pair: Pair) -> None:
    look = (
        "SELECT string_agg(privilege_type || is_grantable, ' ' ORDER BY 1), relowner::regrole::text"
        " FROM pg_class, aclexplode(relacl) WHERE oid = 'invoices'::regclass AND grantee = 'app'::regrole GROUP BY 2"
        " UNION ALL SELECT pg_get_serial_sequence('invoices', 'id'), pg_get_serial_sequence('invoices', 'number')"
    )
    assert run(pair.green, look, database="shop") == run(pair.blue, look, database="shop")


def test_blue_lets_the_replication_role_read_no_more_than_before(pair: Pair) -> None:
    granted = f"SELECT count(*) FROM pg_class WHERE relacl::text LIKE '%{pair.names.replication_role}%'"
    assert run(pair.blue, granted, database="shop") == [(0,)]


def test_what_does_not_follow_from_the_catalog_is_refused_with_what_to_do(pair: Pair) -> None:
    ddl = {
        "DROP POLICY mine ON customers": "policy public.customers.mine was dropped on blue",
        "ALTER TABLE parcels ADD at timestamptz DEFAULT clock_timestamp()": "the table was written anew",
        "DROP TABLE remade; CREATE TABLE remade (id int PRIMARY KEY)": "drop it on green too",
        "CREATE TABLE plain (a int PRIMARY KEY)": "",
    }
    run(pair.blue, *ddl, database="shop")
    before = everything(pair.blue, pair.green)
    with pytest.raises(BlueGreenError, match="nothing was changed") as refused:
        apply(pair)
    assert everything(pair.blue, pair.green) == before
    assert all(said in refused.value.message for said in ddl.values())
    assert "public.plain" not in refused.value.message
    mended = ("DROP POLICY mine ON customers", "ALTER TABLE parcels ADD at timestamptz", "DROP TABLE remade")
    run(pair.green, *mended, database="shop")
    run(pair.green, "ALTER TABLE parcels ALTER at SET DEFAULT clock_timestamp()", database="shop")
    apply(pair)
    assert digests(schema(pair.green, "shop")) == digests(schema(pair.blue, "shop"))
    for side in (pair.green, pair.blue):  # its values were not brought over by hand
        run(side, "ALTER TABLE parcels DROP at", database="shop")


def test_a_table_made_on_both_sides_by_hand_is_told_from_one_that_is_replicated_and_copied(pair: Pair) -> None:
    for side in (pair.green, pair.blue):
        run(side, "CREATE TABLE by_hand (a int PRIMARY KEY)", database="shop")
    run(pair.blue, "INSERT INTO by_hand VALUES (1)", database="shop")
    with pytest.raises(BlueGreenError, match=r"are skipped until the subscription knows them: shop: public\.by_hand"):
        step("running", pair.names, pair.blue, pair.green)
    apply(pair)
    assert run(pair.green, "SELECT a FROM by_hand", database="shop") == [(1,)]


def test_a_declared_difference_is_left_alone(pair: Pair) -> None:
    run(pair.green, "CREATE VIEW mine AS SELECT 1 AS one", database="shop")
    run(pair.blue, "CREATE VIEW mine AS SELECT 2 AS one", database="shop")
    with pytest.raises(BlueGreenError, match="changed on both sides in different ways"):
        apply(pair)
    declared = ExpectedDifferences.of([{"object": "public.mine"}])
    done, _result = step("running", pair.names, pair.blue, pair.green, drift="apply", expected=declared)
    assert done.actions == []
    for side in (pair.blue, pair.green):
        run(side, "DROP VIEW mine", database="shop")


def test_killed_after_any_effect_it_is_completed_by_running_it_again(pair: Pair) -> None:
    name = "killed"
    run(
        pair.blue,
        f"CREATE TABLE {name} (id serial PRIMARY KEY, note text DEFAULT 'x')",
        f"INSERT INTO {name} (note) VALUES ('one')",
        f"ALTER TABLE orders ADD {name} int NOT NULL DEFAULT 3",
        f"ALTER TABLE orders ALTER {name} SET DEFAULT 4",
        f"CREATE VIEW v_{name} AS SELECT {name} FROM orders",
        f"CREATE INDEX i_{name} ON orders ({name})",
        "INSERT INTO orders (customer) VALUES (2)",
        database="shop",
    )
    kills = 0
    while kills < 30:
        try:
            apply(pair, Killed(0, True))
            break
        except KeyboardInterrupt:
            kills += 1
    assert 3 < kills < 30
    assert apply(pair)[0] == []
    assert digests(schema(pair.green, "shop")) == digests(schema(pair.blue, "shop"))
    assert [table for table, same in equal(pair).items() if not same] == []


def test_a_table_made_before_green_was_subscribed_is_made_there_and_filled_by_the_stream(servers: Servers) -> None:
    blue: Endpoint = servers.blue()
    names = Names.of("early-test")
    step("prepared", names, blue)
    green = servers.clone(blue)
    step("positioned", names, blue, green)
    run(blue, "CREATE TABLE early (a int PRIMARY KEY)", "INSERT INTO early VALUES (1)", database="shop")
    with pytest.raises(BlueGreenError, match=r"table public\.early was created on blue"):
        step("running", names, blue, green)
    step("running", names, blue, green, drift="apply")
    assert run(green, "SELECT a FROM early", database="shop") == [(1,)]
    assert [c for c in move_checks(blue, green, names, None) if c.status == "failed"] == []
    servers.remove(blue, green)
