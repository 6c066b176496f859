# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the virtual environment that everything runs in, once per set of requirements, and link it as `.venv`.

It lives in the cache directory under a name made of the requirement files and the Python version, so every clone on
the machine shares it and the second set-up takes no time. A lock lets one process build it; a stamp written at the end
says that it is whole, so one that was killed half-way is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements-lock.txt")


class SetupError(Exception):
    """One sentence for the person who ran the set-up."""


def cache_dir() -> Path:
    """Return the project's cache directory, also used by the lab."""
    if own := os.environ.get("BLUEGREEN_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bluegreen-aws"


def environment_key() -> str:
    """Return what tells one environment from another: requirements, interpreter and machine."""
    digest = hashlib.sha256()
    for part in (platform.python_implementation(), platform.python_version(), platform.machine(), sys.base_prefix):
        digest.update(part.encode() + b"\0")
    for name in REQUIREMENTS:
        digest.update((ROOT / name).read_bytes() + b"\0")
    return f"py{sys.version_info.major}{sys.version_info.minor}-{digest.hexdigest()[:12]}"


def run(*command: str | Path) -> None:
    """Run one step with its output shown; raise SetupError when it fails."""
    done = subprocess.run([str(part) for part in command], check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SetupError(f"`{' '.join(map(str, command))}` ended with {done.returncode}: see its message above.")


def build(venv: Path) -> None:
    """Create the environment from nothing, replacing what a killed set-up left."""
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(f"{sys.executable} cannot make virtual environments: install python3-venv for it.")
    shutil.rmtree(venv, ignore_errors=True)
    print(f"setup: installing into {venv} (about two minutes, once)", flush=True)
    run(sys.executable, "-m", "venv", venv)
    pip = (venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "-r", ROOT / "requirements-dev.txt")


def ensure(venv: Path) -> None:
    """Build the environment unless its stamp says that it is whole; wait for another process that builds it."""
    stamp = venv / ".complete"
    if stamp.exists():
        return
    venv.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{venv}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"setup: waiting for another process that builds {venv}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            build(venv)
            stamp.touch()


def link(venv: Path) -> None:
    """Point `.venv` of this checkout at the environment, in one step for whoever reads it meanwhile."""
    place = ROOT / ".venv"
    if place.is_symlink() and place.readlink() == venv:
        return
    if place.exists() and not place.is_symlink():
        raise SetupError(f"{place} is a directory and should become a link to {venv}: remove it and run `make setup`.")
    fresh = ROOT / f".venv.{os.getpid()}"
    fresh.symlink_to(venv)
    fresh.replace(place)


def main() -> int:
    """Make or find the environment; return the exit code."""
    try:
        venv = cache_dir().absolute() / f"venv-{environment_key()}"
        ensure(venv)
        link(venv)
    except (SetupError, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to finish.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
