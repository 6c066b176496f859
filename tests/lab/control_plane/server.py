# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint: moto's threaded server with our RDS API in it, and the lab's own knobs under /lab."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

import boto3
import moto.rds.urls
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.lab.control_plane import identity
from tests.lab.control_plane.api import operations
from tests.lab.control_plane.credentials import ACCESS_KEY, SECRET_KEY
from tests.lab.control_plane.knobs import Knobs
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.wire import Wire, status_of

LOG = logging.getLogger(__name__)
KNOBS_PATH = "/lab/"
_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/[^/]+/(ec2|iam|sts)/")


class Application:
    """The WSGI application: /lab/ is ours, everything else is AWS.

    Faults of the RDS API are answered where that is served (wire.py), faults of the services that speak JSON here.
    """

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self._aws = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not str(environ.get("PATH_INFO", "")).startswith(KNOBS_PATH):
            ours = self._identity(environ)
            return ours(environ, start_response) if ours else self._answer_as_aws(environ, start_response)
        request = Request(environ)
        try:
            body = json.loads(request.get_data() or b"{}")
            answer = Response(json.dumps(self.knobs.turn(request.path.removeprefix(KNOBS_PATH), body)))
        except (TypeError, ValueError) as exc:
            answer = Response(json.dumps({"error": str(exc)}), 400)
        answer.mimetype = "application/json"
        return answer(environ, start_response)

    def _identity(self, environ: dict[str, Any]) -> Response | None:
        """The lab's own answer of IAM, STS or EC2, None when the request is somebody else's."""
        signed = _SIGNED_FOR.search(str(environ.get("HTTP_AUTHORIZATION", "")))
        if signed is None:
            return None
        request = Request(environ)
        body = request.get_data(parse_form_data=False)
        environ["wsgi.input"] = io.BytesIO(body)  # whoever answers reads it again
        found = identity.answer(self.knobs.plane, signed.group(1), Request(environ))
        environ["wsgi.input"] = io.BytesIO(body)
        return Response(found[2], found[0], found[1]) if found else None

    def _answer_as_aws(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        service, dot, operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")
        before, after = self.knobs.faults.count(operation, service) if dot else (None, None)
        answered: Iterable[bytes] = []
        if before is None:
            answered = self._aws(environ, start_response if after is None else _ignore)
        error = before or after
        if error is None:
            return answered
        body = json.dumps({"__type": error.code, "message": error.message})
        return Response(body, status_of(error, 400), mimetype="application/x-amz-json-1.1")(environ, start_response)


def _ignore(*_arguments: Any) -> Callable[[bytes], None]:
    """A start_response for an answer that nobody gets."""
    return lambda _data: None


class Endpoint(ThreadedMotoServer):
    """One loopback HTTP endpoint for all of AWS; moto is one per process, so is this."""

    def __init__(self, plane: ControlPlane, stop: Callable[[], None]) -> None:
        """Serve a control plane; `stop` is what the knob of that name calls."""
        super().__init__("127.0.0.1", 0, verbose=False)
        self._wire = Wire(plane, operations())
        self._application = Application(Knobs(plane, stop))
        logging.getLogger("werkzeug").setLevel(logging.ERROR)

    def _server_entry(self) -> None:
        self._server = make_server(
            self._ip_address, self._port, self._application, True, request_handler=MotoRequestHandler
        )
        self._server_ready_event.set()
        self._server.serve_forever()

    def start(self) -> None:
        """Serve; when this returns it is certain that the RDS API is ours and not moto's."""
        # moto builds a service's application at its first request, from its module's url_paths.
        moto.rds.urls.url_paths = {"{0}/$": self._wire.answer}
        super().start()
        found = self.client("rds").describe_db_engine_versions()["DBEngineVersions"]
        ours = {version.version for version in self._wire.plane.versions()}
        if {version["EngineVersion"] for version in found} != ours:
            raise RuntimeError("the RDS API of the endpoint is not the lab's own; is moto the pinned version?")

    def serve(self, plane: ControlPlane, stop: Callable[[], None]) -> None:
        """Serve another control plane from now on; what the rest of AWS has is moto's and stays."""
        self._wire.plane = plane
        self._application.knobs = Knobs(plane, stop)

    @property
    def url(self) -> str:
        """The endpoint's URL."""
        host, port = self.get_host_and_port()
        return f"http://{host}:{port}"

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client of the endpoint."""
        connect: Any = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=region).client
        return connect(service, endpoint_url=self.url)
