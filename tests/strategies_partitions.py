"""Partitions of every kind, requests with keys that are in them or nearly, and who serves them by the table's words.

What is said here of a key shares nothing with the compiler: it is the language's definition, in Python.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

ISLANDS = ("a", "b", "c", "d")
MODES: dict[str, dict[str, Any]] = {
    "keys": {},
    **{f"{which} {count}": {"digits": which, "count": count} for which in ("first", "last") for count in (1, 2, 3)},
    "buckets by header": {"header": "x-bucket", "count": 256},
    "buckets by query": {"query": "b", "count": 10},
    "buckets by key": {"count": 1000},
    "pins": {},
}
SOURCES = {
    "header": {"header": "X-Tenant"},
    "query": {"query": "tenant"},
    "hostLabel": {"hostLabel": 1},
    "second label": {"hostLabel": 2},
    "pathSegment": {"pathSegment": 2},
    "fourth segment": {"pathSegment": 4},
}
OTHERWISE: tuple[Any, ...] = ({"respond": 421}, {"island": "d"}, None)
DOCUMENTS = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec: {ports: {http: {unit: web, port: http}}, units: {web: {image: registry.example.com/web, ports: {http: 80}}}}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec: {type: web, islands: {a: {}, b: {}, c: {}, d: {}}}
"""


class Asked(NamedTuple):
    """A request for a Partition's route, with its keys; a header may come twice, and then there are two."""

    host: str
    target: str
    headers: tuple[tuple[str, str], ...]
    keys: list[str]
    numbers: list[str]


class Served(NamedTuple):
    """Who serves a key, and who gets copies; nobody where `otherwise` decides."""

    island: str
    copies: str = ""


class Made(NamedTuple):
    """A Partition of that name, and its route."""

    name: str
    source: str
    mode: str
    spec: dict[str, Any]

    def documents(self, of_provider: dict[str, Any]) -> str:
        """The Partition, and a Routing of the same name."""
        routes = [
            {"name": "tenants", "match": {"path": {"prefix": "/t"}}, "to": {"partition": self.name}},
            {"name": "rest", "to": {"service": "rest", "port": 80}},
        ]
        hosts = [f"*.{self.name}.example.com", f"{self.name}.example.com"]
        routing = {**of_provider, "hosts": hosts, "routes": routes}
        return "\n---\n".join(
            json.dumps({"apiVersion": "replicator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
            for kind, metadata, spec in (
                ("Partition", {"name": self.name}, self.spec),
                ("Routing", {"name": self.name, "namespace": "edge"}, routing),
            )
        )

    # What the language says

    def served(self, key: str, number: str) -> Served | None:
        """Who serves a request with this key and bucket's number; either may be empty, which is none."""
        folded = key.lower() if "hostLabel" in self.spec["key"] else key
        for move in self.spec.get("moves", ()):
            if folded and folded in [self.fold(one) for one in move.get("keys", ())]:
                return moved(move)
        for table in ("pins", "keys"):
            for one, island in self.spec.get(table, {}).items():
                if folded and folded == self.fold(one):
                    return Served(island)
        if "hex" in self.spec:
            said = self.spec["hex"]
            digits = key[-said["count"] :] if said["digits"] == "last" else key[: said["count"]]
            if len(digits) == said["count"] and set(digits) <= set("0123456789abcdefABCDEF"):
                return self.numbered("hex", int(digits, 16), 16)
        if "buckets" in self.spec and re.fullmatch("0|[1-9][0-9]{0,5}", number, re.ASCII):
            count = self.spec["buckets"]["count"]
            return self.numbered("buckets", int(number), 10) if int(number) < count else None
        return None

    def fold(self, key: str) -> str:
        return key.lower() if "hostLabel" in self.spec["key"] else key

    def numbered(self, table: str, number: int, base: int) -> Served:
        for move in self.spec.get("moves", ()):
            if table in move and number in numbers_of(move[table], base):
                return moved(move)
        (island,) = [one for one, those in self.spec[table]["table"].items() if number in numbers_of(those, base)]
        return Served(island)

    # Requests

    def requests(self, random: Random) -> Iterator[Asked]:
        """Requests without end."""
        while True:
            key = self.key(random)
            keys = [] if key is None else [key]
            number = self.number(random)
            buckets = self.spec.get("buckets", {})
            headers: list[tuple[str, str]] = []
            query: list[str] = []
            host, path = f"x.{self.name}.example.com", "/t"
            if self.source == "header":
                if keys and random.random() < 0.05:
                    keys.append(self.key(random) or "twice")
                headers += [("X-Tenant", one) for one in keys]
            elif self.source == "query":
                query += [f"tenant={one}" for one in keys]
            elif self.source == "hostLabel":
                host = f"{keys[0]}.{self.name}.example.com" if keys else f"{self.name}.example.com"
                keys = keys or [self.name]
            elif self.source == "second label":
                host = f"x.{keys[0]}.{self.name}.example.com" if keys else f"x.{self.name}.example.com"
                keys = keys or [self.name]
            else:
                between = ["u", "v"] if self.source == "fourth segment" else []
                path = "/".join(["/t", *between, *keys]) + random.choice(["", "/", "/orders", "/7"] if keys else [""])
            if "hostLabel" in self.spec["key"]:
                host = host.upper() if random.random() < 0.1 else host
                host += random.choice(["", "", ":8080"])
                keys = [one.upper() if host.isupper() else one for one in keys]
            numbers = keys
            if "header" in buckets or "query" in buckets:
                numbers = [] if number is None else [number]
                headers += [("x-bucket", one) for one in numbers if "header" in buckets]
                query += [f"b={one}" for one in numbers if "query" in buckets]
            random.shuffle(query)
            target = path + ("?" + "&".join(query) if query else "")
            yield Asked(host, target, tuple(headers), keys, numbers)

    def number(self, random: Random) -> str | None:
        count = self.spec.get("buckets", {}).get("count", 1)
        n = random.randrange(count)
        wrong = [f"0{n}", str(count), "-1", "x", f"{n}x", None, "", f"+{n}"]
        return random.choice([*[str(n)] * 6, str(count - 1), *wrong])

    def key(self, random: Random) -> str | None:
        """A key that the source of this Partition can have; None where the request has none."""
        known = [*self.spec.get("pins", {}), *self.spec.get("keys", {})]
        known += [one for move in self.spec.get("moves", ()) for one in move.get("keys", ())]
        digits = f"{random.getrandbits(12):03x}"
        one = random.choice(known)
        key = random.choice(
            [
                *(one, one, one.swapcase(), one + "x", one[:-1], f"x{one}"),
                *(str(UUID(int=random.getrandbits(128), version=4)), f"0190a2b4-{random.getrandbits(96):024x}"),
                *(f"{random.getrandbits(128):032X}", digits, f"x-{digits}", f"{digits.upper()}-x", digits[:1], "007"),
                *(str(random.randrange(1001)), "0", "9", "g", "z" * 40, "x" * random.choice([3, 63])),
            ]
        )
        if self.source in ("header", "query") and random.random() < 0.1:
            hard = ["", "k" * 3000 + digits, "\u00e9\u6f22", f"\u00e9{digits}", f"a b{digits}", "a.*", "(", "7|8"]
            key = random.choice(hard)
        if self.source != "header":
            key = quote(key, safe="-._~!$'()*+,;:@" if "egment" in self.source else "-._~!$'()*+,;:@/=|")
        if random.random() < 0.05 or (not key and self.source not in ("header", "query")):
            return None
        return str(key[:63] if "abel" in self.source else key)


def moved(move: dict[str, Any]) -> Served:
    return Served(move["from"], move["to"]) if move["phase"] == "mirror" else Served(move["to"])


def numbers_of(text: str, base: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first, base), int(last or first, base) + 1))
    return found


def partition(name: str, source: str, mode: str, random: Random, otherwise: Any, moves: bool) -> Made:
    """A Partition of a kind, with pins, and with moves in both phases."""
    spec: dict[str, Any] = {"set": "cart", "key": SOURCES[source]}
    names = ["acme", "globex", "007", "initech-7", "7", "bigco", "k" * 32, "0190a2b4-7"]
    if source in ("header", "query"):
        names += ["a.b*c", "A|b", "$(x)"] + (["\u00e9 \u6f22"] if source == "header" else [])
    if source == "header" or "egment" in source:
        names.append("Acme" if source == "header" else "a+b")
    random.shuffle(names)
    if mode != "keys" or random.random() < 0.7:
        spec["pins"] = {key: random.choice(ISLANDS) for key in names[: random.randint(1, 5)]}
    taken = spec.get("pins", {})
    if mode == "keys":
        many = {f"t{random.randrange(10**6)}": random.choice(ISLANDS) for _ in range(random.choice([3, 60]))}
        spec["keys"] = {**{key: random.choice(ISLANDS) for key in names[2:]}, **many}
    elif mode.startswith("buckets"):
        spec["buckets"] = {**MODES[mode], "table": table(MODES[mode]["count"], random, str)}
    elif mode != "pins":
        count = MODES[mode]["count"]
        spec["hex"] = {**MODES[mode], "table": table(16**count, random, lambda number: f"{number:0{count}x}")}
    if otherwise is not None:
        spec["otherwise"] = otherwise
    if moves:
        spec["moves"] = list(some_moves(spec, {**spec.get("keys", {}), **taken}, random))
    return Made(name, source, mode, spec)


def table(number: int, random: Random, shown: Any) -> dict[str, str]:
    """Numbers shared out among the islands, in runs."""
    ends = sorted({0, number, *(random.randrange(number) for _ in range(random.choice([3, 8, 40])))})
    of: dict[str, list[str]] = {}
    for first, after in pairwise(ends):
        text = shown(first) if after == first + 1 else f"{shown(first)}-{shown(after - 1)}"
        of.setdefault(random.choice(ISLANDS), []).append(text)
    return {island: ",".join(those) for island, those in of.items()}


def some_moves(spec: dict[str, Any], owners: dict[str, str], random: Random) -> Iterator[dict[str, Any]]:
    """Moves of what the table says: of keys, and of a run of digits or buckets."""
    phases = random.sample(["mirror", "cutover", "mirror"], 3)
    for key in random.sample(sorted(owners), min(2, len(owners))):
        origin = owners[key]
        yield {"keys": [key], "from": origin, "to": other(origin, random), "phase": phases.pop()}
    for field in ("hex", "buckets"):
        if field in spec:
            origin = random.choice(sorted(spec[field]["table"]))
            part = random.choice(spec[field]["table"][origin].split(","))
            yield {field: part, "from": origin, "to": other(origin, random), "phase": phases.pop()}


def other(origin: str, random: Random) -> str:
    return random.choice([one for one in ISLANDS if one != origin])
