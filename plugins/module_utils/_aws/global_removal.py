# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Taking green's global database apart: the secondaries first, then the global cluster; green stays, by itself.

A secondary loses its instances before it leaves the global cluster: one that left is writable, and nobody is to write there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import removal as deleting
from .api import Api
from .clusters import Cluster, read_cluster
from .global_clusters import NO_GLOBAL, GlobalCluster, Regions, globals_of, read_global, states
from .global_database import recorded_regions
from .ownership import is_ours, is_secondary
from .removal import Removal
from .waiters import Waits, eventually, wait_for, wait_settled

_GLOBAL_BUSY = ("InvalidGlobalClusterStateFault", "InvalidDBClusterStateFault")
_DELETING = "deleting"
_NOT_A_MEMBER = (*NO_GLOBAL, "DBClusterNotFoundFault")


@dataclass(frozen=True)
class Dissolution:
    """What ``aurora_global_database`` with the state absent is asked for.

    ``places`` are Regions to look at besides those that are on record; ``safe``: blue serves, or the user insists.
    ``snapshot`` None takes none, ``unprotect`` lifts the deletion protection first.
    """

    identifier: str
    green: str
    source: str | None
    places: Collection[str]
    snapshot: str | None
    unprotect: bool
    safe: bool
    waits: Waits


def dissolve(
    regions: Regions, names: Names, request: Dissolution, journal: Journal
) -> tuple[GlobalCluster | None, dict[str, Cluster]]:
    """Remove the secondaries and the global cluster; returns both as they were before, the secondaries by Region.

    Raises :class:`BlueGreenError` before anything is changed when something is not the deployment's or is protected.
    """
    home = regions.home_api
    ours = read_global(home, request.identifier)
    green = read_cluster(home, request.green)
    if ours is not None:
        _require_ours(ours, green, names)
    where = _where(regions, ours, request)
    secondaries = _secondaries(regions, names, where)
    _require_all_ours(ours, green, secondaries)
    if ours is None and not secondaries:
        return None, {}
    _require_safe(request, ours)
    _require_unprotected(request, ours)
    for region, cluster in secondaries.items():
        deleting.require_removable(regions.at(region), names, cluster, _removal(request, cluster))
    for region in sorted(where):
        if region in secondaries:
            removal, detach = (
                _removal(request, secondaries[region]),
                partial(_detach, regions, region, request, journal),
            )
            deleting.remove(regions.at(region), names, removal, journal, detach)
        else:
            deleting.remove_groups(regions.at(region), names, request.waits, journal)
    if journal.check_mode or request.waits.wait or not secondaries:
        _remove_global(regions, request, ours, green, journal)
    return ours, secondaries


def take_apart(
    regions: Regions,
    world: GlobalCluster | None,
    primary: Cluster | None,
    secondaries: Mapping[str, Cluster],
    unprotect: bool,
    waits: Waits,
    journal: Journal,
) -> None:
    """Delete these clusters by Region, whoever made them, and the global cluster; the primary stays, by itself.

    Raises :class:`BlueGreenError` before anything is changed when something is protected.
    """
    identifier = world.identifier if world else ""
    request = Dissolution(identifier, primary.identifier if primary else "", None, (), None, unprotect, True, waits)
    _require_unprotected(request, world)
    for region, cluster in secondaries.items():
        if cluster.description.get("DeletionProtection") and not unprotect:
            raise BlueGreenError(
                f"The DB cluster {cluster.identifier} in {region} should be deleted, but is protected against deletion: set "
                "deletion_protection to false if it really is to go. Nothing was deleted."
            )
    for region, cluster in secondaries.items():
        detach = partial(_detach, regions, region, request, journal)
        deleting.remove_cluster(regions.at(region), cluster, _removal(request, cluster), journal, detach)
    _remove_global(regions, request, world, primary, journal)


def _require_ours(ours: GlobalCluster, green: Cluster | None, names: Names) -> None:
    if not is_ours(ours.tags, names.deployment_id):
        raise BlueGreenError(
            f"The global cluster {ours.identifier} should be removed, but it does not carry the tags of the deployment "
            f"{names.deployment_id}, so it is left alone: check global_cluster_identifier and deployment_id."
        )
    primary = ours.primary
    if primary is not None and (green is None or primary.arn != green.arn):
        raise BlueGreenError(
            f"The global cluster {ours.identifier} should be removed, but its primary is {primary.identifier} in "
            f"{primary.region} and not {green.identifier if green else 'a green of this deployment'}, so it is left alone: run this "
            "in the Region of its primary, with that as db_cluster_identifier, or switch the global database back first."
        )


def _where(regions: Regions, ours: GlobalCluster | None, request: Dissolution) -> set[str]:
    """The Regions in which something of the deployment may be, whatever of it is gone already."""
    blue = read_cluster(regions.home_api, request.source) if request.source else None
    (of_blue,) = globals_of(regions.home_api, blue.arn if blue else None)
    members = [*(ours.secondaries if ours else ()), *(of_blue.secondaries if of_blue else ())]
    recorded = recorded_regions(ours.tags) if ours else set()
    return (recorded | {member.region for member in members} | set(request.places)) - {regions.home}


def _secondaries(regions: Regions, names: Names, where: Collection[str]) -> dict[str, Cluster]:
    """The deployment's secondary clusters by Region, members or not."""
    found: dict[str, Cluster] = {}
    for region in sorted(where):
        for description in regions.at(region).pages("describe_db_clusters", "DBClusters"):
            tags = boto3_tag_list_to_ansible_dict(description.get("TagList") or [])
            if is_ours(tags, names.deployment_id) and is_secondary(tags):
                cluster = read_cluster(regions.at(region), description["DBClusterIdentifier"])
                found.update({region: cluster} if cluster else {})
    return found


def _require_all_ours(ours: GlobalCluster | None, green: Cluster | None, secondaries: dict[str, Cluster]) -> None:
    known = {cluster.arn for cluster in secondaries.values()} | ({green.arn} if green else set())
    foreign = [f"{m.identifier} in {m.region}" for m in (ours.members if ours else ()) if m.arn not in known]
    if ours is not None and foreign:
        raise BlueGreenError(
            f"The global cluster {ours.identifier} should be removed, but the deployment did not make its members "
            f"{', '.join(foreign)}: remove them from it first. Nothing was deleted."
        )


def _require_safe(request: Dissolution, ours: GlobalCluster | None) -> None:
    if not request.safe:
        raise BlueGreenError(
            f"Green's global database {ours.identifier if ours else request.identifier} should be removed, but it is not known "
            "that blue serves, and a green that serves would lose its other Regions: say serving=blue, as bg_info finds it, or "
            "set force to true. Nothing was deleted."
        )


def _require_unprotected(request: Dissolution, ours: GlobalCluster | None) -> None:
    if ours is not None and ours.description.get("DeletionProtection") and not request.unprotect:
        raise BlueGreenError(
            f"The global cluster {ours.identifier} should be removed, but is protected against deletion: set "
            "deletion_protection to false if it really is to go. Nothing was deleted."
        )


def _removal(request: Dissolution, cluster: Cluster) -> Removal:
    return Removal(cluster.identifier, request.snapshot, request.unprotect, request.waits)


def _detach(regions: Regions, region: str, request: Dissolution, journal: Journal, cluster: Cluster) -> bool:
    """Take a cluster out of the global cluster; returns whether it stands by itself now (false only without waiting)."""
    ours = read_global(regions.home_api, request.identifier)
    if ours is None or ours.member(cluster.arn) is None:
        return True
    journal.act(
        f"remove {cluster.identifier} in {region} from the global cluster {ours.identifier}",
        partial(_remove_member, regions, region, request, cluster),
    )
    return journal.check_mode or request.waits.wait


def _remove_member(regions: Regions, region: str, request: Dissolution, cluster: Cluster) -> None:
    api, waits = regions.at(region), request.waits

    def gone() -> bool:
        found = read_global(regions.home_api, request.identifier)
        return found is None or found.member(cluster.arn) is None

    def remove() -> None:
        api.find(
            "remove_from_global_cluster",
            _NOT_A_MEMBER,
            GlobalClusterIdentifier=request.identifier,
            DbClusterIdentifier=cluster.arn,
        )

    wanted = f"{cluster.identifier} in {region} to leave the global cluster {request.identifier}"
    eventually(waits, remove, gone, _GLOBAL_BUSY, wanted)
    if waits.wait:
        wait_for(waits, lambda: read_global(regions.home_api, request.identifier), lambda _: gone(), wanted, states)
        wait_settled(api, cluster.identifier, waits, f"{cluster.identifier} in {region} to stand by itself")


def _remove_global(
    regions: Regions, request: Dissolution, ours: GlobalCluster | None, green: Cluster | None, journal: Journal
) -> None:
    if ours is None:
        return
    home: Api = regions.home_api
    if green is not None and not _detach(regions, regions.home, request, journal, green):
        return
    if ours.status == _DELETING:
        _wait_until_gone(home, request)  # a run that was killed has asked for it
        return
    if ours.description.get("DeletionProtection"):
        journal.act(
            f"lift the deletion protection of the global cluster {ours.identifier}",
            lambda: home.call(
                "modify_global_cluster", GlobalClusterIdentifier=ours.identifier, DeletionProtection=False
            ),
        )
    journal.act(f"delete global cluster {ours.identifier}", partial(_delete_global, home, request))


def _delete_global(api: Api, request: Dissolution) -> None:
    identifier = request.identifier

    def delete() -> None:
        api.find("delete_global_cluster", NO_GLOBAL, GlobalClusterIdentifier=identifier)

    def going() -> bool:
        found = read_global(api, identifier)
        return found is None or found.status == _DELETING

    eventually(request.waits, delete, going, _GLOBAL_BUSY, f"the global cluster {identifier} to let itself be deleted")
    _wait_until_gone(api, request)


def _wait_until_gone(api: Api, request: Dissolution) -> None:
    if request.waits.wait:
        wanted = f"the global cluster {request.identifier} to be deleted"
        wait_for(
            request.waits, lambda: read_global(api, request.identifier), lambda found: found is None, wanted, states
        )
