"""``tuner doctor``: what of the set-up is in the way, and what to do about it."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from tuner.cli.present import AsJson, Database, as_text, as_typed
from tuner.config import database_url
from tuner.doctor.checks import CHECKS, examine


def doctor(
    checks: Annotated[
        list[str] | None, typer.Argument(help=f"of {', '.join(CHECKS)} \\[all]")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Check the set-up: database, disks, keys, compiler, GPUs, data sets; say what to do.

    One line for each check: ok, warning or problem. The exit status is 1 if there is a problem.
    Nothing is changed or downloaded. Where TUNER_CHECKPOINT_DIR is an address, one small file is
    written there and removed again.

    For example:

    tuner doctor

    tuner doctor database secret --database postgresql://me@host/tuner --json
    """
    found = examine(database or database_url(), os.environ, checks or CHECKS)
    healthy = all(finding.status != "problem" for finding in found.values())
    if as_json:
        rows = [{"check": name, **asdict(finding)} for name, finding in found.items()]
        typer.echo(as_text({"healthy": healthy, "checks": rows}), nl=False)
    else:
        for name, finding in found.items():
            words = f"{finding.found}; {finding.fix}" if finding.fix else finding.found
            typer.echo(f"{finding.status:8} {name:10} {as_typed(' '.join(words.split()))}")
    raise typer.Exit(0 if healthy else 1)
