"""What README.md and docs/ show is what happens: commands are run, DSL is compiled, links and paths exist."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
assert spec is not None
assert spec.loader is not None
generate: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)

README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("docs/*.md"))]

COPIED = ("README.md", "Makefile", "dsl-examples", "golden", "schemas")
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "PYTHONPATH": str(ROOT),  # the command may be installed from elsewhere
}


class Block(NamedTuple):
    """A fenced block: its page, its language, the line of its fence, its text."""

    page: Path
    language: str
    line: int
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.stem}, line {self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(page, match[1], text.count("\n", 0, match.start()) + 1, match[2]) for match in found]


BLOCKS = [block for page in PAGES for block in blocks(page)]
CONSOLE = [block for block in BLOCKS if block.language == "console"]
DSL = [block for block in BLOCKS if block.language == "yaml" and "replicator.dev/" in block.text]


def workplace(page: Path, folder: Path) -> None:
    """Make a folder a copy of the repository's root, with those YAML blocks of a page whose first line names a file."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    for block in blocks(page):
        if block.language == "yaml" and (match := re.match(r"# ([\w-]+\.yaml)\n", block.text)):
            (folder / match[1]).write_text(block.text)


def commands(block: str) -> list[str]:
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def transcript(block: str, folder: Path) -> str:
    """The block as a terminal would show it: each command, and what it prints now."""
    mark = "\x1eend of command\x1e"
    script = "exec 2>&1\n" + "".join(
        f"{command}\nstatus=$?; printf '%s' '{mark}'; (exit $status)\n" for command in commands(block)
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    outputs = done.stdout.decode().split(mark)
    assert len(outputs) == len(commands(block)) + 1, done.stdout.decode()
    return "".join(f"$ {command}\n{output}" for command, output in zip(commands(block), outputs, strict=False))


def test_there_are_pages_and_blocks() -> None:
    assert len(PAGES) > 1
    assert {block.page for block in CONSOLE} == set(PAGES)
    assert {ROOT / "docs" / name for name in generate.PAGES} < set(PAGES)
    assert DSL


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: str(block.name))
def test_commands_print_what_the_page_says(block: Block, tmp_path: Path) -> None:
    workplace(block.page, tmp_path)
    assert commands(block.text)
    assert block.text == transcript(block.text, tmp_path)


@pytest.mark.parametrize("block", DSL, ids=lambda block: str(block.name))
def test_dsl_in_pages_compiles(block: Block) -> None:
    command = [sys.executable, "-m", "replicator", "build", "-"]
    done = subprocess.run(command, cwd=ROOT, input=block.text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("name", generate.PAGES)
def test_pages_that_come_from_the_code_are_fresh(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == generate.PAGES[name](), "make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_links_and_paths_exist(page: Path) -> None:
    """Links are relative to their page. Names of our folders' files are paths in code blocks and in code spans."""
    text = page.read_text()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in link]
    folders = "replicator|schemas|dsl-examples|golden|tests|benchmarks|docs"
    paths = re.findall(rf"`((?:{folders})/[^`]*)`", prose)
    paths += re.findall(rf"(?:^| )((?:{folders})/[\w./-]+)", text, re.MULTILINE)
    assert links
    assert paths
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing + [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named <= targets
    assert named or page != README
