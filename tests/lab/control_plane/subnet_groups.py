# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB subnet groups; `default` exists by itself, as it does where the account has a default VPC."""

from __future__ import annotations

from tests.lab.control_plane.common import filters, page, tags_of
from tests.lab.control_plane.errors import ApiError, invalid_value
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Region, Shape, SubnetGroup
from tests.lab.control_plane.versions import ZONES
from tests.lab.control_plane.views import subnet_group_shape

VPC = "vpc-0a1b2c3d4e5f60718"
DEFAULT_SUBNETS = ("subnet-0a0000000000000a1", "subnet-0a0000000000000b2", "subnet-0a0000000000000c3")


def find_subnet_group(region: Region, name: str | None) -> SubnetGroup:
    """Return a subnet group; raises the typed fault."""
    if "default" not in region.subnet_groups:
        region.subnet_groups["default"] = _group(region, "default", "default", list(DEFAULT_SUBNETS))
    group = region.subnet_groups.get((name or "default").lower())
    if group is None:
        raise ApiError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.")
    return group


def _group(region: Region, name: str, description: str, subnets: list[str]) -> SubnetGroup:
    return SubnetGroup(
        {
            "DBSubnetGroupName": name,
            "DBSubnetGroupDescription": description,
            "VpcId": VPC,
            "SubnetGroupStatus": "Complete",
            "DBSubnetGroupArn": region.arn("subgrp", name),
            "SupportedNetworkTypes": ["IPV4"],
            "Subnets": [
                {
                    "SubnetIdentifier": subnet,
                    "SubnetAvailabilityZone": {"Name": region.name + ZONES[index % len(ZONES)]},
                    "SubnetOutpost": {},
                    "SubnetStatus": "Active",
                }
                for index, subnet in enumerate(subnets)
            ],
        }
    )


def create(call: Call) -> Shape:
    """CreateDBSubnetGroup; any subnet id is taken for one of the VPC."""
    find_subnet_group(call.region, None)
    name = call.text("DBSubnetGroupName").lower()
    subnets = [str(subnet) for subnet in call.params.get("SubnetIds") or ()]
    if name in call.region.subnet_groups:
        raise ApiError("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    if len(subnets) < 2:
        raise ApiError(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Add subnets to cover at "
            "least 2 AZs.",
        )
    group = _group(call.region, name, call.text("DBSubnetGroupDescription"), subnets)
    group.tags = tags_of(call.params)
    call.region.subnet_groups[name] = group
    return {"DBSubnetGroup": subnet_group_shape(group)}


def describe(call: Call) -> Shape:
    """DescribeDBSubnetGroups."""
    filters(call, ())
    find_subnet_group(call.region, None)
    name = call.params.get("DBSubnetGroupName")
    groups = [find_subnet_group(call.region, str(name))] if name else list(call.region.subnet_groups.values())
    return page(call, "DBSubnetGroups", [subnet_group_shape(group) for group in groups])


def delete(call: Call) -> Shape:
    """DeleteDBSubnetGroup."""
    group = find_subnet_group(call.region, call.text("DBSubnetGroupName"))
    name = str(group.api["DBSubnetGroupName"])
    if name == "default":
        raise invalid_value("The default DB subnet group cannot be deleted.")
    if any(cluster.api["DBSubnetGroup"] == name for cluster in call.region.clusters.values()):
        raise ApiError(
            "InvalidDBSubnetGroupStateFault", f"Cannot delete the subnet group '{name}' because it is in use."
        )
    del call.region.subnet_groups[name]
    return {}


OPERATIONS: dict[str, Handler] = {
    "CreateDBSubnetGroup": create,
    "DescribeDBSubnetGroups": describe,
    "DeleteDBSubnetGroup": delete,
}
