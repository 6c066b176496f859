# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The option ``gates``, the same for every engine, and the gates that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..._aws.api import Api
from ..._aws.gate_permissions import Permissions
from ..._core.errors import BlueGreenError
from . import Gate, Gates, Target
from .haproxy import HAProxyGate, HAProxyPlace
from .identifiers import Identifiers
from .parameter import ParameterGate
from .pgbouncer import PgBouncerGate
from .rds_proxy import RDSProxyGate
from .route53 import RecordPlace, Route53Gate
from .secret import SecretGate, SecretPlace

ApiFor = Callable[[str], Api]
PGBOUNCER_PORT = 6432
_SIDES = ("blue", "green")

REQUIRED = {
    "pgbouncer": ["host", "user", "databases", "config_file"],
    "haproxy": ["socket", "host", "port", "backend"],
    "route53": ["hosted_zone_id", "record"],
    "secretsmanager_secret": ["secret_id"],
    "ssm_parameter": ["name"],
    "rds_proxy": ["db_proxy_name"],
}


def gates_option() -> dict[str, Any]:
    """The option's specification."""
    return {
        "type": "list",
        "elements": "dict",
        "default": [],
        "required_if": [["type", kind, options] for kind, options in REQUIRED.items()],
        "options": {
            "type": {"type": "str", "choices": list(REQUIRED), "required": True},
            "host": {"type": "str"},
            "port": {"type": "int"},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "databases": {"type": "list", "elements": "str"},
            "config_file": {"type": "path"},
            "socket": {"type": "str"},
            "backend": {"type": "str"},
            "blue_server": {"type": "str", "default": "blue"},
            "green_server": {"type": "str", "default": "green"},
            "hosted_zone_id": {"type": "str"},
            "record": {"type": "str"},
            "max_ttl": {"type": "int", "default": 5},
            "dns_server": {"type": "str"},
            "secret_id": {"type": "str", "no_log": False},
            "host_key": {"type": "str", "default": "host", "no_log": False},
            "port_key": {"type": "str", "default": "port", "no_log": False},
            "identifier_key": {"type": "str", "default": "dbClusterIdentifier", "no_log": False},
            "name": {"type": "str"},
            "template": {"type": "str", "no_log": True},
            "db_proxy_name": {"type": "str"},
            "target_group_name": {"type": "str", "default": "default"},
            "blue_db_cluster_identifier": {"type": "str"},
            "green_db_cluster_identifier": {"type": "str"},
            "blue_host": {"type": "str"},
            "blue_port": {"type": "int"},
            "green_host": {"type": "str"},
            "green_port": {"type": "int"},
        },
    }


def build(gates: Sequence[Mapping[str, Any]], sides: Mapping[str, Target], api: ApiFor, *, cuts: bool = False) -> Gates:
    """The gates of the option; ``api`` gives an AWS service by its name, ready to be called inside the window.

    ``cuts``: the servers cannot refuse writes, so a gate that holds shuts down the open sessions too.
    Raises :class:`BlueGreenError` for options that cannot be what is meant.
    """
    permissions = Permissions(api)
    return Gates([_gate(options, sides, api, permissions, cuts) for options in gates])


def _gate(
    options: Mapping[str, Any], sides: Mapping[str, Target], api: ApiFor, permissions: Permissions, cuts: bool
) -> Gate:
    own = {side: _target(options, side, sides[side]) for side in _SIDES}
    if own["blue"] == own["green"]:
        raise BlueGreenError(
            f"A gate of type {options['type']} should lead to two different addresses, but blue and green are both at "
            f"{own['blue'].host}:{own['blue'].port}: correct blue_host, green_host and the ports."
        )
    makers: dict[str, Callable[[], Gate]] = {
        "pgbouncer": lambda: pgbouncer(options, own),
        "haproxy": lambda: haproxy(options, own, cuts),
        "route53": lambda: _route53(options, own, api, permissions),
        "secretsmanager_secret": lambda: _secret(options, own, api, permissions),
        "ssm_parameter": lambda: _parameter(options, own, api, permissions),
        "rds_proxy": lambda: _rds_proxy(options, own, api),
    }
    return makers[options["type"]]()


def _target(options: Mapping[str, Any], side: str, connected: Target) -> Target:
    return Target(options[f"{side}_host"] or connected.host, options[f"{side}_port"] or connected.port)


def pgbouncer(options: Mapping[str, Any], sides: Mapping[str, Target]) -> PgBouncerGate:
    """The gate of such options."""
    return PgBouncerGate(
        host=options["host"],
        port=options["port"] or PGBOUNCER_PORT,
        user=options["user"],
        password=options["password"],
        databases=options["databases"],
        config_file=options["config_file"],
        sides=sides,
    )


def haproxy(options: Mapping[str, Any], sides: Mapping[str, Target], cuts: bool) -> HAProxyGate:
    """The gate of such options."""
    api: str = options["socket"]
    if not api.startswith("/") and not api.rpartition(":")[2].isdigit():
        raise BlueGreenError(f"The gate's option socket should be a path or host:port, but is {api}: correct it.")
    servers = {side: options[f"{side}_server"] for side in _SIDES}
    frontend = Target(options["host"], options["port"])
    return HAProxyGate(HAProxyPlace(api, frontend, options["backend"], servers), sides, cuts=cuts)


def _route53(options: Mapping[str, Any], sides: Mapping[str, Target], api: ApiFor, permissions: Permissions) -> Gate:
    place = RecordPlace(options["hosted_zone_id"], options["record"], options["max_ttl"], options["dns_server"])
    return Route53Gate(api("route53"), place, sides, permissions)


def _secret(options: Mapping[str, Any], sides: Mapping[str, Target], api: ApiFor, permissions: Permissions) -> Gate:
    place = SecretPlace(options["secret_id"], options["host_key"], options["port_key"], options["identifier_key"])
    return SecretGate(api("secretsmanager"), place, sides, _identifiers(options, sides, api), permissions)


def _parameter(options: Mapping[str, Any], sides: Mapping[str, Target], api: ApiFor, permissions: Permissions) -> Gate:
    template: str | None = options["template"]
    if template is not None and "{host}" not in template and "{port}" not in template:
        raise BlueGreenError("The gate's option template should have {host} or {port} in it, but has neither: add it.")
    return ParameterGate(api("ssm"), options["name"], template, sides, permissions)


def _rds_proxy(options: Mapping[str, Any], sides: Mapping[str, Target], api: ApiFor) -> Gate:
    identifiers = _identifiers(options, sides, api)
    return RDSProxyGate(api("rds"), options["db_proxy_name"], options["target_group_name"], identifiers)


def _identifiers(options: Mapping[str, Any], sides: Mapping[str, Target], api: ApiFor) -> Identifiers:
    given = {side: options[f"{side}_db_cluster_identifier"] for side in _SIDES}
    return Identifiers(partial(api, "rds"), given, sides)
