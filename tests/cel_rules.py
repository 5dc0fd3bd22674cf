"""What an API server checks of a custom object by the x-kubernetes-* extensions of its CRD's schema.

These are the CEL rules (x-kubernetes-validations, at every level of the schema) and the lists that are sets or maps.
The rules run in PyPI common-expression-language; functions that Kubernetes has and that package has not are ours.
(Its `size` of a text counts bytes, not characters.)
As an API server does, it fills in the schema's defaults first. Rules of transition (oldSelf) are passed over.
Kubernetes documentation: "Validation rules", "Defaulting", "Merge strategy" of structural schemas; "CEL in Kubernetes".
"""

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import cel
from cel.stdlib import STDLIB_FUNCTIONS

Object = dict[str, Any]

RESERVED = set(
    "true false null in as break const continue else for function if import let loop package namespace return var void"
    " while".split()
)
ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


class CannotEvaluate(Exception):
    """A rule of a form that this module does not know: no rule is passed over in silence."""


def violations(value: Any, schema: Object) -> list[tuple[str, str]]:
    """The path and message of every broken rule of the schema; the value must be of the schema's form."""
    return list(_violations(defaulted(value, schema), schema, "$"))


def defaulted(value: Any, schema: Object) -> Any:
    """A copy of the value with the defaults of the schema wherever a field is not there."""
    if isinstance(value, dict):
        made = {key: defaulted(inner, _below(schema, key)) for key, inner in value.items()}
        for key, below in schema.get("properties", {}).items():
            if key not in made and "default" in below:
                made[key] = defaulted(below["default"], below)
        return made
    if isinstance(value, list):
        return [defaulted(item, schema.get("items", {})) for item in value]
    return value


def _below(schema: Object, key: str) -> Object:
    """The schema of the field of that name; an empty one where nothing is said of it."""
    found = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else {}


def _violations(value: Any, schema: Object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _violations(inner, _below(schema, key), f"{path}.{key}")
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from _violations(item, schema.get("items", {}), f"{path}[{at}]")
        yield from _repeated(value, schema, path)
    written = schema.get("x-kubernetes-validations", ())
    if written:
        context = cel.Context(variables={"self": _seen(value, schema)}, functions=FUNCTIONS)
        for text in written:
            if not re.search(r"\boldSelf\b", text["rule"]):
                yield from _broken(text["rule"], text.get("message") or f"failed rule: {text['rule']}", context, path)


def _broken(text: str, message: str, context: cel.Context, path: str) -> Iterator[tuple[str, str]]:
    try:
        holds = _program(text).execute(context)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # an error of a rule refuses the object too
        undefined = re.match(r"Undefined variable or function: '(\w+)'", str(error))
        if undefined and undefined[1] not in KNOWN:  # of a known function it says that the argument's type is wrong
            raise CannotEvaluate(f"{text}: {error}") from error
        holds, message = False, f"{message} ({error!r})"
    if holds is not True:
        yield path, message


@functools.cache
def _program(text: str) -> cel.Program:
    unknown = {name for name in functions_of(text) if name not in KNOWN}
    if unknown:
        raise CannotEvaluate(f"{text}: no function {sorted(unknown)}")
    try:
        return cel.compile(text)
    except ValueError as error:
        raise CannotEvaluate(f"{text}: {error}") from error


def functions_of(text: str) -> set[str]:
    """The names of the functions and macros that a rule calls."""
    literal = r'r"""(?s:.*?)"""' + r"|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
    return set(re.findall(r"([A-Za-z_][A-Za-z_0-9]*)\s*\(", re.sub(literal, '""', text))) - {"in"}


def _repeated(items: list[Any], schema: Object, path: str) -> Iterator[tuple[str, str]]:
    """The items of a set, and the keys of a map that is written as a list, stand once."""
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen = []
    for item in items if kind in ("set", "map") else ():
        identity = {key: item.get(key) for key in keys} if kind == "map" else item
        if identity in seen:
            yield path, f"duplicate value: {identity!r}"
        seen.append(identity)


def _seen(value: Any, schema: Object) -> Any:
    """The value as rules see it: declared names are escaped, and numbers that may be fractions are doubles."""
    if isinstance(value, dict):
        declared = schema.get("properties", {})
        return {
            _escaped(key) if key in declared else key: _seen(inner, _below(schema, key)) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_seen(item, schema.get("items", {})) for item in value]
    return float(value) if schema.get("type") == "number" else value


def _escaped(name: str) -> str:
    if name in RESERVED:
        return f"__{name}__"
    for text, escape in ESCAPES:
        name = name.replace(text, escape)
    return name


# What Kubernetes' URL and IP libraries add to CEL. A URL is a map here: rules call only its accessors.


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_url(text: str) -> bool:
    """Go's url.ParseRequestURI: an absolute URI or an absolute path."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:.|/", text)) and not re.search(r"[\x00-\x20\x7f]", parts.netloc)


def _url(text: str) -> dict[str, str]:
    if not _is_url(text):
        raise ValueError(f"{text!r} is no URL")
    return {"scheme": urlsplit(text).scheme}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isIP": _is_ip,
    "isURL": _is_url,
    "url": _url,
    "getScheme": lambda url: url["scheme"],
    **{name: STDLIB_FUNCTIONS[name] for name in ("split", "substring")},
}
KNOWN = {
    *FUNCTIONS,
    *("has", "all", "exists", "exists_one", "filter", "map", "size", "int", "string", "duration"),
    *("matches", "contains", "startsWith", "endsWith"),
}
