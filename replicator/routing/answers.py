"""What becomes of a request, as a value, as text for people, and as data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from replicator.diagnostics import Place
from replicator.routing.requests import Request
from replicator.routing.rules import Aws, Azure, Backend, Cors, Fault, Forward, Gcp, HeaderChange
from replicator.tree import Text

MAX_SHARES = 12  # destinations that a person is shown


class Tried(NamedTuple):
    """A route that was looked at before, and why it did not match; `place` is where it is written."""

    route: str
    place: Place
    reason: str


class Key(NamedTuple):
    """What a Partition says of a request: its key, and the line of the table, as written, that has it.

    Where no island has the key, the line is `otherwise`. `move` is the phase of a move that the key is in.
    """

    partition: str
    key: str
    stage: str
    line: str
    place: Place
    move: str


class Destination(NamedTuple):
    """Who gets a request. Of `weight` parts; the Set and island are those of an island, whatever it is.

    `host` is one outside of the cluster, `function` the name of a function and `vendor` whose it is; `authority` is
    the Host that it sees.
    """

    weight: int
    set: str
    island: str
    unit: str
    service: str
    host: str
    port: int
    tls: bool
    vendor: str
    function: str
    authority: str

    @property
    def shown(self) -> str:
        """The destination in a line."""
        at = f"function {self.function} ({self.vendor})" if self.function else ""
        if self.service:
            at = f"{at} by " if at else ""
            at += f"Service {self.service}:{self.port}"
        elif self.host and not at:
            at = f"host {self.host}:{self.port}{' (TLS)' if self.tls else ''}"
        unit = f"unit {self.unit}, " if self.unit else ""
        return f"{self.island}: {unit}{at}" if self.island else at


class Answer(NamedTuple):
    """What becomes of a request at one gateway.

    `domain` is the host of the virtual host that takes it; `island` that of the each-route or virtual host, with its
    `state`. `kind` says what happens: requests go to one of `shares` (and see `path`, with the query), the proxy
    answers with `status` (and `location` or `body`), no route or no host takes it, or `problem` says why nobody knows.
    """

    request: Request
    kind: Literal["forward", "redirect", "respond", "no route", "no host", "unknown"]
    gateway: str = ""
    routing: str = ""
    place: Place | None = None
    domain: str = ""
    tried: tuple[Tried, ...] = ()
    route: str = ""
    at: Place | None = None
    island: str = ""
    state: str = ""
    shares: tuple[Destination, ...] = ()
    path: str = ""
    action: Forward | None = None
    mirror: Destination | None = None
    request_headers: HeaderChange = HeaderChange()
    response_headers: HeaderChange = HeaderChange()
    status: int = 0
    location: str = ""
    body: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    key: Key | None = None

    @property
    def found(self) -> bool:
        """Whether a route, or the Routing itself, answers."""
        return self.kind in ("forward", "redirect", "respond")


def destination(backend: Backend, weight: int, authority: str) -> Destination:
    """A backend without holes as a destination; `authority` is the Host that it sees."""
    vendor, function = _function(backend)
    return Destination(
        weight=weight,
        set="/".join(backend.island.split("/")[0::2]) if backend.island else "",
        island=backend.island,
        unit=backend.unit,
        service=f"{_joined(backend.namespace)}/{_joined(backend.service)}" if backend.service else "",
        host=_joined(backend.host),
        port=backend.port.value if isinstance(backend.port.value, int) else 0,
        tls=backend.tls,
        vendor=vendor,
        function=function,
        authority=authority,
    )


def _function(backend: Backend) -> tuple[str, str]:
    call = backend.function
    if call is None:
        return "", ""
    if isinstance(call, Aws):
        qualifier = _joined(call.qualifier)
        return "aws", _joined(call.function) + (f":{qualifier}" if qualifier else "")
    if isinstance(call, Azure):
        return "azure", _joined(call.function)
    if isinstance(call, Gcp):
        return "gcp", _joined(backend.host)
    service, namespace = _joined(backend.authority).split(".")[:2]
    return "knative", f"{namespace}/{service}"


def _joined(content: Text) -> str:
    return "".join(part for part in content if isinstance(part, str))


# For people


def as_text(answers: Iterable[Answer]) -> str:
    """The answers of all gateways, one after the other."""
    return "\n".join("".join(f"{line}\n" for line in _lines(answer)) for answer in answers)


def where(place: Place | None) -> str:
    """A place as people and editors read it."""
    return f"{place.file}:{place.line}" if place else ""


def _lines(answer: Answer) -> Iterator[str]:
    request = answer.request
    yield f"{request.method} {request.url}"
    for name, values in sorted(request.headers.items()):
        yield from (f"  {name}: {value}" for value in values)
    if answer.routing:
        through = f", through the Gateway {answer.gateway}" if answer.gateway else ""
        yield f"Routing {answer.routing} ({where(answer.place)}), host {answer.domain}{through}"
        yield from (f"  {line}" for line in steps(answer))
    yield from outcome(answer)
    for note in answer.notes:
        yield f"note: {note}"


def steps(answer: Answer) -> Iterator[str]:
    """The routes that were tried, each with why not, and the one that matched."""
    for tried in answer.tried:
        yield f"- {tried.route or 'a route'} ({where(tried.place)}): {tried.reason}"
    if answer.at is not None:
        of = f", of the island {answer.island}" if answer.island else ""
        state = f", which is {answer.state}" if answer.state not in ("", "active") else ""
        yield f"> {answer.route or 'a route'} ({where(answer.at)}) matches{of}{state}"
    if answer.key is not None:
        key = answer.key
        move = f", in a move whose phase is {key.move}" if key.move else ""
        which = f"the key `{key.key}` is" if key.key else "the request is"
        yield f"  {which} in `{key.line}` ({where(key.place)}), of the Partition {key.partition}{move}"


def outcome(answer: Answer) -> Iterator[str]:
    """What happens, a fact on a line."""
    if answer.kind == "unknown":
        yield f"not simulated: {answer.problem}"
    elif answer.kind == "no host":
        yield f"404: {answer.problem}"
    elif answer.kind == "no route":
        yield "404: no route matches"
    elif answer.kind == "redirect":
        yield f"{answer.status}: redirect to {answer.location}"
    elif answer.kind == "respond":
        yield f"{answer.status}: fixed response"
        if answer.body:
            yield f"  body: {answer.body}"
    else:
        yield from _forwarded(answer)


def _forwarded(answer: Answer) -> Iterator[str]:
    total = sum(share.weight for share in answer.shares)
    if len(answer.shares) == 1:
        yield f"to {answer.shares[0].shown}"
    else:
        yield f"to one of {len(answer.shares):,} destinations:"
    for share in answer.shares[:MAX_SHARES] if len(answer.shares) > 1 else ():
        yield f"  {percent(share.weight, total)} ({share.weight:,} of {total:,}) to {share.shown}"
    if len(answer.shares) > MAX_SHARES:
        yield f"  … and {len(answer.shares) - MAX_SHARES:,} more"
    yield f"  path: {answer.path}"
    hosts = sorted({share.authority for share in answer.shares})
    yield f"  host: {hosts[0] if len(hosts) == 1 else 'its own, for each destination'}"
    action = answer.action
    assert action is not None
    yield f"  timeout: {action.timeout}"
    if action.retries:
        tries = action.retries
        each = f", {tries['perTryTimeout']} each" if "perTryTimeout" in tries else ""
        yield f"  retries: {tries['attempts']} on {', '.join(tries.get('retryOn', ['5xx']))}{each}"
    for of, change in (("request", answer.request_headers), ("response", answer.response_headers)):
        for word, pairs in (("add", change.add), ("set", change.put)):
            yield from (f"  {of} headers: {word} {name}: {_joined(value)}" for name, value in pairs)
        yield from (f"  {of} headers: remove {name}" for name in change.remove)
    if action.cors is not None:
        yield f"  cors: allowed from {', '.join(action.cors.origins)}"
    if answer.mirror is not None and action.mirror is not None:
        yield f"  mirror: {action.mirror.percent:g}% are copied to {answer.mirror.shown}"
    if action.fault is not None:
        if action.fault.status:
            yield f"  fault: {action.fault.abort_percent:g}% are answered by {action.fault.status}"
        if action.fault.delay:
            yield f"  fault: {action.fault.delay_percent:g}% wait for {action.fault.delay}"


def percent(part: int, total: int) -> str:
    """A share in percent, short."""
    return f"{100 * part / total:.4g}%"


# For programs


def as_data(answer: Answer) -> dict[str, Any]:
    """All that is known, as JSON has it; every key is always there, null where there is nothing."""
    request = answer.request
    action = answer.action
    return {
        "request": {
            "method": request.method,
            "scheme": request.scheme,
            "host": request.host,
            "path": request.path,
            "query": request.query,
            "headers": {name: list(values) for name, values in sorted(request.headers.items())},
        },
        "outcome": answer.kind,
        "gateway": answer.gateway or None,
        "routing": answer.routing or None,
        "host": answer.domain or None,
        "tried": [{"route": one.route or None, **_place(one.place), "reason": one.reason} for one in answer.tried],
        "route": {"name": answer.route or None, **_place(answer.at)} if answer.at else None,
        "key": {
            "partition": answer.key.partition,
            "key": answer.key.key or None,
            "table": answer.key.stage,
            "line": {"text": answer.key.line, **_place(answer.key.place)},
            "move": answer.key.move or None,
        }
        if answer.key
        else None,
        "island": answer.island or None,
        "state": answer.state or None,
        "destinations": [_data_of(share) for share in answer.shares],
        "path": answer.path or None,
        "timeout": action.timeout if action else None,
        "retries": dict(action.retries) if action and action.retries else None,
        "headers": {"request": _change(answer.request_headers), "response": _change(answer.response_headers)},
        "cors": _cors(action.cors) if action and action.cors else None,
        "mirror": {**_data_of(answer.mirror), "percent": action.mirror.percent}
        if action and action.mirror and answer.mirror
        else None,
        "fault": _fault(action.fault) if action and action.fault else None,
        "status": answer.status or None,
        "location": answer.location or None,
        "body": answer.body or None,
        "problem": answer.problem or None,
        "notes": list(answer.notes),
    }


def _place(place: Place | None) -> dict[str, Any]:
    return {"file": place and place.file, "line": place and place.line}


def _data_of(share: Destination) -> dict[str, Any]:
    return {name: value or None for name, value in share._asdict().items()} | {"tls": share.tls}


def _change(change: HeaderChange) -> dict[str, Any]:
    return {
        "add": {name: _joined(value) for name, value in change.add},
        "set": {name: _joined(value) for name, value in change.put},
        "remove": list(change.remove),
    }


def _cors(cors: Cors) -> Mapping[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in cors._asdict().items()}


def _fault(fault: Fault) -> Mapping[str, Any]:
    return {name: value or None for name, value in fault._asdict().items()}
