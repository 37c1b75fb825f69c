"""Any storage of Optuna's as a mapping of study names to records."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage

from tuner.search.foreign.record import StudyRecord, record_of


@contextmanager
def unwarned() -> Iterator[None]:
    """Without what Optuna warns a study's maker of: what is experimental, deprecated, unusual."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        warnings.filterwarnings("ignore", "Choices for a categorical distribution")
        warnings.filterwarnings("ignore", r"\w+Distribution has been deprecated")
        yield


class OptunaStudies(Mapping[str, StudyRecord]):
    """The studies in a storage, each read when it is asked for.

    Args:
        storage: Optuna's.
        notes: What must be known of how it was opened.
    """

    def __init__(self, storage: BaseStorage, notes: tuple[str, ...] = ()) -> None:
        self._storage, self._notes = storage, notes
        self._names = sorted(optuna.get_all_study_names(storage))

    def __getitem__(self, name: str) -> StudyRecord:
        with unwarned():
            study = optuna.load_study(study_name=name, storage=self._storage)
            return replace(record_of(study), notes=self._notes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
