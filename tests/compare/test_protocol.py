from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tuner.compare import Arm, Protocol, Retrained, compare
from tuner.errors import InvalidInput

MakeArm = Callable[..., Arm]


def test_an_arm_without_trials_is_refused(arm: MakeArm) -> None:
    with pytest.raises(InvalidInput, match="arm 'old': needs at least one finished trial"):
        arm("old", [])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused_with_arm_and_trial(
    arm: MakeArm, bad: float
) -> None:
    with pytest.raises(InvalidInput, match=r"arm 'old': every score must be finite.*in trial 1"):
        arm("old", [0.5, bad])


def test_lists_of_different_lengths_are_refused(arm: MakeArm) -> None:
    with pytest.raises(InvalidInput, match=r"arm 'old': seconds must be .* got shape \[1\]"):
        arm("old", [0.5, 0.6], seconds=[1.0])


def test_a_retrained_incumbent_needs_finite_scores_one_per_seed() -> None:
    with pytest.raises(InvalidInput, match="at least one finite score"):
        Retrained({}, val=np.array([]), test=np.array([]))
    with pytest.raises(InvalidInput, match="test: needs a list of at least one finite"):
        Retrained({}, val=np.array([0.9]), test=np.array([np.nan]))
    with pytest.raises(InvalidInput, match="got 2 and 1"):
        Retrained({}, val=np.array([0.9, 0.8]), test=np.array([0.9]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"k": 0}, "k: the budget"),
        ({"rope": float("nan")}, "rope: must be >= 0"),
        ({"rope": -0.1}, "rope: must be >= 0"),
        ({"confidence": 1.0}, "confidence: must be in"),
        ({"target": float("nan")}, "target: must be finite"),
        ({"target": 95.0}, r"target: must lie in the scores' range \[0, 1\]"),
        ({"bounds": (1.0, 0.0)}, "the least score must be below"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Protocol(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"k": 4}, "k <= n in every arm, got k=4 and n=3 in arm 'b'"),
        ({"primary": ("a", "c")}, r"arm 'c' is not among the arms \(choose from a, b\)"),
        ({"control": "narrow"}, "arm 'narrow' is not among"),
        ({"control": "a"}, "new, old and control arm must differ"),
        ({"primary": ("a", "a")}, "must differ, got a, a"),
    ],
)
def test_a_declaration_that_does_not_fit_the_arms_is_refused(
    arm: MakeArm, given: dict[str, Any], message: str
) -> None:
    arms = [arm("a", [0.1, 0.2, 0.3, 0.4, 0.5]), arm("b", [0.1, 0.2, 0.3])]
    with pytest.raises(InvalidInput, match=message):
        compare(arms, Protocol(**given))


def test_arms_that_cannot_be_told_apart_are_refused(arm: MakeArm) -> None:
    with pytest.raises(InvalidInput, match="at least two arms, the new one"):
        compare([arm("a", [0.5])], Protocol())
    with pytest.raises(InvalidInput, match="a name of its own, got a, a"):
        compare([arm("a", [0.5]), arm("a", [0.5])], Protocol())


def test_percentages_given_as_shares_are_refused(arm: MakeArm) -> None:
    with pytest.raises(InvalidInput, match=r"arm 'b': .* must lie in \[0, 1\], got 87"):
        compare([arm("a", [0.5]), arm("b", [87.0])], Protocol())
