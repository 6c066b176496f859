#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_verify
version_added: 0.1.0
short_description: Prove that green holds what blue holds, table by table
description:
  - Compares the content of every table of blue and green while one of them is written to, without a lock. Data is only
    read; the one write is a marker row on the side that serves, when rows are in flux.
  - Tables are summed up in chunks by a hash of every row. In the chunks that differ, rows are looked at one by one until each
    is either the same on both sides, or proved to differ although a marker has passed since.
  - Fails when a difference is found, and when a table could not be compared. Such a table is never called equal.
options:
  engine:
    description: The database engine of both clusters.
    type: str
    choices: [aurora_postgresql]
    required: true
  blue:
    required: true
  green:
    required: true
  databases:
    description:
      - The databases to compare.
      - Defaults to every database that accepts connections except templates, C(rdsadmin) and the control database.
    type: list
    elements: str
  exclude:
    description:
      - Tables to leave out, as C(schema.table) or C(database.schema.table) with shell wildcards.
      - Unlogged tables are not replicated and have to be named here to be left out.
    type: list
    elements: str
    default: []
  parallel:
    description: How many tables are compared at the same time. Each takes four connections.
    type: int
    default: 2
  settle_timeout:
    description: Seconds after which the rows of a table that still change are given up, and with them the proof.
    type: float
    default: 60
  marker_timeout:
    description: Seconds that a marker may take from the side that serves to the other.
    type: float
    default: 30
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.connections
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: none
    details: In check mode nothing is compared, because a proof needs the marker row.
  diff_mode:
    support: N/A
    details: Nothing is changed.
  idempotent:
    support: full
    details: The marker row does not count as a change.
seealso:
  - module: bluegreen.aws.pg_logical_subscription
  - module: bluegreen.aws.bg_switchover
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Prove that green holds what blue holds
  bluegreen.aws.bg_verify:
    deployment_id: shop-pg18
    engine: aurora_postgresql
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: shop-pg18.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    exclude: ["cache.*"]
"""

RETURN = r"""
verified:
  description: Whether every table that was not excluded is proved to be equal.
  returned: always, unless it could not begin
  type: bool
tables:
  description: Every table, partitions one by one.
  returned: always, unless it could not begin
  type: list
  elements: dict
  contains:
    database:
      description: The database.
      type: str
    schema:
      description: The schema.
      type: str
    table:
      description: The table.
      type: str
    blue_rows:
      description: Rows counted on blue. On a table that is written to the two sides are counted a moment apart.
      type: int
    green_rows:
      description: Rows counted on green.
      type: int
    equal:
      description: Whether it is proved that both sides hold the same rows.
      type: bool
    different:
      description: How many rows differ.
      type: int
    differences:
      description: The first of them by key, without their content.
      type: list
      elements: str
      sample: ["id=7777: not the same"]
    error:
      description: Why the table could not be compared. Null when it could.
      type: str
source:
  description: The side that was taken for the original, because it serves.
  returned: always, unless it could not begin
  type: str
  sample: blue
actions:
  description: Always empty.
  returned: always
  type: list
  elements: str
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
blue:
  description: Where blue answers.
  returned: success
  type: dict
  contains: &side
    host:
      description: The address.
      type: str
    port:
      description: The port.
      type: int
green:
  description: Where green answers.
  returned: success
  type: dict
  contains: *side
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.status import observe
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import Options, judge, verify


def _verify(module: AnsibleAWSModule, names: Names) -> dict[str, Any]:
    blue, green = postgresql_endpoint(module, "blue"), postgresql_endpoint(module, "green")
    state = observe(blue, green, names, module.params["databases"])
    options = Options(
        parallel=module.params["parallel"],
        settle_timeout=module.params["settle_timeout"],
        marker_timeout=module.params["marker_timeout"],
        exclude=module.params["exclude"],
    )
    source, target = (green, blue) if state.direction == "reverse" else (blue, green)
    proofs = verify(source, target, names, state.databases, options)
    result = {"tables": [proof.as_dict() for proof in proofs], "source": source.side}
    judge(proofs, result)
    return {
        **result,
        "verified": True,
        "blue": {"host": blue.host, "port": blue.port},
        "green": {"host": green.host, "port": green.port},
    }


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "engine": {"type": "str", "choices": ["aurora_postgresql"], "required": True},
            "blue": connection_options(required=True),
            "green": connection_options(required=True),
            "databases": {"type": "list", "elements": "str"},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "parallel": {"type": "int", "default": 2},
            "settle_timeout": {"type": "float", "default": 60},
            "marker_timeout": {"type": "float", "default": 30},
        },
        supports_check_mode=False,
    )
    run(module, lambda names, _journal: _verify(module, names))


if __name__ == "__main__":
    main()
