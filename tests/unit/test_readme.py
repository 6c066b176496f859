# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README says about the code is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from botocore import xform_name
from botocore.session import get_session

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import (
    gate_permissions,
    managed_permissions,
    permissions,
)

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# The deployment of examples/shop.yml, what the one of examples/shop_global.yml needs besides, and a snapshot and a dashboard.
SHOP = {
    "rds": ("arn:aws:rds:eu-central-1:123456789012",),
    "identity": ("arn:aws:iam::123456789012:role/deployer",),
    "secret": ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop-master-*",),
    "blue": ("shop",),
    "green": ("shop-pg18",),
    "made": ("shop-pg18-*",),
    "used_cluster_group": ("*",),
    "used_group": ("*",),
    "used_subnet_group": ("*",),
    "used_option_group": ("default*",),
    "role": (),
    "key": (),
    "world": ("arn:aws:rds::123456789012",),
    "global_cluster": ("shop-pg18-global",),
    "primary": ("shop-pg18",),
    "far": ("arn:aws:rds:eu-west-1:123456789012",),
    "snapshot_source": ("shop",),
    "snapshot": ("shop-before-*",),
    "dashboards": ("*",),
    "dashboard": ("Aurora-*-Replication-Lag-eu-central-1-shop-pg18-*",),
    "cloudwatch": ("arn:aws:cloudwatch::123456789012",),
    "regional_cloudwatch": ("arn:aws:cloudwatch:eu-central-1:123456789012",),
    "alarm": ("shop-pg18-replication-lag",),
}
LISTED = {need.action for need in permissions.NEEDS}
# Parameter groups come in two kinds, and the code names the operations by kind.
KINDS = ("db_cluster_parameter", "db_parameter")


def called_actions(service: str = "rds") -> set[str]:
    """Every operation of the service that the collection's code names, as an IAM action."""
    operations = {xform_name(name): name for name in get_session().get_service_model(service).operation_names}
    called: set[str] = set()
    for path in [*ROOT.glob("plugins/module_utils/**/*.py"), *ROOT.glob("plugins/modules/*.py")]:
        text = path.read_text(encoding="utf-8")
        called |= set(re.findall(r'"([a-z_]+)"', text)) & set(operations)
        for before, after in re.findall(r'f"([a-z]+_)\{[\w.]*noun\}([a-z_]*)"', text):
            called |= {f"{before}{kind}{after}" for kind in KINDS} & set(operations)
    return {f"{service}:{operations[name]}" for name in called}


def test_the_table_of_permissions_holds_what_the_modules_call_and_nothing_else() -> None:
    listed = {need.action for need in permissions.NEEDS if need.action.startswith("rds:")}
    gates = {action for action in gate_actions() if action.startswith("rds:")}
    managed = {action for action in managed_permissions.CALLED if action.startswith("rds:")}
    assert listed | gates | managed == called_actions()


def test_the_table_of_permissions_holds_what_the_dashboard_calls_and_nothing_else() -> None:
    listed = {need.action for need in permissions.NEEDS if need.action.startswith("cloudwatch:")}
    listed |= {action for action in managed_permissions.CALLED if action.startswith("cloudwatch:")}
    # RDS has an operation of the same name, which is the one that is called.
    assert listed == called_actions("cloudwatch") - {"cloudwatch:ListTagsForResource"}


def gate_actions() -> set[str]:
    return {
        action for needs in gate_permissions.GATE_NEEDS.values() for actions in needs.values() for action in actions
    }


def test_the_statements_of_the_gates_are_the_table_of_their_permissions() -> None:
    page = (ROOT / "docs/gates.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    statements = {one["Sid"]: tuple(one["Action"]) for one in json.loads(shown)["Statement"]}
    assert statements == {
        sid: actions for needs in gate_permissions.GATE_NEEDS.values() for sid, actions in needs.items()
    }


def test_the_readme_names_every_action_of_a_gate() -> None:
    assert [action for action in gate_actions() if f"`{action}`" not in README and action not in LISTED] == []


def test_the_iam_policy_is_the_table_of_permissions() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    statements = {one["Sid"]: one for one in json.loads(shown)["Statement"]}
    assert statements == {one["Sid"]: one for one in permissions.policy(SHOP)["Statement"]}


def test_the_first_two_commands_are_demo_and_test() -> None:
    commands = re.findall(r"```\n(.*?)```", README, re.DOTALL)[0].splitlines()
    assert [command.split("#")[0].strip() for command in commands] == ["make demo", "make test"]


def test_every_module_is_listed() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert listed == {path.stem for path in ROOT.glob("plugins/modules/[a-z]*.py")}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("shop.yml", "aurora_postgresql"),
        ("shop_global.yml", "aurora_postgresql"),
        ("shop_mysql.yml", "aurora_mysql"),
        ("shop_neptune.yml", "neptune"),
        ("shop_managed.yml", "rds_managed"),
    ],
)
def test_the_example_variables_are_options_of_the_role(name: str, role: str) -> None:
    example = yaml.safe_load((ROOT / "examples" / name).read_text(encoding="utf-8"))
    spec = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    assert set(example) <= set(spec["argument_specs"]["main"]["options"])


def test_every_file_that_is_linked_exists() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets and all((ROOT / target).exists() for target in targets if "://" not in target)
