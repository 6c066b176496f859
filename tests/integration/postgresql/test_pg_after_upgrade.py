# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an upgrade from 16 to 18 leaves to be done on green, while blue's changes go on arriving there."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.after_upgrade import (
    TASKS,
    Wishes,
    after_upgrade,
)
from tests.integration.conftest import RunModule
from tests.integration.postgresql.conftest import Pair, Servers, hold, login, replicated, run

SCHEMA = """
CREATE TABLE orders (id bigint PRIMARY KEY, note text, price numeric);
INSERT INTO orders SELECT n, 'note ' || n, n FROM generate_series(1, 500) AS n;
CREATE TABLE parted (id bigint, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO parted SELECT n, '2026-05-01' FROM generate_series(1, 50) AS n;
CREATE TABLE empty (id int PRIMARY KEY);
CREATE INDEX orders_lower ON orders (lower(note));
CREATE INDEX orders_c ON orders (note COLLATE "C");
CREATE COLLATION german (locale = 'C.UTF-8');
CREATE TABLE names (id int PRIMARY KEY, name text COLLATE german, EXCLUDE USING btree (name WITH =));
CREATE INDEX names_name ON names (name);
CREATE INDEX names_id ON names (id);
INSERT INTO names VALUES (1, 'Zoë'), (2, 'Ärger');
CREATE STATISTICS orders_both ON note, price FROM orders;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n, sum(price) AS price FROM orders;
CREATE VIEW big AS SELECT * FROM orders WHERE price > 100;
CREATE MATERIALIZED VIEW by_id AS SELECT id, price FROM big;
CREATE UNIQUE INDEX by_id_id ON by_id (id);
CREATE MATERIALIZED VIEW a_summary AS SELECT count(*) AS n FROM by_id;
CREATE MATERIALIZED VIEW parts AS SELECT count(*) AS n FROM parted;
CREATE MATERIALIZED VIEW unwanted AS SELECT 1 AS n WITH NO DATA;
ANALYZE;
"""
EXTENSIONS = {
    "bg_base": {"1.0": "CREATE FUNCTION bg_base() RETURNS int LANGUAGE sql AS 'SELECT 1';", "1.1": "SELECT 1;"},
    "bg_above": {"1.0": "CREATE FUNCTION bg_above() RETURNS int LANGUAGE sql AS 'SELECT 1';", "1.1": "SELECT 1;"},
    "bg_broken": {"1.0": "SELECT 1;", "1.1": "SELECT 1 / 0;"},
    "bg_dead_end": {"1.0": "SELECT 1;"},
}


class Green:
    """Green after its upgrade."""

    def __init__(self, pair: Pair, servers: Servers) -> None:
        self.pair = pair
        self._servers = servers

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        return run(self.pair.green, *statements, database="shop")

    def as_superuser(self, *statements: str) -> None:
        """What nobody can do on AWS."""
        number = self.pair.green.host.rpartition(".")[2]
        with self._servers.engine._instances[f"i{number}"].server.connection("shop") as conn, conn.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def work(
        self, *tasks: str, refresh: str = "when_stale", check: bool = False, lock_timeout: float = 5.0
    ) -> tuple[list[str], list[str]]:
        """Run tasks; returns what was done and what is left."""
        journal = Journal(check)
        wishes = Wishes(tasks or TASKS, refresh, 2, lock_timeout)
        result = after_upgrade(self.pair.green, self.pair.names, ["shop"], wishes, journal)
        return journal.actions, result["left"]

    def follows(self, statement: str, seen: str) -> None:
        """Change something on blue and wait until ``seen`` is true on green."""
        run(self.pair.blue, statement, database="shop")
        end = time.monotonic() + 30
        while self.sql(seen) != [(True,)]:
            assert time.monotonic() < end, "blue's change does not arrive"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def green(servers: Servers) -> Iterator[Green]:
    """One green, upgraded from 16 to 18; the tests leave nothing for one another."""
    blue = servers.blue()
    run(blue, *SCHEMA.strip().split(";\n"), database="shop")
    pair = replicated(servers, blue, "after-test", upgrade=True)
    yield Green(pair, servers)
    servers.remove(pair.blue, pair.green)


@pytest.fixture(scope="module")
def control_files(green: Green) -> Iterator[Path]:
    """Extensions of our own, where green's server finds them."""
    directory = Path(tempfile.mkdtemp(prefix="bluegreen-extensions-"))
    files = directory / "extension"
    files.mkdir()
    for name, versions in EXTENSIONS.items():
        requires = "requires = 'bg_base'\n" if name == "bg_above" else ""
        text = f"default_version = '1.0'\nsuperuser = false\n{requires}"
        (files / f"{name}.control").write_text(text, encoding="utf-8")
        (files / f"{name}--1.0.sql").write_text(versions["1.0"], encoding="utf-8")
        if "1.1" in versions:
            (files / f"{name}--1.0--1.1.sql").write_text(versions["1.1"], encoding="utf-8")
    for path in (directory, files, *files.iterdir()):
        path.chmod(0o755)
    green.as_superuser(
        f"ALTER ROLE shop_admin SET extension_control_path = '$system:{directory}'", "SELECT pg_reload_conf()"
    )
    yield files
    green.as_superuser("ALTER ROLE shop_admin RESET extension_control_path")
    shutil.rmtree(directory)


def release(files: Path, names: Sequence[str], version: str = "1.1") -> None:
    """Make ``version`` the default one of these extensions, as a new engine version does."""
    for name in names:
        control = files / f"{name}.control"
        text = control.read_text(encoding="utf-8")
        control.write_text(f"default_version = '{version}'\n{text.partition(os.linesep)[2]}", encoding="utf-8")


def test_extensions_are_updated_those_first_that_others_require(green: Green, control_files: Path) -> None:
    green.sql("CREATE EXTENSION bg_base", "CREATE EXTENSION bg_above")
    assert green.work("extensions") == ([], [])
    release(control_files, ["bg_base", "bg_above"])
    expected = [f"update extension {name} in shop from 1.0 to 1.1" for name in ("bg_base", "bg_above")]
    assert green.work("extensions", check=True)[0] == expected
    assert green.work("extensions")[0] == expected
    assert green.sql("SELECT DISTINCT extversion FROM pg_extension WHERE extname LIKE 'bg%'") == [("1.1",)]
    assert green.work("extensions") == ([], [])
    green.sql("DROP EXTENSION bg_above", "DROP EXTENSION bg_base")


def test_an_extension_that_is_not_ours_or_has_no_way_is_named_and_left(green: Green, control_files: Path) -> None:
    release(control_files, ["bg_base", "bg_dead_end"], "1.0")
    green.sql("CREATE EXTENSION bg_base", "CREATE EXTENSION bg_dead_end")
    green.as_superuser("UPDATE pg_extension SET extowner = 'rdsadmin'::regrole WHERE extname = 'bg_base'")
    release(control_files, ["bg_base", "bg_dead_end"])
    done, left = green.work("extensions")
    assert done == []
    assert any("bg_base" in one and "belongs to rdsadmin" in one for one in left)
    assert any("bg_dead_end" in one and "do not lead" in one for one in left)
    green.as_superuser("DROP EXTENSION bg_base", "DROP EXTENSION bg_dead_end")


def test_one_failure_does_not_stop_the_rest_and_is_named_at_the_end(green: Green, control_files: Path) -> None:
    release(control_files, ["bg_base", "bg_broken"], "1.0")
    green.sql("CREATE EXTENSION bg_base", "CREATE EXTENSION bg_broken")
    release(control_files, ["bg_base", "bg_broken"])
    with pytest.raises(BlueGreenError, match=r"1 of it failed: update extension bg_broken .*division by zero"):
        green.work("extensions")
    assert green.sql("SELECT extversion FROM pg_extension WHERE extname LIKE 'bg%' ORDER BY extname") == [
        ("1.1",),
        ("1.0",),
    ]
    green.sql("DROP EXTENSION bg_base", "DROP EXTENSION bg_broken")


def test_only_tables_that_lack_statistics_are_analyzed(green: Green) -> None:
    green.work("statistics")
    assert green.work("statistics") == ([], [])
    assert green.sql("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'parted' AND inherited") == [(True,)]
    assert green.sql("SELECT count(*) FROM pg_stats_ext WHERE statistics_name = 'orders_both'") == [(1,)]
    green.as_superuser("DELETE FROM pg_statistic WHERE starelid = 'orders'::regclass AND staattnum = 2")
    expected = ["analyze public.orders in shop"]
    assert green.work("statistics", check=True)[0] == expected
    assert green.work("statistics")[0] == expected
    green.as_superuser("DELETE FROM pg_statistic WHERE starelid = 'orders_lower'::regclass")
    assert green.work("statistics")[0] == expected
    green.as_superuser("DELETE FROM pg_statistic_ext_data")
    assert green.work("statistics")[0] == expected
    green.as_superuser("DELETE FROM pg_statistic WHERE starelid = 'parted'::regclass")
    assert green.work("statistics")[0] == ["analyze public.parted in shop"]
    assert green.work("statistics") == ([], [])


def files(green: Green) -> dict[str, int]:
    """The file of every index: another one when it was rebuilt."""
    return dict(
        green.sql("SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relkind = 'i' AND oid >= 16384")
    )


# The lab's servers know no ICU, and the C library has no versions: on green both collations become the builtin
# provider's, which has.
_GERMAN = "UPDATE pg_collation SET collprovider = 'b', colllocale = 'C.UTF-8', collcollate = NULL, collctype = NULL, "
_SHOP = "UPDATE pg_database SET datlocprovider = 'b', datlocale = 'C.UTF-8', "


def test_the_indexes_of_a_changed_collation_are_rebuilt_and_no_others(green: Green) -> None:
    green.as_superuser(_GERMAN + "collversion = NULL WHERE collname = 'german'")
    assert green.work("collations") == ([], []), "a version that was never recorded is no difference"
    before = files(green)
    green.as_superuser(_GERMAN + "collversion = '0.1' WHERE collname = 'german'")
    predicted = green.work("collations", check=True)[0]
    assert files(green) == before
    assert green.work("collations")[0] == predicted
    assert predicted == [
        "reindex public.names_name in shop",
        "reindex public.names_name_excl in shop",
        "record version 1 of the collation public.german in shop, which was 0.1",
    ]
    assert {name for name, file in files(green).items() if before[name] != file} == {"names_name", "names_name_excl"}
    assert green.work("collations") == ([], [])


def test_a_changed_collation_of_the_database_rebuilds_every_index_that_uses_it(green: Green) -> None:
    green.as_superuser(_SHOP + "datcollversion = NULL WHERE datname = 'shop'")
    assert green.work("collations") == ([], []), "a version that was never recorded is no difference"
    before = files(green)
    green.as_superuser(_SHOP + "datcollversion = '0.1' WHERE datname = 'shop'")
    done, _left = green.work("collations")
    assert done[-1] == "record version 1 of the collation of database shop, which was 0.1"
    rebuilt = {name for name, file in files(green).items() if before[name] != file}
    assert "orders_lower" in rebuilt
    assert not rebuilt & {"orders_c", "names_name", "names_id", "orders_pkey"}
    assert green.work("collations") == ([], [])


def test_a_collation_that_is_not_ours_is_named_and_left(green: Green) -> None:
    green.as_superuser(
        _GERMAN + "collversion = '0.1', collowner = 'rdsadmin'::regrole WHERE collname = 'german'",
    )
    before = files(green)
    done, left = green.work("collations")
    green.as_superuser(
        "UPDATE pg_collation SET collversion = '1', collowner = 'shop_admin'::regrole WHERE collname = 'german'"
    )
    assert (done, files(green)) == ([], before)
    assert len(left) == 1 and "public.german" in left[0] and "belongs to rdsadmin" in left[0]


def test_a_rebuild_that_failed_records_no_version_and_is_made_good_by_the_next_run(green: Green) -> None:
    green.as_superuser(_GERMAN + "collversion = '0.1' WHERE collname = 'german'")
    with (
        closing(hold(green.pair.green, "INSERT INTO names VALUES (99, 'open')", "shop")),
        pytest.raises(BlueGreenError, match=r"reindex public.names_name .*lock timeout"),
    ):
        green.work("collations", lock_timeout=0.2)
    assert green.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(1,)], "what the server leaves behind"
    done, _left = green.work("collations")
    assert done[-1].startswith("record version 1 of the collation public.german")
    assert green.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]


def test_materialized_views_follow_when_their_tables_changed(green: Green) -> None:
    predicted = green.work("materialized_views", check=True)[0]
    first, _left = green.work("materialized_views")
    assert predicted == first
    assert first.index("refresh materialized view public.by_id in shop") < first.index(
        "refresh materialized view public.a_summary in shop"
    )
    assert "refresh materialized view public.unwanted in shop" not in first, "what is not populated stays so"
    assert green.work("materialized_views") == ([], [])
    green.follows("INSERT INTO orders VALUES (1001, 'new', 5000)", "SELECT count(*) = 1 FROM orders WHERE id = 1001")
    time.sleep(1.5)  # the apply worker counts its changes once a second
    done, _left = green.work("materialized_views")
    assert set(done) == {
        f"refresh materialized view public.{name} in shop" for name in ("totals", "by_id", "a_summary")
    }
    assert green.sql("SELECT t.n, s.n FROM totals t, a_summary s") == [(501, 401)]
    assert green.work("materialized_views") == ([], [])
    assert len(green.work("materialized_views", refresh="always")[0]) == 4
    assert green.work("materialized_views", refresh="never") == ([], [])


def test_a_view_of_what_nobody_counts_is_always_stale(green: Green) -> None:
    green.work("materialized_views")
    green.sql(
        "CREATE FUNCTION newest() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT max(id) FROM public.orders'",
        "CREATE MATERIALIZED VIEW opaque AS SELECT newest() AS id",
    )
    for _time in range(2):
        assert green.work("materialized_views")[0] == ["refresh materialized view public.opaque in shop"]
    green.sql("DROP MATERIALIZED VIEW opaque", "DROP FUNCTION newest")


def test_partitions_count_for_a_view_of_the_whole(green: Green) -> None:
    green.work("materialized_views")
    green.follows("INSERT INTO parted VALUES (900, '2026-06-01')", "SELECT count(*) = 1 FROM parted WHERE id = 900")
    time.sleep(1.5)
    assert green.work("materialized_views")[0] == ["refresh materialized view public.parts in shop"]


def test_readers_are_not_kept_out_of_a_view_with_a_unique_index(green: Green) -> None:
    with (
        closing(hold(green.pair.green, "SELECT * FROM by_id, totals", "shop")),
        pytest.raises(BlueGreenError) as failed,
    ):
        green.work("materialized_views", refresh="always", lock_timeout=0.2)
    assert "public.totals" in str(failed.value) and "by_id" not in str(failed.value)


def test_the_module_does_it_all_and_says_nothing_is_left(green: Green, run_module: RunModule) -> None:
    options = {"deployment_id": "after-test", "green": login(green.pair.green), "databases": ["shop"]}
    assert "failed" not in run_module("pg_after_upgrade", **options)
    again = run_module("pg_after_upgrade", **options)
    assert (again["changed"], again["actions"], again["left"]) == (False, [], [])


def test_a_cluster_that_is_no_green_is_refused(green: Green) -> None:
    with pytest.raises(BlueGreenError, match="should hold the control record"):
        after_upgrade(
            replace(green.pair.blue, side="green"),
            green.pair.names,
            None,
            Wishes(TASKS, "never", 1, 5.0),
            Journal(False),
        )
