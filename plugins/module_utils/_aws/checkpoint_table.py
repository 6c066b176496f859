# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The DynamoDB table of checkpoints: one item per direction of replication, and the control record.

Its key is the one of the poller that AWS publishes (``leaseKey``), so that either can go on from the other's checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.waiting import wait_until
from .api import Api, ApiError
from .ownership import is_ours, ownership_tags

KEY = "leaseKey"
_MISSING = ("ResourceNotFoundException",)
_TAKEN = "ResourceInUseException"


class CheckpointTable:
    """The table ``name`` of the deployment; a table of somebody else is used as it is, and never deleted."""

    def __init__(self, api: Api, name: str, deployment_id: str, tags: Mapping[str, str] | None = None) -> None:
        self._api = api
        self.name = name
        self._tags = {str(key): str(value) for key, value in (tags or {}).items()}
        self._deployment_id = deployment_id

    def status(self) -> str | None:
        """Its state as DynamoDB says it, such as ``ACTIVE``; None when there is no such table."""
        found = self._describe()
        return None if found is None else str(found.get("TableStatus"))

    def ensure(self, journal: Journal, *, timeout: float, delay: float) -> None:
        """Make it, unless it is there, and wait until it can be written to.

        Raises :class:`BlueGreenError` when the table that is there has another key.
        """
        found = self._describe()
        if found is None or found.get("TableStatus") == "DELETING":
            journal.act(f"create DynamoDB table {self.name}", lambda: self._create(timeout, delay))
            return
        keys = [(key.get("AttributeName"), key.get("KeyType")) for key in found.get("KeySchema") or []]
        if keys != [(KEY, "HASH")]:
            raise BlueGreenError(
                f"The DynamoDB table {self.name} should have the key {KEY} and nothing else, but has "
                f"{', '.join(str(name) for name, _kind in keys)}: name another one as checkpoint_table."
            )
        if not journal.check_mode:
            self._wait(timeout, delay)

    def delete(self, journal: Journal, *, timeout: float, delay: float) -> bool:
        """Delete it when it is ours, and wait until it is gone; returns whether none of it is left afterwards."""
        found = self._describe()
        if found is None:
            return True
        if not self._ours(found):
            return False
        if found.get("TableStatus") != "DELETING":
            journal.act(f"delete DynamoDB table {self.name}", self._delete)
        if not journal.check_mode:
            self._gone(timeout, delay)
        return True

    def _create(self, timeout: float, delay: float) -> None:
        self._gone(timeout, delay)  # one that is being deleted
        try:
            self._api.call(
                "create_table",
                TableName=self.name,
                AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
                KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
                Tags=ansible_dict_to_boto3_tag_list({**self._tags, **ownership_tags(self._deployment_id)}),
            )
        except ApiError as error:
            if error.code != _TAKEN:  # another run of ours was quicker
                raise
        self._wait(timeout, delay)

    def _delete(self) -> None:
        self._api.find("delete_table", _MISSING, TableName=self.name)

    def _wait(self, timeout: float, delay: float) -> None:
        wait_until(
            self.status,
            lambda status: status in ("ACTIVE", "UPDATING"),
            timeout=timeout,
            delay=delay,
            wanted=f"the DynamoDB table {self.name} to be active",
        )

    def _gone(self, timeout: float, delay: float) -> None:
        wait_until(
            self.status,
            lambda status: status is None,
            timeout=timeout,
            delay=delay,
            wanted=f"the DynamoDB table {self.name} to be deleted",
        )

    def _describe(self) -> dict[str, Any] | None:
        answer = self._api.find("describe_table", _MISSING, TableName=self.name)
        return None if answer is None else dict(answer["Table"])

    def _ours(self, found: dict[str, Any]) -> bool:
        tags = self._api.pages("list_tags_of_resource", "Tags", _MISSING, ResourceArn=found["TableArn"])
        return is_ours(boto3_tag_list_to_ansible_dict(tags), self._deployment_id)
