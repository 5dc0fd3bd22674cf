"""Diagnostics as text and as JSON, to the character."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any
from unicodedata import category, east_asian_width

import pytest

from replicator.cli import main
from replicator.diagnostics import Diagnostic, Place, Related, tidy
from replicator.report import as_json, as_text

FILE = "dsl.yaml"


def place(line: int, column: int, end: int = 0, file: str = FILE) -> Place:
    return Place(file, line, column, line, end or column + 1)


def error(message: str = "no", where: Place | None = None, **fields: Any) -> Diagnostic:
    return Diagnostic("R0203", message, where)._replace(**fields)


def shown(found: list[Diagnostic], source: str = "a: b\n") -> str:
    return as_text(found, {FILE: source})


def test_nothing_is_said_of_nothing() -> None:
    assert shown([]) == ""


def block(text: str) -> str:
    return dedent(text).lstrip("\n")


TEXTS = {
    "a message, a place, a way out": (
        error('unknown field "replica"', place(2, 3, 10), path="$.spec.replica", hint='did you mean "replicas"?'),
        "spec:\n  replica: 2\n",
        """
        error[R0203]: unknown field "replica"
          --> dsl.yaml:2:3
           |
         2 |   replica: 2
           |   ^^^^^^^
          at: $.spec.replica
        help: did you mean "replicas"?

        1 error in 1 file
        """,
    ),
    "no place": (
        error("there is no island `cart/ue`", hint="known here: eu, us"),
        "",
        """
        error[R0203]: there is no island `cart/ue`
        help: known here: eu, us

        1 error
        """,
    ),
    "a file whose text is not known": (
        error("not UTF-8", place(3, 4, file="other.yaml")),
        "",
        """
        error[R0203]: not UTF-8
          --> other.yaml:3:4

        1 error in 1 file
        """,
    ),
    "a line that is not there": (
        error("no", place(9, 1)),
        "a: b\n",
        """
        error[R0203]: no
          --> dsl.yaml:9:1

        1 error in 1 file
        """,
    ),
    "a wide gutter": (
        error("no", place(1000, 1)),
        "\n" * 999 + "a: b\n",
        """
        error[R0203]: no
          --> dsl.yaml:1000:1
              |
         1000 | a: b
              | ^

        1 error in 1 file
        """,
    ),
    "an empty file": (
        error("nothing", place(1, 1)),
        "",
        """
        error[R0203]: nothing
          --> dsl.yaml:1:1
           |
         1 |
           | ^

        1 error in 1 file
        """,
    ),
    "the end of a line": (
        error("no", place(1, 5)),
        "a: b\nc: d\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:5
           |
         1 | a: b
           |     ^

        1 error in 1 file
        """,
    ),
    "a range over lines": (
        error("no", Place(FILE, 1, 4, 3, 2)),
        "a: [b,\n  c\n]\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:4
           |
         1 | a: [b,
           |    ^^^

        1 error in 1 file
        """,
    ),
    "a line that ends as on Windows": (
        error("no", place(1, 4, 9)),
        "a: b\r\nc: d\r\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:4
           |
         1 | a: b
           |    ^

        1 error in 1 file
        """,
    ),
    "wide characters before": (
        error("no", place(1, 5)),
        "東京: x\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:5
           |
         1 | 東京: x
           |       ^

        1 error in 1 file
        """,
    ),
    "wide characters pointed at": (
        error("no", place(1, 4, 6)),
        "a: 東京\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:4
           |
         1 | a: 東京
           |    ^^^^

        1 error in 1 file
        """,
    ),
    "combining marks before": (
        error("no", place(1, 7)),
        "cafe\u0301: x\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:7
           |
         1 | cafe\u0301: x
           |      ^

        1 error in 1 file
        """,
    ),
    "marks of Thai before": (
        error("no", place(1, 9)),
        "สวัสดี: x\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:9
           |
         1 | สวัสดี: x
           |       ^

        1 error in 1 file
        """,
    ),
    "tabs before": (
        error("no", place(1, 5)),
        "a:\t\tb\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:5
           |
         1 | a:  b
           |     ^

        1 error in 1 file
        """,
    ),
    "what a terminal would obey": (
        error("a\x1b[31mb\x07\x9b2J\nc", place(1, 6), path="$.\x1b[1m", hint="d\x1b]0;title\x07e\r"),
        "a: \x1b[\u202eb\n",
        """
        error[R0203]: a\ufffd[31mb\ufffd\ufffd2J\ufffdc
          --> dsl.yaml:1:6
           |
         1 | a: \ufffd[\ufffdb
           |      ^
          at: $.\ufffd[1m
        help: d\ufffd]0;title\ufffde\ufffd

        1 error in 1 file
        """,
    ),
    "what a terminal would obey, in another place": (
        error("no", place(1, 1), related=(Related("`\x1b[31mx` has it too", place(2, 1)),)),
        "a: b\nc: d\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:1
           |
         1 | a: b
           | ^
          ::: dsl.yaml:2:1
           |
         2 | c: d
           | ^ `\ufffd[31mx` has it too

        1 error in 1 file
        """,
    ),
    "what a terminal would obey, in the name of a file": (
        error("no", place(1, 1, file="a\x1b[31m.yaml")),
        "",
        """
        error[R0203]: no
          --> a\ufffd[31m.yaml:1:1

        1 error in 1 file
        """,
    ),
    "two places": (
        error(
            "two ports of the number 80",
            place(2, 1),
            related=(Related("`a` has it too", place(1, 1)), Related("in this file", place(1, 2, file="o.yaml"))),
        ),
        "a: 80\nb: 80\n",
        """
        error[R0203]: two ports of the number 80
          --> dsl.yaml:2:1
           |
         2 | b: 80
           | ^
          ::: dsl.yaml:1:1
           |
         1 | a: 80
           | ^ `a` has it too
          ::: o.yaml:1:2 in this file

        1 error in 1 file
        """,
    ),
    "the same in another": (
        error("no", place(1, 1), others=1, hint="out"),
        "a: b\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:1
           |
         1 | a: b
           | ^
          note: same in 1 other
        help: out

        1 error in 1 file
        """,
    ),
    "the same in many others": (
        error("no", place(1, 1), others=9998),
        "a: b\n",
        """
        error[R0203]: no
          --> dsl.yaml:1:1
           |
         1 | a: b
           | ^
          note: same in 9,998 others

        1 error in 1 file
        """,
    ),
    "a warning": (
        error("careful", place(1, 1), severity="warning"),
        "a: b\n",
        """
        warning[R0203]: careful
          --> dsl.yaml:1:1
           |
         1 | a: b
           | ^

        1 warning in 1 file
        """,
    ),
    "the head of a long line": (
        error("no", place(1, 4, 6)),
        "a: bc" + "d" * 1_000_000 + "\n",
        f"""
        error[R0203]: no
          --> dsl.yaml:1:4
           |
         1 | a: bc{"d" * 155}
           |    ^^

        1 error in 1 file
        """,
    ),
    "the middle of a long line": (
        error("no", place(1, 501, 503)),
        "a" * 500 + "bc" + "d" * 500 + "\n",
        f"""
        error[R0203]: no
          --> dsl.yaml:1:501
           |
         1 | {"a" * 80}bc{"d" * 78}
           | {" " * 80}^^

        1 error in 1 file
        """,
    ),
    "a range that is longer than what is shown": (
        error("no", place(1, 4, 9_000)),
        "a: " + "b" * 9_000 + "\n",
        f"""
        error[R0203]: no
          --> dsl.yaml:1:4
           |
         1 | a: {"b" * 157}
           |    {"^" * 157}

        1 error in 1 file
        """,
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str) -> None:
    diagnostic, source, text = TEXTS[name]
    lines = [line.rstrip() for line in shown([diagnostic], source).split("\n")]
    assert "\n".join(lines) == block(text)


@pytest.mark.parametrize("name", TEXTS)
def test_no_colour_no_escapes(name: str) -> None:
    diagnostic, source, _ = TEXTS[name]
    assert all(character == "\n" or character.isprintable() for character in shown([diagnostic], source))


@pytest.mark.parametrize(
    "before", ["", "ab", "東京", "e\u0301", "สวัสดี", "한국", "हिन्दी", "\t", "\x1b[", "é" * 300, "東" * 300]
)
def test_caret_is_under_what_is_pointed_at(before: str) -> None:
    text = shown([error("no", place(1, len(before) + 1))], f"{before}X: y\n")
    line, caret = text.split("\n")[3:5]

    def width(part: str) -> int:
        zero = sum(category(character) in ("Mn", "Me") for character in part)
        return len(part) - zero + sum(east_asian_width(character) in "WF" for character in part)

    assert width(line[: line.index("X")]) == width(caret[: caret.index("^")])
    assert caret.count("^") == 1


def test_findings_follow_each_other() -> None:
    text = shown(
        [
            error("one", place(1, 1)),
            error("two", place(2, 1), severity="warning"),
            error("three", place(1, 1, file="other.yaml")),
            error("four"),
        ],
        "a: b\nc: d\n",
    )
    assert text == block(
        """
        error[R0203]: one
          --> dsl.yaml:1:1
           |
         1 | a: b
           | ^

        warning[R0203]: two
          --> dsl.yaml:2:1
           |
         2 | c: d
           | ^

        error[R0203]: three
          --> other.yaml:1:1

        error[R0203]: four

        3 errors, 1 warning in 2 files
        """
    )


def test_colour() -> None:
    text = as_text(
        [error("no", place(1, 1), hint="out"), error("careful", severity="warning")], {FILE: "a: \x1b[31mb\n"}, True
    )
    assert text == (
        "\x1b[1;31merror[R0203]\x1b[0m: no\n"
        "  --> dsl.yaml:1:1\n"
        "   |\n"
        " 1 | a: \ufffd[31mb\n"
        "   | ^\n"
        "\x1b[1;36mhelp\x1b[0m: out\n"
        "\n"
        "\x1b[1;33mwarning[R0203]\x1b[0m: careful\n"
        "\n"
        "1 error, 1 warning in 1 file\n"
    )


# JSON

PLACE = {"file": FILE, "line": 1, "column": 4, "endLine": 1, "endColumn": 6}
NOWHERE = {"file": None, "line": None, "column": None, "endLine": None, "endColumn": None}


def test_json_has_every_key() -> None:
    found = [
        error("all", place(1, 4, 6), path="$.a", hint="out", others=3, related=(Related("there", place(1, 4, 6)),)),
        error("none", severity="warning"),
    ]
    text = as_json(found, [("Secret", "eu/db")])
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "version": 1,
        "diagnostics": [
            {
                "code": "R0203",
                "severity": "error",
                "message": "all",
                **PLACE,
                "path": "$.a",
                "hint": "out",
                "others": 3,
                "related": [{"message": "there", **PLACE}],
            },
            {
                "code": "R0203",
                "severity": "warning",
                "message": "none",
                **NOWHERE,
                "path": None,
                "hint": None,
                "others": 0,
                "related": [],
            },
        ],
        "external": [{"kind": "Secret", "name": "eu/db"}],
    }


def test_json_of_nothing() -> None:
    assert json.loads(as_json([])) == {"version": 1, "diagnostics": [], "external": []}


def test_json_keeps_text_as_it_is() -> None:
    message = "東京 \x1b[31m \u202e \x9b \n"
    text = as_json([error(message)])
    assert json.loads(text)["diagnostics"][0]["message"] == message
    assert "東京" in text
    assert "\x1b" not in text


def test_json_of_half_a_character() -> None:
    """What came from a command line's bytes can be encoded, and read back."""
    text = as_json([error("\udcff")])
    assert json.loads(text.encode())["diagnostics"][0]["message"]


# What is told at all


def test_many_findings_are_cut_in_text_and_whole_in_json() -> None:
    found = [error(f"no {number}", place(number, 1)) for number in range(1, 100)]
    found.insert(0, error("careful", place(1, 1), severity="warning"))
    assert "more" not in shown(found)
    found += [error(f"no {number}", place(number, 1)) for number in range(100, 1_300)]
    cut = shown(found)
    assert cut.count("error[R0203]: ") == 100
    assert "warning[" not in cut
    assert cut.endswith(
        "\n… and 1,200 more (`replicator validate --format json` prints all)\n\n1,299 errors, 1 warning in 1 file\n"
    )
    assert len(json.loads(as_json(found))["diagnostics"]) == 1_300


def test_order_is_that_of_the_places() -> None:
    found = [
        error("d", place(1, 1, file="z.yaml")),
        error("c", place(10, 1)),
        error("b", place(2, 9)),
        error("a", place(2, 3)),
        error("nowhere"),
    ]
    assert [one.message for one in tidy(found)] == ["nowhere", "a", "b", "c", "d"]


def test_a_finding_is_told_once() -> None:
    assert tidy([error("a", place(1, 1)), error("a", place(1, 1))]) == [error("a", place(1, 1))]
    assert tidy([error("a"), error("a")]) == [error("a")]


def test_one_finding_in_many_islands_is_folded() -> None:
    found = [error(f"island {number}", place(1, 1), island=f"cart/{number}") for number in range(9_999)]
    assert tidy(found) == [found[0]._replace(others=9_998)]


def test_islands_are_counted_and_not_their_findings() -> None:
    """A second finding of an island at a place, or one that all islands share, is no other island."""
    of_islands = [
        error(message, place(1, 1), related=(Related("for this island", place(number, 1)),), island=f"cart/{number}")
        for number in range(2, 12)
        for message in ("no", "no", "and no")
    ]
    assert tidy(of_islands) == [of_islands[0]._replace(others=9)]
    assert tidy([error("of all", place(1, 1)), *of_islands])[0].others == 9
    assert tidy([error("one", place(1, 1)), error("two", place(1, 1))]) == [error("one", place(1, 1))]


def test_what_differs_is_not_folded() -> None:
    found = [
        error("a", place(1, 1)),
        error("a", place(1, 2)),
        error("a", place(1, 1), path="$.b"),
        error("a", place(1, 1), code="R0204"),
        error("a"),
        error("b"),
    ]
    assert set(tidy(found)) == set(found)
    assert len(tidy(found)) == len(found)


# What must be there already


def test_what_is_declared_external_is_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dsl.yaml"
    file.write_text(
        "apiVersion: replicator.dev/v1alpha1\nkind: IslandType\nmetadata: {name: cart}\n"
        "spec:\n  units: {api: {image: a}}\n"
        '  external: {Secret: [db, "other/key", "{{ island.key }}-db"], StorageClass: [fast]}\n'
        "---\napiVersion: replicator.dev/v1alpha1\nkind: IslandSet\nmetadata: {name: shop, namespace: eu}\n"
        "spec: {type: cart, replicas: 2}\n"
    )
    secrets = ["eu/db", "eu/{{ island.key }}-db", "other/key"]
    names = [*(("Secret", name) for name in secrets), ("StorageClass", "fast")]
    assert main(["validate", str(file)]) == 0
    heading, *lines = capfd.readouterr().out.splitlines()
    assert heading == "what must be there already, as declared:"
    assert lines == [f"  {kind} {name}" for kind, name in names]
    assert main(["validate", "--format", "json", str(file)]) == 0
    assert json.loads(capfd.readouterr().out)["external"] == [{"kind": kind, "name": name} for kind, name in names]
