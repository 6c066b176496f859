# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of a playbook run as forks of one Python that has imported boto3 and the drivers already.

A module takes a third of a second to import what others wrote, the Python that Ansible starts for it, and most do
little more. With BLUEGREEN_FORKS in its environment that Python hands its arguments, environment and files to a fork of
this one, waits for its end, and ends as it did (compiled/sitecustomize.py). Ansible's own code and the collection's
still come from the module's archive.

    python -m tests.forks SOCKET      ends when its standard input does
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VARIABLE, PRELOADED = "BLUEGREEN_FORKS", "BLUEGREEN_FORKS_PRELOADED"
_LIBRARIES = (
    *("argparse", "ctypes", "distro", "encodings.cp437", "encodings.idna", "grp", "packaging.version", "pkgutil"),
    *("psycopg2.extras", "psycopg2.sql", "pymysql", "shutil", "syslog", "tempfile", "typing_extensions", "zipfile"),
)
_SERVICES = ("cloudwatch", "ec2", "events", "rds", "route53", "secretsmanager", "sts")


@contextlib.contextmanager
def serving(environment: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Serve, and yield what the environment of a playbook run needs for it.

    What ``environment`` preloads is preloaded here: a fork cannot do that later.
    """
    given = {name: value for name, value in (environment or {}).items() if name.startswith(("LD_", "NSS_"))}
    with tempfile.TemporaryDirectory(prefix="bluegreen-forks-") as directory:
        place = str(Path(directory) / "socket")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", place],
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, **given, "PYTHONPATH": str(Path(__file__).with_name("compiled"))},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        try:
            # A module that comes before the socket is there runs by itself.
            yield {VARIABLE: place, PRELOADED: given.get("LD_PRELOAD", "")}
        finally:
            process.communicate()


def main() -> None:
    """Serve until standard input ends."""
    _import_what_others_wrote()
    staging = f"{sys.argv[1]}.staging"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(staging)
        listening.listen(64)
        Path(staging).rename(sys.argv[1])
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who serve
        gc.freeze()  # or the forks copy what they only look at
        while 0 not in select.select([0, listening.fileno()], [], [])[0]:  # its end, for nothing is written to it
            connection = listening.accept()[0]
            with connection:
                if os.fork() == 0:
                    listening.close()
                    _serve(connection)


def _import_what_others_wrote() -> None:
    """Import it, and have botocore keep the descriptions of the services that modules ask."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    import boto3
    from botocore.loaders import JSONFileLoader

    loader: Any = JSONFileLoader
    loader.load_file = functools.lru_cache(maxsize=None)(loader.load_file)
    loader.__hash__ = lambda _self: 0
    loader.__eq__ = lambda _self, other: isinstance(other, JSONFileLoader)
    make: Any = boto3.client
    for service in _SERVICES:
        make(service, region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")


def _serve(connection: socket.socket) -> None:
    """Fork the module and tell its end, or end it when nobody waits for it any more; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _flags, _address = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb", buffering=0) as stream:
        left, pieces = int.from_bytes(size, "big"), []
        while left and (piece := stream.read(left)):
            pieces.append(piece)
            left -= len(piece)
        request = json.loads(b"".join(pieces))
    child = os.fork()
    if child == 0:
        connection.close()
        _run(files, **request)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, connection.fileno()], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(code.to_bytes(4, "big", signed=True))
    os._exit(0)


def _run(files: list[int], arguments: list[str], environment: dict[str, str], directory: str, umask: int) -> None:
    """Be the Python that was started with these arguments."""
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(directory)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).parent)
    code = 1
    try:
        runpy.run_path(arguments[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  as Python does
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
