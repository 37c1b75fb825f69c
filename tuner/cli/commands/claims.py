"""``tuner claims``: the method's claims, each measured here and held against what is expected."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tuner.cli.present import INTERRUPTED, JsonFile, Outputs, as_text

if TYPE_CHECKING:
    from tuner.claims.claim import Claim
    from tuner.claims.outcome import Figure
    from tuner.claims.run import Checked

_STYLES = {"holds": "green", "does not hold": "red", "not settled": "yellow"}


def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="which, or TOML files \\[all of them]"),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="say what they claim, measure nothing")
    ] = False,
    database: Annotated[
        str | None,
        typer.Option(help="where less_tuning keeps its search \\[a temporary database]"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="processes of that search \\[one per GPU, or one per core]"),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure the claims of the method on this machine: does each of them hold?

    Each trains real networks on 8x8 digits, or plays gradients to the update
    rules, and is held against what its declaration in studies/claims expects.
    Printed is the figure that decides, and in brackets a part that came out
    otherwise; for claims given by name, all figures.

    Exit status 0 means that all were measured, whether or not they hold.

    For example:

    tuner claims

    tuner claims scaling clip_inert

    tuner claims less_tuning --database sqlite:///claims.db --json claims.json

    tuner claims --list
    """
    outputs = Outputs(json)
    outputs.check()
    from tuner.claims.claim import Means  # torch takes a second or two to import
    from tuner.claims.kinds import declared_claims, load_claim
    from tuner.claims.run import check_claims

    chosen = [load_claim(name) for name in dict.fromkeys(names or declared_claims())]
    console = outputs.console
    if listed:
        console.print(_list(chosen))
        if json is not None:
            _write(json, {claim.name: claim.declaration for claim in chosen}, console)
        return
    with _Display(console, chosen) as display:
        results = check_claims(chosen, Means(database, workers), on_step=display)
    console.print(_table(results.checked))
    for checked in results.checked if names else ():
        says = f"\n[bold]{escape(checked.claim.name)}[/]: {escape(checked.claim.says)}"
        console.print(says, highlight=False)
        console.print(_figures(checked.outcome.figures))
    for name, why in results.failed.items():
        sentence = f"{escape(name)} could not be measured: {escape(why)}"
        console.print(sentence, highlight=False, soft_wrap=True)
    if json is not None:
        _write(json, results.to_json(), console)
    if results.stopped:
        console.print("stopped; this is what was measured so far")
        raise typer.Exit(INTERRUPTED)
    if results.failed:
        raise typer.Exit(1)


def _write(json: str, data: object, console: Console) -> None:
    if json == "-":
        sys.stdout.write(as_text(data))
        return
    Path(json).write_text(as_text(data), encoding="utf-8")
    console.print(f"written: {json}", soft_wrap=True)


class _Display:
    """Says where the run is: a bar on a terminal, a line for each claim elsewhere."""

    def __init__(self, console: Console, chosen: Sequence["Claim"]) -> None:
        self._console = console
        self._names = [claim.name for claim in chosen]
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=1.0)
        self._now = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def __call__(self, claim: "Claim", share: float) -> None:
        """Show how far a claim's check is."""
        if claim.name != self._now:
            self._now = claim.name
            number = self._names.index(claim.name) + 1
            where = f"{claim.name} ({number} of {len(self._names)})"
            self._bar.reset(self._task, total=1.0, description=where)
            if not self._console.is_terminal:
                self._console.print(f"measuring {where}", highlight=False, soft_wrap=True)
        self._bar.update(self._task, completed=share)


def _list(chosen: Sequence["Claim"]) -> Table:
    table = _plain("claim", "says", "kind of check")
    for claim in chosen:
        table.add_row(claim.name, claim.says, claim.kind)
    return table


def _table(results: Sequence["Checked"]) -> Table:
    """One row per claim, with the figure that decides it; where parts differ, one of each."""
    table = _plain("claim", "measured", "expected", "verdict", "seconds")
    for checked in results:
        for number, figure in enumerate(checked.outcome.headlines):
            table.add_row(
                "" if number else checked.claim.name,
                f"{figure.label}: {figure.shown}",
                figure.expected,
                Text(f"({figure.verdict})", "dim") if number else _verdict(figure.verdict),
                "" if number else f"{checked.seconds:.1f}",
            )
    return table


def _figures(figures: Sequence["Figure"]) -> Table:
    """All figures of a claim."""
    table = _plain("figure", "measured", "expected", "verdict")
    for figure in figures:
        table.add_row(figure.label, figure.shown, figure.expected, _verdict(figure.verdict))
    return table


def _verdict(verdict: str | None) -> Text:
    return Text("reported", "dim") if verdict is None else Text(verdict, _STYLES[verdict])


def _plain(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        right = heading == "seconds"
        table.add_column(
            heading,
            justify="right" if right else "left",
            no_wrap=heading in ("claim", "verdict"),
        )
    return table
