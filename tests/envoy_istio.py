"""Translates Istio's routing objects into an Envoy bootstrap, as istiod does for a gateway.

Where Istio's webhook refuses or warns, or istiod drops a rule or ignores a field, this raises: nothing emitted may be
without effect. The rules are those of istio/istio 1.30 with its default MeshConfig and environment:
pkg/config/validation (the webhook), pilot/pkg/networking/core and pilot/pkg/model (delegates, hosts, gateways). Paths
are normalized, backslashes too, and slashes are not merged (pathNormalization: BASE).
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import envoy
from envoy import Endpoint, Fields, Object, Refused, Service, Services, UnknownField
from envoy_istio_delegates import delegated
from envoy_istio_parts import Match, action, match
from envoy_parts import Part

KINDS = ("ServiceEntry", "DestinationRule", "Gateway", "VirtualService")  # what is referred to comes first

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HOST = re.compile(r"\*|(?:\*\.)?[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*")
CLUSTER_DOMAIN = ".svc.cluster.local"

HTTP_PROTOCOLS = {"HTTP", "HTTP2", "GRPC", "HTTPS"}

Key = tuple[str, str]  # namespace, name


class Server(NamedTuple):
    """A port of a Gateway and the hosts that it takes, each for the VirtualServices of a namespace or of all (*)."""

    port: int
    secure: bool
    redirects: bool
    hosts: tuple[tuple[str, str], ...]


OUTSIDE = (Server(80, False, False, (("*", "*"),)), Server(443, True, False, (("*", "*"),)))


class Tls(NamedTuple):
    """To a destination; without `sni` the certificate of each request's Host is asked for."""

    sni: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """A DestinationRule: the labels of its subsets, and its TLS by port, 0 being all others."""

    subsets: dict[str, dict[str, str]] = field(default_factory=dict)
    tls: dict[int, Tls | None] = field(default_factory=dict)

    def tls_to(self, port: int) -> Tls | None:
        return self.tls.get(port, self.tls.get(0))


class Port(NamedTuple):
    """A port in the registry, and what it stands for in the test's Services."""

    service: Service
    protocol: str = ""
    names: tuple[str, ...] = ()  # that one certificate may have, from a ServiceEntry


def running(
    objects: Iterable[Object], backends: Iterable[Service], gateways: Iterable[str] = ()
) -> AbstractContextManager[envoy.Gateway]:
    """Real Envoy with the translation of these objects, in front of these back ends.

    `gateways` are those outside of the objects, as namespace/name: with HTTP on 80 and HTTPS on 443, for all hosts.
    """
    return envoy.running(partial(bootstrap, gateways=gateways), objects, backends)


def bootstrap(
    objects: Iterable[Object], services: Services, listen_port: int, gateways: Iterable[str] = ()
) -> dict[str, Any]:
    """The static bootstrap; objects that are not Istio's are passed over.

    `services` says where these really are: Kubernetes' Services; the hosts of ServiceEntries, or the addresses of their
    endpoints, as ("", host, port) with the port that is connected to; and the pods of a subset, as the Service with the
    subset's labels behind its name: ("shop", "web[version=v1]", 80).

    One HTTP listener serves the hosts of all servers, those with TLS too; a request that says x-forwarded-proto: https
    stands for one that came by TLS. To back ends nothing speaks TLS or HTTP/2.
    """
    translation = _Translation(services, gateways)
    ours = [item for item in objects if item["apiVersion"].partition("/")[0].endswith("istio.io")]
    for item in ours:
        if item["apiVersion"] != "networking.istio.io/v1" or item["kind"] not in KINDS:
            raise UnknownField(f"{item['apiVersion']} {item['kind']}: no translation")
    for item in sorted(ours, key=lambda item: KINDS.index(item["kind"])):
        translation.read(item)
    # Istio allows answers of 1 MB, Envoy by itself of 4 KB.
    route_config = {"max_direct_response_body_size_bytes": 1024 * 1024, "ignore_port_in_host_matching": True}
    return envoy.static_bootstrap(
        list(translation.virtual_hosts()),
        translation.clusters,
        listen_port,
        route_config=route_config,
        largest_regex=32768,
    )


class _Translation:
    def __init__(self, services: Services, gateways: Iterable[str]) -> None:
        self.services = services
        self.clusters: dict[str, Endpoint] = {}
        self.hosts: dict[str, dict[int, Port]] = {}  # the registry: Services and ServiceEntries by full name
        for service in services:
            if service[0] and "[" not in service[1]:
                host = f"{service[1]}.{service[0]}{CLUSTER_DOMAIN}"
                self.hosts.setdefault(host, {})[service[2]] = Port(service)
        self.rules: dict[str, Rule] = {}
        self.gateways: dict[str, tuple[Server, ...]] = dict.fromkeys(gateways, OUTSIDE)
        self.roots: dict[Key, tuple[Fields, Fields]] = {}  # the object and its spec
        self.delegates: dict[Key, list[Object]] = {}
        self.read_before: set[tuple[str, Key]] = set()

    def read(self, item: Object) -> None:
        kind, name, namespace = item["kind"], item["metadata"]["name"], item["metadata"].get("namespace", "")
        key = (namespace, name)
        fields = Fields(item, f"{kind} {namespace}/{name}")
        if (kind, key) in self.read_before:
            raise Refused(f"{fields.where}: given twice")
        self.read_before.add((kind, key))
        fields.skip("apiVersion", "kind")
        fields.inner("metadata").skip("name", "namespace", "labels", "annotations")
        spec = fields.inner("spec")
        if kind == "ServiceEntry":
            self._service_entry(spec)
        elif kind == "DestinationRule":
            self._destination_rule(spec, namespace)
        elif kind == "Gateway":
            self._gateway(spec, key)
        elif item["spec"].get("hosts"):
            self.roots[key] = fields, spec
            return  # finished when all delegates are known
        else:
            spec.skip("hosts")
            self.delegates[key] = spec.take("http", [])
            if "gateways" in spec:
                raise Refused(f"{fields.where}: delegate virtual service must have no gateways specified")
        fields.finish()

    def _service_entry(self, spec: Fields) -> None:
        spec.skip("location")
        hosts, resolution, endpoints = spec.take("hosts", []), spec.take("resolution"), spec.each("endpoints")
        if resolution not in ("DNS", "STATIC") or len(endpoints) > 1:
            raise UnknownField(f"{spec.where}: only one endpoint at most, by DNS or STATIC, is translated")
        if not hosts or (resolution == "STATIC" and not endpoints):
            raise Refused(f"{spec.where}: nothing is behind {hosts}")
        endpoint = endpoints[0].take("address") if endpoints else ""
        of_certificate = tuple(spec.take("subjectAltNames", ()))
        ports: list[tuple[int, str, int]] = []
        names: set[str] = set()
        for port in spec.each("ports"):
            number, name, protocol = port.take("number"), port.take("name"), port.take("protocol", "")
            if protocol not in HTTP_PROTOCOLS:
                raise UnknownField(f"{port.where}: the protocol {protocol!r} has no translation")
            if name in names or any(number == other for other, _, _ in ports):
                raise Refused(f"{port.where}: {name} or {number} is already defined")
            names.add(name)
            ports.append((number, protocol, port.take("targetPort", number)))
        for host in hosts:
            if not HOST.fullmatch(host) or "*" in host or "." not in host:
                raise Refused(f"{spec.where}: {host!r} is no full domain name")
            if host in self.hosts:
                raise Refused(f"{spec.where}: {host} is known already")
            self.hosts[host] = {
                number: Port(_service(endpoint or host, target), protocol, of_certificate)
                for number, protocol, target in ports
            }

    def _destination_rule(self, spec: Fields, namespace: str) -> None:
        host = _full_name(spec.take("host"), namespace)
        if host in self.rules or host not in self.hosts:
            raise Refused(f"{spec.where}: {host} is no host of the registry, or has a DestinationRule already")
        rule = Rule()
        policies = spec.inner("trafficPolicy") if "trafficPolicy" in spec else None
        if policies:
            for policy in policies.each("portLevelSettings"):
                number = policy.inner("port").take("number")
                if number not in self.hosts[host]:
                    raise Refused(f"{policy.where}: {host} has no port {number}")
                rule.tls[number] = _tls(policy)
            rule.tls[0] = _tls(policies, empty=bool(rule.tls))
        for subset in spec.each("subsets"):
            name = subset.take("name")
            if not LABEL.fullmatch(name) or name in rule.subsets:
                raise Refused(f"{subset.where}: {name!r} is no DNS label or is given twice")
            rule.subsets[name] = subset.take("labels", {})
        self.rules[host] = rule

    def _cluster(self, fields: Fields, sent_host: str, namespace: str) -> str:
        """The name of the cluster of this Destination; `sent_host` is the Host that the rule sends there, or ""."""
        host, subset = _full_name(fields.take("host"), namespace), fields.take("subset", "")
        if host not in self.hosts:
            raise Refused(f"{fields.where}: {host} is no host of the registry: Istio would answer 503")
        ports = self.hosts[host]
        number = fields.inner("port").take("number") or (next(iter(ports)) if len(ports) == 1 else None)
        if number not in ports:
            raise Refused(f"{fields.where}: {host} has the ports {sorted(ports)}, not {number}: Istio would answer 503")
        rule = self.rules.get(host, Rule())
        port = ports[number]
        tls = rule.tls_to(number)
        if port.protocol == "HTTPS" and not tls:
            raise Refused(f"{fields.where}: no DestinationRule does TLS to {host}:{number}, which speaks HTTPS")
        if tls and not tls.sni and sent_host != host:
            raise Refused(f"{fields.where}: without sni {host} is asked for the certificate of the request's Host")
        if tls and tls.sni and not (tls.names or port.names):  # auto_san_validation is for SNI by Host only
            raise Refused(f"{fields.where}: with sni and no subjectAltNames Istio verifies no name of {host}")
        service = port.service
        if subset:
            if subset not in rule.subsets:
                raise Refused(f"{fields.where}: {host} has no subset {subset!r}: Istio would answer 503")
            labels = ",".join(f"{name}={value}" for name, value in sorted(rule.subsets[subset].items()))
            service = (service[0], f"{service[1]}[{labels}]", service[2])
        if service not in self.services:
            raise Refused(f"{fields.where}: nothing is behind {service}: Istio would answer 503")
        cluster = f"outbound|{number}|{subset}|{host}"
        self.clusters[cluster] = Endpoint(*self.services[service])
        return cluster

    # Gateways

    def _gateway(self, spec: Fields, key: Key) -> None:
        spec.skip("selector")
        servers: list[Server] = []
        names: set[str] = set()
        for fields in spec.each("servers"):
            fields.skip("name")
            port = fields.inner("port")
            number, name, protocol = port.take("number"), port.take("name", ""), port.take("protocol")
            if protocol not in ("HTTP", "HTTPS"):
                raise UnknownField(f"{port.where}: the protocol {protocol!r} has no translation")
            if not name or name in names:
                raise Refused(f"{port.where}: names of ports are needed and unique, {name!r} is not")
            names.add(name)
            hosts = [_server_host(host, key[0], fields.where) for host in fields.take("hosts", [])]
            if not hosts:
                raise Refused(f"{fields.where}: must contain at least one host")
            secure = protocol == "HTTPS"
            redirects = _server_tls(fields, secure=secure)
            if any(server.port == number and server.secure != secure for server in servers):
                raise Refused(f"{port.where}: {number} is of another protocol already")
            servers.append(Server(number, secure, redirects, tuple(hosts)))
        if not servers:
            raise Refused(f"{spec.where}: must have at least one server")
        if "/".join(key) in self.gateways:
            raise Refused(f"{spec.where}: is said to be outside")
        self.gateways["/".join(key)] = tuple(servers)

    def _servers(self, spec: Fields, namespace: str) -> dict[str, list[Server]]:
        """The domains of this VirtualService, each with the servers that take it."""
        gateways = [name for name in spec.take("gateways", ["mesh"]) if name != "mesh"]
        if not gateways:
            raise Refused(f"{spec.where}: is for sidecars alone, no gateway has it")
        hosts = [_full_name(host, namespace) for host in spec.take("hosts")]
        found: dict[str, list[Server]] = {}
        for at, host in enumerate(hosts):
            if not HOST.fullmatch(host) or any(_overlap(host, other) for other in hosts[:at]):
                raise Refused(f"{spec.where}: host {host!r} is no host, or is another one's duplicate")
            domains: dict[str, list[Server]] = {}
            for name in gateways:
                before, slash, after = name.rpartition("/")
                gateway = f"{namespace}/{after}" if before in ("", ".") else name
                if gateway not in self.gateways or ("." in after and not slash):
                    raise Refused(f"{spec.where}: no Gateway {name}")
                for server in self.gateways[gateway]:
                    for of_namespace, server_host in server.hosts:
                        domain = _overlap(host, server_host)
                        if domain and of_namespace in ("*", namespace):
                            domains.setdefault(domain, []).append(server)
            if not domains:
                raise Refused(f"{spec.where}: no server of its gateways takes the host {host}")
            found |= domains
        return found

    # VirtualServices

    def virtual_hosts(self) -> Iterator[Part]:
        delegated_to: set[Key] = set()
        taken: set[str] = set()
        for key, (fields, spec) in self.roots.items():
            servers = self._servers(spec, key[0])
            every = [server for serving in servers.values() for server in serving]
            ports = {server.port: server for server in every if not server.redirects}
            routes = list(self._routes(spec, key[0], delegated_to, ports))
            fields.finish()
            for domain, serving in servers.items():
                if domain in taken:
                    raise Refused(f"{spec.where}: another VirtualService has {domain}, and their order is undefined")
                taken.add(domain)
                yield _virtual_host(domain, serving, routes, spec.where)
        for servers_of_one in self.gateways.values():
            for _, host in (host for server in servers_of_one if server.redirects for host in server.hosts):
                if host not in taken:  # it redirects without a VirtualService, too
                    taken.add(host)
                    yield {"name": host, "domains": [host], "require_tls": "ALL"}
        if orphans := sorted(self.delegates.keys() - delegated_to):
            raise Refused(f"no rule delegates to the VirtualServices {orphans}, which have no hosts")

    def _routes(self, spec: Fields, namespace: str, delegated_to: set[Key], ports: dict[int, Server]) -> Iterator[Part]:
        rules: list[tuple[Fields, str]] = []  # with the namespace of short names
        for at, item in enumerate(spec.take("http", [])):
            where = f"{spec.where}.http[{at}]"
            if "delegate" not in item:
                rules.append((Fields(item, where), namespace))
                continue
            root = Fields(item, where)
            delegate = root.inner("delegate")
            key = (delegate.take("namespace", namespace), delegate.take("name"))
            if key not in self.delegates:
                raise Refused(f"{where}: delegates to no VirtualService {'/'.join(key)} that has no hosts")
            delegated_to.add(key)
            rules += [(fields, key[0]) for fields in delegated(root, self.delegates[key])]
        if not rules:
            raise Refused(f"{spec.where}: http must be provided")
        secure = bool(ports) and all(server.secure for server in ports.values())
        before = _Before()
        for fields, of_short_names in rules:
            fields.skip("name")
            matches = [match(item) for item in fields.each("match")]
            part = action(fields, partial(self._cluster, namespace=of_short_names), secure=secure)
            fields.finish()
            for matching in matches or [Match()]:
                before.add(matching, fields.where)
                if matching.port and matching.port not in ports:
                    raise Refused(f"{fields.where}: no server of its gateways has the port {matching.port}")
                scheme = "https" if matching.port and ports[matching.port].secure else "http"
                if matching.port and [server.secure for server in ports.values()].count(scheme == "https") > 1:
                    raise UnknownField(f"{fields.where}: of several ports for {scheme} none can be told apart")
                yield {"match": matching.envoy(scheme), **part}


class _Before:
    """The matches of one VirtualService so far: what comes after them may be without effect."""

    def __init__(self) -> None:
        self.catch_all = ""
        self.prefixes: dict[Match, dict[str, str]] = {}  # by the rest of the match: where each prefix was
        self.seen: set[Match] = set()

    def add(self, matching: Match, where: str) -> None:
        if self.catch_all:
            raise Refused(f"{where}: Istio drops it, as it comes after the catch-all of {self.catch_all}")
        if matching in self.seen:
            raise Refused(f"{where}: has a match that was used before")
        self.seen.add(matching)
        if matching.is_catch_all():
            self.catch_all = where
        if matching.uri.kind == "prefix":
            prefixes = self.prefixes.setdefault(matching._replace(uri=Match().uri), {})
            for prefix, of_rule in prefixes.items():
                if matching.uri.value.startswith(prefix) and of_rule != where:
                    raise Refused(f"{where}: the prefix {prefix} of {of_rule} takes all of {matching.uri.value}")
            prefixes.setdefault(matching.uri.value, where)


def _virtual_host(domain: str, serving: list[Server], routes: list[Part], where: str) -> Part:
    if all(server.redirects for server in serving):
        raise Refused(f"{where}: {domain} is redirected to https, where no server takes it")
    redirects = {server.redirects for server in serving if not server.secure}
    if len(redirects) > 1:
        raise UnknownField(f"{where}: {domain} is redirected on one of its plain ports, and not on another")
    required = {"require_tls": "ALL"} if True in redirects else {}
    return {"name": domain, "domains": [domain], "routes": routes, **required}


def _service(address: str, port: int) -> Service:
    """Where the test's Services have this address: name.namespace.svc.cluster.local is a Service of Kubernetes."""
    name, _, namespace = address.removesuffix(CLUSTER_DOMAIN).partition(".")
    if address.endswith(CLUSTER_DOMAIN) and namespace and "." not in namespace:
        return namespace, name, port
    return "", address, port


def _full_name(host: str, namespace: str) -> str:
    return host if "." in host or "*" in host else f"{host}.{namespace}{CLUSTER_DOMAIN}"


def _within(host: str, other: str) -> bool:
    return host == other or (other.startswith("*") and host.endswith(other[1:]))


def _overlap(host: str, other: str) -> str | None:
    """The more specific one, where the other contains it."""
    if _within(host, other):
        return host
    return other if _within(other, host) else None


def _server_host(text: str, namespace: str, where: str) -> tuple[str, str]:
    before, _, host = text.rpartition("/")
    if not HOST.fullmatch(host):
        raise Refused(f"{where}: {text!r} is no host of a server")
    return {"": "*", ".": namespace}.get(before, before), host


def _server_tls(server: Fields, *, secure: bool) -> bool:
    """Whether it redirects to https."""
    if secure and "tls" not in server:
        raise Refused(f"{server.where}: must have TLS settings for HTTPS")
    tls = server.inner("tls")
    redirects: bool = tls.take("httpsRedirect", False)
    mode = tls.take("mode", "PASSTHROUGH")
    if secure:
        if mode != "SIMPLE":
            raise UnknownField(f"{tls.where}: mode {mode} has no translation")
        if redirects:
            raise Refused(f"{tls.where}: httpsRedirect should only be used with http servers")
        if not tls.take("credentialName", ""):
            raise Refused(f"{tls.where}: needs a credentialName")
        tls.skip("minProtocolVersion")
    elif mode != "PASSTHROUGH" or "credentialName" in tls:
        raise Refused(f"{tls.where}: server cannot have TLS settings for plain text HTTP ports")
    return redirects


def _tls(policy: Fields, *, empty: bool = False) -> Tls | None:
    """That of this traffic policy, which says something, unless `empty` is allowed."""
    if not empty and "tls" not in policy and "connectionPool" not in policy:
        raise Refused(f"{policy.where}: traffic policy must have at least one field")
    upgrade = policy.inner("connectionPool").inner("http").take("h2UpgradePolicy", "DEFAULT")
    if upgrade not in ("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"):
        raise Refused(f"{policy.where}: no h2UpgradePolicy {upgrade!r}")
    if "tls" not in policy:
        return None
    tls = policy.inner("tls")
    mode = tls.take("mode", "DISABLE")
    sni, names, authorities = tls.take("sni", ""), tls.take("subjectAltNames", []), tls.take("caCertificates", "")
    credential = tls.take("credentialName", "")
    if mode == "DISABLE":
        if sni or names or authorities or credential:
            raise Refused(f"{tls.where}: Istio ignores all but the mode DISABLE")
        return None
    if mode != "SIMPLE":
        raise UnknownField(f"{tls.where}: mode {mode} has no translation")
    if credential and authorities:
        raise Refused(f"{tls.where}: cannot specify CA certificates if credentialName is set")
    return Tls(sni, tuple(names))
