# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an attempt failed, in one word."""

from __future__ import annotations

import socket
import ssl

import psycopg2
import pymysql
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import failures as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import failures as postgresql


def lost(cause: Exception) -> pymysql.OperationalError:
    error = pymysql.OperationalError(2003, f"Can't connect to MySQL server on 'h' ({cause})")
    error.original_exception = cause  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (pymysql.OperationalError(1290, "running with the --read-only option"), "read_only", "1290"),
        (pymysql.OperationalError(1045, "Access denied"), "login", "1045"),
        (pymysql.OperationalError(1142, "INSERT command denied"), "denied", "1142"),
        (pymysql.OperationalError(1053, "Server shutdown in progress"), "server_closed", "1053"),
        (pymysql.OperationalError(2013, "Lost connection to MySQL server during query"), "server_closed", "2013"),
        (pymysql.OperationalError(2013, "Lost connection to MySQL server during query (timed out)"), "timeout", "2013"),
        (pymysql.err.InterfaceError(0, ""), "server_closed", ""),
        (pymysql.OperationalError(1213, "Deadlock found"), "other", "1213"),
        (lost(ConnectionRefusedError(111, "Connection refused")), "refused", "2003"),
        (lost(socket.gaierror(-2, "Name or service not known")), "dns", "2003"),
        (lost(TimeoutError("timed out")), "timeout", "2003"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "tls", ""),
        (ConnectionResetError(104, "Connection reset by peer"), "server_closed", ""),
    ],
)
def test_mysql(error: Exception, kind: str, code: str) -> None:
    found = mysql.failure(error)
    assert (found.kind, found.code) == (kind, code)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('could not translate host name "h" to address: Name or service not known', "dns"),
        ('connection to server at "h" (10.0.0.1), port 5432 failed: Connection refused', "refused"),
        ('connection to server at "h" (10.0.0.1), port 5432 failed: timeout expired', "timeout"),
        ("FATAL:  the database system is starting up", "refused"),
        ('FATAL:  password authentication failed for user "app"', "login"),
        ('FATAL:  role "app" does not exist', "login"),
        ("FATAL:  terminating connection due to administrator command", "server_closed"),
        ("server closed the connection unexpectedly", "server_closed"),
        ("SSL SYSCALL error: EOF detected", "server_closed"),
        ("SSL error: certificate verify failed", "tls"),
        ("server does not support SSL, but SSL was required", "tls"),
        ("something new", "other"),
    ],
)
def test_postgresql_before_there_is_a_session(text: str, kind: str) -> None:
    assert postgresql.failure(psycopg2.OperationalError(text)).kind == kind


def test_the_driver_s_error_is_found_behind_the_sentence_that_was_made_of_it() -> None:
    try:
        try:
            raise lost(ConnectionRefusedError(111, "Connection refused"))
        except pymysql.MySQLError:
            raise BlueGreenError("No connection.") from None
    except BlueGreenError as error:
        assert mysql.failure(error).kind == "refused"
