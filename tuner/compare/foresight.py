"""What a declared comparison can and cannot show, in words, before anything runs."""

from collections.abc import Iterator
from dataclasses import dataclass

from tuner.compare.statistics import power
from tuner.compare.statistics.best_of_k import trials_for_interval
from tuner.compare.statistics.looks import FEWEST_SEARCHES, looks
from tuner.compare.statistics.selected import detectable_shift, searches_until_shown
from tuner.compare.statistics.speedup import FEWEST_REPEATS
from tuner.wording import count

_BASE_SHARE = 0.05
_LEVEL = 0.05


@dataclass(frozen=True)
class Outlook:
    """One sentence on what will be shown; ``warns`` if the declaration should be changed."""

    text: str
    warns: bool = False


@dataclass(frozen=True)
class Design:
    """The sizes of a comparison.

    Args:
        n: Trials of each arm of the primary contrast, the smaller of the two.
        k: The budget k*.
        independent: Whether the primary arms are random search without pruning.
        repeats: Repeats of the searches by samplers that learn, 0 if there are none.
        searches: Independent searches of each primary arm, each one's setting trained afresh.
        seeds: Fresh seeds of each incumbent.
        has_control: Whether an arm with narrow ranges is declared.
        has_target: Whether a target is declared.
        looks: Shares of the searches after which the verdict is looked at before the end.
        stops: Whether the comparison ends at the look that settles it.
    """

    n: int
    k: int
    independent: bool
    repeats: int
    searches: int
    seeds: int
    has_control: bool
    has_target: bool
    looks: tuple[float, ...] = ()
    stops: bool = False


def outlook(design: Design) -> tuple[Outlook, ...]:
    """What the comparison can and cannot show, the primary endpoint first."""
    return (
        *_primary(design),
        *_share(design),
        *_repeats(design),
        *_incumbents(design),
        *_controls(design),
    )


def _primary(design: Design) -> Iterator[Outlook]:
    if not design.independent and design.repeats < FEWEST_REPEATS:
        yield Outlook(
            "The primary arms are no plain random search, so a whole search is a single "
            f"observation: repeat each at least {FEWEST_REPEATS} times, or no verdict will "
            "rest on them.",
            warns=True,
        )
        return
    if not design.seeds:
        yield Outlook(
            "Nothing is trained afresh (retrain_seeds = 0), so the verdict can only be "
            "unconfirmed: noise raises the best of several scores.",
            warns=True,
        )
    else:
        yield from _searches(design)
    if design.independent:
        yield from _on_validation(design)


def _searches(design: Design) -> Iterator[Outlook]:
    """What the settings selected, trained afresh, can show: the verdict."""
    n = design.searches
    each = f" of {count(design.k, 'trial')}" if design.independent else ""
    searches = f"{count(n, 'independent search', 'independent searches')}{each} per arm"
    shift = detectable_shift(n, design.looks, confidence=1 - _LEVEL, power=power.POWER)
    if shift is None:
        least = FEWEST_SEARCHES
        other = f", {count(least * design.k, 'trial')} per arm" if design.independent else ""
        yield Outlook(
            f"{searches}: no verdict can rest on them; it takes at least {least}{other}.",
            warns=True,
        )
        return
    yield Outlook(
        f"{searches}, each one's selected setting trained afresh: the verdict. They show, with "
        f"{power.POWER:.0%} power, a median difference of {shift:.2g} standard deviations of such "
        "a score, if they are normal."
    )
    yield from _looks(design, shift)


def _looks(design: Design, shift: float) -> Iterator[Outlook]:
    """What the looks cost and save."""
    n = design.searches
    early = [str(look) for look in looks(n, 1 - _LEVEL, design.looks) if look < n]
    if not early:
        return
    after = " and after ".join(early)
    if not design.stops:
        yield Outlook(
            f"The verdict is looked at after {after} of {n} searches, while they run; all looks "
            "together miss no more often than one would."
        )
        return
    saved = [
        1 - searches_until_shown(n, design.looks, times * shift, confidence=1 - _LEVEL) / n
        for times in (0, 1, 2)
    ]
    yield Outlook(
        f"It ends after {after} of {n} searches if the verdict is settled there. On average that "
        f"saves {saved[1]:.0%} of the primary arms' trials where the difference is as large as "
        f"that, {saved[2]:.0%} where it is twice as large, {saved[0]:.0%} where there is none "
        "(simulated)."
    )


def _on_validation(design: Design) -> Iterator[Outlook]:
    """What the scores that select can show: the second row."""
    n, k = design.n, design.k
    detectable = power.detectable_difference(n, k)
    if detectable.value is None:
        other = ", or a smaller k" if k > 2 else ", or k = 2" if k == 1 else ""
        yield Outlook(
            f"{count(n, 'trial per arm gives', 'trials per arm give')} no interval of the best of "
            f"{k} on validation: it takes at "
            f"least {trials_for_interval(k):,}{other}.",
            warns=True,
        )
        return
    yield Outlook(
        f"{n} trials per arm show, with {power.POWER:.0%} power, a difference of the expected "
        f"best of {k} on validation of about {detectable.value:.2g} times the standard deviation "
        f"of the best of {k}, often of less: good scores vary less."
    )


def _share(design: Design) -> Iterator[Outlook]:
    if not (design.has_target and design.independent):
        return
    detectable = power.detectable_share_ratio(design.n, _BASE_SHARE)
    start = f"If {_BASE_SHARE:.0%} of one arm's trials reach the target"
    if detectable.value is None:
        yield Outlook(
            f"{start}, no share of the other's is shown to be larger: {detectable.reason}."
        )
        return
    yield Outlook(
        f"{start}, {design.n:,} trials per arm show with {power.POWER:.0%} power that the other's "
        f"share is larger from {detectable.value:.2g} times as many on."
    )


def _repeats(design: Design) -> Iterator[Outlook]:
    r = design.repeats
    if not r:
        return
    smallest = power.smallest_signed_rank_p(r)
    if smallest > _LEVEL:
        yield Outlook(
            f"{count(r, 'repeat')} of a search can never reach p = {_LEVEL:g}: the smallest p of "
            f"an exact test of {count(r, 'pair')} is {smallest:.4g}. Declare {FEWEST_REPEATS} or "
            "more.",
            warns=True,
        )
        return
    effect = power.detectable_signed_rank_effect(r).value
    difference = (
        "no difference"
        if effect is None
        else f"a mean difference of {effect:.2g} of its standard deviations"
    )
    few = r < FEWEST_REPEATS
    end = f"; no verdict rests on fewer than {FEWEST_REPEATS}." if few else "."
    yield Outlook(
        f"{r} repeats of each search show, with {power.POWER:.0%} power, {difference}{end}",
        warns=few,
    )


def _incumbents(design: Design) -> Iterator[Outlook]:
    if not design.seeds:
        yield Outlook(
            "No incumbent is retrained: nothing can be said of the best settings on the test set.",
            warns=True,
        )
        return
    effect = power.detectable_unpaired_effect(design.seeds).value
    if effect is None:
        yield Outlook(
            "A single fresh seed has no spread: retrain each incumbent with ten or more.",
            warns=True,
        )
        return
    yield Outlook(
        f"{design.seeds} fresh seeds per incumbent show, with {power.POWER:.0%} power, a gap of "
        f"{effect:.2g} of a run's standard deviations on the test set, and a collapse that "
        f"befalls {1 - (1 - power.POWER) ** (1 / design.seeds):.0%} of all runs or more: of "
        "rarer ones they say nothing.",
        warns=design.seeds < 10,
    )


def _controls(design: Design) -> Iterator[Outlook]:
    if not design.has_control:
        yield Outlook(
            "No arm with narrow ranges is declared as control: nothing will say whether the "
            "verdict hangs on the ranges.",
            warns=True,
        )
    if not design.has_target:
        yield Outlook(
            "No target is declared: trials and time to reach it, and how many times fewer one "
            "space needs, will be left out.",
            warns=True,
        )
