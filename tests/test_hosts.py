"""Hosts in texts: what is one, what is written for it, and where."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from replicator.hosts import readings
from replicator.pipeline import Built, Source, build

Object = dict[str, Any]

# ‹ stands for the name of the island and a dash: the text as it is written is without it.
TEXTS = [
    "‹redis:6379",
    "http://‹redis/",
    "http://‹redis",
    "http://‹redis:80/redis:80/x",
    "http://‹redis.shop.svc.cluster.local/x",
    "‹redis.shop.svc",
    "‹redis.shop.svc.cluster.local.",
    "‹redis.shop:6379",
    "a ‹redis:6379, and ‹redis:6380; (‹redis:1)",
    "--redis=‹redis:6379",
    "redis://user:secret@‹redis/0",
    "redis://redis@‹redis:6379/redis",
    "‹db-0.‹db-headless:5432,‹db-1.‹db-headless.shop.svc:5432",
    "0@‹db-0.‹db-headless:1",
    "$(POD_NAME).‹db-headless.$(NAMESPACE).svc:5432",
    "${POD}.‹db-headless:5432",
    "‹redis.$(NAMESPACE).svc",
    "first\n‹redis:6379\n",
    # No token, or one that names nothing of the island
    "redis",
    "use redis now",
    "my-redis:6379",
    "redis-my:6379",
    "redis:6379x",
    "redis:123456",
    "redis:6379.5",
    "redis.example.com",
    "redis.example.com:6379",
    "http://redis.example.com/",
    "redis.other.svc:6379",
    "redis.shop.svcs",
    "Redis:6379",
    "x.redis:6379",
    "redis:latest",
    "registry.example.com/redis:7",
    "redis://",
    "http://redisx/",
    "mailto:redis@example.com",
    "amqp://redis:6379@elsewhere/",
    "$(X)redis:6379",
    "web-0.redis-headless:1",
]

MORE = """
  resources:
    - manifest:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: conf, annotations: {a: %TEXT%}}
        data: {redis: %TEXT%}
  rewriteHosts: REWRITE
"""
DSL = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: cart}
spec:
  params: {port: {type: integer, default: 6379}, word: {type: string, default: x}}
  units:
    redis: {image: "redis:7", ports: {redis: 6379}}
    db: {kind: StatefulSet, image: "db:1", ports: {sql: 5432}}
    api:
      image: "api:1"
      env: {A: %TEXT%}
      args: [%TEXT%]
      command: [%TEXT%]
      files: {/a: %TEXT%}
      podMetadata: {annotations: {a: %TEXT%}}
      readinessProbe: {httpGet: {path: /, port: 80, httpHeaders: [{name: A, value: %TEXT%}]}}
MORE---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: shop, namespace: shop}
spec: {type: cart, SCOPE islands: {eu: {}, us: {}}}
"""


def compiled(text: str, rewrite: str = "all", scope: str = "") -> Built:
    dsl = DSL.replace("MORE", MORE).replace("REWRITE", rewrite).replace("SCOPE", scope)
    return build([Source("dsl.yaml", dsl.replace("%TEXT%", yaml.safe_dump(text, default_style='"').strip()).encode())])


def texts(built: Built) -> dict[str, dict[str, str]]:
    """The text in each of its places, by island."""
    found: dict[str, dict[str, str]] = {}
    for one in yaml.safe_load_all(b"".join(built.texts()).decode()):
        island = one["metadata"]["labels"]["replicator.dev/island"]
        kind, local = one["kind"], one["metadata"]["name"].removeprefix(f"{island}-")
        own = found.setdefault(island, {})
        if (kind, local) == ("Deployment", "api"):
            template = one["spec"]["template"]
            [container] = template["spec"]["containers"]
            own["env"] = container["env"][0]["value"]
            [own["args"]], [own["command"]] = container["args"], container["command"]
            own["probes"] = container["readinessProbe"]["httpGet"]["httpHeaders"][0]["value"]
            own["annotations"] = template["metadata"]["annotations"]["a"]
            own["digest"] = template["metadata"]["annotations"]["replicator.dev/files"]
        elif (kind, local) == ("ConfigMap", "api-files"):
            [own["configMaps"]] = one["data"].values()
        elif (kind, local) == ("ConfigMap", "conf"):
            own["of a manifest"], own["annotation of a manifest"] = (
                one["data"]["redis"],
                one["metadata"]["annotations"]["a"],
            )
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_with_hosts(text: str) -> None:
    built = compiled(text.replace("‹", ""))
    assert [one.code for one in built.diagnostics] == []
    for island, own in texts(built).items():
        assert own.pop("digest")
        assert set(own.values()) == {text.replace("‹", f"{island}-")}, own


@pytest.mark.parametrize("text", TEXTS)
def test_where_names_stay_only_the_namespace_changes(text: str) -> None:
    plain = text.replace("‹", "")
    for island, own in texts(compiled(plain, scope="scope: namespace,")).items():
        own.pop("digest")
        expected = (
            plain.replace(".shop.svc", f".{island}.svc").replace(".shop:", f".{island}:") if "‹" in text else plain
        )
        assert set(own.values()) == {expected}


@pytest.mark.parametrize("field", ["env", "args", "configMaps", "probes", "annotations"])
def test_one_field_alone(field: str) -> None:
    own = texts(compiled("redis:6379", f"[{field}]"))["shop-eu"]
    changed = {name for name, value in own.items() if value == "shop-eu-redis:6379"}
    more = {"args": {"command"}, "configMaps": {"of a manifest"}, "annotations": {"annotation of a manifest"}}
    assert changed == {field} | more.get(field, set())


def test_files_that_change_with_their_hosts_roll_the_pods() -> None:
    digests = [
        texts(compiled(text, rewrite))["shop-eu"]["digest"]
        for text, rewrite in (("redis:6379", "none"), ("redis:6379", "all"), ("shop-eu-redis:6379", "none"))
    ]
    assert len({digests[0], digests[1]}) == 2
    islands = texts(compiled("redis:6379"))
    assert islands["shop-eu"]["digest"] != islands["shop-us"]["digest"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis:{{ params.port }}", "shop-eu-redis:6379"),
        ("redis:{{ params.word }}", "redis:x"),
        ("{{ params.word }}redis:6379", "xredis:6379"),
        ("redis{{ params.word }}:6379", "redisx:6379"),
        ("http://{{ params.word }}/ redis:6379", "http://x/ shop-eu-redis:6379"),
        ("{{ address('redis', 'redis') }}", "shop-eu-redis:6379"),
        ("db-{{ params.port }}.db-headless:1", "shop-eu-db-6379.shop-eu-db-headless:1"),
    ],
)
def test_expressions_beside_hosts(text: str, expected: str) -> None:
    own = texts(compiled(text))["shop-eu"]
    assert {own[field] for field in ("env", "args", "command", "configMaps")} == {expected}


def test_the_host_of_a_probe_is_a_host_by_itself() -> None:
    dsl = DSL.replace("MORE", "  rewriteHosts: all\n").replace("SCOPE", "").replace("%TEXT%", "a")
    built = build([Source("dsl.yaml", dsl.replace("path: /,", "path: /, host: redis,").encode())])
    assert built.diagnostics == []
    assert b"host: shop-eu-redis\n" in b"".join(built.texts())


WORDS = [
    "redis",
    "db-0",
    "db-headless",
    "shop",
    "svc",
    "my-redis",
    ".",
    ":",
    "6379",
    "/",
    "://",
    "@",
    " ",
    "$(A)",
    "x",
    "-",
]


@given(st.lists(st.sampled_from(WORDS), max_size=8).map("".join))
@examples(300)
def test_tokens_are_whole(text: str) -> None:
    """What is read as a host ends where a host can end, and nothing is read twice."""
    done = 0
    for start, end, ways in readings(text):
        assert done <= start < end
        done = end
        for before, after in ((text[start - 1 : start], ""), ("", text[end : end + 1])):
            assert not (before + after).isalnum()
            assert before + after not in ("-", "_") or before == "."
        assert {".".join(way.labels) for way in ways} == {text[start:end]}


# Hosts in values

VALUES = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: cart}
spec:
  params:
    whole: {type: string, default: "redis:6379"}
    host: {type: string, default: redis}
    words: {type: array, items: {type: string}, default: [a, "redis:1"]}
    other: {type: string, default: x}
  let: {url: "http://{{ params.whole }}/"}
  units:
    redis: {image: "redis:7", ports: {redis: 6379}}
    web:
      image: "web:1"
      env:
        WHOLE: "{{ params.whole }}"
        PART: "tcp://{{ params.host }}:6379/0"
        LET: "{{ let.url }}"
        LIST: "{{ params.words | join(',') }}"
        NONE: "{{ params.other }}"
        JOINED: "{{ island.key }}-{{ params.whole }}"
  rewriteHosts: all
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: shop, namespace: shop}
spec:
  type: cart
  islands:
    eu: {}
    us: {params: {whole: "cache:1", host: elsewhere, words: [], other: "redis:7"}}
"""


def test_hosts_in_values_are_rewritten_too() -> None:
    built = build([Source("dsl.yaml", VALUES.encode())])
    assert built.diagnostics == []
    found = {}
    for item in yaml.safe_load_all(b"".join(built.texts())):
        if item["kind"] == "Deployment" and item["metadata"]["name"].endswith("-web"):
            (container,) = item["spec"]["template"]["spec"]["containers"]
            found[item["metadata"]["name"]] = {one["name"]: one["value"] for one in container["env"]}
    assert found == {
        "shop-eu-web": {
            "WHOLE": "shop-eu-redis:6379",
            "PART": "tcp://shop-eu-redis:6379/0",
            "LET": "http://shop-eu-redis:6379/",
            "LIST": "a,shop-eu-redis:1",
            "NONE": "x",
            "JOINED": "eu-redis:6379",
        },
        "shop-us-web": {
            "WHOLE": "cache:1",
            "PART": "tcp://elsewhere:6379/0",
            "LET": "http://cache:1/",
            "LIST": "",
            "NONE": "shop-us-redis:7",
            "JOINED": "us-cache:1",
        },
    }


def test_hosts_in_values_are_decided_on() -> None:
    built = build([Source("dsl.yaml", VALUES.replace("  rewriteHosts: all\n", "").encode())])
    assert {one.code for one in built.diagnostics} == {"R0605"}
