"""Two lists of scores compared, wherever they come from."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tuner.compare.arm import Arm
from tuner.compare.comparison import Comparison, judged
from tuner.compare.protocol import ACCURACY, SCORE, UNNAMED, Protocol, check_rope
from tuner.compare.statistics.estimate import Bools, Floats
from tuner.errors import InvalidInput
from tuner.wording import count


def compare_scores(
    new: ArrayLike | Sequence[float | None],
    old: ArrayLike | Sequence[float | None],
    *,
    target: float | None = None,
    k: int | None = None,
    rope: float = 0.0,
    unit: str = SCORE,
    workload: str = UNNAMED,
    confidence: float = 0.95,
    sampler: str = "unknown",
    direction: Literal["maximize", "minimize"] = "maximize",
    names: Sequence[str] = ("new", "old"),
) -> Comparison:
    """Compare the scores of the trials of two searches.

    comparison = compare_scores(new, old, sampler="random", unit="accuracy", target=0.95)
    print(comparison)

    What decides the verdict is to be fixed before the scores are looked at: ``target``, ``k``,
    ``rope`` and ``unit``. What is not said is not assumed: without ``sampler="random"`` the
    trials are no random draws, without ``unit="accuracy"`` scores have no bounds and medians are
    compared.

    Args:
        new: One score a trial of the new search space, in the order in which they were drawn,
            shape [n]: a list, an array or a tensor. A trial that failed has ``None``, NaN or an
            infinite score, and counts as the worst one.
        old: Likewise of the old one, shape [m].
        target: The score that counts as good.
        k: The budget of the verdict, in trials; a twentieth of the shorter list by default.
        rope: The difference that does not matter, in units of the score.
        unit: ``"accuracy"`` for shares in [0, 1], else what the scores are called.
        workload: The workload in words, for the verdict.
        confidence: Of every interval, in (0, 1).
        sampler: ``"random"`` where each setting was drawn at random, ``"defaults"`` where all
            trials had one setting and other seeds; else what drew them.
        direction: ``"minimize"`` where lower scores are better.
        names: What to call the two.

    Raises:
        InvalidInput: If a list is not one of numbers, or holds no score, or a setting breaks
            its rule.
    """
    if len(names) != 2 or isinstance(names, str):
        raise InvalidInput(f"names: must be two, the new one's and the old one's, got {names!r}")
    if direction not in ("maximize", "minimize"):
        raise InvalidInput(f"direction: must be maximize or minimize, got {direction!r}")
    protocol = Protocol(
        target=target, k=k, rope=rope, unit=unit, workload=workload, confidence=confidence
    )
    check_rope(protocol)
    lists = [_floats(scores, name) for scores, name in zip((new, old), names, strict=True)]
    if direction == "minimize":
        protocol, lists = protocol.turned, [0.0 - scores for scores in lists]
    failed = [~np.isfinite(scores) for scores in lists]
    seen = min(scores[~lost].min() for scores, lost in zip(lists, failed, strict=True))
    worst = protocol.range[0] if unit == ACCURACY else float(seen)
    arms = [
        _arm(name, np.where(lost, worst, scores), lost, sampler)
        for name, scores, lost in zip(names, lists, failed, strict=True)
    ]
    return judged(arms, protocol)


def _floats(scores: ArrayLike | Sequence[float | None], name: str) -> Floats:
    """One list of scores.

    Raises:
        InvalidInput: If it is none, or no trial has a score.
    """
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"{name}: must be a list of numbers, one a trial, with None for one that failed; "
            f"{error}"
        ) from error
    if found.ndim != 1:
        raise InvalidInput(
            f"{name}: must be a list of numbers, one a trial, got an array of shape "
            f"{list(found.shape)}"
        )
    if not np.isfinite(found).any():
        raise InvalidInput(
            f"{name}: {count(found.size, 'trial')} without any score, so there is nothing to "
            "compare; give one of each trial that did not fail"
        )
    return found


def _arm(name: str, scores: Floats, failed: Bools, sampler: str) -> Arm:
    return Arm(
        name=name,
        scores=scores,
        seconds=np.full(scores.size, np.nan),
        failed=failed,
        pruned=np.zeros(scores.size, dtype=np.bool_),
        sampler=sampler,
        ranges={},
    )
