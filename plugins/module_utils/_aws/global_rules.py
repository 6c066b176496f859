# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What must hold before green becomes a global database, each one sentence when it does not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.errors import BlueGreenError
from .._core.names import Names
from .clusters import Cluster
from .global_clusters import GlobalCluster
from .ownership import is_ours


def require_ours(found: GlobalCluster | None, identifier: str, names: Names) -> None:
    """Raise :class:`BlueGreenError` when an identifier that is taken is not the deployment's; None: it is not seen here."""
    if found is None or not is_ours(found.tags, names.deployment_id):
        raise BlueGreenError(
            f"Global cluster with id = {identifier} already exists. It does not belong to the deployment "
            f"{names.deployment_id}: choose another global_cluster_identifier."
        )


def require_place(ours: GlobalCluster | None, other: GlobalCluster | None, green: Cluster | None, names: Names) -> None:
    """Raise :class:`BlueGreenError` unless green can be, or is, the primary of the deployment's global cluster.

    ``ours`` is what has the identifier now, ``other`` what green is a member of now.
    """
    if ours is not None:
        require_ours(ours, ours.identifier, names)
    if green is None:
        return
    if other is not None and (ours is None or other.identifier != ours.identifier):
        raise BlueGreenError(
            f"Green {green.identifier} should become the primary of a global database of its own, but is a member of "
            f"{other.identifier}: remove it from that, or name it as global_cluster_identifier if the deployment made it."
        )
    if ours is None:
        return
    member = ours.member(green.arn)
    if member is None:
        raise BlueGreenError(
            f"Green {green.identifier} should be the primary of the global cluster {ours.identifier}, but is no member of it, "
            "as after a removal that was interrupted: run this with state absent first."
        )
    if not member.is_writer:
        raise BlueGreenError(
            f"Green {green.identifier} should be the primary of the global cluster {ours.identifier}, but "
            f"{ours.primary.identifier if ours.primary else 'no member'} is: switch the global database back to it first."
        )


def require_final(green: Cluster, target: str | None) -> None:
    """Raise :class:`BlueGreenError` unless green has the engine version with which it is to become global."""
    pending = (green.description.get("PendingModifiedValues") or {}).get("EngineVersion")
    wanted = target or pending or green.version
    if wanted != green.version or pending:
        raise BlueGreenError(
            f"Green {green.identifier} should run {wanted} before it becomes a global database, because the members of one "
            f"cannot be upgraded one by one, but it runs {green.version}{f' with {pending} pending' if pending else ''}: "
            "upgrade it first with aurora_upgrade."
        )


def require_own_password(cluster: Cluster, role: str) -> None:
    """Raise :class:`BlueGreenError` for a master password that Secrets Manager manages, which no member may have."""
    if cluster.description.get("MasterUserSecret"):
        raise BlueGreenError(
            f"The DB cluster {cluster.identifier} ({role}) has a master password that Secrets Manager manages, which a member "
            "of a global database cannot have: set a master password of your own (ModifyDBCluster with "
            "ManageMasterUserPassword=false and MasterUserPassword) or do without the global database."
        )


def require_supported(region: str, version: str, offers: Sequence[Mapping[str, Any]]) -> str:
    """The parameter group family of an engine version, from the answer of DescribeDBEngineVersions in a Region.

    Raises :class:`BlueGreenError` when the Region does not have the version, or has it without global databases.
    """
    if not offers:
        raise BlueGreenError(
            f"A cluster with the engine version {version} is needed in {region}, but that Region does not offer this version: "
            "choose another engine version for green, or leave the Region out."
        )
    if not offers[0].get("SupportsGlobalDatabases"):
        raise BlueGreenError(
            f"The engine version {version} should serve in a global database, but it does not support global databases in "
            f"{region}: choose another engine version for green."
        )
    return str(offers[0]["DBParameterGroupFamily"])


def require_orderable(region: str, version: str, instance_class: str, offers: Sequence[Mapping[str, Any]]) -> None:
    """Raise :class:`BlueGreenError` unless DescribeOrderableDBInstanceOptions offers the class for a global database."""
    if not any(offer.get("SupportsGlobalDatabases") for offer in offers):
        why = "does not support global databases with it" if offers else "does not offer it"
        raise BlueGreenError(
            f"Instances of the class {instance_class} are wanted with {version} in {region}, but that Region {why}: choose "
            "another class in the instances of regions, or for blue."
        )
