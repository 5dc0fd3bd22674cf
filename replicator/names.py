"""Kubernetes' rules for names and texts, and the names that the compiler makes: one place that knows every limit."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")  # RFC 1123
LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")  # a Service's name
SUBDOMAIN = re.compile(rf"{LABEL.pattern}(?:\.{LABEL.pattern})*")
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")  # IANA_SVC_NAME
ENVIRONMENT = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_QUALIFIED = re.compile(rf"(?:{SUBDOMAIN.pattern}/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")

PART_OF, MANAGED_BY = "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"

# Labels that say whose an object is.
OF_SET, OF_ISLAND, OF_ROUTING = "replicator.dev/set", "replicator.dev/island", "replicator.dev/routing"
SPLIT = {"replicator.dev/split": "by-size"}
"""The label of an object that holds what another of its owner had no room for: where the cut is follows from sizes."""

MAX_KEY = 32
MAX_LABEL = 63
MAX_SUBDOMAIN = 253
MAX_PORT_NAME = 15

# The longest name of an object of a kind. A StatefulSet's pods carry its name and a hash of ten digits in a label
# (kubernetes/kubernetes#64023); a CronJob's Jobs carry its name and eleven digits.
MAX_NAME = {"StatefulSet": 52, "CronJob": 52, "Service": MAX_LABEL, "Deployment": MAX_LABEL}


def is_label(name: str) -> bool:
    """Whether a name is a DNS label of RFC 1123."""
    return len(name) <= MAX_LABEL and LABEL.fullmatch(name) is not None


def is_label_1035(name: str) -> bool:
    """Whether a name is a DNS label that begins with a letter, as a Service's name must."""
    return len(name) <= MAX_LABEL and LABEL_1035.fullmatch(name) is not None


def is_subdomain(name: str) -> bool:
    """Whether a name is a DNS subdomain, as most objects' names must be."""
    return len(name) <= MAX_SUBDOMAIN and SUBDOMAIN.fullmatch(name) is not None


def is_key(name: str) -> bool:
    """Whether a text is fit for an island's key: a DNS label, but shorter, as it is a part of names."""
    return len(name) <= MAX_KEY and LABEL.fullmatch(name) is not None


def is_token(name: str) -> bool:
    """Whether a name is a token of HTTP (RFC 9110), as the names of headers are."""
    return TOKEN.fullmatch(name) is not None


def is_port_name(name: str) -> bool:
    """Whether a name is fit for a port."""
    return len(name) <= MAX_PORT_NAME and PORT_NAME.fullmatch(name) is not None


_SEGMENT = re.compile(r"[^/%]+")


def is_object_name(kind: str, name: str) -> bool:
    """Whether a name is fit for an object of a kind; RBAC's may hold what a path segment may."""
    if kind == "Service":
        return is_label_1035(name)
    if kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
        return name not in (".", "..") and _SEGMENT.fullmatch(name) is not None
    return is_label(name) if kind == "Namespace" else is_subdomain(name)


def label_problem(key: str, value: str) -> str:
    """Why a label would be refused, or ''."""
    prefix, _, name = key.rpartition("/")
    if len(name) > MAX_LABEL or len(prefix) > MAX_SUBDOMAIN or not _QUALIFIED.fullmatch(key):
        return f"`{key}` is no label's key"
    if len(value) > MAX_LABEL or not LABEL_VALUE.fullmatch(value):
        return f"`{value}` is no label's value: at most 63 of A-Z, a-z, 0-9, `-_.`, with a letter or digit at both ends"
    return ""


def files(unit: str) -> str:
    """What holds a unit's files: the name of a ConfigMap within the island, and of its volume."""
    return f"{unit}-files"


def files_by_pod(unit: str) -> str:
    """What holds those files of a unit that differ between pods."""
    return f"{unit}-files-by-pod"


def config_key(path: str) -> str:
    """The key of a ConfigMap under which a file of this absolute path is kept."""
    return re.sub(r"[^-._a-zA-Z0-9]", "-", path.strip("/").replace("/", "."))


def is_config_key(key: str) -> bool:
    """Whether a ConfigMap takes a key (k8s.io/apimachinery: IsConfigMapKey)."""
    return len(key) <= MAX_SUBDOMAIN and CONFIG_KEY.fullmatch(key) is not None and key != "." and key[:2] != ".."


def claim_name(path: str) -> str:
    """The name of the claim template for a volume that is mounted at this path."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "data"


# Texts that expressions give: what they must be


class Rule(NamedTuple):
    """What a text must be: `problem` says what is wrong with one, or ''; `code` and `hint` are for its diagnostic."""

    problem: Callable[[str], str]
    code: str
    hint: str


def _no_host(text: str) -> str:
    return "" if is_subdomain(text) and not re.fullmatch(r"[0-9.]+", text) else f"`{text}` is no name of a host"


def _no_size(text: str) -> str:
    match = _QUANTITY.fullmatch(text)
    return "" if match and match["number"].strip("0.") else f"`{text}` is no size"


def _no_schedule(text: str) -> str:
    return "" if _SCHEDULE.fullmatch(text) else f"`{text}` is no schedule"


def _no_label_value(text: str) -> str:
    return label_problem("key", text)


# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"\+?(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")
# https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax
_FIELD = r"[0-9A-Za-z*?/,-]+"
_SCHEDULE = re.compile(
    rf"@(?:yearly|annually|monthly|weekly|daily|midnight|hourly|every [0-9.hmnsuµ]+)|\s*{_FIELD}(?:\s+{_FIELD}){{4}}\s*"
)


def _no_virtual_host(text: str) -> str:
    name = text.removeprefix("*.")
    return "" if is_subdomain(name) else f"`{text}` is no host"


VIRTUAL_HOST = Rule(_no_virtual_host, "R0706", "shop.example.com, or *.example.com")
HOST = Rule(_no_host, "R0304", "a name in DNS: archive.example.net")  # an ExternalName Service takes no address
SIZE = Rule(_no_size, "R0307", "more than nothing, as a quantity: 10Gi")
SCHEDULE = Rule(_no_schedule, "R0307", 'five fields, minute first: "0 3 * * *"; or @daily')
LABEL_VALUE_RULE = Rule(_no_label_value, "R0304", "")


def _empty(text: str) -> str:
    return "" if text else "the value is empty for this island"


# RFC 3986 `pchar` and `/`; `%` must begin an escape.
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")


def _no_path(text: str) -> str:
    """Gloo refuses what is not normal, and other proxies normalise before they match."""
    if not text.startswith("/"):
        return f"the path `{text}` does not begin with /"
    if not _PATH.fullmatch(text) or "%2f" in text.lower():
        return f"`{text}` is no path of a URL"
    if "//" in text or not {".", ".."}.isdisjoint(text.split("/")):
        return f"the path `{text}` is not normal: it has //, /./ or /../"
    return ""


def _no_path_prefix(text: str) -> str:
    ends = f"the path `{text}` ends with /: a prefix is of whole segments" if text.endswith("/") and text != "/" else ""
    return _no_path(text) or ends


def _like(pattern: str, what: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)
    return lambda text: "" if compiled.fullmatch(text) else f"`{text}` is no {what}"


# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
LAMBDA = Rule(
    _like("[A-Za-z0-9_-]{1,64}", "name of a Lambda function"),
    "R0304",
    "at most 64 of A-Z, a-z, 0-9, `-` and `_`; `region` and `account` say the rest of its ARN",
)
REGION = Rule(_like("[a-z0-9]+(?:-[a-z0-9]+)*", "region"), "R0304", "as in eu-west-1")
ROLE = Rule(_like("arn:[!-~]+", "ARN of a role"), "R0304", "arn:aws:iam::123456789012:role/NAME")
QUALIFIER = Rule(_like(r"\$LATEST|[A-Za-z0-9_-]{1,128}", "version or alias"), "R0304", "a number, an alias or $LATEST")
# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules (Microsoft.Web/sites)
AZURE_APP = Rule(
    _like("[A-Za-z0-9](?:[A-Za-z0-9-]{0,58}[A-Za-z0-9])?", "name of a Function App"),
    "R0304",
    "at most 60 of A-Z, a-z, 0-9 and `-`, without .azurewebsites.net",
)
AZURE_FUNCTION = Rule(
    _like("[A-Za-z][A-Za-z0-9_-]{0,126}", "name of an Azure function"), "R0304", "a letter, then A-Z, a-z, 0-9, - or _"
)


def _no_header_part(text: str) -> str:
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        return "a header's value has no control characters"
    return "`%` of an expression would be a command to proxies" if "%" in text else ""


HEADER_PART = Rule(_no_header_part, "R0706", "a value is one line; write `%` outside of expressions")  # RFC 9110, 5.5
NAMESPACE = Rule(lambda text: "" if is_label(text) else f"`{text}` is no namespace's name", "R0304", "")
SERVICE = Rule(
    lambda text: "" if is_label_1035(text) else f"`{text}` is no Service's name", "R0304", "NAME or NAMESPACE/NAME"
)
NOT_EMPTY = Rule(_empty, "R0706", "`present: true` tests presence")  # a proxy takes an empty value for such a test
_ESCAPES = "as in /a/b%20c: no empty step, no . or ..; %2F, ? and # cannot be matched"
PATH = Rule(_no_path, "R0706", _ESCAPES)
PATH_PREFIX = Rule(_no_path_prefix, "R0706", _ESCAPES)


@cache
def one_of(words: tuple[str, ...], what: str) -> Rule:
    """That a text is one of some words, which are all that `what` can be."""
    return Rule(lambda text: "" if text in words else f"{what} cannot be `{text}`", "R0307", " or ".join(words))


@cache
def at_most(longest: int, what: str) -> Rule:
    """That a text has at most so many characters."""
    return Rule(
        lambda text: f"a {what} of {len(text):,} characters; {longest:,} are taken" if len(text) > longest else "",
        "R0706",
        "a shorter one",
    )
