"""What of an Istio HTTP route stands alone, its matches and its action, as parts of an Envoy route."""

import re
from base64 import b64decode
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from envoy import Fields, Refused, UnknownField
from envoy_parts import Part, filter_settings, fraction, header_to_add, path_match, regex_rewrite

HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s|us|ns))+")
MILLISECONDS = {
    "h": Decimal(3_600_000),
    "m": Decimal(60_000),
    "s": Decimal(1000),
    "ms": Decimal(1),
    "us": Decimal("1e-3"),
    "ns": Decimal("1e-6"),
}

LARGEST_REGEX = 1024  # characters
LARGE_ANSWER = 100 * 1024  # bytes; Istio warns of a larger one

RETRY_ON = {
    *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx", "refused-stream"),
    *("retriable-status-codes", "retriable-headers", "envoy-ratelimited", "http3-post-connect-failure"),
    *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
}
DEFAULT_RETRIES = {
    "num_retries": 2,
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
}

REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
DEFAULT_PORTS = {"http": 80, "https": 443}

CORS_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"}


def duration(text: str, where: str) -> str:
    """Go's notation (1h, 1m30s, 500ms) in that of protobuf; Istio takes whole milliseconds from 1 on."""
    if not DURATION.fullmatch(text):
        raise Refused(f"{where}: {text!r} is no duration")
    parts = re.findall(r"([0-9.]+)([a-z]+)", text)
    length = sum((Decimal(number) * MILLISECONDS[unit] for number, unit in parts), Decimal(0))
    if length < 1 or length % 1:
        raise Refused(f"{where}: a duration is a whole number of milliseconds, at least 1, not {text!r}")
    return f"{length / 1000:f}s"


class StringMatch(NamedTuple):
    kind: str  # exact, prefix, regex; or "" for presence
    value: str = ""

    def envoy(self) -> Part:
        if not self.kind:
            return {"present_match": True}
        pattern: Any = {"regex": self.value} if self.kind == "regex" else self.value
        return {"string_match": {"safe_regex" if self.kind == "regex" else self.kind: pattern}}


PRESENT = StringMatch("")
ANY_PATH = StringMatch("prefix", "/")


def string_match(fields: Fields) -> StringMatch:
    """`{}` asks for presence only."""
    kinds = [kind for kind in ("exact", "prefix", "regex") if kind in fields]
    if not kinds:
        return PRESENT
    kind = fields.one_of(*kinds)
    value = fields.take(kind)
    if not isinstance(value, str):
        raise Refused(f"{fields.where}.{kind}: not a string: {value!r}")
    if not value and kind != "exact":
        raise Refused(f"{fields.where}: an empty {kind}")
    if kind == "regex" and value == "*":
        raise Refused(f"{fields.where}: * is no regex, though Istio reads it as presence in withoutHeaders")
    if kind == "regex" and len(value) > LARGEST_REGEX:
        raise Refused(f"{fields.where}: a regex of more than {LARGEST_REGEX} characters")
    return StringMatch(kind, value)


def _value_match(fields: Fields) -> StringMatch:
    """Of what every request has, so that presence says nothing."""
    found = string_match(fields)
    if not found.kind:
        raise Refused(f"{fields.where}: needs one of exact, prefix, regex")
    return found


class Match(NamedTuple):
    """One HTTPMatchRequest: all of its conditions must hold."""

    uri: StringMatch = ANY_PATH
    ignore_case: bool = False
    headers: tuple[tuple[str, StringMatch], ...] = ()  # pseudo-headers too
    without: tuple[tuple[str, StringMatch], ...] = ()
    query: tuple[tuple[str, StringMatch], ...] = ()
    port: int = 0

    def is_catch_all(self) -> bool:
        """After such a match Istio drops all others (IsCatchAllRoute)."""
        rest = self.headers, self.without, self.query
        return self.uri in (ANY_PATH, StringMatch("regex", ".*")) and not any(rest) and not self.port

    def envoy(self, scheme: str) -> Part:
        """`scheme` is that of the connections to the port, where the match has one."""
        headers = [{"name": name, **value.envoy()} for name, value in self.headers]
        for name, value in self.without:
            inverted = {"name": name, **value.envoy(), "invert_match": True}
            # Unlike Envoy's own inverted match, Istio's holds where the header is missing, too.
            headers.append({**inverted, "treat_missing_header_as_empty": True} if value.kind else inverted)
        if self.port:
            headers.append({"name": "x-forwarded-proto", **StringMatch("exact", scheme).envoy()})
        return {
            **path_match(*self.uri),
            "case_sensitive": not self.ignore_case,
            "headers": headers,
            "query_parameters": [{"name": name, **value.envoy()} for name, value in self.query],
        }


def match(fields: Fields) -> Match:
    fields.skip("name")
    uri = _value_match(fields.inner("uri")) if "uri" in fields else ANY_PATH
    ignore_case = fields.take("ignoreUriCase", False)
    if ignore_case and uri.kind == "regex":
        raise Refused(f"{fields.where}: Istio ignores ignoreUriCase for a regex")
    pseudo = {
        f":{name}": _value_match(fields.inner(name)) for name in ("method", "authority", "scheme") if name in fields
    }
    return Match(
        uri,
        ignore_case,
        (*_headers(fields, "headers"), *pseudo.items()),
        _headers(fields, "withoutHeaders"),
        tuple((name, string_match(value)) for name, value in fields.by_name("queryParams").items()),
        fields.take("port", 0),
    )


def _headers(fields: Fields, which: str) -> tuple[tuple[str, StringMatch], ...]:
    found = fields.by_name(which)
    for name in found:
        if not HEADER_NAME.fullmatch(name):
            raise Refused(f"{fields.where}.{which}: names are in lower case, {name!r} is not or is no name")
        if name in ("uri", "scheme", "method", "authority"):
            raise Refused(f"{fields.where}.{which}: Istio ignores the name {name!r}")
    return tuple((name, string_match(value)) for name, value in sorted(found.items()))


def header_operations(fields: Fields) -> tuple[Part, str]:
    """What they add to an Envoy route or cluster, and the Host that they set, or ""."""
    part: Part = {}
    hosts: list[str] = []
    for side in ("request", "response"):
        operations = fields.inner(side)
        added = []
        for verb in ("set", "add"):
            for name, value in sorted(operations.take(verb, {}).items()):
                if side == "request" and name.lower() in ("host", ":authority"):
                    hosts.append(value)
                    continue
                _check_changeable(name, operations.where)
                added.append(header_to_add(name, value, append=verb == "add"))
        removed = operations.take("remove", [])
        for name in removed:
            _check_changeable(name, operations.where)
        if added:
            part[f"{side}_headers_to_add"] = added
        if removed:
            part[f"{side}_headers_to_remove"] = removed
    if len(hosts) > 1:
        raise Refused(f"{fields.where}: sets the authority several times")
    return part, "".join(hosts)


def _check_changeable(name: str, where: str) -> None:
    if not name or name.startswith(":") or name.lower() == "host":
        raise Refused(f"{where}: Istio does not change the header {name!r} there")


ROUTE_ONLY = ("rewrite", "timeout", "retries", "fault", "mirror", "mirrors", "mirrorPercentage")


Cluster = Callable[[Fields, str], str]  # the name of that of a Destination, to which this Host is sent, "" if any


def action(fields: Fields, cluster: Cluster, *, secure: bool) -> Part:
    """An Envoy route without its match, from an HTTPRoute without its own; `secure` if requests come by TLS."""
    kind = fields.one_of("route", "redirect", "directResponse")
    part, host = header_operations(fields.inner("headers"))
    if kind != "route":
        useless = [name for name in ROUTE_ONLY if name in fields]
        if useless or host or any(name.startswith("request") for name in part):
            raise Refused(f"{fields.where}: {useless or 'headers.request'} has no effect on a {kind}")
    filters: Part = {}
    if "fault" in fields:
        filters |= _fault(fields.inner("fault"))
    if "corsPolicy" in fields:
        filters |= _cors(fields.inner("corsPolicy"))
    if kind == "redirect":
        part["redirect"] = _redirect(fields.inner(kind), secure=secure)
    elif kind == "directResponse":
        part["direct_response"] = _direct_response(fields.inner(kind))
    else:
        part |= _route(fields, part, host, cluster)
    return {**part, "typed_per_filter_config": filters}


def _route(fields: Fields, part: Part, host: str, cluster: Cluster) -> Part:
    route: Part = {"timeout": "0s"}  # Envoy's own default is 15s
    if "timeout" in fields:
        route["timeout"] = duration(fields.take("timeout"), fields.where)
    if "rewrite" in fields:
        rewrite, new_host = _rewrite(fields.inner("rewrite"))
        if host and new_host:
            raise Refused(f"{fields.where}: sets the authority several times")
        host = host or new_host
        route |= rewrite
    if mirrors := _mirrors(fields, host, cluster):
        route["request_mirror_policies"] = mirrors
    route["retry_policy"] = _retries(fields.inner("retries")) if "retries" in fields else DEFAULT_RETRIES
    destinations = fields.each("route")
    if not destinations:
        raise Refused(f"{fields.where}: HTTP route, redirect or direct_response is required")
    # Istio sends everything to the only one, whatever its weight; among several, no weight is 0.
    weights = [destination.take("weight", None if len(destinations) > 1 else 1) for destination in destinations]
    if None in weights or min(weights) < 0 or sum(weights) == 0:
        raise Refused(f"{fields.where}: the weights {weights} are not all given, 0 or more, with one above 0")
    operations = [header_operations(destination.inner("headers")) for destination in destinations]
    if host and any(own_host for _, own_host in operations):
        raise Refused(f"{fields.where}: Istio ignores a destination's authority where the route rewrites it")
    clusters = [
        cluster(destination.inner("destination"), host or own_host)
        for destination, (_, own_host) in zip(destinations, operations, strict=True)
    ]
    if len(clusters) == 1:  # Envoy has the headers of one destination on the route itself
        [(own, own_host)] = operations
        part = {name: part.get(name, []) + own.get(name, []) for name in part | own}
        host = host or own_host
        route["cluster"] = clusters[0]
    else:
        weighted = [
            {"name": name, "weight": weight, **own, **({"host_rewrite_literal": own_host} if own_host else {})}
            for name, weight, (own, own_host) in zip(clusters, weights, operations, strict=True)
        ]
        route["weighted_clusters"] = {"clusters": weighted}
    if host:
        route["host_rewrite_literal"] = host
    return {**part, "route": route}


def _rewrite(fields: Fields) -> tuple[Part, str]:
    part: Part = {}
    host = fields.take("authority", "")
    if "uri" in fields and "uriRegexRewrite" in fields:
        raise Refused(f"{fields.where}: may only contain one of uri or uriRegexRewrite")
    if uri := fields.take("uri", ""):
        part["prefix_rewrite"] = uri
    elif "uriRegexRewrite" in fields:
        by_regex = fields.inner("uriRegexRewrite")
        regex, substitution = by_regex.take("match", ""), by_regex.take("rewrite", "")
        if not regex or not substitution or len(regex) > LARGEST_REGEX:
            raise Refused(f"{by_regex.where}: needs match, of at most {LARGEST_REGEX} characters, and rewrite")
        part["regex_rewrite"] = regex_rewrite(regex, substitution)
    if not part and not host:
        raise Refused(f"{fields.where}: needs uri, uriRegexRewrite or authority")
    return part, host


def _mirrors(fields: Fields, host: str, cluster: Cluster) -> list[Part]:
    if "mirror" in fields and "mirrors" in fields:
        raise Refused(f"{fields.where}: cannot contain both mirror and mirrors")
    found = [(item.inner("destination"), item) for item in fields.each("mirrors")]
    if "mirror" in fields:
        found = [(fields.inner("mirror"), fields)]
    elif "mirrorPercentage" in fields:
        raise Refused(f"{fields.where}: mirrorPercentage is for mirror alone")
    policies = []
    for destination, owner in found:
        name = "mirrorPercentage" if owner is fields else "percentage"
        percentage = _percentage(owner.inner(name)) if name in owner else 100
        policy = {
            "cluster": cluster(destination, host),
            "runtime_fraction": {"default_value": fraction(percentage)},
            # DISABLE_SHADOW_HOST_SUFFIX is true by default: the mirror sees the Host that the destination sees.
            "disable_shadow_host_suffix_append": True,
        }
        policies.append(policy)
    return policies


def _percentage(fields: Fields) -> float:
    value: float = fields.take("value", 0)
    if not 0 <= value <= 100 or 0 < value < 0.0001:
        raise Refused(f"{fields.where}: {value} is neither 0 nor from 0.0001 to 100")
    return value


def _retries(fields: Fields) -> Part:
    attempts = fields.take("attempts", 0)
    names = [name for name in ("perTryTimeout", "retryOn", "backoff", "retryIgnorePreviousHosts") if name in fields]
    if attempts < 0 or (not attempts and names):
        raise Refused(f"{fields.where}: attempts is {attempts}, so {names} cannot be")
    part: Part = {**DEFAULT_RETRIES, "num_retries": attempts}
    if retry_on := fields.take("retryOn", ""):
        conditions = retry_on.split(",")
        codes = [int(item) for item in conditions if item.isdecimal() and 100 <= int(item) < 600]
        reasons = [item for item in conditions if not item.isdecimal()]
        if wrong := set(reasons) - RETRY_ON or len(codes) + len(reasons) < len(conditions):
            raise Refused(f"{fields.where}: no retryOn policy: {wrong}")
        if codes and "retriable-status-codes" not in reasons:
            reasons.append("retriable-status-codes")
        part |= {"retry_on": ",".join(reasons), "retriable_status_codes": codes}
    if "perTryTimeout" in fields:
        part["per_try_timeout"] = duration(fields.take("perTryTimeout"), fields.where)
    if "backoff" in fields:
        part["retry_back_off"] = {"base_interval": duration(fields.take("backoff"), fields.where)}
    fields.skip("retryIgnorePreviousHosts")  # clusters have one endpoint
    return part


def _redirect(fields: Fields, *, secure: bool) -> Part:
    """The query is kept, as Istio never strips it, unless `uri` has one of its own."""
    if not any(name in fields for name in ("uri", "authority", "scheme", "port", "derivePort")):
        raise Refused(f"{fields.where}: must specify uri, authority, scheme or port")
    code = fields.take("redirectCode", 301)
    if code not in REDIRECT_CODES:
        raise Refused(f"{fields.where}: redirectCode {code} is not supported")
    part: Part = {"response_code": REDIRECT_CODES[code]}
    scheme = fields.take("scheme", "")
    if scheme:
        part["scheme_redirect"] = scheme
    if scheme not in ("", *DEFAULT_PORTS):
        raise Refused(f"{fields.where}: invalid scheme {scheme!r}")
    if "uri" in fields:
        part["path_redirect"] = fields.take("uri")
    if "authority" in fields:
        part["host_redirect"] = fields.take("authority")
    port = fields.take("port", 0)
    if fields.take("derivePort", "FROM_PROTOCOL_DEFAULT") != "FROM_PROTOCOL_DEFAULT":
        raise UnknownField(f"{fields.where}: only derivePort FROM_PROTOCOL_DEFAULT has a translation")
    if port and port != DEFAULT_PORTS[scheme or ("https" if secure else "http")]:
        part["port_redirect"] = port
    return part


def _direct_response(fields: Fields) -> Part:
    status = fields.take("status", 0)
    if not 200 <= status < 600:
        raise Refused(f"{fields.where}: status {status} is not in range 200-599")
    part: Part = {"status": status}
    if "body" in fields:
        content = fields.inner("body")
        kind = content.one_of("string", "bytes")
        body = content.take(kind)
        if len(b64decode(body) if kind == "bytes" else body.encode()) > LARGE_ANSWER:
            raise Refused(f"{fields.where}: Istio warns of a body of more than {LARGE_ANSWER} bytes")
        part["body"] = {f"inline_{kind}": body}
    return part


def _fault(fields: Fields) -> Part:
    fault: Part = {}
    for kind in ("abort", "delay"):
        if kind not in fields:
            continue
        content = fields.inner(kind)
        if "percentage" not in content:
            raise Refused(f"{content.where}: without a percentage nothing happens")
        fault[kind] = {"percentage": fraction(_percentage(content.inner("percentage")))}
        if kind == "delay":
            fault[kind]["fixed_delay"] = duration(content.take("fixedDelay", ""), content.where)
        elif "httpStatus" not in content:
            raise UnknownField(f"{content.where}: only an abort with httpStatus has a translation")
        else:
            fault[kind]["http_status"] = content.take("httpStatus")
            if not 200 <= fault[kind]["http_status"] < 600:
                raise Refused(f"{content.where}: httpStatus is not in range 200-599")
    if not fault:
        raise Refused(f"{fields.where}: must have an abort and/or a delay")
    return filter_settings("fault", "HTTPFault", fault)


def _cors(fields: Fields) -> Part:
    origins = [_value_match(origin) for origin in fields.each("allowOrigins")]
    if not origins or not all(origin.value for origin in origins):
        raise Refused(f"{fields.where}: without allowOrigins, or with an empty one, nothing is allowed")
    policy: Part = {"allow_origin_string_match": [origin.envoy()["string_match"] for origin in origins]}
    methods = fields.take("allowMethods", [])
    if wrong := set(methods) - CORS_METHODS:
        raise Refused(f"{fields.where}: not supported as HTTP methods: {sorted(wrong)}")
    policy["allow_methods"] = ",".join(methods)
    policy["allow_headers"] = ",".join(fields.take("allowHeaders", []))
    policy["expose_headers"] = ",".join(fields.take("exposeHeaders", []))
    if "maxAge" in fields:
        seconds = Decimal(duration(fields.take("maxAge"), fields.where)[:-1])
        if seconds % 1:
            raise Refused(f"{fields.where}: maxAge is accurate only to seconds")
        policy["max_age"] = f"{seconds:.0f}"
    if "allowCredentials" in fields:
        policy["allow_credentials"] = fields.take("allowCredentials")
    # Envoy answers preflights of origins that it allows; Istio sends the others on to the destination.
    policy["forward_not_matching_preflights"] = fields.take("unmatchedPreflights", "UNSPECIFIED") != "IGNORE"
    return filter_settings("cors", "CorsPolicy", policy)
