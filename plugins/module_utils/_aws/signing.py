# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Requests to Neptune with IAM authentication: signed with Signature Version 4 by the identity that runs the module.

Source: Amazon Neptune User Guide, *Connecting to Neptune with Signature Version 4*: the service is ``neptune-db``, the
Region is the cluster's own, and the Host header holds the port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session
except ImportError:  # AnsibleAWSModule says so, in its own words

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Stands in, never raised."""


from .._core.errors import BlueGreenError, words

SERVICE = "neptune-db"
_NEEDED = "Requests to Neptune are to be signed, because iam_auth is true, but"

Signer = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""Method, URL, headers and body of a request in, the headers to add out; may be called by several threads at once."""


def signer(region: str | None, connection: Mapping[str, Any]) -> Signer:
    """Signs for ``region`` with the credentials of ``connection``, the keyword arguments of the module's boto3 clients.

    They are the keys given to the module, or else those that botocore finds (profile, environment, instance), which are renewed
    by it when they expire: every request is signed with what holds then. Raises :class:`BlueGreenError` when there are
    none or no Region, and the signer does when they cannot be renewed; no message holds a secret.
    """
    if not region:
        raise BlueGreenError(f"{_NEEDED} no Region is known: set region, or AWS_REGION.")
    found = _credentials(connection)

    def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        try:
            SigV4Auth(found.get_frozen_credentials(), SERVICE, region).add_auth(request)
        except BotoCoreError as error:
            raise BlueGreenError(f"{_NEEDED} the credentials cannot be used: {words(error)}; renew them.") from None
        return {name: str(value) for name, value in request.headers.items() if name not in headers}

    return sign


def _credentials(connection: Mapping[str, Any]) -> Any:
    key, secret = connection.get("aws_access_key_id"), connection.get("aws_secret_access_key")
    if key and secret:
        return Credentials(key, secret, connection.get("aws_session_token"))
    try:
        found = Session(profile=connection.get("profile_name")).get_credentials()
    except BotoCoreError as error:
        raise BlueGreenError(f"{_NEEDED} no credentials could be had: {words(error)}; check the profile.") from None
    if found is None:
        raise BlueGreenError(f"{_NEEDED} there are no AWS credentials: give access_key and secret_key, or a profile.")
    return found
