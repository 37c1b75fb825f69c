"""Runs that others logged, made into the trials of a study."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from tuner.search.foreign.exports.cells import Setting
from tuner.search.foreign.exports.ranges import drawn, spanned
from tuner.search.foreign.record import Direction, StudyRecord
from tuner.wording import count


@dataclass(frozen=True)
class Run:
    """One training with its settings and results.

    Args:
        state: How it ended.
        params: Name of each parameter -> its value.
        results: Name of each metric -> its last value, which may be NaN or infinite.
        history: Name of each metric -> step -> value, where it is known.
        start: When it began, where that is known.
        complete: When it ended, where that is known.
        number: Of its trial; None where the storage numbers none.
        distributions: Name of each parameter that was drawn -> what from, where it is known.
        system_attrs: What Optuna wrote about it, where it is known: constraints, whether its
            setting was enqueued, marks of its sampler.
    """

    state: TrialState
    params: Mapping[str, Setting]
    results: Mapping[str, float]
    history: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    start: datetime | None = None
    complete: datetime | None = None
    number: int | None = None
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    system_attrs: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where runs come from, and what is known of all of them.

    Args:
        where: The storage, for messages.
        objectives: The metrics that were optimized; empty where that is not known: then every
            metric of any run is one.
        directions: Of the objectives; empty where the storage does not say.
        notes: What must be said of how they were read.
    """

    where: str
    objectives: tuple[str, ...] = ()
    directions: tuple[Direction, ...] = ()
    notes: tuple[str, ...] = ()


def study_of_runs(name: str, runs: Sequence[Run], source: Source) -> StudyRecord:
    """The runs as trials, in the order of their numbers, else of their starts, else as given.

    A trial that has one of several objectives has NaN for those that it lacks. One that is said
    to be complete and has a number for none is a failed one, as Optuna holds it.
    """
    ordered = _ordered(runs)
    objectives = source.objectives or tuple(
        dict.fromkeys(metric for run in ordered for metric in run.results)
    )
    known = _drawn(ordered)
    ranges_known = known is not None
    trials = tuple(
        _trial(position if run.number is None else run.number, run, objectives)
        for position, run in enumerate(ordered)
    )
    notes = [*source.notes, *_without_result(ordered, trials, source.where)]
    if known is None:
        spans = spanned([run.params for run in ordered])
        known = [(params, spans.distributions) for params in spans.params]
        notes.append(f"{source.where}: ranges are not in it; those shown are of the values seen")
    for trial, (params, distributions) in zip(trials, known, strict=True):
        trial.params = dict(params)
        trial.distributions = {each: distributions[each] for each in params}
    return StudyRecord(
        name=name,
        trials=trials,
        objectives=objectives,
        directions=source.directions,
        ranges_known=ranges_known,
        notes=tuple(notes),
    )


def _drawn(
    runs: Sequence[Run],
) -> list[tuple[Mapping[str, Setting], Mapping[str, BaseDistribution]]] | None:
    """What each run drew, and what from; None where that is not known of each that has params."""
    found = [(drawn(run.params, run.distributions), run) for run in runs]
    if not any(run.distributions for run in runs) or any(
        params is None or (run.params and not run.distributions) for params, run in found
    ):
        return None
    return [(params or {}, run.distributions) for params, run in found]


def _ordered(runs: Sequence[Run]) -> list[Run]:
    numbers = [run.number for run in runs if run.number is not None]
    if len(numbers) == len(runs):
        return [run for _, run in sorted(zip(numbers, runs, strict=True), key=lambda it: it[0])]
    starts = [run.start for run in runs if run.start is not None]
    aware = {start.tzinfo is not None for start in starts}
    if len(starts) == len(runs) and len(aware) == 1:
        return [run for _, run in sorted(zip(starts, runs, strict=True), key=lambda it: it[0])]
    return list(runs)


def _trial(number: int, run: Run, objectives: tuple[str, ...]) -> FrozenTrial:
    values = _values(run, objectives)
    lost = run.state == TrialState.COMPLETE and values is None
    complete = run.complete if run.state.is_finished() else None
    if run.start and complete and (run.start.tzinfo is None) != (complete.tzinfo is None):
        complete = None
    one = objectives[0] if len(objectives) == 1 else None
    return FrozenTrial(
        number=number,
        state=TrialState.FAIL if lost else run.state,
        value=None,
        values=values,
        datetime_start=run.start,
        datetime_complete=complete,
        params={},
        distributions={},
        user_attrs={},
        system_attrs=dict(run.system_attrs),
        intermediate_values=dict(run.history.get(one, {})) if one is not None else {},
        trial_id=number,
    )


def _values(run: Run, objectives: tuple[str, ...]) -> list[float] | None:
    if run.state not in (TrialState.COMPLETE, TrialState.PRUNED):
        return None
    values = [run.results.get(objective, math.nan) for objective in objectives]
    return None if all(map(math.isnan, values)) else values


def _without_result(
    runs: Sequence[Run], trials: Sequence[FrozenTrial], where: str
) -> tuple[str, ...]:
    lost = [
        trial.number for run, trial in zip(runs, trials, strict=True) if run.state != trial.state
    ]
    if not lost:
        return ()
    numbers = ", ".join(map(str, lost[:5])) + (", ..." if len(lost) > 5 else "")
    return (
        f"{where}: "
        + count(
            len(lost),
            "trial that ended well has no result and counts as failed",
            "trials that ended well have no result and count as failed",
        )
        + f" (trial {numbers})",
    )
