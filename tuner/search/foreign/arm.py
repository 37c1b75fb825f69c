"""A study that others made as an arm of a comparison."""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from tuner.compare.arm import Arm, SelectedRuns
from tuner.compare.statistics.batches import batch_of
from tuner.compare.statistics.estimate import Bools, Floats
from tuner.errors import InvalidInput
from tuner.search.declared.arm_spec import Searching
from tuner.search.declared.carried import began_from
from tuner.search.foreign.draws import draws
from tuner.search.foreign.independence import doubt, marked_sampler, uneven
from tuner.search.foreign.objectives import objective_number
from tuner.search.foreign.ranges import ranges, settings
from tuner.search.foreign.record import Direction, StudyRecord
from tuner.search.results.records import epochs_of, filters_of, selected_runs
from tuner.search.results.scores import GREATEST, NothingToCompare, failures, score, values
from tuner.wording import count, setting
from tuner.workload import ACCURACY

SAMPLERS: tuple[str, ...] = (*get_args(Searching), "other")
"""What may be said to have drawn the trials of a study that does not say so itself."""


@dataclass(frozen=True)
class Reading:
    """How studies are read, where they do not say it or say otherwise.

    Args:
        direction: ``"maximize"`` or ``"minimize"`` in place of a study's own.
        sampler: In place of the one that a study names.
        objective: The name, or the number from 0, of the objective that is compared.
        last_reports: Whether a pruned trial's last reported value is its result; else it has none.
    """

    direction: Direction | None = None
    sampler: str | None = None
    objective: str | None = None
    last_reports: bool = False


AS_IT_STANDS = Reading()


@dataclass(frozen=True)
class ForeignArm:
    """A study as an arm.

    Args:
        arm: Its draws, turned so that higher is better.
        without: Whether each has no result, and the worst score in its stead, shape [n].
        minimized: Whether they were turned, so that a score is the value with the opposite sign.
        notes: What was done to them, for the reader of the comparison.
        trials: The draws, in the arm's order.
        workload: What was trained, if the study says so: those of this software do.
        looks: The comparison of ours it belongs to, and after how many searches of each arm that
            is looked at.
    """

    arm: Arm
    without: Bools
    minimized: bool
    notes: tuple[str, ...]
    trials: tuple[FrozenTrial, ...]
    workload: Mapping[str, object] | None = None
    looks: tuple[str, tuple[int, ...]] | None = None


def arm_of(
    record: StudyRecord, *, name: str | None = None, reading: Reading = AS_IT_STANDS
) -> ForeignArm:
    """The finished trials of a study as an arm.

    Failed trials, infeasible ones (a constraint above 0), pruned ones and those that ended
    without a finite value have no result and score the worst value that the study saw. Unfinished
    trials are left out, and so is what is no draw of the sampler (``draws``). Trials that bear
    the marks of another sampler, or do what random search does not (``doubt``), are not taken for
    random draws, whoever says so.

    Args:
        record: The study.
        name: What to call the arm; the study's name if not given.
        reading: How to read it.

    Raises:
        InvalidInput: If the study has several objectives and none is chosen, nobody says whether
            it minimizes or maximizes, or none of its trials has a value.
        UnknownName: If it has no such objective.
    """
    called = name or record.name
    objective = objective_number(record, reading.objective)
    minimized = _minimized(record, objective, called, reading.direction)
    read = [_as_read(trial, objective, reading) for trial in record.trials]
    said = _said_sampler(record)
    sampler = reading.sampler or said
    marked = marked_sampler(record) if record.ours is None else None
    finished = [trial for trial in read if trial.state.is_finished()]
    ended, left_out = draws(finished, called, random=sampler == "random" and marked is None)
    _check_results(record, ended, called)
    scores = score(ended, called, sign=-1 if minimized else 1)
    believed, doubts = sampler, list[str]()
    if sampler == "random" and record.ours is None:
        believed, doubts = _believed(record, called, marked, ended, scores, minimized=minimized)
    arm = _arm(record, called, ended, scores, believed)
    notes = [*record.notes, *_overridden(record, called, objective, said, reading)]
    notes += _unfinished(called, len(read) - len(finished)) + left_out
    worst = f"the worst value seen, {int(minimized)} for accuracies"
    notes += _without_result(called, record, ended, reading, worst)
    notes += doubts
    if record.ours is not None and arm.filters is None:
        notes.append(
            f"{called}: its trials recorded no gradient filter and no epochs, so the plane of "
            "filters, the redundancy and the budget in epochs are left out"
        )
    return ForeignArm(
        arm=replace(
            arm,
            selected=_selected(record, objective, minimized=minimized),
            carried=began_from((record.ours or {}).get("arm"), record.trained),
        ),
        without=~np.isfinite(values(ended)),
        minimized=minimized,
        notes=tuple(notes),
        trials=tuple(ended),
        workload=(record.ours or {}).get("workload"),
        looks=_looks(record),
    )


def _minimized(
    record: StudyRecord, objective: int, name: str, direction: Direction | None
) -> bool:
    if direction is None and objective >= len(record.directions):
        raise InvalidInput(
            f"study {name!r}: nothing says whether lower or higher values are better; add "
            f"{setting('direction', 'minimize')} or {setting('direction', 'maximize')}"
        )
    return (direction or record.directions[objective]) == "minimize"


def _as_read(trial: FrozenTrial, objective: int, reading: Reading) -> FrozenTrial:
    """The trial with the value of one objective, or without any where it has no result."""
    violated = _violated(trial)
    pruned = trial.state == TrialState.PRUNED
    several = trial.values is not None and len(trial.values) > 1
    if not (violated or pruned or several):
        return trial
    found = copy(trial)
    if violated and trial.state == TrialState.COMPLETE:
        found.state = TrialState.FAIL
    if several:
        found.values = [trial.values[objective]]
    if pruned:
        found.values = None
        if violated or not reading.last_reports:
            found.intermediate_values = {}
    return found


def _violated(trial: FrozenTrial) -> bool:
    """Whether a constraint is above 0: a sampler listed them, or the trial set each by name."""
    listed = trial.system_attrs.get("constraints")
    limits = list(listed) if isinstance(listed, list | tuple) else []
    limits += [
        limit for name, limit in trial.system_attrs.items() if name.startswith("constraints:")
    ]
    return any(isinstance(limit, float | int) and not limit <= 0 for limit in limits)


def _said_sampler(record: StudyRecord) -> str:
    """What drew the trials, as far as the study tells."""
    arm = (record.ours or {}).get("arm")
    said = arm.get("sampler") if isinstance(arm, dict) else None
    return said if isinstance(said, str) else marked_sampler(record) or "unknown"


def _check_results(record: StudyRecord, ended: Sequence[FrozenTrial], name: str) -> None:
    """Refuse a study without a result, with the reason that its trials have."""
    if np.isfinite(values(ended)).any():
        return
    states = {trial.number: trial.state for trial in record.trials}
    was = [states[trial.number] for trial in ended]
    if not ended:
        running = sum(not trial.state.is_finished() for trial in record.trials)
        raise NothingToCompare(
            f"arm {name!r}: has no finished trial yet"
            + (f", {running:,} running or waiting; wait for the first one" if running else "")
        )
    if all(state == TrialState.PRUNED for state in was):
        raise NothingToCompare(
            f"arm {name!r}: all {count(len(was), 'finished trial was', 'finished trials were')} "
            f"pruned, so none has a result; {setting('last_reports')} takes what was reported last"
        )
    if any(
        trial.state == TrialState.FAIL and state == TrialState.COMPLETE
        for trial, state in zip(ended, was, strict=True)
    ):
        raise NothingToCompare(
            f"arm {name!r}: none of its {count(len(was), 'finished trial')} is a result: what "
            "completed violates a constraint; run the study until one does not"
        )


def _believed(
    record: StudyRecord,
    name: str,
    marked: str | None,
    trials: Sequence[FrozenTrial],
    scores: Floats,
    *,
    minimized: bool,
) -> tuple[str, list[str]]:
    """The sampler that trials said to be of random search count as, and why."""
    if marked is not None:
        reason: str | None = f"they bear the marks of the sampler {marked}"
    else:
        reason = doubt(trials, scores, minimized=minimized)
    if reason is not None:
        return marked or "other", [f"{name}: its trials do not count as random draws: {reason}"]
    words = uneven(trials) if record.ranges_known else None
    if words is None:
        return "random", []
    return "random", [
        f"{name}: {words}; if it was not random search, no interval holds: leave "
        f"{setting('sampler', 'random')} out"
    ]


def _arm(
    record: StudyRecord, name: str, ended: list[FrozenTrial], scores: Floats, sampler: str
) -> Arm:
    ours = ended if record.ours is not None else []
    pruned = np.array([trial.state == TrialState.PRUNED for trial in ended])
    seconds = np.array([_seconds(trial, record) for trial in ended])
    return Arm(
        name=name,
        scores=scores,
        seconds=seconds,
        failed=failures(ended) if ours else ~np.isfinite(values(ended)) & ~pruned,
        pruned=pruned,
        sampler=sampler,
        ranges=ranges(ended),
        epochs=epochs_of(ended) if ours else None,
        batch=batch_of(seconds) if ours and all(_recorded(trial) for trial in ours) else None,
        filters=filters_of(ended) if ours else None,
        settings=tuple(map(settings, ended)),
    )


def _selected(record: StudyRecord, objective: int, *, minimized: bool) -> SelectedRuns | None:
    """What the searches in a study of ours selected, trained afresh, if its storage has it.

    Nothing where somebody says another direction than the one it was selected by.
    """
    spec = record.selected.ours if record.selected is not None else None
    if record.selected is None or spec is None or spec.get("part") != "selected":
        return None
    if _minimized(record, objective, record.name, None) != minimized:
        return None
    accuracy = spec.get("workload", {}).get("metric", ACCURACY) == ACCURACY
    return selected_runs(
        record.selected.trials,
        planned=spec["n_trials"],
        k=spec.get("k"),
        minimized=minimized,
        worst=0.0 if accuracy else None,
    )


def _looks(record: StudyRecord) -> tuple[str, tuple[int, ...]] | None:
    spec = record.selected.ours if record.selected is not None else None
    if spec is None or not spec.get("stages"):
        return None
    return str(spec.get("comparison")), tuple(spec["stages"])


def _overridden(
    record: StudyRecord, name: str, objective: int, said: str, reading: Reading
) -> list[str]:
    """What was said of the study in place of what it says itself."""
    notes = []
    declared = record.directions[objective] if objective < len(record.directions) else None
    if declared is not None and reading.direction not in (None, declared):
        notes.append(
            f"{name}: the study says {declared}; "
            f"{setting('direction', str(reading.direction))} overrides it"
        )
    if reading.sampler not in (None, said) and record.ours is not None:
        given = setting("sampler", str(reading.sampler))
        notes.append(f"{name}: the study says {said}; {given} overrides it")
    return notes


def _unfinished(name: str, number: int) -> list[str]:
    left_out = count(number, "unfinished trial is left out", "unfinished trials are left out")
    return [f"{name}: {left_out}"] if number else []


def _without_result(
    name: str, record: StudyRecord, ended: Sequence[FrozenTrial], reading: Reading, worst: str
) -> list[str]:
    """Which trials have no result of a whole trial, and what stands in its place."""
    notes = []
    states = {trial.number: trial.state for trial in record.trials}
    failed = sum(states[trial.number] == TrialState.FAIL for trial in ended)
    infeasible = sum(trial.state == TrialState.FAIL for trial in ended) - failed
    pruned = sum(trial.state == TrialState.PRUNED for trial in ended)
    backwards = sum(_clock(trial) < 0 for trial in ended)
    completed = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    unbounded = int((~np.isfinite(values(completed))).sum())
    if failed:
        scores = count(failed, "failed trial scores", "failed trials score")
        notes.append(f"{name}: {scores} {worst}")
    if unbounded:
        notes.append(
            f"{name}: {count(unbounded, 'trial')} ended with a value that is infinite or no "
            f"number, or beyond {GREATEST:g}, which is no result; {_scores(unbounded)} {worst}"
        )
    if infeasible:
        notes.append(
            f"{name}: {count(infeasible, 'trial violates', 'trials violate')} a constraint, which "
            f"is no result; {_scores(infeasible)} {worst}"
        )
    if pruned and reading.last_reports:
        notes.append(
            f"{name}: {count(pruned, 'pruned trial scores', 'pruned trials score')} the value "
            "reported last, which is no result of a whole trial"
        )
    elif pruned:
        notes.append(
            f"{name}: "
            + count(pruned, "pruned trial was stopped", "pruned trials were stopped")
            + f" before there was a result; {_scores(pruned)} {worst}; {setting('last_reports')} "
            "takes what was reported last"
        )
    if backwards and record.ours is None:
        notes.append(
            f"{name}: by the machine's clock {count(backwards, 'trial')} ended before the "
            "beginning, as at the end of summer time; how long that took is not known"
        )
    return notes


def _scores(n: int) -> str:
    return "it scores" if n == 1 else "they score"


def _recorded(trial: FrozenTrial) -> float | None:
    """The seconds that this software recorded of a trial of its own: its batch took longer."""
    run = trial.user_attrs.get("run")
    seconds = run.get("seconds") if isinstance(run, dict) else None
    return seconds if isinstance(seconds, float) and seconds >= 0 else None


def _seconds(trial: FrozenTrial, record: StudyRecord) -> float:
    ours = _recorded(trial) if record.ours is not None else None
    if ours is not None:
        return ours
    lasted = _clock(trial)
    return lasted if lasted >= 0 else math.nan


def _clock(trial: FrozenTrial) -> float:
    """Seconds from its beginning to its end by the clock on the wall; NaN where unknown."""
    return trial.duration.total_seconds() if trial.duration is not None else math.nan
