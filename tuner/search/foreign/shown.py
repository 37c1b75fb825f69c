"""What others wrote, as it can be shown: nothing in it moves a terminal or breaks a page."""

import shlex

_LONGEST = 60


def printable(text: str, longest: int = _LONGEST) -> str:
    """A text of others on one line, of at most so many characters."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def typed(argument: str) -> str:
    """An argument as it is typed into a shell."""
    if argument.isprintable():
        return shlex.quote(argument)
    escaped = argument.encode("unicode_escape").decode("ascii").replace("'", r"\'")
    return f"$'{escaped}'"
