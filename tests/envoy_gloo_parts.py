"""What of a Gloo route stands alone, matchers and options and redirects, as parts of an Envoy route."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from envoy import Fields, Refused, UnknownField, typed
from envoy_parts import Condition, Option, Part, filter_settings, fraction, header_to_add, path_match, regex_rewrite

# RFC 3986 pchar, as solo-io/gloo checks paths (ValidateRoutePath); it does not check regexes.
PATH = re.compile(r"(?:[A-Za-z0-9/:@._~!$&'()*+,;=-]|%[0-9a-fA-F]{2})*")
NEVER_IN_A_PATH = ("//", "/./", "/../", "%2f", "%2F", "#")


class Matcher(NamedTuple):
    kind: str  # exact, regex, prefix; or "" where no path is given
    path: str
    case_sensitive: bool | None = None
    headers: tuple[Condition, ...] = ()
    query: tuple[Condition, ...] = ()
    methods: tuple[str, ...] = ()

    def envoy(self) -> Part:
        headers = [header.envoy() for header in self.headers]
        if self.methods:
            regex = {"safe_regex": {"regex": "|".join(self.methods)}}
            headers.append({"name": ":method", "string_match": regex})
        part = {
            **path_match(self.kind, self.path),
            "headers": headers,
            "query_parameters": [query.envoy() for query in self.query],
        }
        return part if self.case_sensitive is None else {**part, "case_sensitive": self.case_sensitive}

    def rank(self) -> tuple[Any, ...]:
        """Sorts as lessMatcher of solo-io/gloo: more methods, exact, regex, prefix, the greater path."""
        falling = (*(-byte for byte in self.path.encode()), 1)  # the 1: /a/b comes before /a
        return -len(self.methods), ("", "exact", "regex", "prefix").index(self.kind), falling


EVERYTHING = Matcher("prefix", "/")


def matcher(fields: Fields) -> Matcher:
    kind = next((name for name in ("exact", "regex", "prefix") if name in fields), "")
    path = fields.take(kind, "")
    return Matcher(
        kind,
        path if kind == "regex" else checked_path(path, fields.where),
        fields.take("caseSensitive"),
        tuple(
            _condition(header)._replace(inverted=header.take("invertMatch", False)) for header in fields.each("headers")
        ),
        tuple(_condition(query) for query in fields.each("queryParameters")),
        tuple(fields.take("methods", ())),
    )


def _condition(fields: Fields) -> Condition:
    return Condition(fields.take("name", ""), fields.take("value", ""), fields.take("regex", False))


def checked_path(path: str, where: str) -> str:
    if not PATH.fullmatch(path) or any(part in path for part in NEVER_IN_A_PATH) or path.endswith(("/.", "/..")):
        raise Refused(f"{where}: Gloo takes no path {path!r}")
    return path


# Gloo passes these over, without a word, on a redirect or a direct response.
ROUTE_ACTION_ONLY = {
    "timeout",
    "retries",
    "prefixRewrite",
    "regexRewrite",
    "hostRewriteType",
    "appendXForwardedHost",
}


def route_options(fields: Fields, upstream_cluster: Callable[[Fields], str]) -> dict[str, Option]:
    """By the name of the member of RouteOptions; only such members as a whole are inherited."""
    found: dict[str, Option] = {}
    if "timeout" in fields:
        found["timeout"] = Option(action={"timeout": fields.take("timeout")})
    if "retries" in fields:
        found["retries"] = Option(action={"retry_policy": retries(fields.inner("retries"))})
    if "prefixRewrite" in fields:
        prefix = checked_path(fields.take("prefixRewrite"), fields.where)
        found["prefixRewrite"] = Option(action={"prefix_rewrite": prefix})
    if "regexRewrite" in fields:
        found["regexRewrite"] = Option(action={"regex_rewrite": _regex_rewrite(fields.inner("regexRewrite"))})
    if "hostRewrite" in fields or "autoHostRewrite" in fields:
        name = fields.one_of("hostRewrite", "autoHostRewrite")
        envoy_name = {"hostRewrite": "host_rewrite_literal", "autoHostRewrite": "auto_host_rewrite"}[name]
        found["hostRewriteType"] = Option(action={envoy_name: fields.take(name)})
    if "appendXForwardedHost" in fields:
        found["appendXForwardedHost"] = Option(action={"append_x_forwarded_host": fields.take("appendXForwardedHost")})
    if "headerManipulation" in fields:
        found["headerManipulation"] = Option(route=header_manipulation(fields.inner("headerManipulation")))
    if "cors" in fields:
        found["cors"] = Option(filters=cors(fields.inner("cors")))
    if "faults" in fields:
        found["faults"] = Option(filters=_faults(fields.inner("faults")))
    if "shadowing" in fields:
        shadowing = fields.inner("shadowing")
        mirror = {
            "cluster": upstream_cluster(shadowing.inner("upstream")),
            "runtime_fraction": {"default_value": _percentage(shadowing)},
            "disable_shadow_host_suffix_append": shadowing.take("disableShadowHostSuffixAppend", False),
            "host_rewrite_literal": shadowing.take("hostRewriteLiteral", ""),
        }
        found["shadowing"] = Option(action={"request_mirror_policies": [mirror]})
    return found


def envoy_route(matching: Matcher, kind: str, action: Part, options: dict[str, Option], where: str) -> Part:
    """One Envoy route; `kind` is route, redirect or direct_response."""
    if not matching.kind:
        raise Refused(f"{where}: no path specifier provided")
    if "appendXForwardedHost" in options and "hostRewriteType" not in options and kind == "route":
        raise UnknownField(f"{where}: Gloo ignores appendXForwardedHost where no host is rewritten")
    part: Part = {"match": matching.envoy(), kind: dict(action), "typed_per_filter_config": {}}
    for name, option in options.items():
        if kind != "route" and name in ROUTE_ACTION_ONLY:
            continue  # inherited: a route's own are refused where they are read
        if kind != "route" and name != "headerManipulation":
            raise UnknownField(f"{where}: {name} has no translation on a {kind}")
        part |= option.route
        part[kind] |= option.action
        part["typed_per_filter_config"] |= option.filters
    return part


def redirect(fields: Fields) -> Part:
    names = {
        "hostRedirect": "host_redirect",
        "httpsRedirect": "https_redirect",
        "portRedirect": "port_redirect",
        "responseCode": "response_code",
        "stripQuery": "strip_query",
    }
    part = {envoy_name: fields.take(name) for name, envoy_name in names.items() if name in fields}
    rewrites = [name for name in ("pathRedirect", "prefixRewrite", "regexRewrite") if name in fields]
    if rewrites:
        name = fields.one_of(*rewrites)
        if name == "regexRewrite":
            part["regex_rewrite"] = _regex_rewrite(fields.inner(name))
        else:
            envoy_name = {"pathRedirect": "path_redirect", "prefixRewrite": "prefix_rewrite"}[name]
            part[envoy_name] = checked_path(fields.take(name), fields.where)
    return part


def _regex_rewrite(fields: Fields) -> Part:
    return regex_rewrite(fields.inner("pattern").take("regex", ""), fields.take("substitution", ""))


def retries(fields: Fields) -> Part:
    part = {"retry_on": fields.take("retryOn", ""), "num_retries": fields.take("numRetries", 0) or 1}
    if "perTryTimeout" in fields:
        part["per_try_timeout"] = fields.take("perTryTimeout")
    if "retriableStatusCodes" in fields:
        part["retriable_status_codes"] = fields.take("retriableStatusCodes")
    if "retryBackOff" in fields:
        pause = fields.inner("retryBackOff")
        names = {"baseInterval": "base_interval", "maxInterval": "max_interval"}
        part["retry_back_off"] = {names[name]: pause.take(name) for name in names if name in pause}
    return part


def header_manipulation(fields: Fields) -> Part:
    part: Part = {}
    for gloo, envoy in {"request": "request_headers", "response": "response_headers"}.items():
        added = []
        for item in fields.each(f"{gloo}HeadersToAdd"):
            header = item.inner("header")
            append = item.take("append", True)
            added.append(header_to_add(header.take("key"), header.take("value", ""), append=append))
        part[f"{envoy}_to_add"] = added
        part[f"{envoy}_to_remove"] = fields.take(f"{gloo}HeadersToRemove", [])
    return part


def cors(fields: Fields) -> Part:
    origins = [{"exact": origin} for origin in fields.take("allowOrigin", [])]
    origins += [{"safe_regex": {"regex": origin}} for origin in fields.take("allowOriginRegex", [])]
    if not origins:
        raise Refused(f"{fields.where}: must provide at least one of AllowOrigin or AllowOriginRegex")
    policy: Part = {"allow_origin_string_match": origins}
    lists = {
        "allowMethods": "allow_methods",
        "allowHeaders": "allow_headers",
        "exposeHeaders": "expose_headers",
    }
    for name, envoy_name in lists.items():
        policy[envoy_name] = ",".join(fields.take(name, []))
    policy["max_age"] = fields.take("maxAge", "")
    if fields.take("allowCredentials", False):
        policy["allow_credentials"] = True
    return filter_settings("cors", "CorsPolicy", policy)


def _faults(fields: Fields) -> Part:
    fault: Part = {}
    if "abort" in fields:
        abort = fields.inner("abort")
        fault["abort"] = {"percentage": _percentage(abort), "http_status": abort.take("httpStatus", 0)}
    if "delay" in fields:
        delay = fields.inner("delay")
        fault["delay"] = {"percentage": _percentage(delay), "fixed_delay": delay.take("fixedDelay")}
    return filter_settings("fault", "HTTPFault", fault)


def _percentage(fields: Fields) -> Part:
    """An absent percentage is 0, so nothing happens at all."""
    return fraction(fields.take("percentage", 0))


# Functions. What Gloo's own filters make of a request is written into it: whom Envoy calls, and what for.

Filters = tuple[Part, ...]


def aws_functions(fields: Fields) -> tuple[str, dict[str, Filters]]:
    """The host of a region's Lambda, and what a call of each of its functions is made of, by its logical name."""
    fields.skip("awsAccountId", "roleArn")
    _secret(fields)
    found: dict[str, Filters] = {}
    host = f"lambda.{fields.take('region')}.amazonaws.com"
    for function in fields.each("lambdaFunctions"):
        name, qualifier = function.take("lambdaFunctionName"), function.take("qualifier", "$LATEST")
        path = f"/2015-03-31/functions/{name}/invocations?Qualifier={qualifier}"
        found[function.take("logicalName")] = (_written(":path", path), _written(":authority", host))
    return host, found


def azure_functions(fields: Fields) -> tuple[str, dict[str, Filters]]:
    """The host of a Function App, and what a call of each of its functions is made of; the request's path is lost."""
    has_secret = _secret(fields)
    found: dict[str, Filters] = {}
    for function in fields.each("functions"):
        name, level = function.take("functionName"), function.take("authLevel", "Anonymous")
        if level != "Anonymous" and not has_secret:
            raise Refused(f"{function.where}: no Secret has the key for {level}")
        found[name] = (_written(":path", f"/api/{name}" + ("" if level == "Anonymous" else "?code=secret")),)
    return f"{fields.take('functionAppName')}.azurewebsites.net", found


def called(fields: Fields) -> tuple[str, Filters]:
    """Which function a destinationSpec names, and what of the call it decides."""
    kind = fields.one_of("aws", "azure")
    content = fields.inner(kind)
    if kind == "azure":
        return content.take("functionName"), ()
    if not (content.take("requestTransformation", False) and content.take("unwrapAsAlb", False)):
        raise UnknownField(f"{content.where}: only events of whole requests, answered as to a load balancer")
    style = {"SYNC": "RequestResponse", "ASYNC": "Event"}[content.take("invocationStyle", "SYNC")]
    return content.take("logicalName"), (_written("x-amz-invocation-type", style),)


def _secret(fields: Fields) -> bool:
    if "secretRef" not in fields:
        return False
    secret = fields.inner("secretRef")
    if not (secret.take("name") and secret.take("namespace")):
        raise Refused(f"{secret.where}: a Secret has a name and a namespace")
    return True


def _written(name: str, value: str) -> Part:
    """A filter that writes a header, which may be the path or the Host."""
    code = f"function envoy_on_request(handle) handle:headers():replace({name!r}, {value!r}) end"
    settings = {"@type": typed("filters.http.lua.v3.Lua"), "default_source_code": {"inline_string": code}}
    return {"name": "envoy.filters.http.lua", "typed_config": settings}
