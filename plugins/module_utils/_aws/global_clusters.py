# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A global cluster and its members, as the RDS API describes them (DescribeGlobalClusters), and the API in any Region."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from .api import Api

NO_GLOBAL = ("GlobalClusterNotFoundFault",)
_OFF = (None, "", "disabled")


class Regions:
    """The RDS API by Region; ``home`` is the Region of blue and green."""

    def __init__(self, home: str, open_api: Callable[[str], Api]) -> None:
        self.home = home
        self._open = open_api
        self._apis: dict[str, Api] = {}

    def at(self, region: str) -> Api:
        """The API of a Region, opened once."""
        if region not in self._apis:
            self._apis[region] = self._open(region)
        return self._apis[region]

    @property
    def home_api(self) -> Api:
        """The API of the Region of blue and green."""
        return self.at(self.home)


@dataclass(frozen=True)
class Member:
    """One DB cluster of a global cluster; ``is_writer`` marks the primary."""

    arn: str
    is_writer: bool
    write_forwarding: str | None
    synchronization: str | None

    @property
    def region(self) -> str:
        """The Region that the cluster is in."""
        return self.arn.split(":")[3]

    @property
    def identifier(self) -> str:
        """The DB cluster identifier."""
        return self.arn.rsplit(":", 1)[-1]

    def as_dict(self) -> dict[str, Any]:
        """The member for a module's result."""
        return {
            "db_cluster_arn": self.arn,
            "db_cluster_identifier": self.identifier,
            "region": self.region,
            "is_writer": self.is_writer,
            "write_forwarding": self.write_forwarding,
            "synchronization_status": self.synchronization,
        }


@dataclass(frozen=True)
class GlobalCluster:
    """A global cluster; the primary is the first of its members, the others follow by Region."""

    identifier: str
    arn: str
    status: str
    version: str
    tags: Mapping[str, str]
    members: tuple[Member, ...]
    description: Mapping[str, Any]

    def member(self, arn: str) -> Member | None:
        """The member with this cluster ARN."""
        return next((member for member in self.members if member.arn == arn), None)

    @property
    def primary(self) -> Member | None:
        """The member that takes the writes."""
        return next((member for member in self.members if member.is_writer), None)

    @property
    def secondaries(self) -> tuple[Member, ...]:
        """The members that follow the primary."""
        return tuple(member for member in self.members if not member.is_writer)

    def as_dict(self) -> dict[str, Any]:
        """The global cluster for a module's result."""
        return {
            "global_cluster_identifier": self.identifier,
            "global_cluster_arn": self.arn,
            "status": self.status,
            "engine_version": self.version,
            "members": [member.as_dict() for member in self.members],
        }

    def states(self) -> str:
        """Its state and members in one line, for the sentence of a wait that ended without success."""
        members = ", ".join(
            f"{m.identifier} in {m.region}{' (primary)' if m.is_writer else ''}, write forwarding {m.write_forwarding}"
            for m in self.members
        )
        return f"global cluster {self.identifier} {self.status} with {members or 'no members'}"


def read_global(api: Api, identifier: str) -> GlobalCluster | None:
    """The global cluster, None when there is none with this identifier in the account."""
    answer = api.find("describe_global_clusters", NO_GLOBAL, GlobalClusterIdentifier=identifier)
    found = (answer or {}).get("GlobalClusters") or []
    return global_cluster_of(found[0]) if found else None


def globals_of(api: Api, *arns: str | None) -> list[GlobalCluster | None]:
    """For each cluster ARN the global cluster that it is a member of; None for one that is in none, and for None."""
    every = [global_cluster_of(item) for item in api.pages("describe_global_clusters", "GlobalClusters")]
    return [next((one for one in every if arn and one.member(arn)), None) for arn in arns]


def forwards(description: Mapping[str, Any]) -> bool:
    """Whether a secondary DB cluster forwards writes to its primary, or was asked to. Pure."""
    return bool(description.get("GlobalWriteForwardingRequested")) or (
        description.get("GlobalWriteForwardingStatus") not in _OFF
    )


def states(found: GlobalCluster | None) -> str:
    """What was seen of a global cluster, for the sentence of a wait that ended without success."""
    return "no such global cluster" if found is None else found.states()


def global_cluster_of(description: Mapping[str, Any]) -> GlobalCluster:
    """A global cluster from the describe answer."""
    members = [
        Member(
            item["DBClusterArn"],
            bool(item.get("IsWriter")),
            item.get("GlobalWriteForwardingStatus"),
            item.get("SynchronizationStatus"),
        )
        for item in description.get("GlobalClusterMembers") or []
    ]
    return GlobalCluster(
        identifier=description["GlobalClusterIdentifier"],
        arn=description.get("GlobalClusterArn") or "",
        status=description.get("Status") or "",
        version=description.get("EngineVersion") or "",
        tags=boto3_tag_list_to_ansible_dict(description.get("TagList") or []),
        members=tuple(sorted(members, key=lambda member: (not member.is_writer, member.region, member.identifier))),
        description=description,
    )
