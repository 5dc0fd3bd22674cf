"""Sets: which islands there are, and that each gets exactly its own objects, with every reference its own."""

import json
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml
from strict_schemas import problems

from replicator.pipeline import Built, Options, Source, build

Object = dict[str, Any]

SET, ISLAND = "replicator.dev/set", "replicator.dev/island"


def document(kind: str, name: str, spec: str, namespace: str = "") -> str:
    """A document of the DSL; the spec is YAML at any depth of indentation."""
    lines = spec.strip("\n").split("\n")
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    body = indent("\n".join(line[margin:] for line in lines), "  ")
    where = f", namespace: {namespace}" if namespace else ""
    return f"---\napiVersion: replicator.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}{where}}}\nspec:\n{body}\n"


def type_of(spec: str, name: str = "cart") -> str:
    return document("IslandType", name, spec)


def set_of(spec: str, name: str = "shop", namespace: str = "shop", type_name: str = "cart") -> str:
    return document("IslandSet", name, f"type: {type_name}\n" + _flat(spec), namespace)


def _flat(spec: str) -> str:
    lines = [line for line in spec.split("\n") if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return "\n".join(line[margin:] for line in lines)


def run(text: str, root: Path | None = None) -> Built:
    name = str(root / "dsl.yaml") if root else "dsl.yaml"
    return build([Source(name, text.encode())], Options(root=str(root) if root else None))


def compiled(*documents: str, root: Path | None = None) -> list[Object]:
    """The objects in order; nothing is wrong with them, and a cluster takes them."""
    built = run("".join(documents), root)
    assert [one for one in built.diagnostics if one.severity != "note"] == []
    objects = list(yaml.safe_load_all(b"".join(built.texts())))
    known = [item for item in objects if not item["apiVersion"].startswith("example.com/")]
    assert problems(known) == []
    return objects


def faults(*documents: str) -> list[tuple[str, str]]:
    """The code of every finding, and the text from where it points to the end of the line, or of what it underlines."""
    text = "".join(documents)
    found = []
    for one in run(text).diagnostics:
        assert one.place is not None
        line = text.split("\n")[one.place.line - 1]
        end = one.place.end_column - 1 if one.place.end_line == one.place.line else None
        found.append((one.code, line[one.place.column - 1 : end]))
    return found


def named(objects: list[Object], kind: str = "") -> list[str]:
    """Names, in order, of the objects of a kind."""
    return [item["metadata"]["name"] for item in objects if kind in ("", item["kind"])]


def only(objects: list[Object], kind: str, name: str, namespace: str | None = None) -> Object:
    [found] = [
        item
        for item in objects
        if (item["kind"], item["metadata"]["name"]) == (kind, name)
        and namespace in (None, item["metadata"].get("namespace"))
    ]
    return found


def islands(objects: list[Object]) -> list[str]:
    """The islands in order of their first objects."""
    return list(dict.fromkeys(label for item in objects if (label := item["metadata"].get("labels", {}).get(ISLAND))))


# A matrix

VALUES = type_of("""
    params:
      region: {type: string, default: nowhere}
      tier: {type: string, enum: [big, small], default: small}
      shards: {type: integer, default: 1}
    resources:
      - manifest:
          apiVersion: v1
          kind: ConfigMap
          metadata: {name: values}
          data: {region: "{{ params.region }}", tier: "{{ params.tier }}", shards: "{{ params.shards | to_json }}"}
""")


def values(objects: list[Object]) -> dict[str, tuple[str, str, str]]:
    return {
        item["metadata"]["name"].removeprefix("shop-").removesuffix("-values"): (
            item["data"]["region"],
            item["data"]["tier"],
            item["data"]["shards"],
        )
        for item in objects
    }


def test_a_matrix_is_every_combination() -> None:
    objects = compiled(VALUES, set_of("matrix: {tier: [small, big], region: [us, eu], shards: [10, 9]}"))
    assert values(objects) == {
        f"{region}-{shards}-{tier}": (region, tier, str(shards))
        for region in ("eu", "us")
        for shards in (9, 10)
        for tier in ("big", "small")
    }
    assert named(objects)[:3] == ["shop-eu-9-big-values", "shop-eu-9-small-values", "shop-eu-10-big-values"]


def test_a_matrix_leaves_out_what_is_excluded() -> None:
    exclude = "exclude: [{region: us, tier: big}, {region: ap}]"
    objects = compiled(VALUES, set_of(f"matrix: {{region: [eu, us, ap], tier: [big, small]}}\n{exclude}"))
    assert sorted(values(objects)) == ["eu-big", "eu-small", "us-small"]


def test_an_axis_of_numbers_is_excluded_by_its_number() -> None:
    objects = compiled(VALUES, set_of("matrix: {shards: [1, 2, 3]}\nexclude: [{shards: 2}, {shards: '3'}]"))
    assert values(objects) == {"1": ("nowhere", "small", "1")}


def test_numbers_on_an_axis_of_texts_are_their_text() -> None:
    objects = compiled(VALUES, set_of("matrix: {region: [1, '2', true]}"))
    assert {key: region for key, (region, _, _) in values(objects).items()} == {"1": "1", "2": "2", "true": "true"}


def test_an_axis_wins_over_the_set_and_an_override_over_the_axis() -> None:
    spec = """
        params: {tier: big, shards: 5}
        matrix: {region: [eu, us], shards: [1, 2]}
        overrides: [{islands: ["us-*"], params: {shards: 7}}]
    """
    assert values(compiled(VALUES, set_of(spec))) == {
        "eu-1": ("eu", "big", "1"),
        "eu-2": ("eu", "big", "2"),
        "us-1": ("us", "big", "7"),
        "us-2": ("us", "big", "7"),
    }


@pytest.mark.parametrize(
    ("spec", "code", "at"),
    [
        ("matrix: {region: [eu], zone: [a]}", "R0502", "zone"),
        ("matrix: {tier: [big, medium]}", "R0504", "medium"),
        ("matrix: {shards: [1, two]}", "R0504", "two"),
        ("matrix: {region: [a, a-b], tier: [big]}\nexclude: [{zone: a}]", "R0505", "{"),
        ("matrix: {region: [a, b]}\nexclude: [{region: c}]", "R0505", "{"),
        ("matrix: {region: [a]}\nislands: {eu: {}}", "R0311", "matrix"),
        ("islands: {eu: {}}\nexclude: [{region: c}]", "R0311", "exclude"),
    ],
)
def test_matrices_that_cannot_be(spec: str, code: str, at: str) -> None:
    assert faults(VALUES, set_of(spec)) == [(code, at)]


@pytest.mark.parametrize("regions", ["[Eu]", "[e_u]", "['']", "[a, a234567890123456789012345678901x2]"])
def test_an_axis_whose_values_make_no_keys(regions: str) -> None:
    [(code, at)] = faults(VALUES, set_of(f"matrix: {{region: {regions}}}"))
    assert code == "R0501"
    assert at in ("region", regions.removeprefix("[").removesuffix("]").split(", ")[-1])


def test_combinations_of_one_key() -> None:
    two_texts = type_of("""
        params: {a: {type: string}, b: {type: string}}
        units: {api: {image: "api:1"}}
    """)
    [(code, at)] = faults(two_texts, set_of("matrix: {a: [p, p-q], b: [q-r, r]}"))
    assert (code, at) == ("R0507", "a")
    [(code, at)] = faults(two_texts, set_of("matrix: {a: [p, p], b: [q]}"))
    assert (code, at) == ("R0507", "a")


# What stands beside the islands

SHARED = """
    shared:
      - manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: flags, namespace: other}, data: {a: b}}
      - manifest: {apiVersion: v1, kind: Secret, metadata: {name: ca}, stringData: {pem: x}}
      - manifest:
          apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRole
          metadata: {name: see-nodes}
          rules: [{apiGroups: [""], resources: [nodes], verbs: [list]}]
"""
SHARING = type_of("""
    units:
      api:
        image: api:1
        env: {A: {configMap: flags, key: a}}
        pod: {volumes: [{name: ca, secret: {secretName: ca}}]}
    resources:
      - manifest:
          apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRoleBinding
          metadata: {name: nodes}
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: see-nodes}
          subjects: [{kind: ServiceAccount, name: default, namespace: shop}]
""")


def test_shared_objects_are_there_once_under_their_own_names() -> None:
    objects = compiled(SHARING, set_of("islands: {eu: {}, us: {}}\n" + _flat(SHARED)))
    assert named(objects[:3]) == ["ca", "flags", "see-nodes"]  # before the islands
    assert [item["metadata"].get("namespace") for item in objects[:3]] == ["shop", "shop", None]
    assert all(ISLAND not in item["metadata"].get("labels", {}) for item in objects[:3])
    for key in ("eu", "us"):
        pod = only(objects, "Deployment", f"shop-{key}-api")["spec"]["template"]["spec"]
        assert pod["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]["name"] == "flags"
        assert pod["volumes"] == [{"name": "ca", "secret": {"secretName": "ca"}}]
        assert only(objects, "ClusterRoleBinding", f"shop-{key}-nodes")["roleRef"]["name"] == "see-nodes"
    assert len(objects) == 7


def test_islands_do_not_change_what_is_shared() -> None:
    few = compiled(SHARING, set_of("islands: {eu: {}}\n" + _flat(SHARED)))
    many = compiled(SHARING, set_of("islands: {ap: {}, eu: {}, us: {}}\n" + _flat(SHARED)))
    assert few[:3] == many[:3]


def test_what_islands_cannot_reach_from_their_own_namespaces_is_not_shared() -> None:
    """A pod mounts no Secret of another namespace; a ClusterRole is of none."""
    units = faults(SHARING, set_of("scope: namespace\nislands: {eu: {}}\n" + _flat(SHARED)))
    assert units == [("R0603", "flags"), ("R0603", "ca")]


def test_what_is_shared_is_reached_by_its_namespace() -> None:
    """A ServiceAccount is bound from any namespace, where the binding names its own."""
    account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer}}"
    binding = """
        resources:
          - manifest:
              apiVersion: rbac.authorization.k8s.io/v1
              kind: RoleBinding
              metadata: {name: deployer}
              roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
              subjects: [{kind: ServiceAccount, name: deployer, namespace: anywhere}]
    """
    spec = f"scope: namespace\nislands: {{eu: {{}}}}\nshared: [{{manifest: {account}}}]"
    objects = compiled(type_of(binding), set_of(spec))
    [subject] = only(objects, "RoleBinding", "deployer", "shop-eu")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "deployer", "namespace": "shop"}
    text = type_of(binding.replace(", namespace: anywhere", ""))
    assert faults(text, set_of(spec)) == [("R0603", "deployer")]


def test_shared_objects_refer_to_each_other_by_parameters() -> None:
    text = type_of("params: {name: {type: string}}\nunits: {api: {image: 'api:1'}}")
    shared = """
        params: {name: NAME}
        islands: {eu: {}, us: {params: {name: other}}}
        shared:
          - manifest: {apiVersion: v1, kind: Secret, metadata: {name: pull}}
          - manifest:
              apiVersion: v1
              kind: ServiceAccount
              metadata: {name: agent}
              imagePullSecrets: [{name: "{{ params.name }}"}]
    """
    objects = compiled(text, set_of(shared.replace("NAME", "pull")))
    assert only(objects, "ServiceAccount", "agent")["imagePullSecrets"] == [{"name": "pull"}]
    assert faults(text, set_of(shared.replace("NAME", "push"))) == [("R0603", '"{{ params.name }}"')]


def test_shared_objects_do_not_know_islands() -> None:
    shared = """
        islands: {eu: {}}
        shared:
          - manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: flags}, data: {a: "{{ island.key }}"}}
    """
    [(code, at)] = faults(VALUES, set_of(shared))
    assert code == "R0402"
    assert at.startswith("{{ island.key")


# scope: namespace

OWN = type_of("""
    units:
      api:
        image: api:1
        ports: {http: 80}
        env: {SELF: "{{ address('api', 'http') }}"}
        pod: {serviceAccountName: sa}
    resources:
      - manifest: {apiVersion: v1, kind: ServiceAccount, metadata: {name: sa, namespace: default}}
      - manifest:
          apiVersion: rbac.authorization.k8s.io/v1
          kind: Role
          metadata: {name: reader, namespace: default}
          rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
      - manifest:
          apiVersion: rbac.authorization.k8s.io/v1
          kind: RoleBinding
          metadata: {name: reader, namespace: default}
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
          subjects: [{kind: ServiceAccount, name: sa, namespace: default}, {kind: User, name: ann}]
      - manifest:
          apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRole
          metadata: {name: nodes}
          rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
      - manifest:
          apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRoleBinding
          metadata: {name: nodes}
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nodes}
          subjects: [{kind: ServiceAccount, name: sa, namespace: default}]
""")


def test_names_stay_in_namespaces_of_their_own() -> None:
    objects = compiled(OWN, set_of("scope: namespace\nnamespaces: {create: true}\nislands: {eu: {}, us: {}}"))
    for key in ("eu", "us"):
        own = f"shop-{key}"
        mine = [item for item in objects if item["metadata"]["labels"][ISLAND] == own]
        assert (mine[0]["kind"], mine[0]["metadata"]["name"]) == ("Namespace", own)
        inside = [(item["kind"], item["metadata"]["name"]) for item in mine if "namespace" in item["metadata"]]
        assert inside == [
            ("ServiceAccount", "sa"),
            *[("Role", "reader"), ("RoleBinding", "reader"), ("Service", "api"), ("Deployment", "api")],
        ]
        assert {item["metadata"]["namespace"] for item in mine if "namespace" in item["metadata"]} == {own}
        outside = [(item["kind"], item["metadata"]["name"]) for item in mine if "namespace" not in item["metadata"]]
        assert outside[1:] == [("ClusterRole", f"{own}-nodes"), ("ClusterRoleBinding", f"{own}-nodes")]
        account = {"kind": "ServiceAccount", "name": "sa", "namespace": own}
        assert only(mine, "RoleBinding", "reader")["subjects"] == [account, {"kind": "User", "name": "ann"}]
        binding = only(mine, "ClusterRoleBinding", f"{own}-nodes")
        assert binding["roleRef"]["name"] == f"{own}-nodes"
        assert binding["subjects"] == [account]
        pod = only(mine, "Deployment", "api")["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "sa"
        assert pod["containers"][0]["env"] == [{"name": "SELF", "value": "api:80"}]


def test_subjects_follow_their_accounts_in_one_namespace_too() -> None:
    objects = compiled(OWN, set_of("islands: {eu: {}}"))
    account = {"kind": "ServiceAccount", "name": "shop-eu-sa", "namespace": "shop"}
    assert only(objects, "RoleBinding", "shop-eu-reader")["subjects"] == [account, {"kind": "User", "name": "ann"}]
    assert only(objects, "ClusterRoleBinding", "shop-eu-nodes")["subjects"] == [account]


def test_a_subject_of_another_namespace_is_declared_and_stays() -> None:
    text = OWN.replace("name: sa, namespace: default}]", "name: agent, namespace: ops}]")
    assert faults(text, set_of("scope: namespace\nislands: {eu: {}}")) == [("R0603", "agent")]
    declared = text.replace("  units:", "  external: {ServiceAccount: [agent]}\n  units:", 1)
    for scope in ("namespace", "prefix"):
        objects = compiled(declared, set_of(f"scope: {scope}\nislands: {{eu: {{}}}}"))
        subjects = only(objects, "ClusterRoleBinding", "shop-eu-nodes")["subjects"]
        assert subjects == [{"kind": "ServiceAccount", "name": "agent", "namespace": "ops"}]


def test_namespaces_are_made_where_that_is_asked_for() -> None:
    said = "namespaces: {create: true, labels: {team: a}, annotations: {note: b}}"
    objects = compiled(OWN, set_of(f"scope: namespace\n{said}\nislands: {{eu: {{}}}}"))
    metadata = only(objects, "Namespace", "shop-eu")["metadata"]
    assert metadata["annotations"] == {"note": "b"}
    assert metadata["labels"].items() >= {"team": "a", SET: "shop", ISLAND: "shop-eu"}.items()
    assert named(compiled(OWN, set_of("scope: namespace\nislands: {eu: {}}")), "Namespace") == []


def test_namespaces_go_with_their_scope() -> None:
    assert faults(OWN, set_of("namespaces: {create: true}\nislands: {eu: {}}")) == [("R0310", "namespaces")]


# Labels


@pytest.mark.parametrize("name", ["name", "instance", "component", "part-of", "managed-by"])
def test_labels_of_the_compiler_are_not_for_sets(name: str) -> None:
    label = f"app.kubernetes.io/{name}"
    text = set_of("islands: {eu: {}}").replace("namespace: shop}", f"namespace: shop, labels: {{{label}: other}}}}")
    assert faults(OWN, text) == [("R0304", label)]


def test_labels_of_the_compiler_are_not_for_namespaces() -> None:
    spec = "scope: namespace\nnamespaces: {create: true, labels: {replicator.dev/island: other}}\nislands: {eu: {}}"
    assert faults(OWN, set_of(spec)) == [("R0304", "replicator.dev/island")]


def test_labels_of_manifests_by_expressions() -> None:
    text = type_of("""
        params: {word: {type: string}, number: {type: integer, default: 5}}
        resources:
          - manifest:
              apiVersion: v1
              kind: ConfigMap
              metadata: {name: x, labels: {word: "a-{{ params.word }}", number: "{{ params.number }}"}}
    """)
    [item] = compiled(text, set_of("islands: {eu: {params: {word: b}}}"))
    assert item["metadata"]["labels"].items() >= {"word": "a-b", "number": "5"}.items()
    bad = set_of("islands: {eu: {params: {word: b}}, us: {params: {word: b c}}}")
    assert faults(text, bad) == [("R0304", '"a-{{ params.word }}"')]


@pytest.mark.parametrize("host", ["10.0.0.1", "a_b.example.net", "{{ island.key }}..net", "{{ params.domain }}"])
def test_hosts_that_no_service_leads_to(host: str) -> None:
    text = VM.replace("{{ island.key }}.{{ params.domain }}", host)
    entries = "islands: {eu: {implementation: vm, params: {domain: A B}}}"
    assert faults(text, set_of(entries)) == [("R0304", f'"{host}"')]


def test_other_labels_of_a_set_are_on_its_objects_and_not_in_pods() -> None:
    labels = "labels: {team: a, app.kubernetes.io/version: '3', applyset.kubernetes.io/part-of: x}"
    text = set_of("islands: {eu: {}}").replace("namespace: shop}", f"namespace: shop, {labels}}}")
    for item in compiled(OWN, text):
        own = item["metadata"]["labels"]
        assert own.items() >= {"team": "a", "app.kubernetes.io/version": "3", ISLAND: "shop-eu"}.items()
        assert "applyset.kubernetes.io/part-of" not in own
        template = item.get("spec", {}).get("template", {"metadata": {"labels": {}}})
        assert "team" not in template["metadata"]["labels"]


# when, forEach

CHOICES = type_of("""
    params:
      metrics: {type: boolean, default: false}
      level: {type: integer, default: 1}
      queues: {type: array, items: {type: string}, default: []}
      topics: {type: array, items: {type: object}, default: []}
    resources:
      - manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: always}}
      - when: "{{ params.metrics }}"
        manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: metrics}}
      - when: "{{ params.level > 1 and not params.metrics }}"
        manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: level}}
      - when: false
        manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: never}}
      - when: true
        forEach: "{{ params.queues }}"
        manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "queue-{{ item }}"}, data: {name: "{{ item }}"}}
      - forEach: "{{ params.topics }}"
        manifest:
          apiVersion: v1
          kind: ConfigMap
          metadata: {name: "topic-{{ item.name }}"}
          data: {size: "{{ item.size | default(5) | string }}", key: "{{ island.key }}", full: "{{ item | to_json }}"}
      - forEach: [a, b]
        when: "{{ params.level == 7 }}"
        manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "fixed-{{ item }}"}}
""")


def own_objects(objects: list[Object], key: str) -> list[str]:
    prefix = f"shop-{key}-"
    return [
        item["metadata"]["name"].removeprefix(prefix)
        for item in objects
        if item["metadata"]["labels"][ISLAND] == prefix[:-1]
    ]


def test_every_island_gets_what_its_values_ask_for() -> None:
    objects = compiled(
        CHOICES,
        set_of("""
            islands:
              none: {}
              metrics: {params: {metrics: true, level: 2}}
              level: {params: {level: 2}}
              queues: {params: {queues: [b, a]}}
              one: {params: {queues: [b]}}
              topics: {params: {topics: [{name: x}, {name: z, size: 9}]}}
              seven: {params: {level: 7}}
              empty: {params: {queues: [], topics: []}}
        """),
    )
    assert {key: own_objects(objects, key) for key in named_keys(objects)} == {
        "none": ["always"],
        "empty": ["always"],
        "metrics": ["always", "metrics"],
        "level": ["always", "level"],
        "queues": ["always", "queue-a", "queue-b"],
        "one": ["always", "queue-b"],
        "topics": ["always", "topic-x", "topic-z"],
        "seven": ["always", "fixed-a", "fixed-b", "level"],
    }
    data = {name: only(objects, "ConfigMap", f"shop-topics-topic-{name}")["data"] for name in ("x", "z")}
    assert [data[name]["size"] for name in ("x", "z")] == ["5", "9"]
    assert json.loads(data["z"]["full"]) == {"name": "z", "size": 9}
    assert data["x"]["key"] == "topics"
    assert only(objects, "ConfigMap", "shop-queues-queue-a")["data"] == {"name": "a"}


def named_keys(objects: list[Object]) -> list[str]:
    return [name.removeprefix("shop-") for name in islands(objects)]


@pytest.mark.parametrize(
    ("params", "code", "at"),
    [
        ("{queues: [a, a]}", "R0507", "{"),
        ("{topics: [{size: 1}]}", "R0405", '"topic-{{ item.name }}"'),
        ("{queues: [A_B]}", "R0304", '"queue-{{ item }}"'),
    ],
)
def test_items_that_make_no_objects(params: str, code: str, at: str) -> None:
    found = faults(CHOICES, set_of(f"islands: {{eu: {{params: {params}}}}}"))
    assert code in [of for of, _ in found]
    assert {where for _, where in found} == {at}


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("when", '"{{ params.level }}"'),
        ("when", '"{{ params.queues }}"'),
        ("forEach", '"{{ params.level }}"'),
        ("forEach", '"{{ params.metrics }}"'),
    ],
)
def test_values_of_another_type_decide_nothing(field: str, written: str) -> None:
    entry = f"- {{{field}: {written}, manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: x}}}}}}"
    text = CHOICES.replace("  resources:\n", f"  resources:\n    {entry}\n", 1)
    [(code, at)] = faults(text, set_of("islands: {eu: {}}"))
    assert (code, at) == ("R0405", written)


# Shapes

SHAPES = type_of("""
    params:
      extra: {type: boolean, default: false}
      args: {type: array, items: {type: string}, default: []}
      limits: {type: object, default: {cpu: 100m}}
      secret: {type: string, default: ""}
      port: {type: integer, default: 80}
      items: {type: array, items: {type: string}, default: []}
    ports: {http: {unit: api, port: http}}
    external: {Secret: [one, two]}
    units:
      api:
        image: api:1
        args: "{{ params.args }}"
        resources: {limits: "{{ params.limits }}"}
        ports: {http: "{{ params.port }}"}
        env: {ISLAND: "{{ island.key }}", SECRET: "{{ params.secret if params.secret else omit }}"}
    resources:
      - when: "{{ params.extra }}"
        manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: extra}, data: {key: "{{ island.key }}"}}
      - forEach: "{{ params.items }}"
        manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ item }}"}, data: {key: "{{ island.key }}"}}
    implementations:
      away: {external: {host: "{{ island.key }}.example.net", port: 443}}
""")
ENTRIES = {
    "plain": "{}",
    "extra": "{params: {extra: true}}",
    "args": "{params: {args: [serve, --fast]}}",
    "limits": "{params: {limits: {memory: 1Gi}}}",
    "secret": "{params: {secret: s}}",
    "port": "{params: {port: 81}}",
    "items": "{params: {items: [b, a]}}",
    "away": "{implementation: away}",
    "patched": "{patches: [{target: {kind: Deployment}, patch: {spec: {paused: true}}}]}",
    "weighted": "{weight: 7}",
    "many": "{params: {extra: true, args: [x], limits: {cpu: null}, items: [z], port: 82}}",
}


def of_shapes(entries: dict[str, str]) -> dict[str, list[Object]]:
    lines = "\n".join(f"  {key}: {entry}" for key, entry in entries.items())
    objects = compiled(SHAPES, set_of("islands:\n" + lines))
    return {key: [item for item in objects if item["metadata"]["labels"][ISLAND] == f"shop-{key}"] for key in entries}


@pytest.fixture(scope="module")
def together() -> dict[str, list[Object]]:
    return of_shapes(ENTRIES | {f"{key}-again": entry for key, entry in ENTRIES.items()})


@pytest.mark.parametrize("key", ENTRIES)
def test_an_island_is_what_it_is_alone(together: dict[str, list[Object]], key: str) -> None:
    assert together[key] == of_shapes({key: ENTRIES[key]})[key]
    assert anonymous(together, f"{key}-again") == anonymous(together, key)


def anonymous(shapes: dict[str, list[Object]], key: str) -> str:
    """An island's objects without its key; the keys of this test are also words of its values."""
    text = json.dumps(shapes[key])
    for around in ("shop-{}", 'ISLAND", "value": "{}"', '"key": "{}"', "{}.example.net"):
        text = text.replace(around.format(key), around.format("@"))
    return text


def test_shapes_are_their_own(together: dict[str, list[Object]]) -> None:
    def names(key: str) -> list[tuple[str, str]]:
        return [(item["kind"], item["metadata"]["name"].removeprefix(f"shop-{key}-")) for item in together[key]]

    def container(key: str) -> Object:
        pod = only(together[key], "Deployment", f"shop-{key}-api")["spec"]["template"]["spec"]
        found: Object = pod["containers"][0]
        return found

    usual = [("Service", "api"), ("Deployment", "api")]
    assert {key: names(key) for key in ENTRIES} == {
        **dict.fromkeys(("plain", "args", "limits", "secret", "port", "patched", "weighted"), usual),
        "extra": [("ConfigMap", "extra"), *usual],
        "items": [("ConfigMap", "a"), ("ConfigMap", "b"), *usual],
        "many": [("ConfigMap", "extra"), ("ConfigMap", "z"), *usual],
        "away": [("Service", "api")],
    }
    assert container("plain")["env"] == [{"name": "ISLAND", "value": "plain"}]
    assert container("secret")["env"] == [{"name": "ISLAND", "value": "secret"}, {"name": "SECRET", "value": "s"}]
    assert container("args")["args"] == ["serve", "--fast"]
    assert container("limits")["resources"]["limits"] == {"cpu": "100m", "memory": "1Gi"}
    assert container("plain")["resources"]["limits"] == {"cpu": "100m"}
    assert container("port")["ports"][0]["containerPort"] == 81
    paused = {
        key: only(together[key], "Deployment", f"shop-{key}-api")["spec"].get("paused") for key in ("patched", "plain")
    }
    assert paused == {"patched": True, "plain": None}


# CRDs

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: caches.example.com}
spec:
  group: example.com
  names: {kind: Cache, plural: caches}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
CACHE = "apiVersion: example.com/v1\nkind: Cache\nmetadata: {name: hot}\nspec: {size: 1}\n"
CACHING = type_of("""
    units: {api: {image: 'api:1'}}
    resources: [{file: crd.yaml}, {file: cache.yaml}]
    references: [{kind: Cache}]
""")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    (tmp_path / "crd.yaml").write_text(CRD)
    (tmp_path / "cache.yaml").write_text(CACHE)
    return tmp_path


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
def test_a_crd_is_there_once_and_first(manifests: Path, scope: str) -> None:
    objects = compiled(CACHING, set_of(f"scope: {scope}\nislands: {{eu: {{}}, us: {{}}}}"), root=manifests)
    assert (objects[0]["kind"], objects[0]["metadata"]["name"]) == ("CustomResourceDefinition", "caches.example.com")
    assert "namespace" not in objects[0]["metadata"]
    assert ISLAND not in objects[0]["metadata"].get("labels", {})
    assert named(objects, "CustomResourceDefinition") == ["caches.example.com"]
    assert objects[0]["spec"] == yaml.safe_load(CRD)["spec"]
    caches = [item for item in objects if item["kind"] == "Cache"]
    assert [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in caches] == [
        (("shop", f"shop-{key}-hot") if scope == "prefix" else (f"shop-{key}", "hot")) for key in ("eu", "us")
    ]
    assert [item["spec"] for item in caches] == [{"size": 1}, {"size": 1}]


@pytest.mark.parametrize(
    ("asked", "noted"),
    [
        (Options(), True),
        (Options(only="shared"), False),  # the first step
        (Options(only="islands"), False),
        (Options(islands=("shop/eu",)), False),
    ],
)
def test_a_crd_and_objects_of_it_are_applied_in_two_steps(manifests: Path, asked: Options, noted: bool) -> None:
    text = CACHING + set_of("islands: {eu: {}, us: {}}")
    built = build([Source(str(manifests / "dsl.yaml"), text.encode())], asked._replace(root=str(manifests)))
    assert [(one.code, one.severity) for one in built.diagnostics] == ([("R0617", "note")] if noted else [])
    if noted:
        [note] = built.diagnostics
        assert note.place is not None
        assert note.place.file.endswith("crd.yaml")
        assert [Path(one.place.file).name for one in note.related] == ["cache.yaml"]


def test_a_crd_whose_objects_are_elsewhere_is_not_noted(manifests: Path) -> None:
    text = CACHING.replace(", {file: cache.yaml}", "")
    assert text != CACHING
    assert run(text + set_of("islands: {eu: {}}"), manifests).diagnostics == []


def test_a_crd_is_not_noted_for_a_kind_of_its_name_in_another_group(manifests: Path) -> None:
    (manifests / "cache.yaml").write_text(CACHE.replace("example.com/", "elsewhere.io/"))
    text = CACHING + set_of("islands: {eu: {}}")
    assert [one.code for one in run(text, manifests).diagnostics] == []


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("scope", ["prefix", "namespace"])
def test_custom_kinds_of_no_namespace(manifests: Path, scope: str, inline: bool) -> None:
    """What a kind's definition says of it holds wherever in the build the definition is."""
    crd = CRD.replace("Namespaced", "Cluster")
    (manifests / "crd.yaml").write_text(crd)
    bring = f"manifest: {json.dumps(yaml.safe_load(crd))}" if inline else "file: crd.yaml"
    text = CACHING.replace("{file: crd.yaml}, ", "")
    spec = f"scope: {scope}\nislands: {{eu: {{}}, us: {{}}}}\nshared: [{{{bring}}}]"
    objects = compiled(text, set_of(spec), root=manifests)
    caches = [item["metadata"] for item in objects if item["kind"] == "Cache"]
    assert [(one["name"], one.get("namespace")) for one in caches] == [("shop-eu-hot", None), ("shop-us-hot", None)]


def test_a_crd_that_several_sets_bring_is_there_once(manifests: Path) -> None:
    sets = [set_of("islands: {eu: {}}", name=name) for name in ("shop", "store")]
    objects = compiled(CACHING, *sets, root=manifests)
    assert named(objects, "CustomResourceDefinition") == ["caches.example.com"]
    assert objects[0]["kind"] == "CustomResourceDefinition"
    assert named(objects, "Cache") == ["shop-eu-hot", "store-eu-hot"]


def test_a_crd_that_several_sets_bring_in_two_forms(manifests: Path) -> None:
    text = type_of(
        """
        params: {served: {type: boolean}}
        resources:
          - manifest:
              apiVersion: apiextensions.k8s.io/v1
              kind: CustomResourceDefinition
              metadata: {name: caches.example.com}
              spec: {group: example.com, versions: [{name: v1, served: "{{ params.served }}"}]}
        """
    )
    sets = [set_of(f"params: {{served: {one}}}\nislands: {{eu: {{}}}}", name=f"set-{one}") for one in ("true", "false")]
    [one] = run("".join((text, *sets))).diagnostics
    assert one.code == "R0507"
    assert "two forms" in one.message


def test_a_crd_that_is_shared_and_in_the_islands_is_there_once(manifests: Path) -> None:
    shared = set_of("islands: {eu: {}}\nshared: [{file: crd.yaml}]")
    objects = compiled(CACHING, shared, root=manifests)
    assert named(objects, "CustomResourceDefinition") == ["caches.example.com"]


def test_a_crd_of_an_inner_set_is_there_once_and_first(manifests: Path) -> None:
    outer = type_of("units: {web: {image: 'web:1'}}\nsets: {cell: {type: cart, replicas: 2}}", "region")
    objects = compiled(CACHING, outer, set_of("islands: {eu: {}, us: {}}", type_name="region"), root=manifests)
    assert named(objects, "CustomResourceDefinition") == ["caches.example.com"]
    assert objects[0]["kind"] == "CustomResourceDefinition"


@pytest.mark.parametrize("differs", ["{{ params.kind }}", "{{ island.key }}"])
@pytest.mark.parametrize("kind", ["CustomResourceDefinition", "Namespace"])
def test_what_is_there_once_does_not_differ_between_islands(kind: str, differs: str) -> None:
    version = "v1" if kind == "Namespace" else "apiextensions.k8s.io/v1"
    text = type_of(
        f"""
        params: {{kind: {{type: string}}}}
        resources:
          - manifest: {{apiVersion: {version}, kind: {kind}, metadata: {{name: a.b, labels: {{a: "{differs}"}}}}}}
    """.replace("a.b", "ab" if kind == "Namespace" else "as.b")
    )
    found = faults(text, set_of("islands: {eu: {params: {kind: Cache}}, us: {params: {kind: Store}}}"))
    assert [code for code, _ in found] == ["R0507"]


def test_a_namespace_of_the_author_stays_as_it_is() -> None:
    text = type_of("""
        units: {api: {image: "api:1"}}
        resources:
          - manifest: {apiVersion: v1, kind: Namespace, metadata: {name: extra, labels: {a: b}}}
    """)
    objects = compiled(text, set_of("islands: {eu: {}, us: {}}"))
    assert objects[0] == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "extra", "labels": {"a": "b"}}}
    assert named(objects, "Namespace") == ["extra"]


# Implementations

VM = type_of("""
    params: {domain: {type: string, default: example.net}}
    ports: {http: {unit: api, port: http}, sql: {service: db, port: 5432}}
    rewriteHosts: all
    units:
      api: {image: "api:1", ports: {http: 80, grpc: 90}}
    resources:
      - manifest:
          apiVersion: v1
          kind: Service
          metadata: {name: db}
          spec: {selector: {app.kubernetes.io/component: api}, ports: [{port: 5432}]}
    implementations:
      vm: {external: {host: "{{ island.key }}.{{ params.domain }}", port: 443, tls: true}}
""")


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
def test_an_island_outside_has_services_of_the_same_names(scope: str) -> None:
    entries = "islands: {eu: {}, us: {implementation: vm}, ap: {implementation: vm, params: {domain: example.org}}}"
    objects = compiled(VM, set_of(f"scope: {scope}\n{entries}"))
    for key, domain in (("us", "example.net"), ("ap", "example.org")):
        own = [item for item in objects if item["metadata"]["labels"][ISLAND] == f"shop-{key}"]
        prefix = f"shop-{key}-" if scope == "prefix" else ""
        assert [(item["kind"], item["metadata"]["name"]) for item in own] == [
            ("Service", f"{prefix}api"),
            ("Service", f"{prefix}db"),
        ]
        assert {item["metadata"]["namespace"] for item in own} == {"shop" if prefix else f"shop-{key}"}
        for item in own:
            assert item["spec"]["type"] == "ExternalName"
            assert item["spec"]["externalName"] == f"{key}.{domain}"
            assert "selector" not in item["spec"]
        assert [(port["name"], port["port"]) for item in own for port in item["spec"]["ports"]] == [
            ("http", 443),
            ("sql", 443),
        ]
    inside = [item["kind"] for item in objects if item["metadata"]["labels"][ISLAND] == "shop-eu"]
    assert inside == ["Service", "Service", "Deployment"]


def test_two_ports_of_one_service_outside_are_an_error_or_what_a_cluster_takes() -> None:
    text = VM.replace(
        "ports: {http: {unit: api, port: http},",
        "ports: {http: {unit: api, port: http}, grpc: {unit: api, port: grpc},",
    )
    documents = (text, set_of("islands: {us: {implementation: vm}}"))
    if not faults(*documents):
        assert only(compiled(*documents), "Service", "shop-us-api")["spec"]["ports"]


def test_addresses_are_right_for_every_implementation() -> None:
    """An ExternalName Service is another name for its host: its callers use the host's own port."""
    cell = type_of(
        """
        params: {port: {type: integer, default: 8443}}
        ports: {http: {unit: api, port: http}, sql: {service: db, port: 5432}}
        rewriteHosts: all
        units: {api: {image: "api:1", ports: {http: {containerPort: 8080, servicePort: 80}}}}
        resources:
          - manifest: {apiVersion: v1, kind: Service, metadata: {name: db}, spec: {ports: [{port: 5432}]}}
        implementations:
          vm: {external: {host: "{{ island.key }}.example.net", port: "{{ params.port }}"}}
          old: {external: {host: old.example.net, port: 9443}}
        """,
        "cell",
    )
    region = type_of(
        """
        units:
          router:
            image: router:1
            env:
              HTTP: "{{ addresses('cell', 'http') | join(',') }}"
              SQL: "{{ addresses('cell', 'sql') | join(',') }}"
        sets:
          cell:
            type: cell
            islands:
              a: {}
              b: {implementation: vm}
              c: {implementation: vm, params: {port: 8444}}
              d: {implementation: old}
        """,
        "region",
    )
    objects = compiled(cell, region, set_of("islands: {eu: {}}", "world", type_name="region"))
    name = "world-eu-cell-{}-{}:{}"
    ports = {"b": 8443, "c": 8444, "d": 9443}
    assert environment(objects, "world-eu-router") == {
        variable: ",".join(name.format(key, service, {"a": own, **ports}[key]) for key in "abcd")
        for variable, service, own in (("HTTP", "api", 80), ("SQL", "db", 5432))
    }


def test_an_island_outside_holds_no_sets() -> None:
    region = type_of(
        """
        ports: {http: {unit: web, port: http}}
        units: {web: {image: "web:1", ports: {http: 80}}}
        sets: {cell: {type: cell, replicas: 1, params: {a: "{{ island.key }}"}}}
        implementations: {vm: {external: {host: vm.example.net, port: 80}}}
        """,
        "region",
    )
    cell = type_of("params: {a: {type: string}}\nunits: {api: {image: 'api:{{ params.a }}'}}", "cell")
    objects = compiled(cell, region, set_of("islands: {eu: {implementation: vm}, us: {}}", type_name="region"))
    assert islands(objects) == ["shop-eu", "shop-us", "shop-us-cell-0"]


def test_implementations_that_there_are_not() -> None:
    assert faults(VM, set_of("islands: {eu: {implementation: moon}, us: {}}")) == [("R0315", "moon")]
    outer = type_of(
        "units: {web: {image: w}}\nsets: {cell: {type: cart, islands: {a: {implementation: moon}}}}", "region"
    )
    assert faults(VM, outer, set_of("islands: {eu: {}}", type_name="region")) == [("R0315", "moon")]


# References

REFERENCES = """
units:
  api:
    image: api:1
    env: {A: {configMap: conf, key: a}, B: {secret: pass, key: b}}
    envFrom: [{configMapRef: {name: conf}}, {secretRef: {name: pass}}]
    volumeMounts: [{name: conf, mountPath: /conf}]
    pod:
      serviceAccountName: sa
      imagePullSecrets: [{name: pull}]
      volumes:
        - {name: conf, configMap: {name: conf}}
        - {name: pass, secret: {secretName: pass}}
        - {name: data, persistentVolumeClaim: {claimName: data}}
        - {name: all, projected: {sources: [{configMap: {name: conf}}, {secret: {name: pass}}]}}
resources:
  - manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: b}}
  - manifest: {apiVersion: v1, kind: Secret, metadata: {name: pass}, stringData: {b: c}}
  - manifest: {apiVersion: v1, kind: Secret, metadata: {name: pull}, stringData: {.dockerconfigjson: "{}"}}
  - manifest: {apiVersion: v1, kind: ServiceAccount, metadata: {name: sa}, imagePullSecrets: [{name: pull}]}
  - manifest:
      apiVersion: v1
      kind: PersistentVolumeClaim
      metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
  - manifest:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web}
      spec:
        selector: {matchLabels: {app: web}}
        template:
          metadata: {labels: {app: web, tier: front}}
          spec:
            serviceAccountName: sa
            initContainers: [{name: init, image: "i:1", envFrom: [{secretRef: {name: pass}}]}]
            containers:
              - {name: web, image: "web:1", env: [{name: A, valueFrom: {configMapKeyRef: {name: conf, key: a}}}]}
            topologySpreadConstraints:
              - maxSkew: 1
                topologyKey: zone
                whenUnsatisfiable: DoNotSchedule
                labelSelector: {matchLabels: {app: web}}
            affinity:
              podAntiAffinity:
                requiredDuringSchedulingIgnoredDuringExecution:
                  - {topologyKey: host, labelSelector: {matchLabels: {app: web}}}
  - manifest:
      apiVersion: v1
      kind: Service
      metadata: {name: web}
      spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
  - manifest:
      apiVersion: autoscaling/v2
      kind: HorizontalPodAutoscaler
      metadata: {name: web}
      spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
  - manifest:
      apiVersion: policy/v1
      kind: PodDisruptionBudget
      metadata: {name: web}
      spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
  - manifest:
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: web}
      spec:
        podSelector: {matchLabels: {app: web}}
        ingress:
          - from:
              - {podSelector: {matchLabels: {tier: front}}}
              - {podSelector: {matchLabels: {app: prometheus}}, namespaceSelector: {matchLabels: {team: ops}}}
        egress: [{to: [{podSelector: {}}]}]
  - manifest:
      apiVersion: networking.k8s.io/v1
      kind: Ingress
      metadata: {name: web}
      spec:
        ingressClassName: public
        tls: [{hosts: ["{{ island.key }}.example.com"], secretName: pass}]
        rules:
          - host: "{{ island.key }}.example.com"
            http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
  - manifest:
      apiVersion: rbac.authorization.k8s.io/v1
      kind: Role
      metadata: {name: role}
      rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
  - manifest:
      apiVersion: rbac.authorization.k8s.io/v1
      kind: RoleBinding
      metadata: {name: role}
      roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: role}
      subjects: [{kind: ServiceAccount, name: sa}]
  - manifest:
      apiVersion: batch/v1
      kind: CronJob
      metadata: {name: tidy}
      spec:
        schedule: "0 3 * * *"
        jobTemplate:
          spec:
            template:
              spec:
                restartPolicy: Never
                containers: [{name: tidy, image: "t:1", envFrom: [{configMapRef: {name: conf}}]}]
                volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  - manifest:
      apiVersion: apps/v1
      kind: StatefulSet
      metadata: {name: db}
      spec:
        serviceName: db
        selector: {matchLabels: {app: db}}
        template:
          metadata: {labels: {app: db}}
          spec: {containers: [{name: db, image: "db:1"}]}
  - manifest:
      apiVersion: v1
      kind: Service
      metadata: {name: db}
      spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
rewriteHosts: none
ports: {http: {service: web, port: 80}, sql: {service: db, port: 5432}}
"""
CLUSTERS = [("StorageClass", "fast"), ("IngressClass", "public")]  # never a part of an island


NAMED = {  # the field whose `name` it is; "" where the kind stands beside it
    **dict.fromkeys(("configMapKeyRef", "configMapRef", "configMap"), "ConfigMap"),
    **dict.fromkeys(("secretKeyRef", "secretRef", "secret", "imagePullSecrets"), "Secret"),
    **dict.fromkeys(("subjects", "roleRef", "scaleTargetRef"), ""),
    "service": "Service",
}
SINGLE = {
    "serviceAccountName": "ServiceAccount",
    "secretName": "Secret",
    "serviceName": "Service",
    "claimName": "PersistentVolumeClaim",
    "storageClassName": "StorageClass",
    "ingressClassName": "IngressClass",
}


def references(value: Any, field: str = "") -> list[tuple[str, str]]:
    """Every reference in an object, found by the names of fields: (kind, name)."""
    if isinstance(value, list):
        return [one for item in value for one in references(item, field)]
    found: list[tuple[str, str]] = []
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key == "name" and field in NAMED:
            found.append((NAMED[field] or value["kind"], inner))
        elif key in SINGLE:
            found.append((SINGLE[key], inner))
        found += references(inner, key)
    return found


def selectors(objects: list[Object]) -> dict[tuple[str, ...], Object]:
    """The label selectors of pods, by where they stand."""
    found: dict[tuple[str, ...], Object] = {}

    def walk(value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, list):
            for at, item in enumerate(value):
                walk(item, (*path, str(at)))
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key in ("selector", "podSelector", "labelSelector"):
                    found[*path, key] = inner.get("matchLabels", inner)
                walk(inner, (*path, key))

    for item in objects:
        if item["kind"] != "Deployment" or item["metadata"]["name"].endswith("web"):
            walk(item.get("spec", {}), (item["kind"], item["metadata"]["name"]))
    return found


def of_references(scope: str) -> list[Object]:
    return compiled(type_of(REFERENCES), set_of(f"scope: {scope}\nislands: {{eu: {{}}, us: {{}}}}"))


def test_references_are_the_islands_own_in_one_namespace() -> None:
    objects = of_references("prefix")
    for key in ("eu", "us"):
        own = [item for item in objects if item["metadata"]["labels"][ISLAND] == f"shop-{key}"]
        there = {(item["kind"], item["metadata"]["name"]) for item in own}
        found = [one for item in own for one in references(item)]
        assert len(found) == 25
        assert sorted(one for one in found if one not in there) == sorted(CLUSTERS)
        assert all(name.startswith(f"shop-{key}-") for _, name in there)


def test_references_stay_in_namespaces_of_their_own() -> None:
    objects = of_references("namespace")
    for key in ("eu", "us"):
        own = [item for item in objects if item["metadata"]["namespace"] == f"shop-{key}"]
        there = {(item["kind"], item["metadata"]["name"]) for item in own}
        found = [one for item in own for one in references(item)]
        assert len(found) == 25
        assert {name for _, name in found} - {name for _, name in CLUSTERS} == {
            "conf",
            "pass",
            "pull",
            "sa",
            "data",
            "web",
            "role",
            "db",
        }
        assert sorted(one for one in found if one not in there) == sorted(CLUSTERS)


def test_selectors_choose_the_islands_own_pods_in_one_namespace() -> None:
    objects = of_references("prefix")
    for key in ("eu", "us"):
        own = [item for item in objects if item["metadata"]["labels"][ISLAND] == f"shop-{key}"]
        found = selectors(own)
        elsewhere = [path for path in found if path[-5:] == ("ingress", "0", "from", "1", "podSelector")]
        assert len(found) == 11
        assert len(elsewhere) == 1
        for path, labels in found.items():
            if path in elsewhere:
                assert labels == {"app": "prometheus"}  # pods of another namespace are of no island
            else:
                assert labels[ISLAND] == f"shop-{key}", path
        name = f"shop-{key}-web"
        assert only(own, "Service", name)["spec"]["selector"] == {"app": "web", ISLAND: f"shop-{key}"}


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
def test_pods_of_manifests_carry_the_labels_of_their_island(scope: str) -> None:
    found = []
    for item in of_references(scope):
        spec = item.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            labels = template.get("metadata", {}).get("labels", {})
            found.append((item["kind"], labels.get(ISLAND), labels.get(SET)))
            assert labels.get(ISLAND) == item["metadata"]["labels"][ISLAND], item["kind"]
    kinds = ("Deployment", "Deployment", "StatefulSet", "CronJob")
    assert sorted(found) == sorted((kind, f"shop-{key}", "shop") for key in ("eu", "us") for kind in kinds)


def test_selectors_stay_in_namespaces_of_their_own() -> None:
    original = yaml.safe_load(REFERENCES.replace("{{ island.key }}", "x"))["resources"]
    expected = selectors([entry["manifest"] for entry in original])
    objects = of_references("namespace")
    for key in ("eu", "us"):
        own = [item for item in objects if item["metadata"]["namespace"] == f"shop-{key}"]
        made = selectors([item for item in own if item["metadata"]["name"] != "api"])
        assert made == expected


DANGLING = [
    ("{name: conf}}, {secretRef", "{name: gone}}, {secretRef"),
    ("B: {secret: pass", "B: {secret: gone"),
    ("pod:\n      serviceAccountName: sa", "pod:\n      serviceAccountName: gone"),
    ("      imagePullSecrets: [{name: pull}]\n      volumes", "      imagePullSecrets: [{name: gone}]\n      volumes"),
    ("{claimName: data}}\n", "{claimName: gone}}\n"),
    ("{configMapKeyRef: {name: conf", "{configMapKeyRef: {name: gone"),
    ("kind: Deployment, name: web", "kind: Deployment, name: gone"),
    ("kind: Deployment, name: web", "kind: StatefulSet, name: gone"),
    ("secretName: pass}]", "secretName: gone}]"),
    ("service: {name: web", "service: {name: gone"),
    ("kind: Role, name: role", "kind: Role, name: gone"),
    ("[{kind: ServiceAccount, name: sa}]", "[{kind: ServiceAccount, name: gone}]"),
    ("serviceName: db", "serviceName: gone"),
    (
        "metadata: {name: sa}, imagePullSecrets: [{name: pull}]",
        "metadata: {name: sa}, imagePullSecrets: [{name: gone}]",
    ),
    (
        "{configMapRef: {name: conf}}]}]\n                volumes",
        "{configMapRef: {name: gone}}]}]\n                volumes",
    ),
]


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
@pytest.mark.parametrize(("there", "gone"), DANGLING)
def test_a_dangling_reference_is_an_error_at_its_line(scope: str, there: str, gone: str) -> None:
    assert REFERENCES.count(there) == 1
    text = type_of(REFERENCES.replace(there, gone))
    assert faults(text, set_of(f"scope: {scope}\nislands: {{eu: {{}}, us: {{}}}}")) == [("R0603", "gone")]


@pytest.mark.parametrize(
    ("port", "at"),
    [
        ("{service: gone, port: 5432}", "gone"),
        ("{service: db, port: 5433}", "5433"),
        ("{service: api, port: 80}", "api"),
    ],
)
@pytest.mark.parametrize("routed", [True, False])
def test_a_port_of_the_type_is_one_of_a_service_that_is_there(port: str, at: str, routed: bool) -> None:
    assert REFERENCES.count("{service: db, port: 5432}") == 1
    text = type_of(REFERENCES.replace("{service: db, port: 5432}", port))
    routes = """
        hosts: [example.com]
        routes: [{name: all, to: {spread: shop}, port: sql}]
    """
    routing = [document("Routing", "edge", routes, "edge")] if routed else []
    [(code, found)] = faults(text, set_of("islands: {eu: {}, us: {}}"), *routing)
    assert code in ("R0303", "R0603")
    assert found == at


def test_a_port_of_the_type_by_a_parameter_is_judged_by_its_value() -> None:
    text = type_of("""
        params: {port: {type: integer, default: 80}}
        rewriteHosts: none
        ports: {web: {service: web, port: 80}}
        resources:
          - manifest:
              apiVersion: v1
              kind: Service
              metadata: {name: web}
              spec: {selector: {a: b}, ports: [{name: w, port: "{{ params.port }}"}, {name: x, port: 443}]}
          - manifest:
              apiVersion: v1
              kind: Pod
              metadata: {name: web, labels: {a: b}}
              spec: {containers: [{name: web, image: "web:1"}]}
    """)
    assert compiled(text, set_of("islands: {eu: {}, us: {}}"))
    assert faults(text, set_of("islands: {eu: {}, us: {params: {port: 81}}}")) == [("R0303", "80")]


def test_a_port_of_the_type_is_there_in_every_island() -> None:
    text = type_of("""
        params: {metrics: {type: boolean, default: false}}
        rewriteHosts: none
        ports: {metrics: {service: metrics, port: 9090}}
        resources:
          - when: "{{ params.metrics }}"
            manifest: {apiVersion: v1, kind: Service, metadata: {name: metrics}, spec: {ports: [{port: 9090}]}}
    """)
    [one] = run(text + set_of("islands: {eu: {params: {metrics: true}}, us: {}}")).diagnostics
    assert one.code == "R0303"
    assert [related.message for related in one.related] == ["for this island"]
    assert compiled(text, set_of("islands: {eu: {params: {metrics: true}}}"))


# What exists outside


def test_what_is_outside_is_never_renamed() -> None:
    text = type_of("""
        params: {db: {type: string, default: main}}
        external: {Secret: [regcred, "{{ island.key }}-db", "{{ params.db }}"], ConfigMap: ["{{ island.name }}"]}
        units:
          api:
            image: api:1
            env:
              A: {secret: "{{ island.key }}-db", key: a}
              B: {secret: "{{ params.db }}", key: a}
              C: {configMap: "{{ island.name }}", key: a}
            pod: {imagePullSecrets: [{name: regcred}]}
    """)
    objects = compiled(text, set_of("islands: {eu: {}, us: {params: {db: other}}}"))
    for key, db in (("eu", "main"), ("us", "other")):
        pod = only(objects, "Deployment", f"shop-{key}-api")["spec"]["template"]["spec"]
        sources = [next(iter(one["valueFrom"].values()))["name"] for one in pod["containers"][0]["env"]]
        assert sources == [f"{key}-db", db, f"shop-{key}"]
        assert pod["imagePullSecrets"] == [{"name": "regcred"}]


@pytest.mark.parametrize(
    "name", ["db", "{{ island.key }}-bd", "{{ island.key }}-db-2", "{{ island.name }}-db", "eu-db"]
)
def test_what_is_not_declared_by_its_own_words_is_an_error(name: str) -> None:
    text = type_of(f"""
        external: {{Secret: ["{{{{ island.key }}}}-db"]}}
        units:
          api: {{image: "api:1", env: {{A: {{secret: "{name}", key: a}}}}}}
    """)
    assert faults(text, set_of("islands: {eu: {}, us: {}}")) == [("R0603", f'"{name}"')]


def test_a_reference_by_a_parameter_is_told_by_its_value() -> None:
    text = type_of("""
        params: {conf: {type: string}}
        units:
          api: {image: "api:1", env: {A: {configMap: "{{ params.conf }}", key: a}}}
        resources:
          - forEach: [one, two]
            manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ item }}"}, data: {a: "{{ item }}"}}
    """)
    entries = "islands: {eu: {params: {conf: one}}, us: {params: {conf: two}}}"
    objects = compiled(text, set_of(entries))
    for key, conf in (("eu", "one"), ("us", "two")):
        pod = only(objects, "Deployment", f"shop-{key}-api")["spec"]["template"]["spec"]
        assert pod["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]["name"] == f"shop-{key}-{conf}"
    assert faults(text, set_of(entries.replace("two", "three"))) == [("R0603", '"{{ params.conf }}"')]


# Sets in sets

NESTED = type_of(
    """
        params: {version: {type: string, default: "1"}, size: {type: integer, default: 1}}
        let: {full: "{{ parent.params.domain }}/{{ parent.key }}/{{ island.key }}"}
        ports: {http: {unit: api, port: http}}
        units:
          api:
            image: "api:{{ params.version }}"
            replicas: "{{ params.size }}"
            ports: {http: 8080}
            env:
              FULL: "{{ let.full }}"
              PARENT: "{{ parent.name }} {{ parent.namespace }} {{ parent.set }}"
              SELF: "{{ island.name }} {{ island.namespace }} {{ island.set }} {{ address('api', 'http') }}"
        """,
    "cell",
) + type_of(
    """
        params:
          cells: {type: integer, default: 2}
          names: {type: array, items: {type: string}, default: [a]}
          domain: {type: string, default: d}
        ports: {http: {unit: router, port: http}}
        units:
          router:
            image: router:1
            ports: {http: 80}
            env:
              CELLS: "{{ keys('cell') | join(',') }}"
              ADDRESSES: "{{ addresses('cell', 'http') | join(',') }}"
              TENANTS: "{{ addresses('tenant', 'http') | join(',') }}"
              COUNT: "{{ keys('cell') | length }}"
        sets:
          cell:
            type: cell
            replicas: "{{ params.cells }}"
            params: {version: "{{ island.key }}"}
            overrides: [{islands: ["1"], params: {size: 5}}]
          tenant:
            type: cell
            islands: "{{ params.names }}"
          fixed:
            type: cell
            islands: {x: {params: {size: "{{ params.cells + 7 }}"}}, y: {weight: 3}}
        """,
    "region",
)
WORLD = """
    islands:
      eu: {params: {cells: 3, names: [b, a, c10, c9], domain: e}}
      us: {}
"""


def world(scope: str = "prefix") -> list[Object]:
    return compiled(NESTED, set_of(f"scope: {scope}\n" + _flat(WORLD), "world", "world", "region"))


def environment(objects: list[Object], name: str, namespace: str | None = None) -> dict[str, str]:
    container = only(objects, "Deployment", name, namespace)["spec"]["template"]["spec"]["containers"][0]
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
def test_sets_in_sets(scope: str) -> None:
    objects = world(scope)
    inner = {
        "eu": ["cell-0", "cell-1", "cell-2", "tenant-a", "tenant-b", "tenant-c9", "tenant-c10", "fixed-x", "fixed-y"],
        "us": ["cell-0", "cell-1", "tenant-a", "fixed-x", "fixed-y"],
    }
    expected = {f"world-{key}" for key in inner} | {f"world-{key}-{one}" for key, ones in inner.items() for one in ones}
    assert set(islands(objects)) == expected
    for key, ones in inner.items():
        namespace = "world" if scope == "prefix" else f"world-{key}"
        for one in ones:
            full = f"world-{key}-{one}"
            own = [item for item in objects if item["metadata"]["labels"][ISLAND] == full]
            name = f"{full}-api"
            assert [(item["kind"], item["metadata"]["name"]) for item in own] == [
                ("Service", name),
                ("Deployment", name),
            ]
            assert {item["metadata"]["namespace"] for item in own} == {namespace}
            assert {item["metadata"]["labels"][SET] for item in own} == {full.rpartition("-")[0]}
            found = environment(own, name)
            assert found == {
                "FULL": f"{'e' if key == 'eu' else 'd'}/{key}/{one.rpartition('-')[2]}",
                "PARENT": f"world-{key} {namespace} world",
                "SELF": f"{full} {namespace} {full.rpartition('-')[0]} {name}:8080",
            }


def test_values_of_inner_sets_are_read_in_the_island_around() -> None:
    objects = world()
    specs = {item["metadata"]["name"]: item["spec"] for item in objects if item["kind"] == "Deployment"}
    sizes = {name.removesuffix("-api"): spec["replicas"] for name, spec in specs.items() if name.endswith("-api")}
    assert sizes["world-eu-cell-0"] == sizes["world-us-cell-0"] == 1
    assert sizes["world-eu-cell-1"] == sizes["world-us-cell-1"] == 5
    assert (sizes["world-eu-fixed-x"], sizes["world-us-fixed-x"]) == (10, 9)
    images = {name: spec["template"]["spec"]["containers"][0]["image"] for name, spec in specs.items()}
    assert (images["world-eu-cell-2-api"], images["world-us-cell-1-api"]) == ("api:eu", "api:us")
    assert images["world-eu-tenant-a-api"] == "api:1"


@pytest.mark.parametrize("scope", ["prefix", "namespace"])
def test_an_island_knows_the_islands_inside_it(scope: str) -> None:
    objects = world(scope)

    def addresses(key: str, inner: str, *keys: str) -> str:
        return ",".join(f"world-{key}-{inner}-{one}-api:8080" for one in keys)

    for key, cells, tenants in (("eu", "012", ("a", "b", "c9", "c10")), ("us", "01", ("a",))):
        router = f"world-{key}-router" if scope == "prefix" else "router"
        assert environment(objects, router, f"world-{key}" if scope == "namespace" else None) == {
            "CELLS": ",".join(cells),
            "ADDRESSES": addresses(key, "cell", *cells),
            "TENANTS": addresses(key, "tenant", *tenants),
            "COUNT": str(len(cells)),
        }


def test_routes_to_the_islands_inside() -> None:
    routing = document(
        "Routing",
        "edge",
        """
        hosts: [example.com]
        routes:
          - {name: cell, each: world/cell, match: {path: {prefix: "/{{ parent.key }}/{{ island.key }}"}}}
          - {name: region, each: world, match: {path: {prefix: "/{{ island.key }}"}}}
          - {name: one, match: {headers: {x-cell: "1"}}, to: {island: world/us/cell/1}}
          - {name: fixed, match: {path: {prefix: /fixed}}, to: {spread: world/fixed}}
          - {name: rest, to: {spread: world/cell}}
        """,
        "edge",
    )
    objects = compiled(NESTED, set_of(WORLD, "world", "world", "region"), routing)
    cells = [f"world-eu-cell-{number}" for number in range(3)] + [f"world-us-cell-{number}" for number in range(2)]
    service = only(objects, "VirtualService", "edge")
    routes = {route["name"]: route for route in service["spec"]["virtualHost"]["routes"]}
    assert list(routes) == [
        *(f"cell-{one}" for one in cells),
        "region-world-eu",
        "region-world-us",
        "one",
        "fixed",
        "rest",
    ]
    upstreams = {item["metadata"]["name"]: item["spec"]["kube"] for item in objects if item["kind"] == "Upstream"}
    assert upstreams.keys() == {
        *(f"edge-{one}-http" for one in cells),
        *(f"edge-world-{key}-http" for key in ("eu", "us")),
        *(f"edge-world-{key}-fixed-{one}-http" for key in ("eu", "us") for one in "xy"),
    }
    assert upstreams["edge-world-eu-cell-2-http"] == {
        "serviceName": "world-eu-cell-2-api",
        "serviceNamespace": "world",
        "servicePort": 8080,
    }
    assert routes["one"]["routeAction"]["single"]["upstream"]["name"] == "edge-world-us-cell-1-http"
    weights = {
        one["destination"]["upstream"]["name"]: one["weight"]
        for one in routes["fixed"]["routeAction"]["multi"]["destinations"]
    }
    assert weights == {
        f"edge-world-{key}-fixed-{one}-http": 1 if one == "x" else 3 for key in ("eu", "us") for one in "xy"
    }


@pytest.mark.parametrize(
    ("there", "instead", "code", "at"),
    [
        ('"{{ params.cells }}"', '"{{ params.domain }}"', "R0504", '"{{ params.domain }}"'),
        ('"{{ params.cells }}"', '"{{ params.cells - 3 }}"', "R0504", '"{{ params.cells - 3 }}"'),
        ('islands: "{{ params.names }}"', 'islands: "{{ params.cells }}"', "R0504", '"{{ params.cells }}"'),
        ("default: [a]", "default: [a, a]", "R0504", '"{{ params.names }}"'),
        ("default: [a]", "default: [A]", "R0501", '"{{ params.names }}"'),
        ("keys('cell') | length", "keys('sell') | length", "R0404", "{{ keys('sell') | length"),
        (
            "addresses('tenant', 'http')",
            "addresses('tenant', 'grpc')",
            "R0303",
            "{{ addresses('tenant', 'grpc') | join(',')",
        ),
        ("parent.params.domain", "parent.params.doman", "R0402", "{{ parent.params.doman"),
        ("{{ parent.name }} ", "{{ parent.nme }} ", "R0402", "{{ parent.nme"),
        ('"{{ params.cells + 7 }}"', '"{{ params.domain }}"', "R0504", '"{{ params.domain }}"'),
        ('["1"], params: {size: 5}', '["7"], params: {size: 5}', "R0505", '"7"'),
        ('islands: "{{ params.names }}"', "islands: [x]", "R0204", "islands"),
    ],
)
def test_sets_in_sets_that_cannot_be(there: str, instead: str, code: str, at: str) -> None:
    text = NESTED.replace(there, instead, 1)
    assert text != NESTED
    found, where = faults(text, set_of("islands: {us: {}}", "world", "world", "region"))[0]
    assert found == code
    assert where.startswith(at)


def test_a_type_inside_itself_is_an_error() -> None:
    text = NESTED.replace("type: cell\n      islands:", "type: region\n      islands:", 1)
    assert [code for code, _ in faults(text, set_of(WORLD, "world", "world", "region"))] == ["R0314"]


def test_a_type_that_needs_an_island_around_it_cannot_stand_alone() -> None:
    found = faults(NESTED, set_of("replicas: 2", type_name="cell"))
    assert {code for code, _ in found} == {"R0402"}
    assert all("parent" in at for _, at in found)


def test_names_that_run_together() -> None:
    """Set `shop` island `eu-cell-0`, and the cell 0 of `shop` island `eu`."""
    text = set_of("islands: {eu: {}, eu-cell-0: {}}", type_name="region")
    found = faults(NESTED, text)
    assert [code for code, _ in found] == ["R0507"]


# Names and policies of pods


def test_a_service_of_a_pod_that_is_called_like_another_set() -> None:
    """Both names follow from the Sets', so that is where to change one."""
    text = type_of("units: {api: {image: 'api:1', ports: {http: 80}}}")
    pods = "form: pods\nreplicas: 2"
    [one] = run("".join((text, set_of(pods, "web"), set_of(pods, "web-1")))).diagnostics
    lines = "".join((text, set_of(pods, "web"), set_of(pods, "web-1"))).split("\n")
    assert one.code == "R0507"
    assert one.place is not None
    assert "name: web-1," in lines[one.place.line - 1]
    assert [related.message for related in one.related] == ["the other is made from this"]
    assert "name: web," in lines[one.related[0].place.line - 1]


def test_pods_of_a_set_are_restarted_always() -> None:
    text = type_of("units: {api: {image: 'api:1', pod: {restartPolicy: Never}}}")
    assert faults(text, set_of("form: pods\nreplicas: 2")) == [("R0307", "Never")]
    assert compiled(text.replace("Never", "Always"), set_of("form: pods\nreplicas: 2"))
