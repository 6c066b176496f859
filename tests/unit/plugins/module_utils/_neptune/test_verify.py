# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is proved of a graph that is written to, by pages of a fake one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.comparison import TableProof
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Limit, Options, Verdict
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import verify
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.verify_elements import _plain
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.verify_rows import Row, Rows


class FakeGraph:
    """Vertices by id, of one label."""

    key = "~id"

    def __init__(self, values: dict[str, int], moves: Callable[[], int] | None = None) -> None:
        self.values, self.moves = values, moves

    def parts(self) -> set[str]:
        return {"vertex"}

    def page(self, _part: str, after: str, until: str | None, limit: int) -> tuple[Rows, str | None]:
        keys = sorted(key for key in self.values if key > after and (until is None or key <= until))[:limit]
        return self.rows("vertex", [(key,) for key in keys]), keys[-1] if len(keys) == limit else None

    def rows(self, _part: str, keys: Sequence[tuple[str, ...]]) -> Rows:
        more = self.moves() if self.moves is not None else 0
        return {key: Row(self.values[key[0]] + more, "Person", 1) for key in keys if key[0] in self.values}

    def counts(self, _part: str) -> dict[str, int]:
        return {"Person": len(self.values)}

    def some(self, _part: str, skip: int, limit: int) -> list[tuple[str, ...]]:
        return [(key,) for key in sorted(self.values)[skip : skip + limit]]


class FakeCarrier:
    """Whatever the source has is on the target, as the fakes have it."""

    def pass_marker(self) -> None:
        pass


def compare(source: FakeGraph, target: FakeGraph, sample: int = 0, **options: Any) -> TableProof:
    wanted = Options(**options)
    limit, verdict = Limit(0), Verdict()
    run = verify._Verification(source, target, cast(Any, FakeCarrier()), wanted, limit, "propertygraph")
    run.compare(sample, verdict)
    (proof,) = verdict.tables
    return proof


def people(count: int) -> dict[str, int]:
    return {f"p{number:05}": number for number in range(count)}


def test_pages_of_both_sides_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_PAGE", 7)
    proof = compare(FakeGraph(people(100)), FakeGraph(people(100)))
    assert (proof.equal, proof.blue_rows, proof.green_rows) == (True, 100, 100)


@pytest.mark.parametrize("extra", ["a", "p00006x", "p00013", "z"])
def test_what_only_the_target_has_is_found_wherever_it_is(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setattr(verify, "_PAGE", 7)
    here = people(20)
    here.pop(extra, None)
    proof = compare(FakeGraph(here), FakeGraph({**people(20), extra: 1}))
    assert (proof.equal, proof.different) == (False, 1)
    assert list(proof.differences) == [f"~id={extra}: only on green"]


def test_what_never_holds_still_is_never_called_equal() -> None:
    numbers = itertools.count(1)
    proof = compare(FakeGraph(people(3), lambda: next(numbers)), FakeGraph(people(3)), settle_timeout=0.05)
    assert not proof.equal and proof.error is not None and "still in flux" in proof.error


def test_a_sample_finds_a_count_that_differs() -> None:
    proof = compare(FakeGraph(people(30)), FakeGraph(people(29)), sample=5)
    assert not proof.equal and "30 rows on blue, 29 on green" in proof.differences


def test_a_cut_is_refused() -> None:
    with pytest.raises(BlueGreenError, match="Neptune has no lock that lets writers wait"):
        verify.refuse(Options(method="cut"))


def test_values_keep_their_types() -> None:
    def typed(kind: str, value: Any) -> dict[str, Any]:
        return {"@type": kind, "@value": value}

    pairs = [typed("g:T", "id"), "v1", "size", typed("g:List", [typed("g:Int32", 1), typed("g:Int64", 1)]), "on", True]
    assert _plain(typed("g:Map", pairs)) == {"T.id": "v1", "size": ["g:Int32 1", "g:Int64 1"], "on": True}
