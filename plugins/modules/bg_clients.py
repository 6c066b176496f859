#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_clients
version_added: 0.1.0
short_description: Make clients ready for a Blue/Green Deployment that RDS manages
description:
  - The AWS Advanced JDBC and Python Wrappers follow a Blue/Green Deployment with their plugin C(bg), when every user of an
    application may read the metadata of the deployment on blue and on green. When one may not, the plugin does nothing and says
    so nowhere.
  - Logs in as each user on each side and asks as the wrapper does. Where a grant is missing, V(state=granted) gives it.
  - Looks at what the plugin does not support, at the versions, the names and the TTL that clients use, and whether the metadata
    are there yet. Tells which host takes the place of which, and the properties to paste.
  - A check that could not be made has failed. The module itself succeeds; RV(ready) tells the verdict.
options:
  state:
    description:
      - V(checked) looks and changes nothing.
      - V(granted) gives the users what they miss. Do so on blue before the deployment is created, which carries it to green.
        With a deployment it is given on each side by itself, on MySQL outside the binary log, by the user of O(green), who needs
        C(CONNECTION_ADMIN) there, because green only reads. Nothing else is written.
      - On RDS for PostgreSQL V(granted) makes the extension C(rds_tools), but not while there is a deployment, because that
        would degrade it.
    type: str
    choices: [checked, granted]
    default: checked
  engine:
    description: What blue is. When left out, the service is asked about O(source) or the deployment.
    type: str
    choices: [aurora_mysql, aurora_postgresql, rds_mysql, rds_postgresql]
  source:
    description: Blue, the DB cluster or DB instance, by identifier or ARN. When left out, the deployment tells it.
    type: str
  blue:
    description: The connection of an administrator to blue, such as the master user.
    required: true
  green:
    description:
      - The connection of an administrator to green. The same sub-options as O(blue).
      - When left out and there is a deployment, the login of O(blue) at green's endpoint.
  users:
    description: The users of the applications. Others who can log in are warned of.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description: The user to log in as.
        type: str
        required: true
      host:
        description: The host of the account to grant to, on MySQL.
        type: str
        default: '%'
      password:
        description: The user's password.
        type: str
      secret_arn:
        description:
          - The Secrets Manager secret that holds the login as JSON with C(username) and C(password).
          - Mutually exclusive with O(users[].password).
        type: str
      iam_auth:
        description: Log in with an IAM token instead of a password.
        type: bool
        default: false
      database:
        description: The database that the application uses, on PostgreSQL. Defaults to that of the side's connection.
        type: str
  endpoints:
    description: The names that the applications connect to. Defaults to the host of O(blue).
    type: list
    elements: str
  require_metadata:
    description:
      - Whether RV(ready) is false as long as the service has not written the metadata of the deployment, which was seen to take
        a day. Without it that is a warning.
    type: bool
    default: false
  dns_server:
    description: A DNS server that the applications use, as host or C(host:port), to ask for addresses and their TTL.
    type: str
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.connections
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: bluegreen.aws.bg_probe
  - module: bluegreen.aws.bg_switchover
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Give every application's user what the wrappers need, before the deployment is created
  bluegreen.aws.bg_clients:
    state: granted
    deployment_id: shop-my84
    source: shop
    blue: &blue
      host: shop.cluster-abc.eu-central-1.rds.amazonaws.com
      secret_arn: "{{ admin_secret_arn }}"
    users: &users
      - user: shop_app
        password: "{{ shop_password }}"
      - user: shop_report
        secret_arn: "{{ report_secret_arn }}"

- name: Look whether the clients are ready
  bluegreen.aws.bg_clients:
    deployment_id: shop-my84
    blue: *blue
    users: *users
    require_metadata: true
    dns_server: 10.0.0.2
  register: clients

- name: Go on with clients that are ready only
  ansible.builtin.assert:
    that: clients.ready
    fail_msg: "{{ clients.checks | selectattr('status', 'eq', 'failed') | map(attribute='evidence') | join('; ') }}"

- name: Show which host takes the place of which
  ansible.builtin.debug:
    msg: "{{ clients.hosts_text.splitlines() }}"
"""

RETURN = r"""
ready:
  description: Whether no check failed.
  returned: success
  type: bool
checks:
  description: Every check.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The name of the check.
      type: str
    status:
      description: V(ok), V(warning) or V(failed).
      type: str
    evidence:
      description: What was found.
      type: str
    remedy:
      description: What mends it, empty when nothing has to be done.
      type: str
    docs:
      description: Where more can be read.
      type: str
users:
  description: What each user sees on each side.
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: The user.
      type: str
    side:
      description: C(blue) or C(green).
      type: str
    database:
      description: The database, null on MySQL.
      type: str
    status:
      description:
        - V(ok), or why not. V(absent) without the table or function, V(grant) when the user may not read it, V(login) when it was
          not let in, V(unreachable) when the server was not reached.
      type: str
    rows:
      description: How many rows of metadata the user sees.
      type: int
    message:
      description: The reason in a sentence, null when there is none.
      type: str
metadata:
  description: The rows of the metadata that were seen on C(blue) and on C(green), null where nobody could read them.
  returned: success
  type: dict
hosts:
  description: Which host of green takes the place of which host of blue, with their addresses.
  returned: success
  type: list
  elements: dict
hosts_text:
  description: The same as a table to read.
  returned: success
  type: str
configuration:
  description:
    - What to paste, C(jdbc) with C(url) and C(properties), C(jdbc_text) for a properties file, C(python) and C(python_text), and
      C(notes), among them to take the plugin out again afterwards.
  returned: success
  type: dict
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: ["on green: GRANT SELECT ON mysql.rds_topology TO 'shop_app'@'%'"]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

from dataclasses import asdict, replace
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.client_places import Places, look
from ansible_collections.bluegreen.aws.plugins.module_utils._clients import metadata, tables
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.configuration import configuration
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.grants import (
    Granting,
    Look,
    User,
    grant,
    looks,
    looks_after,
    others,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.readiness import Request, checks, hosts
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import (
    connection_options,
    deployment_options,
    login_at,
    login_options,
    mysql_endpoint,
    postgresql_endpoint,
    run,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import connection as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import connection as postgresql


def _dialect(module: AnsibleAWSModule, places: Places) -> str:
    if module.params["engine"]:
        return str(module.params["engine"])
    if places.blue is None:
        raise BlueGreenError(
            "It is not known what blue is, because there is no deployment of this name yet: give source, or engine."
        )
    return metadata.dialect(places.blue.engine)


def _admins(module: AnsibleAWSModule, places: Places, dialect: str) -> tuple[Endpoint, ...]:
    """The administrator's connection to each side that is there."""
    is_mysql = dialect.endswith("mysql")
    (mysql if is_mysql else postgresql).require_driver()
    of = mysql_endpoint if is_mysql else postgresql_endpoint
    blue = of(module, "blue")
    if module.params["green"]:
        return blue, of(module, "green")
    green = places.green
    if green is None or green.host is None or places.switched:
        return (blue,)
    there = replace(blue, side="green", host=green.host, port=green.port or blue.port)
    return blue, login_at(module, there, module.params["blue"])


def _users(module: AnsibleAWSModule, admins: tuple[Endpoint, ...]) -> list[User]:
    made = []
    for options in module.params["users"]:
        if not options["user"].strip():
            raise BlueGreenError("Every entry of users needs the name of a user, but one is empty: correct it.")
        logins = tuple(login_at(module, admin, options) for admin in admins)
        made.append(User(options["user"], options["host"], logins))
    return made


def _clients(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    params = module.params
    places = look(Api(module.client("rds")), names.deployment_id, params["source"])
    dialect = _dialect(module, places)
    admins = _admins(module, places, dialect)
    users = _users(module, admins)
    found = looks(users, dialect)
    if params["state"] == "granted":
        deployed = len(admins) > 1 or (places.deployment is not None and not places.switched)
        grant(Granting(dialect, admins, deployed), users, found, journal)
        if journal.changed and not journal.check_mode:
            found = looks_after(users, dialect)
    blue = admins[0]
    asked = Request(
        dialect,
        places,
        params["endpoints"] or [blue.host],
        params["dns_server"],
        params["require_metadata"],
        _others(blue, users, dialect),
    )
    return _result(module, asked, blue, found)


def _others(blue: Endpoint, users: list[User], dialect: str) -> list[str] | str:
    try:
        return others(blue, users, dialect)
    except BlueGreenError as error:
        return error.message


def _result(module: AnsibleAWSModule, asked: Request, blue: Endpoint, found: list[Look]) -> dict[str, Any]:
    params, places = module.params, asked.places
    judged = checks(asked, found)
    table = tables.hosts(hosts(places.blue, params["dns_server"]), hosts(places.green, params["dns_server"]))
    host = asked.endpoints[0]
    seen = {one.side: [asdict(row) for row in one.rows] for one in reversed(found) if one.reason == "ok"}
    return {
        "ready": not any(check.status == "failed" for check in judged),
        "checks": [check.as_dict() for check in judged],
        "users": [one.as_dict() for one in found],
        "metadata": {"blue": None, "green": None, **seen},
        "hosts": table,
        "hosts_text": tables.hosts_text(table),
        "configuration": configuration(asked.dialect, params["deployment_id"], host, blue.port, blue.database),
    }


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "state": {"type": "str", "choices": ["checked", "granted"], "default": "checked"},
            "engine": {"type": "str", "choices": sorted(metadata.DIALECTS)},
            "source": {"type": "str"},
            "blue": connection_options(required=True),
            "green": connection_options(),
            "users": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **login_options(),
                    "user": {"type": "str", "required": True},
                    "host": {"type": "str", "default": "%"},
                },
                "mutually_exclusive": [["password", "secret_arn"]],
            },
            "endpoints": {"type": "list", "elements": "str"},
            "require_metadata": {"type": "bool", "default": False},
            "dns_server": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run(module, lambda names, journal: _clients(module, names, journal))


if __name__ == "__main__":
    main()
