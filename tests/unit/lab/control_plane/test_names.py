# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host names of a lab's endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.control_plane.names import Names
from tests.unit.lab.control_plane.conftest import Aws


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    """Names in a directory of their own."""
    found = Names(tmp_path, Path("/nowhere/libnss_wrapper.so"))
    found.start()
    yield found
    found.close()


def lines(names: Names) -> list[str]:
    """The lines of the file without the machine's own."""
    return names.file.read_text(encoding="ascii").splitlines()[1:]


def test_they_are_made_as_the_service_makes_them(names: Names) -> None:
    zone = f"{names.hash}.eu-west-1.rds.amazonaws.com"
    assert len(names.hash) == 12 and names.hash.isalnum() and names.hash == names.hash.lower()
    assert names.cluster("eu-west-1", "shop") == f"shop.cluster-{zone}"
    assert names.reader("eu-west-1", "shop") == f"shop.cluster-ro-{zone}"
    assert names.instance("eu-west-1", "shop-1") == f"shop-1.{zone}"
    assert {f"*.{zone}", f"*.cluster-{zone}", f"*.cluster-ro-{zone}"} <= set(names.wildcards())


def test_the_file_has_them_and_every_change_gets_a_later_second(names: Names) -> None:
    before = names.file.stat().st_mtime
    names.set("a.example", "127.9.9.1")
    names.change({"a.example": "127.9.9.2", "b.example": "127.9.9.3"})
    assert lines(names) == ["127.9.9.2 a.example", "127.9.9.3 b.example"]
    assert names.file.stat().st_mtime >= before + 2
    names.remove("a.example")
    assert lines(names) == ["127.9.9.3 b.example"] and names.lookup("a.example") is None


def test_a_late_change_is_one_change(names: Names) -> None:
    names.set("a.example", "127.9.9.1")
    names.later(0.1, {"a.example": None, "b.example": "127.9.9.2"})
    assert names.lookup("a.example") == "127.9.9.1"
    end = time.monotonic() + 5
    while names.lookup("b.example") is None and time.monotonic() < end:
        time.sleep(0.01)
    assert lines(names) == ["127.9.9.2 b.example"]


def test_the_api_tells_names_and_takes_them_back(aws: Aws, names: Names) -> None:
    aws.plane.names = names
    aws.create()
    zone = f"{names.hash}.us-east-1.rds.amazonaws.com"
    assert aws.cluster("shop")["Endpoint"] == f"shop.cluster-{zone}"
    assert aws.cluster("shop")["ReaderEndpoint"] == f"shop.cluster-ro-{zone}"
    assert aws.instance("shop-1")["Endpoint"]["Address"] == f"shop-1.{zone}"
    address = names.lookup(f"shop.cluster-{zone}")
    aws.rds.modify_db_cluster(DBClusterIdentifier="shop", NewDBClusterIdentifier="other", ApplyImmediately=True)
    aws.until(lambda: names.lookup(f"other.cluster-{zone}") == address)
    assert names.lookup(f"shop.cluster-{zone}") is None
    aws.settled("other")
    aws.rds.delete_db_instance(DBInstanceIdentifier="shop-1")
    aws.until(lambda: not aws.rds.describe_db_instances()["DBInstances"])
    aws.rds.delete_db_cluster(DBClusterIdentifier="other", SkipFinalSnapshot=True)
    aws.until(lambda: not lines(names))
