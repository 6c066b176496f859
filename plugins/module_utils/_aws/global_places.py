# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Looking at the Regions of green's global database: what is there, what is to be there, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import global_database as planning
from . import global_rules as rules
from .api import Api
from .clone import Parameters
from .clusters import Cluster, cluster_of_instance, read_cluster, require_cluster
from .global_clusters import GlobalCluster, Regions
from .global_database import GlobalOptions, Groups, Secondary, Wish
from .ownership import is_ours
from .parameter_groups import CLUSTER, INSTANCE, Group, Kind, require_group, wish_for
from .parameter_groups import Wish as GroupWish
from .waiters import Waits


@dataclass(frozen=True)
class Request:
    """What the user asks of ``aurora_global_database`` with the state present."""

    source: str
    green: str
    options: GlobalOptions
    engine_version: str | None
    waits: Waits


@dataclass(frozen=True)
class Place:
    """One Region: blue's secondary there, green's as it was before, what is to be there."""

    like: Cluster | None
    before: Cluster | None
    plan: Secondary
    groups: tuple[GroupWish, ...]

    @property
    def region(self) -> str:
        """The Region."""
        return self.plan.region

    @property
    def missing(self) -> list[Parameters]:
        """The instances that are not there."""
        there = self.before.instance_identifiers if self.before else set()
        return [dict(instance) for instance in self.plan.instances if instance["DBInstanceIdentifier"] not in there]


@dataclass(frozen=True)
class Run:
    """What the steps have in common; ``family`` is the parameter group family of green's engine version."""

    regions: Regions
    names: Names
    request: Request
    journal: Journal
    green: Cluster
    ours: GlobalCluster | None
    family: str
    warnings: list[str]

    @property
    def acts(self) -> bool:
        """Whether this is not check mode."""
        return not self.journal.check_mode

    @property
    def options(self) -> GlobalOptions:
        """What the user wants."""
        return self.request.options


def supported(api: Api, region: str, green: Cluster) -> str:
    """The parameter group family of green's version; raises :class:`BlueGreenError` when a Region does not have it so."""
    offers = api.pages(
        "describe_db_engine_versions",
        "DBEngineVersions",
        Engine=green.engine,
        EngineVersion=green.version,
        IncludeAll=True,
    )
    return rules.require_supported(region, green.version, offers)


def require_orderable(run: Run, region: str, classes: set[str]) -> None:
    """Raise :class:`BlueGreenError` for an instance class that a Region does not have for a global database."""
    for instance_class in sorted(classes):
        offers = run.regions.at(region).pages(
            "describe_orderable_db_instance_options",
            "OrderableDBInstanceOptions",
            Engine=run.green.engine,
            EngineVersion=run.green.version,
            DBInstanceClass=instance_class,
        )
        rules.require_orderable(region, run.green.version, instance_class, offers)


def place_of(run: Run, wish: Wish) -> Place:
    """What is to be in one Region; everything that can be refused there is refused here."""
    api = run.regions.at(wish.region)
    like = None
    if wish.mirrored is not None:
        like = require_cluster(api, wish.mirrored.rsplit(":", 1)[-1], f"blue's secondary in {wish.region}")
    supported(api, wish.region, run.green)
    groups, group_wishes = _groups(run, api, wish, like)
    plan = planning.plan_secondary(wish, like, run.green, run.names, run.options, groups)
    place = Place(like, read_cluster(api, plan.identifier), plan, group_wishes)
    if place.before is not None:
        require_joined(run, place.before, place.region)
    require_orderable(run, wish.region, {str(instance["DBInstanceClass"]) for instance in place.missing})
    for instance in place.missing:
        require_free(api, instance, place.region)
    return place


def require_joined(run: Run, found: Cluster, region: str) -> None:
    """Raise :class:`BlueGreenError` unless an existing cluster is the deployment's secondary there."""
    if not is_ours(found.tags, run.names.deployment_id):
        raise BlueGreenError(
            f"Cluster with id = {found.identifier} already exists in {region}. It does not belong to the deployment "
            f"{run.names.deployment_id}: choose another db_cluster_identifier for that Region in regions."
        )
    listed = run.ours is not None and run.ours.member(found.arn) is not None
    if not listed and found.description.get("GlobalClusterIdentifier") != run.options.identifier:
        raise BlueGreenError(
            f"The DB cluster {found.identifier} in {region} should be a secondary of {run.options.identifier}, but is no member "
            "of it and cannot become one, as after a removal that was interrupted: run this with state absent first."
        )


def require_free(api: Api, instance: Parameters, region: str) -> None:
    """Raise :class:`BlueGreenError` when an instance identifier belongs to somebody else."""
    identifier, cluster = instance["DBInstanceIdentifier"], instance["DBClusterIdentifier"]
    owner = cluster_of_instance(api, identifier)
    if owner not in (None, cluster):
        raise BlueGreenError(
            f"Green's secondary cluster needs the instance identifier {identifier} in {region}, but an instance with it exists "
            f"already ({owner or 'in no cluster'}): give another db_instance_identifier in regions."
        )


def _groups(run: Run, api: Api, wish: Wish, like: Cluster | None) -> tuple[Groups, tuple[GroupWish, ...]]:
    """The parameter groups for one Region, and those of them that the deployment makes there."""
    made: list[GroupWish] = []
    cluster = like or run.green
    named = {CLUSTER: wish.cluster_parameter_group, INSTANCE: wish.instance_parameter_group}
    chosen = {kind: _named(run, api, kind, name) for kind, name in named.items() if name}
    of_cluster = chosen.get(CLUSTER) or _carried(run, api, CLUSTER, cluster.parameter_group, like is not None, made)
    pattern = like if like is not None and like.instances else run.green
    of_instances: dict[str, str | None] = {}
    if INSTANCE not in chosen:
        for group in dict.fromkeys(i.parameter_group for i in pattern.instances if i.parameter_group):
            of_instances[group] = _carried(run, api, INSTANCE, group, pattern is like, made)
    return Groups(of_cluster, chosen.get(INSTANCE), of_instances), tuple(made)


def _named(run: Run, api: Api, kind: Kind, name: str) -> str:
    group = require_group(api, kind, name)
    if group.family != run.family:
        raise BlueGreenError(
            f"The {kind.label} {name} should be of the family {run.family}, which green has, but is of {group.family}: "
            "name another one in regions."
        )
    return group.name


def _carried(run: Run, api: Api, kind: Kind, name: str, is_there: bool, made: list[GroupWish]) -> str | None:
    """The group that follows another one, which is there in the Region or only at home; None for the service's default.

    One of the right family is used as it is where it is. Otherwise its values are carried into the deployment's own group.
    """
    source = api if is_there else run.regions.home_api
    origin: Group = require_group(source, kind, name)
    if origin.is_default:
        return None
    if is_there and origin.family == run.family:
        return origin.name
    if kind in {wish.kind for wish in made}:
        run.warnings.append(
            f"The instances of {run.names.deployment_id} in another Region have several DB parameter groups; all that are "
            "made have the values of the first."
        )
        return next(wish.name for wish in made if wish.kind is kind)
    wish, dropped = wish_for(source, kind, run.names, run.family, origin)
    made.append(wish)
    if dropped:
        run.warnings.append(
            f"Not carried over from {origin.name} to {wish.name}, because the family {run.family} has no such parameters that "
            f"can be set: {', '.join(dropped)}."
        )
    return wish.name
