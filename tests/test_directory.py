"""`build -o DIR`: which files there are, that nothing else is touched, and what is left when something goes wrong."""

import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from replicator.cli import main

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(ROOT.glob("dsl-examples/*.yaml"))

API = "replicator.dev/v1alpha1"
MARK = b"# Written by replicator as "


def header(path: str) -> bytes:
    """The line that a file of ours begins with."""
    return MARK + path.encode() + b"; changes to this file are lost.\n"


Tree = dict[str, bytes | str]


# A project of two Sets, one of them with Sets inside, and a Routing


def document(kind: str, name: str, spec: Mapping[str, Any], **metadata: str) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def unit(image: str, **more: Any) -> dict[str, Any]:
    return {"image": image, "ports": {"http": 8080}, **more}


TYPES = [
    document(
        "IslandType",
        "cart",
        {
            "params": {"version": {"type": "string", "default": "1"}},
            "ports": {"http": {"unit": "api", "port": "http"}},
            "units": {"api": unit("cart:{{ params.version }}"), "db": unit("db:1", kind="StatefulSet")},
            "sets": {"cell": {"type": "cell", "islands": {"a": {}, "b": {}}}},
        },
    ),
    document("IslandType", "cell", {"units": {"worker": unit("worker:1")}}),
]
FLAGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"}}
ROUTES = [{"name": "in", "each": "carts", "match": {"headers": {"x-island": "{{ island.key }}"}}}]


def carts(versions: Mapping[str, str], flag: str = "b") -> dict[str, Any]:
    """The first Set. It has a shared object unless `flag` is ''."""
    islands = {key: {"params": {"version": version}} for key, version in versions.items()}
    shared = [{"manifest": {**FLAGS, "data": {"a": flag}}}] if flag else []
    return document("IslandSet", "carts", {"type": "cart", "islands": islands, "shared": shared}, namespace="shop")


def cells(name: str, count: int) -> dict[str, Any]:
    return document("IslandSet", name, {"type": "cell", "replicas": count}, namespace="shop")


def routing(name: str = "edge", routes: Sequence[Any] = ROUTES, host: str = "a.example.com") -> dict[str, Any]:
    return document("Routing", name, {"hosts": [host], "routes": routes}, namespace="edge")


def written(file: Path, *documents: Mapping[str, Any]) -> Path:
    file.write_text("---\n".join(json.dumps(one) + "\n" for one in (*TYPES, *documents)))
    return file


def project(file: Path, *keys: str, **versions: str) -> Path:
    """The usual project with these islands in its first Set, by key or by key and version."""
    return written(file, carts({**dict.fromkeys(keys, "1"), **versions}), cells("mail", 2), routing())


def files_of(key: str) -> set[str]:
    return {f"carts/{key}.yaml", f"carts/{key}.cell.a.yaml", f"carts/{key}.cell.b.yaml"}


ALWAYS = {"_routing/edge.yaml", "carts/_shared.yaml", "mail/0.yaml", "mail/1.yaml"}


# What there is in a directory


def tree(directory: Path) -> Tree:
    """All that is below a directory: the bytes of files, and what else there is in words."""

    def what(path: Path) -> bytes | str:
        if path.is_symlink():
            return f"a link to {path.readlink()}"
        if path.is_dir():
            return "a directory"
        return path.read_bytes() if path.is_file() else "a special file"

    return {path.relative_to(directory).as_posix(): what(path) for path in sorted(directory.rglob("*"))}


def files(directory: Path) -> dict[str, bytes]:
    return {path: content for path, content in tree(directory).items() if isinstance(content, bytes)}


def stamps(directory: Path) -> dict[str, tuple[int, int]]:
    """Inodes and times of change of all that is below a directory, and of itself."""
    paths = [directory, *directory.rglob("*")]
    return {str(path): (stat.st_ino, stat.st_mtime_ns) for path in paths for stat in [path.lstat()]}


def touched(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> set[str]:
    """The files that are added, removed or different."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def objects(text: bytes) -> list[bytes]:
    """The texts of the documents of a stream, or of files one after the other, sorted."""
    bare = re.sub(rb"^# (Written by|Partition) .*\n", b"", text, flags=re.MULTILINE)
    first, *documents = re.split(rb"^---\n", bare, flags=re.MULTILINE)
    assert first == b""
    return sorted(documents)


ALLOWED = "--allow-removed"  # what may be gone, and who says so, is in test_shrinking.py


def build(source: Path, output: Path, *more: str) -> int:
    return main(["build", str(source), "-o", str(output), ALLOWED, *more])


def equal(source: Path, output: Path, *more: str) -> bool:
    """What `--check` says: whether the directory is what the build would write."""
    code = build(source, output, "--check", *more)
    assert code in (0, 1)
    return code == 0


def command(*arguments: str | Path) -> list[str]:
    allowed = [ALLOWED] if "-o" in arguments else []
    return [sys.executable, "-m", "replicator", "build", *allowed, *map(str, arguments)]


def environment(hooks: Path | None = None, measured: bool = True) -> dict[str, str]:
    """For a build as a process of its own; `hooks` is a directory with a sitecustomize.py for it.

    Where it is not `measured`, it writes no coverage data either.
    """
    paths = [str(hooks), str(ROOT)] if hooks else [str(ROOT)]
    kept = {name: value for name, value in os.environ.items() if measured or not name.startswith(("COV_", "COVERAGE_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def run(
    *arguments: str | Path, hooks: Path | None = None, measured: bool = True, **more: Any
) -> subprocess.CompletedProcess[str]:
    env = environment(hooks, measured)
    return subprocess.run(command(*arguments), env=env, capture_output=True, text=True, check=False, timeout=10, **more)


def a_diagnosis(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a build that ended with exit code 2: one line with its code, and no traceback."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"error\[R\d{4}\]: .+\n", done.stderr), done.stderr
    return done.stderr


# Layouts


def test_island_layout(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert build(project(tmp_path / "dsl.yaml", "eu", "us"), output) == 0
    assert files(output).keys() == files_of("eu") | files_of("us") | ALWAYS
    for path, content in files(output).items():
        assert content.startswith(header(path) + b"---\n"), path
        assert content.endswith(b"\n"), path
        islands = {
            item["metadata"].get("labels", {}).get("replicator.dev/island") for item in yaml.safe_load_all(content)
        }
        set_name, _, name = path.removesuffix(".yaml").replace(".", "-").partition("/")
        if set_name == "_routing":  # its own object, and what it needs of the island
            assert islands == {None, "carts-eu", "carts-us"}
        else:
            assert islands == {None if name == "_shared" else f"{set_name}-{name}"}, path


def test_object_layout(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert build(project(tmp_path / "dsl.yaml", "eu"), output, "--layout", "object") == 0
    inner = {f"carts/eu.cell.{key}/{kind}-worker.yaml" for key in "ab" for kind in ("deployment", "service")}
    assert files(output).keys() == inner | {
        "_routing/edge/upstream-edge-carts-eu-http.yaml",
        "_routing/edge/virtualservice-edge.yaml",
        "carts/_shared/configmap-flags.yaml",
        "carts/eu/deployment-api.yaml",
        "carts/eu/service-api.yaml",
        "carts/eu/service-db-headless.yaml",
        "carts/eu/service-db.yaml",
        "carts/eu/statefulset-db.yaml",
        "mail/0/deployment-worker.yaml",
        "mail/0/service-worker.yaml",
        "mail/1/deployment-worker.yaml",
        "mail/1/service-worker.yaml",
    }
    for path, content in files(output).items():
        (item,) = yaml.safe_load_all(content)
        assert Path(path).name.startswith(f"{item['kind'].lower()}-")


def test_documents_of_the_dsl_have_a_file(tmp_path: Path) -> None:
    output = tmp_path / "out"
    source = project(tmp_path / "dsl.yaml", "eu")
    assert build(source, output, "--with-dsl") == 0
    stored = list(yaml.safe_load_all(files(output)["_dsl.yaml"]))
    assert [item["kind"] for item in stored] == ["IslandType", "IslandType", "IslandSet", "IslandSet", "Routing"]
    assert build(source, output) == 0
    assert "_dsl.yaml" not in files(output)


@pytest.mark.parametrize("layout", ["island", "object"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_files_hold_what_standard_output_holds(
    example: Path,
    layout: str,
    tmp_path: Path,
    build: Callable[[Path], str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["build", str(example), "-o", str(tmp_path), "--layout", layout]) == 0
    capfd.readouterr()
    assert objects(b"".join(files(tmp_path).values())) == objects(build(example).encode())


@pytest.mark.parametrize("layout", ["island", "object"])
def test_two_objects_of_one_kind_and_name(layout: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Kinds of two API groups may have one name, as Knative's and Kubernetes' Service: neither may be lost."""
    versions = ("v1", "serving.knative.dev/v1")
    named = [
        {"apiVersion": version, "kind": "Service", "metadata": {"name": "web"}, "spec": {}} for version in versions
    ]
    manifests = [{"manifest": manifest} for manifest in named]
    owner = document("IslandType", "own", {"rewriteHosts": "none", "resources": manifests})
    source = written(
        tmp_path / "dsl.yaml",
        owner,
        document("IslandSet", "owns", {"type": "own", "islands": {"eu": {}}, "shared": manifests}, namespace="shop"),
    )
    output = tmp_path / "out"
    assert build(source, output, "--layout", layout) == 0
    capfd.readouterr()
    assert main(["build", str(source)]) == 0
    assert objects(b"".join(files(output).values())) == objects(capfd.readouterr().out.encode())


@pytest.mark.parametrize("name", ["deep/er/out", "with a blank", "ünï", ".hidden/out", "out/"])
def test_any_directory(name: str, tmp_path: Path) -> None:
    source = project(tmp_path / "dsl.yaml", "eu")
    assert main(["build", str(source), "-o", f"{tmp_path}/{name}"]) == 0
    assert files(tmp_path / name).keys() == files_of("eu") | ALWAYS
    assert equal(source, tmp_path / name)


def test_working_directory_and_link_to_a_directory(tmp_path: Path) -> None:
    source = project(tmp_path / "dsl.yaml", "eu")
    output = tmp_path / "out"
    output.mkdir()
    (tmp_path / "link").symlink_to("out")
    assert run(source, "-o", ".", cwd=output).returncode == 0
    assert files(output).keys() == files_of("eu") | ALWAYS
    assert equal(source, tmp_path / "link")
    assert build(project(source, "eu", "us"), tmp_path / "link") == 0
    assert equal(source, output)


# Small changes


@pytest.mark.parametrize("layout", ["island", "object"])
def test_equal_files_are_not_touched(layout: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu", "us"), tmp_path / "out"
    assert build(source, output, "--layout", layout) == 0
    before, count = stamps(output), len(files(output))
    assert capfd.readouterr() == ("", f"{output}: {count} written, 0 unchanged, 0 removed\n")
    assert build(source, output, "--layout", layout) == 0
    assert capfd.readouterr() == ("", f"{output}: 0 written, {count} unchanged, 0 removed\n")
    assert stamps(output) == before


def test_adding_an_island_adds_its_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    build(project(tmp_path / "dsl.yaml", "eu", "us"), output)
    before, old = stamps(output), files(output)
    capfd.readouterr()
    build(project(tmp_path / "dsl.yaml", "eu", "us", "ap"), output)
    assert capfd.readouterr().err == f"{output}: 4 written, 9 unchanged, 0 removed\n"
    assert touched(old, files(output)) == files_of("ap") | {"_routing/edge.yaml"}
    assert files(output).keys() - old.keys() == files_of("ap")
    unlike = {path for path, stamp in stamps(output).items() if before.get(path, stamp) != stamp}
    assert unlike == {str(output / path) for path in ("carts", "_routing", "_routing/edge.yaml")}


@pytest.mark.parametrize(
    ("fewer", "more", "added"),
    [
        ({"replicas": 9}, {"replicas": 11}, {"cell/9.yaml", "cell/10.yaml"}),
        ({"replicas": 2}, {"replicas": 4, "start": 0}, {"cell/2.yaml", "cell/3.yaml"}),
        ({"islands": {"b": {}}}, {"islands": {"a": {}, "b": {}}}, {"cell/a.yaml"}),
    ],
)
def test_adding_islands_by_count_or_key(
    fewer: dict[str, Any], more: dict[str, Any], added: set[str], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    build(written(tmp_path / "1.yaml", document("IslandSet", "cell", {"type": "cell", **fewer})), output)
    before = files(output)
    build(written(tmp_path / "2.yaml", document("IslandSet", "cell", {"type": "cell", **more})), output)
    assert touched(before, files(output)) == added


def test_editing_an_island_changes_its_file(tmp_path: Path) -> None:
    output = tmp_path / "out"
    build(project(tmp_path / "dsl.yaml", "eu", "us"), output)
    before, old = stamps(output), files(output)
    build(project(tmp_path / "dsl.yaml", "eu", us="2"), output)
    assert touched(old, files(output)) == {"carts/us.yaml"}
    changed = {path for path, stamp in stamps(output).items() if before[path] != stamp}
    assert changed == {str(output / "carts"), str(output / "carts/us.yaml")}


def test_files_of_removed_islands_are_removed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    build(project(tmp_path / "dsl.yaml", "eu", "us"), output)
    old = files(output)
    capfd.readouterr()
    build(project(tmp_path / "dsl.yaml", "us"), output)
    told, *deletions = capfd.readouterr().err.splitlines()
    assert told == f"{output}: 1 written, 6 unchanged, 3 removed"
    assert deletions[0] == "to be deleted: 10 objects"
    assert old.keys() - files(output).keys() == files_of("eu")
    assert touched(old, files(output)) == files_of("eu") | {"_routing/edge.yaml"}


@pytest.mark.parametrize("layout", ["island", "object"])
def test_empty_directories_are_removed(layout: str, tmp_path: Path) -> None:
    """Those of a Set, of the routing, and (in a file for each object) of an island."""
    source, output = tmp_path / "dsl.yaml", tmp_path / "out"
    build(project(source, "eu", "us"), output, "--layout", layout)
    build(written(source, carts({"eu": "1"}, flag="")), output, "--layout", layout)
    found = {path for path, what in tree(output).items() if what == "a directory"}
    assert found == ({"carts"} if layout == "island" else {"carts", "carts/eu", "carts/eu.cell.a", "carts/eu.cell.b"})
    build(written(source, cells("mail", 1)), output, "--layout", layout)
    assert {path.split("/")[0] for path in tree(output)} == {"mail"}


def test_layouts_replace_each_other(tmp_path: Path) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu"), tmp_path / "out"
    trees = []
    for layout in ("island", "object", "island", "object"):
        assert build(source, output, "--layout", layout) == 0
        trees.append(tree(output))
    assert trees[0] == trees[2] != trees[1] == trees[3]
    assert not trees[0].keys() & {path for path, what in trees[1].items() if isinstance(what, bytes)}


# What others have put there


def a_file(path: Path, content: bytes = b"kind: ConfigMap\n") -> int:
    path.parent.mkdir(exist_ok=True)
    return path.write_bytes(content)


FOREIGN: dict[str, Callable[[Path], object]] = {
    "README.md": a_file,
    "empty.yaml": Path.touch,
    "kustomization.yaml": a_file,
    "carts/notes.yaml": a_file,
    "carts/eu.yaml.orig": a_file,
    "carts/later/a.yaml": a_file,
    "elsewhere/a.yaml": a_file,
    "header.txt": lambda path: a_file(path, header(path.name)),
    "late-header.yaml": lambda path: a_file(path, b"# Mine\n" + header(path.name)),
    ".git/config.yaml": lambda path: a_file(path, header(path.name)),
    "empty": Path.mkdir,
    "carts/empty": Path.mkdir,
    "empty.d.yaml": Path.mkdir,
    "dangling.yaml": lambda path: path.symlink_to("nowhere"),
    "loop.yaml": lambda path: path.symlink_to("loop.yaml"),
    "alias.yaml": lambda path: path.symlink_to("carts/us.yaml"),
    "alias": lambda path: path.symlink_to("carts"),
    "pipe.yaml": os.mkfifo,
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_wrote_is_never_touched(name: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    build(project(tmp_path / "dsl.yaml", "eu", "us"), output)
    FOREIGN[name](output / name)
    foreign, stamp = tree(output)[name], stamps(output)[str(output / name)]
    for source in (project(tmp_path / "less.yaml", "us"), written(tmp_path / "other.yaml", cells("other", 1))):
        done = run(source, "-o", output)
        assert (done.returncode, done.stderr.partition(": ")[0]) == (0, str(output)), done.stderr
        assert tree(output)[name] == foreign
        assert stamps(output)[str(output / name)] == stamp
        done = run(source, "-o", output, "--check")
        assert (done.returncode, done.stderr) == (0, "")
    own = {path for path, what in tree(output).items() if isinstance(what, bytes) and what.startswith(MARK)}
    assert own - FOREIGN.keys() == {"other/0.yaml"}


def test_a_directory_of_another_build_inside_is_never_touched(tmp_path: Path) -> None:
    """Whichever layout it has, and from whichever directory above it is seen."""
    output = tmp_path / "out"
    source = project(tmp_path / "dsl.yaml", "eu", "us")
    assert build(source, output / "team/a") == build(source, output / "b", "--layout", "object") == 0
    inside = tree(output)
    build(project(tmp_path / "more.yaml", "eu", "us", "ap"), output)
    build(project(tmp_path / "less.yaml", "us"), output)
    assert {path: what for path, what in tree(output).items() if path in inside} == inside
    assert run(tmp_path / "less.yaml", "-o", output, "--check").returncode == 0


WAYS: dict[str, Callable[[Path], object]] = {
    "carts/eu.yaml": a_file,
    "carts/us.yaml": Path.touch,
    "carts/eu.cell.a.yaml": Path.mkdir,
    "carts/us.cell.a.yaml": lambda path: a_file(path / "a.yaml"),
    "carts/_shared.yaml": lambda path: path.symlink_to("nowhere"),
    "mail/0.yaml": lambda path: path.symlink_to("../../aside/foreign.yaml"),
    "mail/1.yaml": lambda path: path.symlink_to("../../aside/own.yaml"),
    "_routing/edge.yaml": os.mkfifo,
    "carts": a_file,
    "mail": lambda path: path.symlink_to("../aside"),
    "_routing": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("name", WAYS)
def test_nothing_is_written_where_something_is_in_the_way(name: str, tmp_path: Path) -> None:
    """Not even what is not in the way, nor anything behind a link."""
    source, output, aside = project(tmp_path / "dsl.yaml", "eu", "us"), tmp_path / "out", tmp_path / "aside"
    aside.mkdir()
    a_file(aside / "foreign.yaml")
    build(source, tmp_path / "model")
    shutil.copy(tmp_path / "model/mail/0.yaml", aside / "own.yaml")
    (output / name).parent.mkdir(parents=True)
    WAYS[name](output / name)
    before = tree(output), tree(aside)
    done = run(source, "-o", output)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert f"error[R0804]: {output / name}" in done.stderr
    assert (tree(output), tree(aside)) == before
    assert run(source, "-o", output, "--check").returncode == 1


def test_all_that_is_in_the_way_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu", us="2"), tmp_path / "out"
    build(project(tmp_path / "old.yaml", "eu", "us"), output)
    for name in ("carts/eu.yaml", "mail/1.yaml"):
        a_file(output / name)
    before = tree(output)
    capfd.readouterr()
    assert build(source, output) == 1
    told = capfd.readouterr().err
    assert [line for line in told.splitlines() if line.startswith("error")] == [
        f"error[R0804]: {output / name} was not written by replicator" for name in ("carts/eu.yaml", "mail/1.yaml")
    ]
    assert "nothing was written" in told
    assert tree(output) == before


# Parts of a build


# What a build changes where `us` is edited, `ap` is new, `eu` and `mail/1` are gone, shared object and routing differ.
PARTS: dict[str, set[str]] = {
    "--island carts/us": {"carts/us.yaml"},
    "--island carts/us --only islands": {"carts/us.yaml"},
    "--island carts/u*": {"carts/us.yaml"},
    "--island carts/*": {"carts/us.yaml"} | files_of("eu") | files_of("ap"),
    "--island */*": {"carts/us.yaml", "mail/1.yaml"} | files_of("eu") | files_of("ap"),
    "--island ma*/?": {"mail/1.yaml"},
    "--island carts/us/cell/*": set(),
    "--island mail/0 --island carts/[au]*": {"carts/us.yaml"} | files_of("ap"),
    "--only shared": {"carts/_shared.yaml"},
    "--only routing": {"_routing/edge.yaml", "_routing/gone.yaml"},
    "--only islands": {"carts/us.yaml", "mail/1.yaml"} | files_of("eu") | files_of("ap"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_compares_and_removes_what_it_selects(part: str, tmp_path: Path) -> None:
    output, flags, expected = tmp_path / "out", part.split(), PARTS[part]
    gone = routing("gone", [{"name": "all", "to": {"spread": "carts"}}], "b.example.com")
    build(written(tmp_path / "1.yaml", carts({"eu": "1", "us": "1"}), cells("mail", 2), routing(), gone), output)
    source = written(tmp_path / "2.yaml", carts({"us": "2", "ap": "1"}, "c"), cells("mail", 1), routing())
    before = files(output)
    assert not equal(source, output)
    assert equal(source, output, *flags) == (not expected)
    assert build(source, output, *flags) == 0
    assert touched(before, files(output)) == expected
    assert equal(source, output, *flags)
    build(source, output)
    assert equal(source, output)


def test_parts_of_the_layout_by_object(tmp_path: Path) -> None:
    output = tmp_path / "out"
    layout = ("--layout", "object")
    build(project(tmp_path / "1.yaml", "eu", "us"), output, *layout)
    source = written(tmp_path / "2.yaml", carts({"us": "2"}, flag=""), cells("mail", 1))
    steps = [
        (["--only", "shared"], {"carts/_shared/configmap-flags.yaml"}),
        (["--island", "carts/us"], {"carts/us/deployment-api.yaml"}),
        (["--only", "routing"], {path for path in files(output) if path.startswith("_routing/")}),
        (["--island", "mail/*"], {path for path in files(output) if path.startswith("mail/1/")}),
        (["--only", "islands"], {path for path in files(output) if path.startswith(("carts/eu/", "carts/eu."))}),
    ]
    for flags, expected in steps:
        before = files(output)
        assert not equal(source, output, *layout, *flags)
        assert build(source, output, *layout, *flags) == 0
        assert touched(before, files(output)) == expected
    assert equal(source, output, *layout)


def test_stored_documents_are_shared(tmp_path: Path) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu"), tmp_path / "out"
    build(source, output, "--with-dsl")
    before = tree(output)
    for flags in (["--only", "islands"], ["--only", "routing"], ["--island", "carts/*"]):
        assert build(source, output, *flags) == 0
        assert tree(output) == before, flags
    assert build(source, output, "--only", "shared") == 0
    assert before.keys() - tree(output).keys() == {"_dsl.yaml"}


# --check


def test_check_of_an_equal_directory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu"), tmp_path / "out"
    build(source, output)
    before = stamps(output)
    capfd.readouterr()
    assert build(source, output, "--check") == 0
    assert capfd.readouterr() == ("", "")
    assert stamps(output) == before


def test_check_makes_no_directory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert build(project(tmp_path / "dsl.yaml", "eu"), output, "--check") == 1
    told = capfd.readouterr().err.splitlines()
    assert sorted(told[:-1]) == [f"missing: {output / path}" for path in sorted(files_of("eu") | ALWAYS)]
    assert not output.exists()


def truncate(path: Path, size: int) -> int:
    return path.write_bytes(path.read_bytes()[:size])


def a_directory_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_mixture(directory: Path) -> None:
    (directory / "carts/ap.yaml").unlink()
    (directory / "carts/.replicator-1-7.tmp").write_bytes(MARK)
    truncate(directory / "_routing/edge.yaml", 100)
    shutil.copy(directory / "carts/eu.yaml", directory / "carts/old.yaml")


DAMAGE: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "missing": (lambda out: (out / "carts/eu.yaml").unlink(), ["missing: carts/eu.yaml"]),
    "no directory": (lambda out: shutil.rmtree(out / "mail"), ["missing: mail/0.yaml", "missing: mail/1.yaml"]),
    "different": (
        lambda out: (out / "carts/eu.yaml").write_bytes((out / "carts/us.yaml").read_bytes()),
        ["different: carts/eu.yaml"],
    ),
    "one byte": (
        lambda out: (out / "mail/0.yaml").write_bytes((out / "mail/0.yaml").read_bytes().replace(b":1", b":2")),
        ["different: mail/0.yaml"],
    ),
    "line ends": (
        lambda out: (out / "mail/0.yaml").write_bytes((out / "mail/0.yaml").read_bytes().replace(b"\n", b"\r\n")),
        ["different: mail/0.yaml"],
    ),
    "no header": (
        lambda out: (out / "mail/0.yaml").write_bytes((out / "mail/0.yaml").read_bytes().partition(b"\n")[2]),
        ["different: mail/0.yaml"],
    ),
    "last byte": (lambda out: truncate(out / "carts/us.yaml", -1), ["different: carts/us.yaml"]),
    "half": (lambda out: truncate(out / "carts/us.yaml", 700), ["different: carts/us.yaml"]),
    "all but the header": (
        lambda out: truncate(out / "carts/us.yaml", len(header("carts/us.yaml"))),
        ["different: carts/us.yaml"],
    ),
    "all": (lambda out: truncate(out / "carts/us.yaml", 0), ["different: carts/us.yaml"]),
    "stale": (lambda out: shutil.copy(out / "mail/0.yaml", out / "mail/7.yaml"), ["stale: mail/7.yaml"]),
    "stale Set": (
        lambda out: shutil.copytree(out / "mail", out / "post"),
        ["stale: post/0.yaml", "stale: post/1.yaml"],
    ),
    "a directory": (lambda out: a_directory_instead(out / "mail/0.yaml"), ["different: mail/0.yaml"]),
    "a mixture": (
        a_mixture,
        ["different: _routing/edge.yaml", "missing: carts/ap.yaml", "stale: carts/old.yaml"],
    ),
}
UNSIGNED = {"line ends", "no header", "all", "a directory"}  # not to be told from what others have written


@pytest.mark.parametrize("damage", DAMAGE)
def test_check_lists_what_differs(damage: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu", "us", "ap"), tmp_path / "out"
    build(source, output)
    harm, expected = DAMAGE[damage]
    harm(output)
    before = tree(output), stamps(output)
    capfd.readouterr()
    assert build(source, output, "--check") == 1
    told = capfd.readouterr()
    assert told.out == ""
    *lines, summary = told.err.replace(f"{output}/", "").splitlines()
    assert sorted(line for line in lines if line.startswith(("missing:", "different:", "stale:"))) == expected
    assert str(output) in summary
    assert re.search(rf"\b{len(expected)} difference", summary)
    assert (tree(output), stamps(output)) == before


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name not in UNSIGNED])
def test_a_build_repairs_what_is_known_as_ours(damage: str, tmp_path: Path) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu", "us", "ap"), tmp_path / "out"
    build(source, output)
    before = tree(output)
    DAMAGE[damage][0](output)
    assert build(source, output) == 0
    assert tree(output) == before


def test_check_needs_a_directory(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(EXAMPLES[0]), "--check"]) == 2
    assert main(["build", str(EXAMPLES[0]), "--layout", "object"]) == 2
    assert capfd.readouterr().out == ""


def test_an_error_in_the_source_writes_nothing(tmp_path: Path) -> None:
    source, output = tmp_path / "dsl.yaml", tmp_path / "out"
    build(project(source, "eu"), output)
    before = stamps(output)
    source.write_text(source.read_text().replace("image", "imaje", 1))
    assert build(source, output) == 1
    assert build(source, tmp_path / "new") == 1
    assert stamps(output) == before
    assert not (tmp_path / "new").exists()


# Faults. Each build is a process of its own


def hooks(directory: Path, code: str) -> Path:
    """A sitecustomize.py that runs `at(number)` before each rename and removal of a file."""
    directory.mkdir(exist_ok=True)
    (directory / "sitecustomize.py").write_text(
        "import errno, os, pathlib, shutil, signal, time\n"
        "numbers = iter(range(10**9))\n"
        "def before(call):\n"
        "    def hooked(*arguments, **more):\n"
        "        at(next(numbers))\n"
        "        return call(*arguments, **more)\n"
        "    return hooked\n"
        "unhooked = os.unlink\n"
        "os.replace, os.rename = before(os.replace), before(os.rename)\n"
        "os.unlink, os.remove = before(os.unlink), before(os.remove)\n" + code
    )
    return directory


def temporary(directory: Path) -> list[str]:
    return [path for path in tree(directory) if not path.endswith(".yaml") and (directory / path).is_file()]


class Change:
    """A directory that holds an old project, and a new one to be built over it: 8 files to rename, 3 to remove."""

    steps = 11

    def __init__(self, where: Path) -> None:
        self.where = where
        self.output = where / "out"
        self.old_source = project(where / "old.yaml", "eu", "us")
        self.new_source = written(
            where / "new.yaml", carts({"us": "2", "ap": "1"}), cells("mail", 4), cells("post", 1), routing()
        )
        for name, source in (("old", self.old_source), ("new", self.new_source)):
            build(source, where / name)
        self.old, self.new = files(where / "old"), files(where / "new")
        build(self.old_source, self.output)

    def is_whole(self) -> None:
        """Every file is an old or a new one, and `--check` knows whether all are new."""
        now = {path: content for path, content in files(self.output).items() if path.endswith(".yaml")}
        for path, content in now.items():
            assert content in (self.old.get(path), self.new.get(path)), path
        assert equal(self.new_source, self.output) == (now == self.new)
        assert equal(self.old_source, self.output) == (now == self.old)

    def is_repaired_by(self, source: Path) -> None:
        assert build(source, self.output) == 0
        assert files(self.output) == (self.new if source == self.new_source else self.old)
        assert temporary(self.output) == []


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return Change(tmp_path)


@pytest.mark.parametrize("step", [0, 1, 2, 5, 7, 8, 9, 10])
@pytest.mark.parametrize("then", ["new", "old"])
def test_killed_at_a_step(step: int, then: str, change: Change) -> None:
    """Step by step: before the first rename, between two, before the first removal, before the last."""
    assert step < change.steps
    killing = hooks(change.where / "hooks", f"def at(k):\n    if k == {step}: os.kill(os.getpid(), signal.SIGKILL)\n")
    done = run(change.new_source, "-o", change.output, hooks=killing)
    assert done.returncode == -signal.SIGKILL
    change.is_whole()
    if step == 0:
        assert equal(change.old_source, change.output)
    change.is_repaired_by(change.new_source if then == "new" else change.old_source)


def test_the_number_of_steps(change: Change) -> None:
    counting = hooks(change.where / "hooks", "def at(k): open('steps', 'a').write('.')\n")
    assert run(change.new_source, "-o", change.output, hooks=counting, cwd=change.where).returncode == 0
    assert len((change.where / "steps").read_text()) == change.steps


def test_killed_at_any_moment(tmp_path: Path) -> None:
    def many(name: str, version: str) -> Path:
        return written(tmp_path / name, carts({f"k{number}": version for number in range(80)}), routing())

    sources = {"old": many("old.yaml", "1"), "new": many("new.yaml", "2")}
    wanted = {name: (build(source, tmp_path / name), files(tmp_path / name))[1] for name, source in sources.items()}
    output = tmp_path / "out"
    build(sources["old"], output)
    start = time.monotonic()
    subprocess.run(command(sources["new"], "-o", output), env=environment(), capture_output=True, check=True)
    duration = time.monotonic() - start
    codes = []
    for number in range(18):
        assert build(sources["old"], output) == 0
        assert files(output) == wanted["old"]
        process = subprocess.Popen(
            command(sources["new"], "-o", output),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(duration * (0.3 + 0.75 * number / 17))
        process.kill()
        codes.append(process.wait())
        now = {path: content for path, content in files(output).items() if path.endswith(".yaml")}
        assert now.keys() == wanted["old"].keys()
        assert all(content in (wanted["old"][path], wanted["new"][path]) for path, content in now.items())
        assert equal(sources["new"], output) == (now == wanted["new"])
    assert -signal.SIGKILL in codes
    assert build(sources["new"], output) == 0
    assert files(output) == wanted["new"]


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[None]:
    """A file system in memory at a directory, for as long as it is needed."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting is not allowed here")
    directory.mkdir()
    kind = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    done = subprocess.run(kind, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.parametrize("options", ["size=64k", "size=8m,nr_inodes=40"])
def test_full_disk(options: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    large = written(tmp_path / "large.yaml", carts({"us": "2"}), cells("mail", 40), cells("post", 2))
    small = project(tmp_path / "small.yaml", "eu")
    with mounted(disk, options):
        output = disk / "out"
        assert build(small, output) == 0
        before = tree(output), stamps(output)[str(output / "carts/eu.yaml")]
        assert "No space left on device" in a_diagnosis(run(large, "-o", output))
        assert (tree(output), stamps(output)[str(output / "carts/eu.yaml")]) == before
        a_diagnosis(run(large, "-o", disk / "fresh"))
        assert not (disk / "fresh").exists()
        assert build(small, output) == 0
        assert tree(output) == before[0]


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_file_larger_than_allowed(change: Change) -> None:
    before = tree(change.output)
    done = run(change.new_source, "-o", change.output, measured=False, preexec_fn=limited(1500))
    assert "File too large" in a_diagnosis(done)
    assert tree(change.output) == before
    assert not equal(change.new_source, change.output)


def test_read_only_directory(change: Change) -> None:
    disk = change.where / "disk"
    with mounted(disk, "size=1m"):
        output = disk / "out"
        assert build(change.old_source, output) == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        before = tree(disk)
        assert "Read-only file system" in a_diagnosis(run(change.new_source, "-o", output))
        assert "Read-only file system" in a_diagnosis(run(change.new_source, "-o", disk / "fresh"))
        assert tree(disk) == before
        assert equal(change.old_source, output)
        assert build(change.old_source, output) == 0  # there is nothing to write


@pytest.mark.parametrize("step", [0, 1, 4])
@pytest.mark.parametrize("lost", ["out", "out/carts"])
def test_directory_that_vanishes(step: int, lost: str, change: Change) -> None:
    where = str(change.where / lost)
    losing = f"def at(k):\n    if k == {step}: os.unlink = unhooked; shutil.rmtree({where!r})\n"
    done = run(change.new_source, "-o", change.output, hooks=hooks(change.where / "hooks", losing))
    assert "No such file or directory" in a_diagnosis(done)
    if change.output.exists():
        assert temporary(change.output) == []
    change.is_repaired_by(change.new_source)


@pytest.mark.parametrize("step", [0, 3, 7, 8, 10])
def test_a_step_that_fails(step: int, change: Change) -> None:
    """A rename or a removal that the system refuses: no half file, no temporary file, and it is told."""
    failing = f"def at(k):\n    if k == {step}: raise OSError(errno.EIO, os.strerror(errno.EIO))\n"
    done = run(change.new_source, "-o", change.output, hooks=hooks(change.where / "hooks", failing))
    assert os.strerror(5) in a_diagnosis(done)
    assert temporary(change.output) == []
    change.is_whole()
    change.is_repaired_by(change.new_source)


@pytest.mark.parametrize("below", ["", "/below", "/below/it"])
def test_directory_that_is_a_file(below: str, tmp_path: Path) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu"), tmp_path / "out"
    a_file(output)
    before = tree(tmp_path)
    assert str(output) in a_diagnosis(run(source, "-o", f"{output}{below}"))
    assert run(source, "-o", f"{output}{below}", "--check").returncode in (1, 2)
    assert tree(tmp_path) == before


def test_a_second_build_at_once(change: Change) -> None:
    waiting = (
        "def at(k):\n"
        "    if k == 0: open('waiting', 'w').close()\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
    )
    first = subprocess.Popen(
        command(change.new_source, "-o", change.output),
        env=environment(hooks(change.where / "hooks", waiting)),
        cwd=change.where,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while not (change.where / "waiting").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        before = tree(change.output)
        assert temporary(change.output)
        for source in (change.old_source, change.new_source):
            assert str(change.output) in a_diagnosis(run(source, "-o", change.output))
        assert tree(change.output) == before
        assert equal(change.old_source, change.output)
    finally:
        (change.where / "go").touch()
        code = first.wait(20)
    assert code == 0
    assert tree(change.output) == tree(change.where / "new")


@pytest.mark.parametrize("exists", [True, False])
def test_many_builds_at_once(exists: bool, change: Change) -> None:
    if not exists:
        shutil.rmtree(change.output)
    sources = [change.old_source, change.new_source] * 3
    builds = [
        subprocess.Popen(
            command(source, "-o", change.output),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for source in sources
    ]
    codes = [one.wait(30) for one in builds]
    assert set(codes) <= {0, 2}
    assert 0 in codes
    assert files(change.output) in (change.old, change.new)


# JSON


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_json_is_an_object_a_line(
    example: Path, build: Callable[[Path], str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["build", str(example), "--format", "json"]) == 0
    output, errors = capfd.readouterr()
    assert errors == "" or errors.startswith("note[")
    assert output.endswith("}\n")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    assert [json.loads(line) for line in output[:-1].split("\n")] == list(yaml.load_all(build(example), loader))


def test_json_keeps_any_text_in_its_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = 'a\nb\r\nc\x85d\u2028e\x1b"\\\ud7ffé\t'
    manifest = {**FLAGS, "data": {"fixed": text, "own": "{{ params.text }}"}}
    spec = {"params": {"text": {"type": "string"}}, "resources": [{"manifest": manifest}]}
    owner = document("IslandType", "own", spec)
    source = written(
        tmp_path / "dsl.yaml",
        owner,
        document("IslandSet", "owns", {"type": "own", "islands": {"eu": {"params": {"text": text}}}}),
    )
    assert main(["build", str(source), "--format", "json"]) == 0
    line, end = capfd.readouterr().out.split("\n")
    assert end == ""
    assert json.loads(line)["data"] == {"fixed": text, "own": text}


def test_json_is_not_for_a_directory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert build(project(tmp_path / "dsl.yaml", "eu"), output, "--format", "json") == 2
    assert build(project(tmp_path / "dsl.yaml", "eu"), output, "--format", "json", "--check") == 2
    assert "--format" in capfd.readouterr().err
    assert not output.exists()


# Progress


FAST = "import time\nreal = time.monotonic\ntime.monotonic = lambda: real() * 1e6\n"


def on_a_terminal(hooks: Path | None, *arguments: str | Path) -> tuple[int, bytes, str]:
    """Exit code, standard output, and what a terminal on standard error is sent."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            command(*arguments), env=environment(hooks), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave
        )
        os.close(slave)
        output, _ = process.communicate(timeout=30)
        shown = b""
        try:
            while block := os.read(master, 65536):
                shown += block
        except OSError:  # the end, on Linux
            pass
    finally:
        os.close(master)
    return process.returncode, output, shown.decode().replace("\r\n", "\n")


@pytest.fixture
def hurried(tmp_path: Path) -> Path:
    """Hooks of a process whose clock is fast, so that every build takes more than a second."""
    directory = tmp_path / "hurried"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(FAST)
    return directory


def test_progress_on_a_terminal(tmp_path: Path, hurried: Path) -> None:
    source, output = written(tmp_path / "dsl.yaml", cells("mail", 300)), tmp_path / "out"
    code, stdout, shown = on_a_terminal(hurried, source, "-o", output)
    assert (code, stdout) == (0, b"")
    *steps, last = shown.split("\r")
    assert any(re.match(r"\d+ files", step) for step in steps)
    assert last.removeprefix("\x1b[K") == f"{output}: 300 written, 0 unchanged, 0 removed\n"
    code, stdout, shown = on_a_terminal(hurried, source)
    assert code == 0
    assert len(objects(stdout)) == 600
    assert re.search(r"\r\d+", shown)
    assert shown.endswith("\r\x1b[K")


def test_no_progress_of_what_is_quick(tmp_path: Path) -> None:
    source, output = project(tmp_path / "dsl.yaml", "eu"), tmp_path / "out"
    code, stdout, shown = on_a_terminal(None, source, "-o", output)
    assert (code, stdout, shown) == (0, b"", f"{output}: 7 written, 0 unchanged, 0 removed\n")
    code, stdout, shown = on_a_terminal(None, source)
    assert (code, shown) == (0, "")
    assert stdout


def test_no_progress_without_a_terminal(tmp_path: Path, hurried: Path) -> None:
    source, output = written(tmp_path / "dsl.yaml", cells("mail", 300)), tmp_path / "out"
    done = run(source, "-o", output, hooks=hurried)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{output}: 300 written, 0 unchanged, 0 removed\n"
    done = run(source, "-o", output, "--check", hooks=hurried)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run(source, hooks=hurried)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(objects(done.stdout.encode())) == 600
