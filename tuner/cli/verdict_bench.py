"""What ``tuner bench verdicts`` prints: each situation when it is done, then all in a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tuner.bench.verdicts.intervals import MEASURES
from tuner.bench.verdicts.methods import METHODS
from tuner.bench.verdicts.situations import SITUATIONS
from tuner.bench.verdicts.tally import ANY, LEAST_COVERAGE, MOST_WRONG, Figure
from tuner.bench.verdicts.trying import (
    Tried,
    VerdictProgress,
    VerdictResults,
    try_situations,
    width_and_coverage,
)
from tuner.errors import UnknownName
from tuner.machine import cores

COMPARISONS, QUICK_COMPARISONS = 200, 20

_WITHIN_CHANCE, _EXCUSED, _OUT = "~", "*", "!"
_LEGEND = (
    f"Per cent of the comparisons. A stated 95% covers at least {LEAST_COVERAGE:.0%}, a word is "
    f"wrong in at most {MOST_WRONG:.0%}; {_WITHIN_CHANCE} beyond that, but no more than chance "
    f"explains; {_EXCUSED} beyond it for the reason given; {_OUT} out of bounds."
)


def try_verdicts(
    names: Sequence[str], *, comparisons: int | None, quick: bool, console: Console
) -> VerdictResults:
    """Try the situations of these names, or all, and print each when it is done.

    Raises:
        UnknownName: If there is no situation of a name.
    """
    known = {situation.name: situation for situation in SITUATIONS}
    for name in names:
        if name not in known:
            raise UnknownName("situation", name, known)

    def show(step: VerdictProgress) -> None:
        _show_situation(step.tried, console)
        where = f"  situation {step.number} of {step.situations} done"
        if step.number < step.situations:
            where += f", about {step.seconds_left / 60:.0f} min left"
        console.print(where, style="dim", highlight=False)

    return try_situations(
        [known[name] for name in names] or SITUATIONS,
        comparisons=comparisons or (QUICK_COMPARISONS if quick else COMPARISONS),
        processes=cores(),
        on_step=show,
    )


def show_verdicts(results: VerdictResults, console: Console, *, methods: bool) -> None:
    """Print the table of all situations tried, and what is out of bounds."""
    if results.stopped:
        console.print("\nstopped; this is what was measured so far")
    if not results.tried:
        return
    console.print()
    console.print(_table(results.tried))
    if methods:
        console.print("\nIntervals of the median difference of settings trained afresh:")
        console.print(_methods_table(results.tried))
    console.print(f"\n{_LEGEND}", highlight=False)
    for each in results.tried:
        for figure in each.figures:
            if mark := _mark(figure).strip(_WITHIN_CHANCE):
                reason = figure.excused or "out of bounds"
                console.print(
                    f"{mark} {each.situation.name}, {figure.name} {figure.who}".rstrip()
                    + f": {_percent(figure)}; {reason}",
                    highlight=False,
                    soft_wrap=True,
                )


def _show_situation(tried: Tried, console: Console) -> None:
    situation, counts = tried.situation, tried.counts
    console.print(f"\n[bold]{situation.name}[/]: {situation.words}", highlight=False)
    covers = [figure for name in _measures(tried) if (figure := _worst(tried, name))]
    wrong = [figure for figure in tried.figures if figure.what == "wrong"]
    lines = {
        f"{counts.comparisons} comparisons": (
            f"n {situation.n:,}, k {situation.k}; told apart rightly "
            f"{100 * counts.told_apart / counts.comparisons:.1f}%"
        ),
        "intervals cover, %": ", ".join(f"{each.name} {_percent(each)}" for each in covers),
        "wrong words, %": ", ".join(f"{each.name} {_percent(each)}" for each in wrong),
    }
    table = Table(box=None, show_header=False, padding=(0, 1))
    for what, line in lines.items():
        table.add_row(what, line)
    console.print(table, highlight=False)


def _measures(tried: Tried) -> list[str]:
    there = {figure.name for figure in tried.figures if figure.what == "covers"}
    return [*(name for name in MEASURES if name in there), *sorted(there - set(MEASURES))]


def _worst(tried: Tried, name: str) -> Figure | None:
    """The figure of an interval in the arms where it covers least."""
    figures = [each for each in tried.figures if each.what == "covers" and each.name == name]
    return min(figures, key=lambda each: each.share, default=None)


def _percent(figure: Figure) -> str:
    return f"{100 * figure.share:.1f}{_mark(figure)}"


def _mark(figure: Figure) -> str:
    if figure.out:
        return _EXCUSED if figure.excused else _OUT
    return _WITHIN_CHANCE if figure.beyond else ""


def _table(tried: Sequence[Tried]) -> Table:
    """Of each situation the interval that covers least, and the word most often wrong."""
    table = Table(box=None, pad_edge=False)
    table.add_column("situation")
    for name in ("n", "k"):
        table.add_column(name, justify="right")
    for name in ("covers least", "wrong most", "any", "told apart"):
        table.add_column(name)
    for each in tried:
        figures = each.figures
        covers = [figure for figure in figures if figure.what == "covers"]
        words = [f for f in figures if f.what == "wrong" and f.name != ANY]
        least = min(covers, key=lambda figure: figure.share, default=None)
        most = max(words, key=lambda figure: figure.share)
        claims = next(figure for figure in figures if figure.name == ANY)
        table.add_row(
            each.situation.name,
            f"{each.situation.n:,}",
            str(each.situation.k),
            "" if least is None else f"{_percent(least)} {least.name}",
            f"{_percent(most)} {most.name}" if most.count else "0.0",
            _percent(claims),
            f"{100 * each.counts.told_apart / each.counts.comparisons:.0f}",
        )
    return table


def _methods_table(tried: Sequence[Tried]) -> Table:
    """Mean width in points, or in units of a loss, and coverage, of each method."""
    table = Table(box=None, pad_edge=False)
    table.add_column("situation")
    for name in METHODS:
        table.add_column(f"{name}: width, covers")
    for each in tried:
        cells = []
        for name in METHODS:
            measured = width_and_coverage(each, name)
            if measured is not None:
                width, covers = measured
                scale = 1 if each.situation.losses else 100
                cells.append(f"{scale * width:.3g}, {100 * covers:.1f}")
        if cells:
            table.add_row(each.situation.name, *cells)
    return table
