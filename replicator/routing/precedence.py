"""The written order of routes, compiled to the precedence that Gateway API gives to matches.

There the most specific match wins, wherever it is written: an exact path, the longest prefix, a method, the most
headers, the most query parameters; what still ties goes to the oldest HTTPRoute, which nobody knows before, and within
one HTTPRoute to the first rule (https://gateway-api.sigs.k8s.io/reference/spec/, HTTPRouteRule). So an earlier route
gets, as one more match, what it has in common with each later match that would win over it or tie with it; and a later
match that an earlier route takes whole is left out. The routes are gone through from the last to the first, so that
what was added to later ones is seen too.

Routes of each island are decided as one where what differs between the islands makes no difference; islands are looked
at one by one, within a budget, where it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from replicator.diagnostics import Diagnostic, Related
from replicator.expression.values import Failure
from replicator.routing.algebra import disjoint, filled, includes, is_apart, meet, value_of
from replicator.routing.rules import Condition, Rule, Table, Test
from replicator.sources import Atom, Ruled, assemble
from replicator.tree import Hole, Source, Text, text
from replicator.yaml_text import SAFE

if TYPE_CHECKING:
    from replicator.expander.islands import Island

MAX_MATCHES = 64  # of a rule of an HTTPRoute
BUDGET = 200_000  # pairs of matches that are compared island by island, of one Routing


class Match(NamedTuple):
    """A condition with one method at most; `rewrite` takes the place of its path (or prefix), where one is given."""

    condition: Condition
    rewrite: Text | None = None


@dataclass(eq=False, slots=True)
class Row:
    """A rule with its matches, in the scope of an island where it is of islands.

    `own` are the matches of those islands, by number, that have others; they have no holes.
    """

    number: int
    rule: Rule
    scope: str
    matches: list[Match]
    own: dict[int, list[Match]] = field(default_factory=dict)

    def counts(self) -> Iterator[int]:
        """How many matches an island has."""
        yield len(self.matches)
        yield from map(len, self.own.values())


class Order(NamedTuple):
    """The rows in written order. Of two rules that tie, by number, the first must come before the other in one
    HTTPRoute.
    """

    rows: list[Row]
    ties: list[tuple[int, int]]


def compiled(table: Table, known: bool) -> tuple[Order, list[Diagnostic]]:
    """The order of a table's rules, and where it cannot be kept.

    `known` says that a path's regular expression stands between exact paths and prefixes; else nothing is known of it:
    Istio has it below all prefixes, `/` too (istio/istio: pilot/pkg/config/kube/gateway/conversion.go, getURIRank).
    """
    compiler = _Compiler(table, known)
    for row in reversed(compiler.rows):
        compiler.compile(row)
    return Order(compiler.whole(), sorted(compiler.ties)), compiler.found


def base(rule: Rule) -> list[Match]:
    """The matches of a rule by itself: one for each method of each condition."""
    made: dict[Match, None] = {}
    for condition in rule.conditions:
        for method in condition.methods or ("",):
            made[Match(condition._replace(methods=(method,) if method else ()), rule.rewrite)] = None
    return list(made)


def _parts(row: Row) -> list[Row]:
    """A row for each match, where they could rewrite a path differently; else the row."""
    if row.rule.rewrite is None:
        return [row]
    return [Row(row.number, row.rule, row.scope, [match]) for match in row.matches]


class _Verdict(NamedTuple):
    """What an earlier match must do about a later one: `extra` is one more match, `drop` leaves the later one out."""

    extra: Match | None = None
    drop: bool = False
    tie: bool = False
    problem: str = ""


_NOTHING = _Verdict()
_DROP = _Verdict(drop=True)


class _Compiler:
    def __init__(self, table: Table, known: bool) -> None:
        self.table = table
        self.known = known
        self.rows = [Row(number, rule, rule.over or table.over, base(rule)) for number, rule in enumerate(table.rules)]
        self.done: list[Row] = []
        self.extra: dict[int, dict[Match, None]] = {}
        self.ties: set[tuple[int, int]] = set()
        self.found: list[Diagnostic] = []
        self.told: set[tuple[int, int]] = set()
        self.budget = BUDGET

    def compile(self, row: Row) -> None:
        """Compare a row with all later ones, and its islands among each other.

        Where paths are rewritten, the first match that holds says how; so each match is a row then.
        """
        if row.scope and not self.table.over and not self.tells_apart(row):
            self.one_by_one(row)
            self.done.insert(0, row)
        else:
            for part in reversed(_parts(row)):
                self.against(part, self.done)
                self.done.insert(0, part)
        most = max(row.counts())
        if most > MAX_MATCHES:
            self.limit(row, row, most)

    def whole(self) -> list[Row]:
        """The rows that are done, those of one rule together; those that get no request are left out."""
        rows: dict[int, Row] = {}
        for part in self.done:
            row = rows.setdefault(part.number, Row(part.number, part.rule, part.scope, []))
            for number in sorted(row.own.keys() | part.own.keys()):
                before = row.own[number] if number in row.own else self.of_island(row.matches, row.scope, number)
                after = part.own[number] if number in part.own else self.of_island(part.matches, row.scope, number)
                row.own[number] = [*before, *after]
            row.matches += part.matches
        return [row for row in rows.values() if any(row.counts())]

    def tells_apart(self, row: Row) -> bool:
        """Whether no request is for two islands of a row, by its texts alone."""
        islands = self.table.islands[row.scope]
        return len(islands) < 2 or all(
            _keyed(one.condition, other.condition, islands[0]) for one in row.matches for other in row.matches
        )

    def one_by_one(self, row: Row) -> None:
        """Each island of a row by itself: the requests of an earlier one may be a later one's too."""
        single: list[Row] = []
        islands = range(len(self.table.islands[row.scope]))
        self.budget -= len(islands) ** 2
        if self.budget < 0:
            self.too_many(row, row)
            return
        parts: dict[int, list[Row]] = {}
        for number in reversed(islands):
            made = Row(row.number, row.rule, "", self.of_island(row.matches, row.scope, number))
            parts[number] = _parts(made)
            for part in reversed(parts[number]):
                self.against(part, [*single, *self.done])
                single.insert(0, part)
        for number in islands:
            matches = [match for part in parts[number] for match in part.matches]
            if matches != self.of_island(row.matches, row.scope, number):
                row.own[number] = matches

    def against(self, row: Row, others: list[Row]) -> None:
        self.extra = {}
        for match in list(row.matches):
            for later in others:
                for other in list(later.matches):
                    self.pair(row, match, later, other)
                for number, own in list(later.own.items()):
                    for other in list(own):
                        self.pair(row, match, later, other, number)
        for number, extra in self.extra.items():
            mine = self.of_island(row.matches, row.scope, number)
            row.own[number] = [*mine, *(match for match in extra if match not in mine)]

    def pair(self, row: Row, match: Match, later: Row, other: Match, number: int = -1) -> None:
        """A match of a row against one of a later row, or (with a number) of one island of it."""
        if (row.number, later.number) in self.told or _fixed_apart(match.condition, other.condition):
            return
        scope = "" if number >= 0 else later.scope
        if row.scope and row.scope == scope:
            self.together(row, match, later, other)
            islands = self.table.islands[scope]
            if not self.table.over and not _keyed(match.condition, other.condition, islands[0]):
                self.across(row, match, later, other, number)
        else:
            self.across(row, match, later, other, number)

    def together(self, row: Row, match: Match, later: Row, other: Match) -> None:
        """Two matches in the scope of the same island."""
        if _uniform(match.condition, other.condition, True):
            marks = _Marks()
            verdict = self.judge(marks.put(match, 0), marks.put(other, 0))
            self.settle(row, -1, later, other, -1, marks.out(verdict))
            return
        for number in range(len(self.table.islands[row.scope])):
            self.single(row, match, number, later, other, number, later.scope)

    def across(self, row: Row, match: Match, later: Row, other: Match, number: int) -> None:
        """Two matches of any two islands, or of which one is of no island."""
        scope = "" if number >= 0 else later.scope
        theirs = range(len(self.table.islands[scope])) if scope else (number,)
        if _uniform(match.condition, other.condition, False):
            marks = _Marks()
            verdict = marks.out(self.judge(marks.put(match, 0), marks.put(other, 1)))
            if not verdict.extra or not scope:
                self.settle(row, -1, later, other, number, verdict)
                return
            if len(theirs) + len(row.matches) > MAX_MATCHES:
                self.limit(row, later, len(theirs) + len(row.matches))
                return
        mine = range(len(self.table.islands[row.scope])) if row.scope else (-1,)
        joined = _Joined(self, match, row.scope, other, scope, theirs)
        for one in mine:
            for their in joined.candidates(one):
                if not (one == their and row.scope and row.scope == scope):
                    self.single(row, match, one, later, other, their, scope)

    def single(self, row: Row, match: Match, one: int, later: Row, other: Match, their: int, scope: str) -> None:
        """An island's match against an island's; without a Set as its scope, the later one has no holes."""
        if scope and their in later.own:
            return
        self.budget -= 1
        if self.budget < 0:
            self.too_many(row, later)
            return
        mine = self.of_island([match], row.scope, one)
        theirs = self.of_island([other], scope, their)
        if mine and theirs:
            verdict = self.judge(mine[0], theirs[0])
            if verdict is not _NOTHING:
                self.settle(row, one, later, other, their, verdict)

    def too_many(self, row: Row, later: Row) -> None:
        self.say(row, later, "it takes too long to find out for so many islands which of them overlap")

    def of_island(self, matches: list[Match], scope: str, number: int) -> list[Match]:
        """Matches with their holes filled; those that have no value are told of elsewhere."""
        island = self.table.islands[scope][number] if scope and number >= 0 else None
        if island is None:
            return matches
        try:
            return [_filled(match, island) for match in matches]
        except Failure:
            return []

    def judge(self, match: Match, other: Match) -> _Verdict:
        """What a match must do about a later one; neither has holes."""
        mine, its = match.condition, other.condition
        if disjoint(mine, its):
            return _NOTHING
        if mine.path_op != its.path_op and "regex" in (mine.path_op, its.path_op) and not self.known:
            return _Verdict(problem="whether a regular expression or another path wins is the implementation's own")
        if _rank(its) < _rank(mine):
            return _NOTHING
        if includes(mine, its):
            return _DROP
        both = meet(mine, its)
        if both is None and _rank(its) == _rank(mine) and (self.known or mine.path_op != "regex"):
            return _Verdict(tie=True)
        if both is None:
            return _Verdict(problem="no one match says both, for a regular expression is in the way")
        if _rank(both) < _rank(its):
            return _Verdict(problem="the later one's regular expression of paths wins over a prefix")
        narrowed = _narrowed(match, both)
        if narrowed is None:
            return _Verdict(problem="a regular expression has no prefix that could be rewritten")
        return _Verdict(narrowed, tie=_rank(both) == _rank(its))

    def settle(self, row: Row, one: int, later: Row, other: Match, their: int, verdict: _Verdict) -> None:
        """Do what a verdict says, for one island of each or (without a number) for all."""
        if verdict.problem:
            self.say(row, later, verdict.problem)
            return
        if (verdict.extra or verdict.drop) and self.table.over and one >= 0:
            self.say(row, later, "it differs between the islands which of them wins")
            return
        if verdict.tie:
            self.ties.add((row.number, later.number))
        if verdict.extra is not None and (one < 0 or not row.scope):
            if verdict.extra not in row.matches:
                row.matches.append(verdict.extra)
        elif verdict.extra is not None:
            self.extra.setdefault(one, {})[verdict.extra] = None
            if len(self.extra[one]) > MAX_MATCHES:
                self.limit(row, later, len(self.extra[one]))
        if verdict.drop:
            self.drop(later, other, their)

    def drop(self, later: Row, other: Match, their: int) -> None:
        """Leave a match of a later row out: of one island, or of all."""
        if their in later.own:
            later.own[their] = [match for match in later.own[their] if match != other]
        elif their < 0 or not later.scope:
            later.matches.remove(other)
        else:
            kept = [match for match in later.matches if match != other]
            later.own[their] = self.of_island(kept, later.scope, their)

    def limit(self, row: Row, later: Row, number: int) -> None:
        reason = f"it would take {number:,} matches; a rule has at most {MAX_MATCHES}"
        self.say(row, later, reason)

    def say(self, row: Row, later: Row, reason: str) -> None:
        if (row.number, later.number) in self.told:
            return
        self.told.add((row.number, later.number))
        hint = "put it after the other, make their matches exclude each other, or provider: istio"
        message = f"Gateway API cannot keep this route before a later one: {reason}"
        related: tuple[Related, ...] = (Related("the later route, which would win", later.rule.place),)
        if row.number == later.number:
            hint, related = "one match for each island, by a header or a path", ()
            message = f"Gateway API cannot keep the order of this route's islands: {reason}"
        self.found.append(Diagnostic("R0713", message, row.rule.place, hint=hint, related=related))


class _Joined:
    """Which islands of a later row may have a request of an island: by a value that both tests must have."""

    def __init__(
        self, compiler: _Compiler, match: Match, mine: str, other: Match, scope: str, theirs: range | tuple[int, ...]
    ) -> None:
        self.compiler = compiler
        self.mine = mine
        self.all = theirs
        self.by_value: dict[str, list[int]] | None = None
        for field_name in ("headers", "query"):
            given = {one.name: one for one in getattr(match.condition, field_name) if one.op == "exact"}
            for test in getattr(other.condition, field_name):
                if scope and test.op == "exact" and test.name in given and self.by_value is None:
                    self.value = given[test.name].value
                    self.by_value = {}
                    for number in theirs:
                        value = self.known(test.value, scope, number)
                        if value is not None:
                            self.by_value.setdefault(value, []).append(number)

    def known(self, content: Text, scope: str, number: int) -> str | None:
        islands = self.compiler.table.islands
        try:
            return assemble(content, islands[scope][number] if scope and number >= 0 else None)
        except Failure:
            return None

    def candidates(self, one: int) -> range | tuple[int, ...] | list[int]:
        if self.by_value is None:
            return self.all
        value = self.known(self.value, self.mine, one)
        return self.by_value.get(value, []) if value is not None else []


def _filled(match: Match, island: Island) -> Match:
    if match.rewrite is None:
        return Match(filled(match.condition, island))
    joined = assemble(match.rewrite, island)
    return Match(filled(match.condition, island), (joined,) if joined else ())


def _rank(condition: Condition) -> tuple[int, int, bool, int, int]:
    """How specific a condition is, as Gateway API compares them; a greater one wins."""
    kind = ("prefix", "regex", "exact").index(condition.path_op)
    length = len(value_of(condition.path)) if condition.path_op == "prefix" else 0
    return kind, length, bool(condition.methods), len(condition.headers), len(condition.query)


def _narrowed(match: Match, both: Condition) -> Match | None:
    """A part of a match: where its path is a longer one, so is what takes its place; None where it is not known."""
    if match.rewrite is None or match.condition.path_op != "prefix":
        return Match(both, match.rewrite)
    if both.path_op == "regex":
        return Match(both) if match.condition.path == match.rewrite else None
    path, prefix, rewrite = (value_of(one) for one in (both.path, match.condition.path, match.rewrite))
    if (both.path_op, path) == ("prefix", prefix) or (path == prefix and prefix != "/"):
        return Match(both, match.rewrite)
    rest = path[len(prefix) :] if prefix != "/" else path
    return Match(both, text(rewrite.removesuffix("/") + rest))


# What holds whatever the islands are


def _steps(condition: Condition) -> list[Text]:
    """The segments of a path."""
    if (condition.path_op, condition.path) == ("prefix", ("/",)):
        return []
    steps: list[Text] = [()]
    for part in condition.path:
        if isinstance(part, str):
            first, *rest = part.split("/")
            steps[-1] = text(steps[-1], first)
            steps += [text(step) for step in rest]
        else:
            steps[-1] = (*steps[-1], part)
    return steps[1:]


def _is_fixed(content: Text) -> bool:
    return all(isinstance(part, str) for part in content)


def _is_whole(step: Text) -> bool:
    """Whether a segment is one for every island: no hole of it holds a slash."""
    return all(isinstance(part, str) or part.kind in SAFE for part in step)


def _ends_differ(one: Text, other: Text) -> bool:
    """Whether two texts differ by how they begin or end, whatever is in their holes."""
    for index, begins in ((0, str.startswith), (-1, str.endswith)):
        first, second = one[index] if one else "", other[index] if other else ""
        if isinstance(first, Hole) or isinstance(second, Hole):
            continue
        if _is_fixed(one) and _is_fixed(other):
            return first != second
        if _is_fixed(one) and not begins(first, second):
            return True
        if _is_fixed(other) and not begins(second, first):
            return True
        if not _is_fixed(one) and not _is_fixed(other) and not (begins(first, second) or begins(second, first)):
            return True
    return False


def _fixed_apart(one: Condition, other: Condition) -> bool:
    """Whether no request fulfils both, whatever the islands are."""
    if is_apart(one, other):
        return True
    if one.methods and other.methods and one.methods != other.methods:
        return True
    for mine, its in ((one.headers, other.headers), (one.query, other.query)):
        given = {test.name: test for test in mine if test.op == "exact"}
        if any(
            test.op == "exact" and test.name in given and _ends_differ(given[test.name].value, test.value)
            for test in its
        ):
            return True
    if "regex" in (one.path_op, other.path_op):
        return False
    first, second = _steps(one), _steps(other)
    for step, its_step in zip(first, second, strict=False):
        if not _is_whole(step) or not _is_whole(its_step):
            return False
        if _ends_differ(step, its_step):
            return True
    if not all(map(_is_whole, [*first, *second])):
        return False
    return (one.path_op == "exact" and len(first) < len(second)) or (
        other.path_op == "exact" and len(second) < len(first)
    )


def _names_one(content: Text, nested: bool) -> bool:
    """Whether a text is another one for each island of a Set."""
    found = [part for part in content if isinstance(part, Hole)]
    if len(found) != 1:
        return False
    source: Source = found[0].source
    while isinstance(source, Ruled) and len(source.content) == 1 and isinstance(source.content[0], Hole):
        source = source.content[0].source
    if not isinstance(source, Atom):
        return False
    return source.path == ("island", "name") or (not nested and source.path in _KEYS)


_KEYS = (("island", "key"), ("island", "ordinal"))


def _keyed(one: Condition, other: Condition, island: Island) -> bool:
    """Whether no request fulfils two conditions of different islands of a Set, for both name the island alike."""
    nested = island.parent is not None
    for mine, its in ((one.headers, other.headers), (one.query, other.query)):
        exact = {test for test in mine if test.op == "exact" and _names_one(test.value, nested)}
        if any(test in exact for test in its):
            return True
    if "regex" in (one.path_op, other.path_op):
        return False
    for step, its_step in zip(_steps(one), _steps(other), strict=False):
        if not _is_whole(step) or not _is_whole(its_step):
            return False
        if step == its_step and _names_one(step, nested):
            return True
    return False


def _uniform(one: Condition, other: Condition, same: bool) -> bool:
    """Whether two conditions stand to each other alike for all islands; `same` where they are of the same island."""

    def alike(content: Text, its: Text) -> bool:
        return (_is_fixed(content) and _is_fixed(its)) or (same and content == its)

    def tests(mine: tuple[Test, ...], its: tuple[Test, ...]) -> bool:
        given = {test.name: test for test in mine}
        return all(
            "present" in (given[test.name].op, test.op) or alike(given[test.name].value, test.value)
            for test in its
            if test.name in given
        )

    if not tests(one.headers, other.headers) or not tests(one.query, other.query):
        return False
    if alike(one.path, other.path):
        return True
    if "regex" in (one.path_op, other.path_op):
        return ("prefix", ("/",)) in ((one.path_op, one.path), (other.path_op, other.path))
    return all(
        _is_whole(step) and _is_whole(its) and alike(step, its)
        for step, its in zip(_steps(one), _steps(other), strict=False)
    )


class _Marks:
    """Holes as characters that no text has, so that matches whose islands make no difference can be compared."""

    def __init__(self) -> None:
        self.marks: dict[tuple[int, Hole], str] = {}
        self.holes: dict[str, Hole] = {}

    def text(self, content: Text, side: int) -> Text:
        made: list[str] = []
        for part in content:
            if isinstance(part, str):
                made.append(part)
                continue
            mark = self.marks.setdefault((side, part), chr(0xF0000 + len(self.marks)))
            self.holes[mark] = part
            made.append(mark)
        joined = "".join(made)
        return (joined,) if joined else ()

    def back(self, content: Text) -> Text:
        return text(*(self.holes.get(character, character) for character in value_of(content)))

    def put(self, match: Match, side: int) -> Match:
        return _each_text(match, lambda content: self.text(content, side))

    def out(self, verdict: _Verdict) -> _Verdict:
        """A verdict with the holes in their places."""
        if verdict.extra is None:
            return verdict
        return verdict._replace(extra=_each_text(verdict.extra, self.back))


def _each_text(match: Match, change: Callable[[Text], Text]) -> Match:
    def tests(given: tuple[Test, ...]) -> tuple[Test, ...]:
        return tuple(test._replace(value=change(test.value)) for test in given)

    condition = match.condition
    changed = condition._replace(
        path=change(condition.path), headers=tests(condition.headers), query=tests(condition.query)
    )
    return Match(changed, change(match.rewrite) if match.rewrite is not None else None)
