"""All that reports make of comparisons made from nothing, as files to hold against each other.

A change that should alter no report makes the same bytes before and after it:

    python tests/compare/snapshots.py before    # on the old commit
    python tests/compare/snapshots.py after     # on the new one
    diff -r before after

Names of comparisons after the folder make those alone.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from conftest import make_arm, make_retrained
from made_reports import as_losses, full_report
from rich.console import Console

from tuner.compare import Comparison, Protocol, compare
from tuner.compare.comparison import detailed
from tuner.compare.figures.gallery import pictures
from tuner.compare.report.data import to_json
from tuner.compare.report.html import to_html
from tuner.compare.report.sheets import sheets
from tuner.compare.report.terminal import print_table


def full(n_arms: int) -> Comparison:
    """Everything that a report may hold, with so many random searches."""
    return full_report(make_arm, make_retrained, n_arms=n_arms)


def comparisons() -> Mapping[str, Callable[[], Comparison]]:
    """Names and makers of comparisons that between them have everything a report can hold."""
    rng = np.random.default_rng(1)
    arms = [
        make_arm(name, top - 0.1 * rng.random(200), retrained=make_retrained(top))
        for name, top in (("filter", 0.97), ("magnitude", 0.93), ("magnitude_narrow", 0.94))
    ]
    control = Protocol(control="magnitude_narrow", exact="magnitude", target=0.96)
    interim = Protocol(k=10, interim="half of the trials are missing")
    same = [make_arm(name, 0.9 + 0.001 * rng.random(400)) for name in ("a", "b")]
    losses = [
        make_arm("new", -rng.lognormal(size=30), failed=np.arange(30) < 2),
        make_arm("old", -rng.lognormal(size=20), sampler="unknown", seconds=[np.nan] * 20),
    ]
    of_losses = Protocol(unit="negated loss", rope=0.0)
    return {
        "full_2": lambda: full(2),
        "full_5": lambda: full(5),
        "control": lambda: compare(arms, control),
        "control_in_detail": lambda: detailed(compare(arms, control), arms),
        "interim": lambda: compare(arms, interim),
        "equivalent": lambda: detailed(compare(same, Protocol(target=0.95)), same),
        "losses": lambda: detailed(compare(losses, of_losses), losses),
        "minimized": lambda: as_losses(full(2), minimized=True),
    }


def files(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Names and texts of all that is made of a comparison."""
    terminal = StringIO()
    print_table(comparison, Console(file=terminal, width=100))
    yield "terminal.txt", terminal.getvalue()
    yield "report.json", json.dumps(to_json(comparison), indent=1)
    page = to_html(comparison, {"Made by": "a test"})
    yield "report.html", page
    drawn = pictures(comparison)
    yield "captions.json", json.dumps({each.name: each.caption for each in drawn}, indent=1)
    # Each is on the page, and to draw it again would take as long as all the rest.
    for picture, svg in zip(drawn, re.findall(r"<svg.*?</svg>\n", page, re.DOTALL), strict=True):
        yield f"{picture.name}.svg", svg
    for name, text in sheets(comparison).items():
        yield f"{name}.csv", text


def write(folder: Path, cases: Sequence[str]) -> None:
    """One folder for each comparison, or for each of those named."""
    made = comparisons()
    for case in cases or made:
        (folder / case).mkdir(parents=True, exist_ok=True)
        for name, text in files(made[case]()):
            (folder / case / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:])
