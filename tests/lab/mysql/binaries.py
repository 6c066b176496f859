# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the MySQL server of the lab comes from: the machine's own, or fetched once into the cache directory.

The fetch is that of `tests.lab.apt`, with an empty list of installed packages. Debian has the server in its unstable suite only, which is
built for a newer libc than the machine's; the packages bring their own libc, and the server is started through that
one's loader. Ubuntu has it in each of its suites.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab import apt
from tests.lab.engine import EngineError
from tests.lab.postgresql.binaries import cache_directory

OLDEST = (8, 0)
_SYSTEM = ("/usr/sbin", "/sbin")  # not on every user's PATH
_NAME = "mysql"  # in the cache directory
# Newest first; Debian has the name without a version, Ubuntu those with one.
_PACKAGES = ("mysql-server-core", "mysql-server-core-8.4", "mysql-server-core-8.0")
# What a bare server does not need of its packages' dependencies is declared installed.
_NOT_NEEDED = ("perl", "debconf", "libdbi-perl", "adduser")
_UNUSED_DIRECTORIES = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/zoneinfo")
# Debian's own keys, whichever others the machine trusts.
_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg")
_BY_HAND = "install a package that has mysqld 8.0 or newer (mysql-server-core on Debian and Ubuntu)"


@dataclass(frozen=True)
class Binaries:
    """A server program: the words of a command before its options, and its version."""

    command: tuple[str, ...]
    options: tuple[str, ...]  # where its own files are, when it does not lie where it was built for
    version: tuple[int, ...]
    root: Path  # what the servers' user must be able to enter


def fetch() -> Binaries:
    """Return the server, fetching it first when this machine has none.

    Raises EngineError, one sentence that says what to do, when there is none.
    """
    on_path = shutil.which("mysqld", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM)))
    if on_path is not None and (own := _checked((on_path,), (), Path(on_path))) is not None:
        return own
    root = cache_directory() / _NAME
    if not root.is_dir():
        _fetch(root)
    if (found := _from_root(root)) is None:
        raise EngineError(f"The MySQL server in {root} does not run: remove that directory and start the lab again.")
    return found


def _from_root(root: Path) -> Binaries | None:
    """Return the server unpacked below a directory, None when it does not run."""
    loaders = sorted(root.glob("**/ld-linux-*.so.*"))
    programs = [path for path in (root / "usr/sbin/mysqld", root / "usr/bin/mysqld") if path.is_file()]
    if not loaders or not programs:
        return None
    libraries = sorted({str(path.parent) for path in root.glob("**/lib*.so.*") if "plugin" not in path.parts})
    share = root / "usr/share/mysql"
    plugins = next((path for path in sorted(root.glob("usr/lib/**/plugin")) if path.is_dir()), root)
    options = (
        f"--basedir={root / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={plugins}",
    )
    command = (str(loaders[0]), "--library-path", os.pathsep.join(libraries), str(programs[0]))
    return _checked(command, options, root)


def _checked(command: tuple[str, ...], options: tuple[str, ...], root: Path) -> Binaries | None:
    """Return a server that runs and is new enough, else None; a MariaDB under the same name is none."""
    try:
        done = subprocess.run(
            [*command, "--no-defaults", "--version"],
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bVer (\d+)\.(\d+)\.(\d+)", done.stdout)
    if done.returncode or found is None or "MariaDB" in done.stdout:
        return None
    version = tuple(int(part) for part in found.groups())
    return Binaries(command, options, version, root) if version[:2] >= OLDEST else None


def _fetch(target: Path) -> None:
    """Put the server and everything it runs with below ``target``, which appears complete or not at all."""
    if (tool := apt.missing()) is not None:
        raise EngineError(f"There is no MySQL server, and no {tool} to fetch one: {_BY_HAND}.")
    try:
        apt.unpack(target, _download, _trim)
    except apt.AptError as error:
        raise EngineError(f"The MySQL server could not be fetched ({error}): {_BY_HAND}.") from None


def _trim(root: Path) -> None:
    """Leave out what the server does not need; raises EngineError for one that does not run."""
    for name in _UNUSED_DIRECTORIES:
        shutil.rmtree(root / name, ignore_errors=True)
    if _from_root(root) is None:
        raise EngineError(f"The MySQL server that the machine's mirror has does not run here: {_BY_HAND}.")


def _download(directory: Path) -> list[Path]:
    """Return the server's packages and all they depend on, downloaded below ``directory``."""
    architecture = apt.architecture()
    own = apt.Apt(
        directory,
        apt.declared_installed(_NOT_NEEDED),
        # the machine's pins are for its own suite
        'Dir::Etc::preferences "-";',
        'Dir::Etc::preferencesparts "-";',
        f'APT::Architecture "{architecture}";',
        f'APT::Architectures {{ "{architecture}"; }};',
        source=_unstable(),
    )
    known = set(own.run("apt-cache", "pkgnames", _PACKAGES[0]).split())
    package = next((name for name in _PACKAGES if name in known), None)
    if package is None:
        raise EngineError(f"The machine's package mirror has no MySQL server: {_BY_HAND}.")
    # `libc6` too: a package that needs none of its own would otherwise run on the machine's.
    return own.download(package, "libc6")


def _unstable() -> str | None:
    """Return the source of Debian's unstable suite on the machine's own mirror, None on another distribution."""
    fields = "$(ORIGIN)|$(COMPONENT)|$(SITE)"
    targets = apt.run("apt-get", "indextargets", "--format", fields, "Created-By: Packages").splitlines()
    keyring = next((path for path in _KEYRINGS if Path(path).is_file()), None)
    for line in targets:
        origin, component, site = line.split("|", 2)
        if origin == "Debian" and component == "main" and site.rstrip("/").endswith("/debian"):
            return f"deb {f'[signed-by={keyring}] ' if keyring else ''}{site} sid main"
    return None
