# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the endpoint process reads from clients and answers them."""

from __future__ import annotations

import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.lab.postgresql import engine


@pytest.fixture(scope="module")
def endpoints() -> ModuleType:
    """The program, which is started by its path, as a module."""
    path = Path(engine.__file__).with_name("endpoints.py")
    spec = importlib.util.spec_from_file_location("lab_endpoints", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_startup_parameters_are_name_and_value_pairs(endpoints: ModuleType) -> None:
    body = b"user\0ren\xc3\xa9\0database\0shop\0options\0-c a=b\0\0"
    packet = struct.pack("!ii", len(body) + 8, 196608) + body
    assert endpoints.startup_parameters(packet) == {"user": "ren\u00e9", "database": "shop", "options": "-c a=b"}


def test_a_refusal_is_an_error_response_with_its_length(endpoints: ModuleType) -> None:
    message = endpoints.error_response("28000", "no pg_hba.conf entry")
    kind, length = struct.unpack_from("!ci", message)
    assert kind == b"E"
    assert length == len(message) - 1
    assert b"C28000\0" in message
    assert message.endswith(b"Mno pg_hba.conf entry\0\0")


def test_readers_take_turns(endpoints: ModuleType) -> None:
    targets = [endpoints.Target(name, "127.0.0.1", 1, False) for name in ("a", "b")]
    route = endpoints.Route("127.0.0.1", 5432, None, targets)
    assert {route.target().instance for _unused in range(2)} == {"a", "b"}
    assert endpoints.Route("127.0.0.1", 5432, None).target() is None
