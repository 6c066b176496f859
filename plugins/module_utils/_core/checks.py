# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails: one read-only check each, with its evidence and its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .errors import BlueGreenError

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """One guardrail's answer.

    ``evidence`` is what was found, ``remedy`` the statement or command that mends it (empty when ok).
    A check that could not be made has failed.
    """

    id: str
    status: Status
    evidence: str
    remedy: str = ""
    docs: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The check as plain values, for a module's result."""
        return asdict(self)


def ok(check_id: str, evidence: str, docs: str = "") -> Check:
    """A check that passed."""
    return Check(check_id, "ok", evidence, docs=docs)


def failed(check_id: str, evidence: str, remedy: str, docs: str = "") -> Check:
    """A check that stops the step."""
    return Check(check_id, "failed", evidence, remedy, docs)


def warning(check_id: str, evidence: str, remedy: str, docs: str = "") -> Check:
    """A check that a person should look at, but that stops nothing."""
    return Check(check_id, "warning", evidence, remedy, docs)


def require(checks: Iterable[Check], step: str) -> None:
    """Raise :class:`BlueGreenError` for the failed ones among ``checks``; the result carries them all."""
    every = list(checks)
    bad = [check for check in every if check.status == "failed"]
    if bad:
        sentences = "; ".join(f"{check.evidence} ({check.remedy})" if check.remedy else check.evidence for check in bad)
        raise BlueGreenError(
            f"Not ready for {step}, nothing was changed: {sentences}.",
            checks=[check.as_dict() for check in every],
        )
