# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Ownership: the tags that say whose a resource is, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "bluegreen:"
_OWNER = f"{PREFIX}owner"
_DEPLOYMENT = f"{PREFIX}deployment-id"
_ROLE = f"{PREFIX}role"
_US = "bluegreen.aws"
_SECONDARY = "green-secondary"


def ownership_tags(deployment_id: str, *, secondary: bool = False) -> dict[str, str]:
    """The tags of everything that is made for green, or for a secondary of it: owner, deployment id and role."""
    return {_OWNER: _US, _DEPLOYMENT: deployment_id, _ROLE: _SECONDARY if secondary else "green"}


def is_ours(tags: Mapping[str, str], deployment_id: str) -> bool:
    """Whether the tags say that this deployment made the resource."""
    return tags.get(_OWNER) == _US and tags.get(_DEPLOYMENT) == deployment_id


def is_secondary(tags: Mapping[str, str]) -> bool:
    """Whether the tags say that the resource was made for a secondary of a green, in whatever deployment."""
    return tags.get(_OWNER) == _US and tags.get(_ROLE) == _SECONDARY


def mirrored_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a resource of blue that its copy gets too.

    ``aws:`` is reserved for the service (Amazon RDS User Guide, Tagging); ours say whose a resource is.
    """
    return {key: value for key, value in tags.items() if not key.startswith(("aws:", PREFIX))}
