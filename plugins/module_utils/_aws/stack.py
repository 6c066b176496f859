# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A stack of CloudFormation that a deployment owns: made, updated when something differs, switched on and off, deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.waiting import wait_until
from .api import Api, ApiError
from .ownership import PREFIX, is_ours, ownership_tags

_TEMPLATE = f"{PREFIX}template"
_MISSING = "ValidationError"  # what DescribeStacks says of a stack that there is not
_SCHEDULE = "CronArn"
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")

Template = Mapping[str, str]
"""``TemplateBody`` or ``TemplateURL``."""


class Stack:
    """The stack ``name`` of a deployment; one of somebody else is refused. Times in seconds."""

    def __init__(
        self,
        cloudformation: Api,
        events: Api,
        name: str,
        deployment_id: str,
        *,
        tags: Mapping[str, str],
        timeout: float,
        delay: float,
    ) -> None:
        self._api, self._events = cloudformation, events
        self.name = name
        self._deployment_id = deployment_id
        self._tags = {str(key): str(value) for key, value in tags.items()}
        self._timeout, self._delay = timeout, delay

    def ensure(self, template: Template, version: str, parameters: Mapping[str, str], journal: Journal) -> None:
        """Make it or bring it up to date, and wait until that is done; ``version`` tells templates apart."""
        found = self._settled(journal)
        if found is None:
            journal.act(f"create CloudFormation stack {self.name}", lambda: self._create(template, version, parameters))
            return
        status = str(found["StackStatus"])
        if status not in _DONE:
            raise BlueGreenError(
                f"The CloudFormation stack {self.name} should be complete, but is {status}{self._why()}: mend that, remove it with "
                "state=absent or in CloudFormation, and run this again."
            )
        if _tags(found).get(_TEMPLATE) == _digest(version, parameters):
            return
        journal.act(f"update CloudFormation stack {self.name}", lambda: self._update(template, version, parameters))

    def start(self, journal: Journal) -> None:
        """Switch its schedule on."""
        rule = self._rule()
        if rule is not None and self._state(rule) != "ENABLED":
            journal.act(f"enable the schedule of {self.name}", lambda: self._events.call("enable_rule", Name=rule))

    def pause(self, journal: Journal) -> None:
        """Switch its schedule off; what runs ends by itself."""
        rule = self._rule()
        if rule is not None and self._state(rule) == "ENABLED":
            journal.act(f"disable the schedule of {self.name}", lambda: self._events.call("disable_rule", Name=rule))

    def remove(self, journal: Journal) -> None:
        """Delete it and wait until it is gone."""
        found = self._describe()
        if found is None:
            return
        self._refuse_foreign(found)
        if found["StackStatus"] != "DELETE_IN_PROGRESS":
            journal.act(
                f"delete CloudFormation stack {self.name}", lambda: self._api.call("delete_stack", StackName=self.name)
            )
        if not journal.check_mode:
            self._wait(lambda status: status in ("gone", "DELETE_FAILED"), "to be deleted")
            if self._describe() is not None:
                raise BlueGreenError(
                    f"The CloudFormation stack {self.name} should be deleted, but could not be{self._why()}: delete it there."
                )

    def outputs(self) -> dict[str, str]:
        """Its outputs by name, none when there is no stack."""
        found = self._describe() or {}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs") or []}

    def parameters(self) -> dict[str, str]:
        """Its parameters by name, none when there is no stack."""
        found = self._describe() or {}
        return {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters") or []}

    def _create(self, template: Template, version: str, parameters: Mapping[str, str]) -> None:
        self._api.call("create_stack", OnFailure="DO_NOTHING", **self._request(template, version, parameters))
        self._complete()

    def _update(self, template: Template, version: str, parameters: Mapping[str, str]) -> None:
        try:
            self._api.call("update_stack", **self._request(template, version, parameters))
        except ApiError as error:
            if "No updates are to be performed" not in error.message:
                raise
            return
        self._complete()

    def _request(self, template: Template, version: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        tags = {**self._tags, **ownership_tags(self._deployment_id), _TEMPLATE: _digest(version, parameters)}
        return {
            "StackName": self.name,
            **template,
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            "Tags": ansible_dict_to_boto3_tag_list(tags),
        }

    def _complete(self) -> None:
        status = self._wait(lambda status: not status.endswith("_IN_PROGRESS"), "to be complete")
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise BlueGreenError(
                f"The CloudFormation stack {self.name} should be complete, but is {status}{self._why()}: mend that, remove it with "
                "state=absent, and run this again."
            )

    def _settled(self, journal: Journal) -> dict[str, Any] | None:
        found = self._describe()
        if found is None:
            return None
        self._refuse_foreign(found)
        if str(found["StackStatus"]).endswith("_IN_PROGRESS") and not journal.check_mode:
            self._wait(lambda status: not status.endswith("_IN_PROGRESS"), "to be complete")
            return self._describe()
        return found

    def _wait(self, done: Callable[[str], bool], wanted: str) -> str:
        return wait_until(
            self._status,
            done,
            timeout=self._timeout,
            delay=self._delay,
            wanted=f"the CloudFormation stack {self.name} {wanted}",
        )

    def _status(self) -> str:
        found = self._describe()
        return "gone" if found is None else str(found["StackStatus"])

    def _describe(self) -> dict[str, Any] | None:
        answer = self._api.find("describe_stacks", (_MISSING,), StackName=self.name)
        found = [one for one in (answer or {}).get("Stacks") or [] if one["StackStatus"] != "DELETE_COMPLETE"]
        return dict(found[0]) if found else None

    def _refuse_foreign(self, found: Mapping[str, Any]) -> None:
        if not is_ours(_tags(found), self._deployment_id):
            raise BlueGreenError(
                f"The CloudFormation stack {self.name} should belong to the deployment {self._deployment_id}, but its tags do not say "
                "so: delete it, or choose another deployment_id."
            )

    def _why(self) -> str:
        """The first failure that CloudFormation tells of."""
        events = self._api.pages("describe_stack_events", "StackEvents", (_MISSING,), StackName=self.name)
        for event in reversed(events):
            if str(event.get("ResourceStatus", "")).endswith("_FAILED") and event.get("ResourceStatusReason"):
                return f" ({event.get('LogicalResourceId')}: {str(event['ResourceStatusReason']).rstrip('.')})"
        return ""

    def _rule(self) -> str | None:
        arn = self.outputs().get(_SCHEDULE)
        return arn.rpartition("rule/")[2] if arn else None

    def _state(self, rule: str) -> str:
        return str(self._events.call("describe_rule", Name=rule).get("State"))


def _digest(version: str, parameters: Mapping[str, str]) -> str:
    """What a stack was made of, in a form that a tag holds."""
    return hashlib.sha256(repr((version, sorted(parameters.items()))).encode()).hexdigest()[:32]


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = boto3_tag_list_to_ansible_dict(found.get("Tags") or [])
    return tags
