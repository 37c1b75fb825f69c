"""Our own tables, beside Optuna's: what was declared, who may run which trial, who asks.

Optuna's tables hold what a trial is (parameters, values, curves); these hold whose it is. No SQL
of ours touches Optuna's tables. ``migrations/`` makes and changes what is described here. Times
are seconds since 1970, UTC, on the database's clock.
"""

from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    literal,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

SCHEMA: Final = "0009"
"""The migration that this version of the software reads and writes."""

VERSION_TABLE: Final = "tuner_alembic_version"

HELD, WAITING, RUNNING = "held", "waiting", "running"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
"""A trial's states in the queue; a held one waits, but nobody may take it yet."""

UNFINISHED = (HELD, WAITING, RUNNING)
"""The states of a trial that may still run."""

ACTIVE, PAUSED, COMPLETE = "active", "paused", "complete"
"""The states of a comparison and of a study, beside cancelled; only active ones are worked on."""

DELETING = "deleting"
"""The state of a comparison and its studies that are to be deleted, until they are gone."""

TO_RETRY = "+"
"""In the place of a held trial's worker: it failed, and is to be put back as a new one."""

LIVE = ("idle", "working")
"""The states of a worker that may take trials, as long as it gives signs of life."""

TAG: Final = "[a-z0-9][a-z0-9_.-]{0,39}"
"""The form of a comparison's tag."""

LONGEST_NOTES: Final = 10_000
"""Most characters of a comparison's notes."""

STARTING = "starting"
"""The state of a worker that its launcher has begun, and that has not yet enrolled itself."""

metadata = MetaData()

comparisons = Table(
    "tuner_comparisons",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("declaration_hash", String(64), nullable=False),
    Column("spec", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("status", String(10), nullable=False, default=ACTIVE),
    Column("revision", Integer, nullable=False, default=1),
    Column("code_version", String(40), nullable=False),
    Column("served", Float),
    Column("trouble", Text),
    Column("own_code", Text),
    Column("notes", Text, nullable=False, default=""),
    Column("tags", Text, nullable=False, default=""),
    Column("archived", Float),
    Index("ix_tuner_comparisons_created", "created", "name"),
)
"""One row per comparison.

``spec`` is its declaration as JSON, ``revision`` counts changes of its status and of what is
written on it, ``code_version`` is the version of this software that its trials must be run by,
``served`` is when a worker last took trials of it, ``trouble`` says why it cannot be kept going,
``own_code`` is the version of the user's code that its first trials ran, where they ran any.
``notes`` and ``tags`` are people's own, each tag between blanks; ``archived`` is since when it is,
if it is.
"""

studies = Table(
    "tuner_studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("comparison", String(100), ForeignKey("tuner_comparisons.name"), nullable=False),
    Column("study_name", String(300), nullable=False, unique=True),
    Column("arm", String(100), nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("retrain", Boolean, nullable=False),
    Column("n_trials", Integer, nullable=False),
    Column("status", String(10), nullable=False, default=ACTIVE),
    Column("revision", Integer, nullable=False, default=1),
    Column("batch", Integer),
    Index("ix_tuner_studies_comparison", "comparison"),
    sqlite_autoincrement=True,
)
"""One row per Optuna study that a comparison consists of, from its submission on.

``n_trials`` is its budget: less than declared as long as the comparison may end at a look that
comes before, and for good where it did. ``batch`` is how many of its trials train together; the
first worker that takes some fixes it.
"""

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
    Column("deaths", Integer, nullable=False, default=0),
    Column("losses", Integer, nullable=False, default=0),
    Column("value", Float),
    UniqueConstraint("study_name", "position"),
    Index("ix_tuner_trials_queue", "comparison", "state", "study_name", "position"),
    Index("ix_tuner_trials_worker", "worker", "state"),
)
"""The queue, which is the budget: one row per trial, by Optuna's trial id.

``position`` is the trial's index in its study, ``attempts`` counts claims, ``failures`` raised
exceptions, ``deaths`` processes that ended while they trained it, ``losses`` leases that ran out,
``value`` is the objective of a finished trial. A failed trial that is retried by hand becomes a
new trial of Optuna's at the same position.
"""

workers = Table(
    "tuner_workers",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("host", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("device", String(40), nullable=False),
    Column("code_version", String(40), nullable=False),
    Column("started", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("state", String(10), nullable=False),
    Column("study_name", String(300)),
    Column("running", Integer, nullable=False, default=0),
    Column("finished", Integer, nullable=False, default=0),
    Column("epochs", Integer, nullable=False, default=0),
    Column("training_seconds", Float, nullable=False, default=0.0),
    Column("message", Text),
    Index("ix_tuner_workers_last_seen", "last_seen"),
)
"""Who works, or did.

``state`` is starting, idle, working, stopped or broken, ``message`` says why; ``pid`` is the
launcher's as long as it is starting. ``study_name`` and ``running`` are what it trains now,
``finished`` counts trials, ``epochs`` trial epochs.
"""

fleets = Table(
    "tuner_fleets",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("address", String(200), nullable=False),
    Column("started", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("state", String(10), nullable=False),
    Column("target", Integer, nullable=False),
    Column("up", Integer, nullable=False),
    Column("room", Integer, nullable=False),
    Column("trouble", Text, nullable=False),
    Column("workers", Integer, nullable=False),
    Column("least", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Column("idle_seconds", Float, nullable=False),
    Column("wished", Float, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
)
"""Fleets on clusters; a manager on the cluster writes its row, and takes wishes from it.

``state`` is up, draining or down, ``address`` the cluster's; of ``target`` workers ``up`` are up,
and its nodes have room for ``room``. ``workers``, ``least``, ``most`` and ``idle_seconds`` are the
last wish for its size, uttered at ``wished``, whoever's it is; ``revision`` counts wishes, and
``taken`` is the one that the manager goes by.
"""

keys = Table(
    "tuner_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", String(40), nullable=False),
    Column("created", Float, nullable=False),
    Column("revoked", Float),
)
"""API keys: the SHA-256 of each one's secret part, and its scopes, separated by blanks."""

sessions = Table(
    "tuner_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("key_id", String(16), ForeignKey("tuner_keys.id"), nullable=False),
    Column("expires", Float, nullable=False),
)
"""Sessions of browsers: the SHA-256 of what each shows, and the key that it logged in with."""

requests = Table(
    "tuner_requests",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("idempotency_key", String(200), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Text),
    Column("created", Float, nullable=False),
    Column("alive", Float),
)
"""Requests that carried an Idempotency-Key, with the answer that they got, as JSON.

``alive`` is when the server that carries it out last said so.
"""

operations = Table(
    "tuner_operations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("comparison", String(100), nullable=False),
    Column("state", String(10), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("data", Text, nullable=False),
    Column("error", Text),
    Column("created", Float, nullable=False),
    Column("ended", Float),
    Index("ix_tuner_operations_comparison", "comparison", "id"),
    sqlite_autoincrement=True,
)
"""Long work on comparisons that outlives the request for it.

``state`` is running, done or failed, ``error`` says why; ``done`` of ``total`` counts trials,
``data`` is what else the work needs to know, as JSON.
"""

events = Table(
    "tuner_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("created", Float, nullable=False),
    Column("comparison", String(100)),
    Column("kind", String(20), nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_tuner_events_comparison", "comparison", "id"),
    sqlite_autoincrement=True,
)
"""What happened, in order; ``data`` is a JSON object."""

notices = Table(
    "tuner_notices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("comparison", String(100), nullable=False),
    Column("occasion", String(60), nullable=False),
    Column("channel", String(10), nullable=False),
    Column("content", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due", Float),
    Column("sent", Float),
    Column("failure", Text),
    UniqueConstraint("comparison", "occasion", "channel"),
    Index("ix_tuner_notices_due", "due"),
)
"""What people are told about comparisons: one row for each occasion and way of telling.

``content`` is a JSON object; ``due`` is when it is tried next, nothing once it was sent or given
up; ``failure`` is why the last attempt failed.
"""

marks = Table(
    "tuner_marks",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("place", Integer, nullable=False),
)
"""Up to which event something has been done, by its name."""


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


class AloneAt(FunctionElement[bool]):
    """Whether no other transaction is at a place of this name; this one is, to its end, if so.

    Always so on SQLite, which has one writer at a time.

    Args:
        place: Its name.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, place: str) -> None:
        number = int.from_bytes(blake2b(place.encode(), digest_size=8).digest(), signed=True)
        super().__init__(literal(number, BigInteger))


@compiles(AloneAt, "sqlite")
def _alone_sqlite(_element: AloneAt, _compiler: Dialect, **_: object) -> str:
    return "1"


@compiles(AloneAt, "postgresql")
def _alone_postgresql(
    element: AloneAt, compiler: SQLCompiler, **options: Any
) -> str:  # Any: its own
    numbers = compiler.process(element.clauses, **options)
    return f"(SELECT pg_try_advisory_xact_lock({numbers}))"  # a query of its own is asked once
