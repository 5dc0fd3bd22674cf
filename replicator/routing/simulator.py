"""Where a request goes: the neutral tables, tried in their order as a proxy does.

Hosts and headers are compared as Envoy compares them, which is the proxy of all providers. A host is looked for
exactly, then by the longest wildcard, then as `*`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from replicator.diagnostics import nearest
from replicator.routing.algebra import filled
from replicator.routing.answers import Answer, Destination, Key, Tried, destination
from replicator.routing.destinations import fixed
from replicator.routing.fulfilment import Shortfall, fulfils, shortfalls
from replicator.routing.partitions import key_of
from replicator.routing.regexes import NotSimulated
from replicator.routing.requests import Request, merged
from replicator.routing.rules import Backend, Condition, Forward, HeaderChange, Keyed, Redirect, Respond, Rule, Table
from replicator.sources import assemble
from replicator.tree import Text

if TYPE_CHECKING:
    from replicator.expander.islands import Island

_WITH_PORTS = ("gloo", "gloo-enterprise")  # whose proxies compare hosts with their ports
_MERGING = ("gateway-api", "kgateway")  # whose proxies (kgateway, Envoy Gateway) merge slashes
_DEFAULT_PORTS = {"https": ":80", "http": ":443"}  # what a redirect to a scheme takes away from the host


class VirtualHost(NamedTuple):
    """A table under one of its hosts; with `over`, that of one island."""

    table: Table
    domain: str
    island: Island | None


class Candidate(NamedTuple):
    """What a rule asks for, of the requests of one island or of all."""

    island: Island | None
    conditions: tuple[Condition, ...]


class Simulator:
    """The tables of a build; conditions are filled once and kept."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._gateways: dict[str, dict[str, VirtualHost]] = {}
        self._filled: dict[tuple[int, int], list[Candidate]] = {}
        for table in tables:
            hosts = self._gateways.setdefault(gateway_of(table), {})
            for content in table.hosts:
                for island in table.islands[table.over] if table.over else (None,):
                    domain = assemble(content, island)
                    hosts.setdefault(domain.lower(), VirtualHost(table, domain, island))

    def answers(self, request: Request) -> list[Answer]:
        """What becomes of a request at each gateway that knows its host; at least one answer."""
        known = [gateway for gateway in self._gateways if self.host(request, gateway) is not None]
        if known:
            return [self.answer(request, gateway) for gateway in known]
        domains = [domain for hosts in self._gateways.values() for domain in hosts]
        hint = nearest(request.host, domains)
        problem = f"no Routing has the host `{request.host}`{f'; {hint}' if hint else ''}"
        return [Answer(request, "no host", status=404, problem=problem)]

    def host(self, request: Request, gateway: str) -> VirtualHost | None:
        """The virtual host of a gateway that takes a request."""
        hosts = self._gateways.get(gateway, {})
        with_port = request.host.lower()
        name, _, port = with_port.rpartition(":")
        bare = name if name and port.isdigit() else with_port
        found = self._host(hosts, with_port)
        if found is None and bare != with_port:
            found = self._host(hosts, bare)
            if found is not None and found.table.column in _WITH_PORTS:
                found = None
        return found or hosts.get("*")

    def _host(self, hosts: dict[str, VirtualHost], wanted: str) -> VirtualHost | None:
        if wanted in hosts:
            return hosts[wanted]
        for at in range(2, len(wanted)):  # a wildcard stands for one character at least
            if wanted[at - 1] == "." and (found := hosts.get(f"*.{wanted[at:]}")) is not None:
                return found
        return None

    def answer(self, request: Request, gateway: str, why: bool = True) -> Answer:
        """What becomes of a request at one gateway; with `why`, with the routes that were tried."""
        host = self.host(request, gateway)
        if host is None:
            return Answer(request, "no host", gateway, status=404, problem=f"no Routing has the host `{request.host}`")
        table = host.table
        if table.column in _MERGING:
            request = request._replace(path=merged(request.path))
        answer = Answer(
            request,
            "no route",
            gateway,
            f"{table.namespace}/{table.name}",
            table.place,
            host.domain,
            status=404,
            island=host.island.path if host.island is not None else "",
            state=host.island.state if host.island is not None else "",
            notes=tuple(_notes(request, table)),
        )
        if table.tls is not None and table.tls.redirect and request.scheme == "http":
            location = f"https://{request.host.removesuffix(':80')}{request.path}{request.suffix}"
            return answer._replace(kind="redirect", status=301, location=location, at=table.tls.place, route="tls")
        tried: list[Tried] = []
        try:
            for number, rule in enumerate(table.rules):
                candidates = self._candidates(host, number, rule)
                for island, conditions in candidates:
                    for condition in conditions:
                        if fulfils(request, condition):
                            answer = answer._replace(tried=tuple(tried))
                            return _taken(answer, host, rule, condition, island)
                if why:
                    tried.append(Tried(rule.route, rule.place, _reason(request, candidates)))
        except NotSimulated as problem:
            return answer._replace(kind="unknown", status=0, tried=tuple(tried), at=rule.place, problem=str(problem))
        return answer._replace(tried=tuple(tried))

    def _candidates(self, host: VirtualHost, number: int, rule: Rule) -> list[Candidate]:
        """The conditions of a rule, for each island that it is over."""
        if host.island is not None:
            return [_candidate(rule, host.island)]
        key = (id(host.table), number)
        if key not in self._filled:
            islands = host.table.islands[rule.over] if rule.over else (None,)
            self._filled[key] = [_candidate(rule, island) for island in islands]
        return self._filled[key]


def _candidate(rule: Rule, island: Island | None) -> Candidate:
    return Candidate(island, tuple(filled(condition, island) for condition in rule.conditions))


def gateway_of(table: Table) -> str:
    """The Gateway that a table's requests come through, as NAMESPACE/NAME; empty where none is named."""
    return f"{table.gateway.namespace}/{table.gateway.name}" if table.gateway is not None else ""


def _notes(request: Request, table: Table) -> Iterator[str]:
    if table.tls is not None and not table.tls.redirect and request.scheme == "http":
        yield "the Routing has `tls` without `redirect`: whether plain requests are served is the Gateway's own affair"
    for name, values in request.headers.items():
        if len(values) > 1:
            yield f"the header {name} comes {len(values)} times: Envoy before 1.37 compares its values joined by commas"


def _taken(answer: Answer, host: VirtualHost, rule: Rule, condition: Condition, island: Island | None) -> Answer:
    """The answer of a rule that matches by a condition."""
    request = answer.request
    answer = answer._replace(
        route=rule.route,
        at=rule.place,
        island=island.path if island is not None else "",
        state=island.state if island is not None else "",
    )
    action = rule.action_of(island.case) if island is not None else rule.action
    if rule.keyed is not None:
        answer = answer._replace(key=_key(request, rule, rule.keyed))
    if isinstance(action, Respond):
        return answer._replace(kind="respond", status=action.status, body=assemble(action.body, island))
    replacement = assemble(rule.rewrite, island) if rule.rewrite is not None else None
    path = rewritten(request.path, condition, replacement)
    if isinstance(action, Redirect):
        return answer._replace(kind="redirect", status=action.status, location=_location(request, action, path))
    shares = tuple(_shares(request, host.table, action, island))
    mirror = None
    if action.mirror is not None:
        mirror = _destination(request, action, action.mirror.backend, 1, island)
    return answer._replace(
        kind="forward",
        status=0,
        shares=shares,
        path=path + request.suffix,
        action=action,
        mirror=mirror,
        request_headers=_filled_change(action.request, island),
        response_headers=_filled_change(action.response, island),
    )


def _key(request: Request, rule: Rule, keyed: Keyed) -> Key:
    """The line of a Partition that a request is in, or that all other keys are `otherwise`'s."""
    owned = keyed.ownership
    stages = [stage for stage in owned.stages if not keyed.stage or stage.name == keyed.stage]
    keys = [key for stage in stages for key in key_of(stage.source, request)]
    for key in keys:
        for line in keyed.lines:
            if not line.share.has(key):
                continue
            phase = line.move.phase if line.move is not None else ""
            return Key(owned.name, key, line.field, f"{line.field}: {line.written}", line.place, phase)
    return Key(owned.name, keys[0] if keys else "", "otherwise", "otherwise", rule.place, "")


def rewritten(path: str, condition: Condition, replacement: str | None) -> str:
    """A path with another prefix in the place of the matched one: of whole segments, and never with `//` between."""
    if replacement is None:
        return path
    matched = "".join(part for part in condition.path if isinstance(part, str))
    rest = path.removeprefix(matched.rstrip("/")) if condition.path_op == "prefix" else ""
    return f"{replacement.rstrip('/')}{rest}" or "/"


def _location(request: Request, action: Redirect, path: str) -> str:
    """The Location of a redirect, as Envoy writes it: what is not said is the request's own."""
    scheme = action.scheme or request.scheme
    host = action.host or request.host
    if action.port:
        host = f"{host.partition(':')[0]}:{action.port}"
    elif not action.host and scheme != request.scheme:
        host = host.removesuffix(_DEFAULT_PORTS[scheme])
    return f"{scheme}://{host}{action.path or path}{'' if action.strip_query else request.suffix}"


def _shares(request: Request, table: Table, action: Forward, own: Island | None) -> Iterator[Destination]:
    """The destinations that get requests, with their weights."""
    for target in action.targets:
        cases = dict(target.cases)
        for island in table.islands[target.over] if target.over else (own,):
            case = island.case if island is not None and target.over else ""
            backend = cases.get(case, target.backend)
            weight = target.weight if isinstance(target.weight, int) else target.weight.source.value(island)
            if backend is not None and weight:
                yield _destination(request, action, backend, weight, island)


def _destination(
    request: Request, action: Forward, backend: Backend, weight: int, island: Island | None
) -> Destination:
    """A backend as a destination, of the island that it is over."""
    if island is not None:
        known = fixed(backend, island)
        backend = known if backend.of and backend.over else known._replace(island=backend.island)
    authority = assemble(backend.authority, island) or request.host
    if action.host is not None:
        authority = assemble(action.host, island)
    return destination(backend, weight, authority)


def _filled_change(change: HeaderChange, island: Island | None) -> HeaderChange:
    def known(pairs: tuple[tuple[str, Text], ...]) -> tuple[tuple[str, Text], ...]:
        return tuple((name, (assemble(value, island),)) for name, value in pairs)

    return HeaderChange(known(change.add), known(change.put), change.remove)


def _reason(request: Request, candidates: Sequence[Candidate]) -> str:
    """Why a rule did not match; of many islands, by the nearest one."""
    if not candidates:
        return "its Set has no islands"
    if len(candidates) == 1:
        return _because(request, candidates[0].conditions)
    best: tuple[tuple[int, float], Island | None, str] | None = None
    messages: set[str] = set()
    for island, conditions in candidates:
        for condition in conditions:
            lacking = _lacking(request, condition)
            messages.add(lacking[0].message)
            rank = (len(lacking), -_likeness(lacking[0]))
            if best is None or rank < best[0]:
                best = (rank, island, "; ".join(one.message for one in lacking))
    assert best is not None and best[1] is not None
    if len(messages) == 1:
        return f"none of its {len(candidates):,} islands: {messages.pop()}"
    return f"none of its {len(candidates):,} islands; the nearest is {best[1].path}: {best[2]}"


def _because(request: Request, conditions: Sequence[Condition]) -> str:
    """Why no condition of one route holds."""
    lacking = (next(shortfalls(request, condition)).message for condition in conditions)
    return "; ".join(dict.fromkeys(lacking))


def _lacking(request: Request, condition: Condition) -> list[Shortfall]:
    """All that a request lacks, as far as it is known: there is something."""
    found: list[Shortfall] = []
    with suppress(NotSimulated):
        for one in shortfalls(request, condition):
            found.append(one)  # noqa: PERF402 - what was found before is kept
    return found


def _likeness(one: Shortfall) -> float:
    """How alike what a request has is to what is asked for: 1 is the same."""
    given = one.given
    if given.startswith("/") and one.wanted.startswith("/"):  # as many segments
        given = "/".join(given.split("/")[: one.wanted.count("/") + 1])
    return SequenceMatcher(None, one.wanted, given, autojunk=False).quick_ratio()
