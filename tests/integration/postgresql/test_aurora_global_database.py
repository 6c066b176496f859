# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`aurora_global_database` on the lab: green with blue's Regions, whatever happens on the way, and taken apart again."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_building import build
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_clusters import Regions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_database import GlobalOptions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_places import Request
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_removal import Dissolution, dissolve
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.mortal import run_until_it_lives
from tests.integration.runner import Runner
from tests.lab.lab import Blue, Lab

MODULE = "aurora_global_database"
QUICK = {"wait_delay": 0.1, "wait_timeout": 120}
GREEN, READING, HEADLESS = "world", "eu-west-1", "eu-central-1"
GROUP = f"{GREEN}-aurora-postgresql18"
Result = dict[str, Any]


@pytest.fixture(scope="module")
def shop(lab: Lab) -> Iterator[Blue]:
    """Blue in three Regions: with a reader in one, without any instance in another."""
    blue = lab.seed_postgresql("worldsource", readers=0, regions=(READING, HEADLESS))
    rds(lab, READING).modify_db_cluster(
        DBClusterIdentifier=blue.secondaries[READING],
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]},
        DeletionProtection=True,
        ApplyImmediately=True,
    )
    rds(lab, HEADLESS).delete_db_instance(DBInstanceIdentifier=f"{blue.secondaries[HEADLESS]}-1")
    while instances(lab, blue.secondaries[HEADLESS], HEADLESS):
        time.sleep(0.1)
    lab.wait_available(blue.secondaries[READING], READING)
    yield blue
    lab.faults.clear()
    lab.delete(blue.cluster)


@pytest.fixture(scope="module")
def options(shop: Blue) -> Result:
    """What every run says."""
    return {
        "deployment_id": GREEN,
        "source_db_cluster_identifier": shop.cluster,
        "engine_version": "18.4",
        **QUICK,
    }


@dataclass(frozen=True)
class Made:
    """Green's way to a global database: planned before it was there, refused before its upgrade, killed, finished."""

    planned: list[str]
    refused: str
    predicted: Result
    untouched: bool
    deaths: int
    second: Result


@pytest.fixture(scope="module")
def made(lab: Lab, shop: Blue, options: Result, run_module: RunModule, runner: Runner) -> Iterator[Made]:
    """Green as a global database; every run that made it died after its first change."""
    planned = plan(lab, shop)
    run_module("aurora_clone", deployment_id=GREEN, source_db_cluster_identifier=shop.cluster, **QUICK)
    refused = refused_here(lab, shop)
    run_module("aurora_upgrade", deployment_id=GREEN, engine_version="18.4", allow_major_version_upgrade=True, **QUICK)
    before = everywhere(lab)
    predicted = run_module(MODULE, check=True, diff=True, **options)
    untouched = everywhere(lab) == before
    deaths = run_until_it_lives(lab, runner, MODULE, **options)
    yield Made(planned, refused, predicted, untouched, deaths, run_module(MODULE, diff=True, **options))
    lab.faults.clear()
    if GREEN in cluster_names(lab):
        lab.delete(GREEN)


@pytest.fixture(autouse=True)
def without_faults(lab: Lab) -> Iterator[None]:
    """Each test takes back its faults."""
    yield
    lab.faults.clear()


@functools.cache
def rds(lab: Lab, region: str = "us-east-1") -> Any:
    """One client for each Region: making one takes longer than using it."""
    return lab.client("rds", region)


def cluster(lab: Lab, identifier: str, region: str = "us-east-1") -> Result:
    found: Result = rds(lab, region).describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0]
    return found


def cluster_names(lab: Lab, region: str = "us-east-1") -> list[str]:
    found = rds(lab, region).describe_db_clusters()["DBClusters"]
    return sorted(each["DBClusterIdentifier"] for each in found)


def instances(lab: Lab, identifier: str, region: str) -> list[Result]:
    wanted = {"Name": "db-cluster-id", "Values": [identifier]}
    found: list[Result] = rds(lab, region).describe_db_instances(Filters=[wanted])["DBInstances"]
    return found


def groups(lab: Lab, region: str) -> list[str]:
    found = rds(lab, region).describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    return sorted(group["DBClusterParameterGroupName"] for group in found)


def worlds(lab: Lab) -> dict[str, list[str]]:
    """Every global cluster with the identifiers of its members."""
    found = rds(lab).describe_global_clusters()["GlobalClusters"]
    return {
        each["GlobalClusterIdentifier"]: sorted(
            member["DBClusterArn"].rsplit(":", 1)[-1] for member in each["GlobalClusterMembers"]
        )
        for each in found
    }


def everywhere(lab: Lab) -> Result:
    """What there is in each Region, for seeing that nothing was changed."""
    return {
        "worlds": worlds(lab),
        **{region: (cluster_names(lab, region), groups(lab, region)) for region in ("us-east-1", READING, HEADLESS)},
    }


def tags(described: Result) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described["TagList"]}


def forwarding(lab: Lab, identifier: str) -> str:
    return str(cluster(lab, identifier, READING)["GlobalWriteForwardingStatus"])


def regions_of(lab: Lab) -> Regions:
    return Regions("us-east-1", lambda region: Api(rds(lab, region)))


def plan(
    lab: Lab, shop: Blue, check: bool = True, identifier: str = f"{GREEN}-global", regions: Any = "mirror"
) -> list[str]:
    """What a run would do, in this process."""
    wanted = GlobalOptions(
        identifier,
        regions,
        accepted=rds(lab).meta.service_model.operation_model("CreateDBCluster").input_shape.members,
    )
    journal = Journal(check_mode=check)
    build(regions_of(lab), Names.of(GREEN), Request(shop.cluster, GREEN, wanted, "18.4", Waits(60, 0.1)), journal)
    return journal.actions


def refused_here(lab: Lab, shop: Blue, **wrong: Any) -> str:
    """The sentence of a run in this process that is refused and did nothing."""
    before = everywhere(lab)
    with pytest.raises(BlueGreenError) as caught:
        plan(lab, shop, check=False, **wrong)
    assert everywhere(lab) == before
    assert "\n" not in caught.value.message
    return caught.value.message


def removal_refused(lab: Lab, shop: Blue, identifier: str = f"{GREEN}-global", safe: bool = True) -> str:
    """The sentence of a removal in this process that is refused and did nothing."""
    request = Dissolution(identifier, GREEN, shop.cluster, (), None, False, safe, Waits(60, 0.1))
    before, journal = everywhere(lab), Journal(check_mode=False)
    with pytest.raises(BlueGreenError) as caught:
        dissolve(regions_of(lab), Names.of(GREEN), request, journal)
    assert (everywhere(lab), journal.actions) == (before, [])
    return caught.value.message


def login(lab: Lab, shop: Blue, host: str) -> dict[str, Any]:
    """psycopg2's parameters for the master user."""
    return {
        "host": host,
        "port": shop.port,
        "user": shop.user,
        "password": shop.password,
        "dbname": shop.database,
        "sslmode": "verify-full",
        "sslrootcert": lab.ca_file,
    }


def test_check_mode_plans_a_green_that_does_not_exist_yet(made: Made) -> None:
    assert made.planned == made.predicted["actions"]


def test_check_mode_changes_nothing_and_predicts_every_change(made: Made) -> None:
    assert made.untouched
    assert made.predicted["changed"] is True
    assert made.predicted["actions"] == [
        f"create DB cluster parameter group {GROUP} in family aurora-postgresql18",
        f"set rds.logical_replication in {GROUP}",
        f"create DB cluster parameter group {GROUP} in family aurora-postgresql18",
        f"set rds.logical_replication in {GROUP}",
        f"create global cluster {GREEN}-global with {GREEN} as its primary",
        f"create secondary cluster {GREEN}-{HEADLESS} in {HEADLESS}",
        f"create secondary cluster {GREEN}-{READING} in {READING}",
        f"create instance {GREEN}-{READING}-1 (db.r6g.large) in {READING}",
    ]
    assert made.predicted["diff"] == {"before": {}, "after": made.second["diff"]["after"]}


def test_a_green_without_its_final_version_is_refused(made: Made) -> None:
    assert made.refused.startswith(f"Green {GREEN} should run 18.4 before it becomes a global database, because")
    assert "but it runs 16.14: upgrade it first" in made.refused


def test_killed_after_every_change_it_is_continued_and_then_has_nothing_to_do(made: Made) -> None:
    assert made.deaths == len(made.predicted["actions"])
    assert (made.second["changed"], made.second["actions"]) == (False, [])
    assert made.second["diff"]["before"] == made.second["diff"]["after"]


def test_green_is_the_primary_of_the_regions_that_blue_has(lab: Lab, shop: Blue, made: Made) -> None:
    members = made.second["global_database"]["members"]
    assert [(each["region"], each["is_writer"]) for each in members] == [
        ("us-east-1", True),
        (HEADLESS, False),
        (READING, False),
    ]
    assert worlds(lab)[f"{shop.cluster}-global"] == sorted([shop.cluster, *shop.secondaries.values()])


def test_a_secondary_is_as_blues_is_and_headless_stays_headless(lab: Lab, shop: Blue, made: Made) -> None:
    names = ("DBSubnetGroup", "VpcSecurityGroups", "EnabledCloudwatchLogsExports", "DeletionProtection", "Port")
    green, blue = cluster(lab, f"{GREEN}-{READING}", READING), cluster(lab, shop.secondaries[READING], READING)
    assert {name: green[name] for name in names} == {name: blue[name] for name in names}
    assert green["EngineVersion"] == "18.4"
    (instance,) = instances(lab, f"{GREEN}-{READING}", READING)
    (like,) = instances(lab, shop.secondaries[READING], READING)
    assert [instance[name] for name in ("DBInstanceClass", "PromotionTier")] == [
        like[name] for name in ("DBInstanceClass", "PromotionTier")
    ]
    assert instances(lab, f"{GREEN}-{HEADLESS}", HEADLESS) == []


def test_a_secondary_has_the_values_of_blues_group_in_greens_family(lab: Lab, made: Made) -> None:
    assert cluster(lab, f"{GREEN}-{READING}", READING)["DBClusterParameterGroup"] == GROUP
    values = rds(lab, READING).describe_db_cluster_parameters(DBClusterParameterGroupName=GROUP, Source="user")
    assert {each["ParameterName"]: each["ParameterValue"] for each in values["Parameters"]} == {
        "rds.logical_replication": "1"
    }


def test_everything_carries_the_tags_of_the_deployment_and_blues(lab: Lab, shop: Blue, made: Made) -> None:
    ours = {"bluegreen:owner": "bluegreen.aws", "bluegreen:deployment-id": GREEN}
    (world,) = [
        each
        for each in rds(lab).describe_global_clusters()["GlobalClusters"]
        if each["GlobalClusterIdentifier"] == f"{GREEN}-global"
    ]
    (reader,) = instances(lab, f"{GREEN}-{READING}", READING)
    for described in (world, cluster(lab, f"{GREEN}-{READING}", READING), reader):
        assert ours.items() <= tags(described).items()
    assert tags(cluster(lab, f"{GREEN}-{READING}", READING))["application"] == shop.cluster


def test_what_green_holds_is_read_in_the_other_region(lab: Lab, shop: Blue, made: Made) -> None:
    with closing(psycopg2.connect(**login(lab, shop, made.second["green"]["endpoint"]))) as conn:
        conn.autocommit = True
        with conn.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS seen (n int)")
            cursor.execute("INSERT INTO seen VALUES (7)")
    there = made.second["secondaries"][READING]["reader_endpoint"]
    deadline = time.monotonic() + 30
    with closing(psycopg2.connect(**login(lab, shop, there))) as conn, conn.cursor() as cursor:
        conn.autocommit = True
        while True:
            cursor.execute("SELECT to_regclass('seen') IS NOT NULL")
            if cursor.fetchone() == (True,) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        cursor.execute("SELECT n, pg_is_in_recovery() FROM seen")
        assert cursor.fetchone() == (7, True)


def test_an_instance_that_is_missing_is_added_and_nothing_else(
    lab: Lab, made: Made, options: Result, run_module: RunModule
) -> None:
    rds(lab, READING).delete_db_instance(DBInstanceIdentifier=f"{GREEN}-{READING}-1")
    while instances(lab, f"{GREEN}-{READING}", READING):
        time.sleep(0.1)
    done = run_module(MODULE, **options)
    assert done["actions"] == [f"create instance {GREEN}-{READING}-1 (db.r6g.large) in {READING}"]


def test_green_is_not_deleted_while_it_is_a_member(made: Made, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match=f"is a member of the global cluster {GREEN}-global: run aurora_global"):
        run_module("aurora_clone", state="absent", deployment_id=GREEN, skip_final_snapshot=True, **QUICK)


def test_info_tells_both_global_databases(made: Made, shop: Blue, run_module: RunModule) -> None:
    found = run_module("bg_info", deployment_id=GREEN, source_db_cluster_identifier=shop.cluster)["global_databases"]
    assert found["green"] == made.second["global_database"]
    assert found["blue"]["global_cluster_identifier"] == shop.global_cluster
    assert [each["db_cluster_identifier"] for each in found["blue"]["members"]] == [
        shop.cluster,
        shop.secondaries[HEADLESS],
        shop.secondaries[READING],
    ]


@pytest.mark.parametrize(
    ("regions", "sentence"),
    [
        ([{"region": READING}, {"region": READING}], f"regions names {READING} more than once"),
        ([{"region": "us-east-1"}], "regions names us-east-1, where green is"),
        (
            [{"region": READING, "instances": [{"db_instance_class": "db.t4g.large"}], "db_cluster_identifier": "own"}],
            "Instances of the class db.t4g.large are wanted with 18.4",
        ),
    ],
)
def test_a_list_that_cannot_be_is_one_sentence(
    lab: Lab, shop: Blue, made: Made, regions: list[Result], sentence: str
) -> None:
    assert sentence in refused_here(lab, shop, regions=regions)


def test_identifiers_of_somebody_else_are_refused(lab: Lab, shop: Blue, made: Made) -> None:
    taken = str(shop.global_cluster)
    assert refused_here(lab, shop, identifier=taken).startswith(f"Global cluster with id = {taken} already exists.")
    assert "left alone" in removal_refused(lab, shop, identifier=taken)
    regions = [{"region": READING, "db_cluster_identifier": shop.secondaries[READING]}]
    sentence = refused_here(lab, shop, regions=regions)
    assert sentence.startswith(f"Cluster with id = {shop.secondaries[READING]} already exists in {READING}.")


def test_lost_answers_are_not_a_second_global_database(lab: Lab, shop: Blue, run_module: RunModule) -> None:
    name = "worldlost"
    ask = {"deployment_id": name, "source_db_cluster_identifier": shop.cluster, **QUICK}
    run_module("aurora_clone", **ask)
    try:
        for operation in ("CreateGlobalCluster", "CreateDBCluster"):
            lab.faults.fail(operation, "InternalFailure", after=True)
        regions = [{"region": READING, "instances": 0}]
        done = run_module(MODULE, **ask, regions=regions, deletion_protection=False)
        assert done["actions"] == [
            f"create global cluster {name}-global with {name} as its primary",
            f"create secondary cluster {name}-{READING} in {READING}",
        ]
        assert cluster(lab, f"{name}-{READING}", READING)["DBClusterParameterGroup"] == f"{shop.cluster}-blue"
        assert worlds(lab)[f"{name}-global"] == [name, f"{name}-{READING}"]
        gone = run_module(MODULE, **ask, state="absent", serving="blue", skip_final_snapshot=True)
        assert gone["changed"] is True
        assert f"{name}-global" not in worlds(lab)
    finally:
        lab.faults.clear()
        lab.delete(name)


def test_write_forwarding_moves_with_the_traffic_and_back(
    lab: Lab, shop: Blue, made: Made, run_module: RunModule, runner: Runner
) -> None:
    blue, green = shop.secondaries[READING], f"{GREEN}-{READING}"
    rds(lab, READING).modify_db_cluster(DBClusterIdentifier=blue, EnableGlobalWriteForwarding=True)
    while forwarding(lab, blue) != "enabled":
        time.sleep(0.1)
    ask = {"deployment_id": GREEN, "source_db_cluster_identifier": shop.cluster, **QUICK}
    off = {**ask, "state": "write_forwarding_off", "side": "blue"}
    with pytest.raises(ModuleFailed) as caught:
        run_module(MODULE, **off)
    sentence = caught.value.msg
    assert f"--region {READING} --db-cluster-identifier {blue} --no-enable-global-write-forwarding" in sentence
    assert forwarding(lab, blue) == "enabled"

    assert run_until_it_lives(lab, runner, MODULE, **off, write_forwarding="disable") == 2
    assert (forwarding(lab, blue), forwarding(lab, green)) == ("disabled", "disabled")
    done = run_module(MODULE, **ask, state="write_forwarding_on", side="green")
    assert done["actions"][0] == f"turn on write forwarding of {green} in {READING}"
    assert (forwarding(lab, blue), forwarding(lab, green)) == ("disabled", "enabled")

    back = run_module(MODULE, **{**off, "side": "green"}, write_forwarding="disable")
    assert back["write_forwarding"]["pending"] == [READING]
    done = run_module(MODULE, **ask, state="write_forwarding_on", side="blue")
    assert (forwarding(lab, blue), forwarding(lab, green)) == ("enabled", "disabled")
    assert done["write_forwarding"]["pending"] == []


def test_absent_wants_to_know_that_blue_serves_and_that_protection_may_go(lab: Lab, shop: Blue, made: Made) -> None:
    assert "it is not known that blue serves" in removal_refused(lab, shop, safe=False)
    assert "is protected against deletion" in removal_refused(lab, shop)


def test_absent_is_continued_when_killed_and_leaves_green_and_blue(
    lab: Lab, shop: Blue, made: Made, options: Result, runner: Runner
) -> None:
    gone = {**options, "state": "absent", "serving": "blue", "deletion_protection": False}
    request = Dissolution(f"{GREEN}-global", GREEN, shop.cluster, (), f"{GREEN}-final", True, True, Waits(60, 0.1))
    before, journal = everywhere(lab), Journal(check_mode=True)
    dissolve(regions_of(lab), Names.of(GREEN), request, journal)
    assert everywhere(lab) == before
    deaths = run_until_it_lives(lab, runner, MODULE, **gone)
    assert deaths == len(journal.actions)
    after = everywhere(lab)
    del before["worlds"][f"{GREEN}-global"]
    assert after["worlds"] == before["worlds"]
    for region in (READING, HEADLESS):
        assert after[region][0] == [shop.secondaries[region]]
        assert GROUP not in after[region][1]
    assert after["us-east-1"] == before["us-east-1"]
    snapshots = rds(lab, READING).describe_db_cluster_snapshots()["DBClusterSnapshots"]
    assert [each["DBClusterSnapshotIdentifier"] for each in snapshots] == [f"{GREEN}-final"]
    assert instances(lab, GREEN, "us-east-1") != []
