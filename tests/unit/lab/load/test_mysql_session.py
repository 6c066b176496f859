# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a writer of MySQL believes of an error: refused only what is certainly not there."""

from __future__ import annotations

from typing import Any, cast

import pymysql
import pytest

from tests.lab.load_engine import Lost, Refused, Work
from tests.lab.load_ledger import REFUSED, UNKNOWN
from tests.lab.load_mysql import MySQLSession

SERVER_SAYS = pymysql.err.OperationalError


class Broken:
    """A connection on which every statement ends in one error; as cursor, its own."""

    def __init__(self, error: Exception, is_open: bool) -> None:
        self.error, self.open = error, is_open

    def cursor(self) -> Broken:
        return self

    def execute(self, _statement: str, _values: Any) -> None:
        raise self.error


def session(error: Exception, is_open: bool = True) -> MySQLSession:
    made = MySQLSession.__new__(MySQLSession)
    made._connection, made._server = cast(Any, Broken(error, is_open)), "s"
    return made


@pytest.mark.parametrize("number", [1062, 1205, 1213, 1290, 1792, 1836])
def test_a_commit_that_the_server_says_it_refuses_is_refused(number: int) -> None:
    with pytest.raises(Refused) as caught:
        session(SERVER_SAYS(number, "no")).commit()
    assert caught.value.code == str(number)


@pytest.mark.parametrize("number", [1053, 1105, 1180, 1317, 3169, 4031])
def test_a_commit_with_any_other_answer_of_the_server_is_unknown(number: int) -> None:
    with pytest.raises(Lost) as caught:
        session(SERVER_SAYS(number, "?")).commit()
    assert (caught.value.outcome, caught.value.code) == (UNKNOWN, str(number))


@pytest.mark.parametrize(
    "error",
    [
        SERVER_SAYS(2013, "Lost connection to MySQL server during query"),
        pymysql.err.InterfaceError(0, ""),
        pymysql.err.InternalError("Packet sequence number wrong - got 0 expected 1"),
        OSError("broken pipe"),
    ],
)
def test_a_lost_connection_leaves_a_commit_unknown_and_anything_before_it_refused(error: Exception) -> None:
    for name, outcome in (("commit", UNKNOWN), ("rollback", REFUSED)):
        with pytest.raises(Lost) as caught:
            getattr(session(error), name)()
        assert caught.value.outcome == outcome


def test_a_transaction_of_one_statement_commits_with_it() -> None:
    work = Work(writer=1, n=1, amount=1, note="{}")
    with pytest.raises(Lost) as caught:
        session(SERVER_SAYS(1317, "Query execution was interrupted")).single(work)
    assert caught.value.outcome == UNKNOWN
    with pytest.raises(Refused):
        session(SERVER_SAYS(1317, "Query execution was interrupted")).begin(work)


def test_an_error_of_a_connection_that_is_closed_already_is_a_loss() -> None:
    with pytest.raises(Lost):
        session(SERVER_SAYS(1290, "read only"), is_open=False).rollback()
