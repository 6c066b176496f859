# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the API on demand: throttle, fail, deny an operation, lose its answer."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

from tests.lab.control_plane.errors import ApiError, access_denied

FOREVER = 1_000_000_000


class Lost(ApiError):
    """Not answered at all: the connection is cut, after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Lost", "the connection was cut")
        self.seconds = seconds


@dataclass
class Rule:
    """Calls number `first` to `first + calls - 1` of an operation, counted from now on, answer an error."""

    operation: str  # DescribeDBClusters, or * for every operation
    code: str
    message: str  # empty: what a missing permission says
    first: int = 1
    calls: int = 1
    after: bool = False  # the operation takes effect and only its answer is lost
    cut: float | None = None  # seconds until the connection is cut, in place of an error
    seen: int = 0


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def throttle(self, operation: str, calls: int = 3) -> None:
        """The next calls of an operation are answered `Throttling`."""
        self._add(Rule(operation, "Throttling", "Rate exceeded", calls=calls))

    def fail(
        self, operation: str, code: str, message: str = "injected", nth: int = 1, calls: int = 1, after: bool = False
    ) -> None:
        """Call `nth` of an operation (and the `calls - 1` after it) fails with a code, before or after its effect."""
        self._add(Rule(operation, code, message, first=nth, calls=calls, after=after))

    def lose(self, operation: str, nth: int = 1, calls: int = 1, seconds: float = 0.0, effect: bool = True) -> None:
        """Calls take effect, or do not, and are not answered: the connection is cut, at once or later than a client waits."""
        self._add(Rule(operation, "", "", first=nth, calls=calls, after=effect, cut=seconds))

    def deny(self, operation: str) -> None:
        """The operation is not allowed any more, as without the IAM permission."""
        self._add(Rule(operation, "AccessDenied", "", calls=FOREVER))

    def denied(self) -> set[str]:
        """Return the operations that are denied for good."""
        with self._lock:
            return {rule.operation for rule in self._rules if rule.code == "AccessDenied" and rule.calls == FOREVER}

    def clear(self) -> None:
        """Take all rules back."""
        with self._lock:
            self._rules.clear()

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules in force, with the calls that each has seen."""
        with self._lock:
            return [asdict(rule) for rule in self._rules]

    def count(self, operation: str, service: str = "rds") -> tuple[ApiError | None, ApiError | None]:
        """Count one call; return the error to answer instead of it, and the error to answer after it."""
        before: ApiError | None = None
        after: ApiError | None = None
        with self._lock:
            for rule in self._rules:
                if rule.operation not in (operation, "*"):
                    continue
                rule.seen += 1
                if not rule.first <= rule.seen < rule.first + rule.calls:
                    continue
                error = _error(rule, service, operation)
                if rule.after:
                    after = error
                else:
                    before = error
        return before, after

    def _add(self, rule: Rule) -> None:
        if rule.first < 1 or rule.calls < 1:
            raise ValueError("calls are counted from 1")
        with self._lock:
            self._rules.append(rule)


def _error(rule: Rule, service: str, operation: str) -> ApiError:
    if rule.cut is not None:
        return Lost(rule.cut)
    return ApiError(rule.code, rule.message) if rule.message else access_denied(service, operation)
