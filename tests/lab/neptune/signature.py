# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signature Version 4 as the service checks it: who signed, for which service, when, and exactly what."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from tests.lab.neptune.errors import ServiceError
from tests.lab.neptune.service import Request

SERVICE = "neptune-db"
_SKEW = datetime.timedelta(minutes=5)
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/\s]+)/(\d{8})/([^/\s]+)/([^/\s]+)/aws4_request, ?"
    r"SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})"
)


def check(request: Request, secrets: Mapping[str, str]) -> None:
    """Raise ServiceError unless the holder of one of these keys signed the request for the data plane just now."""
    header = request.headers.get("authorization")
    if header is None:
        raise _denied("Missing Authentication Token")
    match = _HEADER.fullmatch(header)
    if match is None:
        raise _denied("Authorization header is malformed")
    key, date, region, service, signed, signature = match.groups()
    if key not in secrets:
        raise _denied("The security token included in the request is invalid.")
    if service != SERVICE:
        raise _denied(f"Credential should be scoped to correct service: {SERVICE}")
    names, moment = signed.split(";"), request.headers.get("x-amz-date", "")
    if "host" not in names or "x-amz-date" not in names or not moment.startswith(date):
        raise _denied("Host and X-Amz-Date must be signed")
    try:
        at = datetime.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise _denied("X-Amz-Date is malformed") from None
    if abs(datetime.datetime.now(datetime.UTC) - at) > _SKEW:
        raise _denied(f"Signature expired: {moment} is now earlier or later than allowed")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{date}/{region}/{service}/aws4_request\n{_digest(_canonical(request, names))}"
    signing = f"AWS4{secrets[key]}".encode()
    for part in (date, region, service, "aws4_request", text):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(signing.hex(), signature):
        raise _denied("The request signature we calculated does not match the signature you provided.")


def _canonical(request: Request, names: list[str]) -> bytes:
    pairs = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _sign, value in (part.partition("=") for part in request.raw_query.split("&") if part)
    )
    query = "&".join(f"{name}={value}" for name, value in pairs)
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
    payload = request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest()
    if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(request.body).hexdigest():
        raise _denied("X-Amz-Content-SHA256 does not match the body")
    path = quote(quote(unquote(request.path), safe="/-_.~"), safe="/-_.~")
    return "\n".join((request.method, path, query, headers, ";".join(names), payload)).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _denied(text: str) -> ServiceError:
    return ServiceError("AccessDeniedException", text)
