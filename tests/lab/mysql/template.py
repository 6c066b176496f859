# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data directory that every new volume is a copy of: made once for a server program, kept in the cache directory.

Initialising one takes seconds, copying one does not. It has no secret: no key, and no password that anybody knows.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.lab.mysql import privileges
from tests.lab.mysql.servers import Installation, Server
from tests.lab.postgresql.binaries import cache_directory

SETTINGS = {
    "secure-file-priv": "NULL",
    "mysqlx": "OFF",
    "skip-networking": "ON",
    "skip-log-bin": "ON",
    "innodb-redo-log-capacity": "16M",
    "innodb-flush-method": "nosync",
    "innodb-use-native-aio": "OFF",
}


class _New(Server):
    """A server whose administrator has the name that every new server's has."""

    account = "root"


def prepare(installation: Installation, root: Path, log: Path) -> Path:
    """Return the data directory, made first when the cache has none that fits; `root` is a directory for the work."""
    cache = cache_directory()
    target = cache / f"mysql-data-{_fingerprint(installation)}"
    if target.is_dir():
        return target
    if not cache.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o755)  # whatever the umask: the servers' user must get in
    with (cache / "mysql-data.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            data = _make(installation, root / "template", log)
            staging = Path(tempfile.mkdtemp(prefix="mysql-data-", dir=cache))
            try:
                shutil.copytree(data, staging / "data")
                _make_readable(staging / "data")
                (staging / "data").rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
                shutil.rmtree(root / "template", ignore_errors=True)
    return target


def _fingerprint(installation: Installation) -> str:
    """Return what makes one data directory different from another: the program and what is done to it."""
    words = [str(installation.binaries.version), str(SETTINGS), *privileges.first_statements()]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def _make(installation: Installation, directory: Path, log: Path) -> Path:
    account = installation.processes.account
    account.make_directory(directory)
    data, run = directory / "data", account.make_directory(directory / "run")
    binaries = installation.binaries
    server = _New(installation, data, run, log)
    server.configure(SETTINGS)
    options = [f"--defaults-file={run / 'my.cnf'}", *binaries.options, "--initialize-insecure"]
    installation.processes.run([*binaries.command, *options], directory=run)
    server.start()
    try:
        server.execute(*privileges.first_statements())
    finally:
        server.stop()
    for own in ("auto.cnf", *(path.name for path in data.glob("*.pem"))):
        (data / own).unlink(missing_ok=True)  # each copy makes its own
    return data


def _make_readable(root: Path) -> None:
    """Let every user read and enter `root`, whatever the umask was."""
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
