"""The shape of routes that the schema cannot say."""

from __future__ import annotations

from collections.abc import Iterator

from replicator.diagnostics import Diagnostic, Place, Related
from replicator.model import DESTINATIONS, Project
from replicator.parser.source import Mapping

_OF_DESTINATIONS = ("timeout", "retries", "port", "rewrite", "headers", "cors", "mirror", "fault")


def routes(project: Project) -> Iterator[Diagnostic]:
    """The shape of routes that the schema cannot say: one action each, names once, nothing behind a catch-all."""
    for routing in project.routings:
        first: dict[str, Place] = {}
        for route in routing.routes:
            actions = [word for word in route.node.items if word in ("to", "redirect", "respond")]
            if len(actions) > 1 or not (actions or route.each or routing.each):
                message = "a route does one thing" if actions else "a route does nothing"
                place = route.node.key_place(actions[1]) if actions else route.place
                yield Diagnostic("R0205", message, place, hint="exactly one of: to, redirect, respond")
            if route.name:
                earlier = first.setdefault(route.name, route.place)
                if earlier is not route.place:
                    related = (Related("the first one", earlier),)
                    yield Diagnostic(
                        "R0707", f"a second route of the name `{route.name}`", route.place, related=related
                    )
            for destination in route.to:
                if not destination.kind:
                    hint = f"one of: {', '.join(DESTINATIONS)}"
                    yield Diagnostic("R0202", "a destination names nothing", destination.place, hint=hint)
            for action in ("redirect", "respond"):
                for field in _OF_DESTINATIONS:
                    if action in route.node.items and field in route.node.items:
                        message = f"`{field}` says nothing beside `{action}`: no destination is asked"
                        yield Diagnostic("R0205", message, route.node.key_place(field), hint="remove it")
            if (
                not route.weighted
                and isinstance(single := route.node.items.get("to"), Mapping)
                and "weight" in single.items
            ):
                message = "the weight of the only destination says nothing"
                yield Diagnostic("R0205", message, single.key_place("weight"), hint="weights are for a list")


def one_destination(project: Project) -> Iterator[Diagnostic]:
    for routing in project.routings:
        for route in routing.routes:
            for one in (*route.to, *((route.mirror,) if route.mirror is not None else ())):
                words = [word for word in one.node.items if word in DESTINATIONS]
                if len(words) > 1:
                    hint = f"exactly one of: {', '.join(DESTINATIONS)}; for several, a list"
                    yield Diagnostic("R0205", "a destination names two things", one.node.key_place(words[1]), hint=hint)
                if "tls" in one.node.items and one.kind != "host":
                    message = "`tls` is said of a host outside: a Service is spoken to as its port says"
                    yield Diagnostic("R0205", message, one.node.key_place("tls"), hint="remove it")
                if "port" in one.node.items and one.kind == "function":
                    yield Diagnostic("R0205", "a function has no port", one.node.key_place("port"), hint="remove it")
