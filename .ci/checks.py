# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own small rules, those that no linter knows. Each check returns its findings, one line each."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
UTILS = "ansible_collections.bluegreen.aws.plugins.module_utils"
MODULE_CODE_LINES = 250

# Written so that no pattern finds itself.
REGISTRY = re.compile(
    r"\b(py[p]i\.org|python[h]osted\.org|galaxy\.[a]nsible\.com|registry\.n[p]mjs\.org|rubygems\.[o]rg|crates\.[i]o"
    r"|repo1?\.m[a]ven\.|deb\.[d]ebian\.org|archive\.u[b]untu\.com|conda\.a[n]aconda\.org|quay\.[i]o|docker\.[i]o)"
    r"|https?://[a-z0-9.-]+/(debian|ubuntu|simple|pypi|maven2)(/|\s|$)"
)
ANY_ADDRESS = re.compile(r"(?<![\d.])0\.0\.0\.[0](?![\d.])")
SKIPPED_TEST = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b|unittest\.skip")

# Who may import whom: a package imports its own rank's numbers below, never sideways or up.
RANKS = {
    "modules": 5,
    "_doorway": 4,
    "_managed": 3,
    "_clients": 2,
    "_streams": 2,
    "_switchover": 2,
    "_aws": 1,
    "_mysql": 1,
    "_neptune": 1,
    "_postgresql": 1,
    "_core": 0,
}
FOREIGN = {
    "_core": ("boto3", "botocore", "psycopg2", "pymysql"),
    "_aws": ("psycopg2", "pymysql"),
    "_mysql": ("boto3", "botocore", "psycopg2"),
    "_neptune": ("boto3", "botocore", "psycopg2", "pymysql"),
    "_postgresql": ("boto3", "botocore", "pymysql"),
    "_switchover": ("boto3", "botocore", "pymysql"),
    "_clients": ("boto3", "botocore", "psycopg2", "pymysql"),
    "_managed": ("boto3", "botocore", "psycopg2", "pymysql"),
}


def project_files() -> list[Path]:
    """Return the files of the project relative to its root: what git would commit, with or without a repository."""
    with tempfile.TemporaryDirectory(prefix="bluegreen-files-") as empty:
        git = ("git", f"--git-dir={empty}", f"--work-tree={ROOT}")
        subprocess.run((*git, "init", "--quiet"), check=True, stdout=subprocess.DEVNULL)
        listing = subprocess.run(
            (*git, "ls-files", "--others", "--exclude-standard", "-z"), check=True, stdout=subprocess.PIPE, cwd=ROOT
        ).stdout
    names = [Path(os.fsdecode(name)) for name in listing.split(b"\0") if name]
    return sorted(name for name in names if name.parts[0] != ".git")


def text_lines(name: Path) -> list[str]:
    """Return the lines of a file, none when it is not text."""
    try:
        return (ROOT / name).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def hosts_and_addresses(files: list[Path]) -> Iterator[str]:
    """No package registry is named (the machine's own configuration decides) and nothing listens on every address."""
    for name in files:
        for number, line in enumerate(text_lines(name), 1):
            if REGISTRY.search(line):
                yield f"{name}:{number}: names the host of a package registry"
            if ANY_ADDRESS.search(line):
                yield f"{name}:{number}: names the address of all interfaces; bind to loopback only"


def ignored_findings(files: list[Path]) -> Iterator[str]:
    """No linter is told to look away, and every test runs."""
    for name in files:
        if name.name == ".ansible-lint-ignore" or name.match("tests/sanity/ignore*"):
            yield f"{name}: an ignore file; mend what it hides"
        if name.suffix == ".py" and name.parts[0] == "tests":
            for number, line in enumerate(text_lines(name), 1):
                if SKIPPED_TEST.search(line):
                    yield f"{name}:{number}: a test that does not run proves nothing"


def action_group(files: list[Path]) -> Iterator[str]:
    """The action group `all` of meta/runtime.yml lists every module and nothing else, and extends that of amazon.aws."""
    group = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["all"]
    listed = [entry for entry in group if isinstance(entry, str)]
    modules = [name.stem for name in files if name.parent == Path("plugins/modules") and name.stem != "__init__"]
    for module in sorted(set(modules) - set(listed)):
        yield f"meta/runtime.yml: module {module} is missing in the action group `all`"
    for module in sorted(set(listed) - set(modules)):
        yield f"meta/runtime.yml: the action group `all` lists {module}, which is no module"
    if {"metadata": {"extend_group": ["amazon.aws.aws"]}} not in group:
        yield "meta/runtime.yml: the action group `all` does not extend amazon.aws.aws"


def module_length(files: list[Path]) -> Iterator[str]:
    """A module is a doorway: its code, documentation not counted, is short."""
    for name in files:
        if name.parent != Path("plugins/modules"):
            continue
        source = (ROOT / name).read_text(encoding="utf-8")
        documents = [
            node
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ]
        code = len(source.splitlines()) - sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in documents)
        if code > MODULE_CODE_LINES:
            yield f"{name}: {code} lines of code, {MODULE_CODE_LINES} are the most"


def layers(files: list[Path]) -> Iterator[str]:
    """Imports go down only, and each package knows only its own drivers."""
    for name in files:
        layer = _layer(name)
        if layer is None or name.suffix != ".py":
            continue
        for number, imported in _imports(name):
            target = imported.removeprefix(f"{UTILS}.").split(".")[0] if imported.startswith(f"{UTILS}.") else None
            if target in RANKS and target != layer and RANKS[target] >= RANKS[layer]:
                yield f"{name}:{number}: {layer} imports {target}; imports go down only"
            if imported.split(".")[0] in FOREIGN.get(layer, ()):
                yield f"{name}:{number}: {layer} imports {imported}, which is not its business"
            if RANKS[layer] < RANKS["_doorway"] and imported.rpartition(".")[2] in (
                "AnsibleModule",
                "AnsibleAWSModule",
            ):
                yield f"{name}:{number}: only the modules and _doorway see the Ansible module object"


def _layer(name: Path) -> str | None:
    """Return the layer that a plugin file belongs to."""
    if name.parent == Path("plugins/modules"):
        return "modules"
    if name.parts[:2] == ("plugins", "module_utils") and len(name.parts) > 2:
        layer = name.parts[2].removesuffix(".py")
        return layer if layer in RANKS else None
    return None


def _imports(name: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything a plugin file imports, relative imports resolved."""
    package = ("ansible_collections", "bluegreen", "aws", *name.parent.parts)
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*base, *filter(None, [node.module])))
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


CHECKS: tuple[Callable[[list[Path]], Iterator[str]], ...] = (
    hosts_and_addresses,
    ignored_findings,
    action_group,
    module_length,
    layers,
)


def findings() -> list[str]:
    """Run every check on the project and return what they found."""
    files = project_files()
    return [finding for check in CHECKS for finding in check(files)]
