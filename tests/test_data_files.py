"""Files that documents name: manifests are data, read as kubectl reads them; contents of ConfigMaps are kept.

What kubectl reads is not repeated here but asked of it: its own reader is behind `kubectl label --local`.
"""

import base64
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from replicator.cli import main
from replicator.files import Files, Unreadable

ROOT = Path(__file__).resolve().parents[1]
KUBECTL = shutil.which("kubectl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
MEBIBYTE = 1024 * 1024
FILE, CONTENT = 12, 30  # the columns of paths in `resources` and in `files`

Object = dict[str, Any]
Contents = Mapping[str, bytes | str]

needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl")


# The DSL, and its files


def dsl(spec: str, shared: str = "[]") -> str:
    """A Type whose `spec` begins at line 5, and a Set of one island in a namespace of its own: names stay."""
    lines = spec.strip("\n").splitlines()
    return "\n".join(
        [
            "apiVersion: replicator.dev/v1alpha1",
            "kind: IslandType",
            "metadata: {name: own}",
            "spec:",
            *(f"  {line}" for line in lines),
            "---",
            "apiVersion: replicator.dev/v1alpha1",
            "kind: IslandSet",
            "metadata: {name: set}",
            f"spec: {{type: own, scope: namespace, islands: {{eu: {{}}}}, shared: {shared}}}",
            "",
        ]
    )


def resource(entry: str) -> str:
    """The DSL with one entry of `resources`, in line 6."""
    return dsl(f"resources:\n- {{{entry}}}")


def named(path: str) -> str:
    return resource(f"file: {json.dumps(path)}")


def put(directory: Path, contents: Contents) -> None:
    for name, content in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def config_map(name: str, **data: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {json.dumps(name)}}}\ndata: {json.dumps(data)}\n"


class Done:
    """What a build has said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def objects(self) -> list[Object]:
        assert self.code == 0, self.err
        if self.out.startswith("{"):
            return [json.loads(line) for line in self.out.removesuffix("\n").split("\n")]
        return list(yaml.safe_load_all(self.out))

    def of(self, kind: str) -> list[Object]:
        return [item for item in self.objects if item["kind"] == kind]

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.objects if item["kind"] != "Namespace"]

    def is_refused(self, code: str, file: str, line: int, column: int | None = None) -> str:
        """An error with this code at this place, exit code 1 and no output; the whole message."""
        assert (self.code, self.out) == (1, ""), self.err
        place = rf"{re.escape(file)}:{line}:" + (rf"{column}\b" if column else r"\d+")
        assert re.search(rf"error\[{code}\]: .*\n  --> {place}", self.err), self.err
        return self.err


Build = Callable[..., Done]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Build:
    """Writes files to the working directory, and builds `dsl.yaml` (or what else is named) there."""
    directory = tmp_path / "root"
    directory.mkdir()
    monkeypatch.chdir(directory)

    def building(source: str, contents: Contents | None = None, *arguments: str) -> Done:
        put(directory, {"dsl.yaml": source, **(contents or {})})
        capfd.readouterr()
        code = main(["build", *(arguments or ("dsl.yaml",))])
        return Done(code, *capfd.readouterr())

    return building


def run(*arguments: str, stdin: bytes = b"", prefix: tuple[str, ...] = (), cwd: Path | None = None) -> Done:
    """The same as a process of its own."""
    command = [*prefix, sys.executable, "-m", "replicator", "build", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=stdin, env=environment, cwd=cwd, capture_output=True, check=False, timeout=10)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


# What kubectl reads


@functools.cache
def read_by_kubectl(manifests: bytes) -> list[Object]:
    """The objects as kubectl reads them; Lists are taken apart."""
    command = [KUBECTL or "", "label", "--local", "-f", "-", "-o", "json", "read-by=kubectl"]
    done = subprocess.run(command, input=manifests, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    decoder, text = json.JSONDecoder(), done.stdout.decode().strip()
    objects: list[Object] = []
    while text:
        item, end = decoder.raw_decode(text)
        objects += item["items"] if item["kind"] == "List" else [item]
        text = text[end:].lstrip()
    return objects


def without_our_labels(item: Object) -> Object:
    item = json.loads(json.dumps(item))
    metadata = {key: value for key, value in item["metadata"].items() if key not in ("labels", "namespace")}
    labels = item["metadata"].get("labels", {})
    own = {key: value for key, value in labels.items() if not key.startswith("replicator.dev/")}
    return {**item, "metadata": {**metadata, "labels": own}}


def as_applied(manifests: str | bytes) -> list[Object]:
    """What kubectl makes of manifests, but for what a build adds to each."""
    raw = manifests.encode() if isinstance(manifests, str) else manifests
    objects = [without_our_labels(item) for item in read_by_kubectl(raw) if item["kind"] != "Namespace"]
    return sorted(objects, key=lambda item: (item["kind"], item["metadata"]["name"]))


def any_kind(spec: str) -> str:
    return f"apiVersion: example.com/v1\nkind: Any\nmetadata: {{name: one}}\nspec:\n{spec}"


# Scalars, and what kubectl reads: its reader is of YAML 1.1 with exceptions
SCALARS: dict[str, object] = {
    "0644": 420,
    "0o644": 420,
    "0O17": 15,
    "+017": 15,
    "-0o17": -15,
    "00": 0,
    "0": 0,
    "-0": 0,
    "08": 8,
    "09": 9,
    "0_7": 7,
    "yes": True,
    "Yes": True,
    "on": True,
    "ON": True,
    "y": True,
    "Y": True,
    "no": False,
    "NO": False,
    "off": False,
    "n": False,
    "N": False,
    "true": True,
    "True": True,
    "tRUE": "tRUE",
    "FALSE": False,
    "1e3": 1000,
    "1E3": 1000,
    "1e+3": 1000,
    "1.e3": 1000,
    ".5e1": 5,
    "1e-7": 1e-07,
    "1e21": 1e21,
    "1e": "1e",
    "e3": "e3",
    "1_000": 1000,
    "1__0": 10,
    "_1": "_1",
    "1_": 1,
    "0x1F": 31,
    "0X1f": 31,
    "-0x1F": -31,
    "0x_1F": 31,
    "0x": "0x",
    "0b11": 3,
    "-0b11": -3,
    "0B11": 3,
    "0b2": "0b2",
    "12:30": "12:30",
    "1:2:3": "1:2:3",
    "2020-01-01": "2020-01-01",
    "2020-01-01T00:00:00Z": "2020-01-01T00:00:00Z",
    "2001-12-14 21:59:43.10 -5": "2001-12-14 21:59:43.10 -5",
    "~": None,
    "null": None,
    "Null": None,
    "nULL": "nULL",
    ".5": 0.5,
    "-.5": -0.5,
    "5.": 5,
    "1._5": 1.5,
    ".5_1": 0.51,
    "._5": "._5",
    ".5_": ".5_",
    ".5e1_0": 5_000_000_000,
    "1.50": 1.5,
    "1.0": 1,
    "+1": 1,
    "+1.5": 1.5,
    "1.2.3": "1.2.3",
    "1-1": "1-1",
    "+-1": "+-1",
    ".": ".",
    "..": "..",
    "-.": "-.",
    "=": "=",
    "<<x": "<<x",
    "inf": "inf",
    "NaN": "NaN",
    "infinity": "infinity",
    "0x1p4": "0x1p4",
    "1f": "1f",
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "9007199254740993": 2**53 + 1,
    "123456789.5": 123456789.5,
    "'0644'": "0644",
    '"0644"': "0644",
    "'yes'": "yes",
    '"~"': "~",
    "''": "",
    '"1e3"': "1e3",
    '"\\x41\\u00e9\\t"': "Aé\t",
    "'it''s'": "it's",
    "a:b": "a:b",
    "a #b": "a",
    "a#b": "a#b",
    "1 # one": 1,
    "{a: 010, b: [on, 1_0]}": {"a": 8, "b": [True, 10]},
}

# Text to kubectl and a number to others, or a number that loses digits: refusing them is as right.
DISPUTED = ["1e400", "-1e400", "5e7120", "100000000000000000000", "-9223372036854775809", "18446744073709551616"]


def listed(scalars: list[str]) -> str:
    return any_kind("".join(f"- {scalar}\n" for scalar in scalars))


@needs_kubectl
def test_the_table_is_what_kubectl_reads() -> None:
    (item,) = read_by_kubectl(listed(list(SCALARS)).encode())
    read = dict(zip(SCALARS, item["spec"], strict=True))
    assert {key: repr(value) for key, value in read.items() if value != SCALARS[key]} == {}
    assert [type(value) for value in read.values() if value is True or value is False] == [
        type(value) for value in SCALARS.values() if value is True or value is False
    ]


@pytest.mark.parametrize("scalar", SCALARS)
def test_scalars(scalar: str, build: Build) -> None:
    expected = SCALARS[scalar]
    done = build(named("a.yaml"), {"a.yaml": any_kind(f"  value: {scalar}\n")})
    (item,) = done.of("Any")
    assert item["spec"] == {"value": expected}
    assert isinstance(item["spec"]["value"], type(expected))


@needs_kubectl
def test_scalars_reach_the_cluster_as_kubectl_would_have_sent_them(build: Build) -> None:
    manifests = listed(list(SCALARS))
    done = build(named("a.yaml"), {"a.yaml": manifests})
    assert done.code == 0, done.err
    assert as_applied(done.out) == as_applied(manifests)


@needs_kubectl
@pytest.mark.parametrize("scalar", DISPUTED)
def test_disputed_scalars_are_read_as_kubectl_reads_them_or_refused(scalar: str, build: Build) -> None:
    manifests = any_kind(f"  value: {scalar}\n")
    done = build(named("a.yaml"), {"a.yaml": manifests})
    if done.code == 0:
        assert as_applied(done.out) == as_applied(manifests)
    else:
        assert re.search(r"error\[R01\d\d\]: .*\n  --> a\.yaml:5:10", done.err), done.err


@pytest.mark.parametrize("scalar", [".inf", "-.inf", ".nan", ".NaN"])
def test_numbers_that_json_does_not_have(scalar: str, build: Build) -> None:
    done = build(named("a.yaml"), {"a.yaml": any_kind(f"  value: {scalar}\n")})
    done.is_refused("R0111", "a.yaml", 5, 10)


@needs_kubectl
@pytest.mark.parametrize(
    "key",
    [
        *(
            "yes",
            "n",
            "on",
            "0644",
            "1e3",
            "1.50",
            "0x1F",
            "1_000",
            "1",
            "true",
            "~",
            "null",
            "-0",
            "+1",
            "1.27",
            "1.0",
        ),
        *(
            "1.0",
            ".5",
            "1e6",
            "123456.7",
            "16777217.5",
            "0.00001",
            "9223372036854775807",
            "18446744073709551615",
            "1.2.3",
        ),
        *("2020-01-01", "-.5", "._5", "1_0.5", "=", "NO", "Off", ".inf", "-.INF", ".NaN"),
    ],
)
def test_keys_are_read_as_kubectl_reads_them_or_refused(key: str, build: Build) -> None:
    """To kubectl a key `on` is `true`, as a value is; `12:30` and quoted keys are text to all."""
    manifests = any_kind(f"  {key}: a\n  12:30: b\n  'off': c\n")
    done = build(named("a.yaml"), {"a.yaml": manifests})
    if done.code == 0:
        assert as_applied(done.out) == as_applied(manifests)
    else:
        assert re.search(r"error\[R01\d\d\]: .*\n  --> a\.yaml:5:3", done.err), done.err


# Manifests

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations:
    quoted: "0644"
    single: 'yes'
    plain: 12:30
    date: 2020-01-01
    version: "1.10"
    empty: ""
    long: >-
      folded
      text

      with a blank line
    json: |
      {"a": "{{ $labels.instance }}"}
spec:
  replicas: 010
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, creationTimestamp: null}
    spec:
      automountServiceAccountToken: no
      containers:
      - name: web
        image: web:1
        args: ["--mode=0644", "-v", "1", '']
        env: [{name: A, value: "on"}, {name: B, value: "1e3"}]
        resources: {limits: {cpu: 0.5, memory: 1e9}, requests: {cpu: 1, memory: 64Mi}}
        securityContext: {}
        volumeMounts: [{name: conf, mountPath: /conf, readOnly: yes}]
      volumes:
      - {name: conf, configMap: {name: conf, defaultMode: 0644, items: [{key: a, path: a, mode: 0o400}]}}
      - {name: tmp, emptyDir: {}}
status: {}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data:
  a: |
    key: value
    octal: 0644
  keep: |+
    two lines follow


  strip: |-
    none follows

  indented: |2
      two more
  folded: >
    one
    line
  quoted: "a\\
    b\\n\\u00e9"
  plain: some
    more
binaryData: {x: AAEC}
"""

RULE = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: rules}
spec:
  groups:
  - name: up
    interval: 30s
    rules:
    - alert: Down
      expr: up{job=~"a|b"} == 0
      for: 5m
      annotations:
        summary: "{{ $labels.instance }} is down"
        description: '{{ if gt $value 1.0 }}{{ $value | humanize }}{{ end }} {{`{{`}}'
        plain: on {{ $labels.job }}
        block: |
          {{- range query "up" }}
          {{ .Labels.instance }}
          {{- end }}
        alike: "{{ island.key }} {% if x %} {# y #}"
"""

ANCHORS = """\
apiVersion: example.com/v1
kind: Any
metadata: {name: one}
defaults: &defaults {image: a, mode: 0644, flag: &flag yes}
spec:
- *defaults
- {<<: *defaults, image: b}
- <<: [*defaults, {extra: 1, image: never}]
  own: 0b11
- {<<: [{image: first}, {image: second, more: *flag}]}
- [*flag, *flag]
- *flag
---
apiVersion: example.com/v1
kind: Any
metadata: {name: two}
spec: {defaults: &defaults 1, again: *defaults}
"""

LIST = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: 'no'}}
- apiVersion: example.com/v1
  kind: Any
  metadata: {name: b}
  spec: {items: [1, 0x10]}
---
apiVersion: v1
kind: ConfigMapList
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {k: v}}
---
{apiVersion: example.com/v1, kind: AllowList, metadata: {name: d}, spec: {items: [{kind: ConfigMap}]}}
"""

MANY = """\
# first
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
--- # second
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data:
  nested: |
    ---
    inner: document
    ...
---

---
# nothing
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
"""

JSON = json.dumps(
    {
        "apiVersion": "example.com/v1",
        "kind": "Any",
        "metadata": {"name": "one"},
        "spec": {"a\tb": ["é\u2028", 1.0, 1e3]},
    },
    indent="\t",
)

MANIFESTS = {
    "deployment": DEPLOYMENT,
    "rule": RULE,
    "anchors": ANCHORS,
    "list": LIST,
    "many documents": MANY,
    "json with tabs": JSON,
    "windows": DEPLOYMENT.replace("\n", "\r\n"),
    "rule of windows": RULE.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + DEPLOYMENT,
    "no last line end": any_kind("  a: 0644"),
    "tabs": any_kind("  a:\t0644\t# comment\n  b: |\n    x\ty\t\n  c: 'x\ty'\n  d: [\t1,\t2 ]\n"),
    "other languages": any_kind("  ключ: значение\n  emoji: 🚀\n  nbsp: 'a\u00a0b'\n"),
    "line breaks of YAML 1.1": any_kind("  a: 'x\u2028y'\n  b: \"x\x85y\"\n"),
    "explicit keys": any_kind("  ? a\n  : 0644\n  ? 'b'\n  : - yes\n"),
    "empty values": any_kind("  a:\n  b: {}\n  c: []\n  d: ''\n  e: [~, '']\n"),
    "comments": any_kind("  a: 1 # {{ x }}\n  # {{ y }}\n  b: '#'\n"),
}


@needs_kubectl
@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_are_read_as_kubectl_reads_them(name: str, build: Build) -> None:
    manifests = MANIFESTS[name]
    source = dsl("resources: [{file: a.yaml}]\nexternal: {ConfigMap: [conf]}")
    done = build(source, {"a.yaml": manifests})
    assert done.code == 0, done.err
    mine, kubectls = as_applied(done.out), as_applied(manifests.removeprefix("\ufeff"))
    for item in (*mine, *kubectls):  # selectors and labels of pods get the island's: not of interest here
        if item["kind"] == "Deployment":
            item["spec"]["template"]["metadata"].pop("labels")
    assert mine == kubectls


@needs_kubectl
@pytest.mark.parametrize("name", MANIFESTS)
def test_shared_files_are_read_as_kubectl_reads_them(name: str, build: Build) -> None:
    manifests = MANIFESTS[name]
    done = build(
        dsl("units: {web: {image: web}}", "[{file: a.yaml}]"), {"a.yaml": manifests}, "dsl.yaml", "--only", "shared"
    )
    assert done.code == 0, done.err
    assert as_applied(done.out) == as_applied(manifests.removeprefix("\ufeff"))


def test_values_of_manifests(build: Build) -> None:
    """The same without kubectl, for the fields that people lose their files by."""
    done = build(dsl("resources: [{file: a.yaml}]"), {"a.yaml": DEPLOYMENT})
    (deployment,), (conf,) = done.of("Deployment"), done.of("ConfigMap")
    pod = deployment["spec"]["template"]["spec"]
    volume = pod["volumes"][0]["configMap"]
    assert (volume["defaultMode"], volume["items"][0]["mode"]) == (420, 256)
    assert deployment["spec"]["replicas"] == 8
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["volumeMounts"][0]["readOnly"] is True
    annotations = deployment["metadata"]["annotations"]
    assert (annotations["quoted"], annotations["single"], annotations["plain"]) == ("0644", "yes", "12:30")
    assert conf["data"]["a"] == "key: value\noctal: 0644\n"
    assert conf["data"]["keep"] == "two lines follow\n\n\n"


@needs_kubectl
@pytest.mark.parametrize(
    "spec",
    [
        "  {image: own, <<: *base}\n",
        "  <<: *base\n  <<: *base\n",
        "  a: !!str 0644\n",
        "  a: !!int '3'\n",
        "  a: !!float 3\n",
        "  a: !!binary aGVsbG8=\n",
        "  a: !own text\n",
        "  a: ! 0644\n",
        "  ? {a: b}\n  : c\n",
        "  '<<': {a: b}\n",
        "  a: <<\n",
    ],
)
def test_rare_yaml_is_read_as_kubectl_reads_it_or_refused(spec: str, build: Build) -> None:
    manifests = any_kind(spec).replace("spec:", "base: &base {image: a}\nspec:")
    done = build(named("a.yaml"), {"a.yaml": manifests})
    if done.code == 0:
        assert as_applied(done.out) == as_applied(manifests)
    else:
        assert re.search(r"error\[R0\d\d\d\]: .*\n  --> a\.yaml:[67]:\d+", done.err), done.err


@pytest.mark.parametrize(
    "text",
    ["a\0b", "\0", "a\x01\x1b[0m\x7f", "a\r\nb\r", "\ufeffa", " a ", "a\n ", "\u2028", "é\x85", "\ufffe", "{{", "}}"],
)
@pytest.mark.parametrize("scope", ["namespace", "prefix"])
def test_any_text_is_kept(scope: str, text: str, build: Build) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": text}}
    source = named("a.yaml").replace("scope: namespace", f"scope: {scope}")
    (item,) = build(source, {"a.yaml": json.dumps(manifest)}).of("ConfigMap")
    assert item["data"] == {"k": text}


# Islands


def test_each_island_has_its_own(build: Build) -> None:
    source = dsl("resources: [{file: a.yaml}]").replace(
        "scope: namespace, islands: {eu: {}}", "islands: {eu: {}, us: {}}"
    )
    done = build(source, {"a.yaml": config_map("flags", a="{{ island.key }}")})
    assert done.names == ["set-eu-flags", "set-us-flags"]
    assert {item["data"]["a"] for item in done.objects} == {"{{ island.key }}"}


@pytest.mark.parametrize(
    ("expressions", "expected"), [("true", "set/eu 3"), ("false", "{{ island.path }} {{ 1 + 2 }}")]
)
def test_expressions_where_they_are_asked_for(expressions: str, expected: str, build: Build) -> None:
    expected = expected.replace("set/eu", "eu").replace("island.path", "island.key")
    content = config_map("a", k="{{ island.key }} {{ 1 + 2 }}", kept="0644")
    (item,) = build(resource(f"file: a.yaml, expressions: {expressions}"), {"a.yaml": content}).of("ConfigMap")
    assert item["data"] == {"k": expected, "kept": "0644"}


def test_an_expression_keeps_its_type(build: Build) -> None:
    content = any_kind('  number: "{{ 1 + 2 }}"\n  text: "n{{ 1 + 2 }}"\n  list: "{{ [1, \'a\'] }}"\n')
    (item,) = build(resource("file: a.yaml, expressions: true"), {"a.yaml": content}).of("Any")
    assert item["spec"] == {"number": 3, "text": "n3", "list": [1, "a"]}


def test_an_expression_that_fails_is_told_in_the_file(build: Build) -> None:
    content = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: "{{ nothing }}"\n'
    done = build(resource("file: conf/a.yaml, expressions: true"), {"conf/a.yaml": content})
    assert "nothing" in done.is_refused("R0402", "conf/a.yaml", 5)


def test_when_and_for_each(build: Build) -> None:
    spec = """
resources:
- {file: a.yaml, when: false}
- {file: b.yaml, when: "{{ island.key == 'eu' }}"}
- {file: c.yaml, expressions: true, forEach: [one, two]}
"""
    contents = {
        "a.yaml": config_map("a"),
        "b.yaml": config_map("b"),
        "c.yaml": config_map("c-{{ item }}", k="{{ item }}"),
    }
    done = build(dsl(spec), contents)
    assert sorted(done.names) == ["b", "c-one", "c-two"]


# Which files


TREE: Contents = {
    "base/one.yaml": config_map("one"),
    "base/two.yaml": config_map("two"),
    "base/ten.yml": config_map("ten"),
    "base/.hidden.yaml": config_map("hidden"),
    "base/deep/three.yaml": config_map("three"),
    "base/folder.yaml/x.yaml": config_map("folder"),
    "apps/a/x.yaml": config_map("xa"),
    "apps/b/x.yaml": config_map("xb"),
    "apps/b/z.yaml": config_map("zb"),
    "apps/readme.md": "# no manifest\n",
    "dir/x.yaml": config_map("xd"),
}
GLOBS = {
    "base/one.yaml": ["one"],
    "./base/one.yaml": ["one"],
    "base//one.yaml": ["one"],
    "apps/../base/one.yaml": ["one"],
    "../root/base/one.yaml": ["one"],
    "base/*.yaml": ["one", "two"],
    "base/*.y*ml": ["ten", "one", "two"],
    "base/t??.y*ml": ["ten", "two"],
    "*/x.yaml": ["xd"],
    "apps/*/x.yaml": ["xa", "xb"],
    "apps/*/*.yaml": ["xa", "xb", "zb"],
    "*/*/x.yaml": ["xa", "xb", "folder"],
    "*/../base/one.yaml": ["one"],
    "base/.*.yaml": ["hidden"],
    "base/*/*.yaml": ["three", "folder"],
}


@pytest.mark.parametrize("pattern", GLOBS)
def test_patterns(pattern: str, build: Build) -> None:
    assert sorted(build(named(pattern), TREE).names) == sorted(GLOBS[pattern])


def test_a_pattern_in_a_directory_with_any_name(build: Build) -> None:
    """What the directory of the document is called is not part of the pattern."""
    for directory in ("[ab]", "a*", "what?", "{x}", "with a blank", "ünï"):
        contents = {f"{directory}/{name}": content for name, content in TREE.items()}
        done = build("", {**contents, f"{directory}/dsl.yaml": named("base/*.yaml")}, f"{directory}/dsl.yaml")
        assert done.names == ["one", "two"], directory


def test_files_are_relative_to_their_document(build: Build) -> None:
    contents = {f"deep/er/{name}": content for name, content in TREE.items()}
    contents["base/one.yaml"] = config_map("wrong")
    for argument in ("deep/er/dsl.yaml", "deep/er", "./deep/../deep/er/dsl.yaml"):
        done = build("", {**contents, "deep/er/dsl.yaml": named("base/one.yaml")}, argument)
        assert done.names == ["one"], argument


def test_a_root_above_the_working_directory(tmp_path: Path) -> None:
    put(tmp_path, {"work/dsl.yaml": named("../common/a.yaml"), "common/a.yaml": config_map("a")})
    run("dsl.yaml", cwd=tmp_path / "work").is_refused("R0801", "dsl.yaml", 6, FILE)
    assert run("dsl.yaml", "--root", "..", cwd=tmp_path / "work").names == ["a"]
    assert run("work/dsl.yaml", cwd=tmp_path).names == ["a"]
    run("work/dsl.yaml", "--root", "work", cwd=tmp_path).is_refused("R0801", "work/dsl.yaml", 6, FILE)


def test_standard_input_is_in_the_working_directory(tmp_path: Path) -> None:
    source = named("base/*.yaml").encode()
    put(tmp_path, {"base/a.yaml": config_map("wrong"), "work/base/a.yaml": config_map("right")})
    assert run("-", stdin=source, cwd=tmp_path / "work").names == ["right"]
    assert run("-", "--root", "..", stdin=source, cwd=tmp_path / "work").names == ["right"]
    run("-", stdin=named("../base/a.yaml").encode(), cwd=tmp_path / "work").is_refused("R0801", "<stdin>", 6, FILE)


def test_links_inside_the_root_are_followed(build: Build, tmp_path: Path) -> None:
    put(tmp_path / "root", TREE)
    (tmp_path / "root/link.yaml").symlink_to("base/one.yaml")
    (tmp_path / "root/there").symlink_to("base")
    assert build(named("link.yaml")).names == ["one"]
    assert build(named("there/two.yaml")).names == ["two"]
    assert build(named("there/*.yaml")).names == ["one", "two"]
    (tmp_path / "linked").symlink_to("root")
    assert run("dsl.yaml", cwd=tmp_path / "linked").names == ["one", "two"]
    assert run("linked/dsl.yaml", "--root", "linked", cwd=tmp_path).names == ["one", "two"]


NOWHERE = {
    "base/none.yaml": "base/none.yaml",
    "none/*.yaml": "no file matches",
    "base/*.json": "no file matches",
    "base/*.yaml/x": "no file matches",
    "**/*.yaml": "no `**`",
    "base/**": "no `**`",
    "base": "no file",
    ".": "no file",
    "base/": "no file",
    "base/folder.yaml": "no file",
    "base/one.yaml/x": "base/one.yaml/x",
    "../outside/a.yaml": "outside of the root",
    "../outside/*.yaml": "",
    "base/../../outside/a.yaml": "outside of the root",
    "../*/a.yaml": "",
    "/etc/hostname": "outside of the root",
    "/etc/host*": "",
    "link.yaml": "outside of the root",
    "l*.yaml": "outside of the root",
    "linked/a.yaml": "outside of the root",
    "linked/*.yaml": "",
    "l*/a.yaml": "outside of the root",
    "dangling.yaml": "dangling.yaml",
    "loop.yaml": "loop.yaml",
    "loop.yaml/*": "",
    "pipe.yaml": "no file",
    "p*.yaml": "",
    "a\0b": "NUL",
    "a\0*": "NUL",
    "x" * 300: "File name too long",
    "x" * 300 + "/*": "File name too long",
    "base/" * 1500 + "a.yaml": "File name too long",
    "{{ island.key }}.yaml": "",
    "~/a.yaml": "",
}


@pytest.mark.parametrize(
    ("of", "path"),
    [
        (of, path)
        for of in ("resources", "shared", "files")
        for path in NOWHERE
        if of != "files" or "*" not in path  # the files of a unit are named one by one
    ],
    ids=lambda text: text[:30].replace("\0", "NUL"),
)
def test_what_is_no_file_of_the_root(of: str, path: str, tmp_path: Path) -> None:
    """A finding at the line of the DSL, whatever the path."""
    root = tmp_path / "root"
    put(root, {name: content for name, content in TREE.items() if "/" in name})
    put(tmp_path, {"outside/a.yaml": config_map("secret")})
    (root / "link.yaml").symlink_to("../outside/a.yaml")
    (root / "linked").symlink_to("../outside")
    (root / "dangling.yaml").symlink_to("nowhere")
    (root / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(root / "pipe.yaml")
    quoted = json.dumps(path)
    entry = dsl("units: {web: {image: web}}", f"[{{file: {quoted}}}]")
    source, line, column = entry, 10, None
    if of == "resources":
        source, line, column = named(path), 6, FILE
    elif of == "files":
        source, line, column = dsl(f"units:\n  web:\n    image: web\n    files:\n      /a: {{file: {quoted}}}"), 9, 20
    put(root, {"dsl.yaml": source})
    done = run("dsl.yaml", cwd=root)
    assert NOWHERE[path] in done.is_refused("R0801", "dsl.yaml", line, column)
    assert "secret" not in done.err


@pytest.mark.parametrize("argument", ["a.yaml", "locked/a.yaml", "locked/*.yaml", "*/a.yaml"])
def test_what_must_not_be_read(argument: str, tmp_path: Path, unprivileged: tuple[str, ...]) -> None:
    put(tmp_path, {"dsl.yaml": named(argument), "a.yaml": config_map("a"), "locked/a.yaml": config_map("a")})
    (tmp_path / "a.yaml").chmod(0)
    (tmp_path / "locked").chmod(0)
    try:
        message = run("dsl.yaml", cwd=tmp_path, prefix=unprivileged).is_refused("R0801", "dsl.yaml", 6, FILE)
        assert f"`{argument.replace('*/', 'locked/').removesuffix('/*.yaml')}` cannot be read" in message
        assert "Permission denied" in message
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_a_name_that_this_system_cannot_write(tmp_path: Path) -> None:
    """Which depends on its locale; half a character is in none."""
    files = Files(str(tmp_path))
    with pytest.raises(Unreadable, match="no path"):
        files.read("dsl.yaml", "\ud800")
    with pytest.raises(Unreadable, match="no path"):
        files.match("dsl.yaml", "\ud800*")


def test_a_file_that_fails_to_be_read() -> None:
    broken = Path("/proc/self/mem")
    if not broken.is_file():
        pytest.skip("there is no /proc")
    done = run("-", "--root", "/", stdin=named(str(broken)).encode())
    assert "/proc/self/mem" in done.is_refused("R0801", "<stdin>", 6, FILE)


# What is in them


BROKEN = {
    "a key twice": (
        "R0103",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: 1}\ndata: {k: 2}\n",
        5,
        1,
    ),
    "an inner key twice": ("R0103", config_map("a").replace("{}", "{k: 1, 'k': 2}"), 4, 14),
    "not closed": ("R0101", "apiVersion: v1\nkind: [ConfigMap\n", 2, 7),
    "a tab": ("R0101", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: a\n", 4, None),
    "a template": (
        "R0107",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n  x: y\n",
        4,
        9,
    ),
    "Helm": ("R0107", "{{- if .Values.x }}\napiVersion: v1\nkind: ConfigMap\n{{- end }}\n", 1, 1),
    "an unknown alias": ("R0104", any_kind("  a: *none\n"), 5, 6),
    "an alias of itself": ("R0104", any_kind("  a: &a [*a]\n"), 5, None),
    "many aliases": (
        "R0104",
        any_kind("  a0: &a0 [x, x]\n" + "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))),
        None,
        None,
    ),
    "too deep": ("R0109", any_kind("  a: " + "[" * 200 + "]" * 200 + "\n"), 5, None),
    "a control character": ("R0101", any_kind("  a: b\x07\n"), 5, 7),
    "Latin-1": ("R0102", any_kind("  a: ").encode() + b"caf\xe9\n", 5, 9),
    "UTF-16": ("R0102", any_kind("  a: b\n").encode("utf-16"), 1, None),
    "binary": ("R0102", b"\x7fELF\0\0\0\0", 1, None),
    "text": ("R0201", "hello\n", 1, 1),
    "a list": ("R0201", config_map("a") + "---\n- a\n", 6, None),
    "no kind": ("R0312", "apiVersion: v1\nmetadata: {name: a}\n", 1, 1),
    "no name": ("R0312", config_map("a") + "---\napiVersion: v1\nkind: ConfigMap\n", 6, 1),
    "a name that is no text": ("R0312", config_map("a") + "---\n" + config_map("x").replace('"x"', "0644"), 6, None),
    "a wrong name": ("R0304", config_map("Wrong_Name"), 3, 18),
    "a List with what is no manifest": ("R0312", "apiVersion: v1\nkind: List\nitems:\n- 3\n", 4, None),
    "a List of texts": ("R0312", "apiVersion: v1\nkind: List\nitems: [a, b]\n", 3, None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_findings_name_the_file_and_its_line(name: str, build: Build) -> None:
    code, content, line, column = BROKEN[name]
    done = build(named("base/*.yaml"), {"base/good.yaml": config_map("good"), "base/x.yaml": content})
    assert (done.code, done.out) == (1, ""), done.err
    place = ":".join(str(number) if number else "[0-9]+" for number in (line, column))
    pattern = rf"error\[{code}\]: .*\n  --> base/x\.yaml:{place}\n"
    assert re.search(pattern, done.err), done.err


@pytest.mark.parametrize("name", ["", "\n", "# only\n", "---\n---\n", "---\n# a\n---\n~\n"])
def test_a_file_without_manifests(name: str, build: Build) -> None:
    build(named("base/*.yaml"), {"base/a.yaml": name}).is_refused("R0110", "dsl.yaml", 6, FILE)


@pytest.mark.parametrize("items", ["[]", ""])
def test_an_empty_list_is_fine(items: str, build: Build) -> None:
    contents = {"a.yaml": f"apiVersion: v1\nkind: List\nmetadata: {{}}\nitems: {items}\n", "b.yaml": config_map("b")}
    assert build(named("?.yaml"), contents).names == ["b"]


def test_each_file_without_manifests_is_told(build: Build) -> None:
    done = build(dsl("resources: [{file: a.yaml}, {file: b.yaml}]"), {"a.yaml": "a: [\n", "b.yaml": "# none\n"})
    assert done.is_refused("R0101", "a.yaml", 2) == done.is_refused("R0110", "dsl.yaml", 5)


@pytest.mark.parametrize("items", ["'{{ params.them }}'", "[{apiVersion: v1, kind: Any, metadata: {name: a}}]"])
def test_a_list_in_the_document(items: str, build: Build) -> None:
    """Its items may be what an expression gives; what is no manifest is told where it stands."""
    params = "params: {them: {type: array, items: {type: object}}}"
    source = dsl(f"{params}\nresources:\n- manifest:\n    apiVersion: v1\n    kind: List\n    items: {items}")
    given = "params: {them: [{apiVersion: v1, kind: Any, metadata: {name: a}}]}, islands"
    assert build(source.replace("islands", given)).names == ["a"]
    wrong = source.replace("islands", given).replace("kind: Any, ", "")
    build(wrong).is_refused("R0312", "dsl.yaml", 10)


def test_findings_are_told_relative_to_the_working_directory(tmp_path: Path) -> None:
    put(tmp_path, {"work/dsl.yaml": named("x.yaml"), "work/x.yaml": "a: [\n", "other/y": ""})
    for cwd, argument, shown in (("work", "dsl.yaml", "x.yaml"), (".", "work", "work/x.yaml")):
        run(argument, cwd=tmp_path / cwd).is_refused("R0101", shown, 2)
    run("../work/dsl.yaml", "--root", "..", cwd=tmp_path / "other").is_refused("R0101", "../work/x.yaml", 2)


def test_one_finding_for_a_file_that_is_named_twice(build: Build) -> None:
    done = build(dsl("resources: [{file: a.yaml}, {file: a.yaml}]", "[{file: a.yaml}]"), {"a.yaml": "a: [\n"})
    assert done.err.count("error[") == 1
    assert done.is_refused("R0101", "a.yaml", 2)


# The files of units


CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "text": b"a: 0644\nb: yes\n",
    "no line end": b"text",
    "blank": b" \n\n \n",
    "windows": b"a\r\nb\r\n",
    "old mac": b"a\rb",
    "byte order mark": b"\xef\xbb\xbfa: 1\n",
    "tabs": b"\ta\tb \t\n",
    "leading blanks": b"  a\n b\n",
    "templates": b"{{ .Values.x }} {{ island.key }} {{ nothing( }} {% if %} {# c #} ${HOME} $(POD)\n",
    "escapes": b"\x1b[0m \x7f \x01 \\n \"'\n",
    "line breaks of YAML 1.1": "a\x85b\u2028c\u2029d".encode(),
    "not a character": "a\ufffe\uffffb".encode(),
    "emoji": "🚀 é ключ".encode(),
    "like YAML": b"---\na: *x\n...\n% & ! | >\n",
    "true": b"true",
    "number": b"0644",
    "null": b"~",
    "Latin-1": b"caf\xe9\n",
    "UTF-16": "é\n".encode("utf-16"),
    "NUL": b"a\0b",
    "half a character": "é".encode()[:1],
    "surrogate": b"\xed\xa0\x80",
    "binary": bytes(range(256)) * 8,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}
IN_BASE64 = {"Latin-1", "UTF-16", "NUL", "half a character", "surrogate", "binary", "gzip"}


def unit_with(files: Mapping[str, str]) -> str:
    entries = "".join(f"\n      {json.dumps(path)}: {{file: {json.dumps(file)}}}" for path, file in files.items())
    return dsl(f"units:\n  web:\n    image: web\n    files:{entries}")


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("name", CONTENTS)
def test_contents_are_kept_to_the_byte(name: str, form: str, build: Build) -> None:
    """As text where they are text (binaryData is for what is not, or has a NUL)."""
    content = CONTENTS[name]
    source = unit_with({"/etc/web/file.conf": "conf/file"})
    done = build(source, {"conf/file": content}, "dsl.yaml", "--format", form)
    maps = [item for item in done.objects if item["kind"] == "ConfigMap"]
    assert [content_of(item) for item in maps] == [[content]]
    assert ("binaryData" in maps[0]) == (name in IN_BASE64)


def content_of(item: Object) -> list[bytes]:
    """The contents of a ConfigMap."""
    texts = [text.encode() for text in item.get("data", {}).values()]
    return texts + [base64.b64decode(text, validate=True) for text in item.get("binaryData", {}).values()]


@needs_kubectl
def test_contents_reach_the_cluster_as_they_are(build: Build) -> None:
    """Read by Go's reader, which has other ideas of line breaks and characters than Python's."""
    names = [f"f{number}" for number in range(len(CONTENTS))]
    source = unit_with({f"/etc/{name}": f"conf/{name}" for name in names})
    done = build(source, dict(zip((f"conf/{name}" for name in names), CONTENTS.values(), strict=True)))
    assert done.code == 0, done.err
    (item,) = [item for item in read_by_kubectl(done.out.encode()) if item["kind"] == "ConfigMap"]
    texts = {key: text.encode() for key, text in item["data"].items()}
    binaries = {key: base64.b64decode(text) for key, text in item["binaryData"].items()}
    read = {key.removeprefix("etc."): content for key, content in (texts | binaries).items()}
    assert {name: read[key] for name, key in zip(CONTENTS, names, strict=True)} == CONTENTS


def test_contents_are_never_expressions(build: Build) -> None:
    done = build(unit_with({"/a": "a"}), {"a": "{{ island.key }}"})
    assert done.of("ConfigMap")[0]["data"] == {"a": "{{ island.key }}"}


def test_a_change_of_a_file_is_seen_by_its_pods(build: Build) -> None:
    digests = []
    for content in ("one", "one", "two", b"\xff"):
        done = build(unit_with({"/a": "a"}), {"a": content})
        digests.append(done.of("Deployment")[0]["spec"]["template"]["metadata"]["annotations"]["replicator.dev/files"])
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("content", [b"a", b"\xff"])
def test_a_file_as_large_as_a_config_map(content: bytes, build: Build) -> None:
    source = unit_with({"/etc/large": "conf/large"})
    done = build(source, {"conf/large": content * MEBIBYTE})
    assert done.code == 0, done.err
    assert done.out.count("a" if content == b"a" else "/") >= MEBIBYTE
    message = build(source, {"conf/large": content * (MEBIBYTE + 1)}).is_refused("R0313", "dsl.yaml", 9, CONTENT)
    assert "1,048,577" in message
    assert "1,048,576" in message


def test_files_that_are_too_large_together(build: Build) -> None:
    """Kubernetes counts all that is in the ConfigMap of the unit."""
    source = unit_with({"/etc/one": "conf/one", "/etc/two": "conf/two"})
    half = MEBIBYTE // 2
    assert build(source, {"conf/one": b"a" * half, "conf/two": b"\xff" * half}).code == 0
    build(source, {"conf/one": b"a" * half, "conf/two": b"\xff" * (half + 1)}).is_refused("R0313", "dsl.yaml", 9)


def test_files_are_not_read_without_end(build: Build, tmp_path: Path) -> None:
    large = tmp_path / "root/large"
    large.parent.mkdir(exist_ok=True)
    with large.open("wb") as file:
        file.truncate(10**12)
    for source in (named("large"), unit_with({"/a": "large"})):
        assert "MB" in build(source).is_refused("R0801", "dsl.yaml", 6 if "resources" in source else 9)
