"""An output of replicator taken apart into what stands once and what is repeated for every island."""

import difflib
import re
from dataclasses import dataclass

# Two keys that occur nowhere else in the workload, in the order in which they are written.
KEYS = ["zqkeya", "zqkeyb"]

KEY = "@KEY@"
FIRST_KEY = "@FIRST@"
DIGEST_MARK = re.compile(r"@DIGEST(\d+)@")
_DIGEST = re.compile(r"(?m)(?<=replicator\.dev/files: )(\W?(?:sha256:)?)([0-9a-f]{8,64})\b")


class UnlikeError(Exception):
    """The output is not made of constant text and one repeated text per island."""


@dataclass(frozen=True)
class Part:
    """A run of whole lines, with marks where the island's key or a digest of its files belongs."""

    text: str
    repeated: bool


def mask_digests(text: str) -> str:
    """The text with every digest of files replaced by a mark that knows its length."""
    return _DIGEST.sub(lambda found: f"{found[1]}@DIGEST{len(found[2])}@", text)


def take_apart(one: str, two: str) -> list[Part]:
    """Compare the outputs for the first key and for both: what the second key added is what is repeated."""
    before = mask_digests(one).splitlines(keepends=True)
    after = mask_digests(two).splitlines(keepends=True)
    parts: list[Part] = []
    done = 0
    for tag, position, _, start, end in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if tag != "insert":
            raise UnlikeError(f"a second island changed line {position + 1} of the output for one")
        # Neighbours share edges: at its lowest place the insertion repeats what is above it.
        while end < len(after) and after[start] == after[end]:
            position, start, end = position + 1, start + 1, end + 1
        added = "".join(after[start:end]).replace(KEYS[1], KEY)
        upper = position - (end - start)
        if upper < done or "".join(before[upper:position]).replace(KEYS[0], KEY) != added:
            raise UnlikeError(f"what a second island adds at line {position + 1} is unlike the first island's")
        parts += [_constant(before[done:upper]), Part(added, repeated=True)]
        done = position
    parts.append(_constant(before[done:]))
    return [part for part in parts if part.text]


def _constant(lines: list[str]) -> Part:
    return Part("".join(lines).replace(KEYS[0], FIRST_KEY), repeated=False)


def documents(text: str) -> list[str]:
    """The documents of an output in one fixed order, without digests and helm's comments."""
    cleaned = re.sub(r"(?m)^# Source: .*\n", "", DIGEST_MARK.sub("DIGEST", mask_digests(text)))
    return sorted(document.strip() for document in re.split(r"(?m)^---\n", cleaned) if document.strip())
