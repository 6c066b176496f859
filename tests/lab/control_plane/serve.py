# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's process: `python -m tests.lab.control_plane.serve --state DIRECTORY [--attached] [--names]`.

Prints one line of JSON when it is ready (`endpoint`, `ca_file` and others, or `error`). It ends on SIGTERM, when the knob `stop`
is turned, and, when attached, as soon as its parent is gone (stdin ends). Whatever way it ends, every process of the
lab ends and the state directory is removed; when it is killed, its keeper does that.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.lab.control_plane.addresses import Addresses
from tests.lab.control_plane.clock import Clock
from tests.lab.control_plane.kinds import MYSQL, NEPTUNE, POSTGRESQL, RDS_MYSQL, RDS_POSTGRESQL
from tests.lab.control_plane.lazy_engine import LazyEngine
from tests.lab.control_plane.names import Names
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.rds_engines import RdsMySQL, RdsPostgreSQL
from tests.lab.control_plane.server import Endpoint
from tests.lab.engine import DatabaseEngine, EngineError
from tests.lab.managed.make import make_link, replica_health
from tests.lab.mysql import MySQLEngine
from tests.lab.mysql import parameters as mysql_parameters
from tests.lab.neptune import parameters as neptune_parameters
from tests.lab.neptune.engine import NeptuneEngine
from tests.lab.packages import NoProgram, find_library
from tests.lab.postgresql import PostgreSQLEngine
from tests.lab.postgresql.ca import CertificateAuthority
from tests.lab.postgresql.processes import Account, Keeper

LOG = logging.getLogger(__name__)


def main() -> int:
    """Run a lab until it is told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--attached", action="store_true")
    parser.add_argument("--names", action="store_true", help="endpoints have host names")
    arguments = parser.parse_args()
    state: Path = arguments.state
    logging.basicConfig(filename=state / "lab.log", level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    keeper = Keeper([state])
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if arguments.attached:
        threading.Thread(target=_wait_for_end_of_parent, args=(end,), daemon=True).start()
    try:
        _serve(state, end, _names(state) if arguments.names else None)
    except EngineError as exc:
        _say(error=str(exc))
        return 1
    except Exception as exc:
        LOG.exception("the lab failed")
        _say(error=f"the lab failed: {type(exc).__name__}: {exc}")
        return 1
    finally:
        shutil.rmtree(state, ignore_errors=True)
        keeper.release()
    return 0


def _names(state: Path) -> Names:
    """Return the lab's host names; raises EngineError when nothing can make programs see them."""
    try:
        library = find_library()
    except NoProgram as exc:
        raise EngineError(f"A lab with host names needs libnss_wrapper: {exc}.") from None
    account = Account.choose()
    for path in (state / "x", library):
        if not account.can_enter(path):
            raise EngineError(
                f"The user {account.uid} that servers run as cannot enter {path.parent}, so they would not see the lab's "
                "host names: set TMPDIR and BLUEGREEN_CACHE to directories that every user can enter."
            )
    return Names(state, library)


def _serve(state: Path, end: threading.Event, names: Names | None) -> None:
    environment: Mapping[str, str] = names.environment if names else {}
    engine = PostgreSQLEngine(
        state,
        authority=CertificateAuthority(state, names=names.wildcards) if names else None,
        environment=environment,
    )
    mysql = LazyEngine(
        mysql_parameters.VERSIONS,
        mysql_parameters.defaults,
        lambda: MySQLEngine(state, authority=engine.authority, environment=environment),
    )
    neptune = LazyEngine(
        neptune_parameters.VERSIONS,
        neptune_parameters.defaults,
        lambda: NeptuneEngine(state, authority=engine.authority),
    )
    engines: dict[str, DatabaseEngine] = {
        POSTGRESQL: engine,
        MYSQL: mysql,
        NEPTUNE: neptune,
        RDS_POSTGRESQL: RdsPostgreSQL(engine),
        RDS_MYSQL: RdsMySQL(mysql.engine),
    }
    plane = ControlPlane(engines, Addresses(), Clock(), names)
    plane.managed.make_link, plane.managed.replica_health = make_link, replica_health
    try:
        endpoint = Endpoint(plane, end.set)
        endpoint.start()
        facts = {"endpoint": endpoint.url, "ca_file": str(engine.ca_file), "network": plane.addresses.network}
        if names is not None:
            names.start()
            facts |= {"hosts": str(names.file), "preload": str(names.library), "resolver": names.resolver}
        _say(**facts)
        end.wait()
        endpoint.stop()
    finally:
        LOG.info("the lab ends")
        plane.close()


def _wait_for_end_of_parent(end: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    end.set()


def _say(**facts: str) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
