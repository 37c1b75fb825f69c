"""What is read of a study, wherever it was kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import optuna
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial
from pydantic import ValidationError

from tuner.search.database.finished import uncollected
from tuner.search.database.marks import FORMAT, MARK
from tuner.search.declared.study_spec import StudySpec
from tuner.search.declared.whole_trials import STORED
from tuner.workload import in_words

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class StudyRecord:
    """A study as it stood when it was read.

    Args:
        name: Its name.
        trials: Its trials by number; a trial that has values has one for each objective.
        objectives: What the values measure; empty where nobody named them.
        directions: Of the objectives; empty where the storage does not say.
        user_attrs: What its maker wrote about it.
        system_attrs: What Optuna wrote about it.
        ranges_known: Whether the distributions of the trials are those they were drawn from, not
            the span of the values seen.
        notes: What the reader of a comparison must know of how it was read.
        selected: What its searches selected, trained afresh: of this software's studies only.
    """

    name: str
    trials: tuple[FrozenTrial, ...]
    objectives: tuple[str, ...] = ()
    directions: tuple[Direction, ...] = ()
    user_attrs: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    ranges_known: bool = True
    notes: tuple[str, ...] = ()
    selected: "StudyRecord | None" = None

    @property
    def ours(self) -> Mapping[str, Any] | None:  # Any: JSON
        """What this software declared of it; None for a study that others made.

        What they call as our attributes are called means nothing without the mark.
        """
        spec = self.user_attrs.get("spec")
        marked = self.user_attrs.get(MARK) == FORMAT
        return spec if marked and isinstance(spec, dict) else None

    @property
    def trained(self) -> str | None:
        """What a study of this software trained, in words; of others nobody knows."""
        try:
            return in_words(StudySpec.model_validate(self.ours, context=STORED).workload)
        except ValidationError:
            return None


def record_of(study: Study) -> StudyRecord:
    """A study of Optuna's as it stands, with what its searches selected if it is one of ours."""
    record = _read(study)
    storage, afresh = study._storage, f"{study.study_name}/selected"
    if record.ours and afresh in optuna.get_all_study_names(storage):
        selected = _read(optuna.load_study(study_name=afresh, storage=storage))
        return replace(record, selected=selected)
    return record


def _read(study: Study) -> StudyRecord:
    said = [_DIRECTIONS.get(direction) for direction in study.directions]
    return StudyRecord(
        name=study.study_name,
        trials=_trials(study),
        objectives=tuple(study.metric_names or ()),
        directions=tuple(each for each in said if each is not None),
        user_attrs=study.user_attrs,
        system_attrs=study._storage.get_study_system_attrs(study._study_id),
    )


def _trials(study: Study) -> tuple[FrozenTrial, ...]:
    with uncollected():
        return tuple(study.get_trials(deepcopy=False))


_DIRECTIONS: dict[StudyDirection, Direction] = {
    StudyDirection.MAXIMIZE: "maximize",
    StudyDirection.MINIMIZE: "minimize",
}
"""Of ``NOT_SET``, which old versions wrote, nothing is known."""
