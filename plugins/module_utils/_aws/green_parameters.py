# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The switches of a green Aurora MySQL cluster that are parameters: read_only, and whether events run.

They live in green's own DB cluster parameter group, apply to every instance, and outlive restarts and failovers.
"""

from __future__ import annotations

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from .._core.errors import BlueGreenError
from . import mysql_parameters
from .api import Api
from .ownership import is_ours
from .parameter_groups import CLUSTER, Group, family_parameters, group_values, require_group


class GreenParameters:
    """Turns the switches in one group, which must be green's and nobody else's; what is set already is left alone.

    The service applies them within seconds, and not inside the window: whoever needs the effect asks the server for it.
    """

    def __init__(self, api: Api, deployment_id: str, group_name: str) -> None:
        self._api = api
        self._deployment_id = deployment_id
        self._group_name = group_name

    def lift(self) -> None:
        """Let writers in as far as ``read_only`` is concerned; raises :class:`BlueGreenError` for a group of others."""
        group = self._own_group()
        family = family_parameters(self._api, CLUSTER, group.family)
        parameter = family.get(mysql_parameters.READ_ONLY, {})
        self._set(group, {mysql_parameters.READ_ONLY: mysql_parameters.open_value(parameter)})

    def after_opening(self, event_scheduler: str) -> None:
        """Green serves: its events run when blue's do, ``event_scheduler`` being blue's ``@@GLOBAL.event_scheduler``."""
        group = self._own_group()
        family = family_parameters(self._api, CLUSTER, group.family)
        parameter = family.get(mysql_parameters.EVENT_SCHEDULER, {})
        if parameter.get("IsModifiable"):
            value = mysql_parameters.scheduler_value(event_scheduler, parameter)
            self._set(group, {mysql_parameters.EVENT_SCHEDULER: value})

    def close(self) -> None:
        """Blue serves again: as at green's birth."""
        group = self._own_group()
        self._set(group, mysql_parameters.closed_values(family_parameters(self._api, CLUSTER, group.family)))

    def _own_group(self) -> Group:
        group = require_group(self._api, CLUSTER, self._group_name)
        require_greens_own(self._api, group, self._deployment_id)
        return group

    def _set(self, group: Group, values: dict[str, str]) -> None:
        now = group_values(self._api, group)
        missing = {name: value for name, value in values.items() if now.get(name) != value}
        if not missing:
            return
        self._api.call(
            "modify_db_cluster_parameter_group",
            DBClusterParameterGroupName=group.name,
            Parameters=[
                {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}
                for name, value in missing.items()
            ],
        )


def require_greens_own(api: Api, group: Group, deployment_id: str) -> None:
    """Raise :class:`BlueGreenError` unless a cluster of the deployment has this group, and no other has."""
    ours, strangers = users(api, group, deployment_id)
    if ours and not strangers and not group.is_default:
        return
    if group.is_default:
        found = "is the service's default one"
    elif strangers:
        found = f"{', '.join(strangers)} has it too"
    else:
        found = f"no cluster of the deployment {deployment_id} has it"
    raise BlueGreenError(
        f"The {group.kind.label} {group.name} should be green's alone, because what is set in it opens or closes every cluster "
        f"that has it, but {found}: give green a group of its own, and name that one."
    )


def users(api: Api, group: Group, deployment_id: str) -> tuple[list[str], list[str]]:
    """The clusters that have the DB cluster parameter group: the deployment's own, and the others, by name."""
    found = [
        cluster
        for cluster in api.pages("describe_db_clusters", "DBClusters")
        if cluster.get("DBClusterParameterGroup") == group.name
    ]
    own = {
        cluster["DBClusterIdentifier"]: is_ours(
            boto3_tag_list_to_ansible_dict(cluster.get("TagList") or []), deployment_id
        )
        for cluster in found
    }
    return sorted(name for name, ours in own.items() if ours), sorted(name for name, ours in own.items() if not ours)
