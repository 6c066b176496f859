# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates that are values in AWS: where a value leads, and what it becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.gate_permissions import Permissions
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Target, parameter, route53
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.identifiers import Identifiers
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.parameter import ParameterGate
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.rds_proxy import RDSProxyGate
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.route53 import RecordPlace, Route53Gate
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.secret import SecretGate, SecretPlace

BLUE, GREEN = "shop.cluster-abc.eu-central-1.rds.amazonaws.com", "shop-pg18.cluster-abc.eu-central-1.rds.amazonaws.com"
SIDES = {"blue": Target(BLUE, 5432), "green": Target(GREEN, 5433)}


class FakeApi(Api):
    """An AWS API; ``answers``: operation -> answer; ``calls``: operation and parameters, in order."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    @property
    def partition(self) -> str:
        return "aws"

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.calls.append((operation, parameters))
        answer: dict[str, Any] = self.answers.get(operation, {})
        return answer

    def pages(self, operation: str, key: str, missing: Any = (), **parameters: Any) -> list[dict[str, Any]]:
        return list(self.call(operation, **parameters)[key])

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of every call of an operation."""
        return [parameters for name, parameters in self.calls if name == operation]


def nobody(service: str) -> Api:
    raise BlueGreenError(f"{service} does not answer.")


def cname(value: str, **more: Any) -> dict[str, Any]:
    return {
        "Name": "db.example.com.",
        "Type": "CNAME",
        "TTL": 5,
        "ResourceRecords": [{"Value": value}],
        **more,
    }


def pair(blue: int, green: int) -> list[dict[str, Any]]:
    return [cname(BLUE, SetIdentifier="old", Weight=blue), cname(f"{GREEN}.", SetIdentifier="new", Weight=green)]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([cname(BLUE.upper() + ".")], "blue"),
        ([cname(GREEN)], "green"),
        ([cname("other.example.com")], "elsewhere"),
        ([cname(BLUE, AliasTarget={}, ResourceRecords=[])], "elsewhere"),
        (pair(100, 0), "blue"),
        (pair(0, 1), "green"),
        (pair(50, 50), "elsewhere"),
        (pair(0, 0), "elsewhere"),
        ([*pair(1, 0), cname("third.example.com", SetIdentifier="third", Weight=0)], "elsewhere"),
        ([cname(BLUE, SetIdentifier="a", Region="eu-central-1")], "elsewhere"),
    ],
)
def test_where_records_lead(records: list[dict[str, Any]], expected: str) -> None:
    assert route53.position(records, SIDES) == expected


def test_a_retargeted_cname_keeps_everything_but_its_value() -> None:
    record = cname(BLUE, HealthCheckId="check")
    assert route53.retargeted([record], SIDES, "green") == [{**record, "ResourceRecords": [{"Value": GREEN}]}]


def test_weights_change_places() -> None:
    there = route53.retargeted(pair(70, 0), SIDES, "green")
    assert [record["Weight"] for record in there] == [0, 70]
    assert [record["Weight"] for record in route53.retargeted(there, SIDES, "blue")] == [70, 0]


def test_a_record_is_changed_by_one_call_in_the_window() -> None:
    api = FakeApi(
        {
            "list_resource_record_sets": {"ResourceRecordSets": pair(70, 0)},
            "change_resource_record_sets": {"ChangeInfo": {"Id": "/change/C1", "Status": "PENDING"}},
            "get_change": {"ChangeInfo": {"Status": "INSYNC"}},
        }
    )
    gate = Route53Gate(api, RecordPlace("Z1", "db.example.com", 5, None), SIDES, Permissions(nobody))
    assert gate.facts() == "blue"
    before = len(api.calls)
    gate.retarget("green")
    gate.retarget("green")
    assert [operation for operation, _parameters in api.calls[before:]] == ["change_resource_record_sets"]


def test_a_ttl_above_the_limit_is_refused() -> None:
    api = FakeApi({"list_resource_record_sets": {"ResourceRecordSets": [cname(BLUE, TTL=300)]}})
    checks = Route53Gate(api, RecordPlace("Z1", "db.example.com", 60, None), SIDES, Permissions(nobody)).guardrails(
        "blue", "green"
    )
    (check,) = [check for check in checks if check.status == "failed"]
    assert "is 300 s, at most 60 s" in check.evidence


def test_a_record_that_is_not_there_is_named() -> None:
    api = FakeApi({"list_resource_record_sets": {"ResourceRecordSets": [cname(BLUE, Name="eb.example.com.")]}})
    with pytest.raises(BlueGreenError, match=r"should have a CNAME db\.example\.com, but has none"):
        Route53Gate(api, RecordPlace("Z1", "db.example.com", 60, None), SIDES, Permissions(nobody)).facts()


SECRET = {
    "username": "app",
    "password": "p\u00e4ss \u2028 w\\ord",
    "host": BLUE,
    "port": 5432,
    "nested": {"a": [1, 2.5, None]},
    "big": 12345678901234567890,
    "dbClusterIdentifier": "shop",
}


def secret_gate(content: dict[str, Any]) -> tuple[SecretGate, FakeApi]:
    api = FakeApi({"get_secret_value": {"SecretString": json.dumps(content), "VersionId": "v1"}})
    identifiers = Identifiers(lambda: api, {"blue": "shop", "green": "shop-pg18"}, SIDES)
    return SecretGate(
        api, SecretPlace("s", "host", "port", "dbClusterIdentifier"), SIDES, identifiers, Permissions(nobody)
    ), api


def test_only_the_address_in_a_secret_changes() -> None:
    gate, api = secret_gate(SECRET)
    assert gate.facts() == "blue"
    gate.retarget("green")
    written = api.asked("put_secret_value")[0]["SecretString"]
    expected = {**SECRET, "host": GREEN, "port": 5433, "dbClusterIdentifier": "shop-pg18"}
    assert json.loads(written) == expected and list(json.loads(written)) == list(SECRET)


def test_a_port_that_was_text_stays_text() -> None:
    gate, api = secret_gate({"host": BLUE, "port": "5432"})
    gate.retarget("green")
    assert json.loads(api.asked("put_secret_value")[0]["SecretString"]) == {"host": GREEN, "port": "5433"}


def test_keys_that_a_secret_does_not_have_are_not_added() -> None:
    gate, api = secret_gate({"host": BLUE})
    gate.retarget("green")
    assert json.loads(api.asked("put_secret_value")[0]["SecretString"]) == {"host": GREEN}


def test_a_secret_that_leads_there_already_gets_no_second_version() -> None:
    gate, api = secret_gate(SECRET)
    gate.retarget("blue")
    assert api.asked("put_secret_value") == []


def test_the_same_change_has_the_same_token() -> None:
    gate, api = secret_gate(SECRET)
    gate.retarget("green")
    gate.retarget("green")
    tokens = [call["ClientRequestToken"] for call in api.asked("put_secret_value")]
    assert len(tokens) == 2 and len(set(tokens)) == 1


@pytest.mark.parametrize("change", [{"host": "other"}, {"port": 1}, {"dbClusterIdentifier": "other"}])
def test_a_secret_of_somebody_else_is_neither_side_and_left_alone(change: dict[str, Any]) -> None:
    gate, api = secret_gate({**SECRET, **change})
    assert gate.facts() == "elsewhere"
    with pytest.raises(BlueGreenError, match="somebody else has changed it"):
        gate.retarget("green")
    assert api.asked("put_secret_value") == []


@pytest.mark.parametrize("text", ["hunter2", '["hunter2"]', '{"password": "hunter2"}'])
def test_a_secret_that_cannot_be_read_is_not_quoted(text: str) -> None:
    gate, api = secret_gate({})
    api.answers["get_secret_value"] = {"SecretString": text, "VersionId": "v1"}
    with pytest.raises(BlueGreenError, match="should be JSON with the key host") as raised:
        gate.facts()
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"OwningService": "rds"}, "managed by rds"),
        ({"VersionIdsToStages": {"a": ["AWSCURRENT"], "b": ["AWSPENDING"]}}, "rotation"),
    ],
)
def test_a_secret_that_must_not_be_written_is_refused(about: dict[str, Any], words: str) -> None:
    gate, api = secret_gate(SECRET)
    api.answers["describe_secret"] = about
    (check,) = gate.guardrails("blue", "green")
    assert check.status == "failed" and words in check.evidence


@pytest.mark.parametrize(
    ("value", "template", "expected"),
    [
        (BLUE, None, "blue"),
        (f"postgres://app:pw@{GREEN}:5433/shop", None, "green"),
        (f"{BLUE},{GREEN}", None, "elsewhere"),
        ("nothing", None, "elsewhere"),
        (f"x{BLUE}", None, "elsewhere"),
        (f"{BLUE}.evil.example", None, "elsewhere"),
        (f"{BLUE}:5432", "{host}:{port}", "blue"),
        (f"{BLUE}:1", "{host}:{port}", "elsewhere"),
    ],
)
def test_where_a_parameter_leads(value: str, template: str | None, expected: str) -> None:
    assert parameter.position(value, template, SIDES) == expected


def test_the_address_inside_a_value_is_replaced_and_its_port_where_there_is_one() -> None:
    url = f"postgres://app:p@w:5432@{BLUE}:5432/shop?host={BLUE}"
    assert parameter.rewritten(url, None, SIDES, "green") == f"postgres://app:p@w:5432@{GREEN}:5433/shop?host={GREEN}"
    assert parameter.rewritten(parameter.rewritten(url, None, SIDES, "green"), None, SIDES, "blue") == url


def test_a_template_is_the_whole_value() -> None:
    assert parameter.rewritten("whatever", '{"h": "{host}", "p": {port}}', SIDES, "green") == (
        f'{{"h": "{GREEN}", "p": 5433}}'
    )


def test_a_parameter_keeps_what_it_is() -> None:
    about = {"Type": "SecureString", "KeyId": "alias/own", "Tier": "Advanced", "DataType": "text", "Description": "d"}
    api = FakeApi(
        {
            "get_parameter": {"Parameter": {"Value": BLUE}},
            "describe_parameters": {"Parameters": [{**about, "Name": "p", "Version": 7, "Policies": []}]},
        }
    )
    gate = ParameterGate(api, "p", None, SIDES, Permissions(nobody))
    assert gate.facts() == "blue"
    gate.retarget("green")
    assert api.asked("put_parameter") == [{"Name": "p", "Value": GREEN, "Overwrite": True, **about}]


def test_a_value_that_the_parameters_pattern_refuses_is_found_before() -> None:
    about = {"Type": "String", "AllowedPattern": r"^shop\.cluster"}
    api = FakeApi({"get_parameter": {"Parameter": {"Value": BLUE}}, "describe_parameters": {"Parameters": [about]}})
    (check,) = ParameterGate(api, "p", None, SIDES, Permissions(nobody)).guardrails("blue", "green")
    assert check.status == "failed" and "AllowedPattern" in check.evidence


def tracked(cluster: str, state: str = "AVAILABLE") -> list[dict[str, Any]]:
    return [
        {"Type": "TRACKED_CLUSTER", "RdsResourceId": cluster},
        {
            "Type": "RDS_INSTANCE",
            "RdsResourceId": f"{cluster}-1",
            "TrackedClusterId": cluster,
            "TargetHealth": {"State": state},
        },
    ]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (tracked("shop"), "blue"),
        (tracked("shop-pg18"), "green"),
        ([], "held"),
        (tracked("other"), "elsewhere"),
        (tracked("shop") + tracked("shop-pg18"), "elsewhere"),
        ([{"Type": "RDS_INSTANCE", "RdsResourceId": "alone"}], "elsewhere"),
    ],
)
def test_where_a_proxy_leads(targets: list[dict[str, Any]], expected: str) -> None:
    api = FakeApi({"describe_db_proxy_targets": {"Targets": targets}})
    identifiers = Identifiers(lambda: api, {"blue": "shop", "green": "shop-pg18"}, SIDES)
    assert RDSProxyGate(api, "p", "default", identifiers).facts() == expected


def test_a_cluster_is_found_by_its_endpoint() -> None:
    clusters = [{"DBClusterIdentifier": "shop-pg18", "Endpoint": GREEN.upper()}]
    api = FakeApi({"describe_db_clusters": {"DBClusters": clusters}})
    found = Identifiers(lambda: api, {"blue": "given", "green": None}, SIDES)
    assert (found.of("green"), found.of("green"), found.of("blue")) == ("shop-pg18", "shop-pg18", "given")
    assert len(api.calls) == 1


def test_a_cluster_that_no_endpoint_tells_is_asked_for() -> None:
    api = FakeApi({"describe_db_clusters": {"DBClusters": []}})
    with pytest.raises(BlueGreenError, match="give the gate's option green_db_cluster_identifier"):
        Identifiers(lambda: api, {}, SIDES).of("green")


def simulated(decision: str, arn: str = "arn:aws:iam::1:user/lab", **more: Any) -> Permissions:
    result = {"EvalActionName": "ssm:PutParameter", "EvalResourceName": "p", "EvalDecision": decision, **more}
    api = FakeApi({"get_caller_identity": {"Arn": arn}, "simulate_principal_policy": {"EvaluationResults": [result]}})
    return Permissions(lambda _service: api)


@pytest.mark.parametrize(
    ("decision", "certain", "more", "status"),
    [
        ("allowed", True, {}, "ok"),
        ("implicitDeny", True, {}, "failed"),
        ("implicitDeny", False, {}, "ok"),
        ("implicitDeny", True, {"MissingContextValues": ["aws:SourceIp"]}, "ok"),
        ("explicitDeny", False, {}, "failed"),
    ],
)
def test_only_a_plain_no_stops_the_switchover(decision: str, certain: bool, more: dict[str, Any], status: str) -> None:
    assert simulated(decision, **more).check("id", "ssm:PutParameter", "p", certain=certain).status == status


def test_what_cannot_be_simulated_stops_nothing() -> None:
    assert Permissions(nobody).check("id", "ssm:PutParameter", "p").status == "ok"
    assert simulated("implicitDeny", arn="arn:aws:iam::1:root").check("id", "ssm:PutParameter", "p").status == "ok"
