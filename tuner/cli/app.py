"""The ``tuner`` command: one file per command, errors in one line.

Exit status: 0 done; 1 something went wrong while running; 2 the input was refused.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from sqlalchemy.exc import DBAPIError
from typer.core import TyperGroup

from tuner import __version__
from tuner.cli.bench import bench
from tuner.cli.claims import claims
from tuner.cli.compare import compare
from tuner.cli.control import cancel, delete, pause, resume, retry
from tuner.cli.db import db
from tuner.cli.keys import keys
from tuner.cli.plan import plan
from tuner.cli.run import demo, run
from tuner.cli.serve import serve
from tuner.cli.show import spaces, status, workloads
from tuner.cli.train import train
from tuner.cli.translate import translate
from tuner.cli.worker import worker
from tuner.errors import DatabaseProblem, DataMissing, InvalidInput, TunerError


class Commands(TyperGroup):
    """Prints the errors meant for the user in one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:  # Any: click's own types, which typer hides
        """Run a command."""
        try:
            return super().invoke(ctx)
        except TunerError as error:
            told, refused = error, isinstance(error, InvalidInput | DataMissing | DatabaseProblem)
        except DBAPIError as error:
            told, refused = DatabaseProblem(f"the database said: {error.orig}"), True
        except OSError as error:
            if error.filename is None:
                raise
            told, refused = TunerError(f"{error.filename}: {error.strerror}"), True
        typer.echo(f"tuner: {' '.join(str(told).split())}", err=True)
        raise typer.Exit(2 if refused else 1)


app = typer.Typer(
    cls=Commands,
    name="tuner",
    help=(
        "Tune binary neural networks in gradient-filter space, and see on your own workload "
        "how much tuning that saves.\n\nStart with: tuner demo"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)
COMMANDS: tuple[Callable[..., None], ...] = (
    *(demo, plan, run, compare, status, serve, worker),
    *(pause, resume, cancel, retry, delete),
    *(train, translate, claims, spaces, workloads, bench),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(keys, name="keys")
app.add_typer(db, name="db")


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    """What holds for every command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
