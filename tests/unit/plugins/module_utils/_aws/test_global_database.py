# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of green's global database, and what is refused before anything is made."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import global_rules as rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, cluster_of
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_clusters import (
    GlobalCluster,
    forwards,
    global_cluster_of,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_database import (
    FORWARDING_TAG,
    GlobalOptions,
    Groups,
    Secondary,
    Wish,
    global_parameters,
    named_regions,
    plan_secondary,
    recorded_regions,
    wishes,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import is_ours, is_secondary, ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names

MakeCluster = Callable[..., Cluster]
Shape = dict[str, Any]

NAMES = Names.of("shop-pg18")
HOME, AWAY, FAR = "eu-central-1", "eu-west-1", "ap-southeast-1"
ACCEPTED = frozenset(
    [
        "DBClusterIdentifier",
        "DBClusterParameterGroupName",
        "DBSubnetGroupName",
        "DeletionProtection",
        "EnableCloudwatchLogsExports",
        "Engine",
        "EngineLifecycleSupport",
        "EngineVersion",
        "GlobalClusterIdentifier",
        "KmsKeyId",
        "Port",
        "StorageEncrypted",
        "Tags",
        "VpcSecurityGroupIds",
    ]
)
OPTIONS = GlobalOptions("shop-pg18-global", accepted=ACCEPTED)
REGIONS = st.sampled_from([AWAY, FAR, "us-east-1", "us-west-2", "me-central-1"])


def arn(cluster: str, region: str = HOME) -> str:
    return f"arn:aws:rds:{region}:123456789012:cluster:{cluster}"


def world(
    identifier: str, *members: tuple[str, str], tags: dict[str, str] | None = None, **fields: Any
) -> GlobalCluster:
    """A global cluster of (cluster, Region) pairs, the first of them the primary."""
    return global_cluster_of(
        {
            "GlobalClusterIdentifier": identifier,
            "GlobalClusterArn": f"arn:aws:rds::123456789012:global-cluster:{identifier}",
            "Status": "available",
            "TagList": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
            "GlobalClusterMembers": [
                {"DBClusterArn": arn(*member), "IsWriter": number == 0} for number, member in enumerate(members)
            ],
            **fields,
        }
    )


OURS = ownership_tags("shop-pg18")
OF_BLUE = world("shop-global", ("shop", HOME), ("shop-away", AWAY), ("shop-far", FAR))


@pytest.fixture
def away(blue: MakeCluster) -> MakeCluster:
    """Make blue's secondary in another Region: readers only."""

    def make(readers: int = 1, **fields: Any) -> Cluster:
        found = blue(readers=max(readers - 1, 0), **{"DBClusterIdentifier": "shop-away", **fields})
        return cluster_of(found.description, [dict(i.description) for i in found.instances] if readers else [])

    return make


def tags_of(parameters: Shape) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}


def secondary(green: Cluster, like: Cluster | None, groups: Groups | None = None, **wish: Any) -> Secondary:
    mirrored = arn("shop-away", AWAY) if like else None
    return plan_secondary(Wish(AWAY, mirrored, **wish), like, green, NAMES, OPTIONS, groups or Groups())


def test_mirrored_are_the_regions_in_which_blue_has_a_secondary() -> None:
    found = wishes("mirror", OF_BLUE, arn("shop"), HOME)
    assert found == (Wish(FAR, arn("shop-far", FAR)), Wish(AWAY, arn("shop-away", AWAY)))


def test_there_is_nothing_to_mirror_of_a_blue_in_no_global_database() -> None:
    assert wishes("mirror", None, arn("shop"), HOME) is None


def test_a_list_holds_what_blue_has_and_what_it_has_not() -> None:
    found = wishes([{"region": AWAY, "instances": 2}, {"region": "us-west-2"}], OF_BLUE, arn("shop"), HOME)
    assert found == (Wish(AWAY, arn("shop-away", AWAY), instances=2), Wish("us-west-2"))


@pytest.mark.parametrize(
    ("regions", "sentence"),
    [
        ([{"region": HOME}], f"regions names {HOME}, where green is"),
        ([{"region": AWAY}, {"region": FAR}, {"region": AWAY}], f"regions names {AWAY} more than once"),
        ([{"region": AWAY, "class": "x"}], f"that of {AWAY} holds class: correct it"),
        ([{"instances": 1}], "must be a dictionary with region in it"),
        ("everywhere", "must be 'mirror' or a list of dictionaries"),
        ([{"region": AWAY, "instances": -1}], f"The instances of {AWAY} in regions must be a number or a list"),
        ([{"region": AWAY, "instances": True}], f"The instances of {AWAY} in regions must be a number or a list"),
        ([{"region": AWAY, "instances": [{"class": "x"}]}], "but one holds class: correct it"),
        ([{"region": AWAY, "enable_global_write_forwarding": "maybe"}], "must be true or false, but is 'maybe'"),
    ],
)
def test_a_list_that_cannot_be_is_refused(regions: Any, sentence: str) -> None:
    with pytest.raises(BlueGreenError) as caught:
        wishes(regions, OF_BLUE, arn("shop"), HOME)
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message


def test_a_blue_that_is_no_primary_is_refused() -> None:
    with pytest.raises(BlueGreenError, match="but that is other in us-east-1: name that cluster"):
        wishes("mirror", world("w", ("other", "us-east-1"), ("shop", HOME)), arn("shop"), HOME)


@given(st.lists(REGIONS), st.sets(REGIONS))
def test_whatever_the_list_every_region_is_planned_once_and_never_the_primarys(
    listed: list[str], of_blue: set[str]
) -> None:
    blue = world("w", ("shop", HOME), *((f"shop-{region}", region) for region in of_blue))
    regions = [{"region": region} for region in listed]
    if len(set(listed)) < len(listed):
        with pytest.raises(BlueGreenError):
            wishes(regions, blue, arn("shop"), HOME)
        return
    found = wishes(regions, blue, arn("shop"), HOME) or ()
    assert [wish.region for wish in found] == listed == list(named_regions(regions))
    assert {wish.region for wish in found if wish.mirrored} == set(listed) & of_blue


def test_every_name_fits_the_services_rule_however_long_the_deployments_is() -> None:
    names = Names.of("a" * 40)
    for name in (names.global_cluster, names.secondary(FAR), names.secondary_instance(FAR, 16)):
        assert re.fullmatch(r"[a-z](-?[a-z0-9]+)*", name)
        assert len(name) <= 63


def test_a_secondary_is_like_blues_in_greens_version(green: MakeCluster, away: MakeCluster) -> None:
    like = away(
        readers=2,
        DBSubnetGroup="private",
        VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-away", "Status": "active"}],
        EnabledCloudwatchLogsExports=["postgresql"],
        DeletionProtection=True,
        EngineLifecycleSupport="open-source-rds-extended-support",
        TagList=[{"Key": "team", "Value": "shop"}, {"Key": "bluegreen:deployment-id", "Value": "earlier"}],
    )
    plan = secondary(green("shop-pg18-1", EngineVersion="18.4"), like, Groups(cluster="made"))
    assert {name: value for name, value in plan.cluster.items() if name != "Tags"} == {
        "DBClusterIdentifier": f"shop-pg18-{AWAY}",
        "GlobalClusterIdentifier": "shop-pg18-global",
        "Engine": "aurora-postgresql",
        "EngineVersion": "18.4",
        "DBSubnetGroupName": "private",
        "VpcSecurityGroupIds": ["sg-away"],
        "EnableCloudwatchLogsExports": ["postgresql"],
        "DeletionProtection": True,
        "DBClusterParameterGroupName": "made",
    }
    assert [i["DBInstanceIdentifier"] for i in plan.instances] == [f"shop-pg18-{AWAY}-1", f"shop-pg18-{AWAY}-2"]
    for parameters in (plan.cluster, *plan.instances):
        assert is_ours(tags_of(parameters), "shop-pg18") and is_secondary(tags_of(parameters))
    assert tags_of(plan.cluster)["team"] == "shop"


def test_headless_stays_headless_unless_instances_are_asked_for(green: MakeCluster, away: MakeCluster) -> None:
    assert secondary(green("shop-pg18-1"), away(readers=0)).instances == ()
    assert len(secondary(green("shop-pg18-1"), away(readers=0), instances=2).instances) == 2
    assert secondary(green("shop-pg18-1"), away(readers=2), instances=0).instances == ()


def test_more_instances_than_blue_has_are_like_its_first_wherever_there_is_room(
    green: MakeCluster, away: MakeCluster
) -> None:
    first, more = secondary(green("shop-pg18-1"), away(readers=1), instances=2).instances
    assert first["AvailabilityZone"] == "eu-central-1a"
    assert "AvailabilityZone" not in more
    assert more["DBInstanceClass"] == first["DBInstanceClass"]


def test_in_a_region_of_its_own_it_has_nothing_of_another_region(green: MakeCluster) -> None:
    at_home = green(
        "shop-pg18-1",
        DBSubnetGroup="at-home",
        VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-home"}],
        StorageEncrypted=True,
        KmsKeyId="arn:key-home",
        Port=5433,
    )
    plan = secondary(at_home, None, kms_key="arn:key-away", security_groups=["sg-b", "sg-a"])
    assert "DBSubnetGroupName" not in plan.cluster
    assert plan.cluster["VpcSecurityGroupIds"] == ["sg-a", "sg-b"]
    assert (plan.cluster["KmsKeyId"], plan.cluster["StorageEncrypted"]) == ("arn:key-away", True)
    assert plan.cluster["Port"] == 5433
    (instance,) = plan.instances
    assert "AvailabilityZone" not in instance
    assert instance["DBInstanceClass"] == "db.r7g.large"


def test_an_encrypted_green_needs_a_key_of_the_region(green: MakeCluster, away: MakeCluster) -> None:
    encrypted = green("shop-pg18-1", StorageEncrypted=True, KmsKeyId="arn:key-home")
    with pytest.raises(BlueGreenError, match=f"needs a key of {AWAY}, but none is known: give kms_key_id"):
        secondary(encrypted, None)
    like = away(StorageEncrypted=True, KmsKeyId="arn:key-away")
    assert secondary(encrypted, like).cluster["KmsKeyId"] == "arn:key-away"
    assert "KmsKeyId" not in secondary(green("shop-pg18-1"), like).cluster


def test_instances_get_the_group_that_follows_their_own(green: MakeCluster, away: MakeCluster) -> None:
    groups = Groups(of_instances={"shop-instance": "followed"})
    (instance,) = secondary(green("shop-pg18-1"), away(), groups).instances
    assert instance["DBParameterGroupName"] == "followed"
    (default,) = secondary(green("shop-pg18-1"), away(), Groups(of_instances={"shop-instance": None})).instances
    assert "DBParameterGroupName" not in default


def test_instances_without_any_to_be_like_are_refused(green: MakeCluster, away: MakeCluster) -> None:
    bare = cluster_of({**green("x").description, "DBClusterMembers": []}, [])
    with pytest.raises(BlueGreenError, match="neither blue nor green has one that they could be like"):
        secondary(bare, away(readers=0), instances=1)


@pytest.mark.parametrize(("said", "tag"), [(True, "on"), (False, "off"), (None, None)])
def test_a_secondary_is_made_without_write_forwarding_and_knows_what_the_user_said(
    green: MakeCluster, away: MakeCluster, said: bool | None, tag: str | None
) -> None:
    plan = secondary(green("shop-pg18-1"), away(GlobalWriteForwardingStatus="enabled"), write_forwarding=said)
    assert "EnableGlobalWriteForwarding" not in plan.cluster
    assert tags_of(plan.cluster).get(FORWARDING_TAG) == tag


def test_the_global_cluster_says_only_what_the_source_does_not_and_records_its_regions(green: MakeCluster) -> None:
    blue = world("shop-global", ("shop", HOME), tags={"team": "shop"}, DeletionProtection=True)
    parameters = global_parameters(blue, green("shop-pg18-1"), NAMES, OPTIONS, {FAR, AWAY})
    assert set(parameters) == {"GlobalClusterIdentifier", "SourceDBClusterIdentifier", "DeletionProtection", "Tags"}
    assert parameters["SourceDBClusterIdentifier"] == arn("shop-pg18")
    assert parameters["DeletionProtection"] is True
    assert tags_of(parameters)["team"] == "shop"
    assert is_ours(tags_of(parameters), "shop-pg18")
    assert recorded_regions(tags_of(parameters)) == {FAR, AWAY}


@pytest.mark.parametrize(
    ("ours", "other", "sentence"),
    [
        (world("g"), None, "Global cluster with id = g already exists. It does not belong"),
        (world("g", tags=ownership_tags("another")), None, "already exists. It does not belong to the deployment shop"),
        (None, world("w", ("shop-pg18", HOME)), "but is a member of w: remove it from that"),
        (world("g", tags=OURS), world("w", ("shop-pg18", HOME)), "but is a member of w: remove it from that"),
        (world("g", tags=OURS), None, "but is no member of it, as after a removal that was interrupted"),
        (
            world("g", ("x", AWAY), ("shop-pg18", HOME), tags=OURS),
            world("g", ("x", AWAY), ("shop-pg18", HOME), tags=OURS),
            "but x is: switch the global database back",
        ),
    ],
)
def test_a_green_that_cannot_be_the_primary_is_refused(
    green: MakeCluster, ours: GlobalCluster | None, other: GlobalCluster | None, sentence: str
) -> None:
    with pytest.raises(BlueGreenError) as caught:
        rules.require_place(ours, other, green("shop-pg18-1"), NAMES)
    assert sentence in caught.value.message


def test_a_green_that_is_or_becomes_the_primary_is_fine(green: MakeCluster) -> None:
    mine = world("g", ("shop-pg18", HOME), ("x", AWAY), tags=OURS)
    rules.require_place(None, None, green("shop-pg18-1"), NAMES)
    rules.require_place(mine, mine, green("shop-pg18-1"), NAMES)


@pytest.mark.parametrize(
    ("pending", "target", "wanted"), [({"EngineVersion": "18.4"}, None, "18.4"), ({}, "18.4", "18.4")]
)
def test_a_green_that_is_still_to_be_upgraded_is_refused(
    green: MakeCluster, pending: Shape, target: str | None, wanted: str
) -> None:
    with pytest.raises(BlueGreenError, match=f"should run {wanted} before it becomes a global database"):
        rules.require_final(green("shop-pg18-1", PendingModifiedValues=pending), target)


def test_a_green_with_its_final_version_is_fine(green: MakeCluster) -> None:
    rules.require_final(green("shop-pg18-1"), "16.14")
    rules.require_final(green("shop-pg18-1"), None)


def test_a_managed_master_password_is_refused(blue: MakeCluster) -> None:
    rules.require_own_password(blue(), "blue")
    with pytest.raises(BlueGreenError, match="password that Secrets Manager manages"):
        rules.require_own_password(blue(MasterUserSecret={"SecretArn": "arn:secret"}), "blue")


def test_a_version_and_a_class_must_be_offered_for_global_databases_in_the_region() -> None:
    offer = {"DBParameterGroupFamily": "aurora-postgresql18", "SupportsGlobalDatabases": True}
    assert rules.require_supported(AWAY, "18.4", [offer]) == "aurora-postgresql18"
    with pytest.raises(BlueGreenError, match=f"does not support global databases in {AWAY}"):
        rules.require_supported(AWAY, "18.4", [{**offer, "SupportsGlobalDatabases": False}])
    with pytest.raises(BlueGreenError, match="that Region does not offer this version"):
        rules.require_supported(AWAY, "18.4", [])
    rules.require_orderable(AWAY, "18.4", "db.r7g.large", [{"SupportsGlobalDatabases": True}])
    with pytest.raises(BlueGreenError, match="does not support global databases with it"):
        rules.require_orderable(AWAY, "18.4", "db.t4g.large", [{"SupportsGlobalDatabases": False}])
    with pytest.raises(BlueGreenError, match="that Region does not offer it"):
        rules.require_orderable(AWAY, "18.4", "db.x9.large", [])


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ({}, False),
        ({"GlobalWriteForwardingStatus": "disabled", "GlobalWriteForwardingRequested": False}, False),
        ({"GlobalWriteForwardingStatus": "disabled", "GlobalWriteForwardingRequested": True}, True),
        ({"GlobalWriteForwardingStatus": "enabled"}, True),
        ({"GlobalWriteForwardingStatus": "enabling"}, True),
        ({"GlobalWriteForwardingStatus": "disabling"}, True),
        ({"GlobalWriteForwardingStatus": "unknown"}, True),
    ],
)
def test_what_is_not_known_to_be_off_forwards_writes(description: Shape, expected: bool) -> None:
    assert forwards(description) is expected
