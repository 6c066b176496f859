# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Building green's global database: every step looks at what is there and does what is missing.

The order: parameter groups in each Region, the global cluster around green, the secondary clusters (all of them, then the
waiting), their instances. What can be refused is refused before the first change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from .._core.journal import Journal
from .._core.names import Names
from . import global_database as planning
from . import global_rules as rules
from . import tending
from .api import Api
from .clone import Parameters, roles_of
from .clusters import Cluster, Instance, read_cluster, require_cluster
from .global_clusters import GlobalCluster, Regions, globals_of, read_global, states
from .global_places import Place, Request, Run, place_of, require_free, require_joined, require_orderable, supported
from .parameter_groups import ensure_group
from .waiters import AVAILABLE, Waits, eventually, settled, wait_for, wait_settled

_GLOBAL_TAKEN = ("GlobalClusterAlreadyExistsFault",)
_CLUSTER_TAKEN = ("DBClusterAlreadyExistsFault",)
_INSTANCE_TAKEN = ("DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault")
_ROLE_THERE = ("DBClusterRoleAlreadyExists", "DBClusterRoleAlreadyExistsFault")
_BUSY = ("InvalidGlobalClusterStateFault", "InvalidDBClusterStateFault")


@dataclass(frozen=True)
class Outcome:
    """Blue and green, green's global cluster before and now, the Regions with green's clusters in them as they are now.

    ``wanted`` false: blue is to be mirrored and is in no global database, so nothing was to be done.
    """

    blue: Cluster
    green: Cluster | None
    before: GlobalCluster | None
    found: GlobalCluster | None
    places: tuple[Place, ...]
    secondaries: Mapping[str, Cluster]
    warnings: tuple[str, ...]
    wanted: bool = True


def build(regions: Regions, names: Names, request: Request, journal: Journal) -> Outcome:
    """Make green the primary of a global database like blue's, or what is missing of it.

    When blue is to be mirrored and is in no global database there is nothing to do. Raises :class:`BlueGreenError`.
    """
    home = regions.home_api
    blue = require_cluster(home, request.source, "blue")
    before = _green(home, names, request, journal)
    of_blue, of_green = globals_of(home, blue.arn, before.arn if before else None)
    wanted = planning.wishes(request.options.regions, of_blue, blue.arn, regions.home)
    if wanted is None:
        return Outcome(blue, before, None, None, (), {}, (), wanted=False)
    ours = read_global(home, request.options.identifier)
    rules.require_place(ours, of_green, before, names)
    rules.require_own_password(blue, "blue")
    green = before or replace(blue, identifier=request.green, version=request.engine_version or blue.version)
    if before is not None:
        rules.require_own_password(green, "green")
        green = _settled_green(home, green, request.waits, journal)
        rules.require_final(green, request.engine_version)
    family = supported(home, regions.home, green)
    run = Run(regions, names, request, journal, green, ours, family, [])
    places = tuple(place_of(run, wish) for wish in wanted)
    require_orderable(
        run, regions.home, {str(i.description["DBInstanceClass"]) for i in green.instances} if not ours else set()
    )
    if not journal.check_mode and not settled(green):
        run.warnings.append(f"Not ready yet, run this again: {green.states()}.")
        return Outcome(blue, green, ours, ours, places, {}, tuple(run.warnings))
    found, secondaries = _make(run, of_blue, places)
    return Outcome(blue, before, ours, found, places, secondaries, tuple(run.warnings))


def _green(api: Api, names: Names, request: Request, journal: Journal) -> Cluster | None:
    if journal.check_mode and read_cluster(api, request.green) is None:
        return None
    green = require_cluster(api, request.green, "green")
    tending.require_ours(green, names.deployment_id, "the primary of a global database")
    return green


def _settled_green(api: Api, green: Cluster, waits: Waits, journal: Journal) -> Cluster:
    if journal.check_mode or settled(green):
        return green
    return tending.settle(api, green.identifier, waits, f"{green.identifier} to be ready for a global database")


def _make(
    run: Run, of_blue: GlobalCluster | None, places: tuple[Place, ...]
) -> tuple[GlobalCluster | None, dict[str, Cluster]]:
    """Everything that changes something; returns the global cluster and the secondaries by Region as they are then."""
    for place in places:
        for wish in place.groups:
            ensure_group(run.regions.at(place.region), wish, run.names.deployment_id, run.journal)
    found = _ensure_global(run, of_blue, {place.region for place in places})
    if run.acts and not _ready(run, found):
        return found, {}
    for place in places:
        if place.before is None:
            run.journal.act(
                f"create secondary cluster {place.plan.identifier} in {place.region}",
                partial(_create_cluster, run, place),
            )
    secondaries = {place.region: _settle(run, place, "to follow green") for place in places}
    for place in places:
        if not run.acts or tending.ready(secondaries[place.region]):
            _ensure_instances(run, place)
            _ensure_roles(run, place, secondaries[place.region])
    for place in places:
        secondaries[place.region] = _finish(run, place)
    found = read_global(run.regions.home_api, run.options.identifier) if run.acts else found
    return found, {region: cluster for region, cluster in secondaries.items() if cluster is not None}


def _ensure_global(run: Run, of_blue: GlobalCluster | None, regions: set[str]) -> GlobalCluster | None:
    """The global cluster around green; it names a Region before anything is made there."""
    ours, api = run.ours, run.regions.home_api
    if ours is None:
        parameters = planning.global_parameters(of_blue, run.green, run.names, run.options, regions)
        run.journal.act(
            f"create global cluster {run.options.identifier} with {run.green.identifier} as its primary",
            partial(_create_global, run, parameters),
        )
        return _wait_global(run) if run.acts else None
    recorded = planning.recorded_regions(ours.tags)
    wanted = {planning.REGIONS_TAG: " ".join(sorted(recorded | regions))} if not regions <= recorded else {}
    tending.ensure_tags(api, ours.arn, ours.tags, {**(run.options.tags or {}), **wanted}, False, run.journal)
    return ours


def _create_global(run: Run, parameters: Parameters) -> None:
    api = run.regions.home_api
    if api.find("create_global_cluster", _GLOBAL_TAKEN, **parameters) is None:
        # Ours when a lost answer made the call be repeated. One whose members are all elsewhere is not seen from here.
        rules.require_ours(read_global(api, run.options.identifier), run.options.identifier, run.names)


def _wait_global(run: Run) -> GlobalCluster | None:
    api, identifier, waits = run.regions.home_api, run.options.identifier, run.request.waits
    if not waits.wait:
        return read_global(api, identifier)
    wanted = f"the global cluster {identifier} to be available with {run.green.identifier} as its primary"
    found = wait_for(waits, lambda: read_global(api, identifier), lambda seen: _available(run, seen), wanted, states)
    wait_settled(api, run.green.identifier, waits, f"{run.green.identifier} to be the primary of {identifier}")
    return found


def _available(run: Run, found: GlobalCluster | None) -> bool:
    member = found.member(run.green.arn) if found else None
    return found is not None and found.status == AVAILABLE and member is not None and member.is_writer


def _ready(run: Run, found: GlobalCluster | None) -> bool:
    """Whether secondaries can be added; only a run that does not wait meets a global cluster that is not ready."""
    if run.request.waits.wait and not _available(run, found):
        found = _wait_global(run)
    return _available(run, found)


def _create_cluster(run: Run, place: Place) -> None:
    api, identifier = run.regions.at(place.region), place.plan.identifier

    def create() -> None:
        if api.find("create_db_cluster", _CLUSTER_TAKEN, **place.plan.cluster) is None:
            found = require_cluster(api, identifier, f"green's secondary in {place.region}")
            require_joined(run, found, place.region)

    # The service adds one Region after the other: the global cluster may be busy with the one before.
    wanted = f"the global cluster {run.options.identifier} to take {identifier} in {place.region}"
    eventually(run.request.waits, create, lambda: read_cluster(api, identifier) is not None, _BUSY, wanted)


def _settle(run: Run, place: Place, wanted: str, instances: frozenset[str] = frozenset()) -> Cluster | None:
    """The secondary as it is, after the wait if there is one; in check mode, as it was."""
    if not run.acts:
        return place.before
    api, identifier = run.regions.at(place.region), place.plan.identifier
    if not run.request.waits.wait:
        return read_cluster(api, identifier)
    return wait_settled(
        api,
        identifier,
        run.request.waits,
        f"{identifier} in {place.region} {wanted}",
        lambda found: instances <= found.instance_identifiers,
    )


def _ensure_instances(run: Run, place: Place) -> None:
    for instance in place.missing:
        run.journal.act(
            f"create instance {instance['DBInstanceIdentifier']} ({instance['DBInstanceClass']}) in {place.region}",
            partial(_create_instance, run.regions.at(place.region), instance, place.region),
        )


def _create_instance(api: Api, instance: Parameters, region: str) -> None:
    if api.find("create_db_instance", _INSTANCE_TAKEN, **instance) is None:
        require_free(api, instance, region)


def _ensure_roles(run: Run, place: Place, found: Cluster | None) -> None:
    there = roles_of(found.description) if found else ()
    for arn, feature in (role for role in place.plan.roles if role not in there):
        named = {"FeatureName": feature} if feature else {}
        run.journal.act(
            f"add the role {arn} to {place.plan.identifier} in {place.region}",
            partial(
                run.regions.at(place.region).find,
                "add_role_to_db_cluster",
                _ROLE_THERE,
                DBClusterIdentifier=place.plan.identifier,
                RoleArn=arn,
                **named,
            ),
        )


def _finish(run: Run, place: Place) -> Cluster | None:
    """Wait for the instances, reboot what waits for it, bring the tags into the form asked for."""
    wanted = frozenset(str(instance["DBInstanceIdentifier"]) for instance in place.plan.instances)
    found = _settle(run, place, "and its instances to be available", wanted)
    if found is None or (run.acts and not tending.ready(found)):
        return found
    api = run.regions.at(place.region)
    if run.options.tags is not None:
        _ensure_tags(api, place, found, run.journal)
    return tending.reboot_pending(api, found, run.request.waits, run.journal)


def _ensure_tags(api: Api, place: Place, found: Cluster, journal: Journal) -> None:
    wanted: dict[str, Any] = {found.identifier: place.plan.cluster["Tags"]}
    wanted |= {instance["DBInstanceIdentifier"]: instance["Tags"] for instance in place.plan.instances}
    resources: list[Cluster | Instance] = [found, *found.instances]
    for resource in resources:
        if resource.identifier in wanted:
            tags = boto3_tag_list_to_ansible_dict(wanted[resource.identifier])
            tending.ensure_tags(api, resource.arn, resource.tags, tags, False, journal)
