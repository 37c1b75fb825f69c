"""Our own tables, beside Optuna's: who may run which trial, and what was declared.

Optuna's tables hold what a trial is (parameters, values, curves); these hold whose it is. No SQL
of ours touches Optuna's tables. ``migrations/`` makes and changes what is described here.
"""

from typing import Final

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

SCHEMA: Final = "0001"
"""The migration that this version of the software reads and writes."""

VERSION_TABLE: Final = "tuner_alembic_version"

HELD, WAITING, RUNNING, DONE, FAILED = "held", "waiting", "running", "done", "failed"
"""A trial's states in the queue; a held one waits, but nobody may take it yet."""

metadata = MetaData()

comparisons = Table(
    "tuner_comparisons",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("declaration_hash", String(64), nullable=False),
    Column("spec", Text, nullable=False),
    Column("created", Float, nullable=False),
)
"""One row per comparison: its declaration as JSON; ``created`` in seconds since 1970, UTC."""

trials = Table(
    "tuner_trials",
    metadata,
    Column("trial_id", Integer, primary_key=True, autoincrement=False),
    Column("comparison", String(100), ForeignKey("tuner_comparisons.name"), nullable=False),
    Column("study_name", String(300), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", String(10), nullable=False, default=HELD),
    Column("worker", String(200)),
    Column("lease_expires", Float),
    Column("attempts", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("value", Float),
    UniqueConstraint("study_name", "position"),
    Index("ix_tuner_trials_queue", "comparison", "state", "study_name", "position"),
    Index("ix_tuner_trials_worker", "worker", "state"),
)
"""The queue, which is the budget: one row per trial, by Optuna's trial id.

``position`` is the trial's index in its study, ``attempts`` counts claims, ``failures`` raised
exceptions, ``value`` is the objective of a finished trial, ``lease_expires`` is on the database's
clock.
"""


class Now(FunctionElement[float]):
    """The database's clock, in seconds since 1970: one clock for all workers."""

    type = Float()
    inherit_cache = True


@compiles(Now, "sqlite")
def _now_sqlite(_element: Now, _compiler: Dialect, **_: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _now_postgresql(_element: Now, _compiler: Dialect, **_: object) -> str:
    return "extract(epoch from clock_timestamp())"
