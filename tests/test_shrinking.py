"""Islands and objects that are gone: what is said of them, what becomes of their data, and that nothing goes unsaid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from replicator.cli import main

API = "replicator.dev/v1alpha1"
STORED = {"kind": "StatefulSet", "image": "db:1", "storage": {"/data": {"size": "1Gi"}}}


def document(kind: str, name: str, spec: Mapping[str, Any], **metadata: str) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


WEB = document("IslandType", "web", {"units": {"api": {"image": "api:1"}}})
CELL = document("IslandType", "cell", {"units": {"worker": {"image": "w:1"}}})
REGION = document(
    "IslandType", "region", {"units": {"api": {"image": "api:1"}}, "sets": {"cell": {"type": "cell", "replicas": 3}}}
)


def of(name: str, island_type: str = "web", **spec: Any) -> dict[str, Any]:
    """A Set: by `islands`, a list of keys or a map, or by what else is in `spec`."""
    if isinstance(spec.get("islands"), (list, str)):
        spec["islands"] = {key: {} for key in spec["islands"]}
    return document("IslandSet", name, {"type": island_type, **spec}, namespace="shop")


def written(file: Path, *documents: Mapping[str, Any]) -> Path:
    file.write_text("---\n".join(json.dumps(one) + "\n" for one in documents))
    return file


# Tombstones


@pytest.mark.parametrize(
    ("island_set", "message"),
    [
        (of("a", islands="xy", removed={"x": {}}), "the island `a/x` is there, and removed"),
        (of("a", islands="xy", removed={"x": None}), "the island `a/x` is there, and removed"),
        (of("a", replicas=3, removed={"2": {}}), "the island `a/2` is there, and removed"),
        (of("a", replicas=3, form="pods", removed={"0": {}}), "the island `a/0` is there, and removed"),
        (of("a", "region", islands="xy", removed={"x/cell/2": {}}), "the island `a/x/cell/2` is there, and removed"),
        (of("a", islands="xy", removed={"x/cell": {}}), "`x/cell` is the path of no island"),
        (of("a", islands="xy", removed={"X": {}}), "`X` is the path of no island"),
        (of("a", islands="xy", removed={"": {}}), "`` is the path of no island"),
        (of("a", islands="xy", removed={"z/": {}}), "`z/` is the path of no island"),
        (of("a", islands="xy", removed={"z/cell/": {}}), "`z/cell/` is the path of no island"),
        (of("a", islands="xy", removed={"z" * 33: {}}), f"`{'z' * 33}` is the path of no island"),
        (of("a", "region", islands="xy", removed={"x/shard/1": {}}), "there is no Set `shard` inside the islands of"),
        (of("a", "region", islands="xy", removed={"x/cell/1/b/2": {}}), "there is no Set `b` inside the islands of"),
    ],
)
def test_a_tombstone_that_cannot_be(
    island_set: dict[str, Any], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(written(tmp_path / "dsl.yaml", WEB, REGION, CELL, island_set))]) == 1
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith(f"error[R0327]: {message}")
    assert errors.count("error[") == 1
    assert f"{tmp_path}/dsl.yaml:" in errors


@pytest.mark.parametrize(
    "island_set",
    [
        of("a", islands="xy", removed={"z": {}, "0": {"data": "delete"}, "old": None}),
        of("a", replicas=3, removed={"3": {}, "02": {}, "eu": {}}),
        of("a", replicas=3, start=1, form="pods", removed={"0": {}, "4": {}}),
        of("a", "region", islands="xy", removed={"x/cell/3": {}, "z": {}, "z/cell/0": {"data": "delete"}}),
    ],
)
def test_tombstones_are_written_nowhere(
    island_set: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for spec in (island_set["spec"], {key: value for key, value in island_set["spec"].items() if key != "removed"}):
        file = written(tmp_path / "dsl.yaml", WEB, REGION, CELL, {**island_set, "spec": spec})
        assert main(["build", str(file)]) == 0
        outputs.append(capfd.readouterr())
    assert outputs[0] == outputs[1]
    assert outputs[0].err == ""
