"""What a comparison leaves out and why, and what its reader must know: one sentence each."""

from collections.abc import Iterator, Sequence

import numpy as np

from tuner.compare import words
from tuner.compare.bootstrap import trials_for_interval
from tuner.compare.protocol import INDEPENDENT, Arm, Protocol


def notes(arms: Sequence[Arm], k: int, protocol: Protocol) -> tuple[str, ...]:
    """The notes on the arms, then those on the protocol."""
    about_arms = [note for arm in arms for note in _about(arm, protocol)]
    return (*about_arms, *_about_protocol(arms, k, protocol))


def _about(arm: Arm, protocol: Protocol) -> Iterator[str]:
    left_out = (
        "expected best of k, P(best of k) and the good-region share are left out; they hold only "
        "for independent random trials that run to their end, so the incumbent trace stands in"
    )
    if arm.sampler == "unknown":
        yield (
            f"{arm.name}: nobody recorded the sampler: {left_out}. If every trial was drawn at "
            "random, say so with --sampler random."
        )
    elif arm.sampler not in INDEPENDENT:
        yield f"{arm.name}: the {arm.sampler} sampler learns from its trials: {left_out}."
    elif arm.pruned.any():
        yield f"{arm.name}: {int(arm.pruned.sum())} of {arm.n} trials were pruned: {left_out}."
    if arm.failed.all():
        yield f"{arm.name}: all {arm.n} trials diverged or failed."
    elif arm.failed.any():
        yield (
            f"{arm.name}: {int(arm.failed.sum())} of {arm.n} trials diverged or failed; they keep "
            "the worst score and stay in every denominator."
        )
    if arm.n > 1 and np.ptp(arm.scores) == 0:
        yield (
            f"{arm.name}: all {arm.n} scores are the same, so its bootstrap interval has no "
            "width; trust the band instead."
        )
    if protocol.target is not None and arm.independent and arm.scores.max() < protocol.target:
        target = words.score(protocol.target, protocol.unit)
        yield f"{arm.name}: no trial reached the target of {target}; only a bound can be given."

    runs = arm.retrained
    if protocol.target is not None and runs is not None:
        again = float(runs.val.mean())
        if again < protocol.target <= arm.scores.max():
            target, mean = (words.score(x, protocol.unit) for x in (protocol.target, again))
            yield (
                f"{arm.name}: its best setting, found above the target of {target}, reaches "
                f"{mean} on average when retrained; part of the trials that reach it are lucky."
            )


def _about_protocol(arms: Sequence[Arm], k: int, protocol: Protocol) -> Iterator[str]:
    independent = [arm for arm in arms if arm.independent]
    short = [arm.name for arm in independent if arm.n < trials_for_interval(k)]
    if short:
        yield (
            f"No interval of the best of {k} is given for {', '.join(short)}: it needs at least "
            f"{trials_for_interval(k)} trials to cover; the band holds at any number."
        )
    if independent and not all(np.isfinite(protocol.range)):
        yield (
            "The band of the tuning curve is left out where the scores have no known bound; "
            "declare the least and greatest score to see it (for shares, --unit accuracy)."
        )
    if len({arm.n for arm in arms}) > 1:
        told = ", ".join(f"{arm.name} {arm.n}" for arm in arms)
        yield f"The arms have different numbers of trials ({told}); contrasts use equal k only."
    if protocol.target is None:
        yield "No target was declared, so the good-region share and trials to target are left out."
    if all(arm.retrained is None for arm in arms):
        yield (
            "No incumbent was retrained: the best scores printed were selected on the same data "
            "and are optimistic."
        )
    if protocol.control is None:
        yield (
            "No arm with narrow ranges was declared as control, so nothing says whether the "
            "verdict hangs on the ranges."
        )
    if protocol.declaration_hash is None:
        yield "Nothing was declared before the trials ran, so this comparison is exploratory."
