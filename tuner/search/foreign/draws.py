"""Which trials of a study are draws of its sampler, each counted once."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from tuner.search.foreign.ranges import in_words
from tuner.search.foreign.shown import printable
from tuner.wording import count


def draws(
    trials: Sequence[FrozenTrial], name: str, *, random: bool
) -> tuple[list[FrozenTrial], list[str]]:
    """The trials that count, and what is said of those that do not.

    An attempt that was lost, such as with its machine, and run again with the same setting
    (Optuna's ``RetryHeartbeatStaleTrialCallback``) is one draw with its retry. A setting that
    somebody put into the queue (``Study.enqueue_trial``) is no random draw; one that was tried
    before, as by workers that share a seed, is none either; and the estimators hold for one
    search space: where the ranges changed in mid-study, for the one most trials are of.

    Args:
        trials: Those that ended, by number.
        name: The arm.
        random: Whether the estimators take them for independent random draws.
    """
    notes: list[str] = []
    kept = _without_lost_attempts(trials, name, notes)
    kept = _without_enqueued(kept, name, notes, random=random)
    if random:
        kept = _without_outside(kept, name, notes)
        kept = _without_repeated(kept, name, notes)
    return _of_one_space(kept, name, notes, random=random), notes


def _without_lost_attempts(
    trials: Sequence[FrozenTrial], name: str, notes: list[str]
) -> list[FrozenTrial]:
    lost = {number for trial in trials for number in _attempts_before(trial)}
    kept = [
        trial for trial in trials if trial.state != TrialState.FAIL or trial.number not in lost
    ]
    if again := len(trials) - len(kept):
        notes.append(
            f"{name}: "
            + count(
                again,
                "lost attempt that was run again with the same setting is left out",
                "lost attempts that were run again with the same setting are left out",
            )
            + ": each is one draw with its retry"
        )
    return kept


def _attempts_before(trial: FrozenTrial) -> list[int]:
    """Numbers of the lost attempts that this trial repeats."""
    history = trial.system_attrs.get("retry_history")
    return [each for each in history if type(each) is int] if isinstance(history, list) else []


def _without_enqueued(
    trials: list[FrozenTrial], name: str, notes: list[str], *, random: bool
) -> list[FrozenTrial]:
    by_hand = sum("fixed_params" in trial.system_attrs for trial in trials)
    if not by_hand:
        return trials
    if random and by_hand < len(trials):
        notes.append(
            f"{name}: "
            + count(
                by_hand,
                "trial whose setting was enqueued by hand is no random draw, and left out",
                "trials whose setting was enqueued by hand are no random draws, and left out",
            )
        )
        return [trial for trial in trials if "fixed_params" not in trial.system_attrs]
    notes.append(f"{name}: {count(by_hand, 'trial was', 'trials were')} enqueued by hand")
    return trials


def _without_outside(trials: list[FrozenTrial], name: str, notes: list[str]) -> list[FrozenTrial]:
    """Those whose values lie in the ranges that they are said to be drawn from."""
    inside = [trial for trial in trials if not any(_lies_outside(trial))]
    if not inside or len(inside) == len(trials):
        return trials
    names = sorted({key for trial in trials for key in _lies_outside(trial)})
    notes.append(
        f"{name}: {count(len(trials) - len(inside), 'trial has', 'trials have')} values outside "
        f"their range ({', '.join(map(printable, names))}), so nobody drew them there; left out"
    )
    return inside


def _lies_outside(trial: FrozenTrial) -> list[str]:
    return [
        name
        for name, kind in trial.distributions.items()
        if isinstance(kind, FloatDistribution | IntDistribution)
        and not kind.low <= trial.params[name] <= kind.high
    ]


def _without_repeated(trials: list[FrozenTrial], name: str, notes: list[str]) -> list[FrozenTrial]:
    """The first trial of each setting; with a continuous range two draws are never alike."""
    first: dict[str, FrozenTrial] = {}
    for trial in trials:
        setting = repr(sorted(trial.params.items()))
        first.setdefault(setting if _is_continuous(trial) else f"trial {trial.number}", trial)
    if again := len(trials) - len(first):
        notes.append(
            f"{name}: {count(again, 'trial repeats', 'trials repeat')} a setting that was drawn "
            "before, to the last digit, as workers that share a seed do; left out, since each "
            "setting is one draw"
        )
    return list(first.values())


def _is_continuous(trial: FrozenTrial) -> bool:
    return any(
        isinstance(kind, FloatDistribution) and kind.step is None and not kind.single()
        for kind in trial.distributions.values()
    )


def _of_one_space(
    trials: list[FrozenTrial], name: str, notes: list[str], *, random: bool
) -> list[FrozenTrial]:
    """The trials over the ranges that most of them have, where ranges changed in mid-study."""
    spaces: list[tuple[str, ...]] = [() for _ in trials]
    for parameter in dict.fromkeys(key for trial in trials for key in trial.distributions):
        over = _carried([trial.distributions.get(parameter) for trial in trials])
        if not _changed_once(over):
            continue
        spaces = [(*space, words) for space, words in zip(spaces, over, strict=True)]
        said = ", then ".join(f"{words} ({count(n, 'trial')})" for words, n in _runs(over))
        notes.append(f"{name}: the range of {parameter} changed in mid-study: {said}")
    most = Counter(spaces).most_common(1)
    if len(set(spaces)) < 2 or not random:
        return trials
    kept = [trial for trial, space in zip(trials, spaces, strict=True) if space == most[0][0]]
    notes.append(
        f"{name}: compared: {count(len(kept), 'trial')} over the ranges that most trials have; "
        f"left out, as draws from another space: {len(trials) - len(kept):,}"
    )
    return kept


def _carried(kinds: Sequence[BaseDistribution | None]) -> list[str]:
    """The range at each trial, in words; without the hyperparameter that of the trial before."""
    last = next(kind for kind in kinds if kind is not None)
    words = in_words(last)
    carried = []
    for kind in kinds:
        if kind is not None and not (type(kind) is type(last) and vars(kind) == vars(last)):
            last, words = kind, in_words(kind)
        carried.append(words)
    return carried


def _changed_once(over: Sequence[str]) -> bool:
    """Whether ranges follow each other, unlike those that each trial computes anew.

    Then there are far fewer changes than if the same ranges came in any order.
    """
    shares = [n / len(over) for n in Counter(over).values()]
    by_chance = 1 + len(over) * (1 - sum(share**2 for share in shares))
    return len(shares) > 1 and len(_runs(over)) < by_chance / 2


def _runs(over: Sequence[str]) -> list[tuple[str, int]]:
    return [(words, sum(1 for _ in same)) for words, same in groupby(over)]
