"""`replicator route`: what it prints, as text and as JSON, and how it ends."""

import json
import time
from pathlib import Path
from textwrap import dedent

import pytest
from test_routing_envoy import WEB

from replicator.cli import main

DSL = (
    f"{WEB.lstrip()}---\n"
    """\
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec: {type: web, islands: {eu: {}, us: {weight: 3}, old: {state: drained}}}
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: shop, namespace: edge}
spec:
  hosts: [shop.example.com]
  routes:
    - {name: moved, match: {path: {exact: /old}}, redirect: {path: /new, status: 308}}
    - name: by-path
      each: cart
      match: {path: {prefix: "/i/{{ island.key }}"}}
      rewrite: {prefix: /, host: web.internal}
      timeout: 3s
    - name: by-header
      each: cart
      match: {headers: {x-island: "{{ island.key }}"}}
    - {name: rest, match: {methods: [GET]}, to: {spread: cart}}
"""
)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dsl.yaml").write_text(DSL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def route(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["route", *arguments])
    said = capfd.readouterr()
    return code, said.out, said.err


URL = "http://shop.example.com"

TEXTS = {
    (f"{URL}/i/eu/x?y", "dsl.yaml"): """
        GET http://shop.example.com/i/eu/x?y
        Routing edge/shop (dsl.yaml:15), host shop.example.com
          - moved (dsl.yaml:19): the path /i/eu/x is not /old
          > by-path (dsl.yaml:20) matches, of the island cart/eu
        to cart/eu: unit web, Service shop/cart-eu-web:80
          path: /x?y
          host: web.internal
          timeout: 3s
        """,
    (f"{URL}/", "-H", "x-island: eu", "dsl.yaml"): """
        GET http://shop.example.com/
          x-island: eu
        Routing edge/shop (dsl.yaml:15), host shop.example.com
          - moved (dsl.yaml:19): the path / is not /old
          - by-path (dsl.yaml:20): none of its 3 islands; the nearest is cart/eu: the path / is not under /i/eu
          > by-header (dsl.yaml:25) matches, of the island cart/eu
        to cart/eu: unit web, Service shop/cart-eu-web:80
          path: /
          host: shop.example.com
          timeout: 15s
        """,
    (f"{URL}/i/old", "dsl.yaml"): """
        GET http://shop.example.com/i/old
        Routing edge/shop (dsl.yaml:15), host shop.example.com
          - moved (dsl.yaml:19): the path /i/old is not /old
          > by-path (dsl.yaml:20) matches, of the island cart/old, which is drained
        503: fixed response
        """,
    (f"{URL}/old", "dsl.yaml"): """
        GET http://shop.example.com/old
        Routing edge/shop (dsl.yaml:15), host shop.example.com
          > moved (dsl.yaml:19) matches
        308: redirect to http://shop.example.com/new
        """,
}


@pytest.mark.parametrize("arguments", TEXTS)
def test_text(arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = route(capfd, "GET", *arguments)
    assert (code, err) == (0, "")
    assert out == dedent(TEXTS[arguments]).lstrip("\n")


def test_weights_are_told_as_shares(capfd: pytest.CaptureFixture[str]) -> None:
    out = route(capfd, "GET", f"{URL}/", "dsl.yaml")[1]
    assert "to one of 2 destinations:\n  25% (1 of 4) to cart/eu: unit web, Service shop/cart-eu-web:80\n" in out
    assert "  75% (3 of 4) to cart/us" in out


def test_the_state_of_an_island_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    Path("dsl.yaml").write_text(DSL.replace("state: drained", "state: draining"))
    assert (
        "matches, of the island cart/old, which is draining\nto cart/old"
        in (route(capfd, "GET", f"{URL}/i/old", "dsl.yaml")[1])
    )


def test_json_has_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = route(capfd, "GET", f"{URL}/i/us/x?y", "--format", "json", "dsl.yaml")
    (answer,) = json.loads(out)["answers"]
    assert code == 0
    assert answer["outcome"] == "forward"
    assert (answer["routing"], answer["host"], answer["island"]) == ("edge/shop", "shop.example.com", "cart/us")
    assert answer["route"] == {"name": "by-path", "file": "dsl.yaml", "line": 20}
    assert answer["tried"] == [
        {"route": "moved", "file": "dsl.yaml", "line": 19, "reason": "the path /i/us/x is not /old"}
    ]
    (destination,) = answer["destinations"]
    assert (destination["service"], destination["port"], destination["unit"]) == ("shop/cart-us-web", 80, "web")
    assert (answer["path"], answer["timeout"], destination["authority"]) == ("/x?y", "3s", "web.internal")
    nobody = json.loads(route(capfd, "GET", "http://x.example.com", "--format", "json", "dsl.yaml")[1])["answers"][0]
    assert nobody.keys() == answer.keys()


def test_nobody_answers(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = route(capfd, "POST", f"{URL}/x", "dsl.yaml")
    assert code == 1
    assert out.endswith("- rest (dsl.yaml:28): the method POST is not GET\n404: no route matches\n")
    code, out, _ = route(capfd, "GET", "http://shp.example.com/", "dsl.yaml")
    assert code == 1
    assert 'no Routing has the host `shp.example.com`; did you mean "shop.example.com"?' in out


def test_errors_of_the_dsl_are_told_instead(capfd: pytest.CaptureFixture[str]) -> None:
    Path("dsl.yaml").write_text(DSL.replace("spread: cart", "spread: crt"))
    code, out, err = route(capfd, "GET", f"{URL}/", "dsl.yaml")
    assert (code, out) == (1, "")
    assert "error[R0701]" in err


USAGE = {
    "no FILE": ("GET", f"{URL}/"),
    "no URL": ("GET", "shop.example.com/x", "dsl.yaml"),
    "no method": ("get", f"{URL}/", "dsl.yaml"),
    "no header": ("GET", f"{URL}/", "-H", "x-island", "dsl.yaml"),
    "no header's name": ("GET", f"{URL}/", "-H", "x island: eu", "dsl.yaml"),
    "no such file": ("GET", f"{URL}/", "none.yaml"),
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=list(USAGE))
def test_usage(arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = route(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err


def test_plain_requests_are_redirected_where_tls_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    Path("dsl.yaml").write_text(DSL.replace("  routes:", "  tls: {secret: shop-tls, redirect: true}\n  routes:"))
    assert route(capfd, "GET", f"{URL}/i/eu?x", "dsl.yaml")[1].endswith(
        "301: redirect to https://shop.example.com/i/eu?x\n"
    )
    assert "to cart/eu" in route(capfd, "GET", "https://shop.example.com/i/eu?x", "dsl.yaml")[1]


def test_the_same_host_at_two_gateways(capfd: pytest.CaptureFixture[str]) -> None:
    one = DSL.replace("  routes:", "  gateway: {name: public}\n  routes:")
    inside = (
        "---\napiVersion: replicator.dev/v1alpha1\nkind: Routing\nmetadata: {name: inside, namespace: edge}\n"
        "spec: {hosts: [shop.example.com], gateway: {name: private}, routes: [{respond: 200}]}\n"
    )
    Path("dsl.yaml").write_text(one + inside)
    code, out, _ = route(capfd, "GET", f"{URL}/i/eu", "dsl.yaml")
    assert code == 0
    assert "through the Gateway edge/public" in out
    assert "through the Gateway edge/private" in out


def by_number(replicas: int) -> str:
    return DSL.replace("islands: {eu: {}, us: {weight: 3}, old: {state: drained}}", f"replicas: {replicas}")


def test_many_shares_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    Path("dsl.yaml").write_text(by_number(20))
    assert "  … and 8 more\n" in route(capfd, "GET", f"{URL}/", "dsl.yaml")[1]
    answers = json.loads(route(capfd, "GET", f"{URL}/", "--format", "json", "dsl.yaml")[1])["answers"]
    assert len(answers[0]["destinations"]) == 20


def test_ten_thousand_islands(capfd: pytest.CaptureFixture[str]) -> None:
    """Each has an object of its own: a single one would be too large for a cluster."""
    text = by_number(10_000).replace("spread: cart", "island: cart/1")
    Path("dsl.yaml").write_text(text.replace("  routes:", "  delegation: island\n  routes:"))
    start = time.process_time()
    code, out, err = route(capfd, "GET", f"{URL}/i/9999x", "dsl.yaml")
    assert (code, err) == (0, "")
    assert "by-path (dsl.yaml:21): none of its 10,000 islands; the nearest is cart/9999: the path /i/9999x" in out
    assert time.process_time() - start < 30  # far from any budget: it only must not be quadratic
