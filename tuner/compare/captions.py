"""The figures' captions: what this comparison's figures show, and which arms they leave out."""

from collections.abc import Collection, Iterator, Mapping

from tuner.compare import shown, words
from tuner.compare.arm import DEFAULTS
from tuner.compare.comparison import Comparison
from tuner.compare.evidence.budgets import AXES, known_axes
from tuner.compare.figures import banded, curves_shown, scores_shown
from tuner.compare.incumbents import outside

METHODS = {
    "fANOVA": "fANOVA asks what explains all trials' scores.",
    "PED-ANOVA": "PED-ANOVA asks what it takes to be among the best tenth.",
}


def captions(comparison: Comparison) -> dict[str, str]:
    """Name of each figure -> its caption; only ``tuning_curves`` without details."""
    found = {"tuning_curves": " ".join(_tuning_curves(comparison))}
    if not comparison.details:
        return found
    found["budgets"] = " ".join(_budgets(comparison))
    found["distribution"] = " ".join(_distribution(comparison))
    for name, arms, caption in (
        ("repeated_searches", shown.traces(comparison), _repeated),
        ("filters", shown.filters(comparison), _filters),
        ("flip_ratio", shown.flips(comparison), _flips),
        ("importance", shown.importances(comparison), _importance),
    ):
        if arms:
            found[name] = " ".join(caption(comparison))
    return found


def _tuning_curves(comparison: Comparison) -> Iterator[str]:
    arms, level = curves_shown(comparison), words.level(comparison.protocol)
    curves, steps = [arm for arm in arms if arm.curve], [arm for arm in arms if not arm.curve]
    if curves:
        yield "Expected best of k random trials, unbiased."
    if any(map(banded, curves)):
        yield f"Shaded: bands that hold the whole curve with {level} confidence."
    at_k = [point for arm in curves for point in arm.best_of if point.k == comparison.k]
    if at_k:
        sure = [point.low is not None for point in at_k]
        interval = f", with its own {level} interval" if any(sure) else ""
        enough = "" if all(sure) or not interval else " where there are trials enough"
        yield f"Marked: the expected best of k* trials{interval}{enough}."
    if steps:
        yield f"Steps: the best score so far ({', '.join(arm.name for arm in steps)})."
    yield from _target(comparison)
    yield from _left_out(comparison, {arm.name for arm in arms})
    yield from _beside(comparison)


def _beside(comparison: Comparison) -> Iterator[str]:
    """About the panel of test scores."""
    arms = scores_shown(comparison)
    if not arms:
        return
    runs = [arm.retrained for arm in arms if arm.retrained]
    told = "Beside it, incumbents trained again with fresh seeds: each run, and the mean"
    sure = any(run.test.interval for run in runs)
    yield told + (f" with its {words.level(comparison.protocol)} interval." if sure else ".")
    beyond = outside(arms, comparison.protocol.unit)
    yield from _listed("Further to the left than the panel reaches, at an arrow", beyond)
    there = {arm.name for arm in arms}
    yield from _listed(
        "Not beside it",
        {
            arm.name: "repeated searches" if arm.retrained else "not retrained"
            for arm in comparison.arms
            if arm.name not in there
        },
    )


def _budgets(comparison: Comparison) -> Iterator[str]:
    details = shown.searched_once(comparison)
    curves = [curve for one in details for curve in one.budgets if curve.x.size]
    missing = [axis for axis in AXES if axis not in known_axes(curves)]
    unknown = f"; their {' and '.join(missing)} are not known" if missing else ""
    yield f"The same arms against what their trials cost{unknown}."
    if any(curve.independent and curve.axis != "trials" for curve in curves):
        yield "k random trials cost k times the mean trial."
    if any(curve.low is not None for curve in curves):
        yield f"Shaded: the curves' {words.level(comparison.protocol)} bands."
    steps = {curve.arm for curve in curves if not curve.independent}
    if steps:
        pruned = any(one.arm.pruned.any() for one in details if one.arm.name in steps)
        told = ", pruned ones included" if pruned else ""
        yield f"Steps: the best score so far, at what the trials really cost{told}."
    yield from _target(comparison)
    yield from _left_out(comparison, {one.arm.name for one in details})


def _distribution(comparison: Comparison) -> Iterator[str]:
    arms = [one.arm for one in shown.searched_once(comparison)]
    yield "The share of trials that score this or less; marked: the median."
    if any(arm.failed.any() for arm in arms):
        yield "Failed trials stay in, at chance or the worst score."
    if any(arm.independent for arm in arms):
        some = "" if all(arm.independent for arm in arms) else ", where trials are independent"
        level = words.level(comparison.protocol)
        yield f"Shaded: a {level} band of the whole distribution{some}."
    yield from _left_out(comparison, {arm.name for arm in arms})


def _repeated(comparison: Comparison) -> Iterator[str]:
    arms = shown.traces(comparison)
    yield "Searches repeated: the median of their best scores so far."
    if any(one.low is not None for one in arms.values()):
        every = all(one.low is not None for one in arms.values())
        enough = "" if every else ", where there are repeats enough"
        level = words.level(comparison.protocol)
        yield f"Shaded: its {level} interval at each number of trials{enough}."
    if any(one.lengths.min() < one.lengths.max() for one in arms.values()):
        yield "A search that ended earlier keeps its best."
    yield from _listed(
        "Left out",
        {
            arm.name: "no search" if arm.sampler == DEFAULTS else "searched once"
            for arm in comparison.arms
            if arm.name not in arms
        },
    )


def _filters(comparison: Comparison) -> Iterator[str]:
    arms = shown.filters(comparison)
    yield "Each trial in the plane of its filter, coloured by its score: the darker, the better."
    if any((one.any_violated & one.real).any() for one in arms.values()):
        yield (
            "Hollow: a condition of the equivalence is violated, so its filter does not tell all."
        )
    yield from _left_out(comparison, arms, "no trial with a real filter")


def _flips(comparison: Comparison) -> Iterator[str]:
    arms = shown.flips(comparison)
    yield (
        "Share of weights that flip in a step, measured in the last epochs, against the law for "
        "gradients that are white noise. Dashed: both are the same."
    )
    if any((one.any_violated & one.flipped).any() for one in arms.values()):
        yield "Hollow: a condition of the equivalence is violated."
    if not all(one.flipped.all() for one in arms.values()):
        yield "A trial is missing where the law says nothing or no flip was measured."
    yield from _left_out(comparison, arms, "no trial with both flip ratios")


def _importance(comparison: Comparison) -> Iterator[str]:
    arms = shown.importances(comparison)
    rankings = [ranking for one in arms.values() for ranking in one.rankings.values()]
    shares = [share for ranking in rankings for share in ranking.shares.values()]
    level = words.level(comparison.protocol)
    intervals = any(share.interval for share in shares)
    yield f"Share of the importance{f', with {level} bootstrap intervals' if intervals else ''}."
    for method in dict.fromkeys(name for one in arms.values() for name in one.rankings):
        if method in METHODS:
            yield METHODS[method]
    yield from _left_out(comparison, arms, "no importance computed")


def _target(comparison: Comparison) -> Iterator[str]:
    if comparison.protocol.target is not None:
        yield "Dashed: the target."


def _left_out(
    comparison: Comparison, drawn: Collection[str], otherwise: str = "not drawn"
) -> Iterator[str]:
    """The arms that are not drawn: they are no single searches, or for another reason."""
    single = {arm.name for arm in curves_shown(comparison)}
    yield from _listed(
        "Left out",
        {
            arm.name: otherwise
            if arm.name in single
            else "no search"
            if arm.sampler == DEFAULTS
            else "repeated searches"
            for arm in comparison.arms
            if arm.name not in drawn
        },
    )


def _listed(start: str, reasons: Mapping[str, str]) -> Iterator[str]:
    """A sentence: ``Left out: old, older (not retrained); none (no search)``."""
    found = {
        reason: ", ".join(name for name, why in reasons.items() if why == reason)
        for reason in reasons.values()
    }
    if found:
        yield f"{start}: {'; '.join(f'{names} ({why})' for why, names in found.items())}."
