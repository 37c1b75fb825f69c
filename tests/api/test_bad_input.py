"""What cannot be meant is refused with the field and the rule, by every database alike."""

import base64
import json

import pytest

BODY = {
    "name": "small",
    "workload": {"epochs": 1},
    "arms": [{"name": "a", "space": "filter"}, {"name": "b", "space": "bop"}],
    "n_trials": 2,
    "retrain_seeds": 0,
}
SPACE = {"rule": "filter_flip", "parameters": {"alpha": {"low": 0.1, "high": 0.2}}}
JSON = {"Content-Type": "application/json"}


def encoded(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def refused(answer, status: int = 422) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(answer.json()["detail"])


@pytest.mark.parametrize("name", ["%00", "a%00b", "x" * 3000, "%ff", "%ED%A0%80", "%20"])
@pytest.mark.parametrize("path", ["comparisons/{}", "declared/{}", "spaces/{}"])
def test_a_name_that_nothing_can_have_is_not_found(client, path, name):
    assert "there is no" in refused(client.get(f"/v1/{path.format(name)}"), 404) or path != (
        "comparisons/{}"
    )
    assert client.get(f"/v1/studies?comparison={name}").json() == {"items": [], "next": None}


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", "x", "[]", "{}", "[true]", "[1.5]", "[-1]", f"[{10**20}]"])
def test_a_cursor_that_no_list_gave_is_refused(client, key):
    client.post("/v1/comparisons", json=BODY)
    for path in ("/v1/studies", "/v1/studies/1/trials"):
        answer = client.get(path, params={"cursor": encoded(key)})
        assert "take it from `next` of the page before" in refused(answer)


@pytest.mark.parametrize(
    "key", ["[1]", "[1.0]", "[NaN, 1]", "[NaN, 'a']", '[1e999, "a"]', '[1.0, "\\u0000"]']
)
def test_a_cursor_that_no_list_of_comparisons_gave_is_refused(client, key):
    for odd in (key, '[1.0, "\\ud800"]'):
        answer = client.get("/v1/comparisons", params={"cursor": encoded(odd)})
        assert "take it from `next` of the page before" in refused(answer)


@pytest.mark.parametrize("study_id", ["0", "-1", "2147483648", "9" * 50, "x", "1.5"])
def test_a_number_that_no_row_can_have_is_refused(client, study_id):
    assert refused(client.get(f"/v1/studies/{study_id}")).startswith("study_id: ")
    assert client.get("/v1/studies/2147483647").status_code == 404
    assert client.get("/v1/trials/2147483647").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"description": "\ud800"},
        {"arms": [{"name": "a", "space": {"name": "\udfff", **SPACE}}]},
        {"arms": [{"name": "a", "space": {"name": "a", "description": "\ud800", **SPACE}}]},
    ],
)
def test_text_that_is_not_unicode_is_refused(client, change):
    body = json.dumps(BODY | change)
    assert "\\ud" in body
    answer = client.post("/v1/comparisons", content=body, headers=JSON)
    assert refused(answer) == "comparison 'small': holds text that is not Unicode"
    assert client.get("/v1/comparisons").json()["items"] == []


def test_any_unicode_text_comes_back_as_it_was_sent(client):
    description = "α → \x00 \u2028 😀 \ufffe"
    client.post("/v1/comparisons", json=BODY | {"description": description})
    assert client.get("/v1/comparisons/small").json()["spec"]["description"] == description


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"a":' * 50_000, "9" * 6000, b"\xff\xfe{", "", "{", "null", "[]"]
)
def test_a_body_that_is_no_object_is_refused(client, body):
    answer = client.post("/v1/comparisons", content=body, headers=JSON)
    refused(answer, answer.status_code)
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 5000 + "]" * 5000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        '{"a": "\\"]", "b": ' + "[" * 100 + "]" * 100 + "}",
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "mine"}])
def test_a_body_nested_too_deeply_is_told_so_and_how_deep_it_may_be(client, body, headers):
    answer = client.post("/v1/comparisons", content=body, headers=JSON | headers)
    rule = "is nested too deeply; lists and objects must lie in each other on at most 100 levels"
    assert refused(answer) == f"body: {rule}"
    assert answer.json()["errors"] == [{"field": "body", "rule": rule}]


def test_brackets_in_texts_are_no_levels(client):
    body = BODY | {"description": '[{"' * 500 + "\\"}
    answer = client.post("/v1/comparisons", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "given", "field"),
    [
        ("POST", "comparisons", {"content": '{"name": 1, "name": 2}'}, "body"),
        ("POST", "comparisons", {"content": "{"}, "body"),
        (
            "POST",
            "comparisons",
            {"content": json.dumps(BODY | {"description": "\ud800"})},
            "request",
        ),
        ("POST", "comparisons", {"headers": {"Idempotency-Key": "a b"}}, "Idempotency-Key"),
        ("POST", "compare", {"json": {}}, "body"),
        ("POST", "translate", {"json": {}}, "body"),
        ("GET", "comparisons", {"params": {"cursor": "x"}}, "cursor"),
        ("GET", "comparisons", {"params": {"limit": 0}}, "limit"),
        ("GET", "trials/x", {}, "trial_id"),
    ],
)
def test_whatever_is_refused_names_what_is_to_be_mended(client, method, path, given, field):
    answer = client.request(method, f"/v1/{path}", **({"headers": JSON} | given))
    refused(answer)
    (broken,) = answer.json()["errors"]
    assert broken["field"] == field and broken["rule"]
    assert answer.json()["detail"].endswith(broken["rule"])


def test_more_studies_than_a_server_keeps_going_are_refused(client):
    answer = client.post("/v1/comparisons", json=BODY | {"repeats": 501})
    assert refused(answer) == (
        "repeats: of all arms together must be at most 1000 (TUNER_MAX_STUDIES), got 1002"
    )


def test_a_translation_that_would_take_minutes_is_refused(client):
    body = {"magnitude": {"learning_rate": 0.1}, "steps": 100_001}
    assert "steps: input should be less than or equal to 100000" in refused(
        client.post("/v1/translate", json=body)
    )


@pytest.mark.parametrize("tag", ['W/"1"', "1", '""', '"-1"', '"1", "2"', '"99999999999999"'])
def test_a_tag_that_was_never_given_matches_no_revision(client, tag):
    client.post("/v1/comparisons", json=BODY)
    answer = client.post("/v1/comparisons/small/pause", headers={"If-Match": tag})
    assert refused(answer, 412).startswith("If-Match: ")
    assert client.get("/v1/comparisons/small").json()["status"] == "active"


@pytest.mark.slow
@pytest.mark.parametrize("known", ["x", "-1", "9" * 5000, "1.5", ""])
def test_a_last_event_id_that_was_never_given_starts_from_now_or_never(client, known, monkeypatch):
    monkeypatch.setattr("tuner.api.routes.events._ASK_SECONDS", 0.05)
    client.post("/v1/comparisons", json=BODY)
    answer = client.get("/v1/events?seconds=0.01", headers={"Last-Event-ID": known})
    assert answer.status_code == 200
    assert "data:" not in answer.text


def test_a_network_and_data_are_accepted_where_their_modules_are_allowed_and_never_imported(
    client, monkeypatch, tmp_path
):
    (tmp_path / "lab_nets.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    workload = {
        "model": "lab_nets:make",
        "model_options": {"width": 32},
        "dataset": "lab_nets:load",
        "epochs": 1,
    }
    body = BODY | {"workload": workload}
    detail = refused(client.post("/v1/comparisons", json=body))
    assert "workload.dataset: 'lab_nets:load' may not be imported here" in detail
    monkeypatch.setenv("TUNER_WORKLOADS", "lab_nets")
    assert client.post("/v1/comparisons", json=body).status_code == 202
    seen = client.get("/v1/comparisons/small").json()
    assert seen["spec"]["workload"]["model_options"] == {"width": 32}
    assert (
        "lab_nets:load, lab_nets:make, width 32, 1 epoch" in client.get("/comparisons/small").text
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ({"model": "lab:make", "model_options": {"layers": [1]}}, "model_options.layers: must be"),
        ({"model": "lab:make", "model_options": 3}, "model_options: must be a table, got 3"),
        ({"model": "lab:"}, "workload.model: must name a function as package.module:function"),
        ({"dataset_options": {"n": 1}}, "workload.dataset_options: are for a function"),
        ({"size": 64}, "workload.size: must be 0"),
        ({"size": "64"}, "size: must be of type int, got '64'"),
    ],
)
def test_what_does_not_go_with_a_network_or_data_is_refused(client, workload, words):
    assert words in refused(client.post("/v1/comparisons", json=BODY | {"workload": workload}))


def test_an_objective_is_accepted_where_its_module_is_allowed_and_never_imported(
    client, monkeypatch, tmp_path
):
    (tmp_path / "lab_loops.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    workload = {"objective": "lab_loops:moons", "options": {"noise": 0.1}}
    body = BODY | {"workload": workload}
    detail = refused(client.post("/v1/comparisons", json=body))
    assert "'lab_loops:moons' may not be imported here" in detail
    assert "TUNER_WORKLOADS=lab_loops" in detail
    assert client.get("/v1/comparisons").json()["items"] == []
    monkeypatch.setenv("TUNER_WORKLOADS", "lab_loops")
    assert client.post("/v1/comparisons", json=body).status_code == 202
    seen = client.get("/v1/comparisons/small").json()
    assert seen["spec"]["workload"]["options"] == {"noise": 0.1}
    page = client.get("/comparisons/small").text
    assert "lab_loops:moons, noise 0.1" in page
    assert not (tmp_path / "ran").exists()
