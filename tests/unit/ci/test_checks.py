# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own rules: each finds what it is there for, and nothing in a project that keeps them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

RUNTIME = """\
action_groups:
  all:
    - metadata:
        extend_group:
          - amazon.aws.aws
    - aurora_clone
"""
KEPT = {
    "meta/runtime.yml": RUNTIME,
    "plugins/modules/aurora_clone.py": "from ..module_utils._core.names import Names\n",
    "plugins/module_utils/_aws/clone.py": "import botocore\n\nfrom .._core.names import Names\nfrom . import api\n",
    "README.md": "Listens on 127.0.0.1; the version is 10.0.0.01.\n",
}


# file, text, and what must be found
BROKEN = [
    ("a.cfg", "index-url = https://py" + "pi.org/simple\n", "a.cfg:1: names the host"),
    ("a.sh", "x\ncurl https://mirror.example/sim" + "ple/boto3\n", "a.sh:2: names the host"),
    ("a.py", 'HOST = "0.0.0' + '.0"\n', "a.py:1: names the address of all interfaces"),
    ("tests/sanity/ignore-2.19.txt", "x\n", "an ignore file"),
    (".ansible-lint-ignore", "x\n", "an ignore file"),
    ("tests/unit/test_a.py", "@pytest.mark.sk" + "ip\n", "tests/unit/test_a.py:1: a test that does not run"),
    ("plugins/modules/bg_info.py", "", "module bg_info is missing in the action group"),
    ("meta/runtime.yml", RUNTIME + "    - bg_info\n", "lists bg_info, which is no module"),
    ("meta/runtime.yml", RUNTIME.replace("amazon.aws.aws", "amazon.aws.k8s"), "does not extend amazon.aws.aws"),
    ("plugins/modules/aurora_clone.py", "x = 1\n" * 251, "251 lines of code"),
    ("plugins/module_utils/_core/names.py", "from .._aws import api\n", "_core imports _aws"),
    ("plugins/module_utils/_aws/api.py", "from .._postgresql.lsn import Lsn\n", "_aws imports _postgresql"),
    ("plugins/module_utils/_aws/api.py", "import psycopg2.sql\n", "which is not its business"),
    (
        "plugins/module_utils/_aws/api.py",
        "from ansible.module_utils.basic import AnsibleModule\n",
        "see the Ansible module object",
    ),
]


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The checks, looking at a small project that keeps every rule."""
    file = Path(__file__).resolve().parents[3] / ".ci" / "checks.py"
    spec = importlib.util.spec_from_file_location("project_checks", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for name, text in KEPT.items():
        write(tmp_path, name, text)
    return module


def write(root: Path, name: str, text: str) -> None:
    """Put a file into the project."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


def test_a_project_that_keeps_the_rules_has_no_findings(checks: ModuleType) -> None:
    assert checks.findings() == []


@pytest.mark.parametrize(("name", "text", "finding"), BROKEN, ids=[finding for _name, _text, finding in BROKEN])
def test_a_broken_rule_is_found(checks: ModuleType, tmp_path: Path, name: str, text: str, finding: str) -> None:
    write(tmp_path, name, text)
    found = checks.findings()
    assert len(found) == 1
    assert finding in found[0]


def test_documentation_does_not_count_as_code(checks: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "plugins/modules/aurora_clone.py", 'DOCUMENTATION = r"""\n' + "text\n" * 300 + '"""\nx = 1\n')
    assert checks.findings() == []


def test_files_that_git_ignores_are_not_looked_at(checks: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, ".gitignore", "/.venv/\n")
    write(tmp_path, ".venv/a.cfg", "https://py" + "pi.org\n")
    assert checks.findings() == []
