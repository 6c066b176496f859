# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The guardrail about IAM policies that let applications at the data of a Neptune blue and not at green's."""

from __future__ import annotations

import json
from collections.abc import Callable

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .api import Api
from .clusters import Cluster
from .iam_policies import Behind, policies_behind
from .readiness_topic import Topic, some

POLICIES = Topic("iam_policies", "https://docs.aws.amazon.com/neptune/latest/userguide/iam-dp-policy-examples.html")


def checks(client: Callable[[str], Api], blue: Cluster, green: Cluster) -> list[Check]:
    """None without IAM authentication, else one warning with every statement to add; they are the applications' business."""
    if not blue.description.get("IAMDatabaseAuthenticationEnabled"):
        return []
    try:
        found = policies_behind(client("iam"), blue, green)
    except BlueGreenError as error:
        return [POLICIES.unmade(error, needed=False)]
    return [judge(blue, green, found)]


def judge(blue: Cluster, green: Cluster, found: list[Behind]) -> Check:
    """What the policies are that name blue's data alone, and the statement that each needs. Pure."""
    blue_id, green_id = (str(one.description["DbClusterResourceId"]) for one in (blue, green))
    if not found:
        return POLICIES.ok(f"no policy of the account names the data of {blue_id} and not that of {green_id}")
    holders = (f"{one.policy} (of {', '.join(one.attached_to) or 'nobody'})" for one in found)
    statements = "; ".join(f"{one.policy} needs {json.dumps(one.needed)}" for one in found)
    return POLICIES.warning(
        f"policies name the data of blue's {blue_id} and not that of green's {green_id}: {some(dict.fromkeys(holders))}",
        f"add it before the switchover, and let blue's stay for the way back: {statements}",
    )
