"""Units to workloads: every kind, what comes with it, the escape hatches, and what does not go together."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from strict_schemas import problems

from replicator.pipeline import Built, Options, Source, build

Object = dict[str, Any]

ISLAND, COMPONENT = "replicator.dev/island", "app.kubernetes.io/component"
FILES = "replicator.dev/files"

PARAMS = """
    number: {type: integer, default: 3}
    word: {type: string, default: x}
    words: {type: array, items: {type: string}, default: [serve, fast]}
    map: {type: object, default: {requests: {cpu: 100m}}}
"""


def dsl(units: str, islands: str = "{eu: {}}") -> str:
    """A Type of these units (each a line in flow style), and a Set of it."""
    return f"""
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {{name: cart}}
spec:
  params:{PARAMS}
  external: {{Secret: [db], ConfigMap: [flags]}}
  units:
    {units.strip()}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {{name: shop, namespace: shop}}
spec: {{type: cart, islands: {islands}}}
"""


def run(text: str, root: Path | None = None) -> Built:
    name = str(root / "dsl.yaml") if root else "dsl.yaml"
    return build([Source(name, text.encode())], Options(root=str(root) if root else None))


def compiled(units: str, islands: str = "{eu: {}}", root: Path | None = None) -> dict[tuple[str, str], Object]:
    """The objects by kind and name without the island's; they must be such as a cluster takes."""
    built = run(dsl(units, islands), root)
    assert built.diagnostics == []
    objects = list(yaml.safe_load_all(b"".join(built.texts())))
    assert problems(objects) == []
    found = {(item["kind"], item["metadata"]["name"].removeprefix("shop-eu-")): item for item in objects}
    assert len(found) == len(objects)
    return found


def faults(units: str, root: Path | None = None) -> list[tuple[str, str]]:
    """The code of every finding, and the text that it points at."""
    text = dsl(units)
    built = run(text, root)
    found = []
    for one in built.diagnostics:
        assert one.place is not None
        assert "Hole(" not in one.message
        line = text.splitlines()[one.place.line - 1]
        found.append((one.code, line[one.place.column - 1 : one.place.end_column - 1]))
    return found


def pod_of(workload: Object) -> Object:
    spec = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload["spec"]
    template: Object = spec["template"]
    return template


def container_of(workload: Object, at: int = 0) -> Object:
    container: Object = pod_of(workload)["spec"]["containers"][at]
    return container


# Kinds


@pytest.mark.parametrize(
    ("kind", "api_version", "more"),
    [
        ("Deployment", "apps/v1", ""),
        ("StatefulSet", "apps/v1", ""),
        ("DaemonSet", "apps/v1", ""),
        ("Job", "batch/v1", ""),
        ("CronJob", "batch/v1", ', schedule: "0 3 * * *"'),
    ],
)
def test_every_kind(kind: str, api_version: str, more: str) -> None:
    objects = compiled(f"api: {{kind: {kind}, image: 'api:1', ports: {{http: 8080}}{more}}}")
    workload, service = objects[kind, "api"], objects["Service", "api"]
    headless = {("Service", "api-headless")} if kind == "StatefulSet" else set()
    assert objects.keys() == {(kind, "api"), ("Service", "api")} | headless
    assert workload["apiVersion"] == api_version
    labels = pod_of(workload)["metadata"]["labels"]
    own = {ISLAND: "shop-eu", COMPONENT: "api"}
    assert own.items() <= labels.items()
    assert service["spec"]["selector"] == own
    ours = None if kind in ("Job", "CronJob") else {"matchLabels": own}  # the Job controller makes its own
    assert workload["spec"].get("selector") == ours
    assert pod_of(workload)["spec"].get("restartPolicy") == ("Never" if kind in ("Job", "CronJob") else None)
    assert workload["spec"].get("schedule") == ("0 3 * * *" if more else None)
    assert "replicas" not in workload["spec"]  # none is said: the API server's default


def test_a_unit_is_a_deployment_unless_it_says_otherwise() -> None:
    objects = compiled("api: {image: 'api:1', replicas: 3}")
    assert list(objects) == [("Deployment", "api")]
    assert objects["Deployment", "api"]["spec"]["replicas"] == 3


@pytest.mark.parametrize("written", ["0", '"{{ params.number }}"', '"{{ params.number - 3 }}"'])
def test_replicas(written: str) -> None:
    objects = compiled(f"api: {{image: 'api:1', replicas: {written}}}")
    assert objects["Deployment", "api"]["spec"]["replicas"] == (3 if written == '"{{ params.number }}"' else 0)


def test_a_statefulset_has_a_governing_service() -> None:
    objects = compiled("db: {kind: StatefulSet, image: 'db:1', replicas: 3, ports: {sql: 5432}}")
    workload, headless = objects["StatefulSet", "db"], objects["Service", "db-headless"]
    assert workload["spec"]["serviceName"] == headless["metadata"]["name"] == "shop-eu-db-headless"
    assert workload["metadata"]["namespace"] == headless["metadata"]["namespace"]
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert headless["spec"]["selector"] == workload["spec"]["selector"]["matchLabels"]
    assert headless["spec"]["ports"] == objects["Service", "db"]["spec"]["ports"]
    assert "clusterIP" not in objects["Service", "db"]["spec"]


def test_a_statefulset_without_ports_has_its_governing_service_too() -> None:
    objects = compiled("db: {kind: StatefulSet, image: 'db:1'}")
    assert objects.keys() == {("StatefulSet", "db"), ("Service", "db-headless")}
    assert "ports" not in objects["Service", "db-headless"]["spec"]


STORED = """
    db:
      kind: StatefulSet
      image: db:1
      storage:
        /var/lib/Data_1: {size: 1Gi}
        /wal: {name: journal, size: "{{ params.number }}Gi", storageClassName: fast, accessModes: [ReadWriteOncePod]}
"""


def test_claims() -> None:
    spec = compiled(STORED)["StatefulSet", "db"]["spec"]
    first, second = spec["volumeClaimTemplates"]
    assert first["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    assert second["metadata"] == {"name": "journal"}
    assert second["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert second["spec"]["storageClassName"] == "fast"
    assert second["spec"]["accessModes"] == ["ReadWriteOncePod"]
    names = [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]]
    mounts = spec["template"]["spec"]["containers"][0]["volumeMounts"]
    assert [mount["mountPath"] for mount in mounts] == ["/var/lib/Data_1", "/wal"]
    assert [mount["name"] for mount in mounts] == names


def test_claims_are_retained_unless_the_author_says_otherwise() -> None:
    field = "persistentVolumeClaimRetentionPolicy"
    assert compiled(STORED)["StatefulSet", "db"]["spec"][field] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    said = STORED + f"      spec: {{{field}: {{whenScaled: Delete}}}}\n"
    assert compiled(said)["StatefulSet", "db"]["spec"][field] == {"whenDeleted": "Retain", "whenScaled": "Delete"}
    unstored = compiled("db: {kind: StatefulSet, image: 'db:1'}")
    assert field not in unstored["StatefulSet", "db"]["spec"]


def test_jobs_keep_their_own_fields() -> None:
    objects = compiled("""
    once:
      kind: Job
      image: once:1
      spec: {backoffLimit: 0, ttlSecondsAfterFinished: 60, completions: "{{ params.number }}"}
    nightly:
      kind: CronJob
      schedule: "*/5 3 * * 1-5"
      image: nightly:1
      pod: {restartPolicy: OnFailure}
      spec: {concurrencyPolicy: Forbid, timeZone: Europe/Berlin, jobTemplate: {spec: {backoffLimit: 1}}}
    """)
    once, nightly = objects["Job", "once"]["spec"], objects["CronJob", "nightly"]["spec"]
    assert (once["backoffLimit"], once["ttlSecondsAfterFinished"], once["completions"]) == (0, 60, 3)
    assert (nightly["schedule"], nightly["concurrencyPolicy"]) == ("*/5 3 * * 1-5", "Forbid")
    assert nightly["timeZone"] == "Europe/Berlin"
    assert nightly["jobTemplate"]["spec"]["backoffLimit"] == 1
    assert pod_of(objects["CronJob", "nightly"])["spec"]["restartPolicy"] == "OnFailure"
    assert container_of(objects["CronJob", "nightly"])["image"] == "nightly:1"


# Autoscaling


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_an_autoscaler_decides_the_replicas(kind: str) -> None:
    scaled = "autoscale: {min: 2, max: 10, cpu: 70, memory: 80}"
    objects = compiled(f"api: {{kind: {kind}, image: 'api:1', replicas: 3, {scaled}}}")
    spec = objects["HorizontalPodAutoscaler", "api"]["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": kind, "name": "shop-eu-api"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    targets = {one["resource"]["name"]: one["resource"]["target"] for one in spec["metrics"]}
    assert targets == {
        name: {"type": "Utilization", "averageUtilization": percent} for name, percent in (("cpu", 70), ("memory", 80))
    }
    assert "replicas" not in objects[kind, "api"]["spec"]


def test_an_autoscaler_with_metrics_and_behavior() -> None:
    objects = compiled("""
    api:
      image: api:1
      autoscale:
        max: "{{ params.number }}"
        metrics:
          - {type: Pods, pods: {metric: {name: queue}, target: {type: AverageValue, averageValue: "5"}}}
        behavior: {scaleDown: {stabilizationWindowSeconds: 60}}
    """)
    spec = objects["HorizontalPodAutoscaler", "api"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 3)
    assert [metric["type"] for metric in spec["metrics"]] == ["Pods"]
    assert spec["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 60}}


# Containers


def test_a_sidecar_is_merged_by_its_name() -> None:
    objects = compiled("""
    api:
      image: api:1
      ports: {http: 8080}
      files: {/etc/api.conf: "a=b"}
      pod:
        containers:
          - {name: logs, image: "logs:1", volumeMounts: [{name: spool, mountPath: /spool}]}
          - {name: api, workingDir: /srv, volumeMounts: [{name: spool, mountPath: /var/spool}]}
        volumes: [{name: spool, emptyDir: {}}]
        terminationGracePeriodSeconds: 90
    """)
    spec = pod_of(objects["Deployment", "api"])["spec"]
    api, logs = spec["containers"]  # the unit's own stays the first: it is what `kubectl exec` takes
    assert (api["name"], api["image"], api["workingDir"]) == ("api", "api:1", "/srv")
    assert [port["containerPort"] for port in api["ports"]] == [8080]
    assert [mount["mountPath"] for mount in api["volumeMounts"]] == ["/etc/api.conf", "/var/spool"]
    assert (logs["name"], logs["image"]) == ("logs", "logs:1")
    assert [volume["name"] for volume in spec["volumes"]] == ["api-files", "spool"]
    assert spec["terminationGracePeriodSeconds"] == 90


@pytest.mark.parametrize("more", ["kind: Deployment", "kind: Job", "kind: CronJob, schedule: '0 3 * * *'"])
def test_a_native_sidecar_starts_before_the_unit(more: str) -> None:
    objects = compiled(f"""
    api:
      {{image: "api:1", {more}, pod: {{initContainers: [
        {{name: proxy, image: "proxy:1", restartPolicy: Always, ports: [{{name: admin, containerPort: 9901}}]}},
        {{name: migrate, image: "api:1", command: [migrate, "{{{{ island.key }}}}"]}}]}}}}
    """)
    workload = next(item for (kind, _), item in objects.items() if kind != "Service")
    proxy, migrate = pod_of(workload)["spec"]["initContainers"]
    assert (proxy["name"], proxy["restartPolicy"]) == ("proxy", "Always")
    assert migrate["command"] == ["migrate", "eu"]
    assert [container["name"] for container in pod_of(workload)["spec"]["containers"]] == ["api"]


def test_environment_comes_from_text_secrets_config_maps_and_fields() -> None:
    objects = compiled("""
    api:
      image: api:1
      env:
        NUMBER: 1
        SWITCH: true
        WORD: "{{ params.number }}"
        PASSWORD: {secret: db, key: password}
        FLAGS: {configMap: flags, key: all, optional: true}
        ADDRESS: {field: status.podIP}
        GONE: "{{ omit }}"
      envFrom: [{secretRef: {name: db}}]
    """)
    container = container_of(objects["Deployment", "api"])
    variables = {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}
    assert variables == {
        "NUMBER": "1",
        "SWITCH": "true",
        "WORD": "3",
        "PASSWORD": {"secretKeyRef": {"name": "db", "key": "password"}},
        "FLAGS": {"configMapKeyRef": {"name": "flags", "key": "all", "optional": True}},
        "ADDRESS": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
    }
    assert list(variables) == sorted(variables)
    assert container["envFrom"] == [{"secretRef": {"name": "db"}}]


@pytest.mark.parametrize(
    ("env", "order"),
    [
        ("{B: x, A: z}", "AB"),
        ("{A: $(Z), Z: x}", "ZA"),
        ("{A: '$(C)-$(B)', B: $(C), C: $(D), D: x}", "DCBA"),
        ("{A: $(B), B: $(C), C: {secret: db, key: a}}", "CBA"),
        ("{A: '{{ params.word }}$(B)', B: x}", "BA"),
        ("{A: $$(B), B: x}", "AB"),  # escaped
        ("{A: $$$(B), B: x}", "BA"),
        ("{A: $(GONE), B: $(B)}", "AB"),
        ("{A: $(B), B: $(C), C: $(A), D: $(A)}", "CBAD"),
    ],
)
def test_variables_come_after_those_that_they_refer_to(env: str, order: str) -> None:
    """The kubelet expands a reference to a variable before it, and leaves any other as it is."""
    objects = compiled(f"api: {{image: 'api:1', env: {env}}}")
    assert "".join(one["name"] for one in container_of(objects["Deployment", "api"])["env"]) == order


def test_a_long_chain_of_variables() -> None:
    env = ", ".join(f"V{number:04}: $(V{number + 1:04})" for number in range(2000))
    objects = compiled(f"api: {{image: 'api:1', env: {{{env}, V2000: x}}}}")
    names = [one["name"] for one in container_of(objects["Deployment", "api"])["env"]]
    assert names == [f"V{number:04}" for number in range(2000, -1, -1)]


def test_whole_fields_from_expressions_keep_their_type() -> None:
    objects = compiled(
        "api: {image: 'api:1', args: '{{ params.words }}', resources: '{{ params.map }}',"
        " ports: {http: '{{ params.number + 8000 }}'}}"
    )
    container = container_of(objects["Deployment", "api"])
    assert container["args"] == ["serve", "fast"]
    assert container["resources"] == {"requests": {"cpu": "100m"}}
    assert container["ports"] == [{"name": "http", "containerPort": 8003, "protocol": "TCP"}]


# Files


def test_files_are_mounted_one_by_one(tmp_path: Path) -> None:
    binary = bytes(range(256))
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "ca.pem").write_bytes(b"-----BEGIN-----\n{{ not.ours }}\n")
    (tmp_path / "conf" / "keys.jks").write_bytes(binary)
    objects = compiled(
        """
    api:
      image: api:1
      files:
        /etc/api/app.yaml: "island: {{ island.name }}\\n"
        /etc/api/ca.pem: {file: conf/ca.pem}
        /etc/api/keys.jks: {file: conf/keys.jks}
        /usr/share/empty: ""
        /etc/api/none: "{{ omit }}"
        """,
        root=tmp_path,
    )
    config = objects["ConfigMap", "api-files"]
    assert config["data"] == {
        "etc.api.app.yaml": "island: shop-eu\n",
        "etc.api.ca.pem": "-----BEGIN-----\n{{ not.ours }}\n",
        "usr.share.empty": "",
    }
    assert {key: base64.b64decode(text) for key, text in config["binaryData"].items()} == {"etc.api.keys.jks": binary}
    mounts = container_of(objects["Deployment", "api"])["volumeMounts"]
    assert {mount["mountPath"]: mount["subPath"] for mount in mounts} == {
        "/etc/api/app.yaml": "etc.api.app.yaml",  # by itself: the image's other files in /etc/api stay visible
        "/etc/api/ca.pem": "etc.api.ca.pem",
        "/etc/api/keys.jks": "etc.api.keys.jks",
        "/usr/share/empty": "usr.share.empty",
    }
    assert all(mount["readOnly"] for mount in mounts)
    volumes = pod_of(objects["Deployment", "api"])["spec"]["volumes"]
    assert volumes == [{"name": "api-files", "configMap": {"name": config["metadata"]["name"]}}]
    assert {mount["name"] for mount in mounts} == {"api-files"}


def test_a_file_that_is_other_rolls_its_own_unit_and_no_other(tmp_path: Path) -> None:
    units = """
    api: {image: "api:1", files: {/etc/a: {file: a}, /etc/b: "{{ params.word }}"}}
    web: {image: "web:1", files: {/etc/a: {file: a2}}}
    """
    (tmp_path / "a2").write_text("web's")
    digests = set()
    web = []
    for content in (b"one", b"two", b"\xff"):
        (tmp_path / "a").write_bytes(content)
        objects = compiled(units, root=tmp_path)
        digests.add(pod_of(objects["Deployment", "api"])["metadata"]["annotations"][FILES])
        web.append([item for (_, name), item in objects.items() if name.startswith("web")])
    assert len(digests) == 3
    assert all(len(digest) == 16 for digest in digests)
    assert web[0] == web[1] == web[2]


def test_islands_of_equal_files_have_equal_digests() -> None:
    islands = "{eu: {}, us: {}, ap: {params: {word: other}}}"
    objects = compiled("api: {image: 'api:1', files: {/etc/a: '{{ params.word }}'}}", islands)
    deployments = [item for (kind, _), item in objects.items() if kind == "Deployment"]
    digests = {item["metadata"]["name"]: pod_of(item)["metadata"]["annotations"].get(FILES) for item in deployments}
    assert digests["shop-eu-api"] == digests["shop-us-api"] != digests["shop-ap-api"]


# Escape hatches


def test_spec_service_and_pod_metadata() -> None:
    objects = compiled("""
    api:
      image: api:1
      ports: {http: {containerPort: 8080, servicePort: 80, appProtocol: http}, dns: {containerPort: 53, protocol: UDP}}
      spec: {strategy: {type: Recreate}, revisionHistoryLimit: "{{ params.number }}"}
      service:
        type: LoadBalancer
        externalTrafficPolicy: Local
        labels: {tier: front}
        annotations: {example.com/island: "{{ island.key }}"}
        ports: [{port: 80, nodePort: 30080}]
      podMetadata: {labels: {tier: "{{ params.word }}"}, annotations: {scrape: true, port: 9090}}
    """)
    deployment, service = objects["Deployment", "api"], objects["Service", "api"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["revisionHistoryLimit"] == 3
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert service["metadata"]["labels"].items() >= {"tier": "front", ISLAND: "shop-eu"}.items()
    assert service["metadata"]["annotations"] == {"example.com/island": "eu"}
    dns, http = service["spec"]["ports"]
    assert http.items() >= {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}.items()
    assert (http["appProtocol"], http["nodePort"]) == ("http", 30080)
    assert dns == {"name": "dns", "port": 53, "targetPort": "dns", "protocol": "UDP"}
    metadata = pod_of(deployment)["metadata"]
    assert metadata["annotations"] == {"scrape": "true", "port": "9090"}
    assert metadata["labels"]["tier"] == "x"
    assert "tier" not in deployment["spec"]["selector"]["matchLabels"]  # selectors are immutable, labels are not
    assert "tier" not in service["spec"]["selector"]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}, "minReadySeconds": 5}),
        ("StatefulSet", {"podManagementPolicy": "Parallel", "updateStrategy": {"rollingUpdate": {"partition": 1}}}),
        ("Deployment", {"strategy": {"rollingUpdate": {"maxSurge": "25%"}}, "paused": True}),
        ("Job", {"parallelism": 2, "completionMode": "Indexed", "completions": 4}),
    ],
)
def test_spec_has_the_fields_of_the_kind(kind: str, spec: Object) -> None:
    made = compiled(f"api: {{kind: {kind}, image: 'api:1', spec: {spec}}}")[kind, "api"]["spec"]
    assert {field: made[field] for field in spec} == spec


def test_container_fields_by_their_own_names() -> None:
    objects = compiled("""
    api:
      image: api:1
      imagePullPolicy: Always
      command: [run, "{{ params.word }}"]
      readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: "{{ params.number }}"}
      livenessProbe: {exec: {command: [alive]}}
      lifecycle: {preStop: {sleep: {seconds: 5}}}
      securityContext: {runAsNonRoot: true, capabilities: {drop: [ALL]}}
      tty: true
      stdin: true
      ports: {http: 8080}
    """)
    container = container_of(objects["Deployment", "api"])
    assert container["command"] == ["run", "x"]
    assert container["readinessProbe"] == {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 3}
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert (container["tty"], container["stdin"], container["imagePullPolicy"]) == (True, True, "Always")


# What does not go together

BETWEEN_KINDS = [
    ("{kind: DaemonSet, image: a, replicas: 2}", "R0307", "replicas"),
    ("{kind: Job, image: a, replicas: 2}", "R0307", "replicas"),
    ("{kind: CronJob, schedule: '0 3 * * *', image: a, replicas: 2}", "R0307", "replicas"),
    ("{kind: DaemonSet, image: a, autoscale: {max: 3, cpu: 70}}", "R0307", "autoscale"),
    ("{kind: Job, image: a, autoscale: {max: 3, cpu: 70}}", "R0307", "autoscale"),
    ("{kind: CronJob, image: a}", "R0202", "api"),
    ("{kind: Job, image: a, schedule: '0 3 * * *'}", "R0307", "schedule"),
    ("{image: a, schedule: '0 3 * * *'}", "R0307", "schedule"),
    ("{image: a, storage: {/data: {size: 1Gi}}}", "R0307", "storage"),
    ("{kind: DaemonSet, image: a, storage: {/data: {size: 1Gi}}}", "R0307", "storage"),
    ("{kind: Pod, image: a}", "R0205", "Pod"),
    ("{image: a, init: true}", "R0310", "init"),
]


@pytest.mark.parametrize(("unit", "code", "at"), BETWEEN_KINDS)
def test_fields_of_other_kinds(unit: str, code: str, at: str) -> None:
    assert faults(f"api: {unit}") == [(code, at)]


@pytest.mark.parametrize(
    ("kind", "policy"),
    [("Job", "Always"), ("CronJob", "Always"), ("Deployment", "Never"), ("StatefulSet", "OnFailure")],
)
def test_restart_policies_that_the_kind_cannot_have(kind: str, policy: str) -> None:
    more = "schedule: '0 3 * * *', " if kind == "CronJob" else ""
    [(_, at)] = faults(f"api: {{kind: {kind}, {more}image: a, pod: {{restartPolicy: {policy}}}}}")
    assert at in (policy, "restartPolicy")


@pytest.mark.parametrize("written", ["{{ params.word }}", "On{{ params.word }}"])
def test_a_restart_policy_by_an_expression(written: str) -> None:
    units = f"api: {{kind: Job, image: a, pod: {{restartPolicy: '{written}'}}}}"
    said = {"{{ params.word }}": "OnFailure", "On{{ params.word }}": "Failure"}[written]
    [job] = compiled(units, f"{{eu: {{params: {{word: {said}}}}}}}").values()
    assert pod_of(job)["spec"]["restartPolicy"] == "OnFailure"
    [one] = run(dsl(units, f"{{eu: {{params: {{word: {said}}}}}, us: {{params: {{word: Always}}}}}}")).diagnostics
    assert one.code == "R0307"
    assert "Always" in one.message
    assert one.place is not None


@pytest.mark.parametrize(
    ("autoscale", "extra", "code", "at"),
    [
        ("{max: 3, cpu: 70}", "spec: {replicas: 2}, ", "R0307", "replicas"),
        ("{max: 3}", "", "R0202", "autoscale"),
        ("{cpu: 70}", "", "R0202", "autoscale"),
        ("{min: 0, max: 3, cpu: 70}", "", "R0405", "0"),
        ("{max: '{{ params.number - 3 }}', cpu: 70}", "", "R0405", "'{{ params.number - 3 }}'"),
    ],
)
def test_autoscalers_that_cannot_be(autoscale: str, extra: str, code: str, at: str) -> None:
    assert faults(f"api: {{image: a, {extra}autoscale: {autoscale}}}") == [(code, at)]


@pytest.mark.parametrize("written", ["{min: 4, max: 3, cpu: 70}", "{min: '{{ params.number + 1 }}', max: 3, cpu: 70}"])
def test_an_autoscaler_whose_least_is_more_than_its_most(written: str) -> None:
    [(_, at)] = faults(f"api: {{image: a, autoscale: {written}}}")
    assert at in ("4", "3", "min", "max", "autoscale", "'{{ params.number + 1 }}'")


NIGHTLY = "kind: CronJob, schedule: '0 3 * * *'"
OTHERS_POD = "{metadata: {labels: {replicator.dev/island: shop-us}}}"
COMPILERS_OWN = [
    ("{image: a, spec: {replicas: 2}}", "replicas"),
    ("{image: a, spec: {selector: {matchLabels: {a: b}}}}", "selector"),
    ("{image: a, spec: {template: {}}}", "template"),
    ("{kind: StatefulSet, image: a, spec: {serviceName: other}}", "serviceName"),
    ("{kind: StatefulSet, image: a, spec: {volumeClaimTemplates: []}}", "volumeClaimTemplates"),
    ("{image: a, service: {type: NodePort}}", "service"),
    # A Service of the island that chooses pods of another.
    ("{image: a, ports: {http: 80}, service: {selector: {replicator.dev/island: shop-us}}}", "selector"),
    # Pods of the island that are chosen by another.
    (f"{{{NIGHTLY}, image: a, spec: {{jobTemplate: {{spec: {{template: {OTHERS_POD}}}}}}}}}", "template"),
    (
        "{kind: CronJob, schedule: '0 3 * * *', image: a, spec: {jobTemplate: {spec: {selector: {}}}}}",
        "selector",
    ),
    ("{kind: CronJob, schedule: '0 3 * * *', image: a, spec: {schedule: '0 4 * * *'}}", "schedule"),
]


@pytest.mark.parametrize(("unit", "at"), COMPILERS_OWN)
def test_what_the_compiler_writes_is_not_given_twice(unit: str, at: str) -> None:
    assert faults(f"api: {unit}") == [("R0307", at)]


@pytest.mark.parametrize("label", [ISLAND, COMPONENT, "replicator.dev/set"])
@pytest.mark.parametrize("field", ["podMetadata: {labels", "ports: {http: 80}, service: {labels"])
def test_labels_that_tell_islands_apart_are_not_for_authors(label: str, field: str) -> None:
    assert faults(f"api: {{image: a, {field}: {{{label}: other}}}}}}") == [("R0304", label)]


@pytest.mark.parametrize(
    ("ports", "at"),
    [
        ("{http: 80, web: 80}", "web"),
        ("{a: {containerPort: 80, servicePort: 1}, b: {containerPort: 81, servicePort: 1}}", "b"),
        ("{a: {containerPort: 80, servicePort: 81}, b: 81}", "b"),
        ("{a: 81, b: {containerPort: 80, servicePort: 81}}", "b"),
        ("{a: 3, b: '{{ params.number }}'}", "b"),
    ],
)
def test_ports_of_one_number(ports: str, at: str) -> None:
    [(code, found)] = faults(f"api: {{image: a, ports: {ports}}}")
    assert code == "R0305"
    assert found in (at, "'{{ params.number }}'")


def test_ports_of_one_number_and_different_protocols() -> None:
    ports = "{dns: {containerPort: 53, protocol: UDP}, dns-tcp: 53}"
    service = compiled(f"api: {{image: 'a:1', ports: {ports}}}")["Service", "api"]
    assert [(port["port"], port["protocol"]) for port in service["spec"]["ports"]] == [(53, "UDP"), (53, "TCP")]


@pytest.mark.parametrize(
    ("unit", "code", "at"),
    [
        ("{image: a, files: {etc/a: x}}", "R0308", "etc/a"),
        ("{image: a, files: {/etc/../a: x}}", "R0308", "/etc/../a"),
        ("{image: a, files: {/etc/: x}}", "R0308", "/etc/"),
        ("{image: a, files: {/a/b: x, /a.b: x}}", "R0308", "/a.b"),
        ("{image: a, files: {/a: {file: gone}}}", "R0801", "gone"),
        ("{image: a, files: {/a: {file: ../outside}}}", "R0801", "../outside"),
        ("{image: a, files: {/a: '{{ params.words }}'}}", "R0408", "'{{ params.words }}'"),
        ("{image: a, files: {/a: x}, pod: {volumes: [{name: api-files, emptyDir: {}}]}}", "R0305", "api-files"),
        ("{kind: StatefulSet, image: a, storage: {data: {size: 1Gi}}}", "R0307", "data"),
        ("{kind: StatefulSet, image: a, storage: {/a: {size: 1Gi}, /A: {size: 1Gi}}}", "R0305", "/A"),
    ],
)
def test_files_and_volumes_that_cannot_be(unit: str, code: str, at: str, tmp_path: Path) -> None:
    (tmp_path.parent / "outside").write_text("")
    assert faults(f"api: {unit}", tmp_path) == [(code, at)]


def test_files_that_are_together_more_than_a_config_map_holds(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"x" * 600_000)
    [(code, _)] = faults("api: {image: a, files: {/1: {file: one}, /2: {file: two}}}", tmp_path)
    assert code == "R0313"


def test_files_of_one_island_that_are_more_than_a_config_map_holds() -> None:
    units = "api: {image: a, files: {/1: '{{ params.word }}', /2: '{{ params.word }}'}}"
    islands = "{{eu: {{params: {{word: {}}}}}, us: {{}}}}"
    [large] = run(dsl(units, islands.format("x" * 524_288))).diagnostics
    assert (large.code, large.severity) == ("R0710", "warning")
    [one] = run(dsl(units, islands.format("x" * 524_289))).diagnostics
    assert one.code == "R0313"
    assert one.related[0].message == "for this island"


def test_a_text_that_is_more_than_a_config_map_holds() -> None:
    [(code, _)] = faults(f"api: {{image: a, files: {{/a: {'x' * 1_048_577}}}}}")
    assert code == "R0313"


def test_a_path_that_is_no_key_of_a_config_map() -> None:
    path = "/etc/" + "x" * 250  # a key has at most 253 characters
    assert faults(f"api: {{image: a, files: {{{path}: x}}}}") == [("R0308", path)]
    assert faults("api: {image: a, files: {/..data: x}}") == [("R0308", "/..data")]


def test_two_mounts_of_one_path() -> None:
    [(_, at)] = faults("api: {kind: StatefulSet, image: a, files: {/data: x}, storage: {/data: {size: 1Gi}}}")
    assert at == "/data"


@pytest.mark.parametrize(
    ("unit", "code", "at"),
    [
        ("{image: a, env: {A: {}}}", "R0205", "A"),
        ("{image: a, env: {A: {secret: db}}}", "R0202", "A"),
        ("{image: a, env: {A: {secret: db, key: a, field: status.podIP}}}", "R0205", "A"),
        ("{image: a, env: {A: {field: status.podIP, optional: true}}}", "R0205", "optional"),
        ("{image: a, env: {1A: x}}", "R0304", "1A"),
        ("{image: a, env: {A: '{{ params.words }}'}}", "R0408", "'{{ params.words }}'"),
        ("{image: a, env: {A: {secret: other, key: a}}}", "R0603", "other"),
        ("{image: a, envFrom: [{configMapRef: {name: other}}]}", "R0603", "other"),
        ("{image: '{{ omit }}'}", "R0405", "'{{ omit }}'"),
        ("{image: a, name: b}", "R0203", "name"),
    ],
)
def test_containers_that_cannot_be(unit: str, code: str, at: str) -> None:
    assert faults(f"api: {unit}") == [(code, at)]


STORED_AT = "kind: StatefulSet, image: a, storage: {/d: {size: "
SERVED = "image: a, ports: {http: 80}, service: "
CRON = "kind: CronJob, image: a, schedule: "


@pytest.mark.parametrize(
    ("unit", "code", "at"),
    [
        ("image: a, ports: {http: '{{ omit }}'}", "R0405", "'{{ omit }}'"),
        ("image: a, ports: {http: {containerPort: 80, servicePort: '{{ omit }}'}}", "R0405", "'{{ omit }}'"),
        ("image: a, autoscale: {max: '{{ omit }}', cpu: 70}", "R0202", "'{{ omit }}'"),
        ("image: a, autoscale: {max: 3, cpu: '{{ omit }}'}", "R0202", "autoscale"),
        ("image: a, autoscale: {max: 3, metrics: []}", "R0202", "autoscale"),
        ("image: a, autoscale: {max: 3, metrics: '{{ params.word }}'}", "R0204", "'{{ params.word }}'"),
        ("image: a, autoscale: {max: 3, metrics: '{{ params.map }}'}", "R0204", "'{{ params.map }}'"),
        ("image: a, autoscale: {max: 3, metrics: '{{ params.words }}'}", "R0204", "'{{ params.words }}'"),
        ("image: a, autoscale: {max: 3, cpu: 1, behavior: '{{ params.words }}'}", "R0204", "'{{ params.words }}'"),
        ("image: a, autoscale: {max: 3, cpu: 1, behavior: '{{ params.word }}'}", "R0204", "'{{ params.word }}'"),
        (STORED_AT + "'{{ params.word }}'}}", "R0307", "'{{ params.word }}'"),
        (STORED_AT + "'{{ params.words }}'}}", "R0408", "'{{ params.words }}'"),
        (STORED_AT + "'{{ omit }}'}}", "R0405", "'{{ omit }}'"),
        (STORED_AT + "'{{ params.number - 3 }}Gi'}}", "R0307", "'{{ params.number - 3 }}Gi'"),
        (STORED_AT + "lots}}", "R0307", "lots"),
        (STORED_AT + "-1Gi}}", "R0307", "-1Gi"),
        ("image: a, podMetadata: {labels: {a: '{{ params.word }} b'}}", "R0304", "'{{ params.word }} b'"),
        (SERVED + "{labels: {a: '-{{ params.word }}'}}", "R0304", "'-{{ params.word }}'"),
        (SERVED + "{labels: '{{ params.map }}'}", "R0204", "'{{ params.map }}'"),
        (CRON + "'{{ params.word }}'", "R0307", "'{{ params.word }}'"),
        (CRON + "'{{ params.number }}'", "R0307", "'{{ params.number }}'"),
        (CRON + "'{{ omit }}'", "R0405", "'{{ omit }}'"),
        (CRON + "'* * * *'", "R0307", "'* * * *'"),
        ("image: '{{ params.number }}'", "R0405", "'{{ params.number }}'"),
        ("image: '{{ params.words }}'", "R0405", "'{{ params.words }}'"),
        ('image: \'{{ params.word | replace("x", "") }}\'', "R0405", ""),
        ("image: a, imagePullPolicy: Sometimes", "R0307", "Sometimes"),
        ("image: a, imagePullPolicy: '{{ params.word }}'", "R0307", "'{{ params.word }}'"),
        ("image: a, terminationMessagePolicy: '{{ params.word }}'", "R0307", "'{{ params.word }}'"),
    ],
)
def test_values_that_a_cluster_would_refuse(unit: str, code: str, at: str) -> None:
    [(found, where)] = faults(f"api: {{{unit}}}")
    assert found == code
    assert where == at or not at


@pytest.mark.parametrize(
    "unit",
    [
        "image: a, replicas: '{{ omit }}'",
        "image: a, autoscale: {min: '{{ omit }}', max: 3, cpu: 70, memory: '{{ omit }}', metrics: '{{ omit }}'}",
        "image: a, autoscale: {max: 3, cpu: 1, behavior: '{{ omit }}'}",
        STORED_AT + "'{{ params.number }}'}}",
        STORED_AT + "'1.5Gi', storageClassName: '{{ params.number }}'}}",
        STORED_AT + "'1e9', storageClassName: '{{ omit }}'}}",
        SERVED + "{labels: {a: '{{ params.number }}', b: 5, c: '{{ omit }}'}, annotations: {a: true, b: '{{ 1 }}'}}",
        "image: a, podMetadata: {labels: {a: '{{ params.word }}.b', b: '{{ params.number }}', c: ''}}",
        CRON + "'@hourly'",
        CRON + "'{{ params.number }} 1-5 */2 JAN,MAR ?'",
        "image: a, workingDir: '{{ params.number }}', imagePullPolicy: '{{ omit }}'",
        "image: a, ports: {http: {containerPort: 80, appProtocol: '{{ omit }}'}}",
    ],
)
def test_values_that_a_cluster_takes(unit: str) -> None:
    assert compiled(f"api: {{{unit}}}")


@pytest.mark.parametrize(
    ("field", "expression"),
    [
        ("replicas", "params.word"),
        ("replicas", "params.words"),
        ("command", "params.word"),
        ("args", "params.number"),
        ("resources", "params.word"),
        ("resources", "params.words"),
        ("envFrom", "params.map"),
        ("readinessProbe", "params.number"),
    ],
)
def test_expressions_of_another_type_than_the_field(field: str, expression: str) -> None:
    [(_, at)] = faults(f"api: {{image: a, {field}: '{{{{ {expression} }}}}'}}")
    assert at == f"'{{{{ {expression} }}}}'"
