# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switchover between Neptune clusters behind a real HAProxy: what a client may do meanwhile, and how it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client, NeptuneError
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.neptune.deployed import Clusters, Deployment, Writers, deploy, writers
from tests.integration.runner import ROOT
from tests.lab.lab import Lab


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    started = Clusters(tmp_path_factory.mktemp("neptune"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def graph(clusters: Clusters, lab: Lab) -> Iterator[Deployment]:
    """A property graph; every test leaves blue serving."""
    made = deploy(clusters, lab)
    yield made
    made.close()


@pytest.fixture(scope="module")
def triples(clusters: Clusters, lab: Lab) -> Iterator[Deployment]:
    """A graph of RDF."""
    made = deploy(clusters, lab, "rdf")
    yield made
    made.close()


_DIES = """\
import json, os, signal, sys
import conftest  # the search paths of this repository
conftest.prepare()
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.side import NeptuneSide
from ansible_collections.bluegreen.aws.plugins.modules import bg_switchover
step, arguments = json.load(sys.stdin)
original = getattr(NeptuneSide, step)
def dies(*given):
    original(*given)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(NeptuneSide, step, dies)
with patch_module_args(arguments):
    bg_switchover.main()
"""


def run_and_die(lab: Lab, step: str, options: dict[str, Any]) -> None:
    """A run of the module that is killed just after a step of a side."""
    done = subprocess.run(
        [sys.executable, "-c", _DIES],
        input=json.dumps([step, options]),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **lab.env},
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def assert_kept(clients: Writers, side: str) -> None:
    """Every acknowledged write is there once."""
    found = Counter(clients.deployment.notes(side))
    assert len(clients.acknowledged) > 10
    assert [note for note in clients.acknowledged if found[note] != 1] == []


@pytest.mark.parametrize("kind", ["graph", "triples"])
def test_there_and_back_and_there_again_under_load_loses_nothing(
    kind: str, request: pytest.FixtureRequest, run_module: RunModule
) -> None:
    deployment: Deployment = request.getfixturevalue(kind)
    with writers(deployment) as clients:
        time.sleep(0.3)
        there = run_module("bg_switchover", **deployment.options())
        assert (there["outcome"], there["serving"], there["fence"]) == ("switched_over", "green", "gate")
        assert there["replication"] == {"running": True, "direction": "reverse"}
        assert 0 < there["window_ms"] < 5000
        told = run_module("bg_info", **{name: one for name, one in deployment.options().items() if name != "gates"})
        assert (told["serving"], told["replication"]["direction"]) == ("green", "reverse")
        back = run_module("bg_switchover", state="rolled_back", **deployment.options())
        assert (back["outcome"], back["serving"]) == ("rolled_back", "blue")
        print(
            f"{kind}: windows {there['window_ms']:.0f} and {back['window_ms']:.0f} ms, longest {clients.longest:.3f} s"
        )
        time.sleep(0.1)
    assert_kept(clients, "blue")
    again = run_module("bg_switchover", state="rolled_back", **deployment.options())
    assert (again["changed"], again["window_ms"]) == (False, None)
    deployment.catch_up()
    assert sorted(deployment.notes("green")) == sorted(deployment.notes("blue"))


@pytest.mark.parametrize("step", ["fence", "open"])
def test_killed_in_the_window_nobody_writes_where_it_is_lost_and_the_next_run_finishes(
    graph: Deployment, lab: Lab, run_module: RunModule, step: str
) -> None:
    with writers(graph) as clients:
        time.sleep(0.2)
        run_and_die(lab, step, graph.options())
        before = graph.notes("blue")
        time.sleep(0.3)
        if step == "open":
            assert graph.notes("blue") == before, "green is open, and clients that wait must not reach blue"
        moved = run_module("bg_switchover", **graph.options())
        assert moved["serving"] == "green"
        time.sleep(0.2)
    assert_kept(clients, "green")
    run_module("bg_switchover", state="rolled_back", **graph.options())
    assert_kept(clients, "blue")


def test_check_mode_predicts_and_changes_nothing(graph: Deployment, run_module: RunModule) -> None:
    before = graph.record.read(), graph.forward.read()
    result = run_module("bg_switchover", check=True, diff=True, **graph.options())
    assert {"hold the gate", "fence blue", "open green for writes"} <= set(result["actions"])
    assert (graph.record.read(), graph.forward.read()) == before


def test_without_a_gate_the_user_has_to_say_that_writes_have_stopped(graph: Deployment, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match=r"Neptune cannot be made read-only.*writes_stopped: true") as failed:
        run_module("bg_switchover", **graph.options(gates=[]))
    assert failed.value.result["outcome"] == "refused"


def test_a_client_that_goes_past_the_gate_gives_the_writes_back(graph: Deployment, run_module: RunModule) -> None:
    stop = threading.Event()

    def past_the_gate() -> None:
        client = Client(graph.blue)
        while not stop.is_set():
            graph.write(client, f"past-{time.monotonic_ns()}")
            time.sleep(0.02)

    thread = threading.Thread(target=past_the_gate)
    thread.start()
    try:
        with pytest.raises(ModuleFailed, match=r"blue serves, nothing is lost.*a client still writes") as failed:
            run_module("bg_switchover", **graph.options())
    finally:
        stop.set()
        thread.join()
    assert failed.value.result["outcome"] == "refused"
    graph.write(Client(graph.through_gate), f"served-{time.monotonic_ns()}")
    graph.catch_up()
    assert sorted(graph.notes("green")) == sorted(graph.notes("blue"))


def test_a_write_that_runs_when_the_fence_comes_is_ended_and_is_nowhere(
    graph: Deployment, clusters: Clusters, run_module: RunModule
) -> None:
    clusters.fault(graph.blue, write_latency=20.0)
    errors: list[NeptuneError] = []

    def slow() -> None:
        try:
            graph.write(Client(graph.through_gate), "slow")
        except NeptuneError as error:
            errors.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    time.sleep(0.2)
    try:
        moved = run_module("bg_switchover", **graph.options())
        clusters.fault(graph.blue, write_latency=0.0)
        thread.join(10)
        assert errors and moved["serving"] == "green" and moved["window_ms"] < 5000
        assert "slow" not in graph.notes("blue") + graph.notes("green")
    finally:
        clusters.fault(graph.blue, write_latency=0.0)
        run_module("bg_switchover", state="rolled_back", **graph.options())


def test_green_that_stops_answering_in_the_window_gives_the_writes_back_in_time(
    graph: Deployment, clusters: Clusters, run_module: RunModule
) -> None:
    def silence() -> None:
        while (found := graph.record.read()) is not None and found.blue_open:
            time.sleep(0.005)
        clusters.fault(graph.green, silent=True)

    thread = threading.Thread(target=silence)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(ModuleFailed, match=r"blue serves, nothing is lost") as failed:
            run_module("bg_switchover", **graph.options(timeout=2))
        assert time.monotonic() - began < 10
        assert failed.value.result["outcome"] == "refused"
        graph.write(Client(graph.through_gate), f"without-green-{time.monotonic_ns()}")
    finally:
        thread.join()
        clusters.fault(graph.green, silent=False)
    assert graph.reverse.read() is None


def test_signed_requests_move_the_traffic_and_unsigned_ones_are_refused(
    triples: Deployment, clusters: Clusters, run_module: RunModule
) -> None:
    sides = (triples.blue, triples.green)
    for side in sides:
        clusters.set(side, iam_auth="1")
    try:
        with pytest.raises(ModuleFailed, match=r"answers AccessDeniedException \(403\).*check iam_auth"):
            run_module("bg_switchover", **triples.options())
        options = triples.options()
        signed = {**options, **{side.side: {**options[side.side], "iam_auth": True} for side in sides}}
        assert run_module("bg_switchover", **signed)["serving"] == "green"
        assert run_module("bg_switchover", state="rolled_back", **signed)["serving"] == "blue"
    finally:
        for side in sides:
            clusters.set(side, iam_auth="0")
