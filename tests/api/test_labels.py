"""Notes, tags, archive and search by REST."""

import pytest
from comparisons import comparison

from tuner.search.queue import control

HERE = "/v1/comparisons/small"


@pytest.fixture(autouse=True)
def submitted(store):
    control.submit(store, comparison())


def test_what_is_left_out_of_a_change_stays(client):
    first = client.patch(HERE, json={"notes": "mine", "tags": ["B", "a"]})
    assert first.status_code == 200
    assert (first.json()["notes"], first.json()["tags"]) == ("mine", ["a", "b"])
    assert first.headers["ETag"] == '"2"'
    second = client.patch(HERE, json={"tags": []}, headers={"If-Match": '"2"'})
    assert (second.json()["notes"], second.json()["tags"]) == ("mine", [])
    (listed,) = client.get("/v1/comparisons").json()["items"]
    assert (listed["notes"], listed["archived"]) == ("mine", False)


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ({"notes": "x"}, {"If-Match": '"9"'}, 412, "at revision 1, not 9"),
        ({"archived": True}, {}, 409, "is active"),
        ({"tags": ["a b"]}, {}, 422, "tags: "),
        ({"tags": "a"}, {}, 422, "tags: "),
        ({"note": "x"}, {}, 422, "note"),
    ],
)
def test_a_change_that_cannot_be_made_changes_nothing(client, body, headers, status, words):
    answer = client.patch(HERE, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert client.get(HERE).json()["revision"] == 1
    assert client.patch("/v1/comparisons/none", json={}).status_code == 404
    half = client.patch(HERE, content=b'{"notes": "\\ud800"}')
    assert half.status_code == 422, half.text


def test_who_may_only_read_may_not_write(client, key):
    assert client.patch(HERE, json={"notes": "x"}, headers=key("read")).status_code == 403


def test_the_list_is_searched_as_the_page_is(client, store):
    control.submit(store, comparison(name="other"))
    client.patch(HERE, json={"notes": "for the paper", "tags": ["paper"]})
    client.post(f"{HERE}/cancel")

    def names(**query: str) -> list[str]:
        items = client.get("/v1/comparisons", params=query).json()["items"]
        return [item["name"] for item in items]

    assert names(q="PAPER") == names(tag="paper") == names(status="cancelled") == ["small"]
    client.patch(HERE, json={"archived": True})
    assert names() == ["other"]
    assert names(archived="true") == ["small"]
    assert names(archived="true", q="other") == []
