"""``tuner suite``: comparisons over several workloads, run or collected, answered as one."""

from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tuner.cli.commands.run import Workers, check_here, searched
from tuner.cli.present import Database, Folder, HtmlFile, JsonFile, Outputs, PictureFile
from tuner.config import database_url
from tuner.errors import InvalidInput
from tuner.search.declared.suite_spec import declared_suites, load_suite
from tuner.search.work import launch
from tuner.wording import count
from tuner.workload import in_words


def suite(
    name: Annotated[
        str | None,
        typer.Argument(metavar="SUITE", help="a TOML file, or the name of a declared suite"),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="say which suites are declared, or what this one holds")
    ] = False,
    collect: Annotated[
        bool, typer.Option("--collect", help="run nothing: answer from what the database has")
    ] = False,
    workers: Workers = None,
    database: Database = None,
    json: JsonFile = None,
    html: HtmlFile = None,
    picture: PictureFile = None,
    folder: Folder = None,
) -> None:
    """Say over several workloads which search space needs fewer trials, and how sure that is.

    What is missing of its comparisons is run first, as tuner run does; each stays a comparison
    of its own. Then: how many times fewer random trials the new space needs to the target, over
    all workloads and without each of them; and on which share of the workloads each space is
    within a factor of the best.

    For example:

    tuner suite five_small --folder results/five_small

    tuner suite five_small --collect --html suite.html

    tuner suite my_suite.toml --workers 4 --json suite.json

    tuner suite --list
    """
    outputs = Outputs(json, html, picture, folder)
    outputs.check()
    if listed:
        _list(outputs.console, name)
        return
    if name is None:
        raise InvalidInput("suite: name one, or a TOML file; see those declared with: --list")
    spec, url = load_suite(name), database or database_url()
    for number, each in enumerate(spec.comparisons if not collect else (), 1):
        outputs.console.print(
            f"{number} of {count(len(spec.comparisons), 'comparison')}", highlight=False
        )
        run_missing = partial(launch.run, workers=workers)
        searched(each, url, outputs.console, run_missing, check_here)
    from tuner.cli.suites.writing import answer  # takes two seconds to import

    answer(spec, url, outputs)


def _list(console: Console, name: str | None) -> None:
    for each in declared_suites() if name is None else [name]:
        spec = load_suite(each)
        said = " ".join(spec.description.split())
        console.print(f"[bold]{escape(spec.name)}[/]: {escape(said)}", highlight=False)
        for comparison in spec.comparisons:
            trials = f"{count(comparison.n_searched, 'trial')}"
            workload = escape(in_words(comparison.workload))
            console.print(f"  {comparison.name}: {workload}; {trials}", highlight=False)
