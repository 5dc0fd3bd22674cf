"""The operator of dsl-examples/operator: its script runs here as in its container, with a kubectl that records, and
with the real one against a small API server."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from strict_schemas import problems, strict

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
OPERATOR = ROOT / "dsl-examples/operator"
KUBECTL = Path(sys.executable).with_name("kubectl")

REPLICATOR = f"""\
#!/bin/sh
PYTHONPATH={ROOT} exec {sys.executable} -m replicator "$@"
"""

# Answers `get` with what is stored for the round, and keeps what `apply` is given.
RECORDER = """\
#!/bin/sh
round=$(cat "$RECORD/round")
printf '%s\\n' "$*" >>"$RECORD/calls-$round"
if [ "$1" = get ]; then
  cat "$RECORD/stored-$round"
  exit "$(cat "$RECORD/status-$round")"
fi
printf '%s' "$KUBECTL_APPLYSET" >"$RECORD/environment-$round"
for argument; do
  case $argument in --filename=*) cp "${argument#*=}" "$RECORD/applied-$round" ;; esac
done
"""

# Ends the loop after the last round, as the kubelet would.
SLEEP = """\
#!/bin/sh
printf '%s' "$1" >"$RECORD/slept"
round=$(($(cat "$RECORD/round") + 1))
echo "$round" >"$RECORD/round"
[ -e "$RECORD/stored-$round" ] || kill -TERM "$PPID"
"""

Round = tuple[str, int]
"""What `kubectl get` prints, and how it exits."""


@pytest.fixture(scope="module")
def objects(build: Callable[[Path], str]) -> list[Object]:
    """What the operator compiles to."""
    return list(yaml.safe_load_all(build(OPERATOR / "operator.yaml")))


def only(objects: list[Object], kind: str) -> Object:
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def container(objects: list[Object]) -> Object:
    (found,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


class Ran:
    """A run of the operator's container: its exit code, its log, and a folder of what happened in each round."""

    def __init__(self, record: Path, done: "subprocess.CompletedProcess[str]") -> None:
        self.record = record
        self.code = done.returncode
        self.log = done.stdout + done.stderr

    def calls(self, number: int) -> list[str]:
        return (self.record / f"calls-{number}").read_text().splitlines()

    def applied(self, number: int) -> str | None:
        file = self.record / f"applied-{number}"
        return file.read_text() if file.exists() else None


def start(objects: list[Object], folder: Path, rounds: list[Round], kubectl: str = RECORDER) -> Ran:
    """Run the container's command with its environment, for as many rounds as there are."""
    record, work, commands = folder / "record", folder / "work", folder / "bin"
    for directory in (record, work, commands):
        directory.mkdir()
    for name, text in (("kubectl", kubectl), ("replicator", REPLICATOR), ("sleep", SLEEP)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (record / "round").write_text("0\n")
    for number, (text, status) in enumerate(rounds):
        (record / f"stored-{number}").write_text(text)
        (record / f"status-{number}").write_text(f"{status}\n")
    one = container(objects)
    command = list(one["command"])
    for mount in one["volumeMounts"]:
        if mount["name"] == "loop-files":
            script = folder / "script"
            script.write_text(only(objects, "ConfigMap")["data"][mount["subPath"]])
            command[command.index(mount["mountPath"])] = str(script)
    environment = {variable["name"]: variable["value"] for variable in one["env"]}
    assert environment.pop("HOME") == one["workingDir"]
    environment |= {"HOME": str(work), "RECORD": str(record), "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ran(record, done)


def stored(*texts: str) -> str:
    """What `kubectl get … --output=yaml` prints of documents that are stored, without a namespace in `default`."""
    items = []
    for document in (document for text in texts for document in yaml.safe_load_all(text)):
        metadata = {
            "namespace": "default",
            **document["metadata"],
            "uid": "0b9d",
            "resourceVersion": "7",
            "generation": 1,
        }
        items.append({**document, "metadata": metadata})
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}})


def compiled(text: str) -> str:
    command = [sys.executable, "-m", "replicator", "build", "-"]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True).stdout


SHOP = (ROOT / "dsl-examples/11-routing.yaml").read_text()
WORLD = (ROOT / "dsl-examples/26-cells.yaml").read_text()
BROKEN = SHOP.replace("type: cart", "type: card")


def test_what_is_stored_is_compiled_and_applied(objects: list[Object], tmp_path: Path) -> None:
    rounds = [(stored(SHOP), 0), (stored(SHOP, WORLD), 0)]
    ran = start(objects, tmp_path, rounds)
    assert (ran.code, ran.log) == (0, "")
    for number, (text, _) in enumerate(rounds):
        assert ran.applied(number) == compiled(text)
    assert "world-eu-cell-3-store" in str(ran.applied(1))


def test_kubectl_is_asked_for_all_kinds_in_all_namespaces(objects: list[Object], tmp_path: Path) -> None:
    ran = start(objects, tmp_path, [(stored(SHOP), 0)])
    command = [sys.executable, "-m", "replicator", "crds"]
    crds = yaml.safe_load_all(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    get, apply = (call.split() for call in ran.calls(0))
    assert get[0] == "get"
    assert set(get[1].split(",")) == {crd["metadata"]["name"] for crd in crds}
    assert set(get[2:]) == {"--all-namespaces", "--output=yaml"}
    assert apply[0] == "apply"
    assert set(apply[1:]) == {
        "--server-side",
        "--prune",
        "--applyset=applysets.operator.example.com/replicator",
        "--filename=objects.yaml",
    }
    assert (ran.record / "environment-0").read_text() == "true"
    assert (ran.record / "slept").read_text() == "30"


def test_a_broken_document_applies_nothing(objects: list[Object], tmp_path: Path) -> None:
    ran = start(objects, tmp_path, [(stored(BROKEN), 0), (stored(SHOP), 0)])
    assert ran.code == 0
    assert [call.split()[0] for call in ran.calls(0)] == ["get"]
    assert ran.applied(0) is None
    assert "error[R0302]: there is no IslandType `card`" in ran.log
    assert ran.applied(1) == compiled(stored(SHOP)), "the round after it goes well again"


def test_half_an_answer_applies_nothing(objects: list[Object], tmp_path: Path) -> None:
    """kubectl prints what it may see of what it was asked for, and then fails: the rest would be pruned."""
    ran = start(objects, tmp_path, [(stored(SHOP), 1)])
    assert [call.split()[0] for call in ran.calls(0)] == ["get"]
    assert ran.applied(0) is None


def test_nothing_stored_deletes_nothing(objects: list[Object], tmp_path: Path) -> None:
    ran = start(objects, tmp_path, [(stored(), 0)])
    assert ran.applied(0) is None
    assert "error[R0110]" in ran.log


# Its objects


def test_a_cluster_would_take_it(objects: list[Object]) -> None:
    definition = yaml.safe_load((OPERATOR / "setup/applyset-crd.yaml").read_text())
    assert problems([*objects, definition]) == []


def test_the_books_are_what_kubectl_expects() -> None:
    """As its KEP, "kubectl apply --prune redesign", has it: a kind that is marked, and an id made of what it is of."""
    definition = yaml.safe_load((OPERATOR / "setup/applyset-crd.yaml").read_text())
    parent = yaml.safe_load((OPERATOR / "setup/applyset.yaml").read_text())
    group, names = definition["spec"]["group"], definition["spec"]["names"]
    (version,) = definition["spec"]["versions"]
    assert definition["metadata"]["labels"] == {"applyset.kubernetes.io/is-parent-type": "true"}
    assert definition["spec"]["scope"] == "Cluster"
    assert (parent["apiVersion"], parent["kind"]) == (f"{group}/{version['name']}", names["kind"])
    assert not set(parent) - {"metadata", *strict(version["schema"]["openAPIV3Schema"], root=True)["properties"]}
    digest = hashlib.sha256(f"{parent['metadata']['name']}..{parent['kind']}.{group}".encode()).digest()
    name = f"applyset-{base64.urlsafe_b64encode(digest).decode().rstrip('=')}-v1"
    assert parent["metadata"]["labels"] == {"applyset.kubernetes.io/id": name}


def test_bindings_join_the_account_and_the_roles(objects: list[Object]) -> None:
    account = only(objects, "ServiceAccount")["metadata"]
    roles = {item["metadata"]["name"] for item in objects if item["kind"] == "ClusterRole"}
    bindings = [item for item in objects if item["kind"] == "ClusterRoleBinding"]
    assert {binding["roleRef"]["name"] for binding in bindings} == roles
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]


@pytest.mark.parametrize("example", ["07-wiring", "08-files-and-storage", "15-shop", "16-shop-pods", "17-workloads"])
def test_it_may_write_what_islands_are_made_of(
    example: str, objects: list[Object], build: Callable[[Path], str]
) -> None:
    (role,) = [
        item for item in objects if item["kind"] == "ClusterRole" and item["metadata"]["name"].endswith("-write")
    ]
    allowed = set()
    for rule in role["rules"]:
        assert set(rule["verbs"]) == {"get", "list", "create", "patch", "delete"}
        allowed |= {(group, resource) for group in rule["apiGroups"] for resource in rule["resources"]}
    for item in yaml.safe_load_all(build(ROOT / f"dsl-examples/{example}.yaml")):
        group = item["apiVersion"].rpartition("/")[0]
        assert (group, f"{item['kind'].lower()}s") in allowed


# The real kubectl, and as much of an API server as it needs: discovery, and objects by their paths


class Cluster(ThreadingHTTPServer):
    """An API server of some kinds, (group/version, kind) to whether its objects are in namespaces."""

    daemon_threads = True

    def __init__(self, kinds: dict[tuple[str, str], bool]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kinds = kinds
        self.objects: dict[str, Object] = {}

    def path(self, item: Object) -> str:
        version, kind, metadata = item["apiVersion"], item["kind"], item["metadata"]
        namespaced = self.kinds[version, kind]
        where = f"/namespaces/{metadata['namespace']}" if namespaced else ""
        return f"{_root(version)}{where}/{kind.lower()}s/{metadata['name']}"

    def store(self, item: Object) -> None:
        self.objects[self.path(item)] = item

    def discovery(self, path: str) -> Object | None:
        versions = sorted({version for version, _ in self.kinds})
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [
                {"name": version.partition("/")[0], "versions": [one], "preferredVersion": one}
                for version in versions
                if "/" in version
                for one in [{"groupVersion": version, "version": version.partition("/")[2]}]
            ]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        for version in versions:
            if path == _root(version):
                resources = [
                    {
                        "name": f"{kind.lower()}s",
                        "singularName": kind.lower(),
                        "namespaced": namespaced,
                        "kind": kind,
                        "verbs": ["create", "delete", "get", "list", "patch"],
                    }
                    for (other, kind), namespaced in self.kinds.items()
                    if other == version
                ]
                return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
        return None

    def list(self, path: str, selector: str) -> Object | None:
        for version, kind in self.kinds:
            root, plural = _root(version), f"/{kind.lower()}s"
            if path.startswith(root + "/") and path.endswith(plural):
                where = path.removeprefix(root).removesuffix(plural)
                key, _, value = selector.partition("=")
                items = [
                    item
                    for name, item in sorted(self.objects.items())
                    if name.startswith(f"{root}{where}/")
                    and name.rpartition("/")[0].endswith(plural)
                    and (
                        not key
                        or (labels := item["metadata"].get("labels", {})).get(key, "") == (value or labels.get(key))
                    )
                ]
                return {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": items}
        return None


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


class Handler(BaseHTTPRequestHandler):
    server: Cluster

    def answer(self, item: Object | None) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(status if item is None else item).encode()
        self.send_response(404 if item is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        (selector,) = parse_qs(url.query).get("labelSelector", [""])
        cluster = self.server
        self.answer(cluster.discovery(url.path) or cluster.objects.get(url.path) or cluster.list(url.path, selector))

    def do_PATCH(self) -> None:
        path = urlsplit(self.path).path
        item = yaml.safe_load(self.rfile.read(int(self.headers["Content-Length"])))
        item["metadata"] |= {"uid": hashlib.sha256(path.encode()).hexdigest(), "resourceVersion": "1"}
        self.server.objects[path] = item
        self.answer(item)

    def do_DELETE(self) -> None:
        self.answer(self.server.objects.pop(urlsplit(self.path).path, None) and {"kind": "Status", "status": "Success"})

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    threading.Thread(target=cluster.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{cluster.server_port}"
    finally:
        cluster.shutdown()
        cluster.server_close()


@pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl is not installed beside Python")
def test_the_real_kubectl_applies_and_prunes_across_namespaces(objects: list[Object], tmp_path: Path) -> None:
    first, second = stored(SHOP), stored(SHOP.replace("    us: {}\n", ""))
    wanted = [list(yaml.safe_load_all(compiled(text))) for text in (first, second)]
    namespaces = {item["metadata"]["namespace"] for item in wanted[0]}
    assert len(namespaces) > 2
    kinds = {(item["apiVersion"], item["kind"]): True for item in wanted[0]}
    kinds |= {("replicator.dev/v1alpha1", kind): True for kind in ("IslandType", "IslandSet", "Routing", "Partition")}
    kinds |= {("apiextensions.k8s.io/v1", "CustomResourceDefinition"): False, ("v1", "Namespace"): False}
    kinds |= {("operator.example.com/v1", "ApplySet"): False}
    cluster = Cluster(kinds)
    own = [yaml.safe_load((OPERATOR / f"setup/{name}.yaml").read_text()) for name in ("applyset-crd", "applyset")]
    for item in own:
        cluster.store({**item, "metadata": {**item["metadata"], "uid": "1", "resourceVersion": "1"}})
    for item in yaml.safe_load(first)["items"]:
        cluster.store(item)

    with serving(cluster) as url:
        # This server has no OpenAPI, by which kubectl would find out that servers validate by themselves.
        kubectl = f'#!/bin/sh\nset -- "$@" --server={url}\n[ "$1" = get ] || set -- "$@" --validate=false\n'
        kubectl += f'exec {KUBECTL} "$@"\n'

        def known() -> set[str]:
            dsl = "/apis/replicator.dev/"
            return {path for path in cluster.objects if not path.startswith(dsl)} - {cluster.path(item) for item in own}

        (tmp_path / "1").mkdir()
        ran = start(objects, tmp_path / "1", [("", 0)], kubectl)
        assert (ran.code, "error" in ran.log) == (0, False), ran.log
        assert known() == {cluster.path(item) for item in wanted[0]}
        for path in [path for path in cluster.objects if path.startswith("/apis/replicator.dev/")]:
            del cluster.objects[path]
        for item in yaml.safe_load(second)["items"]:
            cluster.store(item)
        (tmp_path / "2").mkdir()
        ran = start(objects, tmp_path / "2", [("", 0)], kubectl)
        assert (ran.code, "error" in ran.log) == (0, False), ran.log
        assert "pruned" in ran.log
        assert known() == {cluster.path(item) for item in wanted[1]}
