# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switches in green's own parameter group: turned there only, when they are not so already."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.green_parameters import GreenParameters
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError

from .conftest import ARN, cluster_shape, tag_list

GROUP = "shop-84-aurora-mysql8-4"
FAMILY = [
    {"ParameterName": "read_only", "AllowedValues": "0,1", "IsModifiable": True},
    {"ParameterName": "event_scheduler", "AllowedValues": "ON,OFF", "IsModifiable": True},
]


def queue(stubber: Stubber, values: dict[str, str], *users: dict[str, Any], name: str = GROUP) -> None:
    group = {
        "DBClusterParameterGroupName": name,
        "DBParameterGroupFamily": "aurora-mysql8.4",
        "DBClusterParameterGroupArn": f"{ARN}:cluster-pg:{name}",
    }
    stubber.add_response("describe_db_cluster_parameter_groups", {"DBClusterParameterGroups": [group]})
    stubber.add_response("describe_db_clusters", {"DBClusters": list(users)})
    if values:
        stubber.add_response("describe_engine_default_cluster_parameters", {"EngineDefaults": {"Parameters": FAMILY}})
        now = [{"ParameterName": name, "ParameterValue": value} for name, value in values.items()]
        stubber.add_response("describe_db_cluster_parameters", {"Parameters": now})


def green(group: str = GROUP) -> dict[str, Any]:
    tags = tag_list(ownership_tags("shop-84"))
    return cluster_shape("shop-84", [], DBClusterParameterGroup=group, TagList=tags)


def blue(group: str) -> dict[str, Any]:
    return cluster_shape("shop", [], DBClusterParameterGroup=group)


def expect(stubber: Stubber, **values: str) -> None:
    parameters = [{"ParameterName": n, "ParameterValue": v, "ApplyMethod": "immediate"} for n, v in values.items()]
    wanted = {"DBClusterParameterGroupName": GROUP, "Parameters": parameters}
    stubber.add_response("modify_db_cluster_parameter_group", {}, wanted)


def test_lifting_sets_read_only_and_nothing_else(stubber: Stubber, api: Api) -> None:
    queue(stubber, {"read_only": "1", "event_scheduler": "OFF"}, blue("shop-blue"), green())
    expect(stubber, read_only="0")
    GreenParameters(api, "shop-84", GROUP).lift()


def test_what_is_lifted_already_is_left_alone(stubber: Stubber, api: Api) -> None:
    queue(stubber, {"read_only": "0"}, green())
    GreenParameters(api, "shop-84", GROUP).lift()


@pytest.mark.parametrize("blues, wanted", [("ON", "ON"), ("1", "ON")])
def test_after_the_opening_events_run_as_on_blue(stubber: Stubber, api: Api, blues: str, wanted: str) -> None:
    queue(stubber, {"read_only": "0", "event_scheduler": "OFF"}, green())
    expect(stubber, event_scheduler=wanted)
    GreenParameters(api, "shop-84", GROUP).after_opening(blues)


def test_events_that_are_off_on_blue_stay_off(stubber: Stubber, api: Api) -> None:
    queue(stubber, {"event_scheduler": "OFF"}, green())
    GreenParameters(api, "shop-84", GROUP).after_opening("OFF")


def test_closing_is_as_at_greens_birth(stubber: Stubber, api: Api) -> None:
    queue(stubber, {"read_only": "0", "event_scheduler": "ON"}, green())
    expect(stubber, read_only="1", event_scheduler="OFF")
    GreenParameters(api, "shop-84", GROUP).close()


def test_a_group_that_blue_has_too_is_refused(stubber: Stubber, api: Api) -> None:
    queue(stubber, {}, blue(GROUP), green())
    with pytest.raises(BlueGreenError, match=rf"{GROUP} should be green's alone, .*but shop has it too: give green"):
        GreenParameters(api, "shop-84", GROUP).lift()


def test_the_services_default_group_is_refused(stubber: Stubber, api: Api) -> None:
    default = "default.aurora-mysql8.4"
    queue(stubber, {}, green(default), name=default)
    with pytest.raises(BlueGreenError, match="but is the service's default one"):
        GreenParameters(api, "shop-84", default).close()


def test_a_group_that_green_does_not_have_is_refused(stubber: Stubber, api: Api) -> None:
    queue(stubber, {}, green("another"))
    with pytest.raises(BlueGreenError, match="but no cluster of the deployment shop-84 has it"):
        GreenParameters(api, "shop-84", GROUP).lift()
