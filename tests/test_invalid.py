"""An invalid example for every diagnostic code, and the words in which the compiler refuses it, to the byte."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicator.cli import main
from replicator.diagnostics import CODES

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(ROOT.glob("dsl-examples/invalid/*.yaml"))
GOLDEN = ROOT / "golden" / "invalid"

HOW = "to accept what the compiler says now: pytest --update-golden tests/test_invalid.py"

# What no example can cause: a file that is not there or as large as none should be here, a flag, the place that the
# output goes to. These are shell commands; $TMP is a directory of their own.
OUTSIDE = {
    "R0313": """
        head -c 1048577 /dev/zero | tr '\\0' x > "$TMP/large.txt"
        sed 's|ports:.*|files: {/etc/large: {file: large.txt}}|' dsl-examples/01-one-island.yaml > "$TMP/dsl.yaml"
        replicator validate --root "$TMP" "$TMP/dsl.yaml"
    """,
    "R0717": """
        replicator build dsl-examples/45-partition.yaml -o "$TMP/out" 2> /dev/null
        sed 's/to: vip, phase: mirror/to: eu, phase: cutover/' dsl-examples/45-partition.yaml > "$TMP/wrong.yaml"
        replicator build "$TMP/wrong.yaml" --against "$TMP/out"
    """,
    "R0718": """
        sed 's|^  hex:.*|  keys:|' dsl-examples/invalid/R0716-proof.yaml > "$TMP/dsl.yaml"
        seq 2001 | sed 's|.*|    "&": eu|' >> "$TMP/dsl.yaml"
        replicator validate "$TMP/dsl.yaml"
    """,
    "R0801": "replicator validate dsl-examples/no-such-file.yaml",
    "R0802": "replicator validate dsl-examples/01-one-island.yaml --set no-such-set.version=1",
    "R0803": "replicator build dsl-examples/01-one-island.yaml > /dev/full",
    "R0804": """
        mkdir "$TMP/greeter"
        echo mine > "$TMP/greeter/eu.yaml"
        replicator build dsl-examples/01-one-island.yaml -o "$TMP"
    """,
    "R0806": "replicator build dsl-examples/01-one-island.yaml --against git:no-such-revision",
    "R0807": """
        replicator build dsl-examples/02-many-islands.yaml > "$TMP/earlier.yaml"
        replicator build dsl-examples/01-one-island.yaml --against "$TMP/earlier.yaml"
    """,
    "R0808": """
        sed 's/whenDeleted: Retain/whenDeleted: Delete/' golden/44-removed.yaml |
            sed 's/escrow-acme/escrow-globex/; s/escrow-bigco/escrow-initech/' > "$TMP/earlier.yaml"
        replicator build dsl-examples/44-removed.yaml --against "$TMP/earlier.yaml"
    """,
    "R0809": """
        sed 's/serviceName: .*/serviceName: another/' golden/44-removed.yaml > "$TMP/earlier.yaml"
        replicator build dsl-examples/44-removed.yaml --against "$TMP/earlier.yaml"
    """,
    "R0805": "replicator build --with-dsl dsl-examples/19-files.yaml",
    "R0810": """
        sed 's|replicas: 3|replicas: {one: \\&one {}, two: *one}|; s|replicas:|islands:|' \
            dsl-examples/06-counted-islands.yaml > "$TMP/dsl.yaml"
        replicator scale "$TMP/dsl.yaml" crawl -1
    """,
    "R0811": "replicator rebalance dsl-examples/01-one-island.yaml",
    "R0812": "replicator scale dsl-examples/20-matrix.yaml translate 5",
}

# What is said, and built none the less: of a code always, or in one example. All else are errors.
MILDER = {
    **dict.fromkeys(["R0606", "R0612", "R0614", "R0616", "R0618", "R0621", "R0622", "R0625", "R0805"], "warning"),
    **dict.fromkeys(["R0702-one-match", "R0712-order-of-keys"], "warning"),
    **dict.fromkeys(["R0617", "R0711", "R0716"], "note"),
}

# What `validate` says, and `build` does not.
ONLY_WHEN_ASKED = {"R0711", "R0716"}

by_name = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Diagnostics name a file as the command line does: relative to the repository."""
    monkeypatch.chdir(ROOT)


def named_code(example: Path) -> str:
    return example.stem.partition("-")[0]


def severity_of(example: Path) -> str:
    return MILDER.get(example.stem) or MILDER.get(named_code(example), "error")


def exit_code(example: Path) -> int:
    return 1 if severity_of(example) == "error" else 0


def extra(golden: Path, examples: list[Path]) -> Iterator[Path]:
    """The golden files that belong to no example."""
    expected = {golden / f"{example.stem}{suffix}" for example in examples for suffix in (".txt", ".json")}
    yield from (file for file in sorted(golden.glob("*")) if file not in expected)


def judge(golden: Path, output: str | None, update: bool) -> None:
    """Fail where a golden file is not the output; with `update` make it so. None: there is no such output."""
    known = golden.read_bytes().decode() if golden.is_file() else None
    if known == output:
        return
    if not update:
        name = f"golden/invalid/{golden.name}"
        what = "missing" if known is None else "stale: there is no such example" if output is None else "different"
        old, new = (known or "").splitlines(True), (output or "").splitlines(True)
        diff = "".join(difflib.unified_diff(old, new, name, f"{name} (now)"))
        pytest.fail(f"{name} is {what}; {HOW}\n{diff}", pytrace=False)
    if output is None:
        golden.unlink()
    else:
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_bytes(output.encode())


@by_name
def test_words(example: Path, update_golden: bool, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["validate", example.relative_to(ROOT).as_posix()])
    output, errors = capfd.readouterr()
    assert (code, output) == (exit_code(example), "")
    judge(GOLDEN / f"{example.stem}.txt", errors, update_golden)


@by_name
def test_json(example: Path, update_golden: bool, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["validate", "--format", "json", example.relative_to(ROOT).as_posix()])
    output, errors = capfd.readouterr()
    assert (code, errors) == (exit_code(example), "")
    judge(GOLDEN / f"{example.stem}.json", output, update_golden)


@by_name
def test_only_an_error_stops_the_build(example: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = main(["build", example.relative_to(ROOT).as_posix()])
    output, errors = capfd.readouterr()
    severity = severity_of(example)
    assert (code, output == "") == (exit_code(example), severity == "error")
    if named_code(example) in ONLY_WHEN_ASKED:
        assert errors == ""
    else:
        assert errors.startswith(f"{severity}[{named_code(example)}]: ")


@by_name
def test_only_the_named_code(example: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One mistake is one finding: an example shows its code and no other."""
    main(["validate", "--format", "json", example.relative_to(ROOT).as_posix()])
    found = json.loads(capfd.readouterr().out)["diagnostics"]
    assert [diagnostic["code"] for diagnostic in found] == [named_code(example)]


@by_name
def test_the_first_line_says_what_is_wrong(example: Path) -> None:
    assert re.fullmatch(r"# [^\n]{10,110}\.", example.read_bytes().partition(b"\n")[0].decode())
    assert re.fullmatch(r"R[0-9]{4}(-[a-z0-9]+)+", example.stem)


def test_no_golden_is_stale(update_golden: bool) -> None:
    for file in extra(GOLDEN, EXAMPLES):
        judge(file, None, update_golden)


def test_every_code_has_an_example() -> None:
    """A code without an example is one that nothing can produce, and so is to be removed."""
    assert {*map(named_code, EXAMPLES), *OUTSIDE} == set(CODES)
    assert OUTSIDE.keys().isdisjoint(map(named_code, EXAMPLES))
    assert MILDER.keys() <= {*map(named_code, EXAMPLES), *(example.stem for example in EXAMPLES), *OUTSIDE}


@pytest.mark.parametrize("code", OUTSIDE)
def test_code_that_no_example_can_cause(code: str, tmp_path: Path) -> None:
    command = f'replicator() {{ "{sys.executable}" -m replicator "$@"; }}\n{OUTSIDE[code]}'
    environment = os.environ | {"TMP": str(tmp_path)}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, env=environment)
    severity = MILDER.get(code, "error")
    assert done.returncode in ((1, 2) if severity == "error" else (0,))
    assert (done.stdout == "") == (severity == "error")
    assert done.stderr.startswith(f"{severity}[{code}]: ")


# The comparison itself


@pytest.mark.parametrize(
    ("known", "output", "message", "line"),
    [
        (None, "error\n", "golden/invalid/x.txt is missing", "+error"),
        ("warning\n", "error\n", "golden/invalid/x.txt is different", "-warning"),
        ("error\n", None, "golden/invalid/x.txt is stale", "-error"),
    ],
)
def test_failures_are_distinct(tmp_path: Path, known: str | None, output: str | None, message: str, line: str) -> None:
    golden = tmp_path / "x.txt"
    if known is not None:
        golden.write_bytes(known.encode())
    with pytest.raises(pytest.fail.Exception) as failure:
        judge(golden, output, update=False)
    lines = str(failure.value).split("\n")
    assert lines[0].startswith(message)
    assert line in lines


def test_update_writes_what_differs(tmp_path: Path) -> None:
    examples = [tmp_path / "R0101-a.yaml", tmp_path / "R0102-b.yaml"]
    golden = tmp_path / "golden"
    golden.mkdir()
    for name in ("R0101-a.txt", "R0101-a.json", "R0103-c.txt"):
        (golden / name).write_text("old\n")
    assert [file.name for file in extra(golden, examples)] == ["R0103-c.txt"]
    judge(golden / "R0101-a.txt", "old\n", update=True)
    judge(golden / "R0101-a.json", "new\n", update=True)
    judge(golden / "R0102-b.txt", "new\n", update=True)
    for file in extra(golden, examples):
        judge(file, None, update=True)
    assert {file.name: file.read_text() for file in golden.iterdir()} == {
        "R0101-a.txt": "old\n",
        "R0101-a.json": "new\n",
        "R0102-b.txt": "new\n",
    }
