# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A switchover through every gate beside PgBouncer: a real HAProxy, and what AWS holds of an address."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect, rows
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.test_bg_switchover import (
    DEPLOYMENT,
    Pair,
    as_app,
    assert_serves,
    insert,
    pair,
)
from tests.integration.runner import Runner
from tests.lab.gate_haproxy import HAProxy
from tests.lab.lab import Lab
from tests.lab.resolver import Resolver
from tests.lab.tools import wait_until

__all__ = ["pair"]  # the fixture

RECORD, WEIGHTED = "db.shop.example.com", "weighted.shop.example.com"
SECRET, HOST_PARAMETER, URL_PARAMETER, PROXY = (
    "shop-application",
    "/shop/database/host",
    "/shop/database/url",
    "shop-proxy",
)
PASSWORD = "p@ss/word-0f-the-application"
SECRET_KEPT = {"username": "app", "password": PASSWORD, "engine": "postgres", "pool": {"size": 5, "ratio": 0.25}}


@dataclass
class Aws:
    """What leads the clients to the deployment, besides HAProxy."""

    lab: Lab
    pair: Pair
    zone: str
    resolver: Resolver

    def host(self, side: str) -> str:
        return {"blue": self.pair.blue, "green": self.pair.green}[side].host

    def gates(self) -> list[dict[str, Any]]:
        return [
            {"type": "route53", "hosted_zone_id": self.zone, "record": RECORD, "dns_server": self.resolver.address},
            {"type": "route53", "hosted_zone_id": self.zone, "record": WEIGHTED, "max_ttl": 60},
            {"type": "secretsmanager_secret", "secret_id": SECRET},
            {"type": "ssm_parameter", "name": HOST_PARAMETER, "template": "{host}:{port}"},
            {"type": "ssm_parameter", "name": URL_PARAMETER},
            {"type": "rds_proxy", "db_proxy_name": PROXY},
        ]

    def lead_to(self, side: str) -> None:
        """Make everything anew."""
        host = self.host(side)
        self._put_records(side)
        secret = self.lab.client("secretsmanager")
        content = {**SECRET_KEPT, "host": host, "port": 5432, "dbClusterIdentifier": self.cluster(side)}
        secret.put_secret_value(SecretId=SECRET, SecretString=json.dumps(content))
        ssm = self.lab.client("ssm")
        ssm.put_parameter(Name=HOST_PARAMETER, Value=f"{host}:5432", Overwrite=True)
        url = f"postgresql://app:{PASSWORD}@{host}:5432/shop"
        ssm.put_parameter(
            Name=URL_PARAMETER, Value=url, Type="SecureString", KeyId="alias/shop", Tier="Advanced", Overwrite=True
        )
        rds = self.lab.client("rds")
        for target in rds.describe_db_proxy_targets(DBProxyName=PROXY)["Targets"][:1]:
            rds.deregister_db_proxy_targets(DBProxyName=PROXY, DBClusterIdentifiers=[target["RdsResourceId"]])
        rds.register_db_proxy_targets(DBProxyName=PROXY, DBClusterIdentifiers=[self.cluster(side)])

    def cluster(self, side: str) -> str:
        return {"blue": self.pair.cluster, "green": DEPLOYMENT}[side]

    def record(self, name: str = RECORD, ttl: int = 5) -> tuple[str, int] | None:
        """What a resolver would answer."""
        answer = self.lab.client("route53").list_resource_record_sets(HostedZoneId=self.zone)
        for record in answer["ResourceRecordSets"]:
            if record["Name"].rstrip(".") == name:
                return record["ResourceRecords"][0]["Value"], record["TTL"]
        return None

    def weights(self) -> dict[str, int]:
        answer = self.lab.client("route53").list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return {record["SetIdentifier"]: record["Weight"] for record in answer if "Weight" in record}

    def secret(self, stage: str = "AWSCURRENT") -> dict[str, Any]:
        answer = self.lab.client("secretsmanager").get_secret_value(SecretId=SECRET, VersionStage=stage)
        content: dict[str, Any] = json.loads(answer["SecretString"])
        return content

    def parameter(self, name: str) -> dict[str, Any]:
        ssm = self.lab.client("ssm")
        about: dict[str, Any] = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [name]}])[
            "Parameters"
        ][0]
        return {**about, **ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]}

    def _put_records(self, side: str) -> None:
        def change(name: str, value: str, **more: Any) -> dict[str, Any]:
            values = [{"Value": value}]
            record = {"Name": name, "Type": "CNAME", "TTL": 5, "ResourceRecords": values, **more}
            return {"Action": "UPSERT", "ResourceRecordSet": record}

        changes = [
            change(RECORD, self.host(side)),
            *(
                change(WEIGHTED, self.host(name), SetIdentifier=name, Weight=200 if name == side else 0, TTL=60)
                for name in ("blue", "green")
            ),
        ]
        self.lab.client("route53").change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": changes})


@pytest.fixture(scope="module")
def aws(lab: Lab, pair: Pair) -> Iterator[Aws]:
    zone = lab.client("route53").create_hosted_zone(Name="shop.example.com", CallerReference="gates")["HostedZone"][
        "Id"
    ]
    lab.client("secretsmanager").create_secret(Name=SECRET, SecretString="{}")
    lab.client("ssm").put_parameter(Name=HOST_PARAMETER, Value="nowhere", Type="String", Description="where it is")
    subnets, role = ["subnet-0a0000000000000a1", "subnet-0a0000000000000b2"], "arn:aws:iam::123456789012:role/proxy"
    lab.client("rds").create_db_proxy(
        DBProxyName=PROXY, EngineFamily="POSTGRESQL", RoleArn=role, VpcSubnetIds=subnets, Auth=[]
    )
    made: list[Aws] = []

    def lookup(name: str) -> tuple[str, int] | None:
        return made[0].record(name)

    with Resolver(lookup, aliases=True) as resolver:
        made.append(Aws(lab, pair, zone.rpartition("/")[2], resolver))
        yield made[0]
    lab.client("rds").delete_db_proxy(DBProxyName=PROXY)


@pytest.fixture
def at_blue(aws: Aws, run_module: RunModule) -> Iterator[Aws]:
    """Everything leads to blue, and is brought home after the test."""
    aws.lead_to("blue")
    yield aws
    aws.lab.faults.clear()
    run_module("bg_switchover", **aws.pair.options(state="rolled_back"))


@pytest.fixture(scope="module")
def haproxy(pair: Pair) -> Iterator[HAProxy]:
    with HAProxy.start((pair.blue.host, pair.blue.port), (pair.green.host, pair.green.port)) as running:
        yield running


def positions(result: dict[str, Any]) -> set[str]:
    return {gate["position"] for gate in result["gates"]}


@dataclass
class Writers:
    """Clients that write through a gate as fast as they may and log in again when they are cut off."""

    endpoint: Endpoint
    acknowledged: list[str]
    logins_refused: list[str]
    gaps: list[float]


@pytest.fixture
def writers(haproxy: HAProxy, pair: Pair) -> Iterator[Writers]:
    it = Writers(replace(pair.blue, host=haproxy.host, port=haproxy.port, ssl_mode="require"), [], [], [])
    stop = threading.Event()

    def work(number: int) -> None:
        last = time.monotonic()
        while not stop.is_set():
            try:
                conn = as_app(it.endpoint)
            except Exception as error:  # noqa: BLE001  whatever it is, the test says what it may be
                it.logins_refused.append(str(error))
                continue
            with closing(conn), suppress(psycopg2.Error):
                while not stop.is_set():
                    note = f"h{number}-{time.monotonic_ns()}"
                    insert(conn, note)
                    it.acknowledged.append(note)
                    it.gaps.append(time.monotonic() - last)
                    last = time.monotonic()
                    time.sleep(0.005)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(it.acknowledged) > 20, 20, "the writers to write")
    yield it
    stop.set()
    for thread in threads:
        thread.join()


def written(endpoint: Endpoint) -> list[str]:
    with closing(connect(endpoint.at("shop"))) as conn:
        return [row[0] for row in rows(conn, "SELECT note FROM orders WHERE note LIKE 'h%'")]


def test_writers_through_haproxy_lose_nothing_there_and_back(
    pair: Pair,
    haproxy: HAProxy,
    writers: Writers,
    run_module: RunModule,
) -> None:
    options = pair.options(gates=[haproxy.option()])
    for state, endpoint, side in (("switched_over", pair.green, "green"), ("rolled_back", pair.blue, "blue")):
        result = run_module("bg_switchover", **{**options, "state": state})
        assert (result["serving"], positions(result)) == (side, {side})
        events = [entry["event"] for entry in result["timeline"]]
        assert events.index("hold the gate") < events.index("fence blue" if side == "green" else "fence green")
        count = len(writers.acknowledged)
        wait_until(lambda count=count: len(writers.acknowledged) > count + 20, 20, f"the writers to write to {side}")  # type: ignore[misc]
        acknowledged, found = list(writers.acknowledged), written(endpoint)
        assert set(acknowledged) <= set(found) and len(found) == len(set(found))
        print(f"{state}: window {result['window_ms']} ms, longest gap {max(writers.gaps) * 1000:.0f} ms")
        writers.gaps.clear()
    assert [words for words in writers.logins_refused if "terminating connection" not in words] == []
    assert run_module("bg_switchover", **{**options, "state": "rolled_back"})["changed"] is False


def test_everything_in_aws_is_pointed_at_green_and_back(at_blue: Aws, haproxy: HAProxy, run_module: RunModule) -> None:
    options = at_blue.pair.options(gates=[haproxy.option(), *at_blue.gates()])
    before = at_blue.parameter(URL_PARAMETER)
    predicted = run_module("bg_switchover", check=True, **options)
    assert positions(predicted) == {"blue"} and at_blue.secret()["host"] == at_blue.host("blue")

    there = run_module("bg_switchover", **options)
    assert (there["serving"], positions(there), len(there["gates"])) == ("green", {"green"}, 7)
    host = at_blue.host("green")
    assert at_blue.record() == (host, 5)
    assert at_blue.weights() == {"blue": 0, "green": 200}
    assert at_blue.secret() == {**SECRET_KEPT, "host": host, "port": 5432, "dbClusterIdentifier": DEPLOYMENT}
    assert at_blue.secret("AWSPREVIOUS")["host"] == at_blue.host("blue")
    assert at_blue.parameter(HOST_PARAMETER)["Value"] == f"{host}:5432"
    assert at_blue.parameter(HOST_PARAMETER)["Description"] == "where it is"
    after = at_blue.parameter(URL_PARAMETER)
    assert after["Value"] == f"postgresql://app:{PASSWORD}@{host}:5432/shop"
    assert {key: after.get(key) for key in ("Type", "KeyId", "Tier")} == {
        key: before.get(key) for key in ("Type", "KeyId", "Tier")
    }
    assert PASSWORD not in json.dumps(there)
    events = [entry["event"] for entry in there["timeline"]]
    assert f"secret {SECRET} points at green" in events
    assert events.index("start replication green -> blue") < events.index(
        f"the targets of RDS Proxy {PROXY} are available"
    )
    print({entry["event"]: entry["offset_ms"] for entry in there["timeline"] if "points at" in entry["event"]})

    assert run_module("bg_switchover", **options)["changed"] is False
    back = run_module("bg_switchover", **{**options, "state": "rolled_back"})
    assert (back["serving"], positions(back)) == ("blue", {"blue"})
    assert at_blue.weights() == {"blue": 200, "green": 0}
    assert at_blue.secret()["host"] == at_blue.host("blue")
    assert at_blue.parameter(URL_PARAMETER)["Value"] == before["Value"]


@pytest.mark.parametrize(
    ("gate", "operation", "words"),
    [
        (2, "secret", f"secret {SECRET} points at neither blue nor green"),
        (3, "parameter", f"SSM parameter {HOST_PARAMETER} points at neither blue nor green"),
        (0, "ttl", r"TTL of Route 53 record db\.shop\.example\.com in Route 53 is 300 s, at most 5 s"),
        (3, "denied", r"user/lab is not allowed ssm:PutParameter on arn:aws:ssm:.*:parameter/shop/database/host"),
        (0, "resolver", r"should answer .* but answers old\.example\.com"),
    ],
)
def test_what_is_not_as_it_should_be_is_named_and_refused_before_the_window(
    at_blue: Aws, run_module: RunModule, monkeypatch: pytest.MonkeyPatch, gate: int, operation: str, words: str
) -> None:
    gates = at_blue.gates()
    if operation == "secret":
        other = json.dumps({**SECRET_KEPT, "host": "other.example.com", "port": 5432})
        at_blue.lab.client("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=other)
    elif operation == "parameter":
        at_blue.lab.client("ssm").put_parameter(Name=HOST_PARAMETER, Value="other:5432", Overwrite=True)
    elif operation == "denied":
        at_blue.lab.faults.deny("PutParameter")
    elif operation == "ttl":
        at_blue.lab.client("route53").change_resource_record_sets(
            HostedZoneId=at_blue.zone,
            ChangeBatch={
                "Changes": [
                    {
                        "Action": "UPSERT",
                        "ResourceRecordSet": {
                            "Name": RECORD,
                            "Type": "CNAME",
                            "TTL": 300,
                            "ResourceRecords": [{"Value": at_blue.host("blue")}],
                        },
                    }
                ]
            },
        )
    else:
        monkeypatch.setattr(at_blue, "record", lambda _name: ("old.example.com", 1))
    with pytest.raises(ModuleFailed, match=words) as failed:
        run_module("bg_switchover", **at_blue.pair.options(gates=[gates[gate], gates[4]]))
    assert (failed.value.result["outcome"], failed.value.result["actions"]) == ("refused", [])
    assert at_blue.host("blue") in at_blue.parameter(URL_PARAMETER)["Value"]
    assert_serves(at_blue.pair, "blue")


def test_a_throttled_call_is_made_again(at_blue: Aws, run_module: RunModule) -> None:
    at_blue.lab.faults.throttle("PutParameter", 1)
    result = run_module("bg_switchover", **at_blue.pair.options(gates=[at_blue.gates()[4]]))
    assert positions(result) == {"green"} and result["window_ms"] > 0


def test_a_denied_call_is_the_one_thing_left_to_do_and_a_second_run_does_just_that(
    at_blue: Aws, run_module: RunModule
) -> None:
    options = at_blue.pair.options(gates=at_blue.gates()[2:5])
    at_blue.lab.faults.deny("PutSecretValue")
    with pytest.raises(ModuleFailed, match=r"one thing is left to do, .*PutSecretValue") as failed:
        run_module("bg_switchover", **options)
    assert failed.value.result["outcome"] == "switched_over"
    assert PASSWORD not in json.dumps(failed.value.result)
    version = at_blue.parameter(URL_PARAMETER)["Version"]
    assert at_blue.host("green") in at_blue.parameter(URL_PARAMETER)["Value"]
    at_blue.lab.faults.clear()
    again = run_module("bg_switchover", **options)
    assert (again["changed"], again["serving"], positions(again)) == (True, "green", {"green"})
    assert at_blue.parameter(URL_PARAMETER)["Version"] == version
    assert_serves(at_blue.pair, "green")


def test_a_run_killed_between_two_gates_is_completed_by_the_next(
    at_blue: Aws, runner: Runner, run_module: RunModule
) -> None:
    options = at_blue.pair.options(gates=[at_blue.gates()[2], at_blue.gates()[4]])
    at_blue.lab.faults.throttle("PutSecretValue", 1000)
    run = runner.start("bg_switchover", options, {**os.environ, **at_blue.lab.env})
    green = at_blue.host("green")
    wait_until(lambda: green in at_blue.parameter(URL_PARAMETER)["Value"], 60, "the parameter to lead to green")
    run.kill()
    assert run.wait().code == -signal.SIGKILL
    assert at_blue.secret()["host"] == at_blue.host("blue")
    at_blue.lab.faults.clear()
    result = run_module("bg_switchover", **options)
    assert (result["serving"], positions(result)) == ("green", {"green"})
    assert at_blue.secret()["host"] == green
    assert_serves(at_blue.pair, "green")


def test_what_a_gate_needs_is_asked_for_by_its_type(at_blue: Aws, run_module: RunModule) -> None:
    for gate, words in (
        ({"type": "haproxy", "host": "127.0.0.1"}, "backend"),
        ({"type": "ssm_parameter", "name": "x", "template": "fixed"}, "template should have"),
    ):
        with pytest.raises(ModuleFailed, match=words):
            run_module("bg_switchover", **at_blue.pair.options(gates=[gate]))
