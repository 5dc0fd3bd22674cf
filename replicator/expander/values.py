"""The values of parameters in their layers, weakest first, checked against the parameters' schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from typing import Any, NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import Dynamic, constant, evaluated, merged
from replicator.expression.values import Failure
from replicator.model import IslandSet, Param
from replicator.parser.scalars import number_of
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node, Scalar
from replicator.parser.source import Sequence as SequenceNode

NOTHING: Mapping[str, Any] = {}


class Setting(NamedTuple):
    """A value from the command line: of a Set, of one island of it (`key`), or of a Routing."""

    target: str
    key: str
    param: str
    value: Any
    place: Place
    from_text: bool  # to be read by the parameter's type


WILD = re.compile(r"[*?\[]")


class Layers:
    """The values of a Set in their order, weakest first, and what is wrong with them."""

    def __init__(
        self, island_set: IslandSet, params: Mapping[str, Param], settings: Sequence[Setting], found: list[Diagnostic]
    ) -> None:
        self.params = params
        self.found = found
        self.accepted: set[tuple[str, type, Any]] = set()
        self.overrides = [self.values(override.params) for override in island_set.overrides]
        self.exact: dict[str, list[tuple[int, Scalar]]] = {}  # key → the overrides that name it
        self.globs: list[tuple[int, Scalar, re.Pattern[str]]] = []
        for number, override in enumerate(island_set.overrides):
            for glob in override.globs:
                if WILD.search(glob.text):
                    self.globs.append((number, glob, re.compile(translate(glob.text))))
                else:
                    self.exact.setdefault(glob.text, []).append((number, glob))
        self.used: set[int] = set()
        self.maps: dict[str, Any] = {}  # the Set's own values of type object: an island's are merged into them
        self.for_all: dict[str, Any] = {}
        self.for_key: dict[str, dict[str, Any]] = {}
        self.keys = {one.key: one.place for one in reversed(settings) if one.key}  # where each is named first
        for setting in settings:
            given = from_setting(setting, params, found)
            target = self.for_key.setdefault(setting.key, {}) if setting.key else self.for_all
            for name, value in given.items():
                target[name] = merged(target.get(name), value)
        self.by_key = bool(self.overrides or self.for_key)

    def values(self, node: MappingNode | None) -> dict[str, Any]:
        """The values of one layer, checked; one that uses expressions becomes `Dynamic`."""
        values: dict[str, Any] = {}
        if node is None:
            return values
        for name, child in node.items.items():
            data = child.data
            param = self.params.get(name)
            if param is None:
                message = f"there is no parameter `{name}`"
                self.found.append(Diagnostic("R0502", message, node.key_place(name), hint=nearest(name, self.params)))
                continue
            if _uses_expressions(child):
                try:
                    data = evaluated(child, constant)
                except KeyError:
                    values[name] = Dynamic((child,), child)
                    continue
                except Failure as failure:
                    self.found.append(failure.at(child.place))
                    continue
            values[name] = data
            key: tuple[str, type, Any] | None
            try:
                key = (name, data.__class__, data)
                if key in self.accepted:
                    continue
                hash(key)
            except TypeError:
                key = None
            if param.kind != "map" and not param.fits(data):
                self.found.append(misfit(param, data, child))
            elif key is not None:
                self.accepted.add(key)
        return values

    def own(self, key: str, node: MappingNode | None, axes: Mapping[str, Any] = {}) -> Mapping[str, Any]:
        """The values of one island that are not the Set's."""
        own: dict[str, Any] = dict(axes)
        if not self.by_key and not axes:
            if node is None:
                return NOTHING
            own = self.values(node)
            for name in own.keys() & self.maps.keys():
                own[name] = merged(self.maps[name], own[name])
            return own
        layers = [self.overrides[number] for number in self.hits(key)]
        layers += [self.values(node), self.for_all, self.for_key.get(key, {})]
        for layer in layers:
            for name, value in layer.items():
                own[name] = merged(own[name] if name in own else self.maps.get(name), value)
        return own

    def hits(self, key: str) -> list[int]:
        """The numbers of the overrides of an island, in their order."""
        hits = self.exact.get(key, []) + [(number, glob) for number, glob, wild in self.globs if wild.fullmatch(key)]
        self.used.update(id(glob) for _, glob in hits)
        return sorted({number for number, _ in hits})


def _uses_expressions(node: Node) -> bool:
    if isinstance(node, Scalar):
        return "{{" in node.text
    if isinstance(node, MappingNode):
        return any(map(_uses_expressions, node.items.values()))
    return isinstance(node, SequenceNode) and any(map(_uses_expressions, node.items))


def misfit(param: Param, value: Any, *written: Node) -> Diagnostic:
    """The diagnostic of a value that does not fit its parameter. `written` is what gives it, the strongest first."""
    steps, message = _reason(param, value)
    node = next((inner for one in written if (inner := _at(one, steps)) is not None), written[0])
    related = (Related("the parameter is declared here", param.place),)
    hint = ""
    if isinstance(node, Scalar) and "expected text" in message:
        hint = "the filter `string` makes text of it" if "{{" in node.text else f'quote it: "{node.text}"'
    return Diagnostic("R0504", message, node.place, hint=hint, related=related)


def _reason(param: Param, value: Any) -> tuple[Sequence[str | int], str]:
    """Where inside a value it does not fit its parameter, and why."""
    from replicator.parser.slips import explain_value, spelt

    steps, message = (explain_value(value, dict(param.schema)) or [((), "it does not fit")])[0]
    return steps, f"the value of `{param.name}{spelt(steps)}` does not fit: {message}"


def _at(node: Node | None, steps: Sequence[str | int]) -> Node | None:
    for step in steps:
        if isinstance(node, MappingNode):
            node = node.items.get(str(step))
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def _read_json(text: str) -> Any:
    """A JSON value, without what other readers take otherwise. Raises ValueError."""
    import json

    def refuse(word: str) -> Any:
        raise ValueError(word)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    def number(digits: str) -> int:
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
            raise ValueError(digits)
        return int(digits)

    def decimal(digits: str) -> float | int:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            raise ValueError(digits)
        return number_of(value)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once, parse_int=number, parse_float=decimal)


def from_setting(setting: Setting, params: Mapping[str, Param], found: list[Diagnostic]) -> dict[str, Any]:
    """The value of a setting, read by its parameter's type and checked; empty with a diagnostic."""
    param = params.get(setting.param)
    if param is None:
        message = f"there is no parameter `{setting.param}` of `{setting.target}`"
        found.append(Diagnostic("R0502", message, setting.place, hint=nearest(setting.param, params)))
        return {}
    value = setting.value
    if isinstance(value, str) and "{{" in value:
        message = "an expression in a value of the command line: it would not be evaluated"
        found.append(Diagnostic("R0406", message, setting.place))
        return {}
    if setting.from_text and param.kind != "text":
        try:
            value = _read_json(value)
        except (ValueError, RecursionError):
            message = f"`{value}` is no value of type {param.schema['type']}"
            found.append(Diagnostic("R0504", message, setting.place, hint="it is read as JSON"))
            return {}
    if not param.fits(value):
        _, message = _reason(param, value)
        related = (Related("the parameter is declared here", param.place),)
        found.append(Diagnostic("R0504", message, setting.place, related=related))
        return {}
    return {param.name: value}
