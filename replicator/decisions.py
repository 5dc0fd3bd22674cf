"""What decides the structure of an island's output: the expressions whose values make its shape, and their values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from replicator.context import Context
from replicator.diagnostics import Diagnostic, Related
from replicator.expander.islands import Island, island_place
from replicator.expression.template import Expr, parse
from replicator.expression.values import OMIT, STRUCTURAL, Failure
from replicator.model import Resource
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.scope import Unknown, scalars

_IDENTIFYING = ("apiVersion", "kind")


class Decision(NamedTuple):
    """An expression whose value decides structure, and where it stands."""

    expression: Expr
    scalar: Scalar


def in_unit(context: Context, fields: Mapping[str, Node]) -> Iterator[Decision]:
    """Maps, lists, what may be omitted, and the numbers of ports."""
    for field, node in fields.items():
        for scalar in scalars(node):
            yield from _in_scalar(context, scalar, field == "ports")


def in_manifest(context: Context, manifest: MappingNode) -> Iterator[Decision]:
    """Maps, lists, what may be omitted, and what a manifest is and is called."""
    for scalar in scalars(manifest):
        yield from _in_scalar(context, scalar, False)
    for name in (*(manifest.get(field) for field in _IDENTIFYING), manifest.get("metadata", "name")):
        if isinstance(name, Scalar):
            yield from _in_scalar(context, name, True)


def _in_scalar(context: Context, scalar: Scalar, always: bool) -> Iterator[Decision]:
    template = parse(scalar.text)
    for expression in template.expressions:
        whole = template.whole is expression
        if always or (whole and (expression.omits or _is_structural(context, expression))):
            yield Decision(expression, scalar)


def _is_structural(context: Context, expression: Expr) -> bool:
    try:
        return context.scope.kind_of_expression(expression) in STRUCTURAL
    except Unknown:  # said where the expression is bound
        return False


class Decisions:
    """The shapes of a Set's islands (or, of a context that is shared, of what stands beside them)."""

    def __init__(self, context: Context, resources: tuple[Resource, ...], found: list[Diagnostic]) -> None:
        self.context = context
        self.resources = resources
        self.found = found
        self.known: dict[str, dict[str, Any]] = {}
        units = () if context.shared else context.type.units.values()
        self.fixed = [decision for unit in units for decision in in_unit(context, unit.node.items)]
        self.promoted: list[Decision] = []
        self._memo: dict[tuple[Any, ...], str] = {}
        self._varying: list[tuple[str, ...]] | None = None
        self.reads = frozenset(self._reads())

    def _reads(self) -> Iterator[tuple[str, ...]]:
        for decision in self.fixed:
            yield from self.context.reads(decision.expression)
        for resource in self.resources:
            inside = self.context.for_item({}, "") if resource.for_each is not None else self.context
            for node in (resource.when, resource.for_each):
                for scalar in scalars(node):
                    for expression in parse(scalar.text).expressions:
                        yield from self.context.reads(expression)
            for manifest in manifests_of(self.context, resource):
                for decision in in_manifest(inside, manifest):
                    yield from self.context.reads(decision.expression)

    def shape(self, island: Island) -> str:
        """The canonical text of an island's structural values. Failures are collected, with the island."""
        if not (self.fixed or self.resources or self.promoted):
            self.known.setdefault("", {})
            return ""
        key = self._key(island)
        if key is not None and key in self._memo:
            return self._memo[key]
        before = len(self.found)
        shape = self._shape(island)
        if key is not None and len(self.found) == before and len(self._memo) < 4096:
            self._memo[key] = shape
        return shape

    def _key(self, island: Island) -> tuple[Any, ...] | None:
        """What an island's structural values follow from; None where that is a map or a list."""
        try:
            values = tuple([island.value(path) for path in self._paths()])
            hash(values)
        except (KeyError, TypeError, Failure):
            return None
        return (*values, *(value.__class__ for value in values))

    def _paths(self) -> list[tuple[str, ...]]:
        """The atoms that structure follows from and that differ between islands."""
        if self._varying is None:
            reads = set(self.reads)
            for decision in self.promoted:
                reads |= self.context.reads(decision.expression)
            self._varying = sorted(reads & self.context.plan.varying)
        return self._varying

    def promote(self, decisions: list[Decision]) -> None:
        """Take further expressions for structural: shapes are other than before."""
        self.promoted += decisions
        self._memo.clear()
        self._varying = None

    def _shape(self, island: Island) -> str:
        values: dict[str, Any] = {}
        self._evaluate(self.context, (*self.fixed, *self.promoted), island, values)
        for number, resource in enumerate(self.resources):
            self._resource(number, resource, island, values)
        shape = json.dumps(values, sort_keys=True, default=_omitted)
        if shape not in self.known:
            self.known[shape] = _sorted(values)
        return shape

    def _resource(self, number: int, resource: Resource, island: Island, values: dict[str, Any]) -> None:
        if resource.when is not None:
            wanted = self._value(self.context, resource.when, island)
            if not isinstance(wanted, bool):
                if wanted is not None:
                    self._fail(
                        Failure("`when` is neither true nor false", "compare, or use a boolean"), resource.when, island
                    )
                wanted = False
            values[when_key(number)] = wanted
            if not wanted:
                return
        items: list[Any] = []
        if resource.for_each is not None:
            items = self._items(resource.for_each, island)
            values[items_key(number)] = items
            for index, item in enumerate(items):
                inside = self.context.for_item(item, item_key(number, index))
                for manifest in manifests_of(self.context, resource):
                    self._evaluate(inside, in_manifest(inside, manifest), island, values)
            return
        for manifest in manifests_of(self.context, resource):
            self._evaluate(self.context, in_manifest(self.context, manifest), island, values)

    def _items(self, node: Node, island: Island) -> list[Any]:
        items = self._value(self.context, node, island) if isinstance(node, Scalar) else node.data
        if not isinstance(items, list):
            if items is not None and isinstance(node, Scalar):
                self._fail(Failure("`forEach` takes a list", "of texts, numbers or maps"), node, island)
            return []
        return items

    def _value(self, context: Context, scalar: Scalar, island: Island) -> Any:
        whole = parse(scalar.text).whole
        if whole is None:
            return scalar.data
        try:
            return context.evaluate(whole, island)
        except Failure as failure:
            self._fail(failure, scalar, island)
            return None

    def _evaluate(
        self,
        context: Context,
        decisions: Iterator[Decision] | tuple[Decision, ...],
        island: Island,
        values: dict[str, Any],
    ) -> None:
        for expression, scalar in decisions:
            try:
                values[context.key + expression.text] = context.evaluate(expression, island)
            except Failure as failure:
                self._fail(failure, scalar, island)
                values[context.key + expression.text] = None

    def _fail(self, failure: Failure, scalar: Scalar, island: Island) -> None:
        related = (Related("for this island", island_place(island)),) if island.key else ()
        self.found.append(failure.at(scalar.place, *related, island=island.path if island.key else ""))


def manifests_of(context: Context, resource: Resource) -> tuple[MappingNode, ...]:
    """The manifests of an entry in which expressions are evaluated."""
    if resource.manifest is not None:
        return (resource.manifest,)
    if resource.file is not None and resource.expressions:
        return context.data.manifests.get(id(resource.file), ())
    return ()


def when_key(number: int) -> str:
    """The structural value that says whether an entry of `resources` is there."""
    return f"\0{number} when"


def items_key(number: int) -> str:
    """The structural value that lists the items of an entry's `forEach`."""
    return f"\0{number} forEach"


def item_key(number: int, index: int) -> str:
    """What precedes the structural values inside an item of an entry's `forEach`."""
    return f"\0{number}.{index} "


def _sorted(value: Any) -> Any:
    """A value with the keys of its maps in order: those of the first island of a shape are no better than another's."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _omitted(value: Any) -> Any:
    assert value is OMIT
    return {"omit": True}
