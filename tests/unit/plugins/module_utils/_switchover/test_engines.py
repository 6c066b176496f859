# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that an engine has no use for are refused before anything is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.side import MySQLSide
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.engines import fence, pair, sequences

OPTIONS: dict[str, Any] = {
    "expected_differences": [],
    "replication_ssl_mode": "require",
    "sequences": "exact",
    "sequence_margin": 0,
    "databases": None,
    "gates": [],
    "replication_user": None,
    "replication_password": None,
    "green_db_cluster_parameter_group_name": None,
    "checkpoint_table": None,
    "graph_type": None,
    "writes_stopped": None,
    "quiet_interval": None,
    "reverse_replication": True,
}


def build(engine: str, **more: Any) -> Any:
    blue, green = (Endpoint(side, "127.0.0.1", 1, "admin", "secret") for side in ("blue", "green"))
    return pair(engine, blue, green, Names.of("shop"), {**OPTIONS, **more}, None)


def test_the_sides_of_mysql_have_their_names_and_no_sequences() -> None:
    blue, green = build("aurora_mysql")
    assert (blue.name, green.name) == ("blue", "green")
    assert isinstance(blue, MySQLSide)
    assert sequences(green) is None


@pytest.mark.parametrize(
    ("engine", "options", "sentence"),
    [
        ("aurora_mysql", {"gates": [{"type": "pgbouncer"}]}, "PgBouncer speaks PostgreSQL's protocol only"),
        (
            "aurora_mysql",
            {"replication_ssl_mode": "verify-full"},
            "is disable or require for MySQL.*but is verify-full",
        ),
        ("aurora_mysql", {"replication_user": "1"}, "replication_user must be 4 to 16 letters"),
        (
            "aurora_postgresql",
            {"replication_user": "repl"},
            "replication_user means nothing to the engine aurora_postgresql",
        ),
        ("aurora_mysql", {"writes_stopped": True}, "writes_stopped means nothing to the engine aurora_mysql"),
        ("neptune", {"databases": ["shop"]}, "databases means nothing to the engine neptune"),
        ("neptune", {"gates": [{"type": "pgbouncer"}]}, "PgBouncer speaks PostgreSQL's protocol only"),
    ],
)
def test_what_an_engine_has_no_use_for_is_refused(engine: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BlueGreenError, match=sentence):
        build(engine, **options)


@pytest.mark.parametrize(
    ("engine", "options", "kind"),
    [
        ("neptune", {"gates": [{"type": "haproxy"}]}, "gate"),
        ("neptune", {"gates": [{"type": "haproxy"}], "writes_stopped": True}, "gate"),
        ("neptune", {"gates": [{"type": "route53"}], "writes_stopped": True}, "user"),
        ("neptune", {"gates": [{"type": "route53"}]}, "none"),
        ("neptune", {"gates": [{"type": "haproxy"}, {"type": "route53"}]}, "part"),
        ("neptune", {"gates": [{"type": "haproxy"}, {"type": "route53"}], "writes_stopped": True}, "user"),
        ("aurora_mysql", {"gates": []}, None),
    ],
)
def test_who_keeps_the_clients_of_neptune_from_writing(engine: str, options: dict[str, Any], kind: str | None) -> None:
    assert fence(engine, {**OPTIONS, **options}) == kind
