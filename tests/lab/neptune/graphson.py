# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of Gremlin as GraphSON 3, which Neptune answers with."""

from __future__ import annotations

import math
import uuid
from typing import Any

from tests.lab.neptune.graph import Edge, Vertex
from tests.lab.neptune.gremlin import Property, label_of
from tests.lab.neptune.gremlin_text import Symbol

_NAMES = {
    "Byte": "gx:Byte",
    "Short": "gx:Int16",
    "Int": "g:Int32",
    "Long": "g:Int64",
    "Float": "g:Float",
    "Double": "g:Double",
    "Date": "g:Date",
}


def answer(results: list[Any]) -> dict[str, Any]:
    """Return the whole answer to a request."""
    empty = {"@type": "g:Map", "@value": []}
    return {
        "requestId": str(uuid.uuid4()),
        "status": {"message": "", "code": 200, "attributes": empty},
        "result": {"data": value(results), "meta": empty},
    }


def value(found: Any) -> Any:
    """Return one value."""
    if isinstance(found, Symbol):
        name = str(found)
        return {"@type": "g:Direction" if name in ("IN", "OUT") else "g:T", "@value": name}
    if isinstance(found, tuple):
        return _typed(*found)
    if isinstance(found, list):
        return {"@type": "g:List", "@value": [value(one) for one in found]}
    if isinstance(found, dict):
        return {"@type": "g:Map", "@value": [value(one) for pair in found.items() for one in pair]}
    if isinstance(found, Vertex):
        return {"@type": "g:Vertex", "@value": {"id": found.id, "label": label_of(found)}}
    if isinstance(found, Edge):
        return {
            "@type": "g:Edge",
            "@value": {
                "id": found.id,
                "label": found.label,
                "inVLabel": label_of(found.end),
                "outVLabel": label_of(found.start),
                "inV": found.end.id,
                "outV": found.start.id,
            },
        }
    if isinstance(found, Property):
        if isinstance(found.element, Edge):
            return {"@type": "g:Property", "@value": {"key": found.key, "value": _typed(*found.typed)}}
        number = {"@type": "g:Int32", "@value": hash((found.element.id, found.key, found.typed)) % (1 << 31)}
        shown = {"id": number, "value": _typed(*found.typed), "label": found.key}
        return {"@type": "g:VertexProperty", "@value": shown}
    return found


def _typed(kind: str, content: Any) -> Any:
    if kind not in _NAMES:
        return content
    if isinstance(content, float) and not math.isfinite(content):
        content = "NaN" if math.isnan(content) else ("Infinity" if content > 0 else "-Infinity")
    return {"@type": _NAMES[kind], "@value": content}
