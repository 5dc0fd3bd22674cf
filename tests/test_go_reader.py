"""Golden files to the readers of Go that will get them: the objects that Python reads, and nothing that is lost."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = sorted(ROOT.glob("golden/*.yaml"))
KUBECTL = shutil.which("kubectl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl")

Object = dict[str, Any]
Identity = tuple[str, str, str, str]

LABEL = "read-by"  # kubectl prints what it has read once it has something to do
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(text: str) -> list[Object]:
    return list(yaml.load_all(text, LOADER))


def identity(item: Object) -> Identity:
    metadata = item["metadata"]
    return item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"]


def groups(files: list[Path]) -> Iterator[list[Path]]:
    """The files in groups in which no two have an object of one identity: kustomize takes no two."""
    made: list[tuple[set[Identity], list[Path]]] = []
    for file in files:
        own = {identity(item) for item in documents(file.read_text())}
        for known, group in made:
            if own.isdisjoint(known):
                known |= own
                group.append(file)
                break
        else:
            made.append((own, [file]))
    yield from (group for _, group in made)


def kubectl(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run([KUBECTL or "", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def values(node: object, path: str = "$") -> Iterator[tuple[str, object, type]]:
    """The scalars of an object with their places and types: 1 is not True, "1" is not 1."""
    if isinstance(node, dict):
        yield path, len(node), dict
        for key in sorted(node):
            yield from values(node[key], f"{path}.{key}")
    elif isinstance(node, list):
        yield path, len(node), list
        for number, value in enumerate(node):
            yield from values(value, f"{path}[{number}]")
    else:
        yield path, node, type(node)


def by_identity(objects: list[Object]) -> dict[Identity, list[tuple[str, object, type]]]:
    found = {identity(item): list(values(item)) for item in objects}
    assert len(found) == len(objects)
    return found


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) >= 10


def test_kustomize_reads_what_python_reads(tmp_path: Path) -> None:
    """`kubectl kustomize` has a reader of YAML 1.2, and writes what a reader of YAML 1.1 takes."""
    for number, group in enumerate(groups(GOLDEN)):
        directory = tmp_path / str(number)
        directory.mkdir()
        for file in group:
            shutil.copy(file, directory)
        (directory / "kustomization.yaml").write_text(json.dumps({"resources": [file.name for file in group]}))
        expected = [item for file in group for item in documents(file.read_text())]
        assert by_identity(documents(kubectl("kustomize", str(directory)))) == by_identity(expected)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.stem)
def test_kubectl_reads_what_python_reads(golden: Path) -> None:
    """The reader of `kubectl apply`, in order; what it is given it would send as JSON."""
    text = kubectl("label", "--local", "-f", str(golden), "-o", "json", f"{LABEL}=kubectl").strip()
    decoder = json.JSONDecoder()
    read: list[Object] = []
    while text:
        item, end = decoder.raw_decode(text)
        read += item["items"] if item["kind"] == "List" else [item]
        text = text[end:].lstrip()
    expected = documents(golden.read_text())
    for item in expected:
        item["metadata"].setdefault("labels", {})[LABEL] = "kubectl"
    assert [identity(item) for item in read] == [identity(item) for item in expected]
    assert by_identity(read) == by_identity(expected)
