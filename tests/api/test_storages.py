"""What `POST /v1/compare` is asked about: scores, studies here, studies in storages it names."""

import csv
from pathlib import Path

import pytest

from tuner.api.settings import Settings
from tuner.api.storages import address_in, storages_in
from tuner.compare import Protocol
from tuner.errors import InvalidInput, NotFound
from tuner.search.foreign.compare import judged_studies

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SCORES = {"new": [0.9, 0.8, 0.85, 0.95] * 10, "old": [0.5, None, 0.7, 0.6] * 10}


@pytest.fixture
def sweeps(tmp_path: Path) -> Path:
    """A folder of two tables of trials; beside it lies what nobody is to read."""
    folder = tmp_path / "sweeps"
    for path, shift in (("a.csv", 0.4), ("run 1/b.csv", 0.1), ("../secret.csv", 0.9)):
        place = folder / path
        place.parent.mkdir(exist_ok=True, parents=True)
        with place.open("w", encoding="utf-8") as text:
            rows = csv.writer(text)
            rows.writerow(["number", "value", "params_x", "state"])
            rows.writerows([i, shift + 0.01 * i, i / 12, "COMPLETE"] for i in range(12))
    (folder / "out.csv").symlink_to(tmp_path / "secret.csv")
    return folder


def test_the_settings_name_storages():
    text = "team=postgresql://u:p@host/db?a=b, sweeps=/srv/my sweeps,"
    found = {"team": "postgresql://u:p@host/db?a=b", "sweeps": "/srv/my sweeps"}
    assert storages_in(text) == found and storages_in("") == {}
    settings = Settings.from_environment({"TUNER_STORAGES": text})
    assert settings.storages == found and "u:p" not in repr(settings)
    for wrong, words in (
        ("/srv/sweeps", "must be NAME=STORAGE"),
        ("a b=/srv", "must be NAME=STORAGE"),
        ("a=", "must be NAME=STORAGE"),
        ("a=1,a=2", "names 'a' twice"),
        ("team postgresql://u:hidden@host/db=", r"u:\*\*\*@host"),
    ):
        with pytest.raises(InvalidInput, match=words):
            storages_in(wrong)


def test_a_path_leads_to_what_is_in_its_storage_and_nowhere_else(sweeps: Path):
    storages = {"sweeps": str(sweeps), "one": str(sweeps / "a.csv")}
    found = address_in(storages, "sweeps", "run 1/b.csv", None)
    assert found.path == sweeps / "run 1" / "b.csv" and found.shown == "sweeps/run 1/b.csv"
    assert address_in(storages, "one", None, "s").storage == str(sweeps / "a.csv")
    for path in ("../secret.csv", "out.csv", str(sweeps.parent / "secret.csv"), "/etc/passwd"):
        with pytest.raises(InvalidInput, match="must lie in storage 'sweeps'"):
            address_in(storages, "sweeps", path, None)
    for path in ("a\0b", "x" * 5000):
        with pytest.raises(InvalidInput, match="is no path"):
            address_in(storages, "sweeps", path, None)
    with pytest.raises(NotFound, match=r"there is no 'none\.csv' in it"):
        address_in(storages, "sweeps", "none.csv", None)
    with pytest.raises(InvalidInput, match="'one' is no folder; leave the path out"):
        address_in(storages, "one", "a.csv", None)
    with pytest.raises(InvalidInput, match=r"'sweep' is unknown; did you mean 'sweeps'"):
        address_in(storages, "sweep", None, None)
    with pytest.raises(InvalidInput, match="TUNER_STORAGES names none"):
        address_in({}, "sweeps", None, None)


def test_nobody_is_told_where_a_storage_lies(sweeps: Path, caplog: pytest.LogCaptureFixture):
    (sweeps / "cut.db").write_bytes(b"SQLite format 3\0" + b"\1" * 200)
    storages = {"sweeps": str(sweeps), "away": "postgresql://u:p@127.0.0.1:1/db"}
    ours = address_in(storages, "sweeps", "a.csv", None)
    for storage, path, study, words in (
        ("sweeps", None, None, "is a folder; name what in it is meant, such as sweeps/a.csv"),
        ("sweeps", "a.csv", "none", "study 'none': is not in sweeps/a.csv"),
        ("sweeps", "cut.db", None, "storage sweeps/cut.db: cannot be read; the server's log says"),
        ("away", None, "a", "storage away: cannot be read; the server's log says why"),
    ):
        theirs = address_in(storages, storage, path, study)
        with pytest.raises(Exception, match=words) as refused:
            judged_studies([ours, theirs], Protocol(unit="loss"))
        said = str(refused.value)
        assert str(sweeps) not in said and "127.0.0.1" not in said
    assert str(sweeps / "cut.db") in caplog.text and "u:p" not in caplog.text


@SQLITE
@pytest.mark.slow
def test_scores_and_studies_in_named_storages_are_compared(serve, sweeps: Path):
    client = serve(storages={"sweeps": str(sweeps)})
    asked = {"target": 0.75, "k": 2, "unit": "accuracy", "sampler": "random"}
    scores = client.post("/v1/compare", json={**asked, "scores": SCORES}).json()
    assert scores["verdict"]["winner"] == "new" and scores["arms"][1]["failed"] == 10
    losses = {**asked, "scores": SCORES, "direction": "minimize", "names": ["a", "b"]}
    assert client.post("/v1/compare", json=losses).json()["verdict"]["winner"] == "b"
    studies = [{"storage": "sweeps", "path": path} for path in ("a.csv", "run 1/b.csv")]
    body = {"studies": studies, "direction": "maximize", "names": ["filter"]}
    answer = client.post("/v1/compare", json=body)
    assert [arm["name"] for arm in answer.json()["arms"]] == ["filter", "b"]
    assert "filter: study 'a' of sweeps/a.csv" in answer.json()["notes"]
    assert str(sweeps) not in answer.text


@SQLITE
def test_a_question_that_cannot_be_meant_is_refused_before_anything_is_read(serve, sweeps):
    client = serve(storages={"sweeps": str(sweeps)})
    studies = {"studies": ["a", {"storage": "sweeps", "path": "a.csv"}]}
    for body, status, words in (
        ({}, 422, "give either studies or scores"),
        ({**studies, "scores": SCORES}, 422, "give either studies or scores"),
        ({"scores": {**SCORES, "new": []}}, 422, "at least 1 item"),
        ({"scores": SCORES, "objective": "0"}, 422, "scores have none"),
        ({"scores": SCORES, "sampler": "rndom"}, 422, "sampler 'rndom' is unknown"),
        ({"scores": SCORES, "unit": "accuracy", "rope": 0.5}, 422, "rope: accuracies are shares"),
        ({"scores": SCORES, "unit": "accuracy", "target": 95}, 422, "target: must lie in"),
        ({"studies": ["a", {"storage": "other"}]}, 422, "storage 'other' is unknown"),
        ({"studies": ["a", {"storage": "sweeps", "path": "../x"}]}, 422, "must lie in storage"),
        ({"studies": ["a", {"storage": "sweeps", "path": "no"}]}, 404, "there is no 'no' in it"),
        ({"studies": ["a", {"path": "/etc/passwd"}]}, 422, "storage"),
    ):
        answer = client.post("/v1/compare", json=body)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert str(sweeps) not in answer.text
