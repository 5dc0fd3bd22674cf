"""Systems that others wrote, as they are: three islands of each, each in a namespace of its own, behind one Routing."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from envoy import Gateway
from envoy_gloo import running
from strict_schemas import SHARED, needs_shared, problems

from replicator.pipeline import Options, Source, build

Object = dict[str, Any]
Key = tuple[str, str]  # kind, name

pytestmark = needs_shared

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SET, ISLAND, ROUTING = (f"replicator.dev/{label}" for label in ("set", "island", "routing"))
ISLANDS = {"ap": 0, "eu": 3, "us": 1}  # and their weights
FOLDER = SHARED / "corpus"

DSL = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: system}
spec:
  ports:
    http: {service: SERVICE, port: PORT}
  resources:
    - file: FILE
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: shop}
spec:
  type: system
  scope: namespace
  namespaces: {create: true, labels: {istio-injection: enabled}}
  islands:
    us: {}
    eu: {weight: 3}
    ap: {weight: 0}
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: edge, namespace: edge}
spec:
  hosts: [example.com]
  routes:
    - name: island
      each: shop
      match: {path: {prefix: "/i/{{ island.key }}"}}
      rewrite: {prefix: /}
    - {name: rest, to: {spread: shop}}
"""


class Corpus(NamedTuple):
    """A system, and the Service by which it is reached from outside."""

    path: str
    service: str
    port: int
    hosts: int  # the least number of host names in the environment of one island's containers

    @property
    def text(self) -> str:
        return (FOLDER / self.path).read_text()


CORPORA = [
    Corpus("online-boutique/kubernetes-manifests.yaml", "frontend", 80, 15),
    Corpus("bookinfo/bookinfo.yaml", "productpage", 9080, 0),  # its images have the names built in
]


class Compiled(NamedTuple):
    """A system, its objects as their author wrote them, and what they were compiled to."""

    corpus: Corpus
    originals: dict[Key, Object]
    objects: list[Object]

    def of_island(self, key: str) -> list[Object]:
        """The objects of an island, those apart by which it is reached."""
        own = [item for item in self.objects if ROUTING not in item["metadata"].get("labels", {})]
        return [item for item in own if item["metadata"].get("labels", {}).get(ISLAND) == f"shop-{key}"]

    def inside(self, key: str) -> dict[Key, Object]:
        """The objects in an island's namespace."""
        found = [item for item in self.objects if item["metadata"].get("namespace") == f"shop-{key}"]
        assert len({_key(item) for item in found}) == len(found)
        return {_key(item): item for item in found}


def _key(item: Object) -> Key:
    return item["kind"], item["metadata"]["name"]


def _load(text: str) -> list[Object]:
    return [item for item in yaml.load_all(text, Loader=LOADER) if item]


@pytest.fixture(scope="module", params=CORPORA, ids=lambda corpus: str(corpus.service))
def compiled(request: pytest.FixtureRequest) -> Compiled:
    corpus: Corpus = request.param
    dsl = DSL.replace("SERVICE", corpus.service).replace("PORT", str(corpus.port)).replace("FILE", corpus.path)
    name = str(FOLDER / "dsl.yaml")  # there is no such file: only what it names is read
    built = build([Source(name, dsl.encode())], Options(root=str(FOLDER)))
    assert built.diagnostics == []
    originals = _load(corpus.text)
    assert len({_key(item) for item in originals}) == len(originals)
    return Compiled(corpus, {_key(item): item for item in originals}, _load(b"".join(built.texts()).decode()))


def _pods(item: Object) -> Iterator[Object]:
    if item["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
        yield item["spec"]["template"]


def _containers(item: Object) -> Iterator[Object]:
    for pod in _pods(item):
        yield from (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])


def test_a_cluster_takes_the_objects(compiled: Compiled) -> None:
    assert len(compiled.objects) > 3 * len(compiled.originals)
    assert problems(compiled.objects) == []


def test_every_island_has_every_object(compiled: Compiled) -> None:
    for key in ISLANDS:
        assert compiled.inside(key).keys() == compiled.originals.keys()
        namespace, *rest = compiled.of_island(key)
        assert _key(namespace) == ("Namespace", f"shop-{key}")  # the island's first
        assert namespace["metadata"]["labels"]["istio-injection"] == "enabled"
        assert sorted(map(_key, rest)) == sorted(compiled.originals)


def test_nothing_else_is_made(compiled: Compiled) -> None:
    others = [item for item in compiled.objects if ROUTING in item["metadata"].get("labels", {})]
    assert all(ROUTING in item["metadata"]["labels"] or SET in item["metadata"]["labels"] for item in compiled.objects)
    expected = [("Upstream", f"edge-shop-{key}-http") for key in ISLANDS]
    assert [_key(item) for item in others] == [*expected, ("VirtualService", "edge")]
    assert len(compiled.objects) == len(ISLANDS) * (len(compiled.originals) + 1) + len(others)


def _is_ours(labels: Object, key: str) -> None:
    """Take away what may be there beside the author's: the two labels."""
    assert labels.pop(SET) == "shop"
    assert labels.pop(ISLAND) == f"shop-{key}"


@pytest.mark.parametrize("key", ISLANDS)
def test_nothing_of_the_author_is_lost_or_changed(compiled: Compiled, key: str) -> None:
    originals = {_key(item): item for item in _load(compiled.corpus.text)}
    for name, item in compiled.inside(key).items():
        original, made = originals[name], _load(yaml.safe_dump(item))[0]
        metadata = made["metadata"]
        assert metadata.pop("namespace") == f"shop-{key}"
        original["metadata"].pop("namespace", None)
        _is_ours(metadata["labels"], key)
        original["metadata"].setdefault("labels", {})
        for pod in _pods(made):
            _is_ours(pod["metadata"]["labels"], key)
        for one in (original, made):
            for port in one["spec"]["ports"] if one["kind"] == "Service" else ():
                port.setdefault("protocol", "TCP")
        assert made == original


def test_selectors_choose_the_same_pods_as_before_and_those_of_their_own_island_alone(compiled: Compiled) -> None:
    def chosen(objects: list[Object]) -> set[tuple[str, Key, Key]]:
        """(namespace, who selects, whose pods)."""
        found = set()
        for one in objects:
            selector = one["spec"].get("selector") if isinstance(one.get("spec"), dict) else None
            if selector is None or one["kind"] == "VirtualService":
                continue
            wanted = (selector if one["kind"] == "Service" else selector["matchLabels"]).items()
            for other in objects:
                namespace = one["metadata"].get("namespace", "")
                if other["metadata"].get("namespace", "") != namespace:
                    continue
                hits = [pod for pod in _pods(other) if wanted <= pod["metadata"]["labels"].items()]
                found |= {(namespace, _key(one), _key(other)) for _ in hits}
                assert not namespace or all(pod["metadata"]["labels"][ISLAND] == namespace for pod in hits)
        return found

    before = {(one, other) for _, one, other in chosen(list(compiled.originals.values()))}
    assert {one for one, _ in before} >= {key for key in compiled.originals if key[0] in ("Service", "Deployment")}
    expected = {(f"shop-{key}", one, other) for key in ISLANDS for one, other in before}
    assert chosen(compiled.objects) == expected


HOST = re.compile(r"(?:[a-z]+://)?([a-z][a-z0-9-]*)(\.[a-z0-9.-]+)?:[0-9]+(?:/.*)?")
ABSENT = {"shoppingassistantservice"}  # the author names it and brings it in another overlay


@pytest.mark.parametrize("key", ISLANDS)
def test_hosts_in_environments_are_services_of_the_namespace(compiled: Compiled, key: str) -> None:
    inside = compiled.inside(key)
    values = [
        str(variable.get("value", ""))
        for item in inside.values()
        for container in _containers(item)
        for variable in container.get("env", ())
    ]
    hosts = [match for value in values if (match := HOST.fullmatch(value))]
    assert len(hosts) >= compiled.corpus.hosts
    for match in hosts:
        assert match[2] is None  # a bare name: DNS looks it up in the pod's own namespace
        assert ("Service", match[1]) in inside or match[1] in ABSENT


def test_references_are_answered_in_the_namespace(compiled: Compiled) -> None:
    for key in ISLANDS:
        inside = compiled.inside(key)
        accounts = [pod["spec"].get("serviceAccountName") for item in inside.values() for pod in _pods(item)]
        assert any(accounts)
        assert {account for account in accounts if account and ("ServiceAccount", account) not in inside} == set()


@pytest.fixture(scope="module")
def gateway(compiled: Compiled) -> Iterator[Gateway]:
    corpus = compiled.corpus
    services = [
        (item["metadata"]["namespace"], item["metadata"]["name"], port["port"])
        for item in compiled.objects
        if item["kind"] == "Service"
        for port in item["spec"]["ports"]
    ]
    assert len([one for one in services if one[1:] == (corpus.service, corpus.port)]) == len(ISLANDS)
    with running(compiled.objects, services) as gateway:
        yield gateway


@pytest.mark.parametrize("key", ISLANDS)
def test_envoy_reaches_each_island(compiled: Compiled, gateway: Gateway, key: str) -> None:
    expected = f"shop-{key}/{compiled.corpus.service}:{compiled.corpus.port}"
    for path, seen in {f"/i/{key}": "/", f"/i/{key}/": "/", f"/i/{key}/cart?id=1": "/cart?id=1"}.items():
        response = gateway.request("GET", path)
        assert (response.service, response.path) == (expected, seen)


def test_envoy_spreads_the_rest_by_weight(compiled: Compiled, gateway: Gateway) -> None:
    answers = [gateway.request("GET", path).service for path in ["/", "/i/eux", "/i", "/cart"] * 25]
    shares = {key: answers.count(f"shop-{key}/{compiled.corpus.service}:{compiled.corpus.port}") for key in ISLANDS}
    assert sum(shares.values()) == 100
    assert shares["ap"] == 0
    assert 8 <= shares["us"] <= 48  # 25 of 100: this fails once in 100,000 times
