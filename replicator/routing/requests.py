"""Requests as a proxy sees them before it looks for a route: paths are normal, names of headers are in lower case.

As Envoy does it with `normalize_path`, which the gateways of all providers switch on: dot segments are resolved, `%XX`
of a letter, a digit or `-._~` is that character, and what is no character of a path is escaped. `%2F` stays, and the
query is left alone. Only some merge slashes, too (`merged`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from replicator.routing.texts import is_header

# What may be in a request's target: RFC 3986, and what Envoy takes beside it. Neither blanks nor `#`.
_TARGET = re.compile(r"/[!-\"$-~]*")
_URL = re.compile(r"(?i:(https?)://)([^/?#\s]+)([^#\s]*)(?:#\S*)?")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_METHOD = re.compile(r"[A-Z]+")
_PORTS = {"http": "80", "https": "443"}

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NESTED = re.compile(r"\0(?=[0-9A-Fa-f]{2})")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPED = re.compile(r'["<>^`{|}]')


class BadRequest(Exception):
    """Something is no request; the message says what."""


class Request(NamedTuple):
    """A request. `host` has its port where the client sends one; `query` is None where there is no `?`.

    A header that comes several times has several values.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: str | None
    headers: Mapping[str, tuple[str, ...]]

    @property
    def parameters(self) -> dict[str, str]:
        """The first value of each query parameter. Envoy decodes neither names nor values."""
        found: dict[str, str] = {}
        for part in self.query.split("&") if self.query else ():
            name, _, value = part.partition("=")
            if part:
                found.setdefault(name, value)
        return found

    @property
    def suffix(self) -> str:
        """The query with its `?`, as it follows a path."""
        return "" if self.query is None else f"?{self.query}"

    @property
    def url(self) -> str:
        """The request's URL, with its normal path."""
        return f"{self.scheme}://{self.host}{self.path}{self.suffix}"


def of_url(method: str, url: str, headers: Iterable[tuple[str, str]] = ()) -> Request:
    """The request that a client sends for a URL; a `host` among the headers takes the place of the URL's.

    Raises `BadRequest`.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise BadRequest(f"`{url}` is no URL: https://shop.example.com/path")
    scheme, host, target = match[1].lower(), match[2], match[3]
    if "@" in host:
        host = host.rpartition("@")[2]
    name, _, port = host.rpartition(":")
    if name and port == _PORTS[scheme]:
        host = name
    return request(method, scheme, host, target if target.startswith("/") else f"/{target}", headers)


def request(method: str, scheme: str, host: str, target: str, headers: Iterable[tuple[str, str]] = ()) -> Request:
    """A request of its parts; `target` is the path with the query. Raises `BadRequest`."""
    if not _METHOD.fullmatch(method):
        hint = f": did you mean {method.upper()}?" if _METHOD.fullmatch(method.upper()) else ""
        raise BadRequest(f"`{method}` is no method{hint}")
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        lowered, value = name.lower(), value.strip(" \t")
        if not is_header(name):
            raise BadRequest(f"`{name}` is no header's name")
        if re.search(r"[\0-\x08\n-\x1f\x7f\ud800-\udfff]", value):
            raise BadRequest(f"the header `{name}` has a value that no request can have")
        if lowered == "host":
            host = value
        else:
            found[lowered] = (*found.get(lowered, ()), value)
    if not _HOST.fullmatch(host):
        raise BadRequest(f"`{host}` is no host")
    if not _TARGET.fullmatch(target):
        hint = "other characters are escaped as %XX"
        raise BadRequest(f"`{target}` is no path of a request: {hint}")
    path, mark, query = target.partition("?")
    if "%00" in path:
        raise BadRequest(f"`{target}` is refused by proxies: it has %00")
    return Request(method, scheme, host, normal(path), query if mark else None, found)


def normal(path: str) -> str:
    """A path as Envoy normalises it. What follows a `;` in a dot segment goes with it."""
    made: list[str] = []
    segments = path.replace("\\", "/")[1:].split("/")
    for number, segment in enumerate(segments):
        plain = _unescaped(segment)
        before = segment.partition(";")[0]
        dots = before if before in (".", "..") else plain
        if dots == ".." and made:
            made.pop()
        if dots not in (".", ".."):
            made.append(_ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", plain))
        elif number == len(segments) - 1:
            made.append("")
    return "/" + "/".join(made)


def merged(path: str) -> str:
    """A normal path as Envoy merges its slashes (`merge_slashes`); of nothing but slashes, two stay."""
    if "//" not in path:
        return path
    return f"/{'/'.join(filter(None, path.split('/')))}{'/' if path.endswith('/') else ''}"


def _unescaped(segment: str) -> str:
    """A segment without needless escapes. A `%` that begins none is escaped where it would begin one then."""
    if "%" not in segment:
        return segment
    marked = _STRAY.sub("\0", segment)
    plain = _ESCAPE.sub(lambda match: one if (one := chr(int(match[1], 16))) in _PLAIN else match[0], marked)
    return _NESTED.sub("%25", plain).replace("\0", "%")
