"""Translates Gloo Edge's routing objects into an Envoy bootstrap, as the solo-io/gloo translator does.

Where Gloo warns, drops a route or ignores a field, this raises: nothing emitted may be without effect.
The rules are those of solo-io/gloo 1.22, projects/gateway/pkg/translator (delegation) and
projects/gloo/pkg/{translator,plugins,utils} (matchers, options, the order of routes).
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import envoy
from envoy import Endpoint, Fields, Object, Refused, Service, Services, UnknownField
from envoy_gloo_parts import (
    EVERYTHING,
    Matcher,
    aws_functions,
    azure_functions,
    called,
    cors,
    envoy_route,
    header_manipulation,
    matcher,
    redirect,
    retries,
    route_options,
)
from envoy_parts import Option, Part

GROUPS = {
    "Upstream": "gloo",
    "UpstreamGroup": "gloo",
    "RouteTable": "gateway",
    "VirtualService": "gateway",
    "Gateway": "gateway",
}

Key = tuple[str, str]  # namespace, name


class Delegation(NamedTuple):
    """To one RouteTable by name, or to all that carry the labels."""

    ref: Key | None
    namespaces: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def selects(self, key: Key, table: "Table") -> bool:
        if self.ref:
            return key == self.ref
        inside = "*" in self.namespaces or key[0] in self.namespaces
        return inside and all(table.labels.get(name) == value for name, value in self.labels)


@dataclass(frozen=True)
class Route:
    where: str
    matchers: tuple[Matcher, ...]
    options: dict[str, Option]
    kind: str  # of Envoy's action: route, redirect, direct_response; or delegate
    action: Part
    delegation: Delegation | None
    inherits_matchers: bool | None
    inherits_path: bool | None


@dataclass(frozen=True)
class Host:
    """A VirtualService; `tls` where it has an sslConfig."""

    key: Key
    labels: dict[str, str]
    tls: bool
    part: Part
    routes: list[Route]


@dataclass(frozen=True)
class Table:
    labels: dict[str, str]
    weight: int
    routes: list[Route]


def running(
    objects: Iterable[Object], backends: Iterable[Service], tls: bool | None = None
) -> AbstractContextManager[envoy.Gateway]:
    """Real Envoy with the translation of these objects, in front of these back ends; see `bootstrap`."""
    return envoy.running(partial(bootstrap, tls=tls), objects, backends)


def bootstrap(
    objects: Iterable[Object], services: Services, listen_port: int, tls: bool | None = None
) -> dict[str, Any]:
    """The static bootstrap; objects that are not Gloo's are passed over.

    `services` says where kube Services, and hosts outside (of static Upstreams, Lambda, Azure) as ("", host, port),
    really are. One HTTP listener serves all VirtualServices; with `tls` only those that its Gateways would: those that
    have an sslConfig, or those that have none.
    """
    translation = _Translation(services, tls)
    ours = [item for item in objects if item["apiVersion"].partition("/")[0].endswith("solo.io")]
    for item in ours:
        if item["apiVersion"] != f"{GROUPS.get(item['kind'])}.solo.io/v1":
            raise UnknownField(f"{item['apiVersion']} {item['kind']}: no translation")
    # What is referred to comes first.
    for item in sorted(ours, key=lambda item: list(GROUPS).index(item["kind"])):
        translation.read(item)
    return envoy.static_bootstrap(list(translation.virtual_hosts()), translation.clusters, listen_port)


class _Translation:
    def __init__(self, services: Services, tls: bool | None) -> None:
        self.services = services
        self.tls = tls
        self.clusters: dict[str, Endpoint] = {}
        self.groups: dict[Key, Part] = {}
        self.tables: dict[Key, Table] = {}
        self.functions: dict[Key, dict[str, Endpoint]] = {}
        self.hosts: list[Host] = []
        self.ports: dict[int, Key] = {}
        self.taken_by: dict[Key, Key] = {}
        self.delegated_to: set[Key] = set()
        self.read_before: set[tuple[str, Key]] = set()

    def read(self, item: Object) -> None:
        kind, name, namespace = item["kind"], item["metadata"]["name"], item["metadata"].get("namespace", "")
        key = (namespace, name)
        fields = Fields(item, f"{kind} {namespace}/{name}")
        if (kind, key) in self.read_before:
            raise Refused(f"{fields.where}: given twice")
        self.read_before.add((kind, key))
        fields.skip("apiVersion", "kind")
        metadata = fields.inner("metadata")
        metadata.skip("name", "namespace", "annotations")
        labels = metadata.take("labels", {})
        spec = fields.inner("spec")
        if kind == "Upstream":
            self._upstream(spec, key)
        elif kind == "UpstreamGroup":
            # Gloo fills an empty namespace in on routes only, never here.
            self.groups[key] = self._weighted(spec.each("destinations"), "", spec.where)
        elif kind == "RouteTable":
            self.tables[key] = Table(labels, spec.take("weight", 0), self._routes(spec, namespace))
        elif kind == "VirtualService":
            self._virtual_service(spec, key, labels)
        else:
            self._gateway(spec, key)
        fields.finish()

    def _upstream(self, spec: Fields, key: Key) -> None:
        kind = spec.one_of("kube", "static", "aws", "azure", "gcp")
        if kind in ("aws", "azure"):
            content = spec.inner(kind)
            read = aws_functions if kind == "aws" else azure_functions
            host, found = read(content)
            endpoint = self._resolve(("", host, 443), content.where)._replace(hostname=host)
            self.functions[key] = {name: endpoint._replace(filters=filters) for name, filters in found.items()}
            return
        self.clusters[_cluster_name(key)] = self._endpoint(spec, kind)

    def _endpoint(self, spec: Fields, kind: str) -> Endpoint:
        if kind == "kube":
            kube = spec.inner("kube")
            service = kube.take("serviceNamespace"), kube.take("serviceName"), kube.take("servicePort")
            return self._resolve(service, kube.where)
        if kind == "gcp":
            gcp = spec.inner("gcp")
            gcp.skip("audience")  # of the token that is sent along
            host = gcp.take("host")
            return self._resolve(("", host, 443), gcp.where)._replace(hostname=host)
        static = spec.inner("static")
        static.skip("useTls", "autoSniRewrite")  # the back ends of tests speak no TLS
        spec.skip("sslConfig")
        hosts = static.each("hosts")
        if len(hosts) != 1:
            raise UnknownField(f"{static.where}: only a single host has a translation")
        address, port = hosts[0].take("addr"), hosts[0].take("port")
        name, _, rest = address.partition(".")
        namespace, _, domain = rest.partition(".")
        service = (namespace, name, port) if domain in ("svc", "svc.cluster.local") else ("", address, port)
        return self._resolve(service, static.where)._replace(hostname=address)

    def _resolve(self, service: Service, where: str) -> Endpoint:
        if service not in self.services:
            raise Refused(f"{where}: no Service {service[0]}/{service[1]}:{service[2]}")
        return Endpoint(*self.services[service])

    def _gateway(self, spec: Fields, key: Key) -> None:
        """It takes the VirtualServices that it selects of those that speak TLS, or do not, as it does."""
        spec.skip("bindAddress", "proxyNames")
        port = spec.take("bindPort")
        if self.ports.setdefault(port, key) != key:
            raise Refused(f"{spec.where}: {self.ports[port]} is bound to {port} too")
        http, tls = spec.inner("httpGateway"), spec.take("ssl", False)
        wanted = http.take("virtualServiceSelector", {}).items()
        namespaces = http.take("virtualServiceNamespaces", ["*"])
        taken = [
            host.key
            for host in self.hosts
            if host.tls == tls and wanted <= host.labels.items() and {"*", host.key[0]} & set(namespaces)
        ]
        if not taken:
            raise Refused(f"{spec.where}: no VirtualService is selected")
        self.taken_by |= dict.fromkeys(taken, key)

    def _virtual_service(self, spec: Fields, key: Key, labels: dict[str, str]) -> None:
        spec.skip("displayName")
        tls = self._tls(spec)
        host = spec.inner("virtualHost")
        options = host.inner("options")
        part = {
            "name": ".".join(key),
            "domains": host.take("domains") or ["*"],
            **header_manipulation(options.inner("headerManipulation")),
        }
        if "retries" in options:
            part["retry_policy"] = retries(options.inner("retries"))
        if "cors" in options:
            part["typed_per_filter_config"] = cors(options.inner("cors"))
        if tls and not all(any(_covers(name, domain) for name in tls) for domain in part["domains"]):
            raise Refused(f"{spec.where}: the sslConfig is not for all domains")
        self.hosts.append(Host(key, labels, tls is not None, part, self._routes(host, key[0])))

    def _tls(self, spec: Fields) -> list[str] | None:
        """The names of which a client must ask for one, none for any; None where no TLS is spoken."""
        if "sslConfig" not in spec:
            return None
        config = spec.inner("sslConfig")
        secret = config.inner("secretRef")
        if not all(_ref(secret)):
            raise Refused(f"{secret.where}: a Secret has a name and a namespace")
        names: list[str] = config.take("sniDomains", [])
        if any(":" in name or name == "*" for name in names):
            raise Refused(f"{config.where}: no client asks for {names}")
        return names

    def _routes(self, owner: Fields, namespace: str) -> list[Route]:
        return [self._route(fields, namespace) for fields in owner.each("routes")]

    def _route(self, fields: Fields, namespace: str) -> Route:
        fields.skip("name")
        options = route_options(fields.inner("options"), lambda ref: self._upstream_cluster(ref, ""))
        gloo_kind = fields.one_of("routeAction", "redirectAction", "directResponseAction", "delegateAction")
        content = fields.inner(gloo_kind)
        kind, action, delegation = "route", {}, None
        if gloo_kind == "routeAction":
            action = self._route_action(content, namespace)
        elif gloo_kind == "redirectAction":
            kind, action = "redirect", redirect(content)
        elif gloo_kind == "directResponseAction":
            body = {"inline_string": content.take("body", "")}
            kind, action = "direct_response", {"status": content.take("status", 0), "body": body}
        else:
            kind, delegation = "delegate", _delegation(content, namespace)
        useless = options.keys() - {"headerManipulation"}
        if useless and kind in ("redirect", "direct_response"):
            raise UnknownField(f"{fields.where}: {sorted(useless)} has no translation on a {kind}")
        return Route(
            fields.where,
            tuple(matcher(item) for item in fields.each("matchers")),
            options,
            kind,
            action,
            delegation,
            fields.take("inheritableMatchers"),
            fields.take("inheritablePathMatchers"),
        )

    def _route_action(self, fields: Fields, namespace: str) -> Part:
        kind = fields.one_of("single", "multi", "upstreamGroup")
        content = fields.inner(kind)
        if kind == "single":
            return {"cluster": self._destination(content, namespace)}
        if kind == "multi":
            return self._weighted(content.each("destinations"), namespace, content.where)
        group = _ref(content)
        if group not in self.groups:
            raise Refused(f"{content.where}: no UpstreamGroup {group[0]}/{group[1]}")
        return self.groups[group]

    def _weighted(self, destinations: list[Fields], namespace: str, where: str) -> Part:
        clusters = []
        for fields in destinations:
            name = self._destination(fields.inner("destination"), namespace)
            headers = header_manipulation(fields.inner("options").inner("headerManipulation"))
            clusters.append({"name": name, "weight": fields.take("weight", 0), **headers})
        if sum(cluster["weight"] for cluster in clusters) < 1:
            raise Refused(f"{where}: the weights must add up to at least 1")
        return {"weighted_clusters": {"clusters": clusters}}

    def _destination(self, fields: Fields, namespace: str) -> str:
        """The name of its cluster; each function of an Upstream has one of its own."""
        if fields.one_of("upstream", "kube") == "upstream":
            if "destinationSpec" in fields:
                return self._function(fields, namespace)
            return self._upstream_cluster(fields.inner("upstream"), namespace)
        kube = fields.inner("kube")
        service = (*_ref(kube.inner("ref")), kube.take("port"))
        cluster = f"kube-svc:{service[0]}-{service[1]}-{service[2]}_{service[0]}"
        self.clusters[cluster] = self._resolve(service, kube.where)
        return cluster

    def _function(self, fields: Fields, namespace: str) -> str:
        key = _ref(fields.inner("upstream"), namespace)
        spec = fields.inner("destinationSpec")
        name, filters = called(spec)
        if name not in self.functions.get(key, {}):
            raise Refused(f"{spec.where}: the Upstream {key[0]}/{key[1]} has no function {name!r}")
        endpoint = self.functions[key][name]
        cluster = f"{_cluster_name(key)}|{name}"
        self.clusters[cluster] = endpoint._replace(filters=(*endpoint.filters, *filters))
        return cluster

    def _upstream_cluster(self, ref: Fields, namespace: str) -> str:
        key = _ref(ref, namespace)
        if key in self.functions:
            raise Refused(f"{ref.where}: a destinationSpec must say which function of {key[0]}/{key[1]}")
        if _cluster_name(key) not in self.clusters:
            raise Refused(f"{ref.where}: no Upstream {key[0]}/{key[1]}")
        return _cluster_name(key)

    def virtual_hosts(self) -> Iterator[Part]:
        taken: set[str] = set()
        for one in self.hosts:
            if self.ports and one.key not in self.taken_by:
                raise Refused(f"VirtualService {one.key}: no Gateway takes it")
            part, routes = one.part, self._flat(one.routes, None, ())
            if self.tls not in (None, one.tls):
                continue
            for domain in part["domains"]:
                if domain in taken or not domain:
                    raise Refused(f"VirtualService {part['name']}: domain {domain!r} is empty or taken")
                taken.add(domain)
            part["routes"] = [
                envoy_route(matching, route.kind, route.action, route.options, route.where)
                for route in routes
                for matching in route.matchers or (EVERYTHING,)
            ]
            yield part
        if orphans := sorted(self.tables.keys() - self.delegated_to):
            raise Refused(f"no route delegates to the RouteTables {orphans}")

    def _flat(self, routes: list[Route], parent: Route | None, above: tuple[Key, ...]) -> list[Route]:
        """The routes with those of the RouteTables that they delegate to in their place."""
        flat = []
        for route in routes:
            route = _inherit(route, parent) if parent else route
            delegation = route.delegation
            if not delegation:
                flat.append(route)
                continue
            # Between routes that tie, Gloo keeps the order in which its cache lists RouteTables.
            chosen = [key for key in sorted(self.tables) if delegation.selects(key, self.tables[key])]
            if not chosen:
                raise Refused(f"{route.where}: delegates to no RouteTable")
            self.delegated_to.update(chosen)
            route = replace(route, matchers=(_delegating_matcher(route),))
            for weight in sorted({self.tables[key].weight for key in chosen}):
                peers = [key for key in chosen if self.tables[key].weight == weight]
                found = []
                for key in peers:
                    if key in above:
                        raise Refused(f"{route.where}: delegates in a circle")
                    found += self._flat(self.tables[key].routes, route, (*above, key))
                if len(peers) > 1:
                    found.sort(key=lambda route: min(item.rank() for item in route.matchers or (EVERYTHING,)))
                flat += found
        return flat


def _covers(name: str, domain: str) -> bool:
    host = domain.partition(":")[0]
    return name == host or (name.startswith("*.") and host.endswith(name[1:]))


def _cluster_name(upstream: Key) -> str:
    return f"{upstream[1]}_{upstream[0]}"


def _ref(fields: Fields, namespace: str = "") -> Key:
    return fields.take("namespace") or namespace, fields.take("name")


def _delegation(fields: Fields, namespace: str) -> Delegation:
    if fields.one_of("ref", "selector") == "ref":
        return Delegation(_ref(fields.inner("ref")))
    selector = fields.inner("selector")
    labels: dict[str, str] = selector.take("labels", {})
    return Delegation(None, tuple(selector.take("namespaces") or [namespace]), tuple(labels.items()))


def _delegating_matcher(route: Route) -> Matcher:
    if len(route.matchers) > 1:
        raise Refused(f"{route.where}: routes with delegate actions must omit or specify a single matcher")
    matching = route.matchers[0] if route.matchers else EVERYTHING
    if matching.kind != "prefix" or not matching.path:
        raise Refused(f"{route.where}: routes with delegate actions must use a prefix matcher")
    return matching


def _inherit(child: Route, parent: Route) -> Route:
    """The child's matchers must repeat the parent's; of options, the child's win."""
    above = parent.matchers[0]
    inherits_path = parent.inherits_path if child.inherits_path is None else child.inherits_path
    inherits = parent.inherits_matchers if child.inherits_matchers is None else child.inherits_matchers
    matchers = child.matchers or ((Matcher("", ""),) if inherits_path else (EVERYTHING,))
    if inherits_path:
        matchers = tuple(item._replace(kind=above.kind, path=above.path) for item in matchers)
        matchers = tuple(item._replace(case_sensitive=above.case_sensitive) for item in matchers)
    if inherits:
        matchers = tuple(
            item._replace(
                headers=above.headers + item.headers,
                query=above.query + item.query,
                methods=above.methods + item.methods,
            )
            for item in matchers
        )
    for item in matchers:
        if not item.path.startswith(above.path):
            raise Refused(f"{child.where}: {item.path!r} must begin with the parent's prefix {above.path!r}")
        if item.case_sensitive != above.case_sensitive:
            raise Refused(f"{child.where}: must have its parent's caseSensitive")
        for name in ("headers", "query", "methods"):
            if not set(getattr(above, name)) <= set(getattr(item, name)):
                raise Refused(f"{child.where}: must have all the {name} of its parent's matcher")
    return replace(
        child,
        matchers=matchers,
        options={**parent.options, **child.options},
        inherits_matchers=inherits,
        inherits_path=inherits_path,
    )
