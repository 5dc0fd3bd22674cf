"""Documents as an API server gives them back: one List of objects."""

from typing import Any

import pytest
import yaml

from replicator.diagnostics import Diagnostic
from replicator.pipeline import Source, build

Object = dict[str, Any]
API = "replicator.dev/v1alpha1"


def document(kind: str, name: str, spec: Object, **metadata: str) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def listed(*items: object) -> str:
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": list(items)}, sort_keys=False)


TYPE = document("IslandType", "cart", {"units": {"api": {"image": "a:1"}}}, namespace="shop")
SET = document("IslandSet", "carts", {"type": "cart", "replicas": 1}, namespace="shop")


def found(text: str) -> list[Diagnostic]:
    return build([Source("<stdin>", text.encode())]).diagnostics


def test_a_list_is_its_items() -> None:
    assert found(listed(TYPE, SET)) == []


@pytest.mark.parametrize("item", ["cart", 3, None, ["a"], []])
def test_items_that_are_no_documents(item: object) -> None:
    """Nothing is left out: what is not compiled would be deleted."""
    [one] = found(listed(TYPE, SET, item))
    assert one.code == "R0201"
    assert one.place is not None
    assert one.place.line == listed(TYPE, SET).count("\n") + 1


@pytest.mark.parametrize(
    ("items", "code", "line"), [("", "R0110", 1), ("[]", "R0110", 1), ("{}", "R0201", 3), ("carts", "R0201", 3)]
)
def test_a_list_without_items(items: str, code: str, line: int) -> None:
    [one] = found(f"apiVersion: v1\nkind: List\nitems: {items}\n")
    assert one.code == code
    assert one.place is not None
    assert one.place.line == line


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({**SET, "spec": {"type": "card", "replicas": 1}}, "IslandSet shop/carts"),
        ({**SET, "spec": {"type": "cart", "replica": 1}}, "IslandSet shop/carts $.spec.replica"),
        ({**SET, "spec": {"type": "cart", "islands": {"A": {}}}}, "IslandSet shop/carts"),
        (document("IslandSet", "more", {"type": "cart", "replicas": 1, "params": {"a": 1}}), "IslandSet more"),
        ({**SET, "metadata": {}}, "IslandSet $.metadata"),
    ],
)
def test_findings_name_their_object(wrong: Object, path: str) -> None:
    """A place in an answer that nobody has seen says little."""
    assert {one.path for one in found(listed(TYPE, wrong, {**SET, "metadata": {"name": "last"}}))} == {path}


def test_findings_of_documents_by_themselves_need_no_name() -> None:
    text = yaml.safe_dump_all([TYPE, {**SET, "spec": {"type": "card", "replicas": 1}}])
    assert [one.path for one in found(text)] == [""]
