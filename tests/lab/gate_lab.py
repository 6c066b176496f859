# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own gate, for machines where PgBouncer cannot be had: its console, its file, its way of holding clients.

It reads PgBouncer's configuration file and answers PAUSE, RESUME, RELOAD, SHOW DATABASES, SHOW CONFIG, SHOW VERSION
and SHOW POOLS as PgBouncer does. One server connection per client; while a database is paused, a client waits between
two transactions; when its entry has changed, the client's next transaction runs on a connection to the new place.
Messages and authentication: https://www.postgresql.org/docs/current/protocol.html, RFC 5802 and RFC 7677.
"""

from __future__ import annotations

import asyncio
import base64
import configparser
import hashlib
import hmac
import re
import secrets
import ssl
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

VERSION = "lab gate 1.0"
_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_PROTOCOL = 196608
_TEXT, _INT4 = 25, 23  # type oids
_ADMIN = "pgbouncer"


class Refused(Exception):
    """The client or its statement is refused; the text goes to the client."""

    def __init__(self, text: str, sqlstate: str = "08P01") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


@dataclass(frozen=True)
class Place:
    """One entry of ``[databases]``."""

    host: str
    port: int
    database: str


@dataclass(frozen=True)
class Config:
    """What the configuration file and its user file say."""

    databases: dict[str, Place]
    settings: dict[str, str]
    users: dict[str, str] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Config:
        """Return the configuration in the file ``path``."""
        parser = configparser.ConfigParser(interpolation=None, comment_prefixes=(";", "#"))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(path.read_text(encoding="utf-8"))
        databases = {}
        for name, entry in parser["databases"].items():
            words = dict(re.findall(r"(\w+)\s*=\s*(\S+)", entry))
            name = name.strip('"')
            databases[name] = Place(words["host"], int(words.get("port", 5432)), words.get("dbname", name))
        settings = dict(parser["pgbouncer"])
        users = dict(re.findall(r'"([^"]*)"\s+"([^"]*)"', Path(settings["auth_file"]).read_text(encoding="utf-8")))
        return cls(databases, settings, users)

    def tls(self) -> ssl.SSLContext | None:
        """Return how servers are verified, None for plain text."""
        mode = self.settings.get("server_tls_sslmode", "disable")
        if mode == "disable":
            return None
        context = ssl.create_default_context(cafile=self.settings["server_tls_ca_file"])
        context.check_hostname = mode == "verify-full"
        return context


def message(kind: bytes, body: bytes) -> bytes:
    """Return one protocol message."""
    return kind + struct.pack("!I", len(body) + 4) + body


def text_row(values: Iterable[object]) -> bytes:
    """Return a DataRow of text values."""
    fields = [str(value).encode() for value in values]
    return message(b"D", struct.pack("!H", len(fields)) + b"".join(struct.pack("!I", len(f)) + f for f in fields))


def row_description(columns_and_values: Mapping[str, object]) -> bytes:
    """Return the RowDescription of a row like this one; numbers are integer columns, as in PgBouncer."""
    columns = [
        name.encode() + b"\0" + struct.pack("!IHIhih", 0, 0, _INT4 if isinstance(value, int) else _TEXT, -1, -1, 0)
        for name, value in columns_and_values.items()
    ]
    return message(b"T", struct.pack("!H", len(columns)) + b"".join(columns))


def error(text: str, sqlstate: str, severity: str = "FATAL") -> bytes:
    """Return an ErrorResponse."""
    fields = {b"S": severity, b"V": severity, b"C": sqlstate, b"M": text}
    return message(b"E", b"".join(key + value.encode() + b"\0" for key, value in fields.items()) + b"\0")


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the kind and the body of the next message; raises IncompleteReadError at the end of the stream."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], await reader.readexactly(length - 4)


async def scram(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, password: str) -> None:
    """Log in to a server by SCRAM-SHA-256 (without channel binding) and check that the server knows the password."""
    nonce = secrets.token_urlsafe(18)
    bare = f"n=,r={nonce}"
    first = ("n,," + bare).encode()
    writer.write(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
    challenge = _sasl(await read_message(reader), 11)
    values = dict(part.split("=", 1) for part in challenge.split(","))
    if not values["r"].startswith(nonce):
        raise Refused("the server's SCRAM nonce is not ours")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))

    def mac(key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, "sha256")

    final = f"c=biws,r={values['r']}"
    signed = f"{bare},{challenge},{final}".encode()
    client_key = mac(salted, b"Client Key")
    signature = mac(hashlib.sha256(client_key).digest(), signed)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
    writer.write(message(b"p", f"{final},p={proof}".encode()))
    answer = _sasl(await read_message(reader), 12)
    if not hmac.compare_digest(base64.b64decode(answer[2:]), mac(mac(salted, b"Server Key"), signed)):
        raise Refused("the server does not know the password it checked")


def _sasl(received: tuple[bytes, bytes], wanted: int) -> str:
    kind, body = received
    if kind == b"E":
        raise Refused(_words(body))
    if kind != b"R" or struct.unpack("!I", body[:4])[0] != wanted:
        raise Refused("the server left the SCRAM exchange")
    return body[4:].decode()


def _words(body: bytes) -> str:
    """Return the message of an ErrorResponse."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return fields.get(b"M", "no message")


@dataclass
class Server:
    """A connection to a server, logged in and idle; ``greeting`` is what it said before it was ready."""

    place: Place
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes = b""

    @classmethod
    async def connect(cls, place: Place, user: str, password: str, tls: ssl.SSLContext | None) -> Server:
        """Return a new connection. Raises Refused or OSError."""
        reader, writer = await asyncio.open_connection(place.host, place.port)
        try:
            if tls is not None:
                writer.write(struct.pack("!II", 8, _SSL_REQUEST))
                if await reader.readexactly(1) != b"S":
                    raise Refused(f"{place.host} speaks no TLS")
                await writer.start_tls(tls, server_hostname=place.host)
            parameters = f"user\0{user}\0database\0{place.database}\0\0".encode()
            writer.write(struct.pack("!II", len(parameters) + 8, _PROTOCOL) + parameters)
            server = cls(place, reader, writer)
            await server._log_in(password)
        except BaseException:
            writer.close()
            raise
        return server

    async def _log_in(self, password: str) -> None:
        while True:
            kind, body = await read_message(self.reader)
            if kind == b"Z":
                return
            if kind == b"E":
                raise Refused(_words(body))
            if kind != b"R":
                self.greeting += message(kind, body)
            elif struct.unpack("!I", body[:4])[0] == 10:
                await scram(self.reader, self.writer, password)
            elif struct.unpack("!I", body[:4])[0] != 0:
                raise Refused("the server asks for a login other than SCRAM-SHA-256")


class Session:
    """One client: its server connection, and whether a transaction is on its way."""

    def __init__(
        self, gate: LabGate, database: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.gate, self.database = gate, database
        self.reader, self.writer = reader, writer
        self.server: Server | None = None
        self.idle = asyncio.Event()
        self.idle.set()
        self._unanswered = 0
        self._cut = False

    async def run(self, user: str) -> None:
        """Carry messages until the client leaves or the server is lost."""
        password = self.gate.config.users[user]
        await self._attach(user, password)
        assert self.server is not None
        self.writer.write(message(b"R", struct.pack("!I", 0)) + self.server.greeting + message(b"Z", b"I"))
        answers = asyncio.create_task(self._answers(self.server))
        try:
            while True:
                kind, body = await read_message(self.reader)
                if kind == b"X" or self._cut:
                    return  # what a client says after its transaction was lost must not run on its own
                if self.idle.is_set():
                    await self.gate.let_through(self.database)
                    while answers.done() or self.server.place != self.gate.config.databases[self.database]:
                        await self._leave(answers)
                        await self._attach(user, password)
                        answers = asyncio.create_task(self._answers(self.server))
                        await self.gate.let_through(self.database)
                    self.idle.clear()
                if kind in (b"Q", b"S", b"F"):
                    self._unanswered += 1
                self.server.writer.write(message(kind, body))
                await self.server.writer.drain()
        finally:
            await self._leave(answers)
            self.idle.set()

    async def _attach(self, user: str, password: str) -> None:
        await self.gate.let_through(self.database)
        self.server = await Server.connect(
            self.gate.config.databases[self.database], user, password, self.gate.config.tls()
        )

    async def _leave(self, answers: asyncio.Task[None]) -> None:
        answers.cancel()
        if self.server is not None:
            self.server.writer.close()

    async def _answers(self, server: Server) -> None:
        """Carry the server's messages to the client and watch for the end of a transaction.

        A server that goes takes a client's transaction with it; between two transactions the client need not know.
        """
        try:
            while True:
                kind, body = await read_message(server.reader)
                if kind == b"E" and self.idle.is_set():
                    continue  # the server's last words
                self.writer.write(message(kind, body))
                if kind == b"Z":
                    self._unanswered = max(0, self._unanswered - 1)
                    if body == b"I" and not self._unanswered:
                        self.idle.set()
        except (OSError, asyncio.IncompleteReadError):
            if not self.idle.is_set():
                self._cut = True
                self.idle.set()
                self.writer.write(error("server closed the connection unexpectedly", "08006"))
                self.writer.close()


class LabGate:
    """The gate: its configuration, who is paused, and its clients."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = Config.read(path)
        self._open: dict[str, asyncio.Event] = {}
        self._sessions: set[Session] = set()

    def _gate(self, database: str) -> asyncio.Event:
        if database not in self._open:
            self._open[database] = asyncio.Event()
            self._open[database].set()
        return self._open[database]

    async def let_through(self, database: str) -> None:
        """Return when ``database`` is not paused."""
        await self._gate(database).wait()

    async def serve(self) -> None:
        """Accept clients for ever."""
        settings = self.config.settings
        listener = await asyncio.start_server(self._client, settings["listen_addr"], int(settings["listen_port"]))
        async with listener:
            await listener.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            parameters = await self._startup(reader, writer)
            if parameters is not None:
                await self._log_in(parameters, reader, writer)
        except Refused as refused:
            writer.write(error(str(refused), refused.sqlstate))
        except (OSError, asyncio.IncompleteReadError) as lost:
            writer.write(error(f"server connect failed: {type(lost).__name__}", "08006"))
        finally:
            writer.close()

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, str] | None:
        while True:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            (code,) = struct.unpack("!I", body[:4])
            if code == _CANCEL_REQUEST:
                return None
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                words = body[4:].rstrip(b"\0").decode().split("\0")
                return dict(zip(words[::2], words[1::2], strict=False))
            writer.write(b"N")

    async def _log_in(
        self, parameters: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        user, database = parameters.get("user", ""), parameters.get("database", parameters.get("user", ""))
        writer.write(message(b"R", struct.pack("!I", 3)))  # the password itself: client and gate share a loopback
        _kind, answer = await read_message(reader)
        expected = self.config.users.get(user)
        if expected is None or not hmac.compare_digest(answer.rstrip(b"\0"), expected.encode()):
            raise Refused("password authentication failed", "28P01")
        if database == _ADMIN:
            if user not in re.split(r"[\s,]+", self.config.settings.get("admin_users", "")):
                raise Refused("not allowed", "42501")
            await self._console(reader, writer)
            return
        if database not in self.config.databases:
            raise Refused(f"no such database: {database}", "08P01")
        session = Session(self, database, reader, writer)
        self._sessions.add(session)
        try:
            await session.run(user)
        finally:
            self._sessions.discard(session)

    async def _console(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = {
            "server_version": f"1.18.0/{VERSION}",
            "client_encoding": "UTF8",
            "server_encoding": "UTF8",
            "DateStyle": "ISO",
            "TimeZone": "GMT",
            "standard_conforming_strings": "on",
            "is_superuser": "on",
        }
        writer.write(message(b"R", struct.pack("!I", 0)))
        for name, value in greeting.items():
            writer.write(message(b"S", f"{name}\0{value}\0".encode()))
        writer.write(message(b"Z", b"I"))
        while True:
            kind, body = await read_message(reader)
            if kind == b"X":
                return
            if kind != b"Q":
                raise Refused("only simple queries in the console")
            try:
                writer.write(await self._command(body.rstrip(b"\0").decode().strip().rstrip(";")))
            except Refused as refused:
                writer.write(error(str(refused), refused.sqlstate, "ERROR"))
            writer.write(message(b"Z", b"I"))

    async def _command(self, statement: str) -> bytes:
        """Return the answer to one console statement. Raises Refused."""
        words = statement.replace('"', "").split()
        verb = (
            " ".join(words[:2]).upper() if words and words[0].upper() == "SHOW" else words[0].upper() if words else ""
        )
        if verb in ("PAUSE", "RESUME"):
            names = words[1:] or list(self.config.databases)
            for name in names:
                if name not in self.config.databases:
                    raise Refused(f"no such database: {name}")
            await (self._pause(names) if verb == "PAUSE" else self._resume(names))
        elif verb == "RELOAD":
            self.config = Config.read(self.path)
        elif verb in (shows := self._shows()):
            columns, rows = shows[verb]()
            described = row_description(dict(zip(columns, rows[0], strict=True)) if rows else {})
            return described + b"".join(text_row(row) for row in rows) + message(b"C", b"SHOW\0")
        elif verb != "SET":  # drivers set their date style; it changes nothing here
            raise Refused(f"invalid command '{statement}', use SHOW DATABASES, PAUSE, RESUME or RELOAD")
        return message(b"C", verb.encode() + b"\0")

    async def _pause(self, names: list[str]) -> None:
        """Hold the databases; returns when no transaction is on its way. Raises Refused when one is paused already."""
        for name in names:
            if not self._gate(name).is_set():
                raise Refused(f"database {name} is already paused")
            self._gate(name).clear()
        for session in [session for session in self._sessions if session.database in names]:
            await session.idle.wait()

    async def _resume(self, names: list[str]) -> None:
        for name in names:
            if self._gate(name).is_set():
                raise Refused(f"database {name} is not paused")
            self._gate(name).set()

    def _shows(self) -> dict[str, Callable[[], tuple[list[str], list[tuple[object, ...]]]]]:
        return {
            "SHOW DATABASES": self._show_databases,
            "SHOW CONFIG": self._show_config,
            "SHOW POOLS": self._show_pools,
            "SHOW VERSION": lambda: (["version"], [(VERSION,)]),
        }

    def _show_databases(self) -> tuple[list[str], list[tuple[object, ...]]]:
        columns = ["name", "host", "port", "database", "current_connections", "paused", "disabled"]
        return columns, [
            (name, place.host, place.port, place.database, self._count(name), int(not self._gate(name).is_set()), 0)
            for name, place in self.config.databases.items()
        ]

    def _show_config(self) -> tuple[list[str], list[tuple[object, ...]]]:
        return ["key", "value", "changeable"], [(key, value, "yes") for key, value in self.config.settings.items()]

    def _show_pools(self) -> tuple[list[str], list[tuple[object, ...]]]:
        return ["database", "cl_active", "sv_active"], [
            (
                name,
                self._count(name),
                sum(s.database == name and not s.idle.is_set() for s in self._sessions),
            )
            for name in self.config.databases
        ]

    def _count(self, database: str) -> int:
        return sum(session.database == database for session in self._sessions)


if __name__ == "__main__":
    asyncio.run(LabGate(Path(sys.argv[1])).serve())
