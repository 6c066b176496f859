#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: binlog_canary
version_added: 0.1.0
short_description: Write canary rows on an Aurora MySQL cluster while it is cloned
description:
  - Writes a row every few milliseconds on blue, each with where blue's binary log was just before. Run it with C(async) beside
    the clone.
  - The last row that the clone holds shows between which places of the log its data ends.
    M(bluegreen.aws.binlog_replication) compares the position that the service reports with it. Without canaries a reported
    position that is wrong by seconds shows only later, as a duplicate or a missing row, or never in a table without a key.
  - It is of no use where both sides have GTIDs, which tell the position themselves.
options:
  state:
    description:
      - V(running) writes rows until O(duration) is over, V(stopped) is asked for, or another run of this module begins.
      - V(stopped) lets a running one end, which takes it up to two seconds.
    type: str
    choices: [running, stopped]
    default: running
  blue:
    description: The connection to blue, the cluster that serves production now. M(bluegreen.aws.binlog_replication) has
      brought it to V(state=prepared).
    required: true
  duration:
    description: Seconds to write rows for. Long enough for the API to answer the call that makes the clone, and some seconds more.
    type: float
    default: 900
  interval_ms:
    description: Milliseconds between two rows.
    type: int
    default: 50
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.blue_connection
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details: In check mode it returns at once.
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details: It is there to write.
seealso:
  - module: bluegreen.aws.binlog_replication
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Write canaries while blue is cloned
  bluegreen.aws.binlog_canary:
    deployment_id: shop-v84
    blue: &blue
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    duration: 1800
  async: 1860
  poll: 0

- name: Clone blue
  bluegreen.aws.aurora_clone:
    deployment_id: shop-v84
    source_db_cluster_identifier: shop

- name: Write no more canaries
  bluegreen.aws.binlog_canary:
    state: stopped
    deployment_id: shop-v84
    blue: *blue
"""

RETURN = r"""
rows:
  description: How many rows this run has written.
  returned: success
  type: int
  sample: 412
ended:
  description: Whether it was ended before its time.
  returned: success
  type: bool
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: ["write 412 canaries on blue"]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
blue:
  description: Where blue answers.
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

from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    mysql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.canary import Request, reach


def _canary(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    blue = mysql_endpoint(module, "blue")
    params = module.params
    written = reach(Request(params["state"], params["duration"], params["interval_ms"] / 1000), blue, names, journal)
    return {
        "rows": written.rows,
        "ended": written.ended,
        "blue": {"host": blue.host, "port": blue.port},
    }


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "state": {"type": "str", "choices": ["running", "stopped"], "default": "running"},
            "blue": connection_options(required=True),
            "duration": {"type": "float", "default": 900.0},
            "interval_ms": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _canary(module, names, journal))


if __name__ == "__main__":
    main()
