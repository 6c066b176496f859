#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_verify
version_added: 0.1.0
short_description: Prove that green holds what blue holds, table by table
description:
  - Compares the content of every table of blue and green while one of them is written to. Data is only read; what is
    written is a marker row on the side that serves, and in the control database on green what is proved so far.
  - Tables are summed up in chunks by a hash of every row, large ones by several sessions at a time. In the chunks that differ,
    rows are looked at one by one.
  - Large objects of PostgreSQL are compared as the table C(pg_catalog.pg_largeobject); replication does not carry them.
  - On MySQL a schema is what is called a database here. What is defined is compared as well, columns, indexes, constraints,
    partitions, views, triggers, routines and events with their definers, because replication is not the only one to change it.
    Accounts are not compared, see M(bluegreen.aws.bg_readiness).
  - A graph of Neptune is compared element by element, vertices and edges with their labels, ends, values and the types of these,
    one table for each label, or for each set of labels that vertices have together. RDF is compared subject by subject, one table
    for each graph. What replicates meanwhile may be a runner. When none does, this module applies what is written.
  - Fails when a difference is found, and when a table could not be compared. Such a table is never called equal.
options:
  engine:
    description: The database engine of both clusters.
    type: str
    choices: [aurora_mysql, aurora_postgresql, neptune]
    required: true
  blue:
    required: true
  green:
    required: true
  method:
    description:
      - V(live) takes no lock that a writer waits for. What is written meanwhile is looked at again until each row is either the
        same on both sides, or proved to differ although a marker has passed since, on MySQL although green has applied
        everything up to the place in blue's binary log that was read after the difference.
      - V(cut) compares both sides at one moment, each database at one of its own. All writers wait for some milliseconds, until
        the tables are locked, a marker has passed and both sides have a snapshot; everything is read afterwards. The user
        needs the rights of the tables' owners on the side that serves.
      - On MySQL the V(cut) is one moment of all schemas. Writers wait until every table is locked (C(LOCK TABLES ... READ), one
        session for each of the first 63), a snapshot is taken and the marker is written, but not for green, whose replication
        waits at the marker until it has its snapshot. Green has to commit in blue's order (C(replica_preserve_commit_order), or
        one worker).
      - Either way the side that serves keeps dead rows while it is read, with V(live) for one large table, with V(cut) for a
        database.
    type: str
    choices: [live, cut]
    default: live
  databases:
    description:
      - The databases to compare.
      - Defaults to every database that accepts connections except templates, C(rdsadmin) and the control database, on MySQL to
        every schema of either side except C(mysql), C(sys), C(performance_schema), C(information_schema), C(tmp), C(innodb) and
        C(bluegreen).
  exclude:
    description:
      - Tables to leave out, as C(schema.table) or C(database.schema.table) with shell wildcards, on MySQL as C(schema.table), with
        their definitions.
      - Unlogged tables are not replicated and have to be named here to be left out. So have tables of MySQL whose engine is not
        InnoDB, because they know no moment to compare.
    type: list
    elements: str
    default: []
  parallel:
    description:
      - How many sessions read on each side at the same time, several of them in one large table.
      - Each side has up to twice as many connections, and one more for the marker, on MySQL two more.
      - On MySQL several sessions read one table only when they have the same snapshot of it. Otherwise, for a table that is
        written to all the time, one of them reads it alone on that side.
    type: int
    default: 2
  settle_timeout:
    description:
      - Seconds after which the rows of a table that still change are given up, and with them the proof.
      - A table that somebody else has locked for itself is waited for as long.
    type: float
    default: 60
  marker_timeout:
    description: Seconds that a marker may take from the side that serves to the other.
    type: float
    default: 30
  lock_timeout:
    description:
      - With O(method=cut), the most seconds that writers may wait, for the locks and the marker together.
      - When that is not enough, it is tried again a few times, and then fails; nobody waits then.
    type: float
    default: 0.5
  timeout:
    description: Seconds for everything. Tables that are not compared by then are errors. V(0) is for ever.
    type: float
    default: 0
  resume_max_age:
    description:
      - When a run with the same options was interrupted, the tables that it had proved to be equal within this many seconds are
        not read again, and are returned with the time of that proof. V(0) reads every table.
      - A proof is of its moment; what has happened to the table since is not seen.
      - Not with O(method=cut), where everything is read at one moment.
    type: int
    default: 0
  sample:
    description:
      - For O(engine=neptune). How many vertices and how many edges, or subjects of each graph, to compare. The rows of every table
        are counted all the same. V(0) compares everything.
      - Reading everything takes a scan of the graph for each 1000 elements, so a large graph is better sampled.
    type: int
    default: 0
  graph_type:
    description: What of the graph is compared, for O(engine=neptune). Defaults to what is replicated.
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
    support: none
    details: In check mode nothing is compared, because a proof needs the marker row.
  diff_mode:
    support: N/A
    details: Nothing is changed.
  idempotent:
    support: full
    details: The marker row and the record of the progress do not count as a change.
notes:
  - The hash of a row has 64 bits. Sequences, on MySQL the next values of AUTO_INCREMENT, are reported. They are carried over by
    the switchover, and fail the verification only after it, when green serves and could give out a value again.
  - Large tables are read in parts at the same time from PostgreSQL 14 on.
  - On MySQL a table is read in ranges of its primary key, or of a unique index over columns that cannot be NULL. A table without
    one, or whose key begins with a column of type FLOAT, DOUBLE, ENUM, SET or with a prefix, is read in one piece.
  - On MySQL the progress is kept in C(bluegreen.verify_progress) on green, outside the binary log.
  - Neptune has no lock that lets writers wait, so there is no O(method=cut), and no O(resume_max_age). The blank nodes of a graph of
    RDF have no name that both sides share, so they are compared together, by what is said of them.
  - With O(engine=neptune) patterns name C(vertex.LABEL), C(edge.LABEL) or C(graph.IRI), and columns of O(expected_differences)
    are property keys or predicates.
  - A statement that alters a table waits while the table is read, and whatever comes after it on that table waits behind it.
seealso:
  - module: bluegreen.aws.pg_logical_subscription
  - module: bluegreen.aws.bg_readiness
  - module: bluegreen.aws.bg_switchover
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Prove that green holds what blue holds
  bluegreen.aws.bg_verify:
    deployment_id: shop-pg18
    engine: aurora_postgresql
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: shop-pg18.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    exclude: ["cache.*"]

- name: Compare both sides at one moment, with what was changed on green
  bluegreen.aws.bg_verify:
    deployment_id: shop-pg18
    engine: aurora_postgresql
    method: cut
    parallel: 4
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: shop-pg18.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    expected_differences:
      - object: public.orders
        columns: [total_cents]
      - object: reporting.*

- name: The same for two schemas of Aurora MySQL
  bluegreen.aws.bg_verify:
    deployment_id: shop-84
    engine: aurora_mysql
    databases: [shop, billing]
    blue:
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    green:
      host: shop-84.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"

- name: A graph of Neptune, every element
  bluegreen.aws.bg_verify:
    deployment_id: shop-graph
    engine: neptune
    blue:
      host: shop.cluster-abc.eu-central-1.neptune.amazonaws.com
      iam_auth: true
    green:
      host: shop-graph.cluster-abc.eu-central-1.neptune.amazonaws.com
      iam_auth: true
"""

RETURN = r"""
verified:
  description: Whether every table that was neither excluded nor declared as different is proved to be equal.
  returned: always, unless it could not begin
  type: bool
tables:
  description: Every table, partitions one by one.
  returned: always, unless it could not begin
  type: list
  elements: dict
  contains:
    database:
      description: The database.
      type: str
    schema:
      description: The schema.
      type: str
    table:
      description: The table.
      type: str
    blue_rows:
      description: Rows counted on blue. On a table that is written to the two sides are counted a moment apart.
      type: int
    green_rows:
      description: Rows counted on green.
      type: int
    equal:
      description: Whether it is proved that both sides hold the same rows.
      type: bool
    different:
      description: How many rows differ.
      type: int
    at_least:
      description: Whether there may be more of them, because the counting ends after a thousand.
      type: bool
    differences:
      description: The first of them by key, without their content.
      type: list
      elements: str
      sample: ["id=7777: not the same"]
    error:
      description: Why the table could not be compared. Null when it could.
      type: str
    expected:
      description: Whether the whole table was declared in O(expected_differences), so that it was not compared.
      type: bool
    columns_left_out:
      description: The columns that were declared in O(expected_differences), so that they were not compared.
      type: list
      elements: str
    proved_at:
      description: When the run before this one, which was interrupted, proved it. Null when this one did.
      type: str
      sample: "2026-11-26T11:03:50Z"
definitions:
  description: How what is defined on green stands to blue's.
  returned: with O(engine=aurora_mysql), unless it could not begin
  type: dict
  contains:
    compared:
      description: How many schemas, tables, columns, indexes, constraints, partitions, views, triggers, routines and events.
      type: int
    different:
      description: What is not the same and was not declared. It fails the verification.
      type: list
      elements: str
      sample: ["shop: orders: column amount has default '0.00' on blue, but '1.00' on green"]
sequences:
  description: How green's sequences stand to blue's.
  returned: always, unless it could not begin
  type: dict
  contains:
    compared:
      description: How many there are.
      type: int
    behind:
      description: Those of green that could give out a value again that blue has given out. To be expected before the switchover.
      type: list
      elements: str
      sample: ["shop: public.orders_id_seq is at 2777 on green, but at 70344 on blue"]
not_compared:
  description: Materialized views and foreign tables, on MySQL FEDERATED tables, which are not compared.
  returned: always, unless it could not begin
  type: list
  elements: str
stall_ms:
  description: With O(method=cut), the longest time that writers may have waited. Null otherwise.
  returned: always, unless it could not begin
  type: float
  sample: 9.7
source:
  description: The side that was taken for the original, because it serves.
  returned: always, unless it could not begin
  type: str
  sample: blue
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
  description: Where green answers.
  returned: success
  type: dict
  contains: *side
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._core.comparison import judge, summed_up
from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options, Verdict
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    engine_specific_options,
    expected_differences_option,
    mysql_endpoint,
    neptune_client,
    neptune_endpoint,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import verify as verify_mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import verify_others
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import verify as verify_neptune
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import GraphType
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.state import observe
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import status
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import verify as verify_postgresql


def _verify(module: AnsibleAWSModule, names: Names) -> dict[str, Any]:
    options = Options(
        method=module.params["method"],
        parallel=module.params["parallel"],
        settle_timeout=module.params["settle_timeout"],
        marker_timeout=module.params["marker_timeout"],
        lock_timeout=module.params["lock_timeout"],
        timeout=module.params["timeout"],
        exclude=module.params["exclude"],
        expected=ExpectedDifferences.of(module.params["expected_differences"]),
        resume_max_age=module.params["resume_max_age"],
    )
    compare = _ENGINES[module.params["engine"]]
    blue, green, source, verdict = compare(module, names, options)
    for warning in verdict.warnings:
        module.warn(warning)
    result = {**verdict.as_dict(), "source": source}
    problems = [] if verdict.definitions is None else summed_up(verdict.definitions.different)
    judge(verdict.tables, result, [*problems, *(verdict.sequences_behind if source == "green" else [])])
    return {
        **result,
        "verified": True,
        "blue": {"host": blue.host, "port": blue.port},
        "green": {"host": green.host, "port": green.port},
    }


def _postgresql(module: AnsibleAWSModule, names: Names, options: Options) -> tuple[Endpoint, Endpoint, str, Verdict]:
    blue, green = postgresql_endpoint(module, "blue"), postgresql_endpoint(module, "green")
    state = status.observe(blue, green, names, module.params["databases"])
    source, target = (green, blue) if state.direction == "reverse" else (blue, green)
    deployed = state.record.position if state.record else None
    verdict = verify_postgresql.verify(source, target, names, state.databases, options, deployed)
    return blue, green, source.side, verdict


def _mysql(module: AnsibleAWSModule, names: Names, options: Options) -> tuple[Endpoint, Endpoint, str, Verdict]:
    blue, green = mysql_endpoint(module, "blue"), mysql_endpoint(module, "green")
    serving, deployed = verify_others.serving(blue, green, names)
    source, target = (green, blue) if serving == "green" else (blue, green)
    verdict = verify_mysql.verify(source, target, names, module.params["databases"], options, deployed)
    return blue, green, source.side, verdict


def _neptune(module: AnsibleAWSModule, names: Names, options: Options) -> tuple[Endpoint, Endpoint, str, Verdict]:
    blue, green = neptune_endpoint(module, "blue"), neptune_endpoint(module, "green")
    dynamodb = module.client("dynamodb")
    table = module.params["checkpoint_table"] or names.checkpoint_table
    state = observe(dynamodb, table, names)
    if module.params["databases"] is not None:
        raise BlueGreenError("The option databases means nothing to the engine neptune: leave it out.")
    recorded = state.control.graph_type if state.control else None
    graph_type: GraphType = "rdf" if (module.params["graph_type"] or recorded) == "rdf" else "propertygraph"
    source, target = ("green", "blue") if state.serving == "green" else ("blue", "green")
    lease = Lease(dynamodb, table, names.lease_key("reverse" if source == "green" else "forward"))
    clients = {side: neptune_client(module, side) for side in (source, target)}
    try:
        verdict = verify_neptune.verify(
            clients[source], clients[target], lease, graph_type, options, module.params["sample"]
        )
    finally:
        for client in clients.values():
            client.close()
    return blue, green, source, verdict


_ENGINES: dict[str, Callable[[AnsibleAWSModule, Names, Options], tuple[Endpoint, Endpoint, str, Verdict]]] = {
    "aurora_mysql": _mysql,
    "aurora_postgresql": _postgresql,
    "neptune": _neptune,
}


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "engine": {"type": "str", "choices": list(_ENGINES), "required": True},
            "blue": connection_options(required=True),
            "green": connection_options(required=True),
            "method": {"type": "str", "choices": ["live", "cut"], "default": "live"},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "expected_differences": expected_differences_option(),
            "parallel": {"type": "int", "default": 2},
            "settle_timeout": {"type": "float", "default": 60},
            "marker_timeout": {"type": "float", "default": 30},
            "lock_timeout": {"type": "float", "default": 0.5},
            "timeout": {"type": "float", "default": 0},
            "resume_max_age": {"type": "int", "default": 0},
            "sample": {"type": "int", "default": 0},
            **engine_specific_options(),
        },
        supports_check_mode=False,
    )
    run(module, lambda names, _journal: _verify(module, names))


if __name__ == "__main__":
    main()
