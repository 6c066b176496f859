#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_probe
version_added: 0.1.0
short_description: Measure availability as an application sees it
description:
  - Writes canaries and reads them through the endpoint of an application, on new connections and on kept ones, and appends every
    attempt to a file. Run it with C(async) beside a switchover, or on a host where an application runs.
  - At the end it looks for every canary that was acknowledged on the side that serves then, and tells the longest time without a
    write and without a read, the errors by kind, and which servers answered when.
  - Fails when an acknowledged canary is lost or one is there twice, when that could not be looked at, and when O(max_gap_ms) is
    exceeded. The report is returned in any case.
  - Times are measured by a clock that nobody sets. No login and no data of the application get into the file.
options:
  state:
    description:
      - V(prepared) makes the table of the canaries and lets O(users) use it. On PostgreSQL do so before the deployment is
        created, because logical replication carries no new table, and a managed deployment is degraded by one.
      - V(running) probes until O(duration) is over, O(until) is there, V(stopped) is asked for, or SIGTERM comes. A run that
        was killed goes on, and one that has ended is reported again.
      - V(stopped) lets a running one end, waits for it, and reports.
      - V(reported) reports what is in the file, also while a probe writes to it.
      - V(absent) removes the table.
    type: str
    choices: [prepared, running, stopped, reported, absent]
    default: running
  engine:
    description: The database engine behind the endpoint. Aurora and RDS are the same here.
    type: str
    choices: [postgresql, mysql]
    default: postgresql
  target:
    description:
      - The connection of an application, through the endpoint that it uses. It needs no rights but those on the table.
      - The name in O(target.host) is looked up anew for each connection, which may take O(attempt_timeout_ms).
      - With O(target.iam_auth) the token is made once, and new connections need one that is younger than 15 minutes.
      - On MySQL V(state=running) refuses a user with C(CONNECTION_ADMIN) or C(SUPER), such as the master user, who writes to a side
        that only reads, also to old production after a switchover.
      - Required for V(state=prepared), V(state=running) and V(state=absent).
  path:
    description:
      - The file to append to on the host that runs the module, one JSON line for each attempt, readable by its owner alone. Its
        directory must exist. It holds one run.
      - Required for V(state=running), V(state=stopped) and V(state=reported).
    type: path
  run_id:
    description: The name of the run, 55 characters at most. Defaults to O(deployment_id).
    type: str
  replace:
    description:
      - Whether V(state=running) begins a new run when the file holds one that has ended, or another one, in place of reporting it.
        That file is renamed by the time at which its run began.
    type: bool
    default: false
  duration:
    description: Seconds to probe for, those of a run that goes on included.
    type: float
    default: 300
  interval_ms:
    description: Milliseconds between two attempts of each kind.
    type: int
    default: 200
  attempt_timeout_ms:
    description: Milliseconds until an attempt without an answer counts as failed. Its connection is broken then.
    type: int
    default: 5000
  connections:
    description:
      - What to probe with. V(new) makes a connection for each attempt, V(kept) keeps one for writes and one for reads as long as
        they work.
    type: list
    elements: str
    choices: [new, kept]
    default: [new, kept]
  until:
    description: The probe ends when this file appears on the host that runs the module.
    type: path
  max_gap_ms:
    description: Fail when there was no write, or no read, for longer than this, on new connections or on a kept one.
    type: float
  dns_server:
    description:
      - A DNS server, as host or C(host:port), to ask for the addresses of O(target.host) once a second, which tells the TTL.
      - When left out, the resolver of the host that runs the module is asked, which does not tell it.
    type: str
  schema:
    description: The schema of the table, on MySQL its database. The default is removed with the table.
    type: str
    default: bluegreen_probe
  table:
    description: The name of the table.
    type: str
    default: canary
  users:
    description: The users of applications that may use the table when it is made, on MySQL as C(user) or C(user@host).
    type: list
    elements: str
    default: []
  create_table:
    description: Whether V(state=running) may make the table when it is missing.
    type: bool
    default: true
  cleanup:
    description:
      - Whether V(state=running) deletes its canaries at the end, and the table when it holds no others.
      - On PostgreSQL do not, while anything replicates to another side.
    type: bool
    default: false
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.target_connection
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details: In check mode it probes nothing and returns at once, with the report of what is in the file already.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: A run that has ended is reported again, unless O(replace=true). With O(cleanup=true) the report stays what it was before the canaries were deleted.
seealso:
  - module: bluegreen.aws.bg_clients
  - module: bluegreen.aws.bg_switchover
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Make the table before the deployment is created
  bluegreen.aws.bg_probe:
    state: prepared
    deployment_id: shop-pg18
    target:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
      database: shop
    users: [shop_app]

- name: Probe while the traffic is moved
  bluegreen.aws.bg_probe:
    deployment_id: shop-pg18
    target:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      user: shop_app
      password: "{{ shop_password }}"
      database: shop
    path: /var/tmp/shop-pg18.probe
    duration: 900
    replace: true
  async: 1000
  poll: 0
  delegate_to: app1.example.com

- name: Move the traffic
  bluegreen.aws.bg_switchover:
    deployment_id: shop-pg18
    engine: managed
    state: switched_over

- name: End the probe, and fail when writes were away for longer than five seconds
  bluegreen.aws.bg_probe:
    state: stopped
    deployment_id: shop-pg18
    path: /var/tmp/shop-pg18.probe
    max_gap_ms: 5000
  delegate_to: app1.example.com
  register: probe
"""

RETURN = r"""
report:
  description: What the probe saw. Empty for the states that have no file.
  returned: when there is a file
  type: dict
  contains:
    run_id:
      description: The name of the run.
      type: str
    complete:
      description: Whether the run has ended. A report of one that has not says nothing of lost canaries.
      type: bool
    ended_by:
      description: C(duration), C(until), C(stopped) or C(signal).
      type: str
    began:
      description: When the first attempt was made.
      type: str
    last:
      description: When the last line was written.
      type: str
    watched_ms:
      description: For how long it was watched.
      type: float
    unwatched:
      description: The times between a kill of the probe and its next run. They are in no gap.
      type: list
      elements: dict
    attempts:
      description: C(writes), C(writes_failed), C(reads) and C(reads_failed).
      type: dict
    longest_write_gap_ms:
      description: The longest time from one acknowledged write to the next, on new connections or on the kept one.
      type: float
    longest_read_gap_ms:
      description: The same of reads.
      type: float
    gaps:
      description:
        - The longest gap of each kind, C(write) and C(read), one for each of O(connections), with C(ms), C(from), C(to), C(lane), and
          C(ended), false when there was no success any more.
      type: dict
    overslept_ms:
      description: The longest time in which the probe should have tried and did not, because its own host was busy. A gap that
        is not longer than this says nothing of the database.
      type: float
    errors:
      description:
        - The errors by C(kind) and C(code), with C(count), C(first), C(last) and C(message).
        - Kinds are C(refused), C(read_only), C(timeout), C(login), C(denied), C(dns), C(tls), C(server_closed) and C(other).
      type: list
      elements: dict
    canaries:
      description:
        - What became of the canaries, C(acknowledged), C(found), C(lost), C(doubled), and C(unacknowledged_found), which were written
          although the connection broke before the answer.
        - C(checked) is false, and the numbers null, when the endpoint did not answer at the end. C(reason) tells why.
      type: dict
    stale_reads:
      description: Reads that did not see a canary that had been acknowledged before.
      type: int
    servers:
      description: Which servers answered, with C(address), C(server), C(from), C(to) and C(answers).
      type: list
      elements: dict
    dns:
      description: The C(answers) of the DNS as they changed, and C(ttl_min) and C(ttl_max), null without O(dns_server).
      type: dict
lines:
  description: The report in lines, for people.
  returned: when there is a file
  type: list
  elements: str
  sample: ["4500 writes, 6 failed; 4500 reads, 2 failed", "longest write gap 1240.5 ms from ..."]
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: ["probe shop.cluster-abc.eu-central-1.rds.amazonaws.com for 900 s"]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._clients.probe import Plan
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.probing import Request, Table, reach
from ansible_collections.bluegreen.aws.plugins.module_utils._core.canaries import Canaries
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    mysql_endpoint,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import connection as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.probe import MySQLCanaries
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import connection as postgresql
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.probe import PostgreSQLCanaries

_RUN = re.compile(r"[^\x00-\x1f\x7f]{1,55}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,63}")
_POSITIVE = ("duration", "interval_ms", "attempt_timeout_ms")


def _canaries(module: AnsibleAWSModule) -> Canaries | None:
    params = module.params
    if params["target"] is None:
        return None
    is_mysql = params["engine"] == "mysql"
    (mysql if is_mysql else postgresql).require_driver()
    endpoint = (mysql_endpoint if is_mysql else postgresql_endpoint)(module, "target")
    wait = min(endpoint.connect_timeout, max(1, math.ceil(params["attempt_timeout_ms"] / 1000)))
    at = (replace(endpoint, connect_timeout=wait), params["schema"], params["table"])
    return MySQLCanaries(*at) if is_mysql else PostgreSQLCanaries(*at)


def _plan(params: dict[str, Any], names: Names) -> Plan:
    target = params["target"] or {}
    return Plan(
        run=params["run_id"] or names.deployment_id,
        path=params["path"],
        engine=params["engine"],
        host=target.get("host", ""),
        duration=params["duration"],
        interval=params["interval_ms"] / 1000,
        timeout=params["attempt_timeout_ms"] / 1000,
        connections=tuple(dict.fromkeys(params["connections"])),
        until=params["until"],
        dns_server=params["dns_server"],
    )


def check_options(params: Mapping[str, Any]) -> None:
    """Raise :class:`BlueGreenError` for options with which a probe would watch nothing, or find fault with nothing."""
    if bad := [name for name in _POSITIVE if not 0 < params[name] < math.inf]:
        raise BlueGreenError(f"{' and '.join(bad)} must be a number above 0: correct it.")
    if params["max_gap_ms"] is not None and not 0 <= params["max_gap_ms"] < math.inf:
        raise BlueGreenError(f"max_gap_ms must be 0 or more, but is {params['max_gap_ms']:g}: correct it.")
    if not _RUN.fullmatch(params["run_id"] or params["deployment_id"]):
        raise BlueGreenError("run_id may have 55 characters at most, and none that cannot be seen: choose another one.")
    if not params["connections"]:
        raise BlueGreenError("connections must name what to probe with, new or kept or both, but is empty: correct it.")
    if bad := [name for name in ("schema", "table") if not _NAME.fullmatch(params[name])]:
        raise BlueGreenError(
            f"{' and '.join(bad)} must be a name of 63 characters at most, and none that cannot be seen: correct it."
        )


def _probe(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    check_options(params)
    filed = params["state"] in ("running", "stopped", "reported")
    table = Table(f"{params['schema']}.{params['table']}", params["users"], params["create_table"], params["cleanup"])
    plan = _plan(params, names) if filed else None
    request = Request(params["state"], plan, table, params["max_gap_ms"], params["replace"])
    return reach(request, _canaries(module), journal)


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "state": {
                "type": "str",
                "choices": ["prepared", "running", "stopped", "reported", "absent"],
                "default": "running",
            },
            "engine": {"type": "str", "choices": ["postgresql", "mysql"], "default": "postgresql"},
            "target": connection_options(),
            "path": {"type": "path"},
            "run_id": {"type": "str"},
            "replace": {"type": "bool", "default": False},
            "duration": {"type": "float", "default": 300.0},
            "interval_ms": {"type": "int", "default": 200},
            "attempt_timeout_ms": {"type": "int", "default": 5000},
            "connections": {
                "type": "list",
                "elements": "str",
                "choices": ["new", "kept"],
                "default": ["new", "kept"],
            },
            "until": {"type": "path"},
            "max_gap_ms": {"type": "float"},
            "dns_server": {"type": "str"},
            "schema": {"type": "str", "default": "bluegreen_probe"},
            "table": {"type": "str", "default": "canary"},
            "users": {"type": "list", "elements": "str", "default": []},
            "create_table": {"type": "bool", "default": True},
            "cleanup": {"type": "bool", "default": False},
        },
        required_if=[
            ["state", "prepared", ["target"]],
            ["state", "running", ["target", "path"]],
            ["state", "stopped", ["path"]],
            ["state", "reported", ["path"]],
            ["state", "absent", ["target"]],
        ],
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _probe(module, names, journal))


if __name__ == "__main__":
    main()
