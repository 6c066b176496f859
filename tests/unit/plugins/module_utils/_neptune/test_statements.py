# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written to green: other people's ids, labels and values never become a statement."""

from __future__ import annotations

from urllib.parse import parse_qs

import pyoxigraph
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import statements
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import escape
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.statements import literal, text

HOSTILE = "x'); g.V().drop(); //\\\n\"`}\u2028"


def test_a_label_is_a_quoted_name() -> None:
    assert "SET n:`a``b`:`c`" in statements.add_labels(["a`b", "c"])
    assert "(n:```) DETACH DELETE n //` {" in statements.create_vertices(["`) DETACH DELETE n //"])
    assert ":`KNOWS``]->()` {`~id`: r.id}" in statements.create_edges("KNOWS`]->()")


@pytest.mark.parametrize("string", ["", "it's", "\\", "\\'", "a\nb\rc\td", HOSTILE, "é中😀", "\x00\x1b", "${x}"])
def test_a_string_literal_reads_back_as_the_string(string: str) -> None:
    written = text(string)
    body = written[1:-1]
    assert written[0] == written[-1] == "'"
    # Gremlin's escapes are among Python's.
    unescaped = "".join(_unescaped(body))
    assert unescaped == string
    assert "\n" not in body
    assert "\r" not in body


def _unescaped(body: str) -> list[str]:
    single = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "\\": "\\", "'": "'"}
    found, at = [], 0
    while at < len(body):
        assert body[at] != "'", "the literal ends before the string does"
        if body[at] != "\\":
            found.append(body[at])
            at += 1
        elif body[at + 1] == "u":
            found.append(chr(int(body[at + 2 : at + 6], 16)))
            at += 6
        else:
            found.append(single[body[at + 1]])
            at += 2
    return found


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("String", "a", "'a'"),
        ("Bool", True, "true"),
        ("Bool", "false", "false"),
        ("Byte", -128, "-128b"),
        ("Short", 32767, "32767s"),
        ("Int", 5, "5"),
        ("Int", 2.0, "2"),
        ("Long", 9223372036854775807, "9223372036854775807L"),
        ("Float", 1.5, "1.5f"),
        ("Double", 1e300, "1e+300d"),
        ("Double", 3, "3.0d"),
        ("Double", "NaN", "NaN"),
        ("Double", "-Infinity", "-Infinity"),
        ("Date", 0, "datetime('1970-01-01T00:00:00.000Z')"),
        ("Date", -1, "datetime('1969-12-31T23:59:59.999Z')"),
        ("Date", 1521678942741, "datetime('2018-03-22T00:35:42.741Z')"),
        ("Date", "2018-03-22T01:35:42.741+01:00", "datetime('2018-03-22T00:35:42.741Z')"),
        ("Date", "2018-03-22", "datetime('2018-03-22T00:00:00.000Z')"),
    ],
)
def test_a_value_keeps_its_type(kind: str, value: object, written: str) -> None:
    assert literal(kind, value) == written


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Int", 2**31),
        ("Byte", 128),
        ("Int", True),
        ("Int", "1); g.V().drop("),
        ("Geo", 1),
        ("Bool", 1),
        ("Double", "1d)"),
        ("Date", "yesterday"),
        ("String", 5),
        ("Float", None),
    ],
)
def test_a_value_that_is_none_of_its_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(BlueGreenError, match=f"type '{kind}'"):
        literal(kind, value)


def test_values_of_one_element_are_taken_away_before_others_are_added() -> None:
    vertex = statements.vertex_values("v'1", [("k", "Int", 1)], [("k", "Long", 1), ("n'", "String", "x")])
    assert statements.gremlin([vertex]) == (
        r"g.inject(0).sideEffect(__.V('v\'1').properties('k').hasValue(1).drop())"
        r".sideEffect(__.V('v\'1').property(set,'k',1L).property(set,'n\'','x'))"
    )
    edge = statements.edge_values("e1", [], [("k", "Double", 1)])
    assert statements.gremlin([edge]) == "g.inject(0).sideEffect(__.E('e1').property('k',1.0d))"


QUADS = [
    '<http://a/s> <http://a/p> "x > \\" <y> _:z . \\u00e9" .\n',
    '<http://a/s> <http://a/p> "x"@en-GB <http://a/g> .',
    '<http://a/s> <http://a/p> "2020-01-01"^^<http://www.w3.org/2001/XMLSchema#date> <http://a/g> .',
    "<http://a/s> <http://a/p> <http://a/o> .",
    '<http://a/é> <http://a/p> "\\\\" .',
]


def test_statements_become_one_update_that_a_real_engine_runs() -> None:
    store = pyoxigraph.Store()
    store.update(statements.sparql_update([], QUADS))
    wanted = set(pyoxigraph.parse("\n".join(QUADS).encode(), pyoxigraph.RdfFormat.N_QUADS))
    assert set(store) == wanted
    store.update(statements.sparql_update(QUADS[1:], QUADS[:1]))
    assert len(store) == 1
    store.update(statements.sparql_update(QUADS, []))
    assert len(store) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "<http://a/s> <http://a/p> .",
        '<http://a/s> <http://a/p> "x" } ; DROP ALL ; INSERT DATA { <http://a/s> <http://a/p> "x" .',
        '<http://a/s> <http://a/p> "x .',
        "<http://a/s> <http://a/ p> <http://a/o> .",
        '<http://a/s> "p" <http://a/o> .',
        '<http://a/s> <http://a/p> "a\nb" .',
        "<http://a/s> <http://a/p> <http://a/o> . <http://a/s> <http://a/p> <http://a/o> .",
        "?s <http://a/p> <http://a/o> .",
    ],
)
def test_what_is_no_statement_is_refused(statement: str) -> None:
    with pytest.raises(BlueGreenError, match=r"no N-Quads"):
        statements.quad(statement)


def test_blank_nodes_are_seen_wherever_they_are_and_nowhere_else() -> None:
    assert not any(map(statements.has_blank_node, QUADS))
    for blank in (
        "_:b <http://a/p> <http://a/o> .",
        "<http://a/s> <http://a/p> _:b .",
        '<http://a/s> <http://a/p> "x" _:g .',
        "<http://a/s> <http://a/p> _:b.",
        "_:b <http://a/p> _:c <http://a/g> .",
    ):
        assert statements.quad(blank)
        assert statements.has_blank_node(blank)
    assert not statements.has_blank_node('<http://a/s> <http://a/p> "_:b" .')


@pytest.mark.parametrize("value", ["", "a b&c=d+e%f", '<x> "y" {z};\n\'~é😀', "%2B", "".join(map(chr, range(1, 127)))])
def test_a_form_field_reads_back_as_it_was(value: str) -> None:
    assert parse_qs(f"update={escape(value)}", keep_blank_values=True, strict_parsing=True) == {"update": [value]}
