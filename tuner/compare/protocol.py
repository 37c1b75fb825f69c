"""What is compared, and the rules declared before the first trial.

An ``Arm`` is one search space's finished trials, in the order they were proposed; a ``Protocol``
is what was fixed beforehand. Neither knows where the trials come from: adapters fill them from a
database or from anything else, and turn every score so that higher is better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuner.errors import InvalidInput

if TYPE_CHECKING:
    from tuner.compare.filters import Filters
    from tuner.compare.importance import Importance

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

DEFAULTS = "defaults"
"""The sampler that draws nothing: every trial has the space's documented setting."""

INDEPENDENT = ("random", DEFAULTS)
"""The samplers whose trials do not depend on each other; the second draws nothing at all."""

ACCURACY = "accuracy"
"""The unit whose scores are shares in [0, 1], printed as per cent and bounded in the bands."""


@dataclass(frozen=True)
class Retrained:
    """One arm's incumbent, trained again with fresh seeds.

    Args:
        settings: The incumbent's hyperparameters.
        val: Validation scores, shape [s], one per fresh seed.
        test: Test scores of the same runs, shape [s], read once.

    Raises:
        InvalidInput: If there is no run, a score is not finite, or the lengths differ.
    """

    settings: Mapping[str, object]
    val: Floats
    test: Floats

    def __post_init__(self) -> None:
        for name in ("val", "test"):
            scores = np.asarray(getattr(self, name), dtype=np.float64)
            if scores.ndim != 1 or scores.size == 0 or not np.isfinite(scores).all():
                raise InvalidInput(
                    f"retrained incumbent, {name}: needs a list of at least one finite score, "
                    f"got {scores.tolist()}; leave `retrained` out where there is none"
                )
            object.__setattr__(self, name, scores)
        if self.val.size != self.test.size:
            raise InvalidInput(
                "retrained incumbent: needs one validation and one test score per seed, "
                f"got {self.val.size} and {self.test.size}"
            )


@dataclass(frozen=True)
class Arm:
    """The finished trials of one search space, in trial order.

    Args:
        name: The arm's name, unique in a comparison.
        scores: Score of each trial, higher is better, shape [n]. A failed trial has the score of
            chance, or the worst one possible: it is never left out.
        seconds: Training seconds of each trial, shape [n], NaN where unknown.
        failed: Whether the trial diverged or failed, shape [n].
        pruned: Whether the trial was stopped early, shape [n].
        sampler: ``"random"``, ``"tpe"``, ...; ``"unknown"`` where nobody can say.
        ranges: Each hyperparameter's range in words, ``{"alpha": "1e-05 .. 0.1, log"}``.
        retrained: The incumbent's fresh runs, where there are any.
        repeat: Which independent repeat of the search each trial belongs to, shape [n]; ``None``
            for a single search.
        epochs: Epochs each trial was trained, shape [n], NaN where unknown; ``None`` if nowhere.
        search_length: Trials of each whole search, where they were declared.
        batch: Which trials trained together and share their seconds, numbers from 0, shape [n];
            ``None`` where each trained by itself.
        filters: The gradient filter of each trial, where they are known.
        importance: How much each hyperparameter matters, where it was computed.

    Raises:
        InvalidInput: If there is no trial, lengths differ, or a score is not finite.
    """

    name: str
    scores: Floats
    seconds: Floats
    failed: Bools
    pruned: Bools
    sampler: str
    ranges: Mapping[str, str]
    retrained: Retrained | None = None
    repeat: Ints | None = None
    search_length: int | None = None
    epochs: Floats | None = None
    batch: Ints | None = None
    filters: "Filters | None" = None
    importance: "Importance | None" = None

    def __post_init__(self) -> None:
        self._store("scores", self.scores, np.float64)
        self._store("seconds", self.seconds, np.float64)
        self._store("failed", self.failed, np.bool_)
        self._store("pruned", self.pruned, np.bool_)
        if self.repeat is not None:
            self._store("repeat", self.repeat, np.int64)
        if self.epochs is not None:
            self._store("epochs", self.epochs, np.float64)
        if self.batch is not None:
            self._store("batch", self.batch, np.int64)
        if self.n == 0:
            raise InvalidInput(
                f"arm {self.name!r}: needs at least one finished trial, got none; "
                "run the study first"
            )
        bad = np.flatnonzero(~np.isfinite(self.scores))
        if bad.size:
            raise InvalidInput(
                f"arm {self.name!r}: every score must be finite, got {self.scores[bad[0]]} in "
                f"trial {bad[0]}; score a failed trial as chance"
            )

    def _store(self, field: str, values: ArrayLike, kind: type[np.generic]) -> None:
        array = np.asarray(values, dtype=kind)
        expected = np.shape(self.scores)
        if array.ndim != 1 or array.shape != expected:
            raise InvalidInput(
                f"arm {self.name!r}: {field} must be a list as long as the scores, "
                f"got shape {list(array.shape)} beside {list(expected)}"
            )
        object.__setattr__(self, field, array)

    @property
    def n(self) -> int:
        """Number of trials, failed and pruned ones included."""
        return int(self.scores.size)

    @property
    def searches(self) -> tuple[Floats, ...]:
        """The scores of each independent repeat of the search, in trial order."""
        if self.repeat is None:
            return (self.scores,)
        return tuple(self.scores[self.repeat == one] for one in np.unique(self.repeat))

    @property
    def searched(self) -> bool:
        """Whether its trials try different settings: not one setting with many seeds."""
        return self.sampler != DEFAULTS

    @property
    def independent(self) -> bool:
        """Whether the trials are independent draws from one distribution.

        Only then does the share that reaches a target mean anything: a sampler that learns has no
        such distribution, and a pruner cuts scores short.
        """
        return self.sampler in INDEPENDENT and not self.pruned.any()

    @property
    def random(self) -> bool:
        """Whether it is a random search run to its end: only then is there a best of k."""
        return self.searched and self.independent


@dataclass(frozen=True)
class Protocol:
    """The declaration of a comparison.

    Args:
        primary: The contrast the verdict is about, (new arm, old arm); ``None`` takes the first
            two arms in the order given.
        control: The arm with the old space's narrow ranges, which stands in for the old arm to
            see whether the verdict hangs on the ranges.
        exact: The arm that searches the old space at the exact map of the new one, if any.
        repeated: The secondary contrast, (new arm, old arm): searches by a sampler that learns,
            repeated; ``None`` if there is none.
        k: The budget k* (trials) of the primary contrast; ``None`` takes a twentieth of the
            smallest arm, at least 2 if it has as many.
        target: The score tau that counts as success, fixed beforehand.
        rope: Half-width of the region of practical equivalence, in units of the score.
        confidence: Of every interval, in (0, 1).
        workload: The workload in words, for the verdict.
        declaration_hash: Hash of the declaration, where there is one.
        unit: ``"accuracy"`` for shares in [0, 1]; any other name is printed as it stands.
        bounds: Least and greatest score possible; taken from the unit if ``None``.
        seed: Of the draws and resamples.
        interim: What is missing of the declared trials, in words; empty if nothing is.

    Raises:
        InvalidInput: If a value breaks one of these rules.
    """

    primary: tuple[str, str] | None = None
    control: str | None = None
    exact: str | None = None
    repeated: tuple[str, str] | None = None
    k: int | None = None
    target: float | None = None
    rope: float = 0.003
    confidence: float = 0.95
    workload: str = "this workload"
    declaration_hash: str | None = None
    unit: str = ACCURACY
    bounds: tuple[float, float] | None = None
    seed: int = 0
    interim: str = ""

    def __post_init__(self) -> None:
        if self.k is not None and not self.k >= 1:
            raise InvalidInput(f"protocol.k: the budget k* must be >= 1 trial, got {self.k}")
        if not 0 <= self.rope < inf:
            raise InvalidInput(f"protocol.rope: must be >= 0 and finite, got {self.rope}")
        if not 0 < self.confidence < 1:
            raise InvalidInput(f"protocol.confidence: must be in (0, 1), got {self.confidence}")
        if self.target is not None and not isfinite(self.target):
            raise InvalidInput(f"protocol.target: must be finite, got {self.target}")
        least, greatest = self.range
        if not least < greatest:
            raise InvalidInput(
                f"protocol.bounds: the least score must be below the greatest, got {self.bounds}"
            )
        if self.target is not None and not least <= self.target <= greatest:
            raise InvalidInput(
                f"protocol.target: must lie in the scores' range [{least:g}, {greatest:g}], "
                f"got {self.target}"
            )

    def searched_once(self, name: str, sampler: str) -> bool:
        """Whether the arm is one search: not one of those repeated, nor one of nothing."""
        return sampler != DEFAULTS and name not in (self.repeated or ())

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest score possible; infinite where unknown."""
        if self.bounds is not None:
            return self.bounds
        return (0.0, 1.0) if self.unit == ACCURACY else (-inf, inf)

    @property
    def bounded(self) -> bool:
        """Whether both are known."""
        return all(map(isfinite, self.range))

    @property
    def gaps(self) -> tuple[float, float]:
        """Least and greatest difference of two scores possible."""
        least, greatest = self.range
        return least - greatest, greatest - least


def resolve(arms: Sequence[Arm], protocol: Protocol) -> tuple[tuple[str, str], int]:
    """The primary contrast and the budget k*, checked against the arms.

    Raises:
        InvalidInput: If fewer than two arms are given, a name is taken twice or unknown, k* is
            above the smallest arm of the primary contrast and its control, or a score lies
            outside the unit's range.
    """
    names = tuple(arm.name for arm in arms)
    if len(names) < 2:
        raise InvalidInput(f"compare: needs at least two arms, got {len(names)}")
    if len(set(names)) < len(names):
        raise InvalidInput(f"compare: every arm needs a name of its own, got {', '.join(names)}")
    primary = protocol.primary or (names[0], names[1])
    wanted = [*primary, protocol.control] if protocol.control is not None else [*primary]
    parts = (*wanted, *(protocol.repeated or ()), protocol.exact)
    for name in (name for name in parts if name is not None):
        if name not in names:
            raise InvalidInput(
                f"protocol: arm {name!r} is not among the arms (choose from {', '.join(names)})"
            )
    if len(set(wanted)) < len(wanted):
        raise InvalidInput(
            f"protocol: new, old and control arm must differ, got {', '.join(map(str, wanted))}"
        )
    smallest = min((arm for arm in arms if arm.name in wanted), key=lambda arm: arm.n)
    k = protocol.k or min(smallest.n, max(2, smallest.n // 20))
    if k > smallest.n:
        raise InvalidInput(
            f"protocol.k: the best of k needs k <= n in every arm, got k={k} and n={smallest.n} "
            f"in arm {smallest.name!r}"
        )
    least, greatest = protocol.range
    for arm in arms:
        outside = arm.scores[(arm.scores < least) | (arm.scores > greatest)]
        if outside.size:
            raise InvalidInput(
                f"arm {arm.name!r}: a score of unit {protocol.unit!r} must lie in "
                f"[{least:g}, {greatest:g}], got {outside[0]:g}; name another unit or its bounds"
            )
    return primary, k
