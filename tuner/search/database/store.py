"""The store: one database with the declared comparisons, Optuna's studies and the queue."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from threading import RLock
from typing import Any

from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, Engine, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from tuner import __version__
from tuner.errors import Conflict, InvalidInput, NoComparison, NotFound
from tuner.search.database.events import record
from tuner.search.database.joined import LastingSession
from tuner.search.database.marks import FORMAT, MARK, is_ours
from tuner.search.database.opening import connect, normalise
from tuner.search.database.storage.cache import Cache
from tuner.search.database.storage.limits import limit_idleness
from tuner.search.database.storage.many import STUDY_ID, numbers_of, study_names
from tuner.search.database.tables import DELETING, Now, comparisons, studies
from tuner.search.declared.differences import differences
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.declared.study_spec import StudySpec
from tuner.search.declared.whole_trials import STORED
from tuner.signals import at_once

NUMBERS = ".numbers-of-deleted-trials-"
"""How the name of the study begins that holds the highest numbers ever given, on SQLite."""

DECLARED = select(comparisons.c.spec).where(
    comparisons.c.name == studies.c.comparison, studies.c.study_name == bindparam("study_name")
)
"""The declaration, as JSON, of the comparison that has the study ``study_name``."""

_DECLARE = insert(comparisons).values(created=Now()).returning(comparisons.c.created)
_DECLARED_AS = select(comparisons.c.spec).where(comparisons.c.name == bindparam("name"))


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
        reader: The engine for single queries: they begin and end no transaction. On SQLite none
            does, and saying so would have it read each query's text anew.
        gives_numbers_again: Whether a deleted trial's number may become another's.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.rdb = storage
        self.engine = storage.engine
        self.reader: Engine = storage.engine
        self.optuna = Cache(storage)
        self.gives_numbers_again = storage.engine.dialect.name == "sqlite"
        self._turn: AbstractContextManager[object] = nullcontext()
        if self.gives_numbers_again:
            self._turn = RLock()
        else:
            self.reader = storage.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction that writes to our tables only.

        SQLite has one writer at a time, and the others look again now and then whether it is
        their turn, for seconds if there are many: so the threads of this process queue up here.
        Ctrl-C waits for its end: Python's sqlite3 keeps an interrupted statement, and with it the
        lock, for as long as the exception's traceback is there.
        """
        with self._turn, at_once(), self.engine.begin() as connection:
            limit_idleness(connection)
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction in which Optuna's storage takes part, in this thread.

        SQLAlchemy's recipe for joining a session into an outer transaction: the commits that
        Optuna makes after each of its calls wait for the end of the block, and an exception rolls
        everything back. So do most of its writes, in few statements for all trials: until then
        queries may not find what was written in the block. Not to be nested.
        """
        sessions = self.rdb.scoped_session
        sessions.remove()
        with self._turn, at_once(), self.engine.begin() as connection:
            limit_idleness(connection)
            session = LastingSession(
                bind=connection, join_transaction_mode="rollback_only", autoflush=False
            )
            sessions.registry.set(session)
            try:
                yield connection
                session.flush()
            finally:
                sessions.registry.clear()
                session.end()

    def read_ahead(self, trial_ids: Collection[int], *parts: str) -> None:
        """Within a transaction about these trials alone: see ``LastingSession.read_ahead``."""
        session: Any = self.rdb.scoped_session()  # Any: ours, Optuna knows it as any
        session.read_ahead(trial_ids, *parts)

    def close(self) -> None:
        """Let go of the database's connections."""
        self.rdb.scoped_session.remove()
        self.engine.dispose()

    def declare(self, spec: ComparisonSpec) -> bool:
        """As ``written``; returns whether it was written now."""
        return self.written(spec) is not None

    def written(self, spec: ComparisonSpec) -> float | None:
        """Write the comparison and its studies down, unless they are there.

        Returns:
            When it was written, in seconds since 1970; None if it was there.

        Raises:
            InvalidInput: If the database holds another comparison of that name, or if trials of
                this one are to be run by another version of this software.
            Conflict: If a study of it is to bear the name of one that is there already.
            PydanticSerializationError: If it holds text that is not Unicode.
        """
        text, every, budgets = spec.model_dump_json(), spec.every_study(), spec.first_budgets
        self._check_names(spec.name, [study.study_name for study in every])
        declared = {"declaration_hash": declaration_hash(spec), "spec": text}
        comparison = {"name": spec.name, **declared, "code_version": __version__}
        rows = [_row(study, budgets[study.study_name]) for study in every]
        with suppress(IntegrityError), self.begin() as connection:  # it may be there
            created = float(connection.execute(_DECLARE, comparison).scalar_one())
            connection.execute(insert(studies), rows)
            record(connection, spec.name, "submitted")
            return created
        self._check_declaration(spec)
        return None

    def _check_names(self, comparison: str, names: Sequence[str]) -> None:
        """Refuse a new comparison with a study whose name is taken; ``make_study`` looks again."""
        with self.reader.connect() as connection:
            taken = study_names(connection, names)
        if taken and comparison not in self.names():
            raise Conflict(_taken(taken[0], "give the comparison another name, or rename that"))

    def _check_declaration(self, spec: ComparisonSpec) -> None:
        declared = declaration_hash(spec)
        query = select(comparisons).where(comparisons.c.name == spec.name)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None or row.status == DELETING:
            raise InvalidInput(
                f"comparison {spec.name!r} is being deleted; submit it once that has ended, or "
                "change the name"
            )
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
            NoComparison: If the database holds none of that name.
        """
        with self.reader.connect() as connection:
            spec = connection.scalar(_DECLARED_AS, {"name": name})
        if spec is None:
            raise NoComparison(name, self.names())
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
        """Whether the comparison is active, paused, cancelled, complete or deleting.

        Raises:
            NoComparison: If the database holds none of that name.
        """
        with self.reader.connect() as connection:
            query = select(comparisons.c.status).where(comparisons.c.name == name)
            status = connection.scalar(query)
        if status is None:
            raise NoComparison(name, self.names())
        return str(status)

    def made_studies(self) -> dict[str, int]:
        """Name of each study of ours in Optuna -> its number there, within a transaction."""
        return {
            study.study_name: study._study_id
            for study in self.rdb.get_all_studies()
            if is_ours(study.user_attrs, study.study_name)
        }

    def study_id(self, study_name: str) -> int | None:
        """The number that Optuna and its dashboard have given the study; None if none is there.

        Not within a transaction: what was written in it is not looked for.
        """
        with self.reader.connect() as connection:
            return connection.scalar(STUDY_ID, {"study_name": study_name})

    def our_study(self, study_name: str) -> int | None:
        """As ``study_id``; None too if the study of that name is another's."""
        study_id = self.study_id(study_name)
        try:
            ours = study_id is not None and is_ours(
                self.rdb.get_study_user_attrs(study_id), study_name
            )
        except KeyError:  # deleted just now
            return None
        return study_id if ours else None

    def trials_of(self, study_name: str) -> list[FrozenTrial]:
        """The study's trials, finished ones from a cache; not to be changed.

        Raises:
            KeyError: If Optuna has no study of that name.
        """
        study_id = self.rdb.get_study_id_from_name(study_name)
        self.optuna = self.optuna.of(study_id, study_name)
        return self.optuna.get_all_trials(study_id, deepcopy=False)

    def see(self, study_name: str, trial_ids: Collection[int]) -> None:
        """Have Optuna's cache see trials that are to be written to; the others are not read.

        Raises:
            KeyError: If Optuna has no study of that name with any of them.
        """
        with self.reader.connect() as connection:
            study_id, numbers = numbers_of(connection, study_name, trial_ids)
        self.optuna = self.optuna.of(study_id, study_name)
        self.optuna.see(study_id, numbers)

    def study(self, study_name: str) -> StudySpec:
        """What the study was declared as; what Optuna keeps of that, people can change.

        Raises:
            NotFound: If no comparison has such a study.
        """
        with self.reader.connect() as connection:
            spec = connection.scalar(DECLARED, {"study_name": study_name})
        if spec is None:
            raise NotFound(f"no comparison has a study {study_name!r}")
        return _studies_of(spec)[study_name]

    def make_study(self, study: StudySpec) -> None:
        """Make the study in Optuna, unless it is there, within a transaction.

        Raises:
            Conflict: If somebody else's study bears its name.
        """
        spec = study.model_dump(mode="json")
        session = self.rdb.scoped_session()
        session.flush()
        known = session.scalar(STUDY_ID, {"study_name": study.study_name})
        if known is None:
            with self.written_at_once():
                lower = study.workload.minimized
                direction = StudyDirection.MINIMIZE if lower else StudyDirection.MAXIMIZE
                study_id = self.rdb.create_new_study([direction], study.study_name)
            self.rdb.set_study_user_attr(study_id, MARK, FORMAT)
            self.rdb.set_study_user_attr(study_id, "spec", spec)
            return
        attributes = self.rdb.get_study_user_attrs(known)
        if not is_ours(attributes, study.study_name):
            raise Conflict(_taken(study.study_name, "rename that one, or cancel this comparison"))
        if attributes.get("spec") != spec:  # changed from outside
            self.rdb.set_study_user_attr(known, "spec", spec)

    def keep_numbers(self, above: int = 0) -> None:
        """Put a trial after all others, since SQLite gives the numbers of the last ones again.

        Within a transaction, before trials are deleted. Whoever remembers a deleted trial by its
        number would take a new one for it: Optuna's caches in this process and in others.

        Args:
            above: A number that is not to be given again; that of a trial that may be gone.
        """
        if self.engine.dialect.name != "sqlite":
            return
        before = {
            study.study_name: study._study_id
            for study in self.rdb.get_all_studies()
            if study.study_name.startswith(NUMBERS)
        }
        turn = 1 + max((int(name.removeprefix(NUMBERS)) for name in before), default=0)
        with self.written_at_once():
            study_id = self.rdb.create_new_study([StudyDirection.MAXIMIZE], f"{NUMBERS}{turn}")
            template = create_trial(state=TrialState.FAIL)
            while self.rdb.create_new_trial(study_id, template) <= above:
                pass
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


@lru_cache(maxsize=256)
def _studies_of(spec: str) -> Mapping[str, StudySpec]:
    """The studies of a declaration by name; workers ask for the same ones again and again."""
    return {study.study_name: study for study in _parsed(spec).every_study()}


def _taken(study_name: str, way_out: str) -> str:
    return (
        f"study {study_name!r}: Optuna has one of this name in the database that belongs to no "
        f"comparison, and it is left alone; {way_out}"
    )


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
