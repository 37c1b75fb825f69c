"""The trials of an arm's searches as their figures draw them, and their reports."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Row, Select, select

from tuner.compare.figures.styles import arm_styles
from tuner.compare.figures.trials.tried import BEST, Searched, Tried, TriedTrial
from tuner.compare.protocol import Protocol
from tuner.search.database.finished import run_of, uncollected
from tuner.search.database.store import Store
from tuner.search.database.tables import DONE, FAILED, studies, trials
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec

MOST_READ = 1000
"""So many trials are read for the figures, however many there are: they take seconds to read."""

Report = Mapping[str, float | None]
"""What is known of a trial after an epoch: ``epoch`` and any of ``FIELDS``."""

FIELDS = ("train_loss", "val_accuracy", "flip_ratio", "seconds")
"""What a trial of ours records after each epoch."""


def tried(store: Store, spec: ComparisonSpec, arm: ArmSpec, study_name: str | None) -> Tried:
    """The trials of an arm's searches that have ended, or some of them if there are very many.

    Those are spread evenly over the order of the searches, and the best are among them. What was
    trained afresh is no search: of such a study nothing was searched.

    Args:
        store: The database.
        spec: The comparison.
        arm: Its arm.
        study_name: Only this study of it.
    """
    ended = _ended(store, spec, arm, study_name)
    protocol = Protocol(unit=spec.workload.unit, minimized=spec.workload.minimized)
    with uncollected():
        some = _some(ended, minimized=spec.workload.minimized)
        read = [_tried_trial(trial, protocol) for trial in _read(store, some)]
    place = [each.name for each in spec.arms].index(arm.name)
    colour = list(arm_styles([each.name for each in spec.arms]).values())[place].colour
    searches = {study.study_name for study in spec.studies()}
    searching = arm.sampler != "defaults" and study_name in (None, *searches)
    return Tried(
        searched={
            name: _searched(distribution)
            for name, distribution in arm.space.distributions.items()
            if searching
        },
        trials=read,
        n_ended=len(ended),
        sampler=arm.sampler if searching else "random",
        colour=colour,
        protocol=protocol,
    )


def reports(trial: FrozenTrial) -> list[Report]:
    """What a trial reported, an epoch after another; of one that has not ended, what is there.

    A trial of ours keeps its whole curve once it has ended; until then, and if it failed, Optuna
    has the validation scores that its worker reported.
    """
    curve = _curve(trial)
    epochs = curve.get("epoch", [])
    if not epochs:
        return [
            {"epoch": epoch, "val_accuracy": value}
            for epoch, value in sorted(trial.intermediate_values.items())
        ]
    columns = {
        name: values for name in FIELDS if len(values := curve.get(name, [])) == len(epochs)
    }
    return [
        {"epoch": epoch, **{name: _number(values[i]) for name, values in columns.items()}}
        for i, epoch in enumerate(epochs)
    ]


def _ended(
    store: Store, spec: ComparisonSpec, arm: ArmSpec, study_name: str | None
) -> Sequence[Row[Any]]:  # Any: a row's columns
    """Number, value and study of each trial that has ended, in the order of the searches."""
    query: Select[Any] = (
        select(trials.c.trial_id, trials.c.value, trials.c.study_name)
        .join(studies, studies.c.study_name == trials.c.study_name)
        .where(studies.c.comparison == spec.name, studies.c.arm == arm.name)
        .where(trials.c.state.in_((DONE, FAILED)))
        .order_by(studies.c.id, trials.c.position)
    )
    of_one = studies.c.study_name == study_name
    query = query.where(studies.c.retrain.is_(False) if study_name is None else of_one)
    with store.reader.connect() as connection:
        return connection.execute(query).all()


def _some(ended: Sequence[Row[Any]], *, minimized: bool) -> list[Row[Any]]:
    """At most ``MOST_READ`` of the trials, the best among them."""
    if len(ended) <= MOST_READ:
        return list(ended)
    spread = np.linspace(0, len(ended) - 1, MOST_READ - BEST).astype(int)
    sign = -1 if minimized else 1
    scores = [-math.inf if row.value is None else sign * row.value for row in ended]
    best = sorted(range(len(ended)), key=scores.__getitem__)[-BEST:]
    return [ended[i] for i in sorted({*map(int, spread), *best})]


def _read(store: Store, rows: Sequence[Row[Any]]) -> Iterator[FrozenTrial]:
    """The trials, without those that were deleted from outside.

    Optuna's own caches read so: all that are asked for at once, which is eight times as fast.
    """
    for study_name, of_study in groupby(rows, key=lambda row: row.study_name):
        ids = [row.trial_id for row in of_study]
        try:
            study_id = store.rdb.get_study_id_from_name(study_name)
        except KeyError:
            continue
        read = store.rdb._get_trials(study_id, None, set(ids), max(ids))
        by_id = {trial._trial_id: trial for trial in read}
        yield from (by_id[trial_id] for trial_id in ids if trial_id in by_id)


def _tried_trial(trial: FrozenTrial, protocol: Protocol) -> TriedTrial:
    points = [
        (epoch, value)
        for report in reports(trial)
        if (value := report.get("val_accuracy")) is not None
        and (epoch := report["epoch"]) is not None
        and math.isfinite(value)
    ]
    failed = trial.state == TrialState.FAIL or trial.value is None
    return TriedTrial(
        params=trial.params,
        score=math.nan if failed else protocol.own(float(trial.value or 0.0)),
        epochs=tuple(float(epoch) for epoch, _ in points),
        values=tuple(protocol.own(float(value)) for _, value in points),
        pruned=trial.state == TrialState.PRUNED,
    )


def _searched(distribution: BaseDistribution) -> Searched:
    match distribution:
        case CategoricalDistribution(choices=choices):
            scalars = tuple(choice for choice in choices if choice is not None)
            return Searched(0.0, len(scalars) - 1.0, choices=scalars)
        case FloatDistribution() | IntDistribution():
            return Searched(float(distribution.low), float(distribution.high), distribution.log)
    raise TypeError(f"a search space has no such distribution: {distribution!r}")


def _curve(trial: FrozenTrial) -> Mapping[str, Any]:  # Any: decoded JSON
    curve = run_of(trial).get("curve")
    return curve if isinstance(curve, dict) else {}


def _number(value: Any) -> float | None:
    """The number that ``batch`` wrote; infinity is a word there."""
    return float(value) if isinstance(value, int | float | str) else None
