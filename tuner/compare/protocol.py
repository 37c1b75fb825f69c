"""What was declared before the first trial: the rules of a comparison."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite
from typing import TypeVar

from tuner.compare.statistics.estimate import Bounds, Floats
from tuner.errors import InvalidInput
from tuner.trial import DataCounts
from tuner.wording import setting

ACCURACY = "accuracy"
"""The unit whose scores are shares in [0, 1], printed as per cent and bounded in the bands."""

SCORE, UNNAMED = "score", "the workload of these studies"
"""What scores and workload are called where nobody says it."""

_WIDEST_ROPE = 0.1
"""Of accuracies that others compare: a wider one was meant in points."""

_Number = TypeVar("_Number", float, Floats)


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
        minimized: Whether lower values are better in the studies. Then every score here is one's
            value with the opposite sign, so that higher is better; target, bounds and chance are
            turned likewise. A reader sees them all in the studies' own sign: see ``own``.
        bounds: Least and greatest score possible; taken from the unit if ``None``.
        looks: Shares of the searches planned after which the verdict may be looked at while they
            run, rising, each in (0, 1).
        chance: The score of guessing, where it is known: whoever does no better learned nothing.
        scored_on: What the scores generalise to, in a sentence; empty where that is not known.
        data: How much there was to train on, where the data are the user's own.
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
    minimized: bool = False
    bounds: Bounds | None = None
    looks: tuple[float, ...] = ()
    chance: float | None = None
    scored_on: str = ""
    data: DataCounts | None = None
    seed: int = 0
    interim: str = ""

    def __post_init__(self) -> None:
        if self.k is not None and not self.k >= 1:
            raise InvalidInput(f"{setting('k')}: the budget k* must be >= 1 trial, got {self.k}")
        if not 0 <= self.rope < inf:
            raise InvalidInput(f"{setting('rope')}: must be >= 0 and finite, got {self.rope}")
        if not 0 < self.confidence < 1:
            raise InvalidInput(
                f"{setting('confidence')}: must be in (0, 1), got {self.confidence}"
            )
        if self.target is not None and not isfinite(self.target):
            raise InvalidInput(f"{setting('target')}: must be finite, got {self.target}")
        steps = (0.0, *self.looks, 1.0)
        if any(not a < b for a, b in pairwise(steps)):
            raise InvalidInput(
                f"protocol.looks: must rise and lie in (0, 1), got {list(self.looks)}"
            )
        least, greatest = self.range
        if not least < greatest:
            raise InvalidInput(
                "protocol.bounds: the least score must be below the greatest, got "
                f"{self.own_bounds(self.range)}"
            )
        if self.target is not None and not least <= self.target <= greatest:
            low, high = self.own_bounds(self.range)
            raise InvalidInput(
                f"{setting('target')}: must lie in the scores' range [{low:g}, {high:g}], "
                f"got {self.own(self.target)}"
            )

    def searched_once(self, name: str) -> bool:
        """Whether the arm is not one of those whose search is repeated."""
        return name not in (self.repeated or ())

    @property
    def range(self) -> Bounds:
        """Least and greatest score possible; infinite where unknown."""
        if self.bounds is not None:
            return self.bounds
        if self.unit != ACCURACY:
            return (-inf, inf)
        return (-1.0, 0.0) if self.minimized else (0.0, 1.0)

    @property
    def bounded(self) -> bool:
        """Whether both are known."""
        return all(map(isfinite, self.range))

    def own(self, value: _Number) -> _Number:
        """A score, or a difference of two, in the studies' own sign."""
        return 0.0 - value if self.minimized else value

    def own_bounds(self, bounds: Bounds) -> Bounds:
        """The same of two numbers, the lower one first."""
        low, high = bounds
        return (0.0 - high, 0.0 - low) if self.minimized else bounds

    @property
    def turned(self) -> "Protocol":
        """The same declaration of scores that have the opposite sign."""
        target, chance = (
            None if score is None else 0.0 - score for score in (self.target, self.chance)
        )
        bounds = None if self.bounds is None else (0.0 - self.bounds[1], 0.0 - self.bounds[0])
        return replace(
            self, minimized=not self.minimized, target=target, chance=chance, bounds=bounds
        )


def check_rope(protocol: Protocol) -> None:
    """Refuse a region of equivalence of accuracies that was meant in points.

    Raises:
        InvalidInput: Says what was probably meant.
    """
    rope = protocol.rope
    if protocol.unit == ACCURACY and rope >= _WIDEST_ROPE:
        raise InvalidInput(
            f"{setting('rope')}: accuracies are shares, so {rope:g} is ±{100 * rope:g} points; "
            f"for ±{rope:g} points give {rope / 100:g}"
        )
