"""What a check measured, what was expected, and the verdict; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tuner.compare.statistics.estimate import Estimate

ClaimVerdict = Literal["holds", "does not hold", "not settled"]
WORST_FIRST: tuple[ClaimVerdict, ...] = ("does not hold", "not settled", "holds")


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        label: What was measured.
        value: The number; ``None`` where it could not be measured.
        shown: The number as a person reads it.
        expected: What the claim expects, in words; empty if nothing is.
        verdict: Whether it is so; ``None`` for a number that is only reported.
        low: Lower end of its interval, where it has one.
        high: Upper end of its interval, where it has one.
    """

    label: str
    value: float | None
    shown: str
    expected: str = ""
    verdict: ClaimVerdict | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ClaimOutcome:
    """All figures of a claim; those with a verdict decide it.

    Args:
        figures: At least one of them judged.
    """

    figures: tuple[Figure, ...]

    @property
    def verdict(self) -> ClaimVerdict:
        """The worst of the figures' verdicts."""
        return worst(figure.verdict for figure in self.figures if figure.verdict is not None)

    @property
    def headlines(self) -> tuple[Figure, ...]:
        """The first figure of each verdict that occurs; the one that decides comes first."""
        verdicts = [figure.verdict for figure in self.figures]
        return tuple(self.figures[verdicts.index(v)] for v in WORST_FIRST if v in verdicts)


def worst(verdicts: Iterable[ClaimVerdict]) -> ClaimVerdict:
    """Does not hold if one does not, else not settled if one is not, else holds."""
    return min(verdicts, key=WORST_FIRST.index)


def verdict_of(holds: bool) -> ClaimVerdict:
    """The verdict on a number that is known exactly."""
    return "holds" if holds else "does not hold"


def within(estimate: Estimate, low: float, high: float) -> ClaimVerdict:
    """Whether an interval lies inside [low, high], entirely outside, or neither."""
    if estimate.interval is None:
        return "not settled"
    least, greatest = estimate.interval
    if low <= least and greatest <= high:
        return "holds"
    return "does not hold" if greatest < low or least > high else "not settled"


def same_signs(label: str, differing: int, compared: int, *, moved: int, twin: int = 0) -> Figure:
    """The figure of signs that should all be equal.

    Args:
        label: What was compared.
        differing: Signs that differ.
        compared: Signs compared.
        moved: How many flips the reference made; where none, equality says nothing.
        twin: Signs in which the same training, done twice side by side, differs: where any do,
            rounding on this machine depends on the place in the batch, and nothing can be said.
    """
    settled = twin == 0 and (moved > 0 or differing > 0)
    return Figure(
        label=label,
        value=float(differing),
        shown=f"{differing:,} of {compared:,} signs differ",
        expected="0",
        verdict=verdict_of(differing == 0) if settled else "not settled",
    )


def other_signs(label: str, differing: int, compared: int, *, least: float | None) -> Figure:
    """The figure of signs that should differ in at least a share of places, or are reported.

    Args:
        label: What was compared.
        differing: Signs that differ.
        compared: Signs compared.
        least: The smallest share expected; ``None`` for a figure without verdict.
    """
    share = differing / compared
    return Figure(
        label=label,
        value=share,
        shown=f"{share:.3%} of {compared:,} signs differ",
        expected="" if least is None else f"at least {least:.3g}",
        verdict=None if least is None else verdict_of(share >= least),
    )


def points_with_interval(estimate: Estimate) -> str:
    """A difference of accuracies in percentage points, with its interval."""
    if estimate.interval is None:
        return f"{100 * estimate.value:+.2f} points"
    low, high = estimate.interval
    return f"{100 * estimate.value:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})"
