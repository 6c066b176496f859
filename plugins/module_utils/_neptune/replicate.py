# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""States ``running`` and ``stopped``: green is brought up to blue from its checkpoint on, here or by a runner on AWS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from .._core.errors import BlueGreenError, WaitTimeout
from .._core.journal import Journal
from .._core.waiting import Deadline, wait_until
from .connection import Client, GraphType
from .events import START, EventId
from .lease import Desired, Lease, LeaseItem, LeaseTaken
from .progress import Progress
from .replicator import Options, Replicator
from .state import State
from .status import lag
from .stream import head

_LEASE_LOOK = 0.5  # seconds between two looks at a lease that somebody else has


class Runner(Protocol):
    """What replicates on AWS, a stack of CloudFormation."""

    kind: str

    def checkpoints(self) -> tuple[str, str] | None:
        """Table and key of checkpoints of its own, None when it works with ours, or has not begun."""

    def deploy(self, position: str, journal: Journal) -> None:
        """Make what is missing and start it; ``position`` is where it begins when nothing has begun yet."""

    def pause(self, journal: Journal) -> None:
        """Let it not be started any more; what runs ends by itself."""

    def remove(self, journal: Journal) -> None:
        """Delete it."""


@dataclass(frozen=True)
class Follow:
    """How far to follow, and how: ``max_lag`` and times in seconds; ``runner`` None when it is done here."""

    graph_type: GraphType
    max_lag: float | None
    wait: bool
    wait_timeout: float
    wait_delay: float
    options: Options
    runner: Runner | None
    theirs: Callable[[], Lease | None] = lambda: None
    """The runner's own checkpoint, None when it works with ours, or has not begun."""


def replicate(
    blue: Client,
    green: Client,
    state: State,
    lease: Lease,
    follow: Follow,
    journal: Journal,
    say: Callable[[str], None],
) -> Progress | None:
    """Start it unless it runs, and wait until green is no further behind than was asked; returns how far it is."""
    item = _required(state, journal.check_mode)
    if item is None:
        return None
    if follow.theirs() is None:
        lag(blue, item, follow.graph_type)  # raises when the stream does not go on from there; nothing is changed then
    if item.desired != "running":
        journal.act(f"start replication from blue to green at {item.checkpoint}", partial(lease.set_desired, "running"))
    if follow.runner is not None:
        follow.runner.deploy(str(item.checkpoint), journal)
        if not follow.wait or journal.check_mode:
            return None
        return _watch(blue, lease, follow, say)
    if journal.check_mode:
        _foresee(blue, item, follow, journal)
        return None
    return _follow_here(blue, green, item, lease, follow, journal, say) if follow.wait else None


def stop(blue: Client, state: State, lease: Lease, follow: Follow, journal: Journal) -> None:
    """Stop it where it is, and wait until whoever applies has let go; blue keeps its stream for its expiry days only."""
    item = state.forward
    if item is None:
        return
    if follow.runner is not None:
        follow.runner.pause(journal)
    if item.desired != "stopped":
        journal.act(f"stop replication from blue to green at {item.checkpoint}", partial(lease.set_desired, "stopped"))
    if journal.check_mode:
        return
    theirs = follow.theirs()
    if follow.wait:
        for one in filter(None, (lease, theirs)):
            _wait_for_end(one, follow)
    if theirs is not None:
        _adopt(lease, theirs.read(), blue, follow.graph_type)


def _wait_for_end(lease: Lease, follow: Follow) -> None:
    wait_until(
        lease.read,
        lambda found: found is None or not found.held(lease.now_ms),
        timeout=follow.wait_timeout,
        delay=min(follow.wait_delay, 0.5),
        wanted="replication to stop",
        seen=lambda found: "nobody" if found is None else f"{found.owner} at {found.checkpoint}",
    )


def _adopt(lease: Lease, theirs: LeaseItem | None, blue: Client, graph_type: GraphType) -> None:
    """Go on from the checkpoint of a runner that keeps its own; what it had under way is applied again, as a replay."""
    ours = lease.read()
    if theirs is None or ours is None or theirs.checkpoint <= ours.checkpoint:
        return
    desired: Desired = "running" if ours.desired == "running" else "stopped"
    lease.delete()
    lease.create(theirs.checkpoint, desired, max(theirs.checkpoint, head(blue, graph_type) or START))


def _required(state: State, check_mode: bool) -> LeaseItem | None:
    if state.control is None or not state.control.position:
        if check_mode:  # state=positioned has not really run before
            return None
        raise BlueGreenError(
            "Green's position should be on record before replication runs, but is not: run neptune_streams_replication with "
            "state=positioned first, before any upgrade of green."
        )
    if state.forward is None:
        raise BlueGreenError(
            f"Green's position {state.control.position} is on record, but its checkpoint is gone from the table: run "
            "neptune_streams_replication with state=positioned again, it begins anew from the position."
        )
    return state.forward


def _foresee(blue: Client, item: LeaseItem, follow: Follow, journal: Journal) -> None:
    if not follow.wait:
        return
    last = head(blue, follow.graph_type) or START
    if last > item.checkpoint:
        journal.act(f"apply what blue's stream holds after {item.checkpoint} up to {last}", lambda: None)


def _follow_here(
    blue: Client,
    green: Client,
    before: LeaseItem,
    lease: Lease,
    follow: Follow,
    journal: Journal,
    say: Callable[[str], None],
) -> Progress:
    """Apply until the lag is low enough, or, without ``max_lag``, up to what was the head when this began."""
    reached = _reached(follow.max_lag, head(blue, follow.graph_type) or START)

    def until(progress: Progress) -> bool:
        say(told(progress))
        return reached(progress)

    deadline = Deadline(follow.wait_timeout)
    while True:
        replicator = Replicator(blue, green, lease, follow.graph_type, follow.options)
        try:
            progress = replicator.run(until, deadline)
            break
        except LeaseTaken:  # by a run that was killed, until its time is over; or by one that goes on
            if deadline.left <= _LEASE_LOOK:
                raise
            time.sleep(_LEASE_LOOK)
        finally:
            before = _note(lease.read(), before, journal)
    if not reached(progress):
        item = lease.read()
        if item is not None and item.desired == "stopped":
            raise BlueGreenError(
                f"Replication from blue to green was stopped by somebody else at {item.checkpoint}: run state=running again to go on."
            )
        raise _late(follow, progress)
    return progress


def _note(after: LeaseItem | None, before: LeaseItem, journal: Journal) -> LeaseItem:
    """Say what was applied, also when the run failed later on; returns what counts as before then."""
    applied = after.records - before.records if after else 0
    if after is None or applied <= 0:
        return before
    records = "1 record" if applied == 1 else f"{applied} records"
    journal.act(f"apply {records} on green, up to {after.checkpoint}", lambda: None)
    return after


def _watch(blue: Client, lease: Lease, follow: Follow, say: Callable[[str], None]) -> Progress:
    """Look at what the runner has reached until the lag is low enough."""
    goal = head(blue, follow.graph_type) or START
    reached = _reached(follow.max_lag, goal)
    deadline = Deadline(follow.wait_timeout)
    while True:
        theirs = follow.theirs()
        found = theirs.read() if theirs is not None else None
        _adopt(lease, found, blue, follow.graph_type)
        item = lease.read()
        if item is None:
            raise BlueGreenError("The checkpoint is gone while the runner was waited for: run state=positioned again.")
        if item.failure:
            raise BlueGreenError(f"Replication from blue to green does not run: {item.failure.rstrip('.')}.")
        progress = lag(blue, item, follow.graph_type)
        say(told(progress))
        if reached(progress):
            return progress
        if deadline.passed:
            raise _late(follow, progress)
        time.sleep(min(follow.wait_delay, deadline.left))


def _reached(max_lag: float | None, goal: EventId) -> Callable[[Progress], bool]:
    def reached(progress: Progress) -> bool:
        if max_lag is None:
            return progress.checkpoint >= goal
        return progress.at_head or progress.lag_seconds <= max_lag

    return reached


def _late(follow: Follow, progress: Progress) -> WaitTimeout:
    below = "" if follow.max_lag is None else f" with a lag below {follow.max_lag:g} s"
    return WaitTimeout(
        f"Waited {follow.wait_timeout:g} s for green to be in sync with blue{below}, but it is {told(progress)}: run it again, it goes on "
        "from there; more lanes or another runner are quicker."
    )


def told(progress: Progress) -> str:
    """Where green is, in words."""
    return f"at {progress.checkpoint} of {progress.head or START}, {progress.lag_commits} commits and {progress.lag_seconds:.1f} s behind"
