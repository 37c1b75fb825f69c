"""Optuna's trials, written many at once.

``RDBStorage.create_new_trial`` sends two statements for every parameter, attribute and epoch: ten
thousand trials take it minutes. These go through the same models of Optuna's, in a few statements
for all; a test holds the one against the other.
"""

import json
from collections.abc import Iterator, Sequence

from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.orm import Session


def create_trials(session: Session, study_id: int, frozen: Sequence[FrozenTrial]) -> list[int]:
    """Write trials of a study that nobody else writes trials of; returns their ids.

    Args:
        session: Optuna's, within ``Store.transaction``.
        study_id: The study.
        frozen: The trials, each with its number in the study.
    """
    made = [
        models.TrialModel(
            study_id=study_id,
            number=trial.number,
            state=trial.state,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
        )
        for trial in frozen
    ]
    session.add_all(made)
    session.flush()  # gives them their ids
    ids = [row.trial_id for row in made]
    for trial_id, trial in zip(ids, frozen, strict=True):
        session.add_all(_parts(trial_id, trial))
    session.flush()
    return ids


def _parts(trial_id: int, trial: FrozenTrial) -> Iterator[models.BaseModel]:
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        yield models.TrialValueModel(
            trial_id=trial_id, objective=objective, value=stored, value_type=kind
        )
    for name, distribution in trial.distributions.items():
        yield models.TrialParamModel(
            trial_id=trial_id,
            param_name=name,
            param_value=distribution.to_internal_repr(trial.params[name]),
            distribution_json=distribution_to_json(distribution),
        )
    for model, attributes in (
        (models.TrialUserAttributeModel, trial.user_attrs),
        (models.TrialSystemAttributeModel, trial.system_attrs),
    ):
        for key, attribute in attributes.items():
            yield model(trial_id=trial_id, key=key, value_json=json.dumps(attribute))
    for step, accuracy in trial.intermediate_values.items():
        value_at, kind_at = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(
            accuracy
        )
        yield models.TrialIntermediateValueModel(
            trial_id=trial_id,
            step=step,
            intermediate_value=value_at,
            intermediate_value_type=kind_at,
        )
