# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""PgBouncer as a gate: PAUSE, rewrite of ``[databases]``, RELOAD, RESUME.

Source: https://www.pgbouncer.org/usage.html (admin console) and config.html (section [databases]).
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import psycopg2
except ImportError:  # refused in connection.require_driver()
    psycopg2 = None  # type: ignore[assignment]

from ..._core.checks import Check, failed, ok
from ..._core.errors import BlueGreenError, words
from ..._core.waiting import Deadline, wait_until
from ..._postgresql.connection import require_driver
from . import Position, Target

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_REMEDY = "run the switchover on PgBouncer's host as a user who may replace the file, or correct config_file"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.$-]*"


class PgBouncerGate:
    """One PgBouncer, its admin console and its configuration file, which must be on the host that runs the module."""

    holds = True

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        password: str | None,
        databases: Sequence[str],
        config_file: str,
        sides: Mapping[str, Target],
    ) -> None:
        self.name = f"PgBouncer at {host}:{port}"
        self._login: dict[str, Any] = {"host": host, "port": port, "user": user, "password": password}
        self._databases = list(databases)
        self._config_file = config_file
        self._sides = dict(sides)
        self._conn: Connection | None = None

    def facts(self) -> Position:
        """``held`` when any of the databases is paused, else the side that all of them point at."""
        found = self._rows()
        if any(row["paused"] for row in found):
            return "held"
        for side, target in self._sides.items():
            if all(row["host"] == target.host and int(row["port"]) == target.port for row in found):
                return "blue" if side == "blue" else "green"
        return "elsewhere"

    def guardrails(self, source: str, target: str) -> list[Check]:
        """Whether the entries are in the file and the file can be replaced; found out now, not when green is open."""
        file = Path(self._config_file).resolve()
        try:
            retargeted(file.read_text(encoding="utf-8"), self._databases, self._sides[target])
        except (OSError, UnicodeDecodeError) as error:
            return [failed("gate_pgbouncer_file", f"{self._config_file} cannot be read: {words(error)}", _REMEDY)]
        except BlueGreenError as error:
            return [failed("gate_pgbouncer_file", error.message.rstrip("."), "correct databases and config_file")]
        if not os.access(file.parent, os.W_OK | os.X_OK):
            evidence = f"{self._config_file} cannot be replaced, because its directory is not writable"
            return [failed("gate_pgbouncer_file", evidence, _REMEDY)]
        return [ok("gate_pgbouncer_file", f"{self._config_file} has the entries of {self.name} and can be replaced")]

    def hold(self, deadline: Deadline) -> None:
        """PAUSE every database; given up, and RESUMEd, when transactions in flight do not end in time."""
        for database in self._databases:
            self._pause(database, deadline)

    def retarget(self, side: str) -> None:
        """Rewrite host and port in the configuration file, RELOAD, and see that PgBouncer has taken it over."""
        target = self._sides[side]
        rewrite_config(self._config_file, self._databases, target)
        self._command("RELOAD")
        wait_until(
            self._rows,
            lambda found: all(row["host"] == target.host and int(row["port"]) == target.port for row in found),
            timeout=5,
            delay=0.002,
            wanted=f"{self.name} to point at {target.host}:{target.port} after RELOAD",
            seen=lambda found: ", ".join(f"{row['name']} -> {row['host']}:{row['port']}" for row in found),
        )

    def release(self) -> None:
        """RESUME every database that is, or is about to be, paused."""
        for row in self._rows():
            if row["paused"]:
                self._command(f'RESUME "{row["name"]}"')

    def settle(self, deadline: Deadline) -> str:
        """Nothing goes on by itself."""
        return ""

    def close(self) -> None:
        """Close the admin console's connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def strict(self) -> bool:
        """Whether it compares the name that it leads to with the one in the server's certificate."""
        found = [row for row in self._show("SHOW CONFIG") if row["key"] == "server_tls_sslmode"]
        return any(row["value"] == "verify-full" for row in found)

    def remembers(self, host: str, address: str) -> bool:
        """Whether it may still take a name for another address than this one; what it cannot tell counts as that."""
        try:
            known = [row for row in self._show("SHOW DNS_HOSTS") if row["hostname"] == host and int(row["ttl"]) > 0]
        except BlueGreenError:
            return True
        return any(address not in re.split(r"[,\s]|:\d+", str(row["addrs"])) for row in known)

    def _pause(self, database: str, deadline: Deadline) -> None:
        errors: list[BlueGreenError] = []
        console = self._console()  # opened before the window, when the facts were read

        def pause() -> None:
            try:
                self._command(f'PAUSE "{database}"', console)
            except BlueGreenError as error:
                errors.append(error)

        thread = threading.Thread(target=pause, daemon=True)
        thread.start()
        thread.join(deadline.left)
        if thread.is_alive():  # PAUSE answers only when everything in flight has ended
            self._conn = None
            self.release()
            raise BlueGreenError(
                f"{self.name} could not be held within {deadline.seconds:g} s, because transactions on {database} did "
                "not end: end them, or raise gate_timeout."
            )
        if errors:
            raise errors[0]

    def _rows(self) -> list[dict[str, Any]]:
        found = {row["name"]: row for row in self._show("SHOW DATABASES")}
        missing = [name for name in self._databases if name not in found]
        if missing:
            raise BlueGreenError(
                f"{self.name} should have the database {', '.join(missing)}, but has {', '.join(sorted(found))}: "
                "correct the gate's option databases or PgBouncer's section [databases]."
            )
        return [found[name] for name in self._databases]

    def _show(self, statement: str) -> list[dict[str, Any]]:
        conn = self._console()
        try:
            with conn.cursor() as cursor:
                cursor.execute(statement)
                columns = [column.name for column in cursor.description or ()]
                return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        except psycopg2.Error as error:
            raise self._failed(statement, error) from None

    def _command(self, statement: str, console: Connection | None = None) -> None:
        conn = console or self._console()
        try:
            with conn.cursor() as cursor:
                cursor.execute(statement)
        except psycopg2.Error as error:
            raise self._failed(statement, error) from None

    def _failed(self, statement: str, error: BaseException) -> BlueGreenError:
        self.close()
        return BlueGreenError(f"{self.name} refused {statement}: {words(error)}.")

    def _console(self) -> Connection:
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        return self._conn

    def _connect(self) -> Connection:
        require_driver()
        try:
            conn: Connection = psycopg2.connect(
                dbname="pgbouncer", connect_timeout=5, application_name="bluegreen", **self._login
            )
        except psycopg2.Error as error:
            raise BlueGreenError(
                f"The admin console of {self.name} should let {self._login['user']} in, but did not: {words(error)}; "
                "check the gate's host, port, user and password, and PgBouncer's admin_users."
            ) from None
        conn.autocommit = True
        return conn


def rewrite_config(path: str, databases: Sequence[str], target: Target) -> None:
    """Put ``target`` into the ``[databases]`` entries of ``databases``, in one rename that keeps owner and mode.

    Raises :class:`BlueGreenError` when an entry is missing or the file cannot be written.
    """
    try:
        file = Path(path).resolve()
        before = file.read_text(encoding="utf-8")
        text = retargeted(before, databases, target)
        if text != before:
            _replace_file(file, text)
    except OSError as error:
        raise BlueGreenError(
            f"PgBouncer's configuration file {path} should be writable on the host that runs the module, but: "
            f"{error.strerror}; run the switchover on PgBouncer's host or correct config_file."
        ) from None


def retargeted(text: str, databases: Sequence[str], target: Target) -> str:
    """The configuration ``text`` with host and port of ``databases`` replaced; comments and order are kept."""
    wanted, section, lines = set(databases), "", []
    for line in text.splitlines(keepends=True):
        header = re.match(r"\s*\[(.+?)\]", line)
        section = header.group(1).strip().lower() if header else section
        entry = re.match(rf'\s*("?)({_NAME}|\*|[^"=;#]+)\1\s*=', line)
        if section == "databases" and entry and entry.group(2).strip() in wanted:
            wanted.discard(entry.group(2).strip())
            line = _with(_with(line, "host", target.host), "port", str(target.port))
        lines.append(line)
    if wanted:
        raise BlueGreenError(
            f"PgBouncer's configuration should have {', '.join(sorted(wanted))} in its section [databases], but has not: "
            "correct the gate's options databases and config_file."
        )
    return "".join(lines)


def _with(line: str, key: str, value: str) -> str:
    pattern = re.compile(rf"(?<![\w]){key}\s*=\s*('[^']*'|[^\s'#;]+)")
    if pattern.search(line):
        return pattern.sub(f"{key}={value}", line, count=1)
    body = line.rstrip("\r\n")
    return f"{body} {key}={value}{line[len(body) :]}"


def _replace_file(file: Path, text: str) -> None:
    status = file.stat()
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".bluegreen-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fchmod(handle.fileno(), stat.S_IMODE(status.st_mode))
            if (os.geteuid(), os.getegid()) != (status.st_uid, status.st_gid):
                os.fchown(handle.fileno(), status.st_uid, status.st_gid)
            os.fsync(handle.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink()
        raise
