#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_info
version_added: 0.1.0
short_description: Look at one blue/green deployment
description:
  - Tells what the clusters of a deployment are and, with the connections, what its replication does and which side
    serves. It changes nothing.
  - Green is found by its identifier or by the tags of the deployment. A cluster that does not carry them is not green,
    whatever its name.
options:
  source_db_cluster_identifier:
    description: Blue. Without it RV(blue) is null, because no tag leads from green to it.
    type: str
  db_cluster_identifier:
    description: Green's identifier. Without it green is found by the tags of the deployment.
    type: str
  blue:
    description: The connection to blue. With it RV(serving) is known.
  green:
    description: The connection to green. With it RV(replication) is known. Requires O(blue).
  engine:
    description:
      - The database engine of both clusters. When left out, the clusters tell it, and without a cluster it is
        V(aurora_postgresql).
    type: str
    choices: [aurora_postgresql, aurora_mysql, neptune]
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.connections
  - bluegreen.aws.deployment.engine_specific
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: This module does not change anything.
  idempotent:
    support: full
seealso:
  - module: bluegreen.aws.aurora_clone
  - module: bluegreen.aws.binlog_replication
  - module: bluegreen.aws.neptune_streams_replication
  - module: bluegreen.aws.pg_logical_subscription
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Look at the clusters
  bluegreen.aws.bg_info:
    deployment_id: shop-pg18
    source_db_cluster_identifier: shop
  register: deployment

- name: Look at the replication too
  bluegreen.aws.bg_info:
    deployment_id: shop-pg18
    blue:
      host: "{{ deployment.blue.endpoint }}"
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: "{{ deployment.green.endpoint }}"
      secret_arn: "{{ admin_secret_arn }}"

- name: Look at a deployment of Amazon Neptune
  bluegreen.aws.bg_info:
    deployment_id: shop-graph
    engine: neptune
    blue:
      host: "{{ deployment.blue.endpoint }}"
      iam_auth: true
    green:
      host: "{{ deployment.green.endpoint }}"
      iam_auth: true

- name: Look at a deployment of Aurora MySQL
  bluegreen.aws.bg_info:
    deployment_id: shop-84
    engine: aurora_mysql
    blue:
      host: "{{ deployment.blue.endpoint }}"
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: "{{ deployment.green.endpoint }}"
      secret_arn: "{{ admin_secret_arn }}"
"""

RETURN = r"""
blue:
  description: Blue. Null when O(source_db_cluster_identifier) is not given or there is no such cluster.
  returned: success
  type: dict
  contains: &cluster
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
green:
  description: Green. Null when there is none.
  returned: success
  type: dict
  contains: *cluster
global_databases:
  description: The global databases that blue and green are members of, under C(blue) and C(green), each null without one.
  returned: success
  type: dict
  contains:
    blue:
      description: Blue's.
      type: dict
      contains: &global
        global_cluster_identifier:
          description: The identifier of the global cluster.
          type: str
        global_cluster_arn:
          description: Its ARN.
          type: str
        status:
          description: Its status.
          type: str
        engine_version:
          description: Its engine version.
          type: str
        members:
          description:
            - Its members, the primary first, each with C(db_cluster_arn), C(db_cluster_identifier), C(region), C(is_writer),
              C(write_forwarding) and C(synchronization_status).
          type: list
          elements: dict
    green:
      description: Green's.
      type: dict
      contains: *global
serving:
  description:
    - The side that accepts writes, V(blue) or V(green).
    - V(unknown) without O(blue), and when it is neither of the two alone.
  returned: success
  type: str
  sample: blue
replication:
  description: What the replication does. Null without O(green), and when there is none yet.
  returned: success
  type: dict
  contains:
    running:
      description: Whether it runs, in every database.
      type: bool
    direction:
      description: C(forward) from blue to green, C(reverse) from green to blue, or null.
      type: str
    position:
      description:
        - The position that it began from, a set of GTIDs or a file and an offset on Aurora MySQL, the id of an event on Neptune.
      type: str
      sample: 0/5F003A8
    mode:
      description: C(gtid) or C(position), how green follows blue. Only on Aurora MySQL.
      type: str
    lag:
      description:
        - How far it is behind in C(bytes), and in C(transactions) on Aurora MySQL with GTIDs. C(seconds) is null, because
          measuring it takes a write.
        - On Neptune in C(commits), and in C(seconds) the age of the first event that is not applied. Both are null when they
          cannot be told.
      type: dict
    error:
      description: What is wrong, or null.
      type: str
    errant:
      description: GTIDs that the side that is replicated to has and the other one has not. Only on Aurora MySQL.
      type: str
    databases:
      description: The same for each database. Only on Aurora PostgreSQL.
      type: dict
actions:
  description: Always empty.
  returned: always
  type: list
  elements: str
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.checkpoint_table import CheckpointTable
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, find_green, read_cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_clusters import globals_of
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    engine_specific_options,
    mysql_endpoint,
    neptune_client,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import status as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import deployment as neptune
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import GraphType
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.state import observe
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import status as postgresql


def _look(module: AnsibleAWSModule, names: Names) -> dict[str, Any]:
    api = Api(module.client("rds"))
    source = module.params["source_db_cluster_identifier"]
    blue = read_cluster(api, source) if source else None
    green = find_green(api, names.deployment_id, module.params["db_cluster_identifier"])
    of_blue, of_green = globals_of(api, blue.arn if blue else None, green.arn if green else None)
    return {
        "blue": blue.as_dict() if blue else None,
        "green": green.as_dict() if green else None,
        "global_databases": {
            "blue": of_blue.as_dict() if of_blue else None,
            "green": of_green.as_dict() if of_green else None,
        },
        **_data_plane(module, names, _engine(module, blue or green)),
    }


def _engine(module: AnsibleAWSModule, cluster: Cluster | None) -> str:
    told = cluster.engine.replace("-", "_") if cluster else "aurora_postgresql"
    return str(module.params["engine"] or told)


def _data_plane(module: AnsibleAWSModule, names: Names, engine: str) -> dict[str, Any]:
    if not module.params["blue"]:
        return {"serving": "unknown", "replication": None}
    if engine == "neptune":
        return _neptune(module, names)
    sides = ["blue", "green"] if module.params["green"] else ["blue"]
    if engine == "aurora_mysql":
        blue, *green = (mysql_endpoint(module, side) for side in sides)
        return mysql.deployment_status(blue, green[0] if green else None, names)
    blue, *green = (postgresql_endpoint(module, side) for side in sides)
    return postgresql.deployment_status(blue, green[0] if green else None, names, module.params["databases"])


def _neptune(module: AnsibleAWSModule, names: Names) -> dict[str, Any]:
    name = module.params["checkpoint_table"] or names.checkpoint_table
    there = CheckpointTable(Api(module.client("dynamodb")), name, names.deployment_id).status()
    state = observe(module.client("dynamodb") if there not in (None, "CREATING", "DELETING") else None, name, names)
    if not module.params["green"]:
        return {"serving": state.serving, "replication": None}
    blue, green = (neptune_client(module, side) for side in ("blue", "green"))
    try:
        recorded = state.control.graph_type if state.control else None
        kind: GraphType = "rdf" if (module.params["graph_type"] or recorded) == "rdf" else "propertygraph"
        return {"serving": state.serving, "replication": neptune.report(blue, green, state, kind)}
    finally:
        for side in (blue, green):
            side.close()


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "source_db_cluster_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
            "blue": connection_options(),
            "green": connection_options(),
            "engine": {"type": "str", "choices": ["aurora_postgresql", "aurora_mysql", "neptune"]},
            **engine_specific_options(),
        },
        required_by={"green": ["blue"]},
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _look(module, names))


if __name__ == "__main__":
    main()
