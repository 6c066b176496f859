# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What applications say to the AWS wrappers, and where the wrappers do not follow."""

from __future__ import annotations

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._clients.configuration import (
    configuration,
    is_proxy,
    is_service_name,
    lacks_metadata,
)


@pytest.mark.parametrize(
    ("dialect", "version"),
    [
        ("aurora_mysql", "8.0.mysql_aurora.3.07.0"),
        ("aurora_mysql", "8.4.mysql_aurora.8.4.7"),
        ("rds_mysql", "5.7.44"),
        ("aurora_postgresql", "17.5"),
        ("aurora_postgresql", "13.21"),
        ("aurora_postgresql", "18.1"),
        ("rds_postgresql", "17.1"),
        ("rds_postgresql", "12.21"),
        ("rds_postgresql", "16.14"),
    ],
)
def test_versions_with_metadata(dialect: str, version: str) -> None:
    assert lacks_metadata(dialect, version) == ""


@pytest.mark.parametrize(
    ("dialect", "version", "first"),
    [
        ("aurora_mysql", "8.0.mysql_aurora.3.06.1", "3.07"),
        ("aurora_mysql", "5.7.mysql_aurora.2.12.0", "3.07"),
        ("aurora_postgresql", "17.4", "17.5"),
        ("aurora_postgresql", "12.22", "13.21"),
        ("rds_postgresql", "16.4", "16.5"),
        ("rds_postgresql", "11.22", "12.21"),
    ],
)
def test_versions_without_metadata_are_told_where_it_begins(dialect: str, version: str, first: str) -> None:
    assert first in lacks_metadata(dialect, version)


@pytest.mark.parametrize(
    "host",
    [
        "shop.cluster-abc123def456.eu-central-1.rds.amazonaws.com",
        "shop.cluster-ro-abc123def456.eu-central-1.rds.amazonaws.com",
        "reports.cluster-custom-abc123def456.us-east-1.rds.amazonaws.com",
        "shop-1.abc123def456.us-gov-west-1.rds.amazonaws.com",
        "shop-1.abc123def456.rds.cn-north-1.amazonaws.com.cn",
    ],
)
def test_names_of_the_service(host: str) -> None:
    assert is_service_name(host) and not is_proxy(host)


@pytest.mark.parametrize(
    "host", ["db.shop.example.com", "127.0.0.1", "localhost", "shop.rds.amazonaws.com.example.com"]
)
def test_aliases_and_addresses_are_no_names_of_the_service(host: str) -> None:
    assert not is_service_name(host)


def test_a_proxy_is_neither() -> None:
    host = "shop.proxy-abc123def456.eu-central-1.rds.amazonaws.com"
    assert is_proxy(host) and not is_service_name(host)


def test_the_properties_of_both_wrappers_have_timeouts_for_their_monitors() -> None:
    found = configuration("aurora_mysql", "shop-my84", "shop.cluster-x.r.rds.amazonaws.com", 3306, "shop")
    jdbc, python = found["jdbc"]["properties"], found["python"]
    assert found["jdbc"]["url"] == "jdbc:aws-wrapper:mysql://shop.cluster-x.r.rds.amazonaws.com:3306/shop"
    assert jdbc["bgdId"] == python["bg_id"] == "shop-my84"
    assert (
        int(jdbc["blue-green-monitoring-socketTimeout"]) > 0 and int(jdbc["blue-green-monitoring-connectTimeout"]) > 0
    )
    assert int(python["blue-green-monitoring-connect_timeout"]) > 0
    assert "bgHighMs=100\n" in found["jdbc_text"] and '"bg_interval_high_ms": "100"' in found["python_text"]
    assert any("take the plugin and these properties out again" in note for note in found["notes"])
