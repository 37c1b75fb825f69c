"""Files that hang on trials go with their comparison, and no others do."""

from pathlib import Path

import optuna
import pytest
from comparisons import comparison, enqueue, work_here
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from sqlalchemy import update

from tuner.errors import Conflict, InvalidInput
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import comparisons, events
from tuner.search.database.transfer import export, load
from tuner.search.queue import control, deleting, operations
from tuner.search.queue.retention import Retention, prune
from tuner.search.results.artifacts import attach, attached, content_of

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNER_ARTIFACT_DIR", str(tmp_path / "artifacts"))
    (tmp_path / "artifacts").mkdir()
    return tmp_path / "artifacts"


def contents(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.iterdir())


def cancelled(store: Store, name: str, tmp_path: Path) -> None:
    """A comparison with files: of two trials that ended, of one that waits, and of a study."""
    enqueue(store, comparison(name=name, retrain_seeds=0, n_trials=2))
    work_here(store, comparison=name)
    study_name = f"{name}/old"
    for number, trial in enumerate(finished_trials(store, study_name)):
        (tmp_path / "net.onnx").write_text(f"{name} {number}")
        attach(store, study_name, trial._trial_id, tmp_path / "net.onnx")
    enqueue(store, comparison(name=f"{name}-waits", retrain_seeds=0, n_trials=2))
    waiting = optuna.load_study(study_name=f"{name}-waits/old", storage=store.rdb)
    for hangs_on in (waiting.trials[0], waiting):
        (tmp_path / "curve.png").write_text(f"{name}-waits")
        upload_artifact(
            artifact_store=FileSystemArtifactStore(tmp_path / "artifacts"),
            file_path=str(tmp_path / "curve.png"),
            study_or_trial=hangs_on,
            storage=store.rdb,
        )
    for each in (name, f"{name}-waits"):
        control.change_comparison(store, each, "cancel")


def test_a_comparison_s_files_go_with_it_and_others_stay(store, folder, tmp_path):
    for name in ("mine", "other"):
        cancelled(store, name, tmp_path)
    (folder / "of another database").write_text("somebody's")
    theirs = ["other 0", "other 1", "other-waits", "other-waits", "somebody's"]
    assert contents(folder) == sorted(["mine 0", "mine 1", "mine-waits", "mine-waits", *theirs])
    control.delete(store, "mine")
    assert contents(folder) == sorted(["mine-waits", "mine-waits", *theirs])
    control.delete(store, "mine-waits")
    assert contents(folder) == theirs
    for number, trial in enumerate(finished_trials(store, "other/old")):
        (artifact,) = attached(store, "other/old", trial._trial_id)
        assert content_of(artifact).read_text() == f"other {number}"


def test_pruned_comparisons_take_their_files_along(store, folder, tmp_path):
    cancelled(store, "mine", tmp_path)
    (folder / "of another database").write_text("other")
    with store.begin() as connection:
        for table in (comparisons, events):
            connection.execute(update(table).values(created=table.c.created - 100 * 86400))
    gone = prune(store, Retention(90 * 86400.0, cancelled=True))
    assert set(gone.comparisons) == {"mine", "mine-waits"}
    assert contents(folder) == ["other"]


def test_whoever_dies_in_between_the_rest_is_done_by_others(store, folder, tmp_path, monkeypatch):
    cancelled(store, "mine", tmp_path)
    with monkeypatch.context() as dying:

        def dies(*arguments):
            removed(*arguments)
            raise KeyboardInterrupt

        removed = deleting.remove_files
        dying.setattr(deleting, "remove_files", dies)
        with pytest.raises(KeyboardInterrupt):
            control.delete(store, "mine")
    assert store.status("mine") == "deleting"
    with pytest.raises(Conflict, match="being deleted"):
        control.change_comparison(store, "mine", "resume")
    (number,) = operations.running(store)
    assert operations.carry_out(store, number).state == "done"
    assert "mine" not in store.names()
    assert contents(folder) == ["mine-waits", "mine-waits"]


def test_nothing_hangs_on_what_is_being_deleted(store, folder, tmp_path):
    cancelled(store, "mine", tmp_path)
    (trial, _) = finished_trials(store, "mine/old")
    control.delete(store, "mine", within_seconds=0)
    before = contents(folder)
    (tmp_path / "late.onnx").write_text("late")
    with pytest.raises(Conflict, match="study 'mine/old' is being deleted"):
        attach(store, "mine/old", trial._trial_id, tmp_path / "late.onnx")
    assert contents(folder) == before


def test_the_file_of_a_copied_study_stays(store, folder, tmp_path):
    cancelled(store, "mine", tmp_path)
    for name in ("mine/old", "mine-waits/old"):
        optuna.copy_study(
            from_study_name=name,
            from_storage=store.rdb,
            to_storage=store.rdb,
            to_study_name=f"copy of {name}",
        )
    before = contents(folder)
    for name in ("mine", "mine-waits"):
        control.delete(store, name)
    assert contents(folder) == before


def test_a_comparison_that_moved_has_files_of_its_own(store, folder, tmp_path):
    cancelled(store, "mine", tmp_path)
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    try:
        load(other, list(export(store)))
        for name in ("mine", "mine-waits"):
            control.delete(store, name)
        assert contents(folder) == ["mine 0", "mine 1", "mine-waits", "mine-waits"]
        for number, trial in enumerate(finished_trials(other, "mine/old")):
            (artifact,) = attached(other, "mine/old", trial._trial_id)
            assert content_of(artifact).read_text() == f"mine {number}"
        for name in ("mine", "mine-waits"):
            control.delete(other, name)
        assert contents(folder) == []
    finally:
        other.close()


def test_an_import_that_fails_leaves_no_files(store, folder, tmp_path):
    cancelled(store, "mine", tmp_path)
    before = sorted(folder.iterdir())
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    try:
        optuna.create_study(study_name="mine-waits/old", storage=other.rdb)
        with pytest.raises(InvalidInput, match="belongs to no comparison"):
            load(other, list(export(store)))
    finally:
        other.close()
    assert sorted(folder.iterdir()) == before


def test_a_file_that_cannot_be_removed_holds_nothing_up(
    store, folder, tmp_path, caplog, monkeypatch
):
    cancelled(store, "mine", tmp_path)

    def refused(_folder, artifact_id):
        raise PermissionError(13, "Permission denied", artifact_id)

    monkeypatch.setattr(FileSystemArtifactStore, "remove", refused)
    control.delete(store, "mine")
    assert "mine" not in store.names()
    assert "the file of a deleted trial stays: [Errno 13] Permission denied" in caplog.text
    assert contents(folder) == ["mine 0", "mine 1", "mine-waits", "mine-waits"]
