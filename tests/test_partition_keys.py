"""I5: every key of a Partition has exactly one serving island, the right one: in the simulator and in real Envoys."""

import time
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest
from strategies import FACTOR
from strategies_partitions import DOCUMENTS, MODES, OTHERWISE, SOURCES, Asked, Made, Served, partition
from test_simulator_envoy import PROVIDERS, backends, objects_of, refused

from replicator.diagnostics import has_errors
from replicator.pipeline import Built, Options, Source, build
from replicator.routing import partition_rules, share_patterns
from replicator.routing.answers import Answer
from replicator.routing.requests import BadRequest, request
from replicator.routing.shares import joined, without
from replicator.routing.simulator import Simulator

KINDS = [(source, mode) for source in SOURCES for mode in MODES]
REQUESTS = 115_000 // (len(KINDS) * len(PROVIDERS))  # more than 100,000 in all: some kinds are refused
TO_ENVOY = 12
GATEWAYS = {name: "edge/public" if "gateway" in one.spec else "" for name, one in PROVIDERS.items()}


def built(made: list[Made], provider: str) -> Built:
    text = "\n---\n".join([DOCUMENTS, *(one.documents(PROVIDERS[provider].spec) for one in made)])
    return build([Source("dsl.yaml", text.encode())], Options())


@cache
def partitions(provider: str) -> list[Made]:
    """A Partition of each kind, but for those that the provider refuses."""
    made: list[Made] = []
    for number, (source, mode) in enumerate(KINDS):
        otherwise = OTHERWISE[number % 3]
        if provider == "gateway-api" and otherwise == {"respond": 421}:
            otherwise = {"island": "d"}
        one = partition(f"p{number}", source, mode, Random(number), otherwise, moves=number % 2 == 0)
        codes = {found.code for found in built([one], provider).diagnostics if found.severity == "error"}
        if codes:
            assert provider == "gateway-api" and "egment" in source, (codes, one)
            assert codes == {"R0713"}, (codes, one)
        else:
            made.append(one)
    return made


def expected(made: Made, asked: Asked) -> set[Served | None]:
    """Who may serve a request: of a header that comes twice, whoever has one of its values; a pin wins over a table."""
    numbers = asked.numbers or [""]
    if asked.numbers is asked.keys:
        return {made.served(key, key) for key in asked.keys or [""]}
    return {made.served(key, number) for key in asked.keys or [""] for number in numbers}


def told(answer: Answer) -> Served | None:
    """Who serves a request by the simulator; nobody where it is `otherwise`'s, or goes on to the next route."""
    if answer.key is None or answer.key.stage == "otherwise":
        return None
    (share,) = answer.shares
    copies = answer.mirror.island.removeprefix("cart/") if answer.mirror is not None else ""
    return Served(share.island.removeprefix("cart/"), copies)


def otherwise(made: Made, answer: Answer) -> bool:
    """Whether an answer is the one for all other keys."""
    said = made.spec.get("otherwise")
    if said is None:
        return answer.route == "rest"
    if "respond" in said:
        return (answer.route, answer.status) == ("tenants", 421)
    return [share.island for share in answer.shares] == ["cart/d"] and answer.mirror is None


def disagreement(made: Made, run: Built, number: int, provider: str = "gloo") -> str:
    """The first of so many requests to a Partition that is served by another island than its table says."""
    random, simulator = Random(made.name), Simulator(run.tables)
    for asked, _ in zip(made.requests(random), range(number), strict=False):
        answer = answered(simulator, asked, provider)
        if answer is None:
            continue
        who, right = told(answer), expected(made, asked)
        if who not in right or (who is None and not otherwise(made, answer)):
            return f"{made.spec}\n{asked}\n{answer.route}: {who}, and not {right}"
    return ""


def answered(simulator: Simulator, asked: Asked, provider: str) -> Answer | None:
    """The answer to a request that is one; Gloo's proxies know no host with a port."""
    try:
        sent = request("GET", "http", asked.host, asked.target, asked.headers)
    except BadRequest:
        return None
    answer = simulator.answer(sent, GATEWAYS[provider], why=False)
    return answer if answer.kind != "no host" else None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_key_has_its_one_island(provider: str) -> None:
    made = partitions(provider)
    assert len(made) * REQUESTS >= 18_000
    run = built(made, provider)
    for one in made:
        problem = disagreement(one, run, REQUESTS * FACTOR, provider)
        assert not problem, problem


@pytest.mark.parametrize("provider", PROVIDERS)
def test_envoy_serves_each_key_as_the_simulator_says(provider: str) -> None:
    """Also copies of requests: they reach the other island, and nobody else."""
    made = partitions(provider)
    run = built(made, provider)
    simulator = Simulator(run.tables)
    objects = objects_of(run)
    assert refused(PROVIDERS[provider], objects) == ""
    wanted: dict[str, Counter[str]] = {}
    with PROVIDERS[provider].running(objects, [*backends(objects), ("edge", "rest", 80)]) as gateway:
        for one in made:
            requests = one.requests(Random(f"envoy {one.name}"))
            for number in range(TO_ENVOY * FACTOR):
                asked = next(requests)
                answer = answered(simulator, asked, provider)
                if answer is None:
                    continue
                name = f"{one.name}-{number}"
                headers = [*asked.headers, ("x-name", name)]
                encoded = [(field, value.encode().decode("latin-1")) for field, value in headers]
                response = gateway.request("GET", asked.target, asked.host, encoded)
                found = response.seen.service if response.seen is not None else str(response.status)
                said = [f"{share.service}:{share.port}" for share in answer.shares] or [str(answer.status)]
                assert [found] == said, (one.spec, asked)
                wanted[name] = Counter(said if answer.shares else [])
                if answer.mirror is not None:
                    wanted[name][f"{answer.mirror.service}:{answer.mirror.port}"] += 1
        until = time.monotonic() + 10
        while len(gateway.received) < sum(of.total() for of in wanted.values()) and time.monotonic() < until:
            time.sleep(0.05)
        seen: dict[str, Counter[str]] = {name: Counter() for name in wanted}
        for each in gateway.received:
            seen[each.headers["x-name"]][each.service] += 1
        assert seen == wanted
    assert sum(of.total() > 1 for of in wanted.values()) > 20


# What is wrong is found


def test_a_fault_in_the_table_is_found() -> None:
    for table in ({"a": "0-7", "b": "9-f"}, {"a": "0-8", "b": "8-f"}):
        spec = {"set": "cart", "key": {"header": "x"}, "hex": {"digits": "last", "count": 1, "table": table}}
        found = built([Made("p", "header", "last 1", spec)], "gloo").diagnostics
        assert [one.code for one in found] == ["R0714"]


@pytest.mark.parametrize("fault", ["gap", "overlap"])
@pytest.mark.parametrize("mode", ["keys", "last 2", "buckets by header"])
def test_a_fault_in_the_rules_is_found(fault: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share lacks its first key or range, or has that of the next share too."""
    shares: list[Any] = []
    true_pieces = share_patterns.pieces

    def recorded(share: Any, *others: Any) -> Any:
        shares.append(share)
        return true_pieces(share, *others)

    def pieces(share: Any, *others: Any) -> Any:
        after = next((one for one in shares[shares.index(share) + 1 :] if one.kind == share.kind), share)
        part = share if fault == "gap" else after
        part = part._replace(values=frozenset(sorted(part.values)[:1]), ranges=part.ranges[:1])
        made = without(share, part) if fault == "gap" else joined([share, part])
        return true_pieces(made, *others)

    monkeypatch.setattr(partition_rules, "pieces", recorded)
    one = partition("p", "header", mode, Random(1), None, moves=False)
    assert not disagreement(one, built([one], "gloo"), 2000)
    monkeypatch.setattr(partition_rules, "pieces", pieces)
    run = built([one], "gloo")
    assert not has_errors(run.diagnostics)
    assert disagreement(one, run, 2000)
