"""Which arms the figures show, and the words of their captions for those that they leave out."""

from collections.abc import Collection, Iterator, Mapping

from tuner.compare.arm import DEFAULTS
from tuner.compare.comparison import Comparison
from tuner.compare.evidence.details import ArmDetail
from tuner.compare.figures.styles import Style, arm_styles


def styles(comparison: Comparison) -> dict[str, Style]:
    """Arm name -> how it looks in every figure of the comparison."""
    return arm_styles([arm.name for arm in comparison.arms])


def single_searches(comparison: Comparison) -> frozenset[str]:
    """Names of the arms that are one search each; of all arms if there is none.

    Those that search many times or nothing have no place among the single searches.
    """
    once = comparison.protocol.searched_once
    names = [arm.name for arm in comparison.arms if once(arm.name, arm.sampler)]
    return frozenset(names or [arm.name for arm in comparison.arms])


def single_details(comparison: Comparison) -> list[ArmDetail]:
    """What lies behind the numbers of the single searches; empty without details."""
    single = single_searches(comparison)
    return [detail for detail in comparison.details if detail.arm.name in single]


def target_line(comparison: Comparison) -> Iterator[str]:
    """A caption's sentence about the line at the target."""
    if comparison.protocol.target is not None:
        yield "Dashed: the target."


def left_out(
    comparison: Comparison, drawn: Collection[str], otherwise: str = "not drawn"
) -> Iterator[str]:
    """The arms that are not drawn: they are no single searches, or for another reason."""
    single = single_searches(comparison)
    yield from listed(
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


def listed(start: str, reasons: Mapping[str, str]) -> Iterator[str]:
    """A sentence: ``Left out: old, older (not retrained); none (no search)``."""
    names = {
        reason: ", ".join(name for name, why in reasons.items() if why == reason)
        for reason in reasons.values()
    }
    if names:
        yield f"{start}: {'; '.join(f'{arms} ({why})' for why, arms in names.items())}."
