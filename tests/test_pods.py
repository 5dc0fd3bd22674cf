"""`form: pods`: one StatefulSet whose pods are the islands, of Kubernetes' own kind and of OpenKruise's."""

from typing import Any

import pytest
import yaml
from strict_schemas import needs_shared, problems

from replicator.pipeline import Built, Options, Source, build

Object = dict[str, Any]

SET, ISLAND = "replicator.dev/set", "replicator.dev/island"
POD_NAME = "statefulset.kubernetes.io/pod-name"
GATE = {"conditionType": "InPlaceUpdateReady"}
FIELDS = {
    "REPLICATOR_ISLAND_KEY": "metadata.labels['apps.kubernetes.io/pod-index']",
    "REPLICATOR_ISLAND_NAME": "metadata.name",
}
PLAIN = "api: {image: 'api:1', ports: {http: 8080}}"


def dsl(units: str, spec: str, params: str = "{}", namespace: str = "shop") -> str:
    """A Type of these units, and a Set whose pods they are."""
    where = f", namespace: {namespace}" if namespace else ""
    return f"""
apiVersion: replicator.dev/v1alpha1
kind: IslandType
metadata: {{name: cart}}
spec:
  params: {params}
  external: {{Secret: [db]}}
  units:
    {units.strip()}
---
apiVersion: replicator.dev/v1alpha1
kind: IslandSet
metadata: {{name: shard{where}}}
spec:
  type: cart
  form: pods
  {spec.strip()}
"""


def run(text: str) -> Built:
    return build([Source("dsl.yaml", text.encode())], Options())


def compiled(units: str, spec: str, params: str = "{}", namespace: str = "shop") -> dict[tuple[str, str], Object]:
    built = run(dsl(units, spec, params, namespace))
    # A large group is stored, but not applied without --server-side.
    assert [one for one in built.diagnostics if one.code != "R0710"] == []
    objects = list(yaml.safe_load_all(b"".join(built.texts())))
    found = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    assert len(found) == len(objects)
    assert problems(item for item in objects if "kruise" not in item["apiVersion"]) == []
    return found


def stateful(objects: dict[tuple[str, str], Object]) -> Object:
    found: Object = objects["StatefulSet", "shard"]
    return found


def pod_of(objects: dict[tuple[str, str], Object]) -> Object:
    found: Object = stateful(objects)["spec"]["template"]["spec"]
    return found


def faults(units: str, spec: str, params: str = "{}") -> list[tuple[str, str]]:
    """The code of every finding, and the text that it points at."""
    text = dsl(units, spec, params)
    found = []
    for one in run(text).diagnostics:
        assert one.place is not None
        line = text.split("\n")[one.place.line - 1]
        found.append((one.code, line[one.place.column - 1 : one.place.end_column - 1]))
    return found


def pods(objects: dict[tuple[str, str], Object]) -> list[str]:
    """The names of the pods that the controller of the StatefulSet makes."""
    spec = stateful(objects)["spec"]
    names: list[str] = []
    ordinal = spec.get("ordinals", {}).get("start", 0)
    while len(names) < spec["replicas"]:
        if ordinal not in spec.get("reserveOrdinals", []):
            names.append(f"shard-{ordinal}")
        ordinal += 1
    return names


def services(objects: dict[tuple[str, str], Object]) -> list[str]:
    return [name for kind, name in objects if kind == "Service"]


# What there is


@pytest.mark.parametrize("workload", ["StatefulSet", "AdvancedStatefulSet"])
def test_one_statefulset_and_its_headless_service(workload: str) -> None:
    units = "api: {image: 'api:1', ports: {http: 8080}}\n    db: {image: 'db:1', ports: {sql: 5432}}"
    objects = compiled(units, f"workload: {workload}\n  replicas: 3")
    assert [kind for kind, _ in objects].count("StatefulSet") == 1
    spec = stateful(objects)["spec"]
    advanced = workload == "AdvancedStatefulSet"
    assert stateful(objects)["apiVersion"] == ("apps.kruise.io/v1beta1" if advanced else "apps/v1")
    assert spec["replicas"] == 3
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["selector"] == {"matchLabels": {SET: "shard"}}
    labels = spec["template"]["metadata"]["labels"]
    assert labels[SET] == "shard"
    assert ISLAND not in labels  # it would be the same for all
    assert [container["name"] for container in pod_of(objects)["containers"]] == ["api", "db"]
    headless = objects["Service", spec["serviceName"]]
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert headless["spec"]["selector"] == {SET: "shard"}
    assert [port["port"] for port in headless["spec"]["ports"]] == [8080, 5432]


@pytest.mark.parametrize(
    ("spec", "ordinals"),
    [
        ("replicas: 3", [0, 1, 2]),
        ("replicas: 3\n  start: 10", [10, 11, 12]),
        ("replicas: 1\n  start: 1000000000", [1000000000]),
        ("workload: AdvancedStatefulSet\n  replicas: 3\n  reserved: [1, 3, 9]", [0, 2, 4]),
        ("workload: AdvancedStatefulSet\n  replicas: 2\n  start: 4\n  reserved: [0, 6, 5, 4]", [7, 8]),
        ("workload: AdvancedStatefulSet\n  replicas: 4\n  start: 1\n  reserved: [3]", [1, 2, 4, 5]),
        ("replicas: 0", []),
    ],
)
def test_each_pod_has_a_service_of_its_own_name(spec: str, ordinals: list[int]) -> None:
    objects = compiled(PLAIN, spec)
    assert objects["StatefulSet", "shard"]["spec"]["replicas"] == len(ordinals)
    assert pods(objects) == [f"shard-{ordinal}" for ordinal in ordinals]
    assert services(objects) == ["shard", *(f"shard-{ordinal}" for ordinal in ordinals)]
    for ordinal in ordinals:
        service = objects["Service", f"shard-{ordinal}"]
        assert service["spec"]["selector"] == {SET: "shard", POD_NAME: f"shard-{ordinal}"}
        assert service["spec"]["ports"] == [{"name": "http", "port": 8080, "targetPort": "http", "protocol": "TCP"}]
        assert service["metadata"]["labels"][ISLAND] == f"shard-{ordinal}"
        assert not service["spec"].get("publishNotReadyAddresses")


@pytest.mark.parametrize("spec", ["reserved: [1]", "start: 2\n  reserved: [0, 3]"])
def test_what_is_reserved_is_said_to_the_controller(spec: str) -> None:
    made = stateful(compiled(PLAIN, f"workload: AdvancedStatefulSet\n  replicas: 3\n  {spec}"))["spec"]
    assert made["reserveOrdinals"] == ([1] if "[1]" in spec else [0, 3])
    assert made["replicas"] == 3  # running pods
    assert made.get("ordinals") == ({"start": 2} if "start" in spec else None)


def test_units_without_ports_need_no_service_but_the_governing_one() -> None:
    objects = compiled("api: {image: 'api:1'}", "replicas: 2")
    assert services(objects) == ["shard"]
    assert "ports" not in objects["Service", "shard"]["spec"]


def test_units_meet_on_localhost() -> None:
    objects = compiled(
        """
    api:
      image: api:1
      ports: {http: {containerPort: 8080, servicePort: 80}}
      env: {STORE: "{{ address('store', 'rpc') }}", HOST: "{{ host('store') }}", PORT: "{{ port('store', 'rpc') }}"}
    store: {image: 'store:1', ports: {rpc: {containerPort: 9000, servicePort: 90}}}
        """,
        "replicas: 1",
    )
    variables = {one["name"]: one["value"] for one in pod_of(objects)["containers"][0]["env"]}
    assert variables == {"STORE": "localhost:9000", "HOST": "localhost", "PORT": "9000"}


def test_init_containers_storage_and_the_pods_own_fields() -> None:
    objects = compiled(
        """
    prepare: {init: true, image: 'p:1', volumeMounts: [{name: data, mountPath: /data}]}
    api:
      image: api:1
      pod: {terminationGracePeriodSeconds: 9, imagePullSecrets: [{name: db}]}
      podMetadata: {labels: {tier: a}, annotations: {scrape: true}}
    store:
      image: store:1
      storage: {/data: {name: data, size: 1Gi}}
      pod: {securityContext: {fsGroup: 7}}
        """,
        "replicas: 2\n  statefulSet: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}}",
    )
    pod, spec = pod_of(objects), stateful(objects)["spec"]
    assert [container["name"] for container in pod["initContainers"]] == ["prepare"]
    assert [container["name"] for container in pod["containers"]] == ["api", "store"]
    assert pod["terminationGracePeriodSeconds"] == 9
    assert pod["securityContext"] == {"fsGroup": 7}
    assert pod["imagePullSecrets"] == [{"name": "db"}]
    assert spec["template"]["metadata"]["labels"]["tier"] == "a"
    assert spec["template"]["metadata"]["annotations"] == {"scrape": "true"}
    assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["data"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}


def test_services_offer_the_number_that_the_unit_says() -> None:
    objects = compiled("api: {image: 'api:1', ports: {http: {containerPort: 8080, servicePort: 80}}}", "replicas: 1")
    [port] = objects["Service", "shard-0"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")
    [port] = objects["Service", "shard"]["spec"]["ports"]
    assert port["port"] == 8080  # it is headless: callers reach the pods themselves


# The downward API


def test_the_island_is_carried_by_the_downward_api() -> None:
    objects = compiled(
        """
    api:
      image: api:1
      command: [run, "{{ island.name }}"]
      args: ["--shard={{ island.key }}", "--of={{ island.set }}", "{{ island.ordinal }}"]
      env:
        SHARD: "{{ island.key }}"
        NUMBER: "n{{ island.ordinal }}"
        NAME: "{{ island.name }}"
        NS: "{{ island.namespace }}"
    side: {image: 's:1', env: {WORD: same}}
        """,
        "replicas: 2",
    )
    api, side = pod_of(objects)["containers"]
    key, name = "$(REPLICATOR_ISLAND_KEY)", "$(REPLICATOR_ISLAND_NAME)"
    assert api["command"] == ["run", name]
    assert api["args"] == [f"--shard={key}", "--of=shard", key]
    variables = {one["name"]: one for one in api["env"]}
    sources = {name: one["valueFrom"]["fieldRef"]["fieldPath"] for name, one in variables.items() if "valueFrom" in one}
    assert sources == FIELDS
    values = {name: one["value"] for name, one in variables.items() if "value" in one}
    assert values == {"SHARD": key, "NUMBER": f"n{key}", "NAME": name, "NS": "shop"}
    order = list(variables)
    assert max(order.index(one) for one in FIELDS) < min(order.index(one) for one in values)  # $(…) is of those before
    assert side["env"] == [{"name": "WORD", "value": "same"}]  # and only what asks is told


def test_derived_values_are_carried_too() -> None:
    text = dsl("api: {image: 'api:1', env: {URL: '{{ let.url }}'}}", "replicas: 2")
    text = text.replace("  units:", '  let: {url: "http://{{ island.name }}.example.com"}\n  units:')
    built = run(text)
    assert built.diagnostics == []
    objects = {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(b"".join(built.texts()))}
    *_, url = pod_of(objects)["containers"][0]["env"]
    assert url == {"name": "URL", "value": "http://$(REPLICATOR_ISLAND_NAME).example.com"}


def test_the_pods_do_not_change_with_their_number() -> None:
    units = 'api: {image: "api:1", ports: {http: 80}, env: {A: "{{ island.key }}"}, files: {/f: "{{ island.key }}"}}'
    few, many = (compiled(units, f"replicas: {number}") for number in (3, 99))
    one, other = stateful(few), stateful(many)
    assert (one["spec"].pop("replicas"), other["spec"].pop("replicas")) == (3, 99)
    assert one == other
    for key, item in few.items():
        if key[0] == "Service":
            assert many[key] == item


# Files

FILES = """
    api:
      image: api:1
      files:
        /etc/same.conf: "same for {{ params.word }}\\n"
        /etc/own.conf: "{{ island.name }} {{ island.key | int + 1 }}\\n"
        /etc/data.conf: "{{ params.data }}"
"""
PARAMS = "{word: {type: string, default: all}, data: {type: string, default: x}}"


def own_files(objects: dict[tuple[str, str], Object], pod: str, unit: str = "api") -> dict[str, str]:
    """What a pod finds at each path that is mounted by its name, as the kubelet would look for it."""
    spec = pod_of(objects)
    container = next(one for one in spec["containers"] if one["name"] == unit)
    fields = {one["valueFrom"]["fieldRef"]["fieldPath"]: one["name"] for one in container["env"] if "valueFrom" in one}
    name = fields["metadata.name"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    found: dict[str, str] = {}
    for mount in container["volumeMounts"]:
        if "subPathExpr" in mount:
            wanted = mount["subPathExpr"].replace(f"$({name})", pod)
            contents: dict[str, str] = {}
            for source in volumes[mount["name"]]["projected"]["sources"]:
                assert source["configMap"]["optional"] is True
                made = objects.get(("ConfigMap", source["configMap"]["name"]), {"data": {}})["data"]
                assert not contents.keys() & made.keys()
                contents |= made
            found[mount["mountPath"]] = contents[wanted]
    return found


def groups(objects: dict[tuple[str, str], Object], unit: str = "api") -> dict[str, Object]:
    return {
        name: item
        for (kind, name), item in objects.items()
        if kind == "ConfigMap" and "by-pod" in name and unit in name
    }


@pytest.mark.parametrize("spec", ["start: 7", "workload: AdvancedStatefulSet\n  reserved: [1, 100, 205]"])
def test_each_pod_finds_its_own_files(spec: str) -> None:
    objects = compiled(
        FILES, f"replicas: 230\n  {spec}\n  overrides: [{{islands: ['11?'], params: {{data: late}}}}]", PARAMS
    )
    names = pods(objects)
    assert len(names) == 230
    for pod in names:
        key = pod.removeprefix("shard-")
        late = len(key) == 3 and key.startswith("11")
        assert own_files(objects, pod) == {
            "/etc/own.conf": f"{pod} {int(key) + 1}\n",
            "/etc/data.conf": "late" if late else "x",
        }
    assert objects["ConfigMap", "shard-api-files"]["data"] == {"etc.same.conf": "same for all\n"}
    assert sum(len(item["data"]) for item in groups(objects).values()) == 2 * 230


def test_files_that_are_the_same_are_in_one_config_map() -> None:
    objects = compiled(
        FILES.replace("{{ island.name }} {{ island.key | int + 1 }}", "{{ island.set }}"), "replicas: 3", PARAMS
    )
    assert groups(objects) == {}
    assert objects["ConfigMap", "shard-api-files"]["data"]["etc.own.conf"] == "shard\n"
    assert "replicator.dev/files" in stateful(objects)["spec"]["template"]["metadata"]["annotations"]


def test_files_that_differ_are_in_no_digest() -> None:
    """A change of them is seen at the pod's next start; a digest in the template would roll every pod."""
    before, after = (
        compiled(FILES.replace('own.conf: "', f'own.conf: "{word} '), "replicas: 3", PARAMS) for word in ("a", "b")
    )
    assert stateful(before) == stateful(after)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {("ConfigMap", name) for name in groups(before)} != set()


def test_groups_hold_at_most_a_hundred_pods() -> None:
    objects = compiled('api: {image: "api:1", files: {/f: "{{ island.key }}"}}', "replicas: 301")
    counts = [len(item["data"]) for item in groups(objects).values()]
    assert max(counts) == 100
    assert sum(counts) == 301
    assert len(counts) == 4


def test_groups_hold_at_most_512_kib() -> None:
    units = f'api: {{image: "api:1", files: {{/f: "{{{{ island.key }}}}{"x" * 20_000}"}}}}'
    objects = compiled(units, "replicas: 90")
    sizes = [sum(len(text.encode()) for text in item["data"].values()) for item in groups(objects).values()]
    assert max(sizes) <= 512 * 1024
    assert sum(len(item["data"]) for item in groups(objects).values()) == 90
    for pod in pods(objects):
        assert own_files(objects, pod)["/f"].startswith(pod.removeprefix("shard-") + "x")


def test_values_that_are_larger_than_a_group_was_planned_for() -> None:
    """How large files are is known from what is written; where values make them larger, a group is in parts."""
    units = 'api: {image: "api:1", files: {/f: "{{ island.key }}{{ params.data }}"}}'
    objects = compiled(units, f"replicas: 230\n  params: {{data: {'y' * 6_000}}}", PARAMS)
    assert groups(objects).keys() == {f"shard-api-files-by-pod-{part}" for part in ("0", "0-1", "1", "1-1", "2")}
    assert all(sum(map(len, item["data"].values())) <= 512 * 1024 for item in groups(objects).values())
    for pod in pods(objects):
        assert own_files(objects, pod) == {"/f": pod.removeprefix("shard-") + "y" * 6_000}


def test_a_file_of_one_pod_that_is_too_large() -> None:
    text = "ä" * 265_000  # in UTF-8 more than 512 KiB
    units = f'api: {{image: "api:1", files: {{/f: "{{{{ island.key }}}}{text}"}}}}'
    [(code, at)] = faults(units, "replicas: 2")
    assert code == "R0313"
    assert at.startswith('"{{ island.key }}')


@pytest.mark.parametrize(
    ("before", "after", "number"), [(3, 4, "0"), (99, 100, "0"), (100, 101, "1"), (150, 151, "1"), (1000, 1001, "10")]
)
def test_a_pod_more_changes_its_group_and_the_count(before: int, after: int, number: str) -> None:
    units = FILES + "      ports: {http: 80}\n"
    few, many = (compiled(units, f"replicas: {count}", PARAMS) for count in (before, after))
    added = many.keys() - few.keys()
    group = ("ConfigMap", f"shard-api-files-by-pod-{number}")
    assert added - {group} == {("Service", f"shard-{before}")}
    changed = {key for key in few if few[key] != many[key]}
    assert changed == {("StatefulSet", "shard")} | ({group} & few.keys())
    one, other = stateful(few), stateful(many)
    one["spec"].pop("replicas")
    other["spec"].pop("replicas")
    assert one == other


@pytest.mark.parametrize("size", [100, 5_000, 11_000])
def test_a_pod_more_changes_its_group_and_the_count_whatever_the_size(size: int) -> None:
    """Where the files of a hundred pods are more than a group may hold, too."""
    units = f'api: {{image: "api:1", files: {{/f: "{{{{ island.key }}}}{"x" * size}"}}}}'
    before: dict[tuple[str, str], Object] = {}
    for number in range(44, 56):
        after = compiled(units, f"replicas: {number}")
        if before:
            for made in (before, after):
                stateful(made)["spec"]["replicas"] = 0
            assert stateful(before) == stateful(after)
            maps = {key for key in before.keys() | after.keys() if key[0] == "ConfigMap"}
            assert before.keys() <= after.keys()
            assert len([key for key in maps if before.get(key) != after[key]]) == 1
        before = after


def test_a_longer_file_of_one_pod_changes_its_group_alone() -> None:
    units = 'api: {image: "api:1", files: {/f: "{{ island.key }}{{ params.data }}"}}'
    before, after = (
        compiled(units, f"replicas: 300\n  overrides: [{{islands: ['150'], params: {{data: {text}}}}}]", PARAMS)
        for text in ("y1", "z" * 400_000)
    )
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {("ConfigMap", "shard-api-files-by-pod-1")}


# OpenKruise

ADVANCED = "workload: AdvancedStatefulSet\n  replicas: 3\n  "


@needs_shared
@pytest.mark.parametrize(
    "spec",
    [
        "",
        "reserved: [1, 7]",
        "start: 3",
        "statefulSet: {scaleStrategy: {maxUnavailable: 2}}",
        "statefulSet: {updateStrategy: {rollingUpdate: {maxUnavailable: 50%, partition: 1, minReadySeconds: 10}}}",
        "statefulSet: {updateStrategy: {rollingUpdate: {podUpdatePolicy: ReCreate, paused: true}}}",
        "statefulSet: {updateStrategy: {rollingUpdate: {inPlaceUpdateStrategy: {gracePeriodSeconds: 10}}}}",
        "statefulSet: {updateStrategy: {type: OnDelete}}",
        "statefulSet: {lifecycle: {inPlaceUpdate: {labelsHandler: {drain: 'true'}, markPodNotReady: true}}}",
        "statefulSet: {podManagementPolicy: OrderedReady, revisionHistoryLimit: 3}",
    ],
)
def test_the_crd_takes_it(spec: str) -> None:
    units = "api: {image: 'api:1', ports: {http: 80}}\n    db: {image: 'db:1', storage: {/data: {size: 1Gi}}}"
    assert problems(compiled(units, ADVANCED + spec).values()) == []


def test_openkruise_updates_in_place() -> None:
    objects = compiled(PLAIN, ADVANCED)
    strategy = stateful(objects)["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"podUpdatePolicy": "InPlaceIfPossible"}}
    assert pod_of(objects)["readinessGates"] == [GATE]


@pytest.mark.parametrize(
    ("spec", "gated"),
    [
        ("replicas: 1", False),
        (ADVANCED, True),
        (ADVANCED + "statefulSet: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}", True),
        (ADVANCED + "statefulSet: {updateStrategy: {rollingUpdate: {podUpdatePolicy: ReCreate}}}", False),
        (ADVANCED + "statefulSet: {updateStrategy: {type: OnDelete}}", False),
    ],
)
@pytest.mark.parametrize("written", ["", "[{conditionType: InPlaceUpdateReady}]", "[{conditionType: lb/ready}]"])
def test_the_readiness_gate_is_there_where_updates_are_in_place(spec: str, gated: bool, written: str) -> None:
    """Nobody but OpenKruise sets the condition, and for in-place updates only: elsewhere pods would never be ready."""
    pod = f", pod: {{readinessGates: {written}}}" if written else ""
    gates = pod_of(compiled(f"api: {{image: 'api:1'{pod}}}", spec)).get("readinessGates", [])
    assert [gate for gate in gates if gate == GATE] == ([GATE] if gated else [])
    assert [gate for gate in gates if gate != GATE] == ([{"conditionType": "lb/ready"}] if "lb" in written else [])


def test_on_delete_has_no_rolling_update() -> None:
    for workload in ("StatefulSet", "AdvancedStatefulSet"):
        spec = f"workload: {workload}\n  replicas: 1\n  statefulSet: {{updateStrategy: {{type: OnDelete}}}}"
        assert stateful(compiled(PLAIN, spec))["spec"]["updateStrategy"] == {"type": "OnDelete"}


ROLLING = "statefulSet: {podManagementPolicy: OrderedReady, updateStrategy: {rollingUpdate: "


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        (ROLLING + "{maxUnavailable: 2}}}", "maxUnavailable"),
        (ROLLING + "{maxUnavailable: 10%}}}", "maxUnavailable"),
        (ROLLING + "{unorderedUpdate: {priorityStrategy: {orderPriority: [{orderedKey: a}]}}}}}", "unorderedUpdate"),
        ("statefulSet: {podManagementPolicy: OrderedReady, scaleStrategy: {maxUnavailable: 3}}", "maxUnavailable"),
        ("statefulSet: {updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}}", "{"),
        ("statefulSet: {updateStrategy: {rollingUpdate: {minReadySeconds: 301}}}", "301"),
        ("statefulSet: {updateStrategy: {rollingUpdate: {maxUnavailable: '5'}}}", "'5'"),
        ("statefulSet: {minReadySeconds: 10}", "minReadySeconds"),
        ("statefulSet: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlace}}}", "InPlace"),
        ("statefulSet: {podManagementPolicy: Sideways}", "Sideways"),
        ("statefulSet: {updateStrategy: {type: Recreate}}", "Recreate"),
    ],
)
def test_what_the_webhook_of_openkruise_refuses(spec: str, at: str) -> None:
    [(code, found)] = faults(PLAIN, ADVANCED + spec)
    assert code in ("R0307", "R0205")
    assert found == at


def test_what_the_webhook_of_openkruise_takes() -> None:
    made = stateful(compiled(PLAIN, ADVANCED + ROLLING + "{maxUnavailable: 1}}}"))["spec"]
    assert made["podManagementPolicy"] == "OrderedReady"
    assert made["updateStrategy"]["rollingUpdate"] == {"podUpdatePolicy": "InPlaceIfPossible", "maxUnavailable": 1}


def test_priorities_of_updates_are_by_weight_or_by_order() -> None:
    both = "{weightPriority: [{weight: 1, matchSelector: {}}], orderPriority: [{orderedKey: a}]}"
    spec = f"statefulSet: {{updateStrategy: {{rollingUpdate: {{unorderedUpdate: {{priorityStrategy: {both}}}}}}}}}"
    [(code, _)] = faults(PLAIN, ADVANCED + spec)
    assert code == "R0307"


# statefulSet


def test_fields_of_the_statefulset_are_merged() -> None:
    spec = "statefulSet: {minReadySeconds: 5, revisionHistoryLimit: 2, updateStrategy: {rollingUpdate: {partition: 1}}}"
    made = stateful(compiled(PLAIN, f"replicas: 3\n  {spec}"))["spec"]
    assert (made["minReadySeconds"], made["revisionHistoryLimit"]) == (5, 2)
    assert made["updateStrategy"] == {"rollingUpdate": {"partition": 1}}
    assert made["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize(
    "field",
    [
        "replicas: 2",
        "ordinals: {start: 1}",
        "selector: {}",
        "serviceName: a",
        "template: {}",
        "volumeClaimTemplates: []",
    ],
)
@pytest.mark.parametrize("workload", ["StatefulSet", "AdvancedStatefulSet"])
def test_what_the_set_says_itself(field: str, workload: str) -> None:
    spec = f"workload: {workload}\n  replicas: 3\n  statefulSet: {{{field}}}"
    assert faults(PLAIN, spec) == [("R0307", field.partition(":")[0])]


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        ("statefulSet: {scaleStrategy: {maxUnavailable: 1}}", "scaleStrategy"),
        ("statefulSet: {lifecycle: {}}", "lifecycle"),
        ("statefulSet: {reserveOrdinals: [1]}", "reserveOrdinals"),
        ("statefulSet: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}", "podUpdatePolicy"),
        ("statefulSet: {updateStrategy: {rollingUpdate: {paused: true}}}", "paused"),
        ("statefulSet: {updateStrategy: {rollingUpdate: {podUpdatePolicy: ReCreate}}}", "podUpdatePolicy"),
        ("statefulSet: {updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}}", "{"),
    ],
)
def test_what_the_core_statefulset_does_not_have(spec: str, at: str) -> None:
    assert faults(PLAIN, f"replicas: 3\n  {spec}") == [("R0307", at)]


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        ("{podManagementPolicy: Sideways}", "Sideways"),
        ("{updateStrategy: {type: Recreate}}", "Recreate"),
        ("{persistentVolumeClaimRetentionPolicy: {whenScaled: Keep}}", "Keep"),
    ],
)
def test_words_that_the_core_statefulset_does_not_know(spec: str, at: str) -> None:
    assert faults(PLAIN, f"replicas: 3\n  statefulSet: {spec}") == [("R0205", at)]


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        ("{updateStrategy: OnDelete}", "OnDelete"),
        ("{updateStrategy: {rollingUpdate: 1}}", "1"),
        ("{persistentVolumeClaimRetentionPolicy: Retain}", "Retain"),
    ],
)
def test_what_is_no_map_of_the_statefulset(spec: str, at: str) -> None:
    assert faults(PLAIN, f"replicas: 3\n  statefulSet: {spec}") == [("R0204", at)]


@pytest.mark.parametrize("number", ["0", "-1", "0%", "101%", "'5'", "1.5", "true", "[]"])
@pytest.mark.parametrize("workload", ["StatefulSet", "AdvancedStatefulSet"])
def test_what_is_no_number_of_pods(number: str, workload: str) -> None:
    spec = f"statefulSet: {{updateStrategy: {{rollingUpdate: {{maxUnavailable: {number}}}}}}}"
    [(code, _)] = faults(PLAIN, f"replicas: 3\n  workload: {workload}\n  {spec}")
    assert code == "R0307"


def test_numbers_of_the_statefulset_may_be_expressions() -> None:
    rolling = "{maxUnavailable: '{{ params.most }}', minReadySeconds: '{{ params.most }}'}"
    spec = f"statefulSet: {{updateStrategy: {{rollingUpdate: {rolling}}}}}"
    made = stateful(compiled(PLAIN, ADVANCED + spec, "{most: {type: integer, default: 2}}"))["spec"]
    assert made["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 2
    assert made["updateStrategy"]["rollingUpdate"]["minReadySeconds"] == 2


@pytest.mark.parametrize(
    "spec",
    [
        "{podManagementPolicy: X}",
        "{updateStrategy: {type: X}}",
        "{updateStrategy: {rollingUpdate: {podUpdatePolicy: X}}}",
    ],
)
def test_words_of_the_statefulset_are_literal(spec: str) -> None:
    """A readiness gate in the template, and other fields, follow from them."""
    word = "'{{ params.word }}'"
    found = faults(PLAIN, ADVANCED + f"statefulSet: {spec.replace('X', word)}", "{word: {type: string, default: a}}")
    assert found == [("R0406", word)]


@pytest.mark.parametrize(("kind", "name"), [("StatefulSet", "shard"), ("Service", "shard"), ("ConfigMap", "api-files")])
def test_patches_name_what_the_set_is_called(kind: str, name: str) -> None:
    patch = "{metadata: {annotations: {x: a}}}"
    spec = f"replicas: 1\n  patches: [{{target: {{kind: {kind}, name: {name}}}, patch: {patch}}}]"
    objects = compiled("api: {image: 'api:1', ports: {http: 80}, files: {/f: a}}", spec)
    full = name if name == "shard" else f"shard-{name}"
    assert [key for key, item in objects.items() if "annotations" in item["metadata"]] == [(kind, full)]


# What cannot be

OF_A_SET = [
    ("islands: {eu: {}}", "islands"),
    ("replicas: 2\n  scope: namespace", "scope"),
    ("replicas: 2\n  reserved: [1]", "reserved"),
]


@pytest.mark.parametrize(("spec", "at"), OF_A_SET)
def test_sets_that_cannot_be_pods(spec: str, at: str) -> None:
    assert faults(PLAIN, spec) == [("R0310", at)]


def test_a_matrix_has_no_ordinals() -> None:
    found = faults(PLAIN, "matrix: {word: [a, b]}", "{word: {type: string, default: a}}")
    assert found == [("R0310", "matrix")]


@pytest.mark.parametrize("field", ["workload: StatefulSet", "reserved: [1]", "statefulSet: {minReadySeconds: 1}"])
def test_fields_of_pods_without_pods(field: str) -> None:
    text = dsl(PLAIN, f"replicas: 2\n  {field}").replace("  form: pods\n", "")
    [one] = run(text).diagnostics
    assert one.code == "R0310"
    assert one.place is not None
    assert text.split("\n")[one.place.line - 1].strip().startswith(field)


OF_A_UNIT = [
    "kind: Deployment",
    "replicas: 2",
    "autoscale: {max: 2, cpu: 7}",
    "spec: {minReadySeconds: 1}",
    "service: {type: NodePort}",
]


@pytest.mark.parametrize("field", OF_A_UNIT)
def test_units_that_are_no_containers(field: str) -> None:
    found = faults(f"api: {{image: 'api:1', ports: {{http: 80}}, {field}}}", "replicas: 2")
    assert found == [("R0310", field.partition(":")[0])]


@pytest.mark.parametrize(
    ("units", "code", "at"),
    [
        ("a: {image: a, ports: {http: 80}}\n    b: {image: b, ports: {http: 81}}", "R0305", "http"),
        ("a: {image: a, ports: {one: 80}}\n    b: {image: b, ports: {two: 80}}", "R0305", "two"),
        (
            "a: {image: a, ports: {one: {containerPort: 8080, servicePort: 80}}}\n    b: {image: b, ports: {two: 80}}",
            "R0305",
            "two",
        ),
        ("a: {image: a, init: true}", "R0310", "cart"),
        ("a: {image: a, init: true, ports: {http: 80}}\n    b: {image: b}", "R0310", "ports"),
        (
            "a: {image: a, storage: {/x: {size: 1Gi}}}\n    b: {image: b, storage: {/x: {size: 1Gi}}}",
            "R0305",
            "/x",
        ),
        (
            "a: {image: a, files: {/f: '{{ island.key }}'}, pod: {volumes: [{name: a-files-by-pod, emptyDir: {}}]}}",
            "R0305",
            "a-files-by-pod",
        ),
    ],
)
def test_units_that_cannot_be_in_one_pod(units: str, code: str, at: str) -> None:
    assert faults(units, "replicas: 2") == [(code, at)]


VARYING = """{
    image: {type: string, default: "a:1"}, words: {type: array, items: {type: string}, default: [a]},
    map: {type: object, default: {}}, number: {type: integer, default: 1}, word: {type: string, default: a}}"""
OVERRIDE = (
    "replicas: 3\n  overrides:\n    - {islands: ['1'], params: "
    '{image: "b:1", words: [b], map: {requests: {cpu: 1m}}, number: 2, word: b}}'
)


@pytest.mark.parametrize(
    ("unit", "at"),
    [
        ("{image: '{{ params.image }}'}", "'{{ params.image }}'"),
        ("{image: a, env: {A: '{{ params.word }}'}}", "'{{ params.word }}'"),
        ("{image: a, args: ['--x={{ params.word }}']}", "'--x={{ params.word }}'"),
        ("{image: a, args: '{{ params.words }}'}", "'{{ params.words }}'"),
        ("{image: a, resources: '{{ params.map }}'}", "'{{ params.map }}'"),
        ("{image: a, ports: {http: '{{ params.number }}'}}", "'{{ params.number }}'"),
        ("{image: a, env: {A: '{{ params.word if params.number == 1 else omit }}'}}", "'{{ params.word if"),
        ("{image: a, pod: {terminationGracePeriodSeconds: '{{ params.number }}'}}", "'{{ params.number }}'"),
        ("{image: a, podMetadata: {labels: {a: '{{ params.word }}'}}}", "'{{ params.word }}'"),
        ("{image: a, storage: {/data: {size: '{{ params.number }}Gi'}}}", "'{{ params.number }}Gi'"),
        ("{image: 'a:{{ island.key }}'}", "'a:{{ island.key }}'"),
        ("{image: a, workingDir: '/{{ island.name }}'}", "'/{{ island.name }}'"),
        ("{image: a, env: {A: '{{ island.key | upper }}'}}", "'{{ island.key | upper }}'"),
        ("{image: a, env: {A: '{{ island.ordinal + 1 }}'}}", "'{{ island.ordinal + 1 }}'"),
        ("{image: a, podMetadata: {annotations: {a: '{{ island.name }}'}}}", "'{{ island.name }}'"),
        ("{image: a, readinessProbe: {httpGet: {path: '/{{ island.key }}', port: 80}}}", "'/{{ island.key }}'"),
    ],
)
def test_what_cannot_differ_between_pods(unit: str, at: str) -> None:
    found = faults(f"api: {unit}", OVERRIDE, VARYING)
    assert {code for code, _ in found} == {"R0602"}
    assert all(where.startswith(at) for _, where in found)


def test_references_cannot_differ_between_pods() -> None:
    secret = '"db-{{ island.key }}"'
    text = dsl(f"api: {{image: a, env: {{A: {{secret: {secret}, key: a}}}}}}", "replicas: 2")
    text = text.replace("Secret: [db]", f"Secret: [{secret}]")
    lines = [text.split("\n")[one.place.line - 1] for one in run(text).diagnostics if one.code == "R0602" and one.place]
    assert "api:" in [line.split()[0] for line in lines]


def test_values_that_are_the_same_for_all_pods_are_no_difference() -> None:
    unit = "{image: '{{ params.image }}', args: '{{ params.words }}', resources: '{{ params.map }}'}"
    objects = compiled(f"api: {unit}", "replicas: 3\n  params: {image: 'c:1', words: [x]}", VARYING)
    container = pod_of(objects)["containers"][0]
    assert (container["image"], container["args"]) == ("c:1", ["x"])


@pytest.mark.parametrize(("name", "known"), [("shard", True), ("shard-1", True), ("shard-2", False), ("api", False)])
def test_what_is_shared_may_name_the_set_and_its_pods(name: str, known: bool) -> None:
    backend = f"{{service: {{name: {name}, port: {{number: 8080}}}}}}"
    manifest = "apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: way}"
    shared = f"shared: [{{manifest: {{{manifest}, spec: {{defaultBackend: {backend}}}}}}}]"
    if not known:
        assert faults(PLAIN, f"replicas: 2\n  {shared}") == [("R0603", name)]
        return
    made = compiled(PLAIN, f"replicas: 2\n  {shared}")["Ingress", "way"]
    assert made["spec"]["defaultBackend"]["service"]["name"] == name


def test_resources_have_no_place_in_a_pod() -> None:
    text = dsl(PLAIN, "replicas: 2").replace(
        "  units:", "  resources: [{manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}}]\n  units:"
    )
    assert [one.code for one in run(text).diagnostics] == ["R0310"]


@pytest.mark.parametrize(
    ("length", "content", "fits"),
    [
        (50, "x", True),
        (50, "{{ island.key }}", True),
        (51, "x", True),
        (51, "{{ island.key }}", False),
        (58, "x", False),
    ],
)
def test_names_of_volumes_are_labels(length: int, content: str, fits: bool) -> None:
    unit = "u" * length
    found = faults(f"{unit}: {{image: a, files: {{/f: '{content}'}}}}", "replicas: 2")
    assert found == ([] if fits else [("R0506", unit)])


def test_names_of_pods_are_labels() -> None:
    text = dsl(PLAIN, "replicas: 2").replace("name: shard", f"name: {'s' * 53}")
    [one] = run(text).diagnostics
    assert one.code == "R0506"
    assert one.place is not None
    assert "53 characters" in one.message


@pytest.mark.parametrize("namespace", ["shop", ""])
def test_the_namespace_is_the_sets(namespace: str) -> None:
    objects = compiled(PLAIN, "replicas: 2", namespace=namespace)
    assert {item["metadata"].get("namespace", "") for item in objects.values()} == {namespace}


@pytest.mark.parametrize("number", [8080, 80])
def test_routes_reach_pods_by_their_services(number: int) -> None:
    units = f"api: {{image: 'api:1', ports: {{http: {{containerPort: 8080, servicePort: {number}}}}}}}"
    text = dsl(units, "workload: AdvancedStatefulSet\n  replicas: 3\n  reserved: [1]").replace(
        "  units:", "  ports: {http: {unit: api, port: http}}\n  units:"
    )
    text += """
---
apiVersion: replicator.dev/v1alpha1
kind: Routing
metadata: {name: edge, namespace: edge}
spec:
  hosts: [example.com]
  routes: [{name: own, each: shard, match: {path: {prefix: "/{{ island.key }}"}}}, {name: rest, to: {spread: shard}}]
"""
    built = run(text)
    assert built.diagnostics == []
    objects = list(yaml.safe_load_all(b"".join(built.texts())))
    upstreams = [item["spec"]["kube"] for item in objects if item["kind"] == "Upstream"]
    expected = [{"serviceName": f"shard-{one}", "serviceNamespace": "shop", "servicePort": number} for one in (0, 2, 3)]
    assert upstreams == expected
