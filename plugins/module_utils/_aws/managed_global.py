# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a deployment that RDS manages needs in the other Regions of a global database.

Green has a cluster in every Region that blue has one in. Its parameter groups there are those of the same names as in the
primary's Region; where there is none the service takes the default one (Amazon Aurora User Guide, blue/green deployments
for Aurora Global Database).
"""

from __future__ import annotations

from collections.abc import Sequence

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from .api import Api
from .clusters import read_cluster
from .global_clusters import GlobalCluster, Regions, read_global
from .global_removal import take_apart
from .managed import Deployment, Place, identifier_of, is_cluster
from .managed_groups import Target
from .ownership import is_ours
from .parameter_groups import (
    Group,
    Wish,
    ensure_group,
    family_parameters,
    group_tags,
    read_group,
    require_group,
    user_values,
)
from .waiters import Waits


def world_of(api: Api, place: Place) -> GlobalCluster | None:
    """The global cluster that a cluster is in, None when it is in none."""
    identifier = place.description.get("GlobalClusterIdentifier")
    return read_global(api, identifier) if identifier else None


def ensure_groups(
    regions: Regions, names: Names, blue: Place, chosen: Sequence[Target], *, prepare: bool, journal: Journal
) -> None:
    """Have green's parameter groups in every other Region too; with ``prepare`` they are made with the values of the primary's Region.

    Raises :class:`BlueGreenError` for those that are missing, and are not to be made.
    """
    world = world_of(regions.home_api, blue)
    found = [
        (region, target, read_group(regions.at(region), target.kind, target.name))
        for region in sorted({member.region for member in world.secondaries} if world else ())
        for target in chosen
        if not target.name.startswith("default.")
    ]
    missing = [f"the {target.kind.label} {target.name} in {region}" for region, target, group in found if group is None]
    if world and missing and not prepare:
        raise BlueGreenError(
            f"Green's parameter groups should be in every Region of the global database {world.identifier}, or the service takes the "
            f"default ones there, but {', '.join(missing)} does not exist: make it, or prepare=true has it made."
        )
    for region, target, group in found:
        api = regions.at(region)
        if prepare and (group is None or _is_made(api, group, names)):
            ensure_group(api, target.wish or _as_at_home(regions.home_api, target), names.deployment_id, journal)


def delete_secondaries(
    regions: Regions, deployment: Deployment, old: Place, *, unprotect: bool, waits: Waits, journal: Journal
) -> None:
    """Delete old production's clusters in the other Regions and its global cluster; what stays is the old primary, by itself."""
    home = regions.home
    arns = [one.source_arn for one in deployment.members if is_cluster(one.source_arn)]
    far = {arn: read_cluster(regions.at(arn.split(":")[3]), identifier_of(arn)) for arn in arns}
    secondaries = {arn.split(":")[3]: one for arn, one in far.items() if one and arn.split(":")[3] != home}
    primary = read_cluster(regions.home_api, old.identifier)
    take_apart(regions, world_of(regions.home_api, old), primary, secondaries, unprotect, waits, journal)


def _is_made(api: Api, group: Group, names: Names) -> bool:
    return is_ours(group_tags(api, group), names.deployment_id)


def _as_at_home(home: Api, target: Target) -> Wish:
    """A group of the user, as it is in the primary's Region."""
    group = require_group(home, target.kind, target.name)
    values, known = user_values(home, group), family_parameters(home, target.kind, group.family)
    types = {name: str(known.get(name, {}).get("ApplyType", "static")) for name in values}
    return Wish(target.kind, target.name, group.family, values, types)
