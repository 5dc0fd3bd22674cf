"""What Sets say of isolation: what belongs to what, and that peers are such as a NetworkPolicy takes.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/, and kubernetes/kubernetes:
pkg/apis/networking/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from replicator import names
from replicator.diagnostics import Diagnostic, Related
from replicator.model import IslandSet, Project
from replicator.parser.source import Mapping, Node, Scalar, Sequence
from replicator.scope import scalars

_SELECTORS = ("namespaceSelector", "podSelector")


def isolation(project: Project) -> Iterator[Diagnostic]:
    for island_set in project.sets:
        yield from _together(island_set)
        allowed = island_set.allow.items.values() if island_set.allow is not None else ()
        for peers in allowed:
            for peer in peers.items if isinstance(peers, Sequence) else ():
                if isinstance(peer, Mapping) and not any(scalars(peer)):  # expressions in it are refused as such
                    yield from _peer(peer)


def _together(island_set: IslandSet) -> Iterator[Diagnostic]:
    """`egress` and `allow` go with `isolation: strict`, and what is allowed outwards with `egress: deny`."""
    spec = island_set.node.items["spec"]
    assert isinstance(spec, Mapping)
    deny = island_set.egress == "deny"
    if island_set.isolation != "strict":
        for field in (*(("egress",) if deny else ()), *(("allow",) if "allow" in spec.items else ())):
            message = f"`{field}` goes with `isolation: strict`"
            yield Diagnostic("R0310", message, spec.key_place(field), hint="isolation: strict")
    elif island_set.allow is not None and not deny:
        for field in ("egress", "dns"):
            if field in island_set.allow.items:
                message = f"`allow.{field}` goes with `egress: deny`: islands may call anybody"
                yield Diagnostic("R0310", message, island_set.allow.key_place(field), hint="egress: deny")


def _peer(peer: Mapping) -> Iterator[Diagnostic]:
    selectors = [field for field in _SELECTORS if field in peer.items]
    block = peer.items.get("ipBlock")
    if not selectors and block is None:
        hint = "one of: namespaceSelector, podSelector, ipBlock; {podSelector: {}} is every pod of the namespace"
        yield Diagnostic("R0202", "a peer that says nobody", peer.place, hint=hint)
    if selectors and block is not None:
        message = f"`ipBlock` and `{selectors[0]}` at once: a peer is pods or addresses"
        yield Diagnostic("R0205", message, peer.key_place("ipBlock"), hint="two peers")
    for field in selectors:
        selector = peer.items[field]
        if isinstance(selector, Mapping):
            yield from _selector(selector)
    if isinstance(block, Mapping):
        yield from _addresses(block)
    ports = peer.items.get("ports")
    for port in ports.items if isinstance(ports, Sequence) else ():
        number = port.get("port") if isinstance(port, Mapping) else None
        if isinstance(number, Scalar):
            yield from _port(number)


def _port(scalar: Scalar) -> Iterator[Diagnostic]:
    if scalar.text.isdecimal():
        if not 1 <= int(scalar.text[:6]) <= 65535:
            yield Diagnostic("R0205", f"{scalar.text} is no port", scalar.place, hint="from 1 to 65535")
    elif not names.is_port_name(scalar.text):
        hint = "a number, or the name of a port of a container: at most 15 of a-z, 0-9 and -"
        yield Diagnostic("R0304", f"`{scalar.text}` is no port's name", scalar.place, hint=hint)


def _selector(selector: Mapping) -> Iterator[Diagnostic]:
    fixed = selector.items.get("matchLabels")
    for key, value in fixed.items.items() if isinstance(fixed, Mapping) else ():
        assert isinstance(fixed, Mapping)
        problem = names.label_problem(key, "") or names.label_problem("key", str(value.data))
        if problem:
            yield Diagnostic("R0304", problem, fixed.key_place(key))
    listed = selector.items.get("matchExpressions")
    for one in listed.items if isinstance(listed, Sequence) else ():
        if isinstance(one, Mapping):
            yield from _requirement(one)


def _requirement(one: Mapping) -> Iterator[Diagnostic]:
    key, operator, values = one.items["key"], one.data["operator"], one.items.get("values")
    if problem := names.label_problem(str(key.data), ""):
        yield Diagnostic("R0304", problem, key.place)
    listed = values.items if isinstance(values, Sequence) else ()
    for value in listed:
        if problem := names.label_problem("key", str(value.data)):
            yield Diagnostic("R0304", problem, value.place)
    if operator in ("In", "NotIn") and not listed:
        yield Diagnostic("R0202", f"`{operator}` needs `values`", one.place)
    if operator in ("Exists", "DoesNotExist") and listed:
        yield Diagnostic("R0205", f"`{operator}` takes no `values`", one.key_place("values"))


def _addresses(block: Mapping) -> Iterator[Diagnostic]:
    from ipaddress import ip_network

    def read(node: Node) -> object:
        try:
            return ip_network(str(node.data)) if "/" in str(node.data) else None
        except ValueError:
            return None

    whole = read(block.items["cidr"])
    left_out = block.items.get("except")
    parts = [(node, read(node)) for node in (left_out.items if isinstance(left_out, Sequence) else ())]
    for node, network in ((block.items["cidr"], whole), *parts):
        if network is None:
            yield _no_range(node)
    for node, network in parts:
        if whole is not None and network is not None and not _is_within(network, whole):
            message = f"`{node.data}` is no part of `{block.items['cidr'].data}`"
            related = (Related("of these addresses", block.items["cidr"].place),)
            yield Diagnostic("R0205", message, node.place, related=related)


def _no_range(node: Node) -> Diagnostic:
    message = f"`{node.data}` is no range of addresses"
    return Diagnostic("R0205", message, node.place, hint="as in 10.0.0.0/8 or 2001:db8::/32; /32 is one address")


def _is_within(part: object, whole: object) -> bool:
    from ipaddress import IPv4Network, IPv6Network

    if isinstance(part, IPv4Network) and isinstance(whole, IPv4Network):
        return part != whole and part.subnet_of(whole)
    return isinstance(part, IPv6Network) and isinstance(whole, IPv6Network) and part != whole and part.subnet_of(whole)
