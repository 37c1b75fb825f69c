"""The same training on a GPU; skipped where there is none."""

import pytest
import torch

from tuner.errors import Interrupted
from tuner.train import Keep, TrialConfig, train, trials_per_batch
from tuner.train.run import Run
from tuner.workload import Workload

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

RULES = {
    "filter_flip": {"alpha": 1e-2, "gamma": 0.5, "alpha_decay": "cosine"},
    "designed_filter": {"memory": 100.0, "order": 1, "cutoff_decay": "cosine"},
    "latent_sgd": {"learning_rate": 1.0, "weight_decay": 1e-2, "momentum": 0.5, "scaling": True},
    "bop": {"gamma": 1e-2, "tau": 1e-6},
}


@pytest.mark.parametrize("rule", RULES)
def test_a_gpu_learns_as_well_as_the_cpu(rule):
    workload = Workload(widths=(128, 128), binary_ends=True, epochs=8, precision="float32")
    trials = [TrialConfig(rule, RULES[rule], seed) for seed in range(5)]
    means = [
        sum(r.val_accuracy for r in train(workload, trials, device=device)) / len(trials)
        for device in ("cpu", "cuda")
    ]
    assert means[1] == pytest.approx(means[0], abs=0.03)


@pytest.mark.parametrize("rule", RULES)
def test_the_replayed_step_gives_what_the_step_gives(rule, monkeypatch):
    workload = Workload(widths=(32, 32), epochs=2, precision="float32", augment="crop")
    trials = [TrialConfig(rule, RULES[rule], seed) for seed in range(3)]

    def losses():
        return [p.train_loss for r in train(workload, trials, device="cuda") for p in r.curve]

    replayed = losses()
    monkeypatch.setattr(Run, "_record", lambda run: setattr(run, "_advance", run._operations))
    assert replayed == pytest.approx(losses(), rel=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_interrupted_training_goes_on_on_a_gpu(rule, tmp_path):
    workload = Workload(widths=(32, 32), epochs=3, precision="float32", augment="crop")
    trials = [TrialConfig(rule, RULES[rule], seed) for seed in range(3)]

    def losses(**options):
        results = train(workload, trials, lambda _: (), device="cuda", **options)
        return [point.train_loss for result in results for point in result.curve]

    with pytest.raises(Interrupted):
        losses(keep=Keep(tmp_path, lambda: True))
    assert losses(keep=Keep(tmp_path)) == pytest.approx(losses(), rel=1e-4)


def test_a_step_never_waits_for_the_gpu():
    workload = Workload(model="cnn", widths=(8, 8), augment="flip_crop")
    trials = [TrialConfig("filter_flip", RULES["filter_flip"], seed) for seed in range(3)]
    run = Run(workload, trials, torch.device("cuda"))
    batches = run.batches.epoch([0, 1, 2], 1)
    for _ in range(6):  # to warm up, and to record
        run.step(*next(batches))
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(6):
            run.step(*next(batches))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("model", ["cnn", "bireal_resnet20"])
def test_convolutions_train_in_bfloat16_on_a_gpu(model):
    workload = Workload(model=model, widths=(8, 8), epochs=3, augment="flip_crop")
    assert trials_per_batch(workload, "cuda") >= 1
    trials = [TrialConfig("filter_flip", RULES["filter_flip"], seed) for seed in range(3)]
    for result in train(workload, trials, device="cuda", test=True):
        assert result.test_accuracy > 0.3
