"""Judges emitted objects by strict JSON Schemas and by what an API server checks beyond its schemas."""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cel_rules
import kgateway_schemas
import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the CRDs are in ../shared, which is not part of the repository"
)

Object = dict[str, Any]

# Kubernetes documentation, "Object Names and IDs".
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # DNS-1035
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
PATH_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]+")
NAMES = {
    "Service": SERVICE_NAME,
    **dict.fromkeys(("APIService", "ConfigMap", "CustomResourceDefinition", "Secret"), SUBDOMAIN),
    **dict.fromkeys(("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"), PATH_SEGMENT),
}
# A CronJob's by its validation; a StatefulSet's pods carry the label controller-revision-hash: <name>-<hash>.
LONGEST_NAME = {"CronJob": 52, "StatefulSet": 52}

LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")  # IANA_SVC_NAME, RFC 6335
PORTS = {
    *("port", "endPort", "targetPort", "nodePort", "containerPort", "hostPort", "number"),
    *("servicePort", "bindPort", "portRedirect"),  # Gloo's
}

DEFINITIONS = "https://kubernetes.io/api/_definitions.json"  # how the package's schemas name it
_HEAD = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"$ref": f"{DEFINITIONS}#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
}


def problems(objects: Iterable[Object]) -> list[str]:
    """One text for each fault, "Kind namespace/name: $.path: message".

    What no schema sees is looked for only in objects of the right form.
    """
    found = []
    for item in objects:
        metadata = item.get("metadata") or {}
        name = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name", "?"))))
        for path, message in list(_by_schema(item)) or _beyond_schema(item):
            found.append(f"{item.get('kind')} {name}: {path}: {message}")
    return found


def _by_schema(item: Object) -> Iterator[tuple[str, str]]:
    validator = _validator(str(item.get("apiVersion")), str(item.get("kind")))
    if validator is None:
        yield "$", f"no schema knows {item.get('kind')} of {item.get('apiVersion')}"
        return
    for error in sorted(validator.iter_errors(item), key=lambda error: error.json_path):
        yield error.json_path, error.message


@functools.cache
def _validator(api_version: str, kind: str) -> Draft202012Validator | None:
    schema = _core_schema(api_version, kind)
    if schema is None and (custom := crd_schema(api_version, kind)) is not None:
        schema = strict(custom, root=True)
    return Draft202012Validator(schema, registry=_definitions()) if schema else None


@functools.cache
def _core_folder() -> Path:
    folders = Path(kubernetes_validate.__file__).parent.joinpath("kubernetes-json-schema").glob("v*-local-strict")
    return max(folders, key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)])


@functools.cache
def _definitions() -> "Registry[Any]":
    definitions = json.loads((_core_folder() / "_definitions.json").read_text())
    return Resource.from_contents(definitions) @ Registry()


def _core_schema(api_version: str, kind: str) -> Object | None:
    """The package names its files by the group's first word, so the schema itself must name the version."""
    group, _, version = api_version.rpartition("/")
    middle = f"{group.partition('.')[0]}-" if group else ""
    file = _core_folder() / f"{kind.lower()}-{middle}{version}.json"
    if not file.is_file():
        return None
    schema: Object = json.loads(file.read_text())
    wanted = {"group": group, "version": version, "kind": kind}
    return schema if wanted in schema.get("x-kubernetes-group-version-kind", ()) else None


@functools.cache
def crd_schema(api_version: str, kind: str) -> Object | None:
    """The schema that the CRD of the kind has for the version, as it is saved; kgateway's are ours."""
    if api_version == kgateway_schemas.API_VERSION:
        return kgateway_schemas.SCHEMAS.get(kind)
    group, _, version = api_version.rpartition("/")
    # A CRD is named <plural>.<group>, and its file is named after it.
    for file in sorted(SHARED.glob(f"crds/*/*.{group}.yaml")):
        spec = _read_crd(file)["spec"]
        if (spec["group"], spec["names"]["kind"]) == (group, kind):
            for served in spec["versions"]:
                if served["name"] == version and served["served"]:
                    schema: Object = served["schema"]["openAPIV3Schema"]
                    return schema
    return None


@functools.cache
def _read_crd(file: Path) -> Object:
    crd: Object = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return crd


def strict(schema: Object, *, root: bool = False, closed: bool = True) -> Object:
    """A CRD's OpenAPI v3 schema as JSON Schema 2020-12 that refuses unknown fields where the CRD prunes them.

    Inside allOf, anyOf, oneOf and not a schema only constrains fields that are declared outside.
    """
    made: Object = {}
    for key, value in schema.items():
        if key.startswith("x-kubernetes-") or key in ("default", "nullable"):
            continue
        if key == "properties":
            made[key] = {name: strict(inner, closed=closed) for name, inner in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            made[key] = strict(value, closed=closed)
        elif key in ("allOf", "anyOf", "oneOf"):
            made[key] = [strict(inner, closed=False) for inner in value]
        elif key == "not":
            made[key] = strict(value, closed=False)
        elif key == "required":
            made[key] = list(dict.fromkeys(value))
        elif key in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
            bound = "minimum" if key == "exclusiveMinimum" else "maximum"
            if value and bound in schema:
                made[key] = schema[bound]
        else:
            made[key] = value
    # Gloo's CRDs mark every enum so and give a type too; the number of an enum is nothing to emit.
    if schema.get("x-kubernetes-int-or-string") and "type" not in schema and "anyOf" not in schema:
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable"):
        made["type"] = [schema["type"], "null"]
    if root:
        made["properties"] = {**made.get("properties", {}), **_HEAD}
        made["required"] = list(dict.fromkeys([*_HEAD, *made.get("required", ())]))
    is_open = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if closed and schema.get("type") == "object" and not is_open:
        made["additionalProperties"] = False
    return made


def _beyond_schema(item: Object) -> Iterator[tuple[str, str]]:
    yield from _name(item)
    if (schema := crd_schema(str(item.get("apiVersion")), str(item.get("kind")))) is not None:
        yield from cel_rules.violations(item, schema)
    if item.get("kind") == "Service" and item.get("apiVersion") == "v1":
        yield from _service_ports(item)
    if item.get("kind") != "CustomResourceDefinition":  # its schemas have such fields as names
        yield from _walk(item, "$")
    yield from _selector(item)


def _name(item: Object) -> Iterator[tuple[str, str]]:
    kind, name = str(item.get("kind")), (item.get("metadata") or {}).get("name")
    if not isinstance(name, str):
        yield "$.metadata", "has no name"
    elif not NAMES.get(kind, LABEL).fullmatch(name) or len(name) > LONGEST_NAME.get(kind, 253):
        yield "$.metadata.name", f"{name!r} is no name for a {kind}"


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from _walk(item, f"{path}[{at}]")
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        where = f"{path}.{key}"
        if key in PORTS and isinstance(inner, int) and not isinstance(inner, bool) and not 1 <= inner <= 65535:
            yield where, f"{inner} is no port"
        if key in ("labels", "matchLabels") and isinstance(inner, dict):
            for name, text in inner.items():
                if isinstance(text, str) and not LABEL_VALUE.fullmatch(text):
                    yield f"{where}.{name}", f"{text!r} is no label value"
        yield from _walk(inner, where)
    if isinstance(value.get("containers"), list):
        yield from _containers(value, path)


def _containers(pod: Object, path: str) -> Iterator[tuple[str, str]]:
    containers = [*pod["containers"], *(pod.get("initContainers") or ())]
    for name in _repeated(container.get("name") for container in containers):
        yield path, f"two containers are named {name!r}"
    for container in containers:
        ports = container.get("ports") or ()
        for name in _repeated(port.get("name") for port in ports):
            yield path, f"two ports of container {container.get('name')!r} are named {name!r}"
        for port in ports:
            if "name" in port and not PORT_NAME.fullmatch(str(port["name"])):
                yield path, f"{port['name']!r} is no name for a container's port"


def _service_ports(service: Object) -> Iterator[tuple[str, str]]:
    path, ports = "$.spec.ports", (service.get("spec") or {}).get("ports") or []
    for name in _repeated(port.get("name") for port in ports):
        yield path, f"two ports are named {name!r}"
    for number, protocol in _repeated((port.get("port"), port.get("protocol", "TCP")) for port in ports):
        yield path, f"two ports are {protocol} {number}"
    if len(ports) > 1 and not all("name" in port for port in ports):
        yield path, "each of several ports needs a name"
    for port in ports:
        if "name" in port and not LABEL.fullmatch(str(port["name"])):
            yield path, f"{port['name']!r} is no name for a Service's port"


def _selector(item: Object) -> Iterator[tuple[str, str]]:
    """A workload must select its own pods."""
    spec = item.get("spec") or {}
    template, selector = spec.get("template"), spec.get("selector")
    if not isinstance(template, dict) or not isinstance(selector, dict) or "spec" not in template:
        return
    wanted, labels = selector.get("matchLabels") or {}, (template.get("metadata") or {}).get("labels") or {}
    if not wanted.items() <= labels.items():
        yield "$.spec.selector.matchLabels", f"{wanted} does not select the template's labels {labels}"


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, times in Counter(values).items() if times > 1 and value is not None]
