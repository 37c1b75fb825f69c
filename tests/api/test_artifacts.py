"""Files that hang on trials: listed and sent by REST, on the trial's page and by the dashboard."""

import pytest
from comparisons import comparison, enqueue, work_here

from tuner.search.database.finished import finished_trials
from tuner.search.results.artifacts import attach

STUDY = "small/new"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def trial_id(store, tmp_path, monkeypatch):
    """A finished trial with a file."""
    monkeypatch.setenv("TUNER_ARTIFACT_DIR", str(tmp_path / "artifacts"))
    enqueue(store, comparison(retrain_seeds=0, n_trials=2))
    work_here(store)
    number = finished_trials(store, STUDY)[1]._trial_id
    (tmp_path / "net.safetensors").write_bytes(b"\x00 bits")
    attach(store, STUDY, number, tmp_path / "net.safetensors")
    return number


@ON_SQLITE
def test_a_file_is_listed_and_sent(client, trial_id):
    listed = client.get(f"/v1/trials/{trial_id}/artifacts").json()["items"]
    assert [each["filename"] for each in listed] == ["net.safetensors"]
    sent = client.get(f"/v1/trials/{trial_id}/artifacts/{listed[0]['artifact_id']}")
    assert sent.content == b"\x00 bits"
    assert sent.headers["content-disposition"] == 'attachment; filename="net.safetensors"'
    assert sent.headers["content-type"] == "application/octet-stream"
    page = client.get(f"/trials/{trial_id}").text
    assert f'/v1/trials/{trial_id}/artifacts/{listed[0]["artifact_id"]}"' in page


@ON_SQLITE
def test_the_dashboard_sends_it_too(client, store, trial_id):
    (artifact,) = client.get(f"/v1/trials/{trial_id}/artifacts").json()["items"]
    study_id = store.study_id(STUDY)
    shown = client.get(f"/api/studies/{study_id}?after=0").json()["trials"]
    names = {each["trial_id"]: [a["filename"] for a in each["artifacts"]] for each in shown}
    assert names[trial_id] == ["net.safetensors"]
    assert sum(map(len, names.values())) == 1
    sent = client.get(f"/artifacts/{study_id}/{trial_id}/{artifact['artifact_id']}")
    assert sent.content == b"\x00 bits"


@ON_SQLITE
def test_what_does_not_hang_there_is_not_found(client, store, trial_id):
    (artifact,) = client.get(f"/v1/trials/{trial_id}/artifacts").json()["items"]
    other = finished_trials(store, STUDY)[0]._trial_id
    assert client.get(f"/v1/trials/{other}/artifacts").json() == {"items": []}
    for path in (f"{other}/artifacts/{artifact['artifact_id']}", f"{trial_id}/artifacts/none"):
        answer = client.get(f"/v1/trials/{path}")
        assert (answer.status_code, answer.json()["status"]) == (404, 404)
        assert "hangs on trial" in answer.json()["detail"]
    assert client.get("/v1/trials/987654/artifacts").status_code == 404


@ON_SQLITE
def test_files_are_sent_to_those_who_may_read(serve, trial_id, key):
    reads = key("read")
    client = serve()
    path = f"/v1/trials/{trial_id}/artifacts"
    (artifact,) = client.get(path, headers=reads).json()["items"]
    assert client.get(path).status_code == 401
    assert client.get(f"{path}/{artifact['artifact_id']}").status_code == 401
    assert client.get(f"{path}/{artifact['artifact_id']}", headers=reads).status_code == 200
