# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a deployment that RDS manages: found by its name, by our tags or by its source, with its places and its reasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import client_places, managed, managed_present
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import read_cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from tests.unit.plugins.module_utils._aws.conftest import ARN, Shape, instance_shape, tag_list

BLUE, GREEN = f"{ARN}:cluster:shop", f"{ARN}:cluster:shop-green-abc123"
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def shape(status: str = "AVAILABLE", **fields: Any) -> Shape:
    return {
        "BlueGreenDeploymentIdentifier": "bgd-0123456789abcdef",
        "BlueGreenDeploymentName": "shop-84",
        "Source": BLUE,
        "Target": GREEN,
        "Status": status,
        "SwitchoverDetails": [{"SourceMember": BLUE, "TargetMember": GREEN, "Status": status}],
        "Tasks": [{"Name": "CONFIGURE_BACKUPS", "Status": "COMPLETED"}],
        **fields,
    }


def answer(stubber: Stubber, *items: Shape, **parameters: Any) -> None:
    stubber.add_response("describe_blue_green_deployments", {"BlueGreenDeployments": list(items)}, parameters)


def by(name: str, value: str) -> dict[str, Any]:
    return {"Filters": [{"Name": name, "Values": [value]}]}


def test_a_deployment_is_found_by_its_name(stubber: Stubber, api: Api) -> None:
    answer(stubber, shape(), **by("blue-green-deployment-name", "shop-84"))

    found = managed.find(api, "shop-84")

    assert found is not None
    assert (found.identifier, found.source, found.target) == ("bgd-0123456789abcdef", BLUE, GREEN)
    assert found.members == (managed.Member(BLUE, GREEN, "AVAILABLE"),)
    assert found.tasks == (managed.Task("CONFIGURE_BACKUPS", "COMPLETED"),)


def test_a_deployment_of_another_name_is_found_by_our_tags(stubber: Stubber, api: Api) -> None:
    answer(stubber, **by("blue-green-deployment-name", "shop-84"))
    foreign = shape(BlueGreenDeploymentName="Console", TagList=tag_list(ownership_tags("other")))
    answer(stubber, foreign, shape(BlueGreenDeploymentName="Shop", TagList=tag_list(ownership_tags("shop-84"))))

    found = managed.find(api, "shop-84")

    assert found is not None
    assert found.name == "Shop"


def test_there_is_none_without_name_and_tags(stubber: Stubber, api: Api) -> None:
    answer(stubber, **by("blue-green-deployment-name", "shop-84"))
    answer(stubber, shape(BlueGreenDeploymentName="other"))

    assert managed.find(api, "shop-84") is None


def test_of_two_deployments_of_a_source_the_one_that_is_not_over_counts(stubber: Stubber, api: Api) -> None:
    answer(stubber, shape("SWITCHOVER_COMPLETED"), shape("PROVISIONING"), **by("source", BLUE))

    found = managed.of_source(api, BLUE)

    assert found is not None
    assert found.status == "PROVISIONING"


def test_a_deployment_that_is_being_made_may_lack_its_target_and_its_details(stubber: Stubber, api: Api) -> None:
    young = shape("PROVISIONING", SwitchoverDetails=[{"SourceMember": BLUE}])
    del young["Target"], young["Tasks"]
    answer(stubber, young, BlueGreenDeploymentIdentifier="bgd-0123456789abcdef")

    found = managed.read(api, "bgd-0123456789abcdef")

    assert found is not None
    assert found.target is None
    assert found.members == (managed.Member(BLUE, None, None),)
    assert found.as_dict()["tasks"] == []


def test_a_deployment_that_is_gone_is_none(stubber: Stubber, api: Api) -> None:
    stubber.add_client_error("describe_blue_green_deployments", "BlueGreenDeploymentNotFoundFault", "gone")

    assert managed.read(api, "bgd-0123456789abcdef") is None


def test_reasons_are_what_went_wrong_since_then_oldest_first(stubber: Stubber, api: Api) -> None:
    def events(kind: str, identifier: str, *told: tuple[int, str]) -> None:
        items = [{"Date": NOW + timedelta(seconds=at), "Message": message} for at, message in told]
        expected = {"SourceType": kind, "SourceIdentifier": identifier, "Duration": ANY}
        stubber.add_response("describe_events", {"Events": items}, expected)

    late = "Switchover from DB cluster shop to shop-green-abc123 was canceled due to replica lag."
    early = "Creation of blue/green deployment failed due to incompatible parameter(s)."
    events(
        "blue-green-deployment",
        "bgd-0123456789abcdef",
        (-1, "It failed an hour ago."),
        (1, "Switchover started."),
        (9, late),
    )
    events("db-cluster", "shop", (9, late))
    events("db-cluster", "shop-green-abc123", (3, early))

    assert managed.reasons(api, managed.deployment_of(shape()), NOW) == [early, late]


def test_the_places_of_a_cluster_have_its_endpoints(
    stubber: Stubber, api: Api, answer_cluster: Callable[..., None], blue: Callable[..., Any]
) -> None:
    found = blue(readers=1, Endpoint="shop.cluster-x", ReaderEndpoint="shop.cluster-ro-x", Port=3306)
    answer_cluster(dict(found.description), *(dict(one.description) for one in found.instances))
    answer_cluster(None)

    places = managed.endpoints(api, managed.deployment_of(shape()))

    assert places["green"] is None
    assert places["blue"] is not None
    assert (places["blue"].host, places["blue"].reader_host, places["blue"].port) == (
        "shop.cluster-x",
        "shop.cluster-ro-x",
        3306,
    )
    assert [one.identifier for one in places["blue"].members] == ["shop-1", "shop-2"]


def test_the_members_of_an_instance_are_the_replicas_that_the_deployment_names(stubber: Stubber, api: Api) -> None:
    details = [
        {"SourceMember": f"{ARN}:db:shop", "TargetMember": f"{ARN}:db:shop-green-a"},
        {"SourceMember": f"{ARN}:db:shop-r", "TargetMember": f"{ARN}:db:shop-r-green-b"},
    ]
    deployment = managed.deployment_of(
        shape(Source=f"{ARN}:db:shop", Target=f"{ARN}:db:shop-green-a", SwitchoverDetails=details)
    )
    for name in ("shop", "shop-r", "shop-green-a", "shop-r-green-b"):
        replicas = ["shop-r", "shop-green-a"] if name == "shop" else []
        described = instance_shape(name, Endpoint={"Address": f"{name}.x", "Port": 5432})
        stubber.add_response(
            "describe_db_instances",
            {"DBInstances": [{**described, "ReadReplicaDBInstanceIdentifiers": replicas}]},
            {"DBInstanceIdentifier": name},
        )

    places = managed.endpoints(api, deployment)

    assert places["blue"] is not None
    assert places["green"] is not None
    assert [one.identifier for one in places["blue"].members] == ["shop", "shop-r"]
    assert [one.is_writer for one in places["green"].members] == [True, False]
    assert (places["green"].host, places["green"].port, places["green"].parameter_group) == (
        "shop-green-a.x",
        5432,
        None,
    )


@pytest.mark.parametrize("kind", ["cluster", "db"])
def test_an_arn_of_another_account_or_region_is_not_what_has_its_name_here(
    stubber: Stubber, api: Api, answer_cluster: Callable[..., None], blue: Callable[..., Any], kind: str
) -> None:
    if kind == "cluster":
        found = blue(readers=0)
        answer_cluster(dict(found.description), *(dict(one.description) for one in found.instances))
    else:
        stubber.add_response("describe_db_instances", {"DBInstances": [instance_shape("shop")]})
    with pytest.raises(BlueGreenError, match=f"is {ARN}:{kind}:shop: correct the ARN, the Region or the credentials"):
        managed_present.resolve(api, f"arn:aws:rds:us-east-1:999999999999:{kind}:shop")


def test_clients_are_not_looked_at_in_the_deployment_of_another_database(
    stubber: Stubber, api: Api, answer_cluster: Callable[..., None], blue: Callable[..., Any]
) -> None:
    found = blue(readers=0)
    for _look in range(2):
        answer_cluster(dict(found.description), *(dict(one.description) for one in found.instances))
    answer(stubber, shape(Source=f"{ARN}:cluster:orders"), **by("blue-green-deployment-name", "shop-84"))
    with pytest.raises(BlueGreenError, match="should be of shop, but its source is orders: correct source"):
        client_places.look(api, "shop-84", "shop")


@pytest.mark.parametrize(
    "source", ["", " ", "arn:", "arn:aws:rds:eu-central-1:123456789012:cluster:", "-shop", "shop;", "a/b"]
)
def test_what_is_no_identifier_names_nothing(api: Api, source: str) -> None:
    with pytest.raises(BlueGreenError, match="should be the identifier or the ARN of a DB cluster or a DB instance"):
        managed_present.resolve(api, source)


def test_an_empty_identifier_is_not_the_first_cluster_of_the_account(api: Api) -> None:
    assert read_cluster(api, "") is None
