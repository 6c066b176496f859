# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy as a gate, a real one: what its clients see. Behind it are servers that say who they are."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Gates, Target
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates.haproxy import HAProxyGate, HAProxyPlace
from tests.lab.gate_haproxy import BACKEND, HAProxy

CROWD = 300  # more than the 200 that HAProxy lets through at once when only the limit is raised


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 4096

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(("127.0.0.1", 0), _Say)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Say(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        with suppress(ConnectionResetError):  # a session that the gate has cut
            while self.request.recv(64):
                self.request.sendall(self.server.name.encode())


@pytest.fixture(scope="module")
def sides() -> Iterator[Mapping[str, Target]]:
    servers = {name: _Server(name) for name in ("blue", "green")}
    yield {name: Target("127.0.0.1", server.server_address[1]) for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


@contextmanager
def haproxy(sides: Mapping[str, Target], **more: Any) -> Iterator[HAProxy]:
    blue, green = ((sides[name].host, sides[name].port) for name in ("blue", "green"))
    with HAProxy.start(blue, green, **more) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(sides: Mapping[str, Target]) -> Iterator[HAProxy]:
    with haproxy(sides) as running:
        yield running


@pytest.fixture
def gate(proxy: HAProxy, sides: Mapping[str, Target]) -> Iterator[HAProxyGate]:
    """The gate, pointing at blue when a test begins and when it has ended."""
    made = make(proxy, sides)
    yield made
    Gates([made]).switch_to("blue")
    made.close()


@pytest.fixture
def fence(proxy: HAProxy, sides: Mapping[str, Target]) -> Iterator[HAProxyGate]:
    """The gate of an engine that has no other fence, pointing at blue when a test begins and when it has ended."""
    made = make(proxy, sides, cuts=True)
    yield made
    Gates([made]).switch_to("blue")
    made.close()


def make(proxy: HAProxy, sides: Mapping[str, Target], *, cuts: bool = False) -> HAProxyGate:
    servers = {"blue": "blue", "green": "green"}
    place = HAProxyPlace(proxy.socket, Target(proxy.host, proxy.port), BACKEND, servers)
    return HAProxyGate(place, sides, cuts=cuts)


def client(proxy: HAProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=10)


def answer(link: socket.socket, seconds: float = 10) -> str:
    """Who answers a question; empty when the session was ended, `waits` when nobody has answered in time."""
    with suppress(OSError):
        link.sendall(b"?")
    return hear(link, seconds)


def hear(link: socket.socket, seconds: float = 10) -> str:
    """Who answers a question that was asked before, as `answer` says it."""
    link.settimeout(seconds)
    try:
        return link.recv(64).decode()
    except TimeoutError:
        return "waits"
    except OSError:
        return ""


def hold(gate: HAProxyGate) -> None:
    gate.hold(Deadline(5))


def test_held_clients_wait_and_all_of_them_reach_the_other_side(gate: HAProxyGate, proxy: HAProxy) -> None:
    hold(gate)
    assert gate.facts() == "held"
    waiting = [client(proxy) for _one in range(CROWD)]
    assert answer(waiting[0], 0.2) == "waits"
    gate.retarget("green")
    gate.release()
    assert gate.facts() == "green"
    assert Counter(answer(link) for link in waiting[1:]) == {"green": CROWD - 1}


def test_held_clients_reach_the_same_side_when_it_is_only_released(gate: HAProxyGate, proxy: HAProxy) -> None:
    hold(gate)
    waiting = [client(proxy) for _one in range(CROWD)]
    time.sleep(0.1)
    gate.release()
    assert gate.facts() == "blue"
    assert Counter(answer(link) for link in waiting) == {"blue": CROWD}


def test_nobody_who_comes_during_the_change_is_turned_away(gate: HAProxyGate, proxy: HAProxy) -> None:
    hold(gate)
    seen: list[str] = []
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            with client(proxy) as link:
                seen.append(answer(link))

    threads = [threading.Thread(target=come_and_go) for _one in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    gate.retarget("green")
    gate.release()
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(seen) > 8 and set(seen) == {"green"}


def test_a_session_that_is_open_goes_on_until_the_gate_points_elsewhere(gate: HAProxyGate, proxy: HAProxy) -> None:
    with client(proxy) as link:
        assert answer(link) == "blue"
        hold(gate)
        assert answer(link) == "blue"
        gate.retarget("green")
        assert answer(link) == ""


def test_a_gate_that_is_the_fence_ends_every_session_and_lets_nobody_else_through(
    fence: HAProxyGate, proxy: HAProxy
) -> None:
    open_ones = [client(proxy) for _one in range(CROWD)]
    assert Counter(answer(link) for link in open_ones) == {"blue": CROWD}
    hold(fence)
    waiting = [client(proxy) for _one in range(3)]
    assert Counter(answer(link) for link in open_ones) == {"": CROWD}
    assert [answer(link, 0.05) for link in waiting] == ["waits"] * 3
    fence.release()
    assert [hear(link) for link in waiting] == ["blue"] * 3


def test_sealed_nobody_gets_through_when_the_process_is_gone_and_who_waited_reaches_the_other_side(
    fence: HAProxyGate, proxy: HAProxy, sides: Mapping[str, Target]
) -> None:
    dying = make(proxy, sides, cuts=True)
    hold(dying)
    waiting = [client(proxy) for _one in range(5)]
    Gates([dying]).seal()
    dying.close()
    with client(proxy) as late:
        assert answer(late, 1) == ""
    assert answer(waiting[0], 0.1) == "waits"
    assert fence.facts() == "held"
    Gates([fence]).switch_to("green")
    assert Counter(answer(link) for link in waiting[1:]) == {"green": 4}
    assert fence.facts() == "green"


def test_a_hold_whose_process_died_is_made_tight_again(
    fence: HAProxyGate, proxy: HAProxy, sides: Mapping[str, Target]
) -> None:
    dead = make(proxy, sides, cuts=True)
    hold(dead)
    dead.close()
    with client(proxy) as through:
        assert answer(through) == "blue", "one at a time gets through"
        fence.seal()
        assert answer(through) == ""
        with client(proxy) as late:
            assert answer(late, 1) == ""
    Gates([fence]).switch_to("blue")
    with client(proxy) as again:
        assert answer(again) == "blue"


def test_only_a_gate_that_is_the_fence_is_sealed(gate: HAProxyGate, proxy: HAProxy) -> None:
    Gates([gate]).seal()
    assert gate.facts() == "blue"
    with client(proxy) as link:
        assert answer(link) == "blue"


def test_what_a_run_that_died_left_held_is_found_and_released(
    gate: HAProxyGate, proxy: HAProxy, sides: Mapping[str, Target]
) -> None:
    dead = make(proxy, sides)
    hold(dead)
    dead.close()  # all that its end does: its session is gone
    waiting = [client(proxy) for _one in range(5)]
    assert gate.facts() == "held"
    gate.retarget("blue")
    gate.release()
    assert Counter(answer(link) for link in waiting) == {"blue": 5}


@pytest.mark.parametrize("side", ["blue", "green"])
def test_a_change_cut_off_between_two_commands_is_completed_or_undone(
    gate: HAProxyGate, proxy: HAProxy, side: str
) -> None:
    hold(gate)
    proxy.ask(f"set server {BACKEND}/green state ready")
    assert gate.facts() == "held"
    gate.retarget(side)
    gate.release()
    assert gate.facts() == side
    with client(proxy) as link:
        assert answer(link) == side


def test_guardrails_pass_on_a_backend_as_it_should_be(gate: HAProxyGate) -> None:
    assert {check.status for check in gate.guardrails("blue", "green")} == {"ok"}


def test_a_server_that_leads_somewhere_else_is_named(proxy: HAProxy, sides: Mapping[str, Target]) -> None:
    wrong = make(proxy, {**sides, "green": Target("127.0.0.1", 1)})
    bad = [check for check in wrong.guardrails("blue", "green") if check.status == "failed"]
    assert [check.id for check in bad] == ["gate_haproxy_green"]
    assert f"leads to 127.0.0.1:{sides['green'].port}" in bad[0].evidence


def test_two_servers_in_use_are_neither_side(gate: HAProxyGate, proxy: HAProxy) -> None:
    proxy.ask(f"set server {BACKEND}/green state ready")
    assert gate.facts() == "elsewhere"
    proxy.ask(f"set server {BACKEND}/green state maint")


def test_a_third_server_and_unequal_limits_are_refused(sides: Mapping[str, Target]) -> None:
    third = f"    server reader 127.0.0.1:{sides['blue'].port} maxconn 7"
    with haproxy(sides, extra=third) as proxy:
        proxy.ask(f"set maxconn server {BACKEND}/green 9")
        checks = make(proxy, sides).guardrails("blue", "green")
    assert {"gate_haproxy_servers", "gate_haproxy_maxconn"} <= {c.id for c in checks if c.status == "failed"}


def test_limits_are_given_back(sides: Mapping[str, Target]) -> None:
    with haproxy(sides, server_options="maxconn 40") as proxy:
        gate = make(proxy, sides)
        hold(gate)
        gate.retarget("green")
        gate.release()
        stat = proxy.ask("show stat -1 4 -1").splitlines()
    assert [line.split(",")[6] for line in stat if line.startswith(f"{BACKEND},")] == ["40", "40"]


def test_a_runtime_api_that_is_not_there_is_one_sentence(sides: Mapping[str, Target]) -> None:
    place = HAProxyPlace("/nowhere.sock", Target("127.0.0.1", 1), BACKEND, {"blue": "blue", "green": "green"})
    with pytest.raises(BlueGreenError, match=r"runtime API of HAProxy at /nowhere\.sock should answer"):
        HAProxyGate(place, sides).facts()


def test_a_frontend_that_leads_elsewhere_cannot_be_held(proxy: HAProxy, sides: Mapping[str, Target]) -> None:
    place = HAProxyPlace(proxy.socket, sides["blue"], BACKEND, {"blue": "blue", "green": "green"})
    failed = [check for check in HAProxyGate(place, sides).guardrails("blue", "green") if check.status == "failed"]
    assert [check.id for check in failed] == ["gate_haproxy_frontend"]
