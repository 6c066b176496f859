# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the Pythons below a playbook run: what a module imports is compiled once and imported once, not in every task.

A module comes as an archive of sources, and compiling them takes longer than most modules do. With this directory on
PYTHONPATH each Python reads what an earlier one compiled from the same source, by its hash; nothing else is different.
With BLUEGREEN_FORKS in the environment a module runs as a fork of a Python that has the imports (tests/forks.py).
"""

from __future__ import annotations

import os
import sys


def hand_over(place: str) -> None:
    """Let a fork be this Python and end as it does; return when there is nobody to fork."""
    import _socket
    import json

    connection = _socket.socket(_socket.AF_UNIX)
    try:
        connection.connect(place)
    except OSError:
        connection.close()
        return
    umask = os.umask(0)
    os.umask(umask)
    content = json.dumps(
        {
            "arguments": sys.orig_argv[1:],
            "environment": dict(os.environ),
            "directory": os.getcwd(),  # noqa: PTH109
            "umask": umask,
        }
    ).encode()
    files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    connection.sendmsg([len(content).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    connection.sendall(content)
    code = int.from_bytes(connection.recv(4, _socket.MSG_WAITALL), "big", signed=True)
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


_file = sys.orig_argv[1].rpartition("/")[2] if len(sys.orig_argv) > 1 else ""
_preloaded = os.environ.get("LD_PRELOAD", "") == os.environ.get("BLUEGREEN_FORKS_PRELOADED", "")
if os.environ.get("BLUEGREEN_FORKS") and _preloaded and _file.startswith("AnsiballZ_"):
    hand_over(os.environ["BLUEGREEN_FORKS"])

import contextlib
import importlib.util
import marshal
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
