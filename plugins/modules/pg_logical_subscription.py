#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_logical_subscription
version_added: 0.1.0
short_description: Keep a clone of a PostgreSQL cluster in sync with it by logical replication
description:
  - Makes blue ready to be cloned, commits the position that the clone corresponds to, and subscribes green to blue from
    exactly that position, in every database.
  - The states are steps, to be run in this order around the clone and the upgrade of green, V(prepared), clone,
    V(positioned), upgrade, V(running). Each does only what is missing, so a step that was killed is completed by
    running it again.
  - Guardrails come first. When one of them fails, nothing is changed; M(bluegreen.aws.bg_readiness) shows them all.
  - After a switchover V(prepared), V(positioned), V(running) and V(stopped) change nothing and say so.
options:
  state:
    description:
      - V(prepared) makes the replication role on blue and, in each database, the marker table, the publication of all tables
        and the replication slot, in this order. Before the clone.
        Where both sides are given and blue follows green by another replication, as green of a deployment that RDS manages does, it
        arms a way back for the time when blue will have been opened. Then green is no clone, and has to have every table and column of
        blue, and blue has to have PostgreSQL 16 or later.
      - V(positioned) reads the position on green before any upgrade and commits it to the control record on green. Then it
        drops the slots and subscriptions that the clone carried along, rolls back its prepared transactions and closes green
        for writers.
        For a way back, and when blue was opened, the position is that of the first write of a client on blue. Then role, marker
        table and publication are made on green, and nothing of green is dropped.
      - V(running) subscribes each database of green at the position and waits for the lag.
      - V(stopped) stops the subscriptions where they are. Blue keeps its log for them, which takes storage.
      - V(absent) removes everything that replication made, in both directions and on the sides that are given. Whether a
        side is closed for writers stays as it is.
      - V(detached) makes a clone of green, given as O(green), a database of its own that clients can write to. It takes the
        copied subscriptions, slots, prepared transactions and the control record from it, without a word to blue. The clone
        must have been started with C(max_logical_replication_workers = 0).
    type: str
    choices: [prepared, positioned, running, stopped, absent, detached]
    default: running
  blue:
    description:
      - The connection to blue, the cluster that serves production now.
      - Needed for every state but V(state=absent) and V(state=detached).
  green:
    description:
      - The connection to green, the copy that will serve production next.
      - Needed for V(state=positioned), V(state=running), V(state=stopped) and V(state=detached). Give it for V(state=prepared) too as soon as
        green exists.
      - Blue's endpoint must be reachable from green's server and the other way round.
  databases:
    description:
      - The databases to replicate.
      - Defaults to every database that accepts connections except templates, C(rdsadmin) and the control database.
    type: list
    elements: str
  position:
    description:
      - The position in blue's log that the clone corresponds to, as C(16/B374D848).
      - Defaults to what C(aurora_volume_logical_start_lsn) says on green. Used by O(state=positioned) only.
    type: str
  replication_ssl_mode:
    description: The C(sslmode) with which green's server connects to blue.
    type: str
    choices: [disable, require, verify-ca, verify-full]
    default: require
  slot_timeout:
    description:
      - Seconds to wait for each slot of O(state=prepared). The server makes a slot when every transaction that has written
        and is still open has ended.
      - Also the seconds to try for each table whose replica identity is changed while the table is in use. No client waits
        longer than a quarter of a second at a time for that.
    type: int
    default: 60
  replica_identity:
    description:
      - What O(state=prepared) does about tables on blue that have no usable replica identity. C(UPDATE) and C(DELETE) fail on
        them as soon as they are published.
      - V(refuse) changes nothing and names them.
      - V(index) gives a table the replica identity of a unique index that is valid, not partial, not deferrable and over
        columns that are C(NOT NULL) and not generated. A table without such an index is refused.
      - V(full) does the same, and gives C(REPLICA IDENTITY FULL) to a table without such an index. Green then finds each
        changed row by its whole content, which is slow in a large table. A table with generated columns, or with a column
        whose type has no equality, such as C(json), is refused.
      - What was changed is noted on blue, and given back by O(state=absent).
    type: str
    choices: [refuse, full, index]
    default: refuse
  drift:
    description:
      - What O(state=running) does about a schema that was changed on blue after the clone, which is not replicated.
      - V(refuse) fails when replication stops or leaves rows out because of it, each change being named. Whatever else was
        changed stops the switchover only.
      - V(apply) makes the same changes on green, as far as they follow from the catalog. These are new and dropped tables and
        partitions (the rows of new ones are copied), columns, indexes, constraints, sequences, views, functions, triggers and
        schemas, defaults, C(NOT NULL), wider types and values of an enum. It fails for everything else, before anything is
        changed, and says what to do by hand.
      - What is declared in O(expected_differences) is left alone.
    type: str
    choices: [refuse, apply]
    default: refuse
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.replication
  - bluegreen.aws.deployment.wait
  - bluegreen.aws.deployment.connections
  - bluegreen.aws.deployment.expected_differences
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details: The lag in seconds is not measured in check mode, because measuring it takes a write.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: The marker rows that measure the lag do not count as a change.
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Prepare blue before it is cloned
  bluegreen.aws.pg_logical_subscription:
    state: prepared
    deployment_id: shop-pg18
    blue: &blue
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

- name: Keep the clone's position, before it is upgraded
  bluegreen.aws.pg_logical_subscription:
    state: positioned
    deployment_id: shop-pg18
    blue: *blue
    green: &green
      host: shop-pg18.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

- name: Replicate until green is less than two seconds behind
  bluegreen.aws.pg_logical_subscription:
    state: running
    deployment_id: shop-pg18
    blue: *blue
    green: *green
    max_lag: 2

- name: Remove everything that replication made, blue being deleted already
  bluegreen.aws.pg_logical_subscription:
    state: absent
    deployment_id: shop-pg18
    green: *green
"""

RETURN = r"""
replication:
  description: The replication as it is now. Null before there is a control record.
  returned: success
  type: dict
  contains:
    running:
      description: Whether every database replicates.
      type: bool
    direction:
      description: V(forward) from blue to green, V(reverse) from green to blue. Null when none was started.
      type: str
    position:
      description: Where the subscriber's data began in the publisher's log.
      type: str
      sample: 16/B374D848
    lag:
      description: How far the subscriber is behind. Null when it could not be told, which is never 0.
      type: dict
      contains:
        seconds:
          description: How long a marker took from the publisher to the subscriber.
          type: float
        bytes:
          description: Bytes of log that the subscriber has not confirmed, all databases together.
          type: int
    error:
      description: What is wrong, and what to do. Null when nothing is.
      type: str
    databases:
      description: The same for each database.
      type: dict
serving:
  description: Which side is open for writers, V(blue), V(green) or V(unknown).
  returned: success, unless O(state=absent) or O(state=detached)
  type: str
drift:
  description: What was changed on blue since the clone, or on green on purpose.
  returned: when O(state=running) failed because of it
  type: list
  elements: dict
  contains:
    database:
      description: The database.
      type: str
    kind:
      description: The kind of object.
      type: str
    object:
      description: The object with its schema, and its table when it is a part of one.
      type: str
    change:
      description: C(created), C(altered), C(dropped), or C(recreated) when it was dropped and created again.
      type: str
    side:
      description: Where it was changed.
      type: str
    statements:
      description: What makes the same on green. Empty when that does not follow from the catalog.
      type: list
      elements: str
msg:
  description: Why nothing was done.
  returned: when the traffic has moved to green already
  type: str
checks:
  description: Every guardrail as M(bluegreen.aws.bg_readiness) returns it.
  returned: when a guardrail failed
  type: list
  elements: dict
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: ["create publication bg_shop_pg18 in shop on blue"]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
blue:
  description: Where blue answers. Null when it was not given.
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

from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    expected_differences_option,
    postgresql_endpoint,
    replicated,
    replication_options,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.deployment import Request, reach


def _request(params: dict[str, Any]) -> Request:
    return Request(
        state=params["state"],
        databases=params["databases"],
        position=params["position"],
        replication_ssl_mode=params["replication_ssl_mode"],
        max_lag=params["max_lag"],
        wait=params["wait"],
        wait_timeout=params["wait_timeout"],
        wait_delay=params["wait_delay"],
        slot_timeout=params["slot_timeout"],
        replica_identity=params["replica_identity"],
        drift=params["drift"],
        expected=ExpectedDifferences.of(params["expected_differences"]),
    )


def _replicate(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    blue, green = (postgresql_endpoint(module, side) if module.params[side] else None for side in ("blue", "green"))
    return replicated(module, reach(_request(module.params), blue, green, names, journal), blue, green)


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **replication_options("detached"),
            "databases": {"type": "list", "elements": "str"},
            "replication_ssl_mode": {
                "type": "str",
                "choices": ["disable", "require", "verify-ca", "verify-full"],
                "default": "require",
            },
            "slot_timeout": {"type": "int", "default": 60},
            "replica_identity": {"type": "str", "choices": ["refuse", "full", "index"], "default": "refuse"},
            "drift": {"type": "str", "choices": ["refuse", "apply"], "default": "refuse"},
            "expected_differences": expected_differences_option(),
        },
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _replicate(module, names, journal))


if __name__ == "__main__":
    main()
