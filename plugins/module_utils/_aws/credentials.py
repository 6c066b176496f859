# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The login of one side: given, from Secrets Manager, or an IAM token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .._core.errors import BlueGreenError


def login(side: str, options: Mapping[str, Any], port: int, client: Callable[[str], Any]) -> tuple[str, str]:
    """User and password for one side's connection options; ``client`` gives a boto3 client by service name.

    Sources: Secrets Manager GetSecretValue (JSON with ``username`` and ``password``, the form that RDS writes), RDS
    generate_db_auth_token (a token of 15 minutes in place of the password).
    Raises :class:`BlueGreenError` when the options name no login or the secret is not of that form.
    """
    user, password = options.get("user"), options.get("password")
    if options.get("secret_arn"):
        secret = _secret(side, options["secret_arn"], client("secretsmanager"))
        user, password = user or secret["username"], secret["password"]
    elif options.get("iam_auth") and user:
        password = client("rds").generate_db_auth_token(DBHostname=options["host"], Port=port, DBUsername=user)
    if not user or not password:
        raise BlueGreenError(
            f"A login for {side} is needed, but its options hold none that is complete: "
            "give user and password, or secret_arn, or user and iam_auth."
        )
    return user, password


def _secret(side: str, arn: str, client: Any) -> dict[str, str]:
    text = client.get_secret_value(SecretId=arn).get("SecretString") or ""
    try:
        secret = json.loads(text)
        return {"username": str(secret["username"]), "password": str(secret["password"])}
    except (ValueError, KeyError, TypeError):
        raise BlueGreenError(
            f"The secret of {side} ({arn}) should be JSON with username and password, as RDS writes it, but is not: "
            "correct the secret or give user and password."
        ) from None
