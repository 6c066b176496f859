# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab with host names: who resolves them, and how soon a change is seen."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.engine import EngineError
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

SEEN = 1.0  # s, within which a change of a name is seen
CONNECT = """
import json, socket, sys, time
import boto3, psycopg2, pymysql
postgresql, mysql, ca = json.loads(sys.stdin.read())
found = {}
with psycopg2.connect(sslmode="verify-full", sslrootcert=ca, **postgresql) as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT host(inet_server_addr())")
        found["postgresql"] = cursor.fetchone()[0]
with pymysql.connect(ssl_ca=ca, ssl_verify_cert=True, ssl_verify_identity=True, **mysql) as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@bind_address")
        found["mysql"] = cursor.fetchone()[0]
found["boto3"] = sorted(c["Endpoint"] for c in boto3.client("rds").describe_db_clusters()["DBClusters"])
begin = time.monotonic()
try:
    socket.getaddrinfo("absent" + postgresql["host"].partition(".")[0] + "." + postgresql["host"].partition(".")[2], 5432)
except socket.gaierror as error:
    found["absent"] = [error.errno == socket.EAI_NONAME, time.monotonic() - begin]
print(json.dumps(found))
"""
WATCH = """
import socket, sys, time
for _unused in range(400):
    try:
        answer = socket.getaddrinfo(sys.argv[1], 80)[0][4][0]
    except socket.gaierror:
        answer = "none"
    print(time.time(), answer, flush=True)
    time.sleep(0.05)
"""
WATCH_JAVA = """
public class Watch {
    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < 400; i++) {
            String answer;
            try { answer = java.net.InetAddress.getByName(arguments[0]).getHostAddress(); }
            catch (java.net.UnknownHostException unknown) { answer = "none"; }
            System.out.println(System.currentTimeMillis() / 1000.0 + " " + answer);
            System.out.flush();
            Thread.sleep(50);
        }
    }
}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab with names."""
    with Lab.start(names=True) as started:
        yield started


@pytest.fixture(scope="module")
def both(lab: Lab) -> tuple[Blue, Blue]:
    """A PostgreSQL cluster and a MySQL cluster, both without a reader, made at the same time."""
    with ThreadPoolExecutor() as pool:
        shop = pool.submit(lab.seed_postgresql, "shop", readers=0)
        orders = pool.submit(lab.seed_mysql, "orders", readers=0)
        return shop.result(), orders.result()


@pytest.fixture(scope="module")
def shop(both: tuple[Blue, Blue]) -> Blue:
    """A PostgreSQL cluster without a reader."""
    return both[0]


@pytest.fixture(scope="module")
def orders(both: tuple[Blue, Blue]) -> Blue:
    """A MySQL cluster without a reader."""
    return both[1]


def login(blue: Blue, database: str) -> dict[str, object]:
    """What a driver is given."""
    return {"host": blue.host, "port": blue.port, "user": blue.user, "password": blue.password, database: blue.database}


def rename(lab: Lab, blue: Blue, name: str) -> tuple[Blue, float]:
    """Rename a cluster; return it with its new host, and when the old name stopped to exist."""
    lab.client("rds").modify_db_cluster(
        DBClusterIdentifier=blue.cluster, NewDBClusterIdentifier=name, ApplyImmediately=True
    )
    hosts = Path(lab.names["hosts"])
    wait_until(lambda: f" {blue.host}\n" not in hosts.read_text(encoding="ascii"), 20, "the name to be gone")
    at = time.time()
    lab.wait_available(name)
    return replace(blue, cluster=name, host=blue.host.replace(f"{blue.cluster}.", f"{name}.", 1)), at


def seen_gone(lab: Lab, blue: Blue, name: str, command: Sequence[str]) -> tuple[Blue, float]:
    """Let a program watch a cluster's name while the cluster is renamed; return how late it saw the name gone."""
    environment = {**os.environ, **lab.env} if command[0] == sys.executable else dict(os.environ)
    with subprocess.Popen([*command, blue.host], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().split()[1] == lab.address(blue.host)
            renamed, at = rename(lab, blue, name)
            for line in process.stdout:
                when, answer = line.split()
                if answer == "none":
                    return renamed, float(when) - at
        finally:
            process.kill()
    raise AssertionError("the name was not seen to be gone")


def test_drivers_and_boto3_connect_by_name_with_verified_tls_and_an_unknown_name_fails_at_once(
    lab: Lab, shop: Blue, orders: Blue
) -> None:
    given = json.dumps([login(shop, "dbname"), login(orders, "database"), lab.ca_file])
    done = subprocess.run(
        [sys.executable, "-c", CONNECT],
        env={**os.environ, **lab.env},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    instances = lab.client("rds").describe_db_instances()["DBInstances"]
    servers = {one["DBClusterIdentifier"]: lab.address(one["Endpoint"]["Address"]) for one in instances}
    assert (found["postgresql"], found["mysql"]) == (servers["shop"], servers["orders"])
    assert found["boto3"] == sorted((shop.host, orders.host))
    no_name, seconds = found["absent"]
    assert no_name and seconds < SEEN


def test_a_process_that_is_not_preloaded_gets_the_address(lab: Lab, shop: Blue) -> None:
    socket.create_connection((lab.address(shop.host), shop.port), timeout=5).close()
    assert lab.address("127.0.0.1") == "127.0.0.1"
    with pytest.raises(EngineError, match="has no host absent"):
        lab.address(f"absent.{shop.host}")


def test_the_resolver_answers_with_the_address_and_its_ttl(lab: Lab, shop: Blue) -> None:
    assert asked(lab, shop.host) == (0, lab.address(shop.host), 5)
    lab.faults.names_ttl(1)
    assert asked(lab, shop.host) == (0, lab.address(shop.host), 1)
    lab.faults.clear()
    assert asked(lab, f"absent.{shop.host}") == (3, "", 0)


def asked(lab: Lab, name: str) -> tuple[int, str, int]:
    """Ask the resolver for a name's address; return the code, the address and the TTL."""
    host, _colon, port = lab.resolver.rpartition(":")
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(
            struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1), (host, int(port))
        )
        message = client.recv(512)
    code, answers = message[3] & 15, int.from_bytes(message[6:8], "big")
    if not answers:
        return code, "", 0
    (ttl,) = struct.unpack("!I", message[-10:-6])
    return code, ".".join(map(str, message[-4:])), ttl


def test_a_preloaded_program_sees_a_rename_within_a_second(lab: Lab, shop: Blue) -> None:
    renamed, late = seen_gone(lab, shop, "store", [sys.executable, "-c", WATCH])
    assert late < SEEN
    assert rename(lab, renamed, "shop")[0] == shop


def test_a_java_program_sees_a_rename_soon(lab: Lab, orders: Blue, tmp_path: Path) -> None:
    java = shutil.which("java")
    assert java is not None
    source = tmp_path / "Watch.java"
    source.write_text(WATCH_JAVA, encoding="ascii")
    _renamed, late = seen_gone(lab, orders, "baskets", [java, *lab.java_options, str(source)])
    assert late < SEEN + 1.0  # its cache has whole seconds
