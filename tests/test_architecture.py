"""The import table: which module may use which, and who may touch the outside world."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "replicator"

# Module -> our modules that it may import when it is imported itself, from the ground up. An arrow that is not here is
# a decision: it wants a reason, and must not make a circle.
TABLE: dict[str, str] = {
    "": "",  # the package: its version
    # What everybody may know.
    "diagnostics": "",
    "names": "",
    "kinds": "",
    "durations": "",
    "ranges": "",
    "zones": "",
    # Text to nodes, scalars to expressions.
    "parser": "",
    "parser.scalars": "",
    "parser.patterns": "",
    "parser.source": "diagnostics parser.scalars",
    "parser.stored": "diagnostics parser.source",
    "expression": "",
    "expression.values": "diagnostics",
    "expression.template": "",
    "expression.program": "expression.template expression.values",
    # Trees and their text.
    "tree": "diagnostics expression.values",
    "yaml_text": "expression.values tree",
    "patch": "kinds tree",
    "sources": "expression.template expression.values names tree",
    "hosts": "diagnostics expression.values kinds sources tree",
    # Nodes to the model, and what it means.
    "model": "diagnostics expression.values parser.source",
    "references": "kinds model tree",
    "parser.schema": "parser.patterns",
    "parser.slips": "diagnostics parser.schema parser.source",
    "parser.parameters": "diagnostics model parser.patterns parser.schema parser.source",
    "parser.decode": "diagnostics hosts model parser.parameters parser.source",
    "scope": "diagnostics expression.template expression.values model parser.source",
    "check.project": "model parser.source",
    "check.naming": "check.project diagnostics kinds model names parser.source",
    "check.types": "check.project diagnostics model names parser.source",
    "check.sets": "check.project check.types diagnostics model names parser.source",
    "check.isolation": "diagnostics model names parser.source scope",
    "check.expressions": "check.project diagnostics expression.template model parser.source scope",
    "check.routings": "diagnostics model parser.source",
    "check.partitions": "diagnostics model parser.source",
    "check.nodes": "check.project diagnostics model names parser.source",
    "check": "check.expressions check.isolation check.naming check.nodes check.partitions check.routings check.sets"
    " check.types diagnostics model",
    # The model to islands with values.
    "expander.islands": "diagnostics expression.template expression.values model parser.source",
    "expander.values": "diagnostics expander.islands expression.template expression.values model parser.scalars"
    " parser.source",
    "expander.members": "diagnostics expander.islands expander.values expression.template expression.values model names"
    " parser.source",
    "expander.waves": "diagnostics expander.islands expander.values parser.source",
    "expander.zones": "diagnostics expander.islands parser.source ranges yaml_text zones",
    "expander": "diagnostics expander.islands expander.members expander.values expression.template expression.values"
    " model parser.source",
    # Once per shape: a Type in a Set to trees, by emitters that are blind to each other, and proved.
    "context": "diagnostics expander.islands expression.template expression.values kinds model names parser.source"
    " patch scope sources tree",
    "gather": "context diagnostics kinds model parser.source",
    "links": "context diagnostics expander.islands expression.template model parser.source scope sources tree",
    "isolation": "diagnostics expander.islands links model parser.source tree",
    "decisions": "context diagnostics expander.islands expression.template expression.values model parser.source scope",
    "patching": "context decisions diagnostics expression.template kinds model parser.source patch tree",
    "proofs": "diagnostics expander.islands expression.values kinds references tree",
    "closed": "diagnostics kinds proofs tree",
    "evictions": "diagnostics expander.islands expression.values proofs sources tree",
    "definitions": "diagnostics tree",
    "emitters": "",
    "emitters.labels": "context names tree",
    "emitters.containers": "context diagnostics expression.values kinds model names parser.source patch sources tree",
    "emitters.island": "context diagnostics emitters.containers emitters.labels kinds model names parser.source patch"
    " tree",
    "emitters.pods": "context diagnostics emitters.containers emitters.labels expander.islands"
    " expander.members expression.values kinds model names parser.source patch sources tree",
    "emitters.external": "context diagnostics emitters.labels expander.islands expression.values model names tree",
    "emitters.aggregate": "context diagnostics emitters.containers emitters.labels model tree",
    "emitters.placement": "context diagnostics emitters.labels kinds references sources tree",
    "emitters.budgets": "context emitters.labels kinds proofs tree",
    "emitters.resources": "context decisions diagnostics emitters.labels kinds model names parser.source references"
    " tree",
    "emitters.policies": "context emitters.labels expander.islands isolation links names parser.source sources tree",
    "resolving": "context decisions diagnostics expander.islands expression.template hosts kinds model names references"
    " tree",
    "syncing": "expander.islands expander.waves tree",
    "binder": "closed context decisions diagnostics emitters.aggregate emitters.external emitters.island"
    " emitters.pods emitters.resources expander.islands isolation kinds model names parser.decode patching proofs"
    " resolving tree yaml_text",
    # Once per island.
    "stamp": "binder diagnostics expander.islands expression.values sources tree yaml_text",
    "sizes": "diagnostics expander.islands stamp tree yaml_text",
    "identity": "binder context diagnostics expander.islands kinds names sources tree",
    "foreign": "binder diagnostics expander.islands hosts identity kinds resolving tree",
    # Routes: neutral, then a provider's. A provider sees neutral routes and trees, never the model.
    "routing": "",
    "routing.shares": "ranges",
    "routing.share_patterns": "ranges routing.shares",
    "routing.rules": "diagnostics routing.shares tree",
    "routing.algebra": "routing.rules routing.shares sources tree",
    "routing.index": "routing.algebra routing.rules tree",
    "routing.patterns": "routing.algebra routing.rules sources tree yaml_text",
    "routing.analysis": "diagnostics expander.islands expression.values routing.algebra routing.index routing.patterns"
    " routing.rules sources tree",
    "routing.precedence": "diagnostics expression.values routing.algebra routing.rules sources tree yaml_text",
    "routing.features": "diagnostics routing.rules",
    "routing.texts": "diagnostics expression.template expression.values names parser.patterns parser.source scope"
    " sources tree yaml_text",
    "routing.requests": "routing.texts",
    "routing.regexes": "parser.patterns",
    "routing.fulfilment": "routing.algebra routing.regexes routing.requests routing.rules",
    "routing.matches": "diagnostics expander.islands model names routing.rules routing.texts sources tree yaml_text",
    "routing.gateways": "model parser.source routing.rules",
    "routing.entrances": "expander.islands isolation model parser.source routing.gateways routing.texts",
    "routing.destinations": "binder context diagnostics expander.islands expression.values model names parser.source"
    " routing.rules routing.texts sources tree",
    "routing.actions": "diagnostics durations expander.islands model parser.source routing.destinations routing.rules"
    " routing.texts tree",
    "routing.compiler": "binder context diagnostics expander.islands expression.values model names parser.source"
    " routing.actions routing.destinations routing.features routing.gateways routing.matches routing.rules"
    " routing.texts sources tree",
    "routing.string_prefixes": "routing.rules tree",
    "routing.header_values": "tree",
    "routing.partitions": "diagnostics expander.islands expander.members model names parser.source ranges"
    " routing.requests routing.shares routing.texts",
    "routing.moves": "diagnostics ranges routing.partitions routing.shares",
    "routing.partition_rules": "diagnostics expander.islands expander.members model routing.partitions routing.rules"
    " routing.share_patterns routing.shares tree",
    "routing.answers": "diagnostics routing.requests routing.rules tree",
    "routing.simulator": "diagnostics routing.algebra routing.answers routing.destinations routing.fulfilment"
    " routing.partitions routing.regexes routing.requests routing.rules sources tree",
    "routing.trials": "routing.answers routing.requests routing.rules routing.simulator sources",
    "emitters.routed": "diagnostics kinds names routing.rules sources tree",
    "emitters.gloo_upstreams": "emitters.routed routing.rules tree",
    "emitters.gloo_routes": "durations emitters.gloo_upstreams routing.header_values routing.rules"
    " routing.string_prefixes tree",
    "emitters.gloo": "diagnostics emitters.gloo_routes emitters.gloo_upstreams emitters.routed names"
    " routing.rules tree",
    "emitters.istio_registry": "diagnostics emitters.routed routing.rules tree",
    "emitters.istio": "diagnostics durations emitters.istio_registry emitters.routed routing.header_values"
    " routing.rules routing.string_prefixes tree",
    "emitters.gateway_kgateway": "durations routing.rules tree",
    "emitters.gateway_objects": "diagnostics emitters.gateway_kgateway emitters.routed names routing.rules tree",
    "emitters.gateway_rules": "diagnostics durations emitters.gateway_kgateway emitters.gateway_objects emitters.routed"
    " names routing.header_values routing.precedence routing.rules sources tree yaml_text",
    "emitters.gateway_api": "diagnostics emitters.gateway_kgateway emitters.gateway_objects emitters.gateway_rules"
    " emitters.routed names routing.precedence routing.rules tree",
    # All of it, and the outside world.
    "pipeline": "binder check context definitions diagnostics emitters.resources expander expander.islands"
    " expander.members expander.values expander.waves foreign gather identity isolation kinds links model"
    " parser.decode parser.schema parser.source parser.stored proofs sizes stamp tree yaml_text",
    "layout": "expander.islands expander.waves kinds pipeline sources stamp tree",
    # Edits of files in place.
    "editing": "",
    "editing.text": "diagnostics parser.scalars parser.schema parser.source parser.stored yaml_text",
    "editing.members": "check check.project context diagnostics expander expander.islands expander.members model"
    " parser.source",
    "editing.balance": "ranges",
    "editing.rebalance": "diagnostics editing.balance editing.members editing.text expander.islands expander.members"
    " model names parser.source ranges routing.partitions",
    "editing.scale": "check.project diagnostics editing.members editing.text expander.members expander.values model"
    " names parser.source ranges zones",
    "editing.command": "diagnostics editing.text model parser.decode parser.source parser.stored pipeline",
    "crds": "parser.schema tree yaml_text",
    "report": "diagnostics",
    "junit": "report routing.trials",
    "immutable": "",
    "comparison": "diagnostics kinds parser.source",
    "census": "comparison diagnostics expander.islands names sources stamp tree",
    "shrinking": "census comparison diagnostics expander.islands immutable kinds names parser.source tree yaml_text",
    "review": "census comparison diagnostics immutable pipeline shrinking",
    "files": "",
    "write": "",
    "directory": "",
    "earlier": "directory",
    "cli": " diagnostics expander expander.values parser.source pipeline report write",
    "__main__": "",
}

# Imports inside functions: what is slow to import and seldom needed, or comes last.
LATE = {
    ("expression.template", "expression.program"): "jinja2, for expressions that are more than a name",
    ("parser.schema", "parser.slips"): "jsonschema, for documents that do not fit",
    ("parser.parameters", "parser.slips"): "jsonschema, for values that do not fit",
    ("expander.values", "parser.slips"): "jsonschema, for values that do not fit",
    ("gather", "files"): "for projects that name files",
    ("expander", "expander.zones"): "for Sets with zones",
    ("binder", "emitters.placement"): "for Sets with a placement",
    ("binder", "emitters.policies"): "for strict Sets",
    ("binder", "emitters.budgets"): "for Sets with a disruption",
    ("binder", "evictions"): "for Sets with a disruption",
    ("pipeline", "syncing"): "for its option",
    ("pipeline", "routing.compiler"): "for builds with a Routing",
    ("pipeline", "routing.entrances"): "for builds with a Routing",
    ("pipeline", "routing.features"): "for builds with a Routing",
    ("pipeline", "routing.analysis"): "for builds with a Routing",
    ("pipeline", "routing.partitions"): "for builds with a Partition",
    ("routing.compiler", "routing.partition_rules"): "for routes to a Partition",
    ("cli", "layout"): "for builds to a directory",
    ("layout", "routing.moves"): "for builds with a Partition",
    ("review", "routing.moves"): "for builds with a Partition",
    ("cli", "directory"): "for builds to a directory",
    ("cli", "review"): "for builds to a directory, or against an earlier output",
    ("cli", "shrinking"): "for builds to a directory, or against an earlier output",
    ("cli", "earlier"): "for builds against an earlier output",
    ("cli", "crds"): "for its command",
    ("cli", "routing.answers"): "for its command",
    ("cli", "routing.requests"): "for its command",
    ("cli", "routing.simulator"): "for its command",
    ("cli", "routing.trials"): "for its command",
    ("cli", "junit"): "for its command",
    ("cli", "editing.command"): "for the commands that edit files",
    ("cli", "editing.rebalance"): "for its command",
    ("cli", "editing.scale"): "for its command",
    ("routing.compiler", "routing.requests"): "for Routings with tests",
    ("__main__", "cli"): "after the collector is switched off",
}
# Where a late import closes a circle: the quick half asks the slow half, which uses the quick half's words.
CIRCLES = {frozenset({"expression.template", "expression.program"}), frozenset({"parser.schema", "parser.slips"})}

# Names for annotations only.
TYPES_ONLY = {
    ("routing.rules", "expander.islands"),
    ("routing.rules", "routing.partitions"),
    ("routing.compiler", "routing.partition_rules"),
    ("routing.compiler", "routing.partitions"),
    ("pipeline", "routing.partitions"),
    ("pipeline", "syncing"),
    ("binder", "syncing"),
    ("binder", "evictions"),
    ("review", "routing.moves"),
    ("routing.precedence", "expander.islands"),
    ("routing.algebra", "expander.islands"),
    ("routing.simulator", "expander.islands"),
    ("pipeline", "routing.rules"),
    ("routing.patterns", "expander.islands"),
    ("routing.analysis", "expander.islands"),
    ("expression.template", "expression.program"),
    ("parser.schema", "diagnostics"),
    ("parser.schema", "parser.source"),
    ("sources", "expander.islands"),
    ("gather", "files"),
    ("census", "routing.rules"),
    ("report", "shrinking"),
    ("cli", "review"),
    ("cli", "shrinking"),
    ("cli", "editing.command"),
    ("cli", "model"),
}

THIRD_PARTY = {
    "yaml": {"parser.source"},
    "jsonschema": {"parser.slips"},
    "referencing": {"parser.slips"},
    "jinja2": {"expression.program"},
    "click": {"cli"},
}

# Of the standard library: what reaches files, streams, the environment, processes, the clock or chance.
OUTSIDE = {
    *("os", "sys", "pathlib", "io", "glob", "shutil", "tempfile", "fileinput", "mmap", "select", "signal", "getpass"),
    *("pwd", "subprocess", "multiprocessing", "threading", "concurrent", "asyncio", "socket", "ssl", "http", "urllib"),
    *("ctypes", "time", "datetime", "calendar", "random", "secrets", "uuid", "locale", "platform", "logging"),
    *("pickle", "sqlite3", "gc"),
}
MAY_REACH_OUT = {
    ("cli", "os"): "file names, NO_COLOR, the closed pipe",
    ("cli", "sys"): "its streams",
    ("cli", "pathlib"): "the input's files",
    ("cli", "time"): "progress, once a build takes longer than a second",
    ("files", "os"): "the files that documents name",
    ("files", "pathlib"): "the files that documents name",
    ("earlier", "os"): "earlier outputs, and files as they were",
    ("earlier", "pathlib"): "earlier outputs, and files as they were",
    ("earlier", "subprocess"): "git, for files as they were",
    ("earlier", "tempfile"): "files as they were",
    ("write", "os"): "writing to a descriptor, and in the place of files",
    ("directory", "os"): "writing to a directory",
    ("directory", "pathlib"): "writing to a directory",
    ("parser.schema", "os"): "the schemas that are packaged with it",
    ("parser.source", "io"): "a text as libyaml wants it: nothing outside",
    ("__main__", "sys"): "the exit code",
    ("__main__", "gc"): "a build makes trees and ends soon",
}
FILE_METHODS = {
    "read_bytes",
    "read_text",
    "write_bytes",
    "write_text",
    "iterdir",
    "glob",
    "rglob",
    "unlink",
    "mkdir",
    "touch",
}
MAY_USE_FILES = {"cli", "earlier", "files", "write", "directory", "parser.schema"}


class Import(NamedTuple):
    """A module that is imported, and how: `now`, `late` (inside a function) or `types` (for annotations only)."""

    module: str
    how: str


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of ours by its name within the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text(), str(path))
    return found


def imports(module: str) -> set[Import]:
    return set(_imports(modules()[module], "now"))


def _imports(node: ast.AST, how: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, how) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            for alias in child.names:
                name = f"{child.module}.{alias.name}"
                yield Import(name if _is_ours(name) else str(child.module), how)
        inside = how
        if how == "now" and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inside = "late"
        elif isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            inside = "types"
        yield from _imports(child, inside)


def _is_ours(name: str) -> bool:
    package, _, rest = name.partition(".")
    return package == "replicator" and rest in modules()


def ours(module: str, how: str) -> set[str]:
    found = {one.module for one in imports(module) if one.how == how and _is_ours(one.module)}
    return {name.partition(".")[2] for name in found} - {""}


def test_every_module_is_in_the_table() -> None:
    assert modules().keys() == TABLE.keys()


@pytest.mark.parametrize("module", TABLE)
def test_a_module_imports_what_the_table_says(module: str) -> None:
    assert ours(module, "now") <= set(TABLE[module].split())


def test_late_imports_are_few() -> None:
    assert {(module, one) for module in modules() for one in ours(module, "late")} <= LATE.keys()
    assert {(module, one) for module in modules() for one in ours(module, "types")} <= TYPES_ONLY


def test_arrows_point_one_way() -> None:
    """There is no circle but through two late imports. To import a module of a package imports the package, too."""
    graph = {}
    for module, allowed in TABLE.items():
        packages = {one.rpartition(".")[0] for one in allowed.split()}
        graph[module] = {*allowed.split(), *packages} - {"", module, module.rpartition(".")[0]}
    TopologicalSorter(graph).prepare()
    for one, other in LATE:
        try:
            TopologicalSorter({**graph, one: graph[one] | {other}}).prepare()
        except CycleError:
            assert frozenset({one, other}) in CIRCLES, f"{one} imports {other}"


def test_the_table_is_written_from_the_ground_up() -> None:
    order = list(TABLE)
    for module, allowed in TABLE.items():
        assert all(order.index(one) < order.index(module) for one in allowed.split()), module


def test_emitters_are_blind_to_each_other() -> None:
    """A provider's emitter and the islands' emitters share no module; what only helps is told by its name.

    The modules of one provider have its name in front.
    """
    helpers = {"emitters.labels", "emitters.containers", "emitters.routed"}
    emitters = {module for module in modules() if module.startswith("emitters.")} - helpers
    for module in emitters:
        others = {one for one in emitters if one.partition("_")[0] != module.partition("_")[0]}
        assert not ours(module, "now") & others, module
    neutral = {"diagnostics", "emitters.routed", "durations", "kinds", "names", "sources", "tree", "yaml_text"}
    neutral |= {f"routing.{one}" for one in ("header_values", "precedence", "rules", "string_prefixes")}
    for module in (one for one in emitters if one.removeprefix("emitters.").startswith(("gloo", "istio", "gateway"))):
        assert ours(module, "now") - emitters <= neutral


@pytest.mark.parametrize("package", [*THIRD_PARTY, "ruamel"])
def test_a_library_is_used_in_one_module(package: str) -> None:
    users = {m for m in modules() for one in imports(m) if one.module.partition(".")[0] == package}
    assert users == THIRD_PARTY.get(package, set())


def test_nothing_else_is_imported() -> None:
    known = {*sys.stdlib_module_names, *THIRD_PARTY, "replicator"}
    used = {one.module.partition(".")[0] for module in modules() for one in imports(module)}
    assert used <= known


def test_the_outside_world_is_reached_by_the_edges_only() -> None:
    found = {(m, one.module.partition(".")[0]) for m in modules() for one in imports(m)}
    assert {(module, used) for module, used in found if used in OUTSIDE} <= MAY_REACH_OUT.keys()


def test_files_are_used_by_the_edges_only() -> None:
    for module, tree in modules().items():
        methods = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert module in MAY_USE_FILES or not methods & FILE_METHODS, module
        streams = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {
            "stdin",
            "stdout",
            "stderr",
        }
        assert module == "cli" or not streams, module


@pytest.mark.parametrize("function", ["print", "open", "input", "breakpoint", "eval", "exec", "compile", "__import__"])
def test_functions_that_nobody_calls(function: str) -> None:
    """But for the edges, which open files."""
    users = {m for m, tree in modules().items() for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == function}
    assert users <= (MAY_USE_FILES if function == "open" else set())


def test_modules_are_imported_by_name_in_two_places() -> None:
    """The emitter of a provider, by the pipeline's table; the standard library's parser of regular expressions."""
    users = {module for module in modules() for one in imports(module) if one.module.partition(".")[0] == "importlib"}
    assert users <= {"pipeline", "parser.patterns"}
    (table,) = (
        node.value
        for node in modules()["pipeline"].body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EMITTERS"
    )
    assert isinstance(table, ast.Dict)
    named = {value.value for value in table.values if isinstance(value, ast.Constant)}
    assert named == {f"replicator.emitters.{module}" for module in ("gloo", "istio", "gateway_api")}


_BUILD = """
import sys
from replicator.cli import main
code = main(sys.argv[1:])
print("\\n".join(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""
_PLAIN = """\
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: t}
spec:
  params: {version: {type: string, default: "1.0"}}
  ports: {http: {unit: a, port: http}}
  units:
    a:
      image: "x:{{ params.version }}"
      ports: {http: 80}
      env: {A: "{{ island.key }} at {{ address('a', 'http') }}"}
      files: {/a: "{{ island.name }}"}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: s, namespace: ns}
spec: {type: t, islands: {eu: {params: {version: "2"}}, us: {}}}
"""
_ROUTING = """\
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: r, namespace: ns}
spec: {hosts: [a.b], routes: [{to: {spread: s}}]}
"""


def loaded(text: str, path: Path, command: str = "build") -> set[str]:
    """The modules that a command has imported at its end."""
    path.write_text(text)
    run = subprocess.run([sys.executable, "-c", _BUILD, command, path], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode in (0, 1), run.stderr
    return set(run.stderr.splitlines())


@pytest.mark.parametrize("command", ["build", "validate"])
def test_a_plain_build_imports_nothing_slow(command: str, tmp_path: Path) -> None:
    example = (ROOT / "dsl-examples" / "01-one-island.yaml").read_text()
    for text in (example, _PLAIN, _PLAIN + _ROUTING):
        used = loaded(text, tmp_path / "a.yaml", command)
        assert {"replicator.pipeline", "yaml", "click"} <= used
        slow = {"jsonschema", "referencing", "jinja2", "ruamel", "ruamel.yaml", "replicator.parser.slips"}
        assert not used & slow
        assert ("replicator.emitters.gloo" in used) == ("Routing" in text)


def test_what_is_slow_is_imported_when_it_is_needed(tmp_path: Path) -> None:
    """The same look at a build that needs it, so that the test above sees what it looks for."""
    with_expression = _PLAIN.replace("{{ island.name }}", "{{ island.name | upper }}")
    assert "jinja2" in loaded(with_expression, tmp_path / "a.yaml")
    assert {"jsonschema", "referencing"} <= loaded(_PLAIN.replace("image:", "imge:"), tmp_path / "a.yaml")
