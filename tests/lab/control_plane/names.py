# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host names of a lab's endpoints, as the service makes them, and the file that says which address each has now.

The file is one of hosts, as nss_wrapper (a preloaded library) and Java (`-Djdk.net.hosts.file`) read it. Every change
writes it whole and gives it a later second than before: that is what nss_wrapper looks at.
"""

from __future__ import annotations

import os
import secrets
import socket
import string
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.lab.resolver import Resolver

FILE = "hosts"
TTL = 5  # s, of the endpoints of the service
RDS, NEPTUNE = "rds", "neptune"  # the word before .amazonaws.com
_HASH_LENGTH = 12
_HASH_SIGNS = string.ascii_lowercase + string.digits


def environment(library: str, file: str) -> dict[str, str]:
    """Return the environment of a process that sees the names of a file.

    A name that is not in the file would be looked up by the machine's resolver, seconds where that is slow, and AWS has
    such zones: no server is asked, the name does not exist.
    """
    return {"LD_PRELOAD": library, "NSS_WRAPPER_HOSTS": file, "RES_OPTIONS": "attempts:0"}


class Names:
    """Names and their addresses; `library` is what a process preloads to see them, `ttl` what the resolver says.

    A name that is not there does not resolve, at once: so a name that was removed is gone.
    """

    def __init__(self, directory: Path, library: Path) -> None:
        """Begin without a name; the file lies in `directory`."""
        self.file = directory / FILE
        self.library = library
        self.ttl = TTL
        self.hash = "c" + "".join(secrets.choice(_HASH_SIGNS) for _unused in range(_HASH_LENGTH - 1))
        self._lock = threading.RLock()
        self._addresses: dict[str, str] = {}
        self._zones: dict[tuple[str, str], None] = {}  # (Region, word), in the order in which they were first asked for
        self._second = 0
        self._later: list[threading.Timer] = []
        self._closed = False
        self._resolver = Resolver(self._record)
        self._write()

    # What a name looks like

    def cluster(self, region: str, identifier: str, word: str = RDS) -> str:
        """Return the name of a cluster endpoint."""
        return f"{identifier}.cluster-{self._zone(region, word)}"

    def reader(self, region: str, identifier: str, word: str = RDS) -> str:
        """Return the name of a cluster's reader endpoint."""
        return f"{identifier}.cluster-ro-{self._zone(region, word)}"

    def instance(self, region: str, identifier: str, word: str = RDS) -> str:
        """Return the name of an instance endpoint."""
        return f"{identifier}.{self._zone(region, word)}"

    def world(self, identifier: str) -> str:
        """Return the name of a global cluster's writer endpoint."""
        return f"{identifier}.global-{self.hash}.global.rds.amazonaws.com"

    def _zone(self, region: str, word: str) -> str:
        with self._lock:
            self._zones.setdefault((region, word))
        return f"{self.hash}.{region}.{word}.amazonaws.com"

    def wildcards(self) -> tuple[str, ...]:
        """Return the names that certificates are valid for: those of every zone so far. They only become more."""
        with self._lock:
            zones = [f"{self.hash}.{region}.{word}.amazonaws.com" for region, word in self._zones]
        found = [f"*.{prefix}{zone}" for zone in zones for prefix in ("", "cluster-", "cluster-ro-")]
        return (f"*.global-{self.hash}.global.rds.amazonaws.com", *found)

    # Where a name leads

    def lookup(self, name: str) -> str | None:
        """Return the address of a name, None when there is no such name."""
        with self._lock:
            return self._addresses.get(name.lower())

    def set(self, name: str, address: str) -> None:
        """Let a name lead to an address from now on."""
        self.change({name: address})

    def remove(self, name: str) -> None:
        """Let a name not exist any more; one that does not is fine."""
        self.change({name: None})

    def change(self, changes: Mapping[str, str | None]) -> None:
        """Change several names at once; None removes one."""
        with self._lock:
            for name, address in changes.items():
                self._addresses.pop(name.lower(), None)
                if address is not None:
                    self._addresses[name.lower()] = address
            self._write()

    def later(self, seconds: float, changes: Mapping[str, str | None]) -> None:
        """Change several names at once after some seconds, as a change of DNS is seen late."""
        timer = threading.Timer(seconds, self.change, [dict(changes)])
        timer.daemon = True
        with self._lock:
            if self._closed:
                return
            self._later = [one for one in self._later if one.is_alive()] + [timer]
            timer.start()

    def _write(self) -> None:
        if self._closed:
            return
        lines = [f"127.0.0.1 localhost {socket.gethostname()}"]
        lines += [f"{address} {name}" for name, address in self._addresses.items()]
        staging = self.file.with_name(f"{FILE}.new")
        staging.write_text("\n".join(lines) + "\n", encoding="ascii")
        staging.chmod(0o644)
        self._second = max(int(time.time()), self._second + 1)
        os.utime(staging, (self._second, self._second))
        staging.replace(self.file)

    # Who sees them

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a process that sees the names."""
        return environment(str(self.library), str(self.file))

    @property
    def resolver(self) -> str:
        """Return `host:port` of the DNS server that answers for the names."""
        return self._resolver.address

    def _record(self, name: str) -> tuple[str, int] | None:
        address = self.lookup(name)
        return None if address is None else (address, self.ttl)

    def start(self) -> None:
        """Start the DNS server."""
        self._resolver.__enter__()

    def close(self) -> None:
        """End the DNS server, and every change that is still to come."""
        with self._lock:
            self._closed = True
            waiting, self._later = self._later, []
        for timer in waiting:
            timer.cancel()
        self._resolver.__exit__()
