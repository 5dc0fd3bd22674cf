"""The output of every example, to the byte: golden/ holds one file for each, a tree for some, and nothing else."""

import difflib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "dsl-examples"
EXAMPLES = [*sorted(SOURCES.glob("*.yaml")), SOURCES / "operator/operator.yaml"]
GOLDEN = ROOT / "golden"

DIRECTORIES = {
    "21-shared": "island",
    "25-advanced-pods": "object",
    "26-cells": "island",
    "37-delegation": "island",
    "43-waves": "wave",
}
"""The examples that are built with `-o` too, each in its layout."""

PROVIDERS = {
    "istio": "provider: istio",
    "gateway-api": "provider: gateway-api",
    "kgateway": "provider: gateway-api\n  gateway-api: {flavor: kgateway}",
}
ONE_ROUTING = "40-one-routing"
"""The example whose routes are written for every provider: what stands in the place of its `provider: gloo`."""

HOW = "to accept what the compiler writes now: make golden"


def difference(golden: Path, name: str, output: str | None) -> str:
    """How a file of a golden folder and the output differ; '' where they are equal. None: nothing is made for it."""
    file = golden / name
    known = file.read_bytes().decode() if file.is_file() else None
    if known == output:
        return ""
    what = "missing" if known is None else "stale: there is no such example" if output is None else "different"
    sides = [
        ("/dev/null" if text is None else f"golden/{name}", (text or "").splitlines(True)) for text in (known, output)
    ]
    (before, old), (after, new) = sides
    diff = "".join(difflib.unified_diff(old, new, before, f"{after} (compiled now)"))
    return f"golden/{name} is {what}; {HOW}\n{diff}"


def differences(golden: Path, made: dict[str, str], known: set[str]) -> Iterator[tuple[str, str | None]]:
    """The files of a golden folder in which it differs from what is made, and what they ought to be."""
    for name in sorted(known | set(made)):
        if difference(golden, name, made.get(name)):
            yield name, made.get(name)


def judge(golden: Path, made: dict[str, str], known: set[str], update: bool) -> None:
    """Fail where files of a golden folder are not what is made; with `update` make them so, and leave the others alone.

    `known` are the names of the files that are there now and belong to this comparison.
    """
    found = list(differences(golden, made, known))
    if not update:
        if found:
            pytest.fail("\n".join(difference(golden, name, output) for name, output in found), pytrace=False)
        return
    for name, output in found:
        file = golden / name
        if output is None:
            file.unlink()
            for folder in file.parents:
                if folder == golden or any(folder.iterdir()):
                    break
                folder.rmdir()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(output.encode())


def files(folder: Path) -> set[str]:
    """The names of all files in a folder and below it."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def extra(golden: Path, examples: set[str], trees: set[str]) -> set[str]:
    """The files of a golden folder that belong to no example. Trees, and golden/invalid, have tests of their own."""
    return {name for name in files(golden) - examples if name.split("/")[0] not in trees | {"invalid"}}


def _name(example: Path) -> str:
    return example.relative_to(SOURCES).as_posix()


def _written(example: Path, layout: str, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    source = example.relative_to(ROOT).as_posix()
    command = [sys.executable, "-m", "replicator", "build", source, "-o", str(folder), "--layout", layout, *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_there_are_examples() -> None:
    assert all(example.is_file() for example in EXAMPLES)
    assert set(DIRECTORIES) < {example.stem for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_output(example: Path, build: Callable[[Path], str], update_golden: bool) -> None:
    judge(GOLDEN, {_name(example): build(example)}, set(), update_golden)


@pytest.mark.parametrize("stem", DIRECTORIES)
def test_directory(stem: str, tmp_path: Path, update_golden: bool) -> None:
    done = _written(SOURCES / f"{stem}.yaml", DIRECTORIES[stem], tmp_path / stem)
    assert done.returncode == 0, done.stderr
    made = {name: (tmp_path / name).read_bytes().decode() for name in files(tmp_path)}
    known = {name for name in files(GOLDEN) if name.startswith(f"{stem}/")}
    assert len(made) > 2
    judge(GOLDEN, made, known, update_golden)


@pytest.mark.parametrize("stem", DIRECTORIES)
def test_a_golden_tree_is_what_check_expects(stem: str) -> None:
    done = _written(SOURCES / f"{stem}.yaml", DIRECTORIES[stem], GOLDEN / stem, "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_one_routing_for_every_provider(update_golden: bool) -> None:
    text = (SOURCES / f"{ONE_ROUTING}.yaml").read_text()
    made = {}
    for name, line in PROVIDERS.items():
        changed = text.replace("provider: gloo", line)
        command = [sys.executable, "-m", "replicator", "build", "-", "--only", "routing"]
        done = subprocess.run(command, cwd=ROOT, input=changed, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        made[f"{ONE_ROUTING}/{name}.yaml"] = done.stdout
        tested = [sys.executable, "-m", "replicator", "test", "-"]
        assert (
            subprocess.run(tested, cwd=ROOT, input=changed, capture_output=True, text=True, check=False).returncode == 0
        )
    judge(GOLDEN, made, {name for name in files(GOLDEN) if name.startswith(f"{ONE_ROUTING}/")}, update_golden)


def test_nothing_is_stale(update_golden: bool) -> None:
    trees = {*DIRECTORIES, ONE_ROUTING}
    judge(GOLDEN, {}, extra(GOLDEN, set(map(_name, EXAMPLES)), trees), update_golden)


@pytest.mark.parametrize("stem", ["15-shop", "16-shop-pods", "26-cells"])
def test_hash_seed_changes_nothing(stem: str, build: Callable[[Path], str]) -> None:
    outputs = {build(SOURCES / f"{stem}.yaml").encode()}
    for seed in ("0", "1", "4242"):
        command = [sys.executable, "-m", "replicator", "build", f"dsl-examples/{stem}.yaml"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        outputs.add(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout)
    assert len(outputs) == 1


# The comparison itself


@pytest.mark.parametrize("name", ["x.yaml", "tree/set/x.yaml"])
@pytest.mark.parametrize(
    ("known", "output", "message", "line"),
    [
        (None, "a: 1\n", "is missing", "+a: 1"),
        ("a: 1\n", "a: 2\n", "is different", "-a: 1"),
        ("a: 1\n", None, "is stale", "-a: 1"),
        ("a: 1\r\n", "a: 1\n", "is different", "-a: 1\r"),
    ],
)
def test_failures_are_distinct(
    tmp_path: Path, name: str, known: str | None, output: str | None, message: str, line: str
) -> None:
    if known is not None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(known.encode())
    with pytest.raises(pytest.fail.Exception) as failure:
        judge(tmp_path, {} if output is None else {name: output}, files(tmp_path), update=False)
    lines = str(failure.value).split("\n")
    assert lines[0].startswith(f"golden/{name} {message}")
    assert line in lines


def test_update_writes_only_what_differs(tmp_path: Path) -> None:
    golden = tmp_path / "golden"
    for name in ("equal.yaml", "different.yaml", "stale.yaml", "invalid/other.yaml", "tree/a/b.yaml", "tree/c.yaml"):
        (golden / name).parent.mkdir(parents=True, exist_ok=True)
        (golden / name).write_text("old\n")
        os.utime(golden / name, (0, 0))
    examples = {"equal.yaml": "old\n", "different.yaml": "new\n", "missing.yaml": "new\n"}
    stale = extra(golden, set(examples), {"tree"})
    assert stale == {"stale.yaml"}
    judge(golden, examples, stale, update=True)
    judge(golden, {"tree/c.yaml": "new\n", "tree/d/e.yaml": "new\n"}, {"tree/a/b.yaml", "tree/c.yaml"}, update=True)
    assert {name: (golden / name).read_text() for name in files(golden)} == {
        "different.yaml": "new\n",
        "equal.yaml": "old\n",
        "invalid/other.yaml": "old\n",
        "missing.yaml": "new\n",
        "tree/c.yaml": "new\n",
        "tree/d/e.yaml": "new\n",
    }
    assert not (golden / "tree/a").exists()
    assert (golden / "equal.yaml").stat().st_mtime == 0


def test_update_is_refused_where_ci_is_set() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--update-golden", __file__, "-k", "stale"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "CI": "1"}, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"--update-golden: CI is set" in done.stdout + done.stderr
