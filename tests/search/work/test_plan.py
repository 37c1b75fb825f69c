"""What a comparison will cost is measured on the machine, before anything runs."""

import tempfile
import time
from dataclasses import replace

import pytest

import tuner.search.work.plan as plans
import tuner.train.cost as costs
from tuner.bnn.data.dataset import load_data
from tuner.errors import InvalidInput
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.work.idle import coordination_seconds
from tuner.search.work.plan import plan
from tuner.workload import Workload, in_words

WORKLOAD = Workload(widths=(16, 16), epochs=3, batch_size=32)
SPEC = ComparisonSpec(
    name="planned",
    workload=WORKLOAD,
    arms=[
        {"name": "old", "space": "magnitude"},
        {"name": "new", "space": "filter"},
        {"name": "new_tpe", "space": "filter", "sampler": "tpe", "n_trials": 16, "repeats": 3},
        {"name": "untuned", "space": "filter", "sampler": "defaults", "n_trials": 4},
    ],
    n_trials=10,
    retrain_seeds=2,
)


@pytest.mark.slow
def test_a_plan_counts_every_trial_and_epoch_and_gives_each_arm_its_time():
    found = plan(SPEC, workers=2)
    assert found.workers == 2
    assert found.n_trials == 10 + 10 + 3 * 16 + 4 + 4 * 2 + (5 + 5 + 3)  # k = 2
    assert found.epochs == 3 * found.n_trials
    arms = {arm.name: arm for arm in found.arms}
    assert (arms["new_tpe"].repeats, arms["new_tpe"].n_trials) == (3, 16)
    afresh = {name: arm.retrained for name, arm in arms.items()}
    assert afresh == {"old": 5 + 2, "new": 5 + 2, "new_tpe": 3 + 2, "untuned": 2}
    assert 1 <= arms["new"].batch <= 10
    assert arms["new_tpe"].batch <= 2  # a sampler that learns is asked in several
    assert all(arm.seconds > 0 for arm in found.arms)
    assert found.seconds > found.start_seconds > 0


def test_the_time_is_that_of_all_batches_and_of_what_stands_between_them(monkeypatch):
    def measured(asked, size, _on_measuring):
        assert size == 2
        each = {"old": (5, 1.0, 0.5), "new": (5, 2.0, 0.25)}
        one = [plans._Measured(*each[study.arm.name]) for study in asked]
        other = [plans._Measured(*(3 * x for x in each[study.arm.name])) for study in asked]
        other = [replace(far, batch=near.batch) for near, far in zip(one, other, strict=True)]
        return [one, other], time.monotonic(), None, ()

    monkeypatch.setattr(plans, "_measure", measured)
    monkeypatch.setattr(plans, "coordination_seconds", lambda _spec, _arm, batch: 0.1 * batch)
    spec = SPEC.model_copy(update={"arms": SPEC.arms[:2]})
    found = plan(spec, workers=2)
    # The workers' mean is twice the first's: start + 3 epochs of each batch, 17 / 5 batches.
    old = 17 / 5 * (2.0 + 3 * 1.0) + 0.5
    new = 17 / 5 * (4.0 + 3 * 0.5) + 0.5
    assert [arm.seconds for arm in found.arms] == pytest.approx([old, new])
    assert found.seconds == pytest.approx(found.start_seconds + (old + new) / 2)


def test_an_arm_that_begins_from_trials_of_another_workload_is_named(monkeypatch):
    def measured(asked, _size, _on_measuring):
        return [[plans._Measured(5, 1.0, 0.5) for _ in asked]], time.monotonic(), None, ("read",)

    monkeypatch.setattr(plans, "_measure", measured)
    setting = {"alpha": 0.01, "gamma": 0.5, "alpha_decay": "cosine"}
    carried = {"source": "old", "trials": [{"number": 0, "value": 0.9, "settings": setting}]}
    same, other = in_words(WORKLOAD), in_words(replace(WORKLOAD, epochs=30))
    arms = [
        {"name": name, "space": "filter", "sampler": "tpe", "carried": carried | said}
        for name, said in (
            ("unknown", {}),
            ("alike", {"workload": same}),
            ("misled", {"workload": other}),
        )
    ]
    spec = ComparisonSpec(name="a", workload=WORKLOAD, arms=arms, n_trials=4, retrain_seeds=0)
    first, note = plan(spec, workers=1).notes
    assert first == "read"
    assert note.startswith(f"misled: begins from trials that trained {other}; their values are")


@pytest.mark.slow
def test_a_workload_that_cannot_be_trained_is_refused():
    bad = Workload(model="cnn", widths=(8, 8) * 12, epochs=1)
    with pytest.raises(InvalidInput, match="widths"):
        plan(SPEC.model_copy(update={"workload": bad}), workers=1)


@pytest.mark.parametrize(("n_train", "expected"), [(0, 0.1 + 0.001 * 899), (200, 0.3)])
def test_the_time_of_a_long_epoch_is_told_from_short_ones(monkeypatch, n_train, expected):
    def timed(workload, _trials, _device):
        return costs.Cost(2.0, 0.1 + 0.001 * (workload.n_train or 899))

    monkeypatch.setattr(costs, "_timed", timed)
    workload = Workload(widths=(8, 8), batch_size=4, n_train=n_train, precision="float32")
    whole = len(load_data(workload).train.labels)
    assert whole == (n_train or 899)
    found = costs.cost(workload, "filter_flip", 1, "cpu")
    assert found.start_seconds == 2.0
    assert found.epoch_seconds == pytest.approx(expected)


def test_a_disturbed_measurement_makes_no_long_epoch_take_less_than_a_short_one(monkeypatch):
    def timed(workload, _trials, _device):
        return costs.Cost(2.0, 0.3 if workload.n_train == 80 else 0.2)  # the short one was held up

    monkeypatch.setattr(costs, "_timed", timed)
    workload = Workload(widths=(8, 8), batch_size=4, precision="float32")
    assert costs.cost(workload, "filter_flip", 1, "cpu") == costs.Cost(2.0, 0.2)


def test_trials_that_all_diverge_in_their_first_epoch_are_timed_too():
    workload = Workload(widths=(8, 8), real_learning_rate=1e38, precision="float32")
    found = costs.cost(workload, "filter_flip", 2, "cpu")
    assert found.epoch_seconds > 0


@pytest.mark.slow
def test_what_stands_between_batches_is_timed_with_real_workers_and_leaves_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert coordination_seconds(SPEC, SPEC.arms[2], 2) > 0
    assert list(tmp_path.iterdir()) == []
