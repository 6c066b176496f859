# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a guardrail about the control plane is about: its name, where to read about it, and its three answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .api import ApiError

GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/"
PREFIX = "aws_"
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_MAX_NAMED = 5


@dataclass(frozen=True)
class Topic:
    """One guardrail; every answer carries the page that explains it."""

    name: str
    docs: str

    def of(self, side: str) -> Topic:
        """The same guardrail for one side."""
        return Topic(f"{side}_{self.name}", self.docs)

    def ok(self, evidence: str) -> Check:
        """It holds."""
        return Check(PREFIX + self.name, "ok", evidence, "", self.docs)

    def warning(self, evidence: str, remedy: str) -> Check:
        """A person should look at it, but it stops nothing."""
        return Check(PREFIX + self.name, "warning", evidence, remedy, self.docs)

    def failed(self, evidence: str, remedy: str) -> Check:
        """It stops the step."""
        return Check(PREFIX + self.name, "failed", evidence, remedy, self.docs)

    def unmade(self, error: BlueGreenError, *, needed: bool) -> Check:
        """It could not be looked at: failed when the step needs it, else a warning; never ok."""
        evidence, remedy = f"could not be looked at: {error.message.rstrip('.')}", "mend that and run this again"
        if isinstance(error, ApiError) and error.code in _DENIED:
            evidence, _semicolon, remedy = evidence.rpartition("; ")
        return self.failed(evidence, remedy) if needed else self.warning(evidence, remedy)


def some(names: Iterable[str]) -> str:
    """The first names of a list and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _MAX_NAMED} more" if len(every) > _MAX_NAMED else ""
    return ", ".join(every[:_MAX_NAMED]) + more
