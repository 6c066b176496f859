# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a deployment that RDS manages, against the service model of botocore."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import managed_rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Place
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from tests.unit.plugins.module_utils._aws.conftest import ARN

MODEL = boto3.client("rds", region_name="eu-central-1").meta.service_model.operation_model("CreateBlueGreenDeployment")
EVERY = {
    "target_engine_version": "8.4.mysql_aurora.8.4.7",
    "target_db_parameter_group_name": "shop-84-instance",
    "target_db_cluster_parameter_group_name": "default.aurora-mysql8.4",
    "target_db_instance_class": "db.r7g.large",
    "upgrade_target_storage_config": True,
    "target_iops": 3000,
    "target_storage_type": "gp3",
    "target_allocated_storage": 200,
    "target_storage_throughput": 500,
    "target_resource_configurations": [{"source_arn": f"{ARN}:db:bills", "target_kms_key_id": "alias/new"}],
}


def place(kind: str) -> Place:
    return Place("shop", f"{ARN}:{kind}:shop", "aurora-mysql", "8.0", "available", None, None, None, (), None, {})


def called(**options: Any) -> dict[str, Any]:
    return managed_rules.parameters(options, MODEL.input_shape.members, "1.44.5")


def test_every_parameter_of_the_service_is_an_option() -> None:
    assert {*called(**EVERY), "BlueGreenDeploymentName", "Source", "Tags"} == set(MODEL.input_shape.members)


def test_a_parameter_that_botocore_lacks_is_refused_with_the_version_that_has_it() -> None:
    older = set(MODEL.input_shape.members) - {"TargetResourceConfigurations"}
    with pytest.raises(
        BlueGreenError, match=r"botocore 1\.43\.11 does not know it: install botocore 1\.44\.5 or newer"
    ):
        managed_rules.parameters(EVERY, older, "1.43.11")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_db_instance_class": "r7g.large"}, "target_db_instance_class must be as db.r7g.large"),
        ({"target_engine_version": "8 4"}, "target_engine_version must be"),
        ({"target_db_parameter_group_name": "a--b"}, "target_db_parameter_group_name must be"),
        ({"target_db_cluster_parameter_group_name": "shop-"}, "target_db_cluster_parameter_group_name must be"),
        ({"target_iops": 0}, "target_iops must be a positive number"),
        ({"target_storage_type": "io1", "target_storage_throughput": 5}, "is for gp3 storage"),
        ({"target_storage_type": "gp2", "target_iops": 5}, "gp2 storage has none"),
        ({"target_resource_configurations": [{"source_arn": "shop"}]}, "must be the ARN"),
        ({"target_resource_configurations": [{"source_arn": f"{ARN}:db:one"}] * 2}, "more than once"),
        (
            {"target_resource_configurations": [{"source_arn": f"{ARN}:db:b{n}"} for n in range(21)]},
            "20 entries at most",
        ),
    ],
)
def test_a_value_out_of_its_form_or_range_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BlueGreenError, match=said):
        called(**options)


@pytest.mark.parametrize(
    ("kind", "option", "said"),
    [
        ("cluster", "target_db_instance_class", "is an Aurora DB cluster"),
        ("cluster", "target_allocated_storage", "is an Aurora DB cluster"),
        ("db", "target_db_cluster_parameter_group_name", "is a DB instance"),
    ],
)
def test_an_option_of_the_other_kind_of_source_is_refused(kind: str, option: str, said: str) -> None:
    with pytest.raises(BlueGreenError, match=said):
        managed_rules.check_source(place(kind), {option: EVERY[option]})
