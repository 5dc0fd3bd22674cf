"""Writes the pages of docs/ that come from the code: `make docs`. A test checks that they are fresh."""

from __future__ import annotations

from pathlib import Path

from replicator.routing.features import COLUMNS, FEATURES, No

DOCS = Path(__file__).parent

PROVIDERS = """\
<!-- Written by `make docs` from replicator/routing/features.py: edit that. -->

# What each provider can do

A Routing says where requests go; the provider, `provider:` in its file or `--provider` on the command line, says for
which proxy API it is written. What holds whatever the provider: routes are tried in the order in which they are written
and the first match wins; a path prefix is of whole segments; a rewrite never makes `//`; a request may take 15 seconds
and is not retried unless the route says otherwise. A proxy's own defaults decide nothing.

What a provider cannot express is an error at the line that asks for it, with the way out; nothing is left out in
silence:

```console
$ replicator build --provider gateway-api dsl-examples/13-actions.yaml
{refusal}```

This is the whole table. *yes* is as the Routing means it, a remark says how; **no** has the reason, and what to do
instead.

{table}
A Routing can be moved from one provider to another by one line; [the page on moving](moving.md) shows it.
"""


def providers() -> str:
    """The page of the table of features."""
    head = ["feature", *COLUMNS.values()]
    lines = [_row(head), _row(["---"] * len(head))]
    notes: dict[str, int] = {}
    for feature in FEATURES.values():
        cells = [_cell(feature.cells.get(column, ""), notes) for column in COLUMNS]
        lines.append(_row([feature.title, *cells]))
    lines += ["", *(f"{number}. {note}" for note, number in notes.items()), ""]
    return PROVIDERS.format(table="\n".join(lines), refusal=_refusal())


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: str | No, notes: dict[str, int]) -> str:
    if not cell:
        return "yes"
    note = f"{cell.reason[0].upper()}{cell.reason[1:]}. Instead: {cell.way_out}." if isinstance(cell, No) else ""
    if isinstance(cell, No):
        return f"**no** ({notes.setdefault(note, len(notes) + 1)})"
    return cell


def _refusal() -> str:
    """What the command of the page prints: the page itself is checked to be what happens."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "replicator", "build", "--provider", "gateway-api", "dsl-examples/13-actions.yaml"]
    done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


PAGES = {"providers.md": providers}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
