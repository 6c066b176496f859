# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the control plane of Neptune is another than Aurora's: settings, hops, groups, patch levels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from botocore.session import get_session
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import neptune
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api, ApiError
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone import CloneOptions, plan_clone
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import (
    Cluster,
    cluster_of,
    find_green,
    read_cluster,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.iam_policies import Behind
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.maintenance import announced, apply_announced, told
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import is_ours, ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.readiness_policies import checks, judge
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.readiness_target import target_version
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrade import plan_upgrade, versions_of
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrading import Target, Upgraded, upgrade
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from tests.lab.neptune.parameters import VERSIONS
from tests.unit.plugins.module_utils._aws.conftest import ARN, Shape, cluster_shape, instance_shape, member_shape

WAITS = Waits(timeout=5, delay=0)
RESTORE = "restore_db_cluster_to_point_in_time"
MakeCluster = Callable[..., Cluster]


def graph(identifier: str = "graph", readers: int = 1, version: str = "1.2.1.0", **fields: Any) -> Cluster:
    """A cluster of Neptune with everything that the RDS API may describe it with."""
    names = [f"{identifier}-{number}" for number in range(1, readers + 2)]
    more: Shape = {
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "PubliclyAccessible": False,
        "PerformanceInsightsEnabled": False,
        "AutoMinorVersionUpgrade": True,
    }
    description = cluster_shape(
        identifier,
        [member_shape(name, writer=name == names[0]) for name in names],
        **{
            "Engine": "neptune",
            "EngineVersion": version,
            "EngineMode": "provisioned",
            "EngineLifecycleSupport": "open-source-rds-extended-support",
            "Port": 8182,
            "IAMDatabaseAuthenticationEnabled": True,
            "EnabledCloudwatchLogsExports": ["audit"],
            "BackupRetentionPeriod": 3,
            "CopyTagsToSnapshot": True,
            "PreferredBackupWindow": "04:07-04:37",
            "DeletionProtection": True,
            "DomainMemberships": [],
            **fields,
        },
    )
    return cluster_of(
        description, [instance_shape(n, identifier, Engine="neptune", EngineVersion=version, **more) for n in names]
    )


@pytest.mark.parametrize("operation", ["RestoreDBClusterToPointInTime", "ModifyDBCluster", "CreateDBInstance"])
def test_only_what_the_neptune_api_has_counts_as_supported(operation: str) -> None:
    shape = get_session().get_service_model("neptune").operation_model(operation).input_shape
    assert shape is not None
    members = shape.members
    snake = {"RestoreDBClusterToPointInTime": RESTORE, "ModifyDBCluster": "modify_db_cluster"}
    known = neptune.supported("neptune", snake.get(operation, "create_db_instance"), [*members, "EnableHttpEndpoint"])
    assert known <= set(members)
    unsupported = [name for name in known if "Not supported by Neptune" in members[name].documentation]
    assert unsupported == []


def test_for_other_engines_everything_stays() -> None:
    assert neptune.supported("aurora-mysql", RESTORE, ["BacktrackWindow"]) == {"BacktrackWindow"}


def test_a_clone_asks_for_nothing_that_neptune_has_not(api: Api) -> None:
    made = plan_clone(graph(), Names.of("graph-14"), CloneOptions("graph-14"), api.accepts(RESTORE))
    assert made.restore["EnableIAMDatabaseAuthentication"] is True
    assert made.restore["EnableCloudwatchLogsExports"] == ["audit"]
    assert made.restore["DBClusterParameterGroupName"] == "shop-blue"
    assert not {"EngineLifecycleSupport", "BackupRetentionPeriod", "CopyTagsToSnapshot"} & set(made.restore)
    assert {"CACertificateIdentifier", "EnablePerformanceInsights"} & set(made.instances[0]) == set()
    assert [one["DBInstanceIdentifier"] for one in made.instances] == ["graph-14-1", "graph-14-2"]
    assert {one["Engine"] for one in made.instances} == {"neptune"}


def versions() -> list[Shape]:
    major = {v.version: v.major for v in VERSIONS}
    return [
        {
            "EngineVersion": v.version,
            "DBParameterGroupFamily": v.family,
            "ValidUpgradeTarget": [
                {"EngineVersion": target, "IsMajorVersionUpgrade": major[target] != v.major} for target in v.targets
            ],
        }
        for v in VERSIONS
    ]


@pytest.mark.parametrize(
    ("start", "end", "path"),
    [
        ("1.0.5.1", "1.4.6.0", ["1.1.1.0", "1.2.1.0", "1.4.6.0"]),
        ("1.2.1.0", "1.4.6.0", ["1.4.6.0"]),
        ("1.1.1.0", "1.3.4.0", ["1.2.1.0", "1.3.4.0"]),
        ("1.4.6.0", "1.4.6.0", []),
    ],
)
def test_the_hops_follow_the_valid_targets(start: str, end: str, path: list[str]) -> None:
    found = plan_upgrade(versions_of(versions()), start, end, True, "neptune")
    assert [hop.version for hop in found] == path


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("1.1.1.0", "1.1.1.0 is older, and an upgrade never goes back"),
        ("9.9.9.9", "9.9.9.9 cannot be reached from it"),
    ],
)
def test_a_target_that_is_not_valid_is_refused_in_the_words_of_the_seed(target: str, why: str) -> None:
    with pytest.raises(BlueGreenError) as caught:
        plan_upgrade(versions_of(versions()), "1.2.1.0", target, True, "neptune")
    assert caught.value.message == (
        f"Invalid target engine version for blue/green deployment ({target}). The engine version should become {target}, "
        f"but the cluster runs 1.2.1.0 and {why}; versions that can be reached: 1.3.4.0, 1.4.1.0, 1.4.6.0."
    )


def test_tags_that_the_description_hides_are_asked_for(api: Api, stubber: Stubber) -> None:
    found = graph("graph-14", 0)
    instance = found.instances[0].description
    answer = {"TagList": [{"Key": key, "Value": value} for key, value in ownership_tags("graph-14").items()]}

    def look() -> None:
        stubber.add_response("describe_db_clusters", {"DBClusters": [found.description]})
        stubber.add_response("describe_db_instances", {"DBInstances": [instance]})
        for arn in (f"{ARN}:db:graph-14-1", f"{ARN}:cluster:graph-14"):
            stubber.add_response("list_tags_for_resource", answer, {"ResourceName": arn})

    look()
    cluster = read_cluster(api, "graph-14")
    assert cluster and is_ours(cluster.tags, "graph-14") and is_ours(cluster.instances[0].tags, "graph-14")
    stubber.add_response("describe_db_clusters", {"DBClusters": [found.description]})
    stubber.add_response("list_tags_for_resource", answer, {"ResourceName": f"{ARN}:cluster:graph-14"})
    look()
    green = find_green(api, "graph-14", None)
    assert green and green.identifier == "graph-14"


class TestTargetOfReadiness:
    """The guardrail about the version, before there is a green."""

    def check(self, wanted: str | None, blue: Cluster) -> Check:
        return target_version(versions_of(versions()), (), blue.version, wanted, True, "", blue)[0]

    def test_blues_own_version_is_not_higher(self) -> None:
        found = self.check("1.2.1.0", graph())
        assert (found.status, found.evidence) == (
            "failed",
            "Invalid target engine version for blue/green deployment (1.2.1.0). It should be higher than blue's, but graph runs 1.2.1.0",
        )

    def test_one_that_is_out_of_reach_is_refused_with_the_same_words(self) -> None:
        found = self.check("1.1.1.0", graph())
        assert found.status == "failed"
        assert found.evidence.startswith("Invalid target engine version for blue/green deployment (1.1.1.0). ")

    def test_no_version_and_a_higher_one_are_fine(self) -> None:
        assert self.check(None, graph()).status == "ok"
        assert self.check("1.4.6.0", graph()).evidence == "1.2.1.0 -> 1.4.6.0, parameter group family neptune1.4"


class TestPolicies:
    """The guardrail about the policies of the applications."""

    BLUE, GREEN = graph(DbClusterResourceId="cluster-B"), graph("graph-14", DbClusterResourceId="cluster-G")
    NEEDED: ClassVar[Shape] = {"Effect": "Allow", "Action": "neptune-db:*", "Resource": "arn:green"}

    def test_none_is_fine(self) -> None:
        assert judge(self.BLUE, self.GREEN, []).status == "ok"

    def test_each_is_named_with_its_holders_and_its_statement(self) -> None:
        found = judge(self.BLUE, self.GREEN, [Behind("p", ("role app", "user ann"), {}, self.NEEDED)])
        assert found.status == "warning"
        assert found.evidence.endswith("blue's cluster-B and not that of green's cluster-G: p (of role app, user ann)")
        assert found.remedy.endswith(f"p needs {json.dumps(self.NEEDED)}")

    def test_without_iam_authentication_nobody_is_asked(self) -> None:
        def client(service: str) -> Api:
            raise AssertionError(f"{service} was asked")

        assert checks(client, graph(IAMDatabaseAuthenticationEnabled=False), self.GREEN) == []

    def test_without_the_permission_it_says_so(self) -> None:
        def client(_service: str) -> Api:
            raise ApiError("AWS refused X: no (AccessDenied); allow this action.", "AccessDenied")

        (found,) = checks(client, self.BLUE, self.GREEN)
        assert (found.status, found.remedy) == ("warning", "allow this action")


class Script:
    """Queues the answers of a run that takes green from 1.0.5.1 to 1.1.1.0."""

    def __init__(self, stubber: Stubber) -> None:
        self.stubber = stubber

    def look(self, status: str = "available", version: str = "1.0.5.1") -> None:
        tags = [{"Key": key, "Value": value} for key, value in ownership_tags("graph-11").items()]
        found = graph("graph-11", 0, version, Status=status, TagList=tags)
        instance = {**found.instances[0].description, "DBInstanceStatus": status}
        self.stubber.add_response("describe_db_clusters", {"DBClusters": [found.description]})
        self.stubber.add_response("describe_db_instances", {"DBInstances": [instance]})

    def plan(self) -> None:
        self.look()
        self.stubber.add_response("describe_db_engine_versions", {"DBEngineVersions": versions()})
        group = {"DBParameterGroupFamily": "neptune1"}
        cluster_group = {"DBClusterParameterGroupName": "shop-blue", "DBClusterParameterGroupArn": "arn", **group}
        self.stubber.add_response("describe_db_cluster_parameter_groups", {"DBClusterParameterGroups": [cluster_group]})
        instance_group = {"DBParameterGroupName": "shop-instance", "DBParameterGroupArn": "arn", **group}
        self.stubber.add_response("describe_db_parameter_groups", {"DBParameterGroups": [instance_group]})
        for _kind in range(2):
            self.stubber.add_response("describe_events", {"Events": []})

    def modify(self, error: str | None = None) -> None:
        if error:
            self.stubber.add_client_error("modify_db_cluster", error, "Cluster is not in available state.")
            return
        wanted = {
            "DBClusterIdentifier": "graph-11",
            "EngineVersion": "1.1.1.0",
            "ApplyImmediately": True,
            "AllowMajorVersionUpgrade": True,
            "DBClusterParameterGroupName": "shop-blue",
            "DBInstanceParameterGroupName": "shop-instance",
        }
        self.stubber.add_response("modify_db_cluster", {}, wanted)

    def pending(self, *actions: str) -> None:
        queue_pending(self.stubber, {f"{ARN}:cluster:graph-11": actions} if actions else {})


def queue_pending(stubber: Stubber, found: Mapping[str, tuple[str, ...]]) -> None:
    answer = [
        {
            "ResourceIdentifier": arn,
            "PendingMaintenanceActionDetails": [{"Action": a, "Description": "R5"} for a in actions],
        }
        for arn, actions in found.items()
    ]
    stubber.add_response("describe_pending_maintenance_actions", {"PendingMaintenanceActions": answer})


@pytest.fixture
def script(stubber: Stubber) -> Script:
    return Script(stubber)


@pytest.fixture
def run(api: Api) -> Callable[[], Upgraded]:
    target = Target("graph-11", "1.1.1.0", True, {}, WAITS)
    return lambda: upgrade(api, Names.of("graph-11"), target, Journal(check_mode=False))


def test_a_major_hop_in_the_same_family_names_the_groups_that_stay(script: Script, run: Callable[[], Upgraded]) -> None:
    script.plan()
    script.modify()
    script.look("upgrading")
    script.look("available", "1.1.1.0")
    script.pending("system-update")
    done = run()
    assert done.green.version == "1.1.1.0"
    assert done.pending is not None
    assert [one.as_dict() for one in done.pending] == [
        {"resource": "graph-11", "action": "system-update", "description": "R5"}
    ]


def test_a_cluster_that_the_service_updates_by_itself_is_asked_again(
    script: Script, run: Callable[[], Upgraded]
) -> None:
    script.plan()
    script.modify("InvalidDBClusterStateFault")
    script.look("upgrading")
    script.look("upgrading")
    script.look()
    script.modify()
    script.look("upgrading", "1.1.1.0")
    script.look("available", "1.1.1.0")
    script.pending()
    done = run()
    assert (done.green.version, done.pending) == ("1.1.1.0", ())


class TestMaintenance:
    """Patch levels, which come as pending maintenance."""

    def test_it_is_that_of_the_cluster_and_its_instances(self, api: Api, stubber: Stubber) -> None:
        found = {
            f"{ARN}:cluster:graph": ("db-upgrade",),
            f"{ARN}:db:graph-2": ("system-update",),
            f"{ARN}:db:x": ("a",),
        }
        queue_pending(stubber, found)
        pending = announced(api, graph())
        assert [(one.resource, one.action) for one in pending] == [
            ("graph", "db-upgrade"),
            ("graph-2", "system-update"),
        ]

    def test_a_report_does_without_the_permission_and_an_application_does_not(self, api: Api, stubber: Stubber) -> None:
        for _unused in range(2):
            stubber.add_client_error("describe_pending_maintenance_actions", "AccessDenied", "no")
        assert told(api, graph()) is None
        with pytest.raises(ApiError, match="allow this action"):
            apply_announced(api, graph(), WAITS, Journal(check_mode=False))

    def test_what_can_be_applied_is_and_is_waited_for(self, api: Api, stubber: Stubber) -> None:
        mine = f"{ARN}:cluster:graph"
        queue_pending(stubber, {mine: ("system-update", "ca-certificate-rotation")})
        wanted = {"ResourceIdentifier": mine, "ApplyAction": "system-update", "OptInType": "immediate"}
        stubber.add_response("apply_pending_maintenance_action", {}, wanted)
        for actions in (("system-update", "ca-certificate-rotation"), ("ca-certificate-rotation",)):
            found = graph(TagList=[])
            instances = [instance.description for instance in found.instances]
            stubber.add_response("describe_db_clusters", {"DBClusters": [found.description]})
            stubber.add_response("describe_db_instances", {"DBInstances": instances})
            queue_pending(stubber, {mine: actions})
        journal = Journal(check_mode=False)
        assert apply_announced(api, graph(), WAITS, journal) is not None
        assert journal.actions == ["apply the pending system-update of graph"]

    def test_a_cluster_that_is_busy_is_asked_again(self, api: Api, stubber: Stubber) -> None:
        mine = f"{ARN}:cluster:graph"
        queue_pending(stubber, {mine: ("system-update",)})
        stubber.add_client_error("apply_pending_maintenance_action", "InvalidDBClusterStateFault", "not available")
        queue_pending(stubber, {mine: ("system-update",)})
        wanted = {"ResourceIdentifier": mine, "ApplyAction": "system-update", "OptInType": "immediate"}
        stubber.add_response("apply_pending_maintenance_action", {}, wanted)
        found = graph(TagList=[])
        stubber.add_response("describe_db_clusters", {"DBClusters": [found.description]})
        instances = [instance.description for instance in found.instances]
        stubber.add_response("describe_db_instances", {"DBInstances": instances})
        queue_pending(stubber, {})
        journal = Journal(check_mode=False)
        assert apply_announced(api, graph(), WAITS, journal) is not None
        stubber.assert_no_pending_responses()

    def test_without_waiting_the_next_run_goes_on(self, api: Api, stubber: Stubber) -> None:
        queue_pending(stubber, {f"{ARN}:cluster:graph": ("system-update",)})
        stubber.add_client_error("apply_pending_maintenance_action", "ResourceNotFoundFault", "gone")
        assert apply_announced(api, graph(), Waits(5, 0, wait=False), Journal(check_mode=False)) is None

    def test_check_mode_applies_nothing(self, api: Api, stubber: Stubber) -> None:
        queue_pending(stubber, {f"{ARN}:cluster:graph": ("system-update",)})
        journal = Journal(check_mode=True)
        assert apply_announced(api, graph(), WAITS, journal) is not None
        assert journal.actions == ["apply the pending system-update of graph"]
