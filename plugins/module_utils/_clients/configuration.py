# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What an application has to say to the AWS wrappers so that they follow a Blue/Green Deployment, and where they cannot. Pure.

Sources: aws-advanced-jdbc-wrapper 4.4.0, UsingTheBlueGreenPlugin; aws-advanced-python-wrapper 3.1.0, UsingTheBlueGreenPlugin and
utils/properties.py. The JDBC wrapper takes every timeout in milliseconds, whatever the driver below wants; the Python wrapper
takes those of the driver in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REMINDER = (
    "Begin with the plugin some minutes before the switchover: it has to find the deployment and the addresses of its hosts first.",
    "The JDBC wrapper logs its own timeline of the switchover when the level of software.amazon.jdbc.plugin.bluegreen is FINE.",
    "A switchover_timeout above bgSwitchoverTimeoutMs (180 s) lets the plugin go on by itself before the service has ended.",
    "After the switchover take the plugin and these properties out again: it does no harm, but keeps a thread and a connection for "
    "each side.",
    "Where an application names plugins already, add bg to them in place of setting them to bg alone.",
    "Names of your own (CNAME aliases) are not supported: connect to the names of the service.",
)
_POSTGRESQL_NOTE = (
    "An application that sets targetServerType=primary keeps the monitor of green out, and waits for the whole "
    "bgSwitchoverTimeoutMs then: leave it out, or add blue-green-monitoring-targetServerType=any."
)
# The first of each major version that has the metadata (seed of the JDBC wrapper's documentation); newer majors have it.
_FIRST: Mapping[str, Mapping[int, int]] = {
    "aurora_postgresql": {13: 21, 14: 18, 15: 13, 16: 9, 17: 5},
    "rds_postgresql": {12: 21, 13: 17, 14: 14, 15: 9, 16: 5, 17: 1},
}
_FIRST_AURORA_MYSQL = (3, 7)
# *.<id>.<region>.rds.amazonaws.com and the other partitions; the wrappers know a host by its name alone.
_SERVICE_NAME = re.compile(
    r"^[^.]+(?:\.(?:cluster|cluster-ro|cluster-custom)-[0-9a-z]+|\.[0-9a-z]+)\.[a-z0-9-]+\.rds\.(?:amazonaws\.com(?:\.cn)?"
    r"|[a-z0-9.-]*sc2s\.sgov\.gov|[a-z0-9.-]*c2s\.ic\.gov)$|^[^.]+\.(?:cluster-|cluster-ro-)?[0-9a-z]+\.rds\.[a-z0-9-]+"
    r"\.amazonaws\.com\.cn$",
    re.IGNORECASE,
)
_PROXY = re.compile(r"^[^.]+\.(?:endpoint\.)?proxy-[0-9a-z]+\.", re.IGNORECASE)


def is_service_name(host: str) -> bool:
    """Whether a host has a name of the service's, by which the wrappers tell what it is."""
    return bool(_SERVICE_NAME.match(host)) and not is_proxy(host)


def is_proxy(host: str) -> bool:
    """Whether a host is an RDS Proxy, which moves its clients by itself."""
    return bool(_PROXY.match(host))


def lacks_metadata(dialect: str, version: str) -> str:
    """Which version has the metadata that the wrappers read, empty when this one has it."""
    if dialect == "rds_mysql":
        return ""
    if dialect == "aurora_mysql":
        release = re.search(r"mysql_aurora\.(\d+)\.(\d+)", version)
        if release and (int(release[1]), int(release[2])) >= _FIRST_AURORA_MYSQL:
            return ""
        return "Aurora MySQL 3.07"
    numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
    first = _FIRST[dialect]
    if numbers and (numbers[0] > max(first) or numbers[1:] >= [first.get(numbers[0], 1 << 30)]):
        return ""
    listed = ", ".join(f"{major}.{minor}" for major, minor in sorted(first.items(), reverse=True))
    return f"{'Aurora' if dialect.startswith('aurora') else 'RDS for'} PostgreSQL {listed}"


def configuration(dialect: str, deployment_id: str, host: str, port: int, database: str) -> dict[str, Any]:
    """The properties of both wrappers, as values and as text to paste; no login is in them."""
    is_mysql = dialect.endswith("mysql")
    jdbc = {
        "wrapperPlugins": "bg",
        "bgdId": deployment_id,
        "bgConnectTimeoutMs": "30000",
        "bgBaselineMs": "60000",
        "bgIncreasedMs": "1000",
        "bgHighMs": "100",
        "bgSwitchoverTimeoutMs": "180000",
        "connectTimeout": "30000",
        "socketTimeout": "30000",
        "blue-green-monitoring-connectTimeout": "10000",
        "blue-green-monitoring-socketTimeout": "10000",
    }
    python = {
        "plugins": "bg",
        "bg_id": deployment_id,
        "bg_connect_timeout_ms": "30000",
        "bg_interval_baseline_ms": "60000",
        "bg_interval_increased_ms": "1000",
        "bg_interval_high_ms": "100",
        "bg_switchover_timeout_ms": "180000",
        "bg_suspend_new_blue_connections": "True",
        "connect_timeout": "30",
        "blue-green-monitoring-connect_timeout": "10",
    }
    url = f"jdbc:aws-wrapper:{'mysql' if is_mysql else 'postgresql'}://{host}:{port}/{database}"
    return {
        "jdbc": {"url": url, "properties": jdbc},
        "jdbc_text": "\n".join([f"# {url}", *(f"{name}={value}" for name, value in jdbc.items())]) + "\n",
        "python": python,
        "python_text": "\n".join(
            ["properties = {", *(f'    "{name}": "{value}",' for name, value in python.items()), "}"]
        )
        + "\n",
        "notes": [*REMINDER, *([] if is_mysql else [_POSTGRESQL_NOTE])],
    }
