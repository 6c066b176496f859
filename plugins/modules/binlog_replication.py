#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: binlog_replication
version_added: 0.1.0
short_description: Keep a clone of an Aurora MySQL cluster in sync with it by binary log replication
description:
  - Makes blue ready to be cloned, commits the position that the clone corresponds to, and lets green replicate from blue from
    exactly that position.
  - The states are steps, to be run in this order around the clone and the upgrade of green, V(prepared), clone,
    V(positioned), upgrade, V(running). Each does only what is missing, so a step that was killed is completed by
    running it again.
  - Guardrails come first. When one of them fails, nothing is changed; M(bluegreen.aws.bg_readiness) shows them all.
  - An error of the replication is reported with its text and what to do. It is never skipped, because a skipped transaction
    is a lost one.
  - After a switchover V(prepared), V(positioned), V(running) and V(stopped) change nothing and say so.
notes:
  - The service's procedures take the password of the replication user as an argument. It is not in the module's output, but
    the server writes the statement to its general log and to an audit log of all queries when those are on. The password
    is renewed whenever the replication is configured.
  - The service's own procedures are used where the server has them, with the names and the number of arguments that it says.
    A MySQL server without them is replicated to and from with plain statements.
options:
  state:
    description:
      - V(prepared) makes the schema C(bluegreen) on blue, raises the retention of the binary log, makes the replication user
        and writes a heartbeat, in this order. Before the clone.
      - V(positioned) finds and checks the position on green before any upgrade and commits it to the control record on green.
        Then it locks the client accounts there.
      - V(running) configures and starts the replication from the position and waits for the lag.
      - V(stopped) stops the replication where it is. Blue keeps its log for O(binlog_retention_hours) only.
      - V(absent) removes everything that replication made, in both directions and on the sides that are given. Whether a
        side is closed for writers stays as it is. Its accounts stay locked then, and the table C(bluegreen.fence) that names
        them is all that is left; C(ALTER USER ... ACCOUNT UNLOCK) for each of them opens it.
    type: str
    choices: [prepared, positioned, running, stopped, absent]
    default: running
  blue:
    description:
      - The connection to blue, the cluster that serves production now.
      - Needed for every state but V(state=absent).
  green:
    description:
      - The connection to green, the copy that will serve production next.
      - Needed for V(state=positioned), V(state=running) and V(state=stopped). Give it for V(state=prepared) too as soon as
        green exists.
      - Blue's endpoint must be reachable from green's server and the other way round.
  db_cluster_identifier:
    description:
      - Green's DB cluster, whose events tell the position. Used by O(state=positioned) only, when both sides have no GTIDs.
      - Defaults to O(deployment_id).
    type: str
  position:
    description:
      - The position in blue's binary log that green's data corresponds to, as C(mysql-bin-changelog.000003:99358949). Used by
        O(state=positioned) only, and only when the GTIDs of both sides are not.
      - Defaults to what the event C(Binlog position from crash recovery) of the clone's first start says.
      - Green can also be what served before blue did, as after a switchover that RDS managed. Then it is what the event
        C(Binary log coordinates in green environment after switchover) says, and has to be given.
      - Whatever it comes from, it is checked by the rows on green and by reading blue's log at that place.
    type: str
  gtid:
    description:
      - V(auto) uses GTIDs when both sides have C(gtid_mode=ON), else the position.
      - V(required) fails when one has not.
      - V(off) uses the position also when both have.
      - Used by O(state=prepared) and O(state=positioned), then the position that is on record decides.
    type: str
    choices: [auto, required, "off"]
    default: auto
  binlog_retention_hours:
    description:
      - Hours that blue keeps its binary log at least. It has to outlast the time without replication, from the clone to the end of
        green's upgrade, and every later pause.
      - It is never lowered. What it was before is given back by O(state=absent). The clone keeps it too, for the way back.
    type: int
    default: 72
  replication_user:
    description:
      - The user that a replica logs in with. 4 to 16 letters, digits and underscores, the first one a letter.
      - By default one is made whose name is derived from O(deployment_id). It may do nothing but replicate.
      - A user that exists already is used as it is and not removed in the end; O(replication_password) is needed then.
    type: str
  replication_password:
    description:
      - The password of O(replication_user), 32 characters at most.
      - By default one is made each time the replication is configured, and nobody knows it.
    type: str
  replication_ssl_mode:
    description:
      - V(require) encrypts the replication and lets the replication user log in over TLS only.
      - V(disable) does not.
    type: str
    choices: [require, disable]
    default: require
  unlocked_accounts:
    description:
      - Accounts as C(user@host), or C(user) for C(user@%), that can log in to green before it is opened, for tests that read.
      - Every other account of a client is locked by O(state=positioned), and unlocked when green is opened by a switchover.
        C(read_only) in green's parameter group is what keeps these from writing.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.replication
  - bluegreen.aws.deployment.wait
  - bluegreen.aws.deployment.connections
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
    details: The marker row that measures the lag does not count as a change.
seealso:
  - module: bluegreen.aws.binlog_canary
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Prepare blue before it is cloned
  bluegreen.aws.binlog_replication:
    state: prepared
    deployment_id: shop-v84
    blue: &blue
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

- name: Keep the clone's position, before it is upgraded
  bluegreen.aws.binlog_replication:
    state: positioned
    deployment_id: shop-v84
    blue: *blue
    green: &green
      host: shop-v84.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

- name: Replicate until green is less than two seconds behind
  bluegreen.aws.binlog_replication:
    state: running
    deployment_id: shop-v84
    blue: *blue
    green: *green
    max_lag: 2

- name: Remove everything that replication made, blue being deleted already
  bluegreen.aws.binlog_replication:
    state: absent
    deployment_id: shop-v84
    green: *green
"""

RETURN = r"""
replication:
  description: The replication as it is now. Null before there is a control record.
  returned: success
  type: dict
  contains:
    running:
      description: Whether the source is connected and what it sends is applied.
      type: bool
    direction:
      description: V(forward) from blue to green, V(reverse) from green to blue. Null when none was started.
      type: str
    position:
      description: Where the replica's data began in the source's log, or its set of GTIDs then.
      type: str
      sample: mysql-bin-changelog.000003:99358949
    mode:
      description: V(gtid) or V(position).
      type: str
    lag:
      description: How far the replica is behind. Null when it could not be told, which is never 0.
      type: dict
      contains:
        seconds:
          description: How long a marker took from the source to the replica.
          type: float
        bytes:
          description: Bytes of the source's log that are not applied.
          type: int
        transactions:
          description: Transactions that are not applied. Null without GTIDs.
          type: int
    error:
      description: What is wrong, and what to do. Null when nothing is.
      type: str
    errant:
      description: The GTIDs that the replica has executed and the source does not know. Null when it cannot be told.
      type: str
checked:
  description:
    - What a position that was recorded now was checked by.
    - V(gtid) is exact. V(canary) says that it is within the 0.1 s of writes in which the clone was made. V(bounds) says that
      it lies between O(state=prepared) and now only.
  returned: success, for O(state=positioned)
  type: str
serving:
  description: Which side is open for writers, V(blue), V(green) or V(unknown).
  returned: success, unless O(state=absent)
  type: str
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
  sample: ["create user bg_shop_v84_repl on blue"]
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

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone_events import reported_position
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    mysql_endpoint,
    replicated,
    replication_options,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.deployment import Request, reach
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.place import Reported
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.replication_user import login

_LONGEST_RETENTION = 90 * 24  # Aurora MySQL reference, mysql.rds_set_configuration


def _request(params: dict[str, Any], names: Names) -> Request:
    hours = params["binlog_retention_hours"]
    if not 1 <= hours <= _LONGEST_RETENTION:
        raise BlueGreenError(f"binlog_retention_hours must be 1 to {_LONGEST_RETENTION}, but is {hours}: correct it.")
    return Request(
        state=params["state"],
        position=params["position"],
        gtid=params["gtid"],
        login=login(
            names.replication_user,
            params["replication_user"],
            params["replication_password"],
            params["replication_ssl_mode"],
        ),
        binlog_retention_hours=hours,
        unlocked_accounts=params["unlocked_accounts"],
        max_lag=params["max_lag"],
        wait=params["wait"],
        wait_timeout=params["wait_timeout"],
        wait_delay=params["wait_delay"],
    )


def _replicate(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    request = _request(module.params, names)
    blue, green = (mysql_endpoint(module, side) if module.params[side] else None for side in ("blue", "green"))

    def reported() -> Reported:
        cluster = module.params["db_cluster_identifier"] or names.cluster
        told = reported_position(Api(module.client("rds")), cluster)
        return Reported(told.position, told.engine_version, told.enhanced_binlog)

    return replicated(module, reach(request, blue, green, names, journal, reported), blue, green)


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **replication_options(),
            "db_cluster_identifier": {"type": "str"},
            "gtid": {"type": "str", "choices": ["auto", "required", "off"], "default": "auto"},
            "binlog_retention_hours": {"type": "int", "default": 72},
            "replication_user": {"type": "str"},
            "replication_password": {"type": "str", "no_log": True},
            "replication_ssl_mode": {"type": "str", "choices": ["require", "disable"], "default": "require"},
            "unlocked_accounts": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _replicate(module, names, journal))


if __name__ == "__main__":
    main()
