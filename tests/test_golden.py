"""The output of every example, to the byte: golden/ holds one file for each and nothing else."""

import difflib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(ROOT.glob("dsl-examples/*.yaml"))
GOLDEN = ROOT / "golden"

HOW = "to accept what the compiler writes now: make golden"


def difference(golden: Path, output: str | None) -> str:
    """How a golden file and the output differ; '' where they are equal. None: nothing is compiled to this file."""
    known = golden.read_bytes().decode() if golden.is_file() else None
    if known == output:
        return ""
    name = f"golden/{golden.name}"
    what = "missing" if known is None else "stale: there is no such example" if output is None else "different"
    sides = [("/dev/null" if text is None else name, (text or "").splitlines(True)) for text in (known, output)]
    (before, old), (after, new) = sides
    diff = "".join(difflib.unified_diff(old, new, before, f"{after} (compiled now)"))
    return f"{name} is {what}; {HOW}\n{diff}"


def extra(golden: Path, examples: list[Path]) -> Iterator[Path]:
    """The files of a golden folder that belong to no example. golden/invalid has a test of its own."""
    expected = {golden / example.name for example in examples}
    for file in sorted(golden.rglob("*")):
        if file.is_file() and file not in expected and file.relative_to(golden).parts[0] != "invalid":
            yield file


def judge(golden: Path, output: str | None, update: bool) -> None:
    """Fail where a golden file is not the output; with `update` make it so. An equal file is not touched."""
    found = difference(golden, output)
    if not found:
        return
    if not update:
        pytest.fail(found, pytrace=False)
    if output is None:
        golden.unlink()
    else:
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(output.encode())


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_output(example: Path, build: Callable[[Path], str], update_golden: bool) -> None:
    judge(GOLDEN / example.name, build(example), update_golden)


def test_nothing_is_stale(update_golden: bool) -> None:
    for file in extra(GOLDEN, EXAMPLES):
        judge(file, None, update_golden)


@pytest.mark.parametrize("example", EXAMPLES[-2:], ids=lambda example: example.stem)
def test_hash_seed_changes_nothing(example: Path, build: Callable[[Path], str]) -> None:
    outputs = {build(example).encode()}
    for seed in ("0", "1", "4242"):
        command = [sys.executable, "-m", "replicator", "build", f"dsl-examples/{example.name}"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        outputs.add(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout)
    assert len(outputs) == 1


# The comparison itself


@pytest.mark.parametrize(
    ("known", "output", "message", "line"),
    [
        (None, "a: 1\n", "golden/x.yaml is missing", "+a: 1"),
        ("a: 1\n", "a: 2\n", "golden/x.yaml is different", "-a: 1"),
        ("a: 1\n", None, "golden/x.yaml is stale", "-a: 1"),
        ("a: 1\r\n", "a: 1\n", "golden/x.yaml is different", "-a: 1\r"),
    ],
)
def test_failures_are_distinct(tmp_path: Path, known: str | None, output: str | None, message: str, line: str) -> None:
    golden = tmp_path / "x.yaml"
    if known is not None:
        golden.write_bytes(known.encode())
    with pytest.raises(pytest.fail.Exception) as failure:
        judge(golden, output, update=False)
    lines = str(failure.value).split("\n")
    assert lines[0].startswith(message)
    assert line in lines


def test_update_writes_only_what_differs(tmp_path: Path) -> None:
    examples = [tmp_path / "dsl-examples" / name for name in ("equal.yaml", "different.yaml", "missing.yaml")]
    golden = tmp_path / "golden"
    (golden / "invalid").mkdir(parents=True)
    for name in ("equal.yaml", "different.yaml", "stale.yaml", "invalid/other.yaml"):
        (golden / name).write_text("old\n")
        os.utime(golden / name, (0, 0))
    assert [file.name for file in extra(golden, examples)] == ["stale.yaml"]
    for example in examples:
        judge(golden / example.name, "old\n" if example.stem == "equal" else "new\n", update=True)
    for file in extra(golden, examples):
        judge(file, None, update=True)
    written = {file.relative_to(golden).as_posix(): file.read_text() for file in golden.rglob("*.yaml")}
    assert written == {
        "different.yaml": "new\n",
        "equal.yaml": "old\n",
        "invalid/other.yaml": "old\n",
        "missing.yaml": "new\n",
    }
    assert (golden / "equal.yaml").stat().st_mtime == 0


def test_update_is_refused_where_ci_is_set() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--update-golden", __file__, "-k", "stale"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "CI": "1"}, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"--update-golden: CI is set" in done.stdout + done.stderr
