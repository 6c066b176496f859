# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The control record of a deployment: one item of the checkpoint table, for what cannot be read back from the clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._core.errors import BlueGreenError
from .lease import Table, number, string, told

_ATTRIBUTES = {
    "position": ("position", "S"),
    "graph_type": ("graphType", "S"),
    "blue_open": ("blueOpen", "BOOL"),
    "green_open": ("greenOpen", "BOOL"),
    "opened_blue": ("openedBlue", "S"),
    "opened_green": ("openedGreen", "S"),
}


@dataclass(frozen=True)
class Control:
    """The record. Without one blue is open and green is closed.

    ``position``: the event id that the clone's data ends at. ``opened_green``: the end of green's own stream when green was
    opened to writers, ``opened_blue``: blue's when blue was opened again. ``revision``: grows with every change.
    """

    position: str | None = None
    graph_type: str | None = None
    blue_open: bool = True
    green_open: bool = False
    opened_blue: str | None = None
    opened_green: str | None = None
    revision: int = 0


class Record:
    """The record under ``key``; nothing is read or written before it is asked for."""

    def __init__(self, dynamodb: Table, table: str, key: str) -> None:
        self.table = table
        self.key = key
        self._db = dynamodb

    def read(self) -> Control | None:
        """The record, None when there is none."""
        with told(self._db, self.table):
            found = self._db.get_item(TableName=self.table, Key=self._key, ConsistentRead=True).get("Item")
        if not found:
            return None
        return Control(
            position=string(found, "position"),
            graph_type=string(found, "graphType"),
            blue_open=bool(found.get("blueOpen", {}).get("BOOL", True)),
            green_open=bool(found.get("greenOpen", {}).get("BOOL", False)),
            opened_blue=string(found, "openedBlue"),
            opened_green=string(found, "openedGreen"),
            revision=number(found, "revision"),
        )

    def commit(self, *, seen: Control | None = None, **changes: Any) -> Control:
        """Write fields of :class:`Control` durably, None removes one; the others stay. Returns the record as it is then.

        With ``seen`` it is written only if the record is still that one. Raises :class:`BlueGreenError` when somebody else
        changed it meanwhile.
        """
        unknown = sorted(set(changes) - set(_ATTRIBUTES))
        if unknown:
            raise TypeError(f"no such field of the control record: {unknown}")
        before = seen if seen is not None else self.read()
        sets, removes, names, values = ["#revision = :revision"], [], {"#revision": "revision"}, {}
        for field, value in changes.items():
            attribute, kind = _ATTRIBUTES[field]
            names[f"#{field}"] = attribute
            if value is None:
                removes.append(f"#{field}")
            else:
                sets.append(f"#{field} = :{field}")
                values[f":{field}"] = {kind: bool(value) if kind == "BOOL" else str(value)}
        if before is None:
            condition = "attribute_not_exists(leaseKey)"
        else:
            condition = "#revision = :before"
            values[":before"] = {"N": str(before.revision)}
        values[":revision"] = {"N": str((before.revision if before else 0) + 1)}
        with told(self._db, self.table):
            try:
                self._db.update_item(
                    TableName=self.table,
                    Key=self._key,
                    UpdateExpression=f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                )
            except self._db.exceptions.ConditionalCheckFailedException:
                raise BlueGreenError(
                    f"The control record {self.key} in {self.table} was to be changed, but somebody else changed it meanwhile: "
                    "see that nobody else works on this deployment, and run it again."
                ) from None
        after = self.read()
        if after is None:
            raise BlueGreenError(
                f"The control record {self.key} in {self.table} was written, but it is gone: see who removed it."
            )
        return after

    def delete(self) -> None:
        """Remove the record; nothing when there is none."""
        with told(self._db, self.table):
            self._db.delete_item(TableName=self.table, Key=self._key)

    @property
    def _key(self) -> dict[str, dict[str, str]]:
        return {"leaseKey": {"S": self.key}}
