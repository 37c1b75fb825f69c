"""How messages say things: numbers of them, and the settings of a question.

A message that names the way out names it as its reader writes it: ``--last-reports`` on the
command line; ``last_reports`` in Python, by REST and on the page.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_by_options: ContextVar[bool] = ContextVar("by_options", default=False)


@contextmanager
def by_options() -> Iterator[None]:
    """Whatever is said meanwhile names options of the command line."""
    before = _by_options.set(True)
    try:
        yield
    finally:
        _by_options.reset(before)


def setting(name: str, value: str = "") -> str:
    """A setting, with a value if one is to be given: ``--sampler random``, ``sampler=random``."""
    if _by_options.get():
        return f"--{name.replace('_', '-')} {value}".rstrip()
    return f"{name}={value}" if value else name


def count(n: int, unit: str, several: str = "") -> str:
    """A number of things: ``1 more trial``, ``2,000 more trials``, ``20 searches``.

    Args:
        n: How many.
        unit: What one of them is called, with what is said of it.
        several: What several are; the unit with an s if not given.
    """
    return f"{n:,} {unit if n == 1 else several or f'{unit}s'}"


def rounded(n: int) -> int:
    """An estimate of a number of things, to two significant digits: 38,390 is about 38,000."""
    return int(float(f"{n:.2g}"))
