"""Hypothesis strategies for whole projects as plain Python data, and the text of such data in the DSL.

A scalar with expressions is a `Parts`: literal texts and expressions in turn. An expression is a tuple, its operation
first. Both can be spelt in the DSL (`spelt`, `spell`) and evaluated by anybody who reads tuples, so that a test has a
reference that shares nothing with the compiler.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

Document = dict[str, Any]
Expression = tuple[Any, ...]

API_VERSION = "replicator.dev/v1alpha1"

# How many times as many examples as usual. The usual ones are the same in every run.
FACTOR = int(os.environ.get("REPLICATOR_EXAMPLES", "1"))


def examples(number: int, whole_projects: bool = False) -> settings:
    """The settings of a property: how many examples it is tried with.

    To make a failing example smaller takes minutes where it is a whole project: that is done with REPLICATOR_EXAMPLES
    only, of which 2 is enough.
    """
    phases = (Phase.explicit, Phase.generate) if whole_projects and FACTOR == 1 else tuple(Phase)
    return settings(
        max_examples=number * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        print_blob=True,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def document(kind: str, name: str, spec: Document, **metadata: Any) -> Document:
    """A document of the DSL."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


# Text

FRAGMENTS = (
    *("", "a", "no", "On", "y", "null", "~", "true", "1", "-1", "1e3", "0x1f", "0o14", "014", "1_000", "12:30", ".5"),
    *("2020-01-01", "=", "<<", "---", "--- ", "...", "#", " #", "# a", ": ", ":", "a: b", "- ", "-", "? ", "&a", "*a"),
    *("!a", "!!str", "|", ">", "%", "@", "`", "[", "]", "{", "}", ",", "'", '"', "\\", "\\n", "\\u0041", "%s", "%%"),
    *("{#", "#}", "{%", "%}", "}}", "{{", "{{{", "{{ '{{' }}", "${A}", "$(A)", "$", " ", "  ", "\t", "\n", "\n\n"),
    *("\r", "\r\n", " \n", "\n ", "\n\t", "a\n", "a\nb", "a\n\nb\n", "a \nb", " a\nb\n", "\x85", "\u2028", "\u2029"),
    *("\ufeff", "\x00", "\x07", "\x1b[31m", "\x7f", "\x9f", "\ufffe", "\uffff", "\ufffd", "\xa0", "\u200b", "\u202e"),
    *("\xad", "é", "e\u0301", "ש", "漢", "\U0001f600", "\U0001f468\u200d\U0001f467", "\ue000", "\ufdd0", "\U0001ffff"),
    *("\U0010ffff", "x" * 300, "word " * 40),
)
fragments = st.sampled_from(FRAGMENTS)
texts: st.SearchStrategy[str] = st.one_of(
    fragments,
    st.lists(fragments, max_size=5).map("".join),
    st.text(max_size=20),
    st.text(alphabet=" \t\n\r#:-'\"\\{}%a0\x85\ufeff\U0001f600", max_size=12),
)
"""Any text, those that are hard on readers of YAML and on templates among them."""

words = st.sampled_from(["eu", "us-1", "x", "no", "0", "1.0", "a b", "é", "true", "10Gi", "2024-01-01", "v2"])


# Expressions


class Parts(tuple[Any, ...]):
    """A scalar with expressions: strings and expressions."""

    __slots__ = ()


def literal(text: str, before_expression: bool = False) -> str:
    """A text as the DSL has it: `{{` would begin an expression."""
    if "{{" in text or (before_expression and text.endswith("{")):
        return text.replace("{", "{{ '{' }}")
    return text


def spelt(parts: Iterable[Any]) -> str:
    """Parts as a scalar of the DSL."""
    whole = list(parts)
    out = []
    for number, part in enumerate(whole):
        if isinstance(part, str):
            out.append(literal(part, number + 1 < len(whole)))
        else:
            out.append(f"{{{{ {spell(part)} }}}}")
    return "".join(out)


def string(text: str) -> str:
    """A text as a string of jinja2's."""
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "'" + "".join(escapes.get(c, c if c >= " " else f"\\x{ord(c):02x}") for c in text) + "'"


_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "//", "mod": "%", "concat": "~", "and": "and", "or": "or"}
_COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "in": "in"}
FUNCTIONS = ("host", "port", "address", "name")


def spell(expression: Expression) -> str:
    """An expression as the DSL has it."""
    operation, *given = expression
    if operation in ("params", "let", "island"):
        return ".".join((operation, *given))
    if operation in FUNCTIONS:
        return f"{operation}({', '.join(map(string, given))})"
    if operation == "value":
        return _constant(given[0])
    if operation == "filter":
        name, inner, *arguments = given
        return f"{_inner(inner)} | {name}" + (f"({', '.join(map(_constant, arguments))})" if arguments else "")
    if operation == "if":
        condition, one, other = map(_inner, given)
        return f"{one} if {condition} else {other}"
    if operation == "not":
        return f"not {_inner(given[0])}"
    if operation == "item":
        return f"{_inner(given[0])}[{_constant(given[1])}]"
    if operation == "list":
        return f"[{', '.join(map(spell, given))}]"
    if operation == "omit":
        return "omit"
    sign = _BINARY.get(operation) or _COMPARED[operation]
    return f"{_inner(given[0])} {sign} {_inner(given[1])}"


def _inner(expression: Expression) -> str:
    simple = ("params", "let", "island", "value", "omit", "list", *FUNCTIONS)
    return spell(expression) if expression[0] in simple else f"({spell(expression)})"


def _constant(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return string(value) if isinstance(value, str) else str(value)


class Names(NamedTuple):
    """What an expression may name: parameters by what they are, derived values, `island`, and ports by unit."""

    texts: tuple[Expression, ...]
    integers: tuple[Expression, ...]
    booleans: tuple[Expression, ...] = ()
    lists: tuple[Expression, ...] = ()
    ports: tuple[tuple[str, str], ...] = ()
    units: tuple[str, ...] = ()


_strings = texts.filter(lambda text: len(text) < 60 and "{{" not in text)
_numbers = st.integers(0, 100).map(lambda number: ("value", number))


def _coin(draw: st.DrawFn) -> bool:
    return draw(st.booleans())


def _expression(draw: st.DrawFn, names: Names, kind: str, depth: int) -> Expression:
    """An expression of a kind (text, integer or boolean). It is drawn step by step: a tree of strategies is slow."""

    def inner(of: str = kind) -> Expression:
        return _expression(draw, names, of, depth - 1)

    known = {"text": names.texts, "integer": names.integers, "boolean": names.booleans}[kind]
    if not depth or _coin(draw):
        return draw(st.sampled_from(known)) if known and _coin(draw) else _leaf(draw, names, kind)
    if kind == "text":
        step = draw(st.sampled_from(["filter", "replace", "default", "concat", "if", "string", "join"]))
        if step == "filter":
            return "filter", draw(st.sampled_from(["lower", "upper", "trim", "b64encode", "sha256"])), inner()
        if step == "replace":
            return "filter", "replace", inner(), draw(st.sampled_from(["a", "eu", "-"])), draw(_strings)
        if step == "default":
            return "filter", "default", inner(), draw(_strings)
        if step == "concat":
            return "concat", inner(), inner(draw(st.sampled_from(["text", "integer"])))
        if step == "if":
            return "if", inner("boolean"), inner(), inner()
        if step == "join" and names.lists:
            return "filter", "join", draw(st.sampled_from(names.lists)), draw(st.sampled_from([",", ""]))
        return "filter", "string", inner("integer")
    if kind == "integer":
        step = draw(st.sampled_from(["add", "sub", "mul", "div", "mod", "length"]))
        if step == "length":
            return "filter", "length", draw(st.sampled_from(names.lists)) if names.lists else inner("text")
        divisor = st.integers(1, 9).map(lambda number: ("value", number))
        return step, inner(), draw(divisor) if step in ("div", "mod") else inner()
    step = draw(st.sampled_from(["eq", "ne", "lt", "le", "and", "or", "not"]))
    if step == "not":
        return "not", inner()
    of = {"eq": "text", "ne": "text", "lt": "integer", "le": "integer"}.get(step, "boolean")
    return step, inner(of), inner(of)


def _leaf(draw: st.DrawFn, names: Names, kind: str) -> Expression:
    """A constant or a call."""
    if kind == "boolean":
        return "value", _coin(draw)
    if names.ports and _coin(draw):
        unit, port = draw(st.sampled_from(names.ports))
        if kind == "integer":
            return "port", unit, port
        calls: list[Expression] = [("address", unit, port), ("host", unit)]
        return draw(st.sampled_from([*calls, *(("name", unit) for unit in names.units)]))
    return draw(_numbers) if kind == "integer" else ("value", draw(_strings))


@st.composite
def expressions(draw: st.DrawFn, names: Names, kind: str = "", depth: int = 2) -> Expression:
    """Expressions that give text, an integer or a boolean."""
    return _expression(draw, names, kind or draw(st.sampled_from(["text", "text", "integer", "boolean"])), depth)


@st.composite
def templates(draw: st.DrawFn, names: Names) -> Parts:
    """Scalars of literal text and expressions."""
    form = draw(st.sampled_from(["whole", "middle", "two", "text"]))
    if form == "text":
        return Parts((draw(texts),))
    one = draw(expressions(names))
    if form == "whole":
        return Parts((one,))
    if form == "middle":
        return Parts((draw(texts), one, draw(texts)))
    return Parts((one, draw(texts), draw(expressions(names))))


# Parameters

PARAMS: dict[str, Document] = {
    "text": {"type": "string"},
    "word": {"type": "string", "enum": ["debug", "no", "1e3"]},
    "label": {"type": "string", "pattern": "^[a-z0-9-]+$", "maxLength": 20},
    "count": {"type": "integer", "minimum": 0, "maximum": 1000},
    "number": {"type": "integer", "minimum": 20000, "maximum": 30000},
    "share": {"type": "number"},
    "flag": {"type": "boolean"},
    "items": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
    "limits": {"type": "object", "properties": {"cpu": {"type": "string"}, "memory": {"type": "string"}}},
    "extra": {"type": "object", "additionalProperties": {"type": "string"}},
}
"""The parameters that a Type may have. `number` is fit for a port."""

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": texts,
    "word": st.sampled_from(["debug", "no", "1e3"]),
    "label": st.from_regex(r"\A[a-z0-9-]{1,20}\Z"),
    "count": st.integers(0, 1000),
    "number": st.integers(20000, 30000),
    "share": st.one_of(st.integers(-40, 40).map(lambda number: number / 4), st.integers(-40, 40)),
    "flag": st.booleans(),
    "items": st.lists(texts, max_size=4),
    "limits": st.fixed_dictionaries({}, optional={"cpu": words, "memory": words}),
    "extra": st.dictionaries(st.sampled_from(["a", "b", "no", "1", "c d", "é"]), texts, max_size=3),
}


def param_values(name: str) -> st.SearchStrategy[Any]:
    """Values of the parameter of this name."""
    return _VALUES[name]


def names_of(params: Iterable[str], island: Iterable[str], **more: Any) -> Names:
    """The names of a Type's parameters and of `island`, for expressions."""
    there = set(params)
    return Names(
        texts=tuple(
            [("params", name) for name in ("text", "word", "label") if name in there]
            + [("island", name) for name in island if name != "ordinal"]
        ),
        integers=tuple(
            [("params", name) for name in ("count", "number") if name in there]
            + [("island", name) for name in island if name == "ordinal"]
        ),
        booleans=(("params", "flag"),) if "flag" in there else (),
        lists=(("params", "items"),) if "items" in there else (),
        **more,
    )


# Types


@dataclass(frozen=True)
class Type:
    """An IslandType, and the parts of the scalars in it that a test evaluates by itself."""

    document: Document
    params: Mapping[str, Document]
    let: Mapping[str, Parts]
    ports: Mapping[str, Mapping[str, Any]]  # unit -> port -> (container's, Service's): an integer or Parts
    env: Mapping[str, Mapping[str, Parts]]
    files: Mapping[str, Mapping[str, Parts]]

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])


UNITS = ("api", "db", "web", "x9")
PORTS = ("http", "grpc", "tcp-1")
KEYS = ("eu", "us", "ap", "no", "y", "e1", "e01", "0", "00", "10", "9", "a-b", "null", "1e3")


def in_dsl(value: Any) -> Any:
    """Data as the DSL has it: `Parts` are spelt, texts are literal."""
    if isinstance(value, Parts):
        return spelt(value)
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, dict):
        return {key: in_dsl(item) for key, item in value.items()}
    return [in_dsl(item) for item in value] if isinstance(value, list) else value


@st.composite
def types(draw: st.DrawFn, name: str = "cart", island: tuple[str, ...] = ("key", "name"), pods: bool = False) -> Type:
    """A Type of one to four units. `island` are the attributes of `island` that its Sets have."""
    chosen = draw(st.sets(st.sampled_from(sorted(PARAMS))))
    params = {}
    for param in sorted(chosen):
        params[param] = dict(PARAMS[param])
        if _coin(draw):
            params[param]["default"] = draw(param_values(param).filter(lambda value: "{{" not in repr(value)))
    names = names_of(params, () if pods else island)
    let: dict[str, Parts] = {}
    for derived in draw(st.sampled_from([(), ("one",), ("one", "two")])):
        let[derived] = draw(templates(names))
        names = names._replace(texts=(*names.texts, ("let", derived))) if _is_text(let[derived]) else names
    units = draw(st.lists(st.sampled_from(UNITS), min_size=1, max_size=4, unique=True))
    numbers = draw(st.lists(st.integers(1, 19999), min_size=24, max_size=24, unique=True))
    ports: dict[str, dict[str, Any]] = {}
    for unit in units:
        ports[unit] = {}
        taken = {port for one in ports.values() for port in one} if pods else set()
        for port in draw(st.lists(st.sampled_from(PORTS), max_size=2, unique=True)):
            if port not in taken:
                by_param = "number" in params and not taken and not ports[unit] and _coin(draw)
                container = Parts((("params", "number"),)) if by_param and not pods else numbers.pop()
                ports[unit][port] = (container, numbers.pop() if not pods and _coin(draw) else container)
    names = names._replace(
        ports=tuple((unit, port) for unit, declared in ports.items() for port in declared),
        units=() if pods else tuple(units),
    )
    env, files, bodies = {}, {}, {}
    for unit in units:
        scalars = templates(names)
        if pods and island:  # the downward API carries an attribute by itself only
            carried = st.tuples(texts, st.sampled_from(island).map(lambda one: ("island", one)), texts).map(Parts)
            env[unit] = draw(st.dictionaries(_VARIABLES, st.one_of(scalars, carried), max_size=4))
        else:
            env[unit] = draw(st.dictionaries(_VARIABLES, scalars, max_size=4))
        files[unit] = draw(st.dictionaries(_PATHS, scalars, max_size=2))
        bodies[unit] = draw(_units(params, names, ports[unit], pods))
        bodies[unit] |= {"env": in_dsl(env[unit])} if env[unit] else {}
        bodies[unit] |= {"files": in_dsl(files[unit])} if files[unit] else {}
    spec: Document = {
        "params": params,
        "let": in_dsl(let),
        "ports": {f"p{number}": {"unit": unit, "port": port} for number, (unit, port) in enumerate(names.ports)},
        "units": bodies,
    }
    made = document("IslandType", name, {field: value for field, value in spec.items() if value})
    return Type(made, params, let, ports, env, files)


_VARIABLES = st.sampled_from(["A", "B_2", "c.d", "LOG-LEVEL", "_", "no"])
_PATHS = st.sampled_from(["/etc/app.yaml", "/a/b/c.txt", "/no", "/é", "/data/1e3"])


def _is_text(parts: Parts) -> bool:
    """Whether a scalar's value is text (and no integer or boolean), whatever the parameters."""
    if len(parts) != 1 or isinstance(parts[0], str):
        return True
    operation, *given = parts[0]
    if operation == "filter":
        return given[0] not in ("length",)
    if operation in ("params", "island"):
        return given[0] in ("text", "word", "label", "key", "name")
    return operation in ("concat", "host", "address", "name") or (operation == "value" and isinstance(given[0], str))


@st.composite
def _units(
    draw: st.DrawFn, params: Mapping[str, Document], names: Names, ports: Mapping[str, Any], pods: bool
) -> Document:
    """A unit's fields, `env` and `files` apart."""
    unit: Document = {"image": draw(st.sampled_from(["redis:7", "registry.example.com/a/b:1.0", "no"]))}
    stateful = False
    if not pods:
        stateful = _coin(draw)
        if _coin(draw):
            unit["kind"] = "StatefulSet" if stateful else "Deployment"
        stateful = unit.get("kind") == "StatefulSet"
        if _coin(draw):
            unit["replicas"] = "{{ params.count }}" if "count" in params else draw(st.integers(0, 5))
    if ports:
        unit["ports"] = {
            port: in_dsl(container)
            if container == service and _coin(draw)
            else {"containerPort": in_dsl(container), "servicePort": in_dsl(service)}
            for port, (container, service) in ports.items()
        }
    if (stateful or pods) and _coin(draw):
        unit["storage"] = {draw(st.sampled_from(["/data", "/var/lib/x"])): {"size": "1Gi"}}
        if pods:  # one volume of a name in the pod
            unit.pop("storage")
    if _coin(draw):
        unit["args"] = [spelt(one) for one in draw(st.lists(templates(names), max_size=3))]
    pod: Document = {}
    if "extra" in params and _coin(draw):
        pod["nodeSelector"] = "{{ params.extra }}"
    if "flag" in params and _coin(draw):
        pod["hostNetwork"] = "{{ params.flag }}"
    if "items" in params and _coin(draw):
        pod["dnsConfig"] = {"searches": "{{ params.items }}"}
    if {"text", "flag"} <= set(params) and _coin(draw):
        pod["subdomain"] = "{{ params.text if params.flag else omit }}"
    if "share" in params and _coin(draw):
        pod["overhead"] = {"share": "{{ params.share }}"}
    if _coin(draw):
        pod["terminationGracePeriodSeconds"] = draw(st.sampled_from([0, 30, "{{ 5 * 6 }}"]))
    if pod and (not pods or len(names.units) == 1):  # in pods all units' `pod` are one pod's
        unit["pod"] = pod
    if "limits" in params and _coin(draw):
        unit["resources"] = {"limits": "{{ params.limits }}", "requests": {"cpu": "100m"}}
    if _coin(draw):
        unit["podMetadata"] = {
            "annotations": {"example.com/a": spelt(draw(templates(names))), "no": draw(st.sampled_from([1, True, "x"]))}
        }
    if not pods and _coin(draw):
        unit["spec"] = {"minReadySeconds": draw(st.integers(0, 9)), "revisionHistoryLimit": 2}
    if not pods and ports and _coin(draw):
        unit["service"] = {"type": "NodePort", "annotations": {"b": spelt(draw(templates(names)))}}
    return unit


# Sets


@dataclass(frozen=True)
class Set:
    """An IslandSet, and its layers of values, whose texts may be `Parts` over `island`."""

    document: Document
    type: Type
    keys: tuple[str, ...]
    params: Mapping[str, Any]
    overrides: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...]
    own: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def by_count(self) -> bool:
        return "replicas" in self.document["spec"]

    @property
    def pods(self) -> bool:
        return bool(self.document["spec"].get("form") == "pods")


@st.composite
def layers(draw: st.DrawFn, params: Iterable[str], island: Iterable[str] = (), all_of: Iterable[str] = ()) -> Document:
    """Values for some parameters, `all_of` among them; texts may use `island`."""
    values = {}
    for name in params:
        if name in all_of or _coin(draw):
            value = param_values(name)
            if name in ("text", "items") and island:
                template = expressions(names_of((), island), "text", 1).map(lambda one: Parts(("eu-", one)))
                value = st.one_of(value, template if name == "text" else st.lists(template, max_size=2))
            values[name] = draw(value)
    return values


def globs(keys: Iterable[str]) -> st.SearchStrategy[str]:
    """Globs that match one of the keys at least."""
    return st.sampled_from(sorted(keys)).flatmap(
        lambda key: st.sampled_from([key, "*", key[0] + "*", "?" * len(key), f"[{key[0]}]*", f"*{key[-1]}"])
    )


@st.composite
def sets(draw: st.DrawFn, name: str = "shop", counted: bool | None = None) -> Set:
    """A Set in copies, by keys or by `replicas`, of a Type of its own."""
    by_count = _coin(draw) if counted is None else counted
    island = ("key", "name", "ordinal") if by_count else ("key", "name")
    island_type = draw(types(f"{name}-type", island))
    start = 0
    if by_count:
        start = draw(st.sampled_from([0, 0, 3, 99]))
        keys = tuple(str(start + number) for number in range(draw(st.integers(1, 4))))
    else:
        keys = tuple(draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True)))
    params = sorted(island_type.params)
    required = [param for param in params if "default" not in island_type.params[param]]
    common = draw(layers(params, island, required))
    overrides = tuple(
        draw(
            st.lists(
                st.tuples(st.lists(globs(keys), min_size=1, max_size=2).map(tuple), layers(params, island)), max_size=2
            )
        )
    )
    own = {} if by_count else {key: draw(layers(params, island)) for key in keys}
    weights = {} if by_count else {key: draw(st.sampled_from([None, 1, 3])) for key in keys}
    return assemble(name, island_type, keys, common, overrides, own, weights, start)


def assemble(
    name: str,
    island_type: Type,
    keys: tuple[str, ...],
    params: Mapping[str, Any],
    overrides: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = (),
    own: Mapping[str, Mapping[str, Any]] | None = None,
    weights: Mapping[str, int | None] | None = None,
    start: int | None = None,
    **more: Any,
) -> Set:
    """A Set from its parts; it is by `replicas` where there are no values of the islands' own."""
    spec: Document = {"type": island_type.name, **more}
    if own:
        spec["islands"] = {}
        for key in keys:
            entry: Document = {}
            if own.get(key):
                entry["params"] = in_dsl(dict(own[key]))
            if weights and weights.get(key) is not None:
                entry["weight"] = weights[key]
            spec["islands"][key] = entry or None
    else:
        spec["replicas"] = len(keys)
        if start:
            spec["start"] = start
    if params:
        spec["params"] = in_dsl(dict(params))
    if overrides:
        spec["overrides"] = [{"islands": list(found), "params": in_dsl(dict(values))} for found, values in overrides]
    made = document("IslandSet", name, spec, namespace="ns", labels={"team": name})
    return Set(made, island_type, keys, params, overrides, own or {})


@st.composite
def pod_sets(draw: st.DrawFn, name: str = "ledger") -> Set:
    """A Set whose islands are the pods of one StatefulSet."""
    island_type = draw(types(f"{name}-type", ("key", "name", "ordinal"), pods=True))
    params = sorted(island_type.params)
    start = draw(st.sampled_from([0, 2]))
    keys = tuple(str(start + number) for number in range(draw(st.integers(1, 3))))
    return assemble(name, island_type, keys, draw(layers(params, (), params)), start=start, form="pods")


# Routings and projects


@st.composite
def routings(draw: st.DrawFn, over: tuple[Set, ...], name: str = "edge") -> Document:
    """A Routing over Sets whose Types have ports."""
    reached = [one for one in over if any(one.type.ports.values())]
    routes: list[Document] = []
    for one in reached:
        port = {"port": "p0"}
        if _coin(draw):
            path = {"path": {draw(st.sampled_from(["prefix", "exact"])): f"/{one.name}/{{{{ island.key }}}}"}}
            routes.append({"name": f"path-{one.name}", "each": one.name, "match": path, **port})
            if "prefix" in path["path"] and _coin(draw):
                routes[-1]["rewrite"] = {"prefix": "/"}
        if _coin(draw):
            header = draw(st.sampled_from(["{{ island.key }}", "{{ island.key | upper }}!"]))
            routes.append({"each": one.name, "match": {"headers": {f"x-{one.name}": header}}, **port})
        if _coin(draw):
            to = [{"island": f"{one.name}/{one.keys[0]}", "weight": 3}, {"service": "other/thing", "port": 80}]
            routes.append(
                {"name": f"mixed-{one.name}", "match": {"path": {"prefix": f"/m/{one.name}"}}, "to": to, **port}
            )
        if _coin(draw):
            routes.append({"match": {"path": {"prefix": f"/s/{one.name}"}}, "to": {"spread": one.name}, **port})
    if _coin(draw) or not routes:
        body = {"status": 404, "body": literal(draw(texts))}
        routes.append({"name": "rest", "respond": draw(st.sampled_from([404, body]))})
    spec: Document = {"hosts": [f"{name}.example.com"], "routes": routes}
    if _coin(draw):
        spec["gloo"] = {"destinations": "kube"}
    return document("Routing", name, spec, namespace="edge")


@dataclass(frozen=True)
class Project:
    """Sets with their Types, and Routings over them."""

    sets: tuple[Set, ...]
    routings: tuple[Document, ...]

    @property
    def documents(self) -> list[Document]:
        return [*(one.type.document for one in self.sets), *(one.document for one in self.sets), *self.routings]

    @property
    def text(self) -> str:
        return dump(self.documents)


@st.composite
def projects(draw: st.DrawFn) -> Project:
    """Whole projects in which nothing is wrong."""
    made = [draw(sets("shop"))]
    if _coin(draw):
        made.append(draw(sets("shop2")))
    if _coin(draw):
        made.append(draw(pod_sets()))
    over = tuple(made)
    routed = [draw(routings(over))] if _coin(draw) else []
    return Project(over, tuple(routed))


# The DSL's text


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Dumper.add_representer(str, _quoted)


def text_of(*documents: Document) -> str:
    """Documents as a text of the DSL."""
    return dump(documents)


def dump(documents: Iterable[Any]) -> str:
    """Documents as YAML in which every string, a key too, is in double quotes and in ASCII."""
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=1 << 30, explicit_start=True))
