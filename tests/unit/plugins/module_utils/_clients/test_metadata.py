# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metadata that the wrappers read: what its words mean, and what is said when it cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._clients.metadata import (
    DIALECTS,
    SOURCE,
    STATEMENTS,
    TARGET,
    Phase,
    Row,
    dialect,
    grant_statement,
    phase_of,
    phase_of_role,
    read,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import connection as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import connection as postgresql

ENDPOINT = Endpoint("blue", "shop.cluster-abc.eu-central-1.rds.amazonaws.com", 5432, "app", "s3cret", "shop")


class MySQLError(Exception):
    """As PyMySQL's errors: a number and a text."""


class PostgreSQLError(Exception):
    """As psycopg2's errors."""

    pgcode: str | None = None


def _postgresql(code: str | None, text: str) -> PostgreSQLError:
    error = PostgreSQLError(text)
    error.pgcode = code
    return error


class Cursor:
    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.description: Any = None

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_exception: object) -> None:
        return None

    def execute(self, _statement: str) -> None:
        if isinstance(self._answer, Exception):
            raise self._answer
        self.description = [(name.upper(),) for name in self._answer[0]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self._answer]


class Connection:
    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.closed = False

    def cursor(self) -> Cursor:
        return Cursor(self._answer)

    def close(self) -> None:
        self.closed = True


def _server(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Both drivers connect to a server that answers every statement like this."""
    for module in (mysql, postgresql):
        monkeypatch.setattr(module, "connect", lambda *_args, **_options: Connection(answer))


def test_each_status_has_the_wrappers_phase_and_no_row_is_the_first_one() -> None:
    words = {
        "": 0,
        "AVAILABLE": 1,
        "SWITCHOVER_INITIATED": 2,
        "SWITCHOVER_IN_PROGRESS": 3,
        "SWITCHOVER_IN_POST_PROCESSING": 4,
        "SWITCHOVER_COMPLETED": 5,
    }
    assert {word: phase_of(word).value for word in words} == words
    assert phase_of("available") is Phase.CREATED


def test_a_status_of_tomorrow_is_said_and_not_guessed() -> None:
    with pytest.raises(BlueGreenError, match="the metadata says SWITCHOVER_PAUSED"):
        phase_of("SWITCHOVER_PAUSED")


def test_a_role_without_a_row_is_not_created() -> None:
    rows = [Row("2", "green.x", 3306, TARGET, "SWITCHOVER_COMPLETED")]
    assert phase_of_role(rows, TARGET) is Phase.COMPLETED
    assert phase_of_role(rows, SOURCE) is Phase.NOT_CREATED


def test_every_engine_of_the_api_that_the_wrappers_know_has_a_dialect() -> None:
    engines = ("aurora-mysql", "mysql", "aurora-postgresql", "postgres")
    assert tuple(dialect(engine) for engine in engines) == DIALECTS
    with pytest.raises(BlueGreenError, match="the engine is mariadb"):
        dialect("mariadb")


def test_rows_are_read_by_the_names_of_their_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"role": TARGET, "status": None, "id": 7, "endpoint": "g.rds", "port": "5432", "version": 1.0}
    _server(monkeypatch, [row])
    assert read(ENDPOINT, "aurora_postgresql") == [Row("7", "g.rds", 5432, TARGET, "", "1.0")]


@pytest.mark.parametrize(
    ("of", "answer", "reason", "remedy"),
    [
        (
            "rds_mysql",
            MySQLError(1142, "SELECT command denied"),
            "grant",
            "GRANT SELECT ON mysql.rds_topology TO 'app'@'%'",
        ),
        ("aurora_mysql", MySQLError(1146, "Table doesn't exist"), "absent", "from version 3.07 on"),
        (
            "rds_postgresql",
            _postgresql("42501", "permission denied for schema"),
            "grant",
            'GRANT USAGE ON SCHEMA rds_tools TO "app"',
        ),
        ("rds_postgresql", _postgresql("3F000", "schema does not exist"), "absent", "CREATE EXTENSION rds_tools"),
        ("aurora_postgresql", _postgresql("42883", "function does not exist"), "absent", "upgrade blue"),
        ("aurora_postgresql", _postgresql(None, "server closed the connection"), "unreachable", "server closed"),
        ("rds_mysql", MySQLError(2013, "Lost connection"), "unreachable", "Lost connection"),
    ],
)
def test_what_keeps_a_user_from_reading_is_told_apart_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, of: str, answer: Exception, reason: str, remedy: str
) -> None:
    _server(monkeypatch, answer)
    with pytest.raises(BlueGreenError) as raised:
        read(ENDPOINT, of)
    assert raised.value.details["reason"] == reason
    assert remedy in raised.value.message
    if reason != "unreachable":
        assert STATEMENTS[of].status in raised.value.message


@pytest.mark.parametrize(
    ("of", "answer", "reason"),
    [
        ("rds_mysql", MySQLError(1045, "Access denied for user"), "login"),
        ("rds_mysql", MySQLError(2003, "Can't connect"), "unreachable"),
        ("rds_mysql", OSError(111, "Connection refused"), "unreachable"),
        ("rds_postgresql", _postgresql(None, 'FATAL: password authentication failed for user "app"'), "login"),
        ("rds_postgresql", _postgresql(None, 'FATAL: role "app" is not permitted to log in'), "login"),
        ("rds_postgresql", _postgresql(None, "FATAL: the database system is starting up"), "unreachable"),
        ("rds_postgresql", _postgresql(None, "Connection refused"), "unreachable"),
    ],
)
def test_a_login_that_is_refused_is_not_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, of: str, answer: Exception, reason: str
) -> None:
    def connect(*_args: Any, **_options: Any) -> None:
        try:
            raise answer
        except Exception:  # noqa: BLE001  as the connection modules do
            raise BlueGreenError("No connection.") from None

    for module in (mysql, postgresql):
        monkeypatch.setattr(module, "connect", connect)
    with pytest.raises(BlueGreenError) as raised:
        read(ENDPOINT, of)
    assert raised.value.details["reason"] == reason


def test_no_password_is_in_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    _server(monkeypatch, MySQLError(1142, "SELECT command denied"))
    with pytest.raises(BlueGreenError) as raised:
        read(ENDPOINT, "rds_mysql")
    assert "s3cret" not in f"{raised.value.message} {raised.value.details}"


@pytest.mark.parametrize(
    ("of", "user", "to"),
    [
        ("rds_mysql", "o'brien\\", "TO 'o''brien\\\\'@'%'"),
        ("rds_postgresql", 'a"b', 'SCHEMA rds_tools TO "a""b"'),
        ("aurora_postgresql", "shop-app", 'TO "shop-app"'),
    ],
)
def test_a_grant_can_be_pasted_whatever_the_user_is_called(of: str, user: str, to: str) -> None:
    assert grant_statement(of, user).endswith(to)
