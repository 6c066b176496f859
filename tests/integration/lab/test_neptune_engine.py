# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Neptune engine of the lab: TLS, signatures, volumes, instances and their addresses, and what can be broken."""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.lab.control_plane.credentials import ACCESS_KEY, SECRET_KEY
from tests.lab.engine import EngineError, InstanceSpec
from tests.lab.neptune import NeptuneEngine
from tests.lab.postgresql.ca import CertificateAuthority
from tests.lab.postgresql.processes import free_port

STREAMS = {"neptune_streams": "1"}
NUMBERS = itertools.count(1)
STREAM = "/propertygraph/stream?iteratorType="


class Place:
    """An engine with one port, and how its endpoints are asked."""

    def __init__(self, engine: NeptuneEngine, port: int) -> None:
        self.engine = engine
        self.port = port
        self.context = ssl.create_default_context(cafile=str(engine.ca_file))
        self.volumes: dict[str, str] = {}  # of instances

    def volume(self) -> str:
        name = f"v{next(NUMBERS)}"
        self.engine.create_volume(name, "1.2.1.0")
        return name

    def start(
        self,
        volume: str,
        role: Literal["writer", "reader"] = "writer",
        *also: str,
        parameters: dict[str, str] | None = None,
    ) -> tuple[str, str]:
        """Start an instance; return its name and its address."""
        number = next(NUMBERS)
        name, address = f"i{number}", f"127.0.7.{number}"
        self.volumes[name] = volume
        settings = STREAMS if parameters is None else parameters
        self.engine.start(InstanceSpec(name, volume, role, (address, *also), self.port, settings))
        return name, address

    def ask(
        self,
        address: str,
        path: str,
        body: str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 5,
    ) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(address, self.port, context=self.context, timeout=timeout)
        try:
            connection.request("GET" if body is None else "POST", path, body, headers or {})
            answer = connection.getresponse()
            raw = answer.read()
            if answer.getheader("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            return answer.status, json.loads(raw)
        finally:
            connection.close()

    def write(self, address: str, name: str, timeout: float = 5) -> tuple[int, Any]:
        """Make a vertex."""
        gremlin = json.dumps({"gremlin": f"g.addV('A').property(id,'{name}')"})
        return self.ask(address, "/gremlin", gremlin, timeout=timeout)

    def names(self, address: str) -> list[str]:
        """The ids of the vertices that an endpoint shows."""
        status, found = self.ask(
            address, "/openCypher", json.dumps({"query": "MATCH (n) RETURN id(n) AS x ORDER BY x"})
        )
        assert status == 200, found
        return [row["x"] for row in found["results"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One engine for the file; it leaves no process behind."""
    engine = NeptuneEngine(tmp_path_factory.mktemp("neptune"))
    (pid,) = engine.pids()
    yield Place(engine, free_port(28182))
    engine.close()
    assert not psutil.pid_exists(pid)


@pytest.fixture
def writer(place: Place) -> Iterator[tuple[str, str]]:
    """A writer's name and address."""
    found = place.start(place.volume())
    yield found
    place.engine.stop(found[0])


def test_the_certificate_is_the_lab_s_and_the_address_s(place: Place, writer: tuple[str, str], tmp_path: Path) -> None:
    _name, address = writer
    assert place.ask(address, "/status")[1]["status"] == "healthy"
    other = ssl.create_default_context(cafile=str(CertificateAuthority(tmp_path).file))
    with pytest.raises(ssl.SSLCertVerificationError):
        http.client.HTTPSConnection(address, place.port, context=other).connect()


def test_signed_requests_are_checked_as_the_service_does(place: Place) -> None:
    name, address = place.start(place.volume(), parameters={**STREAMS, "iam_auth": "1"})

    def signed(path: str, secret: str = SECRET_KEY, service: str = "neptune-db", body: str | None = None) -> Any:
        method = "GET" if body is None else "POST"
        request = AWSRequest(method, f"https://{address}:{place.port}{path}", data=(body or "").encode())
        SigV4Auth(Credentials(ACCESS_KEY, secret), service, "us-east-1").add_auth(request)
        return place.ask(address, path, body, dict(request.headers.items()))

    update = "update=INSERT+DATA+%7B+%3Chttp%3A%2F%2Fa%3E+%3Chttp%3A%2F%2Fp%3E+1+%7D"
    assert signed("/sparql", body=update)[0] == 200
    assert signed("/sparql/stream?iteratorType=TRIM_HORIZON&limit=5")[1]["totalRecords"] == 1
    for refused in (
        place.ask(address, "/status"),
        signed("/status", secret="wrong"),
        signed("/status", service="rds"),
    ):
        assert (refused[0], refused[1]["code"]) == (403, "AccessDeniedException")
    place.engine.apply_dynamic(name, STREAMS)
    assert place.ask(address, "/status")[0] == 200


def test_a_clone_has_graph_and_stream_and_goes_on_alone(place: Place, writer: tuple[str, str]) -> None:
    source = place.volumes[writer[0]]
    for number in range(3):
        place.write(writer[1], f"n{number}")
    place.engine.clone_volume(source, f"{source}-clone")
    _clone, address = place.start(f"{source}-clone")
    place.write(writer[1], "blue only")
    assert place.names(address) == ["n0", "n1", "n2"]
    assert place.ask(address, f"{STREAM}LATEST")[1]["lastEventId"] == {"commitNum": 3, "opNum": 1}
    place.write(address, "green only")
    blue, green = (
        place.ask(one, f"{STREAM}AFTER_SEQUENCE_NUMBER&commitNum=3&limit=9")[1] for one in (writer[1], address)
    )
    assert [page["records"][0]["data"]["id"] for page in (blue, green)] == ["blue only", "green only"]


def test_readers_share_the_volume_and_the_reader_address_is_theirs(place: Place, writer: tuple[str, str]) -> None:
    volume, shared = place.volumes[writer[0]], f"127.0.8.{next(NUMBERS)}"
    place.engine.set_addresses(writer[0], [writer[1], shared])
    assert place.write(shared, "through the reader address")[0] == 200
    first, second = (place.start(volume, "reader", shared)[0] for _one in range(2))
    status, found = place.write(shared, "refused")
    assert (status, found["code"]) == (400, "ReadOnlyViolationException")
    assert place.names(shared) == ["through the reader address"]
    for name in (first, second):
        place.engine.stop(name)
    assert place.ask(shared, "/status")[1]["role"] == "writer"


def test_streams_are_what_the_writer_was_started_with(place: Place) -> None:
    volume = place.volume()
    name, address = place.start(volume, parameters={})
    place.write(address, "unseen")
    assert place.ask(address, f"{STREAM}LATEST")[1]["code"] == "UnsupportedOperationException"
    place.engine.stop(name)
    name, address = place.start(volume)
    place.write(address, "seen")
    assert place.ask(address, f"{STREAM}TRIM_HORIZON")[1]["records"][0]["data"]["id"] == "seen"
    assert place.names(address) == ["seen", "unseen"]


def test_an_upgrade_wants_everything_stopped_and_keeps_what_is_there(place: Place) -> None:
    volume = place.volume()
    name, address = place.start(volume)
    place.write(address, "kept")
    with pytest.raises(EngineError, match="still runs"):
        place.engine.upgrade_volume(volume, "1.4.6.0")
    place.engine.stop(name)
    with pytest.raises(OSError):
        place.ask(address, "/status")
    place.engine.upgrade_volume(volume, "1.4.6.0")
    _name, address = place.start(volume)
    assert place.ask(address, "/status")[1]["dbEngineVersion"].startswith("1.4.6.0")
    assert place.names(address) == ["kept"]
    assert place.ask(address, f"{STREAM}LATEST")[1]["lastEventId"] == {"commitNum": 1, "opNum": 1}


def test_connections_stay_and_large_pages_come_compressed(place: Place, writer: tuple[str, str]) -> None:
    query = "UNWIND range(1, 500) AS k CREATE (:A {`~id`: 'v' + k, text: 'text text text'})"
    connection = http.client.HTTPSConnection(writer[1], place.port, context=place.context)
    connection.request("POST", "/openCypher", json.dumps({"query": query}))
    assert connection.getresponse().read() == b'{"results": []}'
    used = connection.sock
    connection.request("GET", f"{STREAM}TRIM_HORIZON&limit=1000", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    compressed = answer.read()
    assert answer.getheader("Content-Encoding") == "gzip"
    assert json.loads(gzip.decompress(compressed))["totalRecords"] == 1000
    assert connection.sock is used
    assert place.engine.links(writer[0]) == 1
    connection.close()


class TestFaults:
    def test_writes_take_the_time_that_they_are_told_to(self, place: Place, writer: tuple[str, str]) -> None:
        place.engine.fault(writer[0], write_latency=0.3)
        started = time.monotonic()
        place.write(writer[1], "slow")
        assert time.monotonic() - started >= 0.3
        place.engine.clear_faults()
        started = time.monotonic()
        place.write(writer[1], "quick")
        assert time.monotonic() - started < 0.3

    def test_requests_are_throttled_and_writes_collide_as_often_as_told(
        self, place: Place, writer: tuple[str, str]
    ) -> None:
        place.engine.fault(writer[0], throttled=1, conflicts=1)
        codes = [place.write(writer[1], f"n{number}")[1].get("code") for number in range(3)]
        assert codes == ["ThrottlingException", "ConcurrentModificationException", None]
        assert place.names(writer[1]) == ["n2"]

    def test_an_answer_can_be_lost_before_or_after_the_write(self, place: Place, writer: tuple[str, str]) -> None:
        for name, knobs in (("before", {"dropped_before": 1}), ("after", {"dropped_after": 1})):
            place.engine.fault(writer[0], **knobs)
            with pytest.raises((ConnectionError, ssl.SSLEOFError)):
                place.write(writer[1], name)
        assert place.names(writer[1]) == ["after"]

    def test_an_instance_dies_after_some_writes(self, place: Place, writer: tuple[str, str]) -> None:
        place.engine.fault(writer[0], dies_after=1)
        assert [place.write(writer[1], name)[0] for name in ("one", "two")] == [200, 200]
        with pytest.raises((ConnectionError, ssl.SSLEOFError)):
            place.write(writer[1], "three")

    def test_an_instance_can_be_silent_and_a_link_cut_or_stalled(self, place: Place, writer: tuple[str, str]) -> None:
        place.engine.fault(writer[0], silent=True)
        with pytest.raises(TimeoutError):
            place.ask(writer[1], "/status", timeout=0.3)
        place.engine.clear_faults()
        place.engine.fault_link(writer[1], "stall")
        with pytest.raises(TimeoutError):
            place.ask(writer[1], "/status", timeout=0.3)
        place.engine.fault_link(writer[1], "cut")
        with pytest.raises((ConnectionError, ssl.SSLEOFError)):
            place.ask(writer[1], "/status")
        place.engine.fault_link(writer[1], "none")
        assert place.ask(writer[1], "/status")[0] == 200
        with pytest.raises(EngineError, match=r"127\.0\.9\.9"):
            place.engine.fault_link("127.0.9.9", "cut")

    def test_streams_expire_and_lose_commits(self, place: Place, writer: tuple[str, str]) -> None:
        volume = place.volumes[writer[0]]
        for name in "abc":
            place.write(writer[1], name)
        place.engine.expire(volume, "propertygraph", 1)
        place.engine.lose(volume, "propertygraph", 2)
        assert place.ask(writer[1], "/propertygraph/stream?commitNum=1")[1]["code"] == "ExpiredStreamException"
        (record,) = place.ask(writer[1], f"{STREAM}TRIM_HORIZON")[1]["records"]
        assert record["eventId"] == {"commitNum": 3, "opNum": 1}
