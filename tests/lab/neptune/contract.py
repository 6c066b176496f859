# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The openCypher that replication writes, on a real openCypher engine and on the lab's: both must do the same.

`python -m tests.lab.neptune.contract --runs 20`. Random graphs are changed by random uses of every statement; after each
one the rows that it returned and the whole graphs are compared. The real engine is ArcadeDB, fetched once into the cache
directory. It has no custom ids: `~id` is a property there, and id(n) is written as that property.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import conftest
from tests.lab.neptune import cypher
from tests.lab.neptune.graph import Graph
from tests.lab.postgresql.binaries import cache_directory

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
STEPS = 40
LABELS, TYPES = ("Person", "Boss", "Größe `2`"), ("KNOWS", "has part")
VERTICES = (*(f"v{number}" for number in range(8)), 'it\'s "ü" \\ 🛒')
EDGES = tuple(f"e{number}" for number in range(8))
_ID = re.compile(r"\bid\((\w+)\)")

Rows = list[dict[str, Any]]
# Vertices as {id: labels}, edges as {id: (type, start, end)}
Content = tuple[dict[str, set[str]], dict[str, tuple[str, str, str]]]


class Engine(Protocol):
    """What runs statements and shows what is there."""

    def run(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """Run a statement as a transaction."""

    def content(self) -> Content:
        """Return the whole graph."""


class LabEngine:
    """The lab's graph core."""

    def __init__(self) -> None:
        self._graph = Graph()

    def run(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """Run a statement as a transaction."""
        found = cypher.parse(query).run(self._graph, dict(parameters))
        self._graph.commit()
        return found

    def content(self) -> Content:
        """Return the whole graph."""
        vertices = {vertex.id: set(vertex.labels) for vertex in self._graph.vertices.values()}
        return vertices, {edge.id: (edge.label, edge.start.id, edge.end.id) for edge in self._graph.edges.values()}


class ArcadeEngine:
    """ArcadeDB in this process."""

    def __init__(self, directory: Path) -> None:
        """Make an empty database in a directory that does not exist yet."""
        self._database = importlib.import_module("arcadedb_embedded").create_database(str(directory))

    def run(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """Run a statement as a transaction."""
        with self._database.transaction():
            found = self._database.command("opencypher", _ID.sub(r"\1.`~id`", query), dict(parameters))
            return [dict(row.to_dict()) for row in found]

    def _select(self, query: str, *names: str) -> list[list[Any]]:
        return [[row.get(name) for name in names] for row in self._database.query("opencypher", query)]

    def content(self) -> Content:
        """Return the whole graph."""
        vertices = self._select("MATCH (n) RETURN n.`~id` AS id, labels(n) AS labels", "id", "labels")
        edges = self._select(
            "MATCH (a)-[e]->(b) RETURN e.`~id` AS id, type(e) AS type, a.`~id` AS start, b.`~id` AS end",
            *("id", "type", "start", "end"),
        )
        return {one: set(labels) for one, labels in vertices}, {edge[0]: tuple(edge[1:]) for edge in edges}

    def clear(self) -> None:
        """Begin anew."""
        self.run("MATCH (n) DETACH DELETE n", {})

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def statement(chance: random.Random, there: Content, texts: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return a random use of one of the statements in `texts`, with what replication runs before it."""
    vertices, _edges = there
    ids = chance.sample(VERTICES, chance.randint(1, 5))
    labels = chance.sample(LABELS, chance.randint(1, 2))
    rows = [
        {"id": edge, "label": TYPES[0], "source": chance.choice(VERTICES[:3]), "target": chance.choice(VERTICES[-2:])}
        for edge in chance.sample(EDGES, chance.randint(2, 6))
    ]
    kind = chance.choice(TYPES)
    for row in rows:
        row["label"] = kind
    spared = [one for one in ids if vertices.get(one, set()) - set(labels)]
    uses: list[Callable[[], list[tuple[str, dict[str, Any]]]]] = [
        lambda: [(texts.create_vertices(labels), {"ids": ids})],
        lambda: [(texts.add_labels(labels), {"ids": ids})],
        lambda: [(texts.remove_labels(labels), {"ids": spared})],
        lambda: [(texts.drop_vertices(), {"ids": ids, "labels": labels})],
        lambda: [
            (texts.mark_absent(), {"ids": ids, "labels": labels}),
            (texts.add_labels(labels), {"ids": ids[:2]}),
            (texts.DROP_ABSENT, {}),
            (texts.FORGET_ABSENT, {}),
        ],
        lambda: [(texts.DROP_EDGES, {"ids": chance.sample(EDGES, 2)})],
        lambda: [(texts.DROP_OTHER_EDGES, {"rows": rows}), (texts.create_edges(kind), {"rows": rows})],
    ]
    making = [uses[0]] if len(vertices) < len(VERTICES) - 2 else [uses[-1]]
    return chance.choice(uses if chance.random() < 0.5 else making)()


def compare(one: Engine, other: Engine, chance: random.Random, texts: Any) -> tuple[int, str]:
    """Return how many statements were run, and the first difference; none is empty."""
    count = 0
    for _step in range(STEPS):
        for query, parameters in statement(chance, one.content(), texts):
            found = [engine.run(query, parameters) for engine in (one, other)]
            count += 1
            if found[0] != found[1]:
                return count, f"{query} with {parameters} returned {found[0]} and {found[1]}"
            if one.content() != other.content():
                return count, f"{query} with {parameters} made {one.content()} and {other.content()}"
    return count, ""


def fetch() -> Path:
    """Return the directory of the real engine's packages; they are installed there when it does not exist."""
    target = cache_directory() / f"arcadedb-py{sys.version_info.major}{sys.version_info.minor}"
    if not target.exists():
        staging = target.with_name(target.name + ".new")
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(staging), "-r", str(REQUIREMENTS)]
        subprocess.run(command, check=True)
        staging.rename(target)
    return target


def main() -> int:
    """Compare; print the result as one line of JSON and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.neptune.contract", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="random graphs")
    runs = parser.parse_args().runs
    conftest.prepare()
    sys.path.append(str(fetch()))
    texts = importlib.import_module("ansible_collections.bluegreen.aws.plugins.module_utils._neptune.statements")
    statements, different = 0, []
    # the real engine leaves a log in the directory that it runs in
    with tempfile.TemporaryDirectory(prefix="bluegreen-contract-") as directory, contextlib.chdir(directory):
        real = ArcadeEngine(Path(directory) / "graph")
        try:
            for seed in range(runs):
                real.clear()
                count, difference = compare(LabEngine(), real, random.Random(seed), texts)
                statements += count
                if difference:
                    different.append(seed)
                    print(f"seed {seed}: {difference}")
        finally:
            real.close()
    print(json.dumps({"contract": "opencypher", "runs": runs, "statements": statements, "different": different}))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
