"""Scalars that readers of YAML take for something else: all of them read back the text that the compiler was given."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML
from strategies import document, literal, text_of

from replicator.pipeline import Source, build
from replicator.report import as_text

KUBECTL = Path(sys.executable).parent / "kubectl"

SCALARS: dict[str, tuple[str, ...]] = {
    "null and booleans": (
        *("", "~", "null", "Null", "NULL", "nULL", "nil", "None", "none", "true", "True", "TRUE", "tRUE", "false"),
        *("False", "FALSE", "y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off"),
        *("OFF", "oN"),
    ),
    "integers": (
        *("0", "1", "-1", "+1", "-0", "00", "01", "007", "08", "0o7", "0o14", "0O17", "-0o7", "0x1f", "0X1F", "-0x1f"),
        *("0xg", "0b101", "0B101", "-0b1", "0b2", "1_000", "_1", "1_", "1__0", "-1_0", "+0", "0_7", "0x_1", "0x"),
        *("0o", "0b", "+", "-", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
        *("18446744073709551616", "1" * 40, "12:30", "1:2:3", "12:30:45", "190:20:30", "60:60", "1:", ":1", "0:0"),
        *("-1:30", "12:30:45.5", "1,000", "1 000"),
    ),
    "floats": (
        *("1.0", "1.", ".5", "-.5", "+.5", "1e3", "1E3", "1e+3", "1e-3", "1.5e3", "1.5e+3", "1_0.5", "0.1", "-0.0"),
        *("1.2.3", ".inf", ".Inf", ".INF", "-.inf", "+.inf", ".nan", ".NaN", ".NAN", "inf", "Infinity", "-Infinity"),
        *("nan", "NaN", ".", "..", "e3", "1e", "1e400", "0x1p-2", "685_230.15", "6.8523015e+5", "190:20:30.15"),
        *("1e1_0", "._5", "1.e3"),
    ),
    "dates": (
        *("2020-01-01", "2020-1-1", "2020-01-01T00:00:00Z", "2001-12-14t21:59:43.10-05:00"),
        *("2001-12-14 21:59:43.10 -5", "2001-12-15 2:59:43.10", "2020-01", "20-01-01", "2020-13-45", "10:00"),
        *("2020-01-01 00:00:00", "12-12-2012"),
    ),
    "quantities and versions": (
        *("100m", "1Gi", "1.5Gi", "10k", "1Ei", "1E", "500ms", "15s", "1h", "1m30s", "v1.0", "1.0.0", "1.10"),
        *("sha256:abc", "redis:7", "a:b:c", "http://a.b:80/c?d=e#f", "10.0.0.1", "10.0.0.0/8", "::1", "[::1]:80"),
        *("a@b.c", "$(A)", "${A}"),
    ),
    "indicators": (
        *("-", "- a", "-a", "--", "---", "--- a", "----", "...", "... a", "?", "? a", "?a", ":", ": a", ":a", "a:"),
        *("a: b", "#", "# a", "a #b", "a#b", "a # b", "&a", "*a", "!", "!a", "!!str a", "!!int 1", "|", "|-", ">"),
        *(">+", "|\na", "@a", "`a", "%", "%a", "%YAML 1.1", "[", "]", "[a]", "[]", "{", "}", "{}", "{a}", "{a: b}"),
        *(",", ",a", "a,b", "a, b", "=", "<<", "<<: *a", "<", ">", "a > b", "a | b", "key: [1, 2]", "- - a", "? : -"),
        *("a\n- b", "a\n? b", "a\n: b"),
    ),
    "quotes and backslashes": (
        *("'", '"', "''", '""', "'a'", '"a"', "a'b", 'a"b', "it's", 'say "a"', "\\", "\\\\", "a\\", "\\n", "\\t"),
        *("\\u0041", "\\x41", '\\"', "'\\''", "\"'", "'\"", 'a\\"b', "C:\\dir\\new", "\\\na", "a \\\n b"),
    ),
    "blanks": (
        *(" ", "  ", " a", "a ", " a ", "a  b", "\t", "\ta", "a\t", "a\tb", "a\n\tb", " \t ", "\xa0", "\xa0a\xa0"),
        *("\u3000a", "   # a", "a   #", " - a", " : ", "\u2003", "\u200b", "a " * 60, "word " * 50, " " * 200),
    ),
    "line breaks": (
        *("\n", "\n\n", "\n\n\n", "a\n", "a\n\n", "\na", "\n\na", "a\nb", "a\nb\n", "a\nb\n\n", "a\n\nb"),
        *("a\n\n\nb\n", " a\nb", "a\n b", "a\n  b\n", "  a\n b\n", "a \nb", "a\n \nb", "a\nb ", "a\n ", "\n a", "\r"),
        *("a\rb", "a\r\nb\r\n", "\r\n", "a\r", "\n---\n", "a\n---\nb", "a\n...\nb", "---\na", "...\n", "a\n# b\n"),
        *("# a\nb", "# a\n# b\n", "a: b\nc: d\n", "- a\n- b\n", "{\n}\n", "[\n]\n", "|\n a\n", "a\n\tb\n", "\ta\nb"),
        *("a\x85b", "\x85", "a\u2028b", "\u2029", "a\n\x85\nb\n", "%a\n%b\n", "a\n\n", "key: |\n  text\n", "x\n" * 80),
        *("\n" * 20, "a\n" + " " * 9, "-----BEGIN A-----\nMIIB+/=\n-----END A-----\n"),
    ),
    "characters": (
        *("\x00", "a\x00b", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x0e", "\x1b", "\x1b[31m", "\x1f", "\x7f"),
        *("\x80", "\x84", "\x86", "\x9f", "\xad", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069"),
        *("\ufeff", "\ufeffa", "a\ufeff", "\ufffe", "\uffff", "\ufffd", "\ufffc", "\ufdd0", "\ue000", "\uf8ff"),
        *("\ud7ff", "\U0001fffe", "\U000e0001", "\U0010ffff", "é", "e\u0301", "ß", "İ"),
        *("ﬁ", "漢字", "かな", "한글", "ع"),
        *("שלום", "अ", "ไทย", "\U0001f600", "\U0001f1e9\U0001f1ea", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
        *("\u0301", "\U0001d54f", "a\n\U0001f600\nb\n", "é\n\ufeff\nb", "a\x07\nb\n"),
    ),
    "templates": (
        *("{#", "{# a #}", "#}", "{%", "{% if a %}", "%}", "{{", "}}", "{{ a }}", "{{ '{{' }}", "{{{", "}}}", "{ {"),
        *("{{}}", "{{\n}}", "a {{ b", "%s", "%(a)s", "%%", "%", "{0}", "{a.b}", "${{ a }}", "<% a %>", "$a", "\\{{"),
        *("{{-", "-}}", "##"),
    ),
    "long": (
        *("x" * 130, "x" * 1025, "x" * 5000, "0" * 1030, ("a" * 79 + " ") * 30, "é" * 600, "'" * 200, "a: " * 100),
        *("\t" * 100, "\n".join(f"line {number}" for number in range(300)), "x" * 2000 + "\n" + "y" * 2000 + "\n"),
    ),
}
TEXTS = tuple(dict.fromkeys(text for table in SCALARS.values() for text in table))

# What may be a label's value, or the name of a label or an annotation.
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
VALUES = tuple(text for text in TEXTS if _LABEL_VALUE.fullmatch(text))
NAMES = tuple(text for text in VALUES if text)

# What may be a key of a map that is merged into another: there `$` begins a directive.
KEYED = {text: text for text in TEXTS if "{{" not in text and not text.startswith("$") and len(text) < 1000}

NUMBERS = (
    *(0, 1, -1, 8, 10, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.5, -0.5, 1.0, 100.0, 1e15, 1e16, 1e21, 1e22, 1e23),
    *(1e100, 1e-4, 1e-5, 1e-7, 1.5e-9, 1.7976931348623157e308, 5e-324, 0.1, 1 / 3, 123456789.123, True, False, None),
)


@cache
def compiled() -> str:
    """The output of a project that holds every text, written in the Type and given as a parameter."""
    params = {f"p{number}": text for number, text in enumerate(TEXTS)}
    unit = {
        "image": "x",
        "env": {f"T{number}": literal(text) for number, text in enumerate(TEXTS)}
        | {f"P{number}": f"{{{{ params.p{number} }}}}" for number in range(len(TEXTS))},
        "args": [part for name in params for part in (f"{{{{ params.{name} }}}}", f"a: {{{{ params.{name} }}}}\nb\n")],
        "files": {f"/t{number}": literal(text) for number, text in enumerate(TEXTS)}
        | {f"/p{number}": f"{{{{ params.p{number} }}}}" for number in range(len(TEXTS))},
        "podMetadata": {
            "labels": {f"l{number}": value for number, value in enumerate(VALUES)} | {name: name for name in NAMES},
            "annotations": {name: name for name in NAMES} | {f"a/{name}": name for name in NAMES},
        },
        "pod": {"numbers": list(NUMBERS), "map": "{{ params.map }}", "nodeSelector": {name: name for name in NAMES}},
        "service": {"annotations": {name: name for name in NAMES}},
        "ports": {"http": 80},
    }
    schemas: dict[str, Any] = {name: {"type": "string"} for name in params}
    schemas["map"] = {"type": "object", "additionalProperties": True}
    values = {**{name: literal(text) for name, text in params.items()}, "map": {**KEYED, "number": 1e22}}
    text = text_of(
        document("IslandType", "t", {"params": schemas, "units": {"a": unit}}),
        document("IslandSet", "s", {"type": "t", "islands": {"eu": {"params": values}, "us": {"params": values}}}),
    )
    built = build([Source("a.yaml", text.encode())])
    assert not built.diagnostics, as_text(built.diagnostics, {})
    return b"".join(built.texts()).decode()


def _pure(text: str) -> list[Any]:
    return list(yaml.load_all(text, yaml.SafeLoader))


def _libyaml(text: str) -> list[Any]:
    return list(yaml.load_all(text, yaml.CSafeLoader))


def _ruamel(version: str) -> Callable[[str], list[Any]]:
    def read(text: str) -> list[Any]:
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        return list(reader.load_all(text))

    return read


def _kubectl(text: str) -> list[Any]:
    """As kubectl reads what it applies: Go's reader, printed as JSON."""
    run = subprocess.run(
        [KUBECTL, "annotate", "--local", "--filename=-", "--output=json", "example.com/read-by=kubectl"],
        input=text.encode(),
        capture_output=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr.decode()[:500]
    objects: list[Any] = []
    rest = run.stdout.decode()
    while rest := rest.lstrip():
        item, end = json.JSONDecoder().raw_decode(rest)
        item["metadata"]["annotations"].pop("example.com/read-by")
        objects.append(item)
        rest = rest[end:]
    return objects


READERS = {
    "PyYAML": _pure,
    "PyYAML with libyaml": _libyaml,
    "ruamel.yaml for YAML 1.1": _ruamel("1.1"),
    "ruamel.yaml for YAML 1.2": _ruamel("1.2"),
    "kubectl": _kubectl,
}


@cache
def read(reader: str) -> dict[str, Any]:
    """The objects of the first island by kind."""
    objects = {
        item["kind"]: item for item in READERS[reader](compiled()) if item["metadata"]["name"].startswith("s-eu")
    }
    assert objects.keys() == {"ConfigMap", "Service", "Deployment"}
    return objects


def pod(reader: str) -> Any:
    return read(reader)["Deployment"]["spec"]["template"]


def differing(found: Any, wanted: dict[str, Any]) -> list[tuple[Any, Any]]:
    """What was read otherwise than it was meant, by its key."""
    assert found.keys() == wanted.keys()
    return [(wanted[key], found[key]) for key in wanted if found[key] != wanted[key] or type(found[key]) is not str]


def test_the_table_is_large() -> None:
    assert len(TEXTS) >= 200
    assert len(NAMES) >= 60


@pytest.mark.parametrize("reader", READERS)
def test_variables(reader: str) -> None:
    (container,) = pod(reader)["spec"]["containers"]
    found = {item["name"]: item["value"] for item in container["env"]}
    wanted = {f"{letter}{number}": text for number, text in enumerate(TEXTS) for letter in "TP"}
    assert differing(found, wanted) == []


@pytest.mark.parametrize("reader", READERS)
def test_arguments(reader: str) -> None:
    """By themselves, and in the middle of several lines."""
    (container,) = pod(reader)["spec"]["containers"]
    wanted = [part for text in TEXTS for part in (text, f"a: {text}\nb\n")]
    assert [(one, other) for one, other in zip(wanted, container["args"], strict=True) if one != other] == []


@pytest.mark.parametrize("reader", READERS)
def test_files(reader: str) -> None:
    wanted = {f"{letter}{number}": text for number, text in enumerate(TEXTS) for letter in "tp"}
    assert differing(read(reader)["ConfigMap"]["data"], wanted) == []


@pytest.mark.parametrize("reader", READERS)
def test_names_and_values_of_labels_and_annotations(reader: str) -> None:
    metadata = pod(reader)["metadata"]
    names = {name: name for name in NAMES}
    labels = {name: value for name, value in metadata["labels"].items() if "/" not in name}
    assert differing(labels, {f"l{number}": value for number, value in enumerate(VALUES)} | names) == []
    annotations = {name: value for name, value in metadata["annotations"].items() if name != "replicator.dev/files"}
    assert differing(annotations, names | {f"a/{name}": name for name in NAMES}) == []
    assert differing(pod(reader)["spec"]["nodeSelector"], names) == []
    assert differing(read(reader)["Service"]["metadata"]["annotations"], names) == []


@pytest.mark.parametrize("reader", READERS)
def test_keys_of_a_parameter_that_is_a_map(reader: str) -> None:
    found = dict(pod(reader)["spec"]["map"])
    assert found.pop("number") == 1e22
    assert differing(found, KEYED) == []


@pytest.mark.parametrize("reader", READERS)
def test_numbers(reader: str) -> None:
    """JSON's numbers, of which 1 and 1.0 are one."""
    found = pod(reader)["spec"]["numbers"]
    assert found == list(NUMBERS)
    assert [isinstance(one, bool) for one in found] == [isinstance(one, bool) for one in NUMBERS]


# kustomize writes what it has read as YAML (for Go's reader) and reads that again; control characters stop it there.
_LEGIBLE = re.compile("[\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def test_kustomize_reads_and_writes_the_same(tmp_path: Path) -> None:
    unit = {
        "image": "x",
        "env": {f"T{number}": literal(text) for number, text in enumerate(TEXTS) if _LEGIBLE.fullmatch(text)},
        "files": {f"/t{number}": literal(text) for number, text in enumerate(TEXTS) if _LEGIBLE.fullmatch(text)},
        "podMetadata": {"annotations": {name: name for name in NAMES}},
    }
    text = text_of(
        document("IslandType", "t", {"units": {"a": unit}}),
        document("IslandSet", "s", {"type": "t", "islands": {"eu": None}}),
    )
    built = build([Source("a.yaml", text.encode())])
    (tmp_path / "all.yaml").write_bytes(b"".join(built.texts()))
    (tmp_path / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    run = subprocess.run([KUBECTL, "kustomize", tmp_path], capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr.decode()[:500]
    config, workload = _kubectl(run.stdout.decode())
    wanted = {number: text for number, text in enumerate(TEXTS) if _LEGIBLE.fullmatch(text)}
    assert differing(config["data"], {f"t{number}": text for number, text in wanted.items()}) == []
    template = workload["spec"]["template"]
    (container,) = template["spec"]["containers"]
    found = {item["name"]: item["value"] for item in container["env"]}
    assert differing(found, {f"T{number}": text for number, text in wanted.items()}) == []
    template["metadata"]["annotations"].pop("replicator.dev/files")
    assert differing(template["metadata"]["annotations"], {name: name for name in NAMES}) == []


def test_output_is_clean_yaml() -> None:
    """No aliases, no tags, no folded lines, no carriage return; every character is one that may be seen."""
    text = compiled()
    assert "\r" not in text
    assert text.endswith("\n")
    for event in yaml.parse(text, yaml.CSafeLoader):
        assert getattr(event, "anchor", None) is None
        assert getattr(event, "tag", None) is None
        if isinstance(event, yaml.ScalarEvent):
            assert event.style in ("", '"', "|"), event
            start, end = event.start_mark, event.end_mark
            assert event.style == "|" or (start and end and start.line == end.line), event
    unseen = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
    assert unseen.search(text) is None


@pytest.mark.parametrize("reader", READERS)
def test_a_key_longer_than_readers_look_ahead(reader: str) -> None:
    """YAML's readers look 1,024 characters ahead for the colon after a key: beyond that a key needs another form."""
    keys: dict[str, Any] = {"k" * 1020: "a", "k" * 1100: "b", "k" * 5000: "c", "k\n" * 600: "d"}
    keys |= {"m" * 2000: {"inner": 1, "i" * 2000: 2}, "l" * 2000: ["a", {"n" * 2000: {}, "b": [[]]}], "e" * 2000: []}
    params = {"map": {"type": "object", "additionalProperties": True, "default": keys}}
    unit = {"image": "x", "pod": {"map": "{{ params.map }}"}}
    text = text_of(
        document("IslandType", "t", {"params": params, "units": {"a": unit}}),
        document("IslandSet", "s", {"type": "t", "islands": {"eu": None}}),
    )
    built = build([Source("a.yaml", text.encode())])
    if built.diagnostics:
        assert all(one.place is not None for one in built.diagnostics)
        return
    (workload,) = READERS[reader](b"".join(built.texts()).decode())
    assert workload["spec"]["template"]["spec"]["map"] == keys
