# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Whether the poller that AWS publishes still replicates: it keeps checkpoints of its own and does not know ours."""

from __future__ import annotations

from .api import Api
from .stack import Stack


def running_poller(cloudformation: Api, events: Api, name: str, deployment_id: str) -> str | None:
    """What is found of it in words, None when there is none or its schedule is off."""
    stack = Stack(cloudformation, events, name, deployment_id, tags={}, timeout=0, delay=0)
    found = stack.outputs()
    rule = found.get("CronArn", "").rpartition("rule/")[2]
    if "LeaseDynamoDBTable" not in found or not rule:
        return None
    state = str(events.call("describe_rule", Name=rule).get("State"))
    return f"the stack {name} of the poller that AWS publishes is scheduled by {rule}" if state == "ENABLED" else None
