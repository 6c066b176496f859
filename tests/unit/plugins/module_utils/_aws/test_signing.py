# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signature of a request to Neptune, checked with the steps of AWS's description of Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.signing import signer
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError

KEY, SECRET, TOKEN = "AKIATESTTESTTEST1234", "s3cret+/that=nobody+sees/s3cret+/12345", "t0ken"
CONNECTION = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_session_token": None}
BODY = b"query=MATCH%20(n)%20RETURN%20n"
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
URL = "https://green.cluster-abc.eu-central-1.neptune.amazonaws.com:8182/openCypher"


def expected(method: str, url: str, headers: dict[str, str], body: bytes, date: str) -> str:
    """The Authorization header, from the description alone."""
    parts = urlsplit(url)
    signed = {name.lower(): value for name, value in headers.items()} | {"host": parts.netloc, "x-amz-date": date}
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            method,
            parts.path,
            "&".join(sorted(parts.query.split("&"))) if parts.query else "",
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{date[:8]}/eu-central-1/neptune-db/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("POST", URL, HEADERS, BODY),
        ("GET", f"{URL.replace('openCypher', 'propertygraph/stream')}?limit=1&iteratorType=LATEST", {}, b""),
    ],
)
def test_it_is_the_signature_that_aws_describes(method: str, url: str, headers: dict[str, str], body: bytes) -> None:
    added = signer("eu-central-1", CONNECTION)(method, url, headers, body)
    assert set(added) == {"Authorization", "X-Amz-Date"}
    assert added["Authorization"] == expected(method, url, headers, body, added["X-Amz-Date"])


def test_a_session_token_is_sent_and_signed() -> None:
    added = signer("eu-central-1", {**CONNECTION, "aws_session_token": TOKEN})("GET", URL, {}, b"")
    assert added["X-Amz-Security-Token"] == TOKEN
    assert "x-amz-security-token" in added["Authorization"]


def test_the_secret_is_in_no_header() -> None:
    added = signer("eu-central-1", CONNECTION)("POST", URL, HEADERS, BODY)
    assert not any(SECRET in value for value in added.values())


def test_without_keys_they_are_those_that_botocore_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    added = signer("eu-central-1", {"aws_access_key_id": None})("POST", URL, HEADERS, BODY)
    assert added["Authorization"] == expected("POST", URL, HEADERS, BODY, added["X-Amz-Date"])


def test_what_is_missing_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(BlueGreenError, match="no Region is known: set region"):
        signer(None, CONNECTION)
    with pytest.raises(BlueGreenError, match="there are no AWS credentials: give access_key"):
        signer("eu-central-1", {})
    with pytest.raises(BlueGreenError, match=r"no credentials could be had: .*check the profile"):
        signer("eu-central-1", {"profile_name": "nobody"})
