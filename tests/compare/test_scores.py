"""Two lists of scores compared in one call, as Python's readers and REST do."""

import re

import numpy as np
import pytest
import torch

import tuner.compare
from tuner.compare import Protocol, compare, compare_scores
from tuner.compare.arm import Arm
from tuner.errors import InvalidInput

RNG = np.random.default_rng(3)
NEW, OLD = RNG.uniform(0.5, 0.95, 60), RNG.uniform(0.2, 0.8, 50)


def arm(name: str, scores: np.ndarray, sampler: str = "random") -> Arm:
    nothing = np.zeros(scores.size, dtype=np.bool_)
    return Arm(name, scores, np.full(scores.size, np.nan), nothing, nothing, sampler, {})


def test_lists_arrays_and_tensors_give_what_the_arms_by_themselves_give():
    expected = compare(
        [arm("new", NEW), arm("old", OLD)], Protocol(target=0.7, k=3, rope=0.0, unit="accuracy")
    )
    for new, old in ((NEW, OLD), (NEW.tolist(), OLD.tolist()), map(torch.tensor, (NEW, OLD))):
        given = compare_scores(new, old, sampler="random", target=0.7, k=3, unit="accuracy")
        assert given.contrasts[0].best_of_k == expected.contrasts[0].best_of_k
        assert given.verdict.winner == expected.verdict.winner == "new"


def test_losses_are_compared_in_their_own_sign_and_failures_are_the_worst():
    losses = [*(1 - NEW), None, np.nan, np.inf]
    found = compare_scores(
        losses, 1 - OLD, sampler="random", direction="minimize", unit="loss", target=0.3,
        names=("filter", "magnitude"),
    )  # fmt: skip
    assert (found.verdict.winner, found.names) == ("filter", ["filter", "magnitude"])
    assert "lower loss" in found.verdict.text
    assert found.arms[0].failed == 3
    assert found.arms[0].target is not None
    assert found.arms[0].target.hits == (1 - NEW <= 0.3).sum()
    assert found.details[0].arm.scores[-1] == -max((1 - NEW).max(), (1 - OLD).max())


def test_what_is_not_declared_is_not_assumed():
    found = compare_scores(NEW, OLD)
    assert found.contrasts[0].best_of_k is None and found.verdict.winner is None
    assert any("say so with sampler=random" in note for note in found.notes)
    assert found.protocol.unit == "score" and found.protocol.rope == 0


def test_a_comparison_prints_its_verdict_and_what_to_know():
    lines = str(compare_scores(NEW, OLD, sampler="random", unit="accuracy")).splitlines()
    assert lines[0] == "Unconfirmed: new scores higher."
    assert "reaches higher validation accuracy in new than in old" in lines[1]
    assert "- k* was not declared: 2 is a twentieth of the smallest arm, but at least 2." in lines


@pytest.mark.parametrize(
    ("new", "given", "words"),
    [
        ([], {}, "new: 0 trials without any score"),
        ([None], {}, "new: 1 trial without any score"),
        ([[0.1, 0.2]], {}, "one a trial, got an array of shape [1, 2]"),
        ("high", {}, "new: must be a list of numbers"),
        ([1.0], {"direction": "up"}, "direction: must be maximize or minimize, got 'up'"),
        ([1.0], {"names": ("a",)}, "names: must be two"),
        ([1.0], {"names": ("a", "a")}, "every arm needs a name of its own"),
        ([1.0], {"k": 2}, "k: the best of k needs k <= n in every arm, got k=2 and n=1"),
        ([1.0], {"unit": "accuracy", "rope": 0.3}, "rope: accuracies are shares"),
        ([1.5], {"unit": "accuracy"}, "must lie in [0, 1], got 1.5"),
    ],
)
def test_what_is_no_list_of_scores_or_no_question_is_refused(new, given, words):
    with pytest.raises(InvalidInput, match=re.escape(words)):
        compare_scores(new, [0.5, 0.6], **given)


def test_nothing_else_is_fetched_by_name():
    with pytest.raises(AttributeError, match="no attribute 'compare_study'"):
        _ = tuner.compare.compare_study
