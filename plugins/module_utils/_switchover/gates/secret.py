# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A secret in Secrets Manager as a gate: host and port inside its JSON lead to blue or green.

Nothing of the secret but the names of its keys ever appears in a message.

Source: AWS Secrets Manager API, PutSecretValue (moves AWSCURRENT to the new version and AWSPREVIOUS to the one before;
the same ClientRequestToken with the same content makes no second version), DescribeSecret.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..._aws.api import Api
from ..._aws.gate_permissions import Permissions
from ..._core.checks import Check, failed, ok
from ..._core.errors import BlueGreenError
from ..._core.waiting import Deadline
from . import Position, Target
from .identifiers import Identifiers

_TOKEN = uuid.UUID("6d3c5d2e-6f0e-4a57-9a39-6f6a3c1f7b52")  # a name space of our own


@dataclass(frozen=True)
class SecretPlace:
    """The secret and the keys of its JSON; the one of the cluster's identifier is rewritten only where it exists."""

    secret_id: str
    host_key: str
    port_key: str
    identifier_key: str


class SecretGate:
    """One secret; clients that read it follow, the fence stops the others."""

    holds = False

    def __init__(
        self,
        api: Api,
        place: SecretPlace,
        sides: Mapping[str, Target],
        identifiers: Identifiers,
        permissions: Permissions,
    ) -> None:
        self.name = f"secret {place.secret_id}"
        self._api, self._place, self._sides = api, place, dict(sides)
        self._identifiers, self._permissions = identifiers, permissions

    def facts(self) -> Position:
        """The side that the current version leads to."""
        return self._position(self._read()[0])

    def guardrails(self, source: str, target: str) -> list[Check]:
        """Whether the secret may be written: not managed by a service, no rotation under way."""
        about = self._api.call("describe_secret", SecretId=self._place.secret_id)
        stages: Mapping[str, list[str]] = about.get("VersionIdsToStages") or {}
        if owner := about.get("OwningService"):
            return [
                failed(
                    "gate_secret",
                    f"{self.name} is managed by {owner}, which does not let others change it",
                    "give the clients a secret of your own",
                )
            ]
        if any("AWSPENDING" in found and "AWSCURRENT" not in found for found in stages.values()):
            return [
                failed(
                    "gate_secret", f"a rotation of {self.name} is under way", "let it end, or cancel it, and run again"
                )
            ]
        return [
            ok("gate_secret", f"{self.name} leads to {source} and no rotation of it is under way"),
            # a policy of the secret itself may allow it
            self._permissions.check(
                "gate_secret_permission", "secretsmanager:PutSecretValue", str(about["ARN"]), certain=False
            ),
        ]

    def hold(self, deadline: Deadline) -> None:
        """A secret makes nobody wait."""

    def retarget(self, side: str) -> None:
        """A new version from what is current now: a password that was changed since the checks is kept."""
        content, version = self._read()
        found = self._position(content)
        if found == side:
            return
        if found == "elsewhere":
            raise BlueGreenError(
                f"The {self.name} leads to neither blue nor green any more: somebody else has changed it."
            )
        self._api.call(
            "put_secret_value",
            SecretId=self._place.secret_id,
            SecretString=json.dumps(self._rewritten(content, side), ensure_ascii=False, allow_nan=False),
            ClientRequestToken=str(uuid.uuid5(_TOKEN, f"{version} {side}")),
        )

    def release(self) -> None:
        """Nothing is held."""

    def settle(self, deadline: Deadline) -> str:
        """Nothing goes on by itself."""
        return ""

    def close(self) -> None:
        """Nothing is open."""

    def _read(self) -> tuple[dict[str, Any], str]:
        """The content and the id of the current version."""
        answer = self._api.call("get_secret_value", SecretId=self._place.secret_id)
        try:
            content = json.loads(answer.get("SecretString") or "")
        except ValueError:
            content = None
        if not isinstance(content, dict) or self._place.host_key not in content:
            raise BlueGreenError(
                f"The {self.name} should be JSON with the key {self._place.host_key}, but is not: correct the secret or the "
                "gate's options secret_id and host_key."
            )
        return content, str(answer["VersionId"])

    def _position(self, content: Mapping[str, Any]) -> Position:
        for side in ("blue", "green"):
            if all(_same(content[key], value) for key, value in self._wanted(content, side).items()):
                return "blue" if side == "blue" else "green"
        return "elsewhere"

    def _wanted(self, content: Mapping[str, Any], side: str) -> dict[str, str]:
        """What the keys that say where have to be for ``side``; only those that the secret has."""
        place, target = self._place, self._sides[side]
        wanted = {place.host_key: target.host, place.port_key: str(target.port)}
        if place.identifier_key in content:
            wanted[place.identifier_key] = self._identifiers.of(side)
        return {key: value for key, value in wanted.items() if key in content}

    def _rewritten(self, content: Mapping[str, Any], side: str) -> dict[str, Any]:
        """The content for ``side``, in its order and with a number where there was one."""
        wanted = self._wanted(content, side)
        return {
            key: (int(wanted[key]) if isinstance(value, int) else wanted[key]) if key in wanted else value
            for key, value in content.items()
        }


def _same(found: Any, wanted: str) -> bool:
    return str(found).rstrip(".").lower() == wanted.rstrip(".").lower()
