"""What the captions have in common: the target, and the arms that a figure leaves out."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from tuner.compare.arm import DEFAULTS
from tuner.compare.protocol import Protocol
from tuner.compare.summary import ArmSummary


def target_line(protocol: Protocol) -> Iterator[str]:
    """A caption's sentence about the line at the target."""
    if protocol.target is not None:
        yield "Dashed: the target."


def left_out(
    arms: Sequence[ArmSummary],
    single: Collection[str],
    drawn: Collection[str],
    otherwise: str = "not drawn",
) -> Iterator[str]:
    """The arms that are not drawn: they are no single searches, or for another reason.

    Args:
        arms: All of them.
        single: Names of the single searches.
        drawn: Names of those that are drawn.
        otherwise: Why a single search is not drawn.
    """
    yield from listed(
        "Left out",
        {
            arm.name: otherwise
            if arm.name in single
            else "no search"
            if arm.sampler == DEFAULTS
            else "repeated searches"
            for arm in arms
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
