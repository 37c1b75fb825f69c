"""How long answers took, phase by phase, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One request: what it was about, in seconds how late it was sent and how long it took."""

    phase: str
    kind: str
    lag: float
    seconds: float
    error: str | None


@dataclass(frozen=True)
class Phase:
    """What went on for a while.

    Args:
        name: What it was.
        seconds: How long it took.
        server: Share of a processor that the server's own process took.
        made: Share that the processes took that it has started.
        load: Share of all processors that others took: PostgreSQL's processes too, not the crowd
            of onlookers.
    """

    name: str
    seconds: float
    server: float
    made: float
    load: float | None


def table(phases: Sequence[Phase], answers: Sequence[Answer]) -> str:
    """What came out, a line for each phase and kind."""
    lines = [f"{'':24}{'count':>7}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}  ms"]
    for phase in phases:
        load = "unknown" if phase.load is None else f"{phase.load:.0%}"
        lines.append(
            f"{phase.name}: {phase.seconds:.0f} s, server {phase.server:.0%} of a processor, its "
            f"children {phase.made:.0%}, load of others {load}"
        )
        its = [answer for answer in answers if answer.phase == phase.name]
        kinds = {
            kind: [a.seconds for a in its if a.kind == kind]
            for kind in dict.fromkeys(answer.kind for answer in its)
        }
        kinds |= {"all": [a.seconds for a in its], "lag": [a.lag for a in its]}
        lines += [_line(kind, seconds) for kind, seconds in kinds.items() if seconds]
    return "\n".join(lines)


def _line(kind: str, seconds: list[float]) -> str:
    inorder = sorted(seconds)
    cells = [inorder[int(share * (len(inorder) - 1) + 0.5)] for share in (0.5, 0.95, 0.99, 1.0)]
    return f"  {kind:22}{len(seconds):>7}" + "".join(f"{1000 * cell:>8.0f}" for cell in cells)
