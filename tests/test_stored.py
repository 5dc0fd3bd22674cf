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


# Names are unique within a namespace


def image(name: str, namespace: str, number: int, **spec: Any) -> Object:
    metadata = {"namespace": namespace} if namespace else {}
    return document("IslandType", name, {"units": {"api": {"image": f"{name}:{number}"}}, **spec}, **metadata)


def images(*items: Object) -> list[str]:
    built = build([Source("<stdin>", listed(*items).encode())])
    assert built.diagnostics == []
    objects = yaml.safe_load_all(b"".join(built.texts()))
    return [item["spec"]["template"]["spec"]["containers"][0]["image"] for item in objects]


def a_set(name: str, namespace: str, type_name: str = "cart") -> Object:
    return document("IslandSet", name, {"type": type_name, "islands": {"eu": {}}}, namespace=namespace)


@pytest.mark.parametrize("other", ["", "else", "b"])
def test_a_set_takes_the_type_of_its_namespace(other: str) -> None:
    types = image("cart", "a", 1), image("cart", other, 2)
    assert images(*types, a_set("one", "a")) == ["cart:1"]
    assert images(*reversed(types), a_set("one", "a")) == ["cart:1"]


def test_a_set_takes_the_only_type_there_is() -> None:
    for namespace in ("", "a", "b"):
        assert images(image("cart", namespace, 1), a_set("one", "a")) == ["cart:1"]


def test_a_set_inside_a_type_takes_one_of_the_namespace_of_the_type() -> None:
    outer = image("shop", "b", 0, sets={"in": {"type": "cart", "islands": {"x": {}}}})
    types = image("cart", "a", 1), image("cart", "b", 2), outer
    assert images(*types, a_set("one", "a", "shop"), a_set("two", "a")) == ["shop:0", "cart:2", "cart:1"]


@pytest.mark.parametrize("namespaces", [("b", "c"), ("", "b")])
def test_a_type_that_could_be_one_of_several(namespaces: tuple[str, str]) -> None:
    types = [image("cart", namespace, 1) for namespace in namespaces]
    [one] = found(listed(*types, a_set("one", "a")))
    assert (one.code, len(one.related)) == ("R0316", 2)


@pytest.mark.parametrize("namespace", ["", "a"])
def test_two_types_of_one_name_and_namespace(namespace: str) -> None:
    types = image("cart", namespace, 1), image("cart", namespace, 2)
    assert [one.code for one in found(listed(*types))] == ["R0301"]
    assert [one.code for one in found(listed(*types, a_set("one", "b")))] == ["R0301"]


def test_sets_of_one_name_in_two_namespaces() -> None:
    [one] = found(listed(TYPE, a_set("one", "a"), a_set("one", "b")))
    assert one.code == "R0301"
    assert "namespace" in one.hint


def test_a_type_that_names_itself() -> None:
    """Its own namespace comes first, whatever Types of the name there are elsewhere."""
    outer = image("cart", "a", 1, sets={"in": {"type": "cart", "islands": {"x": {}}}})
    inner = image("cart", "b", 2)
    [one] = found(listed(outer, inner, a_set("one", "a")))
    assert one.code == "R0314"
    outer["spec"]["sets"]["in"]["type"] = "basket"
    assert images(outer, image("basket", "b", 3), inner, a_set("one", "a")) == ["cart:1", "basket:3"]
