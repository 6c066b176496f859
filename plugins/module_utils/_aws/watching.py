# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The CloudWatch dashboard and the alarm of a deployment: made, kept as they should be, and removed; never anybody else's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .api import Api
from .dashboard import AlarmOptions, Shape, Subject, alarm_parameters, dashboard_body, dashboard_name

_NO_DASHBOARD = ("ResourceNotFound", "DashboardNotFoundError")


@dataclass(frozen=True)
class Watch:
    """Dashboards by name, and the alarm as the parameters of PutMetricAlarm, None without one."""

    dashboards: Mapping[str, Shape]
    alarm: Shape | None

    def as_dict(self) -> Shape:
        """It for the diff of a result."""
        return {"dashboards": dict(self.dashboards), "alarm": self.alarm}


def ensure_watch(
    api: Api, subject: Subject, writer: str, alarm: AlarmOptions | None, journal: Journal
) -> tuple[Watch, Watch]:
    """Make the dashboard and the alarm, or change what differs; returns what there was and what there is to be.

    A dashboard that the deployment has keeps its name, whoever green's writer is now. ``alarm`` None removes the one that it
    has. Raises :class:`BlueGreenError`, before anything is changed, when somebody else's dashboard or alarm has the name.
    """
    before = look(api, subject)
    fresh = dashboard_name(subject.engine, subject.region, writer)
    name = next(iter(sorted(before.dashboards)), fresh)
    wanted = Watch({name: dashboard_body(subject)}, alarm_parameters(subject, alarm) if alarm else None)
    if name not in before.dashboards and _read_dashboard(api, name) is not None:
        raise _taken(f"dashboard {name}", subject)
    if wanted.alarm and not before.alarm and _read_alarm(api, subject.alarm_name) is not None:
        raise _taken(f"alarm {subject.alarm_name}", subject)
    if before.dashboards.get(name) != wanted.dashboards[name]:
        verb = "change" if name in before.dashboards else "make"
        journal.act(f"{verb} the dashboard {name}", lambda: _put_dashboard(api, name, wanted.dashboards[name]))
    if wanted.alarm is None:
        _delete_alarm(api, before.alarm, journal)
    elif before.alarm != wanted.alarm:
        verb, parameters = "change" if before.alarm else "make", wanted.alarm
        journal.act(f"{verb} the alarm {subject.alarm_name}", lambda: api.call("put_metric_alarm", **parameters))
    return before, wanted


def remove_watch(api: Api, subject: Subject, journal: Journal) -> tuple[Watch, Watch]:
    """Remove the deployment's dashboard and its alarm, if they are there; returns what there was and what there is to be."""
    before = look(api, subject)
    names = sorted(before.dashboards)
    if names:
        journal.act(
            f"delete the dashboard {', '.join(names)}",
            lambda: api.find("delete_dashboards", _NO_DASHBOARD, DashboardNames=names),
        )
    _delete_alarm(api, before.alarm, journal)
    return before, Watch({}, None)


def look(api: Api, subject: Subject) -> Watch:
    """What carries the mark of the deployment, and no other dashboard or alarm."""
    entries = api.pages("list_dashboards", "DashboardEntries", DashboardNamePrefix=f"{subject.engine.name_prefix}-")
    bodies = {entry["DashboardName"]: _read_dashboard(api, entry["DashboardName"]) for entry in entries}
    alarm = _read_alarm(api, subject.alarm_name)
    ours = alarm is not None and subject.mark in str(alarm.get("AlarmDescription", ""))
    return Watch(
        {name: body for name, body in bodies.items() if body is not None and subject.mark in json.dumps(body)},
        alarm if ours else None,
    )


def _read_dashboard(api: Api, name: str) -> Shape | None:
    answer = api.find("get_dashboard", _NO_DASHBOARD, DashboardName=name)
    if answer is None:
        return None
    try:
        body = json.loads(answer["DashboardBody"])
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _put_dashboard(api: Api, name: str, body: Shape) -> None:
    answer = api.call("put_dashboard", DashboardName=name, DashboardBody=json.dumps(body))
    said = [str(one.get("Message")) for one in answer.get("DashboardValidationMessages") or []]
    if said:
        raise BlueGreenError(
            f"The dashboard {name} was made, but CloudWatch finds fault with it: {'; '.join(said)}; report this as a bug."
        )


def _read_alarm(api: Api, name: str) -> Shape | None:
    """The alarm in the shape of PutMetricAlarm, without what the service adds."""
    found = api.call("describe_alarms", AlarmNames=[name], AlarmTypes=["MetricAlarm"]).get("MetricAlarms") or []
    if not found:
        return None
    alarm = {key: value for key, value in found[0].items() if key in _ALARM_KEYS}
    rank = {"lag": 0, "highest": 1, "lowest": 2}
    metrics = [{key: value for key, value in one.items() if key in _METRIC_KEYS} for one in alarm.get("Metrics") or []]
    return {**alarm, "Metrics": sorted(metrics, key=lambda one: rank.get(one["Id"], 3))}


_ALARM_KEYS = frozenset(
    {
        "AlarmName",
        "AlarmDescription",
        "ActionsEnabled",
        "AlarmActions",
        "OKActions",
        "InsufficientDataActions",
        "ComparisonOperator",
        "Threshold",
        "EvaluationPeriods",
        "DatapointsToAlarm",
        "TreatMissingData",
        "Metrics",
    }
)
_METRIC_KEYS = frozenset({"Id", "Expression", "Label", "MetricStat", "ReturnData"})


def _delete_alarm(api: Api, alarm: Shape | None, journal: Journal) -> None:
    if alarm is not None:
        name: Any = alarm["AlarmName"]
        journal.act(f"delete the alarm {name}", lambda: api.call("delete_alarms", AlarmNames=[name]))


def _taken(what: str, subject: Subject) -> BlueGreenError:
    return BlueGreenError(
        f"The {what} is wanted for the deployment {subject.deployment_id}, but one of that name exists that it did not make: delete "
        "that one, or choose another deployment_id. Nothing was changed."
    )
