"""Many trials and studies of Optuna's with few statements: one by one each takes some."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
    json_to_distribution,
)
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session, configure_mappers

_NAMED = 500
"""So many names are asked for at a time."""

STUDY_ID = select(models.StudyModel.__table__.c.study_id).where(
    models.StudyModel.__table__.c.study_name == bindparam("study_name")
)
"""The number of the study ``study_name``."""

_trials: Table = models.TrialModel.__table__
_NUMBERS = (
    select(_trials.c.study_id, _trials.c.trial_id, _trials.c.number)
    .join_from(models.StudyModel.__table__, _trials)
    .where(
        models.StudyModel.__table__.c.study_name == bindparam("study_name"),
        _trials.c.trial_id.in_(bindparam("trial_ids", expanding=True)),
    )
)

_AMONG = select(models.StudyModel.__table__.c.study_name).where(
    models.StudyModel.__table__.c.study_name.in_(bindparam("names", expanding=True))
)
"""The names among ``names`` that studies bear."""

_stored_report = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
_Written = defaultdict[type[Any], list[dict[str, object]]]  # Any: models of Optuna's

configure_mappers()  # at the first query it would be, in each of the processes forked from one


def create_trials(
    storage: RDBStorage, study_id: int, templates: Sequence[FrozenTrial]
) -> list[int]:
    """New trials as Optuna makes them of templates, in this order; returns their numbers.

    Raises:
        KeyError: If there is no such study.
        ValueError: If a parameter's range is of another kind than in the study's trials.
    """
    if not templates:
        return []
    trials: Table = models.TrialModel.__table__
    ours = trials.c.study_id == study_id
    with _create_scoped_session(storage.scoped_session) as session:
        models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
        session.flush()  # trials that were made before are counted
        there = select(func.count(), func.coalesce(func.max(trials.c.trial_id), 0))
        count, last = session.execute(there.where(ours)).one()
        _check_ranges(session, study_id, templates)
        rows = [_row(study_id, each, number) for number, each in enumerate(templates, count)]
        session.execute(insert(trials), rows)
        query = select(trials.c.trial_id).where(ours, trials.c.trial_id > last)
        made = list(session.scalars(query.order_by(trials.c.trial_id)))
        parts: _Written = defaultdict(list)
        for trial_id, template in zip(made, templates, strict=True):
            for model, part in _parts(template):
                parts[model].append({"trial_id": trial_id, **part})
        for model, rows in parts.items():
            session.execute(insert(model.__table__), rows)
        return made


def end_as_failed(
    storage: RDBStorage, study_ids: Collection[int], trial_ids: Collection[int], mark: str
) -> list[int]:
    """End those of these trials that are in one of these studies and may still be changed.

    Their state is then FAIL, and the user attribute ``mark`` is true.

    Returns:
        Those that were ended.
    """
    trials: Table = models.TrialModel.__table__
    attributes: Table = models.TrialUserAttributeModel.__table__
    with _create_scoped_session(storage.scoped_session) as session:
        session.flush()
        query = select(trials.c.trial_id).where(
            trials.c.trial_id.in_(trial_ids),
            trials.c.study_id.in_(study_ids),
            trials.c.state.in_((TrialState.WAITING, TrialState.RUNNING)),
        )
        ended = list(session.scalars(query.order_by(trials.c.trial_id).with_for_update()))
        if not ended:
            return []
        now = _of_greenwich(datetime.now())
        end = update(trials).where(trials.c.trial_id.in_(ended))
        session.execute(end.values(state=TrialState.FAIL, datetime_complete=now))
        marked = attributes.c.trial_id.in_(ended) & (attributes.c.key == mark)
        session.execute(delete(attributes).where(marked))
        rows = [{"trial_id": each, "key": mark, "value_json": "true"} for each in ended]
        session.execute(insert(attributes), rows)
        session.expire_all()  # what was read before
        return ended


def numbers_of(
    connection: Connection, study_name: str, trial_ids: Collection[int]
) -> tuple[int, dict[int, int]]:
    """The number of the study that has these trials; trial id -> number of each in the study.

    Raises:
        KeyError: If there is no such study, or it has none of them.
    """
    these = {"study_name": study_name, "trial_ids": list(trial_ids)}
    rows = connection.execute(_NUMBERS, these).all()
    if not rows:
        raise KeyError(f"Optuna has no study {study_name!r} with these trials")
    return rows[0].study_id, {row.trial_id: row.number for row in rows}


def study_names(connection: Connection, names: Sequence[str]) -> list[str]:
    """Those of these names that studies bear, in the order of the alphabet."""
    found: list[str] = []
    for first in range(0, len(names), _NAMED):
        found += connection.scalars(_AMONG, {"names": names[first : first + _NAMED]})
    return sorted(found)


def _check_ranges(session: Session, study_id: int, templates: Sequence[FrozenTrial]) -> None:
    """As Optuna's check: beside the range that the study has, or the first of these."""
    params: Table = models.TrialParamModel.__table__
    trials: Table = models.TrialModel.__table__
    before: dict[str, BaseDistribution] = {}
    for each in templates:
        for name, kind in each.distributions.items():
            if name not in before:
                query = (
                    select(params.c.distribution_json)
                    .join(trials, trials.c.trial_id == params.c.trial_id)
                    .where(trials.c.study_id == study_id, params.c.param_name == name)
                )
                text = session.scalar(query.limit(1))
                before[name] = kind if text is None else json_to_distribution(text)
            check_distribution_compatibility(before[name], kind)


def _row(study_id: int, template: FrozenTrial, number: int) -> dict[str, object]:
    return {
        "study_id": study_id,
        "number": number,
        "state": template.state,
        "datetime_start": _of_greenwich(template.datetime_start),
        "datetime_complete": _of_greenwich(template.datetime_complete),
    }


def _parts(template: FrozenTrial) -> Iterator[tuple[type[Any], dict[str, object]]]:
    """What belongs to a trial: models of Optuna's (therefore Any) and their columns."""
    for objective, number in enumerate(template.values or ()):
        value, kind = models.TrialValueModel.value_to_stored_repr(number)
        yield (
            models.TrialValueModel,
            {"objective": objective, "value": value, "value_type": kind},
        )
    for name, setting in template.params.items():
        within = template.distributions[name]
        yield (
            models.TrialParamModel,
            {
                "param_name": name,
                "param_value": within.to_internal_repr(setting),
                "distribution_json": distribution_to_json(within),
            },
        )
    for model, attributes in (
        (models.TrialUserAttributeModel, template.user_attrs),
        (models.TrialSystemAttributeModel, template.system_attrs),
    ):
        for key, attribute in attributes.items():
            yield model, {"key": key, "value_json": json.dumps(attribute)}
    for step, number in template.intermediate_values.items():
        report, kind_of_report = _stored_report(number)
        yield (
            models.TrialIntermediateValueModel,
            {
                "step": step,
                "intermediate_value": report,
                "intermediate_value_type": kind_of_report,
            },
        )


def _of_greenwich(moment: datetime | None) -> datetime | None:
    """The time of day there, as it is stored."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
