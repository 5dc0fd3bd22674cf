"""Edits in place: the intended difference and no other, whatever the file looks like."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from replicator.editing.text import GONE, Refused, edited
from replicator.write import replace_files

HEAD = "apiVersion: replicator.dev/v1alpha1\nkind: IslandSet\nmetadata: {name: s}\n"
SPEC = HEAD + "spec:\n  type: t\n"


def edit(text: str, changes: dict[tuple[str, ...], Any], number: int = 0) -> str:
    return edited("a.yaml", text, number, changes)


def refusal(text: str, changes: dict[tuple[str, ...], Any], number: int = 0) -> tuple[str, int]:
    """The words of a refusal, and the line that it points at."""
    with pytest.raises(Refused) as refused:
        edit(text, changes, number)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == "R0810"
    assert diagnostic.place is not None
    return diagnostic.message, diagnostic.place.line


RETAIN = {"data": "retain"}


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("  replicas: 5   # five\n", {("replicas",): 3}, "  replicas: 3   # five\n"),
        ("  replicas: &n 5\n", {("replicas",): 3}, "  replicas: &n 3\n"),
        # A map that is not there yet.
        (
            "  replicas: 5",
            {("removed", "4"): RETAIN, ("removed", "3"): RETAIN},
            '  replicas: 5\n  removed:\n    "4": {data: retain}\n    "3": {data: retain}',
        ),
        ("  removed: {}\n", {("removed", "old"): RETAIN}, "  removed: {old: {data: retain}}\n"),
        (
            "  placement: {zones: [a]}  # z\n",
            {("placement", "assigned", "a"): "0-3"},
            '  placement: {zones: [a], assigned: {a: "0-3"}}  # z\n',
        ),
        (
            "  placement:\n    zones: [a]\n",
            {("placement", "assigned", "a"): "0-3"},
            '  placement:\n    zones: [a]\n    assigned: {a: "0-3"}\n',
        ),
        # Beside others: quotes as they have them.
        ("  removed:\n    9: {}\n", {("removed", "8"): {}}, "  removed:\n    9: {}\n    8: {}\n"),
        ("  removed:\n    '9': {}\n", {("removed", "8"): {}}, "  removed:\n    '9': {}\n    '8': {}\n"),
        ("  islands:\n    eu: {}\n", {("islands", "no"): {}}, '  islands:\n    eu: {}\n    "no": {}\n'),
        # Flow maps over several lines.
        (
            "  islands: {\n    eu: {},  # 1\n    us: {}   # 2\n  }\n",
            {("islands", "ap"): {}, ("islands", "sa"): {}},
            "  islands: {\n    eu: {},  # 1\n    us: {},   # 2\n    ap: {},\n    sa: {}\n  }\n",
        ),
        (
            "  islands: {\n    eu: {},  # 1\n    us: {},   # 2\n  }\n",
            {("islands", "ap"): {}, ("islands", "eu"): GONE},
            "  islands: {\n    us: {},   # 2\n    ap: {},\n  }\n",
        ),
        (
            "  islands: {eu: {},\n            us: {}}\n",
            {("islands", "ap"): {}},
            "  islands: {eu: {},\n            us: {},\n            ap: {}}\n",
        ),
        # What goes takes its own line along, and no other's.
        (
            "  islands:\n    # all\n    eu: {}  # europe\n\n    us:\n      zone: a  # usa\n    # rest\n    ap: {}\n",
            {("islands", "us"): GONE},
            "  islands:\n    # all\n    eu: {}  # europe\n\n    # rest\n    ap: {}\n",
        ),
        ("  islands:  # none\n    eu: {}\n", {("islands", "eu"): GONE}, "  islands: {}  # none\n"),
        ("  islands: {eu: {}, us: {}, ap: {}}\n", {("islands", "eu"): GONE}, "  islands: {us: {}, ap: {}}\n"),
        ("  islands: {eu: {}, us: {}, ap: {}}\n", {("islands", "us"): GONE}, "  islands: {eu: {}, ap: {}}\n"),
        ("  islands: {eu: {}, us: {}, ap: {}}\n", {("islands", "ap"): GONE}, "  islands: {eu: {}, us: {}}\n"),
        (
            "  islands: {eu: {}, us: {}}\n",
            {("islands", "us"): GONE, ("islands", "eu"): GONE, ("islands", "ap"): {}},
            "  islands: {ap: {}}\n",
        ),
        (
            "  islands: {eu: {},  # 1\n    us: {}}\n",
            {("islands", "us"): GONE},
            "  islands: {eu: {},  # 1\n    }\n",
        ),
        # After what ends late: lists, blocks of text, comments.
        (
            "  overrides:\n  - islands: [a]\n    params:\n      b: |\n        # x\n  # y\n",
            {("removed", "a"): {}},
            "  overrides:\n  - islands: [a]\n    params:\n      b: |\n        # x\n  removed:\n    a: {}\n  # y\n",
        ),
        (
            "  replicas: 1\n  waves:\n  - islands: &a [x]\n  - islands: *a  # y\n\n# z\n",
            {("removed", "old"): {}},
            "  replicas: 1\n  waves:\n  - islands: &a [x]\n  - islands: *a  # y\n  removed:\n    old: {}\n\n# z\n",
        ),
    ],
)
def test_only_this_changes(before: str, changes: dict[tuple[str, ...], Any], after: str) -> None:
    rooted = {("spec", *path): value for path, value in changes.items()}
    assert edit(SPEC + before, rooted) == SPEC + after


def test_a_block_of_text_becomes_a_line() -> None:
    head = "apiVersion: replicator.dev/v1alpha1\nkind: Partition\nmetadata: {name: s}\n"
    table = (
        head + "spec:\n  set: s\n  hex:\n    digits: last\n    table:\n      eu: >-  # many\n        0,\n        1-7\n"
    )
    path = ("spec", "hex", "table")
    assert edit(table + "      us: '8-f'\n", {(*path, "eu"): "0", (*path, "us"): "1-f"}) == (
        table.partition(">-")[0] + "\"0\"  # many\n      us: '1-f'\n"
    )
    assert edit(table, {(*path, "us"): "8-f"}) == table + '      us: "8-f"\n'


def test_the_other_documents_of_a_file_stay() -> None:
    text = "# one\n---\n" + SPEC + "  replicas: 1\n...\n---\n" + SPEC + "  replicas: 2  # x\n---\n# nothing\n"
    assert edit(text, {("spec", "replicas"): 3}, 1) == text.replace("2  # x", "3  # x")
    assert edit(text, {("spec", "removed", "x"): {}}, 0) == text.replace(": 1\n", ": 1\n  removed:\n    x: {}\n")


def test_json_stays_json() -> None:
    text = (
        '{"apiVersion": "replicator.dev/v1alpha1", "kind": "IslandSet", "metadata": {"name": "s"}, '
        '"spec": {"type": "t", "replicas": 3}}'
    )
    after = edit(text, {("spec", "replicas"): 2, ("spec", "removed", "2"): RETAIN})
    assert after == text.replace("3}}", '2, "removed": {"2": {"data": "retain"}}}}')


def test_items_of_a_list_are_documents() -> None:
    item = "- kind: IslandSet\n  apiVersion: replicator.dev/v1alpha1\n  metadata: {name: s}\n  spec:\n    type: t\n"
    text = f"kind: List\napiVersion: v1\nitems:\n{item}    replicas: 1  # one\n{item}    replicas: 1  # two\n"
    after = edit(text, {("spec", "replicas"): 2, ("spec", "removed", "0"): {}}, 1)
    assert after == text.replace("1  # two\n", '2  # two\n    removed:\n      "0": {}\n')


@pytest.mark.parametrize(
    ("text", "changes", "words", "line"),
    [
        ("  replicas: &n 5\n  start: *n\n", {("replicas",): 3}, "an alias repeats this value elsewhere", 6),
        ("  start: &n 5\n  replicas: *n\n", {("replicas",): 3}, "an alias repeats this value elsewhere", 7),
        ("  islands: &i {eu: {}}\n  params: {a: *i}\n", {("islands", "us"): {}}, "an alias repeats", 6),
        ("  islands: &i\n    eu: {}\n  params: {a: *i}\n", {("islands", "eu"): GONE}, "an alias repeats", 6),
        (
            "  islands: {eu: {weight: &w 1}, us: {weight: &w 2}}\n  params: {a: *w}\n",
            {("islands", "us"): GONE},
            "more than this would change",
            6,
        ),
        ("  replicas: 5\n", {("replicas",): -1}, "would not fit the schema", 6),
        ("  replicas: 5\n", {("removed", "x"): {"data": "burn"}}, "would not fit the schema", 4),
        ("  islands: {eu: {}}\n", {("islands",): 1}, "it is no scalar", 6),
        ("  replicas: 5\n", {("replicas", "a"): 1}, "it is no map", 6),
        ("  replicas: 5\n", {("removed", "a"): GONE}, "is not there", 4),
        ("  ? replicas\n  : 5\n", {("removed", "a"): {}}, None, 0),
        ("  islands: {eu: {} , # x\n   us: {}\n , ap: {}}\n", {("islands", "us"): GONE}, "of what comes of it", 7),
    ],
)
def test_what_is_not_safe_is_refused(
    text: str, changes: dict[tuple[str, ...], Any], words: str | None, line: int
) -> None:
    rooted = {("spec", *path): value for path, value in changes.items()}
    if words is None:
        assert yaml.safe_load(edit(SPEC + text, rooted))["spec"]["removed"] == {"a": {}}
        return
    message, where = refusal(SPEC + text, rooted)
    assert words in message
    assert where == line


class Layout(NamedTuple):
    """How a map of entries is written: between braces or not, on how many lines, with which comments."""

    text: str
    keys: list[str]


@st.composite
def sets(draw: st.DrawFn) -> Layout:
    """An IslandSet with islands k0, k1, …, each in a style of its own, and all comments different."""
    numbers = iter(range(1000))

    def comment(chance: int = 3) -> str:
        return f"  # c{next(numbers)}" if draw(st.integers(0, chance)) == 0 else ""

    def between() -> str:
        blank = draw(st.sampled_from(["", "", "", "\n", f"{pad}# c{next(numbers)}\n", f"# c{next(numbers)}\n\n"]))
        return str(blank)

    keys = [f"k{number}" for number in range(draw(st.integers(0, 5)))]
    quote = draw(st.sampled_from(["", "'", '"']))
    style = draw(st.sampled_from(["block", "flow", "lines"])) if keys else "flow"
    pad = " " * draw(st.integers(1, 5))
    inner = pad + " " * draw(st.integers(1, 4))
    pairs = [(f"{quote}{key}{quote}", draw(st.sampled_from(["{}", "{weight: 2}", "{zone: 'a, b'}"]))) for key in keys]
    if style == "flow":
        space = draw(st.sampled_from(["", " "]))
        trailing = draw(st.sampled_from(["", ","])) if keys else ""
        islands = f" {{{space}{', '.join(f'{key}: {value}' for key, value in pairs)}{trailing}{space}}}{comment()}\n"
    elif style == "lines":
        ends = [",", *["," for _ in pairs[1:]]]
        ends[-1] = draw(st.sampled_from([",", ""]))
        entries = (
            f"{between()}{inner}{key}: {value}{end}{comment()}\n" for (key, value), end in zip(pairs, ends, strict=True)
        )
        islands = f" {{{comment()}\n{''.join(entries)}{pad}}}{comment()}\n"
    else:
        entries = (
            f"{between()}{inner}{key}:"
            + (
                f"{comment()}\n{inner}  weight: 2{comment()}\n"
                if draw(st.integers(0, 3)) == 0
                else f" {value}{comment()}\n"
            )
            for key, value in pairs
        )
        islands = f"{comment()}\n{''.join(entries)}"
    before = draw(
        st.sampled_from(["", f"{pad}removed: {{gone: {{}}}}{comment()}\n", f"{pad}removed:\n{inner}gone: {{}}\n"])
    )
    after = draw(st.sampled_from(["", f"{pad}scope: prefix{comment()}\n", f"{between()}{pad}params:\n{inner}- x\n"]))
    after = after.replace("params:", "shared:").replace("- x", "- manifest: {a: b}")
    text = f"{HEAD}spec:{comment()}\n{pad}type: t{comment()}\n{before}{pad}islands:{islands}{after}{between()}"
    if draw(st.booleans()):
        text += "---\n" + SPEC + f"  replicas: 1{comment()}\n"
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return Layout(text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"]))), keys)


def comments(text: str) -> Counter[str]:
    return Counter(re.findall(r"# c[0-9]+", text))


@given(sets(), st.data())
def test_any_layout(layout: Layout, data: st.DataObject) -> None:
    """An independent reader sees the intended difference; other lines stay as they are, and so do all comments."""
    text, keys = layout
    gone: list[str] = data.draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    new = [f"n{number}" for number in range(data.draw(st.integers(0, 2)))]
    tombs = [*gone, *(["007"] if data.draw(st.booleans()) else [])]
    changes: dict[tuple[str, ...], Any] = {("spec", "islands", key): GONE for key in gone}
    changes |= {("spec", "islands", key): {"zone": "a"} for key in new}
    changes |= {("spec", "removed", key): RETAIN for key in tombs}
    if not changes:
        return
    after = edit(text, changes)

    documents = list(yaml.load_all(text, yaml.BaseLoader))
    spec = documents[0]["spec"]
    for key in gone:
        del spec["islands"][key]
    spec["islands"] |= {key: {"zone": "a"} for key in new}
    if tombs:
        spec["removed"] = spec.get("removed", {}) | dict.fromkeys(tombs, RETAIN)
    assert list(yaml.load_all(after, yaml.BaseLoader)) == documents

    if "\r" in text:
        assert after.count("\r\n") == after.count("\n")
    assert after.endswith("\n") == text.endswith("\n") or gone  # the line before a last one that goes has its end
    lines, now = text.splitlines(), after.splitlines()
    touched = [line for line in lines if any(re.search(rf"\b{key}\b", line) for key in (*keys, "islands", "removed"))]
    rest = iter(now)
    weights = sum("  weight: 2" in line for line in lines)
    kept = [line for line in lines if line not in touched and line.strip() and not (weights and "weight: 2" in line)]
    assert all(line in rest for line in kept)
    lost = comments(text) - comments(after)
    beside = {one for line in lines if line in touched or "weight: 2" in line for one in comments(line)}
    assert lost.keys() <= (beside if gone else set())
    assert not comments(after) - comments(text)


# Files


def test_files_are_replaced_in_one_step(tmp_path: Path) -> None:
    file, link = tmp_path / "a.yaml", tmp_path / "link.yaml"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to("a.yaml")
    replace_files({str(link): b"new"})
    assert file.read_text() == "new"
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["a.yaml", "link.yaml"]


def test_all_files_or_none(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("old")
    os.mkfifo(tmp_path / "pipe")
    for other in ("missing", "pipe", "."):
        with pytest.raises(OSError):
            replace_files({str(file): b"new", str(tmp_path / other): b"new"})
    assert file.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.yaml", "pipe"]
