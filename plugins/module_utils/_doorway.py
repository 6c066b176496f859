# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The doorway between AnsibleModule and the library: options in, one sentence out when something is wrong.

Nothing below this file and the modules sees the AnsibleModule object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:  # AnsibleAWSModule says so, in its own words

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Stands in, never raised."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Stands in, never raised."""


from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ._aws.api import QUICK_CONFIG, Api, quick
from ._aws.credentials import login
from ._aws.signing import Signer, signer
from ._core.endpoint import Endpoint
from ._core.errors import BlueGreenError, words
from ._core.journal import Journal
from ._core.names import Names
from ._neptune.connection import DEFAULT_PORT, Client
from ._postgresql.connection import MAINTENANCE_DATABASE


def deployment_options() -> dict[str, Any]:
    """The option that every module has."""
    return {"deployment_id": {"type": "str", "required": True}}


def wait_options(timeout: int, delay: float = 10.0) -> dict[str, Any]:
    """``wait``, ``wait_timeout`` and ``wait_delay`` in seconds, named as in amazon.aws."""
    return {
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": timeout},
        "wait_delay": {"type": "float", "default": delay},
    }


def replication_options(*more_states: str, timeout: int = 600) -> dict[str, Any]:
    """What the replication modules have in common, ``more_states`` beside those that each of them has."""
    states = ["prepared", "positioned", "running", "stopped", "absent", *more_states]
    return {
        **deployment_options(),
        "state": {"type": "str", "choices": states, "default": "running"},
        "blue": connection_options(),
        "green": connection_options(),
        "position": {"type": "str"},
        "max_lag": {"type": "float"},
        **wait_options(timeout, 1.0),
    }


def engine_specific_options() -> dict[str, Any]:
    """What tells a module that serves every engine where the replication of one of them is."""
    return {
        "databases": {"type": "list", "elements": "str"},
        "graph_type": {"type": "str", "choices": ["propertygraph", "rdf"]},
        "checkpoint_table": {"type": "str"},
    }


def login_options() -> dict[str, Any]:
    """Who logs in, and where to; ``password`` and ``secret_arn`` exclude each other."""
    return {
        "user": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "secret_arn": {"type": "str", "no_log": False},
        "iam_auth": {"type": "bool", "default": False},
        "database": {"type": "str"},
    }


def expected_differences_option() -> dict[str, Any]:
    """What was changed on green on purpose, the same everywhere; read it with ``ExpectedDifferences.of``."""
    return {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "object": {"type": "str", "required": True},
            "columns": {"type": "list", "elements": "str", "default": []},
        },
    }


def connection_options(**overrides: Any) -> dict[str, Any]:
    """One side's connection, the same sub-options everywhere; ``overrides`` go to the option itself (``required``)."""
    return {
        "type": "dict",
        "options": {
            "host": {"type": "str", "required": True},
            "port": {"type": "int"},
            **login_options(),
            "ssl_mode": {
                "type": "str",
                "choices": ["disable", "require", "verify-ca", "verify-full"],
                "default": "verify-full",
            },
            "ca_cert": {"type": "path"},
            "connect_timeout": {"type": "int", "default": 10},
        },
        "mutually_exclusive": [["password", "secret_arn"]],
        **overrides,
    }


def postgresql_endpoint(module: AnsibleAWSModule, side: str) -> Endpoint:
    """One side's PostgreSQL endpoint from its connection options, the login resolved and masked.

    Raises :class:`BlueGreenError` when the option is missing or names no complete login.
    """
    return _endpoint(module, side, 5432, MAINTENANCE_DATABASE)


def mysql_endpoint(module: AnsibleAWSModule, side: str) -> Endpoint:
    """One side's MySQL endpoint, as :func:`postgresql_endpoint`."""
    return _endpoint(module, side, 3306, "")


def _endpoint(module: AnsibleAWSModule, side: str, default_port: int, default_database: str) -> Endpoint:
    options = module.params.get(side)
    if not options:
        raise BlueGreenError(f"The option {side} is needed here, but is missing: give the connection to {side}.")
    port = options["port"] or default_port
    user, password = login(side, options, port, module.client)
    module.no_log_values.add(password)
    return Endpoint(
        side=side,
        host=options["host"],
        port=port,
        user=user,
        password=password,
        database=options["database"] or default_database,
        ssl_mode=options["ssl_mode"],
        ca_cert=options["ca_cert"],
        connect_timeout=options["connect_timeout"],
    )


def replicated(
    module: AnsibleAWSModule, result: dict[str, Any], blue: Endpoint | None, green: Endpoint | None
) -> dict[str, Any]:
    """What a replication module returns: ``result``, where the given sides answer, and in diff mode its ``before`` and ``after``."""
    before, after = result.pop("before"), result.pop("after")
    sides = {"blue": blue, "green": green}
    return {
        **result,
        **{side: {"host": at.host, "port": at.port} if at else None for side, at in sides.items()},
        **({"diff": {"before": before, "after": after}} if module._diff else {}),
    }


def login_at(module: AnsibleAWSModule, server: Endpoint, options: Mapping[str, Any]) -> Endpoint:
    """Another login at a server, from the options of one (``user``, ``password``, ``secret_arn``, ``iam_auth``), masked."""
    user, password = login(server.side, {**options, "host": server.host}, server.port, module.client)
    module.no_log_values.add(password)
    return replace(server, user=user, password=password, database=options.get("database") or server.database)


def neptune_endpoint(module: AnsibleAWSModule, side: str) -> Endpoint:
    """One side's Neptune endpoint; who asks is signed for, see :func:`neptune_signers`.

    Raises :class:`BlueGreenError` when the option is missing or gives a login, which Neptune has not.
    """
    options = module.params.get(side)
    if not options:
        raise BlueGreenError(f"The option {side} is needed here, but is missing: give the connection to {side}.")
    given = [name for name in ("user", "password", "secret_arn", "database") if options[name]]
    if given:
        raise BlueGreenError(
            f"Neptune has no logins and no databases, but {side} gives {', '.join(given)}: leave it out; iam_auth=true signs the "
            "requests."
        )
    return Endpoint(
        side=side,
        host=options["host"],
        port=options["port"] or DEFAULT_PORT,
        user="",
        password="",
        ssl_mode=options["ssl_mode"],
        ca_cert=options["ca_cert"],
        connect_timeout=options["connect_timeout"],
    )


def neptune_signers(module: AnsibleAWSModule) -> dict[str, Signer | None]:
    """What signs the requests to each side, None for a side without ``iam_auth``."""
    sides = {side: module.params.get(side) or {} for side in ("blue", "green")}
    return {side: neptune_signer(module) if options.get("iam_auth") else None for side, options in sides.items()}


def neptune_signer(module: AnsibleAWSModule) -> Signer:
    """What signs requests to Neptune with the identity that runs the module; raises :class:`BlueGreenError` without one."""
    region, _endpoint_url, connection = get_aws_connection_info(module)
    return signer(region, connection)


def neptune_client(module: AnsibleAWSModule, side: str, timeout: float = 60) -> Client:
    """A client of one side's Neptune from its connection options, its requests signed when ``iam_auth`` says so.

    Raises :class:`BlueGreenError` when the option is missing or gives a login, which Neptune has not.
    """
    endpoint = neptune_endpoint(module, side)
    return Client(endpoint, neptune_signers(module)[side], timeout)


def window_api(module: AnsibleAWSModule) -> Callable[[str], Api]:
    """What gives an AWS service by its name, its client made now and ready to be called inside the window."""
    apis: dict[str, Api] = {}

    def api(service: str) -> Api:
        if service not in apis:
            apis[service] = quick(module.client(service, config=QUICK_CONFIG))
        return apis[service]

    return api


def window_client(module: AnsibleAWSModule, service: str) -> Any:
    """A boto3 client of an AWS service, ready to be called inside the window."""
    return module.client(service, config={**QUICK_CONFIG, "retries": {"max_attempts": 3}})


def run(module: AnsibleAWSModule, body: Callable[[Names, Journal], dict[str, Any]]) -> None:
    """Call ``body`` and leave the module: ``exit_json`` with its result, or ``fail_json`` with one sentence.

    ``changed``, ``deployment_id`` and ``actions`` come from here; when the run failed they tell what was done before.
    """
    journal = Journal(module.check_mode)
    deployment_id: str = module.params["deployment_id"]
    try:
        result = body(Names.of(deployment_id), journal)
    except BlueGreenError as error:
        _fail(module, journal, error.message, **error.details)
    except ClientError as error:
        _fail(module, journal, _client_sentence(error), error={"code": error.response.get("Error", {}).get("Code")})
    except BotoCoreError as error:
        _fail(module, journal, f"AWS could not be asked: {words(error)}; look at region, endpoint and credentials.")
    except KeyboardInterrupt:
        _fail(module, journal, "Interrupted: run it again, it goes on from what is true then.")
    except Exception as error:  # noqa: BLE001  no traceback ever reaches a user
        _fail(module, journal, f"Unexpected {type(error).__name__}: {words(error)}.")
    module.exit_json(
        **{"changed": journal.changed, "deployment_id": deployment_id, "actions": journal.actions, **result}
    )


def _fail(module: AnsibleAWSModule, journal: Journal, message: str, **details: Any) -> None:
    module.fail_json(
        msg=message,
        **{
            "changed": journal.changed and not journal.check_mode,
            "deployment_id": module.params["deployment_id"],
            "actions": journal.actions,
            **details,
        },
    )


def _client_sentence(error: ClientError) -> str:
    answer = error.response.get("Error", {})
    return (
        f"AWS refused {getattr(error, 'operation_name', 'a call')}: {' '.join(str(answer.get('Message')).split()).rstrip('.')} "
        f"({answer.get('Code', 'no code')})."
    )
