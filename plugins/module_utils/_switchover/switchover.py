# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""``bg_switchover`` of a deployment of ours: from the module's options to a move, and from the move to the module's result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._aws.api import Api
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .engines import fence, problems, sequences
from .gates import Gates, Target
from .gates.options import build
from .run import Limits, Move
from .side import Side
from .timeline import Timeline


def switch(
    options: Mapping[str, Any],
    blue: Side,
    green: Side,
    api: Callable[[str], Api],
    journal: Journal,
    *,
    diff: bool,
) -> dict[str, Any]:
    """Move the traffic as ``options`` say, in check mode only plan it; returns the module's result, with a ``diff`` when wanted.

    Raises :class:`BlueGreenError` with all of the result that is known.
    """
    targets = {side.name: Target(side.endpoint.host, side.endpoint.port) for side in (blue, green)}
    gates = build(options["gates"], targets, api, cuts=options["engine"] == "neptune")
    timeline = Timeline()
    source, target = (blue, green) if options["state"] == "switched_over" else (green, blue)
    limits = Limits(*(options[name] for name in ("max_lag", "timeout", "gate_timeout", "wait_timeout")))
    move = Move(source, target, gates, limits, journal, timeline, reverse=options["reverse_replication"])
    try:
        source.connect()
        target.connect()
        before = _state(blue, green, gates)
        if journal.check_mode:
            for action in move.plan(move.observe()):
                journal.act(action, lambda: None)
        else:
            move.run()
        after = _state(blue, green, gates)
    except BlueGreenError as error:
        raise BlueGreenError(
            error.message,
            **{"outcome": "refused", **error.details, "window_ms": timeline.window_ms, "timeline": timeline.as_list()},
        ) from None
    finally:
        for closable in (gates, blue, green):
            closable.close()
    result = {
        "outcome": options["state"],
        "window_ms": timeline.window_ms,
        "timeline": timeline.as_list(),
        "sequences": sequences(target),
        "fence": fence(options["engine"], options),
        **after,
        **({"diff": {"before": before, "after": after}} if diff else {}),
    }
    if found := problems(blue, green):
        raise BlueGreenError(f"{target.name} serves, but {' '.join(found)}", **result)
    return result


def _state(blue: Side, green: Side, gates: Gates) -> dict[str, Any]:
    facts = {"blue": blue.facts(green), "green": green.facts(blue)}
    serving = [name for name, found in facts.items() if found.open]
    direction = {"green": "forward", "blue": "reverse"}
    running = [direction[name] for name, found in facts.items() if found.inbound == "running" and not found.open]
    sides = {
        side.name: {
            "host": side.endpoint.host,
            "open": facts[side.name].open,
            "inbound": facts[side.name].inbound,
            "opened_at": facts[side.name].opened_at,
        }
        for side in (blue, green)
    }
    return {
        **sides,
        "gates": gates.positions(),
        "serving": serving[0] if len(serving) == 1 else "unknown",
        "replication": {"running": bool(running), "direction": running[0] if running else None},
    }
