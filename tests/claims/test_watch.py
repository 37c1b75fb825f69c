"""Watched trainings: every sign of every step, and the trainings themselves undisturbed."""

import numpy as np
import pytest
import torch

from tuner.claims.initial_scale import play, record_gradients
from tuner.claims.watch import differing, pack, watch
from tuner.train import TrialConfig, train
from tuner.workload import Workload

WORKLOAD = Workload(widths=(16, 16), binary_ends=True, epochs=3, n_train=512, precision="float32")
SETTINGS = {"learning_rate": 0.3, "weight_decay": 0.02, "momentum": 0.9, "init_scale": 0.1}


def quiet(_share: float) -> None:
    pass


def test_differing_signs_are_counted_as_by_hand():
    draw = torch.Generator().manual_seed(0)
    one, other = (
        [torch.randn(3, 5, 7, generator=draw), torch.randn(3, 2, generator=draw)] for _ in "ab"
    )
    expected = sum(int(((a < 0) != (b < 0)).sum()) for a, b in zip(one, other, strict=True))
    assert differing(pack(one), pack(other)) == expected > 0


def test_a_watched_training_is_the_training_and_its_flips_are_those_reported():
    trials = [TrialConfig("latent_sgd", SETTINGS, seed) for seed in (0, 1)]
    watched = watch(WORKLOAD, trials, quiet)
    plain = train(WORKLOAD, trials)
    for ours, theirs in zip(watched.results, plain, strict=True):
        assert [p.val_accuracy for p in ours.curve] == [p.val_accuracy for p in theirs.curve]
    assert len(watched.signs) == plain[0].steps
    steps_per_epoch = plain[0].steps // WORKLOAD.epochs
    for trial in (0, 1):
        last = watched.signs[-steps_per_epoch - 1 :, trial]
        ratio = differing(last[1:], last[:-1]) / (steps_per_epoch * watched.n_weights)
        assert ratio == pytest.approx(plain[trial].curve[-1].flip_ratio, rel=1e-5)
    assert watched.differ(0, 1) > 0


def test_playing_recorded_gradients_to_the_same_rule_ends_in_the_same_signs():
    trial = TrialConfig("latent_sgd", SETTINGS, 3)
    watched = watch(WORKLOAD, [trial], quiet)
    gradients = record_gradients(WORKLOAD, trial, quiet)
    ends = play(WORKLOAD, [trial, trial], gradients)
    assert np.array_equal(ends[0], watched.signs[-1, 0])
    assert np.array_equal(ends[1], watched.signs[-1, 0])
    other = play(
        WORKLOAD, [TrialConfig("latent_sgd", {**SETTINGS, "init_scale": 9.0}, 3)], gradients
    )
    assert differing(other[0], ends[0]) > 0
