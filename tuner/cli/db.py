"""``tuner db``: bring a database up to date, move comparisons between databases."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tuner.cli.present import Database
from tuner.config import database_url
from tuner.errors import InvalidInput
from tuner.search import database as databases
from tuner.search import transfer
from tuner.search.store import open_store

db = typer.Typer(
    help="Bring a database up to date; move comparisons between databases.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@db.command()
def upgrade(database: Database = None) -> None:
    """Bring the tables up to date with this version of the software; make them if missing.

    Stop servers and workers first, and keep a copy.

    For example:

    tuner db upgrade --database postgresql://me@host/tuner
    """
    before, now = databases.upgrade(database or database_url())
    if before == now:
        typer.echo(f"the tables are up to date: version {now}")
    else:
        typer.echo(
            f"the tables were of version {before}, and are of {now} now"
            if before
            else f"the tables are made: version {now}"
        )


@db.command("export")
def export_(
    file: Annotated[str, typer.Argument(help="where to write; - prints")],
    names: Annotated[list[str] | None, typer.Argument(help="comparisons \\[all]")] = None,
    database: Database = None,
) -> None:
    """Write comparisons to a file, with all their studies and trials.

    Who works, what happened and the API keys are not in it.

    For example:

    tuner db export backup.jsonl

    tuner db export - digits | tuner db import - --database postgresql://me@host/tuner
    """
    store = open_store(database or database_url(), must_exist=True)
    try:
        wanted = names or store.names()
        for name in wanted:
            store.comparison(name)  # refused before the file is touched
        with ExitStack() as stack:
            out = sys.stdout if file == "-" else stack.enter_context(_new(Path(file)))
            lines = 0
            for line in transfer.export(store, wanted):
                out.write(line)
                lines += 1
    finally:
        store.close()
    Console(stderr=True).print(
        f"exported {len(wanted)} comparisons in {lines:,} lines", highlight=False
    )


@db.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="what tuner db export wrote; - reads it")],
    database: Database = None,
) -> None:
    """Take over the comparisons of a file: all of them, or none if anything is wrong.

    Those that are there already are left alone. Trials that were in training wait again.

    For example:

    tuner db import backup.jsonl --database postgresql://me@host/tuner
    """
    console = Console(stderr=True)
    store = open_store(database or database_url())
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done % 1000 == 0:
            console.print(f"{done:,} trials", highlight=False)

    try:
        with ExitStack() as stack:
            lines = (
                sys.stdin
                if file == "-"
                else stack.enter_context(Path(file).open(encoding="utf-8", errors="replace"))
            )
            taken, skipped = transfer.load(store, lines, on_trial=count)
    finally:
        store.close()
    for name in taken:
        typer.echo(f"{name}: imported")
    for name in skipped:
        typer.echo(f"{name}: is there already, left alone")
    if not taken and not skipped:
        raise InvalidInput(f"{file}: holds no comparison")


def _new(path: Path) -> "_File":
    if not path.resolve().parent.is_dir():
        raise InvalidInput(f"{path}: the folder {path.parent} does not exist; make it")
    return _File(path)


class _File:
    """A file that appears when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._out = self._part.open("w", encoding="utf-8")

    def __enter__(self) -> "_File":
        return self

    def write(self, text: str) -> None:
        """Write."""
        self._out.write(text)

    def __exit__(self, kind: object, *_error: object) -> None:
        self._out.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink()
