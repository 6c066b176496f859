# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of checkpoints, on moto: made as it should be, waited for, and deleted only when it is ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.checkpoint_table import CheckpointTable
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError, WaitTimeout
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal

NAME = "shop-v14-streams"


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("dynamodb", region_name="eu-central-1")


def table(dynamodb: Any, deployment_id: str = "shop-v14") -> CheckpointTable:
    return CheckpointTable(Api(dynamodb), NAME, deployment_id, {"team": "graphs"})


def test_it_is_paid_by_request_and_tagged_as_ours(dynamodb: Any) -> None:
    journal = Journal(False)
    for _again in range(2):
        table(dynamodb).ensure(journal, timeout=1, delay=0.01)
    assert journal.actions == [f"create DynamoDB table {NAME}"]
    found = dynamodb.describe_table(TableName=NAME)["Table"]
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    tags = dynamodb.list_tags_of_resource(ResourceArn=found["TableArn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "team": "graphs",
        "bluegreen:owner": "bluegreen.aws",
        "bluegreen:deployment-id": "shop-v14",
        "bluegreen:role": "green",
    }


def test_it_is_deleted_by_its_own_deployment_only(dynamodb: Any) -> None:
    table(dynamodb).ensure(Journal(False), timeout=1, delay=0.01)
    journal = Journal(False)
    assert table(dynamodb, "other").delete(journal, timeout=1, delay=0.01) is False
    assert journal.actions == []
    assert table(dynamodb).delete(journal, timeout=1, delay=0.01) is True
    assert table(dynamodb).delete(journal, timeout=1, delay=0.01) is True
    assert journal.actions == [f"delete DynamoDB table {NAME}"]
    assert table(dynamodb).status() is None


def test_a_table_with_another_key_is_refused(dynamodb: Any) -> None:
    dynamodb.create_table(
        TableName=NAME,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(BlueGreenError, match="should have the key leaseKey and nothing else, but has id"):
        table(dynamodb).ensure(Journal(False), timeout=1, delay=0.01)


def test_it_waits_until_it_can_be_written_to(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = table(dynamodb)
    made.ensure(Journal(False), timeout=1, delay=0.01)
    states = iter(["CREATING", "CREATING", "ACTIVE"])
    monkeypatch.setattr(made, "status", lambda: next(states))
    made.ensure(Journal(False), timeout=1, delay=0.01)
    monkeypatch.setattr(made, "status", lambda: "CREATING")
    with pytest.raises(WaitTimeout, match="to be active, but last saw CREATING"):
        made.ensure(Journal(False), timeout=0.05, delay=0.01)
