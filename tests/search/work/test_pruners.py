"""Pruners through the real queue: paired brackets, and combinations that were once allowed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from comparisons import SMALL, comparison, enqueue, work_here
from light_trainer import GoingOnTrainer, LightTrainer
from optuna.pruners import HyperbandPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.declared.samplers import make_pruner
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.whole_trials import STORED
from tuner.search.results.arms import arms

EPOCHS = 9


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


def brackets(store: Store, study_name: str, pruner: HyperbandPruner) -> list[int]:
    """Of each trial, in the queue's order."""
    study = optuna.load_study(study_name=study_name, storage=store.optuna)
    pruner._try_initialization(study)
    trials = sorted(finished_trials(store, study_name), key=lambda each: each.user_attrs["index"])
    return [pruner._get_bracket_id(study, trial) for trial in trials]


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["asha", "median", "hyperband"])
def test_a_pruner_sees_the_epochs_that_a_checkpoint_of_another_database_brought(
    store: Store, tmp_path: Path, pruner: str
):
    both = [{**arm, "pruner": pruner} for arm in SMALL["arms"]]
    spec = comparison(arms=both, n_trials=16, workload={"epochs": EPOCHS}, retrain_seeds=0)

    def trials(of: Store, trainer: type[LightTrainer]) -> list[FrozenTrial]:
        enqueue(of, spec)
        work_here(of, trainer=trainer("cpu"))
        return finished_trials(of, "small/new")

    with closing(open_store(f"sqlite:///{tmp_path}/elsewhere.db")) as elsewhere:
        whole, gone_on = trials(elsewhere, LightTrainer), trials(store, GoingOnTrainer)
    assert [each.state for each in gone_on] == [each.state for each in whole]
    assert {TrialState.PRUNED, TrialState.COMPLETE} == {each.state for each in whole}
    for ours, theirs in zip(gone_on, whole, strict=True):
        assert ours.system_attrs == theirs.system_attrs  # the rungs, with their values
        assert theirs.intermediate_values.items() <= ours.intermediate_values.items()


@pytest.mark.slow
def test_trial_i_is_in_the_same_bracket_in_both_arms_of_a_comparison(store: Store):
    both = [{**arm, "pruner": "hyperband"} for arm in SMALL["arms"]]
    spec = comparison(arms=both, n_trials=32, workload={"epochs": EPOCHS}, retrain_seeds=0)
    enqueue(store, spec)
    work_here(store)
    ours, optunas = (
        [brackets(store, name, pruner()) for name in ("small/old", "small/new")]
        for pruner in (
            lambda: make_pruner("hyperband", EPOCHS),
            lambda: HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
        )
    )
    assert ours[0] == ours[1]
    assert set(ours[0]) == {0, 1, 2}
    assert optunas[0] != optunas[1]
    stopped = 0
    for name in ("small/old", "small/new"):
        for trial, bracket in zip(finished_trials(store, name), ours[0], strict=True):
            if trial.state == TrialState.PRUNED:
                stopped += 1
                assert len(trial.user_attrs["run"]["curve"]["epoch"]) >= 3**bracket
    assert stopped > 8


def test_a_trial_that_is_run_again_stays_in_its_bracket_and_repeats_have_others():
    pruner = make_pruner("hyperband", EPOCHS)
    study = optuna.create_study(pruner=pruner)
    pruner._try_initialization(study)

    def bracket(number: int, seed: int) -> int:
        trial: FrozenTrial = create_trial(value=0.5, user_attrs={"seed": seed})
        trial.number = number
        return int(pruner._get_bracket_id(study, trial))

    first, second = comparison(repeats=2).studies()[::2]
    drawn = [bracket(i, first.trial_seed(i)) for i in range(60)]
    assert drawn == [bracket(i + 100, first.trial_seed(i)) for i in range(60)]
    assert drawn != [bracket(i, second.trial_seed(i)) for i in range(60)]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["cmaes", "gp"])
def test_a_stored_comparison_of_a_pruner_and_a_sampler_that_needs_whole_trials_is_read_and_run(
    store: Store, sampler: str
):
    both = [{**arm, "pruner": "asha", "sampler": sampler} for arm in SMALL["arms"]]
    written = SMALL | {"arms": both, "retrain_seeds": 0}
    with pytest.raises(ValueError, match="use the sampler 'tpe', or the pruner 'none'"):
        comparison(arms=both)
    spec = ComparisonSpec.model_validate(written, context=STORED)
    enqueue(store, spec)
    work_here(store)
    assert store.comparison("small") == spec
    found, _ = arms(store, "small")
    assert [(arm.n, arm.sampler) for arm in found] == [(6, sampler)] * 2
