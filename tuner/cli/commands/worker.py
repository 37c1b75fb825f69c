"""``tuner worker``: processes that run whatever comparisons a database holds."""

from typing import Annotated

import typer

from tuner.cli.present import Database
from tuner.config import database_url
from tuner.logs import LogFormat, configure
from tuner.search.queue.queue import RETRIES
from tuner.search.work.service import GRACE_SECONDS, work


def worker(
    database: Database = None,
    processes: Annotated[
        int | None, typer.Option(help="worker processes \\[one per GPU, or one per core]")
    ] = None,
    walltime: Annotated[
        float | None,
        typer.Option(help="stop after so many seconds of work, and up to --grace more \\[never]"),
    ] = None,
    grace: Annotated[
        float, typer.Option(help="seconds that processes told to stop may go on")
    ] = GRACE_SECONDS,
    retries: Annotated[
        int, typer.Option(help="how often a trial that raised is run again")
    ] = RETRIES,
    log_format: Annotated[LogFormat, typer.Option(help="how log lines look")] = LogFormat.text,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the comparisons of a database, until stopped.

    Any number of these may run, on any machine that reaches the database. SIGTERM, Ctrl-C and the
    end of the walltime stop it after the epoch: its trials are put back and their training is
    kept in TUNER_CHECKPOINT_DIR, so that any worker that reads this folder goes on with them.

    For example:

    tuner worker

    tuner worker --database postgresql://me@host/tuner --processes 4 --walltime 86000
    """
    configure(log_format)
    work(
        database or database_url(),
        processes=processes,
        walltime_seconds=walltime,
        grace_seconds=grace,
        retries=retries,
        parent=parent,
        log_format=log_format,
        on_start=lambda pids: typer.echo(f"{len(pids)} worker processes; stop with Ctrl-C"),
    )
