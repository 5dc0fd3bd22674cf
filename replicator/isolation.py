"""Who may reach the islands of strict Sets: links and routers, seen from the island that is called.

An island's policies must not grow with the number of islands elsewhere, nor change with them. So callers are told by
patterns: the text that the caller's name must be, with the island's own key in it, or the label of the callers' whole
Set. Only what no pattern says, callers deeper inside the islands around or a link to one key, is told by lists; an
island's lists are a part of its shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related
from replicator.expander.islands import Island, SetPlan, island_place
from replicator.links import Link
from replicator.model import IslandSet
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Sequence as SequenceNode
from replicator.tree import Leaf, Manifest, Map, at


class Router(NamedTuple):
    """Pods of a proxy, by their labels; where no namespace is known (""), in any."""

    labels: tuple[tuple[str, str], ...]
    namespace: str = ""


class Entrance(NamedTuple):
    """A port of the islands of a Set that routes lead to, through a proxy; None where its pods are not known."""

    set: str
    port: str
    router: Router | None
    place: Place


def is_strict(plan: SetPlan) -> bool:
    """Whether a Set's islands are isolated: what the outermost Set says holds for all that is inside."""
    return plan.root.model.isolation == "strict"


def place_of(model: IslandSet, field: str = "isolation") -> Place:
    """Where a Set says something of its isolation."""
    spec = model.node.items["spec"]
    assert isinstance(spec, MappingNode)
    return spec.key_place(field)


def peers(model: IslandSet, of: str) -> Sequence[MappingNode] | None:
    """The peers that a Set allows something; None where it does not say."""
    node = model.allow.items.get(of) if model.allow is not None else None
    if not isinstance(node, SequenceNode):
        return None
    return [one for one in node.items if isinstance(one, MappingNode)]


class Isolation:
    """The links and entrances of a build. `services` gives the Services that islands of a Set have, before patches."""

    def __init__(
        self,
        links: Sequence[Link],
        entrances: Sequence[Entrance],
        services: Callable[[SetPlan], Sequence[Manifest]],
    ) -> None:
        self.entrances = entrances
        self.links = links
        self._services = services
        self._known: dict[str, Sequence[Manifest]] = {}
        self._beneath: dict[tuple[str, str], Mapping[str, list[str]]] = {}
        self._apart: dict[str, list[Link]] = {}

    def into(self, plan: SetPlan) -> list[Link]:
        """The links by which islands of a Set are called."""
        return [link for link in self.links if link.target is plan]

    def out_of(self, plan: SetPlan) -> list[Link]:
        """The links by which islands of a Set call others."""
        return [link for link in self.links if link.caller is plan]

    def services(self, link: Link) -> list[Manifest]:
        """What the Service of a link may be: more than one where islands differ in structure."""
        path = link.target.path
        if path not in self._known:
            self._known[path] = self._services(link.target)
        found = self._known[path]
        return [one for one in found if link.target.model.form == "pods" or one.local == link.service]

    # Callers

    def callers(self, link: Link, island: Island) -> list[str]:
        """The names by which the callers of an island are told, after the name of the island around it.

        They are names of Sets; of the island around itself "". See `policies.callers` for what becomes of them.
        """
        around = island.parent
        outer = link.target.above
        own = outer is not None and link.scope is outer
        if link.reach == "key" and island.key != link.key:
            return []
        if own and link.reach == "same" and around is not None and around.key != island.key:
            return []
        if own or link.reach == "own":
            return [""]
        named = link.caller
        if outer is None and named.above is None:
            return [named.path]
        if named.above is outer:
            return [f"-{named.model.name}"]
        return self._sets(named, outer).get(around.path if around is not None else "", [])

    def _sets(self, named: SetPlan, outer: SetPlan | None) -> Mapping[str, list[str]]:
        """The names of the Sets of a plan inside each island of `outer`, after that island's own name."""
        key = (named.path, outer.path if outer is not None else "")
        if key not in self._beneath:
            found: dict[str, list[str]] = {}
            assert named.above is not None
            for holder in named.above.islands:
                around: Island | None = holder
                while around is not None and around.plan is not outer:
                    around = around.parent
                start = around.name if around is not None else ""
                if not holder.implementation:
                    name = f"{holder.name[len(start) :]}-{named.model.name}"
                    found.setdefault(around.path if around is not None else "", []).append(name)
            self._beneath[key] = found
        return self._beneath[key]

    def differs(self, link: Link) -> bool:
        """Whether the callers of a link are another list for each island that is called."""
        outer = link.target.above
        if link.reach == "key":
            return True
        if link.reach == "own" or outer is None:
            return False
        return link.reach == "same" if link.scope is outer else link.caller.above is not outer

    def _differing(self, plan: SetPlan) -> list[Link]:
        """The links whose callers are another list for each island of a strict Set."""
        if not is_strict(plan):
            return []
        if plan.path not in self._apart:
            self._apart[plan.path] = list(filter(self.differs, self.into(plan)))
        return self._apart[plan.path]

    def tells_apart(self, plan: SetPlan) -> bool:
        """Whether islands of a Set differ in who calls them."""
        return bool(self._differing(plan))

    def signature(self, island: Island) -> str:
        """What the structure of an island's policies depends on: its lists of callers, in the order of the links."""
        links = self._differing(island.plan)
        return json.dumps([self.callers(link, island) for link in links]) if links else ""

    def lists(self, plan: SetPlan, signature: str) -> Iterator[tuple[Link, list[str]]]:
        """The links into the islands of a Set of one signature, with the names of their callers."""
        told = iter(json.loads(signature) if signature else [])
        example = plan.example
        assert example is not None
        for link in self.into(plan):
            yield link, next(told) if self.differs(link) else self.callers(link, example)

    # Routers

    def ports(self, plan: SetPlan) -> Mapping[str, list[Router]]:
        """The ports of a Set's Type that routers may call, with the routers that are known of each.

        Where no route of the build leads to the outermost Set or into it, who is allowed as a router may call all.
        """
        led = self._led_into(plan.root)
        found: dict[str, list[Router]] = {}
        for one in led:
            if one.set == plan.path:
                routers = found.setdefault(one.port, [])
                if one.router is not None and one.router not in routers:
                    routers.append(one.router)
        return found if led else {name: [] for name in plan.type.ports}

    def _led_into(self, root: SetPlan) -> list[Entrance]:
        return [one for one in self.entrances if one.set.partition("/")[0] == root.path]

    # What is wrong

    def judge(self, sets: Iterable[SetPlan], routed: bool) -> Iterator[Diagnostic]:
        """What stands in the way of isolation. `routed`: whether the build has Routings."""
        strict = [one for one in sets if is_strict(one)]
        for plan in strict:
            if plan.above is None and peers(plan.model, "routers") is None:
                yield from self._routers(plan, routed)
        for link in self.links:
            if link.target in strict:
                yield from _unnamed(link)
            if link.caller in strict and link.caller.root.model.egress == "deny":
                yield from self._outside(link)

    def _routers(self, plan: SetPlan, routed: bool) -> Iterator[Diagnostic]:
        hint = "allow: {routers: [{namespaceSelector: …, podSelector: …}]}, or [] where no requests come through one"
        if not routed:
            message = "no Routing of this build says which proxies may call the islands"
            yield Diagnostic("R0620", message, place_of(plan.model), hint=hint)
        for one in self._led_into(plan):
            if one.router is None:
                message = "the proxies of a Routing without a Gateway are not known"
                related = (Related("this Routing leads to them", one.place),)
                yield Diagnostic("R0620", message, place_of(plan.model), hint=hint, related=related)

    def _outside(self, link: Link) -> Iterator[Diagnostic]:
        """Whom an island calls and no policy can name: what is outside of the cluster has no pods."""
        if peers(link.caller.root.model, "egress") is not None:
            return
        hint = "allow: {egress: [{ipBlock: {cidr: …}}]} names its addresses"
        said = (Related("`egress: deny` holds here", place_of(link.caller.root.model, "egress")),)
        for island in link.target.islands if link.target.individual else ():
            if island.implementation and link.reach != "own" and link.key in ("", island.key):
                message = f"the island `{island.path}` is no pods, so that no policy can let it be called"
                related = (*said, Related("this island", island_place(island)))
                yield Diagnostic("R0621", message, link.place, hint=hint, related=related, severity="warning")
                return
        services = self.services(link)
        if services and not any(map(selects_pods, services)):
            message = f"the Service `{link.service}` selects no pods, so that no policy can let it be called"
            yield Diagnostic("R0621", message, link.place, hint=hint, related=said, severity="warning")


def _unnamed(link: Link) -> Iterator[Diagnostic]:
    """Callers in another namespace are told by its name."""
    caller, target = link.caller, link.target
    nowhere = not caller.root.own_namespaces and not caller.namespace
    if nowhere and target.above is None and (target.own_namespaces or target.namespace):
        message = f"the islands of `{target.path}` are isolated, and a caller in another namespace is told by its name"
        related = (Related("this Set is called", place_of(target.model)),)
        place = caller.root.model.metadata.name_node.place
        yield Diagnostic("R0704", message, place, hint="metadata: {namespace: …}", related=related)


def selects_pods(service: Manifest) -> bool:
    """Whether a Service has pods: else it is another name, or somebody else says where it leads."""
    selector = at(service.body, "spec", "selector")
    kind = at(service.body, "spec", "type")
    named = isinstance(kind, Leaf) and kind.value == "ExternalName"
    return isinstance(selector, Map) and bool(selector.items) and not named


NOT_ISOLATED = Isolation((), (), lambda plan: ())
"""Of builds without strict Sets."""
