"""kgateway's own kinds as parts of Envoy's configuration; kgateway_schemas says what they may hold.

Read in kgateway-dev/kgateway, line 2.4: pkg/kgateway/extensions2/plugins (backend, directresponse, trafficpolicy) and
pkg/pluginsdk/policy. The back ends of tests speak HTTP/1 without TLS, so nothing here encrypts, signs or asks for a
token; a Lambda's request and answer do pass Envoy's own filter.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from envoy import Endpoint, Fields, Object, Refused, Service, UnknownField, typed
from envoy_gateway_api_parts import Reader, cors, seconds
from envoy_parts import Option, Part, filter_settings, fraction, regex_rewrite

HTTPS = 443


def backend(spec: Fields, resolve: Callable[[Service, str], Endpoint], *, encrypts: bool) -> Endpoint:
    """The one host of a Backend. `encrypts` says that a BackendTLSPolicy targets it."""
    spec.skip("type")
    kind = spec.one_of("aws", "static", "gcp")
    content = spec.inner(kind)
    if kind == "aws":
        return _lambda(content, resolve)
    if kind == "gcp":  # always by TLS and with a token for the audience
        content.skip("audience")
        host = content.take("host")
        return resolve(outside(host, HTTPS), content.where)._replace(hostname=host)
    content.skip("appProtocol")
    hosts = content.each("hosts")
    if len(hosts) != 1:
        raise UnknownField(f"{content.where}: only a single host has a translation")
    host, port = hosts[0].take("host"), hosts[0].take("port")
    if port == HTTPS and not encrypts:
        raise Refused(f"{content.where}: kgateway speaks plain HTTP to port {port} without a BackendTLSPolicy")
    return resolve(outside(host, port), content.where)._replace(hostname=host)


def outside(host: str, port: int) -> Service:
    """How the tests name the back end of that address: a Service by its DNS name, or any other host."""
    name, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    return (namespace, name, port) if domain in ("svc", "svc.cluster.local") else ("", host, port)


def _lambda(aws: Fields, resolve: Callable[[Service, str], Endpoint]) -> Endpoint:
    aws.skip("auth")
    region, account = aws.take("region", "us-east-1"), aws.take("accountId", "")
    function = aws.inner("lambda")
    account = function.take("accountId", "") or account
    host, port, authority = f"lambda.{region}.amazonaws.com", HTTPS, f"lambda.{region}.amazonaws.com"
    if "endpointURL" in function:
        url = urlsplit(function.take("endpointURL"))
        if not url.port:
            raise Refused(f"{function.where}: kgateway takes no endpointURL without a port")
        host, port = url.hostname or "", url.port
        authority = host if port == {"https": 443, "http": 80}[url.scheme] else f"{host}:{port}"
    name, qualifier = function.take("functionName"), function.take("qualifier", "$LATEST")
    settings = {
        "@type": typed("filters.http.aws_lambda.v3.Config"),
        "arn": f"arn:aws:lambda:{region}:{account}:function:{name}:{qualifier}",
        "payload_passthrough": function.take("payloadTransformMode", "Envoy") == "None",
        "invocation_mode": {"Sync": "SYNCHRONOUS", "Async": "ASYNCHRONOUS"}[function.take("invocationMode", "Sync")],
        "host_rewrite": authority,
    }
    found = resolve(outside(host, port), aws.where)
    return found._replace(filters=({"name": "envoy.filters.http.aws_lambda", "typed_config": settings},))


def rewrites_host(item: Object) -> bool:
    """Whether a route to this Backend gets auto_host_rewrite by itself."""
    return "gcp" in item["spec"]


def direct_response(spec: Fields) -> Part:
    part: Part = {"status": spec.take("status")}
    if "body" in spec:
        part["body"] = {"inline_string": spec.take("body")}
    if "bodyFormat" in spec:
        formatted = spec.inner("bodyFormat")
        part["body_format"] = {"text_format_source": {"inline_string": formatted.take("text")}}
        if "contentType" in formatted:
            part["body_format"]["content_type"] = formatted.take("contentType")
    return part


def traffic_policy(spec: Fields, reader: Reader) -> dict[str, Option]:
    """By the name of the field of the spec; `targetRefs` is read before."""
    found: dict[str, Option] = {}
    if spec.take("autoHostRewrite", False):
        found["autoHostRewrite"] = Option(action={"auto_host_rewrite": True})
    if "cors" in spec:
        found["cors"] = Option(filters=cors(spec.inner("cors")))
    if "faultInjection" in spec:
        found["faultInjection"] = Option(filters=_faults(spec.inner("faultInjection")))
    if "headerModifiers" in spec:
        modifiers = spec.inner("headerModifiers")
        route: Part = {}
        for direction in ("request", "response"):
            if direction in modifiers:
                route |= reader.headers(modifiers.inner(direction), direction)
        found["headerModifiers"] = Option(route=route)
    if "retry" in spec:
        found["retry"] = Option(action={"retry_policy": _retries(spec.inner("retry"))})
    if "timeouts" in spec:
        timeouts = spec.inner("timeouts")
        names = {"request": "timeout", "streamIdle": "idle_timeout"}
        action = {names[name]: seconds(timeouts.take(name), timeouts.where) for name in names if name in timeouts}
        found["timeouts"] = Option(action=action)
    if "urlRewrite" in spec:
        regex = spec.inner("urlRewrite").inner("pathRegex")
        rewrite = regex_rewrite(regex.take("pattern"), regex.take("substitution"))
        found["urlRewrite"] = Option(action={"regex_rewrite": rewrite})
    return found


def _retries(fields: Fields) -> Part:
    conditions, codes = list(fields.take("retryOn", [])), fields.take("statusCodes", [])
    if codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    part: Part = {
        "retry_on": ",".join(conditions),
        "num_retries": fields.take("attempts", 1),
        "retriable_status_codes": codes,
        "retry_back_off": {"base_interval": seconds(fields.take("backoffBaseInterval", "25ms"), fields.where)},
    }
    if "perTryTimeout" in fields:
        part["per_try_timeout"] = seconds(fields.take("perTryTimeout"), fields.where)
    return part


def _faults(fields: Fields) -> Part:
    fault: Part = {}
    if "abort" in fields:
        abort = fields.inner("abort")
        name = {"httpStatus": "http_status", "grpcStatus": "grpc_status"}[abort.one_of("httpStatus", "grpcStatus")]
        status = abort.take("httpStatus", abort.take("grpcStatus"))
        fault["abort"] = {name: status, "percentage": _percentage(abort)}
    if "delay" in fields:
        delay = fields.inner("delay")
        pause = seconds(delay.take("fixedDelay"), delay.where)
        fault["delay"] = {"fixed_delay": pause, "percentage": _percentage(delay)}
    return filter_settings("fault", "HTTPFault", fault)


def _percentage(fields: Fields) -> Part:
    """An absent percentage is 100, so it happens to every request."""
    return fraction(fields.take("percentage", 100))
