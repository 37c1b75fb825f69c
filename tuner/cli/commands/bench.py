"""``tuner bench``: this software's speed and its verdicts, measured on the user's machine."""

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.table import Table

from tuner.cli.present import INTERRUPTED, JsonFile, Outputs, as_text
from tuner.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from tuner.bench.match import Row
    from tuner.bench.measured_on import Machine
    from tuner.bench.run import BenchProgress, BenchResults

ROUNDS, QUICK_ROUNDS = 5, 2
VERDICTS, FLEET = "verdicts", "fleet"
"""What is tried by itself, beside the contests of speed."""


def bench(
    contests: Annotated[
        list[str] | None, typer.Argument(help="which, of those named above \\[all of them]")
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"how often the sides take turns \\[{ROUNDS}, or {QUICK_ROUNDS} if quick]"
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="few rounds, small budgets: for a look only")
    ] = False,
    situation: Annotated[
        list[str] | None,
        typer.Option(help="of verdicts: try this one \\[all]; may be given several times"),
    ] = None,
    methods: Annotated[
        bool, typer.Option("--methods", help="of verdicts: show other intervals beside it")
    ] = False,
    workers: Annotated[
        list[int] | None,
        typer.Option(help="of fleet: so many \\[1, 8, 32, 128]; may be given several times"),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(help="of fleet: seconds of training, as a distribution \\[lognormal:2,0.5]"),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="of fleet: so many trials a worker trains at a time \\[1]"),
    ] = None,
    reads: Annotated[
        bool, typer.Option("--reads", help="of fleet: have ten clients read from a server too")
    ] = False,
    json: JsonFile = None,
) -> None:
    """Measure this software on this machine: its speed, and how often its verdicts are right.

    Speed is measured against plain PyTorch and Optuna. The sides take turns,
    in processes of one thread each. A ratio is formed within a round, from
    slices of work measured one after the other. Printed are the median over
    the rounds and, as low and high, the least and the greatest; load is how
    much of the processors other processes took meanwhile, and above 5% no
    result is clean. The contests:

    digits: finished trials of a search per hour, on all cores

    own_network: the same on one core, of a network of ordinary torch layers

    fashion_cnn, resnet20, fashion_mlp: training samples per second, one core

    update_rule: time of a step on ten million weights, and on 300 small
    tensors, against torch's SGD

    outside: share of a worker's time outside training and validation

    accuracy: validation accuracy, with the difference's confidence interval

    service: answers of the server to 50 clients, claims of 32 workers; on
    PostgreSQL too if TUNER_BENCH_POSTGRES is the address of an empty one

    And by themselves:

    verdicts: how often the verdicts of tuner compare are right, on simulated
    searches whose truth is known; rounds are comparisons of each situation

    fleet: what a database bears of workers that sleep for training, drawn from
    constant:S, uniform:A,B, exponential:MEAN or lognormal:MEDIAN,SIGMA: trials
    and claims a second, connections, processors; on TUNER_BENCH_POSTGRES.
    With --reads ten clients ask tuner serve once a second each meanwhile

    The contests take about half an hour on two cores, a few minutes with
    --quick; verdicts takes a quarter of an hour, fleet five minutes. Ctrl-C
    ends the run and prints what was measured so far.

    For example:

    tuner bench digits fashion_cnn

    tuner bench --quick

    tuner bench --rounds 9 --json bench.json

    tuner bench verdicts --situation noise-twice

    tuner bench fleet --workers 8 --workers 64 --training exponential:1

    tuner bench fleet --workers 128 --batch 16 --training uniform:20,40 --reads
    """
    outputs = Outputs(json)
    outputs.check()
    named = contests or ()
    verdicts = VERDICTS in named or situation or methods
    fleet = FLEET in named or workers or training is not None or batch or reads
    if verdicts:
        _check_alone(VERDICTS, named, "--situation and --methods")
    if fleet:
        _check_alone(FLEET, named, "--workers, --training, --batch and --reads")
    if verdicts:
        _verdicts(situation or (), rounds, quick=quick, methods=methods, outputs=outputs)
        return
    if fleet:
        if rounds is not None:
            raise InvalidInput("tuner bench fleet measures each size once; leave --rounds out")
        _fleet(
            workers or (), training, batch=batch or 1, reads=reads, quick=quick, outputs=outputs
        )
        return
    from tuner.bench.contests import CONTESTS  # torch takes a second or two to import
    from tuner.bench.run import run_contests

    for name in named:
        if name not in CONTESTS:
            raise UnknownName("contest", name, (*CONTESTS, VERDICTS, FLEET))
    console = outputs.console
    with _Display(console) as display:
        results = run_contests(
            {name: CONTESTS[name] for name in named or CONTESTS},
            rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
            quick=quick,
            on_step=display,
        )
    _show(results, console)
    _end(
        outputs,
        results.to_json() if results.rows or not results.stopped else None,
        stopped=results.stopped,
    )
    if results.failed:
        raise typer.Exit(1)


def _check_alone(name: str, contests: Sequence[str], options: str) -> None:
    """Refuse options without what they belong to, or that with anything beside it."""
    if name not in contests:
        raise InvalidInput(f"{options} belong to tuner bench {name}; add {name}")
    if len(contests) > 1:
        raise InvalidInput(f"{name} is no contest of speed: run tuner bench {name} by itself")


def _fleet(
    sizes: Sequence[int],
    training: str | None,
    *,
    batch: int,
    reads: bool,
    quick: bool,
    outputs: Outputs,
) -> None:
    """Measure fleets and show what came out."""
    from tuner.cli.fleet_bench import bench_fleets

    results = bench_fleets(
        sizes, training, batch=batch, reads=reads, quick=quick, console=outputs.console
    )
    _end(outputs, results.to_json() if results.rows else None, stopped=results.stopped)


def _verdicts(
    situations: Sequence[str], rounds: int | None, *, quick: bool, methods: bool, outputs: Outputs
) -> None:
    """Try the verdicts and show what came out."""
    from tuner.cli.verdict_bench import show_verdicts, try_verdicts

    console = outputs.console
    results = try_verdicts(situations, comparisons=rounds, quick=quick, console=console)
    show_verdicts(results, console, methods=methods)
    _end(outputs, results.to_json() if results.tried else None, stopped=results.stopped)
    if results.out:
        raise typer.Exit(1)


def _end(outputs: Outputs, measured: dict[str, object] | None, *, stopped: bool) -> None:
    """Write the JSON where one was asked for; end the command if Ctrl-C ended the run."""
    if outputs.json is not None and stopped and measured is None:
        outputs.console.print(
            f"nothing was measured, nothing is written to {outputs.json}", soft_wrap=True
        )
    elif outputs.json == "-":
        sys.stdout.write(as_text(measured))
    elif outputs.json is not None:
        Path(outputs.json).write_text(as_text(measured), encoding="utf-8")
        outputs.console.print(f"written: {outputs.json}", soft_wrap=True)
    if stopped:
        raise typer.Exit(INTERRUPTED)


class _Display:
    """Says where the run is: one line that changes on a terminal, a line a round elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("starting", refresh_per_second=1)  # it must not disturb

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._status.stop()

    def __call__(self, step: "BenchProgress") -> None:
        """Show a step."""
        where = f"{step.contest} ({step.workload}): "
        if step.seconds_left is None:
            where += "starting"
        else:
            where += f"round {step.round} of {step.rounds} done, {_about(step.seconds_left)} left"
        if self._console.is_terminal:
            self._status.update(where)
        else:
            self._console.print(where, highlight=False, soft_wrap=True)


def _about(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"


def _show(results: "BenchResults", console: Console) -> None:
    if results.quick:
        console.print("\na quick look: few rounds, small budgets; leave out --quick to measure")
    if results.stopped:
        console.print("\nstopped; this is what was measured so far")
    for (contest, workload, measure, unit), rows in groupby(results.rows, _heading):
        console.print(
            f"\n[bold]{contest}[/]: {workload}; {measure} ({unit})",
            highlight=False,
            soft_wrap=True,
        )
        console.print(_table(list(rows)))
    for contest, reason in results.skipped.items():
        console.print(f"\n{contest} skipped: {reason}", highlight=False, soft_wrap=True)
    for contest, reason in results.failed.items():
        console.print(f"\n{contest} failed: {reason}", highlight=False, soft_wrap=True)
    if any(row.clean is False for row in results.rows):
        from tuner.bench.measured_on import CLEAN

        console.print(
            f"\nnot clean: where load is above {CLEAN:.0%}, other processes took so much of the "
            "processors in a round; measure again on a machine that does nothing else",
            highlight=False,
            soft_wrap=True,
        )
    if results.machine is not None:
        console.print(f"\n{_in_words(results.machine)}", highlight=False, soft_wrap=True)


def _heading(row: "Row") -> tuple[str, str, str, str]:
    return row.contest, row.workload, row.measure, row.unit


def _table(rows: list["Row"]) -> Table:
    """One match: each variant against each baseline, without columns that nobody fills."""
    columns: dict[str, Sequence[str | None]] = {
        "variant": [row.variant for row in rows],
        "against": [row.baseline for row in rows],
        "ratio": [_number(row.ratio) for row in rows],
        "difference": [_number(row.difference) for row in rows],
        "low": [_number(row.low) for row in rows],
        "high": [_number(row.high) for row in rows],
        "ours": [_number(row.value) for row in rows],
        "other": [_number(row.baseline_value) for row in rows],
        "load": [None if row.load is None else f"{row.load:.0%}" for row in rows],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    table = Table(box=None, pad_edge=False)
    for name in filled:
        table.add_column(name, justify="left" if name in ("variant", "against") else "right")
    for cells in zip(*filled.values(), strict=True):
        table.add_row(*cells)
    return table


def _number(value: float | None) -> str | None:
    """Three significant digits, and all before the point."""
    if value is None:
        return None
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def _in_words(machine: "Machine") -> str:
    has = [flag for flag, there in machine.flags.items() if there]
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    compiled = (
        "no compiled operations"
        if machine.kernels_seconds is None
        else f"operations compiled in {machine.kernels_seconds:.1f} s, once per machine"
    )
    return (
        f"{machine.processor} ({machine.microarchitecture}), {machine.cores} cores, "
        f"{' '.join(has) or 'no flag of interest'}{'' if machine.has_amx else ', no AMX'}\n"
        f"{versions}\n{machine.compiler or 'no C++ compiler'}; {compiled}"
    )
