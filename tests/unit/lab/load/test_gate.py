# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own gate: the console and the file of a PgBouncer, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extras
import pytest

from tests.lab.gate import ADMIN_DATABASE, ROOT, Gate

NOWHERE = ("127.0.0.1", 1)  # the console needs no server
PASSWORD = "an application's password"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate.start(tmp_path, ["shop", "till"], *NOWHERE, "app", PASSWORD, None, own=True) as running:
        yield running


def console(gate: Gate, **login: Any) -> psycopg2.extensions.connection:
    parameters = {"user": gate.admin_user, "password": gate.admin_password, "dbname": ADMIN_DATABASE, **login}
    connection: psycopg2.extensions.connection = psycopg2.connect(host=gate.host, port=gate.port, **parameters)
    connection.autocommit = True
    return connection


def ask(gate: Gate, statement: str) -> list[dict[str, Any]]:
    with (
        closing(console(gate)) as connection,
        connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
    ):
        cursor.execute(statement)
        return [dict(row) for row in cursor.fetchall()] if cursor.description else []


def paused(gate: Gate) -> dict[str, int]:
    return {row["name"]: row["paused"] for row in ask(gate, "SHOW DATABASES")}


def test_databases_are_shown_with_their_place(gate: Gate) -> None:
    shop = ask(gate, "SHOW DATABASES")[0]
    assert (shop["name"], shop["host"], shop["port"], shop["database"]) == ("shop", *NOWHERE, "shop")


def test_a_database_is_paused_and_resumed_by_its_name(gate: Gate) -> None:
    ask(gate, 'PAUSE "shop"')
    assert paused(gate) == {"shop": 1, "till": 0}
    ask(gate, "RESUME shop;")
    assert paused(gate) == {"shop": 0, "till": 0}


def test_pause_and_resume_without_a_name_mean_all(gate: Gate) -> None:
    ask(gate, "PAUSE")
    assert paused(gate) == {"shop": 1, "till": 1}
    ask(gate, "resume")
    assert paused(gate) == {"shop": 0, "till": 0}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("RESUME shop", "database shop is not paused"),
        ("PAUSE nosuch", "no such database: nosuch"),
        ("DROP TABLE shop", "invalid command"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_console_lives(gate: Gate, statement: str, words: str) -> None:
    with closing(console(gate)) as connection, connection.cursor() as cursor:
        with pytest.raises(psycopg2.Error, match=words):
            cursor.execute(statement)
        cursor.execute("SHOW VERSION")
        assert cursor.fetchall() == [("lab gate 1.0",)]


def test_reload_reads_the_places_again_and_nothing_else_does(gate: Gate) -> None:
    path = Path(gate.config_file)
    path.write_text(path.read_text().replace("shop = host=127.0.0.1 port=1", "shop = host=127.0.0.2 port=5432"))
    assert ask(gate, "SHOW DATABASES")[0]["host"] == "127.0.0.1"
    ask(gate, "RELOAD")
    assert [(row["name"], row["host"], row["port"]) for row in ask(gate, "SHOW DATABASES")] == [
        ("shop", "127.0.0.2", 5432),
        ("till", *NOWHERE),
    ]


def test_the_settings_are_those_of_the_file(gate: Gate) -> None:
    settings = {row["key"]: row["value"] for row in ask(gate, "SHOW CONFIG")}
    assert (settings["pool_mode"], settings["listen_port"]) == ("transaction", str(gate.port))


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"user": "nobody"}, "password authentication failed"),
        ({"user": "app", "password": PASSWORD}, "not allowed"),
        ({"user": "app", "password": PASSWORD, "dbname": "nosuch"}, "no such database"),
        ({"user": "app", "password": PASSWORD, "dbname": "shop"}, "server connect failed"),
    ],
)
def test_who_may_not_come_in_is_told_why(gate: Gate, login: dict[str, str], words: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match=words):
        console(gate, **login)


def test_only_the_owner_can_read_its_files(gate: Gate) -> None:
    directory = Path(gate.config_file).parent
    assert {path.name: path.stat().st_mode & 0o077 for path in (directory, *directory.iterdir())} == {
        directory.name: 0,
        "pgbouncer.ini": 0,
        "users.txt": 0,
    }


def test_no_password_is_shown(gate: Gate) -> None:
    assert gate.admin_password not in repr(gate)
    assert gate.option()["password"] == gate.admin_password


def test_nothing_is_left_after_stop(tmp_path: Path) -> None:
    with Gate.start(tmp_path, ["shop"], *NOWHERE, "app", PASSWORD, None, own=True) as gate:
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(psycopg2.OperationalError):
        console(gate)


def test_nothing_is_left_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from tests.lab.gate import Gate\n"
        f"gate = Gate.start(pathlib.Path(sys.argv[1]), ['shop'], {NOWHERE[0]!r}, 1, 'app', 'x', None, own=True)\n"
        "print(gate.port, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    port = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while list(tmp_path.iterdir()):
        assert time.monotonic() < deadline, "the gate's directory is still there"
        time.sleep(0.02)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host="127.0.0.1", port=port, user="gate_admin", password="x", dbname=ADMIN_DATABASE)
