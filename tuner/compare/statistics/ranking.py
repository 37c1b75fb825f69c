"""How much each hyperparameter matters, and how many of them matter at all.

What each trial contributes to an importance comes from elsewhere; here the contributions are made
into shares that add up to 1, with intervals that simulations hold to their coverage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Estimate, Floats, Ints
from tuner.errors import InvalidInput

METHOD = "permutation in a random forest, out of bag"
"""What the importances are computed by."""
HELD = 0.9
"""The effective number counts the hyperparameters that together hold this share."""
WIDER = 1.25
"""How much wider the intervals are than the contributions' sampling error makes them."""
RESAMPLES = 1000
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Ranking:
    """The hyperparameters by importance.

    Args:
        shares: Name -> share of the total importance, the largest first; they add up to 1.
        effective: How many of them hold ``HELD`` of the total: see ``effective_number``.
        explained: Share of the scores' variance that the importances are about (out of bag).
        unlearned: Share that more trials would add to it, extrapolated; the intervals allow for
            its being any single hyperparameter's.
    """

    shares: Mapping[str, Estimate]
    effective: Estimate
    explained: float
    unlearned: float


@dataclass(frozen=True)
class Importance:
    """The importance of an arm's hyperparameters, or why there is none.

    Args:
        ranking: The hyperparameters by importance, or ``None``.
        reason: Why there is none; ``None`` if there is one.
        n: The arm's trials.
        n_used: Those that the numbers rest on.
        method: What they are computed by.
        left_out: Hyperparameter -> why it has no importance.
        notes: What a reader of the numbers should know, in sentences.
    """

    ranking: Ranking | None
    reason: str | None
    n: int
    n_used: int = 0
    method: str = METHOD
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def effective_number(importances: Floats, held: float = HELD) -> int:
    """The fewest hyperparameters that together hold the share ``held`` of all importance.

    It counts from the largest: importances (6, 3, 1) hold 60%, 90% and 100%, hence 2 at 90%.
    An estimated importance is hardly ever exactly zero, so this errs towards more.

    Args:
        importances: At least 0, not all 0, shape [p].
        held: In (0, 1].

    Raises:
        InvalidInput: If an importance is negative or not finite, all are 0, or ``held`` is
            outside its range.
    """
    values = np.asarray(importances, dtype=np.float64)
    if not 0 < held <= 1:
        raise InvalidInput(f"effective number: held must be in (0, 1], got {held}")
    if not (values >= 0).all() or not 0 < values.sum() < np.inf:
        raise InvalidInput(
            "effective number: needs importances of at least 0, finite and not all 0, "
            f"got {values.tolist()}"
        )
    return int(_fewest(values, held))


def ranking(
    names: Sequence[str],
    contributions: Floats,
    *,
    explained: float,
    unlearned: float,
    confidence: float = 0.95,
    seed: int = 0,
) -> Ranking | None:
    """Importances as shares with intervals; ``None`` if there is nothing to take shares of.

    The intervals allow for two errors. Which trials were drawn: the contributions are resampled
    (the count) or have a standard error (the shares), either widened by a quarter, since the
    model that was learned hangs on the same trials. And what the model has not learned yet: a
    forest learns the strong hyperparameters first and undervalues the weak ones, so what it
    would still learn from more trials may be any single hyperparameter's.

    Args:
        names: The hyperparameters, p of them.
        contributions: Of each trial to the importance of each, shape [p, n]; a mean below 0
            counts as 0.
        explained: Share of the scores' variance that the model explains, above 0.
        unlearned: Share that it would explain besides, had it seen ever more trials.
        confidence: Of every interval, in (0, 1).
        seed: Of the resamples.

    Raises:
        InvalidInput: If shapes do not fit, or the confidence is outside (0, 1).
    """
    if contributions.ndim != 2 or contributions.shape[0] != len(names):
        raise InvalidInput(
            f"ranking: needs contributions [p, n] of p={len(names)} names, "
            f"got {list(contributions.shape)}"
        )
    if not 0 < confidence < 1:
        raise InvalidInput(f"ranking: confidence must be in (0, 1), got {confidence}")
    means = contributions.mean(axis=1)
    total = float(means.sum())
    if not total > 0 or not explained > 0:
        return None
    parts, importances = means / total, np.maximum(means, 0)
    rest = 0.0 if len(names) == 1 else unlearned / (explained + unlearned)
    n = contributions.shape[1]
    errors = (contributions - np.outer(parts, contributions.sum(axis=0))).std(axis=1) / total
    reach = WIDER * scipy.special.ndtri((1 + confidence) / 2) * errors / np.sqrt(n)
    low, high = (parts - reach) * (1 - rest), (parts + reach) * (1 - rest) + rest
    shown = importances / importances.sum()
    bounds = np.clip([np.minimum(low, shown), np.maximum(high, shown)], 0, 1)
    shares = {
        names[i]: Estimate(float(shown[i]), *bounds[:, i].tolist())
        for i in np.argsort(-means, kind="stable")
    }
    number = effective_number(importances)
    numbers = _numbers(contributions, parts, rest, np.random.default_rng(seed))
    tail = (1 - confidence) / 2
    fewest, most = np.quantile(numbers, [tail, 1 - tail])
    effective = Estimate(
        number, min(float(np.floor(fewest)), number), max(float(np.ceil(most)), number)
    )
    return Ranking(shares, effective, explained, unlearned)


def _numbers(
    contributions: Floats, parts: Floats, rest: float, rng: np.random.Generator
) -> Floats:
    """Effective numbers that resamples have.

    The rest goes to the most important in every other resample, a part of it to any in the others.
    """
    p, n = contributions.shape
    weights = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    drawn = weights @ contributions.T
    drawn = drawn[drawn.sum(axis=1) > 0]
    resampled = parts + WIDER * (drawn / drawn.sum(axis=1, keepdims=True) - parts)
    taker, part = rng.integers(p, size=len(resampled)), rng.random((len(resampled), 1))
    taker[::2], part[::2] = int(parts.argmax()), 1.0
    added = np.eye(p)[taker] * rest * part
    possible = np.maximum(resampled, 0) * (1 - rest) + added
    return _fewest(possible, HELD).astype(np.float64)


def _fewest(importances: Floats, held: float) -> Ints:
    """The fewest that together hold that share of all, shape [..., p] -> [...]."""
    reached = np.cumsum(np.sort(importances)[..., ::-1], axis=-1)
    whole = importances.sum(axis=-1, keepdims=True)
    return np.asarray(1 + (reached / whole < held - _ROUNDING).sum(axis=-1))
