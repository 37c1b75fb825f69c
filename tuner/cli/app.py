"""The ``tuner`` command: one file per command, errors in one line.

Exit status: 0 done; 1 something went wrong while running; 2 the input was refused.

A command's module is imported when the command is used: what trains, searches and draws takes
seconds to import, and a list of the commands needs none of it.
"""

import platform
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tuner import __version__
from tuner.cli.deferred import Deferred
from tuner.errors import DatabaseProblem, DataMissing, InvalidInput, TunerError

COMMANDS = {
    "tuner.cli.commands.run:demo": (
        "Compare the two parametrizations on 8x8 digits: half a minute on two cores."
    ),
    "tuner.cli.commands.plan:plan": (
        "Say what a comparison will cost and what it can show, before anything runs."
    ),
    "tuner.cli.commands.run:run": (
        "Run a comparison and print its verdict; goes on from where an earlier run stopped."
    ),
    "tuner.cli.commands.compare:compare": (
        "Say which search space needed less tuning, and how sure that is."
    ),
    "tuner.cli.suites.suite:suite": (
        "Say over several workloads which search space needs fewer trials, and how sure that is."
    ),
    "tuner.cli.commands.show:status": (
        "How far the comparisons in a database are, and what failed."
    ),
    "tuner.cli.commands.serve:serve": "Serve the REST API, the page and the Optuna dashboard.",
    "tuner.cli.commands.worker:worker": "Run the comparisons of a database, until stopped.",
    "tuner.cli.fleet:fleet": (
        "Workers on the nodes of a Ray cluster: brought up, watched, scaled, ended."
    ),
    "tuner.cli.commands.control:pause": (
        "Stop working on a comparison for now; training is kept, and gone on with when resumed."
    ),
    "tuner.cli.commands.control:resume": "Go on with a paused comparison.",
    "tuner.cli.commands.control:cancel": (
        "End a comparison for good; trials that finished stay, the others are called off."
    ),
    "tuner.cli.commands.control:retry": (
        "Run a comparison's failed trials again, with the same parameters and seeds."
    ),
    "tuner.cli.commands.control:delete": (
        "Remove a comparison, its studies and its trials from the database for good."
    ),
    "tuner.cli.commands.control:note": "Write notes on a comparison, or print them.",
    "tuner.cli.commands.control:tag": (
        "Add tags to a comparison, take some away, and print those that it has."
    ),
    "tuner.cli.commands.control:archive": (
        "Leave a comparison that is not active out of the lists; nothing of it is lost."
    ),
    "tuner.cli.commands.control:unarchive": "Take an archived comparison into the lists again.",
    "tuner.cli.commands.train:train": (
        "Train one configuration and print accuracy and flip ratio per epoch."
    ),
    "tuner.cli.export:export": (
        "Train a trial's network again and write it into a file: bits, ONNX or QONNX."
    ),
    "tuner.cli.export:evaluate": (
        "Say how often an exported network is right, and what it takes for what."
    ),
    "tuner.cli.commands.translate:translate": (
        "Say which gradient filter a setting of SGD is, or which SGD a filter is."
    ),
    "tuner.cli.transfer:transfer": (
        "Carry a finished search of latent weights over into the space of filters."
    ),
    "tuner.cli.filters.show:filter": (
        "Look at gradient filters: of update rules, of trials, of torch's own optimizers."
    ),
    "tuner.cli.commands.claims:claims": (
        "Measure the claims of the method on this machine: does each of them hold?"
    ),
    "tuner.cli.commands.show:spaces": (
        "The declared search spaces: what each varies, between which bounds, with which defaults."
    ),
    "tuner.cli.commands.show:workloads": (
        "The declared comparisons with their workloads, and what a workload may name."
    ),
    "tuner.cli.commands.bench:bench": (
        "Measure this software on this machine: its speed, and how often its verdicts are right."
    ),
    "tuner.cli.commands.doctor:doctor": (
        "Check the set-up: database, disks, keys, compiler, GPUs, data sets; say what to do."
    ),
    "tuner.cli.commands.keys:keys": "Who may use the server: its API keys.",
    "tuner.cli.commands.serve:notify": (
        "Send a test by every way of telling people that the environment sets up."
    ),
    "tuner.cli.commands.db:db": (
        "Bring a database up to date; move comparisons between databases; remove what is old."
    ),
}
"""Where each command is, in the order of the list, and the first line of its help."""


class Commands(TyperGroup):
    """Knows the commands; prints the errors meant for the user in one line, not a traceback."""

    def __init__(self, **options: Any) -> None:  # Any: as its base has it
        super().__init__(**options)
        for place, help in COMMANDS.items():
            self.add_command(Deferred(place, help))

    def invoke(self, ctx: Any) -> Any:  # Any: click's own types, which typer hides
        """Run a command."""
        try:
            return super().invoke(ctx)
        except TunerError as error:
            shown, refused = error, isinstance(error, InvalidInput | DataMissing | DatabaseProblem)
        except OSError as error:
            if error.filename is None:
                raise
            shown, refused = TunerError(f"{error.filename}: {error.strerror}"), True
        except _database_error() as error:
            shown, refused = DatabaseProblem(f"the database said: {error.orig}"), True
        from tuner.cli.present import as_typed  # which imports what a list of commands needs not

        typer.echo(f"tuner: {as_typed(' '.join(str(shown).split()))}", err=True)
        for note in getattr(shown, "__notes__", ()):  # such as the user's own traceback
            typer.echo(note, err=True)
        raise typer.Exit(2 if refused else 1)


def _database_error() -> Any:  # Any: its type would have to be imported
    """What SQLAlchemy raises for a database; nothing, where no command has imported it."""
    loaded = sys.modules.get("sqlalchemy.exc")
    return () if loaded is None else loaded.DBAPIError


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


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    beside = f"Python {platform.python_version()}, torch {version('torch')}"
    typer.echo(f"bnn-tuner {__version__} ({beside}, Optuna {version('optuna')})")
    raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """What holds for every command."""
    del version  # its callback has printed it
