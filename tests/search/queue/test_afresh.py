"""What the searches selected is enqueued to be trained afresh: the right settings, once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from comparisons import comparison, enqueue, enqueue_afresh, work_here
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Row, delete, select

from tuner.search.database.events import events_after
from tuner.search.database.finished import finished_trials, incumbent, selected
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import studies, trials
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import StudySpec
from tuner.search.queue import control
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.results.arms import arms
from tuner.search.watch.progress import progress
from tuner.search.work.keeper import Keeper

ONE_ARM = [{"name": "new", "space": "filter"}]
FAILED = None


def one_arm(n_trials: int, **changes: object) -> ComparisonSpec:
    """A comparison of one arm in searches of two trials."""
    arm = {"name": "new", "space": "filter", **changes}
    return comparison(arms=[arm], n_trials=n_trials, verdict={"k": 2})


def study(store: Store, study_name: str) -> Row:
    query = select(studies).where(studies.c.study_name == study_name)
    with store.engine.connect() as connection:
        return connection.execute(query).one()


def queued(store: Store, study_name: str) -> list[Row]:
    query = select(trials).where(trials.c.study_name == study_name).order_by(trials.c.position)
    with store.engine.connect() as connection:
        return list(connection.execute(query))


def afresh(store: Store, study_name: str) -> list[FrozenTrial]:
    """The study's trials, finished or not, in the order of the queue."""
    return [store.rdb.get_trial(row.trial_id) for row in queued(store, study_name)]


def at(distribution: BaseDistribution, index: int) -> float:
    """A value for the trial of this index, as Optuna keeps it: each trial has another."""
    if isinstance(distribution, FloatDistribution):
        return distribution.low + (distribution.high - distribution.low) * index / 100
    return 0.0


def end_search(store: Store, search: StudySpec, values: Sequence[float | None]) -> None:
    """End a search with these values, by trial; those without one fail. Each has a setting."""
    queue, name = Queue(store, retries=0), search.study_name
    for index, value in enumerate(values):
        (trial_id,) = queue.claim(name, "w", range(index, index + 1)).trial_ids
        for parameter, distribution in search.arm.space.distributions.items():
            place = at(distribution, index)
            store.rdb.set_trial_param(trial_id, parameter, place, distribution)
        if value is FAILED:
            queue.fail("w", [trial_id], "Traceback")
        else:
            queue.finish("w", {trial_id: TrialOutcome(TrialState.COMPLETE, value)})


def settings(store: Store, search: StudySpec) -> list[dict[str, object]]:
    return [trial.params for trial in finished_trials(store, search.study_name)]


def keep_and_work(store: Store) -> None:
    for _ in range(3):
        Keeper(store).tend()
        work_here(store)
    Keeper(store).tend()


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.1, 0.2, 0.4, 0.3, 0.5, 0.6], [1, 2, 5]),
        ([0.2, 0.2, 0.3, 0.3, 0.9, 0.1], [0, 2, 4]),  # ties go to the earlier
        ([FAILED, 0.0, 0.3, FAILED, FAILED, FAILED], [1, 2, 4]),
        ([0.5, 0.1, 0.2, 0.1, 0.1, 0.2, 0.9], [0, 2, 5]),  # the seventh fills no search
    ],
)
def test_each_search_of_k_trials_has_its_best_setting_trained_afresh(store, values, best):
    spec = one_arm(len(values))
    enqueue(store, spec)
    (search,) = spec.studies()
    end_search(store, search, values)
    enqueue_afresh(store, spec)
    tried = settings(store, search)
    again = afresh(store, "small/new/selected")
    assert [trial.params for trial in again] == [tried[index] for index in best]
    assert [trial.user_attrs["index"] for trial in again] == list(range(len(best)))
    chosen = spec.selected(spec.arms[0])
    assert chosen is not None
    assert [t.user_attrs["seed"] for t in again] == list(map(chosen.trial_seed, range(len(best))))
    winner = incumbent(store, spec, spec.arms[0])
    assert winner is not None
    assert [t.params for t in afresh(store, "small/new/retrain")] == [winner.params] * 2


def test_each_repeat_of_a_sampler_that_learns_has_its_best_trained_afresh(store: Store):
    spec = one_arm(3, sampler="tpe", repeats=2)
    enqueue(store, spec)
    first, second = spec.studies()
    end_search(store, first, [0.1, 0.3, 0.2])
    enqueue_afresh(store, spec)
    (chosen,) = selected(store, spec, spec.arms[0])
    assert chosen.params == settings(store, first)[1]
    assert queued(store, "small/new/selected") == []  # no look is declared before the end
    end_search(store, second, [0.7, 0.6, 0.5])
    enqueue_afresh(store, spec)
    expected = [settings(store, first)[1], settings(store, second)[0]]
    assert [trial.params for trial in afresh(store, "small/new/selected")] == expected


def test_a_search_of_which_no_setting_is_known_selects_a_trial_that_failed(store: Store):
    spec = one_arm(6)
    enqueue(store, spec)
    (search,) = spec.studies()
    queue = Queue(store, retries=0)
    for index in range(2):  # before a worker could ask for their parameters
        queue.fail("w", queue.claim(search.study_name, "w", range(index, index + 1)).trial_ids, "")
    work_here(store, queue=queue)
    enqueue_afresh(store, spec)
    lost, *others = afresh(store, "small/new/selected")
    assert lost.state == TrialState.FAIL and not lost.params
    assert queued(store, "small/new/selected")[0].state == "failed"
    assert all(trial.state == TrialState.WAITING and trial.params for trial in others)
    keep_and_work(store)
    assert store.status("small") == "complete"


def test_pruned_trials_are_selected_only_where_no_other_ended(store: Store):
    spec = one_arm(2, pruner="median", repeats=2)
    enqueue(store, spec)
    queue = Queue(store)
    for name, ends in (
        ("small/new/0", [(TrialState.PRUNED, 0.9), (TrialState.COMPLETE, 0.2)]),
        ("small/new/1", [(TrialState.PRUNED, 0.3), (TrialState.PRUNED, 0.4)]),
    ):
        ids = queue.claim(name, "w", range(2)).trial_ids
        outcomes = [TrialOutcome(state, value) for state, value in ends]
        assert queue.finish("w", dict(zip(ids, outcomes, strict=True))) == set(ids)
    chosen = selected(store, spec, spec.arms[0])
    assert [trial.value for trial in chosen] == [0.2, 0.4]


def test_an_arm_of_which_every_trial_failed_has_nothing_trained_afresh(store: Store):
    spec = one_arm(4)
    enqueue(store, spec)
    end_search(store, spec.studies()[0], [FAILED] * 4)
    keeper = Keeper(store)
    keeper.tend()
    for part in ("selected", "retrain"):
        assert queued(store, f"small/new/{part}") == []
    (arm,) = progress(store, spec).arms
    assert (arm.retrained, arm.to_retrain, arm.complete) == (0, 0, True)
    Keeper(store).tend()  # one that sees it for the first time
    assert store.status("small") == "complete"
    assert queued(store, "small/new/selected") == []


def test_an_arm_whose_search_has_ended_need_not_wait_for_the_others(store: Store):
    spec = comparison()
    enqueue(store, spec)
    old, _ = spec.studies()
    end_search(store, old, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    Keeper(store).tend()
    assert len(queued(store, "small/old/selected")) == 3
    assert len(queued(store, "small/old/retrain")) == 2
    assert queued(store, "small/new/selected") == []


@pytest.mark.slow
def test_several_keepers_enqueue_what_was_selected_exactly_once(store: Store):
    spec = comparison(arms=ONE_ARM, verdict={"k": 1}, n_trials=60)
    enqueue(store, spec)
    (search,) = spec.studies()
    end_search(store, search, [(index * 7 % 60) / 100 for index in range(60)])
    url = store.engine.url.render_as_string(hide_password=False)

    def keep(_: int) -> None:
        with closing(open_store(url)) as elsewhere:
            Keeper(elsewhere).tend()
            Keeper(elsewhere).tend()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, range(4)))
    rows = queued(store, "small/new/selected")
    assert [row.position for row in rows] == list(range(60))
    assert {row.state for row in rows} == {"waiting"}
    study_id = store.rdb.get_study_id_from_name("small/new/selected")
    assert len(store.rdb.get_all_trials(study_id)) == 60
    assert [trial.params for trial in afresh(store, "small/new/selected")] == settings(
        store, search
    )


@pytest.mark.slow
def test_retrying_a_search_selects_anew(store: Store):
    spec = comparison()
    enqueue(store, spec)
    queue = Queue(store, retries=0)
    queue.fail("w", queue.claim("small/old", "w", range(2)).trial_ids, "Traceback")
    keep_and_work(store)
    assert store.status("small") == "complete"
    others = [row.trial_id for row in queued(store, "small/new/selected")]
    assert control.retry_failed(store, "small").total == 2
    assert queued(store, "small/old/selected") == []
    keep_and_work(store)
    assert store.status("small") == "complete"
    assert [row.trial_id for row in queued(store, "small/new/selected")] == others
    expected = [trial.params for trial in selected(store, spec, spec.arms[0])]
    assert [trial.params for trial in finished_trials(store, "small/old/selected")] == expected
    assert len(expected) == 3


@pytest.mark.slow
def test_a_fresh_run_that_failed_is_retried_alone(store: Store):
    spec = comparison()
    enqueue(store, spec)
    work_here(store)
    enqueue_afresh(store, spec)
    queue = Queue(store, retries=0)
    queue.fail("w", queue.claim("small/old/selected", "w", range(1)).trial_ids, "Traceback")
    keep_and_work(store)
    kept = queued(store, "small/old/retrain")
    before = afresh(store, "small/old/selected")[0]
    assert control.retry_failed(store, "small").total == 1
    assert queued(store, "small/old/retrain") == kept
    again = afresh(store, "small/old/selected")[0]
    assert (again.params, again.user_attrs["seed"]) == (before.params, before.user_attrs["seed"])
    keep_and_work(store)
    assert [row.state for row in queued(store, "small/old/selected")] == ["done"] * 3


@pytest.mark.slow
def test_what_was_selected_is_paused_resumed_and_cancelled_as_any_study(store: Store):
    spec = comparison()
    enqueue(store, spec)
    work_here(store)
    Keeper(store).tend()
    chosen, other = (study(store, f"small/{arm}/selected") for arm in ("old", "new"))
    control.change_study(store, chosen.id, "pause")
    while (upcoming := Queue(store).next_up("small")) is not None:
        assert upcoming.study_name != "small/old/selected"
        size = range(upcoming.position, upcoming.position + 4)
        ids = Queue(store).claim(upcoming.study_name, "w", size).trial_ids
        Queue(store).finish("w", dict.fromkeys(ids, TrialOutcome(TrialState.COMPLETE, 0.5)))
    control.change_study(store, chosen.id, "resume")
    assert len(Queue(store).claim("small/old/selected", "w", range(1)).trial_ids) == 1
    control.change_study(store, chosen.id, "cancel")
    assert [row.state for row in queued(store, "small/old/selected")] == ["cancelled"] * 3
    assert study(store, "small/old/retrain").status != "cancelled"
    assert {row.state for row in queued(store, "small/new/selected")} == {"done"}
    Keeper(store).tend()
    assert store.status("small") == "complete"
    old, new = progress(store, spec).arms
    assert (old.retrained, old.to_retrain) == (2, 2)
    assert (new.retrained, new.to_retrain) == (5, 5)
    assert study(store, "small/new/selected").id == other.id


def test_a_cancelled_search_takes_what_it_would_have_selected_with_it(store: Store):
    spec = comparison()
    enqueue(store, spec)
    control.change_study(store, study(store, "small/old").id, "cancel")
    assert study(store, "small/old/selected").status == "cancelled"
    assert study(store, "small/new/selected").status == "active"
    old, new = progress(store, spec).arms
    assert (old.to_retrain, old.complete, new.to_retrain) == (0, True, 5)


def test_deleting_a_comparison_leaves_nothing_of_what_was_selected(store: Store):
    spec = comparison()
    enqueue(store, spec)
    for search in spec.studies():
        end_search(store, search, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    Keeper(store).tend()
    control.change_comparison(store, "small", "pause")
    control.delete(store, "small")
    assert queued(store, "small/old/selected") == []
    assert not any(name.study_name.startswith("small/") for name in store.optuna.get_all_studies())
    assert "deleted" in [event.kind for event in events_after(store.engine, 0)]


@pytest.mark.slow
def test_a_comparison_of_before_without_such_studies_goes_on_to_its_end(store: Store):
    """Version 0.1 declared the incumbents' retraining alone."""
    spec = comparison()
    store.declare(spec)
    with store.begin() as connection:
        connection.execute(delete(studies).where(studies.c.study_name.like("%/selected")))
    keep_and_work(store)
    assert store.status("small") == "complete"
    assert [(arm.retrained, arm.to_retrain) for arm in progress(store, spec).arms] == [(2, 2)] * 2
    assert not any("selected" in s.study_name for s in store.optuna.get_all_studies())
    found, protocol = arms(store, "small")
    assert [arm.selected for arm in found] == [None, None]
    assert all(arm.retrained is not None for arm in found)
    assert protocol.interim == ""
