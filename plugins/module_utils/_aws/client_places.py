# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What clients of a Blue/Green Deployment connect to, and whether the AWS wrappers support it."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import BlueGreenError
from .api import Api
from .global_clusters import globals_of
from .managed import Deployment, Place, endpoints, find, identifier_of, of_source
from .managed_present import resolve


@dataclass(frozen=True)
class Places:
    """Blue and green, None for one that is not there or not known; ``members`` of a global database are its Regions'."""

    deployment: Deployment | None = None
    blue: Place | None = None
    green: Place | None = None
    world: str | None = None  # the global cluster

    @property
    def switched(self) -> bool:
        """Whether the traffic has moved: green has the names of blue then."""
        return self.deployment is not None and self.deployment.switched

    @property
    def multi_az(self) -> bool:
        """Whether blue is a Multi-AZ DB cluster: an engine of RDS in a DB cluster."""
        return self.blue is not None and self.blue.is_cluster and not self.blue.engine.startswith("aurora")


def look(api: Api, deployment_id: str, source: str | None) -> Places:
    """The places of a deployment, or blue alone as long as there is none.

    ``source``: ARN or identifier of blue. Raises :class:`BlueGreenError` when it is given and not there, and when the deployment is
    one of another database.
    """
    blue = resolve(api, source) if source else None
    deployment = find(api, deployment_id) or (of_source(api, blue.arn) if blue else None)
    if blue and deployment and blue.arn not in (deployment.source, deployment.target):
        raise BlueGreenError(
            f"The deployment {deployment.name} ({deployment.identifier}) should be of {blue.identifier}, but its source is "
            f"{identifier_of(deployment.source)}: correct source, or choose another deployment_id."
        )
    found = endpoints(api, deployment) if deployment else {"blue": blue, "green": None}
    blue = found["blue"] or blue
    worlds = globals_of(api, blue.arn) if blue and blue.is_cluster else []
    world = next((one.identifier for one in worlds if one), None)
    return Places(deployment, blue, found["green"], world)
