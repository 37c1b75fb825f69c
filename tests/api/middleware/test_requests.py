"""What every request passes: HEAD is GET without a body, JSON says each thing once."""

import json
from collections import defaultdict

import pytest
from fastapi.testclient import TestClient

from tuner.api.middleware.json_body import MOST_VALUES
from tuner.search.declared.files import MOST_ITEMS

JSON = {"Content-Type": "application/json"}
BODY = {
    "name": "small",
    "workload": {"epochs": 1},
    "arms": [{"name": "a", "space": "filter"}, {"name": "b", "space": "bop"}],
    "n_trials": 2,
    "retrain_seeds": 0,
}
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.slow
@ON_SQLITE
@pytest.mark.usefixtures("complete")
def test_head_is_answered_as_get_wherever_there_is_a_get(client: TestClient):
    paths = client.get("/v1/openapi.json").json()["paths"]
    here = defaultdict(lambda: "1", name="small", suite="five_small")
    asked = [path.format_map(here) for path, methods in paths.items() if "get" in methods]
    for path in (*asked, "/", "/login", "/dashboard", "/v1/docs", "/favicon.ico", "/nowhere"):
        wanted = f"{path}?seconds=0.1" if path == "/v1/events" else path
        got, head = client.get(wanted), client.head(wanted)
        assert head.status_code == got.status_code, path
        assert head.headers.get("content-type") == got.headers.get("content-type"), path
        assert head.headers.get("etag") == got.headers.get("etag"), path
        assert head.content == b"", path
    assert len(asked) >= 20


def test_head_ends_at_once_where_get_goes_on(client: TestClient):
    assert client.head("/v1/events?seconds=600").status_code == 200


def test_head_is_refused_where_there_is_no_get(client: TestClient):
    answer = client.head("/v1/translate")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_head_is_counted_by_the_path_that_its_route_declares(client: TestClient):
    client.head("/v1/comparisons/one")
    labels = 'method="HEAD",route="/v1/comparisons/{name}",status="404"'
    assert f"tuner_http_requests_total{{{labels}}} 1.0" in client.get("/v1/metrics").text


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "mine"}])
@pytest.mark.parametrize(
    ("path", "text", "key"),
    [
        ("/v1/comparisons", json.dumps(BODY)[:-1] + ', "n_trials": 3}', "n_trials"),
        (
            "/v1/comparisons",
            json.dumps(BODY).replace('"epochs"', '"epochs": 2, "epochs"'),
            "epochs",
        ),
        ("/v1/studies", '{"name": "a", "name": "b"}', "name"),
        ("/v1/translate", '{"filter": {"alpha": 0.1, "alpha": 0.2}}', "alpha"),
        ("/v1/compare", '{"studies": ["a", "b"], "k": 1, "k": 2}', "k"),
    ],
)
def test_a_key_that_occurs_twice_is_refused_and_named(client, path, text, key, headers):
    answer = client.post(path, content=text, headers=JSON | headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        f"body: the key {key!r} occurs twice in one object; give it once"
    )
    assert client.get("/v1/comparisons").json()["items"] == []


def test_a_body_of_more_values_than_anything_declares_is_refused_unread(client):
    many = {
        **BODY,
        "arms": [{"name": f"a{i}", "space": "filter"} for i in range(MOST_VALUES // 2)],
    }
    answer = client.post("/v1/comparisons", json=many)
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        f"body: must have at most {MOST_VALUES} keys and values, got more"
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"arms": [{"name": f"a{i}", "space": "filter"} for i in range(2000)]}, "arms"),
        ({"workload": {"widths": ["x"] * 2000}}, "widths"),
        ({"verdict": {"looks": ["x"] * 2000}}, "looks"),
        (
            {
                "arms": [
                    {
                        "name": "a",
                        "space": {
                            "rule": "filter_flip",
                            "parameters": {"alpha": {"choices": list(range(2000))}},
                        },
                    }
                ]
            },
            "choices",
        ),
    ],
)
def test_a_list_longer_than_any_is_refused_before_what_it_holds(client, change, field):
    answer = client.post("/v1/comparisons", json=BODY | change)
    assert answer.status_code == 422
    said = f"{field}: must have at most {MOST_ITEMS} items, got 2000"
    assert answer.json()["detail"].endswith(said), answer.text
    assert len(answer.json()["errors"]) == 1


def test_of_many_broken_rules_the_first_are_told_and_the_others_counted(client):
    arms = [{"name": f"a{i}", "space": "filter", "sampler": "x"} for i in range(500)]
    problem = client.post("/v1/comparisons", json=BODY | {"arms": arms}).json()
    assert len(problem["errors"]) == 100
    assert problem["detail"].endswith(" (and 499 more)")


def test_a_name_of_any_length_is_not_said_back(client):
    arms = [{"name": "a", "space": "x" * 100_000}]
    answer = client.post("/v1/comparisons", json=BODY | {"arms": arms})
    assert answer.status_code == 422
    assert len(answer.text) < 2000
