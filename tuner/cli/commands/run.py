"""``tuner run`` and ``tuner demo``: run a comparison to its end and say what came out."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tuner.cli.databases import DEMO, DEMO_FOLDER, demo_database
from tuner.cli.present import (
    INTERRUPTED,
    Database,
    Folder,
    HtmlFile,
    JsonFile,
    Outputs,
    PictureFile,
    RuntimeEnv,
    as_typed,
    runtime_env,
)
from tuner.cli.progress import Display
from tuner.cli.stages import Stages
from tuner.config import database_url
from tuner.errors import InvalidInput, TunerError
from tuner.search.declared.spec import ComparisonSpec, load
from tuner.search.foreign.shown import typed
from tuner.search.watch.progress import Progress
from tuner.search.work import launch
from tuner.search.work.surroundings import prepare
from tuner.trial import DataCounts
from tuner.wording import count
from tuner.workload import in_words

Workers = Annotated[
    int | None, typer.Option(help="worker processes \\[one per GPU, or one per core]")
]


def run(
    spec: Annotated[str, typer.Argument(help="a TOML file, or the name of a declared study")],
    workers: Workers = None,
    database: Database = None,
    json: JsonFile = None,
    html: HtmlFile = None,
    picture: PictureFile = None,
    folder: Folder = None,
    fleet: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="run it on a Ray cluster: auto, HOST:6379 or ray://HOST:10001; on its fleet if "
            "one is up, else on one for this run",
        ),
    ] = None,
    runtime_env_json: RuntimeEnv = None,
) -> None:
    """Run a comparison and print its verdict; goes on from where an earlier run stopped.

    For example:

    tuner run digits

    tuner run my_study.toml --workers 4 --html report.html --json report.json

    tuner run my_study.toml --folder results/my_study

    tuner run digits --database postgresql://me@host/tuner

    tuner run digits --database postgresql://me@host/tuner --fleet ray://head:10001
    """
    outputs = Outputs(json, html, picture, folder)
    outputs.check()
    declared, url = load(spec), database or database_url()
    environment = runtime_env(runtime_env_json)
    if fleet is None:
        if environment is not None:
            raise InvalidInput("--runtime-env-json: is for workers of a fleet: --fleet")
        finish(declared, url, outputs, partial(launch.run, workers=workers), check_here)
        return
    from tuner.fleet import running  # which a run on this machine does not need

    on_fleet = partial(running.run, address=fleet, workers=workers, runtime_env=environment)
    finish(declared, url, outputs, on_fleet, _check_arms)


def demo(
    folder: Annotated[Path, typer.Option(help="where database and report go")] = DEMO_FOLDER,
    workers: Workers = None,
) -> None:
    """Compare the two parametrizations on 8x8 digits: half a minute on two cores.

    600 random trials in three search spaces; then what each search of ten trials selected, and
    each space's best setting with ten seeds, trained afresh.

    For example:

    tuner demo

    tuner demo --folder /tmp/demo --workers 8
    """
    spec = load(DEMO)
    folder.mkdir(parents=True, exist_ok=True)
    outputs = Outputs(
        json=str(folder / f"{DEMO}.json"),
        html=folder / f"{DEMO}.html",
        picture=folder / f"{DEMO}.png",
    )
    outputs.check()
    database = demo_database(folder)
    finish(spec, database, outputs, partial(launch.run, workers=workers), check_here)
    more = f"more: tuner compare {DEMO} --database {database} --folder {folder}"
    outputs.console.print(as_typed(more), soft_wrap=True, highlight=False)


def finish(
    spec: ComparisonSpec,
    database: str,
    outputs: Outputs,
    run_missing: Callable[..., Progress],
    check: Callable[[ComparisonSpec], DataCounts | None],
) -> None:
    """Run what is missing, then compare and write the results; see ``searched``.

    Args:
        spec: The comparison.
        database: The address of the database.
        outputs: Where the results go.
        run_missing: Runs it, here or elsewhere.
        check: Refuses what would be refused there.
    """
    searched(spec, database, outputs.console, run_missing, check)
    from tuner.cli.comparing import declared, write  # takes two seconds to import

    write(declared(spec.name, database, outputs), outputs)


def searched(
    spec: ComparisonSpec,
    database: str,
    console: Console,
    run_missing: Callable[..., Progress],
    check: Callable[[ComparisonSpec], DataCounts | None],
) -> None:
    """Run what is missing of a comparison, and say how far it is meanwhile.

    Args:
        spec: The comparison.
        database: The address of the database.
        console: Where to say it.
        run_missing: Runs it, here or elsewhere; as ``launch.run``.
        check: Refuses what would be refused there, and counts the data if they are the user's own.

    Raises:
        TunerError: If no trial could be finished.
    """
    what = " ".join(spec.description.split()) or in_words(spec.workload)
    console.print(f"{spec.name}: {what}", highlight=False)
    with Stages(console) as stage:
        stage("looking at data and network")
        data = check(spec)
    if data is not None:
        console.print(f"data: {data}", highlight=False)
    try:
        with Display(console, spec.workload.unit) as display:
            state = run_missing(spec, database=database, on_progress=display)
    except KeyboardInterrupt:
        again = as_typed(f"Go on with: {' '.join(['tuner', *map(typed, sys.argv[1:])])}")
        console.print(f"\nstopped; finished trials are kept. {again}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    failed = sum(arm.failed for arm in state.arms)
    if failed:
        why = as_typed(
            f"{count(failed, 'trial')} raised twice; see why with: tuner status {spec.name}"
        )
        console.print(why)
    if any(arm.best is None for arm in state.arms):
        raise TunerError(f"{spec.name}: an arm has no finished trial, so nothing can be compared")
    console.print(f"done after {state.seconds:.0f} s\n", highlight=False)


def check_here(spec: ComparisonSpec) -> DataCounts | None:
    """Refuse here, before a database is made, what every worker would refuse.

    Returns:
        How much there is to train on, where the data are the user's own.
    """
    _check_arms(spec)
    prepare()  # imports torch for the workers meanwhile
    from tuner.search.work.trainers import check  # torch takes a second or two to import

    return check(spec.workload)


def _check_arms(spec: ComparisonSpec) -> None:
    """Refuse what cannot be compared; data and network are looked at where they are trained."""
    if len(spec.arms) < 2:
        raise InvalidInput(f"{spec.name}: a comparison needs at least two arms, got 1")
