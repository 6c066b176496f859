# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A guardrail that is one query: what it finds is what is wrong, each with the statement that mends it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .checks import Check, failed, ok, warning

_MAX_NAMED = 5
_MAX_STATEMENTS = 3


@dataclass(frozen=True)
class Rule:
    """One kind of thing to look for.

    ``query`` gives rows of a name and the statement that mends it (may be empty); a word such as ``:host`` in it stands for a
    value that the engine's ``find`` is given. ``needs`` is a relation without which there is nothing to find. ``fine`` is said when
    nothing was found, ``found`` before the names, ``remedy`` after the statements. ``since`` is the first server version.

    ``upgrade``: it is about an upgrade from a major below the first number to one from the second on. With another target it
    is fine, and as long as the target is not known it warns.
    """

    id: str
    status: Literal["warning", "failed"]
    query: str
    fine: str
    found: str
    remedy: str
    docs: str
    needs: str = ""
    since: int = 0
    upgrade: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that was found; ``database`` None when it is the server's, ``query`` lists everything of its kind."""

    database: str | None
    name: str
    statement: str
    query: str


@dataclass(frozen=True)
class Versions:
    """The majors of an upgrade: what runs now, and the target, None when it is not known."""

    now: int
    target: int | None


def judge(rule: Rule, found: Sequence[Finding], versions: Versions) -> Check:
    """The check that the findings amount to. Pure."""
    applies = _applies(rule, versions)
    if not found or applies is False:
        return ok(rule.id, rule.fine, rule.docs)
    verdict = warning if rule.status == "warning" or applies is None else failed
    unsure = "" if applies else ", if the major version is upgraded"
    return verdict(rule.id, f"{rule.found}{unsure}: {_names(found)}", mend(found, rule.remedy), rule.docs)


def mend(found: Sequence[Finding], words: str) -> str:
    """The first statements, ready to paste, where to find the rest, and what else to do."""
    able = [one for one in found if one.statement]
    shown = able[:_MAX_STATEMENTS]
    parts: list[str] = []
    for database in dict.fromkeys(one.database for one in shown):
        here = "; ".join(one.statement for one in shown if one.database == database)
        parts.append(f"in database {database}: {here}" if database else here)
    if len(able) > len(shown):
        parts.append(f"{len(able) - len(shown)} more, with their statements, are listed by: {able[0].query}")
    return "; ".join([*parts, *filter(None, [words])])


def some(names: Iterable[str]) -> str:
    """The first names of a list and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _MAX_NAMED} more" if len(every) > _MAX_NAMED else ""
    return ", ".join(every[:_MAX_NAMED]) + more


def statements(every: Iterable[str]) -> str:
    """The first statements of a list, to paste, and how many more there are."""
    listed = list(every)
    more = f" and {len(listed) - _MAX_STATEMENTS} more" if len(listed) > _MAX_STATEMENTS else ""
    return "; ".join(listed[:_MAX_STATEMENTS]) + more


def _names(found: Sequence[Finding]) -> str:
    return some(f"{one.database}: {one.name}" if one.database else one.name for one in found)


def _applies(rule: Rule, versions: Versions) -> bool | None:
    if rule.upgrade is None:
        return True
    below, target = rule.upgrade
    if versions.now >= below:
        return False
    return None if versions.target is None else versions.target >= target and versions.target > versions.now
