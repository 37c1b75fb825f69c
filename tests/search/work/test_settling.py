"""Comparisons that are looked at while they run, and those that end at the look that settles."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from comparisons import comparison, enqueue, work_here
from light_trainer import LightTrainer

from tuner.compare import Comparison, Protocol, compare
from tuner.errors import Conflict
from tuner.search.database.events import events_after
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.transfer import export, load
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.foreign.compare import judged_studies, stored_studies
from tuner.search.queue import control
from tuner.search.queue.queue import Queue
from tuner.search.results.arms import arms
from tuner.search.watch.progress import Progress, progress
from tuner.search.watch.views import get_comparison, list_studies, list_workers
from tuner.search.watch.waits import note
from tuner.search.work import launch
from tuner.search.work.keeper import Keeper
from tuner.search.work.settling import take_look
from tuner.search.work.worker import Worker

FAR = [{"name": "old", "space": "magnitude"}, {"name": "new", "space": "filter"}]
ALIKE = [{"name": "old", "space": "filter"}, {"name": "new", "space": "filter"}]
VERDICT = {"primary": ["new", "old"], "k": 2, "looks": [0.8, 0.9]}


def looked_at(arms: list[dict[str, Any]], **verdict: Any) -> ComparisonSpec:
    """Twelve searches of two trials in each arm, looked at after ten and after eleven."""
    return comparison(workload={"epochs": 1}, arms=arms, n_trials=24, verdict=VERDICT | verdict)


def settling(arms: list[dict[str, Any]], **verdict: Any) -> ComparisonSpec:
    return looked_at(arms, stop="when settled", **verdict)


def keep_and_work(store: Store, rounds: int = 10) -> None:
    """Each round a keeper that knows nothing yet, as if the one before had died, and a worker.

    Once it is complete there is one round more, in which nothing may happen.
    """
    for _ in range(rounds):
        complete = store.status("small") == "complete"
        Keeper(store).tend()
        work_here(store)
        if complete:
            return


def looks_taken(store: Store) -> list[tuple[str, int]]:
    kinds = ("settled", "not settled")
    return [
        (event.kind, event.data["n"])
        for event in events_after(store.engine, 0)
        if event.kind in kinds
    ]


def ended(store: Store, spec: ComparisonSpec) -> dict[str, int]:
    return {
        study.study_name.removeprefix("small/"): len(finished_trials(store, study.study_name))
        for study in spec.every_study()
    }


def compared(store: Store) -> Comparison:
    return compare(*arms(store, "small"))


def test_a_clear_difference_ends_the_comparison_at_the_first_look(store: Store):
    spec = settling(FAR)
    enqueue(store, spec)
    keep_and_work(store)
    assert store.status("small") == "complete"
    assert looks_taken(store) == [("settled", 10)]
    looks = progress(store, spec).looks
    assert looks is not None and (looks.taken, looks.settled) == (1, True)
    assert ended(store, spec) == {
        "old": 20,
        "new": 20,
        "old/selected": 10,
        "old/retrain": 2,
        "new/selected": 10,
        "new/retrain": 2,
    }
    found = compared(store)
    assert found.verdict.kind == "supported" and not found.verdict.interim
    assert "in the median over the first 10 of 12 searches of each" in found.verdict.text
    (note,) = (note for note in found.notes if "ended at the look after 10 of 12" in note)
    assert "likelier too large where a difference ended it" in note


@pytest.mark.slow
def test_read_as_any_studies_its_looks_count_too(store: Store):
    enqueue(store, settling(FAR))
    keep_and_work(store)
    studies = stored_studies(store, ["small/new", "small/old"])
    found = judged_studies(studies, Protocol(k=2, rope=0.003, unit="accuracy"))
    here = compared(store).contrasts[0].selected
    there = found.contrasts[0].selected
    assert here is not None and there is not None
    assert here.difference == there.difference and here.difference.interval is not None
    assert found.verdict.text.startswith("Interim, 10 of 12 searches. ")


@pytest.mark.slow
def test_without_a_difference_it_goes_on_to_the_end(store: Store):
    spec = settling(ALIKE, rope=0.0)
    enqueue(store, spec)
    keep_and_work(store)
    assert store.status("small") == "complete"
    assert looks_taken(store) == [("not settled", 10), ("not settled", 11)]
    assert ended(store, spec) == {
        name: 24 if "/" not in name else 12 if "selected" in name else 2
        for name in ended(store, spec)
    }
    notes = compared(store).notes
    assert not any("ended at the look" in note for note in notes)
    assert any("looked at after 80%, 90% of the 12 searches of each arm" in note for note in notes)


def test_until_it_is_decided_it_is_interim_and_no_incumbent_is_retrained(store: Store):
    spec = settling(ALIKE, rope=0.0)
    enqueue(store, spec)
    work_here(store)
    Keeper(store).tend()
    work_here(store)
    now = progress(store, spec)
    assert now.undecided and now.ended and not now.complete
    assert now.looks is not None and (now.looks.taken, now.looks.ended) == (0, 10)
    waits_for = note(store, get_comparison(store, "small"), now.arms)
    assert waits_for == "all trials up to a look have ended, only the look is not taken"
    assert [(arm.total, arm.to_retrain) for arm in now.arms] == [(20, 10), (20, 10)]
    found, protocol = arms(store, "small")
    assert protocol.interim == "40 of 48 declared trials"
    verdict = compare(found, protocol).verdict
    assert verdict.text.startswith("Interim, 40 of 48 declared trials. ")
    assert "this look does not settle whether" in verdict.text


@pytest.mark.slow
def test_the_control_ends_with_the_primary_arms_and_other_arms_run_in_full(store: Store):
    more = [{"name": "narrow", "space": "magnitude"}, {"name": "other", "space": "filter"}]
    spec = settling([*FAR, *more], control="narrow")
    enqueue(store, spec)
    keep_and_work(store)
    assert {name: n for name, n in ended(store, spec).items() if "/" not in name} == {
        "old": 20,
        "new": 20,
        "narrow": 20,
        "other": 24,
    }
    assert store.status("small") == "complete"
    assert compared(store).verdict.kind == "fragile" or compared(store).verdict.winner == "new"


def test_several_keepers_take_each_look_once(store: Store, database: str):
    spec = settling(ALIKE, rope=0.0)
    enqueue(store, spec)
    work_here(store)
    Keeper(store).tend()
    work_here(store)
    others = [open_store(database) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: take_look(each, spec), others))
    for each in others:
        each.close()
    assert looks_taken(store) == [("not settled", 10)]
    now = progress(store, spec)
    assert now.arms[0].total == 22
    assert now.looks is not None and (now.looks.taken, now.looks.settled) == (1, False)


def test_a_keeper_that_comes_late_takes_no_look_of_which_trials_are_to_run(store: Store):
    spec = settling(ALIKE, rope=0.0)
    enqueue(store, spec)
    work_here(store)
    Keeper(store).tend()
    work_here(store)
    for _ in range(3):
        take_look(store, spec)
    assert looks_taken(store) == [("not settled", 10)]
    assert [arm.total for arm in progress(store, spec).arms] == [22, 22]


@pytest.mark.slow
def test_a_run_that_begins_with_a_look_has_workers_for_what_follows(store: Store, database: str):
    spec = settling(ALIKE, rope=0.0)
    enqueue(store, spec)
    work_here(store)
    Keeper(store).tend()
    work_here(store)
    before, started = len(list_workers(store)), []

    def look_once(_now: Progress) -> None:
        started.append(len(list_workers(store)) - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.run(
            spec, database=database, workers=2, make_trainer=LightTrainer, on_progress=look_once
        )
    assert started == [2] and looks_taken(store) == [("not settled", 10)]


@pytest.mark.slow
def test_a_run_ends_by_itself_and_run_again_does_nothing(store: Store, database: str):
    spec = settling(FAR)
    seen = []
    end = launch.run(
        spec, database=database, workers=1, make_trainer=LightTrainer, on_progress=seen.append
    )
    assert end.complete and [(arm.done, arm.total) for arm in end.arms] == [(20, 20), (20, 20)]
    again = launch.run(spec, database=database, workers=1, make_trainer=LightTrainer)
    assert again.complete and looks_taken(store) == [("settled", 10)]


@pytest.mark.slow
def test_without_a_stop_a_look_is_taken_while_the_trials_go_on(store: Store):
    spec = looked_at(FAR)
    enqueue(store, spec)
    queue = Queue(store)

    def half_done() -> bool:
        return all(arm.done >= 20 for arm in progress(store, spec).arms)

    Worker(queue, LightTrainer("cpu"), name="w", stopping=half_done, comparison="small").run()
    Keeper(store).tend()
    assert [arm.retraining for arm in progress(store, spec).arms] == [10, 10]
    for name in ("small/old/selected", "small/new/selected"):
        queue.claim(name, "held back", range(9, 10))  # the last of each goes on for long

    def nine_done() -> bool:
        return all(arm.retrained == 9 for arm in progress(store, spec).arms)

    Worker(queue, LightTrainer("cpu"), name="v", stopping=nine_done, comparison="small").run()
    assert "the first look is due after 10" in compared(store).verdict.text
    queue.release(["held back"])

    def ten_done() -> bool:
        return all(arm.retrained == 10 for arm in progress(store, spec).arms)

    Worker(queue, LightTrainer("cpu"), name="u", stopping=ten_done, comparison="small").run()
    verdict = compared(store).verdict
    assert verdict.heading == "Interim, supported: new ahead"
    assert "the first 10 of 12 searches" in verdict.text
    keep_and_work(store)
    assert store.status("small") == "complete" and looks_taken(store) == []
    assert ended(store, spec)["new"] == 24 and ended(store, spec)["new/selected"] == 12


def test_other_looks_under_the_same_name_are_refused(store: Store):
    enqueue(store, settling(FAR))
    work_here(store)
    for changed in (looked_at(FAR), settling(FAR, looks=[0.8])):
        with pytest.raises(Conflict, match="holds another declaration under this name"):
            control.submit(store, changed)


@pytest.mark.slow
def test_failed_trials_are_run_again_and_a_comparison_that_ended_stays_so(store: Store):
    spec = settling(FAR)
    enqueue(store, spec)
    queue = Queue(store, retries=0)
    queue.fail("w", queue.claim("small/old", "w", range(3, 4)).trial_ids, "Traceback")
    keep_and_work(store)
    before = ended(store, spec)
    assert before["old"] == 20 and looks_taken(store) == [("settled", 10)]
    assert control.retry_failed(store, "small").total == 1
    assert progress(store, spec).arms[0].failed == 0
    keep_and_work(store)
    assert ended(store, spec) == before and looks_taken(store) == [("settled", 10)]
    assert store.status("small") == "complete"


@pytest.mark.slow
def test_a_cancelled_search_settles_nothing_and_the_rest_goes_on(store: Store):
    spec = settling(FAR)
    enqueue(store, spec)
    study = next(row for row in list_studies(store, limit=9) if row.study_name == "small/old")
    control.change_study(store, study.id, "cancel")
    keep_and_work(store)
    assert store.status("small") == "complete"
    assert looks_taken(store) == [("not settled", 10), ("not settled", 11)]
    assert ended(store, spec)["new"] == 24


@pytest.mark.slow
def test_a_comparison_moves_to_another_database_between_two_looks(store: Store, tmp_path: Path):
    spec = settling(ALIKE, rope=0.0)
    enqueue(store, spec)
    keep_and_work(store, rounds=3)
    assert progress(store, spec).arms[0].total == 22
    control.change_comparison(store, "small", "pause")
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    load(other, list(export(store, ["small"])))
    control.change_comparison(other, "small", "resume")
    assert progress(other, spec).arms == progress(store, spec).arms
    keep_and_work(other)
    assert looks_taken(other) == [("not settled", 11)]
    assert ended(other, spec)["new/selected"] == 12
    other.close()
