"""Long work in slices: what changes at once, who does the rest, and that it is done once."""

import threading
from collections.abc import Iterator

import optuna
import pytest
from comparisons import comparison, enqueue, keep_and_finish, work_here
from sqlalchemy import func, select

from tuner.errors import Conflict, NotFound
from tuner.search.database.events import events_after
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import NUMBERS, Store, open_store
from tuner.search.database.tables import studies, trials
from tuner.search.queue import control, deleting, filling, operations
from tuner.search.queue.operations import Operation
from tuner.search.queue.queue import Queue
from tuner.search.watch import views, waits
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper

LARGE = comparison(n_trials=130, retrain_seeds=0)


@pytest.fixture
def other(database: str) -> Iterator[Store]:
    """The database as another process has it open."""
    opened = open_store(database)
    yield opened
    opened.close()


def begun_to_delete(store: Store, name: str = "small") -> Operation:
    control.change_comparison(store, name, "pause")
    return control.delete(store, name, within_seconds=0)


def in_optuna(store: Store) -> dict[str, int]:
    """Study -> how many trials of it Optuna holds."""
    summaries = optuna.get_all_study_summaries(store.rdb)
    return {s.study_name: s.n_trials for s in summaries if not s.study_name.startswith(NUMBERS)}


def queued(store: Store) -> int:
    with store.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(trials)) or 0


def fail(store: Store, study_name: str, n_trials: int) -> None:
    queue = Queue(store, retries=0)
    claim = queue.claim(study_name, "unlucky", range(n_trials))
    queue.fail("unlucky", claim.trial_ids, "Traceback: out of luck")


def news(store: Store) -> list[tuple[str, int, int]]:
    kinds = [event for event in events_after(store.engine, 0) if event.kind == "operation"]
    return [(event.data["state"], event.data["done"], event.data["total"]) for event in kinds]


@pytest.mark.slow
def test_what_is_being_deleted_is_closed_at_once_and_gone_when_a_keeper_was_there(store: Store):
    enqueue(store, LARGE)
    enqueue(store, comparison(name="other", retrain_seeds=0))
    Queue(store).claim("small/old", "a", range(3))
    operation = begun_to_delete(store)
    assert (operation.state, operation.done, operation.total) == ("running", 0, 260)
    assert store.status("small") == "deleting"
    row = views.get_comparison(store, "small")
    assert waits.note(store, row, ()) == "it is being deleted: 0 of 260 trials"
    assert Queue(store).standing("a", [1, 2, 3]).held == frozenset()
    first = views.list_studies(store, limit=1, comparison="small")[0]
    for change in (
        lambda: control.change_comparison(store, "small", "resume"),
        lambda: control.change_comparison(store, "small", "cancel"),
        lambda: control.change_study(store, first.id, "cancel"),
        lambda: control.retry_failed(store, "small"),
        lambda: control.submit(store, LARGE),
        lambda: control.submit(store, comparison(n_trials=7)),
        lambda: control.check_active(store, "small"),
    ):
        with pytest.raises(Conflict, match="is being deleted"):
            change()
    assert control.delete(store, "small", within_seconds=0).id == operation.id
    Keeper(store).tend()
    ended = operations.get(store, operation.id)
    assert (ended.state, ended.done, ended.total, ended.error) == ("done", 260, 260, None)
    assert store.names() == ["other"]
    assert in_optuna(store) == {"other/old": 6, "other/new": 6}
    assert queued(store) == 12
    assert control.submit(store, LARGE)
    states = news(store)
    assert states[0] == ("running", 0, 260)
    assert states[-1] == ("done", 260, 260)
    assert 3 < len(states) <= 22


@pytest.mark.slow
def test_no_transaction_deletes_more_than_a_slice(store: Store):
    enqueue(store, LARGE)
    left = [in_optuna(store)["small/old"], in_optuna(store)["small/new"]]

    def look(_done: int, _total: int) -> None:
        there = in_optuna(store)
        now = [there.get("small/old", 0), there.get("small/new", 0)]
        assert sum(left) - sum(now) <= operations.SLICE
        left[:] = now

    control.change_comparison(store, "small", "pause")
    control.delete(store, "small", on_progress=look)
    assert left == [0, 0]


@pytest.mark.slow
def test_several_who_carry_an_operation_out_at_once_do_it_once(store: Store, other: Store):
    enqueue(store, LARGE)
    fail(store, "small/old", 120)
    before = {place: i for i, place in filling.positions(store, "small/old").items() if i}
    begun = control.retry_failed(store, "small", within_seconds=0)
    threads = [
        threading.Thread(target=operations.carry_out, args=(each, begun.id))
        for each in (store, other, store)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert operations.get(store, begun.id).state == "done"
    assert in_optuna(store)["small/old"] == 130 + 120
    after = filling.positions(store, "small/old")
    assert len(set(after.values()).difference(before)) == 120
    assert study_progress(store, "small")["small/old"].waiting == 130


def test_progress_is_told_as_it_is_after_each_slice(store: Store):
    enqueue(store, comparison())
    fail(store, "small/old", 3)
    seen: list[tuple[int, int]] = []
    control.retry_failed(store, "small", on_progress=lambda *now: seen.append(now))
    assert seen == [(3, 3), (3, 3)]  # all are put back, then they wait


@pytest.mark.slow
def test_a_slice_that_breaks_off_is_done_again_from_its_beginning(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    enqueue(store, LARGE)
    really, slices = deleting.delete_some, []

    def killed(*arguments: object) -> int | None:
        came_to = really(*arguments)  # type: ignore[arg-type]
        slices.append(came_to)
        if len(slices) == 4:
            raise KeyboardInterrupt
        return came_to

    control.change_comparison(store, "small", "pause")
    with monkeypatch.context() as crash, pytest.raises(KeyboardInterrupt):
        crash.setattr(operations, "_SLICES", {"delete": killed})
        control.delete(store, "small")
    (running,) = operations.running(store)
    done = operations.get(store, running).done
    assert done == sum(each or 0 for each in slices[:-1])
    assert sum(in_optuna(store).values()) == 260 - done
    Keeper(store).tend()
    assert (store.names(), in_optuna(store), queued(store)) == ([], {}, 0)


def test_an_operation_that_fails_says_why_and_can_be_asked_for_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    enqueue(store, comparison())

    def broken(*_arguments: object) -> int | None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as bug:
        bug.setattr(operations, "_SLICES", {"delete": broken})
        failed = begun_to_delete(store)
        Keeper(store).tend()
    ended = operations.get(store, failed.id)
    assert (ended.state, ended.error) == ("failed", "RuntimeError: a bug")
    assert ended.ended is not None
    assert news(store)[-1] == ("failed", 0, 12)
    row = views.get_comparison(store, "small")
    assert waits.note(store, row, ()) == "deleting it failed, so delete it again: " + ended.error
    again = control.delete(store, "small")
    assert (again.state, again.id != failed.id) == ("done", True)
    assert store.names() == []


def test_failed_trials_wait_all_from_the_moment_on_that_the_last_was_put_back(store: Store):
    enqueue(store, comparison(n_trials=40, retrain_seeds=0))
    fail(store, "small/old", 30)
    operation = control.retry_failed(store, "small", within_seconds=0)
    assert (operation.runs, operation.total) == (True, 30)
    assert store.status("small") == "active"
    before = study_progress(store, "small")["small/old"]
    assert (before.waiting, before.held, before.failed) == (10, 30, 0)
    assert control.retry_failed(store, "small", within_seconds=0).id == operation.id
    with pytest.raises(Conflict, match=f"/v1/operations/{operation.id}, retry, 0 of 30"):
        begun_to_delete(store)
    control.change_comparison(store, "small", "resume")
    filling.enqueue(store, comparison(n_trials=40, retrain_seeds=0))  # as a keeper elsewhere
    assert study_progress(store, "small")["small/old"].held == 30
    Keeper(store).tend()
    after = study_progress(store, "small")["small/old"]
    assert (after.waiting, after.held, after.failed) == (40, 0, 0)
    assert in_optuna(store)["small/old"] == 70


def test_what_is_cancelled_while_it_is_put_back_stays_cancelled(store: Store):
    enqueue(store, comparison(retrain_seeds=0))
    fail(store, "small/old", 4)
    operation = control.retry_failed(store, "small", within_seconds=0)
    control.change_comparison(store, "small", "cancel")
    Keeper(store).tend()
    assert operations.get(store, operation.id).state == "done"
    progress = study_progress(store, "small")["small/old"]
    assert (progress.cancelled, progress.waiting, progress.held) == (6, 0, 0)
    assert in_optuna(store)["small/old"] == 6


@pytest.mark.slow
def test_nothing_is_trained_afresh_of_an_arm_until_its_old_runs_are_gone(store: Store):
    spec = comparison()
    enqueue(store, spec)
    fail(store, "small/old", 2)
    keep_and_finish(store)
    old = {trial._trial_id for trial in finished_trials(store, "small/old/retrain")}
    assert len(old) == 2
    operation = control.retry_failed(store, "small", within_seconds=0)
    assert finished_trials(store, "small/old/retrain") == []
    for _ in filling.incumbent_in_slices(store, spec, spec.arms[0]):  # as a keeper elsewhere
        pass
    assert finished_trials(store, "small/old/retrain") == []
    assert study_progress(store, "small")["small/old/retrain"].queued == 0
    Keeper(store).tend()
    assert operations.get(store, operation.id).state == "done"
    assert "small/old/retrain" not in in_optuna(store)
    keep_and_finish(store)
    assert store.status("small") == "complete"
    again = {trial._trial_id for trial in finished_trials(store, "small/old/retrain")}
    assert len(again) == 2
    assert not again & old


def test_an_operation_that_is_not_there_is_not_found(store: Store):
    with pytest.raises(NotFound, match="there is no operation 7"):
        operations.get(store, 7)


@pytest.mark.slow
def test_the_numbers_of_deleted_trials_are_not_given_again(store: Store):
    enqueue(store, LARGE)
    highest = max(filling.positions(store, "small/new").values())
    begun_to_delete(store)
    enqueue(store, comparison(name="later", retrain_seeds=0))
    Keeper(store).tend()
    enqueue(store, comparison(name="latest", retrain_seeds=0))
    for name in ("later", "latest"):
        for arm in ("old", "new"):
            assert min(filling.positions(store, f"{name}/{arm}").values()) > highest
    with store.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(studies)) == 4
    work_here(store, comparison="later")
