#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aurora_global_database
version_added: 0.1.0
short_description: Make green an Aurora global database as blue is one, or take it apart again
description:
  - Makes green the primary of a global cluster of its own and gives it a secondary cluster in every Region in which blue
    has one. A secondary gets what blue's has there. That is its instances (classes, Availability Zones, promotion tiers),
    the values of its parameter groups in the family of green's engine version, its subnet group, security groups,
    encryption key, log exports, IAM roles, deletion protection and tags. A secondary without instances gets none.
  - Run it when green has its final engine version, because the members of a global database cannot be upgraded one by
    one. M(bluegreen.aws.aurora_upgrade) comes before it.
  - Nothing about the progress is stored. Each run looks at what exists and does what is missing, so a run that was killed
    is continued by running it again.
  - Secondary clusters and instances are added when they are missing; those that exist are not changed, and nothing is
    deleted, except by O(state=absent).
  - Blue's global cluster and its members are only read. The one thing that this module may change on them is write
    forwarding, with O(state=write_forwarding_off) and O(state=write_forwarding_on).
  - A secondary that forwards writes is a writer on the primary. Green's secondaries are made without it, and it moves
    with the traffic.
options:
  state:
    description:
      - V(present) makes the global database or what is missing of it.
      - V(absent) deletes the instances of green's secondaries, removes the secondaries from the global cluster, deletes
        them with the parameter groups that the deployment made in their Regions, removes green from the global cluster
        and deletes that. Green stays, as a cluster by itself.
      - V(write_forwarding_off) turns off write forwarding of the secondaries of O(side), before the traffic leaves that
        side, and keeps in a tag of green's cluster where it was on.
      - V(write_forwarding_on) turns it on again where it was on, on the secondaries of O(side), the side that serves now.
    type: str
    choices: [present, absent, write_forwarding_off, write_forwarding_on]
    default: present
  source_db_cluster_identifier:
    description:
      - Blue. Required with O(state=present) and with O(side=blue).
      - With O(state=absent) its Regions are looked at too, for what an interrupted removal has left.
    type: str
  db_cluster_identifier:
    description: Green's identifier. Defaults to O(deployment_id).
    type: str
  global_cluster_identifier:
    description: The identifier of green's global cluster. Defaults to O(deployment_id) followed by C(-global).
    type: str
  regions:
    description:
      - V(mirror) for the Regions in which blue's global database has a secondary cluster. With a blue that is in no global
        database there is nothing to do then.
      - Or a list of dictionaries, one for each Region. Each has a C(region) and may have C(db_cluster_identifier),
        C(instances), C(db_subnet_group_name), C(vpc_security_group_ids), C(db_cluster_parameter_group_name),
        C(db_parameter_group_name), C(kms_key_id) and C(enable_global_write_forwarding).
      - C(instances) is a number, V(0) for none, or a list of dictionaries as O(bluegreen.aws.aurora_clone#module:instances)
        takes them.
      - What is left out is as on blue's secondary in that Region. In a Region where blue has none it is as on green, with
        one instance like green's writer, and the subnet group, the security groups and the key are the service's default.
      - C(enable_global_write_forwarding) is what O(state=write_forwarding_on) does for the secondary, whatever was on for
        blue.
    type: raw
    default: mirror
  engine_version:
    description:
      - The engine version that green has to have. A green with another one is refused.
      - In check mode, while green does not exist, it is what the future green is planned with.
    type: str
  side:
    description: The side whose secondaries are meant with O(state=write_forwarding_off) and O(state=write_forwarding_on).
    type: str
    choices: [blue, green]
  write_forwarding:
    description:
      - What O(state=write_forwarding_off) does when a secondary forwards writes. V(refuse) changes nothing and fails with
        the secondaries and the command that turns it off, V(disable) turns it off.
    type: str
    choices: [refuse, disable]
    default: refuse
  serving:
    description:
      - The side that serves, as RV(bluegreen.aws.bg_info#module:serving) tells. O(state=absent) is refused unless it is
        V(blue), because a green that serves would lose its other Regions.
    type: str
    choices: [blue, green, unknown]
    default: unknown
  force:
    description: Whether O(state=absent) goes on although it is not known that blue serves.
    type: bool
    default: false
  deletion_protection:
    description:
      - Whether what is made is protected against deletion. Defaults to what blue's global cluster and secondaries are.
      - With O(state=absent) what is protected is refused, unless this is V(false).
    type: bool
  skip_final_snapshot:
    description: Whether O(state=absent) deletes the secondary clusters without a last snapshot.
    type: bool
    default: false
  final_db_snapshot_identifier:
    description:
      - The name of the snapshot that O(state=absent) takes of a secondary, in its Region, unless
        O(skip_final_snapshot=true).
      - Defaults to O(deployment_id) followed by C(-final).
    type: str
  tags:
    description:
      - Tags for the global cluster, the secondary clusters and their instances, in addition to blue's and to those that
        say whose they are.
      - When it is given, what exists gets the tags that it lacks. None are removed.
    type: dict
  wait_timeout:
    description:
      - Seconds that each step may take. The steps are the global cluster, each secondary cluster, its instances, each
        reboot, each removal and each deletion.
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
    details: Reboots that are found necessary only after a change are not predicted.
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - With O(wait=false) a run does what can be done at once; run it again for the rest.
  - The module runs in the Region of blue and green and calls the API of the other Regions with the same credentials. An
    endpoint of one Region must not be given by C(endpoint_url) then.
  - Members of a global database cannot have a master password that Secrets Manager manages.
seealso:
  - module: bluegreen.aws.aurora_clone
  - module: bluegreen.aws.aurora_upgrade
  - module: bluegreen.aws.bg_info
  - name: Using Amazon Aurora Global Database
    description: What a global database is, and its limits.
    link: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database.html
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Make green a global database as blue is
  bluegreen.aws.aurora_global_database:
    deployment_id: shop-pg18
    source_db_cluster_identifier: shop
    engine_version: "18.4"

- name: Make green a global database with one Region of its own choice
  bluegreen.aws.aurora_global_database:
    deployment_id: shop-pg18
    source_db_cluster_identifier: shop
    regions:
      - region: eu-west-1
        instances: 2
        db_subnet_group_name: private
        vpc_security_group_ids: [sg-0a1b2c3d4e5f60718]

- name: Turn off write forwarding to blue before the switchover
  bluegreen.aws.aurora_global_database:
    state: write_forwarding_off
    deployment_id: shop-pg18
    source_db_cluster_identifier: shop
    side: blue
    write_forwarding: disable

- name: Turn it on for green's secondaries after the switchover
  bluegreen.aws.aurora_global_database:
    state: write_forwarding_on
    deployment_id: shop-pg18
    side: green

- name: Take green's global database apart while blue serves
  bluegreen.aws.aurora_global_database:
    state: absent
    deployment_id: shop-pg18
    source_db_cluster_identifier: shop
    serving: blue
    skip_final_snapshot: true
"""

RETURN = r"""
blue:
  description: Blue. Null when it is not named.
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
      description: The writer endpoint; of a secondary cluster one that takes no connections.
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
      description: The instances.
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
  description: Green. Null when it does not exist.
  returned: success
  type: dict
  contains: *cluster
global_database:
  description:
    - Green's global cluster. Null when there is none, in check mode also when it would be made.
    - With O(state=absent) null, in check mode what would be removed.
  returned: O(state=present) or O(state=absent)
  type: dict
  contains:
    global_cluster_identifier:
      description: The identifier.
      type: str
      sample: shop-pg18-global
    global_cluster_arn:
      description: The ARN.
      type: str
    status:
      description: The status.
      type: str
      sample: available
    engine_version:
      description: The engine version.
      type: str
    members:
      description: The members, the primary first.
      type: list
      elements: dict
      contains:
        db_cluster_arn:
          description: The cluster's ARN.
          type: str
        db_cluster_identifier:
          description: The cluster's identifier.
          type: str
        region:
          description: Its Region.
          type: str
          sample: eu-west-1
        is_writer:
          description: Whether it is the primary.
          type: bool
        write_forwarding:
          description: The status of write forwarding.
          type: str
          sample: disabled
        synchronization_status:
          description: Whether it follows the primary.
          type: str
          sample: connected
secondaries:
  description: Green's secondary clusters by Region.
  returned: O(state=present) or O(state=absent)
  type: dict
write_forwarding:
  description: Write forwarding of the secondaries of O(side), and the Regions in which it is still to be turned on.
  returned: O(state=write_forwarding_off) or O(state=write_forwarding_on)
  type: dict
  contains:
    secondaries:
      description: The secondaries as they were found, each with C(region), C(db_cluster_identifier) and C(forwards).
      type: list
      elements: dict
    pending:
      description: The Regions in which it was turned off and is not on again.
      type: list
      elements: str
      sample: [eu-west-1]
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample:
    - create global cluster shop-pg18-global with shop-pg18 as its primary
    - create secondary cluster shop-pg18-eu-west-1 in eu-west-1
    - create instance shop-pg18-eu-west-1-1 (db.r7g.large) in eu-west-1
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import tending, write_forwarding
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, read_cluster, require_cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_building import build
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_clusters import Regions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_database import GlobalOptions, named_regions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_diffs import planned, shape
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_places import Request
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_removal import Dissolution, dissolve
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import deployment_options, run, wait_options


def _present(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    regions = _regions(module)
    request = Request(
        source=params["source_db_cluster_identifier"],
        green=params["db_cluster_identifier"] or names.cluster,
        options=GlobalOptions(
            identifier=params["global_cluster_identifier"] or names.global_cluster,
            regions=params["regions"],
            deletion_protection=params["deletion_protection"],
            tags=params["tags"],
            accepted=regions.home_api.accepts("create_db_cluster"),
        ),
        engine_version=params["engine_version"],
        waits=_waits(module),
    )
    outcome = build(regions, names, request, journal)
    for sentence in outcome.warnings:
        module.warn(sentence)
    before = shape(outcome.before, {p.region: p.before for p in outcome.places if p.before})
    after = planned(before, request, outcome) if journal.check_mode else shape(outcome.found, outcome.secondaries)
    return {
        "blue": outcome.blue.as_dict(),
        "green": _as_dict(outcome.green),
        "global_database": outcome.found.as_dict() if outcome.found else None,
        "secondaries": {region: cluster.as_dict() for region, cluster in outcome.secondaries.items()},
        **({"diff": {"before": before, "after": after}} if module._diff else {}),
    }


def _absent(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    regions = _regions(module)
    green = params["db_cluster_identifier"] or names.cluster
    request = Dissolution(
        identifier=params["global_cluster_identifier"] or names.global_cluster,
        green=green,
        source=params["source_db_cluster_identifier"],
        places=named_regions(params["regions"]),
        snapshot=None
        if params["skip_final_snapshot"]
        else params["final_db_snapshot_identifier"] or names.final_snapshot,
        unprotect=params["deletion_protection"] is False,
        safe=params["serving"] == "blue" or params["force"],
        waits=_waits(module),
    )
    before, secondaries = dissolve(regions, names, request, journal)
    shown = journal.check_mode
    return {
        "blue": _as_dict(_blue(module, regions)),
        "green": _as_dict(read_cluster(regions.home_api, green)),
        "global_database": before.as_dict() if before and shown else None,
        "secondaries": {region: cluster.as_dict() for region, cluster in secondaries.items()} if shown else {},
        **({"diff": {"before": shape(before, secondaries), "after": {}}} if module._diff else {}),
    }


def _forwarding(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    regions = _regions(module)
    api, identifier = regions.home_api, params["db_cluster_identifier"] or names.cluster
    green = write_forwarding.only_ours(read_cluster(api, identifier), names.deployment_id)
    blue = _blue(module, regions)
    if params["side"] == "blue":
        cluster = blue or require_cluster(api, params["source_db_cluster_identifier"], "blue")
    else:
        cluster = green or require_cluster(api, identifier, "green")
        tending.require_ours(cluster, names.deployment_id, "green")
    before = write_forwarding.Sides(regions, names.deployment_id, cluster, green, _waits(module))
    if params["state"] == "write_forwarding_off":
        found, pending = write_forwarding.turn_off(before, params["write_forwarding"], journal)
    else:
        found, pending = write_forwarding.turn_on(before, journal)
    state = [{"region": one.region, "db_cluster_identifier": one.identifier, "forwards": one.forwards} for one in found]
    return {
        "blue": _as_dict(blue),
        "green": _as_dict(green),
        "write_forwarding": {"secondaries": state, "pending": sorted(pending)},
    }


def _regions(module: AnsibleAWSModule) -> Regions:
    home = module.client("rds")
    region = home.meta.region_name
    return Regions(region, lambda name: Api(home if name == region else module.client("rds", region=name)))


def _blue(module: AnsibleAWSModule, regions: Regions) -> Cluster | None:
    source = module.params["source_db_cluster_identifier"]
    return read_cluster(regions.home_api, source) if source else None


def _as_dict(cluster: Cluster | None) -> dict[str, Any] | None:
    return cluster.as_dict() if cluster else None


def _waits(module: AnsibleAWSModule) -> Waits:
    return Waits(module.params["wait_timeout"], module.params["wait_delay"], module.params["wait"])


def main() -> None:
    states = {
        "present": _present,
        "absent": _absent,
        "write_forwarding_off": _forwarding,
        "write_forwarding_on": _forwarding,
    }
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            **wait_options(timeout=3600),
            "state": {"type": "str", "choices": list(states), "default": "present"},
            "source_db_cluster_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
            "global_cluster_identifier": {"type": "str"},
            "regions": {"type": "raw", "default": "mirror"},
            "engine_version": {"type": "str"},
            "side": {"type": "str", "choices": ["blue", "green"]},
            "write_forwarding": {"type": "str", "choices": ["refuse", "disable"], "default": "refuse"},
            "serving": {"type": "str", "choices": ["blue", "green", "unknown"], "default": "unknown"},
            "force": {"type": "bool", "default": False},
            "deletion_protection": {"type": "bool"},
            "skip_final_snapshot": {"type": "bool", "default": False},
            "final_db_snapshot_identifier": {"type": "str"},
            "tags": {"type": "dict"},
        },
        required_if=[
            ["state", "present", ["source_db_cluster_identifier"]],
            ["state", "write_forwarding_off", ["side"]],
            ["state", "write_forwarding_on", ["side"]],
            ["side", "blue", ["source_db_cluster_identifier"]],
        ],
        supports_check_mode=True,
    )
    run(module, lambda names, journal: states[module.params["state"]](module, names, journal))


if __name__ == "__main__":
    main()
