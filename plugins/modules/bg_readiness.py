#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_readiness
version_added: 0.1.0
short_description: Show every guardrail of a step of a blue/green deployment
description:
  - Looks at blue, and at green when it is given, and tells for each guardrail whether it holds, what was found and what
    mends it. Nothing is changed.
  - A guardrail that could not be looked at has failed. The module itself succeeds; RV(ready) tells the verdict.
  - The modules that act refuse for the same guardrails by themselves.
options:
  engine:
    description: The database engine of both clusters.
    type: str
    choices: [aurora_postgresql]
    required: true
  step:
    description:
      - V(create) is everything up to running replication, V(switchover) is moving the traffic from the side that serves.
    type: str
    choices: [create, switchover]
    default: create
  blue:
    required: true
  green:
    description:
      - The connection to green, the copy that will serve production next. The same sub-options as O(blue).
      - Needed for V(step=switchover).
  databases:
    description:
      - The databases to replicate.
      - Defaults to every database that accepts connections except templates, C(rdsadmin) and the control database.
    type: list
    elements: str
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
  diff_mode:
    support: N/A
    details: Nothing is changed.
  idempotent:
    support: full
seealso:
  - module: bluegreen.aws.pg_logical_subscription
  - module: bluegreen.aws.bg_switchover
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: See whether blue can be cloned and replicated
  bluegreen.aws.bg_readiness:
    deployment_id: shop-pg18
    engine: aurora_postgresql
    step: create
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
  register: readiness

- name: Stop when it cannot
  ansible.builtin.assert:
    that: readiness.ready
    fail_msg: "{{ readiness.checks | selectattr('status', 'eq', 'failed') | map(attribute='evidence') | join('; ') }}"
"""

RETURN = r"""
ready:
  description: Whether no guardrail failed.
  returned: success
  type: bool
checks:
  description: Every guardrail.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The guardrail's name.
      type: str
      sample: replica_identity
    status:
      description: V(ok), V(warning) or V(failed). Only a failed one stops the step.
      type: str
    evidence:
      description: What was wanted and what was found.
      type: str
    remedy:
      description: The statement or command that mends it. Empty when there is nothing to mend.
      type: str
    docs:
      description: Where to read about it. May be empty.
      type: str
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
  description: Where green answers. Null when it was not given.
  returned: success
  type: dict
  contains: *side
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import create_checks, move_checks


def _look(module: AnsibleAWSModule, names: Names) -> dict[str, Any]:
    blue = postgresql_endpoint(module, "blue")
    green = postgresql_endpoint(module, "green") if module.params["green"] else None
    checks = _checks(module.params["step"], blue, green, names, module.params["databases"])
    return {
        "checks": [check.as_dict() for check in checks],
        "ready": not any(check.status == "failed" for check in checks),
        "blue": _side(blue),
        "green": _side(green),
    }


def _checks(
    step: str, blue: Endpoint, green: Endpoint | None, names: Names, databases: list[str] | None
) -> list[Check]:
    if step == "create" or green is None:
        return create_checks(blue, green, names, databases)
    return move_checks(blue, green, names, databases)


def _side(endpoint: Endpoint | None) -> dict[str, Any] | None:
    return {"host": endpoint.host, "port": endpoint.port} if endpoint else None


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "engine": {"type": "str", "choices": ["aurora_postgresql"], "required": True},
            "step": {"type": "str", "choices": ["create", "switchover"], "default": "create"},
            "blue": connection_options(required=True),
            "green": connection_options(),
            "databases": {"type": "list", "elements": "str"},
        },
        required_if=[["step", "switchover", ["green"]]],
        supports_check_mode=True,
    )
    run(module, lambda names, _journal: _look(module, names))


if __name__ == "__main__":
    main()
