# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's argument spec is the one source of its options: defaults, README and tasks agree with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
COMMON = {"readiness", "create", "verify", "switchover", "rollback", "cleanup"}
PHASES = {
    "aurora_mysql": COMMON,
    "neptune": COMMON,
    "rds_managed": COMMON,
    "aurora_postgresql": COMMON | {"global", "test_clone", "remove_test_clone"},
}

ARTIFACTS = ("green_db_cluster_identifier", "blue_green_deployment_identifier", "outcome")


@dataclass(frozen=True)
class Role:
    """One role of the collection."""

    name: str

    @property
    def prefix(self) -> str:
        """What the names of its options begin with."""
        return f"{self.name}_"

    @property
    def phases(self) -> set[str]:
        """The phases it has."""
        return PHASES[self.name]

    @property
    def entry_points(self) -> set[str]:
        """Everything that ``tasks_from`` can name."""
        return {"main", *self.phases}

    @property
    def path(self) -> Path:
        """Its directory."""
        return ROLES / self.name

    def load(self, path: str) -> Any:
        """One YAML file of the role."""
        return yaml.safe_load((self.path / path).read_text(encoding="utf-8"))


Spec = dict[str, Any]


@pytest.fixture(scope="module", name="role", params=sorted(PHASES))
def _role(request: pytest.FixtureRequest) -> Role:
    return Role(request.param)


@pytest.fixture(scope="module", name="spec")
def _spec(role: Role) -> Spec:
    found: Spec = role.load("meta/argument_specs.yml")["argument_specs"]
    return found


def plain(description: str | list[str], prefix: str) -> str:
    """A description in Markdown, in one line."""
    text = " ".join(description) if isinstance(description, list) else description
    text = re.sub(r"[OVCM]\((?:\w+#)?([^)=]+)=([^)]*)\)", r"`\1: \2`", text)
    text = re.sub(r"[OVCM]\((?:\w+#)?([^)]*)\)", r"`\1`", text)
    return " ".join(text.split()).replace(prefix, "")


def options_table(options: Spec, prefix: str) -> str:
    """The options as the Markdown table that the README shows; names without the prefix."""
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for name, option in options.items():
        default = "required" if option.get("required") else _default(option)
        kind = f"list of {option['elements']}" if option["type"] == "list" else option["type"]
        lines.append(f"| `{name.removeprefix(prefix)}` | {kind} | {default} | {plain(option['description'], prefix)} |")
        for sub, inner in option.get("options", {}).items():
            lines.append(
                f"| &nbsp;&nbsp;`.{sub}` | {inner['type']} | {_default(inner)} | {plain(inner['description'], prefix)} |"
            )
    return "\n".join(lines)


def _default(option: dict[str, Any]) -> str:
    value = option.get("default")
    if value is None:
        return ""
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else str(value).lower()}`"


def test_every_role_is_looked_at() -> None:
    assert {path.name for path in ROLES.iterdir() if path.is_dir()} == set(PHASES)


def test_every_entry_point_has_tasks_and_a_spec(role: Role, spec: Spec) -> None:
    assert set(spec) == role.entry_points
    assert all((role.path / "tasks" / f"{name}.yml").is_file() for name in role.entry_points)


def test_phases_are_the_entry_points(role: Role, spec: Spec) -> None:
    assert set(spec["main"]["options"][f"{role.prefix}phases"]["choices"]) == role.phases


def test_defaults_are_those_of_the_spec(role: Role, spec: Spec) -> None:
    described = {name: o["default"] for name, o in spec["main"]["options"].items() if "default" in o}
    assert role.load("defaults/main.yml") == described


def test_every_entry_point_describes_an_option_as_main_does(role: Role, spec: Spec) -> None:
    for name in role.entry_points - {"main"}:
        for option, described in spec[name]["options"].items():
            assert described == spec["main"]["options"][option], (name, option)


def test_every_option_that_the_tasks_use_is_described(role: Role, spec: Spec) -> None:
    used: set[str] = set()
    for path in [*role.path.glob("tasks/*.yml"), *role.path.glob("templates/*.j2"), role.path / "vars" / "main.yml"]:
        used |= set(re.findall(rf"(?<![\w.#]){role.prefix}\w+", path.read_text(encoding="utf-8")))
    # artifacts, not options
    used -= {f"{role.prefix}{name}" for name in ARTIFACTS}
    assert used == set(spec["main"]["options"])


def test_every_option_of_a_role_reaches_an_entry_point(role: Role, spec: Spec) -> None:
    given = {option for name in role.entry_points - {"main"} for option in spec[name]["options"]}
    assert set(spec["main"]["options"]) - given == {f"{role.prefix}phases"}


def test_readme_shows_the_options_of_the_spec(role: Role, spec: Spec) -> None:
    table = options_table(spec["main"]["options"], role.prefix)
    assert table in (role.path / "README.md").read_text(encoding="utf-8")


def test_passwords_are_never_shown_by_the_argument_validation(role: Role, spec: Spec) -> None:
    options = spec["main"]["options"]
    every = {
        **options,
        **{
            f"{outer}.{name}": one
            for outer, option in options.items()
            for name, one in option.get("options", {}).items()
        },
    }
    passwords = {name for name in every if name.endswith("password")}
    assert passwords or role.name == "neptune"  # which has no users, hence no passwords
    assert {name for name, option in every.items() if option.get("no_log")} == passwords


# The inputs of the first tools for these jobs, AWS solutions with CloudFormation templates, and the option for each.
SEED_PARAMETERS = {
    "aurora_mysql": {
        "BinaryLogRetentionPeriod": "binlog_retention_hours",
        "DBClusterParameterGroupName": "db_cluster_parameter_group_name",
        "DBParameterGroupName": "db_parameter_group_name",
        "MySQLMasterUser": "admin",
        "MySQLMasterPassword": "admin",
        "MySQLReplicationUser": "replication_user",
        "MySQLReplicationPassword": "replication_password",
        "VPCSecurityGroups": "vpc_security_group_ids",
        "DBClusterVPC": "db_subnet_group_name",
        "VPCSubnetIDs": "db_subnet_group_name",
        "WriterNodeIdent": "writer_db_instance_identifier",
    },
    "neptune": {
        "DeploymentID": "deployment_id",
        "NeptuneSourceClusterId": "source_db_cluster_identifier",
        "NeptuneTargetClusterVersion": "engine_version",
        "DeploymentMode": "deployment_mode",
        "GraphQueryType": "graph_type",
        "SubnetId": "db_subnet_group_name",
        "InstanceSecurityGroup": "vpc_security_group_ids",
    },
}


@pytest.mark.parametrize("name", list(SEED_PARAMETERS))
def test_every_parameter_of_the_aws_solution_has_its_option(name: str) -> None:
    role, parameters = Role(name), SEED_PARAMETERS[name]
    options = role.load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {f"{role.prefix}{option}" for option in parameters.values()} <= set(options)
    readme = (role.path / "README.md").read_text(encoding="utf-8")
    missing = [one for one, option in parameters.items() if not re.search(rf"`{one}`.*`{option}", readme)]
    assert missing == []
