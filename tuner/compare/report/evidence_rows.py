"""The rows of the tables behind the verdict: optimism, redundancy, importance, as text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from tuner.compare import words
from tuner.compare.evidence.details import ArmDetail
from tuner.compare.evidence.many_arms import ManyArms
from tuner.compare.evidence.redundancy import Redundancy
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.ranking import HELD, Importance, Ranking

FAILS = {
    "linear_in_gradient": "the update is not linear in the gradient",
    "stable": "the weights diverge",
    "real_filter": "there is no real alpha and gamma",
    "bare_gradient": "Nesterov or dampening alters the gradient",
    "constant_gamma": "gamma moves with the learning rate",
    "clip_inactive": "the clip can be reached",
    "scaling_off": "channels are scaled",
    "start_forgotten": "the initial weights are not forgotten",
    "alpha_not_inert": "alpha is inert, too small to matter in the run",
    "log_odds_saturated": "log-odds are so small that they scale the gradient",
}
"""Condition of the equivalence -> what is the case where it does not hold."""

PREDICTS = "rank correlation with "
LAW = "flip ratio, measured / law"

Rows = list[tuple[str, list[str]]]
"""Label, and one cell for each arm."""


PAIR_COLUMNS = ("wins of the first", "p", "p (Holm)")


def ranks_in_words(many: ManyArms) -> str:
    """What the ranks of many arms say, in sentences."""
    pairs, best = len(many.pairs), many.names[int(many.ranks.ranks.argmin())]
    all_alike = (
        "The arms do not all do the same"
        if many.ranks.p < 0.05
        else "That all arms do the same is not ruled out"
    )
    return (
        f"{all_alike} (Friedman, p {words.p_value(many.ranks.p)}, {len(many.names)} arms in "
        f"{many.ranks.n} blocks of one search each); the best mean rank, "
        f"{many.ranks.ranks.min():.2f}, is {best}'s. Of {pairs} pairs {many.told_apart} are told "
        "apart at 5% by Holm."
    )


def pair_rows(many: ManyArms) -> Rows:
    """Every two of many arms: how often the first wins, and the p-values."""
    return [
        (
            f"{many.names[pair.first]} against {many.names[pair.second]}",
            [f"{pair.wins:.2f}", words.p_value(pair.p), words.p_value(pair.p_holm)],
        )
        for pair in many.pairs
    ]


def optimism_rows(details: Sequence[ArmDetail], protocol: Protocol) -> Rows:
    """What the best score of each search promises too much; no rows if nothing was retrained."""
    optimisms = [detail.optimism for detail in details]
    rows = [
        ("best score - fresh validation", [o.selection if o else None for o in optimisms]),
        ("fresh validation - test", [o.split if o else None for o in optimisms]),
    ]
    return _without_empty(
        [
            (label, [words.difference(e, protocol) if e else "-" for e in cells])
            for label, cells in rows
        ]
    )


def redundancy_rows(redundancies: Sequence[Redundancy]) -> Rows:
    """What the trials of each arm are worth as filters; one cell for each arm given."""

    def row(label: str, cell: Callable[[Redundancy], str]) -> tuple[str, list[str]]:
        return label, [cell(redundancy) for redundancy in redundancies]

    conditions = dict.fromkeys(
        name
        for redundancy in redundancies
        for name, share in redundancy.conditions.items()
        if share.value > 0
    )
    coordinates = dict.fromkeys(
        p.coordinates for redundancy in redundancies for p in redundancy.predictions
    )
    rows = [
        row("trials", lambda redundancy: f"{redundancy.n:,}"),
        row("different filters", lambda redundancy: f"{redundancy.cells.distinct:,}"),
        row("trials that repeat one", lambda redundancy: words.share(redundancy.cells.repeats)),
        row("no real filter", lambda redundancy: words.share(redundancy.without_filter)),
        row(
            "no filter, unstable, or inert (alpha < 0.1 / steps)",
            lambda redundancy: words.share(redundancy.unusable),
        ),
        row("outside every useful filter", lambda redundancy: _share(redundancy.outside)),
        row(
            "a condition of the equivalence fails",
            lambda redundancy: words.share(redundancy.any_violated),
        ),
        *(
            row(f"because {FAILS.get(name, name.replace('_', ' '))}", partial(_violated, name))
            for name in conditions
        ),
        *(row(PREDICTS + name, partial(_prediction, name)) for name in coordinates),
        row(LAW, _law),
    ]
    return _without_empty(rows)


def redundancy_in_words(redundancies: Sequence[Redundancy]) -> str:
    """What the rows of ``redundancy_rows`` say, in one sentence that names no other."""
    labels = [label for label, _ in redundancy_rows(redundancies)]
    predictors = [
        label.removeprefix(PREDICTS).replace(" and gamma", " and gamma together")
        for label in labels
        if label.startswith(PREDICTS)
    ]
    statements = [
        "how many of them differ",
        "how often a condition fails under which two parametrizations are the same",
    ]
    if predictors:
        statements.append(
            f"how well a trial's score is predicted by {_listed(predictors, 'or')} "
            "(leave-one-out rank correlation)"
        )
    if LAW in labels:
        statements.append("how the measured flip ratio compares with the law's")
    return f"Every trial as the filter that it is: {_listed(statements, 'and')}."


def _listed(parts: Sequence[str], last: str) -> str:
    """``a``, ``a and b``, ``a, b, and c``."""
    if len(parts) < 3:
        return f" {last} ".join(parts)
    return f"{', '.join(parts[:-1])}, {last} {parts[-1]}"


def importance_rows(importances: Sequence[Importance]) -> Rows:
    """How many hyperparameters hold 90% of the importance, and what that rests on."""
    rankings = [importance.ranking for importance in importances]
    return _without_empty(
        [
            (
                f"hold {100 * HELD:.0f}% of the importance",
                [_held(ranking) if ranking else "-" for ranking in rankings],
            ),
            (
                "of the ranks' variance explained, out of bag",
                [f"{100 * ranking.explained:.0f}%" if ranking else "-" for ranking in rankings],
            ),
            (
                "more trials would explain besides, about",
                [f"{100 * ranking.unlearned:.0f}%" if ranking else "-" for ranking in rankings],
            ),
            (
                "trials used",
                [
                    f"{importance.n_used:,} of {importance.n:,}" if importance.ranking else "-"
                    for importance in importances
                ],
            ),
        ]
    )


def importance_in_words(importances: Mapping[str, Importance]) -> str:
    """Of which arms nothing is said, of which hyperparameters, and why; arm -> importance."""
    return " ".join(
        sentence
        for name, importance in importances.items()
        for sentence in _unsaid(name, importance)
    )


def _unsaid(name: str, importance: Importance) -> Iterator[str]:
    if importance.reason is not None:
        yield f"{name}: nothing is said: {importance.reason}."
        return
    for parameter, why in importance.left_out.items():
        yield f"{name}: {parameter} is left out: {why}."
    for note in importance.notes:
        yield f"{name}: {note}"


def _held(ranking: Ranking) -> str:
    effective = ranking.effective
    count = f"{effective.value:.0f} of {len(ranking.shares)}"
    if effective.interval is None:
        return count
    return f"{count} [{effective.low:.0f}, {effective.high:.0f}]"


def _share(estimate: Estimate | None) -> str:
    return "-" if estimate is None else words.share(estimate)


def _violated(name: str, redundancy: Redundancy) -> str:
    return _share(redundancy.conditions.get(name))


def _prediction(name: str, redundancy: Redundancy) -> str:
    for prediction in redundancy.predictions:
        if prediction.coordinates == name and prediction.correlation is not None:
            value = prediction.correlation
            text = f"{value.value:+.2f}"
            return (
                text if value.interval is None else f"{text} [{value.low:+.2f}, {value.high:+.2f}]"
            )
    return "-"


def _law(redundancy: Redundancy) -> str:
    if redundancy.law is None:
        return "-"
    law = redundancy.law
    if law.n == 1:
        return f"{law.median:.2f}, 1 trial"
    return f"{law.median:.2f} ({law.low:.2f} to {law.high:.2f}), {law.n} trials"


def _without_empty(rows: Rows) -> Rows:
    return [(label, cells) for label, cells in rows if set(cells) != {"-"}]
