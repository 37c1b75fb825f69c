"""What a comparison will cost is measured on the machine, before anything runs."""

import pytest

from tuner.errors import InvalidInput
from tuner.search.plan import plan
from tuner.search.spec import ComparisonSpec
from tuner.train.cost import cost
from tuner.workload import Workload

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


def test_a_plan_counts_every_trial_and_epoch_and_gives_each_arm_its_time():
    found = plan(SPEC, workers=2)
    assert found.workers == 2
    assert found.n_trials == 10 + 10 + 3 * 16 + 4 + 4 * 2
    assert found.epochs == 3 * found.n_trials
    arms = {arm.name: arm for arm in found.arms}
    assert (arms["new_tpe"].repeats, arms["new_tpe"].n_trials) == (3, 16)
    assert 1 <= arms["new"].batch <= 10
    assert arms["new_tpe"].batch <= 2  # a sampler that learns is asked in several
    assert all(arm.seconds > 0 for arm in found.arms)
    assert arms["new_tpe"].seconds > arms["new"].seconds
    assert found.seconds > found.start_seconds > 0


def test_more_epochs_and_more_trials_take_longer():
    def seconds(**changes: object) -> float:
        spec = SPEC.model_copy(update={"arms": SPEC.arms[:2]} | changes)
        return sum(arm.seconds for arm in plan(spec, workers=1).arms)

    once = seconds()
    longer = Workload(widths=(16, 16), epochs=60, batch_size=32)
    assert seconds(workload=longer) > 2 * once
    assert seconds(n_trials=200) > 2 * once


def test_a_workload_that_cannot_be_trained_is_refused():
    bad = Workload(model="cnn", widths=(8, 8) * 12, epochs=1)
    with pytest.raises(InvalidInput, match="widths"):
        plan(SPEC.model_copy(update={"workload": bad}), workers=1)


def test_the_time_of_a_long_epoch_is_told_from_short_ones():
    def seconds(n_train: int) -> float:
        workload = Workload(widths=(64, 64), batch_size=2, n_train=n_train, precision="float32")
        return cost(workload, "filter_flip", 1, "cpu").epoch_seconds

    assert seconds(880) / seconds(110) == pytest.approx(8, rel=0.6)
