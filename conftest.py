# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a plain clone importable as `ansible_collections.bluegreen.aws`, here and in the programs that tests start."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parent
CANONICAL = ("ansible_collections", "bluegreen", "aws")


def collections_root() -> Path:
    """Return a directory with ansible_collections/bluegreen/aws in it that is this checkout."""
    if ROOT.parts[-3:] == CANONICAL:
        return ROOT.parents[2]
    base = ROOT / ".ansible" / "collections"
    place = base.joinpath(*CANONICAL)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(Path(*[".."] * (len(CANONICAL) + 1)), target_is_directory=True)
    except FileExistsError:  # an earlier run, or another worker of this one
        pass
    return base


def prepare() -> None:
    """Set the search paths of this process and of its children."""
    base = str(collections_root())
    paths = [base, *filter(None, os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(os.pathsep))]
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(dict.fromkeys(paths))
    for path in (base, str(ROOT)):  # ROOT last, so first: `tests` is ours, whatever a package installed
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)
    # redirects, documentation fragments and the collections around this one are found by Ansible's own finder
    if not any(isinstance(finder, _AnsibleCollectionFinder) for finder in sys.meta_path):
        _AnsibleCollectionFinder(paths=list(dict.fromkeys(paths)))._install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that say by their timeout that they take long begin first, and unit tests fill the gaps at the end.

    The workers, which take a file at a time, then end at about the same time.
    """
    seconds: dict[Path, float] = {}
    for item in items:
        timeout = item.get_closest_marker("timeout")
        seconds[item.path] = max(seconds.get(item.path, 0), timeout.args[0] if timeout and timeout.args else 0)
    items.sort(key=lambda item: (-seconds[item.path], "unit" in item.path.relative_to(ROOT).parts))


prepare()
