"""The stages in their order: sources to a build whose text can be written, or to the diagnostics that say why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from replicator import check, definitions, expander, foreign, identity, links, proofs, sizes, stamp
from replicator.binder import BoundSet, bind, order_of, services
from replicator.context import Context, Data
from replicator.diagnostics import Diagnostic, Place, has_errors, nearest, tidy
from replicator.emitters.resources import as_data
from replicator.expander.islands import Island, Plan, SetPlan
from replicator.expander.members import natural
from replicator.expander.values import Setting
from replicator.expander.waves import ONE_WAVE, Rollout, rollout, unsteady
from replicator.gather import gather, left_behind
from replicator.isolation import NOT_ISOLATED, Entrance, Isolation
from replicator.kinds import CLUSTER_SCOPED
from replicator.model import Project
from replicator.parser import decode, schema, source, stored
from replicator.tree import Hole, Manifest, Tree
from replicator.yaml_text import Piece, Slot, document, json_line

if TYPE_CHECKING:
    from replicator.routing.partitions import Ownership
    from replicator.routing.rules import Table
    from replicator.syncing import SyncWaves

EMITTERS = {
    "gloo": "replicator.emitters.gloo",
    "istio": "replicator.emitters.istio",
    "gateway-api": "replicator.emitters.gateway_api",
}
"""Provider -> the module whose `emit` writes a neutral table for it; imported when it is asked for."""

Render = Callable[[Tree], tuple[Piece, ...]]
PARTS = ("shared", "islands", "routing")
LAYOUTS = ("island", "object", "wave")  # of a directory: a file for each of the first two, a directory for each wave


RENDERERS = {"yaml": document, "json": json_line}


class Source(NamedTuple):
    """A text to compile, by the name that diagnostics call it."""

    name: str
    raw: bytes


class Options(NamedTuple):
    """What the command line asks for. `islands` are globs of paths; without `only` everything is written.

    `wave` is the number of the only wave that is asked for, 0 for all; `sync_waves` writes them into the objects. With
    `notes` it is also told what was not judged.
    """

    settings: tuple[Setting, ...] = ()
    islands: tuple[str, ...] = ()
    only: str = ""
    max_islands: int = expander.MAX_ISLANDS
    root: str | None = None
    form: str = "yaml"
    with_dsl: bool = False
    provider: str = ""
    notes: bool = False
    wave: int = 0
    sync_waves: bool = False


DEFAULTS = Options()


class Built(NamedTuple):
    """A build: what was found, and the text where nothing stops it. `texts` cannot fail.

    `tables` are the neutral routes, of which `routing` is what one provider is given. `parts` are those of the output
    that are asked for, and `selected` says of which islands, where not of all.
    """

    diagnostics: list[Diagnostic]
    sources: Mapping[str, str]
    sets: Sequence[stamp.SetRows] = ()
    routing: Sequence[stamp.RoutingObject] = ()
    selected: Callable[[Island], bool] | None = None
    parts: frozenset[str] = frozenset(PARTS)
    dsl: Sequence[bytes] = ()
    tables: Sequence[Table] = ()
    waves: Rollout = ONE_WAVE
    partitions: Mapping[str, Ownership] = MappingProxyType({})

    def wants(self, part: str) -> bool:
        """Whether a part of the output is asked for."""
        return part in self.parts

    @property
    def external(self) -> list[tuple[str, str]]:
        """What must be there already: kinds, and names as they are declared, with their namespaces where known."""
        found: dict[tuple[str, str], None] = {}
        for plan in (rows.plan for rows in self.sets):
            where = f"{plan.namespace}/" if plan.namespace and not plan.root.own_namespaces else ""
            for kind, names in plan.type.external.items():
                namespaced = kind.partition(".")[0] not in CLUSTER_SCOPED
                for name in (scalar.text for scalar in names):
                    found[kind, f"{where if namespaced and '/' not in name else ''}{name}"] = None
        for secret in (secret for table in self.tables for secret in table.secrets()):
            found["Secret", f"{secret.namespace}/{secret.name}"] = None
        gateways = [table.gateway for table in self.tables if table.gateway is not None]
        made = {(gateway.namespace, gateway.name) for gateway in gateways if gateway.create}
        for gateway in gateways:
            if (gateway.namespace, gateway.name) not in made:
                found["Gateway", f"{gateway.namespace}/{gateway.name}"] = None
        return sorted(found)

    def texts(self) -> Iterator[bytes]:
        """The manifests in the order in which they are applied, document by document or in larger parts."""
        if self.wants("shared"):
            objects = [one for rows in self.sets for one in rows.shared]
            yield from (text for _, text in sorted(objects, key=lambda one: order_of(one[0])))
            yield from self.dsl
        if self.wants("islands"):
            for rows in self.sets:
                if self.selected is None:
                    yield from rows.texts()
                else:
                    yield from (one.whole() for one in rows.islands(self.selected))
        if self.wants("routing"):
            by_name = {rows.plan.path: rows for rows in self.sets}
            for one in self.routing:
                yield from one.texts(by_name)


class Read(NamedTuple):
    """The documents of some sources, which fit their schemas unless a diagnostic says otherwise, and their texts."""

    documents: Sequence[source.Document]
    texts: dict[str, str]
    diagnostics: list[Diagnostic]


def read(sources: Sequence[Source]) -> Read:
    """The first stages: text to documents that can be decoded, where no finding is an error."""
    texts: dict[str, str] = {}
    found: list[Diagnostic] = []
    documents = _read(sources, texts, found)
    if not has_errors(found):
        for one in documents:
            found += schema.judge(one)
    if not has_errors(found) and not documents:
        found.append(Diagnostic("R0110", "there is no document in the input", _start(sources)))
    return Read(documents, texts, found)


def build(sources: Sequence[Source], options: Options = DEFAULTS) -> Built:
    """Compile. Findings of a stage are collected; errors of one stop the next."""
    documents, texts, found = read(sources)

    def told() -> list[Diagnostic]:
        return tidy(stored.name_owners(found, documents))

    if has_errors(found):
        return Built(told(), texts)
    project, problems = decode.decode(documents)
    found += problems
    found += check.check(project)
    if has_errors(found):
        return Built(told(), texts)
    data, more_texts, problems = gather(project, options.root)
    texts.update(more_texts)
    found += problems
    if has_errors(found):
        return Built(told(), texts)
    plan, problems = expander.expand(
        project, lambda one: Context(one, {}).evaluate, options.settings, options.max_islands
    )
    found += problems
    if has_errors(found):
        return Built(told(), texts)
    waves, problems = rollout(plan)
    found += problems
    calls, problems = links.resolve(plan, data)
    found += problems
    if options.sync_waves:
        found += unsteady(waves)
    if has_errors(found):
        return Built(told(), texts)
    sync = _sync(waves) if options.sync_waves else None
    isolation = _isolation(project, plan, calls, data, options, found)
    bound: dict[str, BoundSet] = {}
    for name, one_set in plan.sets.items():
        bound[name], problems = bind(one_set, plan, data, RENDERERS[options.form], sync, isolation)
        found += problems
    partitions = _partitions(project, plan, options, found) if project.partitions else {}
    tables = _tables(project, plan, bound, partitions, options, found) if project.routings else []
    objects = _routing(tables, RENDERERS[options.form], sync, found)
    routed = [identity.of_routing(one.manifest, plan.sets.get(one.manifest.over)) for one in objects]
    found += identity.illegal(routed)
    named = [*(one for one_bound in bound.values() for one in identity.of_set(one_bound)), *routed]
    owners = foreign.Owners(named)
    found += foreign.explained((missing for one in bound.values() for missing in one.unanswered), owners)
    if has_errors(found):
        return Built(told(), texts)
    found += identity.clashes(named)
    found += foreign.in_texts(bound.values(), owners)
    found += proofs.across(_stencils(bound.values()))
    found += proofs.ungoverned(_of_sets(bound.values()))
    found += proofs.shared_values(_uniques(bound.values()))
    rows = []
    for name, one_bound in bound.items():
        slots, origins = _routed(name, objects)
        made, problems = stamp.evaluate(one_bound, slots, origins)
        found += problems
        rows.append(made)
    kept, problems = identity.once(one.shared for one in rows)
    found += problems
    for one_rows, shared in zip(rows, kept, strict=True):
        one_rows.shared = shared
    if not project.sets and not project.routings:
        hint = "an IslandSet says which islands of a Type there are"
        place = project.types[0].metadata.name_node.place
        message = "there are Types only: nothing is written"
        found.append(Diagnostic("R0110", message, place, hint=hint, severity="warning"))
    if not has_errors(found):
        found += sizes.too_large(rows, objects, {table.name: _smaller(table) for table in tables})
    selected, problems = _selection(plan, waves, options)
    found += problems
    parts = _parts(waves, options)
    built = Built([], texts, rows, objects, selected, parts, tables=tables, waves=waves, partitions=partitions)
    found += definitions.used_at_once(_manifests(built, bound.values()))
    dsl: list[bytes] = []
    if options.with_dsl:
        found += left_behind(project)
        dsl = [_stored(one, RENDERERS[options.form]) for one in documents]
    return built._replace(diagnostics=told(), dsl=dsl)


def _sync(waves: Rollout) -> SyncWaves:
    """What writes the waves into objects."""
    from replicator.syncing import SyncWaves

    return SyncWaves(waves)


def _stored(document: source.Document, render: Render) -> bytes:
    """A document of the DSL as an object to be stored beside what is made of it."""
    return "".join(str(piece) for piece in render(as_data(document.root))).encode()


def _stencils(bound: Iterable[BoundSet]) -> Iterator[tuple[SetPlan, list[Manifest]]]:
    """The objects of an island of each shape."""
    for one in bound:
        for shape in one.shapes:
            yield one.plan, [made.manifest for made in one.stencil(shape).objects]


def _of_sets(bound: Iterable[BoundSet]) -> Iterator[tuple[SetPlan, list[Manifest]]]:
    """The same, and the objects of a Set as a whole."""
    yield from _stencils(bound)
    yield from ((one.plan, [made.manifest for made in one.objects]) for one in bound)


def _manifests(built: Built, bound: Iterable[BoundSet]) -> Iterator[Manifest]:
    """The objects of those parts that are asked for; of an island, those of each shape."""
    if built.wants("shared"):
        yield from (manifest for rows in built.sets for manifest, _ in rows.shared)
    if built.wants("islands"):
        yield from (manifest for _, of_shape in _stencils(bound) for manifest in of_shape)
    if built.wants("routing"):
        yield from (one.manifest for one in built.routing)


def _uniques(bound: Iterable[BoundSet]) -> Iterator[tuple[Island | None, Sequence[proofs.Unique]]]:
    """Every island with its values that no other may have; Sets that have none are passed over."""
    for one in bound:
        yield None, list(proofs.uniques([made.manifest for made in one.objects if made.manifest.once]))
        of_shape = {
            shape: list(proofs.uniques([made.manifest for made in one.stencil(shape).objects])) for shape in one.shapes
        }
        for island in one.plan.islands if any(of_shape.values()) else ():
            values = of_shape[one.shape_of(island)]
            if values:
                yield island, values


def _start(sources: Sequence[Source]) -> Place | None:
    return Place(sources[0].name, 1, 1, 1, 2) if sources else None


def _read(sources: Sequence[Source], texts: dict[str, str], found: list[Diagnostic]) -> list[source.Document]:
    documents: list[source.Document] = []
    room = source.MAX_BYTES
    for one in sources:
        room -= len(one.raw)
        if room < 0:
            message = f"the input has more than {source.MAX_BYTES // 1_000_000} MB"
            found.append(Diagnostic("R0109", message, Place(one.name, 1, 1, 1, 2)))
            return documents
        text, problems = source.decode_text(one.name, one.raw)
        found += problems
        if problems:
            continue
        texts[one.name] = text
        read, problems = source.load(one.name, text)
        found += problems
        authored, problems = stored.unwrap(read)
        found += problems
        documents += authored
    return documents


def _isolation(
    project: Project, plan: Plan, calls: list[links.Link], data: Data, options: Options, found: list[Diagnostic]
) -> Isolation:
    """Who may reach the islands of strict Sets."""
    if all(one.isolation != "strict" for one in project.sets):
        return NOT_ISOLATED
    led: list[Entrance] = []
    if project.routings:
        from replicator.routing.entrances import entrances

        led = entrances(project, plan, options.provider)
    isolation = Isolation(calls, led, lambda one: services(one, plan, data))
    found += isolation.judge(plan.sets.values(), bool(project.routings))
    return isolation


def _tables(
    project: Project,
    plan: Plan,
    bound: Mapping[str, BoundSet],
    partitions: Mapping[str, Ownership],
    options: Options,
    found: list[Diagnostic],
) -> list[Table]:
    """The neutral tables of all Routings, for their own providers unless another is given."""
    from replicator.routing import analysis
    from replicator.routing.compiler import compile_routing
    from replicator.routing.features import one_azure_secret, one_gateway_at_a_port

    tables = []
    every = {one.name: partitions.get(one.name) for one in project.partitions}
    for routing in sorted(project.routings, key=lambda one: natural(one.name)):
        table, problems = compile_routing(routing, plan, bound, options.provider, every)
        found += problems
        if table is not None:
            tables.append(table)
            found += analysis.unreachable(table)
            found += analysis.overlapping(table)
            found += analysis.not_analysed(table) if options.notes else ()
    found += analysis.unique_hosts(tables)
    found += one_azure_secret(tables)
    found += one_gateway_at_a_port(tables)
    return tables


def _partitions(project: Project, plan: Plan, options: Options, found: list[Diagnostic]) -> dict[str, Ownership]:
    """The Partitions by name, with what is proved of each in `found`; those that are wrong are left out."""
    from replicator.routing.partitions import proved, resolve

    owned, problems = resolve(project, plan)
    found += problems
    if options.notes:
        led_to = {
            one.target.text
            for routing in project.routings
            for route in routing.routes
            for one in route.to
            if one.kind == "partition" and one.target is not None
        }
        found += (proved(one, one.name in led_to) for one in owned.values())
    return owned


def _routing(
    tables: Iterable[Table], render: Render, sync: SyncWaves | None, found: list[Diagnostic]
) -> list[stamp.RoutingObject]:
    """The objects of all Routings."""
    objects = []
    for table in tables:
        manifests, problems = import_module(EMITTERS[table.provider]).emit(table)
        found += problems
        apart = table.delegation == "island" or bool(table.over)
        if sync is not None:
            manifests = map(sync.of_routing, manifests)
        objects += [stamp.RoutingObject(table.name, one, render(one.body), table.places, apart) for one in manifests]
    return objects


def _smaller(table: Table) -> str:
    """How the objects of a Routing become smaller."""
    each = any(rule.over for rule in table.rules)
    return "delegation: island" if each and table.delegation != "island" else "fewer islands or routes in one Routing"


def _routed(name: str, objects: Sequence[stamp.RoutingObject]) -> tuple[list[Slot], dict[Hole, Place | None]]:
    """The slots that routing objects fill from one Set, and the places of their holes."""
    slots = [slot for one in objects for over, slot in one.slots() if over == name]
    places: dict[Hole, Place | None] = {}
    for one in objects if slots else ():
        for hole, place in stamp.hole_places(one.manifest.body):
            places.setdefault(hole, one.places.get(hole.source, place))
    return slots, places


def _parts(waves: Rollout, options: Options) -> frozenset[str]:
    """The parts that are asked for: asking for islands by name asks for nothing else, nor does a wave in the middle."""
    parts = {options.only} if options.only else set(PARTS)
    if options.islands:
        parts &= {"islands"}
    if options.wave not in (0, 1):
        parts -= {"shared"}
    if options.wave not in (0, waves.number):
        parts -= {"routing"}
    return frozenset(parts)


def _selection(
    plan: Plan, waves: Rollout, options: Options
) -> tuple[Callable[[Island], bool] | None, list[Diagnostic]]:
    """Whether an island is asked for: by its path, and by its wave. None: all are."""
    wave = options.wave
    chosen, found = _chosen(plan, options.islands) if options.islands else (None, [])
    if wave > waves.number:
        hint = f"they are 1 to {waves.number}" if waves.number > 1 else "there is only wave 1: no IslandSet has more"
        found.append(Diagnostic("R0802", f"there is no wave {wave:,}", None, hint=hint))
    if chosen is None:
        return (lambda island: waves.of(island) == wave) if wave else None, found
    if not wave:
        return lambda island: island.path in chosen, found
    return lambda island: island.path in chosen and waves.of(island) == wave, found


def _chosen(plan: Plan, globs: Sequence[str]) -> tuple[set[str], list[Diagnostic]]:
    """The paths that are asked for: those of islands, and of all inside them. A glob matches within one segment."""
    found = []
    paths = [island.path for one in plan.sets.values() for island in one.islands]
    chosen: set[str] = set()
    for glob in globs:
        steps = glob.split("/")
        hits = [path for path in paths if _is_under(path.split("/"), steps)] if len(steps) % 2 == 0 else []
        if not hits:
            hint = f"`{glob}/*` for all islands of the Set" if glob in plan.sets else nearest(glob, paths[:1000])
            found.append(Diagnostic("R0802", f"`{glob}` matches no island", None, hint=hint))
        chosen.update(hits)
    return chosen, found


def _is_under(path: Sequence[str], globs: Sequence[str]) -> bool:
    return len(path) >= len(globs) and all(map(fnmatchcase, path, globs))
