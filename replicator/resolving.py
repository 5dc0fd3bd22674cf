"""The names in an island's objects, of other objects and of hosts, in full; and those that nothing answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from replicator.context import Context
from replicator.decisions import Decision
from replicator.diagnostics import Diagnostic, Place, Related, nearest
from replicator.expander.islands import SetPlan
from replicator.expression.template import Path, parse
from replicator.hosts import FIELDS, Found, Hosts, Service, may_name, settled
from replicator.kinds import full_kind
from replicator.names import is_label
from replicator.references import HOST, Reference, is_given, is_known, plural, rewrite
from replicator.tree import Leaf, Manifest, Map, Text, at, leaf, text

Index = Mapping[tuple[str, str], Manifest]
"""Objects by kind (with its group, and where that is unequivocal without) and by their names in the island."""


class Unanswered(NamedTuple):
    """A reference that nothing in the island answers, and what to say of it if nothing else does."""

    kind: str
    name: str
    namespace: str | None
    diagnostic: Diagnostic


class Resolved(NamedTuple):
    """An island's objects with names in full; what is wrong with them; the expressions whose values are needed."""

    objects: list[Manifest]
    found: list[Diagnostic]
    unanswered: list[Unanswered]
    wanted: list[Decision]


def resolve(made: Sequence[Manifest], shared: Index, context: Context) -> Resolved:
    """Write the names in the objects of an island (or of what is shared) out in full."""
    hosts = _hosts(made, context)
    names = _Names(index(made), shared, context, hosts)
    declared = context.type.references
    renames = not (context.shared or context.pods or context.plan.own_namespaces)
    finished = []
    for manifest in made:
        if not (context.shared or context.pods or manifest.once):
            manifest = hosts.judge(manifest)
        manifest = manifest._replace(body=settled(manifest))
        kind = full_kind(manifest.api_version, manifest.kind)
        if renames and not manifest.once and not is_known(kind, declared):
            names.found.append(_unknown_kind(context.plan, manifest))
        finished.append(manifest._replace(body=rewrite(kind, manifest.body, names.answer, declared)))
    if renames:
        names.found += _renamed(made, hosts.found, names.called, context)
    names.found += _calls(names.own, context)
    names.found += map(_lost, hosts.lost)
    names.found += _unserved(made, hosts.strange, names)
    return Resolved(finished, names.found, names.unanswered, [*names.wanted, *_with_hosts(hosts, context)])


def index(objects: Iterable[Manifest]) -> dict[tuple[str, str], Manifest]:
    """Objects by what references call them."""
    found: dict[tuple[str, str], Manifest] = {}
    named = [one for one in objects if one.local]
    for one in named:
        found.setdefault((full_kind(one.api_version, one.kind), one.local), one)
    for one in named:
        found.setdefault((one.kind, one.local), one)
    return found


def _with_hosts(hosts: Hosts, context: Context) -> Iterator[Decision]:
    """The expressions in texts whose values may name a Service of the island: those texts are judged with them."""
    for place in hosts.open:
        scalar = context.bound.get(place)
        for expression in parse(scalar.text).expressions if scalar else ():
            reads = context.reads(expression)
            if ("island", "key") in reads or ("island", "name") in reads or context.is_known(expression):
                continue
            if scalar and any(_named_in(context.plan, path, frozenset(hosts.services)) for path in reads):
                yield Decision(expression, scalar)


@lru_cache(maxsize=256)
def _named_in(plan: SetPlan, path: Path, services: frozenset[str]) -> bool:
    """Whether a parameter's value names one of some Services, in any island."""
    return any(may_name(content, services) for content in plan.texts(path))


def needed(context: Context, place: Place) -> list[Decision]:
    """The expressions of a scalar that was bound to a text with holes; none where they tell every island apart."""
    scalar = context.bound.get(place)
    expressions = parse(scalar.text).expressions if scalar else []
    if scalar is None or any(path[0] == "island" for one in expressions for path in context.reads(one)):
        return []
    return [Decision(expression, scalar) for expression in expressions]


def _written_in(manifest: Manifest, plan: SetPlan) -> frozenset[str]:
    """The namespaces in which an author may have meant an object."""
    return frozenset([plan.namespace, manifest.written or "default"])


def _hosts(made: Iterable[Manifest], context: Context) -> Hosts:
    services: dict[str, Service] = {}
    stateful: dict[str, Text] = {}
    for one in made:
        if one.local and full_kind(one.api_version, one.kind) == "Service":
            services[one.local] = Service(one.name, _written_in(one, context.plan))
        elif one.local and one.kind == "StatefulSet":
            stateful[one.local] = one.name
    fields = context.type.rewrite_hosts
    if fields is None:  # where names stay, only the namespace beside them changes, as it does in manifests
        fields = frozenset(FIELDS) if context.plan.own_namespaces else frozenset()
    return Hosts(services, stateful, context.namespace, fields)


def _unknown_kind(plan: SetPlan, manifest: Manifest) -> Diagnostic:
    message = f"which fields of a {manifest.kind} name other objects, nobody knows: they may be renamed here"
    hint = f"references: [{{kind: {manifest.kind}, path: spec.…, to: Secret}}], or [{{kind: {manifest.kind}}}] for none"
    related = (Related("this Set renames", plan.model.metadata.name_node.place),)
    return Diagnostic("R0613", message, manifest.origin.place, hint=hint, related=related)


def _calls(own: Index, context: Context) -> Iterator[Diagnostic]:
    """The objects that `name`, `host`, `port` and `address` were asked for are there, whatever `when` says."""
    for call, place in context.asked:
        local = call.arguments[0]
        kinds = {kind for kind, name in own if name == local}
        if not kinds or (call.function != "name" and "Service" not in kinds):
            what = "resource" if call.function == "name" else "Service"
            message = f"`{call.function}`: this island has no {what} `{local}`"
            known = {name for kind, name in own if call.function == "name" or kind == "Service"}
            yield Diagnostic("R0404", message, place, hint=nearest(local, known))


def _lost(found: Found) -> Diagnostic:
    message = f"no StatefulSet of the island makes the pod that `{found.token}` names"
    hint = f"before the Service `{found.service}` is the name of a StatefulSet, and an ordinal"
    return Diagnostic("R0616", message, found.where.origin.place, hint=hint, severity="warning")


def _unserved(made: Iterable[Manifest], strange: Iterable[Found], names: _Names) -> Iterator[Diagnostic]:
    """Hosts that are called like a workload of the island, which has no Service of that name."""
    workloads = {one.local: one for one in made if one.kind in _SERVED}
    for found in strange:
        workload = workloads.get(found.service)
        if (
            workload is None
            or ("Service", found.service) in names.shared
            or names.is_declared("Service", found.service)
        ):
            continue
        place = workload.origin.place
        message = f"`{found.token}` is called as a host, and the {workload.kind} of that name has no such Service"
        hint = f'a Service `{found.service}`; or, if it is elsewhere, external: {{Service: ["{found.service}"]}}'
        related = (Related("the workload", place),) if place is not None else ()
        yield Diagnostic("R0618", message, found.where.origin.place, hint=hint, related=related, severity="warning")


_SERVED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController")


# Renamed Services


def _renamed(
    made: Iterable[Manifest], found: Sequence[Found], called: set[str], context: Context
) -> Iterator[Diagnostic]:
    """What to say of Services whose names change, and of the texts that may call them."""
    plan = context.plan
    brought = [
        one for one in made if one.kind == "Service" and one.origin.layer == "resource" and not one.once and one.local
    ]
    if plan.type.rewrite_hosts is None:
        if brought or found:
            yield _undecided(plan, brought, found)
        return
    called = called | {one.service for one in found}
    called |= {port.service.text for port in plan.type.ports.values() if port.service is not None}
    called |= {call.arguments[0] for call, _ in context.asked if call.function != "name"}
    for service in brought:
        if service.local not in called and not _is_for_outside(service):
            message = f"nothing in the island calls the Service `{service.local}` by a name that can be seen"
            hint = "if an image has the name built in, it breaks in scope: prefix; scope: namespace is safe"
            name = at(service.body, "metadata", "name")
            place = (name.origin.place if isinstance(name, Leaf) else None) or service.origin.place
            yield Diagnostic("R0606", message, place, hint=hint, severity="warning")


def _undecided(plan: SetPlan, brought: Sequence[Manifest], found: Sequence[Found]) -> Diagnostic:
    """Names of Services change in this scope; whether those in texts do is the author's to say."""
    calls = sorted({one.token for one in found})
    listed = ", ".join(f"`{call}`" for call in calls[:8]) + (" …" if len(calls) > 8 else "")
    seen = f"texts name {listed}" if calls else "no text that can be seen names one"
    names = ", ".join(sorted({one.local for one in brought} or {one.service for one in found})[:8])
    whose = "Services of `resources`" if brought else "Services of units"
    message = f"in `scope: prefix` the {whose} are renamed ({names}): {seen}"
    places = [one.where.origin.place for one in found if one.where.origin.place]
    related = [Related("for example here", place) for place in (places[:3] if brought else places[1:3])]
    related.append(Related("this Set renames", plan.model.metadata.name_node.place))
    hint = "rewriteHosts: all (or none, or a list of env, args, configMaps, probes, annotations); or scope: namespace"
    place = plan.type.metadata.name_node.place
    if not brought:
        hint = "{{ address('unit', 'port') }} gives the name in full; or rewriteHosts: all"
        place = places[0] if places else place
    return Diagnostic("R0605", message, place, hint=hint, related=tuple(related))


def _is_for_outside(service: Manifest) -> bool:
    """Whether a Service is reached from outside of the cluster, and so need not be called by a name."""
    spec = service.body.get("spec")
    of_type = spec.get("type") if isinstance(spec, Map) else None
    return isinstance(of_type, Leaf) and of_type.value in ("LoadBalancer", "NodePort")


# References


class _Names:
    """What answers a reference: an object of the island, a shared one, or one that is declared external."""

    def __init__(self, own: Index, shared: Index, context: Context, hosts: Hosts) -> None:
        self.own = own
        self.shared = shared
        self.full = {(kind, one.name): one for (kind, _), one in (*shared.items(), *own.items())}
        self.context = context
        self.hosts = hosts
        self.external = {
            (kind, context.text(scalar))
            for kind, scalars in context.type.external.items()
            for scalar in scalars
            if not context.shared or "{{" not in scalar.text
        }
        self.called: set[str] = set()
        self.found: list[Diagnostic] = []
        self.unanswered: list[Unanswered] = []
        self.wanted: list[Decision] = []

    def answer(self, reference: Reference) -> tuple[Leaf, Text | None]:
        """The reference with its target's full name, and its target's namespace.

        References that emitters made (they have no place) are full already.
        """
        node = reference.node
        name, place = node.value, node.origin.place
        if place is None or not isinstance(name, (str, tuple)) or not name:
            return node, None
        if reference.kind == HOST:
            return self._host(node, place), None
        target = self._target(reference, name) if not self._is_outside(reference, name) else None
        if target is not None:
            if target.kind == "Service":
                self.called.add(target.local)
            self._judge_namespace(reference, target)
            return leaf(target.name, node.origin), target.namespace or None
        known = self._is_external(reference, name) or is_given(reference.kind, name if isinstance(name, str) else "")
        if known or reference.maybe or (isinstance(name, tuple) and self._promote(place)):
            return node, None
        self._unanswered(reference, name, place)
        return node, None

    def _target(self, reference: Reference, name: str | Text) -> Manifest | None:
        """The object that a reference names: of the island, else of what is shared."""
        if not isinstance(name, str):
            if reference.kind:
                return self.full.get((reference.kind, name))
            return next((one for (_, full), one in self.full.items() if full == name), None)
        for objects in (self.own, self.shared):
            target = self._among(objects, reference, name)
            if target is not None and (objects is self.own or self._reaches(reference, target)):
                return target
        return None

    def _among(self, objects: Index, reference: Reference, name: str) -> Manifest | None:
        if reference.kind:
            return objects.get((reference.kind, name))
        return next((one for (_, local), one in objects.items() if local == name and self._fits(reference, one)), None)

    @staticmethod
    def _fits(reference: Reference, one: Manifest) -> bool:
        return not reference.resources or bool({"*", plural(one.kind)} & reference.resources)

    def _reaches(self, reference: Reference, target: Manifest) -> bool:
        """Whether a reference from an island's object reaches what is shared, which is in the namespace of the Set."""
        own = self.context.plan.root.own_namespaces and not self.context.shared
        return not own or reference.namespace is not None or self._is_cluster_scoped(target)

    def _is_cluster_scoped(self, target: Manifest) -> bool:
        return self.context.is_cluster_scoped(target.api_version, target.kind)

    def _judge_namespace(self, reference: Reference, target: Manifest) -> None:
        if reference.namespace is None or target.namespace or self._is_cluster_scoped(target):
            return
        message = f"the namespace of the {target.kind} `{target.local}` is written here, but its Set has none"
        hint = "metadata.namespace of the IslandSet"
        related = (Related("this Set", self.context.plan.model.metadata.name_node.place),)
        place = reference.namespace.origin.place or reference.node.origin.place
        self.found.append(Diagnostic("R0704", message, place, hint=hint, related=related))

    def _is_outside(self, reference: Reference, name: str | Text) -> bool:
        """Whether what is meant is declared external with its namespace; all other namespaces are replaced."""
        written = reference.namespace.value if reference.namespace is not None else None
        full = (name,) if isinstance(name, str) else name
        return isinstance(written, str) and self._is_declared(reference.kind, text(f"{written}/", full))

    def _is_external(self, reference: Reference, name: str | Text) -> bool:
        full = (name,) if isinstance(name, str) else name
        return self._is_declared(reference.kind, full) or self._is_outside(reference, name)

    def is_declared(self, kind: str, name: str) -> bool:
        """Whether an object of a kind and a fixed name is declared external."""
        return self._is_declared(kind, (name,))

    def _is_declared(self, kind: str, name: Text) -> bool:
        if not kind:
            return any(declared == name for _, declared in self.external)
        return (kind, name) in self.external or (kind.partition(".")[0], name) in self.external

    def _host(self, node: Leaf, place: Place) -> Leaf:
        """A field that is one host name: of a Service of the island, or of something else in the world."""
        made = self.hosts.name(node)
        if made is not None:
            return made
        name = node.value
        if isinstance(name, str) and is_label(name) and ("Service", (name,)) not in self.external:
            self._unanswered(Reference("Service", node), name, place)
        return node

    def _promote(self, place: Place) -> bool:
        """Ask for the values of a reference's expressions, unless they tell every island apart."""
        wanted = needed(self.context, place)
        self.wanted += wanted
        return bool(wanted)

    def _unanswered(self, reference: Reference, name: str | Text, place: Place) -> None:
        kind = reference.kind.partition(".")[0]
        scalar = self.context.bound.get(place)
        shown = name if isinstance(name, str) else scalar.text if scalar is not None else "?"
        if (reference.kind, shown) in self.shared:
            message = f"the {kind} `{shown}` is shared, in another namespace than the island's own"
            hint = "put it into the Type's `resources`, so that every island has its own; or scope: prefix"
            self.found.append(Diagnostic("R0603", message, place, hint=hint))
            return
        known = [local for of_kind, local in (*self.own, *self.shared) if of_kind == reference.kind]
        known += ["".join(map(str, full)) for of_kind, full in self.external if of_kind == kind and len(full) == 1]
        close = nearest(shown, known) if known else ""
        hint = close if close.startswith("did") else f'if it exists outside: external: {{{kind}: ["{shown}"]}}'
        message = f"the {kind or 'object'} `{shown}` is neither in the set nor declared external"
        diagnostic = Diagnostic("R0603", message, place, hint=hint)
        written = reference.namespace.value if reference.namespace is not None else None
        namespace = written if isinstance(written, str) else self._namespace
        self.unanswered.append(Unanswered(reference.kind, shown, namespace, diagnostic))

    @property
    def _namespace(self) -> str | None:
        """The namespace of the island, where it is known."""
        parts = self.context.namespace
        return "".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None
