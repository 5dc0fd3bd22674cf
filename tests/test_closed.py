"""Over many Types, Sets and nestings: references are closed inside each island, and islands share nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from hypothesis import given
from hypothesis import strategies as st
from strategies import Document, document, examples, text_of

from replicator.hosts import names_in, texts_of
from replicator.kinds import full_kind
from replicator.pipeline import Source, build
from replicator.references import HOST, Reference, is_given, rewrite
from replicator.tree import Leaf, List, Manifest, Map, Text, Tree, tree

ISLAND = "replicator.dev/island"
RBAC = "rbac.authorization.k8s.io"


def manifest(kind: str, name: str, version: str = "v1", labels: Any = None, **body: Any) -> Document:
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def workload(name: str, kind: str = "Deployment", pod: Document | None = None, **container: Any) -> Document:
    labels = {"app": name}
    containers = [{"name": name, "image": f"{name}:1", "ports": [{"name": "http", "containerPort": 80}], **container}]
    template = {"metadata": {"labels": labels}, "spec": {**(pod or {}), "containers": containers}}
    spec: Document = {"selector": {"matchLabels": labels}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return manifest(kind, name, "apps/v1", spec=spec)


def service(name: str) -> Document:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return manifest("Service", name, spec={"selector": {"app": name}, "ports": ports})


SUBJECT = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
# Parts of a Type, each closed by itself: manifests under `resources`.
PARTS: dict[str, list[Document]] = {
    "web": [
        workload("web", env=[{"name": "SELF", "value": "http://web.default.svc/"}]),
        service("web"),
        manifest(
            "HorizontalPodAutoscaler",
            "web",
            "autoscaling/v2",
            spec={"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
        ),
        manifest(
            "NetworkPolicy",
            "web",
            "networking.k8s.io/v1",
            spec={"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"podSelector": {}}]}]},
        ),
    ],
    "store": [
        workload("store", "StatefulSet", args=["--peers=store-0.store:80,store-1.store:80"]),
        service("store"),
        manifest(
            "PodDisruptionBudget",
            "store",
            "policy/v1",
            spec={
                "maxUnavailable": 1,
                "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["store"]}]},
            },
        ),
    ],
    "robot": [
        manifest("ServiceAccount", "robot"),
        manifest("ConfigMap", "robot", data={"url": "web:80 http://store/ nobody:80"}),
        manifest("Secret", "robot", stringData={"a": "b"}),
        manifest("PersistentVolumeClaim", "robot", spec={"resources": {"requests": {"storage": "1Gi"}}}),
        workload(
            "robot",
            pod={
                "serviceAccountName": "robot",
                "imagePullSecrets": [{"name": "robot"}],
                "volumes": [
                    {"name": "a", "persistentVolumeClaim": {"claimName": "robot"}},
                    {"name": "b", "projected": {"sources": [{"configMap": {"name": "robot"}}]}},
                ],
            },
            envFrom=[{"secretRef": {"name": "robot"}}],
        ),
        manifest(
            "Role",
            "robot",
            f"{RBAC}/v1",
            rules=[{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["robot"], "verbs": ["get"]}],
        ),
        manifest(
            "RoleBinding",
            "robot",
            f"{RBAC}/v1",
            roleRef={"apiGroup": RBAC, "kind": "Role", "name": "robot"},
            subjects=[SUBJECT],
        ),
        manifest("ClusterRole", "robot", f"{RBAC}/v1", rules=[]),
        manifest(
            "ClusterRoleBinding",
            "robot",
            f"{RBAC}/v1",
            roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": "robot"},
            subjects=[SUBJECT],
        ),
    ],
}
UNITS: dict[str, Document] = {
    "api": {"image": "api:1", "ports": {"http": 8080}, "env": {"DB": "{{ address('db', 'sql') }}", "WEB": "web:80"}},
    "db": {"image": "db:1", "kind": "StatefulSet", "ports": {"sql": 5432}, "files": {"/a": "db-0.db-headless:5432"}},
}


PATCHES: list[Any] = [
    {"metadata": {"annotations": {"of": "{{ island.name }}"}}},
    {"spec": {"template": {"spec": {"volumes": [{"name": "c", "emptyDir": {}}]}}}},
    [{"op": "add", "path": "/spec/revisionHistoryLimit", "value": 2}],
]


class World(NamedTuple):
    """The documents of a build, and the full names of all islands, with the namespace of each."""

    documents: list[Document]
    islands: list[tuple[str, str]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Sets of a Type, some of whose islands have Sets inside."""

    def type_of(name: str, **more: Any) -> Document:
        parts = draw(st.lists(st.sampled_from(sorted(PARTS)), unique=True, max_size=3))
        resources = [{"manifest": one} for part in parts for one in PARTS[part]]
        return document("IslandType", name, {"units": UNITS, "resources": resources, "rewriteHosts": "all", **more})

    keys = st.lists(st.sampled_from(["a", "b", "b-c", "c", "1", "a-web"]), unique=True, min_size=1, max_size=3)
    inner = draw(st.lists(st.sampled_from(["n", "m"]), unique=True, max_size=2))
    inner_keys = {name: draw(keys) for name in inner}
    # Of the Sets inside, one may hold two more: `n` by a matrix, and `m` in it, by a number.
    deep = draw(st.booleans())
    patches = [{"target": {"kind": "Deployment"}, "patch": draw(st.sampled_from(PATCHES))}]
    sets: dict[str, Any] = {
        name: {"type": "two" if deep else "leaf", "islands": {key: {} for key in own}, "patches": patches}
        for name, own in inner_keys.items()
    }
    three: Document = {"m": {"type": "leaf", "replicas": 2, "patches": patches}}
    two: Document = {"n": {"type": "three", "matrix": {"tier": ["1", "b-c"]}}}
    documents = [
        type_of("leaf"),
        type_of("three", params={"tier": {"type": "string"}}, sets=three),
        type_of("two", sets=two),
        type_of("outer", **({"sets": sets} if sets else {})),
    ]
    below = ["", *(f"-n-{key}{end}" for key in ("1", "b-c") for end in ("", "-m-0", "-m-1"))] if deep else [""]
    islands = []
    for name in draw(st.lists(st.sampled_from(["x", "a", "a-b", "x-a"]), unique=True, min_size=1, max_size=3)):
        own = draw(keys)
        scope = draw(st.sampled_from(["prefix", "namespace"]))
        spec = {"type": "outer", "scope": scope, "islands": {key: {} for key in own}}
        documents.append(document("IslandSet", name, spec, namespace="shop"))
        for key in own:
            full = f"{name}-{key}"
            namespace = full if scope == "namespace" else "shop"
            islands.append((namespace, full))
            own_inner = [f"{full}-{inside}-{one}" for inside in inner for one in inner_keys[inside]]
            islands += ((namespace, f"{name}{end}") for name in own_inner for end in below)
    return World(documents, islands)


def _island(item: Document) -> str:
    return str(item["metadata"]["labels"][ISLAND])


def _requirements(item: Document) -> Iterator[dict[str, str]]:
    """The labels that an object's selectors of pods want."""
    selector = item.get("spec", {}).get("selector") or item.get("spec", {}).get("podSelector")
    if selector is not None:
        yield selector if item["kind"] == "Service" else selector.get("matchLabels", {})
    for rule in item.get("spec", {}).get("ingress", ()) if item["kind"] == "NetworkPolicy" else ():
        yield from (peer["podSelector"]["matchLabels"] if peer["podSelector"] else {} for peer in rule["from"])


@given(worlds())
@examples(60)
def test_islands_are_closed_and_share_nothing(world: World) -> None:
    built = build([Source("dsl.yaml", text_of(*world.documents).encode())])
    errors = [one for one in built.diagnostics if one.severity == "error"]
    if len(set(world.islands)) < len(world.islands):
        assert {one.code for one in errors} == {"R0507"}
        return
    clashes = {one.code for one in errors}
    assert clashes <= {"R0507"}, errors  # objects of islands of other names may still have one name
    if clashes:
        return
    objects = list(yaml.safe_load_all(b"".join(built.texts()).decode()))
    named = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}
    assert len(named) == len(objects)
    services = {name: one for (kind, _, name), one in named.items() if kind == "Service"}
    for one in objects:
        _judge_references(one, named)
        _judge_hosts(one, named, services)
    _judge_selectors(objects)


def _judge_references(one: Document, named: dict[tuple[str, str, str], Document]) -> None:
    def answer(reference: Reference) -> tuple[Leaf, Text | None]:
        assert reference.kind != HOST
        name = str(reference.node.value)
        kinds = [reference.kind] if reference.kind else ["Secret"]  # that of the rules above
        namespace = str(reference.namespace.value) if reference.namespace else one["metadata"].get("namespace", "")
        targets = [named.get((kind, place, name)) for kind in kinds for place in (namespace, "")]
        found = next((target for target in targets if target is not None), None)
        assert found is not None or is_given(reference.kind, name), (one["metadata"]["name"], reference)
        assert found is None or _island(found) == _island(one)
        return reference.node, None

    body = tree(one)
    assert isinstance(body, Map)
    rewrite(full_kind(one["apiVersion"], one["kind"]), body, answer)


def _judge_hosts(one: Document, named: dict[tuple[str, str, str], Document], services: dict[str, Document]) -> None:
    body = tree(one)
    assert isinstance(body, Map)
    namespace = one["metadata"].get("namespace", "")
    made = Manifest(one["apiVersion"], one["kind"], (one["metadata"]["name"],), (namespace,), body)
    for path, _ in texts_of(made):
        for leaf in _leaves(body, path):
            for token in names_in(leaf):
                place = token.labels[token.namespace] if token.namespace is not None else namespace
                target = named.get(("Service", place, token.name))
                if target is not None and not f"{_island(one)}-".startswith(f"{_island(target)}-"):  # or the one around
                    raise AssertionError((one["metadata"]["name"], token))
                assert target is not None or token.name not in services or token.pod is None


def _leaves(node: Tree, path: tuple[str, ...]) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, List):
        for item in node.items:
            yield from _leaves(item, path[1:] if path[:1] == ("[]",) else path)
    elif isinstance(node, Map):
        for key, child in node.items:
            if not path or path[0] == key:
                yield from _leaves(child, path[1:])


def _judge_selectors(objects: list[Document]) -> None:
    pods = [
        (one, one["spec"]["template"]["metadata"]["labels"])
        for one in objects
        if one["kind"] in ("Deployment", "StatefulSet")
    ]
    for one in objects:
        for wanted in _requirements(one):
            selected = [
                pod
                for pod, labels in pods
                if pod["metadata"]["namespace"] == one["metadata"]["namespace"] and wanted.items() <= labels.items()
            ]
            if "namespace" in one["metadata"] and one["metadata"]["namespace"] == "shop":
                assert {_island(pod) for pod in selected} <= {_island(one)}, one["metadata"]["name"]


def test_two_sets_whose_islands_have_one_name() -> None:
    members: dict[str, Document] = {"a": {"b-c": {}}, "a-b": {"c": {}}}
    documents = [
        document("IslandType", "leaf", {"units": UNITS}),
        *(document("IslandSet", name, {"type": "leaf", "islands": own}) for name, own in members.items()),
    ]
    [found] = build([Source("dsl.yaml", text_of(*documents).encode())]).diagnostics
    assert found.code == "R0507"
    assert "`a-b-c`" in found.message
    assert found.related
