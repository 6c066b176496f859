#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aurora_clone
version_added: 0.1.0
short_description: Make the green Aurora or Neptune cluster from the storage of blue, or delete it
description:
  - Clones an Aurora or Neptune DB cluster copy-on-write and gives the clone what blue has. That is its instances (classes,
    Availability Zones, promotion tiers, Serverless v2 capacity, monitoring, Performance Insights, certificate authority),
    parameter groups, subnet group, security groups, IAM roles, log exports, backup settings, encryption key and tags.
  - Nothing about the progress is stored. Each run looks at what exists and does what is missing, so a run that was killed
    is continued by running it again.
  - Instances are added when they are missing; those that exist are not changed, and nothing is deleted, except by
    O(state=absent).
  - Instances whose parameter group waits for a reboot are rebooted, others are not.
  - A green Aurora MySQL cluster always has a DB cluster parameter group of its own, with what is set in blue's. In it green is
    closed from its first start, by C(read_only) and with C(event_scheduler) off, and its replica applies in blue's order with
    several threads and a short checkpoint. Whether it is closed is set when green is made and never changed by this module
    afterwards.
  - A green Amazon Neptune cluster has the graph and the change-log stream that blue had at the moment of the clone, and as many
    instances of the same sizes. IAM authentication and log exports are blue's. It has another resource id, so policies that name
    blue's do not let anybody at it, which M(bluegreen.aws.bg_readiness) lists.
options:
  state:
    description:
      - V(present) makes the cluster or what is missing of it.
      - V(prepared) takes the snapshot O(source_snapshot_identifier) of blue and nothing else, so that it can come before
        everything that is done on blue.
      - V(absent) deletes it with its instances and the parameter groups that the deployment made. What does not carry the
        tags of the deployment is never deleted.
    type: str
    choices: [present, prepared, absent]
    default: present
  source_db_cluster_identifier:
    description: Blue, the cluster to clone. Required with O(state=present) and O(state=prepared).
    type: str
  source_snapshot_identifier:
    description:
      - The name of a snapshot of blue that is taken, and waited for, before the clone. It is kept by O(state=absent).
      - Nothing is taken when green exists already, or when the deployment took it before.
      - One to 63 letters, digits and hyphens, the first a letter, without two hyphens in a row or one at the end.
    type: str
  db_cluster_identifier:
    description: Green's identifier. Defaults to O(deployment_id).
    type: str
  deployment_mode:
    description:
      - V(new) refuses a cluster that exists, V(resume) refuses one that does not.
      - V(auto) continues with a cluster that carries the tags of the deployment and makes one when there is none.
      - A cluster of somebody else is refused by all of them.
    type: str
    choices: [auto, new, resume]
    default: auto
  instances:
    description:
      - V(mirror) for the instances that blue has, or a list of dictionaries, the writer first.
      - Each dictionary may hold C(db_instance_class), C(availability_zone), C(promotion_tier),
        C(db_parameter_group_name) and C(db_instance_identifier); what is left out is as on blue's writer, the zone and
        the tier are the service's choice.
    type: raw
    default: mirror
  writer_db_instance_identifier:
    description:
      - The identifier of green's writer, the first of O(instances), unless that one names its own.
      - Defaults to O(deployment_id) followed by C(-1).
      - One to 63 letters, digits and hyphens, the first a letter, without two hyphens in a row or one at the end.
    type: str
  db_cluster_parameter_group_name:
    description:
      - An existing DB cluster parameter group for green. Defaults to the one that blue has.
      - On Aurora MySQL no cluster but green may have it. It is closed as the group is that is made without this option, which
        sets C(read_only) and the others in it.
      - On a green that exists it is attached when green has another one of the same family.
      - Mutually exclusive with O(parameter_overrides).
    type: str
  db_parameter_group_name:
    description:
      - An existing DB parameter group for the instances that are created. Defaults to the ones that blue has.
      - On Aurora MySQL no instance but green's may have it.
    type: str
  vpc_security_group_ids:
    description: The security groups of a green that is made. Defaults to those that blue has.
    type: list
    elements: str
  db_subnet_group_name:
    description: The DB subnet group, in blue's VPC, of a green that is made. Defaults to the one that blue has.
    type: str
  parameter_overrides:
    description:
      - Cluster parameters that are to be different on green, by name.
      - A DB cluster parameter group is made for green from what is set in blue's and from these.
      - On Aurora MySQL C(read_only) and C(event_scheduler) cannot be among them.
    type: dict
  deletion_protection:
    description:
      - Whether green is protected against deletion. Defaults to what blue has.
      - With O(state=absent) a protected cluster is refused, unless this is V(false).
    type: bool
  skip_final_snapshot:
    description: Whether O(state=absent) deletes the cluster without a last snapshot.
    type: bool
    default: false
  final_db_snapshot_identifier:
    description:
      - The name of the snapshot that O(state=absent) takes unless O(skip_final_snapshot=true).
      - Defaults to O(deployment_id) followed by C(-final).
    type: str
  tags:
    description:
      - Tags for green's cluster and instances, in addition to blue's and to those that say whose they are.
      - When it is given, the tags of a green that exists are corrected too.
    type: dict
  purge_tags:
    description: Whether other tags are removed from a green that exists. Only with O(tags).
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds that each step may take. The steps are the clone, the instances, each reboot and each deletion.
    type: int
    default: 3600
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
    details: >-
      Reboots that are found necessary only after a change are not predicted. Of a Neptune green the backup window is predicted to
      be set, also when the clone happens to have blue's.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: Except with O(deployment_mode=new), which refuses the cluster that the first run made.
notes:
  - With O(wait=false) a run does what can be done at once; run it again for the rest.
  - A clone starts with everything that the volume holds, replication slots and prepared transactions too. On Aurora
    PostgreSQL run M(bluegreen.aws.pg_logical_subscription) with O(bluegreen.aws.pg_logical_subscription#module:state=prepared)
    before it and with O(bluegreen.aws.pg_logical_subscription#module:state=positioned) after it.
  - Amazon Neptune is managed through the same API and with the same permissions as Aurora. On Neptune run
    M(bluegreen.aws.neptune_streams_replication) with O(bluegreen.aws.neptune_streams_replication#module:state=prepared) before
    it and with O(bluegreen.aws.neptune_streams_replication#module:state=positioned) after it, before any upgrade.
seealso:
  - module: bluegreen.aws.aurora_upgrade
  - module: bluegreen.aws.neptune_streams_replication
  - module: bluegreen.aws.pg_logical_subscription
  - name: Cloning a volume for an Amazon Aurora DB cluster
    description: How copy-on-write clones work, and their limits.
    link: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Managing.Clone.html
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Make green as blue is
  bluegreen.aws.aurora_clone:
    deployment_id: shop-pg18
    source_db_cluster_identifier: shop

- name: Make green with one small instance and another setting
  bluegreen.aws.aurora_clone:
    deployment_id: shop-pg18
    source_db_cluster_identifier: shop
    instances:
      - db_instance_class: db.r7g.large
    parameter_overrides:
      max_logical_replication_workers: 20

- name: Keep a snapshot of blue, then make a green whose writer has a name of the user's
  bluegreen.aws.aurora_clone:
    deployment_id: shop-84
    source_db_cluster_identifier: shop
    source_snapshot_identifier: shop-before-84
    writer_db_instance_identifier: shop-next

- name: Make a new green of a Neptune cluster, which is refused when there is one already
  bluegreen.aws.aurora_clone:
    deployment_id: graph-14
    source_db_cluster_identifier: graph
    deployment_mode: new
    parameter_overrides:
      neptune_streams_expiry_days: 14

- name: Delete green, a last snapshot is kept
  bluegreen.aws.aurora_clone:
    state: absent
    deployment_id: shop-pg18
    deletion_protection: false
"""

RETURN = r"""
blue:
  description: The cluster that was cloned. Null with O(state=absent).
  returned: success
  type: dict
  contains: &cluster
    db_cluster_identifier:
      description: The cluster's identifier.
      type: str
      sample: shop
    db_cluster_arn:
      description: The cluster's ARN.
      type: str
      sample: arn:aws:rds:eu-central-1:123456789012:cluster:shop
    db_cluster_resource_id:
      description: The identifier that never changes, which IAM policies name.
      type: str
      sample: cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ
    endpoint:
      description: The writer endpoint.
      type: str
    reader_endpoint:
      description: The reader endpoint.
      type: str
    port:
      description: The port.
      type: int
      sample: 5432
    engine:
      description: The engine.
      type: str
      sample: aurora-postgresql
    engine_version:
      description: The engine version.
      type: str
      sample: "16.10"
    status:
      description: The cluster's status.
      type: str
      sample: available
    instances:
      description: The instances, the writer first.
      type: list
      elements: dict
      contains:
        db_instance_identifier:
          description: The instance's identifier.
          type: str
        db_instance_class:
          description: The instance class.
          type: str
        is_writer:
          description: Whether it is the writer.
          type: bool
        status:
          description: The instance's status.
          type: str
        endpoint:
          description: The instance's own endpoint.
          type: str
        promotion_tier:
          description: The order in which readers take over.
          type: int
        parameter_group_status:
          description: V(in-sync), or the status of the parameter group that is not.
          type: str
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
  description:
    - The clone. Null when it does not exist, in check mode also when it would be made.
  returned: success
  type: dict
  contains: *cluster
differences:
  description: What green will not have as blue does, in sentences.
  returned: O(state=present) and O(state=prepared)
  type: list
  elements: str
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: [clone shop to shop-pg18, create instance shop-pg18-1 (db.r7g.large)]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.building import Request, build, prepare
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone import CloneOptions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.diffs import diff, predicted, shape
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.removal import Removal, remove
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import deployment_options, run, wait_options


def _present(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    request = Request(
        source=params["source_db_cluster_identifier"],
        options=CloneOptions(
            identifier=params["db_cluster_identifier"] or names.cluster,
            instances=params["instances"],
            cluster_parameter_group=params["db_cluster_parameter_group_name"],
            instance_parameter_group=params["db_parameter_group_name"],
            deletion_protection=params["deletion_protection"],
            tags=params["tags"],
            security_groups=params["vpc_security_group_ids"],
            subnet_group=params["db_subnet_group_name"],
            writer_identifier=params["writer_db_instance_identifier"],
        ),
        mode=params["deployment_mode"],
        overrides=params["parameter_overrides"],
        purge_tags=params["purge_tags"],
        waits=_waits(module),
        snapshot=params["source_snapshot_identifier"],
    )
    act = build if params["state"] == "present" else prepare
    outcome = act(Api(module.client("rds")), names, request, journal)
    for sentence in outcome.warnings:
        module.warn(sentence)
    after = shape(outcome.green)
    if journal.check_mode and act is build:
        after = predicted(outcome.before, outcome.plan, outcome.blue)
    return {
        "blue": outcome.blue.as_dict(),
        "green": outcome.green.as_dict() if outcome.green else None,
        "differences": list(outcome.plan.differences),
        **({"diff": diff(outcome.before, after)} if module._diff else {}),
    }


def _absent(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    snapshot = params["final_db_snapshot_identifier"] or names.final_snapshot
    removal = Removal(
        identifier=params["db_cluster_identifier"] or names.cluster,
        snapshot=None if params["skip_final_snapshot"] else snapshot,
        unprotect=params["deletion_protection"] is False,
        waits=_waits(module),
    )
    before = remove(Api(module.client("rds")), names, removal, journal)
    return {
        "blue": None,
        "green": before.as_dict() if before and journal.check_mode else None,
        **({"diff": diff(before, {})} if module._diff else {}),
    }


def _waits(module: AnsibleAWSModule) -> Waits:
    return Waits(module.params["wait_timeout"], module.params["wait_delay"], module.params["wait"])


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            **wait_options(timeout=3600),
            "state": {"type": "str", "choices": ["present", "prepared", "absent"], "default": "present"},
            "source_db_cluster_identifier": {"type": "str"},
            "source_snapshot_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
            "writer_db_instance_identifier": {"type": "str"},
            "deployment_mode": {"type": "str", "choices": ["auto", "new", "resume"], "default": "auto"},
            "instances": {"type": "raw", "default": "mirror"},
            "db_cluster_parameter_group_name": {"type": "str"},
            "db_parameter_group_name": {"type": "str"},
            "vpc_security_group_ids": {"type": "list", "elements": "str"},
            "db_subnet_group_name": {"type": "str"},
            "parameter_overrides": {"type": "dict"},
            "deletion_protection": {"type": "bool"},
            "skip_final_snapshot": {"type": "bool", "default": False},
            "final_db_snapshot_identifier": {"type": "str"},
            "tags": {"type": "dict"},
            "purge_tags": {"type": "bool", "default": True},
        },
        required_if=[
            ["state", "present", ["source_db_cluster_identifier"]],
            ["state", "prepared", ["source_db_cluster_identifier", "source_snapshot_identifier"]],
        ],
        mutually_exclusive=[["db_cluster_parameter_group_name", "parameter_overrides"]],
        supports_check_mode=True,
    )
    body = _absent if module.params["state"] == "absent" else _present
    run(module, lambda names, journal: body(module, names, journal))


if __name__ == "__main__":
    main()
