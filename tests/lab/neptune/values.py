# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Property values: (data type, value) pairs, the data types being those of the stream's records.

Two values are the same when type and value are: the Int 1 and the Long 1 are two values of a set. Numbers are Python
numbers, a Date is its milliseconds since 1970, and the one NaN is NAN, which equals itself here as it does in a set.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

Typed = tuple[str, Any]

NAN = float("nan")
_RANGES = {"Byte": 8, "Short": 16, "Int": 32, "Long": 64}


def number(kind: str, value: float) -> Typed:
    """Return a number of a type; ValueError when it does not fit."""
    if kind in _RANGES:
        bits = _RANGES[kind]
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ValueError(f"{value} is no {kind}")
        return kind, int(value)
    wide = float(value)
    return kind, NAN if math.isnan(wide) else wide


def from_json(value: Any) -> Typed:
    """Return what openCypher stores for a value: whole numbers are Long, others Double; TypeError when it cannot."""
    if isinstance(value, str):
        return "String", value
    if isinstance(value, bool):
        return "Bool", value
    if isinstance(value, int):
        return number("Long", value)
    if isinstance(value, float):
        return number("Double", value)
    if isinstance(value, Date):
        return "Date", value.millis
    raise TypeError(f"a property cannot hold a {type(value).__name__}")


class Date:
    """A point in time as a value of a query."""

    __slots__ = ("millis",)

    def __init__(self, millis: int) -> None:
        self.millis = millis

    @classmethod
    def parse(cls, text: str) -> Date:
        """Read an ISO 8601 date or time, UTC when it names no zone; ValueError when it is none."""
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return cls((moment - _EPOCH) // datetime.timedelta(milliseconds=1))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Date) and other.millis == self.millis

    def __lt__(self, other: Date) -> bool:
        return self.millis < other.millis

    def __hash__(self) -> int:
        return hash(self.millis)

    def __str__(self) -> str:
        return iso(self.millis)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def iso(millis: int) -> str:
    """Return a Date as text, 2026-11-26T18:00:00.000Z."""
    moment = _EPOCH + datetime.timedelta(milliseconds=millis)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03d}Z"


def to_query(typed: Typed) -> Any:
    """Return a stored value as a query sees it."""
    return Date(typed[1]) if typed[0] == "Date" else typed[1]
