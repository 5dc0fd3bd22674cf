"""The table of references is whole: every field that looks like one is in it, or is known to be none, and why."""

import json
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from strict_schemas import SHARED, needs_shared

from replicator.kinds import TEMPLATES, full_kind
from replicator.pipeline import Built, Source, build
from replicator.references import MAP_SELECTORS, SELECTORS, TABLE, plural

Object = dict[str, Any]

FOLDER = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
LOOKS_LIKE_ONE = re.compile(r".*(?:Ref|Refs|Reference|References|Name|Names|[sS]elector|[sS]electors)")

# Why a field that looks like a reference is none: patterns of paths, where it matters after a kind and a colon.
NOT_REFERENCES = {
    "names what is in the object itself": """
        *.fieldRef *.resourceFieldRef *.resourceFieldRef.containerName *.fileKeyRef *.fileKeyRef.volumeName
        *.onExitCodes.containerName *.targetContainerName *.workloadRef.templateName *.resizePolicy[].resourceName
        *.manualSelector *.groupName *.sectionName *.portName *.clusterName *.staticClusterName *.sds.*Name
        SidecarSet.*:*.transferEnv[].* *.logicalName *.scopeName *.resolverName EnvoyFilter.*:*.domainName
        SidecarSet.*:*.revisionName
    """,
    "selects among what the object itself selects": """
        *.weightPriority[].matchSelector SidecarSet.*:spec.updateStrategy.selector *.subsetSpec.selectors
        ResourceClaim*:*.selectors *.metric.selector
    """,
    "selects namespaces": """
        *.namespaceSelector *.namespaces.selector *.watchNamespaceSelectors *.namespaceLabelSelector
    """,
    "selects nodes": """
        *.nodeSelector DaemonSet.*:*.rollingUpdate.selector
    """,
    "selects what is no island's: volumes, devices, proxies, bundles of certificates": """
        *.volumeClaimTemplate.spec.selector *.volumeClaimTemplates[].spec.selector *.templates[].spec.selector
        PersistentVolumeClaim:spec.selector DeviceClass:spec.selectors DeviceTaintRule:*.deviceSelector
        Gateway.networking.istio.io:spec.selector *.clusterTrustBundle.labelSelector
    """,
    "selects objects wherever they are, by its purpose": """
        *.objectSelector *.resourceNames *AdmissionPolicyBinding:*.paramRef.selector *.rawSelector
        *.resourceAttributes.fieldSelector *.resourceAttributes.labelSelector AuthConfig.*:*.labelSelector
        RouteTable.*:*.delegateAction.selector VirtualService.gateway.solo.io:*.delegateAction.selector
        Gateway.gateway.solo.io:*.delegated*.selector *.virtualServiceSelector Upstream.*:*.selectors
    """,
    "names what no manifest makes: nodes, schedulers, signers, drivers, controllers, accounts, disks, functions": """
        *.nodeName *.schedulerName *.signerName *.diskName *.shareName *.datasetName *.pdName *.initiatorName
        *.scaleIO.volumeName *.storageos.volumeName *.storagePolicyName *.gmsaCredentialSpecName *.runAsUserName
        VolumeAttributesClass:driverName *.controllerName *.poolName *.extendedResourceName *.functionAppName
        *.functionName *.functionNames *.lambdaFunctionName *.deploymentName *.collectionName IPAddress:spec.parentRef
        Proxy.*:*.resourceRef Gateway.gateway.solo.io:spec.proxyNames *.consul.serviceName *.packageName
        Upstream.*:*.grpcServices[].serviceName *.forwardSniClusterName
    """,
    "is a text of a protocol: headers, cookies, certificates, logs, attributes, plug-ins": """
        *.headerName *.cookieName *.httpHeaderName *.httpQueryParameterName *.sessionIdHeaderName
        *.subjectAltNames *.verifySubjectAltName *.tlsServerName *.nodeTlsName *.tlsTagName *.logName *.serverName
        *HealthCheck.serviceName *.userIdAttributeName *.membershipAttributeName *.exportedSymbolName *.pluginFileName
        *.pluginName *.ruleName *.tokenFileName *.datadogConfig.serviceName *.openTelemetryConfig.serviceName
        *.preserveProtoFieldNames
    """,
    "says what the object is called": """
        *.displayName CustomResourceDefinition:*.shortNames
    """,
    "is of a template for pods that the controller of a proxy merges": """
        GatewayParameters.*:*.labelSelector
    """,
}


@cache
def _definitions() -> Object:
    newest = max(FOLDER.glob("v*-local-strict"), key=lambda one: [int(n) for n in re.findall(r"\d+", one.name)])
    definitions = json.loads((newest / "_definitions.json").read_text())
    found: Object = definitions.get("$defs") or definitions["definitions"]
    return found


def _walk(schema: Object, path: str, seen: frozenset[str]) -> Iterator[str]:
    """The paths of all fields; what is inside itself is walked once."""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in seen:
            return
        seen |= {name}
        schema = _definitions()[name]
    for name, child in schema.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner
        yield from _walk(child, inner, seen)
    if isinstance(schema.get("items"), dict):
        yield from _walk(schema["items"], f"{path}[]", seen)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _walk(schema["additionalProperties"], f"{path}.*", seen)


def _core() -> Iterator[tuple[str, Object]]:
    for definition in _definitions().values():
        for one in definition.get("x-kubernetes-group-version-kind", ()):
            fields = definition.get("properties", {})
            if "metadata" in fields and "items" not in fields and one["kind"] not in ("DeleteOptions", "Status"):
                yield full_kind(f"{one['group']}/v1", one["kind"]), definition


@cache
def _custom() -> tuple[tuple[str, Object], ...]:
    loader, found = getattr(yaml, "CSafeLoader", yaml.SafeLoader), []
    for file in sorted(SHARED.glob("crds/*/*.yaml")):
        crd = yaml.load(file.read_text(), Loader=loader)
        if crd.get("kind") == "CustomResourceDefinition":
            for version in crd["spec"]["versions"]:
                kind = full_kind(f"{crd['spec']['group']}/v1", crd["spec"]["names"]["kind"])
                found.append((kind, version["schema"]["openAPIV3Schema"]))
    return tuple(found)


def _tokens(path: str) -> list[str]:
    return path.replace("[]", ".[]").split(".")


def _is_covered(kind: str, path: str) -> bool:
    """Whether a field is in the table, or holds one that is."""
    known = [*TABLE[kind], *SELECTORS.get(kind, ()), *MAP_SELECTORS.get(kind, ())]
    own = _tokens(path)
    for other in map(_tokens, known):
        if other[0] == "**":
            tail = other[1:]
            if any(own[-number:] == tail[:number] for number in range(1, len(tail) + 1)):
                return True
        elif other[: len(own)] == own:
            return True
    return False


def _patterns(kind: str, path: str) -> Iterator[str]:
    """The patterns that say why a field is no reference."""
    for patterns in NOT_REFERENCES.values():
        for pattern in patterns.split():
            of_kind, _, of_path = pattern.rpartition(":")
            glob = (of_path if of_path.startswith("*") else f".{of_path}").replace("[]", "[[]]")
            if fnmatchcase(f".{path}", glob) and (not of_kind or fnmatchcase(kind, of_kind)):
                yield pattern


def _unknown(kinds: Iterable[tuple[str, Object]]) -> list[str]:
    found: dict[str, None] = {}
    for kind, schema in kinds:
        for path in _walk(schema, "", frozenset()):
            if path.startswith(("metadata", "status")) or ".metadata." in path or ".status." in path:
                continue
            if not LOOKS_LIKE_ONE.fullmatch(path.rpartition(".")[2]):
                continue
            if kind not in TABLE or not (_is_covered(kind, path) or any(_patterns(kind, path))):
                found.setdefault(f"{kind}:{path}")
    return list(found)


def test_every_reference_of_kubernetes_is_classified() -> None:
    assert _unknown(_core()) == []


@needs_shared
def test_every_reference_of_the_crds_is_classified() -> None:
    assert _unknown(_custom()) == []


@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_kinds_with_pods_are_in_the_table(kind: str) -> None:
    assert kind in TABLE


def test_no_reason_is_left_over() -> None:
    """Every pattern of what is no reference is one of some field that looks like one."""
    used = set()
    for kind, schema in (*_core(), *(_custom() if SHARED.is_dir() else ())):
        for path in _walk(schema, "", frozenset()):
            if LOOKS_LIKE_ONE.fullmatch(path.rpartition(".")[2]) and not _is_covered(kind, path):
                used |= set(_patterns(kind, path))
    known = {pattern for patterns in NOT_REFERENCES.values() for pattern in patterns.split()}
    assert known - used == set() or not SHARED.is_dir()


# What authors declare, and what expressions name

DSL = """
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {name: cart}
spec:
  units:
    api: {image: "api:1", env: {A: VALUE}}
  rewriteHosts: all
  resources:
    - manifest:
        apiVersion: v1
        kind: Service
        metadata: {name: valkey}
        spec: {selector: {app: valkey}, ports: [{name: client, port: 6379}, {name: admin, port: 6380}]}
    - manifest:
        apiVersion: v1
        kind: Pod
        metadata: {name: valkey, labels: {app: valkey}}
        spec: {containers: [{name: valkey, image: "valkey:8"}]}
    - manifest: {apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {a: b}}
    - manifest: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: see}, rules: []}
    - when: false
      manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: absent}}
    - manifest: {apiVersion: example.com/v1, kind: Cache, metadata: {name: hot}, spec: SPEC}
  references: [REFERENCES]
  external: {ServiceAccount: [outside/robot]}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {name: shop, namespace: shop}
spec: {type: cart, scope: SCOPE, islands: {eu: {}}}
"""


def compiled(value: str = "a", spec: str = "{}", references: str = "{kind: Cache}", scope: str = "prefix") -> Built:
    words = {"VALUE": value, "SPEC": spec, "REFERENCES": references, "SCOPE": scope}
    dsl = DSL
    for word, text in words.items():
        dsl = dsl.replace(word, text)
    return build([Source("dsl.yaml", dsl.encode())])


def found(built: Built) -> list[str]:
    return [one.code for one in built.diagnostics if one.severity == "error"]


def of_kind(built: Built, kind: str) -> Object:
    [made] = [one for one in yaml.safe_load_all(b"".join(built.texts()).decode()) if one["kind"] == kind]
    return dict(made)


@pytest.mark.parametrize(
    ("value", "prefix", "namespace"),
    [
        ("name('valkey')", "shop-eu-valkey", "valkey"),
        ("name('key')", "shop-eu-key", "key"),
        ("name('see')", "shop-eu-see", "shop-eu-see"),
        ("host('valkey')", "shop-eu-valkey", "valkey"),
        ("port('valkey', 'admin')", "6380", "6380"),
        ("address('valkey', 'client')", "shop-eu-valkey:6379", "valkey:6379"),
        ("address('valkey', '6380')", "shop-eu-valkey:6380", "valkey:6380"),
        ("address('valkey', 'client') if true else host('valkey')", "shop-eu-valkey:6379", "valkey:6379"),
        ("(port('valkey', 'client') + 1) ~ name('key')", "6380shop-eu-key", "6380key"),
    ],
)
def test_expressions_name_resources(value: str, prefix: str, namespace: str) -> None:
    for scope, expected in (("prefix", prefix), ("namespace", namespace)):
        built = compiled(f'"{{{{ {value} }}}}"', scope=scope)
        assert found(built) == []
        container = of_kind(built, "Deployment")["spec"]["template"]["spec"]["containers"][0]
        assert container["env"][0]["value"] == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("name('valkei')", "R0404"),
        ("name('absent')", "R0404"),
        ("host('key')", "R0404"),
        ("port('valkey', 'gone')", "R0303"),
        ("address('absent', 'client')", "R0404"),
        ("'' if true else name('gone')", "R0404"),
    ],
)
def test_expressions_name_nothing(value: str, code: str) -> None:
    built = compiled(f'"{{{{ {value} }}}}"')
    assert set(found(built)) == {code}
    assert {one.place.line for one in built.diagnostics if one.severity == "error" and one.place} == {7}


@pytest.mark.parametrize(
    ("spec", "references", "expected"),
    [
        ("{a: {b: key}}", "{kind: Cache, path: a.b, to: Secret}", "key"),
        ("{a: {b: key}}", "{kind: Cache, path: spec.a.b, to: Secret}", "shop-eu-key"),
        ("{a: {b: key}}", "{kind: Cache.example.com, path: spec.a.b, to: Secret}", "shop-eu-key"),
        ("{a: [{b: key}]}", "{kind: Cache, path: 'spec.a[].b', to: Secret}", "shop-eu-key"),
        ("{a: [key]}", "{kind: Cache, path: 'spec.a[]', to: Secret}", "shop-eu-key"),
        ("{a.b/c: key}", "{kind: Cache, path: 'spec[\"a.b/c\"]', to: Secret}", "shop-eu-key"),
        ("{a: hot}", "{kind: Cache, path: spec.a, to: Cache}", "shop-eu-hot"),
        ("{a: hot}", "{kind: Cache, path: spec.a, to: Cache.example.com}", "shop-eu-hot"),
        ("{a: valkey}", "{kind: Cache, path: spec.a, to: host}", "shop-eu-valkey"),
        ("{a: valkey.default.svc}", "{kind: Cache, path: spec.a, to: host}", "shop-eu-valkey.shop.svc"),
        ("{a: cache.example.com}", "{kind: Cache, path: spec.a, to: host}", "cache.example.com"),
        ("{a: {matchLabels: {app: valkey}}}", "{kind: Cache, path: spec.a, to: selector}", "shop-eu"),
        (
            "{a: {metadata: {labels: {a: b}}, spec: {volumes: [{secret: {secretName: key}}]}}}",
            "{kind: Cache, path: spec.a, to: template}",
            "shop-eu-key",
        ),
    ],
)
def test_declared_references(spec: str, references: str, expected: str) -> None:
    built = compiled(spec=spec, references=references)
    assert found(built) == []
    assert re.search(rf"(?<![\w.-]){re.escape(expected)}(?![\w.-])", json.dumps(of_kind(built, "Cache")["spec"]))


@pytest.mark.parametrize(
    ("references", "code"),
    [
        ("", "R0613"),
        ("{kind: Other}", "R0613"),
        ("{kind: Cache.other.com}", "R0613"),
        ("{kind: Cache, path: spec.a}", "R0205"),
        ("{kind: Cache, to: Secret}", "R0205"),
        ("{kind: Cache, path: spec..a, to: Secret}", "R0205"),
        ("{kind: Cache, path: spec.a, to: secret}", "R0205"),
    ],
)
def test_declarations_that_are_none(references: str, code: str) -> None:
    assert found(compiled(spec="{a: b}", references=references)) == [code]


def test_where_names_stay_nothing_needs_to_be_declared() -> None:
    assert found(compiled(references="", scope="namespace")) == []


@pytest.mark.parametrize(
    ("kind", "plural_name"),
    [
        ("Secret", "secrets"),
        ("NetworkPolicy", "networkpolicies"),
        ("Ingress", "ingresses"),
        ("StorageClass", "storageclasses"),
        ("Endpoints", "endpoints"),
        ("Gateway.gateway.networking.k8s.io", "gateways"),
    ],
)
def test_plurals(kind: str, plural_name: str) -> None:
    assert plural(kind) == plural_name
