#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: neptune_streams_replication
version_added: 0.1.0
short_description: Keep a clone of an Amazon Neptune cluster in sync with it by Neptune Streams
description:
  - Makes sure that blue can be cloned and replicated from, commits the position that the clone corresponds to, and applies to green
    what blue's stream holds from exactly that position on.
  - The states are steps, to be run in this order around the clone and the upgrade of green, V(prepared), clone,
    V(positioned), upgrade, V(running). Each does only what is missing, so a step that was killed is completed by
    running it again.
  - Guardrails come first. When one of them fails, nothing is changed; M(bluegreen.aws.bg_readiness) shows them all.
  - How far green is stands in a DynamoDB table with the attributes of the poller that AWS publishes. A checkpoint only moves forward,
    and only its owner moves it.
  - An error of the replication is reported with what to do. A record is never skipped, and a stream that has expired is never
    taken for one that was read to its end.
  - After a switchover V(prepared), V(positioned), V(running) and V(stopped) change nothing and say so.
notes:
  - Progress is written to the CloudWatch Logs group C(/aws/neptune/<deployment_id>). The group stays when everything else is
    removed. When it cannot be written to, a warning says so and the work goes on.
  - On the table it needs C(dynamodb:CreateTable), C(dynamodb:DescribeTable), C(dynamodb:TagResource), C(dynamodb:ListTagsOfResource),
    C(dynamodb:GetItem), C(dynamodb:PutItem), C(dynamodb:UpdateItem), C(dynamodb:DeleteItem) and C(dynamodb:DeleteTable), on the log group
    C(logs:CreateLogGroup), C(logs:CreateLogStream), C(logs:TagResource) and C(logs:PutLogEvents), and with O(blue.iam_auth) on the
    clusters' data C(neptune-db:connect), C(neptune-db:GetStreamRecords), C(neptune-db:GetEngineStatus), C(neptune-db:ListLoaderJobs),
    C(neptune-db:GetLoaderJobStatus), C(neptune-db:ReadDataViaQuery), C(neptune-db:WriteDataViaQuery) and
    C(neptune-db:DeleteDataViaQuery).
  - A runner on AWS needs what its stack is made of besides. That is CloudFormation, EventBridge, Lambda, IAM roles to create and to pass,
    and the objects of O(function_s3_bucket) that begin with C(bluegreen/<deployment_id>/).
  - Neptune has no way to close a cluster for writers. Nobody may write to green before it is opened by a switchover.
options:
  state:
    description:
      - V(prepared) checks that streams are on and live, that the instances are available and in sync and that no bulk load runs. It
        makes the table of checkpoints and, when blue's stream is empty, writes a first element. Before the clone.
      - V(positioned) reads the position from green's own stream before any upgrade, checks it against blue's and commits it to the
        control record, once and for all.
      - V(running) replicates, by O(runner), and waits until the lag is low enough.
      - V(stopped) stops the replication where it is. Blue keeps its stream for C(neptune_streams_expiry_days) only.
      - V(absent) removes what replication made, in both directions. That is the runner's stack, the checkpoints, the table unless
        somebody else made it, and the first element on the sides that are given. While green serves, O(force) is needed, because the
        way back goes with it.
    type: str
    choices: [prepared, positioned, running, stopped, absent]
    default: running
  graph_type:
    description: Which graph is replicated, the property graph of Gremlin and openCypher or the RDF graph of SPARQL.
    type: str
    choices: [propertygraph, rdf]
    default: propertygraph
  blue:
    description:
      - The connection to blue, the cluster that serves production now.
      - Neptune has no users. O(blue.iam_auth) signs the requests with the identity that runs the module.
      - Needed for every state but V(state=absent).
  green:
    description:
      - The connection to green, the copy that will serve production next.
      - Needed for V(state=positioned), V(state=running) and V(state=stopped).
  source_db_cluster_identifier:
    description:
      - Blue's identifier, by which V(state=prepared) looks at its parameter group and instances too, and by which a runner on AWS finds
        its network.
      - Needed for V(state=prepared), and for V(state=running) with another runner than V(runner=foreground).
    type: str
  db_cluster_identifier:
    description: Green's identifier. Defaults to O(deployment_id).
    type: str
  position:
    description:
      - The last event of blue's stream that the clone's data holds, or an earlier one, as C(commit:op), such as V(1132:200).
      - Defaults to the last event of the clone's own stream, which is exact. Used by O(state=positioned) only.
      - What green holds already is applied again, which changes nothing.
    type: str
  runner:
    description:
      - V(foreground) applies within this module, until the lag is low enough, and nothing runs between two calls of it.
      - V(lambda) runs the same engine on AWS, as a function that a schedule starts every minute, by a stack of CloudFormation. It
        serves the way back too, after a switchover.
      - V(cloudformation) has the replication that AWS publishes do it, by its own stack, which begins at the position and keeps its
        checkpoints in a table of its own. V(state=running) and V(state=stopped) take them over, so stop it before a switchover.
    type: str
    choices: [foreground, lambda, cloudformation]
    default: foreground
  checkpoint_table:
    description: The DynamoDB table of checkpoints. Defaults to the O(deployment_id) with C(-streams) behind it.
    type: str
  function_s3_bucket:
    description: The bucket that the function's code is uploaded to, for V(runner=lambda).
    type: str
  replication_template_url:
    description:
      - The template of AWS's replication, for V(runner=cloudformation).
      - Defaults to the address that the Neptune user guide gives.
    type: str
  subnet_ids:
    description: The subnets that a runner on AWS runs in. Defaults to those of blue's subnet group.
    type: list
    elements: str
  security_group_ids:
    description: The security groups that a runner on AWS gets. Defaults to blue's. Both clusters must let them in.
    type: list
    elements: str
  lanes:
    description: How many requests are under way to green at once. Twice the number of its writer's vCPUs is a good number.
    type: int
    default: 8
  batch:
    description: How many changes one request to green holds.
    type: int
    default: 200
  page_size:
    description: How many records are read from blue at once, 100000 at most.
    type: int
    default: 10000
  blank_nodes:
    description:
      - What to do about blank nodes in an RDF graph. A blank node cannot be named in another cluster, so a statement about one cannot be
        replicated truly.
      - V(stop) stops with the first one and says where. V(allow) writes them as new blank nodes and never deletes them; the graphs will
        differ.
    type: str
    choices: [stop, allow]
    default: stop
  lease_ttl:
    description:
      - Seconds after which another run may go on when one has died. A request to either side may take a third of it.
    type: int
    default: 60
  max_lag:
    description:
      - Seconds that green may be behind for V(state=running) to be reached, by the age of the first record that is not applied.
      - Without it everything that blue had written when the module began must be applied.
  force:
    description: Let V(state=absent) remove the replication from green to blue while green serves.
    type: bool
    default: false
  tags:
    description: Tags of what is made, beside those of the deployment.
    type: dict
    default: {}
  wait:
    description:
      - Whether O(state=running) waits for the lag and O(state=stopped) for the end of what is under way.
      - With V(runner=foreground) nothing is applied without it.
  wait_timeout:
    description: Seconds to wait. What was applied by then stays, and the next run goes on.
    default: 3600
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
  diff_mode:
    support: full
  idempotent:
    support: full
    details: A run that finds new records on blue applies them, and has changed green then.
seealso:
  - module: bluegreen.aws.aurora_clone
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Prepare blue before it is cloned
  bluegreen.aws.neptune_streams_replication:
    state: prepared
    deployment_id: graph-v14
    source_db_cluster_identifier: graph
    blue: &blue
      host: graph.cluster-abc.eu-central-1.neptune.amazonaws.com
      iam_auth: true

- name: Keep the clone's position, before it is upgraded
  bluegreen.aws.neptune_streams_replication:
    state: positioned
    deployment_id: graph-v14
    blue: *blue
    green: &green
      host: graph-v14.cluster-abc.eu-central-1.neptune.amazonaws.com
      iam_auth: true

- name: Apply what blue has written, until green is less than two seconds behind
  bluegreen.aws.neptune_streams_replication:
    state: running
    deployment_id: graph-v14
    blue: *blue
    green: *green
    max_lag: 2

- name: Let a function on AWS replicate an RDF graph
  bluegreen.aws.neptune_streams_replication:
    state: running
    deployment_id: graph-v14
    graph_type: rdf
    blue: *blue
    green: *green
    source_db_cluster_identifier: graph
    runner: lambda
    function_s3_bucket: my-artifacts

- name: Remove everything that replication made
  bluegreen.aws.neptune_streams_replication:
    state: absent
    deployment_id: graph-v14
    blue: *blue
    green: *green
    force: true
"""

RETURN = r"""
replication:
  description: The replication as it is now. Null before there is a position, and for O(state=absent).
  returned: success
  type: dict
  contains:
    running:
      description: Whether replication is wanted and has not failed. With V(runner=foreground) records are applied by the next run.
      type: bool
    direction:
      description: V(forward) from blue to green, V(reverse) from green to blue. Null when none was started.
      type: str
    position:
      description: The event of blue's stream that the clone's data ended at.
      type: str
      sample: "1132:200"
    lag:
      description: How far the replica is behind. Null when it could not be told, which is never 0.
      type: dict
      contains:
        seconds:
          description: The age of the first record that is not applied, 0 when there is none.
          type: float
        commits:
          description: Commits that are not applied.
          type: int
    error:
      description: What is wrong, and what to do. Null when nothing is.
      type: str
checkpoint:
  description: The event of blue's stream up to which green has everything. Null before there is one.
  returned: success
  type: str
  sample: "1140:3"
runner:
  description: The runner that was asked for.
  returned: success
  type: str
checked:
  description:
    - What a position that was recorded now was checked by.
    - V(event) says that both sides have the same event there, V(an empty stream) that there was none. V(bounds) says that it lies
      within both streams only.
  returned: success, for O(state=positioned)
  type: str
serving:
  description: Which side is open for writers, V(blue), V(green) or V(unknown), by the control record.
  returned: success
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
  sample: ["apply 1204 records on green, up to 1140:3"]
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

import os
import secrets
import socket
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.checkpoint_table import CheckpointTable
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import require_cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.progress_log import ProgressLog
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.readiness_neptune import source_checks
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.replication_stack import (
    FunctionRunner,
    Place,
    PublishedRunner,
    Settings,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.stack import Stack
from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    neptune_client,
    replicated,
    replication_options,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.deployment import Request, Tools, reach
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicate import Follow, Runner
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicator import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._streams.package import package

_MOST_RECORDS = 100_000  # of one page (Neptune user guide, "Neptune Streams API")
_LIMITS = {"lanes": (1, 256), "batch": (1, 10_000), "page_size": (1, _MOST_RECORDS), "lease_ttl": (3, 3600)}


def _options(params: dict[str, Any]) -> Options:
    for name, (least, most) in _LIMITS.items():
        if not least <= params[name] <= most:
            raise BlueGreenError(f"{name} must be {least} to {most}, but is {params[name]}: correct it.")
    return Options(
        lanes=params["lanes"],
        batch=params["batch"],
        page=params["page_size"],
        blank_nodes=params["blank_nodes"],
        lease_ttl=params["lease_ttl"],
        owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
    )


def _replicate(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params

    def api(service: str) -> Api:
        return Api(module.client(service))

    def control_plane() -> list[Check]:
        return source_checks(api, require_cluster(api("rds"), params["source_db_cluster_identifier"], "blue"))

    blue, green = (neptune_client(module, side) if params[side] else None for side in ("blue", "green"))
    table = CheckpointTable(
        api("dynamodb"), params["checkpoint_table"] or names.checkpoint_table, names.deployment_id, params["tags"]
    )
    runner = _runner(module, names, table.name)

    def theirs() -> Lease | None:
        at = runner.checkpoints() if runner is not None else None
        return Lease(module.client("dynamodb"), *at) if at is not None else None

    log = ProgressLog(api("logs"), names.log_group, names.deployment_id)
    follow = Follow(
        graph_type=params["graph_type"],
        max_lag=params["max_lag"],
        wait=params["wait"],
        wait_timeout=params["wait_timeout"],
        wait_delay=params["wait_delay"],
        options=_options(params),
        runner=runner,
        theirs=theirs,
    )
    request = Request(
        state=params["state"],
        cluster=params["source_db_cluster_identifier"] or (params["blue"] or {}).get("host", ""),
        position=params["position"],
        force=params["force"],
        follow=follow,
    )

    def say(line: str, always: bool = False) -> None:
        if not module.check_mode:
            log.write(line, always=always)

    tools = Tools(module.client("dynamodb"), table, control_plane, say)
    try:
        result = reach(request, blue, green, names, journal, tools)
    finally:
        for side in (blue, green):
            if side is not None:
                side.close()
    for action in journal.actions:
        say(action, always=True)
    if log.problem:
        module.warn(log.problem)
    endpoints = (side.endpoint if side else None for side in (blue, green))
    return replicated(module, {**result, "runner": params["runner"]}, *endpoints)


def _runner(module: AnsibleAWSModule, names: Names, table: str) -> Runner | None:
    params = module.params
    if params["runner"] == "foreground":
        return None

    def client(service: str) -> Api:
        return Api(module.client(service))

    place = Place(
        blue=params["source_db_cluster_identifier"],
        green=params["db_cluster_identifier"] or names.cluster,
        subnets=tuple(params["subnet_ids"] or ()),
        security_groups=tuple(params["security_group_ids"] or ()),
    )
    settings = Settings(
        **{name: params[name] for name in ("graph_type", "lanes", "batch", "page_size", "blank_nodes", "lease_ttl")},
        iam_auth={side: bool((params[side] or {}).get("iam_auth")) for side in ("blue", "green")},
    )
    stack = Stack(
        client("cloudformation"),
        client("events"),
        names.replication_stack,
        names.deployment_id,
        tags=params["tags"],
        timeout=params["wait_timeout"],
        delay=params["wait_delay"],
    )
    if params["runner"] == "lambda":
        bucket = params["function_s3_bucket"]
        return FunctionRunner(client, stack, names, place, settings, table=table, bucket=bucket, package=package)
    return PublishedRunner(client, stack, names, place, settings, template_url=params["replication_template_url"])


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **replication_options(timeout=3600),
            "graph_type": {"type": "str", "choices": ["propertygraph", "rdf"], "default": "propertygraph"},
            "source_db_cluster_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
            "runner": {"type": "str", "choices": ["foreground", "lambda", "cloudformation"], "default": "foreground"},
            "checkpoint_table": {"type": "str"},
            "function_s3_bucket": {"type": "str"},
            "replication_template_url": {"type": "str"},
            "subnet_ids": {"type": "list", "elements": "str"},
            "security_group_ids": {"type": "list", "elements": "str"},
            "lanes": {"type": "int", "default": 8},
            "batch": {"type": "int", "default": 200},
            "page_size": {"type": "int", "default": 10_000},
            "blank_nodes": {"type": "str", "choices": ["stop", "allow"], "default": "stop"},
            "lease_ttl": {"type": "int", "default": 60},
            "force": {"type": "bool", "default": False},
            "tags": {"type": "dict", "default": {}},
        },
        required_if=[
            ["state", "prepared", ["source_db_cluster_identifier"]],
        ],
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _replicate(module, names, journal))


if __name__ == "__main__":
    main()
