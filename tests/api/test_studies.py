import json
from datetime import datetime, timedelta

import optuna
import pytest
from comparisons import SMALL, comparison, work_here

from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.whole_trials import STORED
from tuner.search.queue.control import submit
from tuner.search.queue.queue import Queue
from tuner.search.work.keeper import Keeper

STUDY = {"name": "alone", "workload": {"epochs": 2}, "space": "filter", "n_trials": 5}


@pytest.mark.slow
def test_a_single_search_is_a_study_of_one_arm(client, store):
    answer = client.post("/v1/studies", json=STUDY)
    assert answer.status_code == 202
    where = answer.headers["Location"]
    study = client.get(where).json()
    assert (study["study_name"], study["n_trials"], study["status"]) == (
        *("alone/search", 5),
        "active",
    )
    assert study["spec"]["arm"]["space"]["name"] == "filter"
    assert client.post("/v1/studies", json=STUDY).status_code == 200
    assert client.post("/v1/studies", json={**STUDY, "n_trials": 6}).status_code == 409
    Keeper(store).tend()
    work_here(store, comparison="alone")
    study = client.get(where).json()
    assert (study["done"], study["status"]) == (5, "complete")
    number = study["dashboard"].rsplit("/", 1)[1]
    in_dashboard = client.get(f"/api/studies/{number}", params={"after": 0})
    assert len(in_dashboard.json()["trials"]) == 5


def test_what_the_comparison_of_a_single_search_refuses_is_said_of_a_field(client):
    body = {**STUDY, "workload": {"epochs": 3, "real_epochs": 2}, "pruner": "asha"}
    (broken,) = client.post("/v1/studies", json=body).json()["errors"]
    assert broken["field"] == "arms"
    assert broken["rule"].startswith("the pruner of 'search' would judge trials by scores")


@pytest.mark.parametrize(
    "change", [{"n_trials": 0}, {"space": "x"}, {"sampler": "x"}, {"workload": {}, "extra": 1}]
)
def test_a_malformed_study_is_refused(client, change):
    assert client.post("/v1/studies", json={**STUDY, **change}).status_code == 422
    assert client.get("/v1/studies").json()["items"] == []


def test_a_sampler_that_a_pruner_keeps_from_learning_is_refused_but_what_is_stored_is_shown(
    client, store
):
    answer = client.post("/v1/studies", json={**STUDY, "sampler": "gp", "pruner": "asha"})
    assert answer.status_code == 422
    assert "use the sampler 'tpe', or the pruner 'none'" in answer.text
    arms = [{"name": "old", "space": "filter", "sampler": "gp", "pruner": "asha"}]
    written = SMALL | {"arms": arms, "verdict": {}}
    submit(store, ComparisonSpec.model_validate(written, context=STORED))
    assert client.get("/v1/comparisons/small").json()["spec"]["arms"][0]["pruner"] == "asha"
    assert client.get("/v1/studies/1").json()["spec"]["arm"]["sampler"] == "gp"


@pytest.mark.usefixtures("complete")
def test_studies_are_listed_by_comparison_and_state_a_page_at_a_time(client):
    client.post("/v1/studies", json=STUDY)
    names, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/studies", params=parameters).json()
        names += [item["study_name"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    small = [study.study_name for study in comparison().every_study()]
    assert len(small) == 6
    assert names == [*small, "alone/search"]

    def listed(**parameters):
        items = client.get("/v1/studies", params=parameters).json()["items"]
        return [item["study_name"] for item in items]

    assert listed(comparison="small") == small
    assert listed(status="active") == ["alone/search"]
    assert listed(comparison="small", status="complete", limit=1) == ["small/old"]


def test_a_study_is_paused_alone(client, store):
    submit(store, comparison())
    where = "/v1/studies/1"
    assert client.post(f"{where}/pause").json()["status"] == "paused"
    assert client.get("/v1/comparisons/small").json()["status"] == "active"
    stale = client.post(f"{where}/resume", headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert client.post(f"{where}/resume").json()["status"] == "active"
    assert client.post(f"{where}/cancel").json()["status"] == "cancelled"
    assert client.post(f"{where}/resume").status_code == 409


@pytest.mark.usefixtures("complete")
def test_trials_are_listed_by_state_and_one_is_shown_with_its_curve(client):
    page = client.get("/v1/studies/1/trials", params={"limit": 4}).json()
    assert [item["position"] for item in page["items"]] == [0, 1, 2, 3]
    rest = client.get("/v1/studies/1/trials", params={"cursor": page["next"]}).json()
    assert [item["position"] for item in rest["items"]] == [4, 5]
    assert rest["next"] is None
    assert client.get("/v1/studies/1/trials?state=failed").json()["items"] == []
    trial = client.get(f"/v1/trials/{page['items'][0]['trial_id']}").json()
    for moment in (trial["started"], trial["ended"]):
        assert datetime.fromisoformat(moment).utcoffset() == timedelta(0)
    assert trial["state"] == "done"
    assert trial["run"]["curve"]["val_accuracy"][-1] == trial["value"]
    assert trial["run"]["settings"]["learning_rate"] == trial["params"]["learning_rate"]
    assert trial["test_accuracy"] is None
    again = client.get("/v1/studies/3/trials").json()["items"][0]
    assert client.get(f"/v1/trials/{again['trial_id']}").json()["test_accuracy"] is not None


def test_a_failed_trial_shows_its_traceback(client, store):
    submit(store, comparison())
    Keeper(store).tend()
    queue = Queue(store, retries=0)
    (trial_id,) = queue.claim("small/old", "a", range(1)).trial_ids
    queue.fail("a", [trial_id], "Traceback: out of luck")
    (listed,) = client.get("/v1/studies/1/trials?state=failed").json()["items"]
    assert (listed["trial_id"], listed["failures"]) == (trial_id, 1)
    assert client.get(f"/v1/trials/{trial_id}").json()["error"] == "Traceback: out of luck"


@pytest.mark.usefixtures("complete")
def test_the_best_trials_come_first(client):
    best = client.get("/v1/studies/2/best", params={"limit": 3}).json()["items"]
    values = [trial["value"] for trial in best]
    everything = client.get("/v1/studies/2/trials").json()["items"]
    assert values == sorted((trial["value"] for trial in everything), reverse=True)[:3]
    assert client.get("/v1/studies/2").json()["best"] == values[0]


@pytest.mark.slow
@pytest.mark.usefixtures("complete")
def test_a_tuning_curve_is_that_of_the_report_and_only_for_independent_trials(client):
    curve = client.get("/v1/studies/2/tuning-curve").json()
    arm = client.get("/v1/comparisons/small/report").json()["arms"][1]
    assert curve["points"] == arm["curve"]
    for afresh in (3, 4):  # what its searches selected, and its incumbent
        assert client.get(f"/v1/studies/{afresh}/tuning-curve").status_code == 409
    client.post("/v1/studies", json={**STUDY, "sampler": "tpe"})
    assert "not independent" in client.get("/v1/studies/7/tuning-curve").json()["detail"]
    client.post("/v1/studies", json={**STUDY, "name": "new"})
    assert "no finished trial" in client.get("/v1/studies/8/tuning-curve").json()["detail"]


def events(client, **parameters):
    text = client.get("/v1/events", params={"seconds": 0.1, **parameters}).text
    blocks = [block.split("\n") for block in text.strip().split("\n\n") if "data:" in block]
    return [dict(line.split(": ", 1) for line in block) for block in blocks]


@pytest.mark.slow
@pytest.mark.usefixtures("complete")
def test_events_stream_in_order_and_go_on_after_the_last_one_known(client):
    seen = events(client, after=0)
    kinds = [event["event"] for event in seen]
    assert kinds[0] == "submitted"
    assert kinds[-1] == "complete"
    assert {"claimed", "finished"} < set(kinds)
    assert json.loads(seen[0]["data"])["comparison"] == "small"
    ids = [int(event["id"]) for event in seen]
    assert ids == sorted(ids)
    rest = client.get(
        "/v1/events", params={"seconds": 0.1}, headers={"Last-Event-ID": str(ids[2])}
    ).text
    assert [f"id: {number}" in rest for number in ids[2:5]] == [False, True, True]
    assert events(client) == []
    assert events(client, after=0, comparison="other") == []


@pytest.mark.usefixtures("complete")
def test_workers_and_what_can_be_trained_are_listed(client):
    (worker,) = client.get("/v1/workers").json()["items"]
    assert (worker["name"], worker["state"], worker["device"]) == ("here", "stopped", "cpu")
    assert "digits" in client.get("/v1/workloads").json()["datasets"]
    assert "filter" in client.get("/v1/spaces").json()["items"]
    assert client.get("/v1/spaces/filter").json()["rule"] == "filter_flip"
    assert "digits" in client.get("/v1/declared").json()["items"]


def test_a_declared_comparison_can_be_edited_and_submitted(client):
    spec = client.get("/v1/declared/digits").json()
    spec |= {"name": "mine", "n_trials": 20}
    spec["verdict"]["k"] = 2
    assert client.post("/v1/comparisons", json=spec).status_code == 202


def test_settings_are_translated_both_ways(client):
    sgd = {"learning_rate": 0.1, "weight_decay": 5e-4, "momentum": 0.9}
    there = client.post("/v1/translate", json={"magnitude": sgd, "steps": 1000}).json()
    assert there["filter"]["alpha"] == pytest.approx(5.023e-4, rel=1e-3)
    alpha, gamma = there["filter"]["alpha"], there["filter"]["gamma"]
    back = client.post("/v1/translate", json={"filter": {"alpha": alpha, "gamma": gamma}}).json()
    assert back["sgd"]["coupled"]["momentum"] == pytest.approx(0.9)
    assert back["sgd"]["coupled"]["product"] == pytest.approx(5e-5)
    for body in ({}, {"magnitude": sgd, "filter": {"alpha": 0.1}}, {"filter": {"alpha": 2}}):
        assert client.post("/v1/translate", json=body).status_code == 422


def test_a_study_whose_trials_all_failed_has_no_tuning_curve(client, store):
    client.post("/v1/studies", json=STUDY)
    Keeper(store).tend()
    queue = Queue(store, retries=0)
    queue.fail("w", queue.claim("alone/search", "w", range(5)).trial_ids, "Traceback")
    answer = client.get("/v1/studies/1/tuning-curve")
    assert answer.status_code == 409
    assert "none of its 5 finished trials has a value" in answer.json()["detail"]


@pytest.mark.slow
def test_a_search_of_which_trials_were_pruned_has_no_tuning_curve(client, store):
    workload = {"epochs": 9}
    client.post(
        "/v1/studies",
        json={**STUDY, "pruner": "median", "n_trials": 16, "workload": workload},
    )
    Keeper(store).tend()
    work_here(store, comparison="alone")
    answer = client.get("/v1/studies/1/tuning-curve")
    assert answer.status_code == 409
    assert "not independent" in answer.json()["detail"]


@pytest.mark.slow
def test_studies_that_others_made_are_compared_by_name(client, store):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name, best in (("theirs/new", 0.9), ("theirs/old", 0.5)):
        study = optuna.create_study(
            storage=store.rdb,
            study_name=name,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
        study.optimize(lambda t, best=best: best * t.suggest_float("x", 0, 1), n_trials=40)
    body = {"studies": ["theirs/new", "theirs/old"], "sampler": "random", "target": 0.4}
    report = client.post("/v1/compare", json=body).json()
    assert (report["contrasts"][0]["first"], report["contrasts"][0]["second"]) == (
        "theirs/new",
        "theirs/old",
    )
    assert report["verdict"]["winner"] == "theirs/new"
    losses = client.post("/v1/compare", json={**body, "direction": "minimize"}).json()
    assert losses["contrasts"][0]["best_of_k"]["value"] > 0
    assert (losses["protocol"]["minimized"], losses["protocol"]["target"]) == (True, 0.4)
    for lowest, highest in zip(losses["arms"], report["arms"], strict=True):
        assert 0 < lowest["best"] < highest["best"]
    missing = client.post("/v1/compare", json={**body, "studies": ["theirs/new", "no"]})
    assert missing.status_code == 404
    assert "there is no study 'no'" in missing.json()["detail"]
    assert client.post("/v1/compare", json={**body, "studies": ["theirs/new"]}).status_code == 422
    assert client.post("/v1/compare", json={**body, "sampler": "dice"}).status_code == 422
