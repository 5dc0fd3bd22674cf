"""Where the values of holes come from: atoms of an island's scope, expressions over them, digests of texts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from replicator.expression.template import Expr, Path
from replicator.expression.values import Failure, text_of
from replicator.tree import Hole, Text

if TYPE_CHECKING:
    from replicator.context import Context
    from replicator.expander import Island


@dataclass(frozen=True, slots=True)
class Atom:
    """A name of an island's scope: `('island', 'key')`, `('params', 'version')`, `('params', 'limits', 'cpu')`."""

    path: Path

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset([self.path[:2]])

    def value(self, scope: Island) -> Any:
        try:
            return scope.value(self.path)
        except KeyError:
            raise Failure(f"`{'.'.join(self.path)}` has no value", "use the filter `default('…')`") from None


@dataclass(frozen=True, slots=True)
class Weight:
    """An island's weight."""

    reads: frozenset[Path] = frozenset([("island", "weight")])

    def value(self, scope: Island) -> int:
        return scope.weight


@dataclass(frozen=True, slots=True)
class Computed:
    """An expression that is more than a name, in the context of its Type."""

    text: str
    reads: frozenset[Path]
    expression: Expr = field(compare=False)
    context: Context = field(compare=False)

    def value(self, scope: Island) -> Any:
        return self.context.evaluate(self.expression, scope)


@dataclass(frozen=True, slots=True)
class Digest:
    """The first sixteen hexadecimal digits of the SHA-256 of some texts and of their names."""

    texts: tuple[tuple[str, Text], ...]

    @property
    def reads(self) -> frozenset[Path]:
        return frozenset(path for _, content in self.texts for path in reads(content))

    def value(self, scope: Any) -> str:
        digest = hashlib.sha256()
        for name, content in self.texts:
            for part in (name, assemble(content, scope)):
                encoded = part.encode()
                digest.update(b"%d:" % len(encoded) + encoded)
        return digest.hexdigest()[:16]


def reads(content: Text) -> frozenset[Path]:
    """The atoms that a text depends on."""
    return frozenset(path for part in content if isinstance(part, Hole) for path in part.source.reads)


def assemble(content: Text, scope: Any) -> str:
    """A text with its holes filled. Raises `Failure`."""
    return "".join(part if isinstance(part, str) else text_of(part.source.value(scope)) for part in content)
