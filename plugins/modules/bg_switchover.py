#!/usr/bin/python

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_switchover
version_added: 0.1.0
short_description: Move the traffic of a blue/green deployment, and bring it back
description:
  - Holds the gates, fences the side that serves, waits until the other side has applied everything, opens it,
    points the gates at it and releases them, all in one process over connections that were opened before.
  - No acknowledged write is lost and at no moment can a client write to both sides. What fails before the other side
    is open gives the writes back to the side that served; what fails after it is completed by running the module again.
  - No phase is stored. The next step is derived from what is true now, so a run that was killed at any instant is
    continued by running it again.
  - Replication in the opposite direction is armed before the window and started after it, from the position at which
    the new side opened, so that O(state=rolled_back) loses nothing either.
  - With O(engine=managed) RDS does all of this for a Blue/Green Deployment of its own. The module checks before the call what the
    service would only find out within the window, watches it on both servers as the clients' AWS wrappers do, holds the gates for the
    time in which nobody can write, and tells what happened and why.
options:
  state:
    description:
      - V(switched_over) makes green serve, V(rolled_back) makes blue serve.
      - The service has no way back, so V(rolled_back) is refused with O(engine=managed).
    type: str
    choices: [switched_over, rolled_back]
    default: switched_over
  engine:
    description:
      - The database engine of both clusters.
      - V(managed) is the Blue/Green Deployment of RDS that O(deployment_id) names, of whatever engine it is.
    type: str
    choices: [aurora_mysql, aurora_postgresql, neptune, managed]
    required: true
  blue:
    description:
      - The connection to blue, the cluster that serves production now. Required unless O(engine=managed).
      - With O(engine=managed) transactions and lag are looked at before the call when O(blue) and O(green) are given, and the
        servers' own phases and flags during it. Without them only the service is asked.
  green:
    description: The connection to green, the copy that will serve production next. The same sub-options as O(blue).
  max_lag:
    description:
      - Seconds that a write may take from one side to the other for the switchover to begin.
      - If it takes more than 0.1 s, the target is given as long again to come closer before the window opens.
    type: float
    default: 5
  switchover_timeout:
    description:
      - Seconds that the service may take with O(engine=managed), its C(SwitchoverTimeout), from 30 to 3600. What is not done by
        then is taken back by the service, which is the outcome C(rolled_back).
      - Defaults to V(300).
    type: int
  timeout:
    description:
      - Seconds after which a window that has not opened the other side gives the writes back. Not for O(engine=managed), which
        has O(switchover_timeout).
    type: float
    default: 30
  gate_timeout:
    description:
      - Seconds to wait for transactions in flight while a gate is held.
      - Seconds that the gates, all at the same time, may take to be pointed at the other side, each time it is tried.
    type: float
    default: 5
  wait_timeout:
    description:
      - Seconds that gates may take to settle after the window, the servers of Route 53 to be in sync, the targets of a proxy
        to be available.
      - With O(engine=managed) also those that members may take to be available before the call, and names to move after it.
    type: int
    default: 300
  reverse_replication:
    description: Whether to replicate back from the new side, which a rollback without loss needs.
    type: bool
    default: true
  replication_ssl_mode:
    description:
      - The C(sslmode) with which the clusters connect to each other.
      - Only V(disable) and V(require) for O(engine=aurora_mysql), where a replica cannot verify its source.
    type: str
    choices: [disable, require, verify-ca, verify-full]
    default: require
  replication_user:
    description:
      - The user with which the clusters of O(engine=aurora_mysql) replicate from each other, as in
        M(bluegreen.aws.binlog_replication).
      - Defaults to the one that the deployment has made.
    type: str
  replication_password:
    description:
      - The password of O(replication_user). When left out, one is made that nobody sees, for each direction anew.
      - The service's procedures take it as an argument, so that it is in the general log of a cluster that writes one.
    type: str
  green_db_cluster_parameter_group_name:
    description:
      - Green's own DB cluster parameter group, for O(engine=aurora_mysql).
      - Its C(read_only) is turned off before the window, behind the locks of the accounts, and its C(event_scheduler) gets the
        value of blue's after it. Both are turned back when blue serves again.
      - When left out, C(read_only) is turned off by C(mysql.rds_set_read_only) when green opens, which does not outlast a
        restart of green.
    type: str
  sequences:
    description:
      - For O(engine=aurora_postgresql). MySQL has none, and replication carries C(AUTO_INCREMENT).
      - V(exact) gives every sequence the value it had, without a gap. All that moved since the preparation are set inside the
        window.
      - V(margin) carries them ahead by O(sequence_margin) before the window, and inside it only those that went beyond. A
        sequence that cycles, or that would not have as many values left again, is carried exactly.
      - Either way every sequence is looked at behind the fence, and no value is given out twice.
    type: str
    choices: [exact, margin]
    default: exact
  sequence_margin:
    description: How many values to leave out with O(sequences=margin).
    type: int
    default: 10000
  writes_stopped:
    description:
      - For O(engine=neptune), which cannot be made read-only. Says that every application has stopped writing, where no gate of
        type V(haproxy) cuts the connections of those that have not.
      - Without either the switchover is refused, and so it is with another gate beside V(haproxy), whose clients nobody cuts.
        Either way the stream of the side that serves must not move, and a write that is seen gives the writes back.
    type: bool
  quiet_interval:
    description:
      - Seconds between the three looks at the stream that have to be the same behind the fence, for O(engine=neptune).
      - Defaults to V(0.1).
    type: float
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.connections
  - bluegreen.aws.deployment.engine_specific
  - bluegreen.aws.deployment.expected_differences
  - bluegreen.aws.gates
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details: The lag is not measured in check mode, because measuring it takes a write, other than with O(engine=managed).
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: bluegreen.aws.binlog_replication
  - module: bluegreen.aws.neptune_streams_replication
  - module: bluegreen.aws.pg_logical_subscription
  - module: bluegreen.aws.bg_readiness
  - module: bluegreen.aws.bg_verify
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Move the traffic to green through a PgBouncer
  bluegreen.aws.bg_switchover:
    deployment_id: shop-pg18
    engine: aurora_postgresql
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: shop-pg18.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    gates:
      - type: pgbouncer
        host: 127.0.0.1
        user: pgbouncer_admin
        password: "{{ pgbouncer_admin_password }}"
        databases: [shop]
        config_file: /etc/pgbouncer/pgbouncer.ini

- name: Clients come through HAProxy, and some read the address from DNS, a secret or a parameter
  bluegreen.aws.bg_switchover:
    deployment_id: shop-pg18
    engine: aurora_postgresql
    blue: "{{ blue }}"
    green: "{{ green }}"
    gates:
      - type: haproxy
        socket: /run/haproxy/admin.sock
        host: 127.0.0.1
        port: 5432
        backend: shop
      - type: route53
        hosted_zone_id: Z0123456789ABCDEFGHIJ
        record: shop-db.example.com
        dns_server: 10.0.0.2
      - type: secretsmanager_secret
        secret_id: shop/application
      - type: ssm_parameter
        name: /shop/database_url

- name: The same for Aurora MySQL
  bluegreen.aws.bg_switchover:
    deployment_id: shop-84
    engine: aurora_mysql
    blue: "{{ blue }}"
    green: "{{ green }}"
    green_db_cluster_parameter_group_name: shop-84-aurora-mysql8-4
    gates: "{{ gates }}"

- name: Amazon Neptune, whose clients come through HAProxy
  bluegreen.aws.bg_switchover:
    deployment_id: shop-graph
    engine: neptune
    blue:
      host: shop.cluster-abc.eu-central-1.neptune.amazonaws.com
      iam_auth: true
    green:
      host: shop-graph.cluster-abc.eu-central-1.neptune.amazonaws.com
      iam_auth: true
    gates:
      - type: haproxy
        socket: /run/haproxy/admin.sock
        host: 127.0.0.1
        port: 8182
        backend: shop

- name: Let RDS do it, and watch it
  bluegreen.aws.bg_switchover:
    deployment_id: shop-84
    engine: managed
    switchover_timeout: 120
    blue: "{{ blue }}"
    green: "{{ green }}"
  register: switchover

- name: Bring it back
  bluegreen.aws.bg_switchover:
    state: rolled_back
    deployment_id: shop-pg18
    engine: aurora_postgresql
    blue: "{{ blue }}"
    green: "{{ green }}"
    gates: "{{ gates }}"
"""

RETURN = r"""
outcome:
  description:
    - V(switched_over) or V(rolled_back) when the wanted side serves.
    - V(refused) when the traffic stayed where it was, V(unknown) when it could not be told whether green opened.
    - With O(engine=managed) V(rolled_back) when the service went back to blue, which is no failure and no change, with its RV(reasons),
      and V(failed) when the service could neither end the switchover nor take it back.
  returned: always, unless an option was wrong
  type: str
  sample: switched_over
window_ms:
  description:
    - The write outage in milliseconds, from the hold of the gate to its release. Null when there was none.
    - With O(engine=managed) it is measured as RV(window_from) says. Null when this run did not see all of it.
  returned: always, unless an option was wrong
  type: float
  sample: 48.2
window_from:
  description:
    - What RV(window_ms) was measured from, with O(engine=managed).
    - C(gate), from its hold to its release. C(servers), from the last look that blue accepted writes to the first one that green did.
      C(metadata), from C(IN_PROGRESS) to C(POST) in the rows. C(service), the whole of the service's state, names included, which is
      longer than the outage.
  returned: when O(engine=managed)
  type: str
  sample: servers
reasons:
  description: Why the service did not switch over, in its own words, from its events.
  returned: when O(engine=managed)
  type: list
  elements: str
hosts:
  description: Which host of green takes the place of which of blue.
  returned: when O(engine=managed)
  type: list
  elements: dict
  contains:
    kind:
      description: C(cluster), C(cluster_reader), C(writer) or C(reader).
      type: str
    blue:
      description: The name of blue's.
      type: str
    blue_addresses:
      description: Where it led before the switchover.
      type: list
      elements: str
    green:
      description: The name of green's.
      type: str
    green_addresses:
      description: Where it led before the switchover.
      type: list
      elements: str
tables:
  description: RV(hosts) and RV(timeline) as lines to print.
  returned: when O(engine=managed)
  type: dict
  contains:
    hosts:
      description: The lines of the one.
      type: list
      elements: str
    timeline:
      description: The lines of the other.
      type: list
      elements: str
checks:
  description: The guardrails that were looked at, with evidence and remedy.
  returned: when O(engine=managed)
  type: list
  elements: dict
deployment:
  description: The deployment as the service tells it.
  returned: success, when O(engine=managed)
  type: dict
binlog_position:
  description:
    - The C(file) and C(position) of new production's binary log at which it was opened, for a replication back to old blue. Null for
      PostgreSQL, and while green does not serve.
  returned: success, when O(engine=managed)
  type: dict
  sample: {"file": "mysql-bin-changelog.000004", "position": 157}
left_behind:
  description:
    - What of old production the service has not carried over to new production, with what to do about it, such as IAM roles,
      autoscaling policies and the resource ids in IAM policies. Each is a warning too. Empty while green does not serve.
  returned: success, when O(engine=managed)
  type: list
  elements: dict
timeline:
  description: What happened when.
  returned: always, unless an option was wrong
  type: list
  elements: dict
  contains:
    at:
      description: UTC, ISO 8601.
      type: str
    offset_ms:
      description: Milliseconds to the fence, or to C(IN_PROGRESS) with O(engine=managed). Null when there was none.
      type: float
    event:
      description: What happened.
      type: str
gates:
  description: Where the gates lead when the module ends.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: What the gate is.
      type: str
    position:
      description: V(blue), V(green), V(held), or V(elsewhere) when it leads to neither or to both.
      type: str
fence:
  description:
    - With O(engine=neptune), what kept clients from writing, V(gate) or V(user) for O(writes_stopped), V(part) or V(none) when not
      all gates did or none, because the traffic did not have to be moved.
    - Null for the other engines, whose servers do.
  returned: success, and when O(engine=neptune) wrote behind its fence
  type: str
  sample: gate
sequences:
  description: The sequences that the side which was opened took over. Null when none was opened, and for MySQL.
  returned: success
  type: dict
  contains:
    looked_at:
      description: How many there are, in all databases.
      type: int
      sample: 5004
    carried:
      description: How many had to be set inside the window.
      type: int
      sample: 37
    ms:
      description: The milliseconds of the window that this took.
      type: float
      sample: 12.3
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
serving:
  description: The side that serves when the module ends.
  returned: success
  type: str
  sample: green
blue:
  description: Whether blue accepts writes, and the replication into it.
  returned: success
  type: dict
  contains: &side
    host:
      description: The address.
      type: str
    identifier:
      description: The cluster or instance, with O(engine=managed).
      type: str
    engine_version:
      description: Its version, with O(engine=managed).
      type: str
    open:
      description: Whether clients can write there.
      type: bool
    inbound:
      description: The replication into it, one of C(gone), C(armed), C(running), C(stopped). Not with O(engine=managed).
      type: str
    opened_at:
      description: The position at which it was last opened by a switchover. Not with O(engine=managed).
      type: str
green:
  description: Whether green accepts writes, and the replication into it.
  returned: success
  type: dict
  contains: *side
replication:
  description: The replication that runs now.
  returned: success, unless O(engine=managed)
  type: dict
  contains:
    running:
      description: Whether the side that does not serve follows the one that does.
      type: bool
    direction:
      description: C(forward) from blue to green, C(reverse) from green to blue. Null when none runs.
      type: str
"""

import signal
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.green_parameters import GreenParameters
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.published_poller import running_poller
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    engine_specific_options,
    expected_differences_option,
    mysql_endpoint,
    neptune_endpoint,
    neptune_signers,
    postgresql_endpoint,
    run,
    window_api,
    window_client,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.switchover import ENGINE as MANAGED
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.switchover import Switchover
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.engines import (
    ENGINES,
    REPLICATION_SSL_MODES,
    NeptuneTools,
    pair,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.options import gates_option
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.side import Side
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.switchover import switch


def _sides(module: AnsibleAWSModule, names: Names) -> tuple[Side, Side]:
    engine, group = module.params["engine"], module.params["green_db_cluster_parameter_group_name"]
    endpoint = {
        "aurora_mysql": mysql_endpoint,
        "aurora_postgresql": postgresql_endpoint,
        "neptune": neptune_endpoint,
    }[engine]
    parameters = GreenParameters(Api(module.client("rds")), names.deployment_id, group) if group else None
    tools = _neptune_tools(module, names) if engine == "neptune" else None
    return pair(engine, endpoint(module, "blue"), endpoint(module, "green"), names, module.params, parameters, tools)


def _neptune_tools(module: AnsibleAWSModule, names: Names) -> NeptuneTools:
    def elsewhere() -> str | None:
        cloudformation, events = Api(module.client("cloudformation")), Api(module.client("events"))
        return running_poller(cloudformation, events, names.replication_stack, names.deployment_id)

    return NeptuneTools(window_client(module, "dynamodb"), neptune_signers(module), elsewhere)


def _managed(module: AnsibleAWSModule, journal: Journal) -> dict[str, Any]:
    endpoints = {
        "mysql": lambda side: mysql_endpoint(module, side),
        "postgresql": lambda side: postgresql_endpoint(module, side),
    }
    result = Switchover(module.params, Api(module.client("rds")), window_api(module), endpoints, journal).go()
    for left in result["left_behind"]:
        module.warn(f"{left['evidence']}: {left['remedy']}.")
    return result


def _switch(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    if module.params["engine"] == MANAGED:
        return _managed(module, journal)
    blue, green = _sides(module, names)
    return switch(module.params, blue, green, window_api(module), journal, diff=module._diff)


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "state": {"type": "str", "choices": ["switched_over", "rolled_back"], "default": "switched_over"},
            "engine": {"type": "str", "choices": [*ENGINES, MANAGED], "required": True},
            "blue": connection_options(),
            "green": connection_options(),
            **engine_specific_options(),
            "gates": gates_option(),
            "max_lag": {"type": "float", "default": 5},
            "switchover_timeout": {"type": "int"},
            "timeout": {"type": "float", "default": 30},
            "gate_timeout": {"type": "float", "default": 5},
            "wait_timeout": {"type": "int", "default": 300},
            "reverse_replication": {"type": "bool", "default": True},
            "replication_ssl_mode": {
                "type": "str",
                "choices": list(REPLICATION_SSL_MODES),
                "default": "require",
            },
            "replication_user": {"type": "str"},
            "replication_password": {"type": "str", "no_log": True},
            "green_db_cluster_parameter_group_name": {"type": "str"},
            "sequences": {"type": "str", "choices": ["exact", "margin"], "default": "exact"},
            "sequence_margin": {"type": "int", "default": 10000},
            "writes_stopped": {"type": "bool"},
            "quiet_interval": {"type": "float"},
            "expected_differences": expected_differences_option(),
        },
        required_if=[["engine", engine, ["blue", "green"]] for engine in ENGINES],
        supports_check_mode=True,
    )
    # A polite end is treated as a step that failed: before the opening the writes go back to the side that served.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(module, lambda names, journal: _switch(module, names, journal))


if __name__ == "__main__":
    main()
