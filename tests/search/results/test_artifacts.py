"""Files that hang on trials that have ended."""

from pathlib import Path

import optuna
import pytest
from comparisons import comparison, enqueue, work_here
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna_dashboard.artifact._backend import list_trial_artifacts

from tuner.errors import NotFound
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.transfer import export, load
from tuner.search.results.artifacts import attach, attached, content_of

STUDY = "small/old"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNER_ARTIFACT_DIR", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


@pytest.fixture
def trial_ids(store: Store) -> list[int]:
    enqueue(store, comparison(retrain_seeds=0, n_trials=3))
    work_here(store)
    return [trial._trial_id for trial in finished_trials(store, STUDY)]


def made(tmp_path: Path, content: bytes, name: str = "net.onnx") -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_a_file_hangs_on_its_trial_alone_and_optuna_s_dashboard_lists_it(
    store, trial_ids, tmp_path
):
    first, second, _ = trial_ids
    artifact = attach(store, STUDY, first, made(tmp_path, b"weights"))
    assert attached(store, STUDY, first) == [artifact]
    assert content_of(artifact).read_bytes() == b"weights"
    assert attached(store, STUDY, second) == []
    study = optuna.load_study(study_name=STUDY, storage=store.rdb)
    of_study = store.rdb.get_study_system_attrs(study._study_id)
    shown = list_trial_artifacts(of_study, {}, store.rdb.get_trial(first))
    assert [each["filename"] for each in shown] == ["net.onnx"]


def test_a_file_of_the_same_name_takes_the_place_of_the_old_one(
    store, folder, trial_ids, tmp_path
):
    attach(store, STUDY, trial_ids[0], made(tmp_path, b"old"))
    attach(store, STUDY, trial_ids[0], made(tmp_path, b"other", "net.safetensors"))
    new = attach(store, STUDY, trial_ids[0], made(tmp_path, b"new"))
    names = [each.filename for each in attached(store, STUDY, trial_ids[0])]
    assert names == ["net.onnx", "net.safetensors"]
    assert content_of(new).read_bytes() == b"new"
    assert len(list(folder.iterdir())) == 2


def test_what_a_loop_uploaded_by_optuna_is_listed_too(store, folder, tmp_path):
    enqueue(store, comparison(retrain_seeds=0))
    folder.mkdir()
    waiting = optuna.load_study(study_name=STUDY, storage=store.rdb).trials[0]
    upload_artifact(
        artifact_store=FileSystemArtifactStore(folder),
        file_path=str(made(tmp_path, b"a picture", "curve.png")),
        study_or_trial=waiting,
        storage=store.rdb,
    )
    (artifact,) = attached(store, STUDY, waiting._trial_id)
    assert (artifact.filename, artifact.mimetype) == ("curve.png", "image/png")
    assert content_of(artifact).read_bytes() == b"a picture"


def test_a_file_that_is_not_here_or_leads_elsewhere_is_not_found(
    store, folder, trial_ids, tmp_path
):
    artifact = attach(store, STUDY, trial_ids[0], made(tmp_path, b"weights"))
    (folder / artifact.artifact_id).unlink()
    with pytest.raises(NotFound, match="TUNER_ARTIFACT_DIR"):
        content_of(artifact)
    secret = made(tmp_path, b"of somebody else", "secret")
    for name in ("../secret", str(secret)):
        with pytest.raises(NotFound, match="TUNER_ARTIFACT_DIR"):
            content_of(type(artifact)(name, "secret", "text/plain", None))


def test_whatever_stands_where_an_artifact_might_is_passed_over(store, trial_ids):
    study_id = store.study_id(STUDY)
    for number, written in enumerate(("null", "[]", "{", '{"artifact_id": "x"}', 7)):
        key = f"dashboard:artifacts:{trial_ids[0]}:{number}"
        store.rdb.set_study_system_attr(study_id, key, written)
    assert attached(store, STUDY, trial_ids[0]) == []
    with pytest.raises(NotFound, match="deleted"):
        attached(store, "small/none", trial_ids[0])


def test_files_follow_their_trial_into_another_database(store, trial_ids, tmp_path):
    from tuner.search.database.store import open_store

    attach(store, STUDY, trial_ids[1], made(tmp_path, b"weights"))
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    try:
        enqueue(other, comparison(name="first", n_trials=2))  # so that ids are others
        load(other, list(export(store)))
        moved = [trial._trial_id for trial in finished_trials(other, STUDY)]
        assert moved != trial_ids
        found = [[each.filename for each in attached(other, STUDY, trial)] for trial in moved]
        assert found == [[], ["net.onnx"], []]
    finally:
        other.close()
