# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The empty data directory that every new volume is a copy of: made once for a program, kept in the cache directory.

Making one takes most of a second of a processor, copying one does not. It has no secret, and no role but the lab's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.lab.postgresql.binaries import cache_directory
from tests.lab.postgresql.privileges import BOOTSTRAP
from tests.lab.postgresql.servers import Installation

OPTIONS = ("-U", BOOTSTRAP, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")


def copy(installation: Installation, data: Path) -> None:
    """Make an empty data directory as initdb does, in a directory of the servers' user; raises EngineError."""
    source = _prepared(installation, data.with_name(f"{data.name}.template"))
    # Without its modes: the umask makes them private again.
    installation.processes.run(["cp", "-r", "--reflink=auto", str(source), str(data)])


def _prepared(installation: Installation, work: Path) -> Path:
    """Return the data directory in the cache, made first when there is none that fits."""
    # 16 has no checksums by default, and pg_upgrade wants both sides alike.
    options = (*OPTIONS, *(["--no-data-checksums"] if installation.major >= 18 else []))
    cache = cache_directory()
    words = [installation.binaries.root.name, str(installation.major), *options]
    target = cache / f"postgresql-data-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:16]}"
    if target.is_dir():
        return target
    with (cache / "postgresql-data.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            staging = Path(tempfile.mkdtemp(prefix="postgresql-data-", dir=cache))
            try:
                installation.run("initdb", "-D", str(work), *options)
                shutil.copytree(work, staging / "data")
                for path in (staging / "data", *(staging / "data").rglob("*")):
                    path.chmod(0o755 if path.is_dir() else 0o644)
                (staging / "data").rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
                shutil.rmtree(staging, ignore_errors=True)
    return target
