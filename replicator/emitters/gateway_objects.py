"""The objects of a Routing as Gateway API has them: metadata, the limits of names, and references to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replicator import names
from replicator.diagnostics import Diagnostic, Place, Related
from replicator.emitters import gateway_kgateway as kgateway
from replicator.emitters.routed import ISLAND, NO_LABELS, manifest
from replicator.routing.rules import Backend, Rule, Table
from replicator.tree import Manifest, Origin, Text, text

GROUP = "gateway.networking.k8s.io"
VERSION = f"{GROUP}/v1"


class Objects:
    """The objects that are made for a table, and what stands in their way."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.origin = Origin(table.place, "routing")
        self.kgateway = table.column == "kgateway"
        self.made: list[Manifest] = []
        self.found: list[Diagnostic] = []
        self.extensions: dict[tuple[str, Text, str], tuple[dict[str, Any], Place]] = {}

    def say(self, code: str, message: str, place: Place, hint: str = "", *related: Related) -> None:
        one = Diagnostic(code, message, place, hint=hint, related=related)
        if one not in self.found:
            self.found.append(one)

    def manifest(
        self,
        version: str,
        kind: str,
        name: Text,
        spec: dict[str, Any],
        namespace: Text = (),
        over: str = "",
        cases: frozenset[str] = frozenset(),
        place: Place | None = None,
        island: str = "",
        labels: Mapping[str, str] = NO_LABELS,
    ) -> None:
        """One more object, in the Routing's namespace unless another is given."""
        table = self.table
        longest = names.MAX_LABEL if kind == "Service" else names.MAX_SUBDOMAIN
        self.name(name, over, longest, place or table.place, kind)
        self.made.append(manifest(table, version, kind, name, spec, namespace, labels, over, cases, island=island))

    def name(self, name: Text, over: str, longest: int, place: Place, kind: str) -> None:
        """What is wrong with a name: of islands, with the longest of them."""
        islands = self.table.islands.get(over, ()) if over else ()
        most = max((len(island.name) for island in islands), default=1)
        size = sum(len(part) if isinstance(part, str) else most for part in name)
        shown = "".join(part if isinstance(part, str) else "x" for part in name)
        if size > longest:
            message = f"the name of the {kind} `{shown[:80]}` has {size} characters; it may have {longest}"
            self.say("R0506", message, place, "shorter names of the Routing, the route, the Set or its keys")
        elif not names.is_object_name(kind, shown):
            self.say("R0304", f"`{shown}` is no name of a {kind}", place, "a name of a-z, 0-9 and `-`")

    def named(self, rule: Rule) -> str:
        """The name of a route that objects are named after."""
        if not rule.route:
            message = "this route needs a name: objects are named after it"
            self.say("R0202", message, rule.place, "name: NAME")
        return rule.route

    def reference(self, backend: Backend) -> dict[str, Any]:
        """A reference to what answers."""
        if not backend.host and not self.native(backend):
            return {"name": backend.service, "namespace": backend.namespace, "port": backend.port}
        own = {"name": backend.name, "namespace": self.table.namespace}
        if self.kgateway:
            return {"group": kgateway.GROUP, "kind": "Backend", **own}
        return {**own, "port": backend.port}

    def native(self, backend: Backend) -> bool:
        return self.kgateway and kgateway.is_native(backend)

    def extension(self, kind: str, words: str, spec: dict[str, Any], rule: Rule, over: str = "") -> dict[str, Any]:
        """The filter that refers to an object of kgateway's, which is made once; with `over`, once for each island."""
        name = text(f"{self.table.name}-{words}", ("-", ISLAND) if over else ())
        known = self.extensions.get((kind, name, over))
        if known is None:
            self.extensions[kind, name, over] = (spec, rule.place)
            self.manifest(kgateway.VERSION, kind, name, spec, over=over, place=rule.place)
        elif known[0] != spec:
            message = f"two routes need a {kind}, and neither has a name of its own for it"
            self.say("R0507", message, rule.place, "name: NAME", Related("the other one", known[1]))
        return {"type": "ExtensionRef", "extensionRef": {"group": kgateway.GROUP, "kind": kind, "name": name}}
