"""The OpenAPI document: valid, complete, and kept to whatever is sent."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis import GenerationMode

from tests.api.served import CHECKS, serving
from tuner.api import auth

OPERATIONS = {
    *("submit_comparison", "list_comparisons", "get_comparison", "delete_comparison"),
    "label_comparison",
    *("list_fleets", "get_fleet", "scale_fleet"),
    *("pause_comparison", "resume_comparison", "cancel_comparison", "retry_comparison"),
    "get_operation",
    *("submit_study", "list_studies", "get_study", "pause_study", "resume_study"),
    *("cancel_study", "list_trials", "get_trial", "get_best", "get_tuning_curve"),
    *("list_artifacts", "get_artifact"),
    "get_suite_report",
    *("get_report", "get_figure", "list_workers", "list_workloads", "list_spaces"),
    *(
        "get_space",
        "list_declared",
        "get_declared",
        "translate",
        "compare_studies",
        "stream_events",
    ),
    *("health", "readiness", "metrics"),
}
OPEN = ("/v1/health", "/v1/readiness")


@pytest.fixture
def document(client):
    return client.get("/v1/openapi.json").json()


def operations(document):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_document_is_the_same_however_often_it_is_read(document, client):
    assert client.get("/v1/openapi.json").json() == document


def test_the_document_is_valid_and_its_operations_are_named(document):
    validate(document)
    found = operations(document)
    assert {operation["operationId"] for _, _, operation in found} == OPERATIONS
    for path, method, operation in found:
        assert operation["summary"], path
        assert operation["description"], path
        assert "500" in operation["responses"], path
        if path not in OPEN:
            assert "401" in operation["responses"], path
            assert operation["security"], path
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (path, status)
                (said,) = response["content"].values()
                kind = "Refusal" if status == "422" else "Problem"
                assert said["schema"] == {"$ref": f"#/components/schemas/{kind}"}, (path, status)
        assert (method == "get") or "403" in operation["responses"]


def test_what_is_refused_says_what_to_mend_and_no_other_problem_does(document):
    schemas = document["components"]["schemas"]
    assert "errors" in schemas["Refusal"]["required"]
    assert schemas["Refusal"]["properties"]["errors"]["items"] == {
        "$ref": "#/components/schemas/BrokenRule"
    }
    assert "errors" not in schemas["Problem"]["properties"]


def test_bodies_have_examples_that_are_accepted(client, document):
    for path, method, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in body.get("examples", {}).values():
            answer = client.request(method, path, json=example["value"])
            # Nothing was run here, so there are no studies to compare; the example is understood.
            unrun = "studies" in example["value"]
            accepted = (404,) if path == "/v1/compare" and unrun else (200, 202)
            assert answer.status_code in accepted, (path, answer.text)


FUZZ = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def served(complete: None, database: str) -> Iterator[str]:  # noqa: ARG001  # it fills it
    """The address of a real server, with a finished comparison in its database."""
    with serving(database) as address:
        yield address


ONLY_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.slow
@ONLY_SQLITE
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_sent_is_answered_as_documented(served, key, mode):
    mine = key("read", "write")
    document = httpx2.get(f"{served}/v1/openapi.json", headers=mine).json()
    answered: set[int] = set()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.path == "/v1/events":
            continue  # it goes on; test_studies reads it
        try:
            cases = operation.as_strategy(generation_mode=mode)
        except Unsatisfiable:
            continue

        @FUZZ
        @given(case=cases)
        def fuzz(case):
            answer = case.call_and_validate(base_url=served, headers=mine, checks=CHECKS)
            answered.add(answer.status_code)

        with suppress(Unsatisfiable):  # nothing can be wrong about a path without parameters
            fuzz()
    expected = {200, 404} if mode is GenerationMode.POSITIVE else {404, 422}
    assert answered >= expected


@pytest.mark.slow
@ONLY_SQLITE
def test_without_a_key_nothing_is_answered_but_health_and_login(served, key, monkeypatch):
    monkeypatch.setattr(auth, "_TRUST_SECONDS", 0.0)  # so long it may believe that there is none
    document = httpx2.get(f"{served}/v1/openapi.json").json()
    key("read", "write")
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()

        @settings(FUZZ, max_examples=3)
        @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        def fuzz(case):
            case.cookies, case.headers = {}, {}
            expected = 200 if case.operation.path in OPEN else 401
            assert case.call(base_url=served).status_code == expected, case.operation.path

        fuzz()


@pytest.mark.slow
@ONLY_SQLITE
def test_a_generated_client_submits_a_study_and_reads_it_back(served, key, tmp_path):
    mine = key("read", "write")
    document = httpx2.get(f"{served}/v1/openapi.json", headers=mine)
    (tmp_path / "openapi.json").write_bytes(document.content)
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    made = subprocess.run(
        [*generate, "--path", "openapi.json", "--output-path", "generated_client"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    told = made.stdout + made.stderr
    assert told.count("WARNING") == told.count("Unsupported content_type image/svg+xml") == 1
    program = f"""
from generated_client import AuthenticatedClient
from generated_client.api.studies import get_study, submit_study
from generated_client.models import StudySubmission
token = {mine["Authorization"].removeprefix("Bearer ")!r}
client = AuthenticatedClient({served!r}, token=token, timeout=60)
body = StudySubmission.from_dict(
    {{"name": "generated", "workload": {{"epochs": 1}}, "space": "filter", "n_trials": 3}}
)
study = submit_study.sync(client=client, body=body)
again = get_study.sync(study.id, client=client)
print(again.study_name, again.n_trials, again.spec.arm.space.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["generated/search", "3", "filter"], done.stderr
