# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The path of an engine upgrade: fewest hops along the valid upgrade targets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._core.errors import BlueGreenError
from . import neptune


@dataclass(frozen=True)
class EngineVersion:
    """One engine version: its parameter group family, and where it can be upgraded to (version -> is it a major one)."""

    version: str
    family: str
    targets: Mapping[str, bool]


@dataclass(frozen=True)
class Hop:
    """One upgrade to a version that the version before it names as a valid target."""

    version: str
    family: str
    is_major: bool


Versions = Mapping[str, EngineVersion]


def versions_of(descriptions: Iterable[Mapping[str, Any]]) -> dict[str, EngineVersion]:
    """The versions by name, from the answer of DescribeDBEngineVersions."""
    return {
        item["EngineVersion"]: EngineVersion(
            version=item["EngineVersion"],
            family=item["DBParameterGroupFamily"],
            targets={
                target["EngineVersion"]: bool(target.get("IsMajorVersionUpgrade"))
                for target in item.get("ValidUpgradeTarget") or []
            },
        )
        for item in descriptions
    }


def version_key(version: str) -> tuple[int, ...]:
    """A key that sorts versions by age, ``8.0.mysql_aurora.3.04.0`` too: the numbers in it."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def plan_upgrade(versions: Versions, current: str, target: str, allow_major: bool, engine: str = "") -> tuple[Hop, ...]:
    """The hops from ``current`` to ``target``, none when they are equal.

    Among the shortest paths it is the one over the newest versions. Raises :class:`BlueGreenError`, with the versions
    that can be reached, when ``target`` cannot, and when a hop is a major one and that is not allowed.
    """
    if target == current:
        return ()
    paths = _shortest_paths(versions, current)
    if target not in paths:
        raise BlueGreenError(neptune.invalid_target(engine, target) + _unreachable(current, target, paths))
    hops = paths[target]
    major = next((hop.version for hop in hops if hop.is_major), None)
    if major and not allow_major:
        raise BlueGreenError(
            f"The upgrade from {current} to {target} is a major one (to {major}), but allow_major_version_upgrade is false: "
            "set it to true."
        )
    return hops


def _shortest_paths(versions: Versions, start: str) -> dict[str, tuple[Hop, ...]]:
    """The path to every version that can be reached, breadth first, newest first within one breadth."""
    paths: dict[str, tuple[Hop, ...]] = {start: ()}
    edge = [start]
    while edge:
        found: list[str] = []
        for origin in edge:
            targets = versions[origin].targets if origin in versions else {}
            for target in targets:
                if target in versions and target not in paths:
                    hop = Hop(target, versions[target].family, targets[target])
                    paths[target] = (*paths[origin], hop)
                    found.append(target)
        edge = sorted(found, key=version_key, reverse=True)
    del paths[start]
    return paths


def _unreachable(current: str, target: str, reachable: Iterable[str]) -> str:
    versions = ", ".join(sorted(reachable, key=version_key)) or "none"
    older = version_key(target) < version_key(current)
    why = "is older, and an upgrade never goes back" if older else "cannot be reached from it"
    return (
        f"The engine version should become {target}, but the cluster runs {current} and {target} {why}; "
        f"versions that can be reached: {versions}."
    )
