"""The database: whether it is there, whose tables it has, whether it can be written, its clock."""

import time
from collections.abc import Callable

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from tuner.doctor.setup import Finding, Setup
from tuner.errors import TunerError
from tuner.search.database.opening import reason, remedy, shown
from tuner.search.database.store import open_store
from tuner.search.database.tables import SCHEMA, Now, comparisons
from tuner.wording import count

_MADE_BY = "it is made by the first tuner demo, run, worker or serve, and by: tuner db upgrade"
_APART_SECONDS = 2.0


def database(setup: Setup) -> Finding:
    """Whether it can be reached."""
    try:
        setup.connect()
    except TunerError as error:
        if setup.yet_to_be_made:
            return Finding("ok", f"{error} yet; {_MADE_BY}")
        fix = "name it with --database or TUNER_DATABASE_URL, start it, or make its folder"
        return Finding("problem", str(error), fix)
    return Finding("ok", shown(setup.address))


def schema(setup: Setup) -> Finding | None:
    """Whether its tables, ours and Optuna's, are those of this software."""
    if setup.connection is None:
        return None
    if setup.version is None:
        return Finding("ok", f"no table of comparisons yet; {_MADE_BY}")
    if setup.version != SCHEMA:
        found = f"its tables are of version {setup.version}, this software needs {SCHEMA}"
        return Finding("problem", found, remedy(setup.version))
    try:
        open_store(setup.database, must_exist=True).close()
    except TunerError as error:
        found, _, fix = str(error).rpartition("; ")
        return Finding("problem", found, fix)
    n_comparisons = setup.connection.scalar(select(func.count()).select_from(comparisons))
    return Finding("ok", f"version {SCHEMA}, {count(n_comparisons or 0, 'comparison')}")


def writable(setup: Setup) -> Finding | None:
    """Whether this user may write to it."""
    if (connection := setup.readable) is None:
        return None
    sqlite = connection.dialect.name == "sqlite"
    try:
        connection.execute(text("BEGIN IMMEDIATE" if sqlite else "BEGIN"))
        try:
            connection.execute(text("UPDATE tuner_comparisons SET revision = 0 WHERE 1 = 0"))
        finally:
            connection.execute(text("ROLLBACK"))
    except DBAPIError as error:
        fix = (
            "let this user write to the file and its folder, on a disk mounted for writing"
            if sqlite
            else "take an address of the primary server, and a user who owns the tables"
        )
        return Finding("problem", f"cannot be written: {reason(error)}", fix)
    return Finding("ok", "can be written")


def clock(setup: Setup, read: Callable[[], float] = time.time) -> Finding | None:
    """Whether its clock, by which leases run, and this machine's tell the same time."""
    if (connection := setup.readable) is None:
        return None
    before = read()
    theirs = float(connection.scalar(select(Now())) or 0.0)
    after = read()
    ahead = max(theirs - after, before - theirs, 0.0)
    if ahead <= _APART_SECONDS:
        return Finding("ok", "agrees with the database's")
    found = f"{ahead:,.0f} s {'behind' if theirs > after else 'ahead of'} the database's"
    fix = "times are shown and logged wrongly: have both machines set their clocks by NTP"
    return Finding("warning", found, fix)
