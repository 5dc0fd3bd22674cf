"""The lines of a Partition as conditions on requests: as few as what a provider's proxies take allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from replicator.diagnostics import Place, Related
from replicator.expander.islands import Island
from replicator.expander.members import natural
from replicator.model import KeySource
from replicator.routing.partitions import Line, Ownership, Stage
from replicator.routing.rules import Condition, Test
from replicator.routing.share_patterns import WHOLE, Limits, Piece, of_label, of_segment, pieces
from replicator.routing.shares import Held, Segment, Share, joined
from replicator.tree import Text

# Instructions of RE2 that proxies take in one regular expression. Gloo: Settings.gloo.regexMaxProgramSize, by its Helm
# chart. Istio: re2.max_program_size.error_level of its proxies' bootstrap. Other implementations of Gateway API have
# their own limits; those that we know of take 1,000 and more.
_PROGRAM = {"istio": 32768}
_USUAL_PROGRAM = 1024
# Characters of one: Istio's validation (validateStringRegexp), and the CRD of HTTPRoute, as matches of a rule.
_IN_HTTP_ROUTE = {"header": 4096, "hostLabel": 4096, "query": 1024, "pathSegment": 1024}
_LENGTHS = {"istio": dict.fromkeys(_IN_HTTP_ROUTE, 1024), "gateway-api": _IN_HTTP_ROUTE, "kgateway": _IN_HTTP_ROUTE}
_GATEWAY_API = ("gateway-api", "kgateway")
_MATCHES = 64
# Headers that every request has; the second by the proxy itself, which is Envoy.
_ALWAYS = {"gateway-api": ("host",), "kgateway": ("host", "x-forwarded-proto")}

Say = Callable[..., None]


class Part(NamedTuple):
    """Requests that one island serves (and another gets copies of, or none), by lines of one stage.

    `name` tells it from the other parts of its route: dots are between its labels, of which islands' names are some.
    """

    name: str
    stage: Stage
    lines: tuple[Line, ...]
    conditions: tuple[Condition, ...]
    island: Island
    mirror: Island | None


def parts(
    route: str, owned: Ownership, base: Sequence[tuple[Condition, Place]], column: str, say: Say
) -> Iterator[Part]:
    """The parts of a Partition for requests that fulfil one of the `base` conditions, in the order of their stages.

    `route` tells the route from all others.
    """
    for number, stage in enumerate(owned.stages):
        fitting = [_fits(stage.source, condition, place, say) for condition, place in base]  # all are told of
        if not all(fitting):
            continue
        later = owned.stages[number + 1 :]
        first = number == 0 and bool(later)
        prefixes = _prefixes(column, later)
        groups: dict[tuple[str, str], list[Line]] = {}
        for line in stage.lines:
            groups.setdefault((line.island.path, line.mirror.path if line.mirror else ""), []).append(line)
        for key in sorted(groups, key=lambda paths: [natural(path) for path in paths]):
            lines = groups[key]
            island, mirror = lines[0].island, lines[0].mirror
            share = joined(line.share for line in lines)
            made = [
                _alone(one, first, column)._replace(apart=f"{route} {stage.name} {at}")
                for at, (condition, _) in enumerate(base)
                for one in _narrowed(condition, stage.source, share, limits(column, stage.source), prefixes, say)
            ]
            names = [*(["pins"] if first else []), island.name, *(["to", mirror.name] if mirror else [])]
            for part, conditions in enumerate(_chunks(made, column)):
                name = ".".join([*names, str(part + 1)] if part else names)
                yield Part(name, stage, tuple(lines), conditions, island, mirror)


Prefixes = Literal["none", "single", "each"]
"""Which keys of paths are longer prefixes, rather than regular expressions: none, one by itself, or each of several."""


def _prefixes(column: str, later: Sequence[Stage]) -> Prefixes:
    """How keys of paths are written.

    In Gateway API a longer prefix does not win over a regular expression; and whether a regular expression wins over a
    prefix is the implementation's own, where there is no more to be known of it.
    """
    if column in _GATEWAY_API and any(one.source.kind == "pathSegment" for one in later):
        return "none"
    return "each" if column == "gateway-api" else "single"


def limits(column: str, source: KeySource) -> Limits:
    """What the proxies of a provider take at a place of the request."""
    program = _PROGRAM.get(column, _USUAL_PROGRAM)
    return Limits(program, _LENGTHS[column][source.kind]) if column in _LENGTHS else Limits(program)


def _fits(source: KeySource, condition: Condition, place: Place, say: Say) -> bool:
    """Whether a route's own match leaves the key open."""
    if source.kind == "pathSegment":
        if condition.path_op != "prefix" or not all(isinstance(part, str) for part in condition.path):
            message = "the key is a segment of the path, which this match says whole"
            say("R0205", message, place, "match a `prefix` above the key", Related("the key", source.place))
            return False
        depth = len([step for step in _path(condition.path).split("/") if step])
        if depth >= source.number:
            message = f"segment {source.number} of the path is in the prefix that this match says"
            say("R0205", message, place, f"pathSegment: {depth + 1}", Related("the key", source.place))
            return False
        return True
    tests = condition.query if source.kind == "query" else condition.headers
    name = "host" if source.kind == "hostLabel" else source.name.lower() if source.kind == "header" else source.name
    if any(test.name == name for test in tests):
        message = f"this match tests `{name}`, which is where the key is"
        say("R0205", message, place, "leave it to the Partition", Related("the key", source.place))
        return False
    return True


def _path(content: Text) -> str:
    return "".join(part for part in content if isinstance(part, str))


def _narrowed(
    condition: Condition, source: KeySource, share: Share, bounds: Limits, prefixes: Prefixes, say: Say
) -> Iterator[Condition]:
    """A condition for requests whose key is in a share."""
    if source.kind == "pathSegment":
        yield from _segments(condition, source, share, bounds, prefixes, say)
        return
    frame = of_label(source.number) if source.kind == "hostLabel" else WHOLE
    label = source.number if source.kind == "hostLabel" else 0
    for piece in pieces(share, frame, bounds):
        if source.kind == "query":
            yield condition._replace(query=_with(condition.query, _test(source.name, piece, label)))
        else:
            name = "host" if label else source.name.lower()
            yield condition._replace(headers=_with(condition.headers, _test(name, piece, label)))


def _test(name: str, piece: Piece, label: int) -> Test:
    if len(piece.share.values) == 1 and not label:
        return Test(name, "exact", (next(iter(piece.share.values)),))
    return Test(name, "regex", (piece.regex,), Held(piece.share, label))


def _with(tests: tuple[Test, ...], test: Test) -> tuple[Test, ...]:
    """Tests with one more, by name."""
    return tuple(sorted((*tests, test), key=lambda one: one.name))


def _segments(
    condition: Condition, source: KeySource, share: Share, bounds: Limits, prefixes: Prefixes, say: Say
) -> Iterator[Condition]:
    """A path below the condition's prefix. Of keys right below it, a longer prefix may do."""
    prefix, number = _path(condition.path), source.number
    depth = len([step for step in prefix.split("/") if step])
    if prefixes == "each" and share.kind == "keys" and number == depth + 1:
        yield from (condition._replace(path=(f"{prefix.rstrip('/')}/{key}",)) for key in sorted(share.values))
        return
    for piece in pieces(share, of_segment(prefix, number), bounds):
        if prefixes != "none" and len(piece.share.values) == 1 and number == depth + 1:
            path = f"{prefix.rstrip('/')}/{next(iter(piece.share.values))}"
            yield condition._replace(path=(path,))
            continue
        if piece.size > bounds.program or len(piece.regex) > bounds.length:  # of one key, or range
            message = "one key below this path takes a larger regular expression than proxies do"
            say("R0708", message, source.place, "a segment nearer to a shorter prefix, and shorter keys")
            return
        segment = Segment(prefix, number, piece.share)
        yield condition._replace(path_op="regex", path=(piece.regex,), segment=segment)


def _alone(condition: Condition, first: bool, column: str) -> Condition:
    """A pin for Gateway API, where the most tests win: one more, of a header that every request has."""
    tested = {test.name for test in condition.headers}
    name = next((name for name in _ALWAYS.get(column, ()) if name not in tested), None) if first else None
    return (
        condition if name is None else condition._replace(headers=_with(condition.headers, Test(name, "present", ())))
    )


def _chunks(conditions: Sequence[Condition], column: str) -> Iterator[tuple[Condition, ...]]:
    """Conditions, as many together as a rule of a provider holds."""
    if column not in _GATEWAY_API:
        yield tuple(conditions)
        return
    chunk: list[Condition] = []
    room = _MATCHES
    for condition in conditions:
        matches = max(len(condition.methods), 1)
        if chunk and room < matches:
            yield tuple(chunk)
            chunk, room = [], _MATCHES
        chunk.append(condition)
        room -= matches
    yield tuple(chunk)


def regular(conditions: Iterable[Condition]) -> Iterator[str]:
    """The features that regular expressions of ours need: header.regex, query.regex, path.regex."""
    for condition in conditions:
        if condition.segment is not None:
            yield "path.regex"
        for tests, feature in ((condition.headers, "header.regex"), (condition.query, "query.regex")):
            if any(test.held is not None for test in tests):
                yield feature
