"""Any Optuna study as an arm of a comparison, whoever made it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.compare.arm import Arm
from tuner.compare.statistics.batches import batch_of
from tuner.errors import InvalidInput, UnknownName
from tuner.search.database.opening import connect_optuna, normalise
from tuner.search.results.records import epochs_of, filters_of
from tuner.search.results.scores import failures, score

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class ForeignArm:
    """A study as an arm.

    Args:
        arm: Its finished trials, turned so that higher is better.
        minimized: Whether they were turned, so that a score is the value with the opposite sign.
        notes: What was done to them, for the reader of the comparison.
        trials: The finished trials, in the arm's order.
        workload: What was trained, if the study says so: those of this software do.
    """

    arm: Arm
    minimized: bool
    notes: tuple[str, ...]
    trials: tuple[FrozenTrial, ...]
    workload: Mapping[str, object] | None = None


def foreign_arm(
    address: str, *, name: str | None = None, direction: Direction | None = None
) -> ForeignArm:
    """The finished trials of an Optuna study as an arm.

    Failed trials, and those that ended without a finite value, score the worst value that the
    study saw; pruned trials score their last reported value; unfinished trials are left out.

    Args:
        address: ``URL::STUDY``, such as ``sqlite:///a.db::old``.
        name: What to call the arm; the study's name if not given.
        direction: ``"maximize"`` or ``"minimize"`` in place of the study's own direction.

    Raises:
        InvalidInput: If the address is malformed, the study has several objectives, or none of
            its trials has a value.
        UnknownName: If the database holds no such study.
        DatabaseProblem: If the database cannot be read.
    """
    url, separator, study_name = address.rpartition("::")
    if not separator or not url or not study_name:
        raise InvalidInput(
            f"study {address!r}: write DATABASE::STUDY, such as sqlite:///a.db::old"
        )
    storage = connect_optuna(normalise(url), must_exist=True, foreign=True)
    try:
        names = optuna.get_all_study_names(storage)
        if study_name not in names:
            raise UnknownName(f"study in {url}", study_name, names)
        study = optuna.load_study(study_name=study_name, storage=storage)
        if len(study.directions) > 1:
            raise InvalidInput(
                f"study {study_name!r} has {len(study.directions)} objectives; "
                "only studies with one can be compared"
            )
        trials = study.get_trials(deepcopy=False)
        declared = "minimize" if study.direction == StudyDirection.MINIMIZE else "maximize"
        said = study.user_attrs.get("spec")  # ours is a table; others may call anything so
        spec = said if isinstance(said, dict) and isinstance(said.get("arm"), dict) else {}
    finally:
        storage.remove_session()
        storage.engine.dispose()
    minimized = (direction or declared) == "minimize"
    sampler = spec.get("arm", {}).get("sampler", "unknown")
    found = _arm(trials, name=name or study_name, minimized=minimized, sampler=sampler)
    notes = found.notes
    if direction not in (None, declared):
        told = f"{found.arm.name}: the study says {declared}; --direction {direction} overrides it"
        notes = (told, *notes)
    return replace(found, notes=notes, workload=spec.get("workload"))


def check_workloads(arms: Sequence[ForeignArm]) -> None:
    """Refuse studies that say that they trained different workloads.

    Raises:
        InvalidInput: Names the studies and what differs.
    """
    known = [(each.arm.name, each.workload) for each in arms if each.workload is not None]
    for name, workload in known[1:]:
        first, reference = known[0]
        for field in sorted({*workload, *reference}):
            ours, theirs = reference.get(field), workload.get(field)
            if ours != theirs:
                raise InvalidInput(
                    f"studies {first!r} and {name!r} trained different workloads ({field}: "
                    f"{ours!r} and {theirs!r}), so their scores do not compare"
                )


def _arm(trials: list[FrozenTrial], *, name: str, minimized: bool, sampler: str) -> ForeignArm:
    ended = [trial for trial in trials if trial.state.is_finished()]
    failed = failures(ended)
    seconds = np.array([_seconds(trial) for trial in ended])
    arm = Arm(
        name=name,
        scores=score(ended, name, sign=-1 if minimized else 1),
        seconds=seconds,
        failed=failed,
        pruned=np.array([trial.state == TrialState.PRUNED for trial in ended]),
        sampler=sampler,
        ranges=_ranges(ended),
        epochs=epochs_of(ended),
        batch=batch_of(seconds) if all(_run(trial) for trial in ended) else None,
        filters=filters_of(ended) if ended else None,
    )
    notes = []
    if left_out := len(trials) - len(ended):
        notes.append(f"{name}: {left_out} unfinished trials are left out")
    if without := sum(trial.state == TrialState.FAIL for trial in ended):
        notes.append(
            f"{name}: {without} failed trials score the worst value seen, 0 for accuracies"
        )
    if minimized:
        notes.append(f"{name}: minimized, so its values are shown with the opposite sign")
    if arm.filters is None:
        notes.append(
            f"{name}: its trials recorded no gradient filter and no epochs, so the plane of "
            "filters, the redundancy and the budget in epochs are left out"
        )
    return ForeignArm(arm, minimized, tuple(notes), tuple(ended))


def _run(trial: FrozenTrial) -> dict[str, Any]:  # Any: what our trainer recorded
    """What this software recorded of the trial; empty if another trained it."""
    said = trial.user_attrs.get("run")
    return said if isinstance(said, dict) and isinstance(said.get("seconds"), float) else {}


def _seconds(trial: FrozenTrial) -> float:
    if ours := _run(trial):
        return float(ours["seconds"])  # its batch took longer
    return trial.duration.total_seconds() if trial.duration is not None else math.nan


def _ranges(trials: list[FrozenTrial]) -> dict[str, str]:
    distributions: dict[str, BaseDistribution] = {}
    for trial in trials:
        distributions |= trial.distributions
    return {name: _in_words(kind) for name, kind in distributions.items()}


def _in_words(kind: BaseDistribution) -> str:
    if isinstance(kind, CategoricalDistribution):
        return ", ".join(str(choice).lower() for choice in kind.choices)
    if isinstance(kind, FloatDistribution | IntDistribution):
        return f"{kind.low:g} .. {kind.high:g}" + (", log" if kind.log else "")
    return str(kind)
