"""The store: one database with the declared comparisons, Optuna's studies and the queue."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from optuna import get_all_study_names
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tuner.errors import InvalidInput, UnknownName
from tuner.search.database import connect, normalise, shown
from tuner.search.spec import ComparisonSpec, declaration_hash
from tuner.search.tables import comparisons, trials


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
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.rdb = storage
        self.engine = storage.engine
        self.optuna: BaseStorage = get_storage(storage)

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
        with self.engine.begin() as connection:
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

    def declare(self, spec: ComparisonSpec) -> None:
        """Write the comparison down, unless it is there.

        Raises:
            InvalidInput: If the database holds another comparison of that name.
        """
        declared = declaration_hash(spec)
        row = {
            "name": spec.name,
            "declaration_hash": declared,
            "spec": spec.model_dump_json(),
            "created": time.time(),
        }
        with suppress(IntegrityError), self.engine.begin() as connection:  # it may be there
            connection.execute(insert(comparisons).values(row))
        query = select(comparisons.c.declaration_hash).where(comparisons.c.name == spec.name)
        with self.engine.connect() as connection:
            found = connection.scalar(query)
        if found != declared:
            raise InvalidInput(
                f"comparison {spec.name!r}: the database {shown(self.engine.url)} holds another "
                f"declaration under this name ({str(found)[:12]}, this one is {declared[:12]}); "
                "change the name, or use another database"
            )

    def names(self) -> list[str]:
        """The comparisons in the database, oldest first."""
        with self.engine.connect() as connection:
            query = select(comparisons.c.name).order_by(comparisons.c.created)
            return list(connection.scalars(query))

    def comparison(self, name: str) -> ComparisonSpec:
        """What the comparison was declared as.

        Raises:
            UnknownName: If the database holds none of that name.
        """
        with self.engine.connect() as connection:
            spec = connection.scalar(select(comparisons.c.spec).where(comparisons.c.name == name))
        if spec is None:
            raise UnknownName("comparison", name, self.names())
        return ComparisonSpec.model_validate_json(spec)

    def delete(self, name: str) -> None:
        """Remove the comparison, its studies and its trials.

        Raises:
            UnknownName: If the database holds none of that name.
        """
        self.comparison(name)
        with self.engine.connect() as connection:
            query = select(trials.c.study_name).where(trials.c.comparison == name).distinct()
            ours = set(connection.scalars(query))
        ids = [
            self.optuna.get_study_id_from_name(study_name)
            for study_name in get_all_study_names(self.optuna)
            if study_name in ours
        ]
        with self.transaction() as connection:
            connection.execute(delete(trials).where(trials.c.comparison == name))
            connection.execute(delete(comparisons).where(comparisons.c.name == name))
            for study_id in ids:
                self.optuna.delete_study(study_id)


class _LastingSession(Session):
    """A session that goes on after Optuna commits and closes it, as it does after each call."""

    def commit(self) -> None:
        """Do nothing: the transaction commits at its end."""

    def close(self) -> None:
        """Do nothing: see ``end``."""

    def end(self) -> None:
        """Let go of all objects and of the connection."""
        super().close()
