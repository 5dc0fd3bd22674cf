"""Whole systems: nothing is found in them; and whatever is taken away from them or misspelt in them is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from strict_schemas import SHARED, needs_shared, problems

from replicator.emitters.resources import as_data
from replicator.kinds import full_kind
from replicator.model import Declared
from replicator.parser.source import load_data
from replicator.pipeline import Built, Options, Source, build
from replicator.references import Reference, rewrite
from replicator.tree import Leaf, List, Map, Text, Tree

Object = dict[str, Any]

FOLDER = Path(__file__).parent / "systems"
CORPUS = SHARED / "corpus"
DATABASE = Declared("Database", "spec.adminSecretName", "Secret")

DSL = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: system}
spec:
  ports: {http: {service: SERVICE, port: PORT}}
  resources: [{file: system.yaml}]
  rewriteHosts: all
  references: [{kind: Database, path: spec.adminSecretName, to: Secret}]
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: shop, namespace: shop}
spec: {type: system, scope: SCOPE, islands: {eu: {}, us: {}}}
"""


class System(NamedTuple):
    """A system, the Service by which it is reached, and the Services that nothing is seen to call."""

    file: Path
    service: str
    port: int
    uncalled: tuple[str, ...] = ()

    @property
    def objects(self) -> list[Object]:
        return [one for one in yaml.safe_load_all(self.file.read_text()) if one]


SYSTEMS = [
    System(FOLDER / "wordpress.yaml", "wordpress", 80),
    System(FOLDER / "kafka.yaml", "kafka", 9092),
    System(FOLDER / "operator.yaml", "webhook", 443),
    pytest.param(System(CORPUS / "online-boutique/kubernetes-manifests.yaml", "frontend", 80), marks=needs_shared),
    pytest.param(  # its images have the names built in
        System(CORPUS / "bookinfo/bookinfo.yaml", "productpage", 9080, ("details", "ratings", "reviews")),
        marks=needs_shared,
    ),
]
each_system = pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.file.stem)
SCOPES = ["prefix", "namespace"]
each_scope = pytest.mark.parametrize("scope", SCOPES)


def compiled(system: System, objects: list[Object], scope: str, folder: Path) -> Built:
    return built_of(system, yaml.safe_dump_all(objects), scope, folder)


def built_of(system: System, text: str, scope: str, folder: Path) -> Built:
    (folder / "system.yaml").write_text(text)
    dsl = DSL.replace("SERVICE", system.service).replace("PORT", str(system.port)).replace("SCOPE", scope)
    return build([Source(str(folder / "dsl.yaml"), dsl.encode())], Options(root=str(folder)))


@each_scope
@each_system
def test_nothing_is_found(system: System, scope: str, tmp_path: Path) -> None:
    built = compiled(system, system.objects, scope, tmp_path)
    expected = list(system.uncalled) if scope == "prefix" else []
    found = [(one.code, one.severity, one.message) for one in built.diagnostics if one.severity != "note"]
    assert len(found) == len(expected)
    for (code, severity, message), name in zip(sorted(found, key=lambda one: one[2]), expected, strict=True):
        assert (code, severity) == ("R0606", "warning")
        assert f"`{name}`" in message
    made = list(yaml.safe_load_all(b"".join(built.texts()).decode()))
    custom = [one for one in made if one["kind"] == "Database"]
    assert problems(one for one in made if one not in custom) == []


# Hosts

HOST = re.compile(r"(?<![\w.-])([a-z][a-z0-9-]*):[0-9]+")


@needs_shared
def test_no_island_of_the_boutique_calls_another(tmp_path: Path) -> None:
    system = System(CORPUS / "online-boutique/kubernetes-manifests.yaml", "frontend", 80)
    objects = list(yaml.safe_load_all(b"".join(compiled(system, system.objects, "prefix", tmp_path).texts()).decode()))
    services = {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}
    assert len(services) == 2 * len([one for one in system.objects if one["kind"] == "Service"])
    called = set()
    for one in objects:
        island = one["metadata"]["labels"]["replicator.dev/island"]
        for container in _containers(one):
            for variable in container.get("env", ()):
                for host in HOST.findall(str(variable.get("value", ""))):
                    called.add(host)
                    assert host == "shoppingassistantservice" or (host in services and host.startswith(f"{island}-"))
    assert "shoppingassistantservice" in called  # it is in another overlay of the author
    assert len(called) > 20


def test_pods_of_a_stateful_set_call_each_other(tmp_path: Path) -> None:
    system = System(FOLDER / "kafka.yaml", "kafka", 9092)
    text = b"".join(compiled(system, system.objects, "prefix", tmp_path).texts()).decode()
    for island in ("shop-eu", "shop-us"):
        voters = ",".join(f"{n}@{island}-kafka-{n}.{island}-kafka-headless:9093" for n in range(3))
        assert f"controller.quorum.voters={voters}\n" in text
        assert f"PLAINTEXT://$(POD_NAME).{island}-kafka-headless:9092" in text


def _containers(one: Object) -> list[Object]:
    pod = one.get("spec", {}).get("template", {}).get("spec", {}) if one["kind"] not in ("Database",) else {}
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


# Mutations

# What may be gone, or have another name, without a word, and why: patterns of the change, the scope and the object.
SILENT = {
    "nothing refers to it: it refers to others": """
        *:*:NetworkPolicy.mysql *:*:HorizontalPodAutoscaler.wordpress *:*:PodDisruptionBudget.kafka *:*:Job.topics
        *:*:RoleBinding.leader-election *:*:ClusterRoleBinding.manager *:*:MutatingWebhookConfiguration.defaults
        *:*:Database.orders *:*:Deployment.loadgenerator
    """,
    "it is called from outside of the cluster": "*:*:Service.frontend-external",
    "others have pods of the same labels": "deleted:*:Deployment.reviews-v?",
    "its pods are found by their labels": "renamed:*:Deployment.[!w]* renamed:*:Deployment.wordpress-mysql",
    "images call it by a name that they have built in": """
        deleted:*:Service.details deleted:*:Service.ratings deleted:*:Service.reviews
    """,
    "images call it by a name that they have built in, and it stays as it is": """
        renamed:namespace:Service.details renamed:namespace:Service.ratings renamed:namespace:Service.reviews
    """,
    "it may be in the cluster already": "deleted:*:CustomResourceDefinition.*",
}
# References whose targets need not be in the output.
GIVEN = {"storageClassName": "the cluster's operators make StorageClasses"}


def _name(one: Object) -> str:
    return f"{one['kind']}.{one['metadata']['name']}"


def _said(built: Built) -> set[tuple[str, str]]:
    return {(one.code, one.message) for one in built.diagnostics}


def _changes(system: System) -> Iterator[tuple[str, str, list[Object]]]:
    """Each object taken away, and each with another name."""
    for number, one in enumerate(system.objects):
        objects = system.objects
        yield "deleted", _name(one), objects[:number] + objects[number + 1 :]
        objects[number]["metadata"]["name"] += "-x"
        yield "renamed", _name(one), objects


@each_scope
@each_system
def test_an_object_that_is_gone_or_misnamed_is_missed(system: System, scope: str, tmp_path: Path) -> None:
    before = _said(compiled(system, system.objects, scope, tmp_path))
    for how, name, objects in _changes(system):
        found = _said(compiled(system, objects, scope, tmp_path)) - before
        silent = any(fnmatchcase(f"{how}:{scope}:{name}", pattern) for pattern in _silent())
        assert bool(found) != silent, (how, name, found)


def _silent() -> list[str]:
    return [pattern for patterns in SILENT.values() for pattern in patterns.split()]


@needs_shared
def test_no_exception_is_left_over() -> None:
    systems = [one for each in SYSTEMS for one in getattr(each, "values", (each,)) if isinstance(one, System)]
    changes = [f"{how}:{scope}:{name}" for one in systems for how, name, _ in _changes(one) for scope in SCOPES]
    assert [pattern for pattern in _silent() if not any(fnmatchcase(one, pattern) for one in changes)] == []


# Names inside an object, selectors, and the labels that they select.
INSIDE = re.compile(
    r".*\.(volumeMounts\[\]\.name|\w+KeyRef\.key|targetPort|(\w+Probe|preStop)\.(httpGet|tcpSocket)\.port"
    r"|template\.metadata\.labels\.[^[]*|\w*[sS]elector(\.matchLabels)?\.[^[]*|matchExpressions\[\]\.values\[\])"
)


def _leaves(node: Tree, path: str = "") -> Iterator[tuple[str, Leaf]]:
    if isinstance(node, Leaf):
        yield path, node
    elif isinstance(node, Map):
        for key, child in node.items:
            yield from _leaves(child, f"{path}.{key}")
    elif isinstance(node, List):
        for child in node.items:
            yield from _leaves(child, f"{path}[]")


def _named(text: str) -> Iterator[tuple[str, Leaf]]:
    """What names something else in the manifests of a text, with the path of its field."""
    documents, _ = load_data("system.yaml", text)
    for document in documents:
        body = as_data(document.root)
        assert isinstance(body, Map)
        seen: list[int] = []

        def note(reference: Reference, seen: list[int] = seen) -> tuple[Leaf, Text | None]:
            seen.append(id(reference.node))
            return reference.node, None

        data = document.root.data
        rewrite(full_kind(data["apiVersion"], data["kind"]), body, note, [DATABASE])
        for path, leaf in _leaves(body):
            if id(leaf) in seen or (INSIDE.fullmatch(path) and isinstance(leaf.value, str)):
                yield path, leaf


@each_scope
@each_system
def test_a_misspelt_reference_is_found_where_it_is(system: System, scope: str, tmp_path: Path) -> None:
    text = system.file.read_text()
    lines = text.split("\n")
    before = _said(built_of(system, text, scope, tmp_path))
    names = list(_named(text))
    assert len(names) > 10
    for path, leaf in names:
        assert leaf.origin.place
        number, column = leaf.origin.place.line, leaf.origin.place.column
        line = lines[number - 1]
        end = line.index(str(leaf.value), column - 1) + len(str(leaf.value))
        changed = [*lines[: number - 1], f"{line[:end]}x{line[end:]}", *lines[number:]]
        found = _said(built_of(system, "\n".join(changed), scope, tmp_path)) - before
        assert bool(found) != any(path.endswith(name) for name in GIVEN), (number, line)
