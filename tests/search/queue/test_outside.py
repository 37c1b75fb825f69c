"""Studies of others beside ours, and ours deleted or changed in the dashboard or by Optuna."""

from itertools import count

import optuna
import pytest
from comparisons import comparison, enqueue, run, work_here
from optuna.study import Study
from optuna.trial import TrialState, create_trial
from sqlalchemy import select

from tuner.errors import Conflict
from tuner.search.database.finished import finished_trials
from tuner.search.database.marks import MARK
from tuner.search.database.store import Store
from tuner.search.database.tables import comparisons, trials
from tuner.search.queue import control, filling
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.outside import reconcile
from tuner.search.queue.queue import Queue
from tuner.search.watch import views, waits
from tuner.search.watch.progress import study_progress
from tuner.search.work import keeper
from tuner.search.work.keeper import Keeper, kept

GOOD = TrialOutcome(TrialState.COMPLETE, 0.9, {"run": {}}, {1: 0.9})
SMALL = comparison(retrain_seeds=0)


def values(store: Store, study_name: str) -> list[float | None]:
    return [trial.value for trial in finished_trials(store, study_name)]


def someones(store: Store, study_name: str, n_trials: int = 3) -> Study:
    """A study of somebody else's, with trials that wait."""
    study = optuna.create_study(storage=store.rdb, study_name=study_name)
    for _ in range(n_trials):
        study.enqueue_trial({"x": 1.0})
    study.set_user_attr("spec", "mine")
    return study


def all_of(study: Study) -> tuple[object, ...]:
    """Whatever could be written to a study."""
    system = study._storage.get_study_system_attrs(study._study_id)
    return study.user_attrs, system, study.directions, study.get_trials()


def note(store: Store, name: str = "small") -> str | None:
    row = views.get_comparison(store, name)
    return waits.note(store, row, views.arms_of(store, store.comparison(name)))


def test_a_name_that_somebody_else_s_study_bears_is_refused_at_submission(store: Store):
    study = someones(store, "small/new")
    before = all_of(study)
    with pytest.raises(Conflict, match=r"study 'small/new': Optuna has one .* another name"):
        control.submit(store, SMALL)
    assert store.names() == []
    assert all_of(study) == before
    assert control.submit(store, comparison(name="other", retrain_seeds=0))


def test_a_name_taken_between_submission_and_filling_is_left_alone_and_said(store: Store):
    control.submit(store, SMALL)
    control.submit(store, comparison(name="other", retrain_seeds=0))
    study = someones(store, "small/old")
    before = all_of(study)
    keeper = Keeper(store, clock=count(step=100).__next__)  # waits have passed whenever it asks
    keeper.tend()
    assert "'small/old': Optuna has one of this name" in (note(store) or "")
    assert note(store, "other") == "no worker is running; start one with: tuner worker"
    work_here(store, comparison="other")
    work_here(store)  # of the hurt one, too, what can be run
    assert len(values(store, "small/new")) == len(values(store, "other/old")) == 6
    keeper.tend()
    assert (store.status("small"), store.status("other")) == ("active", "complete")
    assert all_of(study) == before
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    keeper.tend()
    assert "Optuna" not in (note(store) or "")
    work_here(store)
    keeper.tend()
    assert store.status("small") == "complete"
    assert len(values(store, "small/old")) == 6


@pytest.mark.parametrize("marked", [False, True])
def test_a_comparison_is_deleted_without_what_is_not_its_own(store: Store, marked: bool):
    control.submit(store, SMALL)
    study = someones(store, "small/old")
    if marked:  # as a copy of a study of ours is
        arm = {"name": "new"}
        study.set_user_attr(MARK, 1)
        study.set_user_attr("spec", {"comparison": "another", "arm": arm})
    before = all_of(study)
    Keeper(store).tend()
    control.change_comparison(store, "small", "cancel")
    control.delete(store, "small")
    assert store.names() == []
    assert all_of(study) == before


@pytest.mark.slow
def test_a_study_deleted_while_it_runs_is_run_again_to_the_same_values(store: Store):
    enqueue(store, SMALL)
    run(store)
    expected = {name: values(store, name) for name in ("small/old", "small/new")}
    control.delete(store, "small")
    enqueue(store, SMALL)
    queue = Queue(store)
    claim = queue.claim("small/old", "a", range(3))
    work_here_once = queue.claim("small/old", "b", range(3, 6))
    queue.finish("b", dict.fromkeys(work_here_once.trial_ids, GOOD))
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    assert queue.report("a", 1, dict.fromkeys(claim.trial_ids, 0.5)) == set()
    assert queue.finish("a", dict.fromkeys(claim.trial_ids, GOOD)) == set()
    assert queue.fail("a", claim.trial_ids, "Traceback") == set()
    assert queue.release(["a"]) == 0
    run(store)
    assert {name: values(store, name) for name in expected} == expected


def test_who_claims_of_a_study_that_is_gone_gets_nothing_and_it_is_filled_again(store: Store):
    enqueue(store, SMALL)
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    assert Queue(store).claim("small/old", "a", range(6)).trial_ids == ()
    assert study_progress(store, "small")["small/old"].queued == 0
    keeper = Keeper(store)
    keeper.tend()
    assert study_progress(store, "small")["small/old"].waiting == 6
    assert len(Queue(store).claim("small/old", "a", range(6)).trial_ids) == 6


def test_a_comparison_is_not_complete_without_its_trials(store: Store):
    enqueue(store, SMALL)
    work_here(store)
    optuna.delete_study(study_name="small/new", storage=store.rdb)
    keeper = Keeper(store)
    keeper.tend()
    assert store.status("small") == "active"
    keeper.tend()
    assert study_progress(store, "small")["small/new"].waiting == 6


def test_a_trial_finished_from_outside_counts_so_and_its_mates_are_recorded(store: Store):
    enqueue(store, SMALL)
    queue = Queue(store)
    claim = queue.claim("small/old", "a", range(3))
    study = optuna.load_study(study_name="small/old", storage=store.rdb)
    study.tell(1, 0.25)
    study.tell(2, state=TrialState.FAIL)
    held = queue.finish("a", dict.fromkeys(claim.trial_ids, GOOD))
    assert held == {claim.trial_ids[0]}
    assert values(store, "small/old") == [0.9, 0.25, None]
    work_here(store)
    progress = study_progress(store, "small")["small/old"]
    assert (progress.done, progress.failed, progress.running) == (5, 1, 0)


def test_waiting_trials_that_somebody_s_own_objective_took_are_run_again(store: Store):
    enqueue(store, SMALL)
    study = optuna.load_study(study_name="small/old", storage=store.rdb)
    study.optimize(lambda trial: 1 + trial.suggest_float("theirs", 0, 1), n_trials=2)
    study.tell(study.ask(), state=TrialState.FAIL)
    enqueue(store, comparison(name="other", retrain_seeds=0))
    work_here(store, comparison="other")
    run(store)
    assert values(store, "small/old") == values(store, "other/old")
    assert [trial.value is None or trial.value >= 1 for trial in study.trials[:3]] == [True] * 3


def test_nobody_else_s_trials_wait_for_those_that_are_gone(store: Store):
    """Those who reap go on with other studies, and what is left of the hurt one is put back."""
    enqueue(store, SMALL)
    queue = Queue(store, lease_seconds=-1.0)
    queue.claim("small/old", "a", range(3))
    queue.claim("small/new", "a", range(3))
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    study.tell(1, 0.5)
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    assert queue.reap() == 2
    progress = study_progress(store, "small")
    assert (progress["small/new"].waiting, progress["small/new"].done) == (5, 1)
    assert progress["small/old"].queued == 0
    assert queue.holders() == []


def test_a_cancelled_comparison_ends_though_a_study_of_it_is_gone(store: Store):
    enqueue(store, SMALL)
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    first = optuna.load_study(study_name="small/new", storage=store.rdb).trials[0]
    store.rdb.set_trial_state_values(first._trial_id, TrialState.COMPLETE, [0.5])
    control.change_comparison(store, "small", "cancel")
    with store.engine.connect() as connection:
        assert set(connection.scalars(select(trials.c.worker))) == {None}
    ended = optuna.load_study(study_name="small/new", storage=store.rdb).trials
    assert [trial.state.name for trial in ended] == ["COMPLETE", *["FAIL"] * 5]
    control.delete(store, "small")


def test_attributes_that_were_written_over_are_mended_or_not_needed(store: Store):
    enqueue(store, SMALL)
    study = optuna.load_study(study_name="small/old", storage=store.rdb)
    declared = study.user_attrs["spec"]
    for spec in ("nonsense", {"arm": 3}, None):
        study.set_user_attr("spec", spec)
        Keeper(store).tend()
        assert study.user_attrs["spec"] == declared
    study.set_user_attr("spec", 0)
    work_here(store)
    Keeper(store).tend()
    assert len(values(store, "small/old")) == 6
    assert store.status("small") == "complete"


def test_numbers_that_sqlite_gives_again_are_never_taken_for_ours(store: Store):
    """Of a study that is gone and of one that somebody made after it, in its place."""
    enqueue(store, SMALL)
    queue = Queue(store)
    held = queue.claim("small/new", "a", range(2))
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    optuna.delete_study(study_name="small/new", storage=store.rdb)
    study = someones(store, "theirs", n_trials=12)
    before = all_of(study)
    ids = {trial._trial_id for trial in study.get_trials()}
    if store.engine.dialect.name == "sqlite":
        assert ids.intersection(held.trial_ids)  # or this is about nothing
    assert queue.claim("small/old", "b", range(6)).trial_ids == ()
    assert queue.report("a", 1, dict.fromkeys(held.trial_ids, 0.1)) == set()
    assert queue.finish("a", dict.fromkeys(held.trial_ids, GOOD)) == set()
    assert queue.release(["a"]) == 0
    Keeper(store).tend()
    run(store)
    assert all_of(study) == before
    assert len(values(store, "small/old")) == len(values(store, "small/new")) == 6


def test_what_is_enqueued_under_a_number_given_again_takes_its_place(store: Store):
    enqueue(store, SMALL)
    control.change_comparison(store, "small", "pause")
    optuna.delete_study(study_name="small/new", storage=store.rdb)
    other = comparison(name="other", retrain_seeds=0)
    enqueue(store, other)
    work_here(store, comparison="other")
    assert len(values(store, "other/old")) == len(values(store, "other/new")) == 6
    control.change_comparison(store, "small", "resume")
    run(store)
    assert values(store, "small/new") == values(store, "other/new")


def test_a_copy_with_finished_trials_is_no_reason_to_believe_them(store: Store):
    enqueue(store, SMALL)
    optuna.delete_study(study_name="small/old", storage=store.rdb)
    study = optuna.create_study(storage=store.rdb, study_name="small/old", direction="maximize")
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=1.0))
    before = all_of(study)
    assert reconcile(store, "small/old")
    Keeper(store).tend()
    assert "'small/old'" in (note(store) or "")
    assert values(store, "small/old") == []
    assert all_of(study) == before


def test_the_keeper_outlives_whatever_one_round_meets(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    rounds: list[int] = []
    tend = Keeper.tend

    def fall_once(keeper: Keeper) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise KeyError("deleted just now")
        tend(keeper)

    monkeypatch.setattr(Keeper, "tend", fall_once)
    control.submit(store, SMALL)
    with kept(store, every_seconds=0.01):
        while study_progress(store, "small")["small/new"].waiting < 6:
            assert len(rounds) < 1000
    with store.engine.connect() as connection:
        assert connection.scalar(select(comparisons.c.trouble)) is None


def test_of_a_comparison_that_was_submitted_anew_meanwhile_nothing_is_filled(store, monkeypatch):
    control.submit(store, SMALL)
    before_it_was_deleted = 77
    monkeypatch.setattr(store, "our_study", lambda _name: before_it_was_deleted)
    template = create_trial(state=TrialState.WAITING)
    assert not filling.add(store, "small", "small/old", {0: template})
    assert filling.positions(store, "small/old") == {}


def test_a_comparison_that_was_deleted_since_it_was_listed_is_no_trouble(store, caplog):
    control.submit(store, SMALL)
    with store.engine.connect() as connection:
        (listed,) = connection.execute(keeper._ACTIVE).all()
    control.change_comparison(store, "small", "cancel")
    control.delete(store, "small")
    assert not Keeper(store)._keep_going(listed)
    assert "not kept going" not in caplog.text
