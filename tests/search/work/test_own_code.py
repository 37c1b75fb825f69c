"""Networks and data of the user's own through queue, worker, report: what goes wrong is said."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comparisons import work_here
from optuna.trial import TrialState
from sqlalchemy import select

from tuner.compare import compare
from tuner.compare.report.data import to_json
from tuner.errors import InvalidInput
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import workers
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.queue import Queue
from tuner.search.results.arms import arms
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper
from tuner.search.work.trainers import Trainers
from tuner.search.work.worker import Worker

MODULE = "own_for_tests"
HOME = Path(__file__).resolve().parents[2] / "bnn"
Changing = Callable[..., None]
ALPHA = {"low": 1e-3, "high": 1e-1, "log": True}


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(HOME))
    monkeypatch.setenv("TUNER_WORKLOADS", MODULE)
    monkeypatch.setenv("TUNER_CHECKPOINT_DIR", str(tmp_path / "checkpoints"))


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def comparison(model: str, dataset: str = "three", **more: Any) -> ComparisonSpec:
    options = more.pop("model_options", {})
    return ComparisonSpec.model_validate(
        {
            "name": "small",
            "workload": {
                "model": f"{MODULE}:{model}",
                "dataset": f"{MODULE}:{dataset}",
                "model_options": options,
                "epochs": 2,
                "batch_size": 16,
            },
            "arms": [
                {"name": "new", "space": {"rule": "filter_flip", "parameters": {"alpha": ALPHA}}},
                {"name": "old", "space": "magnitude"},
            ],
            "n_trials": 20,
            "retrain_seeds": 2,
            **more,
        }
    )


def one_trial(model: str, dataset: str = "three", **more: Any) -> ComparisonSpec:
    arm = {"name": "new", "space": {"rule": "filter_flip", "parameters": {"alpha": ALPHA}}}
    return comparison(model, dataset, n_trials=1, retrain_seeds=0, arms=[arm], **more)


def work_briefly(store: Store, spec: ComparisonSpec) -> None:
    """Have a worker of the database look three times for what it can run."""
    store.declare(spec)
    Keeper(store).tend()
    left = iter(range(3))
    Worker(
        Queue(store), Trainers("cpu"), name="a", stopping=lambda: next(left, None) is None
    ).run()


def leaves_out(store: Store, spec: ComparisonSpec) -> str:
    """What a worker of the database says of a study that it cannot run; it goes on."""
    work_briefly(store, spec)
    assert finished_trials(store, "small/new") == []
    with store.engine.connect() as connection:
        return str(connection.scalar(select(workers.c.message)))


@pytest.mark.slow
def test_a_network_and_data_of_ones_own_go_from_their_declaration_to_a_verdict(store: Store):
    spec = comparison("make", "copies", model_options={"width": 8}, n_trials=4, retrain_seeds=1)
    store.declare(spec)
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, trainer=Trainers("cpu"))
    Keeper(store).tend()
    run = finished_trials(store, "small/new")[0].user_attrs["run"]
    assert run["code"].startswith("sha256:") and run["batch"] == 1
    assert run["filter"]["alpha"] == run["settings"]["alpha"]
    found = compare(*arms(store, "small"))
    assert found.arms[0].selected is not None and found.arms[0].selected.n == 2
    assert f"on {MODULE}:copies, {MODULE}:make, width 8, 2 epochs," in found.verdict.text
    data = to_json(found)["protocol"]["data"]
    assert (data["classes"], data["train"], data["test"], data["test_in_train"]) == (3, 76, 40, 10)
    (note,) = [note for note in found.notes if "test samples" in note]
    assert note.startswith("10 of 40 test samples are also among those trained")
    assert not any("changed between trials" in note for note in found.notes)


@pytest.fixture
def changing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Changing:
    """Runs a trial of an own data set, then changes its code."""
    # Python takes compiled code for new if the source has its size and is of the same second.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "changing_data.py"
    text = (
        "import own_for_tests\n\n\ndef load():\n    return own_for_tests.two(N[0])\n\n\nN = [60]\n"
    )
    file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TUNER_WORKLOADS", f"{MODULE},changing_data")
    workload = comparison("make").model_dump()["workload"] | {"dataset": "changing_data:load"}

    def run(**more: Any) -> None:
        sys.modules.pop("changing_data", None)  # another test's
        spec = comparison("make", retrain_seeds=0, workload=workload, n_trials=2, **more)
        work_briefly(store, spec)
        assert study_progress(store, "small")["small/new"].done == 1
        file.write_text(text.replace("60", "90"))
        del sys.modules["changing_data"]  # as in a process that starts now

    return run


def test_code_that_changed_between_trials_runs_no_more_of_them(store: Store, changing: Changing):
    changing()
    with pytest.raises(InvalidInput, match=r"ran sha256:.* of your code, this is sha256:"):
        work_here(store, trainer=Trainers("cpu"), name="b")
    assert study_progress(store, "small")["small/new"].done == 1
    assert {trial.state for trial in finished_trials(store, "small/new")} == {TrialState.COMPLETE}


def test_where_code_may_change_it_is_noted_and_so_are_data(store: Store, changing: Changing):
    changing(code_changes="noted")
    work_here(store, trainer=Trainers("cpu"), name="b")
    notes = compare(*arms(store, "small")).notes
    assert any(note.startswith("The workload's code was changed between trials") for note in notes)
    (note,) = [note for note in notes if note.startswith("The data were changed between trials")]
    assert "51 samples to train on" in note and "76 samples to train on" in note


@pytest.mark.parametrize(
    ("how", "words"),
    [("raises", "ValueError: my own trouble"), ("exits", f"{MODULE}:fails or .*exit(3)")],
)
def test_a_trial_whose_network_fails_is_retried_fails_and_tells_what_was_printed(
    store: Store, how: str, words: str
):
    spec = one_trial("fails", model_options={"how": how})
    store.declare(spec)
    Keeper(store).tend()
    work_here(store, trainer=Trainers("cpu"))
    (trial,) = finished_trials(store, "small/new")
    assert trial.state == TrialState.FAIL
    error = trial.user_attrs["error"]
    assert "own_for_tests.py" in error and "self.training" not in words
    assert words.split(" or ")[0] in error and words[-7:] in error
    assert error.endswith("It printed last:\none line of mine\n")


@pytest.mark.parametrize(
    ("model", "dataset", "words"),
    [
        ("no_binary", "three", "the network has no binary weight"),
        ("of_images", "arrays", "network, given 2 samples of shape [1, 5, 6], torch.float32, rai"),
        ("raises", "three", f"{MODULE}:raises raised KeyError: 'width' ("),
        ("exits", "three", f"{MODULE}:exits called sys.exit('no more') ("),
        ("make", "unreadable", f"{MODULE}:unreadable raised FileNotFoundError: "),
        ("nowhere", "three", f"{MODULE} has no function 'nowhere'"),
        ("one_of_torch", "three", "extra.weight is of Linear, which has no trial axis"),
    ],
)
def test_a_worker_leaves_out_what_cannot_be_set_up_and_says_why(
    store: Store, model: str, dataset: str, words: str
):
    message = leaves_out(store, one_trial(model, dataset))
    assert "small/new cannot be run here: workload." in message
    assert words in message


def test_a_worker_that_may_not_import_them_leaves_them_out(store: Store, monkeypatch):
    monkeypatch.setenv("TUNER_WORKLOADS", "")
    message = leaves_out(store, one_trial("make"))
    assert f"'{MODULE}:three' may not be imported here; whoever runs this allows it" in message
