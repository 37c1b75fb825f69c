"""The store: one database with the declared comparisons, Optuna's studies and the queue."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from threading import RLock

from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from sqlalchemy import ColumnElement, Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tuner import __version__
from tuner.errors import InvalidInput, UnknownName
from tuner.search.database.events import record
from tuner.search.database.opening import connect, normalise
from tuner.search.database.tables import Now, comparisons, studies, trials
from tuner.search.declared.differences import differences
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.declared.study_spec import StudySpec
from tuner.search.declared.whole_trials import STORED

MARK, FORMAT = "bnn_tuner.format", 1
"""The attribute by which a study of ours is known, and the format of the others it then has."""

NUMBERS = ".numbers-of-deleted-trials-"
"""How the name of the study begins that holds the highest numbers ever given, on SQLite."""


def open_store(url: str, *, must_exist: bool = False) -> "Store":
    """The store at a database address.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.
        must_exist: Refuse a database in which no comparison was run, instead of making it one.

    Raises:
        InvalidInput: If the address is malformed.
        DatabaseProblem: If the database is missing, unreachable, read-only or of another version.
    """
    return Store(connect(normalise(url), must_exist=must_exist))


class Store:
    """A database that holds comparisons; safe to share between threads.

    Args:
        storage: Optuna's storage; our tables are on its engine.

    Attributes:
        reader: The engine for single queries: they begin and end no transaction.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.rdb = storage
        self.engine = storage.engine
        self.reader = storage.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.optuna: BaseStorage = get_storage(storage)
        sqlite = storage.engine.dialect.name == "sqlite"
        self._turn: AbstractContextManager[object] = RLock() if sqlite else nullcontext()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction that writes to our tables only.

        SQLite has one writer at a time, and the others look again now and then whether it is
        their turn, for seconds if there are many: so the threads of this process queue up here.
        """
        with self._turn, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction in which Optuna's storage takes part, in this thread.

        SQLAlchemy's recipe for joining a session into an outer transaction: the commits that
        Optuna makes after each of its calls wait for the end of the block, and an exception rolls
        everything back. So do most of its writes, which then take few statements, however many
        trials they are about: until then queries may not find what was written in the block. Not
        to be nested.
        """
        sessions = self.rdb.scoped_session
        sessions.remove()
        with self._turn, self.engine.begin() as connection:
            session = _LastingSession(
                bind=connection, join_transaction_mode="rollback_only", autoflush=False
            )
            sessions.registry.set(session)
            try:
                yield connection
                session.flush()
            finally:
                sessions.registry.clear()
                session.end()

    def close(self) -> None:
        """Let go of the database's connections."""
        self.rdb.scoped_session.remove()
        self.engine.dispose()

    def declare(self, spec: ComparisonSpec) -> bool:
        """Write the comparison and its studies down, unless they are there.

        Returns:
            Whether it was written now.

        Raises:
            InvalidInput: If the database holds another comparison of that name, or if trials of
                this one are to be run by another version of this software.
        """
        with suppress(IntegrityError), self.begin() as connection:  # it may be there
            connection.execute(
                insert(comparisons).values(
                    name=spec.name,
                    declaration_hash=declaration_hash(spec),
                    spec=spec.model_dump_json(),
                    created=Now(),
                    code_version=__version__,
                )
            )
            budgets = spec.budgets(spec.looks[0] if spec.verdict.stop and spec.looks else None)
            rows = [_row(study, budgets[study.study_name]) for study in spec.every_study()]
            connection.execute(insert(studies), rows)
            record(connection, spec.name, "submitted")
            return True
        self._check_declaration(spec)
        return False

    def _check_declaration(self, spec: ComparisonSpec) -> None:
        declared = declaration_hash(spec)
        query = select(comparisons).where(comparisons.c.name == spec.name)
        with self.engine.connect() as connection:
            row = connection.execute(query).one()
        where = f"comparison {spec.name!r}: the database"  # whose address clients need not know
        if row.declaration_hash != declared:
            differing = differences(json.loads(row.spec), json.loads(spec.model_dump_json()))
            hashes = f"hash {row.declaration_hash[:12]} there, {declared[:12]} here"
            raise InvalidInput(
                f"{where} holds another declaration under this name "
                f"({'; '.join((*differing, hashes))}); change the name, or use another database"
            )
        if row.code_version != __version__:
            raise InvalidInput(
                f"{where} holds it for bnn-tuner {row.code_version}, this is {__version__}, "
                f"and trials of two versions do not compare; go on with {row.code_version}, or "
                "change the name"
            )

    def names(self) -> list[str]:
        """The comparisons in the database, oldest first."""
        with self.reader.connect() as connection:
            query = select(comparisons.c.name).order_by(comparisons.c.created)
            return list(connection.scalars(query))

    def comparison(self, name: str) -> ComparisonSpec:
        """What the comparison was declared as.

        Raises:
            UnknownName: If the database holds none of that name.
        """
        with self.reader.connect() as connection:
            spec = connection.scalar(select(comparisons.c.spec).where(comparisons.c.name == name))
        if spec is None:
            raise UnknownName("comparison", name, self.names())
        return _parsed(spec)

    def budgets(self, comparison: str) -> dict[str, int]:
        """Name of each of the comparison's studies, made or yet to be made -> its trials.

        Fewer than declared where the comparison may end, or has ended, at a look.
        """
        query = select(studies.c.study_name, studies.c.n_trials).where(
            studies.c.comparison == comparison
        )
        with self.reader.connect() as connection:
            return {row.study_name: row.n_trials for row in connection.execute(query)}

    def status(self, name: str) -> str:
        """Whether the comparison is active, paused, cancelled or complete.

        Raises:
            UnknownName: If the database holds none of that name.
        """
        with self.reader.connect() as connection:
            query = select(comparisons.c.status).where(comparisons.c.name == name)
            status = connection.scalar(query)
        if status is None:
            raise UnknownName("comparison", name, self.names())
        return str(status)

    def remove_studies(self, connection: Connection, which: ColumnElement[bool]) -> None:
        """Remove studies and their trials, here and in Optuna, within a transaction."""
        names = list(connection.scalars(select(studies.c.study_name).where(which)))
        made = {study.study_name: study._study_id for study in self.optuna.get_all_studies()}
        if self.engine.dialect.name == "sqlite":
            self._keep_numbers(made)
        connection.execute(delete(trials).where(trials.c.study_name.in_(names)))
        connection.execute(delete(studies).where(studies.c.study_name.in_(names)))
        for name in names:
            if name in made:
                self.optuna.delete_study(made[name])

    def make_study(self, study: StudySpec) -> None:
        """Make the study in Optuna, unless it is there, within a transaction."""
        if study.study_name not in {known.study_name for known in self.rdb.get_all_studies()}:
            with self.written_at_once():
                study_id = self.rdb.create_new_study([StudyDirection.MAXIMIZE], study.study_name)
            self.rdb.set_study_user_attr(study_id, MARK, FORMAT)
            self.rdb.set_study_user_attr(study_id, "spec", study.model_dump(mode="json"))

    def _keep_numbers(self, made: Mapping[str, int]) -> None:
        """Put a trial after all others, since SQLite gives the numbers of the last ones again.

        Whoever remembers a deleted trial by its number would take a new one for it: Optuna's
        caches in this process and in others.
        """
        before = {name: study_id for name, study_id in made.items() if name.startswith(NUMBERS)}
        turn = 1 + max((int(name.removeprefix(NUMBERS)) for name in before), default=0)
        with self.written_at_once():
            study_id = self.rdb.create_new_study([StudyDirection.MAXIMIZE], f"{NUMBERS}{turn}")
            self.rdb.create_new_trial(study_id, create_trial(state=TrialState.FAIL))
        for outlived in before.values():
            self.optuna.delete_study(outlived)

    def let_go(self) -> None:
        """Within a transaction: write what Optuna wrote so far, and keep no objects of it.

        Of thousands every further write would take longer.
        """
        session = self.rdb.scoped_session()
        session.flush()
        session.expunge_all()

    @contextmanager
    def written_at_once(self) -> Iterator[None]:
        """Within a transaction: let Optuna's queries find what it has just written."""
        session = self.rdb.scoped_session()
        session.autoflush = True
        try:
            yield
        finally:
            session.autoflush = False


@lru_cache(maxsize=256)
def _parsed(spec: str) -> ComparisonSpec:
    """The declaration; those who watch ask for the same ones again and again."""
    return ComparisonSpec.model_validate_json(spec, context=STORED)


def _row(study: StudySpec, n_trials: int) -> dict[str, object]:
    """The study's row in the table of studies."""
    return {
        "comparison": study.comparison,
        "study_name": study.study_name,
        "arm": study.arm.name,
        "repeat": study.repeat,
        "retrain": study.trains_afresh,
        "n_trials": n_trials,
    }


class _LastingSession(Session):
    """A session that goes on after Optuna commits and closes it, as it does after each call."""

    def commit(self) -> None:
        """Do nothing: the transaction commits at its end."""

    def close(self) -> None:
        """Do nothing: see ``end``."""

    def end(self) -> None:
        """Let go of all objects and of the connection."""
        super().close()
