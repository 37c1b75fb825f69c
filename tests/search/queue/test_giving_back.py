"""Trials whose workers die: put back, tried in ever smaller parts, and failed in the end."""

import math
from collections.abc import Iterator

import optuna
import pytest
from comparisons import comparison, enqueue
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Row, select, update

from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import Now, studies, trials
from tuner.search.queue import control
from tuner.search.queue.claims import Claim
from tuner.search.queue.giving_back import LOSSES_PER_DEATH, most_strikes, suspects
from tuner.search.queue.queue import Queue

BATCH = 4


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    enqueue(opened, comparison(retrain_seeds=0))
    with opened.engine.begin() as connection:
        connection.execute(update(studies).values(batch=BATCH))
    yield opened
    opened.close()


def queued(store: Store, study_name: str = "small/old") -> list[Row]:
    query = select(trials).where(trials.c.study_name == study_name).order_by(trials.c.position)
    with store.engine.connect() as connection:
        return list(connection.execute(query))


def try_next(queue: Queue, poison: int) -> range | None:
    """As a worker would: claims what is next of a batch, and dies if the poison is in it."""
    upcoming = queue.next_up(without=["small/new"])
    if upcoming is None:
        return None
    first = upcoming.position // BATCH * BATCH
    batch = range(first, min(first + BATCH, 6))
    together = suspects(batch, upcoming.position, upcoming.strikes)
    claim = queue.claim("small/old", "a", together, strikes=upcoming.strikes)
    if poison in claim.positions:
        assert queue.died("a", "signal 9 (SIGKILL)", ["out of memory"])
    else:
        with queue.store.engine.begin() as connection:
            its = trials.c.trial_id.in_(claim.trial_ids)
            connection.execute(update(trials).where(its).values(state="done", worker=None))
    return together


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 12))
def test_suspects_are_a_part_of_the_batch_and_halve_with_every_death(n: int, start: int, k: int):
    batch = range(start, start + n)
    parts = {suspects(batch, position, k) for position in batch}
    assert sorted(position for part in parts for position in part) == list(batch)
    largest = max(len(part) for part in parts)
    assert largest == math.ceil(n / 2 ** max(0, k - 1))
    alone = most_strikes(n) - 3
    assert (largest == 1) == (k >= alone or n == 1)


@pytest.mark.parametrize("poison", [0, 2, 3, 5])
def test_a_trial_that_kills_is_found_and_the_others_of_its_batch_are_not_blamed(
    store: Store, poison: int
):
    queue = Queue(store)
    tried = []
    while (together := try_next(queue, poison)) is not None:
        tried.append(together)
        assert len(tried) < 20
    states = {row.position: row.state for row in queued(store)}
    assert states.pop(poison) == "failed"
    assert set(states.values()) == {"done"}
    deaths = queued(store)[poison].deaths
    assert deaths == queued(store)[poison].attempts == most_strikes(BATCH)
    assert [range(poison, poison + 1)] * 3 == [part for part in tried if poison in part][-3:]
    frozen = optuna.load_study(study_name="small/old", storage=store.rdb).trials[poison]
    assert frozen.state.name == "FAIL"
    assert frozen.user_attrs["error"] == (
        "out of memory\nprocesses that trained it ended 6 times, the last one by signal 9 "
        "(SIGKILL); it was tried 6 times, at last alone"
    )


def test_what_died_is_tried_after_all_that_did_not(store: Store):
    queue = Queue(store)
    queue.claim("small/old", "a", range(4))
    queue.died("a", "signal 11 (SIGSEGV)")
    turns = []
    while (upcoming := queue.next_up()) is not None:
        turns.append((upcoming.study_name, upcoming.strikes))
        positions = range(upcoming.position, upcoming.position + 4)
        queue.claim(upcoming.study_name, f"w{len(turns)}", positions, strikes=upcoming.strikes)
    assert turns == [("small/new", 0), ("small/new", 0), ("small/old", 0), ("small/old", 1)]


def test_leases_that_run_out_count_for_less_and_end_in_failure_too(store: Store):
    queue = Queue(store, lease_seconds=-1.0)
    for _ in range(LOSSES_PER_DEATH * most_strikes(BATCH)):
        assert queued(store)[0].state == "waiting"
        assert queue.claim("small/old", "a", range(1)).trial_ids
        assert queue.reap() == 1
    row = queued(store)[0]
    assert (row.state, row.losses, row.deaths) == ("failed", 24, 0)
    frozen = optuna.load_study(study_name="small/old", storage=store.rdb).trials[0]
    assert frozen.user_attrs["error"] == (
        "workers that trained it fell silent 24 times; it was tried 24 times, at last alone"
    )


def test_who_lets_go_is_not_counted(store: Store):
    queue = Queue(store)
    for _ in range(30):
        queue.claim("small/old", "a", range(2))
        queue.release(["a"])
    assert {(row.state, row.deaths, row.losses) for row in queued(store)} == {("waiting", 0, 0)}


def test_a_retry_by_hand_begins_to_count_anew(store: Store):
    queue = Queue(store)
    while queued(store)[0].state != "failed":
        queue.claim("small/old", "a", range(1))
        queue.died("a", "signal 9 (SIGKILL)")
    assert control.retry_failed(store, "small").total == 1
    row = queued(store)[0]
    assert (row.state, row.deaths, row.losses) == ("waiting", 0, 0)


@given(st.integers(1, 9), st.data())
def test_a_company_is_as_large_as_the_batch_and_has_its_trials_at_their_places(n: int, data):
    batch = range(5, 5 + n)
    positions = data.draw(st.lists(st.sampled_from(batch), min_size=1, unique=True).map(sorted))
    claim = Claim("study", tuple(positions), tuple(positions), batch)
    company = claim.company(positions)
    assert len(company) == n
    assert [company[place] for place in claim.places] == positions
    assert set(company) == set(positions)
    whole = Claim("study", tuple(batch), tuple(batch))
    assert whole.company(list(batch)) == list(batch)


def test_no_lease_lasts_longer_for_a_clock_that_was_set_back(store: Store):
    queue = Queue(store)
    queue.claim("small/old", "dead", range(2))
    queue.claim("small/old", "alive", range(2, 4))
    held = update(trials).where(trials.c.worker == "dead")
    with store.engine.begin() as connection:
        connection.execute(held.values(lease_expires=Now() + 3600.0))
        before = connection.scalar(select(Now()))
    leases = {row.position: row.lease_expires for row in queued(store)[2:4]}
    assert queue.reap() == 0
    rows = queued(store)
    assert [row.state for row in rows[:4]] == ["running"] * 4
    assert all(before < row.lease_expires < before + 3600 for row in rows[:2])
    assert {row.position: row.lease_expires for row in rows[2:4]} == leases
    with store.engine.begin() as connection:
        connection.execute(held.values(lease_expires=trials.c.lease_expires - 3600.0))
    assert queue.reap() == 2
