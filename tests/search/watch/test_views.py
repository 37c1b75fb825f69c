"""What there is to see in a database: complete, in order, and never older than it seems."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from comparisons import comparison, enqueue, work_here
from optuna.trial import TrialState
from sqlalchemy import event, insert, select, update

from tests.search.watch.sums import check_sums
from tuner.errors import NotFound
from tuner.search.database.store import Store
from tuner.search.database.tables import comparisons, events, trials, workers
from tuner.search.queue import control, roster
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.watch import counts, views, waits
from tuner.search.watch.progress import StudyProgress, progress, study_progress
from tuner.search.watch.searching import Sought
from tuner.search.watch.totals import totals
from tuner.search.work.keeper import Keeper

GOOD = TrialOutcome(TrialState.COMPLETE, 0.9)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are remembered however young the newest event is, as they always are in SQLite."""
    monkeypatch.setattr(counts, "GAP_SECONDS", -1.0)


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is sent to the database within the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    yield sent
    event.remove(store.engine, "before_cursor_execute", note)


def seen(store: Store) -> dict[str, StudyProgress]:
    """The studies' counts as the lists show them."""
    return {
        row.study_name: StudyProgress(
            n_trials=row.n_trials,
            waiting=row.waiting,
            running=row.running,
            done=row.done,
            failed=row.failed,
            cancelled=row.cancelled,
            best=row.best,
        )
        for row in views.list_studies(store, limit=100)
    }


def counted_anew(store: Store) -> dict[str, StudyProgress]:
    return {
        name: StudyProgress(
            n_trials=found.n_trials,
            waiting=found.n_trials - found.running - found.finished,
            running=found.running,
            done=found.done,
            failed=found.failed,
            cancelled=found.cancelled,
            best=found.best,
        )
        for each in store.names()
        for name, found in study_progress(store, each).items()
    }


@pytest.mark.slow
@pytest.mark.usefixtures("at_once")
def test_counts_follow_every_change(store: Store):
    queue, keeper = Queue(store, retries=0), Keeper(store)

    def take(n: int, worker: str = "w") -> tuple[int, ...]:
        return queue.claim("small/old", worker, range(n)).trial_ids

    def study_id() -> int:
        return next(
            r.id for r in views.list_studies(store, limit=9) if r.study_name == "small/old"
        )

    steps: list[Callable[[], object]] = [
        lambda: control.submit(store, comparison()),
        keeper.tend,
        lambda: take(2),
        lambda: queue.release(["w"]),
        lambda: queue.finish("w", dict.fromkeys(take(1), GOOD)),
        lambda: queue.fail("w", take(3), "Traceback"),
        lambda: control.retry_failed(store, "small"),
        lambda: control.change_study(store, study_id(), "pause"),
        lambda: control.change_study(store, study_id(), "resume"),
        lambda: work_here(store),
        keeper.tend,
        lambda: work_here(store),
        keeper.tend,
        lambda: control.delete(store, "small"),
        lambda: control.submit(store, comparison(n_trials=4)),
        keeper.tend,
        lambda: take(1),
        lambda: control.change_study(store, study_id(), "cancel"),
        lambda: control.change_comparison(store, "small", "cancel"),
    ]
    states = []
    for step in steps:
        step()
        for _ in range(2):
            assert seen(store) == counted_anew(store)
            check_sums(store)
        states.append(str(seen(store)))
    assert len(set(states)) > 10  # what was just submitted waits as what is enqueued does


def test_while_nothing_happens_nothing_is_counted_again(
    store: Store, request: pytest.FixtureRequest
):
    if store.engine.dialect.name != "sqlite":
        request.getfixturevalue("at_once")
    enqueue(store, comparison(retrain_seeds=0))
    spec = store.comparison("small")
    first = seen(store)
    with statements(store) as sent:
        assert seen(store) == first
        assert views.get_study(store, 1).waiting == 6
        assert views.arms_of(store, spec) == progress(store, spec).arms
    counting = [one for one in sent if "GROUP BY" in one.upper()]
    assert len(counting) == 1  # by ``progress``, which is always exact
    Queue(store).claim("small/old", "w", range(1))
    with statements(store) as sent:
        assert seen(store) != first
    assert [one for one in sent if "GROUP BY" in one.upper()]


def test_counts_are_not_remembered_while_an_earlier_event_may_still_become_visible(store: Store):
    """PostgreSQL numbers rows before they can be seen, so the newest event may stay the same."""
    if store.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: what is committed first is seen first")
    enqueue(store, comparison(retrain_seeds=0))
    queue = Queue(store)
    ids = queue.claim("small/old", "w", range(2)).trial_ids
    assert seen(store)["small/old"].running == 2
    with store.engine.begin() as connection:  # what a transaction does whose event came before
        connection.execute(
            update(trials).where(trials.c.trial_id == ids[0]).values(state="done", value=0.5)
        )
    assert seen(store)["small/old"].done == 1


@pytest.mark.usefixtures("at_once")
def test_counts_are_not_remembered_while_trials_are_enqueued(store: Store):
    control.submit(store, comparison())
    known = counts._remembered.setdefault(store, {})
    seen(store)
    assert not known
    enqueue(store, comparison())
    seen(store)
    assert known


def test_comparisons_come_newest_first_each_once_however_they_are_cut(store: Store):
    for number in range(7):
        store.declare(comparison(name=f"c{number}"))
    with store.engine.begin() as connection:  # two were made in the same moment, twice
        for same in (("c1", "c2"), ("c4", "c5")):
            which = comparisons.c.name == same[1]
            created = select(comparisons.c.created).where(comparisons.c.name == same[0])
            connection.execute(
                update(comparisons).where(which).values(created=created.scalar_subquery())
            )
    for limit in (1, 2, 3, 7, 50):
        names: list[str] = []
        before = None
        while page := views.list_comparisons(store, limit=limit, before=before):
            names += [row.name for row in page]
            before = (page[-1].created, page[-1].name)
        assert names == ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]
    control.change_comparison(store, "c3", "pause")
    paused = views.list_comparisons(store, limit=50, sought=Sought(status="paused"))
    assert [(row.name, row.revision) for row in paused] == [("c3", 2)]


def test_studies_of_a_state_are_found_beyond_the_first_page(store: Store):
    for number in range(5):
        store.declare(comparison(name=f"c{number}"))
    last = views.list_studies(store, limit=100)[-1]
    control.change_study(store, last.id, "pause")
    assert [r.id for r in views.list_studies(store, limit=2, status="paused")] == [last.id]
    ids: list[int] = []
    while page := views.list_studies(store, limit=3, after=ids[-1] if ids else 0):
        ids += [row.id for row in page]
    assert ids == sorted(set(ids))
    assert len(ids) == 30
    of_one = views.list_studies(store, limit=100, comparison="c3")
    assert {row.comparison for row in of_one} == {"c3"}
    assert len(of_one) == 6


@pytest.mark.slow
def test_a_study_is_complete_as_soon_as_its_trials_are(store: Store):
    enqueue(store, comparison())
    queue = Queue(store)
    queue.finish("w", dict.fromkeys(queue.claim("small/old", "w", range(6)).trial_ids, GOOD))
    status = {row.study_name: row.status for row in views.list_studies(store, limit=9)}
    assert (status["small/old"], status["small/new"]) == ("complete", "active")
    found = views.list_studies(store, limit=9, status="complete")
    assert [row.study_name for row in found] == ["small/old"]


def test_trials_are_listed_by_position_and_state(store: Store):
    enqueue(store, comparison())
    queue = Queue(store, retries=0)
    queue.finish("w", dict.fromkeys(queue.claim("small/old", "w", range(1, 3)).trial_ids, GOOD))
    queue.fail("w", queue.claim("small/old", "w", range(3, 4)).trial_ids, "Traceback")
    queue.claim("small/old", "x", range(1))
    every = views.list_trials(store, "small/old", limit=100)
    assert [row.state for row in every] == [
        *("running", "done", "done", "failed", "waiting", "waiting"),
    ]
    assert (every[0].worker, every[0].attempts, every[3].failures) == ("x", 1, 1)
    pages = [views.list_trials(store, "small/old", limit=2, after=after) for after in (-1, 1, 3)]
    assert [row for page in pages for row in page] == every
    for state in ("running", "done", "failed", "waiting", "cancelled"):
        found = views.list_trials(store, "small/old", limit=100, state=state)
        assert found == [row for row in every if row.state == state]


def test_held_trials_wait(store: Store):
    enqueue(store, comparison())
    with store.engine.begin() as connection:
        connection.execute(update(trials).values(state="held"))
    rows = views.list_trials(store, "small/old", limit=100, state="waiting")
    assert {row.state for row in rows} == {"waiting"}
    assert len(rows) == 6
    assert totals(store).trials == {"waiting": 12}
    assert views.get_trial(store, rows[0].trial_id)[0].state == "waiting"


def test_the_best_trials_are_those_of_the_highest_value_the_earlier_one_first(store: Store):
    enqueue(store, comparison())
    queue = Queue(store, retries=0)
    ids = queue.claim("small/old", "w", range(5)).trial_ids
    values = (0.5, 0.9, 0.7, 0.9)
    outcomes = {i: TrialOutcome(TrialState.COMPLETE, v) for i, v in zip(ids, values, strict=False)}
    queue.finish("w", outcomes)
    queue.fail("w", ids[4:], "Traceback")
    best = views.best_trials(store, "small/old", 10)
    assert [row.position for row in best] == [1, 3, 2, 0]
    assert views.best_trials(store, "small/old", 2) == best[:2]
    assert views.best_trials(store, "small/new", 1) == []


def test_a_trial_is_seen_as_it_is_now(store: Store):
    enqueue(store, comparison())
    queue = Queue(store)
    (trial_id,) = queue.claim("small/old", "w", range(1)).trial_ids
    queue.report("w", 1, {trial_id: 0.4})
    row, trial = views.get_trial(store, trial_id)
    assert (row.state, trial.intermediate_values) == ("running", {1: 0.4})
    queue.report("w", 2, {trial_id: 0.5})
    assert views.get_trial(store, trial_id)[1].intermediate_values == {1: 0.4, 2: 0.5}
    queue.finish("w", {trial_id: GOOD})
    row, trial = views.get_trial(store, trial_id)
    assert (row.state, row.value, trial.value) == ("done", 0.9, 0.9)
    with statements(store) as sent:
        assert views.get_trial(store, trial_id) == (row, trial)
    assert len(sent) == 1  # a finished trial is read from Optuna once
    control.change_comparison(store, "small", "pause")
    control.delete(store, "small")
    with pytest.raises(NotFound, match=f"there is no trial {trial_id}"):
        views.get_trial(store, trial_id)


def test_more_trials_than_are_remembered_are_still_right(store: Store, monkeypatch):
    monkeypatch.setattr(views, "_MOST_REMEMBERED", 2)
    enqueue(store, comparison())
    work_here(store)
    rows = views.list_trials(store, "small/old", limit=100)
    for _ in range(2):
        for row in rows:
            found, trial = views.get_trial(store, row.trial_id)
            assert found == row
            assert (trial.value, trial.user_attrs["index"]) == (row.value, row.position)


def test_what_is_not_there_is_not_found(store: Store):
    for name in ("nothing", "no\0thing", "x" * 1000):
        with pytest.raises(NotFound, match="there is no comparison"):
            views.get_comparison(store, name)
        assert views.list_studies(store, limit=1, comparison=name) == []
    with pytest.raises(NotFound, match="there is no study 1"):
        views.get_study(store, 1)


def enrol(store: Store, name: str, **changes: object) -> None:
    roster.enrol(store, name, "cpu")
    if changes:
        with store.engine.begin() as connection:
            connection.execute(update(workers).where(workers.c.name == name).values(changes))


def test_a_worker_without_a_sign_of_life_is_gone(store: Store):
    enrol(store, "here")
    enrol(store, "away", last_seen=workers.c.last_seen - 61)
    enrol(store, "left", last_seen=workers.c.last_seen - 61, state="stopped")
    found = {row.name: row.state for row in views.list_workers(store)}
    assert found == {"here": "idle", "away": "gone", "left": "stopped"}
    assert views.list_workers(store)[0].name == "here"
    roster.announce(store, "soon", "cpu")
    enrol(store, "never", state="starting", last_seen=workers.c.last_seen - 61)
    found = {row.name: row.state for row in views.list_workers(store)}
    assert (found["soon"], found["never"]) == ("starting", "gone")


def test_a_worker_whose_process_is_gone_is_not_among_the_living(store: Store):
    enrol(store, "dead", state="working", study_name="small/old", running=2)
    enrol(store, "alive")
    enrol(store, "ended", state="stopped", message="said so itself")
    assert roster.count(store, within_seconds=60) == 2
    roster.withdraw(store, ["dead", "ended"], "signal 9 (SIGKILL)")
    assert roster.count(store, within_seconds=60) == 1
    found = {row.name: row for row in views.list_workers(store)}
    dead = found["dead"]
    assert (dead.state, dead.study_name, dead.running) == ("stopped", None, 0)
    assert dead.message == "signal 9 (SIGKILL)"
    assert found["ended"].message == "said so itself"


def test_a_note_says_what_a_comparison_waits_for(store: Store):
    enqueue(store, comparison())

    def note() -> str | None:
        arms = views.arms_of(store, comparison())
        return waits.note(store, views.get_comparison(store, "small"), arms)

    assert note() == "no worker is running; start one with: tuner worker"
    enrol(store, "gone", last_seen=workers.c.last_seen - 61)
    enrol(store, "broken", state="broken")
    assert note() == "no worker is running; start one with: tuner worker"
    roster.announce(store, "soon", "cpu")
    assert note() == "workers are starting"
    roster.withdraw(store, ["soon", "broken"], "signal 9")
    assert note() == "no worker is running; start one with: tuner worker"
    assert {row.name for row in views.list_workers(store)} == {"gone", "broken"}
    roster.announce(store, "old", "cpu")
    enrol(store, "old", code_version="0.0.9")
    with store.engine.connect() as connection:
        mine = connection.scalar(select(comparisons.c.code_version))
    assert note() == f"waits for a worker of bnn-tuner {mine}; the workers here run 0.0.9"
    missing = "small/old cannot be run here: data set 'digits' is not there; put it in /data"
    enrol(store, "old", message=f"other/a cannot be run here: no; {missing}")
    assert note() == missing
    enrol(store, "able", message="other/a cannot be run here: no")
    assert note() is None
    with store.engine.begin() as connection:
        connection.execute(update(comparisons).values(code_version="99.0"))
    assert note() == f"waits for a worker of bnn-tuner 99.0; the workers here run {mine}"
    enrol(store, "newer", code_version="99.0")
    assert note() == f"it is run by bnn-tuner 99.0; this server is {mine}"
    control.change_comparison(store, "small", "pause")
    assert note() is None


def test_a_database_without_events_is_counted_too(store: Store):
    enqueue(store, comparison())
    with store.engine.begin() as connection:
        connection.execute(events.delete())
    assert seen(store) == counted_anew(store)
    with store.engine.begin() as connection:  # of another comparison
        connection.execute(
            insert(events).values(created=0.0, comparison="other", kind="claimed", data="{}")
        )
    Queue(store).claim("small/old", "w", range(1))
    assert seen(store)["small/old"].running == 1
