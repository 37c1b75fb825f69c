"""Many trials and studies of Optuna's with few statements: one by one each takes some."""

import json
from collections.abc import Collection, Sequence

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import func, insert, select

_NAMED = 500
"""So many names are asked for at a time."""


def create_trials(
    storage: RDBStorage, study_id: int, templates: Sequence[FrozenTrial]
) -> list[int]:
    """New trials as Optuna makes them of templates, in this order; returns their numbers.

    Those that are to wait and have attributes alone are written together. Others Optuna makes one
    by one, since of what they hold each thing is to be checked.

    Raises:
        KeyError: If there is no such study.
    """
    if not all(map(_only_waits, templates)):
        return [storage.create_new_trial(study_id, template) for template in templates]
    with _create_scoped_session(storage.scoped_session) as session:
        models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
        session.flush()  # trials that were made before are counted
        counted = select(func.count()).where(models.TrialModel.study_id == study_id)
        before = session.scalar(counted) or 0
        rows = [
            {"study_id": study_id, "number": before + place, "state": TrialState.WAITING}
            for place in range(len(templates))
        ]
        made = insert(models.TrialModel).returning(
            models.TrialModel.number, models.TrialModel.trial_id
        )
        trial_ids = [row.trial_id for row in sorted(session.execute(made, rows))]
        attributes = [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for trial_id, template in zip(trial_ids, templates, strict=True)
            for key, value in template.user_attrs.items()
        ]
        if attributes:
            session.execute(insert(models.TrialUserAttributeModel), attributes)
        return trial_ids


def unfinished(
    storage: RDBStorage, study_ids: Collection[int], trial_ids: Collection[int]
) -> list[int]:
    """Those of these trials that are in one of these studies and may still be changed."""
    with _create_scoped_session(storage.scoped_session) as session:
        session.flush()
        query = select(models.TrialModel.trial_id).where(
            models.TrialModel.trial_id.in_(trial_ids),
            models.TrialModel.study_id.in_(study_ids),
            models.TrialModel.state.in_((TrialState.WAITING, TrialState.RUNNING)),
        )
        return list(session.scalars(query.order_by(models.TrialModel.trial_id)))


def study_names(storage: RDBStorage, names: Sequence[str]) -> list[str]:
    """Those of these names that studies bear, in the order of the alphabet."""
    column = models.StudyModel.study_name
    found: list[str] = []
    with _create_scoped_session(storage.scoped_session) as session:
        for first in range(0, len(names), _NAMED):
            these = column.in_(names[first : first + _NAMED])
            found += session.scalars(select(column).where(these))
    return sorted(found)


def _only_waits(template: FrozenTrial) -> bool:
    """Whether nothing is said of the trial but its attributes."""
    said = template.params or template.values or template.system_attrs
    begun = template.datetime_start or template.datetime_complete or template.intermediate_values
    return template.state == TrialState.WAITING and not said and not begun
