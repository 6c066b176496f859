# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that the machine does not have, out of packages of its distribution, without root.

It is apt itself with private directories: a signed index and checksummed packages from the mirror that the machine is
configured with. The machine's packages, users and services are not touched.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

_TOOLS = ("apt-get", "apt-config", "dpkg-deb", "dpkg")
_TIMEOUT = 300.0  # s, for each command
# Only what reaches the mirror is taken from the machine's apt configuration: proxies and certificates, no hooks.
_KEPT_SETTINGS = ("Acquire::",)


class AptError(Exception):
    """A command failed; the text has its first words and its last ones."""


def missing() -> str | None:
    """Return a tool that the fetch needs and that is not there, None when all are."""
    return next((tool for tool in _TOOLS if shutil.which(tool) is None), None)


def run(*command: str, **environment: str) -> str:
    """Return the standard output of a command; raises AptError."""
    words = " ".join(command[:3])
    try:
        done = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AptError(f"{words}: {error}") from None
    if done.returncode:
        raise AptError(f"{words}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout


def architecture() -> str:
    """Return the machine's architecture by dpkg's name."""
    return run("dpkg", "--print-architecture").strip()


def unpack(target: Path, packages: Callable[[Path], Sequence[Path]], check: Callable[[Path], object]) -> None:
    """Unpack what `packages` downloads below an empty directory into `target`, which appears complete or not at all.

    What `check` raises for the unpacked files leaves nothing behind.
    """
    cache = target.parent
    if not cache.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o755)  # whatever the umask: the servers' user must get in
    with (cache / f"{target.name}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return
        staging = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=cache))
        try:
            root = staging / "root"
            root.mkdir()
            for package in packages(staging / "apt"):
                run("dpkg-deb", "-x", str(package), str(root))
            check(root)
            root.chmod(0o755)
            root.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def declared_installed(names: Sequence[str]) -> list[str]:
    """Return the entries of a list of installed packages for those that are not needed, so that they are not fetched."""
    return [
        f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture()}\nMulti-Arch: allowed\n"
        "Version: 99:99\nMaintainer: lab <lab@localhost>\nDescription: declared installed"
        for name in names
    ]


class Apt:
    """An apt below a directory of its own, with the machine's sources or with `source`, for which `installed` is there."""

    def __init__(self, directory: Path, installed: Sequence[str], *settings: str, source: str | None = None) -> None:
        """Make it and fetch the index; `installed` are entries of dpkg's list. Raises AptError."""
        self._directory = directory
        for part in ("etc", "state/lists/partial", "cache/archives/partial", "log"):
            (directory / part).mkdir(parents=True)
        (directory / "status").write_text("\n\n".join(installed) + "\n", encoding="utf-8")
        kept = [line for line in run("apt-config", "dump").splitlines() if line.startswith(_KEPT_SETTINGS)]
        lines = [line for line in kept if "::Languages" not in line]
        lines += [
            f'Dir::State "{directory}/state";',
            f'Dir::State::status "{directory}/status";',
            f'Dir::Cache "{directory}/cache";',
            f'Dir::Log "{directory}/log";',
            # neither the machine's hooks nor its unprivileged download user, who cannot enter this directory
            'Dir::Etc::parts "-";',
            'Dir::Etc::main "-";',
            'APT::Sandbox::User "";',
            'APT::Install-Recommends "false";',
            'Acquire::Languages "none";',
            'Debug::NoLocking "true";',
            *settings,
        ]
        if source is not None:
            (directory / "etc/sources.list").write_text(source + "\n", encoding="utf-8")
            lines += [f'Dir::Etc::sourcelist "{directory}/etc/sources.list";', 'Dir::Etc::sourceparts "-";']
        (directory / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.run("apt-get", "-qq", "update")

    def run(self, *command: str) -> str:
        """Return the output of one of apt's commands; raises AptError."""
        conf = str(self._directory / "apt.conf")
        return run(*command, APT_CONFIG=conf, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")

    def download(self, *packages: str) -> list[Path]:
        """Return the packages and those that they need, downloaded; raises AptError."""
        self.run("apt-get", "-qq", "-y", "--download-only", "install", *packages)
        return sorted((self._directory / "cache" / "archives").glob("*.deb"))
