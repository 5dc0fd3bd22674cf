"""What NetworkPolicies let through, from their API doc.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/ and
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

Object = dict[str, Any]
Labels = Mapping[str, str]


class Port(NamedTuple):
    """A port that a container listens on."""

    name: str
    number: int
    protocol: str = "TCP"


class Pod(NamedTuple):
    """A pod; without a namespace it is an address outside of the cluster."""

    namespace: str
    name: str
    labels: Labels
    ports: tuple[Port, ...] = ()
    address: str = ""


def selects(selector: Object, labels: Labels) -> bool:
    """Whether a label selector selects labels. An empty one selects all."""
    fixed = selector.get("matchLabels") or {}
    return fixed.items() <= labels.items() and all(
        _holds(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _holds(requirement: Object, labels: Labels) -> bool:
    key, values = requirement["key"], requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise AssertionError(requirement)


class Cluster:
    """The policies of a cluster, and the labels of its namespaces beside the one that has their name."""

    def __init__(self, policies: Iterable[Object], namespaces: Mapping[str, Labels] = {}) -> None:
        self.policies = list(policies)
        self.namespaces = namespaces

    @cached_property
    def _by_namespace(self) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for one in self.policies:
            found.setdefault(one["metadata"].get("namespace", ""), []).append(one)
        return found

    def lets(self, source: Pod, target: Pod, number: int, protocol: str = "TCP") -> bool:
        """Whether a connection is let out of its source, and let in by its target, at a port."""
        return self._passes("Egress", source, target, target, number, protocol) and self._passes(
            "Ingress", target, source, target, number, protocol
        )

    def _passes(self, direction: str, pod: Pod, peer: Pod, target: Pod, number: int, protocol: str) -> bool:
        """Pods that no policy selects in a direction are open; else any rule of any policy will do."""
        if not pod.namespace:
            return True
        having = [
            one
            for one in self._by_namespace.get(pod.namespace, ())
            if direction in _types(one["spec"]) and selects(one["spec"]["podSelector"], pod.labels)
        ]
        rules, side = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        return not having or any(
            self._is_peer(rule.get(side), peer, pod.namespace) and _is_port(rule.get("ports"), target, number, protocol)
            for one in having
            for rule in one["spec"].get(rules) or ()
        )

    def _is_peer(self, peers: list[Object] | None, pod: Pod, own: str) -> bool:
        """Missing or empty: everybody."""
        return not peers or any(self._is(peer, pod, own) for peer in peers)

    def _is(self, peer: Object, pod: Pod, own: str) -> bool:
        if "ipBlock" in peer:
            assert peer.keys() == {"ipBlock"}
            return bool(pod.address) and _is_within(peer["ipBlock"], pod.address)
        assert peer.keys() <= {"podSelector", "namespaceSelector"}
        assert peer
        if not pod.namespace:
            return False
        if "namespaceSelector" in peer:
            labels = {**self.namespaces.get(pod.namespace, {}), "kubernetes.io/metadata.name": pod.namespace}
            there = selects(peer["namespaceSelector"], labels)
        else:
            there = pod.namespace == own
        return there and selects(peer.get("podSelector", {}), pod.labels)


def _types(spec: Object) -> list[str]:
    """Without policyTypes a policy is of Ingress, and of Egress where it has egress rules."""
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def _is_within(block: Object, address: str) -> bool:
    known = ip_address(address)
    return known in ip_network(block["cidr"]) and not any(known in ip_network(one) for one in block.get("except", ()))


def _is_port(ports: list[Object] | None, target: Pod, number: int, protocol: str) -> bool:
    """Missing or empty: all. A name is that of a port of the target pod's containers."""
    if not ports:
        return True
    for one in ports:
        if one.get("protocol", "TCP") != protocol:
            continue
        wanted = one.get("port")
        if (
            wanted is None
            or wanted == number
            or (isinstance(wanted, int) and wanted <= number <= one.get("endPort", 0))
        ):
            return True
        if isinstance(wanted, str) and Port(wanted, number, protocol) in target.ports:
            return True
    return False


# The pods of manifests


def pods(objects: Iterable[Object]) -> list[Pod]:
    """One pod of each workload, as its controller would make it; of a StatefulSet each."""
    found = []
    for item in objects:
        template = item.get("spec", {}).get("template")
        if item["kind"] == "CronJob":
            template = item["spec"]["jobTemplate"]["spec"]["template"]
        if template is None:
            continue
        labels = template["metadata"]["labels"]
        containers = [*template["spec"]["containers"], *template["spec"].get("initContainers", ())]
        ports = tuple(
            Port(port.get("name", ""), port["containerPort"], port.get("protocol", "TCP"))
            for container in containers
            for port in container.get("ports", ())
        )
        names = [item["metadata"]["name"]]
        if item["kind"] == "StatefulSet":
            start = item["spec"].get("ordinals", {}).get("start", 0)
            names = [f"{names[0]}-{start + number}" for number in range(item["spec"].get("replicas", 1))]
        for name in names:
            more = {"statefulset.kubernetes.io/pod-name": name} if item["kind"] == "StatefulSet" else {}
            found.append(Pod(item["metadata"].get("namespace", ""), name, {**labels, **more}, ports))
    return found


def cluster(objects: Iterable[Object]) -> Cluster:
    """The policies and namespaces among some objects. One of no namespace is in `default`."""
    listed = list(objects)
    namespaces = {
        one["metadata"]["name"]: one["metadata"].get("labels", {}) for one in listed if one["kind"] == "Namespace"
    }
    return Cluster([one for one in listed if one["kind"] == "NetworkPolicy"], namespaces)
