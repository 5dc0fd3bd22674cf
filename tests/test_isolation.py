"""Isolated islands: which pods reach which, by an evaluator of NetworkPolicies, is what the project declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from network_policy import Pod, Port, cluster, pods
from strict_schemas import problems
from test_sets import compiled, document, faults, run, set_of, type_of

from replicator.pipeline import Options, Source, build

Object = dict[str, Any]
Path = tuple[str, ...]

# Projects as their author thinks of them


@dataclass(eq=False)
class Set:
    """A Set; `inner` are those inside its islands. `path` is its name after those around it."""

    name: str
    keys: tuple[str, ...]
    namespace: str = ""
    own_namespaces: bool = False
    create: bool = False
    pods: bool = False
    counted: bool = False
    strict: bool = False
    deny: bool = False
    inner: list[Set] = field(default_factory=list)
    around: Set | None = None

    @property
    def path(self) -> Path:
        return (*self.around.path, self.name) if self.around else (self.name,)

    @property
    def root(self) -> Set:
        return self.around.root if self.around else self

    @property
    def type(self) -> str:
        return "-".join(self.path)

    def all(self) -> Iterator[Set]:
        yield self
        for one in self.inner:
            yield from one.all()

    def islands(self) -> Iterator[Island]:
        arounds = self.around.islands() if self.around else [None]
        for around, key in product(arounds, self.keys):
            yield Island(self, key, around)


@dataclass(frozen=True)
class Island:
    of: Set
    key: str
    around: Island | None

    @property
    def name(self) -> str:
        return f"{self.around.name}-{self.of.name}-{self.key}" if self.around else f"{self.of.name}-{self.key}"

    @property
    def outermost(self) -> Island:
        return self.around.outermost if self.around else self

    @property
    def namespace(self) -> str:
        return self.outermost.name if self.of.root.own_namespaces else self.of.root.namespace

    def inside(self) -> Iterator[Island]:
        """It, and the islands around it."""
        yield self
        if self.around:
            yield from self.around.inside()


class Link(NamedTuple):
    """Who calls whom: `reach` is same, all, or key:KEY; or given: the island around gives its inner Set an address."""

    caller: Set
    target: Set
    port: str
    reach: str
    by: str = "uses"


# Units with their ports: name -> (the Service's, the container's). `brought` is a manifest of `resources`.
UNITS = {
    "web": {"http": (80, 8080), "admin": (9000, 9001)},
    "back": {"sql": (5432, 5432)},
    "brought": {"rpc": (7000, 7001)},
}
OFFERED = {"http": "web", "sql": "back", "rpc": "brought"}  # ports of the interface, and their units


def called_by(link: Link, caller: Island) -> Iterator[Island]:
    """The islands that a link leads one of its callers to."""
    if link.reach == "given":
        assert caller.around is not None
        yield caller.around
        return
    for island in link.target.islands():
        beside = island.around is None or island.around in caller.inside()
        same = link.reach == "same" and island.key == caller.key
        if beside and (same or link.reach in ("all", f"key:{island.key}")):
            yield island


def type_document(of: Set, links: list[Link]) -> str:
    env = {}
    uses = []
    given: dict[str, Object] = {one.name: {} for one in of.inner}
    params = {}
    for number, link in enumerate(links):
        if link.reach == "given" and link.target is of:
            given[link.caller.name][f"p{number}"] = f"{{{{ address('{OFFERED[link.port]}', '{link.port}') }}}}"
        if link.reach == "given" and link.caller is of:
            params[f"p{number}"] = {"type": "string"}
            env[f"P{number}"] = f"{{{{ params.p{number} }}}}"
        elif link.caller is of and link.by == "addresses":
            env[f"A{number}"] = f"{{{{ addresses('{link.target.name}', '{link.port}') | join(',') }}}}"
        elif link.caller is of:
            use: Object = {"set": link.target.name, "port": link.port}
            word, _, key = link.reach.partition(":")
            use |= {word: True if word == "all" else key} if word != "same" else {}
            if link.by == "uses":
                uses.append(use)
            else:
                arguments = ", ".join(
                    f"{name}={'true' if value is True else repr(value)}" for name, value in use.items()
                )
                env[f"A{number}"] = f"{{{{ address({arguments}) }}}}"
    units: Object = {
        name: {
            "image": "i",
            "ports": {port: {"containerPort": there, "servicePort": here} for port, (here, there) in ports.items()},
        }
        for name, ports in UNITS.items()
        if name != "brought"
    }
    units["web"]["env"] = env
    spec: Object = {
        "params": params,
        "ports": {port: {"unit": unit, "port": port} for port, unit in OFFERED.items() if unit != "brought"},
        "units": units,
        "uses": uses,
        "rewriteHosts": "none",
    }
    if not of.root.pods:
        spec["ports"]["rpc"] = {"service": "brought", "port": 7000}
        spec["resources"] = [{"manifest": one} for one in BROUGHT]
    spec["sets"] = {}
    for one in of.inner:
        spec["sets"][one.name] = {"type": one.type, **members(one), "params": given[one.name]}
    return document("IslandType", of.type, yaml.safe_dump({key: value for key, value in spec.items() if value}))


BROUGHT = list(
    yaml.safe_load_all(
        """
apiVersion: v1
kind: Service
metadata: {name: brought}
spec: {selector: {app: brought}, ports: [{name: rpc, port: 7000, targetPort: 7001}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: brought}
spec:
  selector: {matchLabels: {app: brought}}
  template:
    metadata: {labels: {app: brought}}
    spec: {containers: [{name: brought, image: i, ports: [{name: rpc, containerPort: 7001}]}]}
"""
    )
)


def members(of: Set) -> Object:
    if of.counted:
        return {"replicas": len(of.keys)}
    return {"islands": {key: {} for key in of.keys}}


def set_document(of: Set, routers: list[Object] | None) -> str:
    spec: Object = {"type": of.type, **members(of)}
    if of.own_namespaces:
        spec["scope"] = "namespace"
        if of.create:
            spec["namespaces"] = {"create": True}
    if of.pods:
        spec["form"] = "pods"
    if of.strict:
        spec["isolation"] = "strict"
        spec["allow"] = {"metrics": [PROMETHEUS]}
        if routers is not None:
            spec["allow"]["routers"] = routers
    if of.deny:
        spec["egress"] = "deny"
    return document("IslandSet", of.name, yaml.safe_dump(spec), of.namespace)


PROMETHEUS: Object = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    "podSelector": {"matchLabels": {"app": "prometheus"}},
    "ports": [{"port": 9001}],
}


class Project(NamedTuple):
    """Sets, their links, and the (Set, port) pairs that a Routing of a provider leads to."""

    sets: list[Set]
    links: list[Link]
    provider: str
    routes: list[tuple[Set, str]]

    def every(self) -> list[Set]:
        return [inner for one in self.sets for inner in one.all()]

    def text(self) -> str:
        made = [type_document(one, self.links) for one in self.every()]
        made += [set_document(one, None if self.provider else []) for one in self.sets]
        if self.provider:
            routes = [
                {
                    "each": "/".join(of.path),
                    "port": port,
                    "match": {"headers": {f"x-{number}": "{{ island.name }}"}},
                    "name": f"r{number}",
                }
                for number, (of, port) in enumerate(self.routes)
            ]
            spec = {
                "provider": self.provider,
                "gateway": {"name": "public", "namespace": "edge"},
                "hosts": ["shop.example.com"],
                "routes": [*routes, {"name": "none", "to": {"service": "other/nobody"}, "port": 80}],
            }
            made.append(document("Routing", "shop", yaml.safe_dump(spec), "shop"))
        return "".join(made)


ROUTERS = {
    "gloo": Pod("edge", "proxy", {"gloo": "gateway-proxy"}),
    "istio": Pod("wherever", "proxy", {"istio": "ingressgateway"}),
    "gateway-api": Pod("edge", "proxy", {"gateway.networking.k8s.io/gateway-name": "public"}),
}
DNS = Pod("kube-system", "coredns", {"k8s-app": "kube-dns"}, (Port("dns-tcp", 53), Port("dns", 53, "UDP")), "10.0.0.10")
NODE_DNS = Pod("", "node-local-dns", {}, (), "169.254.20.10")
METRICS = Pod("monitoring", "prometheus", {"app": "prometheus"})
ELSEWHERE = Pod("", "somewhere", {}, (Port("", 443),), "203.0.113.9")


def strangers(project: Project) -> list[Pod]:
    """Pods that nobody said anything of: in each namespace, and such as look like one that is meant."""
    spaces = {island.namespace for one in project.every() for island in one.islands()} | {"edge", "monitoring", "other"}
    found = [Pod(space, "stranger", {"app": "stranger"}) for space in sorted(spaces)]
    found += [Pod("other", name, pod.labels) for name, pod in ROUTERS.items() if name != "istio"]
    found.append(Pod("other", "prometheus", METRICS.labels))
    island = next(project.every()[0].islands())
    found.append(Pod("other", "thief", {"replicator.dev/island": island.name, "replicator.dev/set": island.of.name}))
    return found


class Placed(NamedTuple):
    """A pod of an island: the unit that it is of (of one pod, all)."""

    island: Island
    units: tuple[str, ...]
    pod: Pod


def placed(project: Project, objects: list[Object]) -> list[Placed]:
    """The pods of the output, by the names that islands are known to have."""
    known: dict[tuple[str, str], tuple[Island, tuple[str, ...]]] = {}
    for of in project.every():
        for island in of.islands():
            if of.root.pods:
                known[island.namespace, island.name] = (island, tuple(UNITS)[:2])
                continue
            bare = of.root.own_namespaces and island.around is None
            for unit in UNITS:
                known[island.namespace, unit if bare else f"{island.name}-{unit}"] = (island, (unit,))
    found = []
    for pod in pods(objects):
        island, units = known.pop((pod.namespace, pod.name))
        found.append(Placed(island, units, pod))
    assert known == {}
    return found


def declared(project: Project) -> set[tuple[str, str, int]]:
    """Edges as links say: names of two islands, and the number of the port at the pod."""
    return {
        (caller.name, island.name, UNITS[OFFERED[link.port]][link.port][1])
        for link in project.links
        for caller in link.caller.islands()
        for island in called_by(link, caller)
    }


def judge(project: Project) -> None:
    """Every pod reaches what it is meant to, and nothing else."""
    built = build([Source("dsl.yaml", project.text().encode())], Options())
    assert [one for one in built.diagnostics if one.severity == "error"] == []
    objects = list(yaml.safe_load_all(b"".join(built.texts())))
    assert problems(one for one in objects if one["kind"] in ("NetworkPolicy", "Namespace")) == []
    net = cluster(objects)
    edges = declared(project)
    inside = placed(project, objects)
    led = {(of.path, UNITS[OFFERED[port]][port][1]) for of, port in project.routes}
    numbers = sorted({number for one in inside for _, number, _ in one.pod.ports} | {22})
    for target, number in product(inside, numbers):
        strict = target.island.of.root.strict
        served = [unit for unit in target.units for _, there in UNITS[unit].values() if there == number]
        for source in inside:
            linked = bool(served) and (source.island.name, target.island.name, number) in edges
            same = source.island == target.island
            meant = same or linked or not (strict or source.island.of.root.deny)
            said = f"{source.pod.name} → {target.pod.name}:{number}"
            assert net.lets(source.pod, target.pod, number) == meant, said
        for stranger in strangers(project):
            assert net.lets(stranger, target.pod, number) == (not strict), f"{stranger} → {target.pod.name}:{number}"
        assert net.lets(METRICS, target.pod, number) == (not strict or number == 9001)
        for provider, router in ROUTERS.items():
            meant = not strict or bool(
                provider == project.provider and served and (target.island.of.path, number) in led
            )
            assert net.lets(router, target.pod, number) == meant, f"{provider} → {target.pod.name}:{number}"
    for source in inside:
        deny = source.island.of.root.deny
        assert net.lets(source.pod, ELSEWHERE, 443) == (not deny)
        for dns, protocol in product((DNS, NODE_DNS), ("UDP", "TCP")):
            assert net.lets(source.pod, dns, 53, protocol)
            assert net.lets(source.pod, dns, 54, protocol) == (not deny)
        for stranger in strangers(project):
            assert net.lets(source.pod, stranger, 53) == (not deny)


# Projects by chance


KEYS = ("0", "1", "2")


@st.composite
def outermost(draw: st.DrawFn, name: str) -> Set:
    counted, shape = (
        draw(st.booleans()),
        draw(st.sampled_from(["plain", "plain", "nested", "deep", "pods", "namespaces"])),
    )
    keys = KEYS[: draw(st.integers(1, 3))]
    strict = draw(st.sampled_from([True, True, False]))
    made = Set(
        name,
        keys,
        draw(st.sampled_from(["one", "two"])),
        own_namespaces=shape == "namespaces" or (shape in ("nested", "deep") and draw(st.booleans())),
        create=draw(st.booleans()),
        pods=shape == "pods",
        counted=counted or shape == "pods",
        strict=strict,
        deny=strict and draw(st.booleans()),
    )
    if shape in ("nested", "deep"):
        made.inner = [Set(f"{name}x", KEYS[: draw(st.integers(1, 2))], counted=draw(st.booleans()), around=made)]
        made.inner.append(Set(f"{name}y", KEYS[:2], around=made))
    if shape == "deep":
        made.inner[0].inner = [Set(f"{name}z", KEYS[:1], around=made.inner[0])]
    return made


def possible(sets: list[Set]) -> list[Link]:
    """The links that islands can have: to Sets that they see, whose islands are there, at ports that are."""
    found = []
    every = [inner for one in sets for inner in one.all()]
    for caller, target in product(every, every):
        sees = target.around is None or target.around in _around(caller)
        ports = [port for port in OFFERED if port != "rpc" or not target.root.pods]
        for port in ports if sees else ():
            by = ["uses"] if caller.root.pods else ["uses", "env"]
            if set(caller.keys) <= set(target.keys) and caller is not target:
                found += [Link(caller, target, port, "same", one) for one in by]
            found += [Link(caller, target, port, f"key:{target.keys[-1]}", one) for one in by]
            if not target.own_namespaces and (port != "rpc" or target.around is None):
                found += [Link(caller, target, port, "all", one) for one in by]
        if target.around is caller:
            found += [Link(caller, target, port, "all", "addresses") for port in OFFERED]
        if caller.around is target:
            found += [Link(caller, target, port, "given") for port in OFFERED if port != "rpc"]
    return found


def _around(one: Set) -> list[Set]:
    return [one, *(_around(one.around) if one.around else [])]


@st.composite
def projects(draw: st.DrawFn) -> Project:
    sets = [draw(outermost(name)) for name in ("a", "b")]
    links = draw(st.lists(st.sampled_from(possible(sets)), max_size=5))
    provider = draw(st.sampled_from(["", *ROUTERS]))
    every = [inner for one in sets for inner in one.all()]
    routes = draw(
        st.lists(st.tuples(st.sampled_from(every), st.sampled_from(["http", "sql"])), max_size=2, unique=True)
    )
    led = {of.root.name: (of, port) for of, port in routes}  # one for each: a ReferenceGrant is written once
    return Project(sets, links, provider, list(led.values()) if provider else [])


@settings(
    max_examples=60,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(projects())
def test_pods_reach_what_is_declared_and_nothing_else(project: Project) -> None:
    judge(project)


# Each kind of link once, whatever chance brings


def world(own_namespaces: bool) -> list[Set]:
    """Regions with cells (`x`) that hold rooms (`z`), and with stores (`s`); and what is beside them."""
    made = Set("w", ("0", "1"), "one", own_namespaces, strict=True, deny=own_namespaces)
    made.inner = [Set("x", ("0", "1"), around=made), Set("s", ("0", "1"), around=made)]
    made.inner[0].inner = [Set("z", ("1",), around=made.inner[0])]
    return [made, Set("b", ("0", "1"), "two", strict=True, deny=own_namespaces)]


def kinds() -> Iterator[Any]:
    """Links to one port, between Sets in namespaces of their own where that makes a difference."""
    for own in (False, True):
        for number, link in enumerate(possible(world(own))):
            apart = not own or link.caller.root is not link.target.root
            if link.port == "http" and link.by != "env" and apart:
                names = "-".join((link.caller.name, link.target.name, link.reach))
                yield pytest.param(own, number, id=f"{names}{'-apart' if own else ''}")


@pytest.mark.parametrize(("own", "number"), list(kinds()))
def test_each_kind_of_link(own: bool, number: int) -> None:
    sets = world(own)
    judge(Project(sets, [possible(sets)[number]], "", []))


# By hand

LEDGER = type_of("ports: {grpc: {unit: api, port: grpc}}\nunits: {api: {image: l, ports: {grpc: 9000}}}", "ledger")
HERMIT = "isolation: strict\nallow: {routers: []}"
CALLER = type_of("units: {web: {image: w}}\nuses: [{set: ledger}]")


def policies(objects: list[Object]) -> dict[str, Object]:
    return {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "NetworkPolicy"}


def callers(objects: list[Object], name: str) -> list[Object]:
    """Whom the only rule of a policy lets in."""
    [rule] = policies(objects)[name]["ingress"]
    found: list[Object] = rule["from"]
    return found


def test_a_set_that_is_open_has_no_policies() -> None:
    assert (
        policies(compiled(LEDGER, CALLER, set_of("replicas: 2", "ledger", "l", "ledger"), set_of("replicas: 2"))) == {}
    )


def test_one_island_more_changes_no_policy_of_another() -> None:
    def built(number: int) -> dict[str, Object]:
        ledger = set_of(f"replicas: 3\n{HERMIT}", "ledger", "l", "ledger")
        return policies(compiled(LEDGER, CALLER, ledger, set_of(f"replicas: {number}")))

    assert built(1) == built(3)
    assert len(built(1)) == 6


def test_a_value_that_is_only_handed_on_is_no_call_of_who_hands_it_on() -> None:
    cell = type_of("params: {a: {type: string}}\nunits: {web: {image: w, env: {A: '{{ params.a }}'}}}", "cell")
    region = type_of(
        """
        let: {own: "{{ address('api', 'http') }}", ledger: "{{ address(set='ledger') }}"}
        units: {api: {image: a, ports: {http: 80}}}
        sets: {cell: {type: cell, replicas: 1, params: {a: "{{ let.own }}"}}}
        """
    )
    ledger = set_of(f"replicas: 1\n{HERMIT}", "ledger", "l", "ledger")
    objects = compiled(LEDGER, cell, region, ledger, set_of(f"replicas: 1\n{HERMIT}"))
    assert "ledger-0-api-ingress" not in policies(objects)
    assert callers(objects, "shop-0-api-ingress") == [
        {"podSelector": {"matchLabels": {"replicator.dev/set": "shop-0-cell"}}}
    ]


def test_a_link_to_one_key_opens_that_island_alone() -> None:
    ledger = set_of(f"islands: {{eu: {{}}, us: {{}}}}\n{HERMIT}", "ledger", "l", "ledger")
    caller = type_of("units: {web: {image: w}}\nuses: [{set: ledger, key: eu}]")
    objects = compiled(LEDGER, caller, ledger, set_of("replicas: 2"))
    assert sorted(policies(objects)) == ["ledger-eu-api-ingress", "ledger-eu-isolation", "ledger-us-isolation"]
    here = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
    pod = {"matchLabels": {"replicator.dev/set": "shop"}}
    assert callers(objects, "ledger-eu-api-ingress") == [{"namespaceSelector": here, "podSelector": pod}]


def test_callers_in_namespaces_that_are_made_are_told_by_a_label_of_these() -> None:
    caller = type_of("units: {web: {image: w}}\nuses: [{set: ledger, all: true}]")
    ledger = set_of(f"replicas: 1\n{HERMIT}", "ledger", "l", "ledger")

    def spaces(more: str) -> Object:
        objects = compiled(LEDGER, caller, ledger, set_of(f"replicas: 2\nscope: namespace\n{more}"))
        [peer] = callers(objects, "ledger-0-api-ingress")
        found: Object = peer["namespaceSelector"]
        return found

    assert spaces("namespaces: {create: true}") == {"matchLabels": {"replicator.dev/set": "shop"}}
    listed = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop-0", "shop-1"]}
    assert spaces("") == {"matchExpressions": [listed]}


def test_a_caller_in_a_namespace_of_its_own_is_told_by_the_name_of_that() -> None:
    ledger = set_of(f"replicas: 2\n{HERMIT}", "ledger", "l", "ledger")
    objects = compiled(LEDGER, CALLER, ledger, set_of("replicas: 2\nscope: namespace"))
    [peer] = callers(objects, "ledger-0-api-ingress")
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "shop-0"}}


def test_without_a_namespace_all_are_in_the_same_one() -> None:
    ledger = set_of(f"replicas: 1\n{HERMIT}", "ledger", "", "ledger")
    objects = compiled(LEDGER, CALLER, ledger, set_of("replicas: 1", namespace=""))
    assert callers(objects, "ledger-0-api-ingress") == [
        {"podSelector": {"matchLabels": {"replicator.dev/island": "shop-0"}}}
    ]


def test_a_caller_in_a_namespace_that_is_not_known_is_refused() -> None:
    ledger = set_of(f"replicas: 1\n{HERMIT}", "ledger", "l", "ledger")
    assert ("R0704", "shop") in faults(LEDGER, CALLER, ledger, set_of("replicas: 1", namespace=""))


def test_a_name_that_is_too_long_for_a_label_is_no_callers() -> None:
    """The island that would have this name is not there; the rule would be for nobody, and Kubernetes refuses it."""
    key = "k" * 32
    ledger = set_of(f"islands: {{{key}: {{}}, eu: {{}}}}\n{HERMIT}", "ledger", "l", "ledger")
    caller = set_of("islands: {eu: {}}", "shop" * 8)
    [(code, _)] = faults(LEDGER, CALLER, ledger, caller)
    assert code == "R0304"


def test_behind_a_headless_service_pods_are_called_at_its_number_too() -> None:
    service = "{clusterIP: None, selector: {app: l}, ports: [{port: 9000, targetPort: 9001}]}"
    pod = "{metadata: {labels: {app: l}}, spec: {containers: [{name: l, image: l, ports: [{containerPort: 9001}]}]}}"
    ledger = type_of(
        f"""
        ports: {{grpc: {{service: api, port: 9000}}}}
        resources:
          - manifest: {{apiVersion: v1, kind: Service, metadata: {{name: api}}, spec: {service}}}
          - manifest:
              apiVersion: apps/v1
              kind: Deployment
              metadata: {{name: api}}
              spec: {{selector: {{matchLabels: {{app: l}}}}, template: {pod}}}
        rewriteHosts: none
        """,
        "ledger",
    )
    strict = set_of(f"replicas: 1\negress: deny\n{HERMIT}")
    objects = compiled(ledger, CALLER, set_of(f"replicas: 1\n{HERMIT}", "ledger", "l", "ledger"), strict)
    ports = [{"protocol": "TCP", "port": 9001}, {"protocol": "TCP", "port": 9000}]
    assert policies(objects)["ledger-0-api-ingress"]["ingress"][0]["ports"] == ports
    assert policies(objects)["shop-0-isolation"]["egress"][1]["ports"] == ports


def test_values_of_the_island_that_is_called_are_those_in_the_callers_policy() -> None:
    ledger = LEDGER.replace("units:", "params: {app: {type: string}}\n  rewriteHosts: none\n  units:").replace(
        "{unit: api, port: grpc}", "{service: own, port: 80}"
    )
    ledger += (
        "  resources: [{manifest: {apiVersion: v1, kind: Service, metadata: {name: own},"
        ' spec: {selector: {app.kubernetes.io/component: api, app: "{{ params.app }}"}, ports: [{port: 80}]}}}]\n'
    )
    ledger += set_of("islands: {eu: {params: {app: one}}, us: {params: {app: two}}}", "ledger", "l", "ledger")
    objects = [
        one
        for one in yaml.safe_load_all(
            b"".join(run(ledger + CALLER + set_of(f"islands: {{us: {{}}, eu: {{}}}}\negress: deny\n{HERMIT}")).texts())
        )
        if one["kind"] == "NetworkPolicy"
    ]
    selected = {
        name: spec["egress"][1]["to"][0]["podSelector"]["matchLabels"]["app"]
        for name, spec in policies(objects).items()
    }
    assert selected == {"shop-eu-isolation": "one", "shop-us-isolation": "two"}


def test_patches_reach_policies_by_their_names_in_the_island() -> None:
    patch = "[{op: add, path: /spec/ingress/-, value: {}}]"
    patch = f"patches: [{{target: {{kind: NetworkPolicy, name: isolation}}, patch: {patch}}}]"
    objects = compiled(LEDGER, set_of(f"replicas: 1\n{HERMIT}\n{patch}", "ledger", "l", "ledger"))
    assert policies(objects)["ledger-0-isolation"]["ingress"][1] == {}


def test_policies_of_the_author_are_left_alone() -> None:
    own = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: own}, spec: {podSelector: {}}}"
    ledger = LEDGER + f"  resources: [{{manifest: {own}}}]\n"
    objects = compiled(ledger, set_of(f"replicas: 1\n{HERMIT}", "ledger", "l", "ledger"))
    assert sorted(policies(objects)) == ["ledger-0-isolation", "ledger-0-own"]


# Routers


def routing(more: str, provider: str = "gloo", gateway: str = "") -> str:
    where = f"gateway: {gateway}\n" if gateway else ""
    return document("Routing", "r", f"provider: {provider}\n{where}hosts: [a.example.com]\n{more}", "shop")


STRICT = LEDGER + set_of("islands: {eu: {}, us: {}}\nisolation: strict", "ledger", "l", "ledger")
SPREAD = "routes: [{to: {spread: ledger}}]"


@pytest.mark.parametrize(
    ("provider", "gateway", "namespace", "labels"),
    [
        ("gloo", "", "gloo-system", {"gloo": "gateway-proxy"}),
        ("gloo", "{name: g, namespace: edge}", "edge", {"gloo": "gateway-proxy"}),
        ("istio", "{name: g, namespace: edge}", "", {"istio": "ingressgateway"}),
        ("istio", "{create: {selector: {app: gw}}}", "", {"app": "gw"}),
        ("gateway-api", "{name: g, namespace: edge}", "edge", {"gateway.networking.k8s.io/gateway-name": "g"}),
        ("gateway-api", "{create: {class: c}}", "shop", {"gateway.networking.k8s.io/gateway-name": "r"}),
    ],
)
def test_the_proxies_of_each_provider(provider: str, gateway: str, namespace: str, labels: Object) -> None:
    objects = compiled_routes(STRICT, routing(SPREAD, provider, gateway))
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}} if namespace else {}
    for key in ("eu", "us"):
        peer = {"namespaceSelector": where, "podSelector": {"matchLabels": labels}}
        assert callers(objects, f"ledger-{key}-api-ingress") == [peer]


def compiled_routes(*documents: str) -> list[Object]:
    built = run("".join(documents))
    assert [one for one in built.diagnostics if one.severity == "error"] == []
    return list(yaml.safe_load_all(b"".join(built.texts())))


def test_the_provider_of_the_command_line_counts() -> None:
    text = STRICT + routing(SPREAD, "gloo", "{name: g, namespace: edge}")
    built = build([Source("dsl.yaml", text.encode())], Options(provider="istio"))
    objects = list(yaml.safe_load_all(b"".join(built.texts())))
    [peer] = callers(objects, "ledger-eu-api-ingress")
    assert peer["podSelector"] == {"matchLabels": {"istio": "ingressgateway"}}


@pytest.mark.parametrize(
    "routes",
    [
        SPREAD,
        "routes: [{to: {island: ledger/eu}}]",
        "each: ledger\nhosts: ['{{ island.key }}.example.com']\nroutes: [{}]",
        "routes: [{to: {service: shop/own}, port: 80, mirror: {island: ledger/us}}]",
        "routes: [{to: {partition: tenants}}]",
        "params: {key: {type: string, default: eu}}\nroutes: [{to: {island: 'ledger/{{ params.key }}'}}]",
    ],
)
def test_every_way_to_lead_to_a_set_lets_the_proxies_in(routes: str) -> None:
    text = routing(routes)
    if "each: ledger" in routes:
        text = text.replace("  hosts: [a.example.com]\n", "")
    keys = "set: ledger\nkey: {header: x-tenant}\nkeys: {acme: eu, globex: us}\notherwise: {respond: 421}"
    objects = compiled_routes(STRICT, text, document("Partition", "tenants", keys))
    assert len(callers(objects, "ledger-eu-api-ingress")) == len(callers(objects, "ledger-us-api-ingress")) == 1


def test_proxies_that_lead_elsewhere_are_not_let_in() -> None:
    objects = compiled_routes(STRICT, routing("routes: [{to: {service: shop/own}, port: 80}]"))
    assert sorted(policies(objects)) == ["ledger-eu-isolation", "ledger-us-isolation"]


def test_routers_that_are_named_stand_for_all() -> None:
    peer = "{podSelector: {matchLabels: {app: p}}}"
    named = STRICT.replace("isolation: strict", f"isolation: strict\n  allow: {{routers: [{peer}]}}")
    for more in ("", routing(SPREAD)):
        assert callers(compiled_routes(named, more), "ledger-eu-api-ingress") == [yaml.safe_load(peer)]


# What is refused

SUPERFLUOUS = "{matchExpressions: [{key: a, operator: Exists, values: [b]}]}"


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ("egress: deny", "R0310"),
        ("allow: {routers: []}", "R0310"),
        ("isolation: strict\nallow: {routers: [], egress: []}", "R0310"),
        ("isolation: strict\nallow: {routers: [], dns: []}", "R0310"),
        ("isolation: strict\nallow: {routers: [{}]}", "R0202"),
        ("isolation: strict\nallow: {routers: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}", "R0205"),
        ("isolation: strict\nallow: {routers: [{ipBlock: {cidr: 10.0.0.1}}]}", "R0205"),
        ("isolation: strict\nallow: {routers: [{ipBlock: {cidr: 10.0.0.1/8}}]}", "R0205"),
        ("isolation: strict\nallow: {routers: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}", "R0205"),
        ("isolation: strict\nallow: {routers: [{ipBlock: {cidr: '::/0', except: [11.0.0.0/16]}}]}", "R0205"),
        ("isolation: strict\nallow: {routers: [{podSelector: {matchLabels: {-a: b}}}]}", "R0304"),
        ("isolation: strict\nallow: {routers: [{podSelector: {matchLabels: {a: -b}}}]}", "R0304"),
        ("isolation: strict\nallow: {routers: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}", "R0202"),
        (
            "isolation: strict\nallow: {routers: [{podSelector: {matchExpressions: [{key: -, operator: Exists}]}}]}",
            "R0304",
        ),
        (f"isolation: strict\nallow: {{routers: [{{podSelector: {SUPERFLUOUS}}}]}}", "R0205"),
        ("isolation: strict\nallow: {routers: [{podSelector: {}, ports: [{port: 0}]}]}", "R0205"),
        ("isolation: strict\nallow: {routers: [{podSelector: {}, ports: [{port: Http}]}]}", "R0304"),
        ("isolation: strict\nallow: {routers: [{podSelector: {matchLabels: {a: '{{ params.a }}'}}}]}", "R0406"),
        ("isolation: strict", "R0620"),
    ],
)
def test_what_is_refused(spec: str, code: str) -> None:
    assert [found for found, _ in faults(LEDGER, set_of(f"replicas: 1\n{spec}", "ledger", "l", "ledger"))] == [code]


def test_calls_to_what_has_no_pods_are_told() -> None:
    ledger = LEDGER + "  implementations: {vm: {external: {host: vm.example.net, port: 443}}}\n"
    ledger += set_of("islands: {eu: {}, us: {implementation: vm}}", "ledger", "l", "ledger")
    strict = set_of(f"islands: {{eu: {{}}, us: {{}}}}\negress: deny\n{HERMIT}")
    assert [code for code, _ in faults(ledger, CALLER, strict)] == ["R0621"]
    one_only = CALLER.replace("{set: ledger}", "{set: ledger, key: eu}")
    assert faults(ledger, one_only, strict) == []
    assert faults(ledger, CALLER, strict.replace("routers: []", "routers: [], egress: []")) == []


def test_pods_in_the_network_of_their_node_are_told() -> None:
    agent = type_of("units: {agent: {image: a, pod: {hostNetwork: true}}}")
    assert [code for code, _ in faults(agent, set_of(f"replicas: 2\n{HERMIT}"))] == ["R0622"]
    assert [code for code, _ in faults(agent, set_of(f"replicas: 2\nform: pods\n{HERMIT}"))] == ["R0622"]
    assert faults(agent, set_of("replicas: 2")) == []
