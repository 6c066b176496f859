# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's argument spec is the one source of its options: defaults, README and tasks agree with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "aurora_postgresql"
PREFIX = "aurora_postgresql_"
PHASES = {
    "readiness",
    "create",
    "global",
    "verify",
    "switchover",
    "rollback",
    "test_clone",
    "remove_test_clone",
    "cleanup",
}
ENTRY_POINTS = {"main", *PHASES}


def load(path: str) -> Any:
    """One YAML file of the role."""
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module", name="spec")
def _spec() -> dict[str, Any]:
    found: dict[str, Any] = load("meta/argument_specs.yml")["argument_specs"]
    return found


def plain(description: str | list[str]) -> str:
    """A description in Markdown, in one line."""
    text = " ".join(description) if isinstance(description, list) else description
    text = re.sub(r"[OVCM]\((?:\w+#)?([^)=]+)=([^)]*)\)", r"`\1: \2`", text)
    text = re.sub(r"[OVCM]\((?:\w+#)?([^)]*)\)", r"`\1`", text)
    return " ".join(text.split()).replace(PREFIX, "")


def options_table(options: dict[str, Any]) -> str:
    """The options as the Markdown table that the README shows; names without the prefix."""
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for name, option in options.items():
        default = "required" if option.get("required") else _default(option)
        kind = f"list of {option['elements']}" if option["type"] == "list" else option["type"]
        lines.append(f"| `{name.removeprefix(PREFIX)}` | {kind} | {default} | {plain(option['description'])} |")
        for sub, inner in option.get("options", {}).items():
            lines.append(
                f"| &nbsp;&nbsp;`.{sub}` | {inner['type']} | {_default(inner)} | {plain(inner['description'])} |"
            )
    return "\n".join(lines)


def _default(option: dict[str, Any]) -> str:
    value = option.get("default")
    if value is None:
        return ""
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else str(value).lower()}`"


def test_every_entry_point_has_tasks_and_a_spec(spec: dict[str, Any]) -> None:
    assert set(spec) == ENTRY_POINTS
    assert all((ROLE / "tasks" / f"{name}.yml").is_file() for name in ENTRY_POINTS)


def test_phases_are_the_entry_points(spec: dict[str, Any]) -> None:
    assert set(spec["main"]["options"][f"{PREFIX}phases"]["choices"]) == PHASES


def test_defaults_are_those_of_the_spec(spec: dict[str, Any]) -> None:
    described = {name: o["default"] for name, o in spec["main"]["options"].items() if "default" in o}
    assert load("defaults/main.yml") == described


def test_every_entry_point_describes_an_option_as_main_does(spec: dict[str, Any]) -> None:
    for name in ENTRY_POINTS - {"main"}:
        for option, described in spec[name]["options"].items():
            assert described == spec["main"]["options"][option], (name, option)


def test_every_option_that_the_tasks_use_is_described(spec: dict[str, Any]) -> None:
    used: set[str] = set()
    for path in [*ROLE.glob("tasks/*.yml"), *ROLE.glob("templates/*.j2"), ROLE / "vars" / "main.yml"]:
        used |= set(re.findall(rf"(?<![\w.#]){PREFIX}\w+", path.read_text(encoding="utf-8")))
    # an artifact, not an option
    used -= {f"{PREFIX}green_db_cluster_identifier", f"{PREFIX}outcome"}
    assert used == set(spec["main"]["options"])


def test_readme_shows_the_options_of_the_spec(spec: dict[str, Any]) -> None:
    assert options_table(spec["main"]["options"]) in (ROLE / "README.md").read_text(encoding="utf-8")


def test_passwords_are_never_shown_by_the_argument_validation(spec: dict[str, Any]) -> None:
    admin = spec["main"]["options"][f"{PREFIX}admin"]["options"]
    assert {name for name, option in admin.items() if option.get("no_log")} == {"password"}
