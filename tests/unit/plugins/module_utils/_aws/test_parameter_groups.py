# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameter groups: what a user set is carried into another family, into groups of ours only, as far as it is missing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.parameter_groups import (
    CLUSTER,
    INSTANCE,
    Carried,
    Group,
    Kind,
    Wish,
    carry_over,
    ensure_group,
    groups_of,
    unset,
    user_values,
    wish_for,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names

NAMES = Names.of("shop-pg18")
PG18 = "aurora-postgresql18"
OURS = "shop-pg18-aurora-postgresql18"
ARN = "arn:aws:rds:eu-central-1:123456789012:cluster-pg:"
KNOWN: list[dict[str, Any]] = [
    {"ParameterName": "rds.logical_replication", "ApplyType": "static", "IsModifiable": True},
    {"ParameterName": "work_mem", "ApplyType": "dynamic", "IsModifiable": True},
    {"ParameterName": "fixed", "ApplyType": "static", "IsModifiable": False},
]
BLUES = Group(CLUSTER, "shop-blue", "aurora-postgresql16", f"{ARN}shop-blue")
WISH = Wish(CLUSTER, OURS, PG18, {"work_mem": "64"}, {"work_mem": "dynamic"})


def group_shape(name: str = OURS, family: str = PG18) -> dict[str, Any]:
    return {
        "DBClusterParameterGroupName": name,
        "DBParameterGroupFamily": family,
        "DBClusterParameterGroupArn": ARN + name,
    }


def values_shape(values: dict[str, str]) -> dict[str, Any]:
    return {"Parameters": [{"ParameterName": name, "ParameterValue": value} for name, value in values.items()]}


def tags_shape(tags: dict[str, str]) -> dict[str, Any]:
    return {"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]}


def queue_family(stubber: Stubber, kind: str = "cluster_") -> None:
    known = {"EngineDefaults": {"Parameters": KNOWN}}
    stubber.add_response(f"describe_engine_default_{kind}parameters", known, {"DBParameterGroupFamily": PG18})


def test_what_the_family_knows_and_lets_one_set_is_carried() -> None:
    known = {item["ParameterName"]: item for item in KNOWN}
    values = {"work_mem": "64", "fixed": "1", "gone": "1"}
    assert carry_over(values, known) == Carried({"work_mem": "64"}, ("fixed", "gone"))


def test_only_what_differs_is_set() -> None:
    wish = Wish(CLUSTER, OURS, PG18, {"a": "1", "b": "2", "c": "3"}, {})
    assert unset(wish, {"a": "1", "b": "0", "d": "4"}) == {"b": "2", "c": "3"}
    assert unset(wish, {"a": "1", "b": "2", "c": "3", "d": "4"}) == {}


def test_only_values_that_a_user_set_are_read(api: Api, stubber: Stubber) -> None:
    answer = values_shape({"work_mem": "64"})
    answer["Parameters"].append({"ParameterName": "unset"})
    stubber.add_response(
        "describe_db_cluster_parameters", answer, {"DBClusterParameterGroupName": "shop-blue", "Source": "user"}
    )
    assert user_values(api, BLUES) == {"work_mem": "64"}


def test_a_default_group_has_nothing_to_carry(api: Api) -> None:
    assert user_values(api, Group(CLUSTER, "default.aurora-postgresql16", "aurora-postgresql16", "arn")) == {}


def test_a_wish_is_what_blue_set_with_the_overrides_winning(api: Api, stubber: Stubber) -> None:
    queue_family(stubber)
    stubber.add_response("describe_db_cluster_parameters", values_shape({"work_mem": "64", "gone": "1"}))
    overrides = {"work_mem": 128, "rds.logical_replication": True}
    wish, dropped = wish_for(api, CLUSTER, NAMES, PG18, BLUES, overrides)
    assert wish.name == OURS
    assert wish.values == {"work_mem": "128", "rds.logical_replication": "1"}
    assert wish.apply_types == {"work_mem": "dynamic", "rds.logical_replication": "static"}
    assert dropped == ("gone",)


def test_an_override_that_cannot_be_set_is_refused(api: Api, stubber: Stubber) -> None:
    queue_family(stubber)
    with pytest.raises(BlueGreenError, match=f"The parameters fixed, typo should be set .* family {PG18} has no such"):
        wish_for(api, CLUSTER, NAMES, PG18, BLUES, {"typo": 1, "fixed": 1, "work_mem": 1})


def test_a_missing_group_is_created_as_ours_and_filled(api: Api, stubber: Stubber) -> None:
    stubber.add_client_error("describe_db_cluster_parameter_groups", "DBParameterGroupNotFound", "none")
    stubber.add_response(
        "create_db_cluster_parameter_group",
        {},
        {
            "DBClusterParameterGroupName": OURS,
            "DBParameterGroupFamily": PG18,
            "Description": "Made for the green cluster of the blue/green deployment shop-pg18",
            "Tags": tags_shape(ownership_tags("shop-pg18"))["TagList"],
        },
    )
    parameters = [
        {"ParameterName": "rds.logical_replication", "ParameterValue": "1", "ApplyMethod": "pending-reboot"},
        {"ParameterName": "work_mem", "ParameterValue": "64", "ApplyMethod": "immediate"},
    ]
    stubber.add_response(
        "modify_db_cluster_parameter_group", {}, {"DBClusterParameterGroupName": OURS, "Parameters": parameters}
    )
    values = {"work_mem": "64", "rds.logical_replication": "1"}
    wish = Wish(CLUSTER, OURS, PG18, values, {"work_mem": "dynamic", "rds.logical_replication": "static"})
    journal = Journal(check_mode=False)
    ensure_group(api, wish, "shop-pg18", journal)
    assert journal.actions == [
        f"create DB cluster parameter group {OURS} in family {PG18}",
        f"set rds.logical_replication, work_mem in {OURS}",
    ]


def test_a_group_of_ours_that_is_half_filled_is_filled(api: Api, stubber: Stubber) -> None:
    stubber.add_response("describe_db_cluster_parameter_groups", {"DBClusterParameterGroups": [group_shape()]})
    stubber.add_response("list_tags_for_resource", tags_shape(ownership_tags("shop-pg18")))
    stubber.add_response("describe_db_cluster_parameters", values_shape({"a": "1"}))
    stubber.add_response("modify_db_cluster_parameter_group", {})
    wish = Wish(CLUSTER, OURS, PG18, {"a": "1", "b": "2"}, {"a": "static", "b": "static"})
    journal = Journal(check_mode=False)
    ensure_group(api, wish, "shop-pg18", journal)
    assert journal.actions == [f"set b in {OURS}"]


def test_a_finished_group_is_left_alone(api: Api, stubber: Stubber) -> None:
    stubber.add_response("describe_db_cluster_parameter_groups", {"DBClusterParameterGroups": [group_shape()]})
    stubber.add_response("list_tags_for_resource", tags_shape(ownership_tags("shop-pg18")))
    stubber.add_response("describe_db_cluster_parameters", values_shape({"work_mem": "64", "added by hand": "1"}))
    journal = Journal(check_mode=False)
    ensure_group(api, WISH, "shop-pg18", journal)
    assert journal.actions == []


def test_more_than_twenty_parameters_are_set_in_several_calls(api: Api, stubber: Stubber) -> None:
    values = {f"p{number:02}": "1" for number in range(45)}
    stubber.add_client_error("describe_db_cluster_parameter_groups", "DBParameterGroupNotFound", "none")
    stubber.add_response("create_db_cluster_parameter_group", {})
    for _unused in range(3):
        stubber.add_response("modify_db_cluster_parameter_group", {})
    journal = Journal(check_mode=False)
    ensure_group(api, Wish(CLUSTER, OURS, PG18, values, dict.fromkeys(values, "static")), "shop-pg18", journal)
    sizes = [action.count(",") + 1 for action in journal.actions[1:]]
    assert sizes == [20, 20, 5]


def test_check_mode_only_says_what_it_would_do(api: Api, stubber: Stubber) -> None:
    stubber.add_client_error("describe_db_cluster_parameter_groups", "DBParameterGroupNotFound", "none")
    journal = Journal(check_mode=True)
    ensure_group(api, WISH, "shop-pg18", journal)
    assert len(journal.actions) == 2


@pytest.mark.parametrize(
    ("tags", "family", "sentence"),
    [
        ({}, PG18, "does not carry the tags of the deployment shop-pg18"),
        (ownership_tags("other"), PG18, "does not carry the tags of the deployment shop-pg18"),
        (ownership_tags("shop-pg18"), "aurora-postgresql17", "but is of aurora-postgresql17"),
    ],
)
def test_a_group_that_is_not_ours_to_use_is_refused(
    api: Api, stubber: Stubber, tags: dict[str, str], family: str, sentence: str
) -> None:
    shape = group_shape(family=family)
    stubber.add_response("describe_db_cluster_parameter_groups", {"DBClusterParameterGroups": [shape]})
    stubber.add_response("list_tags_for_resource", tags_shape(tags))
    with pytest.raises(BlueGreenError, match=sentence):
        ensure_group(api, WISH, "shop-pg18", Journal(check_mode=False))


def test_groups_are_found_by_name_and_by_tags(api: Api, stubber: Stubber) -> None:
    shapes = [
        group_shape(),
        group_shape("shop-pg18-aurora-postgresql16", "aurora-postgresql16"),
        group_shape("shop-pg18-mine", PG18),
        group_shape("default.aurora-postgresql18", PG18),
    ]
    stubber.add_response("describe_db_cluster_parameter_groups", {"DBClusterParameterGroups": shapes})
    stubber.add_response("list_tags_for_resource", tags_shape(ownership_tags("shop-pg18")))
    stubber.add_response("list_tags_for_resource", tags_shape({}))
    assert [group.name for group in groups_of(api, CLUSTER, NAMES)] == [OURS]


@pytest.mark.parametrize(("kind", "suffix"), [(CLUSTER, ""), (INSTANCE, "-instance")])
def test_each_kind_has_a_name_of_its_own(kind: Kind, suffix: str) -> None:
    assert kind.name_in(NAMES, PG18) == OURS + suffix


def test_instance_groups_go_through_their_own_operations(api: Api, stubber: Stubber) -> None:
    queue_family(stubber, "")
    stubber.add_response("describe_db_parameters", values_shape({"work_mem": "64"}))
    origin = Group(INSTANCE, "shop-instance", "aurora-postgresql16", "arn")
    wish, _dropped = wish_for(api, INSTANCE, NAMES, PG18, origin)
    stubber.add_client_error("describe_db_parameter_groups", "DBParameterGroupNotFound", "none")
    stubber.add_response("create_db_parameter_group", {})
    stubber.add_response("modify_db_parameter_group", {})
    journal = Journal(check_mode=False)
    ensure_group(api, wish, "shop-pg18", journal)
    assert journal.actions == [
        f"create DB parameter group {OURS}-instance in family {PG18}",
        f"set work_mem in {OURS}-instance",
    ]
