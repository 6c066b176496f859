# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PgBouncer, a real HAProxy, libnss_wrapper: the machine's own, or fetched once into the cache directory.

The fetch is that of `tests.lab.apt`, from the machine's own sources. Where that is not possible there is none, and the
reason is one sentence.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import apt
from tests.lab.postgresql.binaries import cache_directory

_VERSION = {"pgbouncer": "--version", "haproxy": "-v"}
NSS_WRAPPER = "libnss-wrapper"
# By package: the library's file, which a process preloads.
_LIBRARIES = {NSS_WRAPPER: "libnss_wrapper.so"}
_LIBRARY_DIRECTORIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
# Scripts and users of the package that a single process in a directory of its own does not need.
_NOT_NEEDED = ("postgresql-common", "adduser", "debconf", "lsb-base", "sysvinit-utils", "init-system-helpers")


class NoProgram(Exception):
    """The program is not on this machine and could not be fetched; the text says why."""


@dataclass(frozen=True)
class Program:
    """A program and the directories of the shared libraries that came with it."""

    program: str
    library_path: str
    version: str

    def environment(self) -> dict[str, str]:
        """Return the environment to run it with."""
        return {"PATH": os.defpath} | ({"LD_LIBRARY_PATH": self.library_path} if self.library_path else {})


def find(name: str = "pgbouncer", fetch: bool = True) -> Program:
    """Return a program that runs, fetching it when ``fetch`` allows it; its package has its name. Raises NoProgram."""
    on_path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))
    if on_path:
        return _checked(on_path, "")
    root = cache_directory() / name
    if not root.is_dir():
        if not fetch:
            raise NoProgram(f"no {name} on PATH or in the cache directory")
        _fetch(name, root, lambda there: _from_root(name, there))
    return _from_root(name, root)


def find_library(package: str = NSS_WRAPPER) -> Path:
    """Return a library that can be preloaded, fetched when the machine has none. Raises NoProgram."""
    file = _LIBRARIES[package]
    own = [path for place in map(Path, _LIBRARY_DIRECTORIES) for path in (*place.glob(file), *place.glob(f"*/{file}"))]
    if own:
        return _loaded(own[0])
    root = cache_directory() / package
    if not root.is_dir():
        _fetch(package, root, lambda there: _library_in(there, file))
    return _library_in(root, file)


def _library_in(root: Path, file: str) -> Path:
    found = sorted(root.rglob(file))
    if not found:
        raise NoProgram(f"{root} has no {file}: remove that directory and start again")
    return _loaded(found[0])


def _loaded(library: Path) -> Path:
    """Return a library that the machine's programs can load. Raises NoProgram."""
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        raise NoProgram(f"{library} cannot be loaded: {error}") from None
    return library


def _from_root(name: str, root: Path) -> Program:
    libraries = sorted({str(path.parent) for path in root.rglob("lib*.so*")})
    return _checked(str(root / "usr" / "sbin" / name), os.pathsep.join(libraries))


def _checked(program: str, library_path: str) -> Program:
    candidate = Program(program, library_path, "")
    try:
        done = subprocess.run(
            [program, _VERSION[Path(program).name]],
            env=candidate.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoProgram(f"{program} does not run: {error}") from None
    if done.returncode:
        raise NoProgram(f"{program} does not run: {(done.stderr or done.stdout).strip()[:200]}")
    return Program(program, library_path, done.stdout.split("\n")[0].strip())


def _fetch(name: str, target: Path, check: Callable[[Path], object]) -> None:
    """Put a package and the libraries that the machine lacks below ``target``, which appears complete or not at all."""
    if (tool := apt.missing()) is not None:
        raise NoProgram(f"no {name} on PATH, and {tool} is not there to fetch it")
    try:
        apt.unpack(target, lambda there: apt.Apt(there, _installed()).download(name), check)
    except apt.AptError as error:
        raise NoProgram(f"it could not be fetched ({error})") from None


def _installed() -> list[str]:
    """Return the machine's list of installed packages, with those declared installed that are not needed here."""
    status = Path("/var/lib/dpkg/status").read_text(encoding="utf-8")
    stanzas = [stanza for stanza in status.split("\n\n") if stanza.strip()]
    stanzas = [stanza for stanza in stanzas if stanza.split("\n", 1)[0].removeprefix("Package: ") not in _NOT_NEEDED]
    return [*stanzas, *apt.declared_installed(_NOT_NEEDED)]


if __name__ == "__main__":  # fetch them before they are needed
    for program_name in _VERSION:
        try:
            print(find(program_name).version)
        except NoProgram as reason:
            raise SystemExit(f"No {program_name}: {reason}.") from None
    try:
        print(find_library())
    except NoProgram as reason:
        raise SystemExit(f"No {NSS_WRAPPER}: {reason}.") from None
