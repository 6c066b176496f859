# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has left behind: in blue's catalogs, in AWS, as processes, as files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what is there after and was not before, and the other way round, of two ``tests.scene.fingerprint``."""
    return sorted(_leaves(after) - _leaves(before)) + [f"missing: {leaf}" for leaf in _leaves(before) - _leaves(after)]


def _leaves(tree: Any, path: str = "") -> set[str]:
    if isinstance(tree, Mapping):
        return {leaf for name, branch in tree.items() for leaf in _leaves(branch, f"{path} {name}".strip())}
    if isinstance(tree, list):
        return {f"{path} {leaf}" for leaf in tree}
    return {f"{path} {tree}"}


def once_quiet(state: Path, before: frozenset[str], seconds: float = 5.0) -> list[str]:
    """Return the processes and files that are still there when what was told to end had some seconds to do so."""
    deadline = time.monotonic() + seconds
    while (found := [*processes(state), *files(state, before)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def processes(state: Path) -> list[str]:
    """Return the living processes, but for this one, that were started for the lab in ``state``.

    They carry its path in their environment or their command line, or work in it.
    """
    wanted = os.fsencode(state)
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        if int(directory.name) == os.getpid():
            continue
        try:
            words = b"\0".join(_words(directory))
            if wanted in words and not _is_zombie(directory):
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(f"process {directory.name} {command[:120]}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or not ours
    return found


def _words(directory: Path) -> Iterator[bytes]:
    yield (directory / "cmdline").read_bytes()
    yield (directory / "environ").read_bytes()
    yield os.fsencode((directory / "cwd").readlink())


def _is_zombie(directory: Path) -> bool:
    return (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in ("Z", "X")


def files(state: Path, before: frozenset[str]) -> list[str]:
    """Return the state directory when it is still there, and what of ours is new beside it since ``before``."""
    left = [f"directory {state}"] if state.exists() else []
    return left + [f"file {name}" for name in sorted(beside(state) - before)]


def beside(state: Path) -> frozenset[str]:
    """Return the paths of the gates' directories beside ``state``: a demo puts its gate inside."""
    return frozenset(str(path) for path in state.parent.glob("bluegreen-gate-*"))
