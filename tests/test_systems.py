"""Whole systems: nothing is found in them; and whatever is taken away from them or misspelt in them is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from strict_schemas import SHARED, needs_shared, problems

from replicator.pipeline import Built, Options, Source, build

Object = dict[str, Any]

FOLDER = Path(__file__).parent / "systems"
CORPUS = SHARED / "corpus"

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
each_scope = pytest.mark.parametrize("scope", ["prefix", "namespace"])


def compiled(system: System, objects: list[Object], scope: str, folder: Path) -> Built:
    (folder / "system.yaml").write_text(yaml.safe_dump_all(objects))
    dsl = DSL.replace("SERVICE", system.service).replace("PORT", str(system.port)).replace("SCOPE", scope)
    return build([Source(str(folder / "dsl.yaml"), dsl.encode())], Options(root=str(folder)))


@each_scope
@each_system
def test_nothing_is_found(system: System, scope: str, tmp_path: Path) -> None:
    built = compiled(system, system.objects, scope, tmp_path)
    expected = list(system.uncalled) if scope == "prefix" else []
    found = [(one.code, one.severity, one.message) for one in built.diagnostics]
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

# What may be gone without a word, and why.
SILENT = {
    "nothing refers to it": [
        "ConfigMap *",
        "Database orders",
    ],
}


def _name(one: Object) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


def _without(objects: list[Object], name: str) -> list[Object]:
    return [one for one in objects if _name(one) != name]


def _deletions(system: System) -> Iterator[str]:
    yield from (_name(one) for one in system.objects)
