#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_blue_green_info
version_added: 0.1.0
short_description: Show Blue/Green Deployments that RDS manages
description:
  - Tells of each deployment its members, tasks, events and endpoints, the lag of green where CloudWatch has it, and whether a switchover can begin.
  - Nothing is changed.
options:
  deployment_id:
    description: The name of a deployment, or the deployment id by whose tags it is found. Every deployment when left out.
    type: str
  source:
    description: The ARN of the source whose deployments are shown.
    type: str
  events:
    description: Whether the events of the last two weeks are shown.
    type: bool
    default: true
  lag:
    description: Whether CloudWatch is asked for the lag of green.
    type: bool
    default: true
extends_documentation_fragment:
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
  - module: bluegreen.aws.rds_blue_green
  - module: bluegreen.aws.bg_info
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Look at one deployment
  bluegreen.aws.rds_blue_green_info:
    deployment_id: shop-84
  register: shop

- name: Show where green answers
  ansible.builtin.debug:
    msg: "{{ shop.deployments[0].green.host }}"
"""

RETURN = r"""
deployments:
  description: The deployments, each with the keys of RV(bluegreen.aws.rds_blue_green#module:deployment) and with these.
  returned: success
  type: list
  elements: dict
  contains:
    blue:
      description: The source, as RV(bluegreen.aws.rds_blue_green#module:blue).
      type: dict
    green:
      description: The target, as RV(bluegreen.aws.rds_blue_green#module:green).
      type: dict
    differences:
      description: What green has differently from blue.
      type: list
      elements: str
    problem:
      description: Why it does not become ready by itself, empty when nothing is wrong.
      type: str
    ready:
      description: Whether the deployment and every member of green are available and in sync.
      type: bool
    lag_seconds:
      description: How far green is behind, null where the service does not tell.
      type: float
    events:
      description: The events of the deployment and its members, oldest first, each with C(date), C(source) and C(message).
      type: list
      elements: dict
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import managed, managed_info
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError


def _look(module: AnsibleAWSModule) -> list[dict[str, Any]]:
    params = module.params
    api = Api(module.client("rds"))
    if params["deployment_id"]:
        found = managed.find(api, params["deployment_id"])
        chosen = [found] if found else []
    else:
        chosen = managed.every(api)
    if params["source"]:
        chosen = [one for one in chosen if one.source == params["source"]]
    cloudwatch = Api(module.client("cloudwatch")) if params["lag"] else None
    return [managed_info.described(api, cloudwatch, one, events=params["events"]) for one in chosen]


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "deployment_id": {"type": "str"},
            "source": {"type": "str"},
            "events": {"type": "bool", "default": True},
            "lag": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, deployments=_look(module))
    except BlueGreenError as error:
        module.fail_json(msg=error.message, **error.details)


if __name__ == "__main__":
    main()
