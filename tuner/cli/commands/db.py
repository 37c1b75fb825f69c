"""``tuner db``: bring a database up to date, move comparisons out and in, remove what is old."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tuner.cli.databases import open_existing
from tuner.cli.present import Database
from tuner.config import database_url
from tuner.errors import InvalidInput
from tuner.search.database import opening as databases
from tuner.search.database import transfer
from tuner.search.database.store import open_store
from tuner.search.queue.retention import Old, Retention, old
from tuner.search.queue.retention import prune as remove_old
from tuner.wording import count

db = typer.Typer(
    help="Bring a database up to date; move comparisons between databases; remove what is old.",
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

    All as they are at one moment; workers need not stop. Trials in training are written down as
    waiting. Workers, events, sessions and API keys are not in it. The file appears under its name
    when it is complete: if the export breaks off, an older one of that name stays; run it again.

    For example:

    tuner db export backup.jsonl

    tuner db export - digits | tuner db import - --database postgresql://me@host/tuner
    """
    with closing(open_existing(database)) as store:
        for name in names or ():
            store.comparison(name)  # refused before anything is written
        done: list[str] = []
        with closing(transfer.export(store, names or None, on_comparison=done.append)) as lines:
            if file == "-":
                sys.stdout.writelines(lines)
            else:
                _write(Path(file), lines)
    typer.echo(f"exported: {count(len(done), 'comparison')}", err=True)


@db.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="what tuner db export wrote; - reads it")],
    database: Database = None,
) -> None:
    """Take over the comparisons of a file: all of them, or none if anything is wrong.

    The whole file is checked before anything is written. Comparisons that are there already are
    left alone: an import that broke off is run again. Trials that were in training wait again.
    Workers, events, sessions and API keys are not in the file.

    For example:

    tuner db import backup.jsonl

    tuner db export - digits | tuner db import - --database postgresql://me@host/tuner
    """
    console, done = Console(stderr=True), 0

    def say(n_trials: int) -> None:
        nonlocal done
        if done // 1000 < (done + n_trials) // 1000:
            console.print(f"{done + n_trials:,} trials", highlight=False)
        done += n_trials

    with _read(file) as lines, closing(open_store(database or database_url())) as store:
        try:
            taken, there = transfer.load(store, lines, on_trials=say)
        except InvalidInput as error:
            raise InvalidInput(f"{file}: {error}") from error
    for name in taken:
        typer.echo(f"{name}: imported")
    for name in there:
        typer.echo(f"{name}: is there already, left alone")
    if not taken and not there:
        typer.echo("no comparison is in it")


@db.command()
def prune(
    older_than: Annotated[
        str,
        typer.Option(metavar="AGE", help="such as 90d; hours h, days d or weeks w, a day or more"),
    ],
    comparison: Annotated[
        list[str] | None,
        typer.Option(help="only what is this one's; repeat it for others \\[all]"),
    ] = None,
    cancelled: Annotated[
        bool, typer.Option("--cancelled", help="cancelled comparisons too, with all their trials")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would go, and stop")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do it: this cannot be undone")] = False,
    database: Database = None,
) -> None:
    """Remove what is old: events, workers and fleets long gone, answers kept, expired sessions.

    With --cancelled also cancelled comparisons to which nothing happened since. Never removed are
    other comparisons, their studies and trials, and API keys, revoked ones included. Servers and
    workers need not stop. A file of SQLite does not shrink; what was freed in it is used again.

    For example:

    tuner db prune --older-than 90d --dry-run

    tuner db prune --older-than 26w --cancelled --yes
    """
    with closing(open_existing(database)) as store:
        for name in comparison or ():
            store.status(name)
        retention = Retention(_age(older_than), tuple(comparison or ()), cancelled)
        if not (dry_run or yes):
            raise InvalidInput(
                f"prune: would remove {_in_words(old(store, retention))} for good; add --yes if "
                "you mean it"
            )
        said = "would be removed" if dry_run else "removed"
        went = old(store, retention) if dry_run else remove_old(store, retention)
        typer.echo(f"{said}: {_in_words(went)}")


_AGE = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS = {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def _age(text: str) -> float:
    """Seconds."""
    form = _AGE.fullmatch(text)
    if form is None:
        raise InvalidInput(f"--older-than: must be such as 90d, 12w or 48h, got {text!r}")
    return int(form[1]) * _UNITS[form[2]]


def _in_words(rows: Old) -> str:
    words = [
        count(number, kind)
        for kind, number in (
            ("event", rows.events),
            ("worker", rows.workers),
            ("fleet", rows.fleets),
            ("answer", rows.requests),
            ("session", rows.sessions),
        )
    ]
    words += [f"comparison {name}" for name in rows.comparisons]
    return ", ".join(words)


@contextmanager
def _read(file: str) -> Iterator[Iterator[str]]:
    """The file's lines; bytes that are no text are found to be damage, not a crash."""
    if file == "-":
        yield _text(sys.stdin.buffer, file)
        return
    with Path(file).open("rb") as lines:
        yield _text(lines, file)


def _text(lines: Iterable[bytes], file: str) -> Iterator[str]:
    try:
        yield from (line.decode(errors="replace") for line in lines)
    except OSError as error:  # of a disk or a network that fails; it does not say which file
        raise OSError(error.errno, error.strerror, file) from error


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file that appears under its name when it is complete."""
    if not path.resolve().parent.is_dir():
        raise InvalidInput(f"{path}: the folder {path.parent} does not exist; make it")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # two may write it at once
    try:
        with part.open("w", encoding="utf-8") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())  # or the new name could outlive the new content
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
