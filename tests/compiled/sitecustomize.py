# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the Pythons below a playbook run: what a module imports from its archive is compiled once, not in every task.

A module comes as an archive of sources, and compiling them takes longer than most modules do. With this directory on
PYTHONPATH each Python reads what an earlier one compiled from the same source, by its hash; nothing else is different.
"""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import zipimport
from pathlib import Path
from typing import Any

PLACE = Path(__file__).resolve().parents[2] / ".ansible" / "compiled"
_compile: Any = getattr(zipimport, "_compile_source", None)


def compiled(path: str, source: bytes) -> Any:
    """Return the code of a source file in an archive."""
    name = importlib.util.source_hash(source).hex()  # of the source and the version of the byte code
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
        return marshal.loads((PLACE / name).read_bytes())  # noqa: S302
    code = _compile(path, source)
    with contextlib.suppress(OSError):
        PLACE.mkdir(parents=True, exist_ok=True)
        staging = PLACE / f"{name}.{os.getpid()}"
        staging.write_bytes(marshal.dumps(code))
        staging.replace(PLACE / name)
    return code


if _compile is not None:
    zipimport._compile_source = compiled  # type: ignore[attr-defined]
