"""``tuner status``, ``tuner spaces``, ``tuner workloads``: what there is."""

from dataclasses import asdict
from typing import Annotated

import typer
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table

from tuner.cli.databases import open_existing
from tuner.cli.present import AsJson, Database, as_text, as_typed
from tuner.compare.words import written
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import ACTIVE, PAUSED
from tuner.search.declared.spaces import Space, declared_spaces, load_space
from tuner.search.declared.spec import declared, load
from tuner.search.watch.looks_progress import LooksProgress
from tuner.search.watch.progress import ArmProgress, Progress, progress
from tuner.search.watch.views import get_comparison
from tuner.search.watch.waits import STARTING_NOTE, note
from tuner.wording import count
from tuner.workload import AUGMENTATIONS, DATASETS, MODELS, in_words

Name = Annotated[str | None, typer.Argument(help="one of them, in full")]


def status(
    name: Name = None,
    database: Database = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="those that were archived instead of the others")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """How far the comparisons in a database are, and what failed.

    For example:

    tuner status

    tuner status digits --database sqlite:///results/digits.db --json
    """
    store = open_existing(database)
    try:
        names = store.names() if name is None else [name]
        rows = {each: get_comparison(store, each) for each in names}
        names = [each for each in names if name or rows[each].hidden == archived]
        specs = {each: store.comparison(each) for each in names}
        states = {each: progress(store, spec) for each, spec in specs.items()}
        notes = {each: note(store, rows[each], states[each].arms) for each in names}
        errors = {each: _errors(store, each) for each in names}
    finally:
        store.close()
    if as_json:
        typer.echo(
            as_text(
                {
                    each: {
                        "status": rows[each].status,
                        "note": notes[each],
                        "notes": rows[each].notes,
                        "tags": rows[each].tags,
                        "looks": None if state.looks is None else asdict(state.looks),
                        "arms": [asdict(arm) for arm in state.arms],
                        "errors": errors[each],
                    }
                    for each, state in states.items()
                }
            )
        )
        return
    console = Console()
    if not states and archived:
        console.print("no comparison is archived")
    elif not rows:
        console.print(as_typed("no comparison yet; start one with: tuner run digits"))
    elif not states:
        console.print(
            as_typed("all comparisons are archived; see them with: tuner status --archived")
        )
    for each, state in states.items():
        tags = "".join(f" #{tag}" for tag in rows[each].tags)
        title, unit = f"{each}, {rows[each].status}{tags}", specs[each].workload.unit
        console.print(_progress_table(title, state.arms, unit))
        for line in (*_looks(state.looks, rows[each].status), *_waits(each, notes[each], state)):
            console.print(line, highlight=False)
        for error in errors[each]:
            console.print(f"failed: {error.splitlines()[-1]}", highlight=False)
            if name is not None:
                console.print(error, style="dim", highlight=False)


def _looks(looks: LooksProgress | None, status: str) -> list[str]:
    """The looks declared, what those taken led to, and what the next one waits for, if it does."""
    if looks is None:
        return []
    waiting = looks.waiting if status in (ACTIVE, PAUSED) else None
    return [looks.declared, *looks.outcomes, *([waiting] if waiting else [])]


def _waits(comparison: str, waits_for: str | None, state: Progress) -> list[str]:
    """What the comparison waits for, and what goes on with it if nobody does."""
    if waits_for is None:
        return []
    again = None if waits_for == STARTING_NOTE else _again(comparison, state.arms)
    return [as_typed(waits_for), *([as_typed(again)] if again else [])]


def _again(comparison: str, arms: tuple[ArmProgress, ...]) -> str | None:
    """Which ``tuner run`` goes on with a comparison that nobody works on; None if not known."""
    known = comparison in declared()
    if all(arm.complete for arm in arms):
        return "finish it with: tuner run " + (comparison if known else "and the file it is from")
    return f"or go on with it from here: tuner run {comparison}" if known else None


def _errors(store: Store, comparison: str) -> list[str]:
    """The tracebacks of the comparison's failed trials."""
    spec = store.comparison(comparison)
    return [
        str(trial.user_attrs["error"])
        for study in spec.every_study()
        for trial in finished_trials(store, study.study_name)
        if trial.state == TrialState.FAIL and "error" in trial.user_attrs
    ]


def _progress_table(title: str, arms: tuple[ArmProgress, ...], unit: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    headings = ("arm", "done", "running", "waiting", "failed", "cancelled", "best validation")
    for heading in (*headings, "afresh"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm in arms:
        table.add_row(
            arm.name,
            f"{arm.done}/{arm.total}",
            str(arm.running),
            str(arm.waiting),
            str(arm.failed),
            str(arm.cancelled + arm.afresh_cancelled),
            "-" if arm.best is None else written(arm.best, unit),
            f"{arm.retrained}/{arm.to_retrain}",
        )
    return table


def spaces(name: Name = None, as_json: AsJson = False) -> None:
    """The declared search spaces: what each varies, between which bounds, with which defaults.

    For example:

    tuner spaces

    tuner spaces magnitude --json
    """
    names = list(declared_spaces()) if name is None else [name]
    spaces_shown = [load_space(each) for each in names]
    if as_json:
        typer.echo(as_text({space.name: space.model_dump(mode="json") for space in spaces_shown}))
        return
    console = Console()
    for space in spaces_shown:
        console.print(_space_table(space))
        if name is not None:
            console.print(" ".join(space.description.split()), highlight=False)
        console.print()


def _space_table(space: Space) -> Table:
    table = Table(
        title=f"{space.name} (update rule {space.rule})",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for heading in ("hyperparameter", "range", "default"):
        table.add_column(heading)
    for hyperparameter, span in space.ranges.items():
        default = space.defaults.get(hyperparameter.removeprefix("one_minus_"), "-")
        if hyperparameter.startswith("one_minus_") and isinstance(default, float):
            default = round(1 - default, 12)
        table.add_row(hyperparameter, span, str(default).lower())
    return table


def workloads(name: Name = None, as_json: AsJson = False) -> None:
    """The declared comparisons with their workloads, and what a workload may name.

    For example:

    tuner workloads

    tuner workloads fashion_mnist_cnn --json
    """
    names = list(declared()) if name is None else [name]
    specs = {each: load(each) for each in names}
    choices = {
        "dataset": list(DATASETS),
        "model": list(MODELS),
        "augment": list(AUGMENTATIONS),
    }
    if as_json:
        declared_workloads = {
            each: {"description": spec.description, "workload": asdict(spec.workload)}
            for each, spec in specs.items()
        }
        typer.echo(as_text({"declared": declared_workloads, "choices": choices}))
        return
    console = Console()
    for each, spec in specs.items():
        trials = f"{count(spec.n_searched, 'trial')} in {count(len(spec.arms), 'arm')}"
        console.print(f"[bold]{each}[/]: {in_words(spec.workload)}; {trials}", highlight=False)
        if name is not None:
            console.print(" ".join(spec.description.split()), highlight=False)
    if name is None:
        console.print()
        for field, valid in choices.items():
            console.print(f"{field}: {', '.join(valid)}", highlight=False)
