"""A whole run of ``tuner bench verdicts``: every situation, on all cores."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context, resource_tracker
from time import monotonic

from tuner.bench.verdicts.methods import METHODS
from tuner.bench.verdicts.situation import Situation
from tuner.bench.verdicts.tally import Figure, Tally, tally
from tuner.search.work.surroundings import KEEP_MEMORY, ONE_THREAD, deaf, environment

Part = tuple[Situation, range]


@dataclass(frozen=True)
class Tried:
    """A situation and what was counted in it."""

    situation: Situation
    counts: Tally

    @property
    def figures(self) -> list[Figure]:
        """Every share measured."""
        return list(self.counts.figures(self.situation))

    @property
    def out(self) -> list[Figure]:
        """Those out of bounds without an excuse."""
        return [figure for figure in self.figures if figure.out and not figure.excused]


@dataclass(frozen=True)
class VerdictProgress:
    """Where a run is.

    Args:
        tried: The situation just tried.
        number: How many have been.
        situations: How many there are.
        seconds_left: About how long the others take.
    """

    tried: Tried
    number: int
    situations: int
    seconds_left: float


@dataclass
class VerdictResults:
    """What a run has measured so far.

    Args:
        tried: The situations tried, the last one perhaps with part of its comparisons.
        stopped: Whether Ctrl-C ended the run.
    """

    tried: list[Tried] = field(default_factory=list)
    stopped: bool = False

    @property
    def out(self) -> bool:
        """Whether a situation is out of bounds."""
        return any(each.out for each in self.tried)

    def to_json(self) -> dict[str, object]:
        """The results as a JSON object."""
        return {
            "schema_version": 1,
            "stopped": self.stopped,
            "situations": [
                {
                    "name": each.situation.name,
                    "what": each.situation.words,
                    "n": each.situation.n,
                    "k": each.situation.k,
                    "comparisons": each.counts.comparisons,
                    "told_apart": each.counts.told_apart,
                    "figures": [
                        {**asdict(figure), "share": figure.share, "out": figure.out}
                        for figure in each.figures
                    ],
                    "methods": {name: width_and_coverage(each, name) for name in METHODS},
                }
                for each in self.tried
            ],
        }


def width_and_coverage(tried: Tried, method: str) -> tuple[float, float] | None:
    """Mean width and coverage of a method's interval of the paired fresh runs, if it has any."""
    stated = tried.counts.method_stated[method]
    if not stated:
        return None
    return (
        tried.counts.method_width[method] / stated,
        tried.counts.method_covered[method] / stated,
    )


def try_situations(
    situations: Sequence[Situation],
    *,
    comparisons: int,
    processes: int,
    on_step: Callable[[VerdictProgress], None],
) -> VerdictResults:
    """Try the situations; what was counted before a Ctrl-C counts.

    Args:
        situations: Tried in this order.
        comparisons: Simulated in each, times its ``effort``.
        processes: Of one thread each.
        on_step: Called after each situation.
    """
    results, began = VerdictResults(), monotonic()
    parts = [_parts(situation, comparisons, processes) for situation in situations]
    resource_tracker.ensure_running()  # it unblocks SIGINT, so it starts before we block it
    with environment(ONE_THREAD | KEEP_MEMORY), deaf({signal.SIGINT}):
        pool = get_context("spawn").Pool(processes)
    try:
        with pool:
            counted = pool.imap(_tally, [part for each in parts for part in each])
            for number, situation in enumerate(situations, start=1):
                tried = Tried(situation, Tally())
                results.tried.append(tried)
                for _ in parts[number - 1]:
                    tried.counts.add(next(counted))
                left = (monotonic() - began) / number * (len(situations) - number)
                on_step(VerdictProgress(tried, number, len(situations), left))
    except KeyboardInterrupt:
        results.stopped = True
        results.tried = [each for each in results.tried if each.counts.comparisons]
    return results


def _parts(situation: Situation, comparisons: int, processes: int) -> list[Part]:
    """What each process does of a situation; what comes out does not hang on their number."""
    n = max(1, round(comparisons * situation.effort))
    return [(situation, range(first, n, processes)) for first in range(min(n, processes))]


def _tally(part: Part) -> Tally:
    return tally(*part)
