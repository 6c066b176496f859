# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A parameter of Systems Manager as a gate: a value that holds the address of blue or green.

Source: AWS Systems Manager API, PutParameter (with Overwrite; what is not given again, such as the KMS key of a
SecureString, falls back to its default), DescribeParameters, GetParameter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..._aws.api import Api
from ..._aws.gate_permissions import Permissions
from ..._core.checks import Check, failed, ok
from ..._core.errors import BlueGreenError
from ..._core.waiting import Deadline
from . import Position, Target

_KEPT = ("Type", "KeyId", "Tier", "DataType", "Description", "AllowedPattern")


class ParameterGate:
    """One parameter; clients that read it follow, the fence stops the others.

    ``template`` is the whole value with ``{host}`` and ``{port}`` in it. Without one the address inside the value is
    replaced and the rest, such as a password in a URL, is kept.
    """

    holds = False

    def __init__(
        self, api: Api, name: str, template: str | None, sides: Mapping[str, Target], permissions: Permissions
    ) -> None:
        self.name = f"SSM parameter {name}"
        self._api, self._parameter, self._template, self._sides = api, name, template, dict(sides)
        self._permissions = permissions
        self._about: dict[str, Any] | None = None

    def facts(self) -> Position:
        """The side that the value leads to; what the parameter is besides its value is read here, before the window."""
        if self._about is None:
            self._about = self._describe()
        return position(self._read(), self._template, self._sides)

    def guardrails(self, source: str, target: str) -> list[Check]:
        """Whether the parameter's own pattern lets the new value in."""
        about = self._about or self._describe()
        pattern = about.get("AllowedPattern")
        found = self._get()
        new = rewritten(str(found["Value"]), self._template, self._sides, target)
        if pattern and not _fits(pattern, new):
            return [
                failed(
                    "gate_ssm_pattern",
                    f"the AllowedPattern of {self.name} does not let the value for {target} in",
                    "change the parameter's AllowedPattern or the gate's option template",
                )
            ]
        return [
            ok("gate_ssm_parameter", f"{self.name} leads to {source}"),
            self._permissions.check("gate_ssm_permission", "ssm:PutParameter", str(found["ARN"])),
        ]

    def hold(self, deadline: Deadline) -> None:
        """A parameter makes nobody wait."""

    def retarget(self, side: str) -> None:
        """A new version from what is current now."""
        value = self._read()
        found = position(value, self._template, self._sides)
        if found == side:
            return
        if found == "elsewhere":
            raise BlueGreenError(
                f"The {self.name} leads to neither blue nor green any more: somebody else has changed it."
            )
        about = self._about or self._describe()
        self._api.call(
            "put_parameter",
            Name=self._parameter,
            Value=rewritten(value, self._template, self._sides, side),
            Overwrite=True,
            **{key: about[key] for key in _KEPT if about.get(key)},
            **({"Policies": _policies(about)} if about.get("Policies") else {}),
        )

    def release(self) -> None:
        """Nothing is held."""

    def settle(self, deadline: Deadline) -> str:
        """Nothing goes on by itself."""
        return ""

    def close(self) -> None:
        """Nothing is open."""

    def _read(self) -> str:
        return str(self._get()["Value"])

    def _get(self) -> dict[str, Any]:
        found: dict[str, Any] = self._api.call("get_parameter", Name=self._parameter, WithDecryption=True)["Parameter"]
        return found

    def _describe(self) -> dict[str, Any]:
        found = self._api.pages(
            "describe_parameters",
            "Parameters",
            ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [self._parameter]}],
        )
        if not found:
            raise BlueGreenError(f"The {self.name} should exist, but does not: correct the gate's option name.")
        return found[0]


def position(value: str, template: str | None, sides: Mapping[str, Target]) -> Position:
    """The side whose address the value holds, and that of no other."""
    if template is not None:
        found = [side for side, target in sides.items() if value == _filled(template, target)]
    else:
        found = [side for side, target in sides.items() if _address(target.host).search(value)]
    if len(found) != 1:
        return "elsewhere"
    return "blue" if found[0] == "blue" else "green"


def rewritten(value: str, template: str | None, sides: Mapping[str, Target], side: str) -> str:
    """The value for ``side``."""
    wanted = sides[side]
    if template is not None:
        return _filled(template, wanted)

    def address(found: re.Match[str]) -> str:
        return wanted.host + (f":{wanted.port}" if found.group(1) else "")

    for target in sides.values():
        if target.host != wanted.host:
            value = _address(target.host).sub(address, value)
    return value


def _filled(template: str, target: Target) -> str:
    return template.replace("{host}", target.host).replace("{port}", str(target.port))


def _address(host: str) -> re.Pattern[str]:
    """The host as a whole name, with the port behind it if there is one."""
    return re.compile(rf"(?<![\w.-]){re.escape(host)}(?:(:)\d+)?(?![\w-]|\.\w)", re.IGNORECASE)


def _fits(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:  # written for another dialect of regular expressions: AWS will say
        return True


def _policies(about: Mapping[str, Any]) -> str:
    return json.dumps([json.loads(policy["PolicyText"]) for policy in about["Policies"]])
