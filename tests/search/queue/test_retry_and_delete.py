"""Running failed trials again, and removing comparisons: what stays and what goes with them."""

import threading

import optuna
import pytest
from comparisons import comparison, enqueue, enqueue_afresh, work_here
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Row, select, update

from tuner.errors import Conflict
from tuner.search.database.events import events_after
from tuner.search.database.finished import finished_trials, incumbent
from tuner.search.database.store import NUMBERS, Store, open_store
from tuner.search.database.tables import comparisons, trials
from tuner.search.database.tables import studies as studies_table
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import control
from tuner.search.queue import filling as studies
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper

GOOD = TrialOutcome(TrialState.COMPLETE, 0.9)


def row(store: Store) -> Row:
    with store.engine.connect() as connection:
        return connection.execute(select(comparisons)).one()


def study(store: Store, study_name: str) -> Row:
    query = select(studies_table).where(studies_table.c.study_name == study_name)
    with store.engine.connect() as connection:
        return connection.execute(query).one()


def queued(store: Store, study_name: str) -> list[Row]:
    query = select(trials).where(trials.c.study_name == study_name).order_by(trials.c.position)
    with store.engine.connect() as connection:
        return list(connection.execute(query))


def in_optuna(store: Store, study_name: str) -> dict[int, FrozenTrial]:
    found = optuna.load_study(study_name=study_name, storage=store.rdb).trials
    return {trial._trial_id: trial for trial in found}


def studies_in_optuna(store: Store) -> set[str]:
    """What the dashboard shows, without what keeps the numbers of deleted trials."""
    names = optuna.get_all_study_names(store.rdb)
    return {name for name in names if not name.startswith(NUMBERS)}


def fail(store: Store, study_name: str, positions: range) -> tuple[int, ...]:
    """Let trials fail for good, once their parameters are known; returns their ids."""
    queue = Queue(store, retries=0)
    ids = queue.claim(study_name, "unlucky", positions).trial_ids
    for trial_id in ids:
        alpha = optuna.distributions.FloatDistribution(0.0, 1.0)
        store.rdb.set_trial_param(trial_id, "alpha", trial_id / 1000, alpha)
    assert queue.fail("unlucky", ids, "Traceback: out of luck") == set(ids)
    return ids


def keep_and_work(store: Store) -> None:
    for _ in range(3):
        Keeper(store).tend()
        work_here(store)
    Keeper(store).tend()


def complete(store: Store, spec: ComparisonSpec, failing: range = range(1, 3)) -> tuple[int, ...]:
    """Run the comparison to its end, with some failed trials in the old arm."""
    enqueue(store, spec)
    failed = fail(store, "small/old", failing)
    keep_and_work(store)
    assert row(store).status == "complete"
    return failed


def test_a_failed_trial_runs_again_at_its_place_with_its_parameters_and_seed(store: Store):
    enqueue(store, comparison(retrain_seeds=0))
    failed = fail(store, "small/old", range(1, 3))
    before = in_optuna(store, "small/old")
    assert control.retry_failed(store, "small").total == 2
    after = queued(store, "small/old")
    assert [(trial.position, trial.state) for trial in after[1:3]] == [
        (1, "waiting"),
        (2, "waiting"),
    ]
    assert [(trial.failures, trial.worker) for trial in after[1:3]] == [(0, None)] * 2
    again = in_optuna(store, "small/old")
    for old_id, new in zip(failed, after[1:3], strict=True):
        old, successor = before[old_id], again[new.trial_id]
        assert new.trial_id != old_id
        assert successor.params == old.params != {}
        assert successor.distributions == old.distributions
        assert [successor.user_attrs[key] for key in ("index", "seed")] == [
            old.user_attrs[key] for key in ("index", "seed")
        ]
        assert "error" not in successor.user_attrs
        assert again[old_id].state == TrialState.FAIL
        assert again[old_id].user_attrs["error"] == "Traceback: out of luck"
    assert study_progress(store, "small")["small/old"].queued == 6
    (retried,) = [each for each in events_after(store.engine, 0) if each.kind == "retried"]
    assert retried.data == {"n": 2}


@pytest.mark.slow
def test_what_was_retried_counts_as_the_trial_of_its_index(store: Store):
    spec = comparison(retrain_seeds=0, workload={"epochs": 3})
    enqueue(store, spec)
    queue = Queue(store, retries=0)
    queue.fail("a", queue.claim("small/old", "a", range(2)).trial_ids, "Traceback")
    keep_and_work(store)
    assert row(store).status == "complete"
    control.retry_failed(store, "small")
    assert row(store).status == "active"
    keep_and_work(store)
    assert row(store).status == "complete"
    values = [trial.value for trial in finished_trials(store, "small/old")]
    other = comparison(name="other", retrain_seeds=0, workload={"epochs": 3})
    enqueue(store, other)
    work_here(store, comparison="other")
    assert values == [trial.value for trial in finished_trials(store, "other/old")]


@pytest.mark.slow
def test_retrying_a_search_throws_its_arms_retraining_away_and_no_others(store: Store):
    spec = comparison()
    complete(store, spec)
    others = [trial._trial_id for trial in finished_trials(store, "small/new/retrain")]
    old_numbers = [trial.trial_id for trial in queued(store, "small/old/retrain")]
    before = study(store, "small/old/retrain")
    revision = row(store).revision
    assert control.retry_failed(store, "small", revision=revision).total == 2
    assert (row(store).status, row(store).revision) == ("active", revision + 1)
    assert queued(store, "small/old/retrain") == []
    assert study(store, "small/old/retrain").id == before.id
    assert study(store, "small/old/retrain").revision > before.revision
    keep_and_work(store)
    assert row(store).status == "complete"
    assert [t._trial_id for t in finished_trials(store, "small/new/retrain")] == others
    again = finished_trials(store, "small/old/retrain")
    assert len(again) == 2
    best = incumbent(store, spec, spec.arms[0])
    assert best is not None
    assert [trial.params for trial in again] == [best.params] * 2
    assert old_numbers


@pytest.mark.slow
def test_a_failed_retraining_alone_is_retried_without_touching_the_search(store: Store):
    spec = comparison()
    enqueue(store, spec)
    work_here(store)
    enqueue_afresh(store, spec)
    fail_retraining = Queue(store, retries=0)
    ids = fail_retraining.claim("small/old/retrain", "a", range(1)).trial_ids
    fail_retraining.fail("a", ids, "Traceback")
    keep_and_work(store)
    searched = queued(store, "small/old")
    assert control.retry_failed(store, "small").total == 1
    assert queued(store, "small/old") == searched
    assert [trial.state for trial in queued(store, "small/old/retrain")] == ["waiting", "done"]
    keep_and_work(store)
    assert [t.state for t in queued(store, "small/old/retrain")] == ["done", "done"]


@pytest.mark.slow
def test_a_change_to_its_studies_is_seen_in_their_revisions(store: Store):
    complete(store, comparison())
    before = study(store, "small/new")
    control.retry_failed(store, "small")
    after = study(store, "small/new")
    assert (after.status, after.revision) == ("active", before.revision + 1)


def test_a_paused_comparison_stays_paused_when_its_failed_trials_are_put_back(store: Store):
    enqueue(store, comparison())
    fail(store, "small/old", range(1))
    control.change_comparison(store, "small", "pause")
    assert control.retry_failed(store, "small").total == 1
    assert (row(store).status, row(store).revision) == ("paused", 3)
    assert Queue(store).next_up() is None
    assert queued(store, "small/old")[0].state == "waiting"


@pytest.mark.slow
def test_failed_trials_of_a_cancelled_study_stay_failed(store: Store):
    enqueue(store, comparison(repeats=2))
    fail(store, "small/old/0", range(1))
    fail(store, "small/old/1", range(1))
    control.change_study(store, study(store, "small/old/0").id, "cancel")
    assert control.retry_failed(store, "small").total == 1
    assert queued(store, "small/old/0")[0].state == "failed"
    assert queued(store, "small/old/1")[0].state == "waiting"
    assert study(store, "small/old/0").status == "cancelled"
    assert study(store, "small/old/retrain").status == "cancelled"
    keep_and_work(store)
    assert queued(store, "small/old/retrain") == []
    assert row(store).status == "complete"


@pytest.mark.parametrize("retried", [False, True])
def test_retrying_needs_a_failed_trial(store: Store, retried: bool):
    enqueue(store, comparison())
    if retried:
        fail(store, "small/old", range(1))
        control.retry_failed(store, "small")
    before = row(store)
    with pytest.raises(Conflict, match="'small': no trial failed, so there is nothing to retry"):
        control.retry_failed(store, "small")
    assert row(store) == before


def test_what_is_cancelled_is_not_retried(store: Store):
    enqueue(store, comparison())
    fail(store, "small/old", range(1))
    control.change_comparison(store, "small", "cancel")
    with pytest.raises(Conflict, match="'small' is cancelled; submit it under another name"):
        control.retry_failed(store, "small")
    assert queued(store, "small/old")[0].state == "failed"


@pytest.mark.slow
def test_a_failed_trial_that_was_deleted_from_outside_is_retried_as_a_new_one(store: Store):
    enqueue(store, comparison(retrain_seeds=0))
    fail(store, "small/old", range(1))
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    control.retry_failed(store, "small")
    keep_and_work(store)
    assert len(finished_trials(store, "small/old")) == 6


@pytest.mark.parametrize("status", ["paused", "complete", "cancelled"])
def test_a_comparison_that_is_not_active_is_deleted_with_all_that_is_its(store: Store, status):
    enqueue(store, comparison())
    enqueue(store, comparison(name="other"))
    with store.engine.begin() as connection:
        this = comparisons.c.name == "small"
        connection.execute(update(comparisons).where(this).values(status=status))
    control.delete(store, "small", revision=1)
    assert store.names() == ["other"]
    assert studies_in_optuna(store) == {"other/old", "other/new"}
    assert queued(store, "small/old") == []
    assert len(queued(store, "other/old")) == 6
    assert "deleted" in [event.kind for event in events_after(store.engine, 0)]


def test_an_active_comparison_is_not_deleted(store: Store):
    enqueue(store, comparison())
    with pytest.raises(Conflict, match="'small' is active; pause or cancel it before deleting it"):
        control.delete(store, "small")
    assert store.names() == ["small"]
    assert len(queued(store, "small/old")) == 6


@pytest.mark.slow
def test_what_is_resumed_while_it_is_to_be_deleted_is_either_there_or_gone(store: Store):
    for _ in range(10):
        enqueue(store, comparison())
        control.change_comparison(store, "small", "pause")
        ends: list[str] = []

        def resume(ends: list[str] = ends) -> None:
            try:
                control.change_comparison(store, "small", "resume")
                ends.append("resumed")
            except (control.NotFound, Conflict):
                ends.append("gone")

        resuming = threading.Thread(target=resume)
        resuming.start()
        try:
            control.delete(store, "small")
            ends.append("deleted")
        except Conflict:
            ends.append("refused")
        resuming.join()
        assert set(ends) in ({"resumed", "refused"}, {"gone", "deleted"})
        if store.names():
            control.change_comparison(store, "small", "pause")
            control.delete(store, "small")


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_deleting_while_the_queues_are_filled_leaves_nothing(
    store: Store, chunks: int, monkeypatch: pytest.MonkeyPatch
):
    """Whoever fills the queues goes on in the middle of it, as another process would."""
    spec = comparison(n_trials=60)
    other = open_store(store.engine.url.render_as_string(hide_password=False))
    control.submit(store, spec)
    control.change_comparison(store, "small", "pause")
    really_add, calls = studies.add, []

    def add(*arguments: object) -> bool:
        if len(calls) == chunks:
            control.delete(other, "small")
        calls.append(1)
        return really_add(*arguments)

    monkeypatch.setattr(studies, "add", add)
    studies.enqueue(store, spec)
    assert store.names() == []
    assert studies_in_optuna(store) == set()
    with store.engine.connect() as connection:
        assert connection.execute(select(trials)).all() == []
    other.close()


@pytest.mark.slow
def test_deleting_beside_those_who_fill_the_queues_leaves_nothing(store: Store):
    spec = comparison(n_trials=100, repeats=2)
    for _ in range(2):
        control.submit(store, spec)
        filling = [threading.Thread(target=studies.enqueue, args=(store, spec)) for _ in range(2)]
        for thread in filling:
            thread.start()
        while len(queued(store, "small/old/0")) < 25:
            pass
        control.change_comparison(store, "small", "pause")
        control.delete(store, "small")
        for thread in filling:
            thread.join()
        assert store.names() == []
        assert studies_in_optuna(store) == set()
        with store.engine.connect() as connection:
            assert connection.execute(select(trials)).all() == []


@pytest.mark.slow
def test_a_deleted_name_can_be_given_to_another_declaration(store: Store):
    """Others who had the database open all the while see the new one, not the old one."""
    url = store.engine.url.render_as_string(hide_password=False)
    other = open_store(url)
    keeper, elsewhere = Keeper(store), Keeper(other)
    control.submit(store, comparison())
    for _ in range(3):
        keeper.tend()
        work_here(store)
        elsewhere.tend()
    finished_trials(other, "small/new")
    control.delete(store, "small")
    new = comparison(
        arms=[{"name": "old", "space": "filter"}, {"name": "new", "space": "bop"}],
        n_trials=8,
        retrain_seeds=3,
    )
    assert control.submit(store, new)
    for _ in range(3):
        elsewhere.tend()
        work_here(other)
    elsewhere.tend()
    assert row(store).status == "complete"
    for each in (other, store):
        for arm in new.arms:
            found = finished_trials(each, f"small/{arm.name}")
            assert len(found) == 8
            assert all(trial.distributions == arm.space.distributions for trial in found)
            best = incumbent(each, new, arm)
            assert best is not None
            assert best.value == max(trial.value for trial in found)
            again = finished_trials(each, f"small/{arm.name}/retrain")
            assert [trial.params for trial in again] == [best.params] * 3
    other.close()
