#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aurora_upgrade
version_added: 0.1.0
short_description: Bring the green Aurora or Neptune cluster to another engine version
description:
  - Upgrades green along the valid upgrade targets of the service, with the fewest hops, and waits after each hop until
    the cluster and all its instances run the new version and have their parameter groups in sync.
  - A hop into another parameter group family needs parameter groups of that family. Unless they are named, they are made
    for green with everything that was set in the groups it has; a default group is followed by the default one.
  - Of an Amazon Neptune cluster the valid upgrade targets lead from 1.0 over 1.1.1.0 and 1.2 to the versions after it. The groups
    are made anew in each family on the way, so that streams stay on as C(neptune_streams) says. The position of the clone must
    be read from green before its first hop.
  - A run that was killed is continued by running it again. An upgrade that is under way is waited for.
  - Only a cluster that carries the tags of the deployment is touched, so it can never be blue.
options:
  db_cluster_identifier:
    description: Green's identifier. Defaults to O(deployment_id).
    type: str
  source_db_cluster_identifier:
    description: Blue. In check mode, while green does not exist, the upgrade of its future clone is predicted.
    type: str
  engine_version:
    description: The engine version that green is to run, in full.
    type: str
    required: true
  allow_major_version_upgrade:
    description: Whether a hop may be to another major version.
    type: bool
    default: false
  apply_pending_maintenance:
    description:
      - Whether pending maintenance of green and its instances is applied at once, before each hop and after the last. Of an
        Amazon Neptune cluster it is how a patch level of an engine version arrives, and some hops begin at the latest only.
      - Needs the permission C(rds:ApplyPendingMaintenanceAction) on green and its instances.
    type: bool
    default: false
  db_cluster_parameter_group_name:
    description: An existing DB cluster parameter group of the family of O(engine_version) for green.
    type: str
  db_parameter_group_name:
    description: An existing DB parameter group of the family of O(engine_version) for all instances of green.
    type: str
  wait_timeout:
    description: Seconds that each hop, and each reboot after it, may take.
    type: int
    default: 7200
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.wait
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details: Reboots, and maintenance, that are found necessary only after a hop are not predicted.
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - After an upgrade from a Neptune version before 1.1.0.0 the service updates the operating system of the instances, minutes after
    the new version is available. The next hop waits for that.
  - With O(wait=false) a run starts the next hop; run it again for the rest.
  - Aurora PostgreSQL refuses an upgrade while logical replication slots exist. Run
    M(bluegreen.aws.pg_logical_subscription) with O(bluegreen.aws.pg_logical_subscription#module:state=positioned) first.
seealso:
  - module: bluegreen.aws.aurora_clone
  - module: bluegreen.aws.pg_logical_subscription
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Upgrade green to PostgreSQL 18
  bluegreen.aws.aurora_upgrade:
    deployment_id: shop-pg18
    engine_version: "18.4"
    allow_major_version_upgrade: true

- name: Upgrade a green Neptune cluster, over every version on the way, and to the latest patch level
  bluegreen.aws.aurora_upgrade:
    deployment_id: graph-14
    engine_version: "1.4.6.0"
    allow_major_version_upgrade: true
    apply_pending_maintenance: true
"""

RETURN = r"""
path:
  description:
    - The versions that green goes through in this run, in order; the last one is O(engine_version).
    - Empty when it runs that version already.
  returned: success
  type: list
  elements: str
  sample: ["16.14", "18.4"]
pending_maintenance:
  description:
    - The maintenance of green and its instances that is pending, such as a patch level of its engine version.
    - Null when the engine is not Neptune and O(apply_pending_maintenance=false), when it may not be looked at, and when green has
      not arrived yet.
  returned: success
  type: list
  elements: dict
  contains:
    resource:
      description: The identifier of the cluster or the instance.
      type: str
    action:
      description: What is pending.
      type: str
      sample: system-update
    description:
      description: What the service says about it.
      type: str
blue:
  description: Always null. This module looks at green only.
  returned: success
  type: dict
green:
  description: The cluster, in check mode as it is now. Null in check mode when it does not exist yet.
  returned: success
  type: dict
  contains:
    db_cluster_identifier:
      description: The cluster's identifier.
      type: str
    db_cluster_arn:
      description: The cluster's ARN.
      type: str
    db_cluster_resource_id:
      description: The identifier that never changes, which IAM policies name.
      type: str
    endpoint:
      description: The writer endpoint.
      type: str
    reader_endpoint:
      description: The reader endpoint.
      type: str
    port:
      description: The port.
      type: int
    engine:
      description: The engine.
      type: str
    engine_version:
      description: The engine version.
      type: str
      sample: "18.4"
    status:
      description: The cluster's status.
      type: str
    instances:
      description: The instances, the writer first.
      type: list
      elements: dict
    db_cluster_parameter_group_name:
      description: The cluster's parameter group.
      type: str
    parameter_group_status:
      description: V(in-sync) when it is so on every instance.
      type: str
    tags:
      description: The cluster's tags.
      type: dict
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: [upgrade shop-pg18 from 16.14 to 18.4]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.diffs import diff, shape
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.parameter_groups import CLUSTER, INSTANCE
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrading import Target, upgrade
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import deployment_options, run, wait_options


def _upgrade(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    groups = {CLUSTER: params["db_cluster_parameter_group_name"], INSTANCE: params["db_parameter_group_name"]}
    target = Target(
        identifier=params["db_cluster_identifier"] or names.cluster,
        source=params["source_db_cluster_identifier"],
        version=params["engine_version"],
        allow_major=params["allow_major_version_upgrade"],
        group_names={kind: name for kind, name in groups.items() if name},
        waits=Waits(params["wait_timeout"], params["wait_delay"], params["wait"]),
        patch=params["apply_pending_maintenance"],
    )
    done = upgrade(Api(module.client("rds")), names, target, journal)
    for sentence in done.warnings:
        module.warn(sentence)
    green = done.before if journal.check_mode else done.green
    return {
        "path": [hop.version for hop in done.hops],
        "pending_maintenance": None if done.pending is None else [one.as_dict() for one in done.pending],
        "blue": None,
        "green": green.as_dict() if green else None,
        **({"diff": diff(done.before, shape(done.green))} if module._diff else {}),
    }


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            **wait_options(timeout=7200),
            "db_cluster_identifier": {"type": "str"},
            "source_db_cluster_identifier": {"type": "str"},
            "engine_version": {"type": "str", "required": True},
            "allow_major_version_upgrade": {"type": "bool", "default": False},
            "apply_pending_maintenance": {"type": "bool", "default": False},
            "db_cluster_parameter_group_name": {"type": "str"},
            "db_parameter_group_name": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _upgrade(module, names, journal))


if __name__ == "__main__":
    main()
