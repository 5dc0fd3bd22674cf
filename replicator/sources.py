"""Where the values of holes come from: atoms of an island's scope, expressions over them, digests of texts."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from replicator.expression.template import Call, Expr, Path
from replicator.expression.values import Failure, text_of
from replicator.names import Rule
from replicator.tree import Hole, Source, Text, text

if TYPE_CHECKING:
    from replicator.expander.islands import Island, SetPlan


class Atom(NamedTuple):
    """A name of an island's scope: `('island', 'key')`, `('params', 'version')`, `('params', 'limits', 'cpu')`."""

    path: Path

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset([self.path[: 3 if self.path[:2] == ("parent", "params") else 2]])

    def value(self, scope: Island) -> Any:
        try:
            return scope.value(self.path)
        except KeyError:
            raise Failure(f"`{'.'.join(self.path)}` has no value", "use the filter `default('…')`") from None


class Weight:
    """An island's weight."""

    __slots__ = ()
    reads: ClassVar[frozenset[Path]] = frozenset([("island", "weight")])

    def value(self, scope: Island) -> int:
        return scope.weight


WEIGHT = Weight()


class Evaluator(Protocol):
    """The context of an expression: what its names and calls stand for."""

    def evaluate(self, expression: Expr, scope: Any) -> Any: ...


class Inner(NamedTuple):
    """The keys, or the addresses of a port, of the islands of a Set inside an island: `keys('cell')`."""

    inner: SetPlan
    call: Call
    address: Callable[[Island], str] | None

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset([("island", "key"), ("island", "name")])

    def value(self, scope: Island) -> list[str]:
        islands = self.inner.inside(scope)
        return [self.address(island) if self.address else key for key, island in islands.items()]


class Peer(NamedTuple):
    """The address of a port of another Set's island: `address(set='ledger', port='grpc')`, by default of that with
    the same key.
    """

    of: SetPlan
    key: str
    address: Callable[[Island], str]

    @property
    def reads(self) -> frozenset[Path]:
        by_key = frozenset() if self.key else frozenset([("island", "key")])
        return by_key if self.of.above is None else by_key | {("island", "name")}

    def value(self, scope: Island) -> str:
        key = self.key or scope.key
        island = self.of.seen_from(scope, key)
        if island is None:
            raise no_peer(self.of, key)
        return self.address(island)


def no_peer(target: SetPlan, key: str) -> Failure:
    """Why an island calls nobody."""
    return Failure(f"there is no island `{target.path}/{key}`", "`key` names another one", "R0701")


class Around(NamedTuple):
    """The name of the island of a Set that an island is inside of, or is."""

    plan: SetPlan

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset([("island", "name")])

    def value(self, scope: Island) -> str:
        around = scope
        while around.plan is not self.plan and around.parent is not None:
            around = around.parent
        return around.name


class Elsewhere(NamedTuple):
    """A value of the island that an island calls: of the Set `of`, with a key, by default its own.

    With `scope` it is the island of that Set, which the island is inside of or is, that says whose key it is.
    """

    of: SetPlan
    key: str
    scope: SetPlan
    source: Source

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset([("island", "key"), ("island", "name")])

    def value(self, scope: Island) -> Any:
        around = scope
        while around.plan is not self.scope and around.parent is not None:
            around = around.parent
        if self.of is self.scope and not self.key:
            return self.source.value(around)
        key = self.key or around.key
        island = self.of.seen_from(around, key)
        if island is None:
            raise no_peer(self.of, key)
        return self.source.value(island)


class Computed:
    """An expression that is more than a name, in its context."""

    __slots__ = ("_context", "_expression", "reads")

    def __init__(self, expression: Expr, reads: frozenset[Path], context: Evaluator) -> None:
        self._expression = expression
        self._context = context
        self.reads = reads

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Computed) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, int]:
        return self._expression.text, id(self._context)

    def value(self, scope: Island) -> Any:
        return self._context.evaluate(self._expression, scope)


class Bounded(NamedTuple):
    """A number that must be in a range."""

    source: Source
    least: int
    most: int

    @property
    def reads(self) -> frozenset[Path]:
        return self.source.reads

    def value(self, scope: Any) -> int:
        return in_range(self.source.value(scope), self.least, self.most)


class NotAbove(NamedTuple):
    """A number that must not be more than another, which `field` names."""

    number: int | Source
    most: int | Source
    field: str

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset(path for one in (self.number, self.most) if not isinstance(one, int) for path in one.reads)

    def value(self, scope: Any) -> int:
        number, most = (one if isinstance(one, int) else one.value(scope) for one in (self.number, self.most))
        if number > most:
            raise Failure(f"{number} is more than `{self.field}`, {most}")
        return int(number)


class Ruled(NamedTuple):
    """A text that must be as a rule says."""

    content: Text
    rule: Rule

    @property
    def reads(self) -> frozenset[Path]:
        return reads(self.content)

    def value(self, scope: Any) -> str:
        made = assemble(self.content, scope)
        if problem := self.rule.problem(made):
            raise Failure(problem, self.rule.hint, self.rule.code)
        return made


class Within(NamedTuple):
    """A hole of a text that must be as a whole as a rule says."""

    hole: Hole
    content: Text
    rule: Rule

    @property
    def reads(self) -> frozenset[Path]:
        return reads(self.content)

    def value(self, scope: Any) -> Any:
        Ruled(self.content, self.rule).value(scope)
        return self.hole.source.value(scope)


class OnlyOf(NamedTuple):
    """A value of the islands of a Set that have an implementation; for the others, what stands in its place."""

    implementation: str
    source: Source
    otherwise: Any

    @property
    def reads(self) -> frozenset[Path]:
        return self.source.reads | {("island", "implementation")}

    def value(self, scope: Island) -> Any:
        return self.source.value(scope) if scope.implementation == self.implementation else self.otherwise


def in_range(value: Any, least: int, most: int) -> int:
    """The value, where it is an integer in a range. Raises `Failure`."""
    if isinstance(value, bool) or not isinstance(value, int):
        shown = f"`{text_of(value)}`" if isinstance(value, (str, int, float)) else "the value of this expression"
        hint = "the filter `int` makes an integer of a text; a parameter may have type: integer"
        raise Failure(f"{shown} is no integer", hint)
    if not least <= value <= most:
        raise Failure(f"{value} is out of range: from {least} to {most}")
    return value


class Volume(NamedTuple):
    """Texts, by their names, that are kept in one object: at most `most` bytes, of which `uncounted` do not count."""

    texts: tuple[tuple[str, Text], ...]
    most: int
    uncounted: int = 0


class Digest(NamedTuple):
    """The first sixteen hexadecimal digits of the SHA-256 of the texts of some volumes, and of their names."""

    volumes: tuple[Volume, ...]

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset(path for volume in self.volumes for _, content in volume.texts for path in reads(content))

    def value(self, scope: Any) -> str:
        return self.reader()(scope)

    def reader(self) -> Callable[[Any], str]:
        """The value as a function of the scope: the texts are cut once."""
        from hashlib import sha256

        # NUL is in no YAML text, so the parts cannot run into each other.
        readers = []
        for volume in self.volumes:
            joined = text(*(part for name, content in volume.texts for part in (name, "\0", content, "\0")))
            uncounted = sum(len(name.encode()) + 2 for name, _ in volume.texts) + volume.uncounted
            readers.append((text_reader(joined), uncounted, volume.most))

        def digest(scope: Any) -> str:
            made = sha256()
            for read, uncounted, most in readers:
                content = read(scope).encode()
                size = len(content) - uncounted
                if size > most:
                    message = f"the files have {size:,} bytes together; a ConfigMap holds at most {most:,}"
                    raise Failure(message, "put what is large into the image, or into a volume", "R0313")
                made.update(content)
            return made.hexdigest()[:16]

        return digest


def reads(content: Text) -> frozenset[Path]:
    """The atoms that a text depends on."""
    return frozenset(path for part in content if isinstance(part, Hole) for path in part.source.reads)


def assemble(content: Text, scope: Any) -> str:
    """A text with its holes filled. Raises `Failure`."""
    return "".join(part if isinstance(part, str) else text_of(part.source.value(scope)) for part in content)


def hole_reader(hole: Hole) -> Callable[[Any], Any]:
    """A hole's value as a function of the scope, the quickest there is. The function raises `Failure`."""
    source = hole.source
    if isinstance(source, Atom) and source.path[0] == "island":
        return attrgetter(source.path[1])
    if isinstance(source, Atom) and source.path[0] == "params" and len(source.path) == 2:
        name = source.path[1]
        return lambda scope: scope.param(name)
    return source.reader() if isinstance(source, Digest) else source.value


def text_reader(content: Text) -> Callable[[Any], str]:
    """A text with its holes filled, as a function of the scope. The function raises `Failure`."""
    found = [part for part in content if isinstance(part, Hole)]
    pattern = "".join(part.replace("%", "%%") if isinstance(part, str) else "%s" for part in content)
    readers = [hole_reader(hole) for hole in found]
    if any(hole.kind not in ("label", "name") for hole in found):
        return lambda scope: pattern % tuple([text_of(read(scope)) for read in readers])
    if len(readers) == 1:
        only = readers[0]
        return only if pattern == "%s" else lambda scope: pattern % only(scope)
    return lambda scope: pattern % tuple([read(scope) for read in readers])
