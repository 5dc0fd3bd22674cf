"""A unit to its container, and to the volumes, files and claims that the container mounts."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from replicator import names
from replicator.context import DOWNWARD, PORTS, Context
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expression.values import Failure
from replicator.kinds import CONTAINER_ORDER, MAX_CONFIG_MAP
from replicator.model import Unit, UnitPort
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.parser.source import Sequence as SequenceNode
from replicator.patch import At, merge, ordered
from replicator.sources import Digest, Volume, reads
from replicator.tree import Hole, Leaf, List, Map, Origin, Text, Tree, leaf, mapping, text, tree

FILES_ANNOTATION = "replicator.dev/files"


def container(context: Context, unit: Unit) -> Map:
    """The unit's container."""
    downward: set[str] = set()
    image = context.scalar(unit.image)
    if not isinstance(image, Leaf) or not isinstance(image.value, (str, tuple)) or not image.value:
        context.fail(Failure("a container needs an image, as text"), unit.image)
    elif isinstance(image.value, tuple) and len(image.value) == 1:
        image = context.ruled(image.value, _IMAGE, unit.image.place)
    fields: dict[str, Any] = {"name": unit.name, "image": image or ...}
    context.downward = downward if context.pods else None
    for field in ("command", "args"):
        node = unit.fields.get(field)
        if isinstance(node, SequenceNode):
            items = [item for item in node.items if isinstance(item, Scalar)]
            fields[field] = [_text_leaf(context, item) for item in items if context.scalar(item) is not None]
        elif isinstance(node, Scalar):
            fields[field] = _passed(context, field, node)
    variables = {
        name: _text_leaf(context, node)
        for name, node in (unit.env.items if unit.env else {}).items()
        if isinstance(node, Scalar) and context.scalar(node) is not None  # `omit`
    }
    context.downward = None
    environment = _environment(context, unit, variables)
    mounts = _mounts(context, unit, downward)
    carried = {DOWNWARD[attribute] for attribute in downward}
    sources = [
        {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        for name, path in sorted(carried)
    ]
    if environment or sources:  # the unit's own refer to those of the downward API
        fields["env"] = [*sources, *environment]
    if unit.ports:
        numbers = _numbers(context, [unit], lambda port: port.container)
        fields["ports"] = [
            {"name": port.name, "containerPort": number, "protocol": port.protocol} for port, number in numbers
        ]
    mounts += [{"name": _claim_name(path, claim), "mountPath": path} for path, claim in _by_name(unit.storage)]
    if mounts:
        fields["volumeMounts"] = mounts
    passed = {field: _passed(context, field, node) for field, node in unit.fields.items() if field not in _TEXTS}
    merged = merge(tree(fields, Origin(unit.place, "type")), tree(passed), At("spec", "containers"))
    assert isinstance(merged, Map)
    return ordered(merged, CONTAINER_ORDER)


_IMAGE = names.Rule(lambda text: "" if text else "a container needs an image, as text", "R0405", "")
_TEXTS = ("command", "args")
# Fields that are one text, and the words that it must be one of, where there are such.
_WORDS: dict[str, tuple[str, ...]] = {
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "terminationMessagePath": (),
    "terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
    "workingDir": (),
}
_LISTS = frozenset(["envFrom", "resizePolicy", "volumeDevices", "volumeMounts", *_TEXTS])
_MAPS = frozenset("lifecycle livenessProbe readinessProbe resources securityContext startupProbe".split())


def _passed(context: Context, field: str, node: Node) -> Any:
    """A Container's field as it is; where an expression gives it, of the right type."""
    made = context.value(node)
    if field in _WORDS and isinstance(node, Scalar) and made is not None:
        words = _WORDS[field]
        return context.ruled_text(node, names.one_of(words, f"`{field}`")) if words else _text_leaf(context, node)
    if isinstance(node, Scalar) and made is not None:
        wanted = List if field in _LISTS else Map if field in _MAPS else Leaf
        if not isinstance(made, wanted):
            what = {List: "a list", Map: "a map", Leaf: "a scalar"}[wanted]
            context.fail(Failure(f"`{field}` is {what}: the expression gives something else"), node)
    return made if made is not None else ...


def _text_leaf(context: Context, scalar: Scalar) -> Leaf:
    return leaf(context.text(scalar), Origin(scalar.place, "type"))


def _by_name(node: MappingNode | None) -> list[tuple[str, Node]]:
    """The entries of a map that becomes a list, in the order of their names: a stored document keeps no other."""
    return sorted(node.items.items()) if node else []


def _environment(context: Context, unit: Unit, texts: Mapping[str, Leaf]) -> list[Tree]:
    """The container's variables in the order of their names, but each after those that it refers to.

    `texts` are the values of those that have one of their own.
    """
    variables: dict[str, Tree] = {}
    refers: dict[str, list[str]] = {}
    for name, node in _by_name(unit.env):
        assert unit.env
        if isinstance(node, MappingNode):
            value: dict[str, Any] = {"valueFrom": _value_from(context, node)}
        elif name in texts:
            value = {"value": texts[name]}
            refers[name] = _referred(texts[name])
        else:
            continue
        variables[name] = tree({"name": name, **value}, Origin(unit.env.key_place(name), "type"))
    return [variables[name] for name in _after_referred(variables, refers)]


# https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def _referred(content: Leaf) -> list[str]:
    """The variables that a value refers to as `$(NAME)`; `$$` is an escaped `$`."""
    parts = content.value if isinstance(content.value, tuple) else (str(content.value),)
    found = [name for part in parts if isinstance(part, str) for name in _REFERENCE.findall(part) if name]
    return list(dict.fromkeys(found))


def _after_referred(known: Iterable[str], refers: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Names in their order, but each after those that it refers to: the kubelet expands what comes before only.

    Of those that refer to each other one has to be the first.
    """
    waiting = {name: [other for other in refers.get(name, ()) if other != name] for name in known}
    placed: dict[str, None] = {}
    for name, first in waiting.items():
        path = {} if name in placed else {name: iter(first)}
        while path:
            last, others = next(reversed(path.items()))
            following = next((one for one in others if one in waiting and one not in placed and one not in path), "")
            if following:
                path[following] = iter(waiting[following])
            else:
                placed[last] = None
                del path[last]
    return placed


def _value_from(context: Context, node: MappingNode) -> dict[str, Any]:
    data = node.data
    if "field" in data:
        return {"fieldRef": {"apiVersion": "v1", "fieldPath": data["field"]}}
    word, reference = ("secret", "secretKeyRef") if "secret" in data else ("configMap", "configMapKeyRef")
    optional = {"optional": True} if data.get("optional") else {}
    named = node.items[word]
    assert isinstance(named, Scalar)
    name = _text_leaf(context, named)
    return {reference: {"name": name, "key": data["key"], **optional}}


# Files


def _mounts(context: Context, unit: Unit, downward: set[str]) -> list[dict[str, Any]]:
    """Each file is mounted by itself: what else is in its directory stays visible."""
    mounts: list[dict[str, Any]] = [
        {"name": names.files(unit.name), "mountPath": file.path, "subPath": file.key, "readOnly": True}
        for file in unit_files(context, unit)
    ]
    for file in files_by_pod(context, unit):
        downward.add("name")
        expression = f"$({DOWNWARD['name'][0]}).{file.key}"
        mounts.append(
            {"name": names.files_by_pod(unit.name), "mountPath": file.path, "subPathExpr": expression, "readOnly": True}
        )
    return mounts


class File(NamedTuple):
    """A file of a unit: its path, key and content; `binary` content is base64 of what is no text."""

    path: str
    key: str
    content: Text
    binary: bool
    place: Place


def unit_files(context: Context, unit: Unit) -> list[File]:
    """The unit's files that are the same for all its pods, in the order in which they are written."""
    return [file for file in _all_files(context, unit) if not _is_by_pod(context, file)]


def files_by_pod(context: Context, unit: Unit) -> list[File]:
    """In `form: pods`, the unit's files that differ between pods."""
    return [file for file in _all_files(context, unit) if _is_by_pod(context, file)]


def _is_by_pod(context: Context, file: File) -> bool:
    return context.pods and bool(reads(file.content) & context.plan.varying)


def _all_files(context: Context, unit: Unit) -> list[File]:
    files = []
    context.by_pod = context.pods
    for path, node in _by_name(unit.files):
        key = names.config_key(path)
        if isinstance(node, Scalar):
            if context.scalar(node) is None:  # `omit`
                continue
            files.append(File(path, key, context.text(node), False, node.place))
            continue
        assert isinstance(node, MappingNode)
        raw = context.data.contents.get(id(node.items["file"]), b"")
        try:
            content, binary = raw.decode(), False
            if "\0" in content:
                raise ValueError
        except ValueError:
            content, binary = b64encode(raw).decode(), True
        files.append(File(path, key, text(content), binary, node.items["file"].place))
    context.by_pod = False
    return files


def files_body(context: Context, unit: Unit) -> dict[str, Any]:
    """The fields of the unit's ConfigMap that hold its files."""
    files = unit_files(context, unit)
    fields: dict[str, Any] = {}
    for field, binary in (("data", False), ("binaryData", True)):
        items = [(file.key, leaf(file.content, Origin(file.place, "type"))) for file in files if file.binary == binary]
        if items:
            fields[field] = Map(tuple(items))
    return fields


def files_digest(context: Context, units: list[Unit]) -> Leaf:
    """A digest of the files of the pod's units: it changes when they do, and so rolls these pods and no others."""
    digest = Digest(tuple(_volume(unit, files) for unit in units if (files := unit_files(context, unit))))
    place = next(unit.files.place for unit in units if unit.files)
    return Leaf((Hole("label", digest),), Origin(place, "type"))


def _volume(unit: Unit, files: list[File]) -> Volume:
    texts = tuple((f"{unit.name}/{file.key}", file.content) for file in files)
    encoded = [part for file in files if file.binary for part in file.content if isinstance(part, str)]
    uncounted = sum(len(part) // 4 + part.count("=") for part in encoded)  # of base64 the bytes themselves count
    return Volume(texts, MAX_CONFIG_MAP, uncounted)


# Claims


def _claim_name(path: str, claim: Any) -> str:
    return str(claim.data.get("name") or names.claim_name(path))


def claims(context: Context, unit: Unit) -> list[Tree]:
    """The unit's storage as claim templates of a StatefulSet."""
    made: list[Tree] = []
    for path, claim in _by_name(unit.storage):
        assert isinstance(claim, MappingNode)
        storage_class = claim.items.get("storageClassName")
        size = claim.items["size"]
        assert isinstance(size, Scalar)
        spec = {
            "accessModes": claim.data.get("accessModes", ["ReadWriteOnce"]),
            "storageClassName": _text_or_none(context, storage_class),
            "resources": {"requests": {"storage": context.ruled_text(size, names.SIZE)}},
        }
        made.append(tree({"metadata": {"name": _claim_name(path, claim)}, "spec": spec}, Origin(claim.place, "type")))
    return made


def _text_or_none(context: Context, node: Node | None) -> Any:
    """A text, unless it is not given or is `omit`."""
    return _text_leaf(context, node) if isinstance(node, Scalar) and context.scalar(node) is not None else ...


RETENTION = {"whenDeleted": "Retain", "whenScaled": "Retain"}


# Pods


RESTARTS = {"Job": ("Never", "OnFailure"), "CronJob": ("Never", "OnFailure")}  # of all other kinds only Always


def pod_spec(context: Context, units: list[Unit], kind: str) -> Map:
    """The PodSpec of some units in a workload of a kind, with the `pod` of each merged into it."""
    spec: dict[str, Any] = {}
    if initial := [unit for unit in units if unit.init]:
        spec["initContainers"] = [container(context, unit) for unit in initial]
    spec["containers"] = [container(context, unit) for unit in units if not unit.init]
    volumes: list[dict[str, Any]] = []
    for unit in units:
        if unit_files(context, unit):
            name = leaf(context.object_name(names.files(unit.name)))
            volumes.append({"name": _volume_name(context, unit, names.files(unit.name)), "configMap": {"name": name}})
        if groups := context.groups.get(unit.name):
            sources = [{"configMap": {"name": leaf(name), "optional": True}} for name in groups]
            by_pod = _volume_name(context, unit, names.files_by_pod(unit.name))
            volumes.append({"name": by_pod, "projected": {"sources": sources}})
    if volumes:
        spec["volumes"] = volumes
    if kind in RESTARTS:
        spec["restartPolicy"] = RESTARTS[kind][0]
    made: Tree = mapping(spec)
    for unit in units:
        made = context.merged(made, unit.pod, At("template", "spec"))
    assert isinstance(made, Map)
    return _restarting(context, made, kind)


def _volume_name(context: Context, unit: Unit, name: str) -> str:
    """The name of a volume that is called after a unit."""
    if len(name) > names.MAX_LABEL:
        message = f"the volume `{name}` has {len(name)} characters; Kubernetes takes at most {names.MAX_LABEL}"
        context.found.append(Diagnostic("R0506", message, unit.place, hint="shorten the unit's name"))
    return name


def _restarting(context: Context, spec: Map, kind: str) -> Map:
    """The PodSpec, with a restart policy that the API server takes in a workload of a kind."""
    policy = spec.get("restartPolicy")
    if not isinstance(policy, Leaf) or policy.origin.place is None:
        return spec
    rule = names.one_of(RESTARTS.get(kind, ("Always",)), f"the restartPolicy of a {kind}'s pods")
    judged = context.ruled(_content(policy), rule, policy.origin.place)
    return Map(tuple((key, judged if child is policy else child) for key, child in spec.items), spec.origin)


def _content(node: Leaf) -> Text:
    """A scalar as text."""
    if isinstance(node.value, tuple):
        return node.value
    return (node.value if isinstance(node.value, Hole) else str(node.value),)


def pod_template(context: Context, labels: dict[str, Any], units: list[Unit], kind: str) -> Map:
    """The pod template of some units in a workload of a kind; their `podMetadata` is put on the pods."""
    annotations: dict[str, Any] = {}
    for unit in units:
        labels = {**labels, **label_texts(context, unit.pod_labels)}
        annotations |= texts(context, unit.pod_annotations)
    if any(unit_files(context, unit) for unit in units):
        annotations[FILES_ANNOTATION] = files_digest(context, units)
    metadata = {"labels": labels, "annotations": annotations or ...}
    return mapping({"metadata": metadata, "spec": pod_spec(context, units, kind)})


def texts(context: Context, node: MappingNode | None) -> dict[str, Leaf]:
    """Annotations: every value is text."""
    found: dict[str, Leaf] = {}
    for key, value in (node.items if node else {}).items():
        if isinstance(value, Scalar) and context.scalar(value) is not None:
            found[key] = _text_leaf(context, value)
    return found


def label_texts(context: Context, node: MappingNode | None) -> dict[str, Leaf]:
    """Labels: every value is text, and such as a label may have."""
    found = texts(context, node)
    for key, value in found.items():
        if isinstance(value.value, tuple) and value.origin.place is not None:
            found[key] = context.ruled(value.value, names.LABEL_VALUE_RULE, value.origin.place)
    return found


def service_ports(context: Context, units: list[Unit], headless: bool = False) -> List:
    """The ports of a Service that offers all ports of some units; of the pods themselves where it is `headless`."""
    ports = []
    for port, number in _numbers(context, units, lambda port: port.container if headless else port.service):
        fields = {
            "name": port.name,
            "port": number,
            "targetPort": port.name,
            "protocol": port.protocol,
            "appProtocol": ... if port.app_protocol is None else context.value(port.app_protocol),
        }
        ports.append(mapping(fields, Origin(port.place, "type")))
    return List(tuple(ports))


def _numbers(
    context: Context, units: Iterable[Unit], number_of: Callable[[UnitPort], Scalar]
) -> Iterator[tuple[UnitPort, Leaf]]:
    """The ports of some units, by name, with their numbers, which differ: those of expressions are known here only."""
    first: dict[tuple[object, str], UnitPort] = {}
    for port in (unit.ports[name] for unit in units for name in sorted(unit.ports)):
        number = context.number(number_of(port), *PORTS)
        earlier = first.setdefault((number.value, port.protocol), port)
        if earlier is not port and number.value:
            related = (Related(f"`{earlier.name}` has it too", earlier.place),)
            message = f"two ports of the number {number.value}"
            context.found.append(Diagnostic("R0305", message, port.place, related=related))
        yield port, number
