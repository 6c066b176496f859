# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The driver of the window: what it does when a step fails, at every step, before and after the step took effect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check, failed
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.side import Replication, SideFacts, TakenOver
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Gates, Position
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.run import Limits, Move
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.timeline import Timeline


@dataclass
class Fault:
    """Makes one named step fail, before or after it took effect."""

    step: str = ""
    after: bool = False
    error: BaseException = field(default_factory=lambda: BlueGreenError("the link was cut."))

    def around(self, step: str, effect: Callable[[], None]) -> None:
        if step == self.step and not self.after:
            raise self.error
        effect()
        if step == self.step:
            raise self.error


@dataclass
class FakeSide:
    name: str
    fault: Fault
    open: bool
    inbound: Replication = "gone"
    opened_at: str | None = None
    checks: list[Check] = field(default_factory=list)
    blind: bool = False
    dead_after: str = ""
    log: list[str] = field(default_factory=list)

    def _do(self, step: str, **changes: Any) -> None:
        def effect() -> None:
            self.log.append(step)
            for name, value in changes.items():
                setattr(self, name, value)

        self.fault.around(f"{step} {self.name}", effect)

    def connect(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        self.log.append("abandon")

    def facts(self, peer: FakeSide) -> SideFacts:
        if self.dead_after and self.dead_after in peer.log:
            raise BlueGreenError(f"{self.name} does not answer.")
        if self.blind and "open" in self.log:
            raise BlueGreenError(f"{self.name} does not answer.")
        return SideFacts(self.open, self.inbound, self.opened_at)

    def guardrails(self, peer: FakeSide) -> list[Check]:
        return self.checks

    def lag(self, peer: FakeSide, limit: float) -> float:
        self._do("lag")
        return 0.01

    def prepare(self, peer: FakeSide) -> None:
        self._do("prepare")

    def arm(self, peer: FakeSide) -> None:
        self._do("arm", inbound="armed")

    def start(self, peer: FakeSide) -> None:
        assert peer.opened_at is not None
        self._do("start", inbound="running")

    def end(self, peer: FakeSide) -> None:
        self._do("end", inbound="gone")

    def fence(self, deadline: Deadline) -> None:
        self._do("fence", open=False)

    def unfence(self) -> None:
        self._do("unfence", open=True)

    def drain(self, peer: FakeSide, deadline: Deadline) -> None:
        assert not self.open
        self._do("drain")

    def take_over(self, peer: FakeSide) -> TakenOver:
        assert not peer.open, "two writers"
        self._do("take_over", opened_at="0/1")
        return TakenOver("0/1", ("what was carried over",))

    def open_(self) -> None:
        self._do("open", open=True)


class _Side:
    """A FakeSide under the protocol's names: ``open`` is a method there and a fact here."""

    def __init__(self, fake: FakeSide) -> None:
        self._fake = fake
        self.name = fake.name

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._fake, "open_" if name == "open" else name)
        if not callable(target):
            return target
        return lambda *arguments: target(*(a._fake if isinstance(a, _Side) else a for a in arguments))


@dataclass
class FakeGate:
    fault: Fault
    position: str = "blue"
    held: bool = False
    name: str = "gate"
    holds: bool = True
    checks: list[Check] = field(default_factory=list)
    settled: int = 0
    retargeted: int = 0

    def guardrails(self, source: str, target: str) -> list[Check]:
        return self.checks

    def settle(self, deadline: Deadline) -> str:
        self.fault.around(f"settle {self.name}", lambda: setattr(self, "settled", self.settled + 1))
        return f"{self.name} has settled"

    def facts(self) -> Position:
        return "held" if self.held else self.position  # type: ignore[return-value]

    def hold(self, deadline: Deadline) -> None:
        assert self.holds
        self.fault.around("hold gate", lambda: setattr(self, "held", True))

    def retarget(self, side: str) -> None:
        self.retargeted += 1
        self.fault.around(f"retarget {self.name} {side}", lambda: setattr(self, "position", side))

    def release(self) -> None:
        self.held = False

    def close(self) -> None:
        pass


@dataclass
class Scene:
    fault: Fault
    blue: FakeSide
    green: FakeSide
    gate: FakeGate
    others: list[FakeGate] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline)
    journal: Journal = field(default_factory=lambda: Journal(False))

    def move(self, to: str = "green", reverse: bool = True) -> Move:
        sides: dict[str, Any] = {"blue": _Side(self.blue), "green": _Side(self.green)}
        source = "blue" if to == "green" else "green"
        return Move(
            sides[source],
            sides[to],
            Gates([self.gate, *self.others]),
            Limits(max_lag=1, window=5, gate=1),
            self.journal,
            self.timeline,
            reverse=reverse,
        )


def scene(step: str = "", after: bool = False, error: BaseException | None = None) -> Scene:
    fault = Fault(step, after, *([error] if error else []))
    return Scene(
        fault,
        FakeSide("blue", fault, open=True),
        FakeSide("green", fault, open=False, inbound="running"),
        FakeGate(fault),
    )


def test_success_reports_the_window_and_every_event() -> None:
    it = scene()
    it.move().run()
    assert (it.blue.open, it.green.open) == (False, True)
    assert (it.gate.position, it.gate.held) == ("green", False)
    assert (it.blue.inbound, it.green.inbound) == ("running", "gone")
    assert it.timeline.window_ms is not None
    assert "fence blue" in [entry["event"] for entry in it.timeline.as_list()]
    assert it.journal.actions.index("fence blue") < it.journal.actions.index("open green for writes")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["arm blue", "hold gate", "fence blue", "drain blue", "take_over green"])
@pytest.mark.parametrize(
    "error", [BlueGreenError("the link was cut."), ValueError("surprise"), KeyboardInterrupt()], ids=repr
)
def test_what_fails_before_the_opening_gives_the_writes_back(step: str, after: bool, error: BaseException) -> None:
    it = scene(step, after, error)
    with pytest.raises(BlueGreenError, match="blue serves, nothing is lost") as raised:
        it.move().run()
    assert raised.value.details["outcome"] == "refused"
    assert (it.blue.open, it.green.open) == (True, False)
    assert (it.gate.position, it.gate.held) == ("blue", False)
    assert (it.blue.inbound, it.green.inbound) == ("gone", "running")


def test_an_opening_that_did_not_happen_gives_the_writes_back() -> None:
    it = scene("open green", after=False)
    with pytest.raises(BlueGreenError, match="blue serves"):
        it.move().run()
    assert (it.blue.open, it.green.open) == (True, False)


def test_an_opening_that_happened_goes_forward_although_its_answer_was_lost() -> None:
    it = scene("open green", after=True)
    it.move().run()
    assert (it.blue.open, it.green.open) == (False, True)
    assert (it.gate.position, it.gate.held) == ("green", False)
    assert it.blue.inbound == "running"


def test_an_opening_of_which_nothing_is_known_leaves_both_sides_closed() -> None:
    it = scene("open green", after=True)
    it.green.blind = True
    with pytest.raises(BlueGreenError, match="cannot be told") as raised:
        it.move().run()
    assert raised.value.details["outcome"] == "unknown"
    assert "unfence" not in it.blue.log
    assert not it.blue.open


def test_the_writes_come_back_although_the_other_side_is_lost() -> None:
    it = scene("drain blue")
    it.green.dead_after = "fence"
    with pytest.raises(BlueGreenError, match="Left over") as raised:
        it.move().run()
    assert raised.value.details["outcome"] == "refused"
    assert it.blue.open and (it.gate.position, it.gate.held) == ("blue", False)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["end green", "start blue"])
def test_what_fails_after_the_opening_is_left_to_the_next_run(step: str, after: bool) -> None:
    it = scene(step, after)
    with pytest.raises(BlueGreenError, match="green serves and no write is lost") as raised:
        it.move().run()
    assert raised.value.details["outcome"] == "switched_over"
    assert (it.blue.open, it.green.open) == (False, True)
    it.fault.step = ""
    it.move().run()
    assert (it.blue.inbound, it.green.inbound) == ("running", "gone")


def test_a_failed_guardrail_refuses_before_anything_is_changed() -> None:
    it = scene()
    it.blue.checks = [failed("x", "found this", "do that")]
    with pytest.raises(BlueGreenError, match="nothing was changed: found this \\(do that\\)") as raised:
        it.move().run()
    assert raised.value.details["outcome"] == "refused"
    assert it.journal.actions == []
    assert it.blue.log == []


def test_too_much_lag_refuses_before_anything_is_changed() -> None:
    it = scene("lag blue")
    with pytest.raises(BlueGreenError, match="the link was cut"):
        it.move().run()
    assert it.journal.actions == []


def test_a_second_run_does_nothing() -> None:
    it = scene()
    it.move().run()
    it.journal = Journal(False)
    it.move().run()
    assert it.journal.actions == []


def test_rollback_is_the_same_move_the_other_way() -> None:
    it = scene()
    it.move().run()
    it.move("blue").run()
    assert (it.blue.open, it.green.open) == (True, False)
    assert (it.blue.inbound, it.green.inbound) == ("gone", "running")
    assert it.gate.position == "blue"


def test_rollback_first_completes_a_switchover_that_died_after_the_opening() -> None:
    it = scene("end green")
    with pytest.raises(BlueGreenError):
        it.move().run()
    it.fault.step = ""
    it.move("blue").run()
    assert (it.blue.open, it.green.open) == (True, False)
    assert (it.blue.inbound, it.green.inbound) == ("gone", "running")


def test_without_reverse_replication_none_is_armed() -> None:
    it = scene()
    it.move(reverse=False).run()
    assert it.blue.inbound == "gone"
    assert "arm" not in it.blue.log


def test_the_plan_names_every_step_and_does_none() -> None:
    it = scene()
    move = it.move()
    planned = move.plan(move.observe())
    assert planned[2:6] == [
        "hold the gate",
        "fence blue",
        "drain: wait until green has applied everything blue wrote",
        "open green for writes",
    ]
    assert it.blue.log == it.green.log == []


def test_the_plan_refuses_what_the_run_would_refuse() -> None:
    it = scene()
    it.green.inbound = "stopped"
    move = it.move()
    with pytest.raises(BlueGreenError, match="replication blue -> green is stopped"):
        move.plan(move.observe())


def test_a_window_that_outlasts_its_limit_gives_the_writes_back() -> None:
    it = scene()
    move = it.move()
    move._limits = Limits(max_lag=1, window=0, gate=1)
    with pytest.raises(BlueGreenError, match="limit of 0 s"):
        move.run()
    assert it.blue.open and not it.green.open and not it.gate.held


def with_others(it: Scene) -> Scene:
    it.others = [FakeGate(it.fault, name="dns", holds=False), FakeGate(it.fault, name="secret", holds=False)]
    return it


def test_every_gate_is_pointed_at_the_target_and_settles_after_the_window() -> None:
    it = with_others(scene())
    it.move().run()
    gates = [it.gate, *it.others]
    assert [(gate.position, gate.held, gate.retargeted, gate.settled) for gate in gates] == [("green", False, 1, 1)] * 3
    events = [entry["event"] for entry in it.timeline.as_list()]
    assert {"gate points at green", "dns points at green", "secret points at green"} < set(events)
    assert events.index("start replication green -> blue") < events.index("dns has settled")


def test_without_a_gate_that_holds_the_window_begins_with_the_fence() -> None:
    it = scene()
    it.gate.holds = False
    it.move().run()
    assert "hold the gate" not in it.journal.actions
    assert (it.green.open, it.gate.position) == (True, "green")


def test_a_gate_that_stays_away_is_the_one_thing_left_to_do_and_no_other_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    it = with_others(scene("retarget dns green"))
    with pytest.raises(BlueGreenError, match="one thing is left to do") as raised:
        it.move().run()
    assert raised.value.details["outcome"] == "switched_over"
    assert [gate.position for gate in (it.gate, *it.others)] == ["green", "blue", "green"]
    assert [gate.retargeted for gate in (it.gate, *it.others)] == [1, 4, 1], "tried again, the others were done"
    it.fault.step = ""
    it.move().run()
    assert [gate.position for gate in (it.gate, *it.others)] == ["green"] * 3
    assert [gate.retargeted for gate in (it.gate, *it.others)] == [1, 5, 1], "a second run completes what is missing"
    assert it.blue.inbound == "running"


def test_clients_are_let_go_although_the_gate_cannot_be_pointed_at_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    it = scene("retarget gate green")
    with pytest.raises(BlueGreenError, match="one thing is left to do"):
        it.move().run()
    assert (it.gate.held, it.gate.position) == (False, "blue")


def test_gates_that_only_point_are_not_touched_when_the_window_fails() -> None:
    it = with_others(scene("drain blue"))
    with pytest.raises(BlueGreenError, match="blue serves"):
        it.move().run()
    assert [gate.retargeted for gate in it.others] == [0, 0]
    assert not it.gate.held and it.blue.open


def test_a_gate_that_leads_elsewhere_is_named_and_refused() -> None:
    it = with_others(scene())
    it.others[0].position = "elsewhere"
    with pytest.raises(BlueGreenError, match="nothing was changed: dns points at neither blue nor green"):
        it.move().run()
    assert it.journal.actions == []


def test_a_failed_guardrail_of_a_gate_refuses_before_anything_is_changed() -> None:
    it = with_others(scene())
    it.others[1].checks = [failed("gate", "a rotation is under way", "let it end")]
    with pytest.raises(BlueGreenError, match="Not ready for the switchover, nothing was changed: a rotation"):
        it.move().run()
    assert it.journal.actions == [] and it.blue.log == []


def test_a_gate_that_does_not_settle_is_reported_with_the_outcome() -> None:
    it = with_others(scene("settle dns"))
    with pytest.raises(BlueGreenError, match="green serves and no write is lost, but a gate has not settled") as raised:
        it.move().run()
    assert raised.value.details["outcome"] == "switched_over"


def test_gates_are_pointed_at_the_same_time_and_one_that_hangs_is_named() -> None:
    released = threading.Event()

    class Hanging(FakeGate):
        def retarget(self, side: str) -> None:
            released.wait(20)
            super().retarget(side)

    fault = Fault()
    quick, slow = FakeGate(fault, name="quick"), Hanging(fault, name="slow")
    gates = Gates([slow, quick])
    with pytest.raises(BlueGreenError, match=r"^slow has not answered within 0\.2 s\.$"):
        gates.switch_to("green", 0.2)
    assert quick.position == "green"
    released.set()
    gates.switch_to("green", 20)
    assert slow.position == "green" and quick.retargeted == 1
    gates.close()
