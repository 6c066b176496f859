# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Whether the clients of a Blue/Green Deployment are ready: the rules that need no server of their own. Pure but for DNS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._aws.client_places import Places
from .._aws.managed import Place
from .._core.checks import Check, failed, ok, warning
from .._core.errors import BlueGreenError
from .._core.rule import some
from .configuration import is_proxy, is_service_name, lacks_metadata
from .grants import Look
from .metadata import SOURCE, TARGET, VERSIONS, Phase, grant_statement
from .resolve import resolve
from .tables import Host

_JDBC = "https://github.com/aws/aws-advanced-jdbc-wrapper/blob/main/docs/using-the-jdbc-driver/using-plugins/"
_PLUGIN = f"{_JDBC}UsingTheBlueGreenPlugin.md"
_GRANTS = f"{_PLUGIN}#connecting-with-non-admin-users"
_BEST = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/blue-green-deployments-best-practices.html"
MOST_TTL = 5  # s, which the service's own zones have (RDS user guide, best practices of blue/green deployments)
_REMEDIES = {
    "grant": "call this module with state=granted",
    "absent": "without it clients notice the switchover as if they had no plugin",
    "login": "correct the user's password, or its account on this side",
    "unreachable": "look at the security group, ssl_mode and ca_cert, and at the server",
}


@dataclass(frozen=True)
class Request:
    """What to look at."""

    dialect: str
    places: Places
    endpoints: Sequence[str]  # what the applications connect to
    dns_server: str | None
    require_metadata: bool
    others: Sequence[str] | str = ()  # who can log in and was not named, or why that is not known


def checks(request: Request, found: Sequence[Look]) -> list[Check]:
    """Every check, in the order in which they matter."""
    return [
        _supported(request.places),
        *_versions(request),
        *(_name(host, request.places) for host in request.endpoints),
        *(_ttl(host, request.dns_server) for host in request.endpoints),
        *(_user(look, request.dialect) for look in found),
        _others(request),
        *_rows(request, found),
        *_plugin(request.places),
    ]


def hosts(place: Place | None, dns_server: str | None) -> list[Host]:
    """The names that clients connect to on one side, with the addresses that they lead to now."""
    if place is None:
        return []
    named = [("cluster", place.host), ("cluster_reader", place.reader_host)] if place.is_cluster else []
    listed = [
        *named,
        *(
            ("writer" if one.is_writer else "reader", (one.description.get("Endpoint") or {}).get("Address"))
            for one in place.members
        ),
    ]
    return [Host(name, kind, _addresses(name, dns_server)) for kind, name in listed if name]  # type: ignore[arg-type]


def _addresses(name: str, dns_server: str | None) -> tuple[str, ...]:
    try:
        return resolve(name, dns_server).addresses
    except BlueGreenError:
        return ()


def _supported(places: Places) -> Check:
    name = "clients_supported"
    if places.multi_az:
        return failed(
            name, "blue is a Multi-AZ DB cluster, which the plugin does not support", "go without the plugin", _PLUGIN
        )
    if places.world:
        return failed(
            name,
            f"blue is in the global database {places.world}, which the plugin does not support",
            "go without the plugin",
            _PLUGIN,
        )
    return ok(name, "the plugin supports what blue is", _PLUGIN)


def _versions(request: Request) -> list[Check]:
    made = []
    for side, place in (("blue", request.places.blue), ("green", request.places.green)):
        if place is None:
            continue
        wanted = lacks_metadata(request.dialect, place.version)
        name = f"clients_version_{side}"
        if wanted:
            made.append(
                failed(
                    name,
                    f"{side} runs {place.version}, which has no metadata for the wrappers; it begins with {wanted}",
                    f"upgrade {side} first, or go without the plugin",
                    _PLUGIN,
                )
            )
        else:
            made.append(ok(name, f"{side} runs {place.version}, which has the metadata", _PLUGIN))
    return made


def _name(host: str, places: Places) -> Check:
    name = "clients_endpoint"
    if is_proxy(host):
        return warning(
            name, f"{host} is an RDS Proxy, which needs no plugin", "leave the plugin out where it is used", _PLUGIN
        )
    if not is_service_name(host):
        return failed(
            name,
            f"{host} is no name of the service, and the plugin does not support aliases (CNAME) and addresses",
            "let the applications connect to the endpoint of the cluster or instance itself",
            _PLUGIN,
        )
    known = _known(places)
    if known and host.lower() not in known and ".cluster-custom-" not in host.lower():
        return warning(
            name,
            f"{host} is a name of the service, but none of the deployment's, which has {some(sorted(known))}",
            "correct it, or look whether these applications use another database",
            _PLUGIN,
        )
    return ok(name, f"{host} is a name of the service", _PLUGIN)


def _known(places: Places) -> set[str]:
    """The names of both sides; empty as long as nothing is known of blue."""
    sides = [place for place in (places.blue, places.green) if place is not None]
    found = [name for place in sides for name in (place.host, place.reader_host)]
    found += [(one.description.get("Endpoint") or {}).get("Address") for place in sides for one in place.members]
    return {name.lower() for name in found if name}


def _ttl(host: str, dns_server: str | None) -> Check:
    name = "clients_dns_ttl"
    if not dns_server:
        return warning(
            name, f"the TTL of {host} is not known", "give dns_server, a DNS server that the applications use", _BEST
        )
    try:
        found = resolve(host, dns_server)
    except BlueGreenError as error:
        return failed(name, error.message.rstrip("."), "correct dns_server", _BEST)
    if not found.addresses:
        return failed(name, f"{host} leads nowhere by the DNS server {dns_server}", "correct the name", _BEST)
    if found.ttl is None or found.ttl > MOST_TTL:
        return warning(
            name,
            f"the TTL of {host} at {dns_server} is {found.ttl} s, at most {MOST_TTL} s are wanted, because clients go to old "
            "production for as long",
            "let the applications ask a DNS server that keeps to the service's TTL, and their runtime too "
            "(networkaddress.cache.ttl of Java)",
            _BEST,
        )
    return ok(name, f"the TTL of {host} at {dns_server} is {found.ttl} s", _BEST)


def _user(look: Look, dialect: str) -> Check:
    where = f"on {look.side}" + (f", database {look.database}" if look.database else "")
    if look.reason == "ok":
        return ok("clients_metadata", f"user {look.user} reads the metadata {where}, {len(look.rows)} rows", _GRANTS)
    remedy = _REMEDIES[look.reason]
    if look.reason == "grant" and dialect == "aurora_postgresql":
        remedy = f"give it back: {grant_statement(dialect, look.user)}"
    return failed("clients_metadata", f"{look.reason}: {look.message.rstrip('.')}", remedy, _GRANTS)


def _others(request: Request) -> Check:
    name = "clients_users"
    if isinstance(request.others, str):
        return warning(name, request.others.rstrip("."), "log in as the master user", _GRANTS)
    if request.others and request.dialect != "aurora_postgresql":
        return warning(
            name,
            f"users who can log in to blue and are not looked at: {some(request.others)}",
            "name those of applications in users, or ignore this for those who do not use the wrappers",
            _GRANTS,
        )
    return ok(name, "every user who can log in to blue is looked at, or needs no grant", _GRANTS)


def _rows(request: Request, found: Sequence[Look]) -> list[Check]:
    """The rows come with the deployment, and sometimes a day later."""
    if request.places.deployment is None or request.places.switched:
        return []
    made = []
    for side in ("blue", "green"):
        seen = next((look.rows for look in found if look.side == side and look.reason == "ok"), None)
        if seen is None:
            continue
        name = f"clients_rows_{side}"
        verdict = failed if request.require_metadata else warning
        roles = {row.role for row in seen}
        strange = sorted({row.version for row in seen} - set(VERSIONS))
        if roles != {SOURCE, TARGET}:
            made.append(
                verdict(
                    name,
                    f"the metadata on {side} has {len(seen)} rows, not one of the source and one of the target",
                    "wait: the service may write them a day after the deployment was created; until then clients do not notice it",
                    _PLUGIN,
                )
            )
        elif strange:
            made.append(
                verdict(
                    name,
                    f"the metadata on {side} has the version {', '.join(strange)}, the wrappers know {', '.join(VERSIONS)}",
                    "look for a newer wrapper",
                    _PLUGIN,
                )
            )
        else:
            phases = sorted({row.phase for row in seen} - {Phase.CREATED})
            said = f", a switchover is at {phases[-1].name}" if phases else ""
            made.append(ok(name, f"the metadata on {side} has both rows{said}", _PLUGIN))
    return made


def _plugin(places: Places) -> list[Check]:
    if not places.switched:
        return []
    return [
        warning(
            "clients_plugin",
            "the switchover is over",
            "take the plugin bg and its properties out of the applications' configuration at the next opportunity",
            _PLUGIN,
        )
    ]
