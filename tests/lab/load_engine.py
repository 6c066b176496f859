# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between a writer and the database it writes to: what one transaction is, and how it can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.lab.load_ledger import REFUSED, UNKNOWN

CUSTOMERS = 200
Booked = tuple[int, str]  # the id of the ledger's row, and the server that made it


@dataclass(frozen=True)
class Target:
    """Where a writer connects to, and as whom; ``engine`` is the service's name."""

    host: str
    port: int
    database: str
    user: str
    password: str
    ssl_mode: str = "disable"
    ca_file: str | None = None
    engine: str = "aurora-postgresql"


@dataclass
class Work:
    """The values of one transaction: those of a single statement first, then those of several."""

    writer: int
    n: int
    amount: int
    note: str  # JSON
    customer: int = 0
    lines: int = 0
    old_order: int | None = None  # to be closed
    last_event: int | None = None  # to be touched
    old_event: int | None = None  # to be dropped


class Refused(Exception):
    """The server said no, and the connection lives; nothing of the transaction is there once it is rolled back."""

    def __init__(self, code: str | None) -> None:
        super().__init__(code)
        self.code = code


class Lost(Exception):
    """The connection went away while a transaction was on its way; ``at_commit`` says that the outcome is unknown."""

    def __init__(self, at_commit: bool, code: str | None) -> None:
        super().__init__(code)
        self.outcome = UNKNOWN if at_commit else REFUSED
        self.code = code


class Session(Protocol):
    """One connection of a writer. Every call but ``close`` raises Refused or Lost."""

    def single(self, work: Work) -> Booked:
        """Commit a transaction of one statement."""

    def begin(self, work: Work) -> Booked:
        """Begin a transaction of several statements with its row in the ledger."""

    def order(self, work: Work) -> int:
        """Go on with the customer and a new order; return the order's id."""

    def finish(self, work: Work) -> int:
        """Close, touch and drop what is due, count it, add an event; return the event's id."""

    def commit(self) -> None:
        """Commit."""

    def rollback(self) -> None:
        """Roll back."""

    def close(self) -> None:
        """Close the connection, whatever state it is in; raises nothing."""


class NoSession(Exception):
    """There is no connection to be had."""


def own_customer(writer: int) -> int:
    """Return the id of the customer that only ``writer`` updates."""
    return 1_000_000 + writer
