# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the MySQL server of the lab comes from: the machine's own, or fetched once into the cache directory.

The fetch is apt itself with private directories and an empty list of installed packages: a signed index and checksummed
packages from the mirror that the machine is configured with. Debian has the server in its unstable suite only, which is
built for a newer libc than the machine's; the packages bring their own libc, and the server is started through that
one's loader. Ubuntu has it in each of its suites. Nothing of the machine changes, and no root is needed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.engine import EngineError
from tests.lab.postgresql.binaries import cache_directory

OLDEST = (8, 0)
_SYSTEM = ("/usr/sbin", "/sbin")  # not on every user's PATH
_TIMEOUT = 300.0  # s, for apt as a whole
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
    missing = [tool for tool in ("apt-get", "dpkg-deb", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise EngineError(f"There is no MySQL server, and no {missing[0]} to fetch one: {_BY_HAND}.")
    cache = target.parent
    if not cache.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o755)  # whatever the umask: the servers' user must get in
    with (cache / f"{_NAME}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return
        staging = Path(tempfile.mkdtemp(prefix=f"{_NAME}-", dir=cache))
        try:
            root = staging / "root"
            root.mkdir()
            for package in _download(staging / "apt"):
                _run(["dpkg-deb", "-x", str(package), str(root)], {})
            for name in _UNUSED_DIRECTORIES:
                shutil.rmtree(root / name, ignore_errors=True)
            if _from_root(root) is None:
                raise EngineError(f"The MySQL server that the machine's mirror has does not run here: {_BY_HAND}.")
            root.chmod(0o755)
            root.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _download(apt: Path) -> list[Path]:
    """Return the server's packages and all they depend on, downloaded below ``apt``."""
    for part in ("etc", "state/lists/partial", "cache/archives/partial", "log"):
        (apt / part).mkdir(parents=True)
    architecture = _run(["dpkg", "--print-architecture"], {}).strip()
    (apt / "status").write_text(_installed(architecture), encoding="utf-8")
    settings = [line for line in _run(["apt-config", "dump"], {}).splitlines() if line.startswith("Acquire::")]
    settings = [line for line in settings if "::Languages" not in line]
    settings += [
        f'Dir::State "{apt}/state";',
        f'Dir::State::status "{apt}/status";',
        f'Dir::Cache "{apt}/cache";',
        f'Dir::Log "{apt}/log";',
        # neither the machine's hooks and pins nor its unprivileged download user, who cannot enter this directory
        'Dir::Etc::parts "-";',
        'Dir::Etc::main "-";',
        'Dir::Etc::preferences "-";',
        'Dir::Etc::preferencesparts "-";',
        'APT::Sandbox::User "";',
        'APT::Install-Recommends "false";',
        f'APT::Architecture "{architecture}";',
        f'APT::Architectures {{ "{architecture}"; }};',
        'Acquire::Languages "none";',
        'Debug::NoLocking "true";',
    ]
    if (source := _unstable()) is not None:
        (apt / "etc/sources.list").write_text(source + "\n", encoding="utf-8")
        settings += [f'Dir::Etc::sourcelist "{apt}/etc/sources.list";', 'Dir::Etc::sourceparts "-";']
    (apt / "apt.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
    environment = {"APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "-qq", "update"], environment)
    known = set(_run(["apt-cache", "pkgnames", _PACKAGES[0]], environment).split())
    package = next((name for name in _PACKAGES if name in known), None)
    if package is None:
        raise EngineError(f"The machine's package mirror has no MySQL server: {_BY_HAND}.")
    # `libc6` too: a package that needs none of its own would otherwise run on the machine's.
    _run(["apt-get", "-qq", "-y", "--download-only", "install", package, "libc6"], environment)
    return sorted((apt / "cache" / "archives").glob("*.deb"))


def _unstable() -> str | None:
    """Return the source of Debian's unstable suite on the machine's own mirror, None on another distribution."""
    fields = "$(ORIGIN)|$(COMPONENT)|$(SITE)"
    targets = _run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"], {}).splitlines()
    keyring = next((path for path in _KEYRINGS if Path(path).is_file()), None)
    for line in targets:
        origin, component, site = line.split("|", 2)
        if origin == "Debian" and component == "main" and site.rstrip("/").endswith("/debian"):
            return f"deb {f'[signed-by={keyring}] ' if keyring else ''}{site} sid main"
    return None


def _installed(architecture: str) -> str:
    """Return a list of installed packages that has nothing but what is not needed."""
    stanzas = [
        f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nMulti-Arch: allowed\n"
        "Version: 99:99\nMaintainer: lab <lab@localhost>\nDescription: declared installed\n"
        for name in _NOT_NEEDED
    ]
    return "\n".join(stanzas) + "\n"


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Return the standard output. Raises EngineError with the last words of a command that failed."""
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
        raise EngineError(f"The MySQL server could not be fetched ({error}): {_BY_HAND}.") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        words = " ".join(command[:3])
        raise EngineError(f"The MySQL server could not be fetched ({words}: {reason}): {_BY_HAND}.")
    return done.stdout
