"""`replicator test`: the tests of Routings, how they are told, and the mistakes in them."""

from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest
from test_routing_envoy import WEB

from replicator.cli import main

DSL = (
    f"{WEB.lstrip()}---\n"
    """\
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: cart, namespace: shop}
spec: {type: web, islands: {eu: {}, us: {weight: 3}, ap: {state: draining}, zero: {weight: 0}}}
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: shop, namespace: edge}
spec:
  hosts: ["*.example.com"]
  routes:
    - {name: moved, match: {path: {prefix: /old}}, redirect: {prefix: /new, status: 308}}
    - {name: fixed, match: {path: {exact: /ok}}, respond: 204}
    - {name: by-path, each: cart, match: {path: {prefix: "/i/{{ island.key }}"}}, rewrite: {prefix: /}}
    - {name: canary, match: {headers: {x-canary: "1"}}, to: [{island: cart/eu, weight: 9}, {island: cart/us}]}
    - {name: db, match: {path: {prefix: /db}}, to: {service: db, port: 80}}
    - {name: out, match: {path: {prefix: /out}}, to: {host: out.example.net}}
    - name: fn
      match: {path: {prefix: /fn}}
      to: {function: {aws: {region: us-east-1, function: thumbs, qualifier: prod, secret: aws}}}
    - {name: rest, match: {methods: [GET]}, to: {spread: cart}}
  tests:
"""
)

PASSING = [
    "{request: {path: /i/eu/x}, expect: {island: cart/eu, route: by-path, path: /x}}",
    "{request: {path: /i/ap}, expect: {island: cart/ap}}",
    "{request: {path: /x}, expect: {spread: cart, route: rest}}",
    "{request: {path: '/old/x?y'}, expect: {status: 308, redirect: 'http://any.example.com/new/x?y'}}",
    "{request: {path: /old, scheme: https, host: a.example.com}, expect: {redirect: 'https://a.example.com/new'}}",
    "{request: {path: /ok}, expect: {status: 204, route: fixed}}",
    "{request: {path: /db}, expect: {service: db}}",
    "{request: {path: /db}, expect: {service: edge/db}}",
    "{request: {path: /i/us}, expect: {service: shop/cart-us-web}}",
    "{request: {path: /out}, expect: {host: out.example.net}}",
    "{request: {path: /fn}, expect: {function: thumbs}}",
    "{request: {path: /fn}, expect: {function: 'thumbs:prod'}}",
    "{request: {method: POST, path: /x}, expect: {status: 404}}",
    "{request: {host: example.org}, expect: {status: 404}}",
    "{request: {headers: {X-Canary: 1}}, expect: {route: canary}}",
]

FAILING = {
    "{request: {path: /i/eu}, expect: {island: cart/us}}": "island cart/us, got cart/eu: unit web, Service"
    " shop/cart-eu-web:80",
    "{request: {path: /x}, expect: {island: cart/eu}}": "island cart/eu, got cart/eu: unit web, Service"
    " shop/cart-eu-web:80 or cart/us: unit web, Service shop/cart-us-web:80",
    "{request: {path: /i/eu}, expect: {spread: cart}}": "spread cart, got cart/eu: unit web, Service"
    " shop/cart-eu-web:80: not cart/us",
    "{request: {path: /db}, expect: {spread: cart}}": "spread cart, got Service edge/db:80",
    "{request: {path: /ok}, expect: {island: cart/eu}}": "island cart/eu, got 204: fixed response",
    "{request: {path: /x}, expect: {route: fixed}}": "route fixed, got rest (dsl.yaml:28)",
    "{request: {path: /i/eu/x}, expect: {path: /i/eu/x}}": "path /i/eu/x, got /x",
    "{request: {path: /i/eu}, expect: {status: 200}}": "status 200, got cart/eu: unit web, Service shop/cart-eu-web:80",
    "{request: {path: /old}, expect: {status: 301}}": "status 301, got 308",
    "{request: {path: /old}, expect: {redirect: /new}}": "redirect /new, got http://any.example.com/new",
    "{request: {path: /db}, expect: {service: shop/db}}": "service shop/db, got Service edge/db:80",
    "{request: {host: example.org}, expect: {route: rest}}": "route rest, got 404: no Routing has the host"
    " `example.org`",
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capfd: pytest.CaptureFixture[str], tests: list[str], *arguments: str) -> tuple[int, str, str]:
    Path("dsl.yaml").write_text(DSL + "".join(f"    - {test}\n" for test in tests))
    code = main(["test", "dsl.yaml", *arguments])
    said = capfd.readouterr()
    return code, said.out, said.err


def test_what_holds(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, PASSING)
    assert (code, out, err) == (0, f"{len(PASSING)} passed\n", "")
    lines = run(capfd, PASSING, "-v")[1].splitlines()
    assert lines[0] == "ok   dsl.yaml:30 edge/shop: GET /i/eu/x"
    assert len(lines) == len(PASSING) + 1


@pytest.mark.parametrize("test", FAILING)
def test_what_does_not_hold(test: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, [test])
    assert code == 1
    assert f"  expected {FAILING[test]}\n" in out
    assert out.endswith("\n1 failed\n")


def test_why_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    failing = "{name: the header, request: {path: /ok/x, headers: {x-canary: 2}}, expect: {route: fixed}}"
    out = run(capfd, [PASSING[0], failing])[1]
    assert out == dedent(
        """\
        FAIL dsl.yaml:31 edge/shop: the header
          GET http://any.example.com/ok/x
            x-canary: 2
          expected route fixed, got rest (dsl.yaml:28)
          - moved (dsl.yaml:19): the path /ok/x is not under /old
          - fixed (dsl.yaml:20): the path /ok/x is not /ok
          - by-path (dsl.yaml:21): none of its 4 islands; the nearest is cart/zero: the path /ok/x is not under /i/zero
          - canary (dsl.yaml:22): the header x-canary is `2`, not `1`
          - db (dsl.yaml:23): the path /ok/x is not under /db
          - out (dsl.yaml:24): the path /ok/x is not under /out
          - fn (dsl.yaml:25): the path /ok/x is not under /fn
          > rest (dsl.yaml:28) matches
        1 failed, 1 passed
        """
    )


def test_no_tests(capfd: pytest.CaptureFixture[str]) -> None:
    Path("dsl.yaml").write_text(DSL.removesuffix("  tests:\n"))
    assert main(["test", "dsl.yaml"]) == 0
    assert capfd.readouterr().out.startswith("no tests")


def test_a_request_may_come_to_another_routing(capfd: pytest.CaptureFixture[str]) -> None:
    other = DSL.split("---\n")[2].replace("*.example.com", "any.example.com").replace("name: shop,", "name: other,")
    Path("dsl.yaml").write_text(
        f"{DSL}    - {{request: {{path: /db}}, expect: {{service: edge/db}}}}\n---\n{other}    []\n"
    )
    assert main(["test", "dsl.yaml"]) == 0
    assert capfd.readouterr().out == "1 passed\n"


def test_tests_of_one_virtual_host_for_each_island(capfd: pytest.CaptureFixture[str]) -> None:
    each = DSL.replace('["*.example.com"]', '["{{ island.key }}.example.com"]\n  each: cart')
    head, _, _ = each.partition("  routes:\n")
    text = head + "  routes: [{name: all, to: {island: cart/eu}}]\n  tests:\n"
    Path("dsl.yaml").write_text(text + "    - {request: {host: us.example.com}, expect: {island: cart/eu}}\n")
    assert main(["test", "dsl.yaml"]) == 0
    Path("dsl.yaml").write_text(text + "    - {request: {path: /}, expect: {island: cart/eu}}\n")
    assert main(["test", "dsl.yaml"]) == 1
    assert 'missing field "host"' in capfd.readouterr().err


MISTAKES = {
    "{request: {}, expect: {island: cart/zro}}": ("R0701", 'did you mean "zero"?'),
    "{request: {}, expect: {island: cat/eu}}": ("R0701", 'did you mean "cart"?'),
    "{request: {}, expect: {spread: cat}}": ("R0701", 'did you mean "cart"?'),
    "{request: {}, expect: {route: by-pat}}": ("R0701", 'did you mean "by-path"?'),
    "{request: {}, expect: {island: cart/eu, spread: cart}}": ("R0205", "either"),
    "{request: {path: '/a b'}, expect: {status: 404}}": ("R0706", "no path"),
    "{request: {host: '*.example.com'}, expect: {status: 404}}": ("R0706", "no host"),
    "{request: {headers: {'a b': x}}, expect: {status: 404}}": ("R0706", "no header"),
    "{request: {path: '{{ x }}'}, expect: {status: 404}}": ("R0205", ""),
}


@pytest.mark.parametrize("command", ["test", "validate", "build"])
@pytest.mark.parametrize("test", MISTAKES)
def test_mistakes_in_tests_are_errors_of_every_command(
    test: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("dsl.yaml").write_text(f"{DSL}    - {test}\n")
    assert main([command, "dsl.yaml"]) == 1
    said = capfd.readouterr()
    code, hint = MISTAKES[test]
    assert said.out == ""
    assert f"error[{code}]" in said.err
    assert hint in said.err
    assert "dsl.yaml:30:" in said.err


def test_junit(capfd: pytest.CaptureFixture[str]) -> None:
    """As https://github.com/testmoapp/junitxml has it."""
    odd = '{name: "<a> & \\"b\\" \\u0007", request: {path: "/x?a=<&>"}, expect: {route: fixed}}'
    code, _, _ = run(capfd, [PASSING[0], odd], "--junit", "out.xml")
    root = ElementTree.parse("out.xml").getroot()
    assert code == 1
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    (suite,) = root
    assert (suite.tag, suite.get("name"), suite.get("tests"), suite.get("failures")) == (
        "testsuite",
        "edge/shop",
        "2",
        "1",
    )
    fine, wrong = suite
    assert (fine.get("name"), fine.get("classname"), len(fine)) == ("GET /i/eu/x", "edge/shop", 0)
    assert (wrong.get("file"), wrong.get("line"), wrong.get("name")) == ("dsl.yaml", "31", '<a> & "b" \ufffd')
    (failure,) = wrong
    assert failure.get("message") == "expected route fixed, got rest (dsl.yaml:28)"
    assert "GET http://any.example.com/x?a=<&>\n" in (failure.text or "")


def test_junit_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """There is nothing else, so that it can be piped."""
    code, out, err = run(capfd, PASSING[:1], "--junit", "-")
    assert (code, err) == (0, "1 passed\n")
    assert ElementTree.fromstring(out).get("tests") == "1"
    assert not Path("-").exists()


def test_junit_that_cannot_be_written(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, PASSING, "--junit", "none/out.xml")
    assert (code, out) == (2, "")
    assert "error[R0803]" in err


def test_the_tests_of_the_examples_hold(capfd: pytest.CaptureFixture[str]) -> None:
    examples = Path(__file__).resolve().parents[1] / "dsl-examples"
    assert main(["test", "--root", str(examples.parent), str(examples / "34-tests.yaml")]) == 0
    assert capfd.readouterr().out == "11 passed\n"
