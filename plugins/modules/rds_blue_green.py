#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_blue_green
version_added: 0.1.0
short_description: Make, take over or delete a Blue/Green Deployment that RDS manages
description:
  - Makes a Blue/Green Deployment of an Aurora MySQL or Aurora PostgreSQL cluster, or of an RDS for MySQL, MariaDB or PostgreSQL
    instance, and waits until the deployment and every member of green are available.
  - The deployment is found by its name, which is O(deployment_id). One that is there is waited for and never made a second
    time. One of the source with another name is taken over, by tags, when its green is what is wanted and it is nobody's; otherwise the module
    fails with its name.
  - What the service is known to refuse is looked for before it is asked. When the service gives up, its own reasons are fetched from the events
    of the deployment, its clusters and its instances.
  - Nothing about the progress is stored. A run that was killed is continued by running it again.
  - The traffic is moved by M(bluegreen.aws.bg_switchover).
options:
  state:
    description:
      - V(present) makes the deployment and waits for it.
      - V(absent) deletes it. Before the switchover green stays unless O(delete_target=true). After the switchover old
        production stays unless O(delete_source=true), and is closed for writers first, because the service gives up its read-only protection
        with the deployment.
    type: str
    choices: [present, absent]
    default: present
  source:
    description:
      - Blue, as the identifier or the ARN of a DB cluster or of a DB instance. Required with O(state=present).
      - After the switchover it is the name of production still, which the deployment then has as its target.
      - The read replicas of a DB instance are members of its deployment as it is made, each with a counterpart that follows green.
    type: str
  target_engine_version:
    description: Green's engine version, such as V(8.4.mysql_aurora.8.4.7). Blue's when left out.
    type: str
  target_db_cluster_parameter_group_name:
    description:
      - Green's DB cluster parameter group. For a DB cluster.
      - When left out it is blue's as long as the family stays, and the default one of the new family when blue has a default one. Blue's own group
        of another family has to have a counterpart, which O(prepare=true) makes.
    type: str
  target_db_parameter_group_name:
    description: The DB parameter group of all of green's instances. When left out it is chosen as the one of the cluster is.
    type: str
  target_db_instance_class:
    description: The instance class of green. For a DB instance.
    type: str
  upgrade_target_storage_config:
    description: Whether green's storage is moved to the current file system configuration. For a DB instance.
    type: bool
  target_iops:
    description: Green's provisioned IOPS. For a DB instance.
    type: int
  target_storage_type:
    description: Green's type of storage. For a DB instance.
    type: str
    choices: [gp2, gp3, io1, io2]
  target_allocated_storage:
    description: Green's storage in GiB. It can be less than blue's. For a DB instance.
    type: int
  target_storage_throughput:
    description: Green's storage throughput. For a DB instance with storage of the type V(gp3).
    type: int
  target_resource_configurations:
    description:
      - What a member of green has differently from its counterpart in blue, such as the encryption key.
      - Needs botocore 1.44.5 or newer.
    type: list
    elements: dict
    suboptions:
      source_arn:
        description: The ARN of the DB cluster or the DB instance in blue.
        type: str
        required: true
      target_kms_key_id:
        description: The KMS key of its counterpart in green. With it an unencrypted database becomes an encrypted one.
        type: str
  prepare:
    description:
      - Whether blue is made ready first. Its own parameter group turns on what the replication to green needs (C(binlog_format) on Aurora MySQL,
        C(rds.logical_replication) on Aurora PostgreSQL and on RDS for PostgreSQL with a major upgrade), its writer is rebooted when
        O(reboot_blue=true), and groups of green's family are made with blue's values.
      - With O(blue) a MySQL server keeps its binary log for a day when it keeps none, and gets a first row into a fresh log, without which
        green stops with error 1236.
    type: bool
    default: false
  binlog_format:
    description: The value of C(binlog_format) that O(prepare) sets where the binary log is off.
    type: str
    choices: [ROW, MIXED, STATEMENT]
    default: ROW
  reboot_blue:
    description: Whether O(prepare) may reboot blue's writer, which interrupts production for some seconds.
    type: bool
    default: false
  reboot_green:
    description: Whether members of green whose parameter group waits for a reboot are rebooted. Nobody is served by green yet.
    type: bool
    default: true
  delete_target:
    description:
      - Whether O(state=absent) deletes green too, before the switchover. Without it a green of MySQL goes on as a replica of blue, and one of
        PostgreSQL becomes a database of its own.
      - Refused after a switchover that failed in the middle, when green may be what serves.
    type: bool
    default: false
  delete_source:
    description:
      - Whether O(state=absent) deletes old production too, after the switchover. First its instances, or its read replicas, then
        the cluster or the instance, with a last snapshot unless O(skip_final_snapshot=true), and only then the deployment.
    type: bool
    default: false
  fence_source:
    description:
      - What O(state=absent) does with an old production that stays, after the switchover.
      - V(parameter_group) closes it for writers by a parameter group of its own (C(read_only) or C(default_transaction_read_only)) and reboots it,
        before the deployment goes. V(none) leaves it open for writers, whose writes are lost.
    type: str
    choices: [parameter_group, none]
    default: parameter_group
  deletion_protection:
    description:
      - With O(state=absent), V(false) lifts the deletion protection of what O(delete_target) or O(delete_source) deletes. Without it what is
        protected is refused.
      - New production is always protected as old production was.
    type: bool
  skip_final_snapshot:
    description: Whether O(delete_source=true) deletes old production without a last snapshot.
    type: bool
    default: false
  final_db_snapshot_identifier:
    description: The name of the last snapshot of old production. Defaults to O(deployment_id) followed by C(-final).
    type: str
  tags:
    description: Tags of the deployment, in addition to those that say whose it is.
    type: dict
  purge_tags:
    description: Whether tags of the deployment that are not in O(tags) are removed, when O(tags) is given.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that each wait may take. Making green takes from half an hour to hours.
    type: int
    default: 7200
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.wait
  - bluegreen.aws.deployment.blue_connection
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details: Reboots that are found necessary only after a change are not predicted.
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - With O(wait=false) a run does what can be done at once; run it again for the rest.
  - After O(state=absent) with an old production that stays nothing tells the module of it any more. It is deleted by hand.
seealso:
  - module: bluegreen.aws.rds_blue_green_info
  - module: bluegreen.aws.bg_readiness
  - module: bluegreen.aws.bg_switchover
  - name: Overview of Amazon Aurora Blue/Green Deployments
    description: What the service does, and its limits.
    link: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-overview.html
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Make a deployment with a new major version, blue prepared for it
  bluegreen.aws.rds_blue_green:
    deployment_id: shop-84
    source: shop
    target_engine_version: 8.4.mysql_aurora.8.4.7
    prepare: true
    reboot_blue: true
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

- name: Make one of an instance with storage of another size
  bluegreen.aws.rds_blue_green:
    deployment_id: bills-smaller
    source: arn:aws:rds:eu-central-1:123456789012:db:bills
    target_db_instance_class: db.r7g.large
    target_allocated_storage: 200

- name: Give it up, green included
  bluegreen.aws.rds_blue_green:
    state: absent
    deployment_id: shop-84
    delete_target: true

- name: Clean up after the switchover, with a last snapshot of old production
  bluegreen.aws.rds_blue_green:
    state: absent
    deployment_id: shop-84
    delete_source: true
"""

RETURN = r"""
deployment:
  description: The deployment. Null when there is none, with O(state=absent) as it was before.
  returned: success
  type: dict
  contains:
    blue_green_deployment_identifier:
      description: The identifier.
      type: str
      sample: bgd-0123456789abcdef
    blue_green_deployment_name:
      description: The name.
      type: str
    source:
      description: The ARN of blue, after the switchover of old production.
      type: str
    target:
      description: The ARN of green, after the switchover of production.
      type: str
    status:
      description: The status.
      type: str
      sample: AVAILABLE
    status_details:
      description: What the service says of it.
      type: str
    members:
      description: Clusters and instances, each with its C(source), C(target) and C(status).
      type: list
      elements: dict
    tasks:
      description: The steps of the creation, each with its C(name) and C(status).
      type: list
      elements: dict
    create_time:
      description: When it was made.
      type: str
    tags:
      description: Its tags.
      type: dict
blue:
  description: The source. Null when it is not there.
  returned: success
  type: dict
  contains: &place
    identifier:
      description: The identifier.
      type: str
    arn:
      description: The ARN.
      type: str
    engine:
      description: The engine.
      type: str
    engine_version:
      description: The engine version.
      type: str
    status:
      description: The status.
      type: str
    host:
      description: The writer's endpoint.
      type: str
    port:
      description: The port.
      type: int
    reader_host:
      description: The reader endpoint of a cluster.
      type: str
    db_cluster_parameter_group_name:
      description: The DB cluster parameter group of a cluster.
      type: str
    db_parameter_group_names:
      description: The DB parameter groups of the instances.
      type: list
      elements: str
    deletion_protection:
      description: Whether it is protected against deletion.
      type: bool
    members:
      description: The instances, the writer first.
      type: list
      elements: dict
green:
  description: The target. Null when it is not there.
  returned: success
  type: dict
  contains: *place
differences:
  description: What green has differently from blue, of version, classes and parameter groups.
  returned: success
  type: list
  elements: str
progress:
  description: What changed while it was waited for. Each entry has the C(seconds) since the beginning, C(status), C(tasks) and C(members).
  returned: always
  type: list
  elements: dict
reasons:
  description: What the service tells in its events of why it gave up.
  returned: when the service gave up
  type: list
  elements: str
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

from typing import Any

try:
    from botocore import __version__ as BOTOCORE
except ImportError:  # AnsibleAWSModule says so, in its own words
    BOTOCORE = "none"

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import managed_absent, managed_present, managed_rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_clusters import Regions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Deployment, Place
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed_plan import Removal
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed_wait import Progress
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    mysql_endpoint,
    run,
    wait_options,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import first_write


def _present(module: AnsibleAWSModule, names: Names, journal: Journal, progress: Progress) -> dict[str, Any]:
    params = module.params
    regions = _regions(module)

    def begin(place: Place, journal: Journal) -> None:
        if "postgres" not in place.engine:
            first_write.begin(mysql_endpoint(module, "blue"), names.deployment_id, journal)

    request = managed_present.Request(
        source=params["source"],
        regions=regions,
        options=params,
        parameters=managed_rules.parameters(params, regions.home_api.accepts("create_blue_green_deployment"), BOTOCORE),
        tags=params["tags"],
        purge_tags=params["purge_tags"],
        prepare=params["prepare"],
        reboot_blue=params["reboot_blue"],
        reboot_green=params["reboot_green"],
        binlog_format=params["binlog_format"],
        waits=_waits(module),
        first_write=begin if params["blue"] and params["prepare"] else None,
    )
    outcome = managed_present.ensure(names, request, journal, progress)
    for sentence in outcome.warnings:
        module.warn(sentence)
    before = managed_rules.shape(outcome.before)
    after = managed_rules.shape(outcome.green)
    if journal.check_mode and outcome.deployment is None and outcome.blue:
        after = managed_rules.planned(outcome.blue, outcome.wanted)
    return {
        **_result(outcome.deployment, outcome.blue, outcome.green),
        **({"diff": {"before": before, "after": after}} if module._diff else {}),
    }


def _absent(module: AnsibleAWSModule, names: Names, journal: Journal, progress: Progress) -> dict[str, Any]:
    params = module.params
    removal = Removal(
        delete_target=params["delete_target"],
        delete_source=params["delete_source"],
        fence_source=params["fence_source"] == "parameter_group",
        unprotect=params["deletion_protection"] is False,
    )
    snapshot = params["final_db_snapshot_identifier"] or names.final_snapshot
    kept = None if params["skip_final_snapshot"] else snapshot
    request = managed_absent.Request(_regions(module), removal, kept, _waits(module))
    outcome = managed_absent.remove(names, request, journal)
    for sentence in outcome.warnings:
        module.warn(sentence)
    found = outcome.deployment
    before = {"deployment": found.name, "status": found.status} if found else {}
    return {
        **_result(found, outcome.blue, outcome.green),
        **({"diff": {"before": before, "after": {}}} if module._diff else {}),
    }


def _result(deployment: Deployment | None, blue: Place | None, green: Place | None) -> dict[str, Any]:
    return {
        "deployment": deployment.as_dict() if deployment else None,
        "blue": blue.as_dict() if blue else None,
        "green": green.as_dict() if green else None,
        "differences": managed_rules.differences(blue, green),
    }


def _regions(module: AnsibleAWSModule) -> Regions:
    home = module.client("rds")
    region = home.meta.region_name
    return Regions(region, lambda name: Api(home if name == region else module.client("rds", region=name)))


def _waits(module: AnsibleAWSModule) -> Waits:
    return Waits(module.params["wait_timeout"], module.params["wait_delay"], module.params["wait"])


def main() -> None:
    states = {"present": _present, "absent": _absent}
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            **wait_options(timeout=7200),
            "state": {"type": "str", "choices": list(states), "default": "present"},
            "source": {"type": "str"},
            "target_engine_version": {"type": "str"},
            "target_db_cluster_parameter_group_name": {"type": "str"},
            "target_db_parameter_group_name": {"type": "str"},
            "target_db_instance_class": {"type": "str"},
            "upgrade_target_storage_config": {"type": "bool"},
            "target_iops": {"type": "int"},
            "target_storage_type": {"type": "str", "choices": ["gp2", "gp3", "io1", "io2"]},
            "target_allocated_storage": {"type": "int"},
            "target_storage_throughput": {"type": "int"},
            "target_resource_configurations": {
                "type": "list",
                "elements": "dict",
                "options": {"source_arn": {"type": "str", "required": True}, "target_kms_key_id": {"type": "str"}},
            },
            "prepare": {"type": "bool", "default": False},
            "binlog_format": {"type": "str", "choices": ["ROW", "MIXED", "STATEMENT"], "default": "ROW"},
            "reboot_blue": {"type": "bool", "default": False},
            "reboot_green": {"type": "bool", "default": True},
            "delete_target": {"type": "bool", "default": False},
            "delete_source": {"type": "bool", "default": False},
            "fence_source": {"type": "str", "choices": ["parameter_group", "none"], "default": "parameter_group"},
            "deletion_protection": {"type": "bool"},
            "skip_final_snapshot": {"type": "bool", "default": False},
            "final_db_snapshot_identifier": {"type": "str"},
            "tags": {"type": "dict"},
            "purge_tags": {"type": "bool", "default": False},
            "blue": connection_options(),
        },
        required_if=[["state", "present", ["source"]]],
        supports_check_mode=True,
    )
    progress = Progress()

    def body(names: Names, journal: Journal) -> dict[str, Any]:
        try:
            return {
                **states[module.params["state"]](module, names, journal, progress),
                "progress": progress.entries,
            }
        except BlueGreenError as error:
            error.details.setdefault("progress", progress.entries)
            raise

    run(module, body)


if __name__ == "__main__":
    main()
