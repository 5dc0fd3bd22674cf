"""What is true of tables of neutral rules, whatever the provider: which routes no request reaches, which hosts clash.

Matches are compared as they are written where that decides (`patterns`). Where it does not, those of all islands are
joined by an index of their paths and exact values (`index`); never is every island compared with every other.
Regular expressions of the author are equal where their texts are, and hide nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations, combinations_with_replacement, product
from typing import TYPE_CHECKING, NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import island_place
from replicator.expression.values import Failure
from replicator.routing import patterns
from replicator.routing.algebra import disjoint, includes, uncovered, value_of
from replicator.routing.index import Index, prefixes
from replicator.routing.rules import Condition, Rule, Table, Test, takes_all
from replicator.sources import text_reader
from replicator.tree import Text

if TYPE_CHECKING:
    from replicator.expander.islands import Island

MOST_PAIRS = 1_000_000  # of matches that are compared as they are written, before islands are joined outright
MOST_SPLITS = 10  # headers whose absence is asked for: each doubles the cases into which requests are shared out
_SHOWN = 4  # places of others in one finding

Fill = Callable[["Island | None"], Condition]


class _Form(NamedTuple):
    """A match of a rule as it is written; `fill` puts in what is known of an island. It raises `Failure`.

    `condition` is for comparing only: what its holes must obey is not in it.
    """

    order: int
    number: int
    rule: Rule
    condition: Condition
    varies: bool
    fill: Fill


class _Entry(NamedTuple):
    """A match of a rule for one island. Entries are tried in the order of their first three numbers."""

    order: int
    position: int
    number: int
    rule: Rule
    island: Island | None

    @property
    def rank(self) -> tuple[int, int, int]:
        return self[:3]


def _forms(order: int, rule: Rule) -> list[_Form]:
    return [
        _Form(
            order=order,
            number=number,
            rule=rule,
            condition=patterns.bare_condition(condition),
            varies=patterns.varies(condition),
            fill=_filler(condition),
        )
        for number, condition in enumerate(rule.conditions)
    ]


_Taker = tuple[Condition, _Entry]
_Verdict = list[_Taker]
"""Those earlier ones that take all requests of a match, alone or together; empty where some are left."""


def unreachable(table: Table) -> Iterator[Diagnostic]:
    """The routes, islands of each-routes, and single matches of a route, that earlier ones leave no request.

    Also, as a warning, islands of one each-route of which one has a match that includes another's, and comes later only
    because of their keys.
    """
    forms = [_forms(order, rule) for order, rule in enumerate(table.rules)]
    yield from _in_virtual_hosts(table, forms) if table.over else _in_table(table, forms)


def _in_table(table: Table, forms: Sequence[Sequence[_Form]]) -> Iterator[Diagnostic]:
    """Of one virtual host for all: each-routes are as many routes as there are islands."""
    joined = _joined(table, [form for of_rule in forms for form in of_rule])
    by_keys = table.delegation != "island"  # else it is an error: `overlapping`
    index: Index[_Entry] = Index()
    for order, of_rule in enumerate(forms):
        taking_part = [form for form in of_rule if (order, form.number) in joined]
        if not taking_part:
            continue
        rule = taking_part[0].rule
        filled: list[tuple[int, Island | None, list[Condition]]] = []
        for position, island in enumerate(table.islands[rule.over] if rule.over else (None,)):
            with suppress(Failure):  # told when its text is made
                conditions = [form.fill(island) for form in taking_part]
                filled.append((position, island, conditions))
                for form, condition in zip(taking_part, conditions, strict=True):
                    index.add(condition, _Entry(order, position, form.number, rule, island))
        for position, island, conditions in filled:
            verdicts: dict[int, tuple[Condition, _Verdict]] = {}
            for form, condition in zip(taking_part, conditions, strict=True):
                own = _Entry(order, position, form.number, rule, island)
                earlier = []
                for other in index.contributing(condition):
                    if other[1].rank < own.rank:
                        earlier.append(other)
                    elif by_keys and rule.over and other[1].position > position and other[1].order == order:
                        yield from _by_their_keys(other, condition, own)
                verdicts[form.number] = condition, _takers(condition, earlier)
            yield from _told(rule, island, verdicts)


def _joined(table: Table, forms: Sequence[_Form]) -> set[tuple[int, int]]:
    """The matches that have to be compared for each island: what is written leaves open whether they can be hidden.

    Those of routes that are no each-routes always are: there is one of each.
    """
    each = [form for form in forms if form.rule.over]
    if len(each) * len(forms) > MOST_PAIRS:
        return {form[:2] for form in forms}
    joined = {form[:2] for form in forms if not form.rule.over}
    values = _Values(table)
    for target in forms:
        found = [one for one in (forms if target.rule.over else each) if values.may_contribute(one, target)]
        if found and not target.rule.over:
            found = [one for one in forms if values.may_contribute(one, target)]
        found = _needed(target, found)
        if found:
            joined |= {target[:2], *(one[:2] for one in found)}
    return joined


def _needed(target: _Form, found: list[_Form]) -> list[_Form]:
    """Of what can take a part of a match's requests, what can be needed to take all of them.

    A condition that takes only those with a header needs another that takes those without it; of methods each must be
    taken.
    """
    conditions = [one.condition for one in found]
    methods = {method for one in conditions for method in one.methods or target.condition.methods}
    if not methods.issuperset(target.condition.methods):
        return []
    own = {test.name for test in target.condition.headers}
    present, absent = (
        {test.name for one in conditions for test in one.headers if (test.op == "absent") == absent}
        for absent in (0, 1)
    )
    shared = own | (present & absent)
    return [one for one in found if all(test.name in shared for test in one.condition.headers)]


class _Values:
    """What texts of matches are for all islands, read once where what is written leaves something open."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._unique = {over: patterns.unique_in(islands[0]) for over, islands in table.islands.items() if islands}
        self._known: dict[tuple[str, Text], Sequence[str] | None] = {}

    def may_contribute(self, outer: _Form, inner: _Form) -> bool:
        """Whether a match can take a part of the requests of another, for some islands: one that is tried before."""
        if not (outer[:2] < inner[:2] or (inner.rule.over and outer.order == inner.order)):
            return False
        one, other = outer.condition, inner.condition
        unique = self._unique[inner.rule.over] if outer is inner else patterns.SAME
        if not patterns.may_contribute(one, other, unique):
            return False
        if not (outer.rule.over or inner.rule.over):
            return True
        for mine, its in ((one.headers, other.headers), (one.query, other.query)):
            given = {test.name: test for test in its}
            for test in mine:
                if test.op not in ("exact", "regex") or test.held or given[test.name].held:
                    continue
                if not self._meet(outer, test.value, inner, given[test.name].value):
                    return False
        if one.segment is not None:
            return True
        if one.path_op != "prefix":
            return self._meet(outer, one.path, inner, other.path)
        if (
            one.path == ("/",)
            or other.path_op == "regex"
            or (outer is inner and not patterns.is_of_one_depth(one.path))
        ):
            return True
        return self._meet(outer, one.path, inner, other.path, prefixes)

    def _meet(
        self,
        outer: _Form,
        content: Text,
        inner: _Form,
        other: Text,
        beginnings: Callable[[str], Iterable[str]] | None = None,
    ) -> bool:
        """Whether a text has a value of another (with `beginnings`, one of those of its values), for another island."""
        mine = self._of(outer.rule.over, content)
        if mine is None:
            return True
        known = set(mine)
        if outer is inner:
            return patterns.is_known(content) or len(known) < len(mine)
        its = self._of(inner.rule.over, other)
        if its is None or beginnings is None:
            return its is None or not known.isdisjoint(its)
        return any(one in known for value in its for one in beginnings(value))

    def _of(self, over: str, content: Text) -> Sequence[str] | None:
        """The values of a text; None where it has none for some island, which is told when its text is made."""
        key = (over, content)
        if key not in self._known:
            self._known[key] = None
            with suppress(Failure):
                read = text_reader(content)
                self._known[key] = (
                    [value_of(content)]
                    if patterns.is_known(content)
                    else [read(island) for island in self._table.islands[over]]
                )
        return self._known[key]


def _in_virtual_hosts(table: Table, forms: Sequence[Sequence[_Form]]) -> Iterator[Diagnostic]:
    """Of a virtual host for each island: its routes are compared with each other, at once where no value decides."""
    every = [form for of_rule in forms for form in of_rule]
    fixed: Index[_Entry] = Index()
    for form in every:
        if not form.varies:
            fixed.add(form.condition, _Entry(form.order, 0, form.number, form.rule, None))
    known = {form[:2]: _verdict(fixed, form, form.condition) for form in every if not form.varies}
    joined = _joined_within(every, fixed)
    left: list[Sequence[_Form]] = []
    for of_rule in forms:
        verdicts = {form.number: known[form[:2]] for form in of_rule if form[:2] in known}
        told = list(_told(of_rule[0].rule, None, verdicts))
        yield from told
        hidden = any(one.severity == "error" for one in told)
        if not hidden and any(form[:2] in joined for form in of_rule):
            left.append(of_rule)
    for island in table.islands[table.over] if left else ():
        with suppress(Failure):  # told when its text is made
            index: Index[_Entry] = Index()
            filled = {form[:2]: form.fill(island) for form in every if form[:2] in joined}
            for form in every:
                if form[:2] in joined:
                    index.add(filled[form[:2]], _Entry(form.order, 0, form.number, form.rule, None))
            for of_rule in left:
                verdicts = {
                    form.number: _verdict(index, form, filled[form[:2]]) if form[:2] in joined else known[form[:2]]
                    for form in of_rule
                    if form[:2] in joined or form[:2] in known
                }
                yield from _told(of_rule[0].rule, island, verdicts)


def _joined_within(forms: Sequence[_Form], fixed: Index[_Entry]) -> set[tuple[int, int]]:
    """The matches of one virtual host that have to be compared for each island."""
    varying = [form for form in forms if form.varies]
    if len(varying) * len(forms) > MOST_PAIRS:
        return {form[:2] for form in forms}
    by_rank = {form[:2]: form for form in forms}
    joined: set[tuple[int, int]] = set()
    for target in forms:
        before = (one for one in (forms if target.varies else varying) if one[:2] < target[:2])
        found = [one for one in before if patterns.may_contribute(one.condition, target.condition)]
        if found and not target.varies:
            entries = (entry for _, entry in fixed.contributing(target.condition))
            found += (
                by_rank[entry.order, entry.number] for entry in entries if entry.rank < (target.order, 0, target.number)
            )
        found = _needed(target, found)
        if found and (target.varies or any(one.varies for one in found)):
            joined |= {target[:2], *(one[:2] for one in found)}
    return joined


def _verdict(index: Index[_Entry], form: _Form, condition: Condition) -> tuple[Condition, _Verdict]:
    own = (form.order, 0, form.number)
    return condition, _takers(condition, [one for one in index.contributing(condition) if one[1].rank < own])


def _takers(condition: Condition, earlier: list[_Taker]) -> _Verdict:
    earlier.sort(key=lambda one: one[1].rank)
    for one in earlier:
        if includes(one[0], condition):
            return [one]
    absent = {test.name for other, _ in earlier for test in other.headers if test.op == "absent"}
    together = len(earlier) > 1 and len(absent) <= MOST_SPLITS
    return earlier if together and not uncovered(condition, [other for other, _ in earlier]) else []


def _told(
    rule: Rule, island: Island | None, verdicts: Mapping[int, tuple[Condition, _Verdict]]
) -> Iterator[Diagnostic]:
    """What is to be said of a rule, for one of its islands, by its matches that could be hidden."""
    hidden = {number: (condition, takers) for number, (condition, takers) in verdicts.items() if takers}
    of = f" of `{island.path}`" if island is not None else ""
    path = island.path if island is not None else ""
    here = (Related("for this island", island_place(island)),) if island is not None else ()
    if len(hidden) == len(rule.conditions):
        message = f"no request reaches this route{of}"
        related = [one for condition, takers in hidden.values() for one in _others(condition, takers)]
        hint = _way_out(rule, hidden.values())
        shown = (*here, *dict.fromkeys(related))[: _SHOWN + len(here)]
        yield Diagnostic("R0702", message, _route(rule), hint=hint, related=shown, island=path)
        return
    for number, (condition, takers) in hidden.items():
        message = f"no request reaches this match{of}"
        related = _others(condition, takers)[:_SHOWN]
        place = rule.matches[number]
        hint = "remove it"
        yield Diagnostic("R0702", message, place, "", hint, (*here, *related), "warning", island=path)


def _route(rule: Rule) -> Place:
    """Where a route is written; of one to a Partition, whose lines are elsewhere, where it leads there."""
    return rule.at("to") if rule.keyed is not None else rule.place


def _others(condition: Condition, takers: _Verdict) -> list[Related]:
    found = []
    for other, entry in takers:
        of = f", for `{entry.island.path}`" if entry.island is not None else ""
        what = "it takes all of them" if len(takers) == 1 else "it takes a part of them"
        if takes_all(other):
            what = "it matches every request"
        elif other == condition:
            what = "it has the same match"
        several = len(entry.rule.conditions) > 1 and entry.rule.keyed is None
        place = entry.rule.matches[entry.number] if several else _route(entry.rule)
        found.append(Related(what + of, place))
    return found


def _way_out(rule: Rule, hidden: Iterable[tuple[Condition, _Verdict]]) -> str:
    takers = [(other == condition, entry) for condition, those in hidden for other, entry in those]
    if any(entry.rule is rule for _, entry in takers):
        return "give each island a match of its own, which no other's includes"
    if any(same for same, _ in takers):
        return "give it another match"
    return "put it before" if len({entry.order for _, entry in takers}) == 1 else "put it before them"


def _by_their_keys(outer: _Taker, condition: Condition, own: _Entry) -> Iterator[Diagnostic]:
    """A warning where the match of a later island of an each-route includes that of an earlier."""
    other, entry = outer
    if not includes(other, condition) or entry.island is None or own.island is None:
        return
    message = f"the match of `{entry.island.path}` includes that of `{own.island.path}`, which is before it by its key"
    hint = "give each island a match of its own, which no other's includes"
    related = (Related("for this island", island_place(own.island)),)
    yield Diagnostic("R0712", message, own.rule.place, "", hint, related, "warning", island=own.island.path)


# Regular expressions


def not_analysed(table: Table) -> Iterator[Diagnostic]:
    """A note that says which routes have regular expressions, of which it is not known what they hide."""
    found = [rule for rule in table.rules if any(map(_has_regex, rule.conditions))]
    if found and len(table.rules) > 1:
        number = f"{len(found)} of {len(table.rules)} routes are" if len(found) > 1 else "a route is"
        message = f"{number} not analysed: what a regular expression takes from later routes is not known"
        related = tuple(Related("this one too", rule.place) for rule in found[1:])
        yield Diagnostic("R0711", message, found[0].place, related=related, severity="note")


def _has_regex(condition: Condition) -> bool:
    return (condition.path_op == "regex" and condition.segment is None) or any(
        test.op == "regex" and test.held is None for test in (*condition.headers, *condition.query)
    )


# Delegation


def overlapping(table: Table) -> Iterator[Diagnostic]:
    """The each-routes whose islands cannot have objects of their own: a request may fulfil the matches of two.

    Between objects no order is kept, and proxies sort what is in one (Gloo: RouteTables of one weight, by the number of
    methods and by path); so matches of one island may overlap only where it makes no difference which is tried first.
    """
    for order, rule in enumerate(table.rules):
        islands = table.islands[rule.over] if rule.over and table.delegation == "island" else ()
        if not islands:
            continue
        forms = _forms(order, rule)
        found = _two_islands(forms, islands, _Values(table))
        if found is not None:
            one, other, why = found
            related = (Related("one island", island_place(one)), Related("the other", island_place(other)))
            message = f"the routes of `{one.path}` and `{other.path}` {why}"
            hint = "delegation: none, or set, keeps them in order; or give each island a match that excludes all others"
            yield Diagnostic("R0712", message, rule.place, hint=hint, related=related)
        elif rule.rewrite is not None:
            yield from _rewritten_twice(rule, forms, islands)


def _two_islands(
    forms: Sequence[_Form], islands: Sequence[Island], values: _Values
) -> tuple[Island, Island, str] | None:
    """Two islands with a request that may fulfil the matches of both, and what is to be said of them."""
    unique = patterns.unique_in(islands[0])
    for one, other in combinations_with_replacement(forms, 2):
        if patterns.disjoint(one.condition, other.condition, unique):
            continue
        if one is other and not _has_regex(one.condition) and not values.may_contribute(one, one):
            continue
        pair = _meeting(one, other, islands) or (_meeting(other, one, islands) if one is not other else None)
        if pair is not None:
            regex = _has_regex(one.condition) or _has_regex(other.condition)
            return *pair, "cannot be told apart: of regular expressions it is not known" if regex else "overlap"
    return None


def _meeting(outer: _Form, inner: _Form, islands: Sequence[Island]) -> tuple[Island, Island] | None:
    """Two islands of which one's match meets another's, whose path is the same or below that of the first.

    What is not a path or an exact value differs between no two islands: it has not kept the matches apart as written.
    """
    regex = "regex" in (outer.condition.path_op, inner.condition.path_op)
    named = [
        {(what, test.name) for what, tests in _exact_tests(form.condition) for test in tests} for form in (outer, inner)
    ]
    shared = named[0] & named[1]

    def values(condition: Condition) -> tuple[Text, ...]:
        found = {(what, test.name): test.value for what, tests in _exact_tests(condition) for test in tests}
        return tuple(found[name] for name in sorted(shared))

    known: dict[tuple[str, tuple[Text, ...]], list[tuple[int, Island]]] = {}
    filled: list[tuple[int, Island, Condition]] = []
    for position, island in enumerate(islands):
        with suppress(Failure):  # told when its text is made
            condition = outer.fill(island)
            found = known.setdefault(("" if regex else value_of(condition.path), values(condition)), [])
            if len(found) < 2:
                found.append((position, island))
            filled.append((position, island, condition if inner is outer else inner.fill(island)))
    for position, island, condition in filled:
        path = value_of(condition.path)
        paths: Iterable[str] = [""] if regex else prefixes(path) if outer.condition.path_op == "prefix" else [path]
        if not regex and outer.condition.path_op == "exact" and inner.condition.path_op == "prefix":
            continue  # only the other one can include it
        for one in paths:
            for at, other in known.get((one, values(condition)), ()):
                if at != position:
                    return (other, island) if at < position else (island, other)
    return None


def _exact_tests(condition: Condition) -> tuple[tuple[str, list[Test]], ...]:
    return (
        ("header", [test for test in condition.headers if test.op == "exact"]),
        ("query", [test for test in condition.query if test.op == "exact"]),
    )


def _rewritten_twice(rule: Rule, forms: Sequence[_Form], islands: Sequence[Island]) -> Iterator[Diagnostic]:
    """Matches of one island that overlap, of which each has another part of the path rewritten."""
    for one, other in combinations(forms, 2):
        if one.condition.path == other.condition.path or patterns.disjoint(one.condition, other.condition):
            continue
        for island in islands:
            with suppress(Failure):
                first, second = one.fill(island), other.fill(island)
                if first.path != second.path and not disjoint(first, second):
                    message = f"of `{island.path}` this match overlaps with another, and each rewrites its own part"
                    related = (Related("the other match", rule.matches[one.number]),)
                    hint = "delegation: none, or set, keeps them in order; or write two routes"
                    place = rule.matches[other.number]
                    yield Diagnostic("R0712", message, place, hint=hint, related=related)
                    break


# Hosts


class _Claim(NamedTuple):
    """A host of a table; `key` is what it must be unique in, `pattern` is for comparing."""

    table: Table
    host: Text
    pattern: Text
    key: tuple[str, str, str]


def unique_hosts(tables: Iterable[Table]) -> Iterator[Diagnostic]:
    """One Routing, and one island of it, per host and Gateway. All hosts are in lower case."""
    claims: list[_Claim] = []
    for table in tables:
        gateway = table.gateway
        where = (gateway.namespace, gateway.name) if gateway is not None else ("", "")
        key = (table.provider, *where)
        if not table.over or table.islands[table.over]:
            claims += (_Claim(table, host, patterns.bare(host), key) for host in table.hosts)
    varying = [claim for claim in claims if not patterns.is_known(claim.host)]
    joined = {id(claim) for claim in claims if patterns.is_known(claim.host)}
    for one, other in product(varying, claims):
        unique = patterns.unique_in(one.table.islands[one.table.over][0]) if one is other else patterns.SAME
        if one.key == other.key and patterns.may_equal(one.pattern, other.pattern, unique):
            joined |= {id(one), id(other)}
    first: dict[tuple[tuple[str, str, str], str], tuple[Table, Island | None]] = {}
    for claim in claims:
        for name, island in _hosts_of(claim) if id(claim) in joined else ():
            earlier, of = first.setdefault((claim.key, name), (claim.table, island))
            if earlier is claim.table and of is island:
                continue
            here = (Related("for this island", island_place(island)),) if island is not None else ()
            there = "it is there too" if of is None else f"it is there too, for `{of.path}`"
            message = f"the host `{name}` is " + ("of two islands" if earlier is claim.table else "in two Routings")
            path = island.path if island is not None else ""
            related = (*here, Related(there, earlier.place))
            hint = (
                "use {{ island.name }} in its hosts"
                if earlier is claim.table
                else "put the routes of a host into one Routing, or give one of the two a host of its own"
            )
            yield Diagnostic("R0707", message, claim.table.place, hint=hint, related=related, island=path)


def _hosts_of(claim: _Claim) -> Iterator[tuple[str, Island | None]]:
    if patterns.is_known(claim.host):
        yield value_of(claim.host), None
        return
    read = text_reader(claim.host)
    for island in claim.table.islands[claim.table.over]:
        with suppress(Failure):  # told when its text is made
            yield read(island), island


# Filling


def _filler(condition: Condition) -> Fill:
    """A condition for an island, the quickest way. The function raises `Failure`."""
    if not patterns.varies(condition):
        return lambda island: condition
    path = _text(condition.path)
    headers, query = _tests(condition.headers), _tests(condition.query)

    def filled(island: Island | None) -> Condition:
        return condition._replace(path=path(island), headers=headers(island), query=query(island))

    return filled


def _text(content: Text) -> Callable[[Island | None], Text]:
    if patterns.is_known(content):
        return lambda island: content
    read = text_reader(content)

    def filled(island: Island | None) -> Text:
        made = read(island)
        return (made,) if made else ()

    return filled


def _tests(tests: tuple[Test, ...]) -> Callable[[Island | None], tuple[Test, ...]]:
    if all(patterns.is_known(test.value) for test in tests):
        return lambda island: tests
    readers = [(test, _text(test.value)) for test in tests]
    return lambda island: tuple([test._replace(value=read(island)) for test, read in readers])
