# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A record in Route 53 as a gate: a CNAME that leads to blue or green, or a weighted pair of them.

Source: Amazon Route 53 API, ListResourceRecordSets, ChangeResourceRecordSets (a change batch takes effect as a whole),
GetChange (INSYNC: on all of Route 53's servers); Developer Guide, weighted routing (a record of weight 0 gets no traffic
unless all are 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..._aws.api import Api
from ..._aws.gate_permissions import Permissions
from ..._core.checks import Check, failed, ok
from ..._core.dns import query_cname
from ..._core.errors import BlueGreenError
from ..._core.waiting import Deadline, wait_until
from . import Position, Target

_POLL = 2.0  # s; Route 53 takes five requests a second from an account
Record = dict[str, Any]


@dataclass(frozen=True)
class RecordPlace:
    """The record, the TTL (s) that it may have at most, and the DNS server to ask, None for none."""

    zone: str
    name: str
    max_ttl: int
    dns_server: str | None


class Route53Gate:
    """One record name; it only points, what comes by an old answer is stopped by the fence."""

    holds = False

    def __init__(self, api: Api, place: RecordPlace, sides: Mapping[str, Target], permissions: Permissions) -> None:
        self.name = f"Route 53 record {bare(place.name)}"
        self._api, self._place, self._sides, self._permissions = api, place, dict(sides), permissions
        self._records: list[Record] | None = None  # read before the window
        self._change: str | None = None

    def facts(self) -> Position:
        """The side that the record leads to."""
        self._records = self._read()
        return position(self._records, self._sides)

    def guardrails(self, source: str, target: str) -> list[Check]:
        """The TTL as it is configured, and as a resolver that the clients use tells it."""
        records = self._records if self._records is not None else self._read()
        most = max((int(record.get("TTL", 0)) for record in records), default=0)
        zone = f"arn:{self._api.partition}:route53:::hostedzone/{self._place.zone.rpartition('/')[2]}"
        checks = [
            self._permissions.check("gate_route53_permission", "route53:ChangeResourceRecordSets", zone),
            self._ttl_check("gate_route53_ttl", most, "in Route 53"),
        ]
        if self._place.dns_server:
            checks.append(self._resolver_check(self._place.dns_server, source))
        return checks

    def hold(self, deadline: Deadline) -> None:
        """DNS makes nobody wait."""

    def retarget(self, side: str) -> None:
        """One UPSERT, both weights in one batch; from what was read before the window, so that it is one call inside it."""
        records = self._records if self._records is not None else self._read()
        if position(records, self._sides) == side:
            return
        wanted = retargeted(records, self._sides, side)
        answer = self._api.call(
            "change_resource_record_sets",
            HostedZoneId=self._place.zone,
            ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record} for record in wanted]},
        )
        self._records, self._change = wanted, answer["ChangeInfo"]["Id"]

    def release(self) -> None:
        """Nothing is held."""

    def settle(self, deadline: Deadline) -> str:
        """INSYNC: every name server of Route 53 answers with the new value."""
        if self._change is None:
            return ""
        change = self._change
        wait_until(
            lambda: str(self._api.call("get_change", Id=change)["ChangeInfo"]["Status"]),
            lambda status: status == "INSYNC",
            timeout=deadline.left,
            delay=_POLL,
            wanted=f"the change of {self.name} to be INSYNC",
        )
        self._change = None
        return f"{self.name} is in sync"

    def close(self) -> None:
        """Nothing is open."""

    def _read(self) -> list[Record]:
        answer = self._api.call(
            "list_resource_record_sets",
            HostedZoneId=self._place.zone,
            StartRecordName=self._place.name,
            StartRecordType="CNAME",
            MaxItems="100",
        )
        found = [
            record
            for record in answer["ResourceRecordSets"]
            if record["Type"] == "CNAME" and bare(record["Name"]) == bare(self._place.name)
        ]
        if not found:
            raise BlueGreenError(
                f"The hosted zone {self._place.zone} should have a CNAME {bare(self._place.name)}, but has none: correct the "
                "gate's options hosted_zone_id and record, or make the record with the endpoint of the side that serves."
            )
        return found

    def _ttl_check(self, check_id: str, ttl: int, where: str) -> Check:
        if ttl <= self._place.max_ttl:
            return ok(check_id, f"the TTL of {self.name} {where} is {ttl} s")
        return failed(
            check_id,
            f"the TTL of {self.name} {where} is {ttl} s, at most {self._place.max_ttl} s are wanted, because clients keep the "
            "old answer that long",
            "lower the TTL and wait until the old one has run out, or raise the gate's option max_ttl",
        )

    def _resolver_check(self, server: str, source: str) -> Check:
        try:
            found = query_cname(server, self._place.name)
        except BlueGreenError as error:
            return failed("gate_route53_dns", error.message.rstrip("."), "correct the gate's option dns_server")
        if bare(found.target) != bare(self._sides[source].host):
            return failed(
                "gate_route53_dns",
                f"the DNS server {server} should answer {self._sides[source].host} for {self.name}, but answers "
                f"{found.target}",
                "wait until it has the value of Route 53, or correct the gate's option dns_server",
            )
        return self._ttl_check("gate_route53_dns", found.ttl, f"at the DNS server {server}")


def bare(name: str) -> str:
    """A DNS name in the form in which two of them compare: lower case, no last dot, Route 53's ``\\052`` as ``*``."""
    return name.rstrip(".").lower().replace("\\052", "*")


def position(records: Sequence[Record], sides: Mapping[str, Target]) -> Position:
    """Where a CNAME, or a weighted pair of them, leads."""
    values = [_value(record) for record in records]
    hosts = {bare(target.host): side for side, target in sides.items()}
    if len(records) == 1 and "SetIdentifier" not in records[0]:
        return _position(hosts.get(values[0] or ""))
    weighted = len(records) == 2 and all("Weight" in record for record in records)
    if not weighted or sorted(value or "" for value in values) != sorted(hosts):
        return "elsewhere"
    used = [hosts[value or ""] for record, value in zip(records, values, strict=True) if int(record["Weight"]) > 0]
    return _position(used[0]) if len(used) == 1 else "elsewhere"


def retargeted(records: Sequence[Record], sides: Mapping[str, Target], side: str) -> list[Record]:
    """The records that lead to ``side``; everything else about them is kept."""
    host = sides[side].host
    if len(records) == 1:
        return [{**records[0], "ResourceRecords": [{"Value": host}]}]
    weight = max(int(record["Weight"]) for record in records)
    return [{**record, "Weight": weight if _value(record) == bare(host) else 0} for record in records]


def _value(record: Record) -> str | None:
    values = record.get("ResourceRecords") or []
    return bare(values[0]["Value"]) if len(values) == 1 else None


def _position(side: str | None) -> Position:
    if side == "blue":
        return "blue"
    return "green" if side == "green" else "elsewhere"
