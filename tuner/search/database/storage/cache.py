"""Optuna's cache of trials, which can be told of trials whose study it has not read."""

from collections.abc import Mapping
from typing import Self

from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState, create_trial


class Cache(_CachedStorage):
    """Optuna's own. It sets parameters of those trials only that it has seen."""

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._names: dict[int, str] = {}

    def of(self, study_id: int, study_name: str) -> Self:
        """This, or an empty one if it may remember another study of that number.

        SQLite gives the number of a deleted study again, and what is remembered of the old one
        would be taken for the new one's.
        """
        if self._names.setdefault(study_id, study_name) == study_name:
            return self
        return type(self)(self._backend).of(study_id, study_name)

    def see(self, study_id: int, numbers: Mapping[int, int]) -> None:
        """See trials that are not finished, and no others of their study.

        Args:
            study_id: The study.
            numbers: Trial id -> its number in the study.
        """
        self.get_study_directions(study_id)  # it knows of the study from now on
        with self._lock:
            known = self._trial_id_to_study_id_and_number
            new = [_unread(*each) for each in numbers.items() if each[0] not in known]
            self._add_trials_to_cache(study_id, new)


def _unread(trial_id: int, number: int) -> FrozenTrial:
    """A trial in the place of one that is read anew whenever somebody asks, as it may change."""
    trial = create_trial(state=TrialState.WAITING)
    trial._trial_id, trial.number = trial_id, number
    return trial
