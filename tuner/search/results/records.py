"""From the records of trials to what ``tuner.compare`` takes: filters, epochs, fresh runs."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_type_hints

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from tuner.compare.arm import SelectedRuns
from tuner.compare.statistics.estimate import Bools, Floats
from tuner.compare.trial_filters import TrialFilters
from tuner.trial import DataCounts

_LAST_EPOCHS = 3
"""The flip ratio is that of the last epochs: it starts higher, from a random start."""


def filters_of(trials: Sequence[FrozenTrial]) -> TrialFilters | None:
    """The gradient filter of each trial, NaN where it has none; None if no trial recorded any.

    The law speaks of the epochs that were measured only where alpha is constant.
    """
    runs = [_part(trial.user_attrs, "run") for trial in trials]
    records = [_part(run, "filter") for run in runs]
    if not any(records):
        return None
    names = dict.fromkeys(c["name"] for record in records for c in record.get("conditions", ()))
    broken = [
        {c["name"] for c in record.get("conditions", ()) if c["holds"] is False}
        for record in records
    ]
    points = [_point(record) for record in records]
    decays = [str(_part(record, "schedule").get("kind", "unknown")) for record in records]
    laws = [
        _number(record.get("flip_ratio")) if decay == "constant" else math.nan
        for record, decay in zip(records, decays, strict=True)
    ]
    return TrialFilters(
        alpha=np.array([alpha for alpha, _ in points]),
        gamma=np.array([gamma for _, gamma in points]),
        learning_rate=_setting(runs, "learning_rate"),
        weight_decay=_setting(runs, "weight_decay"),
        decay=tuple(decays),
        violated={name: np.array([name in violations for violations in broken]) for name in names},
        flip_ratio_law=np.array(laws),
        flip_ratio_measured=np.array([_measured(run) for run in runs]),
    )


def epochs_of(trials: Sequence[FrozenTrial]) -> Floats:
    """Epochs that each trial was trained, pruned ones included, shape [n]; NaN where unknown."""
    curves = [_part(_part(trial.user_attrs, "run"), "curve") for trial in trials]
    return np.array([len(curve.get("epoch", ())) or math.nan for curve in curves], dtype=float)


def code_of(trials: Sequence[FrozenTrial]) -> tuple[str, ...]:
    """The versions of the user's own code that the trials ran, in the order of their first."""
    codes = [_part(trial.user_attrs, "run").get("code") for trial in trials]
    return tuple(dict.fromkeys(code for code in codes if isinstance(code, str)))


def data_of(trials: Sequence[FrozenTrial]) -> tuple[DataCounts, ...]:
    """What data of the user's own the trials were trained on, in the order of their first."""
    runs = [_part(trial.user_attrs, "run") for trial in trials]
    return tuple(dict.fromkeys(found for run in runs if (found := counts_of(run)) is not None))


def counts_of(run: Mapping[str, Any]) -> DataCounts | None:  # Any: decoded JSON
    """How much data a trial was trained on, by its record; ``None`` if that is not said."""
    data = _part(run, "data")
    if not data or {name: type(value) for name, value in data.items()} != get_type_hints(
        DataCounts
    ):
        return None
    return DataCounts(**data)


def selected_runs(
    trials: Sequence[FrozenTrial],
    *,
    planned: int,
    k: int | None,
    minimized: bool = False,
    worst: float | None = 0.0,
) -> SelectedRuns | None:
    """What an arm's searches selected, trained afresh; one that failed has the worst score.

    Those that were cancelled are none.

    Args:
        trials: Of the study that trained them.
        planned: Searches declared.
        k: Trials of each; ``None`` of whole searches.
        minimized: Whether a lower value is better; scores have the opposite sign then.
        worst: What a run without a value scores; the worst of these if ``None``.
    """
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.FAIL)]
    last = {trial.user_attrs["index"]: trial for trial in ended}  # a retried one comes after
    runs = {i: trial for i, trial in last.items() if not trial.user_attrs.get("cancelled")}
    if not runs:
        return None
    sign = -1.0 if minimized else 1.0
    validated = sign * _numbers(trial.value for trial in runs.values())
    tested = sign * _numbers(trial.user_attrs.get("test_accuracy") for trial in runs.values())
    if worst is None and not np.isfinite([validated, tested]).any(axis=1).all():
        return None
    return SelectedRuns(
        search=np.array(list(runs)),
        val=_known(validated, worst),
        test=_known(tested, worst),
        planned=planned,
        k=k,
        hits=hits_of(list(runs.values())),
    )


def hits_of(trials: Sequence[FrozenTrial]) -> Bools | None:
    """Hits of each run, shape [m, M], nothing where it diverged; ``None`` where none wrote any."""
    rows = [unpacked(trial.user_attrs.get("test_hits")) for trial in trials]
    sizes = {row.size for row in rows if row.size}
    if len(sizes) != 1:
        return None
    nothing = np.zeros(sizes.pop(), dtype=np.bool_)
    return np.array([row if row.size else nothing for row in rows])


def unpacked(written: object) -> Bools:
    """What ``batch.packed`` wrote of a trial's test images; empty where it wrote nothing."""
    if not isinstance(written, dict):
        return np.zeros(0, dtype=np.bool_)
    bits = np.frombuffer(base64.b64decode(written["bits"]), dtype=np.uint8)
    return np.unpackbits(bits, count=written["n"]).astype(np.bool_)


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:  # Any: decoded JSON
    """What is written under that name; nothing, if other software calls something else so."""
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _point(record: Mapping[str, Any]) -> tuple[float, float]:  # Any: decoded JSON
    alpha, gamma = _number(record.get("alpha")), _number(record.get("gamma"))
    inside = record.get("real") and 0 < alpha <= 1 and 0 < gamma <= 1
    return (alpha, gamma) if inside else (math.nan, math.nan)


def _setting(runs: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.array([_number(_part(run, "settings").get(name)) for run in runs])


def _measured(run: Mapping[str, Any]) -> float:
    flips = [_number(x) for x in _part(run, "curve").get("flip_ratio", ())][-_LAST_EPOCHS:]
    return math.fsum(flips) / len(flips) if flips else math.nan


def _numbers(values: Iterable[Any]) -> Floats:  # Any: decoded JSON
    return np.array([_number(value) for value in values], dtype=np.float64)


def _known(scores: Floats, worst: float | None) -> Floats:
    """The scores, higher ones better; those that are not known are the worst."""
    known = np.isfinite(scores)
    least = scores[known].min() if worst is None else worst
    return np.where(known, scores + 0.0, least)  # no -0


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
