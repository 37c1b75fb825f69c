"""``tuner run`` and ``tuner demo``: run a comparison to its end and say what came out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.present import (
    INTERRUPTED,
    Database,
    Folder,
    HtmlFile,
    JsonFile,
    Outputs,
    PictureFile,
)
from tuner.cli.progress import Display
from tuner.config import database_url
from tuner.errors import InvalidInput, TunerError
from tuner.search.declared.spec import ComparisonSpec, load
from tuner.search.work import launch
from tuner.search.work.surroundings import prepare
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
) -> None:
    """Run a comparison and print its verdict; goes on from where an earlier run stopped.

    For example:

    tuner run digits

    tuner run my_study.toml --workers 4 --html report.html --json report.json

    tuner run my_study.toml --folder results/my_study

    tuner run digits --database postgresql://me@host/tuner
    """
    outputs = Outputs(json, html, picture, folder)
    outputs.check()
    finish(load(spec), database or database_url(), workers, outputs)


def demo(
    folder: Annotated[Path, typer.Option(help="where database and report go")] = Path("results"),
    workers: Workers = None,
) -> None:
    """Compare the two parametrizations on 8x8 digits: half a minute on two cores.

    600 random trials in three search spaces; then what each search of ten trials selected, and
    each space's best setting with ten seeds, trained afresh.

    For example:

    tuner demo

    tuner demo --folder /tmp/demo --workers 8
    """
    spec = load("digits")
    folder.mkdir(parents=True, exist_ok=True)
    outputs = Outputs(
        json=str(folder / "digits.json"),
        html=folder / "digits.html",
        picture=folder / "digits.png",
    )
    outputs.check()
    database = f"sqlite:///{folder / 'digits.db'}"
    finish(spec, database, workers, outputs)
    outputs.console.print(f"more: tuner compare digits --database {database} --folder {folder}")


def finish(spec: ComparisonSpec, database: str, workers: int | None, outputs: Outputs) -> None:
    """Run what is missing, then compare and write the results.

    Raises:
        TunerError: If no trial could be finished.
    """
    console = outputs.console
    what = " ".join(spec.description.split()) or in_words(spec.workload)
    console.print(f"{spec.name}: {what}", highlight=False)
    _check(spec)
    try:
        with Display(console) as display:
            state = launch.run(spec, database=database, workers=workers, on_progress=display)
    except KeyboardInterrupt:
        again = " ".join(["tuner", *sys.argv[1:]])
        console.print(f"\nstopped; finished trials are kept. Go on with: {again}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    failed = sum(arm.failed for arm in state.arms)
    if failed:
        console.print(f"{failed} trials raised twice; tuner status {spec.name} shows why")
    if any(arm.best is None for arm in state.arms):
        raise TunerError(f"{spec.name}: an arm has no finished trial, so nothing can be compared")
    console.print(f"done after {state.seconds:.0f} s\n", highlight=False)
    from tuner.cli.comparing import declared, write  # takes two seconds to import

    write(declared(spec.name, database, outputs), outputs)


def _check(spec: ComparisonSpec) -> None:
    """Refuse here, before a database is made, what every worker would refuse."""
    if len(spec.arms) < 2:
        raise InvalidInput(f"{spec.name}: a comparison needs at least two arms, got 1")
    prepare()  # imports torch for the workers meanwhile
    from tuner.train import check  # torch takes a second or two to import

    check(spec.workload)
