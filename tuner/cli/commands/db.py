"""``tuner db``: bring a database up to date, move comparisons between databases."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tuner.cli.present import Database
from tuner.config import database_url
from tuner.errors import InvalidInput
from tuner.search.database import opening as databases
from tuner.search.database import transfer
from tuner.search.database.store import open_store

db = typer.Typer(
    help="Bring a database up to date; move comparisons between databases.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)


@db.command()
def upgrade(database: Database = None) -> None:
    """Bring the tables up to date with this version of the software; make them if missing.

    Stop servers and workers first, and keep a copy.

    For example:

    tuner db upgrade

    tuner db upgrade --database postgresql://me@host/tuner
    """
    before, now = databases.upgrade(database or database_url())
    if before == now:
        typer.echo(f"the tables are up to date: version {now}")
    elif before is None:
        typer.echo(f"the tables are made: version {now}")
    else:
        typer.echo(f"the tables are brought up to date: from version {before} to {now}")


@db.command("export")
def export_(
    file: Annotated[str, typer.Argument(help="where to write; - prints")],
    names: Annotated[list[str] | None, typer.Argument(help="comparisons \\[all]")] = None,
    database: Database = None,
) -> None:
    """Write comparisons to a file, with all their studies and trials.

    Trials in training are written down as waiting. Workers, events and API keys are not in it.

    For example:

    tuner db export backup.jsonl

    tuner db export - digits | tuner db import - --database postgresql://me@host/tuner
    """
    with closing(open_store(database or database_url(), must_exist=True)) as store:
        wanted = list(dict.fromkeys(names or store.names()))
        for name in wanted:
            store.comparison(name)  # refused before the file is touched
        lines = transfer.export(store, wanted)
        if file == "-":
            sys.stdout.writelines(lines)
        else:
            _write(Path(file), lines)
    count = "1 comparison" if len(wanted) == 1 else f"{len(wanted)} comparisons"
    typer.echo(f"exported: {count}", err=True)


@db.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="what tuner db export wrote; - reads it")],
    database: Database = None,
) -> None:
    """Take over the comparisons of a file: all of them, or none if anything is wrong.

    Those that are there already are left alone. Trials that were in training wait again. Workers,
    events and API keys are not in the file.

    For example:

    tuner db import backup.jsonl

    tuner db export - digits | tuner db import - --database postgresql://me@host/tuner
    """
    console, done = Console(stderr=True), 0

    def count(n_trials: int) -> None:
        nonlocal done
        if done // 1000 < (done + n_trials) // 1000:
            console.print(f"{done + n_trials:,} trials", highlight=False)
        done += n_trials

    with _read(file) as lines, closing(open_store(database or database_url())) as store:
        try:
            taken, there = transfer.load(store, lines, on_trials=count)
        except InvalidInput as error:
            raise InvalidInput(f"{file}: {error}") from error
    for name in taken:
        typer.echo(f"{name}: imported")
    for name in there:
        typer.echo(f"{name}: is there already, left alone")
    if not taken and not there:
        typer.echo("no comparison is in it")


@contextmanager
def _read(file: str) -> Iterator[Iterator[str]]:
    """The file's lines; bytes that are no text are found to be damage, not a crash."""
    if file == "-":
        yield _text(sys.stdin.buffer)
        return
    with Path(file).open("rb") as lines:
        yield _text(lines)


def _text(lines: Iterable[bytes]) -> Iterator[str]:
    return (line.decode(errors="replace") for line in lines)


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file that appears under its name when it is complete."""
    if not path.resolve().parent.is_dir():
        raise InvalidInput(f"{path}: the folder {path.parent} does not exist; make it")
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as out:
            out.writelines(lines)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
