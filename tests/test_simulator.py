"""What the simulator says of requests: paths, hosts, headers, islands in every state, destinations of every kind."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.pipeline import Options, Source, build
from replicator.routing.answers import Answer
from replicator.routing.regexes import NotSimulated, matches
from replicator.routing.requests import BadRequest, merged, normal, of_url
from replicator.routing.simulator import Simulator

TYPE = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: web}
spec:
  ports: {http: {unit: web, port: http}}
  units: {web: {image: registry.example.com/web, ports: {http: 80}}}
  implementations:
    vm: {external: {host: "{{ island.key }}.example.net", port: 443, tls: true}}
    fn: {function: {aws: {region: eu-west-1, function: "web-{{ island.key }}", qualifier: prod, secret: aws}}}
"""
SETS = """
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec:
  type: web
  drained: {status: 410, body: gone}
  islands:
    eu: {}
    us: {weight: 3}
    ap: {state: draining}
    old: {state: drained}
    vm: {implementation: vm, weight: 0}
    fn: {implementation: fn, weight: 0}
"""


def routing(routes: str, more: str = "", hosts: str = "[shop.example.com]", name: str = "shop") -> str:
    return f"""
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {{name: {name}, namespace: edge}}
spec: {{hosts: {hosts}, {more} routes: [{routes}]}}
"""


def simulator(*routings: str) -> Simulator:
    built = build([Source("dsl.yaml", "---".join([TYPE, SETS, *routings]).encode())], Options())
    assert [one.message for one in built.diagnostics if one.severity == "error"] == []
    return Simulator(built.tables)


def ask(of: Simulator, request: str) -> Answer:
    """The answer to `[METHOD ]URL[ name:value]…`; a URL that begins with / is of shop.example.com."""
    words = request.split(" ")
    method = words.pop(0) if words[0].isalpha() else "GET"
    url = words.pop(0)
    url = f"http://shop.example.com{url}" if url.startswith("/") else url
    headers = [(name, value) for name, _, value in (word.partition(":") for word in words)]
    (answer,) = of.answers(of_url(method, url, headers))
    return answer


def told(answer: Answer) -> str:
    """What happens, in a word or two."""
    if answer.kind == "forward":
        return " ".join([*(one.island or one.shown for one in answer.shares), answer.path])
    return f"{answer.kind} {answer.location or answer.body or answer.status}"


EACH = '{name: by-path, each: cart, match: {path: {prefix: "/i/{{ island.key }}"}}, rewrite: {prefix: /}}'
BY_HEADER = '{name: by-header, each: cart, match: {headers: {X-Island: "{{ island.key }}"}}}'

PATHS = {
    "/i/eu": "cart/eu /",
    "/i/eu/": "cart/eu /",
    "/i/eu/x?y=/../z": "cart/eu /x?y=/../z",
    "/i/eux": "no route 404",
    "/i//eu": "no route 404",
    "/a/../i/eu/x": "cart/eu /x",
    "/a/%2e%2E/i/eu": "cart/eu /",
    "/i/./eu/.": "cart/eu /",
    "/i/%65u": "cart/eu /",
    "/i\\eu\\x": "cart/eu /x",
    "/i%2Feu": "no route 404",
    "/i/eu?": "cart/eu /?",
    "/i/ap/x": "cart/ap /x",
    "/i/old/x": "respond gone",
    "/i/vm/x": "cart/vm /x",
    "/ x-island:us": "cart/us /",
    "/ X-ISLAND:us": "cart/us /",
    "/ x-island:US": "no route 404",
    "/ x-island:us,eu": "no route 404",
    "/ x-island:none x-island:us": "cart/us /",
    "/ x-island:us x-island:eu": "cart/eu /",  # the first island that one of the values names
    "/i/eu x-island:us": "cart/eu /",
    "/none": "no route 404",
}


@pytest.mark.parametrize("request_", PATHS)
def test_paths_and_headers(request_: str) -> None:
    assert told(ask(simulator(routing(f"{EACH}, {BY_HEADER}")), request_)) == PATHS[request_]


MATCHES = {
    "methods: [GET]": (["GET /"], ["HEAD /", "POST /"]),
    "query: {q: a}": (["/?q=a", "/?x&q=a", "/?q=a&q=b"], ["/?q=b&q=a", "/?Q=a", "/?q=%61", "/?q=a%20", "/?q"]),
    "query: {q: ''}": (["/?q", "/?q="], ["/?q=a", "/", "/?"]),
    "query: {q: {present: true}}": (["/?q", "/?q=a"], ["/?qq", "/"]),
    "headers: {x-a: {absent: true}}": (["/", "/ x-b:1"], ["/ x-a:", "/ X-A:1"]),
    "headers: {x-a: {present: true}}": (["/ x-a:", "/ x-a:1"], ["/"]),
    "headers: {x-a: ''}": (["/ x-a:"], ["/", "/ x-a:1"]),
    "headers: {x-a: {regex: '[[:alpha:]]+'}}": (["/ x-a:Eu"], ["/ x-a:e1", "/ x-a:", "/"]),
    "headers: {host: shop.example.com}": (["/"], []),
    "headers: {x-forwarded-proto: https}": (["https://shop.example.com/"], ["/"]),
    "path: {exact: /a}": (["/a", "/a?x", "/b/../a"], ["/a/", "/ab", "/A"]),
    "path: {regex: '/[ab]+'}": (["/ab", "/a?c"], ["/ab/", "/x/ab", "/c"]),
    "path: {prefix: /a/}": (["/a", "/a/", "/a/b"], ["/ab", "/"]),
}


@pytest.mark.parametrize("match", MATCHES)
def test_matches(match: str) -> None:
    of = simulator(routing(f"{{match: {{{match}}}, respond: 200}}"))
    hits, misses = MATCHES[match]
    assert {one: ask(of, one).status for one in (*hits, *misses)} == {
        **dict.fromkeys(hits, 200),
        **dict.fromkeys(misses, 404),
    }


def test_shares_are_of_those_that_serve() -> None:
    answer = ask(simulator(routing("{name: rest, to: {spread: cart}}")), "/x")
    assert [(one.island, one.weight, one.service) for one in answer.shares] == [
        ("cart/eu", 1, "shop/cart-eu-web"),
        ("cart/us", 3, "shop/cart-us-web"),
    ]
    assert {(one.unit, one.port, one.set, one.authority) for one in answer.shares} == {
        ("web", 80, "cart", "shop.example.com")
    }
    weighted = "{to: [{island: cart/eu, weight: 0}, {service: db, port: 81, weight: 2}, {island: cart/ap}]}"
    assert [one.shown for one in ask(simulator(routing(weighted)), "/").shares] == ["Service edge/db:81"]


def test_destinations_outside() -> None:
    of = simulator(
        routing(f"{EACH}, {{to: {{host: old.example.org, port: 8080, tls: false}}, rewrite: {{prefix: /v1}}}}")
    )
    vm = ask(of, "/i/vm/x").shares[0]
    assert (vm.island, vm.host, vm.port, vm.tls, vm.authority) == (
        "cart/vm",
        "vm.example.net",
        443,
        True,
        "vm.example.net",
    )
    fn = ask(of, "/i/fn/x").shares[0]
    assert (fn.island, fn.vendor, fn.function) == ("cart/fn", "aws", "web-fn:prod")
    rest = ask(of, "/x")
    assert (rest.shares[0].shown, rest.path, rest.shares[0].authority) == (
        "host old.example.org:8080",
        "/v1/x",
        "old.example.org",
    )


HOSTS = {
    "shop.example.com": "exact",
    "SHOP.example.com": "exact",
    "shop.example.com:80": "exact",  # the scheme's own port is not sent
    "shop.example.com:8080": "no host 404",
    "port.example.com:8080": "port",
    "a.example.com": "wild",
    "a.b.example.com": "long",
    "b.example.com": "wild",
    "example.com": "no host 404",
    "example.org": "no host 404",
}


@pytest.mark.parametrize("host", HOSTS)
def test_the_most_exact_host_takes_a_request(host: str) -> None:
    given = {
        "exact": "[shop.example.com]",
        "wild": '["*.example.com"]',
        "long": '["*.b.example.com"]',
        "port": '["port.example.com:8080"]',
    }
    of = simulator(
        *(
            routing(f"{{respond: {{status: 200, body: {name}}}}}", hosts=hosts, name=name)
            for name, hosts in given.items()
        )
    )
    assert told(ask(of, f"http://{host}/")).removeprefix("respond ") == HOSTS[host]


def test_any_host_comes_last() -> None:
    of = simulator(routing("{respond: 200}"), routing("{respond: 201}", hosts='["*"]', name="any"))
    assert [ask(of, url).status for url in ("/", "http://x:9/", "http://shop.example.com:9/")] == [200, 201, 201]


def test_one_virtual_host_for_each_island() -> None:
    hosts = '["{{ island.key }}.example.com"]'
    of = simulator(routing("{name: all, to: {island: cart/us}}", "each: cart,", hosts))
    answer = ask(of, "http://us.example.com/x")
    assert (answer.island, answer.domain) == ("cart/us", "us.example.com")


REDIRECTS = {
    ("{path: /new}", "/a/b?q"): "http://shop.example.com/new?q",
    ("{prefix: /new}", "/a/b?q"): "http://shop.example.com/new/b?q",
    ("{prefix: /}", "/a"): "http://shop.example.com/",
    ("{host: n.example.com, stripQuery: true}", "/a/b?q"): "http://n.example.com/a/b",
    ("{port: 8443, scheme: https}", "/a"): "https://shop.example.com:8443/a",
    ("{scheme: https}", "/a"): "https://shop.example.com/a",
}


@pytest.mark.parametrize(("redirect", "path"), REDIRECTS)
def test_redirects(redirect: str, path: str) -> None:
    answer = ask(simulator(routing(f"{{match: {{path: {{prefix: /a}}}}, redirect: {redirect}}}")), path)
    assert (answer.status, answer.location) == (301, REDIRECTS[redirect, path])


def test_it_is_said_why_routes_do_not_match() -> None:
    routes = (
        f"{EACH}, {BY_HEADER}, {{name: posts, match: [{{methods: [POST]}}, {{path: {{exact: /a}}}}], respond: 200}}"
    )
    answer = ask(simulator(routing(routes)), "/i/eux/a x-island:u")
    assert [(one.route, one.reason) for one in answer.tried] == [
        ("by-path", "none of its 6 islands; the nearest is cart/eu: the path /i/eux/a is not under /i/eu"),
        ("by-header", "none of its 6 islands; the nearest is cart/eu: the header x-island is `u`, not `eu`"),
        ("posts", "the method GET is not POST; the path /i/eux/a is not /a"),
    ]
    lacking = '{name: r, each: cart, match: {path: {prefix: "/i/{{ island.key }}"}, methods: [PUT]}}'
    assert ask(simulator(routing(lacking)), "/i/eu").tried[0].reason == (
        "none of its 6 islands; the nearest is cart/eu: the method GET is not PUT"
    )


def test_what_python_could_not_answer_is_not_simulated() -> None:
    of = simulator(routing("{match: {headers: {x-a: {regex: '(a+)+b'}}}, respond: 200}, {respond: 201}"))
    assert ask(of, "/ x-a:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac").kind == "unknown"
    assert ask(of, "/").status == 201  # the expression need not be asked


RE2 = {
    r"[[:alpha:]]+\z": (["aB"], ["a1", ""]),
    r"[[:^digit:]x]+": (["ab"], ["1"]),
    r"\pL+|\p{Nd}": (["aé", "٣"], ["٣٣", "-"]),
    r"[\p{Lu}\-]+": (["A-É"], ["a"]),
    r"\P{L}+": (["12"], ["1a"]),
    r"\Qa.b\E+": (["a.bb"], ["aab"]),
    r"a{,3}": (["a{,3}"], ["aaa"]),
    r"\d\w": (["1a"], ["٣a", "1é"]),
    r"(?i)abc": (["ABC"], ["abd"]),
    r"(?U)a+": (["aaa"], []),
    r"[[]a[^[]": (["[ab"], ["[a["]),
    r"\x{61}\x62": (["ab"], ["a"]),
    r"[]a]+": (["]a"], ["b"]),
}


@pytest.mark.parametrize("pattern", RE2)
def test_regular_expressions_are_those_of_re2(pattern: str) -> None:
    hits, misses = RE2[pattern]
    assert {value: matches(pattern, value) for value in (*hits, *misses)} == {
        **dict.fromkeys(hits, True),
        **dict.fromkeys(misses, False),
    }


@pytest.mark.parametrize("pattern", [r"\p{Greek}", r"a\C", r"(a*)*", "(?i)é"])
def test_regular_expressions_that_are_not_simulated(pattern: str) -> None:
    with pytest.raises(NotSimulated):
        matches(pattern, "a")


@given(st.text(alphabet="/.;%2e5aE\\~", max_size=12).map(lambda rest: f"/{rest}"))
def test_a_normal_path_has_no_dot_segments(path: str) -> None:
    made = normal(path)
    assert made.startswith("/")
    assert not {".", ".."} & set(made.split("/"))
    assert "\\" not in made


@given(st.lists(st.sampled_from(["a", "b.c", "..a", "%2F", "", "d~"]), max_size=5).map("/".join).map("/{}".format))
def test_a_normal_path_stays_as_it_is(path: str) -> None:
    assert normal(path) == path
    assert normal(f"{path}/x/..") == f"{path}/"


def test_gateways_of_gateway_api_merge_slashes() -> None:
    """As kgateway and Envoy Gateway set Envoy's `merge_slashes`; the others leave slashes alone."""
    of_gateway_api = "provider: gateway-api, gateway: {name: public, namespace: edge},"
    route = "{match: {path: {exact: /a/b}}, to: {island: cart/eu}}"
    assert ask(simulator(routing(route, of_gateway_api)), "//a//b").path == "/a/b"
    assert ask(simulator(routing(route)), "//a//b").kind == "no route"
    assert [merged(path) for path in ("/", "//", "///", "/a//", "//a/b")] == ["/", "//", "//", "/a/", "/a/b"]


NOT_REQUESTS = [
    ("GET", "shop.example.com/x", []),
    ("GET", "ftp://shop.example.com/", []),
    ("GET", "https:///x", []),
    ("GET", "https://a b/", []),
    ("GET", "https://a/é", []),
    ("GET", "https://a/%00", []),
    ("get", "https://a/", []),
    ("G T", "https://a/", []),
    ("GET", "https://a/", [("a b", "1")]),
    ("GET", "https://a/", [("a", "1\n2")]),
    ("GET", "https://a/", [("host", "a/b")]),
]


@pytest.mark.parametrize(("method", "url", "headers"), NOT_REQUESTS)
def test_what_is_no_request(method: str, url: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest):
        of_url(method, url, headers)


def test_a_url_is_what_a_client_sends() -> None:
    request = of_url(
        "GET", "HTTPS://user:pw@Shop.example.com:443?q#part", [("Host", "other.example.com"), ("A", " b ")]
    )
    assert request.url == "https://other.example.com/?q"
    assert request.headers == {"a": ("b",)}
    assert re.fullmatch(r"https://Shop.example.com:8443/", of_url("GET", "https://Shop.example.com:8443").url)
