"""Placement: zones of islands, labels of nodes, spreading, and nodes of an island's own."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import pytest
import strict_schemas
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from replicator.kinds import REPLICATED, TEMPLATES
from replicator.layout import files
from replicator.pipeline import Built, Options, Source, build
from replicator.zones import levelled

Object = dict[str, Any]

ZONE = "topology.kubernetes.io/zone"
NODE = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
ABC: Object = {"zones": ["a", "b", "c"]}

few = settings(max_examples=60, deadline=None)


def document(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "replicator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def unit(**fields: Any) -> Object:
    return {"image": "web:1", **fields}


def manifest(kind: str, name: str, spec: Object, version: str = "apps/v1") -> Object:
    return {"manifest": {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}}


def workload(kind: str, name: str, **pod: Any) -> Object:
    labels = {"app": name}
    containers = [{"name": "c", "image": "c:1"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers, **pod}}
    return manifest(kind, name, {"selector": {"matchLabels": labels}, "template": template})


def project(of_type: Object, placement: Object, *inner: Object, **of_set: Any) -> list[Object]:
    zoned: Object = {"eu": {"zone": "a"}, "us": {"zone": "b"}} if "zones" in placement else {"eu": {}, "us": {}}
    members = {} if {"replicas", "matrix"} & of_set.keys() else {"islands": zoned}
    return [
        *inner,
        document("IslandType", "cart", {"rewriteHosts": "none", **of_type}),
        document("IslandSet", "cart", {"type": "cart", "placement": placement, **members, **of_set}),
    ]


API: Object = {"units": {"api": unit(replicas=2)}}


def compiled(documents: Iterable[Object]) -> Built:
    """JSON is YAML."""
    text = "\n---\n".join(json.dumps(one) for one in documents)
    return build([Source("dsl.yaml", text.encode())], Options())


def objects(documents: Iterable[Object], strict: bool = True) -> list[Object]:
    made = compiled(documents)
    assert [one.message for one in made.diagnostics if one.severity == "error"] == []
    found = [one for one in yaml.safe_load_all(b"".join(made.texts())) if one]
    assert not strict or strict_schemas.problems(found) == []
    return found


def errors(documents: Iterable[Object]) -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in compiled(documents).diagnostics if one.severity == "error"]


def hints(documents: Iterable[Object]) -> list[str]:
    return [one.hint for one in compiled(documents).diagnostics if one.code == "R0320"]


def written(documents: Iterable[Object]) -> dict[str, bytes]:
    made = compiled(documents)
    assert [one.message for one in made.diagnostics if one.severity == "error"] == []
    return dict(files(made, "island"))


def _at(node: Any, path: str) -> Iterator[Any]:
    step, _, rest = path.partition(".")
    if not step:
        yield node
    elif step.endswith("[]"):
        for item in node.get(step[:-2], ()):
            yield from _at(item, rest)
    elif step in node:
        yield from _at(node[step], rest)


def templates(one: Object) -> list[Object]:
    """The templates of an object's pods."""
    group = one["apiVersion"].rpartition("/")[0]
    kind = f"{one['kind']}.{group}" if group.endswith((".io", ".dev")) else one["kind"]
    return [found for path in TEMPLATES.get(kind, ()) for found in _at(one, path)]


class Pod(NamedTuple):
    """A pod as a scheduler sees it."""

    owner: str
    namespace: str
    labels: dict[str, str]
    spec: Object


def pods(made: Iterable[Object]) -> list[Pod]:
    """A pod of each template."""
    return [
        Pod(
            f"{one['kind']} {one['metadata']['name']}",
            one["metadata"].get("namespace", ""),
            template["metadata"].get("labels", {}),
            template["spec"],
        )
        for one in made
        for template in templates(one)
    ]


# The scheduler


def fits(requirement: dict[str, Any], labels: dict[str, str]) -> bool:
    """One requirement (kubernetes: component-helpers/scheduling/corev1/nodeaffinity, apimachinery: labels)."""
    key, operator = requirement["key"], requirement["operator"]
    values: list[str] = requirement.get("values", [])
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator in ("Exists", "DoesNotExist"):
        return bool((key in labels) == (operator == "Exists"))
    try:
        number, bound = int(labels[key]), int(values[0])
    except (KeyError, ValueError):
        return False
    return bool(number > bound if operator == "Gt" else number < bound)


def admits(affinity: Object | None, node: dict[str, str]) -> bool:
    """Whether a node is one that a pod's node affinity asks for: one of the terms, and all of that term."""
    required = ((affinity or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if required is None:
        return True
    return any(
        (term.get("matchExpressions") or term.get("matchFields"))  # an empty term matches nothing
        and all(fits(one, node) for one in term.get("matchExpressions") or [])
        and all(fits(one, {"metadata.name": node["name"]}) for one in term.get("matchFields") or [])
        for term in required["nodeSelectorTerms"]
    )


def selected(selector: Object, labels: dict[str, str]) -> bool:
    wanted = [
        {"key": key, "operator": "In", "values": [value]} for key, value in selector.get("matchLabels", {}).items()
    ]
    return all(fits(one, labels) for one in [*wanted, *selector.get("matchExpressions", [])])


def avoids(pod: Pod, other: Pod) -> bool:
    """Whether a pod's anti-affinity keeps it off a node on which another one is."""
    terms = pod.spec.get("affinity", {}).get("podAntiAffinity", {}).get(REQUIRED, [])
    assert all(term["topologyKey"] == NODE and term.get("namespaceSelector") in (None, {}) for term in terms)
    return any(
        selected(term["labelSelector"], other.labels)
        and ("namespaceSelector" in term or pod.namespace == other.namespace)
        for term in terms
    )


# The least loaded zone


def test_the_least_loaded_zone_is_the_first_of_those_with_the_fewest_islands() -> None:
    assert next(levelled(["a", "b", "c"], [])) == "a"
    assert next(levelled(["c", "b", "a"], [])) == "c"
    assert next(levelled(["a", "b", "c"], ["a", "a", "b"])) == "c"
    assert next(levelled(["a", "b", "c"], ["c", "a"])) == "b"
    assert next(levelled(["a", "b"], ["b", "x", "x", "a", "a"])) == "b"


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.permutations("abc"), st.integers(0, 12))
def test_zones_given_one_after_another_level_out(taken: list[str], zones: list[str], more: int) -> None:
    before = Counter({zone: taken.count(zone) for zone in zones})
    together = levelled(zones, taken)
    for _ in range(more):
        taken = [*taken, next(levelled(zones, taken))]
        assert taken[-1] == next(together)
    after = Counter({zone: taken.count(zone) for zone in zones})
    grown = [after[zone] for zone in zones if after[zone] > before[zone]]
    assert sum(after.values()) == sum(before.values()) + more
    assert not grown or max(grown) <= min(after.values()) + 1


# Node affinity


names = st.sampled_from(["pool", "disk", ZONE, "gen"])
values = st.sampled_from(["a", "b", "c", "cells", "1", "3"])
requirements = st.one_of(
    st.builds(
        lambda key, operator, listed: {"key": key, "operator": operator, "values": listed},
        names,
        st.sampled_from(["In", "NotIn"]),
        st.lists(values, min_size=1, max_size=3, unique=True),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator}, names, st.sampled_from(["Exists", "DoesNotExist"])
    ),
    st.builds(lambda sign: {"key": "gen", "operator": sign, "values": ["2"]}, st.sampled_from(["Gt", "Lt"])),
)
named = st.builds(
    lambda operator, name: {"key": "metadata.name", "operator": operator, "values": [name]},
    st.sampled_from(["In", "NotIn"]),
    st.sampled_from(["n1", "n2"]),
)
terms = st.fixed_dictionaries(
    {},
    optional={
        "matchExpressions": st.lists(requirements, max_size=3),
        "matchFields": st.lists(named, min_size=1, max_size=1),
    },
)
affinities = st.one_of(
    st.none(),
    st.just({}),
    st.builds(
        lambda listed: {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": listed}}},
        st.lists(terms, min_size=1, max_size=3),
    ),
    st.just({"nodeAffinity": {}}),
    st.just({"podAffinity": {}, "nodeAffinity": None}),
)
nodes = st.builds(
    lambda labels, name: {**labels, "name": name}, st.dictionaries(names, values), st.sampled_from(["n1", "n2"])
)


@given(affinities, st.lists(nodes, min_size=1, max_size=8), st.booleans(), st.sampled_from(["b", "c"]))
@few
def test_requirements_are_added_to_the_authors(own: Object | None, some: list[Object], inline: bool, zone: str) -> None:
    """A node is one of a placed pod's where it is one of the author's, in the zone, and has the labels."""
    pod: Object = {"affinity": own}
    of_type = {"units": {"web": unit(pod=pod)}} if inline else {"resources": [workload("Deployment", "web", **pod)]}
    placement = {**ABC, "nodes": {"pool": "cells", "disk": "a"}}
    (placed,) = pods(objects(project(of_type, placement, islands={"eu": {"zone": zone}}), strict=False))
    wanted = {ZONE: zone, "pool": "cells", "disk": "a"}
    elsewhere = [{**node, **wanted, key: "other"} for node in some for key in wanted]
    for node in [*some, *({**node, **wanted} for node in some), *elsewhere]:
        asked = all(node.get(key) == value for key, value in wanted.items())
        assert admits(placed.spec["affinity"], node) == (admits(own, node) and asked)


def test_without_an_affinity_there_is_one_term() -> None:
    placement = {**ABC, "nodes": {"pool": "cells", "arch": "arm64"}}
    (placed, _) = pods(objects(project(API, placement)))
    expressions = [
        {"key": ZONE, "operator": "In", "values": ["a"]},
        {"key": "arch", "operator": "In", "values": ["arm64"]},
        {"key": "pool", "operator": "In", "values": ["cells"]},
    ]
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}}
    assert placed.spec["affinity"] == affinity
    assert placed.spec.keys() == {"containers", "affinity"}


def test_each_of_the_authors_terms_gets_the_requirement() -> None:
    usb: Object = {"matchExpressions": [{"key": "usb", "operator": "In", "values": ["3"]}]}
    by_name: Object = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    own = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [usb, by_name, {}]}}}
    documents = project({"units": {"api": unit(pod={"affinity": own})}}, ABC, islands={"eu": {"zone": "a"}})
    (placed,) = pods(objects(documents))
    zone = {"key": ZONE, "operator": "In", "values": ["a"]}
    assert placed.spec["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == [
        {"matchExpressions": [*usb["matchExpressions"], zone]},
        {**by_name, "matchExpressions": [zone]},
        {},
    ]
    for labels in ({"usb": "3", "name": "n2"}, {"name": "n1"}):
        assert not admits(placed.spec["affinity"], {**labels, ZONE: "b"})
        assert admits(placed.spec["affinity"], {**labels, ZONE: "a"})


def test_the_authors_preferences_stay() -> None:
    own: Object
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    own = {
        "nodeAffinity": {
            preferred: [{"weight": 1, "preference": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}]
        },
        "podAntiAffinity": {REQUIRED: [{"topologyKey": "rack", "labelSelector": {"matchLabels": {"x": "y"}}}]},
    }
    documents = project({"units": {"api": unit(pod={"affinity": own})}}, {**ABC, "exclusive": True})
    for placed in pods(objects(documents)):
        affinity = placed.spec["affinity"]
        assert affinity["nodeAffinity"][preferred] == own["nodeAffinity"][preferred]
        assert affinity["podAntiAffinity"][REQUIRED][0] == own["podAntiAffinity"][REQUIRED][0]
        assert len(affinity["podAntiAffinity"][REQUIRED]) == 2
        assert list(affinity) == ["nodeAffinity", "podAntiAffinity"]


def nested(path: str, template: Object) -> Object:
    """An object in which a template is at a path of `TEMPLATES`."""
    for step in reversed(path.split(".")):
        template = {step[:-2]: [template, template]} if step.endswith("[]") else {step: template}
    return template


def of_every_kind() -> Iterator[tuple[str, Object]]:
    for kind, paths in TEMPLATES.items():
        name, _, group = kind.partition(".")
        body: Object = {"apiVersion": f"{group or 'apps'}/v1", "kind": name, "metadata": {"name": "x"}}
        if kind == "Pod":
            body["spec"] = {"containers": [{"name": "c", "image": "c:1"}]}
        for path in paths if kind != "Pod" else ():
            template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}}
            body = _joined(body, nested(path, template))
        if kind in ("Deployment", "StatefulSet", "ReplicaSet", "DaemonSet") or kind.endswith("Set.apps.kruise.io"):
            body["spec"]["selector"] = {"matchLabels": {"app": "x"}}
        if kind == "ReplicationController":
            body["spec"]["selector"] = {"app": "x"}
        yield kind, body


def _joined(one: Object, other: Object) -> Object:
    return {
        **one,
        **{key: _joined(one.get(key, {}), value) if isinstance(value, dict) else value for key, value in other.items()},
    }


@pytest.mark.parametrize(
    ("kind", "body"), list(of_every_kind()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_template_of_pods_is_placed(kind: str, body: Object) -> None:
    exclusive = "DaemonSet" not in kind
    placement = {**ABC, "nodes": {"pool": "cells"}, "spread": [NODE], "exclusive": exclusive}
    made = objects(project({"resources": [{"manifest": body}]}, placement), strict=False)
    assert len(made) == 2
    for one, zone in zip(made, "ab", strict=True):
        found = pods([one])
        assert len(found) == sum(2 if "[]" in path else 1 for path in TEMPLATES[kind])
        for placed in found:
            (term,) = placed.spec["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
            assert [one["values"] for one in term["matchExpressions"]] == [[zone], ["cells"]]
            anti = placed.spec["affinity"].get("podAntiAffinity", {REQUIRED: []})[REQUIRED]
            assert len(anti) == int(exclusive)
            assert ("topologySpreadConstraints" in placed.spec) == (kind in REPLICATED)


def test_templates_of_custom_kinds_are_those_that_are_declared() -> None:
    pod = {"template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}}}
    body = {
        "apiVersion": "example.com/v1",
        "kind": "Fleet",
        "metadata": {"name": "x"},
        "spec": {"groups": [pod, pod], **pod},
    }
    references = [{"kind": "Fleet", "path": "spec.groups[].template", "to": "template"}]
    documents = project({"resources": [{"manifest": body}], "references": references}, ABC)
    for one in objects(documents, strict=False):
        assert [("affinity" in group["template"]["spec"]) for group in one["spec"]["groups"]] == [True, True]
        assert "affinity" not in one["spec"]["template"]["spec"]


def test_what_is_shared_is_not_placed() -> None:
    documents = project(API, ABC, shared=[workload("Deployment", "hub")])
    assert [placed.owner for placed in pods(objects(documents)) if "affinity" not in placed.spec] == ["Deployment hub"]


@pytest.mark.parametrize(
    "own",
    [
        {"affinity": []},
        {"affinity": {"nodeAffinity": "x"}},
        {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": {}}}}},
    ],
)
def test_an_affinity_that_is_none_is_an_error(own: Object) -> None:
    resources = [workload("Deployment", "web", **own)]
    assert {code for code, _ in errors(project({"resources": resources}, ABC))} == {"R0204"}


def test_patches_come_after() -> None:
    terms = [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]
    spec = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}}
    patch = {"target": {"kind": "Deployment"}, "patch": {"spec": {"template": {"spec": spec}}}}
    for placed in pods(objects(project(API, ABC, patches=[patch]))):
        assert placed.spec["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == terms


# Zones


def zone_of(pod: Pod) -> str:
    terms = pod.spec["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    (zone,) = {one["values"][0] for term in terms for one in term["matchExpressions"] if one["key"] == ZONE}
    return str(zone)


def zones(documents: Iterable[Object]) -> dict[str, str]:
    """The zone of each island, by its name."""
    return {placed.labels["replicator.dev/island"]: zone_of(placed) for placed in pods(objects(documents))}


def test_zones_of_keys_are_in_their_entries() -> None:
    islands = {"eu": {"zone": "c"}, "us": {"zone": "a", "params": {}}, "no": {"zone": "no"}}
    documents = project(API, {"zones": ["a", "no", "c"]}, islands=islands)
    assert zones(documents) == {"cart-eu": "c", "cart-us": "a", "cart-no": "no"}


@pytest.mark.parametrize("start", [0, 7])
def test_zones_of_numbers_are_assigned(start: int) -> None:
    assigned = {"a": f"{start}, {start + 3}", "b": f"{start + 1}-{start + 2}", "c": start + 4}
    documents = project(API, {**ABC, "assigned": assigned}, replicas=5, start=start)
    assert list(zones(documents).values()) == ["a", "b", "b", "a", "c"]


def test_zones_of_a_matrix_are_assigned() -> None:
    of_type = {**API, "params": {"region": {"type": "string"}, "tier": {"type": "string"}}}
    matrix = {"region": ["eu", "us"], "tier": ["free", "paid"]}
    assigned = {"a": "eu-free,us-paid", "b": " us-free , eu-paid"}
    documents = project(of_type, {**ABC, "assigned": assigned}, matrix=matrix)
    expected = {"cart-eu-free": "a", "cart-us-paid": "a", "cart-us-free": "b", "cart-eu-paid": "b"}
    assert zones(documents) == expected


CELL = document("IslandType", "cell", {"units": {"api": unit(replicas=2)}})
SHARD = document("IslandType", "shard", {"units": {"db": unit()}, "sets": {"cell": {"type": "cell", "replicas": 2}}})
INSIDE: Object = {**API, "sets": {"shard": {"type": "shard", "islands": {"x": {}, "y": {}}}}}


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
def test_islands_inside_are_in_the_zone_of_the_outermost(scope: str) -> None:
    found = zones(project(INSIDE, ABC, CELL, SHARD, scope=scope))
    assert len(found) == 2 * (1 + 2 + 4)
    assert {name: zone for name, zone in found.items() if zone != ("a" if name.startswith("cart-eu") else "b")} == {}


def test_an_island_elsewhere_needs_no_zone() -> None:
    of_type = {
        "units": {"api": unit(ports={"http": 80})},
        "ports": {"http": {"unit": "api", "port": "http"}},
        "implementations": {"vm": {"external": {"host": "example.net", "port": 443}}},
    }
    assert zones(project(of_type, ABC, islands={"eu": {"zone": "a"}, "us": {"implementation": "vm"}})) == {
        "cart-eu": "a"
    }


def test_zones_make_no_shapes() -> None:
    islands = {f"k{number}": {"zone": "abc"[number % 3]} for number in range(9)}
    (rows,) = compiled(project(API, ABC, islands=islands)).sets
    assert rows.shape_of is None


entries = st.dictionaries(st.sampled_from(["a", "b", "c-1", "eu", "x", "z"]), st.sampled_from("abc"), min_size=1)


@given(entries, st.sampled_from(["a-0", "m", "zz"]), st.sampled_from("abc"), st.sampled_from(["prefix", "namespace"]))
@few
def test_another_island_changes_no_other_file(islands: dict[str, str], key: str, zone: str, scope: str) -> None:
    def made(of: dict[str, str]) -> dict[str, bytes]:
        placement = {**ABC, "exclusive": True, "spread": [NODE]}
        entries = {key: {"zone": zone} for key, zone in of.items()}
        return written(project(INSIDE, placement, CELL, SHARD, islands=entries, scope=scope))

    before, after = made(islands), made({**islands, key: zone})
    assert {path: after.get(path) for path in before} == before
    assert after.keys() - before.keys() == {path for path in after if re.match(rf"cart/{key}\.", path)}


@given(entries, st.data())
@few
def test_another_zone_changes_that_island_alone(islands: dict[str, str], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(islands)))
    zone = data.draw(st.sampled_from(sorted({"a", "b", "c"} - {islands[key]})))
    before, after = (
        written(project(API, ABC, islands={key: {"zone": zone} for key, zone in of.items()}))
        for of in (islands, {**islands, key: zone})
    )
    assert {path for path in before if before[path] != after[path]} == {f"cart/{key}.yaml"}


def test_a_number_more_changes_no_other_file() -> None:
    before = written(project(API, {**ABC, "assigned": {"a": "0,3", "b": "1,4", "c": "2"}}, replicas=5))
    after = written(project(API, {**ABC, "assigned": {"a": "0,3", "b": "1,4", "c": "2,5"}}, replicas=6))
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 1


# What is missing, and the line to write


def test_a_missing_zone_is_printed_as_its_line() -> None:
    islands = {"eu": {"zone": "a"}, "us": {"weight": 2}, "ap": {}, "no": None}
    documents = project(API, ABC, islands=islands)
    assert errors(documents) == [("R0320", f"the island `cart/{key}` has no zone") for key in ("us", "ap", "no")]
    assert hints(documents) == ["zone: a", "ap: {zone: b}", '"no": {zone: c}']  # in natural order: ap, no, us


@given(
    st.dictionaries(st.sampled_from("abcdefghij"), st.one_of(st.none(), st.sampled_from(["x", "y", "no"])), min_size=1)
)
@few
def test_what_is_printed_for_keys_can_be_written(islands: dict[str, str | None]) -> None:
    placement = {"zones": ["x", "y", "no"]}
    given = {key: {"zone": zone} if zone else {} for key, zone in islands.items()}
    told = hints(project(API, placement, islands=given))
    for hint in told:
        given.update(yaml.safe_load(f"{{{hint}}}"))
    assert len(told) == sum(zone is None for zone in islands.values())
    assert errors(project(API, placement, islands=given)) == []
    if all(zone is None for zone in islands.values()):
        load = Counter(entry["zone"] for entry in given.values())
        assert max(load.values()) - min(load[zone] for zone in placement["zones"]) <= 1


@given(st.lists(st.one_of(st.none(), st.sampled_from("abc")), min_size=1, max_size=40), st.integers(0, 20))
@few
def test_what_is_printed_for_numbers_can_be_written(taken: list[str | None], start: int) -> None:
    assume(None in taken)
    assigned = {
        zone: ",".join(str(start + number) for number, one in enumerate(taken) if one == zone)
        for zone in "abc"
        if zone in taken
    }
    placement = {**ABC, "assigned": assigned} if assigned else ABC
    (hint,) = hints(project(API, placement, replicas=len(taken), start=start))
    full = {**ABC, **yaml.safe_load(hint)}
    documents = project(API, full, replicas=len(taken), start=start)
    found = list(zones(documents).values())
    assert [one for one, before in zip(found, taken, strict=True) if before not in (None, one)] == []
    loads, before = Counter(found), Counter(taken)
    grown = [loads[zone] for zone in "abc" if loads[zone] > before[zone]]
    assert max(grown) <= min(loads[zone] for zone in "abc") + 1


def test_very_many_numbers_are_a_short_line() -> None:
    (hint,) = hints(project(API, ABC, replicas=1000))
    assert hint == 'assigned: {a: "0-333", b: "334-666", c: "667-999"}'


def test_what_is_printed_for_a_matrix_can_be_written_until_all_is_there() -> None:
    of_type = {**API, "params": {"n": {"type": "integer"}}}
    matrix = {"n": list(range(100, 150))}
    placement: Object = {**ABC}
    rounds = 0
    while told := hints(project(of_type, placement, matrix=matrix)):
        placement |= yaml.safe_load(told[0])
        rounds += 1
    assert rounds == 3
    assert Counter(zones(project(of_type, placement, matrix=matrix)).values()) == {"a": 17, "b": 17, "c": 16}


KEYED: Object = {"islands": {"eu": {"zone": "a"}}}
COUNTED: Object = {"replicas": 5}
MATRIX: Object = {"matrix": {"n": [1, 2]}}
WITH_N: Object = {**API, "params": {"n": {"type": "integer", "default": 0}}}


@pytest.mark.parametrize(
    ("placement", "members", "code", "message"),
    [
        ({}, {"islands": {"eu": {"zone": "a"}}}, "R0321", "a zone, and the Set has no `placement.zones`"),
        (ABC, {"islands": {"eu": {"zone": "d"}}}, "R0321", "there is no zone `d`"),
        ({**ABC, "assigned": {"a": "0-4", "d": "0"}}, COUNTED, "R0321", "there is no zone `d`"),
        ({"assigned": {"a": "0-4"}}, COUNTED, "R0321", "a zone, and the Set has no `placement.zones`"),
        ({**ABC, "assigned": {"a": "eu"}}, KEYED, "R0310", "islands with entries have their zones there"),
        ({**ABC, "assigned": {"a": "0-5"}}, COUNTED, "R0505", "`0-5`: not all of these are islands of `cart`"),
        ({**ABC, "assigned": {"a": "0-4,9"}}, COUNTED, "R0505", "`9`: not all of these are islands of `cart`"),
        ({**ABC, "assigned": {"a": "0"}}, {"replicas": 0}, "R0505", "`0`: not all of these are islands of `cart`"),
        ({**ABC, "assigned": {"a": "0-4", "b": "2-3"}}, COUNTED, "R0322", "`2-3` is in two zones, `a` and `b`"),
        ({**ABC, "assigned": {"a": "0-4,4"}}, COUNTED, "R0322", "`4` is there twice"),
        ({**ABC, "assigned": {"a": ""}}, COUNTED, "R0205", "`` is neither a number nor a range such as 0-7,12"),
        ({**ABC, "assigned": {"a": "4-0"}}, COUNTED, "R0205", "the range `4-0` ends before it begins"),
        ({**ABC, "assigned": {"a": "0-9999999999"}}, COUNTED, "R0505", None),
        ({**ABC, "assigned": {"a": "0,2"}}, COUNTED, "R0320", "islands 1,3-4 of `cart` without a zone"),
        ({**ABC, "assigned": {"a": "1,2,3"}}, MATRIX, "R0505", "`3` is no island of `cart`"),
        ({**ABC, "assigned": {"a": "1,2", "b": "1"}}, MATRIX, "R0322", "`1` is in two zones, `a` and `b`"),
        ({**ABC, "assigned": {"a": 1}}, MATRIX, "R0320", "island 2 of `cart` without a zone"),
        ({"zones": ["a b"], "assigned": {"a b": "0-4"}}, COUNTED, "R0304", None),
        ({"nodes": {"a b": "c"}}, COUNTED, "R0304", "`a b` is no label's key"),
        ({"spread": ["a b"]}, COUNTED, "R0304", "`a b` is no label's key"),
        ({"zones": ["{{ params.n }}"]}, COUNTED, "R0406", None),
        ({**ABC, "assigned": {"a": "{{ params.n }}"}}, COUNTED, "R0406", None),
        ({"nodes": {"pool": "{{ island.key }}"}}, COUNTED, "R0406", None),
        (ABC, {"islands": {"eu": {"zone": "{{ params.n }}"}}}, "R0406", None),
    ],
)  # fmt: skip
def test_what_is_not_allowed(placement: Object, members: Object, code: str, message: str | None) -> None:
    ((found, words),) = errors(project(WITH_N, placement, **members))
    assert found == code
    assert message in (None, words)


def test_entries_of_islands_inside_have_no_zone() -> None:
    of_type = {**API, "sets": {"cell": {"type": "cell", "islands": {"x": {"zone": "a"}}}}}
    assert errors(project(of_type, ABC, CELL)) == [("R0310", "islands inside an island run in its zone")]


# Spreading


def constraints(pod: Pod) -> list[Object]:
    return list(pod.spec.get("topologySpreadConstraints", []))


def test_workloads_spread_by_their_own_selectors() -> None:
    of_type = {**API, "resources": [workload("StatefulSet", "web")], "external": {"Service": ["web"]}}
    made = objects(project(of_type, {"spread": [NODE, ZONE]}), strict=False)
    of = {f"{one['kind']} {one['metadata']['name']}": one["spec"]["selector"] for one in made}
    assert len(of) == 4
    for placed in pods(made):
        assert constraints(placed) == [
            {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": of[placed.owner]}
            for key in (NODE, ZONE)
        ]
        assert "affinity" not in placed.spec


def test_jobs_and_daemons_do_not_spread() -> None:
    units = {"job": unit(kind="Job"), "cron": unit(kind="CronJob", schedule="@daily"), "agent": unit(kind="DaemonSet")}
    found = pods(objects(project({"units": units}, {"spread": [NODE]})))
    assert len(found) == 6
    assert [one for placed in found for one in constraints(placed)] == []


@pytest.mark.parametrize("inline", [True, False])
def test_where_the_author_spreads_himself_nothing_is_added(inline: bool) -> None:
    own = {"maxSkew": 3, "topologyKey": NODE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    pod = {"topologySpreadConstraints": [own]}
    of_type = {"units": {"web": unit(pod=pod)}} if inline else {"resources": [workload("Deployment", "web", **pod)]}
    for placed in pods(objects(project(of_type, {"spread": [NODE, ZONE]}))):
        first, second = constraints(placed)
        assert (first["maxSkew"], first["topologyKey"]) == (3, NODE)
        assert second["topologyKey"] == ZONE
    assert [len(constraints(placed)) for placed in pods(objects(project(of_type, {"spread": [NODE]})))] == [1, 1]


# Nodes of an island's own


def outermost(pod: Pod) -> str:
    return re.match(r"\w+-\w+", pod.labels["replicator.dev/island"])[0]  # type: ignore[index]


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
@pytest.mark.parametrize("deep", [False, True])
def test_pods_of_two_islands_are_never_on_one_node(scope: str, deep: bool) -> None:
    resources = [
        workload("Deployment", "web"),
        manifest("Pod", "one", {"containers": [{"name": "c", "image": "c:1"}]}, "v1"),
    ]
    of_type = {**(INSIDE if deep else API), "resources": resources}
    documents = project(of_type, {"exclusive": True}, CELL, SHARD, scope=scope, islands={"eu": {}, "us": {}, "e": {}})
    documents.append(document("IslandSet", "other", {"type": "cart", "replicas": 1, "scope": scope}))
    found = pods(objects(documents))
    assert len(found) == 4 * (3 + (6 if deep else 0))
    for one, other in combinations(found, 2):
        owners = outermost(one), outermost(other)
        apart = owners[0] != owners[1] and "other-0" not in owners
        assert (avoids(one, other), avoids(other, one)) == (apart, apart), (one.owner, other.owner)


def test_nothing_is_said_of_pods_that_an_island_keeps_away_from() -> None:
    """The selector of other islands' pods selects none of the island's own, as it should."""
    documents = project({"resources": [workload("Deployment", "web")]}, {"exclusive": True})
    assert compiled(documents).diagnostics == []


def test_labels_are_added_only_where_islands_are_inside() -> None:
    plain = {label for placed in pods(objects(project(API, {"exclusive": True}))) for label in placed.labels}
    assert not any("outermost" in label for label in plain)
    inside = pods(objects(project(INSIDE, {"exclusive": True}, CELL, SHARD)))
    assert {placed.labels["replicator.dev/outermost-set"] for placed in inside} == {"cart"}
    assert {placed.labels["replicator.dev/outermost-island"] for placed in inside} == {"cart-eu", "cart-us"}
    without = pods(objects(project(INSIDE, ABC, CELL, SHARD)))
    assert not any("outermost" in label for placed in without for label in placed.labels)


@pytest.mark.parametrize("inline", [True, False])
def test_a_daemon_set_would_keep_all_others_out(inline: bool) -> None:
    def of_type(**pod: Any) -> Object:
        if inline:
            return {**WITH_N, "units": {"agent": unit(kind="DaemonSet", pod=pod)}}
        return {**WITH_N, "resources": [workload("DaemonSet", "agent", **pod)]}

    assert {code for code, _ in errors(project(of_type(), {"exclusive": True}))} == {"R0323"}
    assert {code for code, _ in errors(project(of_type(nodeSelector={"a": "b"}), {"exclusive": True}))} == {"R0323"}
    own = of_type(nodeSelector={"pool": "{{ island.key }}"})
    assert errors(project(own, {"exclusive": True})) == []
    assert errors(project(of_type(), {"nodes": {"pool": "cells"}})) == []


# One StatefulSet


def test_a_set_of_pods_is_placed_as_one() -> None:
    placement = {"nodes": {"pool": "cells"}, "spread": [ZONE], "exclusive": True}
    documents = project({"units": {"db": unit(), "side": unit()}}, placement, form="pods", replicas=3)
    (one,) = [one for one in objects(documents) if one["kind"] == "StatefulSet"]
    (placed,) = pods([one])
    assert admits(placed.spec["affinity"], {"pool": "cells", "name": "x"})
    assert not admits(placed.spec["affinity"], {"pool": "other", "name": "x"})
    assert avoids(placed, placed)
    assert [one["labelSelector"] for one in constraints(placed)] == [one["spec"]["selector"]]


def test_pods_of_one_set_have_no_zones() -> None:
    documents = project({"units": {"db": unit()}}, {**ABC, "assigned": {"a": "0-2"}}, form="pods", replicas=3)
    ((code, message),) = errors(documents)
    assert (code, message.startswith("the pods of one StatefulSet have one template")) == ("R0310", True)
