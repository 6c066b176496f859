# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules with the control plane around them: the event that tells the position, and canaries beside the clone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.mysql.conftest import MySQLLab, login, run
from tests.lab.tools import wait_until

NAMES = Names.of("my-lab")
MODULE = "binlog_replication"


def test_the_first_event_of_the_clone_tells_the_position_and_a_canary_proves_it(
    new_blue: MySQLLab, run_module: RunModule
) -> None:
    seeded = new_blue.blue(gtid=False)
    blue = new_blue.endpoint(seeded)
    options = {"deployment_id": NAMES.deployment_id, "blue": login(blue)}
    assert run_module(MODULE, state="prepared", **options)["replication"] is None
    run(blue, "CREATE TABLE shop.kept (id int PRIMARY KEY)", "INSERT INTO shop.kept VALUES (1)")
    with ThreadPoolExecutor() as pool:
        canary = pool.submit(run_module, "binlog_canary", duration=60, interval_ms=20, **options)

        def written() -> bool:
            return bool(run(blue, "SELECT COUNT(*) > 3 FROM bluegreen.canary")[0][0])

        wait_until(written, 30, "canaries on blue")
        green = new_blue.clone(seeded, NAMES.cluster)
        ended = run_module("binlog_canary", state="stopped", **options)
        assert ended["actions"] == ["end the canary on blue"]
        result = canary.result()
    assert result["ended"] and result["rows"] > 3
    assert run_module("binlog_canary", state="stopped", **options)["changed"] is False
    (first,) = new_blue.recovered(f"{NAMES.cluster}-1")
    new_blue.lab.client("rds").reboot_db_instance(DBInstanceIdentifier=f"{NAMES.cluster}-1")
    new_blue.lab.wait_available(NAMES.cluster)
    assert len(new_blue.recovered(f"{NAMES.cluster}-1")) > 1  # of which the first one counts
    both = {**options, "green": login(green)}
    with pytest.raises(ModuleFailed, match="in the events of DB cluster nowhere, but there is no such cluster"):
        run_module(MODULE, state="positioned", db_cluster_identifier="nowhere", **both)
    positioned = run_module(MODULE, state="positioned", **both)
    assert positioned["checked"] == "canary"
    recorded = positioned["replication"]["position"]
    assert recorded == first.rpartition(" is ")[2].replace(" ", ":")
    new_blue.upgrade(NAMES.cluster)
    run(blue, "INSERT INTO shop.kept VALUES (2)")
    running = run_module(MODULE, state="running", max_lag=5, **both)
    assert (running["replication"]["position"], running["serving"]) == (recorded, "blue")
    assert run(green, "SELECT id FROM shop.kept ORDER BY id") == [(1,), (2,)]
    again = run_module(MODULE, state="positioned", **both)
    assert (again["changed"], again["replication"]["position"]) == (False, recorded)
