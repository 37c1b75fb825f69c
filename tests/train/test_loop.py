"""The training loop on the digits: fused trials, reports, stopping, divergence."""

import math

import pytest
import torch

from tuner.errors import InvalidInput
from tuner.train import TrialConfig, train
from tuner.train.run import Run
from tuner.workload import Workload

SMALL = Workload(widths=(24, 24), epochs=3, batch_size=32, n_train=256, binary_ends=True)
CONFIGS = {
    "filter_flip": [
        {"alpha": 1e-2, "gamma": 0.3, "alpha_decay": "cosine"},
        {"alpha": 1e-1, "gamma": 1.0},
        {"alpha": 1e-3, "gamma": 0.1, "alpha_decay": "step"},
    ],
    "latent_sgd": [
        {"learning_rate": 0.1, "weight_decay": 0.1, "momentum": 0.9, "scaling": True},
        {"learning_rate": 1.0, "clip": 0.5, "learning_rate_decay": "linear"},
        {"learning_rate": 0.01, "init_scale": 0.01, "momentum": 0.5},
    ],
    "latent_adamw": [{"learning_rate": 1e-2}, {"learning_rate": 1e-1, "scaling": True}],
    "bop": [{"gamma": 1e-2, "tau": 1e-6}, {"gamma": 1e-1}],
}
CONVOLUTIONAL = [("cnn", (4, 4)), ("bireal_resnet20", (4, 8)), ("reactnet", (4, 8))]


def trials(rule, seeds=(7, 8, 9)):
    return [TrialConfig(rule, s, seed) for s, seed in zip(CONFIGS[rule], seeds, strict=False)]


def replace(workload, **changes):
    return Workload(**{**vars(workload), **changes})


def curve(result):
    return [(p.epoch, p.train_loss, p.val_accuracy, p.flip_ratio) for p in result.curve]


@pytest.mark.slow
@pytest.mark.parametrize("rule", CONFIGS)
@pytest.mark.parametrize("augment", ["none", "flip_crop"])
def test_a_trial_of_a_batch_gives_the_result_it_gives_alone(rule, augment):
    workload = replace(SMALL, precision="float64", epochs=7, augment=augment)  # 56 steps
    together = train(workload, trials(rule), test=True)
    for trial, fused in zip(trials(rule), together, strict=True):
        (alone,) = train(workload, [trial], test=True)
        for (_, *a), (_, *b) in zip(curve(alone), curve(fused), strict=True):
            assert a == pytest.approx(b, abs=1e-9)
        assert alone.test_accuracy == fused.test_accuracy
        assert alone.steps == fused.steps == 56


@pytest.mark.slow
@pytest.mark.parametrize(("model", "widths"), CONVOLUTIONAL)
def test_a_convolution_of_a_batch_gives_the_result_it_gives_alone(model, widths):
    workload = Workload(
        model=model, widths=widths, epochs=1, batch_size=32, n_train=128, precision="float64"
    )
    together = train(workload, trials("filter_flip"))
    for trial, fused in zip(trials("filter_flip"), together, strict=True):
        (alone,) = train(workload, [trial])
        assert curve(alone)[0] == pytest.approx(curve(fused)[0], abs=1e-9)


@pytest.mark.parametrize("rule", CONFIGS)
def test_the_same_seed_gives_the_same_curve_bit_for_bit(rule):
    first, second = (train(SMALL, trials(rule), test=True) for _ in range(2))
    assert [curve(r) for r in first] == [curve(r) for r in second]
    assert [r.test_accuracy for r in first] == [r.test_accuracy for r in second]


def test_another_seed_gives_another_curve():
    (a,), (b,) = (train(SMALL, trials("filter_flip", [seed])[:1]) for seed in (1, 2))
    assert curve(a) != curve(b)


def test_weights_of_pixels_that_are_always_black_never_flip():
    run = Run(SMALL, trials("filter_flip"), torch.device("cpu"))
    first = run.network.hidden[0].weight
    before = first.detach().clone()
    run.epoch(1)
    black = (run.data.train.images == 0).all(0).flatten()
    assert black.any()
    changed = (first != before).any(1).any(0)
    assert not changed[black].any()
    assert changed[~black].any()


@pytest.mark.slow
def test_digits_are_learnt():
    workload = Workload(widths=(128, 128), binary_ends=True, epochs=8)
    config = {"alpha": 1e-2, "gamma": 0.5, "alpha_decay": "cosine"}
    (result,) = train(workload, [TrialConfig("filter_flip", config, 0)], test=True)
    assert result.val_accuracy > 0.93
    assert result.test_accuracy > 0.93
    assert result.test_accuracy == sum(result.test_hits) / len(result.test_hits)
    losses = [point.train_loss for point in result.curve]
    assert losses[-1] < losses[0] / 2


def test_every_epoch_is_reported_with_what_the_result_holds():
    reports = []
    results = train(SMALL, trials("filter_flip"), lambda r: reports.append(r) or ())
    assert [r.epoch for r in reports] == [1, 2, 3]
    for k, result in enumerate(results):
        assert [r.val_accuracy[k] for r in reports] == [p.val_accuracy for p in result.curve]
        assert [r.flip_ratio[k] for r in reports] == [p.flip_ratio for p in result.curve]
        assert result.seconds == pytest.approx(sum(r.seconds[k] for r in reports))
        assert result.val_accuracy == result.curve[-1].val_accuracy
        assert result.test_accuracy is None and result.test_hits is None
        assert result.steps == 24


def test_the_flip_ratio_is_the_share_of_signs_that_change_in_a_step():
    def flips(alpha):
        config = {"alpha": alpha, "gamma": 1.0}
        (result,) = train(SMALL, [TrialConfig("filter_flip", config, 0)])
        return [point.flip_ratio for point in result.curve]

    # alpha 1 follows the sign of each gradient, alpha 1e-5 keeps what the first steps chose
    assert all(0.2 < ratio < 0.6 for ratio in flips(1.0))
    assert flips(1e-5)[-1] < 0.1


def test_a_stopped_trial_leaves_and_the_others_go_on_as_if_it_had_never_been():
    stop_second = lambda report: [1] if report.epoch == 2 else []  # noqa: E731
    workload = replace(SMALL, precision="float64")
    whole = train(workload, trials("latent_sgd"), test=True)
    first, stopped, last = train(workload, trials("latent_sgd"), stop_second, test=True)
    assert stopped.stopped and len(stopped.curve) == 2 and stopped.test_accuracy is None
    assert stopped.steps == first.steps == 24
    for a, b in ((first, whole[0]), (last, whole[2])):
        assert not a.stopped
        for p, q in zip(curve(a), curve(b), strict=True):
            assert p == pytest.approx(q, abs=1e-9)


def test_stopping_all_trials_ends_the_run():
    results = train(SMALL, trials("bop"), lambda report: report.trials)
    assert [len(r.curve) for r in results] == [1, 1]


def test_a_diverged_trial_scores_chance_and_completes_and_harms_no_other():
    healthy = {"learning_rate": 0.1, "momentum": 0.9}
    diverging = {"learning_rate": 1e30, "weight_decay": 1e30}
    configs = [TrialConfig("latent_sgd", s, 3) for s in (healthy, diverging)]
    good, bad = train(SMALL, configs, test=True)
    assert bad.diverged and not bad.stopped
    assert bad.val_accuracy == bad.test_accuracy == 0.1 and bad.test_hits is None
    assert math.isnan(bad.curve[-1].train_loss)
    (alone,) = train(SMALL, configs[:1], test=True)
    assert not good.diverged
    assert good.val_accuracy == pytest.approx(alone.val_accuracy, abs=0.05)


@pytest.mark.slow
def test_bfloat16_learns_like_float32():
    config = {"alpha": 1e-2, "gamma": 0.5, "alpha_decay": "cosine"}
    batch = [TrialConfig("filter_flip", config, seed) for seed in range(5)]
    workload = replace(SMALL, widths=(64, 64), n_train=0, epochs=5)
    scores = {
        precision: [r.val_accuracy for r in train(replace(workload, precision=precision), batch)]
        for precision in ("float32", "bfloat16")
    }
    means = {name: sum(values) / 5 for name, values in scores.items()}
    assert means["bfloat16"] == pytest.approx(means["float32"], abs=0.03)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(InvalidInput, match="one trial or more"):
        train(SMALL, [])
    with pytest.raises(InvalidInput, match="all of one update rule"):
        train(SMALL, trials("bop")[:1] + trials("filter_flip")[:1])
    with pytest.raises(InvalidInput, match="at most the 256 training samples of digits, got 500"):
        train(replace(SMALL, batch_size=500), trials("bop"))


def test_training_takes_one_thread_and_gives_the_others_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = []
    train(
        replace(SMALL, epochs=1),
        trials("bop"),
        lambda _: seen.append(torch.get_num_threads()) or (),
    )
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (seen, after) == ([1], 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network", [{"widths": (24, 24)}, {"model": "bireal_resnet20", "widths": (4, 8)}]
)
def test_copies_in_the_places_of_its_mates_change_nothing_for_a_trial(network):
    """Alone it may be rounded otherwise: the size of a batch decides how sums are made."""
    workload = replace(SMALL, **network, binary_ends="model" not in network, epochs=2)
    batch = [TrialConfig("latent_sgd", {"learning_rate": 0.1 * s}, s) for s in range(1, 7)]
    whole = train(workload, batch)
    for part in ([0], [1, 3], [3, 4, 5]):
        places = [place if place in part else part[place % len(part)] for place in range(6)]
        found = train(workload, [batch[place] for place in places])
        for place in part:
            assert curve(found[place]) == curve(whole[place])
