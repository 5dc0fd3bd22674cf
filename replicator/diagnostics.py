"""What the compiler says about an input: values with a code, a place and a way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]


class Place(NamedTuple):
    """A range of a source text. Lines and columns are 1-based and count code points; the end is exclusive.

    Lines are those of `lines_of`.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


class Related(NamedTuple):
    """Another place that has to do with a diagnostic, and what it has to do with it."""

    message: str
    place: Place


class Diagnostic(NamedTuple):
    """One finding.

    `code` is a key of `CODES`; `place` is None where the finding is about no file (a flag, a whole build);
    `path` is where in the document (`$.spec.units.api`); `island` is the path of the island that it was found for,
    where another may be without it; `others` counts the further islands that have a finding of the same code at the
    same place.
    """

    code: str
    message: str
    place: Place | None = None
    path: str = ""
    hint: str = ""
    related: tuple[Related, ...] = ()
    severity: Severity = "error"
    others: int = 0
    island: str = ""


# The first digit pair is the stage: 01 source, 02 schema, 03 meaning, 04 expressions, 05 islands and values,
# 06 manifests and references, 07 routing, 08 files and flags. A code is never used for a second thing.
CODES: dict[str, str] = {
    "R0101": "the file is not YAML",
    "R0102": "the file is not UTF-8 text",
    "R0103": "a key is written twice",
    "R0104": "an alias refers to itself, or aliases expand without end",
    "R0105": "a YAML tag",
    "R0106": "a value that YAML 1.1 and YAML 1.2 read differently",
    "R0107": "an expression that YAML reads as a map",
    "R0108": "a key that is not text, or a merge key",
    "R0109": "the input is too large or too deep",
    "R0110": "there is nothing to compile",
    "R0111": "a number that JSON and Kubernetes cannot hold",
    "R0201": "not a document of the DSL",
    "R0202": "a field is missing",
    "R0203": "an unknown field",
    "R0204": "a value of the wrong type",
    "R0205": "a value that is not allowed",
    "R0206": "a parameter's value where its schema belongs",
    "R0301": "two documents of one kind and name",
    "R0302": "a Type that does not exist",
    "R0303": "a port that does not exist",
    "R0304": "a name that Kubernetes would refuse",
    "R0305": "two ports of one number or name",
    "R0307": "a field or value that this kind of workload does not have",
    "R0308": "a file whose path is no path, or no key of its ConfigMap",
    "R0309": "a parameter's schema is not right",
    "R0310": "a field that the form of the Set does not allow",
    "R0311": "a Set without a way to count its islands",
    "R0312": "not a Kubernetes manifest",
    "R0313": "a file that is too large for a ConfigMap",
    "R0314": "a Type that is inside itself",
    "R0315": "an implementation that the Type does not have",
    "R0316": "a Type that could be one of several",
    "R0320": "an island without a zone",
    "R0321": "a zone that does not exist",
    "R0322": "an island in two zones",
    "R0323": "a DaemonSet on nodes that islands have to themselves",
    "R0324": "waves that do not have each island once",
    "R0325": "waves where none can be",
    "R0327": "a removed island that is there, or that could never have been",
    "R0401": "an expression that cannot be read",
    "R0402": "an unknown name in an expression",
    "R0403": "something that expressions do not have",
    "R0404": "a function called with what it does not take",
    "R0405": "an expression failed",
    "R0406": "an expression where none is allowed",
    "R0407": "an expression that does too much",
    "R0408": "a map or list in the middle of text",
    "R0501": "a key that is not a DNS label",
    "R0502": "an unknown parameter",
    "R0503": "a parameter without a value",
    "R0504": "a value that does not fit its parameter",
    "R0505": "a pattern that matches no island",
    "R0506": "a name that is too long",
    "R0507": "two objects of one identity",
    "R0508": "too many islands",
    "R0601": "a patch of the wrong shape",
    "R0602": "something that cannot differ between the pods of one StatefulSet",
    "R0603": "a reference that nothing answers",
    "R0604": "a patch that matches nothing",
    "R0605": "renamed Services whose names in texts nobody has decided on",
    "R0606": "a renamed Service that nothing is seen to call",
    "R0607": "a selector that does not match its own pods",
    "R0608": "pods that two controllers or budgets select",
    "R0609": "a number of pods that two things decide",
    "R0610": "a value that two islands share",
    "R0611": "a Service for all islands that cannot be",
    "R0612": "a start-up order that is a circle",
    "R0613": "a kind of which nobody knows what it refers to",
    "R0614": "a selector that selects no pods",
    "R0615": "a text that names another island's Service",
    "R0616": "a text that names a pod which no StatefulSet makes",
    "R0617": "objects of a kind that the same build defines",
    "R0618": "a workload that is called as a host, without a Service of its name",
    "R0620": "isolated islands whose routers are not known",
    "R0621": "a call to what has no pods that a policy could name",
    "R0622": "pods that no policy holds for",
    "R0625": "a budget that guards nothing, or lets no node be drained",
    "R0701": "a Set, island or route that does not exist",
    "R0702": "a route that no request can reach",
    "R0703": "an each-route whose islands cannot be told apart",
    "R0704": "a namespace is missing",
    "R0705": "weights that are all zero",
    "R0706": "a path or header that the proxy would refuse",
    "R0707": "a name that two routes or hosts share",
    "R0708": "something the provider cannot express",
    "R0709": "an island that gets no new requests",
    "R0710": "an object that is too large",
    "R0711": "routes that are not analysed",
    "R0712": "routes of islands that overlap",
    "R0713": "an order of routes that the provider cannot keep",
    "R0714": "a table of keys with a gap or an overlap",
    "R0715": "a move of keys that their island does not have",
    "R0716": "what is proved of a table of keys",
    "R0717": "a step of a move that is not the next one",
    "R0718": "a table of too many keys",
    "R0801": "a file that cannot be read",
    "R0802": "a flag that names nothing",
    "R0803": "the output cannot be written",
    "R0804": "a file in the way that was not written by replicator",
    "R0805": "a stored document whose files are not stored",
    "R0806": "an earlier output that cannot be had",
    "R0807": "objects that are gone, and nobody said so",
    "R0808": "data that would be deleted although it is to be retained",
    "R0809": "a change of a field that Kubernetes lets nobody change",
    "R0810": "a file that cannot be edited safely",
    "R0811": "a table of keys that cannot be shared out anew",
    "R0812": "islands that cannot come or go",
}


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their ends. As for YAML, a lone carriage return ends a line too.

    https://yaml.org/spec/1.2.2/#54-line-break-characters
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


_MAX_MESSAGE = 400  # characters
_MAX_KNOWN = 500  # names to compare a misspelt one with


def tidy(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort by file, line, column, code; keep the first of one place, code and severity, and count its islands."""
    first: dict[tuple[object, ...], Diagnostic] = {}
    islands: dict[tuple[object, ...], set[str]] = {}
    for diagnostic in found:
        if len(diagnostic.message) > _MAX_MESSAGE or len(diagnostic.hint) > _MAX_MESSAGE:
            diagnostic = diagnostic._replace(message=_clipped(diagnostic.message), hint=_clipped(diagnostic.hint))
        where = (diagnostic.place, diagnostic.path)
        key = (diagnostic.code, diagnostic.severity, *where) if diagnostic.place else diagnostic
        first.setdefault(key, diagnostic)
        if diagnostic.island:
            islands.setdefault(key, set()).add(diagnostic.island)
    for folded, having in islands.items():
        first[folded] = first[folded]._replace(others=len(having) - 1)
    return sorted(first.values(), key=_order)


def _clipped(message: str) -> str:
    """A message about a huge value: its beginning and its end say enough."""
    if len(message) <= _MAX_MESSAGE:
        return message
    half = _MAX_MESSAGE // 2
    return f"{message[:half]}…{message[-half:]}"


def _order(diagnostic: Diagnostic) -> tuple[object, ...]:
    place = diagnostic.place or Place("", 0, 0, 0, 0)
    return (place.file, place.line, place.column, diagnostic.code, diagnostic.message)


def has_errors(found: Iterable[Diagnostic]) -> bool:
    """Whether any finding stops the build."""
    return any(diagnostic.severity == "error" for diagnostic in found)


def nearest(word: str, known: Iterable[str]) -> str:
    """The way out for a misspelt word: the nearest known one, else the list of them while it is short."""
    from difflib import get_close_matches

    names = sorted(known)
    if len(names) > _MAX_KNOWN:  # comparing is slow: only with those that begin alike
        names = [name for name in names if name[:1] == word[:1]][:_MAX_KNOWN]
    lowered = {name.lower(): name for name in names}
    close = get_close_matches(word[:_MAX_MESSAGE].lower(), list(lowered), n=1, cutoff=0.6)
    if close:
        return f'did you mean "{lowered[close[0]]}"?'
    return one_of(names)


def one_of(names: Sequence[str]) -> str:
    """The known words, while they are few enough to read."""
    if not names or len(names) > 12:
        return ""
    return f"there is only `{names[0]}`" if len(names) == 1 else "one of: " + ", ".join(names)
