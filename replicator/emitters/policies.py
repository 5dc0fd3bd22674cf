"""NetworkPolicies of islands of strict Sets: one for all pods of an island, one for each Service that others call.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/: what several policies allow
adds up, and a pod that one of them selects is closed to all else in the policy's direction. In an entry of `from` or
`to` a podSelector beside a namespaceSelector means pods in those namespaces; alone, pods in the policy's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from replicator.context import ISLAND_KEY, ISLAND_NAME, Context
from replicator.emitters import labels
from replicator.expander.islands import SetPlan
from replicator.isolation import Isolation, Router, is_strict, peers, place_of, selects_pods
from replicator.links import Link
from replicator.names import LABEL_VALUE_RULE
from replicator.parser.source import Mapping as MappingNode
from replicator.parser.source import Node
from replicator.parser.source import Sequence as SequenceNode
from replicator.sources import Around, Elsewhere, Within, assemble
from replicator.tree import Hole, Leaf, List, Manifest, Map, Origin, Text, Tree, at, leaf, mapping, text, tree

NAMESPACE = "kubernetes.io/metadata.name"  # a label that every namespace has
_DNS_PORTS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
# CoreDNS and kube-dns are labelled alike; NodeLocal DNSCache listens on this address of each node.
# https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
_DNS = [
    {
        "namespaceSelector": {"matchLabels": {NAMESPACE: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    },
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
]


def emit(context: Context, isolation: Isolation, signature: str, made: Sequence[Manifest]) -> Iterator[Manifest]:
    """The policies of an island of a strict Set, whose other objects are `made`.

    `signature` is what `isolation` says of the island's callers.
    """
    if not is_strict(context.plan):
        return
    yield _base(context, isolation)
    services = [one for one in made if one.kind == "Service" and one.api_version == "v1" and selects_pods(one)]
    callers: dict[str, list[tuple[str, Tree]]] = {}
    for name, peer in (*_routers(context, isolation), *_callers(context, isolation, signature)):
        local, _, port = name.partition("/")
        callers.setdefault("" if context.pods else local, []).append((port, peer))
    for service in services:
        rules = _rules(service, callers.get(service.local, ()))
        if rules:
            yield _of_service(context, service, rules)


def _manifest(context: Context, local: str, component: str, spec: dict[str, Any]) -> Manifest:
    origin = Origin(place_of(context.plan.root.model), "set")
    name = text(ISLAND_NAME, f"-{local}") if context.pods else context.object_name(local)
    metadata = labels.metadata(leaf(name), context.namespace, labels.of_object(context, component))
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    whole = mapping(body, origin)
    return Manifest("networking.k8s.io/v1", "NetworkPolicy", name, context.namespace, whole, origin, local=local)


def _own(context: Context) -> dict[str, Any]:
    """What selects the pods of the island."""
    if context.pods:
        return {"matchLabels": {labels.SET: context.plan.path, labels.POD_NAME: text(ISLAND_NAME)}}
    return {"matchLabels": {labels.ISLAND: text(ISLAND_NAME)}}


def _base(context: Context, isolation: Isolation) -> Manifest:
    """Whom all pods of an island may hear, and with `egress: deny` whom they may call."""
    model = context.plan.root.model
    own: Tree = tree({"podSelector": _own(context)})
    allowed = [*(peers(model, "metrics") or ()), *(peers(model, "ingress") or ())]
    allowed += (one for one in peers(model, "routers") or () if "ports" in one.items)
    spec: dict[str, Any] = {
        "podSelector": _own(context),
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [own]}, *_allowed("from", allowed)],
    }
    if model.egress == "deny":
        dns = peers(model, "dns")
        named = _allowed("to", dns, _DNS_PORTS) if dns is not None else [{"to": _DNS, "ports": _DNS_PORTS}]
        spec["policyTypes"].append("Egress")
        egress = _allowed("to", peers(model, "egress") or ())
        spec["egress"] = [{"to": [own]}, *_called(context, isolation), *named, *egress]
    return _manifest(context, "isolation", "", spec)


# What the author allows


def _allowed(side: str, given: Iterable[MappingNode], otherwise: Any = ...) -> list[dict[str, Any]]:
    """Rules for peers as they are written, those of the same ports together."""
    found: dict[str, tuple[Any, list[Tree]]] = {}
    for one in given:
        ports = one.items.get("ports")
        shown = ports.data if ports is not None else ...
        made = [_port(port) for port in ports.items] if isinstance(ports, SequenceNode) else otherwise
        found.setdefault(repr(shown), (made, []))[1].append(_peer(one))
    return [{side: listed, "ports": ports} for ports, listed in found.values()]


def _port(node: Node) -> Tree:
    number = node.data["port"]
    number = int(number) if isinstance(number, str) and number.isdecimal() else number
    return mapping({"protocol": node.data.get("protocol", "TCP"), "port": number}, Origin(node.place, "set"))


def _peer(node: MappingNode) -> Tree:
    """A peer without its ports."""
    return _data(node, ("namespaceSelector", "podSelector", "ipBlock"))


def _data(node: Node, order: Sequence[str] = ()) -> Tree:
    origin = Origin(node.place, "set")
    if isinstance(node, MappingNode):
        names = [name for name in order if name in node.items] if order else list(node.items)
        return Map(tuple((name, _data(node.items[name])) for name in names), origin)
    if isinstance(node, SequenceNode):
        return List(tuple(map(_data, node.items)), origin)
    return Leaf(node.data, origin)


# Who calls an island


def _routers(context: Context, isolation: Isolation) -> Iterator[tuple[str, Tree]]:
    """The proxies that may call a port, by Service and port."""
    given = peers(context.plan.root.model, "routers")
    for name, known in sorted(isolation.ports(context.plan).items()):
        port = context.type.ports[name]
        named = port.unit or port.service
        assert named is not None
        for peer in map(_router, known) if given is None else (_peer(one) for one in given if "ports" not in one.items):
            yield f"{named.text}/{port.port.text}", peer


def _router(router: Router) -> Tree:
    where = {"matchLabels": {NAMESPACE: router.namespace}} if router.namespace else {}
    return tree({"namespaceSelector": where, "podSelector": {"matchLabels": dict(router.labels)}})


def _callers(context: Context, isolation: Isolation, signature: str) -> Iterator[tuple[str, Tree]]:
    """The islands that call a Service of this one, by Service and port."""
    for link, names in isolation.lists(context.plan, signature):
        if names:
            yield f"{link.service}/{link.port}", _caller(context.plan, link, names)


def _caller(target: SetPlan, link: Link, names: list[str]) -> Tree:
    """The pods of the callers of a link: by the label of the island or, where a whole Set calls, of that."""
    caller, scope = link.caller, link.scope
    around: Text = (Hole("name", Around(target.above)),) if target.above is not None else ()
    tail: Text = ()
    label = labels.SET
    if link.reach == "own":
        around, tail = (ISLAND_NAME,), (f"-{caller.model.name}",)
    elif scope is target.above:
        label = labels.ISLAND if scope is caller else labels.SET
        tail = () if scope is caller else (f"-{caller.model.name}",)
    elif link.reach == "same":
        label, tail = _label_of(caller), ("-", ISLAND_KEY)
    values = [_judged(text(around, name, tail)) for name in names]
    spaces = _namespaces(target, link, values)
    return tree({"namespaceSelector": spaces, "podSelector": _one_of(label, values, Origin(link.place, "type"))})


def _label_of(plan: SetPlan) -> str:
    return labels.POD_NAME if plan.model.form == "pods" else labels.ISLAND


def _judged(value: Text) -> Text:
    """A label's value with an island's key in it: who it names may be nobody, so that nobody else judges it."""
    return text(*(_within(part, value) if part == ISLAND_KEY else part for part in value))


def _within(part: Any, value: Text) -> Hole:
    return Hole(part.kind, Within(part, value, LABEL_VALUE_RULE))


def _one_of(label: str, values: Sequence[Text], origin: Origin) -> dict[str, Any]:
    if len(values) == 1:
        return {"matchLabels": {label: leaf(values[0], origin)}}
    listed = [leaf(value, origin) for value in values]
    return {"matchExpressions": [{"key": label, "operator": "In", "values": listed}]}


def _namespaces(target: SetPlan, link: Link, values: list[Text]) -> Any:
    """The namespaces that the callers of a link are in, where these may be others than the island's."""
    root = link.caller.root
    if target.above is not None or (
        not target.own_namespaces and not root.own_namespaces and target.namespace == link.caller.namespace
    ):
        return ...
    if not root.own_namespaces:
        return {"matchLabels": {NAMESPACE: root.namespace}}
    origin = Origin(link.place, "type")
    if link.reach == "same" and link.scope is root:
        return _one_of(NAMESPACE, [_judged(text(root.path, "-", ISLAND_KEY))], origin)
    given = root.model.namespaces
    if given is not None and given.data.get("create"):
        return {"matchLabels": {labels.SET: root.path}}
    return _one_of(NAMESPACE, [(island.name,) for island in root.islands if not island.implementation], origin)


def _rules(service: Manifest, callers: Sequence[tuple[str, Tree]]) -> list[dict[str, Any]]:
    """The rules for the ports of a Service, those with the same callers together."""
    found: dict[Any, tuple[list[Tree], list[Tree]]] = {}
    for port in _ports_of(service):
        who = _distinct(peer for name, peer in callers if _is_called(port, name))
        if who:
            found.setdefault(tuple(map(_bare, who)), (who, []))[1].extend(_targets(service, port))
    return [{"from": who, "ports": _distinct(ports)} for who, ports in found.values()]


def _distinct(trees: Iterable[Tree]) -> list[Tree]:
    """Trees without those that say the same."""
    found: dict[Any, Tree] = {}
    for one in trees:
        found.setdefault(_bare(one), one)
    return list(found.values())


def _bare(node: Tree) -> Any:
    """What a tree says, wherever it comes from."""
    if isinstance(node, Map):
        return tuple((key, _bare(value)) for key, value in node.items)
    if isinstance(node, List):
        return tuple(map(_bare, node.items))
    return node.value if isinstance(node, Leaf) else node


def _of_service(context: Context, service: Manifest, rules: list[dict[str, Any]]) -> Manifest:
    local = f"{service.local}-ingress" if service.local else "ingress"
    selector = at(service.body, "spec", "selector")
    assert isinstance(selector, Map)
    own = {**dict(selector.items), **_own(context)["matchLabels"]}
    component = service.local if service.local in context.type.units else ""
    spec = {"podSelector": {"matchLabels": own}, "policyTypes": ["Ingress"], "ingress": rules}
    return _manifest(context, local, component, spec)


# The ports of a Service


def _ports_of(service: Manifest) -> list[Map]:
    listed = at(service.body, "spec", "ports")
    return [one for one in listed.items if isinstance(one, Map)] if isinstance(listed, List) else []


def _is_called(port: Map, name: str) -> bool:
    """Whether a port of a Service is meant by a name or number; without one all are."""
    known = [one.value for field in ("name", "port") if isinstance(one := port.get(field), Leaf)]
    return not name or name in [str(one) for one in known if isinstance(one, (str, int))]


def _targets(service: Manifest, port: Map) -> list[Tree]:
    """What a Service's port is at its pods. Those behind a headless one are called at the Service's number, too."""
    protocol = port.get("protocol") or tree("TCP")
    targets = [port.get("targetPort") or port.get("port")]
    address = at(service.body, "spec", "clusterIP")
    if isinstance(address, Leaf) and address.value == "None":
        targets.append(port.get("port"))
    return [mapping({"protocol": protocol, "port": one}) for one in targets if isinstance(one, Leaf)]


# Whom an island calls


def _called(context: Context, isolation: Isolation) -> list[dict[str, Any]]:
    """The rules for the pods and ports that an island's links lead to, those of the same pods together."""
    found: dict[Any, tuple[Tree, list[Tree]]] = {}
    for link in isolation.out_of(context.plan):
        for service in filter(selects_pods, isolation.services(link)):
            called = (port for port in _ports_of(service) if _is_called(port, link.port))
            ports = [_seen(link, one) for port in called for one in _targets(service, port)]
            peer = tree(_target(context, link, service))
            if ports:
                found.setdefault(_bare(peer), (peer, []))[1].extend(ports)
    return [{"to": [peer], "ports": _distinct(ports)} for peer, ports in found.values()]


def _target(context: Context, link: Link, service: Manifest) -> dict[str, Any]:
    """The pods behind a Service of the islands that a link leads to."""
    target = link.target
    origin = Origin(link.place, "type")
    key: Text = (link.key,) if link.key else (ISLAND_KEY,)
    around = Hole("name", Around(target.above)) if target.above is not None else ""
    of_set = text(around, f"-{target.model.name}") if around else (target.path,)
    name = _judged(text(of_set, "-", key)) if link.reach != "own" else (Hole("name", Around(target)),)
    own: dict[str, Any] = {labels.SET: leaf(of_set, origin)}
    if link.reach != "all":
        own = {_label_of(target): leaf(name, origin)}
    selector = at(service.body, "spec", "selector")
    assert isinstance(selector, Map)
    others = {name: value for name, value in selector.items if name not in (labels.ISLAND, labels.POD_NAME)}
    pods = {**own, **{name: _seen(link, value) for name, value in others.items()}}
    spaces: Any = ...
    if target.own_namespaces and link.reach != "own":
        spaces = {"matchLabels": {NAMESPACE: leaf(name, origin)}}
    elif target.above is None and not context.is_beside(target) and link.reach != "own":
        spaces = {"matchLabels": {NAMESPACE: target.namespace}}
    return {"namespaceSelector": spaces, "podSelector": {"matchLabels": pods}}


def _seen(link: Link, node: Tree) -> Tree:
    """What is said of the island that is called, as the caller sees it. All that are called at once say the same."""
    if isinstance(node, Map):
        return Map(tuple((name, _seen(link, value)) for name, value in node.items), node.origin)
    if not isinstance(node, Leaf) or not isinstance(node.value, (Hole, tuple)):
        return node
    if link.reach == "all":
        first = link.target.islands[0]
        value = node.value
        return Leaf(value.source.value(first) if isinstance(value, Hole) else assemble(value, first), node.origin)
    if isinstance(node.value, Hole):
        return Leaf(_elsewhere(link, node.value), node.origin)
    parts = (_elsewhere(link, part) if isinstance(part, Hole) else part for part in node.value)
    return leaf(text(*parts), node.origin)


def _elsewhere(link: Link, hole: Hole) -> Hole:
    return Hole(hole.kind, Elsewhere(link.target, link.key, link.scope, hole.source))
