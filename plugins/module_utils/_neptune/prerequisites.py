# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What must hold on the servers before blue is cloned; the control plane's share is in ``_aws/readiness_neptune.py``.

The first sentence of the messages is the one of AWS's own blue/green solution for Neptune, word for word; what was found follows.
"""

from __future__ import annotations

import re
from typing import Any

from .._core.checks import Check, failed, ok, warning
from .._core.errors import BlueGreenError
from .connection import Client, GraphType, NeptuneError
from .stream import first, head

STREAMS = "Streams should be enabled on the source cluster for blue/green deployment."
BULK_LOAD = "No bulk load should be in progress on the source cluster {cluster}."

GUIDE = "https://docs.aws.amazon.com/neptune/latest/userguide/"
STREAMS_DOCS = GUIDE + "streams-using-enabling.html"
LOADER_DOCS = GUIDE + "load-api-reference-cancel.html"
STATUS_DOCS = GUIDE + "access-graph-status.html"
_VERSION = re.compile(r"\d+(?:\.\d+){3}")
_OFF = "UnsupportedOperationException"


def serving_checks(client: Client, side: str, cluster: str, graph_type: GraphType) -> list[Check]:
    """Whether a side answers as a writer, its stream is live, and nothing is loaded into it in bulk.

    ``cluster`` names it in the messages. When the side does not answer, that is the one check.
    """
    try:
        status = client.status()
    except BlueGreenError as error:
        return [
            failed(f"connection_{side}", error.message.rstrip("."), "check host, port, security groups and iam_auth")
        ]
    return [
        ok(f"connection_{side}", f"{side} answers, engine version {engine_version(status)}"),
        healthy(side, status),
        streams_live(client, side, graph_type),
        no_bulk_load(client, side, cluster),
    ]


def engine_version(status: dict[str, Any]) -> str:
    """The engine version that ``/status`` tells, without what it says of patches: ``1.2.1.0`` of ``1.2.1.0.R4``."""
    told = str(status.get("dbEngineVersion", "unknown"))
    found = _VERSION.search(told)
    return found.group() if found else told


def healthy(side: str, status: dict[str, Any]) -> Check:
    """The host is the writer and well."""
    check_id = f"{side}_writer"
    role, state = str(status.get("role", "unknown")), str(status.get("status", "unknown"))
    if role != "writer":
        return failed(
            check_id,
            f"{side}'s host should be the cluster's writer, but is a {role}",
            f"give the cluster endpoint as {side}'s host",
            STATUS_DOCS,
        )
    if state != "healthy":
        return failed(check_id, f"{side}'s writer should be healthy, but is {state}", "wait until it is", STATUS_DOCS)
    rolled = int(status.get("rollingBackTrxCount", 0) or 0)
    if rolled:
        return warning(
            check_id,
            f"{side}'s writer rolls {rolled} transactions back since its last start",
            "wait until it has",
            STATUS_DOCS,
        )
    return ok(check_id, f"{side}'s host is the writer", STATUS_DOCS)


def streams_live(client: Client, side: str, graph_type: GraphType) -> Check:
    """The stream can be read; its parameter may be on while the instances wait for their reboot."""
    check_id = f"{side}_streams"
    try:
        last = head(client, graph_type)
        begin = first(client, graph_type)
    except NeptuneError as error:
        found = "the cluster says that they are off" if error.code == _OFF else error.message.rstrip(".")
        return failed(
            check_id,
            f"{STREAMS} Found on {side}: {found}",
            "set neptune_streams=1 in its DB cluster parameter group and reboot every instance; a parameter that is set works "
            "after the reboot only",
            STREAMS_DOCS,
        )
    if last is None or begin is None:
        return ok(check_id, f"streams are live on {side}, its {graph_type} stream is empty", STREAMS_DOCS)
    return ok(check_id, f"streams are live on {side}, its {graph_type} stream holds {begin[0]} to {last}", STREAMS_DOCS)


def no_bulk_load(client: Client, side: str, cluster: str) -> Check:
    """No load job runs or waits: the stream of a load takes long to be applied."""
    check_id = f"{side}_bulk_load"
    try:
        running = client.loads_in_progress()
    except NeptuneError as error:
        return failed(
            check_id,
            f"{BULK_LOAD.format(cluster=cluster)} Whether there is one could not be asked: {error.message.rstrip('.')}",
            "mend that and run this again",
            LOADER_DOCS,
        )
    if not running:
        return ok(check_id, f"no bulk load runs or waits on {side}", LOADER_DOCS)
    return failed(
        check_id,
        f"{BULK_LOAD.format(cluster=cluster)} Found on {side}: {', '.join(running)}",
        "wait until it has ended, or cancel it: DELETE /loader/<id>",
        LOADER_DOCS,
    )
