# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a switchover that another replication makes: armed in time or not at all, and begun at the first client's write.

The other replication is this collection's own here, under another name. The way back has its blue and green the other way round:
blue is what is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connected
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.marker import pass_through
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.subscription import drop_subscription
from tests.integration.postgresql.conftest import Servers, everything, hold, replicated, run, step

FORWARD, BACK = Names.of("there"), Names.of("there-back")
DATABASES = ("postgres", "second", "shop")


class Following:
    """Old production, and what follows it and will be opened; `opened` and `old` are blue and green of the way back."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        first = servers.blue(("shop", "second"))
        for database in ("shop", "second"):
            run(first, "CREATE TABLE ledger (id int PRIMARY KEY, note text)", database=database)
        pair = replicated(servers, first, FORWARD.deployment_id)
        # the service closes a server by its configuration, not its databases
        run(pair.green, *(f"ALTER DATABASE {name} RESET default_transaction_read_only" for name in DATABASES))
        self.opened, self.old = replace(pair.green, side="blue"), replace(first, side="green")

    def write(self, side: Endpoint, *numbers: int, database: str = "shop") -> None:
        for number in numbers:
            run(side, f"INSERT INTO ledger VALUES ({number}, 'of {number}')", database=database)

    def rows(self, side: Endpoint, database: str = "shop") -> list[int]:
        return [row[0] for row in run(side, "SELECT id FROM ledger ORDER BY id", database=database)]

    def open(self) -> None:
        """Let everything arrive, and end the other replication, as the service does."""
        for database in ("shop", "second"):
            with connected(self.old.at(database)) as here, connected(self.opened.at(database)) as there:
                pass_through({database: here}, {database: there}, FORWARD, 20.0)
        for database in DATABASES:
            with connected(self.opened.at(database)) as conn:
                drop_subscription(conn, FORWARD.subscription("forward", database))

    def remove(self) -> None:
        self._servers.remove(self.opened, self.old)


def words(journal: Journal) -> list[str]:
    """The first word of every action."""
    return [action.split()[0] for action in journal.actions]


@pytest.fixture(scope="module")
def following(servers: Servers) -> Iterator[Following]:
    """One for the tests that leave it as it was, and for the last one, which opens it."""
    made = Following(servers)
    yield made
    made.remove()


@pytest.fixture
def unarmed(following: Following) -> Iterator[Following]:
    """The same, with nothing of the way back left after the test."""
    yield following
    step("absent", BACK, following.opened)


def test_what_is_armed_is_predicted_and_made_once(unarmed: Following) -> None:
    predicted, _result = step("prepared", BACK, unarmed.opened, unarmed.old, journal=Journal(check_mode=True))
    made, _result = step("prepared", BACK, unarmed.opened, unarmed.old)
    again, _result = step("prepared", BACK, unarmed.opened, unarmed.old)
    assert predicted.actions == made.actions
    assert made.actions[-1] == "note that the slots on blue are in time"
    assert again.actions == []


def test_what_old_production_has_no_place_for_is_refused_before_anything_is_made(unarmed: Following) -> None:
    run(
        unarmed.opened,
        "ALTER TABLE ledger ADD COLUMN due date",
        "CREATE TABLE fresh (id int PRIMARY KEY)",
        database="shop",
    )
    before = everything(unarmed.opened, unarmed.old)
    with pytest.raises(
        BlueGreenError, match=r"no place for what was added on blue in database shop: public.fresh, public.ledger.due"
    ):
        step("prepared", BACK, unarmed.opened, unarmed.old)
    assert everything(unarmed.opened, unarmed.old) == before
    run(unarmed.opened, "ALTER TABLE ledger DROP COLUMN due", "DROP TABLE fresh", database="shop")


def test_it_begins_nowhere_as_long_as_the_other_replication_goes_on(unarmed: Following) -> None:
    step("prepared", BACK, unarmed.opened, unarmed.old)
    before = everything(unarmed.opened, unarmed.old)
    with pytest.raises(BlueGreenError, match="blue still follows green: switch over first"):
        step("positioned", BACK, unarmed.opened, unarmed.old)
    assert everything(unarmed.opened, unarmed.old) == before


def test_a_side_that_follows_another_server_is_no_way_back(unarmed: Following) -> None:
    stranger = replace(unarmed.opened, side="green")  # whatever it is, blue does not follow it
    with pytest.raises(BlueGreenError, match="must not be a subscriber"):
        step("prepared", BACK, unarmed.opened, stranger)


def test_slots_that_are_not_noted_as_made_in_time_are_no_way_back(unarmed: Following) -> None:
    step("prepared", BACK, unarmed.opened, unarmed.old)
    run(unarmed.opened, f"COMMENT ON PUBLICATION {BACK.publication} IS NULL", database="second")
    before = everything(unarmed.opened, unarmed.old)
    with pytest.raises(
        BlueGreenError, match="where green is old production, its way back was not armed in time, so there is none"
    ):
        step("positioned", BACK, unarmed.opened, unarmed.old)
    assert everything(unarmed.opened, unarmed.old) == before


def test_it_begins_at_the_first_write_of_a_client_however_late_it_is_asked_for(following: Following) -> None:
    sides = following
    step("prepared", BACK, sides.opened, sides.old)
    sides.write(sides.opened, 99)  # by a client that should not have, before a run that is not the first one
    step("prepared", BACK, sides.opened, sides.old)
    sides.write(sides.old, 1, 2)  # replicated, hence in the slots too
    sides.write(sides.old, 1, database="second")
    sides.open()
    with closing(hold(sides.opened, "INSERT INTO ledger VALUES (10, 'begun first')", "shop")) as first:
        sides.write(sides.opened, 11, database="second")
        sides.write(sides.opened, 12)
        first.commit()
    sides.write(sides.opened, 13)
    run(sides.opened, "UPDATE ledger SET note = 'changed' WHERE id = 1", database="shop")

    predicted = [
        step(s, BACK, sides.opened, sides.old, journal=Journal(check_mode=True))[0] for s in ("positioned", "running")
    ]
    made = [step(state, BACK, sides.opened, sides.old)[0] for state in ("positioned", "running")]
    again = [step(state, BACK, sides.opened, sides.old)[0] for state in ("positioned", "running")]

    with connected(sides.opened.at("shop")) as here, connected(sides.old.at("shop")) as there:
        pass_through({"shop": here}, {"shop": there}, BACK, 20.0)
    assert sides.rows(sides.old) == [1, 2, 10, 12, 13]
    assert sides.rows(sides.opened) == [1, 2, 10, 12, 13, 99]
    assert run(sides.old, "SELECT note FROM ledger WHERE id = 1", database="shop") == [("changed",)]
    assert sides.rows(sides.old, "second") == [1, 11]
    assert predicted[0].actions == made[0].actions
    assert words(predicted[1]) == ["close", *words(made[1])]  # which the first one had not really done
    assert [journal.actions for journal in again] == [[], []]
