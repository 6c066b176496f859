# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the handlers share: identifiers, paging, filters, tags."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.lab.control_plane.errors import ApiError, cluster_not_found, instance_not_found, invalid_value
from tests.lab.control_plane.plane import Call
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape

IDENTIFIER = re.compile(r"[A-Za-z](?!.*--)[A-Za-z0-9-]{0,62}(?<!-)\Z")
TAG_TEXT = re.compile(r"[\w\s.:/=+\-@]*\Z")
MAX_TAGS = 50


def new_identifier(call: Call, name: str) -> str:
    """Return the identifier of something to be created, in lower case as the service keeps it."""
    value = call.text(name)
    if not IDENTIFIER.match(value):
        raise invalid_value(
            f"The parameter {name} is not a valid identifier. Identifiers must begin with a letter; must contain only "
            "ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
        )
    return value.lower()


def bare(identifier: str) -> str:
    """Return an identifier that may have been given as an ARN."""
    return identifier.rsplit(":", 1)[-1].lower()


def find_cluster(region: Region, identifier: str) -> Cluster:
    """Return a cluster by its identifier, ARN or resource id; raises the typed fault."""
    cluster = region.clusters.get(bare(identifier))
    if cluster is None:
        raise cluster_not_found(identifier)
    return cluster


def find_instance(region: Region, identifier: str) -> Instance:
    """Return an instance by its identifier or ARN; raises the typed fault."""
    instance = region.instances.get(bare(identifier))
    if instance is None:
        raise instance_not_found(identifier)
    return instance


def page(call: Call, key: str, items: Sequence[Shape]) -> Shape:
    """Return one page of a describe answer: MaxRecords 20 to 100 (100 by default) and an opaque Marker."""
    size = int(call.params.get("MaxRecords") or 100)
    if not 20 <= size <= 100:
        raise invalid_value(f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    start = _offset(call.params.get("Marker"))
    answer: Shape = {key: list(items[start : start + size])}
    if start + size < len(items):
        answer["Marker"] = base64.urlsafe_b64encode(f"lab:{start + size}".encode()).decode()
    return answer


def _offset(marker: str | None) -> int:
    if not marker:
        return 0
    try:
        return int(base64.urlsafe_b64decode(marker).decode().removeprefix("lab:"))
    except (binascii.Error, ValueError) as exc:
        raise invalid_value(f"The parameter Marker is not valid: {marker}") from exc


def filters(call: Call, allowed: Iterable[str]) -> dict[str, list[str]]:
    """Return the filters by name; raises for a name that the operation does not have."""
    names = tuple(allowed)
    found: dict[str, list[str]] = {}
    for entry in call.params.get("Filters") or ():
        if entry["Name"] not in names:
            raise invalid_value(f"Unrecognized filter name: {entry['Name']}")
        found[entry["Name"]] = [str(value) for value in entry["Values"]]
    return found


def tags_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a request; raises for what the service refuses (256 characters, few signs, no aws: keys)."""
    tags: dict[str, str] = {}
    for tag in params.get("Tags") or ():
        key, value = str(tag.get("Key", "")), str(tag.get("Value") or "")
        if not 1 <= len(key) <= 128 or key.lower().startswith(("aws:", "rds:")) or not TAG_TEXT.match(key):
            raise invalid_value(f"Invalid tag key: {key}")
        if len(value) > 256 or not TAG_TEXT.match(value):
            raise invalid_value(f"Invalid tag value for the tag key {key}")
        tags[key] = value
    check_number_of_tags(tags)
    return tags


def check_number_of_tags(tags: Mapping[str, str]) -> None:
    """Raise when a resource would have too many tags."""
    if len(tags) > MAX_TAGS:
        raise ApiError("InvalidParameterValue", f"Number of tags exceeds the limit of {MAX_TAGS}")


def tag_list(tags: Mapping[str, str]) -> list[Shape]:
    """Return tags in the shape of the API."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
