"""``tuner pause``, ``resume``, ``cancel``, ``retry``, ``delete``, as a person meets them."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner, Result

from tuner.cli.app import app
from tuner.search.database.store import Store, open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import operations
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper

SPEC = ComparisonSpec.model_validate(
    {
        "name": "mine",
        "workload": {"epochs": 1},
        "arms": [{"name": "a", "space": "filter"}, {"name": "b", "space": "bop"}],
        "n_trials": 4,
        "retrain_seeds": 0,
    }
)


@pytest.fixture
def store(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A database with an active comparison; the commands find it in their environment."""
    monkeypatch.setenv("TUNER_DATABASE_URL", database)
    opened = open_store(database)
    opened.declare(SPEC)
    Keeper(opened).tend()
    yield opened
    opened.close()


def tuner(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def said(*arguments: str) -> str:
    result = tuner(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(status: int, *arguments: str) -> str:
    """The one line that a refused command prints."""
    result = tuner(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    (line,) = result.stderr.splitlines()
    return line


def test_a_comparison_is_paused_resumed_and_cancelled(store: Store):
    queue = Queue(store)
    assert said("pause", "mine") == "mine is paused; go on with: tuner resume mine\n"
    assert (store.status("mine"), queue.next_up()) == ("paused", None)
    assert said("resume", "mine") == "mine is active\n"
    assert queue.next_up() is not None
    assert said("cancel", "mine") == "mine is cancelled\n"
    trials = optuna.load_study(study_name="mine/a", storage=store.rdb).trials
    assert {trial.state for trial in trials} == {TrialState.FAIL}
    line = refused(1, "resume", "mine")
    assert line == "tuner: comparison 'mine' is cancelled; only paused ones can be resumed"


def test_failed_trials_are_run_again(store: Store):
    assert "no trial failed" in refused(1, "retry", "mine")
    queue = Queue(store, retries=0)
    queue.fail("w", queue.claim("mine/a", "w", range(3)).trial_ids, "Traceback")
    assert said("retry", "mine") == "mine is active; 3 failed trials wait to run again\n"
    assert study_progress(store, "mine")["mine/a"].waiting == 4


def test_deleting_asks_for_a_yes_and_for_a_comparison_at_rest(store: Store):
    line = refused(2, "delete", "mine")
    assert line == (
        "tuner: delete: all trials of 'mine' would be lost for good; add --yes if you mean it"
    )
    assert "is active; pause or cancel it before" in refused(1, "delete", "mine", "--yes")
    assert store.names() == ["mine"]
    tuner("cancel", "mine")
    assert said("delete", "mine", "--yes") == "mine is deleted\n"
    assert store.names() == []


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "retry", "delete"])
def test_a_name_that_is_not_there_is_refused_with_those_that_are(store: Store, command: str):
    more = ["--yes"] if command == "delete" else []
    line = refused(2, command, "mein", *more)
    assert line == ("tuner: comparison 'mein' is unknown; did you mean 'mine'? (choose from mine)")
    assert store.status("mine") == "active"


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "retry", "delete"])
def test_each_command_has_help_with_an_example(command: str):
    shown = said(command, "--help")
    assert "For example" in shown
    assert f"tuner {command} digits" in shown


def test_another_database_can_be_named_but_not_made(tmp_path: Path):
    address = f"sqlite:///{tmp_path}/none.db"
    assert "there is no file" in refused(2, "pause", "mine", "--database", address)
    assert not Path(tmp_path, "none.db").exists()


@pytest.mark.parametrize("command", ["retry", "delete", "cancel"])
def test_ctrl_c_leaves_what_was_begun_to_others_and_says_so(
    store: Store, command: str, monkeypatch: pytest.MonkeyPatch
):
    queue = Queue(store, retries=0)
    queue.fail("w", queue.claim("mine/a", "w", range(3)).trial_ids, "Traceback")
    if command == "delete":
        tuner("pause", "mine")

    def interrupted(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as pressed:
        pressed.setattr(operations, "_SLICES", {"retry": interrupted, "delete": interrupted})
        if command == "cancel":
            pressed.setattr(Store, "transaction", interrupted)
        result = tuner(command, "mine", *(["--yes"] if command == "delete" else []))
    assert result.exit_code == 130
    assert "nevertheless, by any tuner serve or tuner worker on this database" in result.stderr
    Keeper(store).tend()
    if command == "delete":
        assert store.names() == []
    elif command == "retry":
        assert study_progress(store, "mine")["mine/a"].waiting == 4
    else:
        trials = optuna.load_study(study_name="mine/b", storage=store.rdb).trials
        assert {trial.state for trial in trials} == {TrialState.FAIL}
