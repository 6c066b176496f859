# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero-ETL integrations: records alone, nothing is replicated; they are there to be found, and to be in the way."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from tests.lab.control_plane.common import page, tag_list, tags_of
from tests.lab.control_plane.errors import ApiError, invalid_value
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Region, Shape, utcnow


def create(call: Call) -> Shape:
    """CreateIntegration."""
    name, source = call.text("IntegrationName"), call.text("SourceArn")
    region = call.region
    sources = {str(one.api["DBClusterArn"]) for one in region.clusters.values()}
    sources |= {str(one.api["DBInstanceArn"]) for one in region.instances.values()}
    if source not in sources:
        raise invalid_value(f"Invalid source ARN: {source}")
    if any(one["IntegrationName"] == name for one in region.integrations.values()):
        raise ApiError("IntegrationAlreadyExistsFault", f"Integration {name} already exists.")
    identifier = str(uuid.uuid4())
    made: Shape = {
        "SourceArn": source,
        "TargetArn": call.text("TargetArn"),
        "IntegrationName": name,
        "IntegrationArn": region.arn("integration", identifier),
        "Status": "active",
        "Tags": tag_list(tags_of(call.params)),
        "CreateTime": utcnow(),
        "Errors": [],
    }
    region.integrations[identifier] = made
    return made


def describe(call: Call) -> Shape:
    """DescribeIntegrations."""
    identifier = call.params.get("IntegrationIdentifier")
    found = [_find(call, str(identifier))] if identifier else list(call.region.integrations.values())
    return page(call, "Integrations", found)


def delete(call: Call) -> Shape:
    """DeleteIntegration."""
    found = _find(call, call.text("IntegrationIdentifier"))
    del call.region.integrations[str(found["IntegrationArn"]).rpartition(":")[2]]
    return {**found, "Status": "deleting"}


def reading(region: Region, arns: Collection[str]) -> list[str]:
    """The names of those whose source is one of these."""
    return sorted(str(one["IntegrationName"]) for one in region.integrations.values() if one["SourceArn"] in arns)


def _find(call: Call, identifier: str) -> Shape:
    name = identifier.rpartition(":")[2]
    for key, one in call.region.integrations.items():
        if name in (key, one["IntegrationName"]):
            return one
    raise ApiError("IntegrationNotFoundFault", f"Integration {identifier} not found.")


OPERATIONS: dict[str, Handler] = {
    "CreateIntegration": create,
    "DescribeIntegrations": describe,
    "DeleteIntegration": delete,
}
