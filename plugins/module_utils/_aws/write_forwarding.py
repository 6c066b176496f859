# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write forwarding: sessions on a secondary whose writes go to the primary, hence a writer that a fence has to know.

It is off while the traffic moves, and on again afterwards where it was on. What was turned off is committed to a tag on
green's cluster before it is: the Regions in which it is still to be turned on, on the side that serves then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from . import tending
from .clusters import Cluster, read_cluster
from .global_clusters import Regions, forwards, globals_of
from .global_database import FORWARDING_TAG
from .ownership import PREFIX, is_ours
from .waiters import Waits, states, wait_for, wait_settled

REFUSE = "refuse"
_PENDING_TAG = f"{PREFIX}write-forwarding-regions"
_ENABLED = "enabled"


@dataclass(frozen=True)
class Forwarder:
    """A secondary cluster in ``region``: whether it forwards writes now, and what the user said of it himself."""

    region: str
    identifier: str
    forwards: bool
    said: str | None


def pending(green: Cluster | None) -> set[str]:
    """The Regions in which write forwarding was turned off and is not on again."""
    return set(green.tags.get(_PENDING_TAG, "").split()) if green else set()


def to_record(recorded: Collection[str], forwarders: Iterable[Forwarder]) -> set[str]:
    """The record before the ones that forward are turned off; what the user said himself needs none. Pure."""
    return {*recorded, *(one.region for one in forwarders if one.forwards and one.said is None)}


def to_turn_on(recorded: Collection[str], forwarders: Iterable[Forwarder]) -> list[Forwarder]:
    """The secondaries of the side that serves that are to forward writes: as the user said, or as it was. Pure."""
    return [
        one
        for one in forwarders
        if not one.forwards and (one.said == "on" or (one.said is None and one.region in recorded))
    ]


def left_over(recorded: Collection[str], forwarders: Iterable[Forwarder]) -> set[str]:
    """The record once everything is on that is to be: the Regions in which this side forwards nothing. Pure."""
    on = {one.region for one in forwarders if one.forwards} | {one.region for one in to_turn_on(recorded, forwarders)}
    return set(recorded) - on


@dataclass(frozen=True)
class Sides:
    """``cluster`` is the primary whose secondaries are meant, ``green`` where the record is kept (None: there is none)."""

    regions: Regions
    deployment_id: str
    cluster: Cluster
    green: Cluster | None
    waits: Waits


def only_ours(green: Cluster | None, deployment_id: str) -> Cluster | None:
    """Green, None for a cluster of somebody else: nothing is written on that."""
    return green if green and is_ours(green.tags, deployment_id) else None


def turn_off(sides: Sides, policy: str, journal: Journal) -> tuple[list[Forwarder], set[str]]:
    """Turn off what forwards writes to the cluster; returns the secondaries as they were and the record.

    Raises :class:`BlueGreenError` when some do and ``policy`` is to refuse, with the command that turns it off.
    """
    found = forwarders(sides)
    on = [one for one in found if one.forwards]
    if on and policy == REFUSE:
        raise BlueGreenError(_refusal(sides.cluster, on))
    recorded = pending(sides.green)
    wanted = to_record(recorded, found)
    _record(sides, recorded, wanted, journal)
    for one in on:
        journal.act(f"turn off write forwarding of {one.identifier} in {one.region}", partial(_set, sides, one, False))
    return found, wanted


def turn_on(sides: Sides, journal: Journal) -> tuple[list[Forwarder], set[str]]:
    """Turn on again what forwarded writes, on the secondaries of the cluster; returns them as they were and the record."""
    recorded = pending(sides.green)
    found = forwarders(sides)
    for one in to_turn_on(recorded, found):
        journal.act(f"turn on write forwarding of {one.identifier} in {one.region}", partial(_set, sides, one, True))
    left = left_over(recorded, found)
    _record(sides, recorded, left, journal)
    return found, left


def forwarders(sides: Sides) -> list[Forwarder]:
    """The secondaries of the global database whose primary the cluster is; none when it is in no global database.

    What the user said is read on those that this deployment made: blue's may have been made by an earlier one.
    """
    (found,) = globals_of(sides.regions.home_api, sides.cluster.arn)
    secondaries = []
    for member in found.secondaries if found else ():
        there = read_cluster(sides.regions.at(member.region), member.identifier)
        if there is not None:
            said = there.tags.get(FORWARDING_TAG) if is_ours(there.tags, sides.deployment_id) else None
            secondaries.append(Forwarder(member.region, member.identifier, forwards(there.description), said))
    return secondaries


def _refusal(cluster: Cluster, on: list[Forwarder]) -> str:
    names = ", ".join(f"{one.identifier} in {one.region}" for one in on)
    commands = "; ".join(
        f"aws rds modify-db-cluster --region {one.region} --db-cluster-identifier {one.identifier} "
        "--no-enable-global-write-forwarding"
        for one in on
    )
    return (
        f"Nobody may write to {cluster.identifier} while the traffic moves, but its secondary clusters forward writes to it: "
        f"{names}. Turn that off ({commands}), or have it turned off and on again with write_forwarding=disable "
        "(aurora_postgresql_write_forwarding of the role)."
    )


def _record(sides: Sides, now: Collection[str], wanted: Collection[str], journal: Journal) -> None:
    green = sides.green
    if set(now) == set(wanted):
        return
    if green is None and journal.check_mode:
        return
    if green is None:
        raise BlueGreenError(
            f"Write forwarding in {', '.join(sorted(wanted))} should be turned off, but there is no green to keep that fact: "
            "run the phase create first."
        )
    api, arn = sides.regions.home_api, green.arn
    if wanted:
        tags = ansible_dict_to_boto3_tag_list({_PENDING_TAG: " ".join(sorted(wanted))})
        journal.act(
            f"keep on {green.identifier} that write forwarding is to be on in {', '.join(sorted(wanted))}",
            lambda: api.call("add_tags_to_resource", ResourceName=arn, Tags=tags),
        )
    else:
        journal.act(
            f"forget on {green.identifier} that write forwarding was off",
            lambda: api.call("remove_tags_from_resource", ResourceName=arn, TagKeys=[_PENDING_TAG]),
        )


def _set(sides: Sides, one: Forwarder, on: bool) -> None:
    api, waits = sides.regions.at(one.region), sides.waits
    tending.modify_cluster(api, one.identifier, waits, EnableGlobalWriteForwarding=on)
    if not waits.wait:
        return
    wanted = f"write forwarding of {one.identifier} in {one.region} to be {'on' if on else 'off'}"

    def there(found: Cluster | None) -> bool:
        return found is not None and _arrived(found.description, on)

    wait_for(waits, lambda: read_cluster(api, one.identifier), there, wanted, _seen)
    wait_settled(api, one.identifier, waits, wanted)


def _arrived(description: Mapping[str, object], on: bool) -> bool:
    return description.get("GlobalWriteForwardingStatus") == _ENABLED if on else not forwards(description)


def _seen(found: Cluster | None) -> str:
    status = found.description.get("GlobalWriteForwardingStatus") if found else None
    return f"{states(found)}, write forwarding {status}"
