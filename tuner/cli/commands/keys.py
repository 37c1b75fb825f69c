"""``tuner keys``: who may use the server."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tuner.cli.databases import open_existing
from tuner.cli.present import AsJson, Database, as_text, as_typed, when
from tuner.config import database_url
from tuner.search.database import keys as stored
from tuner.search.database.store import open_store

keys = typer.Typer(
    help="Who may use the server: its API keys.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="whose it is, or what for")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read or write; repeat it for both \\[both]")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once.

    For example:

    tuner keys create me

    tuner keys create "the dashboard on the wall" --scope read
    """
    store = open_store(database or database_url())
    try:
        key = stored.create(store, name, scope or stored.SCOPES)
        made = next(key_row for key_row in stored.listed(store) if key_row.id == key.split("_")[1])
    finally:
        store.close()
    typer.echo(as_text({"key": key, **asdict(made)}) if as_json else key, nl=not as_json)
    typer.echo("keep it now: only its hash is stored", err=True)


@keys.command("list")
def list_(database: Database = None, as_json: AsJson = False) -> None:
    """The keys, without their secrets.

    For example:

    tuner keys list --json
    """
    store = open_existing(database)
    try:
        listed = stored.listed(store)
    finally:
        store.close()
    if as_json:
        typer.echo(as_text([asdict(key) for key in listed]), nl=False)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "name", "scopes", "created", "revoked"):
        table.add_column(heading)
    for key in listed:
        revoked = "" if key.revoked is None else when(key.revoked)
        table.add_row(key.id, key.name, " ".join(key.scopes), when(key.created), revoked)
    none = as_typed("no key yet; make one with: tuner keys create NAME")
    Console().print(table if listed else none)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="as tuner keys list shows it")],
    database: Database = None,
) -> None:
    """End a key for good; servers refuse it within five seconds.

    For example:

    tuner keys revoke 0a1b2c3d4e5f
    """
    store = open_existing(database)
    try:
        stored.revoke(store, key_id)
    finally:
        store.close()
    typer.echo(f"{key_id} is revoked")
