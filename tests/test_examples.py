"""What must hold in the output of every example: closed references, islands apart, objects a cluster would take."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from jsonschema import Draft202012Validator
from strict_schemas import needs_shared, problems

from replicator import pipeline
from replicator.parser.source import load
from replicator.pipeline import Options, Source

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(ROOT.glob("dsl-examples/*.yaml"))

SET, ISLAND, COMPONENT = "replicator.dev/set", "replicator.dev/island", "app.kubernetes.io/component"
KOURIER = "kourier-system/kourier-internal"
MANAGED_BY = "app.kubernetes.io/managed-by"  # on what the compiler makes, not on what authors bring along
POD_NAME = "statefulset.kubernetes.io/pod-name"  # the StatefulSet controller puts it on each pod


class Pod(NamedTuple):
    """A pod that a workload makes: of a StatefulSet there is each, of other kinds one stands for all."""

    name: str
    namespace: str
    labels: dict[str, str]
    ports: dict[str, str]

    @property
    def island(self) -> str:
        return self.labels.get(ISLAND) or self.name  # in `form: pods` the pod is the island


class Output(NamedTuple):
    """The objects of an example, and what its source declares to exist outside: (kind, name), Services' ports, hosts.

    Hosts are patterns: where a name has an expression, anything may stand.
    """

    objects: list[Object]
    external: set[tuple[str, str]]
    services: set[tuple[str, str, int]]
    hosts: set[str]
    resting: set[str]  # islands that are not active

    def of(self, kind: str) -> list[Object]:
        return [item for item in self.objects if item["kind"] == kind]

    def workloads(self) -> list[Object]:
        return [item for item in self.objects if _template(item)]

    def pods(self) -> list[Pod]:
        return [pod for workload in self.workloads() for pod in _pods(workload)]

    def ports(self) -> set[tuple[str, str, int]]:
        """Every port of every Service that a route may name."""
        own = {(*_identity(service)[2:], port["port"]) for service in self.of("Service") for port in _ports(service)}
        return own | self.services


def _identity(item: Object) -> tuple[str, str, str, str]:
    metadata = item["metadata"]
    return item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"]


def _ports(service: Object) -> list[Object]:
    ports: list[Object] = service["spec"].get("ports", [])
    return ports


def _labels(item: Object) -> dict[str, str]:
    labels: dict[str, str] = item["metadata"].get("labels", {})
    return labels


def _template(item: Object) -> Object:
    """The pod template of a workload; {} of anything else."""
    spec = item.get("spec", {})
    template: Object = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
    return template


def _selector(item: Object) -> dict[str, str] | None:
    """What selects the pods of a Service or a workload; None where it has none of its own, as a Job."""
    selector = item["spec"].get("selector")
    found: dict[str, str] | None = selector.get("matchLabels", selector) if selector else None
    return found


def _pods(workload: Object) -> Iterator[Pod]:
    template, name = _template(workload), workload["metadata"]["name"]
    ports = {port["name"]: port["protocol"] for one in template["spec"]["containers"] for port in one.get("ports", [])}
    pod = Pod(name, workload["metadata"].get("namespace", ""), template["metadata"]["labels"], ports)
    if workload["kind"] != "StatefulSet":
        yield pod
        return
    start = workload["spec"].get("ordinals", {}).get("start", 0)
    reserved = workload["spec"].get("reserveOrdinals", [])  # OpenKruise's, and `replicas` counts the others
    ordinals = (ordinal for ordinal in count(start) if ordinal not in reserved)
    for ordinal in islice(ordinals, workload["spec"].get("replicas", 1)):
        own = f"{name}-{ordinal}"
        yield pod._replace(name=own, labels={**pod.labels, POD_NAME: own})


def _documents(text: str) -> list[Object]:
    return list(yaml.safe_load_all(text))


def _declared(documents: list[Object]) -> tuple[set[tuple[str, str]], set[tuple[str, str, int]], set[str], set[str]]:
    external, services, hosts, resting = set(), set(), set(), set()
    for document in documents:
        spec, own = document["spec"], document["metadata"].get("namespace", "")
        for kind, names in spec.get("external", {}).items():
            external |= {(kind, name) for name in names}
        asked = [one for one in spec.get("implementations", {}).values() if "function" in one]
        for route in spec.get("routes", []):
            to = route.get("to", [])
            for destination in [*(to if isinstance(to, list) else [to]), route.get("mirror", {})]:
                asked.append(destination)
                if "service" in destination:
                    namespace, _, name = destination["service"].rpartition("/")
                    services.add((namespace or own, name, destination.get("port", route.get("port"))))
        for one in asked:
            function = one.get("function", {})
            if "knative" in function:
                namespace, _, name = function["knative"].get("ingress", KOURIER).partition("/")
                services.add((namespace, name, function["knative"].get("port", 80)))
            if host := one.get("host") or function.get("gcp", {}).get("host"):
                hosts.add(".+".join(map(re.escape, re.split(r"\{\{.*?\}\}", host))))
        islands = spec.get("islands", {})
        resting |= {f"{document['metadata']['name']}-{key}" for key, one in islands.items() if "state" in one}
    return external, services, hosts, resting


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: str(example.stem))
def output(request: pytest.FixtureRequest, build: Callable[[Path], str]) -> Output:
    example: Path = request.param
    return Output(_documents(build(example)), *_declared(_documents(example.read_text())))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10


def test_documents_are_objects(output: Output) -> None:
    assert output.objects
    for item in output.objects:
        assert isinstance(item, dict)
        assert all(_identity(item)[at] for at in (0, 1, 3))


def test_identities_are_unique(output: Output) -> None:
    assert [identity for identity, times in Counter(map(_identity, output.objects)).items() if times > 1] == []


def test_selectors_stay_in_their_island(output: Output) -> None:
    """They select the pods of their own island (of `form: pods`: the Set's objects all of its pods) and no others."""
    pods = output.pods()
    for item in [*output.of("Service"), *output.workloads()]:
        labels, namespace, selector = _labels(item), item["metadata"].get("namespace", ""), _selector(item)
        if selector is None:
            continue
        own = [
            pod.name
            for pod in pods
            if pod.namespace == namespace
            and pod.labels[SET] == labels[SET]
            and pod.island == labels.get(ISLAND, pod.island)
            and pod.labels.get(COMPONENT) == labels.get(COMPONENT, pod.labels.get(COMPONENT))
        ]
        selected = [pod.name for pod in pods if pod.namespace == namespace and selector.items() <= pod.labels.items()]
        assert own, item["metadata"]["name"]
        assert selected, item["metadata"]["name"]
        assert set(selected) <= set(own), item["metadata"]["name"]
        if MANAGED_BY in labels:
            assert selected == own, item["metadata"]["name"]


def test_services_reach_ports_of_their_pods(output: Output) -> None:
    for service in output.of("Service"):
        selector = _selector(service)
        if selector is None:
            assert service["spec"]["type"] == "ExternalName"
            continue
        for pod in output.pods():
            if pod.namespace == service["metadata"].get("namespace", "") and selector.items() <= pod.labels.items():
                for port in _ports(service):
                    assert pod.ports.get(port["targetPort"]) == port["protocol"], (_identity(service), port)


def test_autoscalers_scale_what_leaves_it_to_them(output: Output) -> None:
    workloads = {_identity(item): item for item in output.workloads()}
    for autoscaler in output.of("HorizontalPodAutoscaler"):
        target, namespace = autoscaler["spec"]["scaleTargetRef"], autoscaler["metadata"].get("namespace", "")
        workload = workloads[target["apiVersion"], target["kind"], namespace, target["name"]]
        assert "replicas" not in workload["spec"]


def test_namespaces_that_are_made_are_all_that_are_used(output: Output) -> None:
    made = {item["metadata"]["name"] for item in output.of("Namespace")}
    used = {item["metadata"]["namespace"] for item in output.objects if "namespace" in item["metadata"]}
    assert not made or used == made


def _references(pod: Object) -> Iterator[tuple[str, str, str]]:
    """What a pod needs: (kind, name, key); an empty key stands for the whole object. What is optional need not be."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for volume in volumes.values():
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            if "configMap" in source and not source["configMap"].get("optional"):
                yield "ConfigMap", source["configMap"]["name"], ""
            if "secret" in source:
                yield "Secret", source["secret"].get("secretName") or source["secret"]["name"], ""
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], ""
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        for source in container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source:
                    yield kind, source[field]["name"], ""
        for variable in container.get("env", []):
            value = variable.get("valueFrom", {})
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in value:
                    yield kind, value[field]["name"], value[field]["key"]
        for mount in container.get("volumeMounts", []):
            source = volumes.get(mount["name"], {}).get("configMap")
            if source and "subPath" in mount:
                yield "ConfigMap", source["name"], mount["subPath"]
    for secret in pod.get("imagePullSecrets", []):
        yield "Secret", secret["name"], ""
    if "serviceAccountName" in pod:
        yield "ServiceAccount", pod["serviceAccountName"], ""
    if not pod.get("priorityClassName", "system-").startswith("system-"):
        yield "PriorityClass", pod["priorityClassName"], ""


def test_references_of_pods_are_closed(output: Output) -> None:
    """What a pod names is in the output, with the key that is asked for, or is declared external."""
    data = {_identity(item)[1:]: {**item.get("data", {}), **item.get("binaryData", {})} for item in output.objects}
    for workload in output.workloads():
        for kind, name, key in _references(_template(workload)["spec"]):
            if (kind, name) in output.external:
                continue
            namespace = "" if kind == "PriorityClass" else workload["metadata"].get("namespace", "")
            assert (kind, namespace, name) in data, (workload["metadata"]["name"], kind, name)
            assert not key or key in data[kind, namespace, name], (workload["metadata"]["name"], name, key)


def test_islands_name_only_their_own_config_maps(output: Output) -> None:
    """Or what is nobody's: it stands beside the islands, and is labelled as no island's."""
    owner = {_identity(item)[1:]: _labels(item).get(ISLAND) for item in output.of("ConfigMap")}
    for workload in output.workloads():
        namespace, island = workload["metadata"].get("namespace", ""), _labels(workload).get(ISLAND)
        for kind, name, _ in _references(_template(workload)["spec"]):
            if (kind, namespace, name) in owner:
                assert owner[kind, namespace, name] in (island, None)


def test_pods_find_the_files_that_are_their_own(output: Output) -> None:
    """Those of `form: pods` that differ by pod: each mounts the key that begins with its name."""
    data = {_identity(item)[2:]: item.get("data", {}) for item in output.of("ConfigMap")}
    for workload in output.workloads():
        pod = _template(workload)["spec"]
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for mount in (mount for one in pod["containers"] for mount in one.get("volumeMounts", [])):
            if "subPathExpr" not in mount:
                continue
            sources = [one["configMap"]["name"] for one in volumes[mount["name"]]["projected"]["sources"]]
            held = {key for name in sources for key in data.get((workload["metadata"].get("namespace", ""), name), {})}
            for one in _pods(workload):
                assert re.sub(r"\$\(\w+\)", one.name, mount["subPathExpr"]) in held


def test_mounts_have_volumes(output: Output) -> None:
    for workload in output.workloads():
        pod = _template(workload)["spec"]
        known = [volume["name"] for volume in pod.get("volumes", [])]
        known += [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
        assert len(known) == len(set(known))
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            for mount in [*container.get("volumeMounts", []), *container.get("volumeDevices", [])]:
                assert mount["name"] in known, workload["metadata"]["name"]


def test_stateful_sets_have_governing_services(output: Output) -> None:
    services = {_identity(service)[2:]: service for service in output.of("Service")}
    for workload in output.of("StatefulSet"):
        service = services[workload["metadata"].get("namespace", ""), workload["spec"]["serviceName"]]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"] == workload["spec"]["selector"]["matchLabels"]


def test_upstreams_lead_to_services(output: Output) -> None:
    """Or, of an island outside of the cluster, to the host that its Services are other names for; or to a function."""
    ports = output.ports()
    hosts = {
        item["spec"]["externalName"] for item in output.of("Service") if item["spec"].get("type") == "ExternalName"
    }
    for upstream in output.of("Upstream"):
        spec = upstream["spec"]
        for host in spec.get("static", {}).get("hosts", [spec["gcp"]] if "gcp" in spec else []):
            name = host.get("addr") or host["host"]
            assert name in hosts or any(re.fullmatch(pattern, name) for pattern in output.hosts), name
        if kube := spec.get("kube"):
            assert (kube["serviceNamespace"], kube["serviceName"], kube["servicePort"]) in ports


def _routes(output: Output) -> Iterator[Object]:
    for service in output.of("VirtualService"):
        yield from service["spec"].get("virtualHost", {}).get("routes", ())
    for table in output.of("RouteTable"):
        yield from table["spec"]["routes"]


def _key(reference: Object) -> tuple[str, str]:
    return reference["namespace"], reference["name"]


def test_routes_lead_somewhere(output: Output) -> None:
    """An Upstream that no route uses is of an island that is not active: only routes change with that."""
    ports = output.ports()
    upstreams = {_identity(upstream)[2:]: upstream["spec"] for upstream in output.of("Upstream")}
    groups = {_identity(group)[2:]: group["spec"]["destinations"] for group in output.of("UpstreamGroup")}
    tables = {_identity(table)[2:]: _labels(table) for table in output.of("RouteTable")}
    used, delegated = set(), set()
    for route in _routes(output):
        action, delegate = route.get("routeAction", {}), route.get("delegateAction", {})
        if "ref" in delegate:
            delegated.add(_key(delegate["ref"]))
        if selector := delegate.get("selector"):
            chosen = {key for key, labels in tables.items() if selector["labels"].items() <= labels.items()}
            assert chosen
            assert {namespace for namespace, _ in chosen} <= set(selector["namespaces"])
            delegated |= chosen
        shared = groups[_key(action["upstreamGroup"])] if "upstreamGroup" in action else []
        weighted = [*action.get("multi", {}).get("destinations", []), *shared]
        for destination in [*(one["destination"] for one in weighted), *filter(None, [action.get("single")])]:
            if "kube" in destination:
                assert (*_key(destination["kube"]["ref"]), destination["kube"]["port"]) in ports
                continue
            used.add(_key(destination["upstream"]))
            spec = upstreams[_key(destination["upstream"])]
            called = destination.get("destinationSpec", {})
            assert called.keys() == spec.keys() & {"aws", "azure"}
            for vendor, listed, name in (
                ("aws", "lambdaFunctions", "logicalName"),
                ("azure", "functions", "functionName"),
            ):
                if vendor in called:
                    assert called[vendor][name] in [one[name] for one in spec[vendor][listed]]
        if shadowing := route.get("options", {}).get("shadowing"):
            used.add(_key(shadowing["upstream"]))
    assert delegated == tables.keys()
    assert used <= upstreams.keys()
    for _, name in upstreams.keys() - used:
        assert any(f"-{island}-" in name for island in output.resting), "an Upstream that no route uses"


def test_istios_routes_lead_somewhere(output: Output) -> None:
    """To a port of a Service or of a ServiceEntry, of which none is without use, or to a delegate."""
    known = {(f"{name}.{namespace}.svc.cluster.local", port) for namespace, name, port in output.ports()}
    entries = [item["spec"] for item in output.of("ServiceEntry")]
    outside = {(host, port["number"]) for entry in entries for host in entry["hosts"] for port in entry["ports"]}
    services = [item for item in output.of("VirtualService") if "istio" in item["apiVersion"]]
    used, delegates = set(), set()
    for rule in (rule for item in services for rule in item["spec"]["http"]):
        for one in (*rule.get("route", ()), *rule.get("mirrors", ())):
            used.add((one["destination"]["host"], one["destination"]["port"]["number"]))
        if "delegate" in rule:
            delegates.add((rule["delegate"]["namespace"], rule["delegate"]["name"]))
    assert used <= known | outside
    assert outside <= used
    assert delegates == {_identity(item)[2:] for item in services if "hosts" not in item["spec"]}


def _is_custom(item: Object) -> bool:
    groups = (".solo.io/", ".istio.io/", ".kruise.io/", ".example.com/", "gateway.networking.k8s.io/", ".kgateway.dev/")
    return any(group in item["apiVersion"] for group in groups)


def test_kubernetes_would_take_it(output: Output) -> None:
    assert problems(item for item in output.objects if not _is_custom(item)) == []
    for workload in filter(_is_custom, output.workloads()):  # their own schemas leave pod templates open
        metadata = {"name": workload["metadata"]["name"]}
        template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": _template(workload)}
        assert problems([template]) == []


@needs_shared
def test_their_own_definitions_would_take_it(output: Output) -> None:
    defined = {crd["spec"]["names"]["kind"] for crd in output.of("CustomResourceDefinition")}  # by the example itself
    assert problems(item for item in output.objects if _is_custom(item) and item["kind"] not in defined) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_the_order_of_keys_means_nothing(
    example: Path, build: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ordered(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: ordered(node[key]) for key in sorted(node, reverse=True)}
        return [ordered(item) for item in node] if isinstance(node, list) else node

    monkeypatch.chdir(ROOT)
    read, _ = load(example.as_posix(), example.read_text())
    documents = "\n---\n".join(json.dumps(ordered(one.root.data)) for one in read)
    again = pipeline.build([Source(f"dsl-examples/{example.name}", documents.encode())], Options(root=str(ROOT)))
    assert [one for one in again.diagnostics if one.severity != "note"] == []
    assert _documents(b"".join(again.texts()).decode()) == _documents(build(example))


def test_examples_build_as_a_directory(build: Callable[[Path], str]) -> None:
    """No example is in the way of another: together they give what they give one by one."""

    def separate(text: str) -> list[str]:
        return text.removeprefix("---\n").split("\n---\n")

    together = separate(build(ROOT / "dsl-examples").removesuffix("\n"))
    alone = [document for example in EXAMPLES for document in separate(build(example).removesuffix("\n"))]
    assert sorted(together) == sorted(alone)


# Every property of the language is shown in some example


def _schema(name: str) -> Object:
    schema: Object = json.loads((ROOT / "schemas" / name).read_text())
    return schema


SCHEMAS = {file.name: _schema(file.name) for file in sorted(ROOT.glob("schemas/*.json"))}
KINDS = {
    "IslandType": "islandtype.json",
    "IslandSet": "islandset.json",
    "Routing": "routing.json",
    "Partition": "partition.json",
}


def _properties(schema: Object, place: str) -> Iterator[str]:
    """The places of all properties that a schema declares, those of its definitions included."""
    for name, child in schema.get("properties", {}).items():
        yield f"{place}/{name}"
        yield from _properties(child, f"{place}/{name}")
    for keyword in ("additionalProperties", "items", "then", "else"):
        if isinstance(schema.get(keyword), dict):
            yield from _properties(schema[keyword], f"{place}/({keyword})")
    for name, child in schema.get("$defs", {}).items():
        yield from _properties(child, f"{place}#{name}")


def _used(schema: Object, place: str, value: Any) -> Iterator[str]:
    """The places of the properties that a value uses, written as by `_properties`."""
    if "$ref" in schema:
        file, _, definition = schema["$ref"].partition("#/$defs/")
        file = file or "definitions.json"
        yield from _used(SCHEMAS[file]["$defs"][definition], f"{file}#{definition}", value)
    if "if" in schema:
        keyword = "then" if Draft202012Validator(schema["if"]).is_valid(value) else "else"
        yield from _used(schema.get(keyword, {}), f"{place}/({keyword})", value)
    for name, child in value.items() if isinstance(value, dict) else ():
        if name in schema.get("properties", {}):
            yield f"{place}/{name}"
            yield from _used(schema["properties"][name], f"{place}/{name}", child)
        elif isinstance(schema.get("additionalProperties"), dict):
            yield from _used(schema["additionalProperties"], f"{place}/(additionalProperties)", child)
    for item in value if isinstance(value, list) else ():
        yield from _used(schema.get("items", {}), f"{place}/(items)", item)


def test_every_property_is_used_by_an_example() -> None:
    documents = [document for example in EXAMPLES for document in _documents(example.read_text())]
    used = {place for one in documents for place in _used(SCHEMAS[KINDS[one["kind"]]], KINDS[one["kind"]], one)}
    declared = {
        place for name, schema in SCHEMAS.items() if name != "replicator.json" for place in _properties(schema, name)
    }
    assert len(declared) > 100
    assert declared - used == set()


def test_examples_name_their_schema() -> None:
    """The first line is what editors look for."""
    for example in EXAMPLES:
        first, second = example.read_text().split("\n")[:2]
        assert first == "# yaml-language-server: $schema=../schemas/replicator.json"
        assert second.startswith("# "), f"{example.name}: say what it shows"
