# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guardrails of Neptune on the lab: ready when all is well, and the sentence of AWS's own solution for what is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.signing import signer
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.neptune.conftest import NEWER, NeptuneLab, endpoint, login
from tests.lab.lab import REGION, Blue, Lab

NAMES = Names.of("ready-v14")
ANOTHER = {"deployment_id": "ready-another"}  # whose green is not there yet
STREAMS = "Streams should be enabled on the source cluster for blue/green deployment."
SYNC = "Blue/green deployment requires instances to be in sync with the DB cluster parameter group."
LOAD = "No bulk load should be in progress on the source cluster {}."


class Readiness:
    """bg_readiness run on a blue, and on its green when there is one."""

    def __init__(
        self, lab: Lab, run_module: RunModule, source: Blue, green: Any = None, *, signed: bool = False
    ) -> None:
        self.lab, self.run, self.source, self.green = lab, run_module, source, green
        self.blue = endpoint(lab, source)
        self.options: dict[str, Any] = {
            "deployment_id": NAMES.deployment_id,
            "source_db_cluster_identifier": source.cluster,
            "blue": login(self.blue, iam_auth=signed),
            **({"green": login(green, iam_auth=signed)} if green else {}),
        }

    def look(self, step: str, **more: Any) -> tuple[bool, dict[str, dict[str, Any]]]:
        result = self.run("bg_readiness", engine="neptune", step=step, **{**self.options, **more})
        return result["ready"], {check["id"]: check for check in result["checks"]}

    def failed(self, step: str, **more: Any) -> dict[str, str]:
        """What stops the step."""
        found = self.look(step, **more)[1]
        return {name: check["evidence"] for name, check in found.items() if check["status"] == "failed"}

    def replicate(self, state: str, **more: Any) -> dict[str, Any]:
        options = {**self.options, "wait_delay": 0.1, "wait_timeout": 20, **more}
        return self.run("neptune_streams_replication", state=state, **options)

    def refused(self, state: str, **more: Any) -> str:
        with pytest.raises(ModuleFailed) as refused:
            self.replicate(state, **more)
        assert refused.value.result["changed"] is False
        return refused.value.msg


@pytest.fixture(scope="module")
def pair(neptune_lab: NeptuneLab, run_module: RunModule) -> Iterator[Readiness]:
    """A blue and a green that follows it, both with IAM authentication; every test leaves it as it was."""
    before = neptune_lab.lab.clusters()
    source = neptune_lab(instances=1, name="ready-shop", iam_auth=True)
    alone = Readiness(neptune_lab.lab, run_module, source, signed=True)
    alone.replicate("prepared")
    green = neptune_lab.clone(source, NAMES.deployment_id)
    made = Readiness(neptune_lab.lab, run_module, source, green, signed=True)
    made.replicate("positioned")
    made.replicate("running")
    yield made
    neptune_lab.lab.faults.clear()
    neptune_lab.lab.clear(before)


def test_a_pair_that_is_in_sync_is_ready_and_nothing_is_changed(pair: Readiness) -> None:
    lease = Lease(pair.lab.client("dynamodb"), NAMES.checkpoint_table, NAMES.lease_key("forward"))
    before = lease.read()
    assert pair.failed("switchover") == {}
    found = pair.look("switchover")[1]
    assert found["blue_fence"]["status"] == "warning"
    assert found["replication_lag"]["evidence"] == "the other side is 0 commits and 0.0 s behind"
    assert {check["plane"] for check in found.values()} == {"control", "data"}
    assert pair.failed("create", **ANOTHER, engine_version=NEWER, allow_major_version_upgrade=True) == {}
    assert lease.read() == before


def test_requests_that_are_not_signed_are_no_answer(pair: Readiness) -> None:
    failed = pair.failed("switchover", blue=login(pair.blue))
    assert set(failed) == {"connection_blue"}
    assert "check iam_auth" in failed["connection_blue"]


def test_a_bulk_load_stops_the_clone_and_the_switchover(pair: Readiness) -> None:
    pair.lab.faults.bulk_loads(pair.source.cluster, {"l-1": "LOAD_IN_PROGRESS", "l-2": "LOAD_COMPLETED"})
    try:
        for step in ("create", "switchover"):
            failed = pair.failed(step, **(ANOTHER if step == "create" else {}))
            assert failed == {"blue_bulk_load": LOAD.format(pair.source.cluster) + " Found on blue: l-1"}
    finally:
        pair.lab.faults.bulk_loads(pair.source.cluster, {})


def test_replication_that_is_stopped_is_told(pair: Readiness) -> None:
    pair.replicate("stopped")
    try:
        assert set(pair.failed("switchover")) == {"replication"}
    finally:
        pair.replicate("running")


def test_a_stream_that_has_expired_is_never_a_lag_of_nothing(pair: Readiness) -> None:
    """The last one: what is lost is lost."""
    pair.replicate("stopped")
    env = pair.lab.env
    keys = {"aws_access_key_id": env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}
    with closing(Client(pair.blue, signer(REGION, keys))) as client:
        for number in range(2):
            client.gremlin(f"g.addV('Person').property(id,'late{number}')")
    pair.lab.faults.expire_stream(pair.source.cluster, "propertygraph", 2)
    failed = pair.failed("switchover")
    assert "has expired and is lost for replication" in failed["stream_expiry"]
    assert "replication_lag" not in pair.look("switchover")[1]
    assert "build green anew" in pair.refused("running")


def test_streams_that_wait_for_a_reboot_are_not_live(neptune: NeptuneLab, run_module: RunModule, lab: Lab) -> None:
    source = neptune(instances=1, streams=False)
    found = Readiness(lab, run_module, source)
    assert set(found.failed("create", **ANOTHER)) == {"aws_blue_streams_parameter", "blue_streams"}
    lab.client("rds").modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=f"{source.cluster}-blue",
        Parameters=[{"ParameterName": "neptune_streams", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}],
    )
    failed = found.failed("create", **ANOTHER)
    assert failed["aws_blue_parameter_status"] == f"{SYNC} Found on blue: {source.cluster}-1 is pending-reboot"
    assert failed["blue_streams"] == f"{STREAMS} Found on blue: the cluster says that they are off"
    refused = found.refused("prepared", **ANOTHER)
    assert refused.startswith("Not ready for the clone, nothing was changed: ")
    assert STREAMS in refused and SYNC in refused
    assert "aws neptune reboot-db-instance" in refused
