"""The documents as readers meet them: fenced blocks in order, and what is said to be printed.

A ```text block stands right under the ```sh or ```python block whose last command prints it. It
may leave something out where it says ``...``; what it shows must stand in the real output, in this
order, word for word. Numbers may be others where they are measured.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SAVED = re.compile(r"Save this as `([^`]+)`:\s*\Z")
_NUMBER = r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
_TOKEN = re.compile(rf"\.{{3}}|{_NUMBER}|[^\W\d]+|[^\w\s\u2500-\u257f]")


@dataclass(frozen=True)
class Step:
    """Something that a page has its reader do.

    Args:
        kind: ``"sh"`` for one command, ``"python"`` for a program, ``"toml"`` for a file to save.
        text: The command, the program, or the file's content.
        saved_as: What a file is to be called; empty if it is only shown.
        shown: What the page says is printed; empty if it says nothing.
    """

    kind: str
    text: str
    saved_as: str = ""
    shown: str = ""


def steps(page: Path) -> list[Step]:
    """What a page has its reader do, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    made: list[Step] = []
    end = 0
    for block in _FENCE.finditer(text):
        kind, content = block.groups()
        between = text[end : block.start()]
        if kind == "text":
            assert made and not between.strip(), f"{page.name}: whose output is this?\n{content}"
            made[-1] = Step(made[-1].kind, made[-1].text, shown=content)
        elif kind == "sh":
            lines = [line.partition(" #")[0].strip() for line in content.splitlines()]
            made += [Step("sh", line) for line in lines if line]
        else:
            saved = _SAVED.search(between)
            made.append(Step(kind, content, saved_as=saved.group(1) if saved else ""))
        end = block.end()
    return made


def missing(shown: str, printed: str, *, exact: bool) -> str | None:
    """The first passage of ``shown`` that is not in ``printed`` where it should be, if any.

    Args:
        shown: What a page says is printed, with ``...`` where something is left out.
        printed: What is.
        exact: Whether the numbers must be the same too.
    """
    words = _words(printed, exact=exact)
    place = 0
    for passage in _passages(_words(shown, exact=exact)):
        length = len(passage)
        starts = range(place, len(words) - length + 1)
        start = next((s for s in starts if words[s : s + length] == passage), None)
        if start is None:
            return " ".join(passage)
        place = start + length
    return None


def _words(text: str, *, exact: bool) -> list[str]:
    """Words, numbers and signs without frames and spaces: lines may be broken anywhere."""
    words = _TOKEN.findall(text)
    return words if exact else ["#" if re.fullmatch(_NUMBER, word) else word for word in words]


def _passages(words: list[str]) -> list[list[str]]:
    """The words between the places where something was left out."""
    passages: list[list[str]] = [[]]
    for word in words:
        if word == "...":
            passages.append([])
        else:
            passages[-1].append(word)
    return [passage for passage in passages if passage]
