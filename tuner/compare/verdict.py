"""The verdict: supported, equivalent, inconclusive, fragile or unconfirmed, never without numbers.

It speaks of the settings that searches select, trained afresh: the score that selected a setting
is the best of several, and noise raises it. The rules, in order of precedence:

- *unconfirmed*: nothing that the searches selected was trained afresh, and the validation scores
  show a difference or equivalence: noise alone may have made it.
- *fragile*: the interval of the primary difference excludes zero, but with the control arm (narrow
  ranges) in place of the old one less than half of it is left, shown by an interval too; or the
  arms are equivalent, and the new one and the control are shown to differ by more than the region.
- *equivalent*: the interval lies inside the region of practical equivalence, and at least one of
  the two has learned something.
- *supported*: the interval excludes zero; the text names the arm that wins, whichever it is.
- *inconclusive*: anything else, with the number of trials that would probably settle it. While
  trials run, validation scores alone claim nothing: they were not made for several looks.
"""

from dataclasses import dataclass, field
from math import ceil, inf, sqrt
from typing import Literal

import numpy as np

from tuner.compare.arm import Arm
from tuner.compare.contrast import Contrast, Narrow, left_word, trials_needed
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Estimate, classify
from tuner.compare.statistics.looks import FEWEST_SEARCHES
from tuner.compare.statistics.speedup import FEWEST_REPEATS

Kind = Literal["supported", "equivalent", "inconclusive", "fragile", "unconfirmed"]

MOST = 1_000_000
"""Further trials or repeats beyond which none are advised."""


@dataclass(frozen=True)
class Verdict:
    """What the comparison says.

    Args:
        kind: One of the five.
        text: The verdict in one paragraph.
        test: What the retrained incumbents say, in one sentence; ``None`` without them.
        ranges: The ranges that the verdict holds for.
        winner: The arm that does better where the interval excludes zero, else ``None``.
        more: About how many more trials (repeats) per arm would settle it, where known.
        repeated: What the repeated searches say, in one sentence; ``None`` if none were declared.
        speedup: How many times fewer trials reach the target, in one sentence; ``None`` without
            a target.
        interim: Whether it rests on part of the declared trials.
        heading: The kind and, where the interval excludes zero, which arm does better.
    """

    kind: Kind
    text: str
    test: str | None = field(default=None, kw_only=True)
    ranges: str
    winner: str | None
    more: int | None
    repeated: str | None = None
    speedup: str | None = None
    interim: bool = False
    heading: str = field(kw_only=True)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict and what else is to be said of it, without the ranges."""
        parts = (self.text, self.speedup, self.repeated, self.test)
        return tuple(text for text in parts if text is not None)


@dataclass(frozen=True)
class Evidence:
    """What a verdict is made of.

    Args:
        primary: New arm minus old arm.
        control: New arm minus the arm with narrow ranges, where there is one.
        left: What of the primary difference is left with the control in place of the old arm,
            beyond its half; see ``contrast.left_in_narrow``.
        new: The new arm.
        old: The old one.
        k: The budget k*.
        protocol: The declaration.
    """

    primary: Contrast
    control: Contrast | None
    left: Estimate | None
    new: Arm
    old: Arm
    k: int
    protocol: Protocol

    @property
    def confirmed(self) -> bool:
        """Whether settings that both arms' searches selected were trained afresh."""
        return self.primary.difference is not None

    @property
    def estimate(self) -> Estimate | None:
        """The difference in question: of settings trained afresh, else of validation scores."""
        return self.primary.difference if self.confirmed else self.primary.on_validation

    @property
    def against(self) -> Estimate | None:
        """The same with the control in place of the old arm."""
        if self.control is None:
            return None
        return self.control.difference if self.confirmed else self.control.on_validation

    @property
    def kind(self) -> Kind:
        """The rules above."""
        estimate = self.estimate
        if estimate is None:
            return "inconclusive"
        kind = classify(estimate, self.protocol.rope)
        if kind == "inconclusive" or (kind == "equivalent" and not self.learned):
            return "inconclusive"
        if not self.confirmed:
            return "inconclusive" if self.protocol.interim else "unconfirmed"
        return "fragile" if self.narrow == "fragile" else kind

    @property
    def narrow(self) -> Narrow | None:
        """What the control says of the verdict; ``None`` where it cannot be asked."""
        estimate, against, rope = self.estimate, self.against, self.protocol.rope
        if estimate is None or against is None:
            return None
        kind = classify(estimate, rope)
        if kind == "equivalent":
            low, high = against.interval or (-inf, inf)
            if -rope <= low and high <= rope:
                return "holds"
            return "fragile" if low > rope or high < -rope else "cannot tell"
        if kind == "inconclusive":
            return None
        return left_word(self.left, estimate)

    @property
    def learned(self) -> bool:
        """Whether an arm of the two holds a trial that did more than fail, and than all others."""
        arms = [arm for arm in (self.new, self.old) if not arm.failed.all()]
        if not arms or np.ptp(np.concatenate([self.new.scores, self.old.scores])) == 0:
            return False
        chance = self.protocol.chance
        return chance is None or any(_above(arm, chance) for arm in arms)

    @property
    def sizes(self) -> tuple[int, int]:
        """Observations of the new arm and the old: searches, random trials, or repeats."""
        if self.primary.selected is not None:
            return (self.primary.selected.n,) * 2
        if self.primary.best_of_k is None and self.primary.repeats is not None:
            return (self.primary.repeats.n,) * 2
        return self.new.n, self.old.n

    @property
    def planned(self) -> int:
        """Searches declared of each arm, where their settings are trained afresh; else 0."""
        return 0 if self.primary.selected is None else self.primary.selected.planned

    @property
    def by_budget(self) -> bool:
        """Whether a search is k* random trials, not a whole search by another sampler."""
        return self.new.random and self.old.random

    @property
    def more(self) -> int | None:
        """Further trials (repeats) per arm that would probably settle an open question."""
        estimate, rope = self.estimate, self.protocol.rope
        if estimate is not None and classify(estimate, rope) != "inconclusive":
            return None
        each = self.k if self.confirmed and self.by_budget else 1
        if estimate is None:
            repeats = self.primary.repeats
            return FEWEST_REPEATS - (1 if repeats is None else repeats.n)
        if estimate.interval is None:
            if self.confirmed:
                return max(1, max(FEWEST_SEARCHES, self.planned) - min(self.sizes)) * each
            few = min(self.new.n, self.old.n)
            return max(1, trials_needed(self.k, self.protocol) - few)
        needed = further(estimate, self.sizes, rope)
        return None if needed is None or needed * each > MOST else needed * each


def _above(arm: Arm, chance: float) -> bool:
    """Whether half of its fresh scores, or else a tenth of its trials, beat chance clearly."""
    scores = arm.selected.test if arm.selected is not None else arm.scores
    share = 0.5 if arm.selected is not None else 0.9
    return float(np.quantile(scores, share)) > chance + (1 - chance) / 20


def further(estimate: Estimate, sizes: tuple[int, int], rope: float) -> int | None:
    """Observations to add to each arm until the interval, as it shrinks, settles the matter.

    Its ends approach the estimate in proportion to sqrt(1 / n + 1 / m), n and m the arms' sizes,
    until the one beyond zero has passed it, or both lie inside the region, whichever comes first;
    ``None`` above ``MOST``.
    """
    low, high = estimate.interval or (0.0, 0.0)
    value, (n, m) = estimate.value, sizes
    shrunk = max(  # to this share of itself
        value / (value - low) if value > 0 else 0.0,
        value / (value - high) if value < 0 else 0.0,
        min((rope - value) / (high - value), (rope + value) / (value - low))
        if low < value < high
        else 0.0,
    )
    if shrunk <= 0:
        return None
    left = shrunk**2 * (1 / n + 1 / m)  # = 1 / (n + more) + 1 / (m + more)
    more = 1 / left - (n + m) / 2 + sqrt(1 / left**2 + (n - m) ** 2 / 4)
    return None if more > MOST else max(1, ceil(more))
