# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates: every check that a change must pass, by name.

`gates.py NAME...` runs some of them, `gates.py --all` the tests and then all of them. What judges the collection as a
whole judges a copy of it in `.build/ansible_collections/bluegreen/aws`: the path it has when installed, and only the
files that would be committed.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import filecmp
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import checks

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
BUILD = ROOT / ".build"
COPY = BUILD / "ansible_collections" / "bluegreen" / "aws"
PACKAGE = "ansible_collections.bluegreen.aws"
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# Several times what each takes; CI as a whole has an hour.
TEST_SECONDS = 2400.0
GATE_SECONDS = 600.0
LAST_WORDS_SECONDS = 60.0
PYTEST_CLOSING = re.compile(r"^=+ .*\b(passed|failed|errors?|no tests ran)\b.* =+$")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class GateError(Exception):
    """A gate failed; the message says what to look at."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def run(
    *command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None, limit: float = GATE_SECONDS
) -> str:
    """Run a command, show its output as it comes and return it.

    Raises GateError when the command fails, or takes longer than `limit` seconds and is interrupted for it.
    """
    environment = {
        **os.environ,
        "NO_COLOR": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        **(env or {}),
    }
    lines: list[str] = []
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        # An interrupt lets pytest say what it did so far; who does not listen is killed.
        timers = [
            threading.Timer(seconds, os.killpg, (process.pid, number))
            for seconds, number in ((limit, signal.SIGINT), (limit + LAST_WORDS_SECONDS, signal.SIGKILL))
        ]
        for timer in timers:
            timer.start()
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line)
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            for timer in timers:
                timer.cancel()
    if process.returncode:
        raise GateError(f"`{' '.join(map(str, command))}` ended with {process.returncode}", "".join(lines))
    return "".join(lines)


def build_copy() -> None:
    """Bring `.build` up to date: a copy of the collection at its canonical path, amazon.aws beside it."""
    wanted = set(checks.project_files())
    for name in sorted(wanted):
        source, target = ROOT / name, COPY / name
        if not target.exists() or not filecmp.cmp(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for path in sorted(COPY.rglob("*"), reverse=True):  # what is no longer there, and what the last gates left
        name = path.relative_to(COPY)
        if name.parts[0] == ".git" or name in wanted:
            continue
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    # A repository of its own, or ansible-test asks the one around it, which ignores `.build`.
    subprocess.run(("git", "init", "--quiet", COPY), check=True)
    amazon = BUILD / "ansible_collections" / "amazon"
    amazon.unlink(missing_ok=True)
    amazon.symlink_to(installed_collections() / "amazon", target_is_directory=True)


def installed_collections() -> Path:
    """Return the directory of the collections that came with the `ansible` package."""
    return next((BIN.parent / "lib").glob("python3*/site-packages/ansible_collections"))


def collections_path() -> dict[str, str]:
    """Return the environment in which Ansible's tools find the copy."""
    return {"ANSIBLE_COLLECTIONS_PATH": str(BUILD)}


def closing_line(output: str) -> str:
    """Return the last line of the output by which pytest closes, without colours."""
    found = [line for line in ANSI.sub("", output).splitlines() if PYTEST_CLOSING.match(line)]
    return found[-1] if found else "no tests ran"


def ansible_test_environment() -> dict[str, str]:
    """Return the environment for ansible-test, with a home directory of its own in the cache.

    ansible-test makes virtual environments. It bootstraps pip in them with a script from a server of its own and drops
    every PIP_* variable. So its home holds a stand-in for that script, which needs the package index alone, and a
    pip.conf with the settings in force here.
    """
    home = (BIN.parent.resolve().parent) / "ansible-test"
    (home / ".config/pip").mkdir(parents=True, exist_ok=True)
    pip_conf = home / ".config/pip/pip.conf"
    pip_conf.touch(mode=0o600)
    pip_conf.write_text(pip_settings(), encoding="utf-8")
    bootstrap = home / ".ansible/test/cache" / f"get_pip_{ansible_test_pip_version().replace('.', '_')}.py"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / ".ci/get_pip.py", bootstrap)
    return {**collections_path(), "HOME": str(home)}


def ansible_test_pip_version() -> str:
    """Return the pip version that this ansible-test bootstraps; the cached script's name carries it."""
    source = installed_collections().parent / "ansible_test/_internal/python_requirements.py"
    found = re.search(r"pip='([0-9.]+)'", source.read_text(encoding="utf-8"))
    if not found:
        raise GateError(f"{source} no longer says which pip it bootstraps: adapt .ci/gates.py to this ansible-core")
    return found[1]


def pip_settings() -> str:
    """Return pip's settings in force here, from files and environment, as the text of a pip.conf."""
    listing = subprocess.run(
        (BIN / "python", "-m", "pip", "config", "list"), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    settings = configparser.RawConfigParser()
    for line in sorted(listing.splitlines(), key=lambda line: line.startswith(":env:")):  # the environment wins
        key, value = line.split("=", 1)
        section, option = key.replace(":env:", "global").split(".", 1)
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, option, str(ast.literal_eval(value)))
    text = io.StringIO()
    settings.write(text)
    return text.getvalue()


def ansible_test(command: str) -> None:
    """Run a command of ansible-test on the copy; raise GateError when it fails or finds nothing to do."""
    build_copy()
    options = ("--color", "no", "--python", PYTHON_VERSION)
    if "All targets skipped" in run("ansible-test", command, *options, cwd=COPY, env=ansible_test_environment()):
        raise GateError("ansible-test found nothing to test")


def gate_checks() -> None:
    """The project's own rules, .ci/checks.py."""
    if found := checks.findings():
        print("\n".join(found))
        raise GateError(f"{len(found)} findings")


def gate_ruff() -> None:
    """Python: lint and format."""
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")


def gate_mypy() -> None:
    """Types, strict; by package name, so that imports between our packages are real."""
    build_copy()
    cache = ("--cache-dir", ROOT / ".mypy_cache")
    run("mypy", *cache, "-p", f"{PACKAGE}.plugins", "-p", "tests", cwd=COPY, env={"MYPYPATH": str(BUILD)})
    scripts = sorted((COPY / ".ci").glob("*.py"))
    run("mypy", *cache, "conftest.py", *scripts, cwd=COPY, env={"MYPYPATH": f"{BUILD}{os.pathsep}{COPY / '.ci'}"})


def gate_yamllint() -> None:
    """YAML form."""
    build_copy()
    run("yamllint", "--strict", ".", cwd=COPY)


def gate_ansible_lint() -> None:
    """Roles and playbooks, profile production."""
    build_copy()
    run("ansible-lint", "--profile", "production", "--offline", "--strict", cwd=COPY, env=collections_path())


def gate_sanity() -> None:
    """Every sanity test of ansible-test, without an ignore file."""
    ansible_test("sanity")


def gate_units() -> None:
    """The unit tests as ansible-test runs them."""
    ansible_test("units")


def gate_changelog() -> None:
    """Changelog fragments."""
    build_copy()
    run("antsibull-changelog", "lint", cwd=COPY, env=collections_path())
    run("antsibull-changelog", "lint-changelog-yaml", "changelogs/changelog.yaml", cwd=COPY, env=collections_path())


def gate_docs() -> None:
    """Documentation of modules, roles and the collection."""
    build_copy()
    options = ("--plugin-docs", "--validate-collection-refs", "self", "--disallow-unknown-collection-refs")
    run("antsibull-docs", "lint-collection-docs", *options, ".", cwd=COPY, env=collections_path())


def gate_galaxy_importer() -> None:
    """The built artifact, as Galaxy and Automation Hub import it."""
    build_copy()
    dist = BUILD / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run("ansible-galaxy", "collection", "build", "--output-path", dist, cwd=COPY)
    (artifact,) = dist.glob("bluegreen-aws-*.tar.gz")
    # Its ansible-lint looks for our own playbooks in the wrong place; the gate of that name does the same and more.
    settings = {"GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "True", "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "False"}
    env = {**collections_path(), **settings}
    output = run(BIN / "python", "-m", "galaxy_importer.main", artifact, cwd=dist, env=env)
    if troubles := [line for line in output.splitlines() if line.startswith(("ERROR", "WARNING"))]:
        raise GateError(f"galaxy-importer has {len(troubles)} objections, the first: {troubles[0]}")


def gate_molecule() -> None:
    """The role on a lab: syntax, converge, idempotence, verify."""
    build_copy()
    run("molecule", "test", cwd=COPY, env=collections_path())


GATES: dict[str, Callable[[], None]] = {
    "checks": gate_checks,
    "ruff": gate_ruff,
    "yamllint": gate_yamllint,
    "mypy": gate_mypy,
    "changelog": gate_changelog,
    "docs": gate_docs,
    "ansible-lint": gate_ansible_lint,
    "ansible-test-sanity": gate_sanity,
    "ansible-test-units": gate_units,
    "galaxy-importer": gate_galaxy_importer,
    "molecule": gate_molecule,
}


def attempt(name: str, gate: Callable[[], None]) -> tuple[str, bool, float]:
    """Run one gate; return its name, whether it passed, and its seconds."""
    print(f"\n--- {name}: {gate.__doc__}", flush=True)
    start = time.monotonic()
    try:
        gate()
        passed = True
    except (GateError, OSError, subprocess.SubprocessError) as error:
        print(f"{name}: {error}", flush=True)
        passed = False
    return name, passed, time.monotonic() - start


def main() -> int:
    """Run the gates that were asked for, print the table and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gates", nargs="*", choices=[*GATES, []], metavar="NAME", help=", ".join(GATES))
    parser.add_argument("--all", action="store_true", help="`make test`, then every gate")
    arguments = parser.parse_args()
    if not arguments.gates and not arguments.all:
        parser.error("name a gate, or --all")

    # Started in the background of a shell, this process ignores interrupts, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    counts = closing_line("")

    def gate_tests() -> None:
        """`make test`: unit tests, and behaviour tests on real servers."""
        nonlocal counts
        try:
            counts = closing_line(run("make", "--no-print-directory", "test", limit=TEST_SECONDS))
        except GateError as error:
            counts = closing_line(error.output)
            raise

    gates = {"test": gate_tests, **GATES} if arguments.all else {name: GATES[name] for name in arguments.gates}
    results = [attempt(name, gate) for name, gate in gates.items()]
    print(
        "\n"
        + "\n".join(f"{name:<22}{'ok' if passed else 'FAILED':<8}{seconds:6.0f} s" for name, passed, seconds in results)
    )
    if arguments.all:
        print(counts, flush=True)
    return 0 if all(passed for _name, passed, _seconds in results) else 1


if __name__ == "__main__":
    sys.exit(main())
