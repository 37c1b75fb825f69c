"""``tuner pause``, ``resume``, ``cancel``, ``retry`` and ``delete``: what becomes of a comparison.

They write to the database; workers see it within an epoch, and no server need run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from tuner.cli.present import Database
from tuner.config import database_url
from tuner.errors import InvalidInput
from tuner.search.database.store import Store, open_store
from tuner.search.queue import control

Name = Annotated[str, typer.Argument(help="the comparison")]


def pause(name: Name, database: Database = None) -> None:
    """Stop working on a comparison for now; training is kept, and gone on with when resumed.

    For example:

    tuner pause digits
    """
    with _opened(database, name) as store:
        control.change_comparison(store, name, "pause")
    typer.echo(f"{name} is paused; go on with: tuner resume {name}")


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
        control.change_comparison(store, name, "cancel")
    typer.echo(f"{name} is cancelled")


def retry(name: Name, database: Database = None) -> None:
    """Run a comparison's failed trials again, with the same parameters and seeds.

    Where a search is run again, what it selects is trained afresh again.

    For example:

    tuner retry digits
    """
    with _opened(database, name) as store:
        n_trials = control.retry_failed(store, name)
        status = store.status(name)
    typer.echo(f"{name} is {status}; {n_trials} failed trials wait to run again")


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
    with _opened(database, name) as store:
        control.delete(store, name)
    typer.echo(f"{name} is deleted")


@contextmanager
def _opened(database: str | None, name: str) -> Iterator[Store]:
    """The database, which holds a comparison of that name.

    Raises:
        UnknownName: If it does not; says which it holds.
    """
    store = open_store(database or database_url(), must_exist=True)
    try:
        store.status(name)
        yield store
    finally:
        store.close()
