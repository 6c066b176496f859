# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.lab up|status|faults|down`: keep a lab running and use it from the shell."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from contextlib import closing

from conftest import collections_root
from tests.lab.engine import EngineError
from tests.lab.lab import Blue, Lab
from tests.lab.tools import MYSQL
from tests.scene import connect, connect_mysql

VARIABLES = """\
---
# Extra variables for the playbook bluegreen.aws.{role} on this lab.
{role}_deployment_id: {cluster}-{suffix}
{role}_source_db_cluster_identifier: {cluster}
{role}_engine_version: "{version}"
{role}_allow_major_version_upgrade: true
{role}_admin:
  secret_arn: {secret_arn}
  ca_cert: {ca_file}
{role}_skip_final_snapshot: true
{role}_wait_delay: 0.5
"""
# By role: the end of the deployment's name, and the version to go to.
ENGINES = {"aurora_postgresql": ("pg18", "18.4"), "aurora_mysql": ("my84", "8.4.mysql_aurora.8.4.7")}
TABLE = """
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 10000) AS n
"""
MYSQL_TABLE = "CREATE TABLE customers (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(60) NOT NULL)"
MYSQL_ROWS = """
INSERT INTO customers (name) WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
SELECT CONCAT('customer ', a.n, '-', b.n) FROM n AS a JOIN n AS b ON b.n <= 10
"""


def up(arguments: argparse.Namespace) -> int:
    """Start a lab that keeps running, seeded; print what the shell has to export."""
    lab = Lab.start(attached=False, names=arguments.names)
    try:
        seed = lab.seed_mysql if arguments.engine == "aurora_mysql" else lab.seed_postgresql
        blue = seed(cluster=arguments.cluster, readers=arguments.readers)
        fill(lab, blue)
        file = lab.state / f"{blue.cluster}.yml"
        file.write_text(variables(lab, blue), encoding="utf-8")
    except BaseException:
        lab.close()
        raise
    for name, value in lab.env.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"export ANSIBLE_COLLECTIONS_PATH={shlex.quote(str(collections_root()))}")
    print(f"# blue is {blue.cluster} on {blue.host}:{blue.port}; extra variables for the playbook: -e @{file}")
    return 0


def fill(lab: Lab, blue: Blue) -> None:
    """Give blue a table with rows, so that there is something to replicate and to compare."""
    if blue.engine == MYSQL:
        with closing(connect_mysql(lab, blue, blue.cluster)) as connection, connection.cursor() as cursor:
            cursor.execute(MYSQL_TABLE)
            cursor.execute(MYSQL_ROWS)
        return
    with closing(connect(lab, blue, blue.cluster, blue.database)) as there, there.cursor() as asking:
        asking.execute(TABLE)


def variables(lab: Lab, blue: Blue) -> str:
    """Return the playbook's extra variables for a seeded cluster, as YAML without any secret."""
    role = "aurora_mysql" if blue.engine == MYSQL else "aurora_postgresql"
    suffix, version = ENGINES[role]
    return VARIABLES.format(
        role=role,
        cluster=blue.cluster,
        suffix=suffix,
        version=version,
        secret_arn=blue.secret_arn,
        ca_file=lab.ca_file,
    )


def status(_arguments: argparse.Namespace) -> int:
    """Print every lab that runs, with its clusters."""
    labs = Lab.running()
    for lab in labs:
        print(json.dumps({"state": str(lab.state), "endpoint": lab.endpoint, **lab.faults.turn("status")}, indent=2))
    if not labs:
        print("no lab is running")
    return 0 if labs else 1


def down(_arguments: argparse.Namespace) -> int:
    """End the lab of BLUEGREEN_LAB_STATE, or every lab that runs."""
    for lab in Lab.running():
        lab.close()
        print(f"ended {lab.state}")
    return 0


def faults(arguments: argparse.Namespace) -> int:
    """Turn a knob of the one lab that runs."""
    labs = Lab.running()
    if len(labs) != 1:
        raise EngineError(f"{len(labs)} labs are running: choose one with BLUEGREEN_LAB_STATE.")
    pairs = [pair.partition("=") for pair in arguments.arguments]
    result = labs[0].faults.turn(arguments.knob, **{name: _value(value) for name, _equals, value in pairs})
    if result is not None:
        print(json.dumps(result, indent=2))
    return 0


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("up", help=up.__doc__)
    command.add_argument("--engine", choices=list(ENGINES), default=next(iter(ENGINES)))
    command.add_argument("--cluster", default="shop")
    command.add_argument("--readers", type=int, default=1)
    command.add_argument("--names", action="store_true", help="endpoints have host names instead of addresses")
    command.set_defaults(run=up)
    commands.add_parser("status", help=status.__doc__).set_defaults(run=status)
    commands.add_parser("down", help=down.__doc__).set_defaults(run=down)
    command = commands.add_parser("faults", help="turn a knob, such as: faults throttle operation=DescribeDBClusters")
    command.add_argument("knob")
    command.add_argument("arguments", nargs="*", metavar="name=value")
    command.set_defaults(run=faults)
    arguments = parser.parse_args()
    try:
        return int(arguments.run(arguments))
    except (EngineError, ValueError, TimeoutError) as exc:
        print(exc, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
