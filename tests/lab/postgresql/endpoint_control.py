# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's end of the endpoint process: orders and answers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Queue
from typing import Any, Literal

from tests.lab.engine import EngineError

ANSWER_SECONDS = 20.0
ROOT = Path(__file__).resolve().parents[3]
PROGRAM = str(Path(__file__).resolve().with_name("endpoints.py"))
Scope = Literal["client", "replication", "all"]
Mode = Literal["none", "cut", "stall", "delay"]


class EndpointControl:
    """Starts the endpoint process and tells it which address leads where."""

    def __init__(
        self, log: Path, on_replication: Callable[[Sequence[str]], None], program: Sequence[str] = (PROGRAM,)
    ) -> None:
        """Start the process; `on_replication(instances)` is called before a walsender of one of them starts."""
        if importlib.util.find_spec("uvloop") is None:
            raise EngineError("The lab's endpoints need uvloop: run `make setup`, or `pip install uvloop`.")
        self._on_replication = on_replication
        self._lock = threading.Lock()
        self._next = 0
        self._answers: dict[int, Queue[dict[str, Any]]] = {}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *program],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self._process.pid
        threading.Thread(target=self._read, name="endpoint-answers", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "event" in message:
                threading.Thread(target=self._replication, args=(message,), daemon=True).start()
            elif (waiting := self._answers.pop(message["id"], None)) is not None:
                waiting.put(message)
        for waiting in list(self._answers.values()):
            waiting.put({"error": "the endpoint process has ended"})

    def _replication(self, message: dict[str, Any]) -> None:
        try:
            self._on_replication(message["instances"])
        finally:
            self._send({"order": "proceed", "event": message["id"]})

    def _send(self, order: dict[str, Any]) -> Queue[dict[str, Any]]:
        answer: Queue[dict[str, Any]] = Queue()
        assert self._process.stdin is not None
        with self._lock:
            self._next += 1
            self._answers[self._next] = answer
            try:
                self._process.stdin.write(json.dumps({**order, "id": self._next}).encode() + b"\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                answer.put({"error": "the endpoint process has ended"})
        return answer

    def order(self, name: str, **details: object) -> Any:
        """Give an order and return its result; EngineError when it failed."""
        message = self._send({"order": name, **details}).get(timeout=ANSWER_SECONDS)
        if "error" in message:
            raise EngineError(f"The endpoint process could not do {name}: {message['error']}.")
        return message["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
