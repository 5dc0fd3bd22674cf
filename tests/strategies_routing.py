"""Hypothesis strategies for Routings over two Sets whose keys overlap, and requests that hit them or just miss."""

import functools
import json
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

Route = dict[str, Any]

# What a Routing is made without, for a provider that cannot say it: of names of those things.
Without = frozenset[str]
EVERYTHING: Without = frozenset()

# Set -> key -> what its entry says. In both Sets there are eu and 1.
SETS: dict[str, dict[str, dict[str, Any]]] = {
    "cart": {
        "1": {},
        "10": {"weight": 0},
        "ap": {"state": "draining"},
        "eu": {},
        "old": {"state": "drained"},
        "us": {"weight": 3},
    },
    "book": {"1": {}, "eu": {"weight": 2}, "e": {}},
}
KEY = "{{ island.key }}"
OUTSIDE = [("edge", "rest", 80), ("edge", "rest", 81)]

DOCUMENTS = "---".join(
    [
        """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: registry.example.com/web, ports: {http: 80}}}
""",
        *(
            f"""
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {{name: {name}, namespace: shop}}
spec: {{type: web, drained: {{status: 410, body: gone}}, islands: {json.dumps(islands)}}}
"""
            for name, islands in SETS.items()
        ),
    ]
)


class Routed(NamedTuple):
    """A Routing without its name: `hosts` have `@` in the place of its name. `each` is one Set for all its routes."""

    hosts: tuple[str, ...]
    routes: list[Route]
    each: str = ""
    delegation: str = "none"

    def document(self, name: str, of_provider: dict[str, Any]) -> str:
        """The document; `of_provider` are the provider, its settings and its gateway."""
        spec = {**of_provider, "hosts": [host.replace("@", name) for host in self.hosts], "routes": self.routes}
        spec["delegation"] = self.delegation
        if self.each:
            spec["each"] = self.each
        whole = {"apiVersion": "replicator.dev/v1alpha1", "kind": "Routing", "spec": spec}
        return json.dumps({**whole, "metadata": {"name": name, "namespace": "edge"}}, ensure_ascii=False)


# Routings

VALUES = st.sampled_from(["", "1", "10", "e", "eu", "us", "EU", "a b", "a,b"])
PREFIXES = st.sampled_from(["/", "/i", "/i/1", "/i/10/", "/old", "/old/x/y", "/a.b", "/a%20b", "/~x"])
EXACT = st.sampled_from(["/", "/i", "/i/1", "/i/10", "/old", "/old/", "/a%20b/c"])
REPLACEMENTS = st.sampled_from(["/", "/api", "/api/v1/"])

# Each with values that match it.
PATH_REGEXES = {
    "/i/[0-9]+": ["/i/1", "/i/100"],
    "/(i|old)/.*": ["/i/", "/old/x/y"],
    "/[[:alpha:]/]*": ["/", "/i/x", "/old"],
    r"/\pL+/?.*": ["/i", "/old/x"],
    "/i/1?/?.*": ["/i/", "/i/1/x"],
    r"/\Qa.b\E.*": ["/a.b", "/a.b/c"],
    r"(?i)/OLD(/\w*)?\z": ["/old", "/oLd/x", "/old/"],
    "/[^/]{2,3}": ["/ab", "/a.b"],
}
VALUE_REGEXES = {
    "1.*": ["1", "10", "1 2"],
    "[a-z]+": ["eu", "us"],
    "e?u?": ["", "e", "eu"],
    "(eu|us)": ["eu", "us"],
    "(?i)EU": ["eu", "Eu"],
    "[[:digit:]]{2}": ["10", "77"],
    r"[^\d]+": ["eu", "a,b"],
    r"a{,2}": ["a{,2}"],
    r"\x{65}u|a, ?b": ["eu", "a,b", "a, b"],
    ".*u$": ["eu", "u"],
}


def value_tests(*others: str) -> st.SearchStrategy[Any]:
    """The tests of a header or of a query parameter: of values, and those others."""
    return st.one_of(
        VALUES,
        st.fixed_dictionaries({"exact": VALUES}),
        st.fixed_dictionaries({"regex": st.sampled_from(list(VALUE_REGEXES))}),
        *(st.just({name: True}) for name in others),
    )


HEADERS = ("x-island", "X-Canary")
PARAMETERS = ("shard", "flag", "a%20b")
METHODS = ("GET", "POST", "PUT", "HEAD", "PURGE")


@functools.cache
def matches(without: Without) -> st.SearchStrategy[Route]:
    """Matches of one part are frequent, so that requests get past the first routes and are not all left over."""
    of_headers, of_query = (
        value_tests(*(name for name in names if name not in without)) for names in (("present", "absent"), ("present",))
    )
    methods = [name for name in METHODS if name != "PURGE" or "free methods" not in without]
    parts: dict[str, st.SearchStrategy[Any]] = {
        "path": st.one_of(
            st.fixed_dictionaries({"prefix": PREFIXES}),
            st.fixed_dictionaries({"exact": EXACT}),
            st.fixed_dictionaries({"regex": st.sampled_from(list(PATH_REGEXES))}),
        ),
        "headers": st.dictionaries(st.sampled_from(HEADERS), of_headers, min_size=1),
        "query": st.dictionaries(st.sampled_from(PARAMETERS), of_query, min_size=1),
        "methods": st.lists(st.sampled_from(methods), min_size=1, max_size=2, unique=True),
    }
    whole: list[Route] = [
        {"headers": {"Host": {"regex": "a[.].*"}}},
        {"headers": {"x-forwarded-proto": "http"}, "methods": ["PUT"]},
        {"headers": {"x-forwarded-proto": {"exact": "https"}}},
    ]
    if "absent" not in without:
        whole.append({"headers": {"host": {"absent": True}}})
    return st.one_of(
        *(st.fixed_dictionaries({name: part}) for name, part in parts.items()),
        st.fixed_dictionaries({}, optional=parts),
        st.sampled_from(whole),
    )


BY_KEY: st.SearchStrategy[Route] = st.sampled_from(
    [
        {"path": {"prefix": f"/i/{KEY}"}},
        {"path": {"exact": f"/i/{KEY}"}},
        {"path": {"regex": f"/(i|old)/{KEY}(/.*)?"}},
        {"headers": {"x-island": KEY}},
        {"headers": {"x-island": {"regex": f"{KEY}|all-{KEY}"}}},
        {"query": {"shard": KEY}},
    ]
)
SERVING = [f"{name}/{key}" for name, keys in SETS.items() for key, said in keys.items() if "state" not in said]
ISLANDS = st.sampled_from(SERVING)
SERVICES = st.sampled_from([{"service": "rest", "port": 80}, {"service": "edge/rest", "port": 81}])
DESTINATIONS: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"island": ISLANDS}),
    st.fixed_dictionaries({"spread": st.sampled_from(list(SETS))}),
    SERVICES,
    st.lists(
        st.fixed_dictionaries(
            {"island": st.sampled_from([*SERVING, "cart/ap", "cart/old"])}, optional={"weight": st.integers(0, 3)}
        ),
        max_size=3,
    ).map(lambda more: [*more, {"service": "rest", "port": 80, "weight": 2}]),
)
HOSTS = [
    ("@.example.com",),
    ("@.example.com", "*.@.example.com"),
    ("*.@.example.com",),
    ("@.example.com:8080", "@.example.com"),
    ("*.@.example.com", "*.b.@.example.com:81", "a.@.example.com"),
]

EACH_HOSTS = [(f"{KEY}.@.example.com",), (f"{KEY}.@.example.com", f"*.{KEY}.@.example.com")]


def sets_for_each(without: Without) -> list[str]:
    """The Sets whose islands may have a route each: a drained island has an answer of the proxy's own."""
    return [name for name in SETS if name != "cart" or "respond" not in without]


@st.composite
def routes(draw: st.DrawFn, without: Without) -> Route:
    """One route."""
    route: Route = {}
    said = draw(st.lists(matches(without), min_size=1, max_size=3))
    if draw(st.booleans()):
        route["each"] = draw(st.sampled_from(sets_for_each(without)))
        said = [{**match, **draw(BY_KEY)} for match in said[:2]]
    if "each" in route or all(said):
        route["match"] = said if len(said) > 1 else said[0]
    by_regex = any("regex" in match.get("path", {}) for match in said)
    kinds = ["to", "to", "redirect", "respond", *["own"] * 3 * ("each" in route)]
    if "respond" in without:
        kinds.remove("respond")
    action = draw(st.sampled_from(kinds))
    if action in ("to", "own"):
        rewrite: dict[str, Any] = {"host": st.just("in.example.net")}
        if not by_regex:
            rewrite["prefix"] = REPLACEMENTS
        if chosen := draw(st.fixed_dictionaries({}, optional=rewrite)):
            route["rewrite"] = chosen
        if action == "to":
            route["to"] = draw(DESTINATIONS)
    elif action == "redirect":
        places: list[st.SearchStrategy[Route]] = [
            st.just({"path": "/new"}),
            st.just({"host": "n.example.com"}),
            st.just({"port": 8443}),
        ]
        if not by_regex and "redirected prefix" not in without:
            places.append(st.fixed_dictionaries({"prefix": REPLACEMENTS}))
        how: dict[str, st.SearchStrategy[Any]] = {
            "status": st.sampled_from([301, 302, 303, 307, 308]),
            "stripQuery": st.booleans(),
            "scheme": st.just("https"),
        }
        if "stripped query" in without:
            del how["stripQuery"]
        route["redirect"] = {**draw(st.one_of(places)), **draw(st.fixed_dictionaries({}, optional=how))}
    else:
        body = f"of {KEY}" if "each" in route else "of all"
        route["respond"] = {"status": draw(st.sampled_from([200, 421])), "body": body}
    return route


@st.composite
def routings(draw: st.DrawFn, without: Without = EVERYTHING) -> Routed:
    """A Routing; a route that takes everything comes last, if at all. One in six has all there is."""
    if without and not draw(st.integers(0, 5)):
        without = EVERYTHING
    made = draw(st.lists(routes(without), min_size=1, max_size=5))
    made = [*(one for one in made if "match" in one), *[one for one in made if "match" not in one][:1]]
    named = [{"name": f"r{number}", **route} for number, route in enumerate(made)]
    if draw(st.integers(0, 5)):
        of_hosts = [hosts for hosts in HOSTS if "ports" not in without or ":" not in "".join(hosts)]
        return Routed(
            draw(st.sampled_from(of_hosts)), named, delegation=draw(st.sampled_from(["none", "none", "set", "island"]))
        )
    each = draw(st.sampled_from(sets_for_each(without)))
    for route in named:
        route.pop("each", None)
    return Routed(draw(st.sampled_from(EACH_HOSTS)), named, each)


# Requests


class Sent(NamedTuple):
    """A request as it is sent: `target` is the path with its query."""

    method: str
    target: str
    host: str
    headers: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        headers = "".join(f" -H '{name}: {value}'" for name, value in self.headers)
        return f"{self.method} http://{self.host}{self.target}{headers}"


def sent_to(routed: Routed, name: str, random: Random) -> Iterator[Sent]:
    """Requests without end: most fulfil a match of the Routing, or would but for a little."""
    matches = [(route, match) for route in routed.routes for match in _matches(route)]
    while True:
        route, match = random.choice(matches)
        keys = (
            [key for one in SETS.values() for key in one]
            if random.random() < 0.1
            else list(SETS[route.get("each", routed.each or "cart")])
        )
        said: Route = json.loads(json.dumps(match).replace(KEY, random.choice(keys)))
        yield Sent(
            random.choice(said.get("methods", ["GET"]) if random.random() < 0.8 else METHODS),
            _path(said.get("path"), random) + _query(said.get("query", {}), random),
            _host(routed, name, random),
            tuple(_headers(said.get("headers", {}), random)),
        )


def _matches(route: Route) -> list[Route]:
    match = route.get("match", {})
    return match if isinstance(match, list) else [match]


def _path(said: dict[str, str] | None, random: Random) -> str:
    op, path = next(iter(said.items())) if said else ("prefix", random.choice(["/", "/i/eu", "/x"]))
    if op == "regex":
        path = random.choice(PATH_REGEXES.get(path, ["/i/eu", "/old/1/x", "/i/us"]))
    if op == "prefix" and random.random() < 0.5:
        path = path.rstrip("/") + random.choice(["/", "/x", "/x/y", "//", "/;a"])
    if random.random() < 0.6:
        return path
    at = random.randrange(len(path)) + 1
    character = path[at - 1]
    return random.choice(
        [
            path + "x",
            path + "/",
            path[:-1] or "/",
            path.upper(),
            path[:at] + "./" + path[at:] if character == "/" else path + "/.",
            f"/x/..{path}",
            f"/x/%2E%2e{path}",
            f"{path}/y/..",
            f"{path}/..;a",
            path[: at - 1] + f"%{ord(character):02x}" + path[at:] if character not in "/%" else f"/{path}",
            path.replace("/", "\\", 2).replace("\\", "/", 1),
            path + random.choice(["%2F", "%2f..", "|", "^", "%7e", "%c3%A9", "{}", "%41"]),
        ]
    )


def _query(said: dict[str, Any], random: Random) -> str:
    parts = [f"{name}={value}" for name, value in _values(said, random)]
    parts = [part.removesuffix("=") if random.random() < 0.3 else part for part in parts]
    if random.random() < 0.2:
        parts.append(random.choice(["x=1", "shard", "flag=eu", "shard=1", "", "=1", "SHARD=1", "flag=%31"]))
    random.shuffle(parts)
    return "?" + "&".join(parts).replace(" ", "+") if parts or random.random() < 0.1 else ""


def _headers(said: dict[str, Any], random: Random) -> Iterator[tuple[str, str]]:
    for name, value in _values(said, random):
        if name.title() in ("X-Island", "X-Canary"):  # the others are the proxy's own
            yield random.choice([name, name.upper()]), value
    if random.random() < 0.2:
        yield random.choice(HEADERS), random.choice(["eu", "1", ""])


def _values(said: dict[str, Any], random: Random) -> Iterator[tuple[str, str]]:
    """Names with values that a test asks for, or nearly."""
    for name, test in said.items():
        op, wanted = next(iter(test.items())) if isinstance(test, dict) else ("exact", test)
        if op == "absent" and random.random() < 0.8:
            continue
        value = str(wanted) if op == "exact" else random.choice(["", "eu", "x"])
        if op == "regex":
            value = random.choice(VALUE_REGEXES.get(str(wanted), [str(wanted).partition("|")[0], "all-eu"]))
        if random.random() < 0.3:
            value = random.choice([value + "x", value.upper(), value[:-1], f"{value},{value}", ""])
        if random.random() < 0.92:
            yield name, value
        if random.random() < 0.08:
            yield name, random.choice(["eu", "1", value])


def _host(routed: Routed, name: str, random: Random) -> str:
    host = random.choice(routed.hosts).replace("@", name)
    host = host.replace(KEY, random.choice(list(SETS[routed.each or "cart"])))
    host = host.replace("*", random.choice(["a", "a.b", "c.d"]))
    if random.random() < 0.9:
        return host
    bare = host.partition(":")[0]
    return random.choice([host.upper(), bare, f"{bare}:8080", f"{bare}:9", f"x.{host}", "other.example.org"])
