"""Translates Gateway API objects, and kgateway's own kinds, into an Envoy bootstrap.

Where the API server refuses an object, or an implementation would drop, ignore or misread a part of it, this raises:
nothing emitted may be without effect. The rules are those of kubernetes-sigs/gateway-api 1.6 (apis/v1), and of
kgateway 2.4 where the API leaves something to implementations:

- a regular expression as a path stands between exact paths and prefixes (Match.rank);
- a host with routes of its own has no others: routes of `*.example.com` never serve `a.example.com` too (as in Envoy
  Gateway, envoyproxy/gateway#5500);
- slashes are merged; without a timeout Envoy's 15 s hold;
- an ExternalName Service is no back end: the API says that implementations SHOULD NOT support it (CVE-2021-25740),
  Envoy Gateway therefore never will (envoyproxy/gateway#5817), and so kgateway has its Backend for such hosts.

One HTTP listener serves all listeners of all Gateways, so the routes of one host must have the same parents.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import envoy
import envoy_kgateway
import kgateway_schemas
import strict_schemas
from envoy import Endpoint, Fields, Object, Refused, Service, Services, UnknownField
from envoy_gateway_api_parts import DEFAULT_PORTS, Answer, Listening, Match, Reader, match, timeout
from envoy_parts import Option, Part

GROUP = "gateway.networking.k8s.io"
KGATEWAY = kgateway_schemas.API_VERSION.partition("/")[0]
# What is referred to comes first.
VERSIONS = {
    "ReferenceGrant": (f"{GROUP}/v1", f"{GROUP}/v1beta1"),
    "BackendTLSPolicy": (f"{GROUP}/v1",),
    "Backend": (kgateway_schemas.API_VERSION,),
    "DirectResponse": (kgateway_schemas.API_VERSION,),
    "TrafficPolicy": (kgateway_schemas.API_VERSION,),
    "Gateway": (f"{GROUP}/v1",),
    "HTTPRoute": (f"{GROUP}/v1",),
}
EVERY_HOST = "*"

Key = tuple[str, str]  # namespace, name
Kind = tuple[str, str]  # group, kind
SERVICE, BACKEND = ("", "Service"), (KGATEWAY, "Backend")


class Parent(NamedTuple):
    gateway: Key
    section: str
    port: int | None


class Listener(NamedTuple):
    name: str
    host: str
    protocol: str
    port: int
    namespaces: str  # All, Same
    kinds: tuple[str, ...]


class Grant(NamedTuple):
    namespace: str
    sources: tuple[tuple[str, str, str], ...]  # group, kind, namespace
    targets: tuple[tuple[str, str, str], ...]  # group, kind, name; no name stands for every one


@dataclass(frozen=True)
class Route:
    """One match of one rule, and the rest of its Envoy route."""

    match: Match
    part: Part
    owner: Key
    where: str
    place: tuple[int, int]  # of the rule, and of the match in it


@dataclass
class Policy:
    """A TrafficPolicy, and the rules that it is for: by the names of an HTTPRoute and of a rule in it, if given."""

    options: dict[str, Option]
    targets: tuple[tuple[str, str], ...]
    used: bool = False


def running(
    objects: Iterable[Object], backends: Iterable[Service], flavor: str | None = None
) -> AbstractContextManager[envoy.Gateway]:
    """Real Envoy with the translation of these objects, in front of these back ends.

    `flavor` is "standard" or "kgateway"; it is told by the objects if it is not given.
    """
    return envoy.running(partial(bootstrap, flavor=flavor), objects, backends)


def bootstrap(
    objects: Iterable[Object], services: Services, listen_port: int, flavor: str | None = None
) -> dict[str, Any]:
    """The static bootstrap; of other objects only Services are read.

    `services` says where Services, and other hosts as ("", host, port), really are.
    """
    every = list(objects)
    ours = [item for item in every if item["apiVersion"].partition("/")[0] in (GROUP, KGATEWAY)]
    for item in ours:
        if item["apiVersion"] not in VERSIONS.get(item["kind"], ()):
            raise UnknownField(f"{item['apiVersion']} {item['kind']}: no translation")
    check(ours)
    if flavor is None:
        flavor = "kgateway" if any(map(_tells_of_kgateway, ours)) else "standard"
    translation = _Translation(services, flavor == "kgateway")
    for item in every:
        if (item["apiVersion"], item["kind"]) == ("v1", "Service"):
            translation.named[item["metadata"]["namespace"], item["metadata"]["name"]] = item["spec"]
    for item in sorted(ours, key=lambda item: list(VERSIONS).index(item["kind"])):
        translation.read(item)
    return envoy.static_bootstrap(
        list(translation.virtual_hosts()),
        translation.clusters,
        listen_port,
        {"ignore_port_in_host_matching": True},
        merge_slashes=True,
    )


def check(objects: Iterable[Object]) -> None:
    """Raises what an API server would: by the schemas of the CRDs and by their rules in CEL, where they are there."""
    known = (item for item in objects if strict_schemas.crd_schema(item["apiVersion"], item["kind"]) is not None)
    for problem in strict_schemas.problems(known):
        raise (UnknownField if "Additional properties" in problem else Refused)(problem)


def _tells_of_kgateway(item: Object) -> bool:
    class_name = item["spec"].get("gatewayClassName") if item["kind"] == "Gateway" else None
    return "kgateway" in (class_name, item["apiVersion"].split(".")[1])


class _Translation:
    def __init__(self, services: Services, kgateway: bool) -> None:
        self.services = services
        self.kgateway = kgateway
        self.named: dict[Key, Object] = {}  # specs of the Services among the objects
        self.clusters: dict[str, Endpoint] = {}
        self.grants: list[Grant] = []
        self.encrypted: dict[tuple[Kind, Key, str], str] = {}  # what, by which port, a BackendTLSPolicy targets: which
        self.backends: dict[Key, Object] = {}
        self.responses: dict[Key, Part] = {}
        self.answered_by: set[Key] = set()
        self.policies: dict[Key, Policy] = {}
        self.gateways: dict[Key, list[Listener]] = {}
        self.hosts: dict[str, list[Route]] = defaultdict(list)
        self.parents: dict[str, frozenset[Parent]] = {}  # of the routes of a host
        self.read_before: set[tuple[str, Key]] = set()

    def read(self, item: Object) -> None:
        kind, key = item["kind"], (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        fields = Fields(item, f"{kind} {key[0]}/{key[1]}")
        if (kind, key) in self.read_before:
            raise Refused(f"{fields.where}: given twice")
        self.read_before.add((kind, key))
        fields.skip("apiVersion", "kind")
        metadata = fields.inner("metadata")
        metadata.skip("name", "namespace", "labels")
        # Of an HTTPRoute's annotations some change what kgateway makes of it.
        told = [name for name in metadata.take("annotations", {}) if name.startswith("kgateway.dev/")]
        if told:
            raise UnknownField(f"{fields.where}: annotations {told}")
        spec = fields.inner("spec")
        if kind == "ReferenceGrant":
            self._grant(spec, key)
        elif kind == "BackendTLSPolicy":
            self._tls_policy(spec, key)
        elif kind == "Backend":
            self.backends[key] = item
            encrypts = (BACKEND, key, "") in self.encrypted
            self.clusters[_cluster(BACKEND, key)] = envoy_kgateway.backend(spec, self._resolve, encrypts=encrypts)
        elif kind == "DirectResponse":
            self.responses[key] = envoy_kgateway.direct_response(spec)
        elif kind == "TrafficPolicy":
            targets = self._targets(spec)
            self.policies[key] = Policy(envoy_kgateway.traffic_policy(spec, self._reader(key[0])), targets)
        elif kind == "Gateway":
            self.gateways[key] = self._listeners(spec, key)
        else:
            self._http_route(spec, key)
        fields.finish()

    def _resolve(self, service: Service, where: str) -> Endpoint:
        if service not in self.services:
            raise Refused(f"{where}: no back end {service[0]}/{service[1]}:{service[2]}")
        return Endpoint(*self.services[service])

    # What is referred to

    def _grant(self, spec: Fields, key: Key) -> None:
        sources = [(item.take("group"), item.take("kind"), item.take("namespace")) for item in spec.each("from")]
        targets = [(item.take("group"), item.take("kind"), item.take("name", "")) for item in spec.each("to")]
        self.grants.append(Grant(key[0], tuple(sources), tuple(targets)))

    def _granted(self, source: tuple[str, str, str], target: Kind, key: Key, where: str) -> None:
        """A reference into another namespace needs a ReferenceGrant there."""
        if source[2] == key[0]:
            return
        for grant in self.grants:
            named = {(*target, ""), (*target, key[1])} & set(grant.targets)
            if grant.namespace == key[0] and source in grant.sources and named:
                return
        raise Refused(f"{where}: no ReferenceGrant in {key[0]} lets {source} refer to {target[1]} {key[1]}")

    def _tls_policy(self, spec: Fields, key: Key) -> None:
        validation = spec.inner("validation")
        validation.skip("hostname", "wellKnownCACertificates", "caCertificateRefs", "subjectAltNames")
        for item in spec.each("targetRefs"):
            kind, port = (item.take("group"), item.take("kind")), item.take("sectionName", "")
            if kind not in (SERVICE, BACKEND) or (port and kind == BACKEND):
                raise Refused(f"{item.where}: {kind} {port} is nothing to encrypt to")
            target = kind, (key[0], item.take("name")), port
            if target in self.encrypted:
                raise Refused(f"{item.where}: {self.encrypted[target]} has the same target, and the older one wins")
            self.encrypted[target] = key[1]

    def _is_there(self, kind: Kind, key: Key, port: str) -> bool:
        """The names of ports are known only of the Services among the objects."""
        if kind == BACKEND:
            return key in self.backends
        if key in self.named and port:
            return any(one.get("name") == port for one in self.named[key].get("ports", ()))
        return key in self.named or any(service[:2] == key for service in self.services)

    def _targets(self, spec: Fields) -> tuple[tuple[str, str], ...]:
        targets = []
        for item in spec.each("targetRefs"):
            if (item.take("group"), item.take("kind")) != (GROUP, "HTTPRoute"):
                raise UnknownField(f"{item.where}: only a policy for HTTPRoutes has a translation")
            targets.append((item.take("name"), item.take("sectionName", "")))
        return tuple(targets)

    def _listeners(self, spec: Fields, key: Key) -> list[Listener]:
        spec.skip("gatewayClassName", "addresses", "infrastructure")
        listeners = []
        for item in spec.each("listeners"):
            protocol, port = item.take("protocol"), item.take("port")
            if "tls" in item:
                tls = item.inner("tls")
                tls.skip("mode", "options")
                for ref in tls.each("certificateRefs"):
                    kind = ref.take("group", ""), ref.take("kind", "Secret")
                    secret = ref.take("namespace", key[0]), ref.take("name")
                    self._granted((GROUP, "Gateway", key[0]), kind, secret, ref.where)
            allowed = item.inner("allowedRoutes")
            namespaces = allowed.inner("namespaces").take("from", "Same")
            if namespaces not in ("All", "Same", "None"):
                raise UnknownField(f"{item.where}: namespaces from {namespaces} have no translation")
            kinds = tuple(kind.take("kind") for kind in allowed.each("kinds") if kind.take("group", GROUP) == GROUP)
            host = item.take("hostname", EVERY_HOST)
            listeners.append(Listener(item.take("name"), host, protocol, port, namespaces, kinds or ("HTTPRoute",)))
        return listeners

    # Routes

    def _reader(self, namespace: str) -> Reader:
        return Reader(
            self.kgateway,
            lambda ref: self._cluster_of(ref, namespace),
            lambda ref, answer: self._extend(ref, answer, namespace),
        )

    def _http_route(self, spec: Fields, key: Key) -> None:
        parents, hosts, listening = self._attach(spec, key)
        routes = []
        for at, fields in enumerate(spec.each("rules")):
            name, matches = fields.take("name", ""), [match(item) for item in fields.each("matches")]
            matches = matches or [Match("PathPrefix", "")]
            part = self._rule(fields, key, name, matches, listening)
            routes += [Route(one, part, key, fields.where, (at, place)) for place, one in enumerate(matches)]
        if not routes:
            raise Refused(f"{spec.where}: has no rules, and so no back ends")
        for host in hosts:
            if self.parents.setdefault(host, parents) != parents:
                raise UnknownField(f"{spec.where}: {host} has routes with other parents, and the tests one listener")
            self.hosts[host] += routes

    def _attach(self, spec: Fields, key: Key) -> tuple[frozenset[Parent], set[str], set[Listening]]:
        """The parents, the hosts that they leave, and the listeners; a Gateway that is not here takes every host."""
        wanted = spec.take("hostnames") or [EVERY_HOST]
        parents, hosts, listening = set(), set(), set()
        for item in spec.each("parentRefs"):
            if (item.take("group", GROUP), item.take("kind", "Gateway")) != (GROUP, "Gateway"):
                raise UnknownField(f"{item.where}: only a Gateway has a translation")
            gateway = item.take("namespace", key[0]), item.take("name")
            parent = Parent(gateway, item.take("sectionName", ""), item.take("port"))
            parents.add(parent)
            if gateway not in self.gateways:
                hosts |= set(wanted)
                continue
            listeners = [one for one in self.gateways[gateway] if _takes(one, parent, key[0])]
            if not listeners:
                raise Refused(f"{item.where}: no listener of the Gateway takes the route")
            for host in wanted:
                both = {_intersection(host, one.host) for one in listeners} - {""}
                if not both:
                    raise Refused(f"{item.where}: no listener of the Gateway serves {host}")
                hosts |= both
            listening |= {Listening(one.protocol.lower(), one.port) for one in listeners}
        if not parents:
            raise Refused(f"{spec.where}: has no parents, so it serves nothing")
        return frozenset(parents), hosts, listening

    def _rule(self, fields: Fields, key: Key, name: str, matches: list[Match], listening: set[Listening]) -> Part:
        """The Envoy route but for its match."""
        answer = self._reader(key[0]).filters(fields.each("filters"), matches, listening)
        timeouts, refs = fields.inner("timeouts"), fields.each("backendRefs")
        tries = "backendRequest" in timeouts
        timed = timeout(timeouts)
        clusters: list[str] = []
        if answer.kind == "route":
            answer.action |= timed
            clusters = self._forward(answer, refs, key[0], fields.where)
        elif refs:
            raise Refused(f"{fields.where}: back ends beside a {answer.kind}")
        elif timed:
            raise UnknownField(f"{fields.where}: timeouts have no effect on a {answer.kind}")
        options = self._options(answer, key, name, fields.where)
        if tries and "retry" in options:
            raise Refused(f"{fields.where}: kgateway takes backendRequest for all tries together")
        self._apply(answer, options, clusters, fields.where)
        return {**answer.route, answer.kind: answer.action, "typed_per_filter_config": answer.settings}

    def _forward(self, answer: Answer, refs: list[Fields], namespace: str, where: str) -> list[str]:
        """Adds the back ends to the action; returns their clusters."""
        weighted = []
        for ref in refs:
            part: Part = {"name": self._cluster_of(ref, namespace), "weight": ref.take("weight", 1)}
            if filters := ref.each("filters"):
                own = self._reader(namespace).filters(filters, [], set())
                if not self.kgateway or own.kind != "route" or own.action or own.policies:
                    raise Refused(f"{ref.where}: not every implementation takes such filters of a back end")
                part |= {**own.route, "typed_per_filter_config": own.settings}
            weighted.append(part)
        if not sum(part["weight"] for part in weighted):
            raise Refused(f"{where}: has no back end with a weight")
        if len(weighted) == 1 and weighted[0].keys() == {"name", "weight"}:
            answer.action["cluster"] = weighted[0]["name"]
        else:
            answer.action["weighted_clusters"] = {"clusters": weighted}
        return [part["name"] for part in weighted]

    def _cluster_of(self, ref: Fields, namespace: str) -> str:
        """The cluster of a backendRef to a Service, by a port, or to kgateway's Backend, without one."""
        kind = ref.take("group", ""), ref.take("kind", "Service")
        key, port = (ref.take("namespace", namespace), ref.take("name")), ref.take("port")
        if kind == (GROUP, "HTTPRoute"):
            raise UnknownField(f"{ref.where}: delegation has no translation")
        if kind not in (SERVICE, BACKEND) or (port is None) is (kind == SERVICE):
            raise Refused(f"{ref.where}: needs a Service and a port, or a Backend of kgateway and no port")
        self._granted((GROUP, "HTTPRoute", namespace), kind, key, ref.where)
        if kind == BACKEND:
            if key not in self.backends:
                raise Refused(f"{ref.where}: no Backend {key[0]}/{key[1]}")
            return _cluster(kind, key)
        service = self.named.get(key, {})
        if service.get("type") == "ExternalName":
            raise Refused(f"{ref.where}: implementations should not support an ExternalName Service")
        if service and port not in (item["port"] for item in service.get("ports", ())):
            raise Refused(f"{ref.where}: Service {key[0]}/{key[1]} has no port {port}")
        name = f"{_cluster(kind, key)}:{port}"
        self.clusters[name] = self._resolve((*key, port), ref.where)
        return name

    # kgateway's extensions of a route

    def _extend(self, ref: Fields, answer: Answer, namespace: str) -> None:
        kind, key = (ref.take("group"), ref.take("kind")), (namespace, ref.take("name"))
        if kind == (KGATEWAY, "DirectResponse") and key in self.responses:
            if answer.kind != "route":
                raise Refused(f"{ref.where}: a DirectResponse beside a {answer.kind}")
            answer.kind, answer.action = "direct_response", dict(self.responses[key])
            self.answered_by.add(key)
        elif kind == (KGATEWAY, "TrafficPolicy") and key in self.policies:
            answer.policies.append(key[1])
        else:
            raise Refused(f"{ref.where}: no {kind[1]} {key[0]}/{key[1]} that extends a route")

    def _options(self, answer: Answer, key: Key, rule: str, where: str) -> dict[str, Option]:
        """What the policies for the rule say together; those for it alone come before those for the whole route."""
        own, whole = [], []
        for (namespace, name), policy in self.policies.items():
            if namespace != key[0]:
                continue
            if name in answer.policies or (rule and (key[1], rule) in policy.targets):
                own.append(policy)
            elif (key[1], "") in policy.targets:
                whole.append(policy)
        found: dict[str, Option] = {}
        for policies in (own, whole):
            level: dict[str, Option] = {}
            for policy in policies:
                policy.used = True
                if twice := level.keys() & policy.options.keys():
                    raise Refused(f"{where}: two TrafficPolicies say {sorted(twice)}, and the older one wins")
                level |= policy.options
            if policies is own and answer.kind != "route" and any(option.action for option in level.values()):
                raise UnknownField(f"{where}: a TrafficPolicy has parts without effect on a {answer.kind}")
            found = {**level, **found}
        return found

    def _apply(self, answer: Answer, options: dict[str, Option], clusters: list[str], where: str) -> None:
        named = [cluster for cluster in clusters if self.clusters[cluster].hostname]
        for name, option in options.items():
            if name == "autoHostRewrite" and clusters and not named:
                raise Refused(f"{where}: {name} has no effect on Services")
            action = option.action if answer.kind == "route" else {}
            both = (action.keys() & answer.action.keys()) | (option.filters.keys() & answer.settings.keys())
            if both or ("auto_host_rewrite" in action and "host_rewrite_literal" in answer.action):
                raise Refused(f"{where}: {name} of a TrafficPolicy is said by the route too")
            for part, value in option.route.items():
                answer.route[part] = answer.route.get(part, []) + value
            answer.action |= action
            answer.settings |= option.filters
        rewritten = {"host_rewrite_literal", "auto_host_rewrite"} & answer.action.keys()
        if not rewritten and any(self._rewrites_host(cluster) for cluster in clusters):
            answer.action["auto_host_rewrite"] = True

    def _rewrites_host(self, cluster: str) -> bool:
        return any(
            envoy_kgateway.rewrites_host(item)
            for key, item in self.backends.items()
            if _cluster(BACKEND, key) == cluster
        )

    # The order of routes

    def virtual_hosts(self) -> Iterator[Part]:
        for target, name in self.encrypted.items():
            if not self._is_there(*target):
                raise Refused(f"BackendTLSPolicy {name}: no {target}")
        if unused := sorted(self.responses.keys() - self.answered_by):
            raise Refused(f"no route answers by the DirectResponses {unused}")
        if unused := sorted(key for key, policy in self.policies.items() if not policy.used):
            raise Refused(f"no route has the TrafficPolicies {unused}")
        for host, routes in sorted(self.hosts.items()):
            _refuse_ties(host, routes)
            # Creation times are equal where nothing depends on them.
            routes.sort(key=lambda route: (route.match.rank(), route.owner, route.place))
            yield {
                "name": host,
                "domains": [host],
                "routes": [{"match": route.match.envoy(), **route.part} for route in routes],
            }


def _cluster(kind: Kind, key: Key) -> str:
    return f"{kind[1]} {key[0]}/{key[1]}"


def _takes(listener: Listener, parent: Parent, namespace: str) -> bool:
    return (
        parent.section in ("", listener.name)
        and parent.port in (None, listener.port)
        and listener.protocol.lower() in DEFAULT_PORTS
        and "HTTPRoute" in listener.kinds
        and (listener.namespaces == "All" or (listener.namespaces == "Same" and namespace == parent.gateway[0]))
    )


def _intersection(one: str, other: str) -> str:
    """The more precise of two hosts where one is among the other; else the empty text."""
    for host, of in ((one, other), (other, one)):
        if of in (EVERY_HOST, host) or (of.startswith("*.") and host.endswith(of[1:])):
            return host
    return ""


def _refuse_ties(host: str, routes: list[Route]) -> None:
    """Between matches of different HTTPRoutes that one request can meet, a tie is decided by the time of creation.

    It is none where a more specific match takes the requests that meet both.
    """
    peers = defaultdict(list)
    for route in routes:
        of_regex = route.match.kind == "RegularExpression"
        peers[route.match.rank(), "" if of_regex else route.match.path, route.match.method].append(route)
    for group in itertools.chain.from_iterable(_apart(tied, frozenset()) for tied in peers.values()):
        for one, other in itertools.combinations(group, 2):
            if one.owner == other.owner or one.part == other.part or not one.match.overlaps(other.match):
                continue
            above = (route.match for route in routes if route.match.rank() < one.match.rank())
            if not any(match.takes_from(one.match, other.match) for match in above):
                raise Refused(f"{host}: {one.where} and {other.where} tie, and the older HTTPRoute wins")


def _apart(routes: list[Route], known: frozenset[tuple[int, str]]) -> Iterator[list[Route]]:
    """Parts of the routes, of which no request can meet two: an exact value that all name differs between them."""
    if len({route.owner for route in routes}) < 2:
        return
    values = [
        {
            (at, condition.name): condition.value
            for at, conditions in enumerate((route.match.headers, route.match.query))
            for condition in conditions
            if not condition.regex
        }
        for route in routes
    ]
    common = set.intersection(*(set(named) for named in values)) - known
    if not common:
        yield routes
        return
    chosen = min(common)
    parts = defaultdict(list)
    for route, named in zip(routes, values, strict=True):
        parts[named[chosen]].append(route)
    for part in parts.values():
        yield from _apart(part, known | {chosen})
