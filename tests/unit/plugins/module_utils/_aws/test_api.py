# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door to the RDS API: retried while throttled, one sentence when refused, nothing taken for an answer."""

from __future__ import annotations

import json

import botocore.exceptions
import pytest
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import credentials
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api, ApiError, Unanswered
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError


@pytest.mark.parametrize("code", ["Throttling", "ThrottlingException", "RequestLimitExceeded", "InternalFailure"])
def test_a_throttled_call_is_made_again(api: Api, stubber: Stubber, code: str) -> None:
    stubber.add_client_error("describe_db_clusters", code, "Rate exceeded")
    stubber.add_response("describe_db_clusters", {"DBClusters": []})
    assert api.call("describe_db_clusters")["DBClusters"] == []


def test_a_call_that_stays_throttled_has_no_answer(api: Api, stubber: Stubber) -> None:
    for _unused in range(3):
        stubber.add_client_error("describe_db_clusters", "Throttling", "Rate exceeded")
    with pytest.raises(Unanswered, match=r"did not answer DescribeDBClusters: Rate exceeded \(Throttling\)"):
        api.call("describe_db_clusters")


def test_a_refusal_is_not_tried_again_and_keeps_its_code(api: Api, stubber: Stubber) -> None:
    stubber.add_client_error("reboot_db_instance", "InvalidDBInstanceState", "Instance x is\nnot available.")
    with pytest.raises(ApiError) as caught:
        api.call("reboot_db_instance", DBInstanceIdentifier="x")
    assert caught.value.code == "InvalidDBInstanceState"
    assert caught.value.message == (
        "AWS refused RebootDBInstance: Instance x is not available (InvalidDBInstanceState)."
    )


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidClientTokenId", "check the AWS credentials"),
        ("SignatureDoesNotMatch", "check the AWS credentials"),
        ("ExpiredToken", "renew the AWS credentials"),
        ("AccessDenied", "allow this action"),
    ],
)
def test_a_refused_identity_is_told_what_to_do(api: Api, stubber: Stubber, code: str, advice: str) -> None:
    stubber.add_client_error("describe_db_clusters", code, "no")
    with pytest.raises(ApiError, match=advice):
        api.call("describe_db_clusters")


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        botocore.exceptions.NoCredentialsError(),
        ResponseParserError("Unable to parse response, invalid XML received"),
    ],
)
def test_an_endpoint_that_gives_no_answer_is_one_sentence(
    api: Api, stubber: Stubber, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**parameters: object) -> None:
        raise error

    monkeypatch.setattr(stubber.client, "describe_db_clusters", fail)
    with pytest.raises(Unanswered, match=r"^AWS could not be asked for DescribeDBClusters: [^\n]+$"):
        api.call("describe_db_clusters")


def test_a_parameter_that_botocore_does_not_know_is_one_sentence(
    api: Api, stubber: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**parameters: object) -> None:
        raise botocore.exceptions.ParamValidationError(report='Unknown parameter in input: "Newer"')

    monkeypatch.setattr(stubber.client, "describe_db_clusters", fail)
    with pytest.raises(BlueGreenError, match=r'cannot call DescribeDBClusters: .*"Newer".*; update botocore'):
        api.call("describe_db_clusters", Newer=True)


def test_what_is_missing_is_none_and_nothing_else_is(api: Api, stubber: Stubber) -> None:
    stubber.add_client_error("describe_db_clusters", "DBClusterNotFoundFault", "gone")
    assert api.find("describe_db_clusters", ("DBClusterNotFoundFault",), DBClusterIdentifier="x") is None
    stubber.add_client_error("describe_db_clusters", "AccessDenied", "no")
    with pytest.raises(ApiError):
        api.find("describe_db_clusters", ("DBClusterNotFoundFault",), DBClusterIdentifier="x")


def test_all_pages_are_read_and_a_page_is_retried(api: Api, stubber: Stubber) -> None:
    first, second = {"DBClusterIdentifier": "a"}, {"DBClusterIdentifier": "b"}
    stubber.add_response("describe_db_clusters", {"DBClusters": [first], "Marker": "1"})
    stubber.add_client_error("describe_db_clusters", "Throttling", "Rate exceeded")
    stubber.add_response("describe_db_clusters", {"DBClusters": [first], "Marker": "1"})
    stubber.add_response("describe_db_clusters", {"DBClusters": [second]})
    assert api.pages("describe_db_clusters", "DBClusters") == [first, second]


def test_items_below_a_path_are_found(api: Api, stubber: Stubber) -> None:
    defaults = {"EngineDefaults": {"Parameters": [{"ParameterName": "work_mem"}]}}
    stubber.add_response("describe_engine_default_cluster_parameters", defaults)
    found = api.pages(
        "describe_engine_default_cluster_parameters", "EngineDefaults.Parameters", DBParameterGroupFamily="f"
    )
    assert found == [{"ParameterName": "work_mem"}]


def test_the_parameters_of_an_operation_are_those_of_this_botocore(api: Api) -> None:
    accepted = api.accepts("restore_db_cluster_to_point_in_time")
    assert {"RestoreType", "ServerlessV2ScalingConfiguration"} <= accepted
    assert "EngineVersion" not in accepted


class Secrets:
    """A Secrets Manager with one secret."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        return {"SecretString": self.text}


class Tokens:
    """An RDS that hands out tokens."""

    def generate_db_auth_token(self, DBHostname: str, Port: int, DBUsername: str) -> str:
        return f"token for {DBUsername}@{DBHostname}:{Port}"


def login(options: dict[str, object], secret: str = "") -> tuple[str, str]:
    clients = {"secretsmanager": Secrets(secret), "rds": Tokens()}
    return credentials.login("blue", {"host": "db", **options}, 5432, clients.__getitem__)


def test_the_login_comes_from_the_options_the_secret_or_a_token() -> None:
    secret = json.dumps({"username": "admin", "password": "s3cret", "host": "elsewhere"})
    assert login({"user": "u", "password": "p"}) == ("u", "p")
    assert login({"secret_arn": "arn"}, secret) == ("admin", "s3cret")
    assert login({"secret_arn": "arn", "user": "u"}, secret) == ("u", "s3cret")
    assert login({"iam_auth": True, "user": "u"}) == ("u", "token for u@db:5432")


@pytest.mark.parametrize("options", [{}, {"user": "u"}, {"password": "p"}, {"iam_auth": True}])
def test_an_incomplete_login_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(BlueGreenError, match="A login for blue is needed"):
        login(options)


@pytest.mark.parametrize("secret", ["", "hunter2", '"hunter2"', '["hunter2"]', '{"user": "hunter2"}'])
def test_a_secret_of_another_form_is_refused_without_quoting_it(secret: str) -> None:
    with pytest.raises(BlueGreenError, match="should be JSON with username and password") as caught:
        login({"secret_arn": "arn"}, secret)
    assert "hunter2" not in caught.value.message
