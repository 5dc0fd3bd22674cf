"""The schemas of kgateway's own kinds, as its CRDs would have them: nothing of kgateway is saved beside the CRDs.

Read in kgateway-dev/kgateway, api/v1alpha1/kgateway (backend_types.go, direct_response_types.go, retries.go,
traffic_policy_types.go) and api/v1alpha1/shared (shared_types.go), as of release line 2.4, which kgateway.dev shows
under reference/api. Left out is what no translation of the tests reads: Backends that discover EC2 instances, are a
dynamic forward proxy or have priority groups, and of a TrafficPolicy all but the fields below.
"""

from typing import Any

Schema = dict[str, Any]

API_VERSION = "gateway.kgateway.dev/v1alpha1"


def text(pattern: str = "", longest: int = 0, **more: Any) -> Schema:
    """A text of at least one character."""
    limits: Schema = {"minLength": 1}
    if longest:
        limits["maxLength"] = longest
    if pattern:
        limits["pattern"] = pattern
    return {"type": "string", **limits, **more}


def choice(*values: str, **more: Any) -> Schema:
    return {"type": "string", "enum": list(values), **more}


def number(least: int, most: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def many(items: Schema, least: int = 0, most: int = 0, *rules: tuple[str, str]) -> Schema:
    limits: Schema = {"minItems": least} if least else {}
    if most:
        limits["maxItems"] = most
    return {"type": "array", "items": items, **limits, **_ruled(rules)}


def fields(required: str, *rules: tuple[str, str], **properties: Schema) -> Schema:
    """An object; `required` names its required fields in one text."""
    head: Schema = {"required": required.split()} if required else {}
    return {"type": "object", **head, "properties": properties, **_ruled(rules)}


def _ruled(rules: tuple[tuple[str, str], ...]) -> Schema:
    written = [{"rule": rule, "message": message} for rule, message in rules]
    return {"x-kubernetes-validations": written} if written else {}


def one_of(*names: str) -> tuple[str, str]:
    present = ", ".join(f"has(self.{name})" for name in names)
    return f"[{present}].filter(is, is).size() == 1", f"exactly one of {', '.join(names)} must be set"


def some_of(*names: str) -> tuple[str, str]:
    return " || ".join(f"has(self.{name})" for name in names), f"at least one of {', '.join(names)} must be set"


BOOLEAN: Schema = {"type": "boolean"}
PORT = number(1, 65535)
PERCENTAGE = number(0, 100, default=100)
DURATION = text(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")
FROM_1MS = {**DURATION, **_ruled((("duration(self) >= duration('1ms')", "must be at least 1ms"),))}

# Backend

ACCOUNT = text("^[0-9]{12}$", 12)

LAMBDA = fields(
    "functionName",
    accountId=ACCOUNT,
    endpointURL=text("^https?://[-a-zA-Z0-9@:%.+~#?&/=]+$", 2048),
    functionName=text("^[A-Za-z0-9-_]{1,140}$"),
    invocationMode=choice("Sync", "Async", default="Sync"),
    qualifier=text(r"^(\$LATEST|[0-9]+|[A-Za-z0-9-_]{1,128})$", default="$LATEST"),
    payloadTransformMode=choice("None", "Envoy", default="Envoy"),
)

AUTH = fields(
    "type",
    ("has(self.secretRef) == (self.type == 'Secret')", "secretRef must be set for type 'Secret' and only there"),
    ("has(self.assumeRole) == (self.type == 'AssumeRole')", "assumeRole must be set for type 'AssumeRole' only"),
    type=choice("Secret", "AssumeRole"),
    secretRef=fields("name", name=text()),
    assumeRole=fields("roleArn", roleArn=text("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", 2048)),
)

AWS = fields(
    "lambda",
    ("has(self.accountId) || has(self.lambda.accountId)", "accountId must be specified on aws or aws.lambda"),
    **{"lambda": LAMBDA},
    accountId=ACCOUNT,
    auth=AUTH,
    region=text("^[a-z0-9-]+$", 63, default="us-east-1"),
)

PROTOCOLS = ("http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws")

BACKEND = fields(
    "",
    one_of("aws", "static", "gcp"),
    *(
        (f"!has(self.type) || self.type != '{kind}' || has(self.{name})", f"{name} must be specified for type '{kind}'")
        for kind, name in {"AWS": "aws", "Static": "static", "GCP": "gcp"}.items()
    ),
    type=choice("AWS", "Static", "GCP"),  # deprecated
    aws=AWS,
    static=fields(
        "hosts",
        hosts=many(fields("host port", host=text(), port=PORT), 1),
        appProtocol=choice(*PROTOCOLS),
    ),
    gcp=fields("host", host=text(), audience=text()),
)

# DirectResponse

DIRECT_RESPONSE = fields(
    "status",
    ("!(has(self.body) && has(self.bodyFormat))", "at most one of body, bodyFormat may be set"),
    status=number(200, 599),
    body=text(longest=4096),
    bodyFormat=fields("", one_of("text"), contentType={"type": "string"}, text=text(longest=4096)),
)

# TrafficPolicy

HEADER = fields("name value", name=text(r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$", 256), value=text(longest=4096))
HEADERS = fields(
    "",
    some_of("set", "add", "remove"),
    set=many(HEADER, 0, 16),
    add=many(HEADER, 0, 16),
    remove={**many({"type": "string"}, 0, 16), "x-kubernetes-list-type": "set"},
)

RETRY_ON = (
    "5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx refused-stream"
    " retriable-status-codes http3-post-connect-failure cancelled deadline-exceeded internal resource-exhausted"
    " unavailable"
).split()

RETRY = fields(
    "",
    ("has(self.retryOn) || has(self.statusCodes)", "retryOn or statusCodes must be set."),
    retryOn=many(choice(*RETRY_ON), 1),
    attempts={"type": "integer", "minimum": 0, "default": 1},
    perTryTimeout=FROM_1MS,
    statusCodes=many(number(400, 599), 1),
    backoffBaseInterval={**FROM_1MS, "default": "25ms"},
)

FAULTS = fields(
    "",
    some_of("delay", "abort"),
    delay=fields(
        "fixedDelay",
        ("duration(self.fixedDelay) <= duration('1h')", "must not exceed 1h"),
        fixedDelay=FROM_1MS,
        percentage=PERCENTAGE,
    ),
    abort=fields(
        "",
        one_of("httpStatus", "grpcStatus"),
        httpStatus=number(200, 599),
        grpcStatus=number(0, 16),
        percentage=PERCENTAGE,
    ),
)

CORS = fields(
    "",
    allowOrigins=many(text(longest=253), 0, 64),
    allowMethods=many(text(), 0, 9),
    allowHeaders=many(text(longest=256), 0, 64),
    exposeHeaders=many(text(longest=256), 0, 64),
    maxAge={"type": "integer", "minimum": 1, "default": 5},
    allowCredentials=BOOLEAN,
)

TARGET = fields("group kind name", group={"type": "string"}, kind=text(), name=text(), sectionName=text())
ONLY_ROUTES = "!has(self.{0}) || !has(self.targetRefs) || self.targetRefs.all(r, r.kind == 'HTTPRoute')"

TRAFFIC_POLICY = fields(
    "",
    *(
        (ONLY_ROUTES.format(name), f"{name} can only be used when targeting HTTPRoute resources")
        for name in ("autoHostRewrite", "urlRewrite")
    ),
    (
        (
            "!(has(self.retry) && has(self.retry.perTryTimeout) && has(self.timeouts) && has(self.timeouts.request))"
            " || duration(self.retry.perTryTimeout) < duration(self.timeouts.request)"
        ),
        "retry.perTryTimeout must be less than timeouts.request",
    ),
    targetRefs=many(
        TARGET,
        1,
        16,
        (
            "self.all(r, r.kind in ['Gateway', 'HTTPRoute', 'GRPCRoute'] || r.kind.endsWith('ListenerSet'))",
            "targetRefs may only reference Gateway, HTTPRoute, GRPCRoute, or ListenerSet resources",
        ),
    ),
    autoHostRewrite=BOOLEAN,
    cors=CORS,
    faultInjection=FAULTS,
    headerModifiers=fields("", some_of("request", "response"), request=HEADERS, response=HEADERS),
    retry=RETRY,
    timeouts=fields("", request=DURATION, streamIdle=DURATION),
    urlRewrite=fields(
        "pathRegex",
        pathRegex=fields("pattern substitution", pattern=text(longest=1024), substitution=text(longest=1024)),
    ),
)

SCHEMAS: dict[str, Schema] = {
    kind: fields("spec", spec=spec)
    for kind, spec in {"Backend": BACKEND, "DirectResponse": DIRECT_RESPONSE, "TrafficPolicy": TRAFFIC_POLICY}.items()
}
