"""The recorded step. CUDA graphs need a GPU (test_gpu.py); here a stand-in records on the CPU."""

import pytest
import torch

from tuner.train import TrialConfig, train
from tuner.train.replay import WARM_UP, Replay
from tuner.train.run import Run
from tuner.workload import Workload

WORKLOAD = Workload(widths=(16, 16), epochs=3, batch_size=32, n_train=256)
RULES = {
    "filter_flip": [
        {"alpha": 0.1, "gamma": 0.3, "alpha_decay": "cosine"},
        {"alpha": 0.03, "alpha_decay": "constant"},
        {"alpha": 0.2, "alpha_decay": "step"},
    ],
    "designed_filter": [
        {"memory": 10.0, "family": "bessel", "order": 3, "cutoff_decay": "cosine"},
        {"memory": 0.1, "memory_unit": "runs", "order": 1},
        {"memory": 5.0, "family": "damped", "damping": 0.3, "cutoff_decay": "step"},
    ],
    "latent_sgd": [
        {"learning_rate": 1.0, "momentum": 0.9, "learning_rate_decay": "linear", "scaling": True},
        {"learning_rate": 0.1, "weight_decay": 0.1},
        {"learning_rate": 0.3, "clip": 0.5},
    ],
    "bop": [{"gamma": 0.1}, {"gamma": 0.01}, {"gamma": 0.3}],
}


def never(step):
    raise AssertionError(f"the schedule was asked at step {step}, inside the recorded step")


class Recorder:
    """Replays by running the function again, with Python's numbers as they were on recording."""

    def __init__(self, run):
        self.run = run
        self.replays = 0

    def __call__(self, function):
        recorded_at = self.run.rule.step_count

        def replay():
            rule = self.run.rule
            now, schedule = rule.step_count, getattr(rule, "schedule", None)
            rule.step_count, rule.schedule = recorded_at, never
            result = function()
            rule.step_count, rule.schedule = now, schedule
            self.replays += 1
            return result

        return replay


@pytest.fixture
def recorders(monkeypatch):
    """Let every run record its steps; the recorders made, one for each recording."""
    made = []

    def record(run):
        made.append(Recorder(run))
        run._advance = Replay(run._operations, record=made[-1])

    with monkeypatch.context() as patch:
        yield lambda: patch.setattr(Run, "_record", record) or made


def curves(rule, on_epoch=lambda _: ()):
    trials = [TrialConfig(rule, settings, seed) for seed, settings in enumerate(RULES[rule])]
    return [
        [(p.train_loss, p.val_accuracy, p.flip_ratio) for p in result.curve]
        for result in train(WORKLOAD, trials, on_epoch)
    ]


@pytest.mark.parametrize("rule", RULES)
def test_a_replayed_step_is_the_step(rule, recorders):
    expected = curves(rule)
    made = recorders()
    assert curves(rule) == expected
    assert [recorder.replays for recorder in made] == [3 * 8 - WARM_UP]


def test_it_is_recorded_again_when_a_trial_leaves(recorders):
    def stop(report):
        return (1,) if report.epoch == 1 else ()

    expected = curves("filter_flip", stop)
    made = recorders()
    assert curves("filter_flip", stop) == expected
    assert [recorder.replays for recorder in made] == [8 - WARM_UP, 16 - WARM_UP]


def test_what_cannot_be_recorded_goes_on_step_by_step_and_says_so_once(caplog):
    def refuse(_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    seen = []
    step = Replay(lambda images, _: seen.append(images) or images.sum(), record=refuse)
    for i in range(10):
        assert step(torch.full((2,), i), torch.zeros(2)) == 2 * i
    assert len(seen) == 10
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.endswith("not permitted when stream is capturing")


def test_a_rule_that_counts_its_steps_is_not_recorded():
    for rule, recordable in (("filter_flip", True), ("latent_adam", False)):
        run = Run(WORKLOAD, [TrialConfig(rule, {}, 0)], torch.device("cpu"))
        assert run.rule.recordable is recordable
