# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue/green deployments that the service manages: described, and what the events of one say."""

from __future__ import annotations

from typing import Any

from tests.lab.control_plane import managed_create, managed_delete, managed_switchover
from tests.lab.control_plane.common import filters, page
from tests.lab.control_plane.managed_rules import find_deployment
from tests.lab.control_plane.managed_views import deployment_shape
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Shape

FILTERS = ("blue-green-deployment-identifier", "blue-green-deployment-name", "source", "target")


def describe(call: Call) -> Shape:
    """DescribeBlueGreenDeployments."""
    wanted = filters(call, FILTERS)
    identifier = call.params.get("BlueGreenDeploymentIdentifier")
    known = call.plane.managed.of(call.region)
    found = [find_deployment(call, str(identifier))] if identifier else list(known.values())
    shapes = [deployment_shape(call.plane, call.region, deployment) for deployment in found]

    def matches(shape: Shape) -> bool:
        have: dict[str, Any] = {
            "blue-green-deployment-identifier": shape["BlueGreenDeploymentIdentifier"],
            "blue-green-deployment-name": shape["BlueGreenDeploymentName"],
            "source": shape["Source"],
            "target": shape.get("Target"),
        }
        return all(have[name] in values for name, values in wanted.items())

    return page(call, "BlueGreenDeployments", [shape for shape in shapes if matches(shape)])


OPERATIONS: dict[str, Handler] = {
    "CreateBlueGreenDeployment": managed_create.create,
    "DescribeBlueGreenDeployments": describe,
    "SwitchoverBlueGreenDeployment": managed_switchover.switchover,
    "DeleteBlueGreenDeployment": managed_delete.delete,
}
