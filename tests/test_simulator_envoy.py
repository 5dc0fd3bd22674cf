"""What the simulator says of a request, a real Envoy does with what is written for it: for any Routing.

Many Routings, each with a host of its own, share one Envoy. PROVIDERS has a line for each provider.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from random import Random
from typing import Any, NamedTuple

import envoy
import envoy_gateway_api
import envoy_gloo
import envoy_istio
import pytest
import yaml
from envoy import Gateway, Object, Refused, Response, Service, Translate
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from strategies_routing import DOCUMENTS, EVERYTHING, OUTSIDE, Routed, Sent, Without, routings, sent_to
from strict_schemas import crd_schema, problems

from replicator.diagnostics import has_errors
from replicator.pipeline import Built, Options, Source, build
from replicator.routing.answers import Answer
from replicator.routing.requests import BadRequest, merged, request
from replicator.routing.simulator import Simulator


class Provider(NamedTuple):
    """How a provider's objects are run, and what a Routing says to be written for it.

    `without` is what most Routings are made without, for the provider would refuse them; `taken` is the part of the
    others that it must take. What it warns of in a way that `harmless` matches is not run with others.
    """

    translate: Translate
    spec: dict[str, Any]
    without: Without = EVERYTHING
    taken: float = 0.6
    harmless: str = ""
    runs: int = 24  # Envoys: more where many Routings are refused

    def running(self, objects: Iterable[Object], backends: Iterable[Service]) -> AbstractContextManager[Gateway]:
        """A real Envoy with what the provider makes of the objects, in front of these back ends."""
        return envoy.running(self.translate, objects, backends)


ISTIO_GATEWAYS = ["edge/public"]
# Of a match without effect: one of several of a route, which says again what another one says.
ISTIO_WARNS = r"(.*): (has a match that was used before|Istio drops it, as it comes after the catch-all of \1)"
IN_GATEWAY_API = frozenset(("absent", "free methods", "ports", "stripped query"))


PROVIDERS = {
    "gloo": Provider(envoy_gloo.bootstrap, {"provider": "gloo"}),
    "istio": Provider(
        partial(envoy_istio.bootstrap, gateways=ISTIO_GATEWAYS),
        {"provider": "istio", "gateway": {"name": "public", "namespace": "edge"}},
        without=frozenset(("ports", "redirected prefix", "stripped query")),
        harmless=ISTIO_WARNS,
    ),
    "gateway-api": Provider(
        partial(envoy_gateway_api.bootstrap, flavor="standard"),
        {"provider": "gateway-api", "gateway": {"name": "public", "namespace": "edge"}},
        without=IN_GATEWAY_API | {"present", "respond"},
        taken=0.35,
        runs=48,
    ),
    "kgateway": Provider(
        partial(envoy_gateway_api.bootstrap, flavor="kgateway"),
        {
            "provider": "gateway-api",
            "gateway-api": {"flavor": "kgateway"},
            "gateway": {"name": "public", "namespace": "edge"},
        },
        without=IN_GATEWAY_API,
        taken=0.35,
        runs=44,
    ),
}

ROUTINGS, REQUESTS = 13, 50  # behind each Envoy, and to each of them
REFUSED = {"R0708", "R0711", "R0713"}  # what a provider cannot do; another may
UNWANTED = {"R0702", "R0712"}  # a Routing with a route that no request reaches, or islands that overlap


def compiled(documents: Iterable[str]) -> Built:
    return build([Source("dsl.yaml", "\n---\n".join([DOCUMENTS, *documents]).encode())], Options())


def expected(answer: Answer) -> set[str]:
    """The answers that a request may get; a forwarded one by who gets it, and the path and Host that it sees."""
    if answer.kind == "forward":
        return {f"{one.service}:{one.port} {answer.path} {one.authority}" for one in answer.shares}
    if answer.kind == "redirect":
        return {f"{answer.status} {answer.location}"}
    if answer.kind == "respond":
        return {f"{answer.status} {'' if answer.request.method == 'HEAD' else answer.body}"}
    return {"404 "}


def observed(response: Response) -> str:
    seen = response.seen
    if seen is not None:
        return f"{seen.service} {seen.path} {seen.headers['host']}"
    return f"{response.status} {response.headers.get('location', response.body)}"


def objects_of(built: Built) -> list[Object]:
    return list(yaml.load_all(b"".join(built.texts()), yaml.CSafeLoader))


def refused(provider: Provider, objects: list[Object]) -> str:
    """What the provider says against the objects of one Routing; nothing where it takes all of them."""
    services = dict.fromkeys([*backends(objects), *OUTSIDE], ("127.0.0.1", 1))
    try:
        provider.translate(objects, services, 0)
    except Refused as problem:
        return str(problem)
    return ""


def backends(objects: Iterable[Object]) -> list[Service]:
    return [
        (item["metadata"]["namespace"], item["metadata"]["name"], port["port"])
        for item in objects
        if item["kind"] == "Service"
        for port in item["spec"]["ports"]
    ]


class Disagreement(NamedTuple):
    """A request to a Routing, what Envoy does with it, and what the simulator says."""

    routed: Routed
    sent: Sent
    found: str
    expected: set[str]


def disagreements(
    provider: Provider, asked: Iterable[tuple[Routed, Callable[[str], Iterable[Sent]]]], counted: Counter[str]
) -> Iterator[Disagreement]:
    """Run Routings in one Envoy, and ask each what is to be asked of one of its name; `counted` counts the answers."""
    taken: dict[str, tuple[Routed, Callable[[str], Iterable[Sent]], str]] = {}
    for routed, of_name in asked:
        name = f"r{len(taken)}"
        document = routed.document(name, provider.spec)
        built = compiled([document])
        codes = {one.code for one in built.diagnostics if one.severity == "error"}
        counted["made"] += not codes & UNWANTED
        looked_at = not codes and (provider.harmless or counted is SHRINKING)  # it takes its time
        refusal = refused(provider, objects_of(built)) if looked_at else ""
        if not codes and not refusal:
            taken[name] = (routed, of_name, document)
        elif counted is not SHRINKING:
            assert codes <= REFUSED | UNWANTED, (codes, document)
            assert not refusal or re.fullmatch(provider.harmless, refusal), (refusal, document)
    built = compiled(document for _, _, document in taken.values())
    assert not has_errors(built.diagnostics)
    simulator = Simulator(built.tables)
    objects = objects_of(built)
    assert problems(item for item in objects if crd_schema(item["apiVersion"], item["kind"]) is not None) == []
    counted["routings"] += len(taken)
    with provider.running(objects, [*backends(objects), *OUTSIDE]) as gateway:
        for name, (routed, of_name, _) in taken.items():
            for sent in of_name(name):
                try:
                    answer = simulator.answers(request(sent.method, "http", sent.host, sent.target, sent.headers))[0]
                except BadRequest:
                    answer = None
                counted[answer.kind if answer else "refused"] += 1
                if answer and answer.kind == "unknown":
                    continue
                response = gateway.request(sent.method, sent.target, sent.host, sent.headers)
                found = observed(response) if answer else str(response.status)
                if found not in (said := expected(answer) if answer else {"400"}):
                    yield Disagreement(routed, sent._replace(host=sent.host.replace(name, "@")), found, said)


SHRINKING: Counter[str] = Counter()


def shrunk(provider: Provider, one: Disagreement) -> Disagreement:
    """A smaller Routing and request that disagree too: all that is smaller by one thing is run in one Envoy."""
    while True:
        same = partial(named, one.sent)
        smaller: list[tuple[Routed, Callable[[str], Iterable[Sent]]]] = [
            (one.routed._replace(routes=routes), same) for routes in without_one(one.routed.routes) if routes
        ]
        for number in range(len(one.sent.headers)):
            headers = one.sent.headers[:number] + one.sent.headers[number + 1 :]
            smaller.append((one.routed, partial(named, one.sent._replace(headers=headers))))
        plain = one.sent._replace(target=one.sent.target.partition("?")[0])
        if plain != one.sent:
            smaller.append((one.routed, partial(named, plain)))
        found = next(disagreements(provider, smaller, SHRINKING), None) if smaller else None
        if found is None:
            return one
        one = found


def named(sent: Sent, name: str) -> list[Sent]:
    return [sent._replace(host=re.sub("@", name, sent.host, flags=re.IGNORECASE))]


def without_one(value: Any) -> Iterator[Any]:
    """A value without one of its items, or of theirs."""
    if isinstance(value, list):
        yield from (value[:at] + value[at + 1 :] for at in range(len(value)))
        yield from (
            [*value[:at], less, *value[at + 1 :]] for at in range(len(value)) for less in without_one(value[at])
        )
    elif isinstance(value, dict):
        yield from ({key: item for key, item in value.items() if key != gone} for gone in value)
        yield from ({**value, key: less} for key, item in value.items() for less in without_one(item))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_simulator_and_envoy_agree(provider: str) -> None:
    counted: Counter[str] = Counter()
    found: list[Disagreement] = []
    of_provider = PROVIDERS[provider]

    @examples(of_provider.runs, whole_projects=True)
    @given(st.lists(routings(of_provider.without), min_size=ROUTINGS, max_size=ROUTINGS), st.integers(0, 2**16))
    def agree(routed: list[Routed], seed: int) -> None:
        asked = [(one, partial(requests_to, one, Random(seed + number))) for number, one in enumerate(routed)]
        if not found:
            found.extend(islice(disagreements(of_provider, asked, counted), 1))

    agree()
    for one in found:
        one = shrunk(of_provider, one)
        document = one.routed.document("@", of_provider.spec)
        pytest.fail(f"{one.sent}\n{document}\nEnvoy: {one.found}\nsimulator: {one.expected}", pytrace=False)
    made, taken = counted.pop("made"), counted.pop("routings")
    assert taken >= max(200, of_provider.taken * made)
    asked = counted.total()
    assert asked - counted["refused"] - counted["unknown"] >= 10_000
    kinds = {"forward", "redirect", "respond", "no route", "no host"} - of_provider.without
    assert all(counted[kind] > 100 for kind in kinds)
    assert counted["unknown"] < asked / 100


def test_the_providers_agree() -> None:
    """Those that take a Routing; but Gloo compares hosts with their ports, and Gateway API's proxies merge slashes."""
    counted: Counter[int] = Counter()

    @examples(250, whole_projects=True)
    @given(routings(frozenset().union(*(one.without for one in PROVIDERS.values()))), st.integers(0, 2**16))
    def agree(routed: Routed, seed: int) -> None:
        builds = {name: compiled([routed.document("r0", one.spec)]) for name, one in PROVIDERS.items()}
        simulators = {name: Simulator(one.tables) for name, one in builds.items() if not has_errors(one.diagnostics)}
        counted[len(simulators)] += 1
        for sent in requests_to(routed, Random(seed), "r0"):
            try:
                asked = request(sent.method, "http", sent.host, sent.target, sent.headers)
            except BadRequest:
                continue
            if ":" in sent.host or merged(asked.path) != asked.path:
                continue
            found = {name: expected(one.answers(asked)[0]) for name, one in simulators.items()}
            agreed = next(iter(found.values()), None)
            assert all(one == agreed for one in found.values()), (str(sent), routed, found)

    agree()
    assert counted[len(PROVIDERS)] >= 75


def requests_to(routed: Routed, random: Random, name: str) -> Iterable[Sent]:
    return islice(sent_to(routed, name, random), REQUESTS)
