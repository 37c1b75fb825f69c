"""Optuna's session, joined into a transaction of ours."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import eq
from typing import Any

from sqlalchemy import BinaryExpression, BindParameter, BooleanClauseList, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Query, Session, selectinload, with_parent
from sqlalchemy.sql.operators import and_

AT_ONCE, REMOVED = "at_once", "removed"
"""Of what is deleted with an object: how many at a time, and how many were, in a session."""

_AHEAD, _TRIALS, _LOST = "ahead", "trials", "lost"


@dataclass
class _Ahead:
    """Trials that are read together, as soon as Optuna asks for one of them.

    Args:
        ids: Which.
        parts: The names of what is read with them, such as ``values``.
        trials: Those that were read.
    """

    ids: Collection[int]
    parts: tuple[str, ...]
    trials: dict[int, Any] = field(default_factory=dict)  # Any: Optuna's own class


class _FromMemory(Query[Any]):
    """A query for one object, which is not asked where the session has read it ahead."""

    def one_or_none(self) -> Any:  # Any: whatever is asked for
        """As SQLAlchemy's.

        Raises:
            DBAPIError: Again, what the transaction was lost by: Optuna may ask once more.
        """
        session = self.session
        if (lost := session.info.get(_LOST)) is not None:
            raise lost
        answer = session.recall(self) if isinstance(session, LastingSession) else None
        return super().one_or_none() if answer is None else answer[0]


class LastingSession(Session):
    """A session that goes on after Optuna commits and closes it, as it does after each call."""

    def __init__(self, **options: Any) -> None:  # Any: SQLAlchemy's own
        super().__init__(query_cls=_FromMemory, **options)

    def read_ahead(self, trial_ids: Collection[int], *parts: str) -> None:
        """Have these trials read and locked with one query when Optuna asks for the first.

        It asks for a trial again in each of its calls, and for each thing that it writes whether
        it is there. From now on it is told what was read, and what was not there is not there.

        Args:
            trial_ids: Which; all that the session is about.
            parts: What is read with them, by Optuna's names: ``values``, ``intermediate_values``,
                ``params``, ``user_attributes``, ``system_attributes``.
        """
        self.info[_AHEAD] = _Ahead(frozenset(trial_ids), parts)

    def recall(self, query: Query[Any]) -> tuple[Any] | None:
        """What a query for one object will find, if that is known."""
        ahead: _Ahead | None = self.info.get(_AHEAD)
        wanted = {} if ahead is None else _equalities(query.whereclause)
        trial_id = wanted.pop("trial_id", None)
        if ahead is None or trial_id not in ahead.ids:
            return None
        entity = query.column_descriptions[0]["expr"]
        if not isinstance(entity, type):
            return None
        if inspect(entity).local_table.name == _TRIALS and not wanted:
            if not ahead.trials:
                self._read(entity, ahead)
            return (ahead.trials.get(trial_id),)
        trial = ahead.trials.get(trial_id)
        for name in ahead.parts if trial is not None else ():
            if inspect(type(trial)).relationships[name].mapper.class_ is entity:
                parts = (part for part in getattr(trial, name) if _fits(part, wanted))
                return (next(parts, None),)
        return None

    def _read(self, entity: type[Any], ahead: _Ahead) -> None:
        """Read the trials, in the order of their numbers, so that nobody waits in a circle."""
        query = (
            select(entity)
            .where(entity.trial_id.in_(ahead.ids))
            .order_by(entity.trial_id)
            .options(*(selectinload(getattr(entity, name)) for name in ahead.parts))
            .with_for_update()
        )
        ahead.trials = {trial.trial_id: trial for trial in self.scalars(query)}

    def delete(self, instance: object) -> None:
        """Delete it, or so many of the many that would be deleted with it; then it is left."""
        at_once = self.info.get(AT_ONCE, 1000)
        self.info[REMOVED] = 0
        for relation in inspect(type(instance)).relationships:
            if not relation.cascade.delete:
                continue
            theirs = relation.mapper.relationships
            query = (
                select(relation.entity)
                .where(with_parent(instance, relation.class_attribute))
                .options(*(selectinload(each.class_attribute) for each in theirs if each.uselist))
                .limit(at_once)
            )
            dependents = self.scalars(query).all()
            self.info[REMOVED] = max(self.info[REMOVED], len(dependents))
            if len(dependents) == at_once:
                for dependent in dependents:
                    super().delete(dependent)
                return
        super().delete(instance)

    def expunge_all(self) -> None:
        """As SQLAlchemy's; nothing is known after it."""
        self.info.pop(_AHEAD, None)
        super().expunge_all()

    def commit(self) -> None:
        """Do nothing: the transaction commits at its end."""

    def rollback(self) -> None:
        """As SQLAlchemy's; the database's error that led to it is kept."""
        if isinstance(error := sys.exc_info()[1], DBAPIError):
            self.info.setdefault(_LOST, error)
        super().rollback()

    def close(self) -> None:
        """Do nothing: see ``end``."""

    def end(self) -> None:
        """Let go of all objects and of the connection."""
        super().close()


def _equalities(clause: object) -> dict[str, Any]:  # Any: values of columns
    """Column name -> value, if the condition asks for nothing but these; else nothing."""
    if isinstance(clause, BooleanClauseList) and clause.operator is and_:
        parts = [_equalities(part) for part in clause.clauses]
        return {} if not all(parts) else {name: v for part in parts for name, v in part.items()}
    if (
        isinstance(clause, BinaryExpression)
        and clause.operator is eq
        and isinstance(clause.right, BindParameter)
    ):
        return {str(clause.left.key): clause.right.value}
    return {}


def _fits(instance: object, values: Mapping[str, Any]) -> bool:  # Any: values of columns
    return all(getattr(instance, name) == value for name, value in values.items())
