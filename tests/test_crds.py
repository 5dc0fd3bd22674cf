"""The kinds of the DSL as CustomResourceDefinitions, and its documents as a cluster stores them and gives them back."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from strict_schemas import problems, strict

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "dsl-examples"
EXAMPLES = [*sorted(SOURCES.glob("*.yaml")), SOURCES / "operator/operator.yaml"]


def replicator(*arguments: str, text: str = "", folder: Path = ROOT) -> str:
    """What the command prints; it must exit with 0 and find nothing wrong, but files that are not stored."""
    command = [sys.executable, "-m", "replicator", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = {"warning[R0805]"} if "--with-dsl" in arguments else set()
    done = subprocess.run(command, cwd=folder, env=environment, input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0
    found = {line.partition(":")[0] for line in done.stderr.decode().splitlines() if "[R" in line}
    assert {one for one in found if not one.startswith("note")} <= told
    return done.stdout.decode()


def documents(text: str) -> list[Object]:
    return list(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def crds() -> list[Object]:
    return documents(replicator("crds"))


def schema_of(crd: Object) -> Object:
    (version,) = crd["spec"]["versions"]
    schema: Object = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Object, path: str = "$") -> Iterator[tuple[str, Object]]:
    """A schema and all that are in it, but for those that only constrain: allOf, anyOf, oneOf, not."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword, step in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), dict):
            yield from nodes(schema[keyword], f"{path}{step}")


# What it takes to be structural: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
# custom-resource-definitions/#specifying-a-structural-schema

PRESERVE, INT_OR_STRING = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"
FORBIDDEN = {
    *("$ref", "$schema", "$id", "$defs", "definitions", "dependencies", "deprecated", "discriminator", "id"),
    *("patternProperties", "readOnly", "writeOnly", "xml", "const", "if", "then", "else"),
}
ONLY_OUTSIDE = {"description", "type", "default", "additionalProperties", "nullable", PRESERVE, INT_OR_STRING}


def flaws(schema: Object) -> Iterator[str]:
    """What keeps a schema from being structural, and the defaults that we do not want in it."""
    if schema.get("type") != "object":
        yield "$: the root is no object"
    metadata = schema.get("properties", {}).get("metadata", {})
    if set(metadata) - {"type", "description"} or metadata.get("type", "object") != "object":
        yield "$.metadata: says more than that it is an object"
    for path, node in nodes(schema):
        if ("type" in node) + (INT_OR_STRING in node) + (PRESERVE in node and "type" not in node) != 1:
            yield f"{path}: needs exactly one of type, {INT_OR_STRING} and {PRESERVE}"
        for keyword in (PRESERVE, INT_OR_STRING):
            if node.get(keyword, True) is not True:
                yield f"{path}: {keyword} must be true or absent"
        if isinstance(node.get("type"), list):
            yield f"{path}: more than one type"
        if node.get("type") == "array" and "items" not in node:
            yield f"{path}: an array without items"
        if isinstance(node.get("additionalProperties"), bool):
            yield f"{path}: additionalProperties is a boolean"
        if "additionalProperties" in node and "properties" in node:
            yield f"{path}: additionalProperties beside properties"
        if "default" in node:
            yield f"{path}: a default, which would be stored as if its author had said it"
        yield from _anywhere(node, path)
        for keyword in ("allOf", "anyOf", "oneOf", "not"):
            inner = node.get(keyword, [])
            for one in inner if isinstance(inner, list) else [inner]:
                yield from _constraint(one, node, f"{path}.{keyword}")


def _anywhere(node: Object, path: str) -> Iterator[str]:
    for keyword in sorted(FORBIDDEN & set(node)):
        yield f"{path}: {keyword} has no place there"
    if node.get("uniqueItems"):
        yield f"{path}: uniqueItems, which takes time quadratic in the items"


def _constraint(node: Object, outside: Object, path: str) -> Iterator[str]:
    yield from _anywhere(node, path)
    for keyword in sorted(ONLY_OUTSIDE & set(node)):
        yield f"{path}: {keyword} belongs outside"
    for name, child in node.get("properties", {}).items():
        if name not in outside.get("properties", {}):
            yield f"{path}.{name}: is not declared outside"
        yield from _constraint(child, outside.get("properties", {}).get(name, {}), f"{path}.{name}")
    if "items" in node:
        yield from _constraint(node["items"], outside.get("items", {}), f"{path}[]")
    for keyword in ("allOf", "anyOf", "oneOf", "not"):
        inner = node.get(keyword, [])
        for one in inner if isinstance(inner, list) else [inner]:
            yield from _constraint(one, outside, f"{path}.{keyword}")


OBJECT: Object = {"type": "object"}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "array", "items": OBJECT},
        {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string"}}}}},
        {"type": "object", "properties": {"a": {"description": "no type"}}},
        {"type": "object", "properties": {"a": {"type": ["string", "integer"]}}},
        {"type": "object", "properties": {"a": {"type": "string", INT_OR_STRING: True}}},
        {"type": "object", "properties": {"a": {PRESERVE: False}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": OBJECT, "uniqueItems": True}}},
        {"type": "object", "properties": {"a": {"type": "string", "default": "b"}}},
        {"type": "object", "properties": {"a": {"type": "string", "$ref": "#/definitions/b"}}},
        {"type": "object", "additionalProperties": False},
        {"type": "object", "additionalProperties": {"description": "no type"}},
        {"type": "object", "additionalProperties": OBJECT, "properties": {"a": OBJECT}},
        {"type": "object", "anyOf": [{"properties": {"a": {"minLength": 1}}}]},
        {"type": "object", "properties": {"a": OBJECT}, "not": {"properties": {"a": {"type": "object"}}}},
        {"type": "object", "oneOf": [{"allOf": [{"description": "twice inside"}]}]},
        {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}},
    ],
    ids=json.dumps,
)
def test_what_is_not_structural_is_seen(schema: Object) -> None:
    assert list(flaws(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {INT_OR_STRING: True}, "b": {PRESERVE: True}}},
        {"type": "object", PRESERVE: True},
        {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"properties": {"a": {"minLength": 1}}}]},
        {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    ],
    ids=json.dumps,
)
def test_what_is_structural_passes(schema: Object) -> None:
    assert list(flaws(schema)) == []


# The definitions


def test_there_is_one_of_each_kind(crds: list[Object]) -> None:
    language = json.loads((ROOT / "schemas/replicator.json").read_text())
    kinds = [crd["spec"]["names"]["kind"] for crd in crds]
    assert sorted(kinds) == sorted(language["properties"]["kind"]["enum"])


def test_a_cluster_would_take_them(crds: list[Object]) -> None:
    assert problems(crds) == []


def test_their_schemas_are_structural(crds: list[Object]) -> None:
    for crd in crds:
        assert [f"{crd['metadata']['name']}: {flaw}" for flaw in flaws(schema_of(crd))] == []


def test_every_property_has_a_description(crds: list[Object]) -> None:
    """It is what `kubectl explain` prints. The cluster has its own for metadata."""
    for crd in crds:
        for path, node in nodes(schema_of(crd)):
            bare = [name for name, child in node.get("properties", {}).items() if not child.get("description")]
            assert bare == (["metadata"] if path == "$" and "metadata" in bare else []), path


def test_they_are_the_same_each_time() -> None:
    assert replicator("crds") == replicator("crds")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.stem))
def test_nothing_of_an_example_is_refused_or_pruned(example: Path, crds: list[Object]) -> None:
    """A cluster drops what a schema does not declare; the schema is made strict, so that it is refused here."""
    schemas = {crd["spec"]["names"]["kind"]: strict(schema_of(crd), root=True) for crd in crds}
    for schema in schemas.values():
        schema["properties"]["metadata"] = {"type": "object"}
    for document in documents(example.read_text()):
        validator = Draft202012Validator(schemas[document["kind"]])
        assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []


def test_what_would_be_pruned_is_seen(crds: list[Object]) -> None:
    (document, *_) = documents(EXAMPLES[0].read_text())
    (crd,) = [crd for crd in crds if crd["spec"]["names"]["kind"] == document["kind"]]
    document["spec"]["units"]["web"]["imgae"] = "a slip"
    schema = strict(schema_of(crd), root=True)
    schema["properties"]["metadata"] = {"type": "object"}
    assert [error.json_path for error in Draft202012Validator(schema).iter_errors(document)] == ["$.spec.units.web"]


def at(schema: Object, path: str) -> Object:
    """The schema at a path of fields; `*` stands for any name of a map, `[]` for the items of a list."""
    for step in path.split("."):
        name = step.removesuffix("[]")
        schema = schema["additionalProperties"] if name == "*" else schema["properties"][name]
        schema = schema["items"] if step.endswith("[]") else schema
    return schema


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("IslandType", "spec.units.*.ports.*.servicePort"),
        ("IslandType", "spec.units.*.env.*.secret"),
        ("IslandType", "spec.units.*.files.*.file"),
        ("IslandType", "spec.sets.*.islands.*.weight"),
        ("IslandSet", "spec.islands.*.params"),
        ("IslandSet", "spec.patches[].patch[].op"),
        ("Routing", "spec.routes[].match[].headers.*.regex"),
        ("Routing", "spec.routes[].match.headers.*.regex"),
        ("Routing", "spec.routes[].to[].island"),
        ("Routing", "spec.routes[].to.weight"),
        ("Routing", "spec.routes[].respond.status"),
    ],
)
def test_fields_of_several_types_are_explained(kind: str, path: str, crds: list[Object]) -> None:
    """What `kubectl explain` finds where a field may be a map, or a text or a list in its place."""
    (crd,) = [crd for crd in crds if crd["spec"]["names"]["kind"] == kind]
    assert at(schema_of(crd), path)["description"]


@pytest.mark.parametrize("port", [{}, {"servicePort": 80}, {"containerPort": 0}, 65536, 0, "http"])
def test_what_fits_no_type_of_a_field_is_refused(port: object, crds: list[Object]) -> None:
    (crd,) = [crd for crd in crds if crd["spec"]["names"]["kind"] == "IslandType"]
    check = Draft202012Validator(schema_of(crd)).is_valid

    def with_port(value: object) -> Object:
        spec = {"units": {"web": {"image": "a", "ports": {"http": value}}}}
        return {"apiVersion": "replicator.dev/v1alpha1", "kind": "IslandType", "metadata": {"name": "a"}, "spec": spec}

    assert not check(with_port(port))
    for fine in (8080, "{{ params.port }}", {"containerPort": 80}, {"containerPort": "{{ params.port }}"}):
        assert check(with_port(fine))


# Documents that come back


def in_namespaces(text: str) -> list[Object]:
    """The documents as their authors would write them for a cluster, where each is in a namespace."""
    found = documents(text)
    for document in found:
        document["metadata"].setdefault("namespace", "default")
    return found


TRACKING = {
    "applyset.kubernetes.io/part-of": "applyset-KClNS00s_h_8GTdk-OwhcUC9461RccI5Iqphav3bzZQ-v1",
    "app.kubernetes.io/instance": "shop",
    "app.kubernetes.io/managed-by": "Helm",
    "argocd.argoproj.io/instance": "shop",
    "kustomize.toolkit.fluxcd.io/name": "shop",
}


def as_stored(document: Object) -> Object:
    """The document as an API server gives it back: with what it and tools that apply add, and with its keys sorted."""
    written = json.dumps(document)
    made = copy.deepcopy(document)
    made["metadata"] |= {
        "uid": "6c1a5bd5-7d2c-4f0e-9a44-1f2f7e0c8f11",
        "resourceVersion": "48151",
        "generation": 3,
        "creationTimestamp": "2026-01-31T23:16:42Z",
        "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {}}}],
        "labels": {**made["metadata"].get("labels", {}), **TRACKING},
        "annotations": {
            **made["metadata"].get("annotations", {}),
            "kubectl.kubernetes.io/last-applied-configuration": written,
            "argocd.argoproj.io/tracking-id": "shop:replicator.dev/IslandSet:shop/cart",
        },
    }
    made["status"] = {"conditions": []}
    return made


def as_listed(found: list[Object]) -> str:
    """What `kubectl get KINDS --all-namespaces --output=yaml` prints: kind by kind, and then by name."""
    items = sorted((as_stored(one) for one in found), key=lambda one: (one["kind"], one["metadata"]["name"]))
    listed = {"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}}
    return yaml.safe_dump(listed, sort_keys=True, width=80)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.stem))
def test_a_stored_document_builds_to_the_same_objects(example: Path) -> None:
    found = in_namespaces(example.read_text())
    written = replicator("build", "-", text=yaml.safe_dump_all(found, sort_keys=False), folder=example.parent)
    stored = replicator("build", "-", text=as_listed(found), folder=example.parent)
    assert documents(written)
    assert documents(stored) == documents(written)


# --with-dsl


def of_the_dsl(text: str) -> list[Object]:
    return [one for one in documents(text) if one["apiVersion"].startswith("replicator.dev/")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.stem))
def test_documents_written_along_build_to_the_same(example: Path) -> None:
    plain = replicator("build", example.name, folder=example.parent)
    both = replicator("build", "--with-dsl", example.name, folder=example.parent)
    found = of_the_dsl(both)
    assert found == documents(example.read_text())
    assert [one for one in documents(both) if one not in found] == documents(plain)
    again = replicator("build", "-", text=yaml.safe_dump_all(found, sort_keys=False), folder=example.parent)
    assert again == plain


def test_documents_are_written_as_json_and_to_directories_too(tmp_path: Path) -> None:
    example = SOURCES / "11-routing.yaml"
    lines = replicator("build", "--with-dsl", "--format", "json", str(example)).splitlines()
    known = documents(example.read_text())
    assert [one for one in map(json.loads, lines) if one["apiVersion"].startswith("replicator.dev/")] == known
    command = [sys.executable, "-m", "replicator", "build", "--with-dsl", str(example), "-o", str(tmp_path / "made")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert documents((tmp_path / "made/_dsl.yaml").read_text()) == known


def test_files_that_are_not_stored_are_told() -> None:
    """What is stored could not be compiled from the cluster: with a warning it is stored all the same."""
    example = SOURCES / "19-files.yaml"
    command = [sys.executable, "-m", "replicator", "build", example.name]
    done = subprocess.run([*command, "--with-dsl"], cwd=SOURCES, capture_output=True, text=True, check=True)
    lines = example.read_text().splitlines()
    files = [str(number) for number, line in enumerate(lines, 1) if "file: " in line.partition("#")[0]]
    assert re.findall(r"warning\[R0805\].*\n  --> 19-files.yaml:(\d+)", done.stderr) == files != []
    assert done.stdout
    assert not subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=True).stderr
