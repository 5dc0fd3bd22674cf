"""Islands are whole and share nothing: every way to break that is found, at its places. One violation a class.

In each text ‸ stands before what is to be found, and ‹ before the other place that has to do with it.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from replicator.diagnostics import Diagnostic, Place
from replicator.pipeline import Source, build

HEAD = "apiVersion: replicator.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}{more}}}\nspec:\n"
TWO = "islands: {eu: {}, us: {}}"


class Case(NamedTuple):
    """A violation: the code, the spec of the Type `cart`, that of the Set `cart`, further documents."""

    name: str
    code: str
    spec: str
    members: str = TWO
    more: str = ""
    namespace: str = "shop"

    def text(self) -> str:
        """The documents, with the marks."""
        place = f", namespace: {self.namespace}" if self.namespace else ""
        return (
            HEAD.format(kind="IslandType", name="cart", more="")
            + _indented(self.spec)
            + "---\n"
            + HEAD.format(kind="IslandSet", name="cart", more=place)
            + _indented(f"type: cart\n{self.members}")
            + self.more
        )


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.strip("\n").split("\n"))


def of(*manifests: str, more: str = "") -> str:
    """The spec of a Type that has manifests, and a pod `web`."""
    listed = "".join(f"\n  - manifest: {one}" for one in manifests)
    return f"rewriteHosts: all\n{more}\nresources:{listed}"


def manifest(kind: str, name: str, rest: str, version: str = "v1") -> str:
    return f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}}}, {rest}}}"


def web(
    pod: str = "", container: str = "", labels: str = "{app: web}", kind: str = "Deployment", more: str = ""
) -> str:
    """A workload `web` whose pods have a port `http`."""
    containers = f"containers: [{{name: web, image: 'web:1', ports: [{{name: http, containerPort: 80}}]{container}}}]"
    template = f"template: {{metadata: {{labels: {labels}}}, spec: {{{pod}{containers}}}}}"
    return manifest(kind, "web", f"spec: {{{more}selector: {{matchLabels: {{app: web}}}}, {template}}}", "apps/v1")


def service(rest: str = "", name: str = "web", port: str = "80", selector: str = "{app: web}") -> str:
    return manifest("Service", name, f"spec: {{{rest}selector: {selector}, ports: [{{name: http, port: {port}}}]}}")


SERVICE = service("type: NodePort, ")  # called from outside
CONFIG = manifest("ConfigMap", "conf", "data: {a: b}")
SECRET = manifest("Secret", "key", "stringData: {a: b}")
CLAIM = manifest("PersistentVolumeClaim", "data", "spec: {resources: {requests: {storage: 1Gi}}}")
RBAC, NET = "rbac.authorization.k8s.io", "networking.k8s.io/v1"
GATEWAY = "gateway.networking.k8s.io/v1"
UNIT = "units:\n  api: {image: 'api:1', ports: {http: 80}FIELDS}"
PATH = "{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {number: 80}}}}"


def unit(fields: str = "", more: str = "") -> str:
    return f"{UNIT.replace('FIELDS', f', {fields}' if fields else '')}\n{more}"


def ingress(path: str, name: str = "web", rule: str = "host: a.example.com, ") -> str:
    return manifest("Ingress", name, f"spec: {{rules: [{{{rule}http: {{paths: [{path}]}}}}]}}", NET)


def autoscaler(name: str, target: str = "web") -> str:
    spec = f"spec: {{maxReplicas: 3, scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}}}"
    return manifest("HorizontalPodAutoscaler", name, spec, "autoscaling/v2")


def webhook(name: str, port: str = "443") -> str:
    hooks = f"webhooks: [{{name: a.b.c, clientConfig: {{service: {{name: {name}, namespace: x, port: {port}}}}}}}]"
    return manifest("ValidatingWebhookConfiguration", "judge", hooks, "admissionregistration.k8s.io/v1")


def budget(name: str, selector: str) -> str:
    return manifest("PodDisruptionBudget", name, f"spec: {{selector: {selector}}}", "policy/v1")


def binding(kind: str, role: str, subject: str, role_kind: str = "Role") -> str:
    rest = (
        f"roleRef: {{apiGroup: {RBAC}, kind: {role_kind}, name: {role}}}, "
        f"subjects: [{{kind: ServiceAccount, name: {subject}, namespace: shop}}]"
    )
    return manifest(kind, "bind", rest, f"{RBAC}/v1")


def patched(target: str, patch: str) -> str:
    return f"{TWO}\npatches: [{{target: {target}, patch: {patch}}}]"


OTHERS = {  # what a pod may name of another island, by its full name
    "Secret": (SECRET, "volumes: [{name: a, secret: {secretName: ‸cart-eu-key}}], "),
    "ConfigMap": (CONFIG, "volumes: [{name: a, configMap: {name: ‸cart-eu-conf}}], "),
    "PersistentVolumeClaim": (CLAIM, "volumes: [{name: a, persistentVolumeClaim: {claimName: ‸cart-eu-data}}], "),
    "ServiceAccount": (manifest("ServiceAccount", "web", "secrets: []"), "serviceAccountName: ‸cart-eu-web, "),
}

DANGLING = [
    Case("a Secret in a unit's environment", "R0603", unit("env: {A: {secret: ‸gone, key: a}}")),
    Case("a ConfigMap for an environment", "R0603", of(web(container=", envFrom: [{configMapRef: {name: ‸gone}}]"))),
    Case(
        "a Secret in an environment",
        "R0603",
        of(web(container=", env: [{name: A, valueFrom: {secretKeyRef: {name: ‸gone, key: a}}}]")),
    ),
    Case("a Secret for the registry", "R0603", of(web("imagePullSecrets: [{name: ‸gone}], "))),
    Case("a ServiceAccount", "R0603", of(web("serviceAccountName: ‸gone, "))),
    Case("a claim", "R0603", of(web("volumes: [{name: a, persistentVolumeClaim: {claimName: ‸gone}}], "))),
    Case(
        "a projected Secret",
        "R0603",
        of(web("volumes: [{name: a, projected: {sources: [{secret: {name: ‸gone}}]}}], ")),
    ),
    Case("a claim for a device", "R0603", of(web("resourceClaims: [{name: gpu, resourceClaimName: ‸gone}], "))),
    Case("a governing Service", "R0603", of(web(kind="StatefulSet", more="serviceName: ‸gone, "))),
    Case("the target of an autoscaler", "R0603", of(autoscaler("web", "‸gone"))),
    Case("the backend of an Ingress", "R0603", of(ingress(PATH.replace("NAME", "‸gone")))),
    Case(
        "the certificate of an Ingress",
        "R0603",
        of(manifest("Ingress", "web", "spec: {tls: [{secretName: ‸gone}]}", NET)),
    ),
    Case("the Role of a binding", "R0603", of(binding("RoleBinding", "‸gone", "default"))),
    Case("the ClusterRole of a binding", "R0603", of(binding("ClusterRoleBinding", "‸gone", "default", "ClusterRole"))),
    Case("the subject of a binding", "R0603", of(binding("RoleBinding", "edit", "‸gone", "ClusterRole"))),
    Case("the Service of a webhook", "R0603", of(webhook("‸gone"))),
    Case(
        "the Service of an APIService",
        "R0603",
        of(
            manifest(
                "APIService", "v1.a.b", "spec: {service: {name: ‸gone, namespace: x}}", "apiregistration.k8s.io/v1"
            )
        ),
    ),
    Case(
        "the Service of an EndpointSlice",
        "R0603",
        of(
            "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, endpoints: [], "
            "metadata: {name: a, labels: {kubernetes.io/service-name: ‸gone}}}"
        ),
    ),
    Case(
        "the policy of a binding",
        "R0603",
        of(
            manifest(
                "ValidatingAdmissionPolicyBinding", "a", "spec: {policyName: ‸gone}", "admissionregistration.k8s.io/v1"
            )
        ),
    ),
    Case(
        "the account of a token",
        "R0603",
        of(
            "{apiVersion: v1, kind: Secret, metadata: {name: a, annotations: "
            '{"kubernetes.io/service-account.name": ‸gone}}}'
        ),
    ),
    Case(
        "the source of a claim",
        "R0603",
        of(manifest("PersistentVolumeClaim", "a", "spec: {dataSource: {kind: PersistentVolumeClaim, name: ‸gone}}")),
    ),
    Case(
        "the backend of an HTTPRoute",
        "R0603",
        of(manifest("HTTPRoute", "a", "spec: {rules: [{backendRefs: [{name: ‸gone, port: 80}]}]}", GATEWAY)),
    ),
    Case(
        "the Gateway of an HTTPRoute",
        "R0603",
        of(manifest("HTTPRoute", "a", "spec: {parentRefs: [{name: ‸gone}]}", GATEWAY)),
    ),
    Case(
        "the host of a DestinationRule",
        "R0603",
        of(manifest("DestinationRule", "a", "spec: {host: ‸gone}", "networking.istio.io/v1")),
    ),
    Case(
        "the host of a VirtualService",
        "R0603",
        of(
            manifest(
                "VirtualService",
                "a",
                "spec: {http: [{route: [{destination: {host: ‸gone}}]}]}",
                "networking.istio.io/v1",
            )
        ),
    ),
    Case(
        "the Upstream of a VirtualService",
        "R0603",
        of(
            manifest(
                "VirtualService",
                "a",
                "spec: {virtualHost: {routes: [{routeAction: {single: {upstream: {name: ‸gone, namespace: x}}}}]}}",
                "gateway.solo.io/v1",
            )
        ),
    ),
    Case(
        "what a declared field names",
        "R0603",
        of(
            manifest("Cache", "a", "spec: {users: [{secretName: ‸gone}]}", "example.com/v1"),
            more="references: [{kind: Cache, path: 'spec.users[].secretName', to: Secret}]",
        ),
    ),
    Case(
        "what shared objects name",
        "R0603",
        unit(),
        f"{TWO}\nshared: [{{manifest: {ingress(PATH.replace('NAME', '‸gone'))}}}]",
    ),
    Case(
        "what a patch names",
        "R0603",
        unit(),
        patched("{name: api, kind: Deployment}", "{spec: {template: {spec: {serviceAccountName: ‸gone}}}}"),
    ),
    Case("a volume", "R0603", of(web(container=", volumeMounts: [{name: ‸gone, mountPath: /a}]"))),
    Case(
        "a key of a Secret",
        "R0603",
        of("‹" + SECRET, web(container=", env: [{name: A, valueFrom: {secretKeyRef: {name: key, key: ‸b}}}]")),
    ),
    Case(
        "a key of a ConfigMap",
        "R0603",
        of("‹" + CONFIG, web("volumes: [{name: a, configMap: {name: conf, items: [{key: ‸b, path: b}]}}], ")),
    ),
    Case(
        "a named port of pods",
        "R0303",
        of(
            "‹" + web(),
            "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, "
            "selector: {app: web}, ports: [{port: 80, targetPort: ‸gone}]}}",
        ),
    ),
    Case("a named port of a probe", "R0303", of(web(container=", livenessProbe: {httpGet: {path: /, port: ‸gone}}"))),
    Case(
        "a port of a Service, of an Ingress",
        "R0303",
        of(web(), "‹" + SERVICE, ingress(PATH.replace("NAME", "web").replace("number: 80", "number: ‸81"))),
    ),
    Case("a port of a Service, of a webhook", "R0303", of(web(), "‹" + SERVICE, webhook("web", "‸444"))),
    Case(
        "a resource, of an expression",
        "R0404",
        unit("env: {A: ‸\"{{ name('gone') }}\"}", f"resources: [{{manifest: {CONFIG}}}]"),
    ),
    Case(
        "a Service, of an expression",
        "R0404",
        unit("env: {A: ‸\"{{ host('conf') }}\"}", f"resources: [{{manifest: {CONFIG}}}]"),
    ),
    Case(
        "a kind of which nobody knows what it names",
        "R0613",
        of("‸" + manifest("Cache", "a", "spec: {}", "example.com/v1")),
        "islands: {eu: {}, us: {}}",
    ),
    Case(
        "the namespace that a reference needs",
        "R0704",
        of(
            manifest("ServiceAccount", "web", "secrets: []"),
            binding("RoleBinding", "edit", "web", "ClusterRole").replace("namespace: shop", "namespace: ‸shop"),
        ),
        namespace="",
    ),
]

FOREIGN = [
    *(Case(f"a {kind} of another island", "R0603", of(f"‹{one}", web(pod))) for kind, (one, pod) in OTHERS.items()),
    Case("the target of an autoscaler in another island", "R0603", of("‹" + web(), autoscaler("web", "‸cart-us-web"))),
    Case(
        "the Service of another island, of an Ingress",
        "R0603",
        of(web(), "‹" + SERVICE, ingress(PATH.replace("NAME", "‸cart-us-web"))),
    ),
    Case(
        "another island's ServiceAccount, by its namespace",
        "R0603",
        of(
            "‹" + manifest("ServiceAccount", "web", "secrets: []"),
            binding("RoleBinding", "edit", "‸cart-us-web", "ClusterRole"),
        ),
    ),
    Case(
        "a host of another island, in an environment",
        "R0615",
        "units:\n  ‹api: {image: 'api:1', ports: {http: 80}}\n  web: {image: 'web:1', env: {A: ‸cart-us-api:80}}",
    ),
    Case(
        "a host of another island, in arguments",
        "R0615",
        "units:\n  ‹api: {image: 'api:1', ports: {http: 80}}\n  web: {image: 'web:1', args: [‸--api=http://cart-us-api/]}",
    ),
    Case(
        "a host of another island, in a file",
        "R0615",
        "units:\n  ‹api: {image: 'api:1', ports: {http: 80}}\n"
        "  web: {image: 'web:1', files: {/a: ‸cart-us-api.shop.svc}}",
    ),
    Case(
        "a host of another island, in a ConfigMap",
        "R0615",
        of(web(), "‹" + SERVICE, manifest("ConfigMap", "conf", "data: {a: ‸'http://cart-us-web:80/'}")),
    ),
    Case(
        "a host of another island, in a probe",
        "R0615",
        of(web(container=", readinessProbe: {httpGet: {host: ‸cart-us-web, port: 80}}"), "‹" + SERVICE),
    ),
    Case(
        "a host of another island, in an annotation",
        "R0615",
        of(
            web(),
            "‹" + SERVICE,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: {a: ‸'cart-us-web:80'}}}",
        ),
    ),
    Case(
        "a host of another island, in its namespace",
        "R0615",
        of(web(container=", args: [‸web.cart-us.svc.cluster.local]"), "‹" + SERVICE),
        f"scope: namespace\n{TWO}",
    ),
    Case(
        "a host of another island, by a patch of one",
        "R0615",
        "units:\n  ‹api: {image: 'api:1', ports: {http: 80}}",
        "islands:\n  eu: {patches: [{target: {kind: Deployment}, patch: {spec: {template: {spec: {containers: "
        "[{name: api, env: [{name: A, value: ‸'cart-us-api:80'}]}]}}}}}]}\n  us: {}",
    ),
    Case(
        "a host of an island of another Set",
        "R0615",
        unit("env: {A: ‸carts-eu-api:80}").replace("api:", "‹api:"),
        "islands: {eu: {}}",
        "---\n"
        + HEAD.format(kind="IslandSet", name="carts", more=", namespace: shop")
        + "  {type: cart, islands: {eu: {}}}\n",
    ),
    Case(
        "hosts that nobody has decided on",
        "R0605",
        "units:\n  api: {image: 'api:1', ports: {http: 80}}\n  web: {image: 'web:1', env: {A: ‸api:80}}",
    ),
]

SELECTORS = [
    Case(
        "a selector that misses its own pods",
        "R0607",
        of(web(labels="{app: wep}").replace("selector: {matchLabels: {app: ", "selector: {matchLabels: {app: ‸", 1)),
    ),
    Case(
        "an expression that misses its own pods",
        "R0607",
        of(
            web().replace(
                "selector: {matchLabels: {app: web}}",
                "selector: ‸{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}",
            )
        ),
    ),
    Case(
        "two controllers of the same pods",
        "R0608",
        of(
            web().replace("selector: {", "selector: ‹{", 1),
            web().replace("name: web}", "name: app}", 1).replace("selector: {", "selector: ‸{", 1),
        ),
    ),
    Case(
        "two controllers of the same pods, by expressions",
        "R0608",
        of(
            web().replace("selector: {", "selector: ‹{", 1),
            web(labels="{app: web, tier: a}")
            .replace("name: web}", "name: app}", 1)
            .replace(
                "selector: {matchLabels: {app: web}}", "selector: ‸{matchExpressions: [{key: tier, operator: Exists}]}"
            ),
        ),
    ),
    Case(
        "a controller of a pod by itself",
        "R0608",
        of(
            web().replace("selector: {", "selector: ‹{", 1),
            "‸{apiVersion: v1, kind: Pod, metadata: {name: one, labels: {app: web}}, "
            "spec: {containers: [{name: a, image: b}]}}",
        ),
    ),
    Case(
        "a unit and a manifest of the same pods",
        "R0608",
        of(
            web().replace("{app: web}", "{app.kubernetes.io/component: api}").replace("selector: {", "selector: ‸{", 1),
            more="units:\n  ‹api: {image: 'api:1'}",
        ),
    ),
    Case(
        "two budgets of the same pods",
        "R0608",
        of(
            web(),
            budget("a", "‹{matchLabels: {app: web}}"),
            budget("b", "‸{matchExpressions: [{key: app, operator: Exists}]}"),
        ),
    ),
    Case(
        "a Service that takes in other islands' pods",
        "R0608",
        of("‹" + web(), SERVICE),
        patched("{kind: Service}", "{spec: {selector: {$patch: replace, app: web}}}"),
    ),
    Case(
        "a policy that takes in other islands' pods",
        "R0608",
        of("‹" + web(), manifest("NetworkPolicy", "a", "spec: {podSelector: {matchLabels: {app: web}}}", NET)),
        patched("{kind: NetworkPolicy}", "{spec: {podSelector: {matchLabels: {$patch: replace, app: web}}}}"),
    ),
    Case(
        "a budget that takes in the pods of another Set",
        "R0608",
        of("‹" + web(), budget("web", "{matchLabels: {app: web}}")),
        "islands: {eu: {}}\npatches: [{target: {kind: PodDisruptionBudget}, patch: {spec: {selector: {$patch: replace, "
        "matchExpressions: [{key: app, operator: In, values: [web]}]}}}}]",
        "---\n"
        + HEAD.format(kind="IslandSet", name="other", more=", namespace: shop")
        + "  {type: cart, islands: {eu: {}}}\n",
    ),
    Case("a Service that selects nothing", "R0614", of(web(), service("type: NodePort, ", selector="‸{app: wep}"))),
    Case("a budget that selects nothing", "R0614", of(web(), budget("a", "‸{matchLabels: {app: wep}}"))),
    Case(
        "a policy that selects nothing",
        "R0614",
        of(web(), manifest("NetworkPolicy", "a", "spec: {podSelector: ‸{matchLabels: {app: wep}}}", NET)),
    ),
]

SHARED = [
    Case(
        "two autoscalers of one workload",
        "R0609",
        of(
            web(),
            autoscaler("a").replace("scaleTargetRef: {", "scaleTargetRef: ‹{"),
            autoscaler("b").replace("scaleTargetRef: {", "scaleTargetRef: ‸{"),
        ),
    ),
    Case(
        "a number of pods beside an autoscaler",
        "R0609",
        of(web(more="replicas: ‸2, "), autoscaler("a").replace("scaleTargetRef: {", "scaleTargetRef: ‹{")),
    ),
    Case(
        "one port of the nodes",
        "R0610",
        of(web(container="").replace("containerPort: 80", "containerPort: 80, hostPort: ‸8080")),
        "islands: {eu: {}, ‹us: {}}",
    ),
    Case(
        "one port of the nodes, in their network",
        "R0610",
        of(web("hostNetwork: true, ").replace("containerPort: 80", "containerPort: ‸80")),
        "islands: {eu: {}, ‹us: {}}",
    ),
    Case(
        "one nodePort",
        "R0610",
        of(web(), SERVICE.replace("port: 80", "port: 80, nodePort: ‸30080")),
        "islands: {‹eu: {}, us: {}}",
    ),
    Case(
        "one nodePort in one island",
        "R0610",
        of(
            web(),
            SERVICE.replace("port: 80", "port: 80, nodePort: ‸30080"),
            service("type: NodePort, ", "two").replace("port: 80", "port: 80, nodePort: ‹30080"),
        ),
        "islands: {eu: {}}",
    ),
    Case(
        "one nodePort of an island and of what is shared",
        "R0610",
        of(web(), SERVICE.replace("port: 80", "port: 80, nodePort: ‸30080")),
        "islands: {eu: {}}\nshared: [{manifest: "
        + service("type: NodePort, ", "two").replace("port: 80", "port: 80, nodePort: ‹30080")
        + "}]",
    ),
    Case(
        "one nodePort of islands of two Sets",
        "R0610",
        of(web(), SERVICE.replace("port: 80", "port: 80, nodePort: ‸30080")),
        "islands: {‹eu: {}}",
        "---\n"
        + HEAD.format(kind="IslandSet", name="other", more=", namespace: shop")
        + "  {type: cart, islands: {eu: {}}}\n",
    ),
    Case(
        "one address",
        "R0610",
        of(web(), service("type: NodePort, clusterIP: ‸10.0.0.9, ")),
        "islands: {‹eu: {}, us: {}}",
    ),
    Case(
        "one host and path",
        "R0610",
        of(web(), SERVICE, ingress(PATH.replace("NAME", "web")).replace("rules: [{", "rules: [‸{")),
        "islands: {‹eu: {}, us: {}}",
    ),
    Case(
        "one value by a parameter",
        "R0610",
        of(
            web(),
            SERVICE.replace("port: 80", 'port: 80, nodePort: ‸"{{ params.port }}"'),
            more="params: {port: {type: integer}}",
        ),
        "islands: {‹eu: {params: {port: 30081}}, us: {params: {port: 30081}}, ap: {params: {port: 30082}}}",
    ),
    Case("one name of two objects", "R0507", of("‹" + CONFIG, "‸" + CONFIG)),
    Case(
        "one name of a unit's and a manifest's object",
        "R0507",
        of("‸" + service("type: NodePort, ", "api"), web(), more="units:\n  ‹api: {image: 'api:1', ports: {http: 80}}"),
    ),
    Case(
        "one name of islands of two Sets",
        "R0507",
        unit(),
        "islands: {‹b-c: {}}",
        "---\n"
        + HEAD.format(kind="IslandSet", name="cart-b", more=", namespace: shop")
        + "  {type: other, islands: {‸c: {}}}\n---\n"
        + HEAD.format(kind="IslandType", name="other", more="")
        + "  units: {db: {image: 'db:1'}}\n",
    ),
    Case(
        "one name of islands that are namespaces",
        "R0507",
        unit(),
        "scope: namespace\nislands: {‹b-c: {}}",
        "---\n"
        + HEAD.format(kind="IslandSet", name="cart-b", more="")
        + "  {type: cart, scope: namespace, islands: {‸c: {}}}\n",
        namespace="",
    ),
    Case(
        "one name of an island's and of what is shared",
        "R0507",
        of("‸" + CONFIG),
        f"{TWO}\nshared: [{{manifest: ‹{CONFIG.replace('name: conf', 'name: cart-eu-conf')}}}]",
    ),
]

CASES = [*DANGLING, *FOREIGN, *SELECTORS, *SHARED]


def _places(text: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """The text without its marks, and the line and column of each mark."""
    found: dict[str, tuple[int, int]] = {}
    for mark in ("‸", "‹"):
        at = text.replace("‹" if mark == "‸" else "‸", "").find(mark)
        before = text.replace("‹" if mark == "‸" else "‸", "")[:at]
        if at >= 0:
            found[mark] = before.count("\n") + 1, at - before.rfind("\n")
    return text.replace("‸", "").replace("‹", ""), found


def _at(place: Place | None) -> tuple[int, int] | None:
    return (place.line, place.column) if place else None


def judged(text: str) -> list[Diagnostic]:
    return build([Source("dsl.yaml", text.encode())]).diagnostics


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_a_violation_is_found_at_its_places(case: Case) -> None:
    text, places = _places(case.text())
    found = judged(text)
    assert [one.code for one in found] == [case.code], [(one.message, _at(one.place)) for one in found]
    assert _at(found[0].place) == places.get("‸", _at(found[0].place)), found[0].message
    if "‹" in places:
        assert places["‹"] in [_at(one.place) for one in found[0].related], found[0]


def test_there_are_many_violations() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40
    for case in CASES:
        assert "‸" in case.text() or "patches:" in case.members, case.name  # a patch has the place of what it changes
