"""What the sides do in a slice, on small budgets."""

import pytest

from tuner.bench.contests import CONTESTS, Setup
from tuner.bench.searching import PlainSearch, WorkerSearch
from tuner.bench.training import OurTraining, PlainTraining
from tuner.bench.update_rule import RULES, UpdateSteps
from tuner.bnn.data.dataset import load_data
from tuner.search.database.store import open_store
from tuner.workload import Workload

pytestmark = pytest.mark.usefixtures("single_thread")
SMALL = Workload(widths=(16, 16), epochs=2, n_train=256, batch_size=32)


def ready(job):
    job.start()
    job.gauge()
    job.open(0)
    return job


@pytest.mark.slow
@pytest.mark.parametrize("make", [OurTraining, PlainTraining])
def test_training_is_counted_in_samples_and_lasts_as_long_as_told(make):
    done = ready(make(SMALL)).run(0)
    assert done.work % (256 * 2) == 0
    assert done.work >= 256 * 2
    assert done.accuracy > 0.15
    longer = ready(make(SMALL, seconds=8 * done.seconds)).run(0)
    assert longer.work > done.work


@pytest.mark.slow
def test_both_sides_of_the_accuracy_contest_learn_the_same_workload(tmp_path):
    (match,) = CONTESTS["accuracy"].matches(Setup(tmp_path, processes=1, quick=True))
    accuracies = [ready(side.jobs[0]).run(0).accuracy for side in match.sides]
    assert min(accuracies) > 0.93
    assert match.least_rounds == 5


@pytest.mark.slow
def test_searches_finish_their_trials_on_either_side(tmp_path):
    plain = ready(PlainSearch(SMALL, tmp_path, name="plain", n_trials=2, n_jobs=2)).run(0)
    assert plain.work == 2
    ours = WorkerSearch(SMALL, tmp_path, name="ours", space="filter", n_trials=4, share=1)
    done = ready(ours).run(0)
    assert done.work == 4
    assert 0 < done.training_seconds < done.busy_seconds
    store = open_store(f"sqlite:///{tmp_path}/ours-0.db", must_exist=True)
    assert store.names() == ["bench"]
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("rule", [*RULES, "sgd"])
def test_steps_of_an_update_rule_are_counted_in_weights(rule):
    done = ready(UpdateSteps(rule, shape=(20, 10), n_tensors=5, seconds=0.01)).run(0)
    assert done.work >= 3000
    assert done.work % 1000 == 0
    assert done.seconds > 0


@pytest.mark.slow
def test_contests_of_speed_train_on_few_images(tmp_path):
    (match,) = CONTESTS["resnet20"].matches(Setup(tmp_path, processes=1, quick=True))
    data = load_data(match.sides[0].jobs[0].workload)
    assert data.shape == (3, 32, 32)
    assert (len(data.train), len(data.val)) == (640, 100)
    assert {side.jobs[0].workload.precision for side in match.sides} == {"auto", "float32"}
