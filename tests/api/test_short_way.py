"""Plain reads get what the routes themselves answer; all else is left to these."""

import pytest
from starlette.routing import Match

from tuner.api.routes import plain_reads

KEPT = ("content-type", "content-length", "etag", "x-content-type-options", "referrer-policy")
READS = (
    "/v1/comparisons",
    "/v1/comparisons/small",
    "/v1/studies",
    "/v1/studies/1",
    "/v1/studies/1/trials",
    "/v1/studies/1/best",
    "/v1/trials/1",
    "/v1/trials/1/artifacts",
    "/v1/health",
    "/v1/readiness",
    "/v1/workers",
    "/v1/workloads",
    "/v1/spaces",
    "/v1/fleets",
    "/v1/studies/1/tuning-curve",
)
WRONG = {
    "/v1/comparisons/nobody": 404,
    "/v1/studies/99": 404,
    "/v1/studies/0": 422,
    "/v1/studies/one": 422,
    "/v1/studies/4294967296": 422,
    "/v1/trials/99": 404,
    "/v1/trials/-1": 422,
    "/v1/trials/1/artifacts/none": 404,
    "/v1/studies/1/": 307,
    "/v1/nothing": 404,
}


def is_plain(path: str, **more: object) -> bool:
    asked = {"type": "http", "method": "GET", "path": path, "query_string": b"", **more}
    return plain_reads.matches(asked)[0] == Match.FULL


@pytest.mark.usefixtures("complete")
def test_a_plain_read_is_answered_as_by_its_route(client):
    for path in READS:
        assert is_plain(path)
        assert not is_plain(path, query_string=b"plain=no")
        plain, by_route = client.get(path), client.get(f"{path}?plain=no")
        assert plain.status_code == by_route.status_code == 200, path
        assert plain.content == by_route.content
        assert [plain.headers.get(n) for n in KEPT] == [by_route.headers.get(n) for n in KEPT]
        head = client.head(path)
        assert head.status_code == 200
        assert head.headers["content-length"] == plain.headers["content-length"]
        assert not head.content


@pytest.mark.usefixtures("complete")
def test_what_cannot_be_read_is_answered_as_by_its_route(client):
    for path, status in WRONG.items():
        plain, by_route = client.get(path), client.get(f"{path}?plain=no")
        assert plain.status_code == by_route.status_code == status, path
        if status != 307:
            ours, theirs = plain.json(), by_route.json()
            assert ours.pop("request_id") != theirs.pop("request_id")
            assert ours == theirs


def test_changes_and_streams_go_to_their_routes():
    assert not is_plain("/v1/comparisons", method="POST")
    assert not is_plain("/v1/comparisons/small", method="DELETE")
    assert not is_plain("/v1/events")
    assert not is_plain("/v1/comparisons/small/report")
    assert not is_plain("/v1/comparisons", root_path="/below")


def test_who_may_not_read_is_refused_as_by_its_route(serve, key):
    only_writes = key("write")
    client = serve()
    for path in ("/v1/comparisons", "/v1/comparisons/nobody", "/v1/studies/99"):
        for way in (path, f"{path}?plain=no"):
            assert client.get(way).status_code == 401
            answer = client.get(way, headers=only_writes)
            assert answer.status_code == 403
            assert "scope 'read'" in answer.json()["detail"]
