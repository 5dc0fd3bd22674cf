"""What the objects of an island name inside each other: ports of pods and of Services, volumes, keys of ConfigMaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.kinds import TEMPLATES, full_kind
from replicator.proofs import items_of, place_of, selector_of, workloads_of
from replicator.tree import Leaf, Manifest, Map, Tree, at

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_PROBES = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "preStop"),
    ("lifecycle", "postStart"),
)
_KEYED = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}

Named = Mapping[tuple[str, object], Manifest]
"""Objects by kind and full name."""


def judge(objects: Sequence[Manifest]) -> Iterator[Diagnostic]:
    """The ports, volumes and keys that an island's objects name and do not have."""
    named = {(full_kind(one.api_version, one.kind), _plain(one.name)): one for one in objects}
    for manifest in objects:
        kind = full_kind(manifest.api_version, manifest.kind)
        for path in TEMPLATES.get(kind, ()):
            if "[]" not in path:
                pod = at(manifest.body, *(path.split(".") if path else ()), "spec")
                yield from _ports_of_probes(manifest, pod)
                yield from _mounts(manifest, pod)
                yield from _keys(manifest, pod, named)
        if kind == "Service":
            yield from _target_ports(manifest, objects)
        elif kind == "Ingress":
            yield from _backends(manifest, named)
        elif kind.endswith("WebhookConfiguration"):
            for webhook in items_of(at(manifest.body, "webhooks")):
                service = at(webhook, "clientConfig", "service")
                yield from _port_of(manifest, at(service, "name"), at(service, "port"), 443, named)


def _plain(value: object) -> object:
    """A name as it is compared: of a text without holes the string."""
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    return value


def _text(node: Tree | None) -> str | None:
    return node.value if isinstance(node, Leaf) and isinstance(node.value, str) else None


def _missing(
    code: str, message: str, name: object, known: Iterable[str], place: Place | None, other: Place | None = None
) -> Diagnostic:
    related = (Related("what is named is made from this", other),) if other is not None else ()
    return Diagnostic(code, message, place, hint=nearest(str(name), known), related=related)


# Ports


def _names(container: Tree) -> set[str]:
    return {name for port in items_of(at(container, "ports")) if (name := _text(at(port, "name"))) is not None}


def _containers(pod: Tree | None) -> list[Tree]:
    return [container for field in _CONTAINERS for container in items_of(at(pod, field))]


def _ports_of_probes(manifest: Manifest, pod: Tree | None) -> Iterator[Diagnostic]:
    """A probe's named port is one of its own container."""
    for container in _containers(pod):
        names = _names(container)
        for steps in _PROBES:
            for action in ("httpGet", "tcpSocket"):
                node = at(container, *steps, action, "port")
                name = _text(node)
                if name is not None and not name.isdecimal() and name not in names:
                    message = f"the container has no port `{name}`, which its {steps[0]} asks"
                    yield _missing("R0303", message, name, names, place_of(node, manifest))


def _target_ports(service: Manifest, objects: Iterable[Manifest]) -> Iterator[Diagnostic]:
    """A Service's named target port is one of the pods that it selects."""
    selector = selector_of(service)
    wanted = [
        (node, name)
        for port in items_of(at(service.body, "spec", "ports"))
        if (node := at(port, "targetPort"))
        if (name := _text(node)) is not None and not name.isdecimal()
    ]
    if selector is None or not wanted:
        return
    for workload in (one for manifest in objects for one in workloads_of(manifest)):
        if not selector.selects(workload.labels) or workload.manifest.kind in ("Job", "CronJob"):
            continue
        names = {name for container in _containers(workload.pod) for name in _names(container)}
        for node, name in wanted:
            if name not in names:
                message = f"the pods of the {workload.name} have no port `{name}`, to which the Service leads"
                other = workload.manifest.origin.place
                yield _missing("R0303", message, name, names, place_of(node, service), other)


def _backends(ingress: Manifest, named: Named) -> Iterator[Diagnostic]:
    """The ports of Services that an Ingress leads to."""
    backends = [at(ingress.body, "spec", "defaultBackend")]
    for rule in items_of(at(ingress.body, "spec", "rules")):
        backends += (at(path, "backend") for path in items_of(at(rule, "http", "paths")))
    for backend in backends:
        port = at(backend, "service", "port")
        for field in ("name", "number"):
            if at(port, field) is not None:
                yield from _port_of(ingress, at(backend, "service", "name"), at(port, field), None, named)


def _port_of(
    manifest: Manifest, name: Tree | None, port: Tree | None, default: int | None, named: Named
) -> Iterator[Diagnostic]:
    """A port of a Service of the island, by its name or number."""
    service = named.get(("Service", _plain(name.value))) if isinstance(name, Leaf) else None
    wanted = port.value if isinstance(port, Leaf) else default
    if (
        service is None
        or not isinstance(wanted, (str, int))
        or _text(at(service.body, "spec", "type")) == "ExternalName"
    ):
        return
    ports = items_of(at(service.body, "spec", "ports"))
    known = [at(one, field) for one in ports for field in ("name", "port")]
    values = [one.value for one in known if isinstance(one, Leaf)]
    if wanted not in values and all(isinstance(value, (str, int)) for value in values):
        message = f"the Service `{service.local}` has no port `{wanted}`"
        place = place_of(port if port is not None else name, manifest)
        yield _missing("R0303", message, wanted, map(str, values), place, service.origin.place)


# Volumes and keys


def _mounts(manifest: Manifest, pod: Tree | None) -> Iterator[Diagnostic]:
    """What a container mounts is a volume of its pod, or a claim of its StatefulSet."""
    templates = items_of(at(manifest.body, "spec", "volumeClaimTemplates"))
    nodes = [at(one, "name") for one in items_of(at(pod, "volumes"))]
    nodes += (at(one, "metadata", "name") for one in templates)
    known = {_plain(node.value) for node in nodes if isinstance(node, Leaf)}
    for container in _containers(pod):
        for field in ("volumeMounts", "volumeDevices"):
            for mount in items_of(at(container, field)):
                node = at(mount, "name")
                if isinstance(node, Leaf) and _plain(node.value) not in known and isinstance(node.value, str):
                    message = f"the pod has no volume `{node.value}`"
                    yield _missing("R0603", message, node.value, map(str, known), place_of(node, manifest))


def _keys(manifest: Manifest, pod: Tree | None, named: Named) -> Iterator[Diagnostic]:
    """The keys of the island's own ConfigMaps and Secrets that a pod asks for."""
    for container in _containers(pod):
        for variable in items_of(at(container, "env")):
            for field, kind in _KEYED.items():
                reference = at(variable, "valueFrom", field)
                yield from _key(manifest, kind, reference, at(reference, "name"), [reference], named)
    for volume in items_of(at(pod, "volumes")):
        sources = [volume, *items_of(at(volume, "projected", "sources"))]
        for source in sources:
            for field, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
                reference = at(source, field)
                named_by = at(reference, name) or at(reference, "name")
                yield from _key(manifest, kind, reference, named_by, items_of(at(reference, "items")), named)


def _key(
    manifest: Manifest,
    kind: str,
    reference: Tree | None,
    name: Tree | None,
    asking: Iterable[Tree | None],
    named: Named,
) -> Iterator[Diagnostic]:
    target = named.get((kind, _plain(name.value))) if isinstance(name, Leaf) else None
    optional = at(reference, "optional")
    if target is None or (isinstance(optional, Leaf) and optional.value is True):
        return
    known: set[str] = set()
    for field in ("data", "stringData", "binaryData"):
        data = at(target.body, field)
        known |= {key for key, _ in data.items} if isinstance(data, Map) else set()
    for one in asking:
        node = at(one, "key")
        key = _text(node)
        if known and key is not None and key not in known:  # without any, somebody else fills it
            message = f"the {kind} `{target.local}` has no key `{key}`"
            yield _missing("R0603", message, key, known, place_of(node, manifest), target.origin.place)
