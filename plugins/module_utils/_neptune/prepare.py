# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``prepared``: what must be true of blue before it is cloned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .._core.checks import Check, require
from .._core.journal import Journal
from .._core.names import Names
from . import marker
from .connection import Client, GraphType
from .prerequisites import serving_checks
from .stream import head


def prepare(
    blue: Client,
    graph_type: GraphType,
    names: Names,
    journal: Journal,
    *,
    cluster: str,
    control_plane: Callable[[], Sequence[Check]],
) -> None:
    """Guardrails first, then a first write when the stream is empty: only an event of blue's can be the clone's position.

    ``control_plane`` looks at what AWS tells. Raises :class:`BlueGreenError` when a guardrail failed; nothing was changed then.
    """
    require([*control_plane(), *serving_checks(blue, "blue", cluster, graph_type)], "the clone")
    if head(blue, graph_type) is None:
        what = f"write a first element on blue, {marker.marker_id(names.deployment_id)}, its stream is empty"
        journal.act(what, partial(marker.write, blue, graph_type, names.deployment_id))
