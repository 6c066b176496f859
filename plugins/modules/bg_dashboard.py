#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bg_dashboard
version_added: 0.1.0
short_description: A CloudWatch dashboard and an alarm of the replication between blue and green
description:
  - Makes a dashboard of how far replication is behind, and an alarm for when it does not keep up or is not there.
  - On Aurora MySQL the metric is C(AuroraBinlogReplicaLag) of the side that is replicated to, in seconds, where -1 means that
    replication is not active. On Aurora PostgreSQL it is C(TransactionLogsDiskUsage) and C(ReplicationSlotDiskUsage) of the side
    that is replicated from, in bytes, where -1 means that logical replication is not in use.
  - Amazon Neptune has no metric that tells how far a copy is behind. Its dashboard shows the transactions of the side that is
    replicated to, and there is no alarm. M(bluegreen.aws.bg_info) tells the lag.
  - The dashboard is named C(Aurora-Binlog-Replication-Lag-REGION-WRITER), on Aurora PostgreSQL
    C(Aurora-Logical-Replication-Lag-REGION-WRITER), on Neptune C(Neptune-Streams-Replication-REGION-WRITER), after green's writer
    at the time that it is made. The alarm is named O(deployment_id) followed by C(-replication-lag).
  - What the deployment did not make is never changed and never deleted.
options:
  state:
    description:
      - V(present) makes the dashboard and the alarm, or changes what differs.
      - V(absent) removes both, whether green exists or not.
    type: str
    choices: [present, absent]
    default: present
  engine:
    description: The database engine of both clusters.
    type: str
    choices: [aurora_mysql, aurora_postgresql, neptune]
    required: true
  source_db_cluster_identifier:
    description: Blue. Required with O(state=present).
    type: str
  db_cluster_identifier:
    description: Green's identifier. Defaults to O(deployment_id).
    type: str
  serving:
    description:
      - The side that serves, from which replication goes to the other one. The alarm watches replication in that direction.
      - M(bluegreen.aws.bg_info) tells which side it is.
    type: str
    choices: [blue, green]
    default: blue
  alarm:
    description:
      - Whether there is an alarm. With V(false) the one that the deployment has is removed.
      - Defaults to V(true), except with O(engine=neptune), for which there cannot be one.
    type: bool
  alarm_threshold:
    description:
      - What the metric has to exceed for the alarm.
      - Defaults to 60 seconds on Aurora MySQL and to 10 GiB on Aurora PostgreSQL.
    type: float
  alarm_periods:
    description: For how many minutes in a row it has to be so. A minute without data counts as well.
    type: int
    default: 3
  alarm_actions:
    description: The ARNs of whom to tell, such as an SNS topic, when the alarm is raised and when it is over.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - bluegreen.aws.deployment
  - bluegreen.aws.deployment.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - The metrics have a resolution of one minute. No switchover depends on them.
seealso:
  - module: bluegreen.aws.bg_info
  - name: Amazon CloudWatch metrics for Amazon Aurora
    description: What the metrics mean.
    link: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
author:
  - bluegreen.aws contributors (@bluegreen-aws)
"""

EXAMPLES = r"""
- name: Watch replication and tell the people on call
  bluegreen.aws.bg_dashboard:
    deployment_id: shop-84
    engine: aurora_mysql
    source_db_cluster_identifier: shop
    alarm_threshold: 30
    alarm_actions:
      - arn:aws:sns:eu-central-1:123456789012:on-call

- name: Remove the dashboard and the alarm
  bluegreen.aws.bg_dashboard:
    deployment_id: shop-84
    engine: aurora_mysql
    state: absent
"""

RETURN = r"""
dashboard_name:
  description: The dashboard's name. Null with O(state=absent).
  returned: success
  type: str
  sample: Aurora-Binlog-Replication-Lag-eu-central-1-shop-84-1
alarm_name:
  description: The alarm's name. Null without one.
  returned: success
  type: str
  sample: shop-84-replication-lag
watched:
  description: The cluster whose metric the alarm watches, and the metric's name. Null with O(state=absent).
  returned: success
  type: dict
  contains:
    db_cluster_identifier:
      description: The cluster.
      type: str
    metric:
      description: The metric. Null for Neptune.
      type: str
      sample: AuroraBinlogReplicaLag
actions:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample: [make the dashboard Aurora-Binlog-Replication-Lag-eu-central-1-shop-84-1, make the alarm shop-84-replication-lag]
deployment_id:
  description: The name of the deployment.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import require_cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.dashboard import ENGINES, AlarmOptions, Subject
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.watching import ensure_watch, remove_watch
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._doorway import deployment_options, run


def _subject(module: AnsibleAWSModule, names: Names, region: str) -> Subject:
    params = module.params
    return Subject(
        deployment_id=names.deployment_id,
        engine=ENGINES[params["engine"]],
        region=region,
        blue=params["source_db_cluster_identifier"] or "",
        green=params["db_cluster_identifier"] or names.cluster,
        serving=params["serving"],
    )


def _present(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    api = Api(module.client("cloudwatch"))
    subject = _subject(module, names, api.region)
    rds = Api(module.client("rds"))
    require_cluster(rds, subject.blue, "blue")
    green = require_cluster(rds, subject.green, "green")
    if not green.instances:
        raise BlueGreenError(
            f"The dashboard is named after green's writer, but the DB cluster {green.identifier} has no instance: give it one first."
        )
    before, after = ensure_watch(api, subject, green.instances[0].identifier, _alarm(module, subject), journal)
    return {
        "dashboard_name": next(iter(after.dashboards)),
        "alarm_name": subject.alarm_name if after.alarm else None,
        "watched": {"db_cluster_identifier": subject.watched_cluster, "metric": subject.engine.watched or None},
        **({"diff": {"before": before.as_dict(), "after": after.as_dict()}} if module._diff else {}),
    }


def _absent(module: AnsibleAWSModule, names: Names, journal: Journal) -> dict[str, Any]:
    api = Api(module.client("cloudwatch"))
    before, after = remove_watch(api, _subject(module, names, api.region), journal)
    return {
        "dashboard_name": None,
        "alarm_name": None,
        "watched": None,
        **({"diff": {"before": before.as_dict(), "after": after.as_dict()}} if module._diff else {}),
    }


def _alarm(module: AnsibleAWSModule, subject: Subject) -> AlarmOptions | None:
    params = module.params
    wanted = bool(subject.engine.watched) if params["alarm"] is None else params["alarm"]
    if not wanted:
        return None
    if not subject.engine.watched:
        raise BlueGreenError(
            "Neptune publishes no metric that tells how far a copy is behind, so there can be no alarm: leave alarm out, and ask bg_info."
        )
    if params["alarm_periods"] < 1:
        raise BlueGreenError(f"alarm_periods must be at least 1, but is {params['alarm_periods']}: correct it.")
    threshold = subject.engine.threshold if params["alarm_threshold"] is None else params["alarm_threshold"]
    return AlarmOptions(threshold, params["alarm_periods"], tuple(params["alarm_actions"]))


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            **deployment_options(),
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "engine": {"type": "str", "choices": list(ENGINES), "required": True},
            "source_db_cluster_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
            "serving": {"type": "str", "choices": ["blue", "green"], "default": "blue"},
            "alarm": {"type": "bool"},
            "alarm_threshold": {"type": "float"},
            "alarm_periods": {"type": "int", "default": 3},
            "alarm_actions": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[["state", "present", ["source_db_cluster_identifier"]]],
        supports_check_mode=True,
    )
    body = _present if module.params["state"] == "present" else _absent
    run(module, lambda names, journal: body(module, names, journal))


if __name__ == "__main__":
    main()
