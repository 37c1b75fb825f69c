"""The comparison as CSV sheets: arms, contrasts, curves, and every trial with its settings.

Scores are in the studies' own sign, as in ``data``. A text that a spreadsheet would take for a
formula has an apostrophe before it.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.comparison import Comparison
from tuner.compare.contrast import Contrast
from tuner.compare.evidence.details import ArmDetail
from tuner.compare.protocol import Protocol
from tuner.compare.report.own_sign import in_own_sign
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.summary import ArmSummary

SheetRow = tuple[object, ...]

_PAIR_WINS = "share of pairs of searches won, of every two arms"

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a text begins with that a spreadsheet would compute; the last four are = + - @ full wide.

Source: OWASP, CSV Injection.
"""


def sheets(comparison: Comparison) -> dict[str, str]:
    """Name -> CSV text; an unknown value is an empty cell. Needs the comparison's details."""
    comparison = in_own_sign(comparison)
    return {
        "arms": _text(("arm", "sampler", "measure", "value", "low", "high"), _arms(comparison)),
        "contrasts": _text(
            ("first", "second", "measure", "value", "low", "high", "p", "p_holm", "n", "reason"),
            _contrasts(comparison),
        ),
        "curves": _text(
            ("arm", "axis", "budget", "value", "low", "high", "expected"),
            (row for detail in comparison.details for row in _curves(detail)),
        ),
        "trials": _trials([detail.arm for detail in comparison.details]),
    }


def _arms(comparison: Comparison) -> Iterator[SheetRow]:
    for arm in comparison.arms:
        for measure, *numbers in _of_arm(arm, comparison.protocol):
            yield arm.name, arm.sampler, measure, *numbers
    if (many := comparison.many_arms) is not None:
        for name, rank in zip(many.names, many.ranks.ranks, strict=True):
            yield name, "random", "mean rank", float(rank), None, None


def _of_arm(arm: ArmSummary, protocol: Protocol) -> Iterator[SheetRow]:
    yield "trials", arm.n, None, None
    yield "searches", arm.searches, None, None
    yield "trials per search", arm.trials_per_search, None, None
    yield "failed or diverged", arm.failed, None, None
    yield "pruned", arm.pruned, None, None
    yield "best", arm.best, None, None
    yield "training seconds", arm.seconds, None, None
    yield "seconds per trial", arm.seconds_per_trial, None, None
    if arm.median is not None:
        yield "median", *_bounds(arm.median)
    for point in arm.best_of:
        yield words.best_of(point.k, protocol), point.value, point.low, point.high
    if arm.target is not None:
        yield "trials that reach the target", arm.target.hits, None, None
        yield "share that reaches the target", *_bounds(arm.target.share)
        if arm.target.trials is not None:
            trials = arm.target.trials
            yield "trials for 95% success", trials.value, trials.low, trials.high
            yield "seconds for 95% success", arm.target.seconds, None, None
    if arm.selected is not None:
        yield "settings selected, trained afresh", arm.selected.n, None, None
        yield "median of the settings selected, on test", *_bounds(arm.selected.median)
        yield "lowest of the settings selected, on test", arm.selected.lowest, None, None
    if arm.retrained is not None:
        yield "fresh seeds of the incumbent", arm.retrained.seeds, None, None
        yield "incumbent on validation, median", *_bounds(arm.retrained.val)
        yield "incumbent on test, median", *_bounds(arm.retrained.test)


def _contrasts(comparison: Comparison) -> Iterator[SheetRow]:
    for contrast in comparison.contrasts:
        for measure, *cells in _of_contrast(contrast, comparison.k):
            yield contrast.first, contrast.second, measure, *cells
    if (many := comparison.many_arms) is not None:
        for pair in many.pairs:
            tested = pair.wins, None, None, pair.p, pair.p_holm, many.ranks.n, None
            yield many.names[pair.first], many.names[pair.second], _PAIR_WINS, *tested


def _of_contrast(contrast: Contrast, k: int) -> Iterator[SheetRow]:
    """Measure, value, low, high, p, p by Holm, n, and why a number is missing."""
    if contrast.selected is not None:
        searches = contrast.selected
        measure = "settings selected, trained afresh, median difference"
        yield measure, *_bounds(searches.difference), None, None, searches.n, None
        if searches.other_images is not None:
            wider = _bounds(searches.other_images)
            yield f"{measure}, on other test images", *wider, None, None, searches.n, None
        yield "share of pairs of searches won", searches.wins, *([None] * 4), searches.n, None
    for measure, estimate in (
        (f"best of {k}", contrast.best_of_k),
        (f"best of {k}, no trial outside what was seen", contrast.best_of_k_seen),
        (f"P(best of {k} wins)", contrast.probability),
    ):
        if estimate is not None:
            yield measure, *_bounds(estimate), None, None, None, None
    if contrast.test is not None:
        yield (
            "incumbents on test, mean",
            *_bounds(contrast.test),
            contrast.test_p,
            contrast.test_p_holm,
            None,
            None,
        )
    for measure, estimate in (
        ("incumbents on test, mean, on other test images", contrast.test_other_images),
        ("incumbents on test, median seed", contrast.test_typical),
        (
            "incumbents on test, median seed, on other test images",
            contrast.test_typical_other_images,
        ),
    ):
        if estimate is not None:
            yield measure, *_bounds(estimate), None, None, None, None
    for axis, speedup in contrast.speedups.items():
        yield f"times fewer {axis} to target", *_of_speedup(speedup, None)
    if contrast.repeats is None:
        return
    n, repeats = contrast.repeats.n, contrast.repeats
    yield "best of whole searches", *_bounds(repeats.difference), repeats.p, None, n, None
    for name, mean in zip(
        (contrast.first, contrast.second), repeats.mean_trials or (), strict=False
    ):
        yield f"mean trials to target, {name}", mean, None, None, repeats.logrank_p, None, n, None
    if repeats.speedup is not None:
        yield "times fewer trials to target, whole searches", *_of_speedup(repeats.speedup, n)


def _of_speedup(speedup: Speedup, n: int | None) -> SheetRow:
    return speedup.value, speedup.low, speedup.high, None, None, n, speedup.reason


def _curves(detail: ArmDetail) -> Iterator[SheetRow]:
    for curve in detail.budgets:
        nothing = np.full(curve.x.size, np.nan)
        low, high = (nothing if b is None else b for b in (curve.low, curve.high))
        for x, value, lo, hi in zip(curve.x, curve.value, low, high, strict=True):
            yield curve.arm, curve.axis, x, value, lo, hi, curve.independent


def _trials(arms: Sequence[Arm]) -> str:
    """Every trial; the epochs and the filter have columns where an arm knows them.

    A hyperparameter's column is called as in Optuna's ``trials_dataframe``.
    """
    of_filter = ("alpha", "gamma", "alpha_decay", "violated")
    names = dict.fromkeys(name for arm in arms for trial in arm.settings for name in trial)
    columns = (
        *("arm", "trial", "repeat", "score", "failed", "pruned", "seconds"),
        *(("epochs",) if any(arm.epochs is not None for arm in arms) else ()),
        *(of_filter if any(arm.filters is not None for arm in arms) else ()),
        *(f"params_{name}" for name in names),
    )
    cells = [cell for arm in arms for cell in _of_trials(arm)]
    return _text(columns, ([row.get(column) for column in columns] for row in cells))


def _of_trials(arm: Arm) -> Iterator[Mapping[str, object]]:
    """What is known of each trial, by column."""
    filters = arm.filters
    for i in range(arm.n):
        row: dict[str, object] = {
            "arm": arm.name,
            "trial": i,
            "repeat": 0 if arm.repeat is None else arm.repeat[i],
            "score": arm.scores[i],
            "failed": arm.failed[i],
            "pruned": arm.pruned[i],
            "seconds": arm.seconds[i],
        }
        if arm.epochs is not None:
            row["epochs"] = arm.epochs[i]
        if filters is not None:
            row["alpha"], row["gamma"] = filters.alpha[i], filters.gamma[i]
            row["alpha_decay"], row["violated"] = filters.decay[i], filters.any_violated[i]
        if arm.settings:
            row |= {f"params_{name}": value for name, value in arm.settings[i].items()}
        yield row


def _bounds(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.value, estimate.low, estimate.high


def _text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow([_cell(name) for name in names])
    sheet.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return str(value).lower() if isinstance(value, bool) else value
