"""The command line: options to a build, its text to standard output, all else to standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as Texts
from contextlib import suppress
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from replicator import __version__
from replicator.diagnostics import Diagnostic, Place, has_errors, tidy
from replicator.expander import MAX_ISLANDS
from replicator.expander.values import Setting
from replicator.parser.source import Mapping, decode_text, load
from replicator.pipeline import EMITTERS, LAYOUTS, PARTS, RENDERERS, Built, Options, Source, build
from replicator.report import as_deletions, as_json, as_list, as_text, printable
from replicator.write import Staged, replace_files, to_descriptor

if TYPE_CHECKING:
    from replicator.editing.command import Done
    from replicator.model import Project
    from replicator.review import Review
    from replicator.shrinking import Shrinking

FINE, FINDINGS, USAGE, BUG = 0, 1, 2, 3
STDOUT = 1
STDIN = "<stdin>"  # the name of its source

Part = TypeVar("Part")
Command = TypeVar("Command", bound=Callable[..., Any])

_PATH = click.Path(readable=False, path_type=str)  # what cannot be read is told where it is read
_SETTING = re.compile(r"([^./=]+)(?:/([^.=]+))?\.([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


class _Stop(Exception):
    """The command ends here with this exit code; what is to be said has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0 fine, 1 findings, 2 usage or I/O, 3 a bug of ours."""
    try:
        code = cli.main(args=arguments, prog_name="replicator", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else FINE
    except SystemExit:  # click's answer to a reader that has gone
        return USAGE
    except _Stop as stop:
        return stop.code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:
        with suppress(OSError, AttributeError):
            what = f"{printable(str(error.filename))}: " if error.filename else ""
            click.echo(f"error[R0803]: the output cannot be written: {what}{error.strerror or error}", err=True)
        _abandon_streams()
        return USAGE
    except Exception as error:
        if "--debug" in (arguments if arguments is not None else sys.argv):
            raise
        click.echo(
            f"internal error: {type(error).__name__}: {error}\n"
            "This is a bug of replicator. Please report it with the input; --debug prints where it happened.",
            err=True,
        )
        return BUG


def _abandon_streams() -> None:
    """Drop what a stream could not write: the interpreter would fail on it once more on its way out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (AttributeError, ValueError):  # closed from the start
            continue


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="replicator %(version)s")
@click.option("--debug", is_flag=True, help="Print a traceback where the compiler itself fails.")
def cli(debug: bool) -> None:
    """Compile islands and routes to Kubernetes manifests, offline."""


class Asked(NamedTuple):
    """What every command that reads the DSL is given."""

    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    params_files: tuple[str, ...]
    root: str
    max_islands: int
    provider: str

    def build(self, **more: Any) -> Built:
        """Compile the inputs; `more` are further options of the build."""
        texts: dict[str, str] = {}
        given = [setting for file in self.params_files for setting in _params_file(file, texts)]
        given += [_setting(text) for text in self.settings]
        options = Options(
            settings=tuple(given), max_islands=self.max_islands, root=self.root, provider=self.provider, **more
        )
        built = build(_sources(self.inputs), options)
        return built._replace(sources={**texts, **built.sources}) if texts else built


def _reads_dsl(command: Command) -> Command:
    """Give a command the arguments and options of all that read the DSL, as one `Asked`."""

    @wraps(command)
    def asked(
        inputs: tuple[str, ...],
        settings: tuple[str, ...],
        params_files: tuple[str, ...],
        root: str,
        max_islands: int,
        provider: str | None,
        **more: Any,
    ) -> Any:
        return command(Asked(inputs, settings, params_files, root, max_islands, provider or ""), **more)

    for decorate in reversed(
        (
            click.option("--debug", is_flag=True, hidden=True, expose_value=False),
            click.argument("inputs", metavar="[FILE|DIR|-]...", nargs=-1, type=_PATH),
            click.option(
                "--set", "settings", metavar="SET[/KEY].PARAM=V", multiple=True,
                help="A parameter's value, read by its type; it wins over the file's. Repeatable.",
            ),
            click.option(
                "--params", "params_files", metavar="FILE", multiple=True, type=_PATH,
                help="A YAML file of values: SET or SET/KEY or ROUTING to a map of parameters. Repeatable.",
            ),
            click.option(
                "--root", default=".", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=str),
                help="Files that documents name must be below this directory.  [default: the working directory]",
            ),
            click.option(
                "--max-islands", default=MAX_ISLANDS, show_default=True, type=click.IntRange(min=1), metavar="N",
                help="How many islands a build may have.",
            ),
            click.option(
                "--provider", type=click.Choice(list(EMITTERS)), default=None,
                help="The proxy API of all Routings, whatever they say.",
            ),
        )
    ):  # fmt: skip
        asked = decorate(asked)
    return cast(Command, asked)


@cli.command("build")
@_reads_dsl
@click.option("--island", "islands", metavar="GLOB", multiple=True, help="Only these islands (SET/KEY). Repeatable.")
@click.option("--only", type=click.Choice(PARTS), default=None, help="Only a part of the output.")
@click.option("--wave", metavar="N", type=click.IntRange(min=1), help="Only this wave (waves of the IslandSets).")
@click.option("-o", "--output", metavar="DIR", type=_PATH, help="Write a directory instead.")
@click.option("--layout", type=click.Choice(LAYOUTS), default=None, help="One file for each.  [default: island]")
@click.option("--check", is_flag=True, help="With -o: write nothing, say where DIR is not what would be written.")
@click.option("--format", "form", type=click.Choice(list(RENDERERS)), default="yaml", help="json: an object a line.")
@click.option("--sync-waves", is_flag=True, help="Write the waves into the objects, as Argo CD's annotation.")
@click.option("--with-dsl", is_flag=True, help="Write the documents of the DSL too, to be stored in the cluster.")
@click.option(
    "--against",
    metavar="DIR|FILE|git:REV",
    help="An earlier output: what is gone since then must be accounted for. With git:REV, that of the inputs then.",
)
@click.option(
    "--allow-removed",
    is_flag=True,
    help="Objects that are gone may go, without a tombstone in their IslandSet. Claims and Namespaces stay.",
)
@click.option(
    "--deletions",
    metavar="FILE",
    type=_PATH,
    help="With --against or -o: what is gone, for `kubectl delete --ignore-not-found -f FILE`.",
)
def build_command(
    asked: Asked,
    islands: tuple[str, ...],
    only: str | None,
    wave: int | None,
    output: str | None,
    layout: str | None,
    check: bool,
    form: str,
    sync_waves: bool,
    with_dsl: bool,
    against: str | None,
    allow_removed: bool,
    deletions: str | None,
) -> int:
    """Compile to manifests on standard output, or to a directory.

    FILE is a file of the DSL, DIR a directory of them (*.yaml, *.yml), - standard input. On any error nothing is
    written.

    An object that is in the earlier output, in DIR or where --against says, and is not there any more is an error,
    unless its IslandSet says of the island that it is `removed`, or --allow-removed is given.
    """
    if islands and only not in (None, "islands"):
        raise click.UsageError(f"--island asks for islands, --only {only} for none")
    if output is None and (check or layout):
        raise click.UsageError("--check and --layout go with -o DIR")
    if output == "":
        raise click.UsageError("-o names no directory")
    if against == "":
        raise click.UsageError("--against names no earlier output")
    if output is not None and form != "yaml":
        raise click.UsageError("--format json is for standard output")
    if output is None and against is None and (allow_removed or deletions is not None):
        raise click.UsageError("--allow-removed and --deletions go with -o DIR or --against")
    if deletions is not None and (check or deletions in ("", "-")):
        raise click.UsageError("--deletions names a file, and --check writes none")
    if deletions is not None and output is not None and _is_below(deletions, output):
        raise click.UsageError("--deletions: what is to be deleted is no part of -o DIR, which is applied")
    more: dict[str, Any] = {"form": form, "with_dsl": with_dsl, "sync_waves": sync_waves}
    built = asked.build(islands=islands, only=only or "", wave=wave or 0, **more)
    _report(built.diagnostics, built.sources)
    if has_errors(built.diagnostics):
        return _code(built.diagnostics)
    if output is None and against is None:
        _to_stdout(progress(built.texts(), "parts"))
        return FINE
    from replicator import layout as layouts
    from replicator.review import Review

    layout = layout or "island"
    review = Review(built, layouts.covers(built, "island", islands, wave or 0), allow_removed, output or "")
    if against is not None:
        _review_earlier(review, asked, against, more)
    consent = _Consent(review, deletions, built)
    try:
        if output is None:
            text = b"".join(built.texts())
            consent.ask()
            _to_stdout([text])
        else:
            files = progress(layouts.files(built, layout), "files")
            covered = layouts.covers(built, layout, islands, wave or 0)
            if check:
                return _differences(files, output, covered, consent)
            _to_directory(files, output, covered, consent)
        consent.tell()
    finally:
        consent.forget()
    return FINE


class _Consent:
    """What is asked before anything is replaced, and told and written afterwards."""

    def __init__(self, review: Review, deletions: str | None, built: Built) -> None:
        self.review = review
        self._deletions = deletions
        self._built = built
        self._said = ""
        self._staged: Staged | None = None

    def judged(self) -> Shrinking:
        """What follows from the change; the findings are told."""
        judged = self.review.judged()
        sources = {**self.review.texts, **self._built.sources}
        _report(tidy(judged.diagnostics), sources)
        return judged

    def ask(self) -> None:
        """Stop the command where something is gone that may not be; write down what is to be deleted."""
        from replicator.shrinking import as_manifests

        judged = self.judged()
        if has_errors(judged.diagnostics):
            click.echo("nothing was written", err=True)
            raise _Stop(_code(judged.diagnostics))
        if self._deletions is not None:
            self._staged = Staged(self._deletions, b"".join(as_manifests(judged.deletions)))
        self._said = as_deletions(judged.deletions, judged.kept)

    def tell(self) -> None:
        """Say what is to be deleted, and what becomes of data."""
        if self._staged is not None:
            self._staged.commit()
        click.echo(_printable_lines(self._said), nl=False, err=True)

    def forget(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._staged is not None:
            self._staged.discard()


def _is_below(path: str, directory: str) -> bool:
    whole = os.path.realpath(directory)
    return os.path.commonpath([whole, os.path.realpath(path)]) == whole


def _review_earlier(review: Review, asked: Asked, against: str, more: dict[str, Any]) -> None:
    """Give a review the earlier output. Where it cannot be had, that is said, and the command ends."""
    from replicator import earlier

    try:
        if against.startswith(earlier.GIT):
            review.compiled(against, _at_revision(asked, against, more))
            return
        for name, content in earlier.files(against):
            review.earlier(name, content)
    except earlier.Unavailable as error:
        click.echo(as_text([Diagnostic("R0806", str(error), hint=error.hint)], {}), nl=False, err=True)
        raise _Stop(USAGE) from None
    except OSError as error:
        raise _unreadable(str(error.filename or against), error) from None


def _at_revision(asked: Asked, against: str, more: dict[str, Any]) -> Built:
    """The build of the inputs as they were in git, by today's compiler. Raises `earlier.Unavailable`."""
    from replicator import earlier

    if "-" in asked.inputs:
        raise earlier.Unavailable("standard input has no earlier revision", "--against DIR, or name the files")
    with earlier.revision(against.removeprefix(earlier.GIT)) as revision:
        inputs, params = (
            [path for path in map(revision.at, paths) if os.path.exists(path)]
            for paths in (asked.inputs, asked.params_files)
        )
        if not inputs:
            raise earlier.Unavailable(f"none of the inputs is in `{against}`")
        then = asked._replace(inputs=tuple(inputs), params_files=tuple(params), root=revision.at(asked.root))
        built = then.build(**more)
        error = next((one for one in built.diagnostics if one.severity == "error"), None)
        if error is None:
            return built
        where = f" ({error.place.file}:{error.place.line}:{error.place.column})" if error.place is not None else ""
        message = f"`{against}` does not compile: {error.code}, {error.message}{where}"
        hint = "--against DIR: an output that was kept"
        raise earlier.Unavailable(message.replace(f"{revision.root}/", ""), hint)


def _differences(
    files: Iterable[tuple[str, bytes]], output: str, covered: Callable[[str], bool], consent: _Consent
) -> int:
    """Say where a directory is not what the build would write, and what may not be gone from it."""
    from pathlib import Path

    from replicator import directory

    found = list(directory.differences(files, Path(output), covered, consent.review))
    refused = has_errors(consent.judged().diagnostics)
    for difference in found:
        click.echo(f"{difference.what}: {output}/{difference.path}", err=True)
    if found:
        number = f"{len(found):,} difference{'s' if len(found) > 1 else ''}"
        click.echo(f"{output} is not what the build would write: {number}", err=True)
    return FINDINGS if found or refused else FINE


def _to_directory(
    files: Iterable[tuple[str, bytes]], output: str, covered: Callable[[str], bool], consent: _Consent
) -> None:
    """Make a directory what the build says."""
    from pathlib import Path

    from replicator import directory

    try:
        written = directory.to_directory(files, Path(output), covered, consent.review, consent.ask)
    except directory.Foreign as error:
        for path in error.paths[:20]:
            click.echo(f"error[R0804]: {output}/{path} was not written by replicator", err=True)
        click.echo("nothing was written; remove these files, or choose another directory", err=True)
        raise _Stop(FINDINGS) from None
    except directory.Busy:
        click.echo(f"error[R0803]: {output}: another build is writing there", err=True)
        raise _Stop(USAGE) from None
    click.echo(
        f"{output}: {written.changed:,} written, {written.unchanged:,} unchanged, {written.removed:,} removed", err=True
    )


@cli.command("crds")
def crds_command() -> int:
    """Print the kinds of the DSL as CustomResourceDefinitions, made from the schemas."""
    from replicator.crds import definitions

    _to_stdout(text.encode() for text in definitions())
    return FINE


def _to_stdout(texts: Iterable[bytes]) -> None:
    """Write to standard output; a reader that has gone is no error to speak of, but not success either."""
    try:
        to_descriptor(texts, STDOUT)
    except BrokenPipeError:
        raise _Stop(USAGE) from None


def progress(parts: Iterable[Part], what: str) -> Iterator[Part]:
    """The parts; on a terminal, how many there were, once it takes more than a second."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield from parts
        return
    start = shown = monotonic()
    number = 0
    for number, part in enumerate(parts, 1):
        yield part
        if number % 64 == 0 and (now := monotonic()) - start > 1 and now - shown > 0.2:
            shown = now
            click.echo(f"\r{number:,} {what} ", nl=False, err=True)
    if shown > start:
        click.echo("\r\x1b[K", nl=False, err=True)


@cli.command("validate")
@_reads_dsl
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How findings are written.")
def validate_command(asked: Asked, form: str) -> int:
    """Say all that is wrong with the input, and list what it needs to be there already; write no manifests."""
    built = asked.build(notes=True)
    if form == "json":
        _to_stdout([as_json(built.diagnostics, built.external).encode()])
    else:
        _report(built.diagnostics, built.sources)
        if not has_errors(built.diagnostics):
            _to_stdout([as_list(built.external).encode()])
    return _code(built.diagnostics)


@cli.command("route")
@click.argument("method", metavar="METHOD")
@click.argument("url", metavar="URL")
@_reads_dsl
@click.option(
    "-H", "--header", "headers", metavar="NAME:VALUE", multiple=True, help="A header of the request. Repeatable."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How the answer is written."
)
def route_command(asked: Asked, method: str, url: str, headers: tuple[str, ...], form: str) -> int:
    """Say where a request would go, and which route says so; every route that was tried before is told, and why not.

    METHOD and URL are a request as a client sends it: GET https://shop.example.com/i/eu. Exit code 0: a destination,
    or an answer of the proxy; 1: no route matches.
    """
    from replicator.routing.answers import as_data
    from replicator.routing.answers import as_text as as_answer
    from replicator.routing.requests import BadRequest, of_url
    from replicator.routing.simulator import Simulator

    try:
        request = of_url(method, url, [_header(header) for header in headers])
    except BadRequest as error:
        raise click.UsageError(printable(str(error))) from None
    built = asked.build()
    _report(built.diagnostics, built.sources)
    if has_errors(built.diagnostics):
        return _code(built.diagnostics)
    answers = Simulator(built.tables).answers(request)
    if form == "json":
        text = json.dumps({"version": 1, "answers": [as_data(one) for one in answers]}, indent=2, ensure_ascii=False)
        _to_stdout([text.encode() + b"\n"])
    else:
        _to_stdout([_printable_lines(as_answer(answers)).encode()])
    return FINE if any(one.found for one in answers) else FINDINGS


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"-H {printable(text)}: NAME:VALUE")
    return name, value


@cli.command("test")
@_reads_dsl
@click.option("-v", "--verbose", is_flag=True, help="Tell the tests that pass, too.")
@click.option(
    "--junit", metavar="FILE", type=_PATH, help="Write the results as JUnit XML, for CI; - is standard output."
)
def test_command(asked: Asked, verbose: bool, junit: str | None) -> int:
    """Run the tests of the Routings (spec.tests), offline."""
    from pathlib import Path

    from replicator.routing import trials

    built = asked.build()
    _report(built.diagnostics, built.sources)
    if has_errors(built.diagnostics):
        return _code(built.diagnostics)
    results = trials.run(built.tables)
    told = _printable_lines(trials.as_text(results, verbose))
    if junit is not None:
        from replicator.junit import as_xml

        written = as_xml(results).encode()
        if junit == "-":
            click.echo(told, nl=False, err=True)
            _to_stdout([written])
        else:
            Path(junit).write_bytes(written)
    if junit != "-":
        _to_stdout([told.encode()])
    return FINDINGS if any(result.missed for result in results) else FINE


def _edits_dsl(command: Command) -> Command:
    """Give a command the options of all that edit files."""
    dry_run = click.option("--dry-run", is_flag=True, help="Write nothing; print the difference of the files, too.")
    form = click.option(
        "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How it is told what was done."
    )
    return dry_run(form(command))


@cli.command("rebalance")
@click.argument("inputs", metavar="[FILE|DIR|-]...", nargs=-1, type=_PATH)
@click.option("--partition", default="", metavar="NAME", help="The Partition, where there are several.")
@click.option("--add", metavar="ISLAND", multiple=True, help="Move keys only to this island. Repeatable.")
@click.option("--remove", metavar="ISLAND", multiple=True, help="Move all keys of this island away. Repeatable.")
@click.option(
    "--weight",
    "weights",
    metavar="ISLAND=W",
    multiple=True,
    help="Its weight in this run; only it changes. Repeatable.",
)
@click.option("--max-moves", type=click.IntRange(min=0), metavar="K", help="Move at most so many buckets (or keys).")
@_edits_dsl
def rebalance_command(
    inputs: tuple[str, ...],
    partition: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    weights: tuple[str, ...],
    max_moves: int | None,
    dry_run: bool,
    form: str,
) -> int:
    """Share a Partition's table out among islands again, by weight, and move as few keys as can be.

    The files are edited in place, comments kept; from - to standard output. Weights are those of the Set's islands
    where the Set is among the files. Exit code 0: done, or nothing to do; 1: it cannot be done, and nothing is written.
    """
    from replicator.editing.rebalance import Asked, rebalance

    asked = Asked(partition, add, remove, dict(map(_weight, weights)), max_moves)
    return _edit(inputs, lambda project: rebalance(project, asked), dry_run, form)


def _weight(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"([^=]+)=([0-9]{1,7})", text, re.ASCII)
    if found is None:
        raise click.UsageError(f"--weight {printable(text)}: ISLAND=W, and W is a number from 0 on")
    return found[1], int(found[2])


@cli.command("scale", context_settings={"ignore_unknown_options": True})
@click.argument("inputs", metavar="FILE|DIR|-...", nargs=-1, type=_PATH)
@click.argument("name", metavar="SET")
@click.argument("amount", metavar="N|+K|-K")
@click.option(
    "--data",
    "fate",
    type=click.Choice(["retain", "delete"]),
    default="retain",
    show_default=True,
    help="What becomes of the data of islands that go.",
)
@click.option("--reuse", is_flag=True, help="Use keys of islands that were removed, and take out their tombstones.")
@click.option(
    "--max-islands",
    default=MAX_ISLANDS,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="How many islands a Set may have.",
)
@_edits_dsl
def scale_command(
    inputs: tuple[str, ...],
    name: str,
    amount: str,
    fate: str,
    reuse: bool,
    max_islands: int,
    dry_run: bool,
    form: str,
) -> int:
    """Give a Set N islands, or K more or fewer; a Set inside a Type is SET/SET, and changes in all its islands.

    The files are edited in place, comments kept; from - to standard output. Islands that go, the last ones, leave
    tombstones (`removed`). Exit code 0: done, or nothing to do; 1: it cannot be done, and nothing is written.
    """
    from replicator.editing.scale import Asked, scale

    for option in (*inputs, name):
        if option.startswith("-") and option != "-":
            raise click.NoSuchOption(option)  # `-K` is no option, and so click lets others pass, too
    if re.fullmatch(r"[-+]?[0-9]{1,9}", amount, re.ASCII) is None:
        raise click.UsageError(f"{printable(amount)}: a number of islands, +K for more or -K for fewer")
    asked = Asked(name, amount, fate, reuse, max_islands)
    return _edit(inputs, lambda project: scale(project, asked), dry_run, form)


def _edit(inputs: Sequence[str], work: Callable[[Project], Done], dry_run: bool, form: str) -> int:
    """Run an editing command, write its files, and tell what was done."""
    from replicator.editing.command import edit

    sources = _sources(inputs)
    edited = edit(sources, work)
    _report(edited.diagnostics, edited.texts)
    if edited.done is None:
        return _code(edited.diagnostics)
    streamed = "-" in inputs and not dry_run  # then standard output is the edited text
    if form == "json":
        files = {"files": sorted(edited.files), "written": not dry_run, "diff": edited.diff()}
        told = json.dumps({"version": 1, **edited.done.data(), **files}, indent=2, ensure_ascii=False) + "\n"
    else:
        told = _printable_lines("".join(f"{line}\n" for line in edited.done.lines()))
        told += edited.diff() if dry_run else ""
    new = {
        one.name: one.raw[: len(BOM_UTF8) if one.raw.startswith(BOM_UTF8) else 0] + edited.files[one.name].encode()
        for one in sources
        if one.name in edited.files
    }
    if not dry_run:
        replace_files({name: content for name, content in new.items() if name != STDIN})
    if streamed:
        click.echo(told, nl=False, err=True)
        _to_stdout(new.get(one.name, one.raw) for one in sources if one.name == STDIN)
    else:
        _to_stdout([told.encode()])
    return FINE


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _code(found: Iterable[Diagnostic]) -> int:
    """The exit code of a command: where only flags are wrong, it was not asked rightly."""
    errors = [one for one in found if one.severity == "error"]
    if errors and all(one.code == "R0802" for one in errors):
        return USAGE
    return FINDINGS if errors else FINE


def _report(found: Sequence[Diagnostic], texts: Texts[str, str]) -> None:
    if found:
        colour = (
            sys.stderr is not None
            and sys.stderr.isatty()
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") != "dumb"
        )
        click.echo(as_text(found, texts, colour), nl=False, err=True, color=colour)


def _sources(inputs: Sequence[str]) -> list[Source]:
    """The inputs' bytes. A directory stands for its YAML files in order of their names."""
    if not inputs or "" in inputs:
        raise click.UsageError("nothing to compile: name a FILE, a DIR, or - for standard input")
    sources: dict[str, Source] = {}
    for name in inputs:
        if name == "-":
            if sys.stdin is None:
                raise click.UsageError("standard input is closed")
            sources[name] = Source(STDIN, sys.stdin.buffer.read())
            continue
        for file in _files_of(name):
            sources.setdefault(os.path.realpath(file), Source(file.replace(os.sep, "/"), _read(file)))
    return list(sources.values())


def _files_of(name: str) -> list[str]:
    """A file, or the files of a directory that are YAML by their names."""
    if not os.path.isdir(name):
        return [name]
    try:
        paths = [os.path.join(name, entry) for entry in sorted(os.listdir(name)) if entry.endswith((".yaml", ".yml"))]
    except OSError as error:
        raise _unreadable(name, error) from None
    files = [path for path in paths if not os.path.isdir(path)]
    if not files:
        raise click.UsageError(f"{name}: no *.yaml or *.yml in this directory")
    return files


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: OSError) -> _Stop:
    click.echo(f"error[R0801]: {printable(name)}: {error.strerror or error}", err=True)
    return _Stop(USAGE)


def _setting(text: str) -> Setting:
    match = _SETTING.fullmatch(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.UsageError("--set: the value is not UTF-8 text") from None
    if match is None:
        raise click.UsageError(f"--set {text}: SET.PARAM=VALUE or SET/KEY.PARAM=VALUE")
    target, key, param, value = match.groups()
    return Setting(target, key or "", param, value, Place(f"--set {text[:100]}", 0, 0, 0, 0), True)


def _params_file(name: str, texts: dict[str, str]) -> list[Setting]:
    """The settings of a file: `cart: {version: "2.1"}`, `cart/eu: {…}`, `shop: {domain: …}`; its text into `texts`."""
    text, found = decode_text(name, _read(name))
    texts[name] = text
    documents, problems = (
        ([], []) if found else load(name, text, 'a file of values is a map of Sets: cart: {version: "2.1"}')
    )
    found = [*found, *problems]
    settings = []
    for document in documents:
        for target, node in document.root.items.items():
            if not isinstance(node, Mapping):
                hint = 'a file of values looks like: cart: {version: "2.1"}'
                place = document.root.key_place(target)
                found.append(Diagnostic("R0204", f"`{target}` is no map of parameters", place, hint=hint))
                continue
            owner, _, key = target.partition("/")
            for param, value in node.items.items():
                settings.append(Setting(owner, key, param, value.data, value.place, False))
    if has_errors(found):
        click.echo(as_text(tidy(found), {name: text}), nl=False, err=True)
        raise _Stop(FINDINGS)
    return settings
