"""Submitting, pausing, resuming, cancelling, retrying and deleting, in every state of things."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import optuna
import pytest
from comparisons import comparison, enqueue, enqueue_afresh, work_here
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Row, select, update

from tuner.errors import Conflict, NotFound
from tuner.search.database.events import events_after
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import comparisons, studies, trials
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import control, ending
from tuner.search.queue import filling as filling
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import StudyProgress, study_progress
from tuner.search.work.keeper import Keeper

GOOD = TrialOutcome(TrialState.COMPLETE, 0.9)
STATES = ("active", "paused", "complete", "cancelled")
LEADS_TO = {
    ("pause", "active"): "paused",
    ("resume", "paused"): "active",
    ("cancel", "active"): "cancelled",
    ("cancel", "paused"): "cancelled",
}


def row(store: Store, name: str = "small") -> Row:
    with store.engine.connect() as connection:
        return connection.execute(select(comparisons).where(comparisons.c.name == name)).one()


def study(store: Store, study_name: str) -> Row:
    query = select(studies).where(studies.c.study_name == study_name)
    with store.engine.connect() as connection:
        return connection.execute(query).one()


def queued(store: Store, study_name: str) -> list[Row]:
    query = select(trials).where(trials.c.study_name == study_name).order_by(trials.c.position)
    with store.engine.connect() as connection:
        return list(connection.execute(query))


def put(store: Store, status: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(update(comparisons).values(status=status))
        connection.execute(update(studies).values(status=status))


def in_optuna(store: Store, study_name: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name=study_name, storage=store.rdb).trials


def kinds(store: Store) -> list[str]:
    return [event.kind for event in events_after(store.engine, 0)]


def fail(store: Store, study_name: str, positions: range) -> tuple[int, ...]:
    """Let trials fail for good; returns their ids."""
    queue = Queue(store, retries=0)
    ids = queue.claim(study_name, "unlucky", positions).trial_ids
    queue.fail("unlucky", ids, "Traceback: out of luck")
    return ids


def finish_everything(store: Store, spec: ComparisonSpec) -> None:
    work_here(store)
    enqueue_afresh(store, spec)
    work_here(store)
    Keeper(store).tend()


def test_a_submission_is_accepted_once_and_another_under_its_name_refused(store: Store):
    assert control.submit(store, comparison()) is True
    assert control.submit(store, comparison()) is False
    assert control.submit(store, comparison(description="in other words")) is False
    with pytest.raises(Conflict, match=r"comparison 'small': .* another declaration"):
        control.submit(store, comparison(n_trials=7))
    assert (row(store).status, row(store).revision) == ("active", 1)
    assert kinds(store) == ["submitted"]


def test_many_who_submit_the_same_at_once_have_one_accepted(store: Store):
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda _: control.submit(store, comparison()), range(8)))
    assert new.count(True) == 1


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_a_comparison_goes_from_state_to_state_only_as_allowed(store: Store, action, status):
    enqueue(store, comparison())
    put(store, status)
    if (result := LEADS_TO.get((action, status))) is None:
        with pytest.raises(Conflict, match=rf"comparison 'small' is {status}; only .* ones can"):
            control.change_comparison(store, "small", action)
        assert (row(store).status, row(store).revision) == (status, 1)
        assert kinds(store) == ["submitted"]
    else:
        control.change_comparison(store, "small", action)
        assert (row(store).status, row(store).revision) == (result, 2)
        assert len(kinds(store)) == 2


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_a_study_goes_from_state_to_state_only_as_allowed(store: Store, action, status):
    enqueue(store, comparison())
    put(store, status)
    before = study(store, "small/old")
    if (result := LEADS_TO.get((action, status))) is None:
        with pytest.raises(Conflict, match=rf"study 'small/old' is {status}; only .* ones can"):
            control.change_study(store, before.id, action)
        assert study(store, "small/old") == before
    else:
        control.change_study(store, before.id, action)
        after = study(store, "small/old")
        assert (after.status, after.revision) == (result, 2)
        assert study(store, "small/new").status == status
        assert row(store).status == status


def test_a_change_that_names_an_old_revision_changes_nothing(store: Store):
    enqueue(store, comparison())
    control.change_comparison(store, "small", "pause", revision=1)
    for change in (
        lambda: control.change_comparison(store, "small", "resume", revision=1),
        lambda: control.retry_failed(store, "small", revision=1),
        lambda: control.delete(store, "small", revision=1),
    ):
        with pytest.raises(Conflict, match=r"'small' changed meanwhile: .* revision 2, not 1"):
            change()
    assert row(store).status == "paused"
    old = study(store, "small/old").id
    control.change_study(store, old, "pause", revision=1)
    with pytest.raises(Conflict, match="study 'small/old' changed meanwhile"):
        control.change_study(store, old, "resume", revision=1)


def test_what_is_not_there_cannot_be_changed(store: Store):
    for change in (
        lambda: control.change_comparison(store, "nothing", "cancel"),
        lambda: control.retry_failed(store, "nothing"),
        lambda: control.delete(store, "nothing"),
    ):
        with pytest.raises(NotFound, match="comparison 'nothing'"):
            change()
    with pytest.raises(NotFound, match="study 7"):
        control.change_study(store, 7, "pause")
    assert kinds(store) == []


def test_of_many_who_change_the_same_revision_one_succeeds(store: Store):
    enqueue(store, comparison())

    def pause(_: int) -> bool:
        with suppress(Conflict):
            control.change_comparison(store, "small", "pause", revision=1)
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(pause, range(8))).count(True) == 1
    assert row(store).revision == 2


@pytest.mark.slow
def test_cancelling_ends_every_trial_here_and_in_optuna_and_keeps_the_finished(store: Store):
    enqueue(store, comparison())
    queue = Queue(store)
    done = queue.claim("small/old", "a", range(2)).trial_ids
    queue.finish("a", dict.fromkeys(done, GOOD))
    running = queue.claim("small/old", "a", range(2, 4)).trial_ids
    control.change_comparison(store, "small", "cancel")
    assert [trial.state for trial in queued(store, "small/old")] == ["done"] * 2 + [
        "cancelled"
    ] * 4
    ended = in_optuna(store, "small/old")
    assert [t.state for t in ended] == [TrialState.COMPLETE] * 2 + [TrialState.FAIL] * 4
    assert [t.user_attrs.get("cancelled") for t in ended] == [None] * 2 + [True] * 4
    assert queue.finish("a", dict.fromkeys(running, GOOD)) == set()
    assert queue.report("a", 1, dict.fromkeys(running, 0.5)) == set()
    assert queue.fail("a", running, "Traceback") == set()
    assert in_optuna(store, "small/old") == ended
    assert queue.next_up() is None
    assert (queue.release(["a"]), queue.reap()) == (0, 0)
    assert [trial.value for trial in finished_trials(store, "small/old")] == [0.9, 0.9]
    statuses = {study(store, f"small/{each}").status for each in ("old", "new", "old/retrain")}
    assert statuses == {"cancelled"}


@pytest.mark.parametrize("chunks", [0, 1])
def test_a_comparison_that_is_cancelled_while_its_queues_are_filled_gets_no_more_trials(
    store: Store, chunks: int, monkeypatch: pytest.MonkeyPatch
):
    control.submit(store, comparison(n_trials=100))
    really_add, calls = filling.add, []

    def add(*arguments: object) -> bool:
        if len(calls) == chunks:
            control.change_comparison(store, "small", "cancel")
        calls.append(1)
        return really_add(*arguments)

    monkeypatch.setattr(filling, "add", add)
    Keeper(store).tend()
    assert [trial.state for trial in queued(store, "small/old")] == ["cancelled"] * 25 * chunks
    assert queued(store, "small/new") == []
    assert study_progress(store, "small")["small/old"] == StudyProgress(
        n_trials=100, cancelled=100
    )
    assert {trial.state for trial in in_optuna(store, "small/old")} <= {TrialState.FAIL}


def test_what_a_crash_left_of_a_cancellation_the_keeper_ends(store: Store, monkeypatch):
    enqueue(store, comparison())
    Queue(store).claim("small/old", "a", range(2))
    with monkeypatch.context() as crash, pytest.raises(KeyboardInterrupt):
        crash.setattr(ending, "end_as_failed", interrupted)
        control.change_comparison(store, "small", "cancel")
    assert row(store).status == "cancelled"
    assert in_optuna(store, "small/old")[0].state == TrialState.RUNNING
    Keeper(store).tend()
    for name in ("small/old", "small/new"):
        assert {trial.state for trial in in_optuna(store, name)} == {TrialState.FAIL}
        assert {trial.worker for trial in queued(store, name)} == {None}


def interrupted(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_cancelling_goes_past_what_was_finished_or_deleted_from_outside(store: Store):
    enqueue(store, comparison())
    first = queued(store, "small/old")[0].trial_id
    store.rdb.set_trial_state_values(first, TrialState.COMPLETE, [0.3])
    optuna.delete_study(study_name="small/new", storage=store.rdb)
    control.change_comparison(store, "small", "cancel")
    ended = [trial.state for trial in in_optuna(store, "small/old")]
    assert ended == [TrialState.COMPLETE] + [TrialState.FAIL] * 5
    assert {t.state for t in queued(store, "small/new")} == {"cancelled"}


def test_a_cancelled_search_takes_its_arms_retraining_with_it_and_leaves_the_other(store: Store):
    spec = comparison()
    enqueue(store, spec)
    keeper = Keeper(store)
    control.change_study(store, study(store, "small/old").id, "cancel")
    again = study(store, "small/old/retrain")
    assert (again.status, again.revision) == ("cancelled", 2)
    for _ in range(3):
        keeper.tend()
        work_here(store)
    assert row(store).status == "complete"
    assert queued(store, "small/old/retrain") == []
    assert len(finished_trials(store, "small/new/retrain")) == 2
    assert study(store, "small/old").status == "cancelled"


@pytest.mark.slow
def test_cancelling_while_many_claim_loses_and_repeats_nothing(store: Store):
    enqueue(store, comparison(n_trials=60))
    queue = Queue(store)
    stopped = threading.Event()

    def claim_and_finish(worker: int) -> list[int]:
        mine: list[int] = []
        while not stopped.is_set() and (found := queue.next_up("small")) is not None:
            name = f"w{worker}"
            claim = queue.claim(found.study_name, name, range(found.position, found.position + 3))
            if claim.trial_ids:
                mine += queue.finish(name, dict.fromkeys(claim.trial_ids, GOOD))
        return mine

    with ThreadPoolExecutor(6) as pool:
        working = [pool.submit(claim_and_finish, worker) for worker in range(6)]
        while study_progress(store, "small")["small/old"].done < 6:
            pass
        control.change_comparison(store, "small", "cancel")
        stopped.set()
        done = [trial_id for each in working for trial_id in each.result()]
    assert len(done) == len(set(done))
    found = [trial for name in ("small/old", "small/new") for trial in queued(store, name)]
    assert {trial.trial_id for trial in found if trial.state == "done"} == set(done)
    assert {trial.state for trial in found} == {"done", "cancelled"}
    for name in ("small/old", "small/new"):
        assert all(trial.state.is_finished() for trial in in_optuna(store, name))
