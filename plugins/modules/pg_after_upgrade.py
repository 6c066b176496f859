#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_after_upgrade
version_added: 0.1.0
short_description: Do on green what a major version upgrade of PostgreSQL leaves to be done
description:
  - Updates extensions, rebuilds the indexes whose collation changed, analyzes tables that lack statistics, and refreshes
    materialized views, in every replicated database of green, while replication goes on.
  - Each task looks at the catalogs and does what is missing, so a second run changes nothing. One object that fails does not
    stop the others; the module fails at the end and names it.
  - Nothing waits longer than O(lock_timeout) for a lock, so that changes from blue are never held up for long.
options:
  blue:
    description: Not connected to. Accepted so that a task can be given the same connections as the others.
  green:
    description:
      - The connection to green, the copy that will serve production next.
      - Green may be closed for writers, or serve already.
    required: true
  databases:
    description:
      - The databases that the deployment replicates.
      - Defaults to every database that accepts connections except templates, C(rdsadmin) and the control database.
    type: list
    elements: str
  tasks:
    description:
      - What to do, in the order of the choices whatever the order given.
      - V(extensions) updates extensions to the default version of the server, those first that others require.
      - V(collations) rebuilds the indexes that depend on a collation whose recorded version is not the one in use, concurrently
        unless they belong to an exclusion constraint, and records the version after that. A version that was never recorded is
        no difference.
      - V(statistics) analyzes the tables that lack statistics as C(vacuumdb --missing-stats-only) finds them.
        An upgrade to PostgreSQL 18 keeps most statistics, one to an older version keeps none.
      - V(materialized_views) refreshes materialized views, which replication leaves as they were in the clone. They become
        stale again as replication goes on, so run this task again after the switchover.
    type: list
    elements: str
    choices: [extensions, collations, statistics, materialized_views]
    default: [extensions, collations, statistics, materialized_views]
  materialized_views:
    description:
      - Which materialized views to refresh. One that is not populated stays so.
      - V(when_stale) refreshes those whose tables have changed since the module refreshed them last, or that it has not
        refreshed yet. One made from a foreign table, or by a function that reads tables, is always stale, because nobody counts
        changes there.
      - Where a unique index allows it a view is refreshed concurrently, which does not keep readers out.
    type: str
    choices: [never, when_stale, always]
    default: when_stale
  parallel:
    description: How many tables to analyze at once, each over a connection of its own.
    type: int
    default: 4
  lock_timeout:
    description: Seconds to wait for a lock before what needs it fails.
    type: float
    default: 5
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.connections
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details: Before green has a control record nothing is foreseen, because replication does not run yet.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: >-
      O(materialized_views=always) refreshes every time, and so is a view refreshed that is always stale.
seealso:
  - module: bluegreen.aws.aurora_upgrade
  - module: bluegreen.aws.pg_logical_subscription
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Make green ready after its upgrade
  bluegreen.aws.pg_after_upgrade:
    deployment_id: shop-pg18
    green: &green
      host: shop-pg18.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

- name: Refresh the materialized views after the switchover
  bluegreen.aws.pg_after_upgrade:
    deployment_id: shop-pg18
    green: *green
    tasks: [materialized_views]
"""

RETURN = r"""
databases:
  description: The databases that were looked at.
  returned: success
  type: list
  elements: str
left:
  description: What is to be done and is not the module's to do, each with the reason. Also given as warnings.
  returned: always, unless an option was wrong
  type: list
  elements: str
  sample: ["update extension postgis in shop from 3.4.2 to 3.5.0: it belongs to gis_admin"]
failed:
  description: What was tried and failed, each with the server's reason.
  returned: when something failed
  type: list
  elements: str
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: ["update extension pg_trgm in shop from 1.5 to 1.6", "analyze public.orders in shop"]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
green:
  description: Where green answers.
  returned: success
  type: dict
  contains:
    host:
      description: The address.
      type: str
    port:
      description: The port.
      type: int
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.after_upgrade import (
    TASKS,
    Wishes,
    after_upgrade,
)


def _after_upgrade(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    green = postgresql_endpoint(module, "green")
    params = module.params
    if params["parallel"] < 1 or params["lock_timeout"] <= 0:
        raise BlueGreenError(
            "The options parallel and lock_timeout must be above 0, but are "
            f"{params['parallel']} and {params['lock_timeout']:g}: correct them."
        )
    wishes = Wishes(params["tasks"], params["materialized_views"], params["parallel"], params["lock_timeout"])
    result = after_upgrade(green, names, params["databases"], wishes, journal)
    for left in result["left"]:
        module.warn(f"Left to be done: {left}.")
    return {**result, "green": {"host": green.host, "port": green.port}}


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "blue": connection_options(),
            "green": connection_options(required=True),
            "databases": {"type": "list", "elements": "str"},
            "tasks": {"type": "list", "elements": "str", "choices": list(TASKS), "default": list(TASKS)},
            "materialized_views": {
                "type": "str",
                "choices": ["never", "when_stale", "always"],
                "default": "when_stale",
            },
            "parallel": {"type": "int", "default": 4},
            "lock_timeout": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _after_upgrade(module, names, journal))


if __name__ == "__main__":
    main()
