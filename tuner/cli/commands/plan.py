"""``tuner plan``: what a comparison will cost and can show, before anything runs."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuner.cli.present import AsJson, as_text
from tuner.compare import words
from tuner.compare.foresight import Design, Outlook, outlook
from tuner.search.declared.spec import ComparisonSpec, declaration_hash, load
from tuner.search.work.plan import Plan
from tuner.search.work.plan import plan as make_plan
from tuner.wording import count
from tuner.workload import Workload, in_words
from tuner.workload.files import check_files


def plan(
    spec: Annotated[str, typer.Argument(help="a TOML file, or the name of a declared study")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="worker processes \\[one per GPU, or one per core]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a comparison will cost and what it can show, before anything runs.

    Trains each kind of batch for a few epochs to estimate the time on this machine; no trial is
    stored.

    For example:

    tuner plan digits

    tuner plan my_study.toml --workers 4 --json
    """
    declared = load(spec)
    if isinstance(declared.workload, Workload):
        check_files(declared.workload)
    made = make_plan(
        declared, workers=workers, on_measuring=_silent if as_json else _say_it_is_measured
    )
    prospects = outlook(design(declared))
    if as_json:
        answer = {
            "name": declared.name,
            "declaration": declaration_hash(declared),
            **asdict(made),
            "n_trials": made.n_trials,
            "epochs": made.epochs,
            "seconds": made.seconds,
            "report_seconds": made.report_seconds,
            "outlook": [asdict(prospect) for prospect in prospects],
        }
        typer.echo(as_text(answer))
        return
    _print(declared, made, prospects)


def _say_it_is_measured() -> None:
    Console(stderr=True).print("measuring this machine for some seconds", style="dim")


def _silent() -> None:
    """JSON says it all."""


def design(spec: ComparisonSpec) -> Design:
    """The sizes that decide what a comparison can show."""
    primary = [arm for arm in spec.arms if arm.name in spec.primary]
    independent = all(not arm.learns and arm.pruner == "none" for arm in primary)
    repeated = [arm for arm in spec.arms if arm.name in (spec.verdict.repeated or ())]
    again = repeated or ([] if independent else primary)
    return Design(
        n=min(spec.trials_of(arm) * spec.repeats_of(arm) for arm in primary),
        k=spec.k,
        independent=independent,
        repeats=min((spec.repeats_of(arm) for arm in again), default=0),
        searches=min(map(spec.n_selections, primary)),
        seeds=spec.retrain_seeds,
        has_control=spec.verdict.control is not None,
        has_target=spec.verdict.target is not None,
        looks=spec.verdict.looks or (),
        stops=spec.verdict.stop is not None,
    )


def _print(spec: ComparisonSpec, made: Plan, prospects: tuple[Outlook, ...]) -> None:
    console = Console()
    console.print(f"[bold]{spec.name}[/]: {in_words(spec.workload)}", highlight=False)
    if made.data is not None:
        console.print(f"data: {made.data}", highlight=False)
        if made.data.warning:
            console.print(f"[yellow]![/] {made.data.warning}", highlight=False)
    for note in made.notes:
        console.print(f"[dim]·[/] {escape(note)}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("arm", "sampler", "trials", "afresh", "together", "epochs", "time"):
        left = heading in ("arm", "sampler")
        table.add_column(heading, justify="left" if left else "right")
    for arm in made.arms:
        times = f"{arm.repeats} x " if arm.repeats > 1 else ""
        table.add_row(
            arm.name,
            arm.sampler,
            f"{times}{arm.n_trials:,}",
            str(arm.retrained),
            str(arm.batch),
            f"{arm.epochs:,}",
            words.duration(arm.seconds / made.workers),
        )
    console.print(table)
    workers = count(made.workers, "worker")
    console.print(
        f"\n{'At most ' if spec.verdict.stop else ''}{count(made.n_trials, 'trial')}, "
        f"{count(made.epochs, 'epoch')}: about "
        f"[bold]{words.duration(made.seconds)}[/] with {workers} on this machine, if it does "
        f"nothing else: {words.duration(made.start_seconds)} until they train, then the arms' "
        "times. A full report (--html, --json, --folder) takes about "
        f"{words.duration(made.report_seconds)} more.\n",
        highlight=False,
    )
    for prospect in prospects:
        mark = "[yellow]![/]" if prospect.warns else "[dim]·[/]"
        console.print(f"{mark} {prospect.text}", highlight=False, soft_wrap=False)
