"""What README.md shows is what happens: its commands are run, its DSL is compiled, its links and paths exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()

COPIED = ("README.md", "Makefile", "dsl-examples", "golden", "schemas")
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


class Block(NamedTuple):
    """A fenced block: its language, the line of its fence, its text."""

    language: str
    line: int
    text: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text."""
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(match[1], text.count("\n", 0, match.start()) + 1, match[2]) for match in found]


CONSOLE = [block for block in blocks(README) if block.language == "console"]
DSL = [block for block in blocks(README) if block.language == "yaml" and "replicator.dev/" in block.text]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A copy of the repository's root, with those YAML blocks in it whose first line names a file."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    for block in blocks(README):
        if block.language == "yaml" and (match := re.match(r"# ([\w-]+\.yaml)\n", block.text)):
            (tmp_path / match[1]).write_text(block.text)
    return tmp_path


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


def test_the_readme_has_both() -> None:
    assert CONSOLE
    assert DSL


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: f"line {block.line}")
def test_commands_print_what_the_readme_says(block: Block, workplace: Path) -> None:
    assert commands(block.text)
    assert block.text == transcript(block.text, workplace)


@pytest.mark.parametrize("block", DSL, ids=lambda block: f"line {block.line}")
def test_dsl_in_the_readme_compiles(block: Block) -> None:
    command = [sys.executable, "-m", "replicator", "build", "-"]
    done = subprocess.run(command, cwd=ROOT, input=block.text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout


def test_links_and_paths_exist() -> None:
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in link]
    paths = re.findall(r"`((?:replicator|schemas|dsl-examples|golden|tests|benchmarks)/[^`]*)`", prose)
    assert links
    assert paths
    assert [name for name in [*links, *paths] if not (ROOT / name).exists()] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named
    assert named <= targets
