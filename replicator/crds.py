"""The kinds of the DSL as CustomResourceDefinitions: the JSON Schemas made structural.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replicator.parser import schema
from replicator.tree import mapping
from replicator.yaml_text import document

# What a structural schema has no place for. A default would be written into the stored document by the API server,
# where it would look as if its author had said it.
_LEFT_OUT = frozenset("$schema $id $ref $defs title default if then else allOf const uniqueItems".split())
# What says something of values of one type only. A field that takes one of several (a number or an expression, a map or
# a list of maps) has what is said of each, so that `kubectl explain` knows what is in it, and the server refuses more.
_OF_ONE_TYPE = frozenset(
    "properties additionalProperties required minProperties maxProperties items minItems maxItems "
    "pattern minLength maxLength minimum maximum".split()
)
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"


def definitions() -> Iterator[str]:
    """One CustomResourceDefinition for each kind, as YAML."""
    for kind, file in schema.KINDS.items():
        yield "".join(str(piece) for piece in document(mapping(_definition(kind, file))))


def _definition(kind: str, file: str) -> dict[str, Any]:
    group, version = schema.API_VERSION.split("/")
    plural = f"{kind.lower()}s"
    structural = _structural(schema.load(file), file)
    for field in ("apiVersion", "kind"):
        structural["properties"][field] = {
            "type": "string",
            "description": structural["properties"][field]["description"],
        }
    structural["properties"]["metadata"] = {"type": "object"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": structural}}],
        },
    }


def _structural(node: dict[str, Any], file: str) -> dict[str, Any]:
    """A schema with its references written out, and only what a structural schema may hold."""
    if "$ref" in node:
        name, _, pointer = node["$ref"].partition("#")
        target = _structural(schema.find(name or file, f"#{pointer}"), name or file)
        return {**target, "description": node.get("description", target.get("description", ""))}
    made: dict[str, Any] = {}
    for keyword, value in node.items():
        if keyword in _LEFT_OUT or (keyword == "additionalProperties" and isinstance(value, bool)):
            continue
        if keyword == "properties":
            made[keyword] = {name: _structural(child, file) for name, child in value.items()}
        elif keyword in ("items", "additionalProperties"):
            made[keyword] = _structural(value, file)
        elif keyword == "type" and isinstance(value, list):
            continue
        else:
            made[keyword] = value
    for branch in ("then", "else"):
        if branch in node:
            inner = _structural(node[branch], file)
            made |= {keyword: value for keyword, value in inner.items() if keyword in _OF_ONE_TYPE}
    if made.get(_INT_OR_STRING) or (isinstance(node.get("type"), list) and set(node["type"]) == {"string", "integer"}):
        made.pop(_PRESERVE, None)
        made.pop("type", None)
        made[_INT_OR_STRING] = True
    elif "type" not in made:
        made[_PRESERVE] = True
    return made
