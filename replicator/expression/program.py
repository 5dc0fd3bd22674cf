"""Expressions that are more than a name or a call: read by jinja2's parser, run by its sandbox. Only user of jinja2."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from replicator.expression.template import Call, Flaw, Path
from replicator.expression.values import MAX_TEXT, OMIT, Failure, Kind, either, kind_of, text_of

MAX_ITEMS = 10_000  # of a list or map that an expression makes, at all depths
MAX_NODES = 200  # of a syntax tree
_LARGEST = 2**63

_OPERATORS: dict[type[nodes.BinExpr], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}
_ACCEPTED = (
    nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not, nodes.Neg, nodes.Concat, nodes.List, nodes.Dict, nodes.Pair, nodes.Tuple, nodes.Filter,
    nodes.Test, nodes.Call, nodes.Keyword, *_OPERATORS,
)  # fmt: skip
_REFUSED: dict[type[nodes.Node], str] = {
    nodes.Pow: "there is no `**`",
    nodes.Div: "there is no `/`; `//` divides integers",
    nodes.Slice: "there are no slices",
    nodes.Pos: "there is no unary `+`",
}


def _integer(value: Any, what: str = "an integer") -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Failure(f"{what} is needed here, not {_describe(value)}")
    return value


def _describe(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=repr)
    return shown if len(shown) <= 40 else shown[:39] + "…"


def _items(value: Any, room: int) -> int:
    """The room that is left after the items of a value at all depths; below zero, where there is none."""
    if isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            room = _items(item, room - 1)
            if room < 0:
                break
    return room


def _identity(value: Any) -> tuple[type, Any]:
    """What two values share only if no expression can tell them apart."""
    of = type(value)
    return of, repr(value) if of is float else None if of is StrictUndefined else value


def _plain(value: Any) -> Any:
    """A map or list as JSON has them, at every depth. Raises `Failure`, and what undefined values raise."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        if any(not isinstance(key, str) for key in value):
            raise Failure("a key of a map is not text", "put it in quotes")
        return {key: _plain(item) for key, item in value.items()}
    if value is OMIT:
        raise Failure("`omit` is not an item: it drops a key only where it is the whole value")
    if isinstance(_known(value), str):
        value.encode()
        return _bounded(value)
    return value


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Failure(f"a text of more than {MAX_TEXT // 1024} KiB", code="R0407")
    return text


def _failed(failure: Failure) -> StrictUndefined:
    """What stands for the result of a call that failed: any use of it raises the failure."""
    return StrictUndefined(exc=cast(Any, lambda message: failure))


def _known(value: Any) -> Any:
    """The value itself. Raises where it is undefined, as any use of an undefined value does."""
    if isinstance(value, StrictUndefined):
        str(value)
    return value


def _text(value: Any) -> str:
    """The text of a scalar. Raises `Failure`, and where the value is undefined."""
    return text_of(_known(value))


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:
    return default if isinstance(value, StrictUndefined) or (boolean and not value) else value


def _replace(value: Any, old: str, new: str) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    if not old:
        raise Failure("`replace` needs a text to replace")
    if len(text) + text.count(old) * len(new) > MAX_TEXT:
        raise Failure(f"a text of more than {MAX_TEXT // 1024} KiB", code="R0407")
    return text.replace(old, new)


def _indent(value: Any, width: int = 4, first: bool = False) -> str:
    text = _text(value)
    width = _integer(width, "a width")
    if not 0 <= width <= 64:
        raise Failure("`indent` takes a width from 0 to 64")
    pad = " " * width
    lines = text.split("\n")
    if len(text) + len(lines) * width > MAX_TEXT:
        raise Failure(f"a text of more than {MAX_TEXT // 1024} KiB", code="R0407")
    padded = [pad + line if line and (number or first) else line for number, line in enumerate(lines)]
    return "\n".join(padded)


def _join(value: Any, separator: str = "") -> str:
    texts = [_text(item) for item in _list(value)]
    if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT:
        raise Failure(f"a text of more than {MAX_TEXT // 1024} KiB", code="R0407")
    return separator.join(texts)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise Failure(f"a list is needed here, not {_describe(_known(value))}")
    return list(value)


def _int(value: Any, default: Any = None) -> int:
    try:
        return int(_text(value).strip())
    except ValueError:
        if default is None:
            raise Failure(f"{_describe(value)} is no integer") from None
        return _integer(default)


def _end_of(index: int) -> Callable[[Any], Any]:
    def pick(value: Any) -> Any:
        items = _list(value)
        if not items:
            raise Failure("the list is empty", "give a value with the filter `default` before it")
        return items[index]

    return pick


def _length(value: Any) -> int:
    if not isinstance(_known(value), (str, list, tuple, dict)):
        raise Failure(f"{_describe(value)} has no length")
    return len(value)


def _sorted(value: Any) -> list[Any]:
    try:
        return sorted(_list(value))
    except TypeError:
        raise Failure("only a list of texts, or of numbers, can be sorted") from None


def _unique(value: Any) -> list[Any]:
    kept: dict[str, Any] = {}
    for item in _list(value):
        kept.setdefault(json.dumps(item, sort_keys=True), item)
    return list(kept.values())


def _to_json(value: Any) -> str:
    return _bounded(json.dumps(_known(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True))


# Name -> (function, kind of its result; None: of its input).
_FILTERS: dict[str, tuple[Callable[..., Any], Kind]] = {
    "default": (_default, "any"),
    "lower": (lambda value: _text(value).lower(), "text"),
    "upper": (lambda value: _text(value).upper(), "text"),
    "replace": (_replace, "text"),
    "trim": (lambda value: _text(value).strip(), "text"),
    "join": (_join, "text"),
    "int": (_int, "int"),
    "string": (lambda value: _text(value), "text"),
    "length": (_length, "int"),
    "first": (_end_of(0), "any"),
    "last": (_end_of(-1), "any"),
    "sort": (_sorted, "list"),
    "unique": (_unique, "list"),
    "indent": (_indent, "text"),
    "b64encode": (lambda value: _bounded(base64.b64encode(_text(value).encode()).decode()), "text"),
    "sha256": (lambda value: hashlib.sha256(_text(value).encode()).hexdigest(), "text"),
    "to_json": (_to_json, "text"),
}


def _modulo(value: Any, number: Any) -> int:
    one, two = _integer(_known(value)), _integer(_known(number))
    if two == 0:
        raise Failure("division by zero")
    return one % two


# Name -> function, or None for jinja2's own. Its arithmetic ones are not taken: `%` formats a text.
_TESTS: dict[str, Callable[..., bool] | None] = {
    **dict.fromkeys(["defined", "undefined", "none", "string", "number", "boolean", "mapping", "sequence"]),
    "odd": lambda value: _modulo(value, 2) == 1,
    "even": lambda value: _modulo(value, 2) == 0,
    "divisibleby": lambda value, number: _modulo(value, number) == 0,
}
# Filter -> the names of its arguments, and how many of them must be given.
_NO_ARGUMENTS: tuple[tuple[str, ...], int] = ((), 0)
_TEST_ARGUMENTS: dict[str, tuple[tuple[str, ...], int]] = {"divisibleby": (("number",), 1)}
_ARGUMENTS: dict[str, tuple[tuple[str, ...], int]] = {
    "default": (("default", "boolean"), 0),
    "replace": (("old", "new"), 2),
    "join": (("separator",), 0),
    "int": (("default",), 0),
    "indent": (("width", "first"), 0),
}
_ARGUMENTS_HINT = {name: f"it takes ({', '.join(names)})" for name, (names, _) in _ARGUMENTS.items()}


def _takes(takes: tuple[tuple[str, ...], int], node: nodes.Filter | nodes.Test) -> bool:
    names, least = takes
    given = len(node.args) + len(node.kwargs)
    known = all(keyword.key in names[len(node.args) :] for keyword in node.kwargs)
    return least <= given <= len(names) and known and not node.dyn_args and not node.dyn_kwargs


_CONCAT = "\0concat"  # no author can write this name


class _Sandbox(ImmutableSandboxedEnvironment):
    """jinja2's sandbox, closed further: integers only for arithmetic, items of maps and lists only, no folding."""

    intercepted_binops = frozenset(["+", "-", "*", "//", "%", "/", "**"])
    intercepted_unops = frozenset(["-", "+"])

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, optimized=False, autoescape=False)
        self.filters = {name: function for name, (function, _) in _FILTERS.items()}
        self.filters[_CONCAT] = lambda values: _bounded("".join(_text(value) for value in values))
        self.tests = {name: test or self.tests[name] for name, test in _TESTS.items()}
        self.globals = {}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> int:
        one, two = _integer(_known(left)), _integer(_known(right))
        if operator == "//" and two == 0:
            raise Failure("division by zero")
        functions: dict[str, Callable[[], int]] = {
            "+": lambda: one + two,
            "-": lambda: one - two,
            "*": lambda: one * two,
            "//": lambda: one // two,
            "%": lambda: _modulo(one, two),
        }
        result = functions[operator]()
        if not -_LARGEST <= result < _LARGEST:
            raise Failure("the result is beyond 64 bits")
        return result

    def call_unop(self, context: Any, operator: str, arg: Any) -> int:
        return -_integer(_known(arg))

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(_known(obj), dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        if not isinstance(obj, (dict, list, tuple)):
            raise Failure(f"only maps and lists have items, not {_describe(obj)}")
        return self.undefined(f"there is no item {_describe(argument)}")


_sandbox = _Sandbox()


class Program:
    """A readable expression: what it reads and calls in every branch, and how to run it."""

    __slots__ = ("_memo", "_run", "_tree", "call", "calls", "path", "reads")

    def __init__(self, tree: nodes.Expr) -> None:
        self._tree = tree
        self.path: Path = _path(tree) or ()
        self.call = _call(tree) if isinstance(tree, nodes.Call) else None
        reads: dict[Path, None] = {}
        calls: dict[Call, None] = {}
        _collect(tree, reads, calls)
        self.reads = tuple(reads)
        self.calls = tuple(calls)
        self._run: Callable[[Mapping[str, Any]], Any] | None = None
        self._memo: dict[tuple[Any, ...], Any] = {}

    def kind(self, kind_of_path: Callable[[Path], Kind], kind_of_call: Callable[[Call], Kind]) -> Kind:
        """What is known of the value, given what is known of the names."""
        return _infer(self._tree, kind_of_path, kind_of_call)

    def run(self, value_of: Callable[[Path], Any], result_of: Callable[[Call], Any]) -> Any:
        """The value. `value_of` raises KeyError for a name that has none. Raises `Failure`."""
        values: list[Any] = []
        for path in self.reads:
            try:
                values.append(OMIT if path == ("omit",) else value_of(path))
            except KeyError:
                values.append(_sandbox.undefined(f"`{'.'.join(path)}` has no value"))
        for call in self.calls:
            try:
                values.append(result_of(call))
            except Failure as failure:  # it counts where the result is used
                values.append(_failed(failure))
        key: tuple[Any, ...] | None
        try:
            key = tuple(map(_identity, values))
            if key in self._memo:
                return self._memo[key]
        except TypeError:  # a map or a list is read
            key = None
        result = self._evaluate(values)
        if key is not None and len(self._memo) < 4096:
            self._memo[key] = result
        return result

    def _evaluate(self, values: list[Any]) -> Any:
        if self._run is None:
            self._run = _compile(self._tree, self.reads, self.calls)
        try:
            result = self._run({f"v{number}": value for number, value in enumerate(values)})
            if isinstance(_known(result), str):
                result.encode()  # half of a surrogate pair is no character
                return _bounded(result)
            if isinstance(result, (list, tuple, dict)):
                if _items(result, MAX_ITEMS) < 0:
                    raise Failure(f"a list or map of more than {MAX_ITEMS:,} items", code="R0407")
                return _plain(result)
            return result
        except UndefinedError as error:
            raise Failure(str(error), "give it a value with the filter `default('…')`") from None
        except (SecurityError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
            raise Failure(_in_words(error), "values of these types cannot be used so") from None


def _in_words(error: Exception) -> str:
    """Why an expression failed, without the words of Python."""
    if isinstance(error, ZeroDivisionError):
        return "the expression divides by zero"
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair is no character"
    if isinstance(error, RecursionError):
        return "the expression is nested too deep"
    if isinstance(error, OverflowError):
        return "a number beyond what can be held"
    return "the expression fails with these values"


def read(text: str, offset: int) -> tuple[Program | None, list[Flaw]]:
    """Read one expression. `offset` is where it begins in its scalar, for the places of flaws."""

    def flaw(code: str, message: str, hint: str = "") -> tuple[None, list[Flaw]]:
        return None, [Flaw(code, message, offset, len(text) + 4, hint)]

    try:
        parser = Parser(_sandbox, text, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            return flaw("R0401", f"the expression ends before {parser.stream.current.value!r}")
    except TemplateSyntaxError as error:
        hint = "a parameter is `params.version`" if text.strip().startswith(".Values") else ""
        return flaw("R0401", f"the expression cannot be read: {error.message}", hint)
    except RecursionError:
        return flaw("R0407", "an expression nested too deep")
    found: list[tuple[str, str, str]] = []
    try:
        number = _judge(tree, found)
    except RecursionError:
        return flaw("R0407", "an expression nested too deep")
    if number > MAX_NODES:
        return flaw("R0407", f"an expression of more than {MAX_NODES} operations")
    if found:
        return None, [Flaw(code, message, offset, len(text) + 4, hint) for code, message, hint in found]
    return Program(tree), []


def _judge(node: nodes.Node, found: list[tuple[str, str, str]]) -> int:
    """Collect what the language does not have; the number of nodes."""
    kind = type(node)
    if kind not in _ACCEPTED:
        found.append(("R0403", _REFUSED.get(kind, f"there is no {kind.__name__.lower()} in expressions"), ""))
        return 1
    if isinstance(node, nodes.Const) and isinstance(node.value, int) and not -_LARGEST <= node.value < _LARGEST:
        found.append(("R0111", "an integer beyond 64 bits", ""))
    if isinstance(node, nodes.Const) and isinstance(node.value, float) and not math.isfinite(node.value):
        found.append(("R0111", "a number that JSON cannot hold", ""))
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and not _is_unicode(node.value):
        found.append(("R0401", "half of a surrogate pair is no character", ""))
    if isinstance(node, nodes.Getattr) and _path(node) is None:
        found.append(("R0403", f"`.{node.attr}`: only declared names have attributes", ""))
        return 1
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        found.append(("R0403", f"there is no filter `{node.name}`", "filters: " + " ".join(_FILTERS)))
    elif isinstance(node, nodes.Filter) and not _takes(_ARGUMENTS.get(node.name, _NO_ARGUMENTS), node):
        found.append(
            (
                "R0404",
                f"the filter `{node.name}` does not take these arguments",
                _ARGUMENTS_HINT.get(node.name, "it takes none"),
            )
        )
    takes = _TEST_ARGUMENTS.get(node.name, _NO_ARGUMENTS) if isinstance(node, nodes.Test) else _NO_ARGUMENTS
    if isinstance(node, nodes.Test) and node.name in _TESTS and not _takes(takes, node):
        found.append(("R0404", f"the test `{node.name}` does not take these arguments", ""))
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        found.append(("R0403", f"there is no test `{node.name}`", "tests: " + " ".join(sorted(_TESTS))))
    if isinstance(node, nodes.CondExpr) and node.expr2 is None:
        found.append(("R0403", "an `if` needs its `else`", "`else omit` drops the key"))
    if isinstance(node, nodes.Call):
        if not isinstance(node.node, nodes.Name):
            found.append(("R0403", "there are no methods", "filters are written with `|`"))
            return 1
        if _call(node) is None:
            message = f"the arguments of `{node.node.name}` must be literal, so that its edges are known"
            found.append(("R0404", message, ""))
        return 1
    return 1 + sum(_judge(child, found) for child in node.iter_child_nodes())


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(node: nodes.Node) -> Path | None:
    """The dotted name that a node spells, or None."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        above = _path(node.node)
        return (*above, node.attr) if above else None
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        above = _path(node.node)
        return (*above, node.arg.value) if above else None
    return None


def _call(node: nodes.Call) -> Call | None:
    """The call that a node spells, or None where an argument is not literal."""
    if node.dyn_args or node.dyn_kwargs or not isinstance(node.node, nodes.Name):
        return None
    values = [*node.args, *(keyword.value for keyword in node.kwargs)]
    if not all(isinstance(value, nodes.Const) for value in values):
        return None
    arguments = tuple(value.value for value in node.args if isinstance(value, nodes.Const))
    keywords = tuple((k.key, k.value.value) for k in node.kwargs if isinstance(k.value, nodes.Const))
    return Call(node.node.name, arguments, keywords)


def _collect(node: nodes.Node, reads: dict[Path, None], calls: dict[Call, None]) -> None:
    if (path := _path(node)) is not None:
        reads[path] = None
    elif isinstance(node, nodes.Call) and (call := _call(node)) is not None:
        calls[call] = None
    else:
        for child in node.iter_child_nodes():
            _collect(child, reads, calls)


def _compile(tree: nodes.Expr, reads: tuple[Path, ...], calls: tuple[Call, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """jinja2 code in which every dotted name and every call is one variable: no attribute is looked up at run time."""
    slots: dict[object, str] = {key: f"v{number}" for number, key in enumerate((*reads, *calls))}
    root = nodes.Template([nodes.Assign(nodes.Name("result", "store"), _rewrite(tree, slots), lineno=1)], lineno=1)
    root.set_environment(_sandbox)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        template = _sandbox.from_string(root)

    def run(values: Mapping[str, Any]) -> Any:
        context = template.new_context(dict(values))
        for _ in template.root_render_func(context):
            pass
        return context.vars["result"]

    return run


def _rewrite(node: nodes.Node, slots: Mapping[object, str]) -> Any:
    key: object = _path(node) or (_call(node) if isinstance(node, nodes.Call) else None)
    if key is not None:
        return nodes.Name(slots[key], "load", lineno=1)
    fields = {}
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            value = _rewrite(value, slots)
        elif isinstance(value, list):
            value = [_rewrite(item, slots) if isinstance(item, nodes.Node) else item for item in value]
        fields[name] = value
    if isinstance(node, nodes.Concat):
        return nodes.Filter(nodes.List(fields["nodes"], lineno=1), _CONCAT, [], [], None, None, lineno=1)
    return type(node)(*(fields[name] for name in node.fields), lineno=1)


def _infer(node: nodes.Node, of_path: Callable[[Path], Kind], of_call: Callable[[Call], Kind]) -> Kind:
    def infer(child: nodes.Node) -> Kind:
        return _infer(child, of_path, of_call)

    if (path := _path(node)) is not None:
        return of_path(path)
    if isinstance(node, nodes.Call) and (call := _call(node)) is not None:
        return of_call(call)
    if isinstance(node, nodes.Const):
        return kind_of(node.value)
    if isinstance(node, nodes.CondExpr):
        return either(infer(node.expr1), infer(node.expr2)) if node.expr2 else infer(node.expr1)
    if isinstance(node, (nodes.And, nodes.Or)):
        return either(infer(node.left), infer(node.right))
    if isinstance(node, (nodes.Not, nodes.Compare, nodes.Test)):
        return "bool"
    if isinstance(node, (nodes.Neg, *_OPERATORS)):
        return "int"
    if isinstance(node, nodes.Concat):
        return "text"
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return "list"
    if isinstance(node, nodes.Dict):
        return "map"
    if isinstance(node, nodes.Filter) and node.node is not None:
        if node.name == "default":
            return either(infer(node.node), infer(node.args[0]) if node.args else "text")
        return _FILTERS[node.name][1]
    return "any"
