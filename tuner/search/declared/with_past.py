"""A storage whose studies seem to have begun with trials of another study."""

from collections.abc import Container, Sequence
from copy import copy
from typing import Any, cast

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState


class _WithPast:
    """The storage, but that some trials come before all others; nothing of them is written.

    Numbers of the study's own trials are those after them: samplers order trials by number.
    """

    def __init__(self, storage: BaseStorage, past: Sequence[FrozenTrial]) -> None:
        self._storage, self._past = storage, [copy(trial) for trial in past]
        for number, trial in enumerate(self._past):
            trial.number = number

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        own = self._storage.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        later = [copy(trial) for trial in own]
        for trial in later:
            trial.number += len(self._past)
        past = [trial for trial in self._past if states is None or trial.state in states]
        return [*past, *later]

    def __getattr__(self, name: str) -> Any:  # Any: whatever the storage has of that name
        return getattr(self._storage, name)


def with_past(storage: BaseStorage, past: Sequence[FrozenTrial]) -> BaseStorage:
    """The storage as a sampler is to see it, if a search begins from ``past``; itself if not."""
    return cast(BaseStorage, _WithPast(storage, past)) if past else storage
