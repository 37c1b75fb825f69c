"""What a comparison leaves out and why, and what its reader must know: one sentence each."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tuner.compare import words
from tuner.compare.arm import INDEPENDENT, Arm
from tuner.compare.contrast import Contrast, combination, trials_needed
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.batches import COMPARABLE, batch_size
from tuner.compare.statistics.estimate import Bools, Bounds
from tuner.compare.statistics.targets import good_region_share, trials_for_success
from tuner.wording import count, setting


def notes(
    arms: Sequence[Arm],
    luck: Mapping[str, str],
    primary: Contrast,
    k: int,
    protocol: Protocol,
    seen: Bounds,
) -> tuple[str, ...]:
    """The notes on the arms, then those on the protocol.

    Args:
        arms: All arms.
        luck: Arm name -> what shows that its search reached the target by luck; see ``summary``.
        primary: The primary contrast.
        k: The budget k*.
        protocol: The declaration.
        seen: Lowest and highest score of all arms.
    """
    about_arms = [note for arm in arms for note in _about(arm, luck.get(arm.name), protocol)]
    return (*about_arms, *_about_protocol(arms, primary, k, protocol, seen))


def together(notes: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The notes, those that say the same of several arms as one.

    Args:
        notes: Those about an arm begin with its name and a colon.
        names: Of the arms.
    """
    about: dict[str, list[str]] = {}
    for note in notes:
        name = max((name for name in names if note.startswith(f"{name}: ")), key=len, default="")
        about.setdefault(note.removeprefix(f"{name}: ") if name else note, []).append(name)
    return tuple(
        f"{', '.join(dict.fromkeys(whose))}: {text}" if any(whose) else text
        for text, whose in about.items()
    )


def _about(arm: Arm, luck: str | None, protocol: Protocol) -> Iterator[str]:
    left_out = (
        "expected best of k, P(best of k) and the good-region share are left out; they hold only "
        "for independent random trials that run to their end, so the incumbent trace stands in"
        if arm.searched
        else "the good-region share is left out; it holds only for trials that run to their end"
    )
    if arm.sampler == "unknown":
        yield (
            f"{arm.name}: nobody recorded the sampler: {left_out}. If every trial was drawn at "
            f"random, say so with {setting('sampler', 'random')}."
        )
    elif arm.sampler not in INDEPENDENT:
        of = "its trials" if arm.sampler == "other" else f"trials of the {arm.sampler} sampler"
        yield f"{arm.name}: {of} are no independent draws: {left_out}."
    elif arm.pruned.any():
        pruned = _of_all(arm.pruned, "was pruned", "were pruned")
        yield f"{arm.name}: {pruned}: {left_out}."
    if arm.carried:
        yield (
            f"{arm.name}: its sampler began from {arm.carried}; they are no trials of its own, "
            "and what they cost is not counted."
        )
    if arm.failed.all():
        yield f"{arm.name}: all {count(arm.n, 'trial')} diverged or failed."
    elif arm.failed.any():
        yield (
            f"{arm.name}: {int(arm.failed.sum()):,} of {arm.n:,} trials diverged or failed; what "
            "did keeps the worst score and stays in every denominator."
        )
    if protocol.target is not None and arm.independent and arm.scores.max() < protocol.target:
        yield _never(arm, protocol.target, protocol)
    if luck is not None:
        yield f"{arm.name}: {luck}"


def _never(arm: Arm, target: float, protocol: Protocol) -> str:
    """What a target that no trial reached still says."""
    share = good_region_share(0, arm.n, confidence=protocol.confidence)
    most, needed = 100 * (share.high or 0.0), trials_for_success(share).low
    then = ""
    if arm.random and needed is not None:
        then = f", so a chance of 95% takes at least {count(needed, 'trial')}"
    return (
        f"{arm.name}: no trial reached the target of {words.score(target, protocol)}; "
        f"at most {most:.2g}% of its trials do ({words.level(protocol)} CI){then}."
    )


def _about_protocol(
    arms: Sequence[Arm], primary: Contrast, k: int, protocol: Protocol, seen: Bounds
) -> Iterator[str]:
    random = [arm for arm in arms if arm.random]
    by_k = [arm for arm in random if k <= arm.n]
    short = ", ".join(arm.name for arm in by_k if _lacks_interval(arm, k, protocol))
    if short:
        fewest = trials_needed(k, protocol)
        why = (
            f"it needs at least {fewest:,} trials to cover; the band holds at any number"
            if protocol.bounded
            else f"one end of it is unknown with fewer than about {fewest:,} trials"
        )
        yield f"No interval of the best of {k} is given for {short}: {why}."
    if k > 1 and random and protocol.k is None:
        yield f"k* was not declared: {k:,} is a twentieth of the smallest arm, but at least 2."
    if by_k and not protocol.bounded:
        yield _about_losses(arms, k, protocol)
    if primary.best_of_k_seen is not None and primary.best_of_k_seen.interval is not None:
        yield _about_seen(primary, k, protocol, seen)
    if len({arm.n for arm in by_k}) > 1:
        numbers = ", ".join(f"{arm.name} {arm.n:,}" for arm in by_k)
        yield f"The arms have different numbers of trials ({numbers}); contrasts use equal k only."
    yield from _about_seconds(arms)
    selected = primary.selected
    if selected is not None and selected.n < selected.planned and not protocol.interim:
        yield (
            f"The comparison ended at the look after {selected.n:,} of {selected.planned:,} "
            "searches of each arm, as it was declared to. The verdict's interval allows for every "
            "look. The estimate itself is likelier too large where a difference ended it, too "
            "near zero where equivalence did, and the other intervals do not allow for that."
        )
    elif selected is not None and protocol.looks:
        shares = ", ".join(f"{share:.0%}" for share in protocol.looks)
        yield (
            f"The verdict was to be looked at after {shares} of the {selected.planned} searches "
            "of each arm, and at their end; its interval allows for every look."
        )
    if selected is not None and selected.other_images is not None:
        yield (
            "Settings trained afresh are held against each other on one test set; the verdict's "
            f"interval speaks of it. On as many other images of the same kind {primary.first} "
            f"differs from {primary.second} by "
            f"{words.difference(selected.other_images, protocol)}."
        )
    if protocol.scored_on:
        yield protocol.scored_on
    codes = dict.fromkeys(code for arm in arms for code in arm.code)
    if len(codes) > 1:
        yield (
            f"The workload's code was changed between trials ({', '.join(codes)}): what ran "
            "before and after may be two workloads."
        )
    data = dict.fromkeys(data for arm in arms for data in arm.data)
    if len(data) > 1:
        states = " / ".join(f"{each} ({each.digest})" for each in data)
        yield (
            f"The data were changed between trials ({states}): what was trained before and after "
            "does not compare."
        )
    yield from dict.fromkeys(each.warning for each in data if each.warning)
    if protocol.target is None:
        yield "No target was declared, so the good-region share and trials to target are left out."
    if all(arm.retrained is None and arm.selected is None for arm in arms):
        yield (
            "No incumbent was retrained: the best scores printed were selected on the same data "
            "and are optimistic."
        )
    if protocol.control is None and not protocol.interim:
        yield (
            "No arm with narrow ranges was declared as control, so nothing says whether the "
            "verdict hangs on the ranges."
        )
    if protocol.declaration_hash is None:
        yield "Nothing was declared before the trials ran, so this comparison is exploratory."


def _of_all(trials: Bools, one: str, several: str) -> str:
    """How many of all trials something befell: ``1 of 40 trials was pruned``."""
    of_all = f"of {trials.size:,} trials"
    return count(int(trials.sum()), f"{of_all} {one}", f"{of_all} {several}")


def _lacks_interval(arm: Arm, k: int, protocol: Protocol) -> bool:
    """Whether the arm's best of k has no interval of its own: of a median the draws decide."""
    if protocol.bounded:
        return arm.n < trials_needed(k, protocol)
    return combination((arm,), (1.0,), k, protocol).interval is None


def _about_seconds(arms: Sequence[Arm]) -> Iterator[str]:
    """Seconds are shares of a batch's time: those of unlike batches must not be compared."""
    sizes = {arm.name: batch_size(arm.batch) for arm in arms if np.isfinite(arm.seconds).any()}
    if sizes and max(sizes.values()) > COMPARABLE * min(sizes.values()):
        widths = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
        yield (
            "A trial's seconds are its share of its batch's, less in a wide batch; those of arms "
            f"whose batches differ do not compare (trials trained together: {widths})."
        )


def _about_losses(arms: Sequence[Arm], k: int, protocol: Protocol) -> str:
    """What is compared where scores have no known bounds, and a hint where they may have."""
    shares = all(0 <= arm.scores.min() and arm.scores.max() <= 1 for arm in arms)
    accuracies = shares and not protocol.minimized
    accuracy = setting("unit", "accuracy")
    hint = f"; if they are accuracies, {accuracy} bounds them" if accuracies else ""
    return (
        "These scores have no known bounds, so one exploded trial could decide every mean: what "
        f"is compared is the median of the best of {k:,}, which half of all searches beat, and "
        f"nothing is supposed of trials that nobody has seen{hint}."
    )


def _about_seen(primary: Contrast, k: int, protocol: Protocol, seen: Bounds) -> str:
    """The narrower interval of the best of k, and what it supposes."""
    assert primary.best_of_k_seen is not None
    span, known = words.span(seen, protocol), words.span(protocol.range, protocol)
    narrower = words.difference(primary.best_of_k_seen, protocol)
    none = "; no width, since all scores are one" if seen[0] == seen[1] else ""
    return (
        f"The intervals of the best of {k:,} suppose no more than that scores lie within {known}. "
        f"Supposing also that no further trial would score outside what all arms together have "
        f"seen, {span}, {primary.first} differs from {primary.second} by {narrower}{none}."
    )
