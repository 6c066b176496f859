# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever replicates may die anywhere: our function from the zip that was uploaded, the module itself; and AWS's own stack."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.neptune.conftest import NeptuneLab, endpoint, login
from tests.integration.runner import Runner
from tests.lab.lab import Lab
from tests.lab.tools import wait_until

MODULE = "neptune_streams_replication"
NAMES = Names.of("nsr-runner")
BUCKET = "function-code"
LONG, SHORT = 60.0, 17.0  # seconds that an invocation has; the handler keeps the last 15 of them free

# What Lambda does, without anything of this repository to import from.
_INVOKE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
end = time.monotonic() + float(sys.argv[2])
class Context:
    aws_request_id = sys.argv[3]
    def get_remaining_time_in_millis(self):
        return int((end - time.monotonic()) * 1000)
import index
print(json.dumps(index.handler({}, Context())))
"""

# The parameters of AWS's template, with what the module reads of its outputs.
_PUBLISHED = [
    "ApplicationName",
    "VPC",
    "SubnetIDs",
    "SecurityGroupIds",
    "RouteTableIds",
    "CreateDDBVPCEndPoint",
    "CreateMonitoringEndPoint",
    "NeptuneStreamEndpoint",
    "NeptuneQueryEngine",
    "IAMAuthEnabledOnSourceStream",
    "StreamDBClusterResourceId",
    "TargetNeptuneClusterEndpoint",
    "TargetNeptuneClusterPort",
    "IAMAuthEnabledOnTargetCluster",
    "TargetAWSRegion",
    "TargetNeptuneDBClusterResourceId",
    "TargetSPARQLUpdateEndpoint",
    "BlockSparqlReplicationOnBlankNode",
    "StreamRecordsBatchSize",
    "StartingCheckpoint",
    "StreamPollerInitialState",
]
_STUB = {
    "Parameters": {name: {"Type": "String", "Default": ""} for name in _PUBLISHED},
    "Resources": {
        "Leases": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        },
        "Cron": {
            "Type": "AWS::Events::Rule",
            "Properties": {"ScheduleExpression": "rate(1 minute)", "State": "ENABLED"},
        },
    },
    "Outputs": {
        "LeaseDynamoDBTable": {"Value": {"Ref": "Leases"}},
        "CronArn": {"Value": {"Fn::GetAtt": ["Cron", "Arn"]}},
    },
}


class Deployment:
    """A blue with a green that was positioned, and the module run on both."""

    def __init__(self, neptune_lab: NeptuneLab, run_module: RunModule) -> None:
        self.lab, self._run = neptune_lab.lab, run_module
        self.source = neptune_lab(instances=1, name="nsr-shop")
        self.blue = endpoint(self.lab, self.source)
        self.lab.client("s3").create_bucket(Bucket=BUCKET)
        self.run("prepared", green=None)
        self.green = neptune_lab.clone(self.source, NAMES.deployment_id)
        self.run("positioned")

    def options(self, state: str, **more: Any) -> dict[str, Any]:
        options = {
            "state": state,
            "deployment_id": NAMES.deployment_id,
            "source_db_cluster_identifier": self.source.cluster,
            "blue": login(self.blue),
            **({} if "green" in more else {"green": login(self.green)}),
            "function_s3_bucket": BUCKET,
            "wait_timeout": 20,
            "wait_delay": 0.1,
            "lease_ttl": 3,
            "batch": 5,
            "lanes": 1,
        }
        return options | {name: value for name, value in more.items() if value is not None}

    def run(self, state: str, **more: Any) -> dict[str, Any]:
        return self._run(MODULE, **self.options(state, **more))

    def write(self, first: int, count: int) -> None:
        with closing(Client(self.blue)) as client:
            for number in range(first, first + count):
                client.gremlin(f"g.addV('Person').property(id,'p{number}').property('age',{number})")

    def count(self, side: Any) -> int:
        with closing(Client(side)) as client:
            return int(client.cypher("MATCH (n:Person) RETURN count(n) AS there")[0]["there"])

    @property
    def lease(self) -> Lease:
        return Lease(self.lab.client("dynamodb"), NAMES.checkpoint_table, NAMES.lease_key("forward"))

    @property
    def checkpoint(self) -> EventId:
        item = self.lease.read()
        assert item is not None
        return item.checkpoint


@pytest.fixture(scope="module")
def deployment(neptune_lab: NeptuneLab, run_module: RunModule) -> Iterator[Deployment]:
    before = neptune_lab.lab.clusters()
    yield Deployment(neptune_lab, run_module)
    neptune_lab.lab.faults.clear()
    neptune_lab.lab.clear(before)


class Function:
    """The function as CloudFormation made it: its code from the bucket, its environment from its configuration."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        outputs = lab.client("cloudformation").describe_stacks(StackName=NAMES.replication_stack)["Stacks"][0][
            "Outputs"
        ]
        arn = next(one["OutputValue"] for one in outputs if one["OutputKey"] == "FunctionArn")
        self.made = lab.client("lambda").get_function_configuration(FunctionName=arn)
        keys = lab.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
        assert len(keys) == 1
        code = lab.client("s3").get_object(Bucket=BUCKET, Key=keys[0]["Key"])["Body"].read()
        zipfile.ZipFile(io.BytesIO(code)).extractall(directory)
        self._directory = directory
        self._environment = {**lab.env, **self.made["Environment"]["Variables"], "CA_CERT": str(lab.ca_file)}

    def invoke(self, request: str, seconds: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _INVOKE, str(self._directory), str(seconds), request],
            env={"PATH": os.environ["PATH"], **self._environment},
            cwd=self._directory,
            stdout=subprocess.PIPE,
            text=True,
        )

    def result(self, request: str, seconds: float = SHORT) -> dict[str, Any]:
        output, _errors = self.invoke(request, seconds).communicate(timeout=60)
        found: dict[str, Any] = json.loads(output)
        return found


def test_the_function_is_killed_at_its_limit_and_the_next_one_goes_on(
    deployment: Deployment, lab: Lab, tmp_path: Path
) -> None:
    made = deployment.run("running", runner="lambda", wait=False)
    assert made["actions"][0].startswith("start replication from blue to green")
    assert made["actions"][1].startswith(f"upload the function's code to s3://{BUCKET}/bluegreen/nsr-runner/streams-")
    assert made["actions"][2:] == ["create CloudFormation stack nsr-runner-replication"]
    assert deployment.run("running", runner="lambda", wait=False)["actions"] == []
    function = Function(lab, tmp_path)
    assert (function.made["Handler"], function.made["Timeout"]) == ("index.handler", 900)

    deployment.write(1, 60)
    before = deployment.checkpoint
    lab.faults.graph("nsr-runner-1", write_latency=0.05)
    killed = function.invoke("first", LONG)
    wait_until(lambda: deployment.count(deployment.green) > 0, 20, "the function to write")
    killed.kill()
    killed.communicate()
    assert deployment.count(deployment.green) < 60 and deployment.checkpoint == before  # in the middle of its page
    lab.faults.clear()
    assert function.result("second")["status"] == "held by another run"
    wait_until(lambda: not _held(deployment), 10, "the dead one's lease to end")
    reached = function.result("third")
    assert (reached["status"], reached["direction"], reached["lag_commits"]) == ("applied", "forward", 0)
    assert deployment.count(deployment.green) == 60
    assert deployment.run("running", runner="lambda")["replication"]["lag"] == {"seconds": 0.0, "commits": 0}

    stopped = deployment.run("stopped", runner="lambda")
    assert stopped["actions"][0] == "disable the schedule of nsr-runner-replication"
    assert function.result("fourth")["status"] == "nothing is to run"


def test_a_run_within_the_module_that_was_killed_is_continued(deployment: Deployment, lab: Lab, runner: Runner) -> None:
    deployment.write(101, 60)
    before, there = deployment.checkpoint, deployment.count(deployment.green)
    lab.faults.graph("nsr-runner-1", write_latency=0.05)
    running = runner.start(MODULE, deployment.options("running"), {**os.environ, **lab.env})
    wait_until(lambda: deployment.count(deployment.green) > there, 20, "the module to write")
    running.kill()
    running.wait()
    assert deployment.count(deployment.green) < there + 60 and deployment.checkpoint == before
    lab.faults.clear()
    went_on = deployment.run("running")  # as soon as the dead one's lease has ended
    assert went_on["actions"][0].startswith("apply ")
    assert deployment.count(deployment.green) == there + 60
    assert not deployment.run("running")["changed"]


def test_the_function_needs_its_bucket(deployment: Deployment) -> None:
    with pytest.raises(ModuleFailed, match="give function_s3_bucket"):
        deployment.run("running", runner="lambda", function_s3_bucket="")


def test_the_stack_of_aws_begins_at_the_position_and_its_checkpoint_is_taken_over(
    deployment: Deployment, lab: Lab
) -> None:
    cloudformation, s3 = lab.client("cloudformation"), lab.client("s3")
    deployment.run("absent", runner="lambda")
    assert NAMES.replication_stack not in {one["StackName"] for one in _stacks(cloudformation)}
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    deployment.run("positioned", position="1:1")
    s3.put_object(Bucket=BUCKET, Key="published.json", Body=json.dumps(_STUB).encode())
    options = {
        "runner": "cloudformation",
        "replication_template_url": f"https://s3.amazonaws.com/{BUCKET}/published.json",
    }
    deployment.run("running", wait=False, **options)
    assert not deployment.run("running", wait=False, **options)["changed"]
    stack = cloudformation.describe_stacks(StackName=NAMES.replication_stack)["Stacks"][0]
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert set(given) == set(_PUBLISHED)
    assert given["StartingCheckpoint"] == "1:1"
    assert given["NeptuneStreamEndpoint"] == f"https://{deployment.blue.host}:8182/propertygraph/stream"
    assert given["TargetNeptuneClusterEndpoint"] == deployment.green.host

    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    theirs = Lease(lab.client("dynamodb"), outputs["LeaseDynamoDBTable"], given["ApplicationName"])
    theirs.create(EventId(7, 1))  # as its poller does
    stopped = deployment.run("stopped", **options)
    assert stopped["checkpoint"] == "7:1"
    item = deployment.lease.read()
    assert item is not None and item.replay_until > item.checkpoint  # it may have been in the middle of something
    rule = outputs["CronArn"].rpartition("rule/")[2]
    assert lab.client("events").describe_rule(Name=rule)["State"] == "DISABLED"
    assert deployment.run("running")["actions"][1].startswith("apply ")  # here, from where it was
    deployment.run("absent", **options)
    assert NAMES.replication_stack not in {one["StackName"] for one in _stacks(cloudformation)}


def _held(deployment: Deployment) -> bool:
    item = deployment.lease.read()
    return item is not None and item.held(deployment.lease.now_ms)


def _stacks(cloudformation: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloudformation.describe_stacks()["Stacks"]
    return [one for one in found if one["StackStatus"] != "DELETE_COMPLETE"]
