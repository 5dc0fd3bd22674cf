"""Patches change objects as kubectl and Kustomize do: what they make of the same patches is compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from test_sets import compiled, only, run, set_of, type_of

from replicator.kinds import MERGE_KEYS, MERGED_WORDS
from replicator.patch import ROOT, How, Unfit, apply_json_patch, merge
from replicator.tree import Leaf, List, Map, Tree, tree

KUBECTL = shutil.which("kubectl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl")

Object = dict[str, Any]
Made = Object | None
"""An object after a patch; None where the patch is refused."""

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {a: b, c: d}, annotations: {x: y}, finalizers: [f1, f2]}
spec:
  replicas: 1
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      imagePullSecrets: [{name: one}, {name: two}]
      tolerations: [{key: a, operator: Exists}]
      hostAliases: [{ip: 1.2.3.4, hostnames: [x]}]
      nodeSelector: {disk: ssd}
      topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]
      volumes:
      - name: cfg
        configMap: {name: cfg, items: [{key: a, path: a}]}
      - name: tmp
        emptyDir: {}
      initContainers:
      - {name: i, image: i}
      containers:
      - name: web
        image: web:1
        args: [a, b]
        env: [{name: A, value: '1'}, {name: B, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: C, value: '3'}]
        ports:
        - {name: http, containerPort: 80, protocol: TCP}
        - {name: dns, containerPort: 53, protocol: TCP}
        - {name: dnsu, containerPort: 53, protocol: UDP}
        volumeMounts: [{name: cfg, mountPath: /cfg}, {name: tmp, mountPath: /tmp}]
        resources: {limits: {cpu: '1', memory: 1Gi}}
      - name: side
        image: side:1
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, protocol: TCP}
  - {name: dns, port: 53, protocol: TCP}
  - {name: dnsu, port: 53, protocol: UDP}
"""
PDB = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
"""
ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
secrets: [{name: a}]
imagePullSecrets: [{name: a}]
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {a: '1', b: '2'}
"""
WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: web}
webhooks:
- name: a.b.c
  sideEffects: None
  admissionReviewVersions: [v1]
  clientConfig: {service: {name: x, namespace: y}}
  rules: [{operations: [CREATE]}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: a
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
  tls: [{hosts: [a]}]
"""
STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: a}]}}
  volumeClaimTemplates: [{metadata: {name: d}, spec: {resources: {requests: {storage: 1Gi}}}}]
"""
CUSTOM = """
apiVersion: example.com/v1
kind: Thing
metadata: {name: web}
spec: {containers: [{name: a, image: b}], ports: [{port: 1}], m: {a: 1, b: 2}}
"""
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web}
rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]
"""
CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: web}
spec:
  schedule: '* * * * *'
  jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: a, env: [{name: A, value: '1'}]}]}}}}
"""


def in_pod(patch: str) -> str:
    return f"{{spec: {{template: {{spec: {patch}}}}}}}"


def in_container(patch: str) -> str:
    return in_pod(f"{{containers: [{patch}]}}")


# Each a base and what is merged into it.
CASES: dict[str, tuple[str, str]] = {
    "env change": (DEPLOYMENT, in_container("{name: web, env: [{name: A, value: '9'}]}")),
    "env add": (DEPLOYMENT, in_container("{name: web, env: [{name: Z, value: '9'}]}")),
    "env two new": (
        DEPLOYMENT,
        in_container("{name: web, env: [{name: Y, value: '9'}, {name: B, $patch: delete}, {name: Z, value: '9'}]}"),
    ),
    "env replaced source": (DEPLOYMENT, in_container("{name: web, env: [{name: B, value: '9', valueFrom: null}]}")),
    "env delete": (DEPLOYMENT, in_container("{name: web, env: [{name: A, $patch: delete}]}")),
    "env delete missing": (DEPLOYMENT, in_container("{name: web, env: [{name: NOPE, $patch: delete}]}")),
    "env replace list": (DEPLOYMENT, in_container("{name: web, env: [{$patch: replace}, {name: Q, value: '1'}]}")),
    "env replace list last": (DEPLOYMENT, in_container("{name: web, env: [{name: Q, value: '1'}, {$patch: replace}]}")),
    "env reorder": (DEPLOYMENT, in_container("{name: web, env: [{name: C, value: '3'}, {name: A, value: '0'}]}")),
    "env order directive": (
        DEPLOYMENT,
        in_container(
            "{name: web, $setElementOrder/env: [{name: C}, {name: B}, {name: A}], env: [{name: A, value: '0'}]}"
        ),
    ),
    "containers order directive": (
        DEPLOYMENT,
        in_pod("{$setElementOrder/containers: [{name: side}, {name: web}], containers: [{name: web, image: z}]}"),
    ),
    "env null": (DEPLOYMENT, in_container("{name: web, env: null}")),
    "env empty": (DEPLOYMENT, in_container("{name: web, env: []}")),
    "container add": (DEPLOYMENT, in_container("{name: new, image: n}")),
    "container delete": (DEPLOYMENT, in_container("{name: side, $patch: delete}")),
    "container replace": (DEPLOYMENT, in_container("{name: side, $patch: replace, image: other}")),
    "container merge": (DEPLOYMENT, in_container("{name: side, $patch: merge, image: other}")),
    "args": (DEPLOYMENT, in_container("{name: web, args: [z]}")),
    "args empty": (DEPLOYMENT, in_container("{name: web, args: []}")),
    "args delete primitive": (DEPLOYMENT, in_container("{name: web, $deleteFromPrimitiveList/args: [a]}")),
    "finalizers": (DEPLOYMENT, "{metadata: {finalizers: [f3, f1]}}"),
    "finalizers delete": (DEPLOYMENT, "{metadata: {$deleteFromPrimitiveList/finalizers: [f1]}}"),
    "finalizers delete and add": (
        DEPLOYMENT,
        "{metadata: {$deleteFromPrimitiveList/finalizers: [f1], finalizers: [f9]}}",
    ),
    "ports add": (DEPLOYMENT, in_container("{name: web, ports: [{containerPort: 81}]}")),
    "ports change": (DEPLOYMENT, in_container("{name: web, ports: [{containerPort: 80, name: h2}]}")),
    "ports with protocol": (
        DEPLOYMENT,
        in_container("{name: web, ports: [{containerPort: 80, protocol: TCP, name: h2}]}"),
    ),
    "ports udp": (DEPLOYMENT, in_container("{name: web, ports: [{containerPort: 53, protocol: UDP, name: h2}]}")),
    "ports udp new": (DEPLOYMENT, in_container("{name: web, ports: [{containerPort: 80, protocol: UDP, name: h3}]}")),
    "ports delete": (DEPLOYMENT, in_container("{name: web, ports: [{containerPort: 80, $patch: delete}]}")),
    "ports delete udp": (
        DEPLOYMENT,
        in_container("{name: web, ports: [{containerPort: 53, protocol: UDP, $patch: delete}]}"),
    ),
    "mounts": (
        DEPLOYMENT,
        in_container("{name: web, volumeMounts: [{name: other, mountPath: /tmp}, {name: n, mountPath: /n}]}"),
    ),
    "volume type": (DEPLOYMENT, in_pod("{volumes: [{name: cfg, emptyDir: {}, configMap: null}]}")),
    "volume retain": (DEPLOYMENT, in_pod("{volumes: [{name: cfg, emptyDir: {}, $retainKeys: [name, emptyDir]}]}")),
    "volume replace": (DEPLOYMENT, in_pod("{volumes: [{name: cfg, emptyDir: {}, $patch: replace}]}")),
    "volume items": (DEPLOYMENT, in_pod("{volumes: [{name: cfg, configMap: {items: [{key: z, path: z}]}}]}")),
    "volumes null": (DEPLOYMENT, in_pod("{volumes: null}")),
    "tolerations": (DEPLOYMENT, in_pod("{tolerations: [{key: z, operator: Exists}]}")),
    "pull secrets": (DEPLOYMENT, in_pod("{imagePullSecrets: [{name: three}, {name: one}]}")),
    "pull secrets delete": (DEPLOYMENT, in_pod("{imagePullSecrets: [{name: one, $patch: delete}]}")),
    "host aliases": (DEPLOYMENT, in_pod("{hostAliases: [{ip: 1.2.3.4, hostnames: [y]}]}")),
    "spread": (
        DEPLOYMENT,
        in_pod("{topologySpreadConstraints: [{topologyKey: zone, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}]}"),
    ),
    "spread other": (
        DEPLOYMENT,
        in_pod("{topologySpreadConstraints: [{topologyKey: zone, maxSkew: 2, whenUnsatisfiable: ScheduleAnyway}]}"),
    ),
    "node selector": (DEPLOYMENT, in_pod("{nodeSelector: {$patch: replace, a: b}}")),
    "node selector delete": (DEPLOYMENT, in_pod("{nodeSelector: {$patch: delete}}")),
    "node selector null": (DEPLOYMENT, in_pod("{nodeSelector: null}")),
    "strategy": (DEPLOYMENT, "{spec: {strategy: {type: Recreate, rollingUpdate: null}}}"),
    "strategy retain": (DEPLOYMENT, "{spec: {strategy: {type: Recreate, $retainKeys: [type]}}}"),
    "strategy replace": (DEPLOYMENT, "{spec: {strategy: {type: Recreate, $patch: replace}}}"),
    "strategy delete": (DEPLOYMENT, "{spec: {strategy: {$patch: delete}}}"),
    "labels": (DEPLOYMENT, "{metadata: {labels: {a: null, n: e}}}"),
    "annotations null": (DEPLOYMENT, "{metadata: {annotations: null}}"),
    "new map with null": (DEPLOYMENT, "{spec: {template: {spec: {securityContext: {runAsUser: 1, fsGroup: null}}}}}"),
    "new map with patch delete": (DEPLOYMENT, "{spec: {template: {spec: {securityContext: {$patch: delete}}}}}"),
    "new map with patch replace": (
        DEPLOYMENT,
        "{spec: {template: {spec: {securityContext: {$patch: replace, runAsUser: 2}}}}}",
    ),
    "new container with a deleted env": (
        DEPLOYMENT,
        in_container("{name: n, image: n, env: [{name: A, $patch: delete}, {name: B, value: '1'}]}"),
    ),
    "new container with replaced env": (
        DEPLOYMENT,
        in_container("{name: side, env: [{$patch: replace}, {name: B, value: '1'}]}"),
    ),
    "empty map": (DEPLOYMENT, "{spec: {template: {spec: {nodeSelector: {}}}}}"),
    "spec replace": (SERVICE, "{spec: {$patch: replace, ports: [{port: 1}]}}"),
    "svc ports": (SERVICE, "{spec: {ports: [{port: 80, name: x}]}}"),
    "svc ports new": (SERVICE, "{spec: {ports: [{port: 81, name: x}]}}"),
    "svc udp": (SERVICE, "{spec: {ports: [{port: 53, protocol: UDP, name: x}]}}"),
    "pdb selector": (PDB, "{spec: {selector: {matchLabels: {b: c}}}}"),
    "sa": (ACCOUNT, "{secrets: [{name: b}], imagePullSecrets: [{name: b}]}"),
    "cm": (CONFIG_MAP, "{data: {a: null, c: '3'}}"),
    "cm replace": (CONFIG_MAP, "{data: {$patch: replace, c: '3'}}"),
    "webhook": (WEBHOOK, "{webhooks: [{name: a.b.c, failurePolicy: Ignore, clientConfig: {service: {path: /x}}}]}"),
    "ingress": (INGRESS, "{spec: {rules: [{host: b}], tls: [{hosts: [b]}]}}"),
    "sts claims": (
        STATEFUL_SET,
        "{spec: {volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: x}}]}}",
    ),
    "custom": (CUSTOM, "{spec: {containers: [{name: b}], m: {a: null, c: 3}}}"),
    "custom patch delete": (CUSTOM, "{spec: {m: {$patch: delete}}}"),
    "custom replace": (CUSTOM, "{spec: {m: {$patch: replace, z: 1}}}"),
    "role": (ROLE, "{rules: [{apiGroups: [a], resources: [b], verbs: [c]}]}"),
    "cron": (
        CRON_JOB,
        "{spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, env: [{name: B, value: '2'}]}]}}}}}}",
    ),
    "item without key": (DEPLOYMENT, in_container("{image: x}")),
    "scalar over map": (DEPLOYMENT, in_pod("{nodeSelector: x}")),
    "map over scalar": (DEPLOYMENT, "{spec: {replicas: {a: 1}}}"),
    "list over map": (DEPLOYMENT, in_pod("{nodeSelector: [x]}")),
    "unknown directive": (DEPLOYMENT, "{spec: {$foo: 1}}"),
    "bad patch directive": (DEPLOYMENT, "{spec: {template: {$patch: nope}}}"),
}

# What kubectl does otherwise than Kustomize, and we with the latter. A list whose items are told apart by two keys is
# merged by both only in server-side apply and in Kustomize: by one, a port of UDP would become one of TCP.
LIKE_KUSTOMIZE = {
    *("ports udp", "ports udp new", "ports delete udp", "svc udp", "spread other"),
    *("node selector delete", "strategy delete"),  # kubectl leaves {}
    *("new map with patch replace", "new container with a deleted env"),  # kubectl leaves directives, or nothing
    *("pdb selector", "container merge", "scalar over map", "map over scalar", "list over map"),
    *("custom", "custom patch delete", "custom replace"),  # kubectl knows no custom kinds
}
# What Kustomize leaves undone, or in the object, without a word.
LIKE_KUBECTL = {
    *("args delete primitive", "finalizers delete", "finalizers delete and add", "env order directive"),
    *("containers order directive", "volume retain", "strategy retain", "new container with replaced env"),
    *("ports change", "ports delete", "svc ports", "item without key"),
}
# What both take, and lose: containers, or the patch.
REFUSED = {"container replace", "volume replace", "unknown directive"}


def ours(base: str, patch: str) -> Made:
    before = yaml.safe_load(base)
    how = How({} if "example.com" in before["apiVersion"] else MERGE_KEYS, patch_first=True)
    try:
        return plain(merge(tree(before), tree(yaml.safe_load(patch)), ROOT, how))  # type: ignore[no-any-return]
    except Unfit:
        return None


def plain(node: Tree) -> Any:
    if isinstance(node, Map):
        return {key: plain(value) for key, value in node.items}
    if isinstance(node, List):
        return [plain(item) for item in node.items]
    assert isinstance(node, Leaf)
    return node.value


def kubectl(*arguments: str) -> Made:
    done = subprocess.run([KUBECTL or "", *arguments], capture_output=True, text=True, check=False)
    return yaml.safe_load(done.stdout) if done.returncode == 0 else None


def patched(tmp_path: Path, base: str, patch: str, kind: str = "strategic") -> Made:
    (tmp_path / "base.yaml").write_text(json.dumps(yaml.safe_load(base)))
    given = ("-f", str(tmp_path / "base.yaml"), "--type", kind, "-p", json.dumps(yaml.safe_load(patch)))
    return kubectl("patch", "--local", *given, "-o", "json")


def kustomized(tmp_path: Path, base: str, patch: str) -> Made:
    before, change = yaml.safe_load(base), yaml.safe_load(patch)
    head = {"apiVersion": before["apiVersion"], "kind": before["kind"]}
    whole = {**head, **change, "metadata": {"name": "web", **change.get("metadata", {})}}
    (tmp_path / "base.yaml").write_text(json.dumps(yaml.safe_load(base)))
    (tmp_path / "patch.yaml").write_text(json.dumps(whole))
    (tmp_path / "kustomization.yaml").write_text("resources: [base.yaml]\npatches: [{path: patch.yaml}]\n")
    return kubectl("kustomize", str(tmp_path))


def canonical(node: Any) -> str:
    return json.dumps(node, sort_keys=True)


def unordered(node: Any) -> Any:
    """Kustomize puts items that a patch names before the others, where kubectl and we leave them."""
    if isinstance(node, dict):
        return {key: unordered(value) for key, value in node.items()}
    if isinstance(node, list):
        items = [unordered(item) for item in node]
        return sorted(items, key=canonical) if items and isinstance(items[0], dict) else items
    return node


@needs_kubectl
@pytest.mark.parametrize("case", sorted(CASES.keys() - LIKE_KUSTOMIZE - REFUSED))
def test_a_merge_is_that_of_kubectl(case: str, tmp_path: Path) -> None:
    assert ours(*CASES[case]) == patched(tmp_path, *CASES[case])


@needs_kubectl
@pytest.mark.parametrize("case", sorted(CASES.keys() - LIKE_KUBECTL - REFUSED))
def test_a_merge_is_that_of_kustomize(case: str, tmp_path: Path) -> None:
    made, expected = ours(*CASES[case]), kustomized(tmp_path, *CASES[case])
    assert unordered(made) == unordered(expected)


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_merge_that_would_lose_something_is_refused(case: str) -> None:
    assert ours(*CASES[case]) is None


def test_what_we_merge_into_our_own_objects_follows_what_is_there() -> None:
    """A unit's own container stays the first: it is the one that `kubectl exec` takes."""
    base, patch = ({"containers": [{"name": name} for name in names]} for names in ("ab", "cb"))
    made = merge(tree({"spec": base}), tree({"spec": patch}))
    assert [item["name"] for item in plain(made)["spec"]["containers"]] == ["a", "b", "c"]


# The keys

DEFINITIONS = json.loads(
    (
        Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.37.0-local" / "_definitions.json"
    ).read_text()
)["$defs"]
# A field of schemas, at any depth and under any name, which a patch of a CRD replaces.
NOT_MERGED = "x-kubernetes-validations"


def _ref(field: Object) -> str:
    for node in (field, field.get("items"), field.get("additionalProperties")):
        if isinstance(node, dict) and "$ref" in node:
            return str(node["$ref"]).rpartition("/")[2]
    return ""


def _merged(name: str, at: tuple[str, str], seen: set[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """The lists under a definition that are merged: the field above, the field, the key of its items."""
    for field, node in DEFINITIONS[name].get("properties", {}).items():
        if field == "status":
            continue
        types = node.get("type", "")
        if "array" in types and "merge" in node.get("x-kubernetes-patch-strategy", "") and field != NOT_MERGED:
            yield at[1], field, node.get("x-kubernetes-patch-merge-key", "")
        inner = (_ref(node), at[1], field)
        if inner[0] and inner not in seen:
            seen.add(inner)
            yield from _merged(inner[0], (at[1], field), seen)


def test_the_keys_are_those_of_kubernetes() -> None:
    found: set[tuple[str, str, str]] = set()
    for name, definition in DEFINITIONS.items():
        whole = {"metadata", "kind"} <= definition.get("properties", {}).keys()
        if "x-kubernetes-group-version-kind" in definition and whole and not name.endswith("List"):
            found.update(_merged(name, ("", ""), set()))
    known = {(*at, key) for at, key in MERGE_KEYS.items()} | {(*at, "") for at in MERGED_WORDS}
    # What nobody writes but a controller, under other names than `status`.
    statuses = {one for one in found if one[0].endswith("Statuses") or one[1] in ("conditions", "healthConditions")}
    assert found - statuses == known


# RFC 6902

JSON = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, annotations: {a/b: x, c~d: y, '': z}}, data: {a: '1'}}"
LISTS = (
    "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: a, args: [x, y, z]}, {name: b}]}}"
)
ARGS = "/spec/containers/0/args"
JSON_CASES: dict[str, tuple[str, str]] = {
    "add": (JSON, "[{op: add, path: /data/b, value: '2'}]"),
    "add over": (JSON, "[{op: add, path: /data/a, value: '2'}]"),
    "add under nothing": (JSON, "[{op: add, path: /binaryData/a, value: '2'}]"),
    "add a map": (JSON, "[{op: add, path: /metadata/labels, value: {a: b}}]"),
    "add at an index": (LISTS, f"[{{op: add, path: {ARGS}/1, value: n}}]"),
    "add at the end": (LISTS, f"[{{op: add, path: {ARGS}/-, value: n}}]"),
    "add at the length": (LISTS, f"[{{op: add, path: {ARGS}/3, value: n}}]"),
    "add beyond": (LISTS, f"[{{op: add, path: {ARGS}/4, value: n}}]"),
    "add at no number": (LISTS, f"[{{op: add, path: {ARGS}/x, value: n}}]"),
    "replace": (JSON, "[{op: replace, path: /data/a, value: '2'}]"),
    "replace in a list": (LISTS, f"[{{op: replace, path: {ARGS}/0, value: n}}]"),
    "replace the end": (LISTS, f"[{{op: replace, path: {ARGS}/-, value: n}}]"),
    "remove": (JSON, "[{op: remove, path: /data/a}]"),
    "remove nothing": (JSON, "[{op: remove, path: /data/b}]"),
    "remove of a list": (LISTS, "[{op: remove, path: /spec/containers/1}]"),
    "remove beyond": (LISTS, "[{op: remove, path: /spec/containers/2}]"),
    "move": (LISTS, f"[{{op: move, from: {ARGS}, path: /spec/containers/1/args}}]"),
    "move in a list": (LISTS, f"[{{op: move, from: {ARGS}/0, path: {ARGS}/2}}]"),
    "move nothing": (LISTS, "[{op: move, from: /spec/x, path: /spec/y}]"),
    "copy": (LISTS, f"[{{op: copy, from: {ARGS}, path: /spec/containers/1/args}}]"),
    "copy and change": (
        LISTS,
        f"[{{op: copy, from: {ARGS}, path: /spec/containers/1/args}}, {{op: add, path: {ARGS}/0, value: n}}]",
    ),
    "test": (LISTS, f"[{{op: test, path: {ARGS}, value: [x, y, z]}}, {{op: remove, path: {ARGS}}}]"),
    "test that fails": (LISTS, f"[{{op: remove, path: {ARGS}/0}}, {{op: test, path: {ARGS}/0, value: x}}]"),
    "test of another type": (JSON, "[{op: test, path: /data/a, value: 1}]"),
    "test of nothing": (JSON, "[{op: test, path: /data/b, value: x}]"),
    "slash": (JSON, "[{op: replace, path: /metadata/annotations/a~1b, value: n}]"),
    "tilde": (JSON, "[{op: remove, path: /metadata/annotations/c~0d}]"),
    "tilde and one": (JSON, "[{op: add, path: /metadata/annotations/c~01, value: n}]"),
    "empty key": (JSON, "[{op: remove, path: /metadata/annotations/}]"),
    "in order": (JSON, "[{op: add, path: /data/b, value: x}, {op: move, from: /data/b, path: /data/c}]"),
}


@needs_kubectl
@pytest.mark.parametrize("case", JSON_CASES)
def test_a_json_patch_is_that_of_kubectl(case: str, tmp_path: Path) -> None:
    base, patch = JSON_CASES[case]
    given = tree(yaml.safe_load(patch))
    assert isinstance(given, List)
    made: Made
    try:
        made = plain(apply_json_patch(tree(yaml.safe_load(base)), [one for one in given.items if isinstance(one, Map)]))
    except Unfit:
        made = None
    assert made == patched(tmp_path, base, patch, "json")


def test_what_is_replaced_is_there() -> None:
    """As RFC 6902 has it: kubectl adds it, and hides the slip."""
    with pytest.raises(Unfit):
        apply_json_patch(tree(yaml.safe_load(JSON)), [tree({"op": "replace", "path": "/data/b", "value": "2"})])  # type: ignore[list-item]


# What patches are for, and what is said of them

TYPE = type_of(
    """
    ports: {http: {unit: api, port: http}}
    units:
      api: {image: "a:1", ports: {http: 80}, env: {DB: "{{ address('db', 'sql') }}"}}
      db: {image: "d:1", kind: StatefulSet, ports: {sql: 5432}}
    resources:
      - manifest:
          {apiVersion: v1, kind: ConfigMap, metadata: {name: conf, labels: {app: web, tier: x}}, data: {a: b}}
    """
)


def with_patches(own: str = "", of_all: str = "") -> str:
    return TYPE + set_of(f"islands: {{eu: {{}}, us: {{patches: [{own}]}}}}\npatches: [{of_all}]")


@pytest.mark.parametrize(
    ("target", "fits"),
    [
        ("app=web", True),
        ("app==web,tier=x", True),
        ("app=web, tier = y", False),
        ("app!=web", False),
        ("app!=web2,nothing!=x", True),
        ("tier", True),
        ("!tier", False),
        ("!nothing , app", True),
        ("app in (db,web)", True),
        ("app in (db)", False),
        ("app notin (db, cache),tier in (x)", True),
        ("nothing notin (x)", True),
        ("nothing in (x)", False),
        ("a=b=c", None),
        ("app in web", None),
        ("app in (web", None),
        ("!app=web", None),
        ("=web", None),
        (",", None),
    ],
)
def test_labels_are_selected_as_kubectl_does(target: str, fits: bool | None) -> None:
    text = with_patches(f'{{target: {{kind: ConfigMap, labelSelector: "{target}"}}, patch: {{data: {{z: "1"}}}}}}')
    if fits:
        assert only(compiled(text), "ConfigMap", "shop-us-conf")["data"] == {"a": "b", "z": "1"}
        assert only(compiled(text), "ConfigMap", "shop-eu-conf")["data"] == {"a": "b"}
        return
    [found] = run(text).diagnostics
    assert (found.code, "no label selector" in found.hint) == ("R0604", fits is None)


@pytest.mark.parametrize(
    "target", ["kind: Config*", "name: c?nf", "kind: ConfigMap, name: '[a-c]*'", "kind: '*', name: conf"]
)
def test_targets_are_globs(target: str) -> None:
    text = with_patches("", f"{{target: {{{target}}}, patch: {{data: {{z: '1'}}}}}}")
    for key in ("eu", "us"):
        assert only(compiled(text), "ConfigMap", f"shop-{key}-conf")["data"] == {"a": "b", "z": "1"}


def test_groups_are_told_apart() -> None:
    objects = compiled(with_patches("", "{target: {group: apps}, patch: {spec: {revisionHistoryLimit: 2}}}"))
    changed = {one["kind"] for one in objects if one.get("spec", {}).get("revisionHistoryLimit")}
    assert changed == {"Deployment", "StatefulSet"}


def test_the_patches_of_an_island_follow_those_of_its_set() -> None:
    own, of_all = (f"{{target: {{kind: ConfigMap}}, patch: {{data: {{{data}}}}}}}" for data in ("a: own", "a: x, q: x"))
    assert only(compiled(with_patches(own, of_all)), "ConfigMap", "shop-us-conf")["data"] == {"a": "own", "q": "x"}


@pytest.mark.parametrize(
    "patch",
    [
        "[{op: replace, path: /metadata/name, value: other}]",
        "[{op: replace, path: /metadata/namespace, value: other}]",
        "[{op: remove, path: /metadata/namespace}]",
        "[{op: replace, path: /kind, value: Secret}]",
        "[{op: replace, path: /apiVersion, value: v2}]",
        "{metadata: {namespace: other}}",
        "{metadata: null}",
    ],
)
def test_a_patch_does_not_change_what_an_object_is(patch: str) -> None:
    """Else two islands could have one object, and references would lead to none."""
    [found] = run(with_patches(f"{{target: {{kind: ConfigMap}}, patch: {patch}}}")).diagnostics
    assert found.code == "R0601" and "what an object is" in found.message


def test_a_patch_may_say_what_the_object_is() -> None:
    """As in Kustomize: the target tells which one is meant."""
    whole = "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf, namespace: shop}, data: {z: '1'}}"
    objects = compiled(with_patches(f"{{target: {{kind: ConfigMap}}, patch: {whole}}}"))
    assert only(objects, "ConfigMap", "shop-us-conf")["data"] == {"a": "b", "z": "1"}


@pytest.mark.parametrize(
    ("target", "patch", "code", "says"),
    [
        ("kind: Service, name: api", "{$patch: delete}", "R0303", "no Service `api`"),
        ("kind: Service, name: db", "{$patch: delete}", "R0404", "no Service `db`"),
        ("kind: Service, name: api", "{spec: {$patch: replace, ports: [{port: 8}]}}", "R0303", "no port 80"),
        ("kind: StatefulSet", "{spec: {serviceName: nobody}}", "R0603", "nobody"),
        ("kind: Deployment", "[{op: add, path: /metadata/a~b, value: x}]", "R0601", "~"),
        ("kind: Deployment", "[{op: remove, path: /spec/template/spec/containers/00}]", "R0601", "nothing at"),
        ("kind: Deployment", "{spec: {template: {spec: {containers: x}}}}", "R0601", "a list, not a scalar"),
        ("kind: Deployment, name: shop-us-api", "{}", "R0604", "no object"),
    ],
)
def test_what_a_patch_breaks_is_said(target: str, patch: str, code: str, says: str) -> None:
    found = run(with_patches(f"{{target: {{{target}}}, patch: {patch}}}")).diagnostics
    assert code in {one.code for one in found}
    assert any(says in one.message for one in found), found


def test_a_patch_of_an_island_without_objects() -> None:
    text = type_of("resources: [{when: false, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}}]")
    text += set_of("islands: {eu: {}}\npatches: [{target: {name: a}, patch: {data: {a: b}}}]")
    assert {one.code for one in run(text).diagnostics} >= {"R0604"}


@pytest.mark.parametrize(("us", "fits"), [("1", True), ("2", False)])
def test_a_test_of_a_value_of_the_island_is_made_for_each(us: str, fits: bool) -> None:
    text = type_of('params: {v: {type: string}}\nunits: {api: {image: "x:{{ params.v }}"}}')
    text += set_of(
        f"""
        islands: {{eu: {{params: {{v: "1"}}}}, us: {{params: {{v: "{us}"}}}}}}
        patches:
          - target: {{kind: Deployment}}
            patch:
              - {{op: test, path: /spec/template/spec/containers/0/image, value: "x:1"}}
              - {{op: add, path: /spec/paused, value: true}}
        """
    )
    if fits:
        assert all(item["spec"]["paused"] for item in compiled(text))
    else:
        (finding,) = run(text).diagnostics
        assert (finding.code, "fails" in finding.message) == ("R0601", True)
