"""What of an HTTPRoute stands alone, matches with their rank and filters, as parts of an Envoy route.

The rules are those of kubernetes-sigs/gateway-api 1.6, apis/v1/httproute_types.go. Where it leaves something to
implementations, this does as kgateway 2.4 (kgateway-dev/kgateway, pkg/kgateway/translator and pkg/krtcollections).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from envoy import Fields, Refused, UnknownField
from envoy_parts import Condition, Part, filter_settings, fraction, header_to_add, regex_rewrite

KINDS = ("Exact", "RegularExpression", "PathPrefix")  # by precedence


class Match(NamedTuple):
    kind: str  # of the path, one of KINDS
    path: str  # a prefix without the slash at its end: the root is the empty text
    method: str = ""
    headers: tuple[Condition, ...] = ()
    query: tuple[Condition, ...] = ()

    def envoy(self) -> Part:
        paths: dict[str, Part] = {
            "Exact": {"path": self.path},
            "RegularExpression": {"safe_regex": {"regex": self.path}},  # Envoy matches all of the path
            "PathPrefix": {"path_separated_prefix": self.path} if self.path else {"prefix": "/"},
        }
        headers = [header.envoy() for header in self.headers]
        if self.method:
            headers.append({"name": ":method", "string_match": {"exact": self.method}})
        return {
            **paths[self.kind],
            "headers": headers,
            "query_parameters": [query.envoy() for query in self.query],
        }

    def rank(self) -> tuple[int, ...]:
        """Sorts by precedence: exact path, longest prefix, method, most headers, most query parameters.

        Where a regular expression stands is left to implementations: kgateway and Envoy Gateway both put it between
        an exact path and any prefix. Its length is no criterion, as in kgateway; Envoy Gateway takes the longest first.
        """
        length = len(self.path) if self.kind == "PathPrefix" else 0
        return KINDS.index(self.kind), -length, not self.method, -len(self.headers), -len(self.query)

    def overlaps(self, other: "Match") -> bool:
        """Whether one request can match both, which are of one rank.

        Two regular expressions are taken to overlap unless both only list texts. A request has one value for a name.
        """
        mine, others = Condition("", self.path, self.kind == KINDS[1]), Condition("", other.path, self.kind == KINDS[1])
        if self.method != other.method or not _both_can_hold(mine, others):
            return False
        for ours, theirs in ((self.headers, other.headers), (self.query, other.query)):
            by_name = {condition.name: condition for condition in ours}
            if not all(_both_can_hold(by_name.get(that.name, that), that) for that in theirs):
                return False
        return True

    def takes_from(self, one: "Match", other: "Match") -> bool:
        """Whether every request that meets both of two matches meets this one, as far as their conditions tell."""
        both = {*one.headers, *other.headers}, {*one.query, *other.query}
        return (
            (self.kind, self.path) in ((one.kind, one.path), (other.kind, other.path))
            and self.method in ("", one.method, other.method)
            and both[0].issuperset(self.headers)
            and both[1].issuperset(self.query)
        )


def _both_can_hold(one: Condition, other: Condition) -> bool:
    if one.regex and other.regex:
        texts, others = _texts(one.value), _texts(other.value)
        return one.value == other.value or texts is None or others is None or bool(texts & others)
    if one.regex or other.regex:
        regex, text = (one.value, other.value) if one.regex else (other.value, one.value)
        try:
            return re.fullmatch(regex, text) is not None
        except re.error:
            return True
    return one.value == other.value


def _texts(regex: str) -> set[str] | None:
    """The texts of an alternation like `a|b` or `(?:a|b)`; None for any other expression."""
    inner = re.fullmatch(r"(?:\((?:\?:)?)?([^()]*)\)?", regex)
    if not inner or not re.fullmatch(r"(?:[\w/ |:@%&=,;~!<>'\"-]|\\\W)*", inner[1]):
        return None
    return {re.sub(r"\\(\W)", r"\1", text) for text in inner[1].split("|")}


def match(fields: Fields) -> Match:
    path = fields.inner("path")
    kind, value = path.take("type", "PathPrefix"), path.take("value", "/")
    if kind not in KINDS or (not value.startswith("/") and kind != "RegularExpression"):
        raise Refused(f"{path.where}: no path {value!r} of type {kind}")
    return Match(
        kind,
        value.rstrip("/") if kind == "PathPrefix" else value,
        fields.take("method", ""),
        _conditions(fields, "headers", str.lower),
        _conditions(fields, "queryParams", str),
    )


def _conditions(fields: Fields, name: str, same: Callable[[str], str]) -> tuple[Condition, ...]:
    """`same` makes names alike that are the same: of those, the API ignores all but the first."""
    found: dict[str, Condition] = {}
    for item in fields.each(name):
        key, kind = same(item.take("name")), item.take("type", "Exact")
        if key in found or kind not in ("Exact", "RegularExpression"):
            raise Refused(f"{item.where}: {key!r} is there before, or its type {kind} is not known")
        found[key] = Condition(key, item.take("value"), kind == "RegularExpression")
    return tuple(found.values())


class Listening(NamedTuple):
    """What a redirect takes from the listener of its route where it does not say it."""

    scheme: str
    port: int


@dataclass
class Answer:
    """What one rule makes of a request: parts of the Envoy route, of its action, and of the filters' settings."""

    kind: str = "route"  # of Envoy's action: route, redirect, direct_response
    route: Part = field(default_factory=dict)
    action: Part = field(default_factory=dict)
    settings: Part = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)  # names of kgateway's TrafficPolicies, given as filters


MEMBERS = {
    **{name: name[0].lower() + name[1:] for name in ("RequestHeaderModifier", "ResponseHeaderModifier")},
    **{name: name[0].lower() + name[1:] for name in ("RequestMirror", "RequestRedirect", "ExtensionRef")},
    "URLRewrite": "urlRewrite",
    "CORS": "cors",
}
DEFAULT_PORTS = {"http": 80, "https": 443}
STATUSES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


@dataclass(frozen=True)
class Reader:
    """Reads filters, as the API says or, where kgateway departs from it, to refuse what kgateway would get wrong."""

    kgateway: bool
    cluster: Callable[[Fields], str]  # the name of the cluster of a mirror's backendRef
    extension: Callable[[Fields, Answer], None]  # adds what an extensionRef does to the answer

    def filters(self, items: list[Fields], matches: list[Match], listening: set[Listening]) -> Answer:
        """What the filters of a rule do together; at most one of a kind, but for mirrors and extensions."""
        answer = Answer()
        seen: set[str] = set()
        for item in items:
            kind = item.take("type")
            if kind in seen - {"RequestMirror", "ExtensionRef"}:
                raise Refused(f"{item.where}: {kind} is there twice")
            seen.add(kind)
            if kind not in MEMBERS or MEMBERS[kind] not in item:
                raise Refused(f"{item.where}: no filter {kind}, or nothing of it is said")
            content = item.inner(MEMBERS[kind])
            if kind == "RequestHeaderModifier":
                answer.route |= self.headers(content, "request")
            elif kind == "ResponseHeaderModifier":
                answer.route |= self.headers(content, "response")
            elif kind == "RequestMirror":
                answer.action.setdefault("request_mirror_policies", []).append(self._mirror(content))
            elif kind == "CORS":
                answer.settings |= cors(content)
            elif kind == "ExtensionRef":
                self.extension(content, answer)
            elif kind == "URLRewrite":
                answer.action |= self._rewrite(content, matches)
            else:
                answer.kind = "redirect"
                answer.action |= self._redirect(content, matches, listening)
        if answer.kind != "route" and (useless := seen & {"URLRewrite", "RequestMirror", "RequestHeaderModifier"}):
            raise UnknownField(f"{items[0].where}: {sorted(useless)} has no effect on a {answer.kind}")
        return answer

    def headers(self, fields: Fields, direction: str) -> Part:
        """An HTTPHeaderFilter; one action for a name."""
        added, seen = [], set()
        for name in ("set", "add"):
            for item in fields.each(name):
                key, value = item.take("name"), item.take("value")
                if self.kgateway and "%" in value:
                    raise Refused(f"{item.where}: kgateway hands {value!r} to Envoy as a format")
                added.append(header_to_add(key, value.replace("%", "%%"), append=name == "add"))
                seen.add(key.lower())
        removed = fields.take("remove", [])
        seen |= {name.lower() for name in removed}
        if not seen or len(seen) != len(added) + len(removed):
            raise Refused(f"{fields.where}: needs one action for a header")
        return {f"{direction}_headers_to_add": added, f"{direction}_headers_to_remove": removed}

    def _mirror(self, fields: Fields) -> Part:
        part: Part = {"cluster": self.cluster(fields.inner("backendRef"))}
        percentage = fields.take("percent", 100)
        if "fraction" in fields:
            of = fields.inner("fraction")
            percentage = 100 * of.take("numerator") / of.take("denominator", 100)
        part["runtime_fraction"] = {"default_value": fraction(percentage)}
        return part

    def _rewrite(self, fields: Fields, matches: list[Match]) -> Part:
        part: Part = {}
        if "hostname" not in fields and "path" not in fields:
            raise Refused(f"{fields.where}: rewrites nothing")
        if "hostname" in fields:
            part["host_rewrite_literal"] = fields.take("hostname")
        if "path" in fields:
            part |= self._path(fields.inner("path"), matches, redirects=False)
        return part

    def _redirect(self, fields: Fields, matches: list[Match], listening: set[Listening]) -> Part:
        """The port is that of the filter, else its scheme's, else the listener's; unless it is the scheme's default."""
        part: Part = {"response_code": STATUSES[fields.take("statusCode", 302)]}
        if "hostname" in fields:
            part["host_redirect"] = fields.take("hostname")
        scheme, port = fields.take("scheme"), fields.take("port")
        if not (scheme and port) and len(listening) > 1:
            raise UnknownField(f"{fields.where}: where it leads depends on the listener, and the tests have one")
        for listener in listening:
            port = port or (DEFAULT_PORTS[scheme] if scheme else listener.port)
            scheme = scheme or listener.scheme
        if scheme:
            part["scheme_redirect"] = scheme
        if port and port != DEFAULT_PORTS[scheme or "http"]:
            part["port_redirect"] = port
        if "path" in fields:
            part |= self._path(fields.inner("path"), matches, redirects=True)
        return part

    def _path(self, fields: Fields, matches: list[Match], *, redirects: bool) -> Part:
        """An HTTPPathModifier."""
        if fields.take("type") == "ReplaceFullPath":
            path = fields.take("replaceFullPath")
            if not path.startswith("/"):
                raise Refused(f"{fields.where}: {path!r} is no path")
            return {"path_redirect": path} if redirects else {"regex_rewrite": regex_rewrite(".*", _literal(path))}
        replacement = fields.take("replacePrefixMatch")
        if len(matches) != 1 or matches[0].kind != "PathPrefix":
            raise Refused(f"{fields.where}: needs exactly one PathPrefix match")
        prefix = matches[0].path
        if self.kgateway and (fault := _kgateway_prefix_fault(prefix, replacement, redirects=redirects)):
            raise Refused(f"{fields.where}: {replacement!r} for {prefix or '/'!r}: {fault}")
        return replace_prefix(prefix, replacement, fields.where)


def replace_prefix(prefix: str, replacement: str, where: str) -> Part:
    """ReplacePrefixMatch, exactly: the rest of the path keeps its slash, and never does one more stand before it."""
    replacement = replacement.rstrip("/")
    if replacement and not replacement.startswith("/"):
        raise Refused(f"{where}: {replacement!r} is no path")
    if replacement == prefix:
        return {}
    if replacement:
        return {"regex_rewrite": regex_rewrite(f"^{_quoted(prefix)}(/.*)?$", _literal(replacement) + r"\1")}
    return {"regex_rewrite": regex_rewrite(f"^{_quoted(prefix)}/?(.*)$", r"/\1")}


def _kgateway_prefix_fault(prefix: str, replacement: str, *, redirects: bool) -> str:
    """Where kgateway departs from the API: it leaves all but the rewrite to "/" to Envoy's prefix_rewrite."""
    if not replacement:
        return "kgateway ignores an empty prefix"
    if not prefix:  # of "/", which the slash before the rest belongs to
        return "" if replacement.endswith("/") else "kgateway leaves the slash before the rest out"
    if replacement == "/" and redirects:
        return "kgateway redirects /x/y to //y"
    if replacement == "/":
        return "kgateway reads the prefix as a regular expression" if re.search(r"[$()*+]", prefix) else ""
    return "kgateway doubles the slash" if replacement.endswith("/") else ""


def _quoted(text: str) -> str:
    return re.sub(r"([^\w/])", r"\\\1", text)


def _literal(text: str) -> str:
    """As a part of a substitution."""
    return text.replace("\\", r"\\")


def cors(fields: Fields) -> Part:
    """An HTTPCORSFilter as settings of Envoy's filter."""
    origins = [_origin(origin) for origin in fields.take("allowOrigins", [])]
    if not origins:
        raise Refused(f"{fields.where}: allows no origin, so it has no effect")
    policy: Part = {"allow_origin_string_match": origins, "max_age": str(fields.take("maxAge", 5))}
    lists = {"allowMethods": "allow_methods", "allowHeaders": "allow_headers", "exposeHeaders": "expose_headers"}
    for name, envoy_name in lists.items():
        policy[envoy_name] = ",".join(fields.take(name, []))
    if fields.take("allowCredentials", False):
        policy["allow_credentials"] = True
    return filter_settings("cors", "CorsPolicy", policy)


def _origin(origin: str) -> Part:
    if "*" not in origin:
        return {"exact": origin}
    return {"safe_regex": {"regex": ".*".join(map(_quoted, origin.split("*")))}}


MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def seconds(duration: str, where: str) -> str:
    """A duration of GEP-2257, like 1m30s or 500ms, as protobuf's JSON writes it."""
    if not re.fullmatch(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}", duration):
        raise Refused(f"{where}: {duration!r} is no duration")
    parts = re.findall(r"([0-9]+)(h|ms|m|s)", duration)
    return f"{sum(int(count) * MILLISECONDS[unit] for count, unit in parts) / 1000:.3f}s"


def timeout(fields: Fields) -> Part:
    """HTTPRoute timeouts; the time for one try to a back end is the shorter one, and without retries there is one."""
    request, backend = fields.take("request"), fields.take("backendRequest")
    if not request and not backend:
        return {}
    chosen = seconds(backend or request, fields.where)
    if backend and request and float(chosen[:-1]) == 0 != float(seconds(request, fields.where)[:-1]):
        raise Refused(f"{fields.where}: a backendRequest without an end takes the end from the request too")
    return {"timeout": chosen}
