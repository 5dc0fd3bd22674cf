"""What names mean in the expressions of a document, known before any value: their kinds, and the flaws in their use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from replicator.diagnostics import Diagnostic, nearest
from replicator.expression.template import Call, Expr, Path, Template, parse
from replicator.expression.values import OF_TYPE, Kind
from replicator.model import IslandSet, IslandType, Param
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar, Sequence

ISLAND: dict[str, Kind] = {
    "key": "label",
    "name": "name",
    "namespace": "label",
    "set": "label",
    "ordinal": "int",
}

MAX_LET_DEPTH = 50  # derived values that one is made of, one through another

# Function -> (number of arguments, what they are).
_FUNCTIONS = {
    "host": (1, "unit"),
    "port": (2, "unit, port"),
    "address": (2, "unit, port"),
    "name": (1, "resource"),
}


class Unknown(Exception):
    """A name or call that means nothing here."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Scope(NamedTuple):
    """The names in scope.

    `island` lists the attributes of `island` that exist; `units` is the Type whose units the functions name, or
    None where there are no functions. `let` grows as derived values become known, in order. `item` is the schema of
    what `forEach` binds. `parent` is the Type of the enclosing island, `type_of` are the Types of Sets inside others.
    """

    params: Mapping[str, Param]
    island: frozenset[str] = frozenset()
    let: Mapping[str, Kind] | None = None
    units: IslandType | None = None
    item: Mapping[str, Any] | None = None
    parent: IslandType | None = None
    type_of: Mapping[IslandSet, IslandType] | None = None

    def kind_of(self, path: Path) -> Kind:
        """The kind of a dotted name. Raises `Unknown`."""
        root, *rest = path
        if root == "omit" and not rest:
            return "any"
        if root == "params":
            return self._param(rest)
        if root == "let" and self.let is not None:
            if len(rest) != 1:
                raise Unknown("R0402", f"`{'.'.join(path)}`: `let` is followed by one name")
            if rest[0] not in self.let:
                raise Unknown("R0402", f"there is no derived value `{rest[0]}`", nearest(rest[0], self.let))
            return self.let[rest[0]]
        if root == "island" and self.island:
            if len(rest) != 1 or rest[0] not in self.island:
                name = ".".join(path)
                raise Unknown("R0402", f"there is no `{name}` here", nearest(".".join(rest), self.island))
            return ISLAND[rest[0]]
        if root == "parent" and self.parent is not None:
            return self._parent(rest)
        if root == "item" and self.item is not None:
            return _kind_of_schema(_field(self.item, rest, "item"))
        if root == "parent" and self.island:
            hint = "`parent` is the island around one of a Type's `sets`"
            raise Unknown("R0402", "there is no `parent`: this Type's islands stand by themselves", hint)
        if root == "island" and self.let is None:  # a Routing's: all else has `let`, or an island
            hint = "each: SET, on the route or on the whole Routing, is for each island"
            raise Unknown("R0402", "there is no `island`: this is once for all of them", hint)
        roots = ["params", *(["let"] if self.let is not None else []), *(["island"] if self.island else [])]
        is_param = root.lower() == "values" or root in self.params
        hint = "a parameter is `params.NAME`" if is_param else nearest(root, roots)
        raise Unknown("R0402", f"unknown name `{root}`", hint)

    def _parent(self, rest: list[str]) -> Kind:
        """A name of the enclosing island."""
        assert self.parent is not None
        if rest[:1] == ["params"]:
            return Scope(self.parent.params).kind_of(("params", *rest[1:]))
        known = {"key", "name", "namespace", "set", "ordinal"}
        if len(rest) != 1 or rest[0] not in known:
            hint = nearest(".".join(rest), known | {"params"})
            raise Unknown("R0402", f"there is no `parent.{'.'.join(rest)}`", hint)
        return ISLAND[rest[0]]

    def _inner(self, call: Call) -> Kind:
        """The kind of `keys(set)` and `addresses(set, port)`. Raises `Unknown`."""
        assert self.units is not None
        number = 1 if call.function == "keys" else 2
        given = [argument for argument in call.arguments if isinstance(argument, str)]
        if len(given) != number or len(call.arguments) != number or call.keywords:
            what = "(set)" if number == 1 else "(set, port)"
            raise Unknown(
                "R0404",
                f"`{call.function}` takes {what}",
                "arguments are names in quotes, and a port is called by its name",
            )
        inner = self.units.sets.get(given[0])
        if inner is None:
            raise Unknown("R0404", f"there is no set `{given[0]}` in this Type", nearest(given[0], self.units.sets))
        inner_type = (self.type_of or {}).get(inner)
        if number == 2 and inner_type is not None and given[1] not in inner_type.ports:
            message = f"the Type `{inner_type.name}` has no port `{given[1]}`"
            raise Unknown("R0303", message, nearest(given[1], inner_type.ports))
        return "list"

    def _param(self, rest: list[str]) -> Kind:
        if not rest:
            raise Unknown("R0402", "`params` is followed by a parameter's name", nearest("", self.params))
        param = self.params.get(rest[0])
        if param is None:
            raise Unknown("R0402", f"there is no parameter `{rest[0]}`", nearest(rest[0], self.params))
        return _kind_of_schema(_field(param.schema, rest[1:], rest[0]))

    def kind_of_call(self, call: Call) -> Kind:
        """The kind of a call's result. Raises `Unknown`."""
        if self.units is None:
            raise Unknown("R0404", f"there are no functions here: `{call.function}`")
        if call.function in ("keys", "addresses"):
            return self._inner(call)
        if call.function == "address" and call.keywords:
            return _linked(call)
        if call.function not in _FUNCTIONS:
            known = [*_FUNCTIONS, "keys", "addresses"]
            raise Unknown("R0404", f"there is no function `{call.function}`", nearest(call.function, known))
        number, what = _FUNCTIONS[call.function]
        texts = [argument for argument in call.arguments if isinstance(argument, str)]
        if len(texts) != number or len(call.arguments) != number or call.keywords:
            hint = "arguments are names in quotes, and a port is called by its name"
            raise Unknown("R0404", f"`{call.function}` takes ({what})", hint)
        if texts[0] not in self.units.units and self.units.resources:  # what those hold is known once they are read
            return "int" if call.function == "port" else "text" if call.function == "address" else "name"
        if call.function == "name":
            if texts[0] not in self.units.units:
                raise Unknown("R0404", f"there is no resource `{texts[0]}`", nearest(texts[0], self.units.units))
            return "name"
        unit = self.units.units.get(texts[0])
        if unit is None:
            raise Unknown("R0404", f"there is no unit `{texts[0]}`", nearest(texts[0], self.units.units))
        if not unit.ports:
            message = f"the unit `{unit.name}` has no ports, and so no Service"
            raise Unknown("R0404", message, "give it `ports`")
        if number == 2 and texts[1] not in unit.ports:
            raise Unknown("R0303", f"the unit `{unit.name}` has no port `{texts[1]}`", nearest(texts[1], unit.ports))
        return "int" if call.function == "port" else "name" if call.function == "host" else "text"

    def kind(self, template: Template) -> Kind:
        """What is known of a scalar's value. Raises `Unknown` for the first unknown name."""
        whole = template.whole
        return self.kind_of_expression(whole) if whole else "text"

    def kind_of_expression(self, expression: Expr) -> Kind:
        """What is known of an expression's value. Raises `Unknown`."""
        if expression.path:
            return self.kind_of(expression.path)
        if expression.call:
            return self.kind_of_call(expression.call)
        assert expression.program is not None
        return expression.program.kind(self.kind_of, self.kind_of_call)

    def judge(self, scalar: Scalar) -> Iterator[Diagnostic]:
        """The flaws of a scalar's expressions, and the unknown names in every branch of them."""
        template = parse(scalar.text)
        for flaw in template.flaws:
            place = scalar.part(flaw.offset, flaw.length)
            yield Diagnostic(flaw.code, flaw.message, place, hint=flaw.hint)
        for expression in template.expressions:
            uses: list[Path | Call] = [*expression.reads, *expression.calls]
            for use in uses:
                try:
                    if isinstance(use, Call):
                        self.kind_of_call(use)
                    else:
                        self.kind_of(use)
                except Unknown as unknown:
                    place = scalar.part(expression.offset, len(expression.text) + 4)
                    yield Diagnostic(unknown.code, unknown.message, place, hint=unknown.hint)
            if expression.omits and template.whole is None:
                place = scalar.part(expression.offset, len(expression.text) + 4)
                hint = "it drops the key whose whole value it is"
                yield Diagnostic("R0403", "`omit` in the middle of text", place, hint=hint)


def _linked(call: Call) -> Kind:
    """The kind of `address(set=…)`; which Sets there are is known later. Raises `Unknown`."""
    given = dict(call.keywords)
    texts = {name: value for name, value in given.items() if name in ("set", "port", "key") and value}
    every = given.pop("all", None)
    right = not call.arguments and "set" in texts and texts.keys() == given.keys() and every in (None, True)
    if not right or not all(isinstance(value, str) for value in texts.values()):
        example = "address(set='ledger', port='grpc'), with key='eu' or all=true"
        raise Unknown("R0404", "`address` of another Set takes set, port, and key or all", example)
    if every and "key" in given:
        raise Unknown("R0404", "`key` and `all` at once", "one island, or all of them")
    return "text"


def _field(schema: Mapping[str, Any], steps: list[str], name: str) -> Mapping[str, Any]:
    """The schema of a field of a value, by its path. Raises `Unknown`."""
    for step in steps:
        if "type" in schema and schema["type"] != "object":
            raise Unknown("R0402", f"`{step}`: only a value of type object has fields")
        fields = schema.get("properties", {})
        other = schema.get("additionalProperties", not fields)
        if step in fields:
            schema = fields[step]
        elif other is False and "type" in schema:
            raise Unknown("R0402", f"`{name}` has no field `{step}`", nearest(step, fields))
        else:
            schema = other if isinstance(other, Mapping) else {}
    return schema


def _kind_of_schema(schema: object) -> Kind:
    return OF_TYPE.get(schema.get("type"), "any") if isinstance(schema, Mapping) else "any"


def island_attributes(island_set: IslandSet) -> frozenset[str]:
    """The attributes that `island` has in a Set: an `ordinal` by `replicas` only, a namespace where there is one."""
    missing = set() if island_set.by_count else {"ordinal"}
    if not island_set.namespace and island_set.scope == "prefix":
        missing.add("namespace")
    return frozenset(ISLAND) - missing


def let_kinds(
    island_type: IslandType,
    island: frozenset[str],
    parent: IslandType | None = None,
    type_of: Mapping[IslandSet, IslandType] | None = None,
) -> dict[str, Kind]:
    """The kinds of a Type's derived values, whatever their order; of those that are wrong `check` says why."""
    kinds: dict[str, Kind] = {}

    def resolve(name: str, above: tuple[str, ...]) -> None:
        scalar = island_type.let[name]
        if len(above) > MAX_LET_DEPTH:
            kinds[name] = "any"
            return
        if "{{" not in scalar.text:
            kinds[name] = _static_kind(scalar)
            return
        kinds[name] = "any"
        for other in let_reads(scalar):
            if other in island_type.let and other not in kinds and other not in above:
                resolve(other, (*above, name))
        try:
            scope = Scope(island_type.params, island, kinds, island_type, parent=parent, type_of=type_of)
            kinds[name] = scope.kind(parse(scalar.text))
        except Unknown:
            kinds[name] = "any"

    for name in island_type.let:
        if name not in kinds:
            resolve(name, ())
    return kinds


def let_reads(scalar: Scalar) -> list[str]:
    """The derived values that a scalar reads."""
    expressions = parse(scalar.text).expressions
    return [path[1] for one in expressions for path in one.reads if path[0] == "let" and len(path) > 1]


def _static_kind(scalar: Scalar) -> Kind:
    if isinstance(scalar.data, bool):
        return "bool"
    return "int" if isinstance(scalar.data, int) else "text"


def scalars(node: Node | None) -> Iterator[Scalar]:
    """All scalars under a node that hold an expression; keys are no scalars in this sense."""
    if isinstance(node, Scalar):
        if "{{" in node.text:
            yield node
    elif isinstance(node, MappingNode):
        for child in node.items.values():
            yield from scalars(child)
    elif isinstance(node, Sequence):
        for child in node.items:
            yield from scalars(child)


def keys(node: Node | None) -> Iterator[Scalar]:
    """All keys under a node that hold an expression."""
    if isinstance(node, MappingNode):
        for key in node.written:
            if "{{" in key.text:
                yield key
        for child in node.items.values():
            yield from keys(child)
    elif isinstance(node, Sequence):
        for child in node.items:
            yield from keys(child)
