from collections.abc import Iterator

import pytest
from comparisons import comparison, enqueue, enqueue_afresh, work_here
from light_trainer import LightTrainer, Result
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import update

from tuner.compare import compare
from tuner.compare.comparison import detailed
from tuner.errors import InvalidInput, UnknownName
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import comparisons
from tuner.search.declared.spec import declaration_hash
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.results import arms as reading
from tuner.search.results.arms import arms
from tuner.workload import Workload, in_words, scored_on


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


class HalfDivergingTrainer(LightTrainer):
    """Loses its way in the first trial of each batch."""

    def train(self, *arguments: object, **options: object) -> list[Result]:
        results = super().train(*arguments, **options)  # type: ignore[arg-type]
        results[0].diverged, results[0].val_accuracy = True, 0.1
        return results


@pytest.mark.slow
def test_a_finished_comparison_is_read_as_arms_and_the_declared_protocol(store: Store):
    spec = comparison(verdict={"primary": ["new", "old"], "k": 2, "target": 0.5, "rope": 0.5})
    enqueue(store, spec)
    work_here(store)
    waiting = arms(store, "small")[1]
    assert waiting.interim == ("what the searches of old, new selected is not yet trained afresh")
    enqueue_afresh(store, spec)
    work_here(store)
    found, protocol = arms(store, "small")
    assert [arm.name for arm in found] == ["old", "new"]
    assert (protocol.primary, protocol.k, protocol.target) == (("new", "old"), 2, 0.5)
    assert protocol.rope == 0.005
    assert protocol.declaration_hash == declaration_hash(spec)
    assert protocol.interim == ""
    old = found[0]
    trials = finished_trials(store, "small/old")
    assert old.scores.tolist() == [trial.value for trial in trials]
    assert (old.sampler, old.repeat) == ("random", None)
    assert old.ranges["learning_rate"] == "0.0001 .. 10, log"
    assert old.ranges["one_minus_momentum"] == "0.001 .. 1, log"
    assert old.retrained is not None
    assert old.retrained.settings == trials[int(old.scores.argmax())].user_attrs["run"]["settings"]
    assert old.retrained.test.shape == (2,)
    assert compare(found, protocol).verdict.text


def test_a_diverged_trial_is_counted_and_scores_chance(store: Store):
    enqueue(store, comparison(retrain_seeds=0))
    work_here(store, trainer=HalfDivergingTrainer("cpu"))
    found, _ = arms(store, "small")
    assert found[0].failed.tolist() == [True, False, False, True, False, False]
    assert found[0].scores[[0, 3]].tolist() == [0.1, 0.1]
    assert found[0].retrained is None


@pytest.mark.slow
def test_repeats_are_told_apart(store: Store):
    enqueue(store, comparison(repeats=2, retrain_seeds=0))
    work_here(store)
    found, _ = arms(store, "small")
    assert found[0].repeat is not None
    assert found[0].repeat.tolist() == [0] * 6 + [1] * 6
    assert len({tuple(search) for search in found[0].searches}) == 2
    assert found[0].search_length == 6


def test_a_comparison_without_finished_trials_is_refused(store: Store):
    enqueue(store, comparison())
    with pytest.raises(InvalidInput, match="arm 'old': none of its 0 finished trials has a value"):
        arms(store, "small")
    with pytest.raises(UnknownName, match="comparison 'smal' is unknown"):
        arms(store, "smal")


@pytest.fixture
def three_arms(store: Store) -> Store:
    """A whole search of three arms, the third of them the control."""
    arms = [
        {"name": "old", "space": "magnitude"},
        {"name": "new", "space": "filter"},
        {"name": "narrow", "space": "magnitude"},
    ]
    verdict = {"primary": ["new", "old"], "control": "narrow", "k": 2}
    spec = comparison(arms=arms, verdict=verdict)
    enqueue(store, spec)
    work_here(store)
    enqueue_afresh(store, spec)
    work_here(store)
    return store


def finished_so_far(monkeypatch: pytest.MonkeyPatch, numbers: dict[str, int]) -> None:
    """Let the studies whose name holds one of these words have only so many finished trials."""

    def some(store: Store, study: str) -> list[FrozenTrial]:
        most = next((most for word, most in numbers.items() if word in study), None)
        return finished_trials(store, study)[:most]

    monkeypatch.setattr(reading, "finished_trials", some)


def test_a_control_that_has_not_begun_is_left_out_and_named(three_arms, monkeypatch):
    finished_so_far(monkeypatch, {"narrow": 0})
    found, protocol = arms(three_arms, "small")
    assert ([arm.name for arm in found], protocol.control) == (["old", "new"], None)
    told = compare(found, protocol)
    assert told.verdict.text.startswith(
        "Interim, 12 of 18 declared trials, narrow without any that has a score; too few of "
        "narrow to tell whether the verdict hangs on the ranges. "
    )
    assert not any("declared as control" in note for note in told.notes)
    finished_so_far(monkeypatch, {"new": 0})
    with pytest.raises(InvalidInput, match="arm 'new': none of its 0 finished trials"):
        arms(three_arms, "small")


def test_a_control_with_fewer_trials_than_k_does_not_judge_yet(three_arms, monkeypatch):
    finished_so_far(monkeypatch, {"narrow": 1})
    found, protocol = arms(three_arms, "small")
    assert (len(found), protocol.control) == (3, None)
    assert compare(found, protocol).verdict.text.startswith(
        "Interim, 13 of 18 declared trials; too few"
    )
    with three_arms.engine.begin() as connection:
        connection.execute(update(comparisons).values(status="cancelled"))
    assert arms(three_arms, "small")[1].interim.startswith("cancelled with 13 of 18 declared")
    finished_so_far(monkeypatch, {})
    found, protocol = arms(three_arms, "small")
    assert (len(found), protocol.control, protocol.interim) == (3, "narrow", "")


def test_an_incumbent_retrained_with_some_of_its_seeds_is_still_waited_for(
    three_arms, monkeypatch
):
    study = three_arms.comparison("small").retraining(three_arms.comparison("small").arms[1])
    finished_so_far(monkeypatch, {study.study_name: 1})
    assert arms(three_arms, "small")[1].interim == "the best settings of new are not yet retrained"


def test_what_the_scores_generalise_to_comes_from_the_data_set(store: Store):
    enqueue(store, comparison(retrain_seeds=0))
    work_here(store)
    assert "by the same 13 people who wrote" in arms(store, "small")[1].scored_on
    assert scored_on(Workload(dataset="folder", folder="images")) == ""


def test_a_workload_is_named_in_words():
    assert in_words(Workload()) == "digits, mlp 64-64-64, 20 epochs"
    first = "20 epochs, the first 5 with real weights"
    assert in_words(Workload(real_epochs=5)) == f"digits, mlp 64-64-64, {first}"
    assert in_words(Workload(model="cnn", widths=(8, 8), epochs=2, binary_ends=True)) == (
        "digits, cnn 8-8, all layers binary, 2 epochs"
    )


@pytest.mark.slow
def test_trials_that_finish_while_a_report_is_read_do_no_harm(store, monkeypatch):
    spec = comparison(n_trials=40, retrain_seeds=0)
    enqueue(store, spec)
    queue = Queue(store)
    really = reading.finished_trials

    def finish_one(study_name: str) -> None:
        done = len(really(store, study_name))
        ids = queue.claim(study_name, "w", range(done, done + 1)).trial_ids
        queue.finish("w", {i: TrialOutcome(TrialState.COMPLETE, (i % 7) / 10) for i in ids})

    def read_while_others_finish(store: Store, study_name: str) -> list[FrozenTrial]:
        found = really(store, study_name)
        finish_one(study_name)
        return found

    for study in spec.studies():
        for _ in range(25):
            finish_one(study.study_name)
    monkeypatch.setattr(reading, "finished_trials", read_while_others_finish)
    found, protocol = reading.arms_in_full(store, "small")
    assert [arm.n for arm in found] == [25, 25]
    made = detailed(compare(found, protocol), found)
    assert made.verdict.text.startswith("Interim, 50 of 80 declared trials. ")
    details = made.details
    assert [one.importance.n for one in details] == [25, 25]
