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
  - With O(source_db_cluster_identifier) the control plane is looked at too. That is the clusters' states and parameter groups,
    the target version and instance classes, quotas, pending changes and maintenance, what stands around blue, and the IAM
    permissions of the identity that runs the module, by simulation.
  - A guardrail that could not be looked at has failed. The module itself succeeds; RV(ready) tells the verdict.
  - The modules that act refuse for the same guardrails by themselves.
options:
  engine:
    description:
      - The database engine of both clusters, or V(managed) for a Blue/Green Deployment that RDS manages, of whatever engine.
    type: str
    choices: [aurora_postgresql, aurora_mysql, neptune, managed]
    required: true
  step:
    description:
      - V(create) is everything up to running replication, V(switchover) is moving the traffic from the side that serves.
    type: str
    choices: [create, switchover]
    default: create
  blue:
    description:
      - The connection to blue, the cluster that serves production now. With O(engine=managed) it may be left out, and the servers are
        not looked at then.
  green:
    description:
      - The connection to green, the copy that will serve production next. The same sub-options as O(blue).
      - Needed for V(step=switchover), except with O(engine=managed).
  source_db_cluster_identifier:
    description:
      - Blue's identifier. When it is given, the control plane is looked at too.
      - With O(engine=managed) the identifier or ARN of a DB cluster or DB instance, needed for V(step=create).
    type: str
  db_cluster_identifier:
    description: Green's identifier. Defaults to O(deployment_id).
    type: str
  engine_version:
    description:
      - The engine version that green is to have, such as V(18.4) or V(8.4.mysql_aurora.8.4.8). When left out, green keeps blue's version.
      - With it, what an upgrade to that version refuses fails O(step=create). Without it, that is warned of.
    type: str
  allow_major_version_upgrade:
    description: Whether the way to O(engine_version) may go to another major version.
    type: bool
    default: false
  instances:
    description:
      - The instances that green is to have, as O(bluegreen.aws.aurora_clone#module:instances).
    type: raw
    default: mirror
  vpc_security_group_ids:
    description:
      - The security groups that green is to have, as O(bluegreen.aws.aurora_clone#module:vpc_security_group_ids). Defaults to
        blue's. Each side's have to let the other side in.
    type: list
    elements: str
  replica_identity:
    description:
      - What M(bluegreen.aws.pg_logical_subscription) will be told to do about tables without a replica identity. Those that it
        will give one to pass. For V(engine=aurora_postgresql).
    type: str
    choices: [refuse, full, index]
    default: refuse
  graph_type:
    description: Which graph is replicated, for O(engine=neptune).
    default: propertygraph
  green_db_cluster_parameter_group_name:
    description:
      - Green's own DB cluster parameter group, with which M(bluegreen.aws.bg_switchover) will be told to lift C(read_only) before
        its window. For V(engine=aurora_mysql).
    type: str
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.connections
  - bluegreen.aws.deployment.engine_specific
  - bluegreen.aws.deployment.expected_differences
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
notes:
  - The permissions are simulated with C(iam:SimulatePrincipalPolicy), for an IAM user or role. Where that is not allowed, a
    warning says so. A policy of a resource, such as the one of a KMS key, is not part of the simulation.
  - For the switchover of a Neptune cluster with IAM authentication the check C(aws_iam_policies) lists the statements of the account's
    policies that name the data of blue's resource id and not of green's, each with the one that green needs. It is read with
    C(iam:GetAccountAuthorizationDetails); where that is not allowed, a warning says so.
seealso:
  - module: bluegreen.aws.aurora_clone
  - module: bluegreen.aws.binlog_replication
  - module: bluegreen.aws.neptune_streams_replication
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
    source_db_cluster_identifier: shop
    engine_version: "18.4"
    allow_major_version_upgrade: true
  register: readiness

- name: See whether the traffic can move to green, on Aurora MySQL
  bluegreen.aws.bg_readiness:
    deployment_id: shop-84
    engine: aurora_mysql
    step: switchover
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: shop-84.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
  register: readiness

- name: See whether RDS can make a deployment
  bluegreen.aws.bg_readiness:
    deployment_id: shop-84
    engine: managed
    step: create
    source_db_cluster_identifier: shop
    engine_version: 8.4.mysql_aurora.8.4.7
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

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
    plane:
      description: V(control) for what AWS told, V(data) for what the servers told.
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

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import (
    managed,
    managed_present,
    readiness,
    readiness_managed,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    engine_specific_options,
    expected_differences_option,
    mysql_endpoint,
    neptune_client,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import replicas as managed_replicas
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import guardrails as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import managed_guardrails as mysql_managed
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.rules_facts import series_of
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import guardrails as neptune
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import DEFAULT_PORT
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import guardrails as postgresql
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import managed_guardrails as postgresql_managed


def _look(module: AnsibleAWSModule, names: Names) -> dict[str, Any]:
    data = _ENGINES[module.params["engine"]](module, names)
    control = _control_plane(module, names)
    return {
        "checks": [
            *({**check.as_dict(), "plane": "control"} for check in control),
            *({**check.as_dict(), "plane": "data"} for check in data),
        ],
        "ready": not any(check.status == "failed" for check in [*control, *data]),
        "blue": _side(module, "blue"),
        "green": _side(module, "green"),
    }


def _control_plane(module: AnsibleAWSModule, names: Names) -> list[Check]:
    params = module.params

    def client(service: str) -> Api:
        return Api(module.client(service))

    if params["engine"] == "managed":
        if params["step"] == "switchover":
            return readiness_managed.switchover_checks(client, names)
        groups = (
            [params["green_db_cluster_parameter_group_name"]] if params["green_db_cluster_parameter_group_name"] else []
        )
        return readiness_managed.create_checks(
            client, _managed_wanted(params, groups), names, lambda region: Api(module.client("rds", region=region))
        )
    if not params["source_db_cluster_identifier"]:
        return []
    wanted = readiness.Wanted(
        blue=params["source_db_cluster_identifier"],
        green=params["db_cluster_identifier"] or names.cluster,
        version=params["engine_version"],
        allow_major=params["allow_major_version_upgrade"],
        instances=params["instances"],
        blue_host=params["blue"]["host"],
        engine=params["engine"].replace("_", "-"),
        green_groups=tuple(params["vpc_security_group_ids"] or ()),
    )
    if params["step"] == "create":
        return readiness.create_checks(client, wanted, names)
    return readiness.switchover_checks(client, wanted)


def _postgresql(module: AnsibleAWSModule, names: Names) -> list[Check]:
    params = module.params
    blue = postgresql_endpoint(module, "blue")
    green = postgresql_endpoint(module, "green") if params["green"] else None
    if params["step"] == "create" or green is None:
        intent = postgresql.Intent(_major(params["engine_version"]), params["replica_identity"])
        return postgresql.create_checks(blue, green, names, params["databases"], intent)
    expected = ExpectedDifferences.of(params["expected_differences"])
    return postgresql.move_checks(blue, green, names, params["databases"], expected)


def _mysql(module: AnsibleAWSModule, names: Names) -> list[Check]:
    params = module.params
    blue = mysql_endpoint(module, "blue")
    green = mysql_endpoint(module, "green") if params["green"] else None
    intent = mysql.Intent(series_of(params["engine_version"]), bool(params["green_db_cluster_parameter_group_name"]))
    if params["step"] == "create" or green is None:
        return mysql.create_checks(blue, green, names, intent)
    expected = ExpectedDifferences.of(params["expected_differences"])
    return mysql.move_checks(blue, green, names, expected, intent)


def _neptune(module: AnsibleAWSModule, names: Names) -> list[Check]:
    params = module.params
    sides = neptune.Sides(
        neptune_client(module, "blue"),
        params["source_db_cluster_identifier"] or params["blue"]["host"],
        neptune_client(module, "green") if params["green"] else None,
        params["db_cluster_identifier"] or names.cluster,
    )
    try:
        if params["step"] == "create":
            return neptune.create_checks(sides, params["graph_type"])
        table = params["checkpoint_table"] or names.checkpoint_table
        return neptune.move_checks(
            sides, neptune.Checkpointed(module.client("dynamodb"), table, names, params["graph_type"])
        )
    finally:
        for client in (sides.blue, sides.green):
            if client is not None:
                client.close()


def _managed_wanted(params: dict[str, Any], groups: list[str]) -> readiness_managed.Wanted:
    if not params["source_db_cluster_identifier"]:
        raise BlueGreenError(
            "engine=managed with step=create needs source_db_cluster_identifier, but it is missing: name blue."
        )
    return readiness_managed.Wanted(params["source_db_cluster_identifier"], params["engine_version"], groups)


def _managed(module: AnsibleAWSModule, names: Names) -> list[Check]:
    params = module.params
    moves = params["step"] == "switchover"
    if not params["blue"] or (moves and not params["green"]):
        return []
    rds = Api(module.client("rds"))
    found = managed.find(rds, names.deployment_id)
    place = managed.place(rds, found.source) if found else None
    if place is None and params["source_db_cluster_identifier"]:
        place = managed_present.resolve(rds, params["source_db_cluster_identifier"])
    if place is None:
        raise BlueGreenError("The engine of blue is not known: name source_db_cluster_identifier.")
    version = params["engine_version"]
    if "postgres" in place.engine:
        blue = postgresql_endpoint(module, "blue")
        if moves:
            green = postgresql_endpoint(module, "green")
            return [
                *postgresql_managed.switchover_checks(blue, green, names, params["databases"]),
                *_replicas(rds, found, green),
            ]
        major = _major(version)
        logical = place.is_cluster or (major is not None and major != _major(place.version))
        return postgresql_managed.create_checks(blue, names, params["databases"], major=major, logical=logical)
    if moves:
        green = mysql_endpoint(module, "green")
        checks = mysql_managed.switchover_checks(mysql_endpoint(module, "blue"), green, names)
        return [*checks, *_replicas(rds, found, green)]
    return mysql_managed.create_checks(
        mysql_endpoint(module, "blue"), names, series_of(version), aurora=place.is_cluster
    )


def _replicas(rds: Api, found: managed.Deployment | None, green: Endpoint) -> list[Check]:
    place = managed.endpoints(rds, found)["green"] if found else None
    return managed_replicas.checks(green, place.engine, place, managed_replicas.MOST_LAG) if place else []


_ENGINES = {"aurora_postgresql": _postgresql, "aurora_mysql": _mysql, "neptune": _neptune, "managed": _managed}
_PORTS = {"aurora_postgresql": 5432, "aurora_mysql": 3306, "neptune": DEFAULT_PORT}


def _major(version: str | None) -> int | None:
    if version is None:
        return None
    major = version.split(".")[0]
    if not major.isdigit():
        raise BlueGreenError(f"engine_version must look like 18.4, but is {version!r}: correct it.")
    return int(major)


def _side(module: AnsibleAWSModule, side: str) -> dict[str, Any] | None:
    options = module.params[side]
    if not options:
        return None
    return {"host": options["host"], "port": options["port"] or _PORTS.get(module.params["engine"])}


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "engine": {"type": "str", "choices": list(_ENGINES), "required": True},
            "step": {"type": "str", "choices": ["create", "switchover"], "default": "create"},
            "blue": connection_options(),
            "green": connection_options(),
            "source_db_cluster_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
            "engine_version": {"type": "str"},
            "allow_major_version_upgrade": {"type": "bool", "default": False},
            "instances": {"type": "raw", "default": "mirror"},
            "vpc_security_group_ids": {"type": "list", "elements": "str"},
            **engine_specific_options(),
            "replica_identity": {"type": "str", "choices": ["refuse", "full", "index"], "default": "refuse"},
            "expected_differences": expected_differences_option(),
            "graph_type": {"type": "str", "choices": ["propertygraph", "rdf"], "default": "propertygraph"},
            "green_db_cluster_parameter_group_name": {"type": "str"},
        },
        required_if=[["engine", engine, ["blue"]] for engine in _ENGINES if engine != "managed"],
        supports_check_mode=True,
    )
    if module.params["step"] == "switchover" and module.params["engine"] != "managed" and not module.params["green"]:
        module.fail_json(msg="step is switchover but all of the following are missing: green")
    run(module, lambda names, _journal: _look(module, names))


if __name__ == "__main__":
    main()
