# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the clients' programs come from: wheels by pip, jars by Maven, both as this machine has them configured.

Each set is put once into the cache directory, under a name made of what asks for it, and appears complete or not at
all. What is missing is one sentence, and a failure: a client that is not there proves nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.lab.postgresql.binaries import cache_directory

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
PROJECT = HERE / "java"
POM = PROJECT / "pom.xml"
SOURCES = tuple(sorted(PROJECT.rglob("*.java")))
_SECONDS = 600.0


class Missing(Exception):
    """A client cannot be had; the text says what is missing and what to do."""


def python_packages() -> Path:
    """Return the directory of the Python client's packages, installed first when there is none yet. Raises Missing."""

    def install(staging: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", "--no-compile", "--target", str(staging), "-r", str(REQUIREMENTS)]
        _run(command, "the AWS Advanced Python Wrapper")

    return _once("clients-python", [REQUIREMENTS], str(sys.implementation.cache_tag), install)


def java_classes() -> Path:
    """Return the directory with the JDBC client: classes/ and lib/, built first when there is none yet. Raises Missing."""
    java()
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("The JDBC wrapper comes by Maven, and there is no mvn on PATH: install Maven 3.8 or newer.")

    def build(staging: Path) -> None:
        # a copy: Maven leaves nothing beside the sources
        shutil.copytree(PROJECT, staging / "project")
        command = [maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", str(staging / "project/pom.xml")]
        _run([*command, f"-Dplace={staging}", "process-classes"], "the AWS Advanced JDBC Wrapper")

    return _once("clients-java", [POM, *SOURCES], "", build)


def java() -> str:
    """Return the program java. Raises Missing."""
    found = shutil.which("java")
    if found is None:
        raise Missing("The JDBC wrapper needs Java, and there is no java on PATH: install Java 17 or newer.")
    return found


def _once(name: str, inputs: Iterable[Path], more: str, make: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(more.encode())
    for path in inputs:
        digest.update(path.read_bytes())
    cache = cache_directory()
    target = cache / f"{name}-{digest.hexdigest()[:16]}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            staging = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
            try:
                make(staging)
                staging.chmod(0o755)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return target


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=_SECONDS, env=_env()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{what} could not be fetched: {error}") from None
    if done.returncode:
        words = [line for line in (done.stderr + done.stdout).splitlines() if "ERROR" in line] or ["no message"]
        raise Missing(f"{what} could not be fetched ({words[0].strip()}); run this by hand: {' '.join(command)}")


def _env() -> dict[str, str]:
    """The environment without what the project set for itself: pip and Maven run as this machine has them configured."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LD_PRELOAD")}
