"""``tuner pause``, ``resume``, ``cancel``, ``retry``, ``delete``: what becomes of a comparison.

And ``tuner note``, ``tag``, ``archive``, ``unarchive``: what people write on it.

They write to the database; workers see it within an epoch, and no server need run. What takes
long shows its progress, and goes on by itself after Ctrl-C.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tuner.cli.databases import open_existing
from tuner.cli.present import INTERRUPTED, Database, as_typed
from tuner.errors import InvalidInput, TunerError
from tuner.search.database.store import Store
from tuner.search.queue import control, ending
from tuner.search.queue.labels import Labels, change_labels
from tuner.search.queue.operations import OnProgress, Operation
from tuner.search.watch.views import get_comparison
from tuner.wording import count

_QUIET_SECONDS = 1.0
Name = Annotated[str, typer.Argument(help="the comparison")]


def pause(name: Name, database: Database = None) -> None:
    """Stop working on a comparison for now; training is kept, and gone on with when resumed.

    For example:

    tuner pause digits
    """
    with _opened(database, name) as store:
        control.change_comparison(store, name, "pause")
    typer.echo(as_typed(f"{name} is paused; go on with: tuner resume {name}"))


def resume(name: Name, database: Database = None) -> None:
    """Go on with a paused comparison.

    For example:

    tuner resume digits
    """
    with _opened(database, name) as store:
        control.change_comparison(store, name, "resume")
    typer.echo(f"{name} is active")


def cancel(name: Name, database: Database = None) -> None:
    """End a comparison for good; trials that finished stay, the others are called off.

    For example:

    tuner cancel digits
    """
    with _opened(database, name) as store:
        control.change_comparison(store, name, "cancel", within_seconds=0)
        typer.echo(f"{name} is cancelled")
        left = ending.count_cancelled(store)
        with _watched(f"the trials of {name} are ended in Optuna", by=_OTHERS) as show:
            done = 0

            def more(n_trials: int) -> None:
                nonlocal done
                done += n_trials
                show(done, left)

            ending.end_cancelled(store, on_progress=more)


def retry(name: Name, database: Database = None) -> None:
    """Run a comparison's failed trials again, with the same parameters and seeds.

    Where a search is run again, what it selects is trained afresh again.

    For example:

    tuner retry digits
    """
    with _opened(database, name) as store:
        with _watched(f"the failed trials of {name} are put back") as show:
            operation = _done(control.retry_failed(store, name, on_progress=show))
        status = store.status(name)
    again = count(operation.total, "failed trial waits", "failed trials wait")
    typer.echo(f"{name} is {status}; {again} to run again")


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="do it: this cannot be undone")] = False,
    database: Database = None,
) -> None:
    """Remove a comparison, its studies and its trials from the database for good.

    For example:

    tuner delete digits --yes
    """
    if not yes:
        raise InvalidInput(
            f"delete: all trials of {name!r} would be lost for good; add --yes if you mean it"
        )
    with (
        _opened(database, name) as store,
        _watched(f"the trials of {name} are deleted") as show,
    ):
        _done(control.delete(store, name, on_progress=show))
    typer.echo(f"{name} is deleted")


def note(
    name: Name,
    text: Annotated[
        str | None, typer.Argument(help="in place of the notes; print them if not given")
    ] = None,
    database: Database = None,
) -> None:
    """Write notes on a comparison, or print them.

    For example:

    tuner note digits "the run of the paper"

    tuner note digits
    """
    with _opened(database, name) as store:
        if text is not None:
            change_labels(store, name, Labels(notes=text))
        typer.echo(get_comparison(store, name).notes)


def tag(
    name: Name,
    tags: Annotated[list[str] | None, typer.Argument(help="to be added")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="a tag to be taken away; may be repeated")
    ] = None,
    database: Database = None,
) -> None:
    """Add tags to a comparison, take some away, and print those that it has.

    For example:

    tuner tag digits paper baseline

    tuner tag digits --remove baseline
    """
    with _opened(database, name) as store:
        if tags or remove:
            gone = {each.lower() for each in remove or ()}
            there = [each for each in get_comparison(store, name).tags if each not in gone]
            change_labels(store, name, Labels(tags=[*there, *(tags or ())]))
        typer.echo(" ".join(get_comparison(store, name).tags))


def archive(name: Name, database: Database = None) -> None:
    """Leave a comparison that is not active out of the lists; nothing of it is lost.

    For example:

    tuner archive digits
    """
    with _opened(database, name) as store:
        change_labels(store, name, Labels(archived=True))
    typer.echo(as_typed(f"{name} is archived; see it with: tuner status --archived"))


def unarchive(name: Name, database: Database = None) -> None:
    """Take an archived comparison into the lists again.

    For example:

    tuner unarchive digits
    """
    with _opened(database, name) as store:
        change_labels(store, name, Labels(archived=False))
    typer.echo(f"{name} is in the lists again")


_OTHERS = "any tuner serve or tuner worker on this database"


@contextmanager
def _watched(what: str, *, by: str = f"{_OTHERS}, or by the same command") -> Iterator[OnProgress]:
    """A bar on a terminal for what takes longer than a second; Ctrl-C leaves it to others.

    Args:
        what: What is done, as a sentence.
        by: Who goes on with it then.
    """
    began, console = time.monotonic(), Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(what)

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if console.is_terminal and time.monotonic() - began > _QUIET_SECONDS:
            bar.start()

    try:
        yield show
    except KeyboardInterrupt:
        typer.echo(f"\nstopped watching: {what} nevertheless, by {by}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if bar.live.is_started:
            bar.stop()


def _done(operation: Operation) -> Operation:
    """The operation, which did not fail.

    Raises:
        TunerError: If it did.
    """
    if operation.error is not None:
        raise TunerError(f"{operation.comparison}: {operation.error}; ask for it again")
    return operation


@contextmanager
def _opened(database: str | None, name: str) -> Iterator[Store]:
    """The database, which holds a comparison of that name.

    Raises:
        UnknownName: If it does not; says which it holds.
    """
    store = open_existing(database)
    try:
        store.status(name)
        yield store
    finally:
        store.close()
