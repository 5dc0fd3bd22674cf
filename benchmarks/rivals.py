"""The same output written for the rivals: a Jinja2 template and a helm chart."""

import re
from collections.abc import Callable
from pathlib import Path

from parts import DIGEST_MARK, FIRST_KEY, KEY, Part, UnlikeError

_TEMPLATE_SYNTAX = re.compile(r"\{\{|\{%|\{#")


def jinja_template(parts: list[Part]) -> str:
    """A bare loop per repeated part; a digest stays one constant, for the loop computes nothing."""
    loop = ("{% for key in range(count) %}", "{% endfor %}")
    return _template(parts, loop, "{{ key }}", lambda length: "0" * length)


def helm_template(parts: list[Part]) -> str:
    """A range per repeated part; a digest is computed per island, as charts do for their ConfigMaps."""
    loop = ("{{ range $key := until (int $.Values.count) }}", "{{ end }}")
    return _template(
        parts, loop, "{{ $key }}", lambda length: f"{{{{ $key | toString | sha256sum | trunc {length} }}}}"
    )


def write_chart(directory: Path, parts: list[Part]) -> None:
    """Write the chart; the number of islands is its value `count`."""
    templates = directory / "templates"
    templates.mkdir(parents=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (directory / "values.yaml").write_text("count: 1\n")
    (templates / "islands.yaml").write_text(helm_template(parts))


def _template(parts: list[Part], loop: tuple[str, str], key: str, digest: Callable[[int], str]) -> str:
    opening, closing = loop
    pieces = []
    for part in parts:
        if _TEMPLATE_SYNTAX.search(part.text):
            raise UnlikeError("the output itself holds template syntax")
        text = part.text.replace(KEY, key).replace(FIRST_KEY, "0")
        text = DIGEST_MARK.sub(lambda mark: digest(int(mark[1])), text)
        pieces.append(f"{opening}{text}{closing}" if part.repeated else text)
    return "".join(pieces)
