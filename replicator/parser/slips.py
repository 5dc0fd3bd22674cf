"""Why a document or value does not fit its schema, in our words and with the way out. Only user of jsonschema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from replicator.diagnostics import Diagnostic, Place, nearest, one_of
from replicator.parser import schema
from replicator.parser.source import Document, Mapping, Node
from replicator.parser.source import Sequence as SequenceNode

_TYPE_WORDS = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
_DURATION = "ms|s|m|h"  # in the pattern of durations alone
_DURATION_HINT = "a number and a unit: 500ms, 15s, 1m, 1h"
# Words from Helm, Compose, Kustomize and Kubernetes that stand for a field of ours.
_FOREIGN = {
    "environment": "env",
    "containers": "units",
    "services": "units",
    "volumes": "files` for configuration, `storage` for claims, or `pod.volumes",
    "count": "replicas",
    "values": "params",
    "parameters": "params",
    "domains": "hosts",
    "matchers": "match",
    "backendRefs": "to",
    "destination": "to",
}

# Field (where one word is two fields, with the one that holds it) -> what it looks like, to be put in backticks.
_EXAMPLES = {
    "args": "args: [--port, 8080]",
    "command": "command: [sh, -c, echo hello]",
    "env": "env: {LOG_LEVEL: info}",
    "envFrom": "envFrom: [{configMapRef: {name: settings}}]",
    "external": "external: {Secret: [cart-db]}",
    "files": 'files: {/etc/app/region: "{{ island.key }}"}',
    "headers": "headers: {x-island: eu}",
    "hosts": "hosts: [shop.example.com]",
    "image": "image: postgres:16",
    "islands": "islands: {eu: {}, us: {}}",
    "match": "match: {path: {prefix: /cart}}",
    "match.path": "path: {prefix: /cart}",
    "overrides": "overrides: [{islands: [eu], params: {memory: 1Gi}}]",
    "overrides.islands": "islands: [eu, us]",
    "ports": "ports: {http: 8080}",
    "spec.ports": "ports: {http: {unit: api, port: http}}",
    "readinessProbe": "readinessProbe: {httpGet: {path: /healthz, port: http}}",
    "livenessProbe": "livenessProbe: {httpGet: {path: /healthz, port: http}}",
    "startupProbe": "startupProbe: {httpGet: {path: /healthz, port: http}}",
    "redirect": "redirect: {path: /new, status: 308}",
    "required": "required: [cpu]` for a map; a parameter is required if it has no default: `version: {type: string}",
    "resources": "resources: {requests: {cpu: 100m, memory: 128Mi}}",
    "spec.resources": "resources: [{file: base/*.yaml}]",
    "respond": "respond: 404` or `respond: {status: 404, body: gone}",
    "rewrite": "rewrite: {prefix: /}",
    "routes": "routes: [{to: {spread: cart}}]",
    "storage": "storage: {/data: {size: 1Gi}}",
    "to": "to: {spread: cart}` or `to: {island: cart/eu}",
    "units": "units: {api: {image: nginx}}",
}
# Map of the author's names -> what is written under a name, where a field is not known there.
_ENTRIES = {
    "env": "as in `LOG_LEVEL: info` or `PASSWORD: {secret: cart-db, key: password}`",
    "islands": "as in `eu: {params: {memory: 1Gi}}`: values of parameters are under `params`, under the island's key",
}


def explain(document: Document) -> list[Diagnostic]:
    """Why a document is none of ours, or does not fit its kind's schema."""
    data = document.root.data
    if data.get("apiVersion") != schema.API_VERSION or str(data.get("kind")) not in schema.KINDS:
        return [_foreign(document)]
    return _explain(document)


def _foreign(document: Document) -> Diagnostic:
    root, data = document.root, document.root.data
    version, kind = data.get("apiVersion"), data.get("kind")
    if version is None or kind is None:
        missing = "apiVersion" if version is None else "kind"
        hint = f"apiVersion: {schema.API_VERSION}" if version is None else one_of(sorted(schema.KINDS))
        return Diagnostic("R0202", f'missing field "{missing}"', root.place, "$", hint)
    if version == schema.API_VERSION:
        node = root.items["kind"]
        return Diagnostic(
            "R0201",
            f"{_shown(kind) if isinstance(kind, (list, dict)) else f'`{kind}`'} is no kind of the DSL",
            node.place,
            "$.kind",
            nearest(str(kind), schema.KINDS),
        )
    node = root.items["apiVersion"]
    if isinstance(version, str) and version.startswith("replicator.dev/"):
        return Diagnostic(
            "R0201",
            f"unknown version `{_shown(version)}`",
            node.place,
            "$.apiVersion",
            f"this compiler reads {schema.API_VERSION}",
        )
    message = f"not a document of the DSL: {_shown(version)} {_shown(kind)}"
    hint = "apply plain Kubernetes manifests beside the output; the DSL's are " + schema.API_VERSION
    return Diagnostic("R0201", message, node.place, "$.apiVersion", hint)


def _explain(document: Document) -> list[Diagnostic]:
    validator = _validator(schema.KINDS[document.kind])
    found: list[Diagnostic] = []
    seen: set[tuple[str | int, ...]] = set()

    def order(error: ValidationError) -> tuple[list[str], bool]:
        return [str(step) for step in error.absolute_path], error.validator != "type"

    for error in sorted(validator.iter_errors(document.root.data), key=order):
        path = tuple(error.absolute_path)
        if any(path[:length] in seen for length in range(len(path) + 1)):
            continue  # it, or what holds it, is wrong already
        if error.validator not in ("additionalProperties", "required"):
            seen.add(path)
        found += _words(error, document.root, path)
    return [one for one in found if not _is_told(one, found)]


def _is_told(missing: Diagnostic, found: Sequence[Diagnostic]) -> bool:
    """Whether a missing field is there under a misspelt or foreign name, which is said already."""
    if missing.code != "R0202":
        return False
    name = missing.message.removeprefix('missing field "').rstrip('"')
    hints = (f'did you mean "{name}"?', f"the DSL's word is `{name}`")
    return any(
        one.code == "R0203" and one.path.rpartition(".")[0] == missing.path and one.hint in hints for one in found
    )


def _validator(name: str) -> Draft202012Validator:
    files = [*schema.KINDS.values(), "definitions.json"]
    registry: Registry[Any] = Registry().with_resources(
        (file, Resource.from_contents(schema.load(file))) for file in files
    )
    return Draft202012Validator(schema.load(name), registry=registry)


def spelt(steps: Sequence[str | int]) -> str:
    """A path as diagnostics show it, after the name of what it begins at: `.a[0].b`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def explain_value(value: Any, value_schema: dict[str, Any]) -> list[tuple[Sequence[str | int], str]]:
    """Why a parameter's value does not fit its schema: pairs of a path and what is wrong there."""
    rows: list[tuple[Sequence[str | int], str]] = []
    for error in Draft202012Validator(value_schema).iter_errors(value):
        for _, message, _, _ in _phrases(error):
            rows.append((tuple(error.absolute_path), message))
    return rows


def _words(error: ValidationError, root: Mapping, path: Sequence[str | int]) -> Iterator[Diagnostic]:
    node, place = _locate(root, path)
    shown = f"${spelt(path)}"
    for code, message, hint, key in _phrases(error):
        where, at = place, shown
        if code == "R0203" and isinstance(node, Mapping):
            where, at = node.key_place(key), f"{shown}.{key}"
            if not hint.startswith("did") and len(path) > 1:
                hint = _ENTRIES.get(str(path[-2]), hint)
        if code == "R0204" and len(path) == 3 and path[:2] == ("spec", "params") and error.validator == "type":
            yield _value_for_schema(error.instance, str(path[2]), place, shown)
            continue
        if error.validator in ("type", "pattern"):
            hint = _example(path) or hint
        yield Diagnostic(code, message, where, at, hint)


def _example(path: Sequence[str | int]) -> str:
    """What the value of a field looks like, for those that are often got wrong."""
    fields = [step for step in path if isinstance(step, str)]
    field = fields[-1] if fields and fields[-1] == path[-1] else ""
    holder = fields[-2] if len(fields) > 1 else ""
    example = _EXAMPLES.get(f"{holder}.{field}") or _EXAMPLES.get(holder if holder == "storage" else field)
    return f"as in `{example}`" if example else ""


def _value_for_schema(value: Any, name: str, place: Place, path: str) -> Diagnostic:
    kinds = {
        str: "string",
        bool: "boolean",
        int: "integer",
        float: "number",
        list: "array",
        type(None): "string",
    }
    kind = kinds.get(type(value), "string")
    default = f", default: {_shown(value, quote=True)}" if isinstance(value, (str, bool, int, float)) else ""
    return Diagnostic(
        "R0206",
        f"the parameter `{name}` has a value where its schema belongs",
        place,
        path,
        f"in a Type: {name}: {{type: {kind}{default}}}; values are given in the IslandSet",
    )


def _phrases(error: ValidationError) -> Iterator[tuple[str, str, str, str]]:
    """Code, message, hint and (for an unknown field) the key of what jsonschema found."""
    keyword, value = error.validator, error.instance
    wanted: Any = error.validator_value
    here: Any = error.schema
    if keyword == "additionalProperties" and isinstance(value, dict):
        known = here.get("properties", {})
        for name in value:
            if name not in known:
                foreign = _FOREIGN.get(name)
                hint = (
                    f"the DSL's word is `{foreign}`"
                    if foreign and foreign.split("`")[0] in known
                    else nearest(name, known)
                )
                yield "R0203", f'unknown field "{_shown(name)}"', hint, name
    elif keyword == "required" and isinstance(value, dict):
        for name in wanted:
            if name not in value and f"'{name}'" in error.message:
                yield "R0202", f'missing field "{name}"', "", ""
    elif keyword == "type":
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        expected = " or ".join(_TYPE_WORDS[name] for name in names)
        hint = one_of([_shown(allowed) for allowed in here.get("enum", ())]) or _type_hint(names, value)
        if _DURATION in str(here.get("pattern")):
            hint = _DURATION_HINT
        yield "R0204", f"expected {expected}, found {_found(value)}", hint, ""
    elif keyword in ("enum", "const"):
        allowed = [wanted] if keyword == "const" else list(wanted)
        words = [_shown(item) for item in allowed]
        yield (
            "R0205",
            f"`{_shown(value)}` is not allowed here",
            nearest(str(value), words) or one_of(words),
            "",
        )
    elif keyword == "pattern":
        yield "R0205", *_pattern_words(str(wanted), value), ""
    elif keyword in ("minimum", "maximum"):
        word = "at least" if keyword == "minimum" else "at most"
        yield "R0205", f"{_shown(value)} is out of range: {word} {wanted}", "", ""
    elif keyword in ("minLength", "minItems", "minProperties"):
        what = {"minLength": "text", "minItems": "list", "minProperties": "map"}[str(keyword)]
        message = f"the {what} is empty" if wanted == 1 else f"the {what} is too short: at least {wanted}"
        yield "R0205", message, "", ""
    elif keyword in ("maxLength", "maxItems", "maxProperties"):
        what = {"maxLength": "text", "maxItems": "list", "maxProperties": "map"}[str(keyword)]
        yield (
            "R0205",
            f"the {what} has more than {wanted} "
            + ("character" if what == "text" else "entry" if wanted == 1 else "entries"),
            _choice(error),
            "",
        )
    elif keyword == "uniqueItems":
        yield "R0205", "the list names one thing twice", "", ""
    else:
        yield "R0205", f"`{_shown(value)}` does not fit", "", ""


def _choice(error: ValidationError) -> str:
    here: Any = error.schema
    known = sorted(here.get("properties", {}))
    return "exactly one of: " + ", ".join(known) if known else ""


def _pattern_words(pattern: str, value: Any) -> tuple[str, str]:
    if pattern.startswith(r"^\{\{"):
        return (
            f"the text `{_shown(value)}` is no value of this field, and not one expression",
            "a number has no quotes; an expression is {{ … }} with nothing around it",
        )
    if _DURATION in pattern:
        return f"`{_shown(value)}` is no duration", _DURATION_HINT
    return f"`{_shown(value)}` does not match {pattern}", ""


def _type_hint(names: list[str], value: Any) -> str:
    if value is None:
        empty = {"object": "{}", "array": "[]"}.get(names[0], '""')
        return f"what belongs to a field is indented deeper than it; an empty value is written {empty}"
    if "string" in names and isinstance(value, (bool, int, float)):
        return f'quote it: "{_shown(value)}"'
    if names == ["array"] and not isinstance(value, (dict, list)):
        return f"a list of one: [{_shown(value, quote=True)}]"
    if "integer" in names and isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return "without quotes"
    return ""


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return f"`{_shown(value)}`" if not isinstance(value, str) else f"the text `{_shown(value)}`"


def _shown(value: Any, quote: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a map"
    text = str(value)
    if quote and isinstance(value, str):
        text = f'"{text}"'
    return text if len(text) <= 60 else text[:59] + "…"


def _locate(root: Mapping, path: Sequence[str | int]) -> tuple[Node, Place]:
    """The node at a path; its place, where a map or list is pointed at by its key."""
    node: Node = root
    place = root.place
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str):
            child = node.items[step]
            place = child.place
            if isinstance(child, (Mapping, SequenceNode)) or child.data is None:
                place = node.key_place(step)
            node = child
        elif isinstance(node, SequenceNode) and isinstance(step, int):
            node = node.items[step]
            place = node.place
    return node, place
