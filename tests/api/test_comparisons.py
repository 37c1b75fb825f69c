import csv
import io

import optuna
import pytest
from comparisons import comparison, work_here
from light_trainer import LightTrainer

from tuner.search.queue.control import retry_failed
from tuner.search.queue.queue import Queue
from tuner.search.work.keeper import Keeper

SPEC = comparison(n_trials=24, workload={"epochs": 2}).model_dump(mode="json")
HERE = "/v1/comparisons/small"


def finish(store) -> None:
    """Have everything run that waits."""
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, trainer=LightTrainer("cpu"))
    Keeper(store).tend()


def test_an_accepted_comparison_is_shown_as_the_next_read_shows_it(client):
    verdict = {"k": 2, "looks": [0.5], "stop": "when settled"}
    looked_at = comparison(n_trials=40, verdict=verdict).model_dump(mode="json")
    for number, given in enumerate((SPEC, looked_at)):
        name = f"c{number}"
        accepted = client.post("/v1/comparisons", json={**given, "name": name})
        assert accepted.status_code == 202
        seen = client.get(f"/v1/comparisons/{name}")
        assert accepted.headers["ETag"] == seen.headers["ETag"]
        first, then = accepted.json(), seen.json()
        for shown in (first, then):  # a keeper may have filled the queues meanwhile
            assert all(arm.pop("queued") <= arm["total"] for arm in shown["arms"])
        assert first == then
        again = client.post("/v1/comparisons", json={**given, "name": name})
        assert (again.status_code, again.json()["created"]) == (200, first["created"])


@pytest.mark.slow
def test_a_comparison_goes_from_its_submission_to_its_report(client, store):
    answer = client.post("/v1/comparisons", json=SPEC)
    assert answer.status_code == 202
    assert answer.headers["Location"] == HERE
    seen = client.get(HERE)
    assert seen.headers["ETag"] == '"1"'
    assert (seen.json()["status"], seen.json()["spec"]) == ("active", SPEC)
    assert seen.json()["note"] == "no worker is running; start one with: tuner worker"
    Keeper(store).tend()
    waits = client.get(HERE).json()["arms"]
    assert [(arm["done"], arm["queued"], arm["retraining"]) for arm in waits] == [(0, 24, 0)] * 2
    Queue(store).claim("small/old", "a", range(2))
    old = client.get(HERE).json()["arms"][0]
    assert (old["running"], old["queued"]) == (2, 24)
    Queue(store).release(["a"])
    finish(store)
    done = client.get(HERE).json()
    assert done["status"] == "complete"
    assert [(arm["done"], arm["retrained"]) for arm in done["arms"]] == [(24, 14), (24, 14)]
    assert [(arm["queued"], arm["retraining"]) for arm in done["arms"]] == [(0, 0), (0, 0)]
    report = client.get(f"{HERE}/report").json()
    assert report["verdict"]["text"]
    assert [arm["n"] for arm in report["arms"]] == [24, 24]
    page = client.get(f"{HERE}/report", params={"format": "html"})
    assert page.headers["content-type"].startswith("text/html")
    assert report["verdict"]["text"][:40] in page.text
    rows = list(csv.DictReader(io.StringIO(client.get(f"{HERE}/report?format=csv").text)))
    assert len(rows) == 2 * 24 + 2 * (12 + 2)
    assert {row["study"] for row in rows} == {
        *("small/old", "small/old/selected", "small/old/retrain"),
        *("small/new", "small/new/selected", "small/new/retrain"),
    }
    assert client.get(f"{HERE}/figure.svg").text.startswith("<svg")


def test_a_study_of_others_is_refused_at_submission_or_said_after_it(client, store):
    optuna.create_study(storage=store.rdb, study_name="small/old")
    refused = client.post("/v1/comparisons", json=SPEC)
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("study 'small/old': Optuna has one of this name")
    optuna.delete_study(storage=store.rdb, study_name="small/old")
    assert client.post("/v1/comparisons", json=SPEC).status_code == 202
    study = optuna.create_study(storage=store.rdb, study_name="small/new")
    Keeper(store).tend()
    note = client.get(HERE).json()["note"]
    assert note.startswith("study 'small/new': Optuna has one of this name")
    page = client.get("/comparisons/small", headers={"Accept": "text/html"}).text
    assert "Optuna has one of this name" in page
    assert study.user_attrs == {}


def test_the_same_submission_again_changes_nothing_and_another_is_refused(client):
    assert client.post("/v1/comparisons", json=SPEC).status_code == 202
    again = client.post("/v1/comparisons", json={**SPEC, "description": "in other words"})
    assert (again.status_code, again.headers["Location"]) == (200, HERE)
    other = client.post("/v1/comparisons", json={**SPEC, "n_trials": 9})
    assert other.status_code == 409
    told = other.json()["detail"]
    assert "another declaration under this name (n_trials 24 there, 9 here" in told
    assert client.get(HERE).json()["spec"] == SPEC


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"n_trials": 0}, "n_trials", "greater than or equal to 1, got 0"),
        ({"arms": []}, "arms", "must have at least 1 item, got []"),
        ({"verdict": {"looks": "half"}}, "verdict.looks", "a list of shares such as [0.5, 0.75]"),
        ({"verdict": 3}, "verdict", "must be a table of keys and values (in JSON an object)"),
        ({"arms": [{"name": "a", "space": "filtr"}]}, "arms.0.space", "did you mean 'filter'"),
        ({"name": "no blanks"}, "name", "match pattern"),
        ({"surprise": 1}, "", "key 'surprise' is unknown"),
        ({"workload": {"epochs": "3"}}, "workload.epochs", "must be of type int, got '3'"),
        ({"workload": {"real_epochs": 20}}, "workload.real_epochs", "must be < 20 epochs, got"),
        ({"workload": {"temperature": 2.0}}, "workload.temperature", "is for a workload.teacher"),
        (
            {"workload": {"model": "a:b", "widths": [8]}},
            "workload.widths",
            "for networks of this",
        ),
        ({"workload": {"model": "reactnet", "widths": [2, 3]}}, "workload.widths", "name 2 or 4"),
        ({"workload": {"widths": [16]}}, "workload.widths", "name two widths or more"),
        ({"verdict": {"k": 99}}, "verdict.k", "must be at most n_trials=24, got 99"),
        ({"verdict": {"primary": ["a", "b"]}}, "verdict", "arm 'a' is unknown"),
        ({"arms": [SPEC["arms"][0]] * 2, "verdict": {}}, "arms", "needs a name of its own"),
    ],
)
def test_a_malformed_submission_names_the_field_and_the_rule_and_changes_nothing(
    client, change, field, rule
):
    answer = client.post("/v1/comparisons", json={**SPEC, **change})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (broken,) = answer.json()["errors"]
    assert broken["field"] == (field or "body")
    assert rule in broken["rule"] and not broken["rule"].startswith(field or "body")
    assert answer.json()["detail"] == f"{broken['field']}: {broken['rule']}"
    assert client.get("/v1/comparisons").json()["items"] == []


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"max_trials": 75}, "n_trials"),
        ({"max_studies": 1}, "repeats"),
        ({"max_epochs": 1}, "workload.epochs"),
        ({"max_arms": 1}, "arms"),
        ({"max_width": 63}, "workload.widths"),
        ({"max_layers": 2}, "workload.widths"),
        ({"max_weights": 12_000}, "workload.model"),
        ({"max_batch_size": 63}, "workload.batch_size"),
    ],
)
def test_a_submission_too_large_for_the_server_is_refused(serve, setting, field):
    answer = serve(**setting).post("/v1/comparisons", json=SPEC)
    assert answer.status_code == 422
    (broken,) = answer.json()["errors"]
    ((name, most),) = setting.items()
    assert broken["field"] == field
    assert f"must be at most {most} (TUNER_{name.upper()}), got " in broken["rule"]
    assert answer.json()["detail"] == f"{field}: {broken['rule']}"


def test_an_absurdly_large_network_is_refused_where_it_is_declared(client):
    workload = {"workload": {"epochs": 1, "widths": [8192] * 100}}
    answer = client.post("/v1/comparisons", json=SPEC | workload)
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "workload.widths: its weights must be at most 250000000 (TUNER_MAX_WEIGHTS), got "
        "6645948417",
    )
    assert client.get("/v1/comparisons").json()["items"] == []


@pytest.mark.slow
def test_image_folders_are_taken_from_below_the_root_only(serve, tmp_path):
    root = tmp_path / "images"
    (root / "mine").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path)

    def submit(client, folder):
        workload = {"dataset": "folder", "folder": str(folder)}
        spec = {**SPEC, "name": f"f{abs(hash(str(folder)))}", "workload": workload}
        return client.post("/v1/comparisons", json=spec)

    closed = submit(serve(), root / "mine")
    assert (closed.status_code, "TUNER_FOLDER_ROOT" in closed.text) == (422, True)
    client = serve(data_root=root)
    assert submit(client, root / "mine").status_code == 202
    for folder in ("/etc", root / ".." / "other", root / "link", f"{root}-2", "../images2"):
        refused = submit(client, folder)
        assert refused.status_code == 422, folder
        assert "workload.folder: must lie below" in refused.json()["detail"]


def test_a_relative_image_folder_is_named_by_the_place_that_was_checked(
    serve, store, tmp_path, monkeypatch
):
    """A worker may be started anywhere."""
    root = tmp_path / "images"
    (root / "mine").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    client = serve(data_root=root)
    spec = {**SPEC, "workload": {"dataset": "folder", "folder": "mine"}}
    assert client.post("/v1/comparisons", json=spec).status_code == 202
    assert store.comparison("small").workload.folder == str(root / "mine")
    assert client.post("/v1/comparisons", json=spec).status_code == 200


def test_a_teacher_is_taken_from_below_the_root_too(serve, store, tmp_path):
    def submit(client, teacher):
        return client.post("/v1/comparisons", json={**SPEC, "workload": {"teacher": teacher}})

    closed = submit(serve(), "net.safetensors")
    assert closed.status_code == 422 and "this server takes no teachers" in closed.json()["detail"]
    client = serve(data_root=tmp_path)
    outside = submit(client, "/etc/passwd")
    assert outside.status_code == 422
    assert "workload.teacher: must lie below" in outside.json()["detail"]
    assert submit(client, "net.safetensors").status_code == 202
    assert store.comparison("small").workload.teacher == str(tmp_path / "net.safetensors")


def test_a_comparison_is_paused_resumed_and_cancelled_as_its_state_allows(client):
    client.post("/v1/comparisons", json=SPEC)
    for verb, status, revision in (("pause", "paused", 2), ("resume", "active", 3)):
        answer = client.post(f"{HERE}/{verb}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert answer.headers["ETag"] == f'"{revision}"'
        again = client.post(f"{HERE}/{verb}")
        assert (again.status_code, again.json()["title"]) == (409, "Conflict")
    assert client.delete(HERE).status_code == 409
    assert client.post(f"{HERE}/cancel").json()["status"] == "cancelled"
    refused = client.post(f"{HERE}/resume")
    assert refused.status_code == 409
    assert "is cancelled; only paused ones can be resumed" in refused.json()["detail"]
    assert client.delete(HERE).status_code == 204
    assert client.get(HERE).status_code == 404


def test_a_change_meant_for_another_revision_is_not_made(client):
    client.post("/v1/comparisons", json=SPEC)
    for tag in ('"7"', 'W/"1"', "1", '"x"'):
        answer = client.post(f"{HERE}/pause", headers={"If-Match": tag})
        assert answer.status_code == 412, tag
    assert client.get(HERE).json()["status"] == "active"
    assert client.post(f"{HERE}/pause", headers={"If-Match": '"1"'}).status_code == 200
    assert client.post(f"{HERE}/resume", headers={"If-Match": "*"}).status_code == 200


@pytest.mark.slow
def test_failed_trials_are_retried_on_demand(client, store):
    client.post("/v1/comparisons", json=SPEC)
    assert client.post(f"{HERE}/retry").status_code == 409
    Keeper(store).tend()
    queue = Queue(store, retries=0)
    ids = queue.claim("small/old", "a", range(2)).trial_ids
    queue.fail("a", ids, "Traceback: out of luck")
    assert client.get(HERE).json()["arms"][0]["failed"] == 2
    answer = client.post(f"{HERE}/retry")
    assert (answer.status_code, answer.json()["arms"][0]["failed"]) == (200, 0)
    finish(store)
    assert client.get(HERE).json()["status"] == "complete"
    with pytest.raises(Exception, match="no trial failed"):
        retry_failed(store, "small")


def test_lists_come_newest_first_a_page_at_a_time(client):
    for number in range(5):
        client.post("/v1/comparisons", json={**SPEC, "name": f"c{number}"})
    client.post("/v1/comparisons/c3/pause")
    names, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/comparisons", params=parameters).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert names == ["c4", "c3", "c2", "c1", "c0"]
    paused = client.get("/v1/comparisons", params={"status": "paused"}).json()["items"]
    assert [item["name"] for item in paused] == ["c3"]
    for cursor in ("nonsense", "W10", "WzEsMl0", "////"):
        answer = client.get("/v1/comparisons", params={"cursor": cursor})
        assert (answer.status_code, "cursor" in answer.json()["detail"]) == (422, True)


@pytest.mark.slow
def test_a_report_that_cannot_be_made_yet_says_why(client):
    client.post("/v1/comparisons", json=SPEC)
    early = client.get(f"{HERE}/report")
    assert early.status_code == 409
    assert "none of its 0 finished trials has a value" in early.json()["detail"]
    alone = {**SPEC, "name": "alone", "arms": SPEC["arms"][:1], "verdict": {}}
    client.post("/v1/comparisons", json=alone)
    assert "nothing to compare" in client.get("/v1/comparisons/alone/report").json()["detail"]


def test_what_is_not_there_is_not_found(client):
    for method, path in (
        ("GET", "/v1/comparisons/x"),
        ("POST", "/v1/comparisons/x/pause"),
        ("DELETE", "/v1/comparisons/x"),
        ("GET", "/v1/comparisons/x/report"),
        ("GET", "/v1/studies/77"),
        ("GET", "/v1/trials/77"),
        ("GET", "/v1/spaces/filtr"),
        ("GET", "/v1/declared/digit"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["title"]) == (404, "Not Found"), path
        assert answer.json()["detail"]
