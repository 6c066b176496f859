# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README says about the code is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from botocore import xform_name
from botocore.session import get_session

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# DeleteDBCluster with a final snapshot needs it too (Amazon Aurora User Guide, deleting a DB cluster).
IMPLIED = {"rds:CreateDBClusterSnapshot"}
# Parameter groups come in two kinds, and the code names the operations by kind.
KINDS = ("db_cluster_parameter", "db_parameter")


def policy_actions() -> set[str]:
    """Every action that the README's IAM policy allows."""
    (policy,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    actions: set[str] = set()
    for statement in json.loads(policy)["Statement"]:
        action = statement["Action"]
        actions |= {action} if isinstance(action, str) else set(action)
    return actions


def called_actions() -> set[str]:
    """Every RDS operation that the collection's code names, as an IAM action."""
    operations = {xform_name(name): name for name in get_session().get_service_model("rds").operation_names}
    called: set[str] = set()
    for path in [*ROOT.glob("plugins/module_utils/_aws/*.py"), *ROOT.glob("plugins/modules/*.py")]:
        text = path.read_text(encoding="utf-8")
        called |= set(re.findall(r'"([a-z_]+)"', text)) & set(operations)
        for before, after in re.findall(r'f"([a-z]+_)\{[\w.]*noun\}([a-z_]*)"', text):
            called |= {f"{before}{kind}{after}" for kind in KINDS} & set(operations)
    return {f"rds:{operations[name]}" for name in called}


def test_the_iam_policy_allows_what_the_modules_call_and_nothing_else() -> None:
    rds = {action for action in policy_actions() if action.startswith("rds:")}
    assert rds - IMPLIED == called_actions()


def test_the_first_two_commands_are_demo_and_test() -> None:
    commands = re.findall(r"```\n(.*?)```", README, re.DOTALL)[0].splitlines()
    assert [command.split("#")[0].strip() for command in commands] == ["make demo", "make test"]


def test_every_module_is_listed() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert listed == {path.stem for path in ROOT.glob("plugins/modules/[a-z]*.py")}


def test_the_example_variables_are_options_of_the_role() -> None:
    example = yaml.safe_load((ROOT / "examples" / "shop.yml").read_text(encoding="utf-8"))
    spec = yaml.safe_load((ROOT / "roles/aurora_postgresql/meta/argument_specs.yml").read_text(encoding="utf-8"))
    assert set(example) <= set(spec["argument_specs"]["main"]["options"])


def test_every_file_that_is_linked_exists() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets and all((ROOT / target).exists() for target in targets if "://" not in target)
