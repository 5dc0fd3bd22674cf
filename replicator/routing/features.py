"""What each provider can do: the one table that errors and the documentation come from.

A column is a provider with its edition or flavor. A cell is empty where the feature is written as it is meant, holds a
remark where that has a condition, or says (`No`) why it cannot be, and what to do instead.

Sources: the CRDs and documents of Gloo Edge 1.22, Istio 1.30, Gateway API 1.6 (standard channel) and kgateway 2.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from replicator.diagnostics import Diagnostic, Place, Related
from replicator.routing.rules import PORTS, Azure, SecretName, Table, Use

COLUMNS = {
    "gloo": "Gloo Edge",
    "gloo-enterprise": "Gloo Edge Enterprise",
    "istio": "Istio",
    "gateway-api": "Gateway API",
    "kgateway": "Gateway API with kgateway",
}


class No(NamedTuple):
    """The provider cannot do it: why, and the way out."""

    reason: str
    way_out: str


class Feature(NamedTuple):
    """A line of the table: what it is, and a cell for each column; one that is not there is empty."""

    title: str
    cells: Mapping[str, str | No] = MappingProxyType({})


def column_of(provider: str, settings: dict[str, str]) -> str:
    """The column of a provider with its settings."""
    if provider == "gloo":
        return "gloo-enterprise" if settings.get("edition") == "enterprise" else "gloo"
    return "kgateway" if settings.get("flavor") == "kgateway" else provider


def refusals(uses: Iterable[Use], column: str) -> Iterator[Diagnostic]:
    """An error at each place that asks for what the provider cannot do."""
    for use in uses:
        cell = FEATURES[use.feature].cells.get(column, "")
        if isinstance(cell, No):
            detail = f" ({use.detail})" if use.detail else ""
            message = f"not in {COLUMNS[column]}: {cell.reason}{detail}"
            related = (Related("an island may be this implementation", use.inside),) if use.inside is not None else ()
            yield Diagnostic("R0708", message, use.place, hint=cell.way_out, related=related)


def one_gateway_at_a_port(tables: Iterable[Table]) -> Iterator[Diagnostic]:
    """Gloo refuses two Gateways at one port of a proxy; other providers' may share one."""
    first: dict[int, Place] = {}
    for table in tables:
        gateway = table.gateway
        if table.provider != "gloo" or gateway is None or not gateway.create:
            continue
        redirected = [PORTS["gloo"][0]] if table.tls is not None and table.tls.redirect else []
        for port in (gateway.port, *redirected):
            earlier = first.setdefault(port, gateway.place)
            if earlier is not gateway.place:
                message = f"two Gateways of Gloo listen at the port {port}"
                related = (Related("the other one", earlier),)
                hint = "gateway: {name: …}, as the other Routing calls it, shares it; or create: {port: …}"
                yield Diagnostic("R0708", message, gateway.place, hint=hint, related=related)


def one_azure_secret(tables: Iterable[Table]) -> Iterator[Diagnostic]:
    """Gloo keeps the keys of one Secret for all Azure Upstreams, the last that it reads: so there may be one only.

    solo-io/gloo: projects/gloo/pkg/plugins/azure/plugin.go
    """
    first: tuple[SecretName, Place] | None = None
    for table in tables:
        for backend in table.backends() if table.provider == "gloo" else ():
            secret = backend.function.secret if isinstance(backend.function, Azure) else None
            if secret is None:
                continue
            if first is None:
                first = secret, backend.place
            elif secret != first[0]:
                message = "Gloo reads the keys of all Azure functions from one Secret, and these name two"
                related = (Related("the other one is named here", first[1]),)
                hint = "put the keys of all Function Apps into one Secret"
                yield Diagnostic("R0708", message, backend.place, hint=hint, related=related)


_OTHERS = "provider gloo or istio can"
_NO_FIXED = No("there are no fixed responses", "flavor: kgateway, or let a Service answer")
_REGEX = "regular expressions are the implementation's own (RE2, whole value, is assumed)"
_REGEX_PATH = f"{_REGEX}, and so is whether one or another path wins: both at once is an error, `/` too"
_NAMED_HOST = "by an ExternalName Service, which not every implementation takes for a backend"
_MATCHED_HOST = f"by a match on the header `Host`; {_REGEX}"
_ONE_HOST = No(
    "all destinations of a route see one Host, and these need their own",
    "give the island a route of its own, or let them share a Host by rewrite: {host: …}",
)
_ONE_PATH = No(
    "the path of an Azure function takes the place of the request's, for all destinations of the route",
    "give the function a route of its own",
)
# solo-io/gloo: the plug-ins of AWS and Azure take no sslConfig of an Upstream (projects/gloo/pkg/plugins/{aws,azure}).
_VERIFIED_BY_SETTINGS = "the server's certificate is verified only as Gloo's Settings say (`upstreamOptions`)"
_COPIED = No("a copy sees the Host of the request, and this host needs its own", "mirror to a Service")
_NATIVE = No("it does not invoke Lambda functions by itself", "give the function its `url` (a Function URL)")
_KEYED = No("it cannot send the key that the function asks for", "authLevel: Anonymous, or provider gloo")
_SIGNED = No("it does not sign requests with an identity token", "leave `audience` out, or provider gateway-api")
_NEEDS_GATEWAY = No("routes belong to a Gateway, and none is named", "gateway: {name: NAME, namespace: NAMESPACE}")
_OF_GATEWAY = No(
    "certificates belong to the Gateway, and this one is not written here",
    "leave `tls` out and name the Secret at the Gateway, or gateway: {create: …}",
)
_HOST_PORT = No("hosts have no port", "leave the port out: the Gateway's listener decides")

FEATURES: dict[str, Feature] = {
    "path.regex": Feature("match: path by `regex`", {"gateway-api": _REGEX_PATH, "kgateway": _REGEX}),
    "header.regex": Feature("match: header by `regex`", {"gateway-api": _REGEX, "kgateway": _REGEX}),
    "header.present": Feature(
        "match: header is `present`",
        {
            "gateway-api": No("no match on presence", "{regex: '.*'}, where your implementation has it"),
            "kgateway": "as a regular expression",
        },
    ),
    "header.absent": Feature(
        "match: header is `absent`",
        {
            column: No("no match on absence", "put the route for requests that have the header before this one")
            for column in ("gateway-api", "kgateway")
        },
    ),
    "query.regex": Feature("match: query by `regex`", {"gateway-api": _REGEX, "kgateway": _REGEX}),
    "query.present": Feature(
        "match: query parameter is `present`",
        {
            "gateway-api": No("no match on presence", "{regex: '.*'}, where your implementation has it"),
            "kgateway": "as a regular expression",
        },
    ),
    "method.other": Feature(
        "match: methods beyond those of HTTP itself",
        {
            column: No("the method is none of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH", _OTHERS)
            for column in ("gateway-api", "kgateway")
        },
    ),
    "respond": Feature("`respond`: a fixed response", {"gateway-api": _NO_FIXED, "kgateway": "DirectResponse"}),
    "drained": Feature(
        "the answer for a drained island (`each`)",
        {
            "gateway-api": No(
                "there are no fixed responses, so nothing answers for the drained island",
                "state: draining, or flavor: kgateway",
            ),
            "kgateway": "DirectResponse",
        },
    ),
    "redirect.prefix": Feature(
        "`redirect` of a prefix",
        {"istio": No("a redirect replaces the whole path", "redirect: {path: …}, or match an exact path")},
    ),
    "redirect.stripQuery": Feature(
        "`redirect` that drops the query",
        {
            column: No("a redirect keeps the query", "leave `stripQuery` out, or provider gloo")
            for column in ("istio", "gateway-api", "kgateway")
        },
    ),
    "retries": Feature(
        "`retries`",
        {
            "gateway-api": No(
                "retries are not in the standard channel", "flavor: kgateway, or leave them to the caller"
            ),
            "kgateway": "TrafficPolicy",
        },
    ),
    "fault": Feature(
        "`fault`",
        {
            "gateway-api": No("there is no fault injection", f"flavor: kgateway; {_OTHERS} too"),
            "kgateway": "TrafficPolicy, by whole percents",
        },
    ),
    "mirror.host": Feature(
        "`mirror` to a host outside of the cluster",
        {
            "gloo": "to an Upstream",
            "gloo-enterprise": "to an Upstream",
            **dict.fromkeys(("istio", "gateway-api", "kgateway"), _COPIED),
        },
    ),
    "mirror": Feature("`mirror`", {"gloo": "to an Upstream", "gloo-enterprise": "to an Upstream"}),
    "cors": Feature("`cors`"),
    "headers": Feature("`headers`: add, set, remove"),
    "targets.many": Feature(
        "more than 16 destinations of a route",
        {
            column: No(
                "a rule has at most 16 backendRefs",
                "name 16 islands at most in `to`; provider gloo or istio has no limit",
            )
            for column in ("gateway-api", "kgateway")
        },
    ),
    "mixed.host": Feature(
        "one route, by weight, to destinations of which some need a Host of their own",
        {
            "gloo": "the Host follows the destination",
            "gloo-enterprise": "the Host follows the destination",
            "istio": "a Host for each destination",
            "gateway-api": _ONE_HOST,
            "kgateway": "TrafficPolicy: the Host follows the destination",
        },
    ),
    "mixed.knative": Feature(
        "one route, by weight, to a Knative Service and others",
        {
            "gloo": _ONE_HOST,
            "gloo-enterprise": _ONE_HOST,
            "istio": "a Host for each destination",
            "gateway-api": _ONE_HOST,
            "kgateway": _ONE_HOST,
        },
    ),
    "mixed.aws": Feature(
        "one route, by weight, to a Lambda function with a URL and others",
        {"istio": "a Host for each destination", "gateway-api": _ONE_HOST},
    ),
    "mixed.azure": Feature(
        "one route, by weight, to an Azure function and others",
        {"istio": _ONE_PATH, "gateway-api": _ONE_PATH, "kgateway": _ONE_PATH},
    ),
    "function.aws": Feature(
        "AWS Lambda, invoked",
        {
            **dict.fromkeys(("gloo", "gloo-enterprise"), _VERIFIED_BY_SETTINGS),
            "istio": _NATIVE,
            "gateway-api": _NATIVE,
            "kgateway": "Backend; kgateway does not verify AWS's certificate",
        },
    ),
    "function.aws.unaccounted": Feature(
        "AWS Lambda, neither of whose `account` and `url` is said",
        {
            "istio": _NATIVE,
            "gateway-api": _NATIVE,
            "kgateway": No("it calls a function by its account", "account: the twelve digits of the AWS account"),
        },
    ),
    "function.aws.url": Feature(
        "AWS Lambda that has a Function URL",
        {
            "gloo": "invoked, not called by its URL",
            "gloo-enterprise": "invoked, not called by its URL",
            "istio": "by its URL, unsigned",
            "gateway-api": f"by its URL, unsigned, {_NAMED_HOST}",
            "kgateway": "invoked where `account` is said, else by its URL, unsigned",
        },
    ),
    "function.aws.account": Feature(
        "AWS Lambda of another account, or by a role",
        {
            column: No("it calls the function by its URL, without credentials", "leave `account` and `role` out")
            for column in ("istio", "gateway-api")
        },
    ),
    "function.azure": Feature(
        "Azure Functions that ask for a key",
        {
            **dict.fromkeys(("gloo", "gloo-enterprise"), _VERIFIED_BY_SETTINGS),
            "istio": _KEYED,
            "gateway-api": _KEYED,
            "kgateway": _KEYED,
        },
    ),
    "function.azure.anonymous": Feature(
        "Azure Functions without a key",
        {**dict.fromkeys(("gloo", "gloo-enterprise"), _VERIFIED_BY_SETTINGS), "gateway-api": _NAMED_HOST},
    ),
    "function.gcp": Feature("Google Cloud Run and Cloud Functions, unsigned", {"gateway-api": _NAMED_HOST}),
    "function.gcp.audience": Feature(
        "Google Cloud Run and Cloud Functions, with an identity token",
        {
            "gloo": No("signing is in the enterprise edition", "gloo: {edition: enterprise}, or leave `audience` out"),
            "istio": _SIGNED,
            "gateway-api": No("it does not sign requests with an identity token", "flavor: kgateway"),
            "kgateway": "Backend",
        },
    ),
    "function.knative": Feature("Knative Services, by their ingress"),
    "partition": Feature(
        "`partition`: the key is a header or a query parameter", {"gateway-api": _REGEX, "kgateway": _REGEX}
    ),
    "partition.host": Feature(
        "`partition`: the key is a label of the host", {"gateway-api": _MATCHED_HOST, "kgateway": _MATCHED_HOST}
    ),
    "partition.path": Feature(
        "`partition`: the key is a segment of the path", {"gateway-api": _REGEX_PATH, "kgateway": _REGEX}
    ),
    "host": Feature("`host`: a host outside of the cluster", {"gateway-api": _NAMED_HOST, "kgateway": "Backend"}),
    "gateway.none": Feature(
        "no `gateway` is named", {"istio": _NEEDS_GATEWAY, "gateway-api": _NEEDS_GATEWAY, "kgateway": _NEEDS_GATEWAY}
    ),
    "gateway.create": Feature("a Gateway that is written too"),
    "gateway.class": Feature(
        "a Gateway that is written without a class",
        {
            column: No("a Gateway is of a GatewayClass", "gateway: {create: {class: NAME}}")
            for column in ("gateway-api", "kgateway")
        },
    ),
    "gateway.section": Feature(
        "a listener of a Gateway that exists (`section`)",
        {
            column: No("Gateways have no listeners by name", "leave `section` out")
            for column in ("gloo", "gloo-enterprise", "istio")
        },
    ),
    "tls": Feature("`tls`, at a Gateway that is written too"),
    "tls.existing": Feature(
        "`tls`, at a Gateway that exists",
        {"istio": _OF_GATEWAY, "gateway-api": _OF_GATEWAY, "kgateway": _OF_GATEWAY},
    ),
    "delegation.regex": Feature(
        "`delegation` of a route whose path is a regular expression that does not begin with `/`",
        {
            column: No(
                "the paths of a delegated route begin with that of the route above it",
                "begin the regular expression with /, or delegation: none",
            )
            for column in ("gloo", "gloo-enterprise")
        },
    ),
    "hosts.any": Feature("the host `*`"),
    "hosts.port": Feature(
        "a host with a port", {"istio": _HOST_PORT, "gateway-api": _HOST_PORT, "kgateway": _HOST_PORT}
    ),
    "hosts.overlap": Feature(
        "a host beside one that contains it (`shop.example.com`, `*.example.com`)",
        {
            "istio": No(
                "a route has no two hosts of which one contains the other",
                "leave out the one that is contained, or give it a Routing of its own",
            )
        },
    ),
    "hosts.many": Feature(
        "more than 16 hosts",
        {
            column: No("a route has at most 16 hostnames", "a wildcard host, or a second Routing")
            for column in ("gateway-api", "kgateway")
        },
    ),
}
