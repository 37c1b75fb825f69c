"""Optuna's storage, of which trials are read as rows.

Optuna has SQLAlchemy make an object of every row, a dozen for a trial, and decodes each range
twice: that takes twice as long as all else, of 20,000 trials five seconds more.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Container, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, Row, Table, bindparam, or_, select
from sqlalchemy.orm import Session

_NAMED = 500
"""So many trials are asked for by their numbers, more by the range that these lie in."""

_range = lru_cache(maxsize=1000)(json_to_distribution)
_value = models.TrialValueModel.stored_repr_to_value
_report = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value

_Parts = defaultdict[int, list[Row[Any]]]  # Any: columns of any type


class StorageByRows(RDBStorage):
    """Optuna's storage in a SQL database; it reads the same trials in less time."""

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """As Optuna's: trials above a number, and those among some, in the order of numbers."""
        trials: Table = models.TrialModel.__table__
        wanted: ColumnElement[bool] = trials.c.trial_id > trial_id_greater_than
        below = {number for number in included_trial_ids if number <= trial_id_greater_than}
        if below:
            wanted = or_(wanted, _among(trials.c.trial_id, below))
        with _create_scoped_session(self.scoped_session) as session:
            models.StudyModel.find_or_raise_by_id(study_id, session)
            session.flush()  # rows show what is written only
            query = select(trials).where(trials.c.study_id == study_id, wanted)
            found = [
                row
                for row in session.execute(query.order_by(trials.c.trial_id))
                if (row.trial_id > trial_id_greater_than or row.trial_id in below)
                and (states is None or row.state in states)
            ]
            parts = _Read(session, study_id, [row.trial_id for row in found])
            return [parts.frozen(row) for row in found]


class _Read:
    """What belongs to some trials of a study, read with one query for each kind of it."""

    def __init__(self, session: Session, study_id: int, trial_ids: Sequence[int]) -> None:
        self._session, self._study_id, self._trial_ids = session, study_id, trial_ids
        self._parts = [self._rows(table) for table in _PARTS]

    def _rows(self, table: Table) -> _Parts:
        """Number of each trial -> its rows, in the order in which they were written."""
        trials: Table = models.TrialModel.__table__
        rows: _Parts = defaultdict(list)
        if self._trial_ids:
            query = (
                select(table)
                .join(trials, trials.c.trial_id == table.c.trial_id)
                .where(
                    trials.c.study_id == self._study_id, _among(trials.c.trial_id, self._trial_ids)
                )
                .order_by(*table.primary_key.columns)
            )
            for row in self._session.execute(query):
                rows[row.trial_id].append(row)
        return rows

    def frozen(self, row: Row[Any]) -> FrozenTrial:  # Any: columns of any type
        """The trial of that row."""
        return _frozen(row, *(rows[row.trial_id] for rows in self._parts))


_PARTS: tuple[Table, ...] = tuple(
    model.__table__
    for model in (
        models.TrialParamModel,
        models.TrialValueModel,
        models.TrialUserAttributeModel,
        models.TrialSystemAttributeModel,
        models.TrialIntermediateValueModel,
    )
)
"""What belongs to a trial, in the order in which ``_frozen`` takes it."""

_OF_ONE = [
    select(table).where(table.c.trial_id == bindparam("trial_id")).order_by(*table.primary_key)
    for table in (models.TrialModel.__table__, *_PARTS)
]


def states_of(connection: Connection, study_id: int) -> dict[int, TrialState]:
    """Trial id -> state of every trial of the study; empty if there is no such study."""
    trials: Table = models.TrialModel.__table__
    query = select(trials.c.trial_id, trials.c.state).where(trials.c.study_id == study_id)
    return {row.trial_id: row.state for row in connection.execute(query)}


def trial_of_rows(connection: Connection, trial_id: int) -> FrozenTrial | None:
    """The trial of that number, as Optuna builds it; None if there is none."""
    trial, *parts = (connection.execute(query, {"trial_id": trial_id}).all() for query in _OF_ONE)
    return _frozen(trial[0], *parts) if trial else None


def _frozen(
    row: Row[Any],  # Any: columns of any type
    params: Sequence[Row[Any]],
    values: Sequence[Row[Any]],
    user_attrs: Sequence[Row[Any]],
    system_attrs: Sequence[Row[Any]],
    reports: Sequence[Row[Any]],
) -> FrozenTrial:
    """The trial of these rows, as Optuna builds it."""
    ranges = {each.param_name: _range(each.distribution_json) for each in params}
    by_objective = {each.objective: _value(each.value, each.value_type) for each in values}
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[by_objective[i] for i in range(len(by_objective))] or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params={
            each.param_name: ranges[each.param_name].to_external_repr(each.param_value)
            for each in params
        },
        distributions=ranges,
        user_attrs={each.key: json.loads(each.value_json) for each in user_attrs},
        system_attrs={each.key: json.loads(each.value_json) for each in system_attrs},
        intermediate_values={
            each.step: _report(each.intermediate_value, each.intermediate_value_type)
            for each in reports
        },
        trial_id=row.trial_id,
    )


def _among(column: ColumnElement[int], numbers: Collection[int]) -> ColumnElement[bool]:
    """That it is one of these; of many, that it lies between the first and the last."""
    if len(numbers) <= _NAMED:
        return column.in_(numbers)
    return column.between(min(numbers), max(numbers))


def _local(moment: datetime | None) -> datetime | None:
    """The time of day here; stored is that of Greenwich."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
