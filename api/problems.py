"""Errors as RFC 9457 problem documents: every one, whoever raised it."""

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from optuna.exceptions import StorageInternalError
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from tuner.api.reports.maker import MakerDied
from tuner.errors import Busy, Conflict, DatabaseProblem, InvalidInput, NotFound, Stale
from tuner.logs import request_id
from tuner.search.database.patience import away, collided, in_a_line
from tuner.search.declared.files import broken_rule, dotted

_RETRY_SECONDS = "5"
_MOST_RULES = 100
"""Of more broken rules than these an answer says only how many there are."""

_log = logging.getLogger(__name__)


class BrokenRule(BaseModel):
    """A field of the request, and the rule that it breaks."""

    field: str = Field(
        examples=["arms.0.space"],
        description="keys and places in lists, from 0; a parameter's or a header's name; body or "
        "request where the rule is about all of it",
    )
    rule: str = Field(examples=["search space 'filtr' is unknown; did you mean 'filter'?"])


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["comparison 'digits' is cancelled"])
    request_id: str = Field(description="quote it when you ask for help; it is in the log too")


class Refusal(Problem):
    """A request that breaks rules (422)."""

    errors: list[BrokenRule] = Field(min_length=1, description="what to mend, field by field")


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that says so."""
    return _answer(Problem, status, detail, headers)


def refusal(detail: str, rules: list[BrokenRule]) -> JSONResponse:
    """The answer that a request breaks these rules."""
    return _answer(Refusal, 422, detail, errors=rules)


def _answer(
    kind: type[Problem],
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **more: list[BrokenRule],
) -> JSONResponse:
    content = kind.model_validate(
        {
            "title": _phrase(status),
            "status": status,
            "detail": detail,
            "request_id": request_id.get(),
            **more,
        }
    )
    return JSONResponse(
        content.model_dump(), status, dict(headers or {}), media_type="application/problem+json"
    )


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:  # Any: OpenAPI
    """For a route's ``responses``: that it may answer so, besides what every route may."""
    return {
        status: {
            "description": _phrase(status),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": f"#/components/schemas/{_kind(status).__name__}"}
                }
            },
        }
        for status in sorted({*statuses, *_EVERYWHERE})
    }


def _kind(status: int) -> type[Problem]:
    return Refusal if status == 422 else Problem


def _phrase(status: int) -> str:
    """The status in words, as RFC 9110 has them."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(
        status, HTTPStatus(status).phrase
    )


_EVERYWHERE = (400, 401, 403, 408, 413, 429, 431, 500, 503)


def install(app: FastAPI) -> None:
    """Have the application answer all errors as problems."""
    answers: dict[type[Exception], Callable[[Any], JSONResponse]] = {
        HTTPException: _http,
        RequestValidationError: _invalid_request,
        ValidationError: _invalid_declaration,
        NotFound: lambda error: problem(404, str(error)),
        Conflict: lambda error: problem(409, str(error)),
        Stale: lambda error: problem(412, str(error)),
        Busy: lambda error: problem(409, str(error), headers={"Retry-After": _RETRY_SECONDS}),
        InvalidInput: lambda error: _refused(str(error)),
        DatabaseProblem: _database,
        MakerDied: lambda error: problem(503, str(error), headers={"Retry-After": _RETRY_SECONDS}),
        DBAPIError: _database,
        PoolTimeout: _database,
        StorageInternalError: _database,
        Exception: unforeseen,
    }
    for kind, answer in answers.items():

        def handle(request: Request, error: Exception, answer: Any = answer) -> JSONResponse:
            response: JSONResponse = answer(error)
            if response.status_code == 405:
                response.headers["Allow"] = ", ".join(_methods(request))
            return response

        app.add_exception_handler(kind, handle)


def _methods(request: Request) -> list[str]:
    """What the path takes; the framework names the methods of its first route only."""
    methods = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({"type": "http", "path": request.url.path, "method": method})[0]
            == Match.FULL
            for route in request.app.router.routes
        )
    ]
    return sorted([*methods, "HEAD"]) if "GET" in methods else methods


def _http(error: HTTPException) -> JSONResponse:
    detail = error.detail
    if error.status_code == 400 and detail == "There was an error parsing the body":
        return _refused("body: is not valid JSON")
    if error.status_code == 422:
        return _refused(detail)
    if detail == HTTPStatus(error.status_code).phrase:
        detail = _DETAILS.get(error.status_code, detail)
    return problem(error.status_code, detail, headers=error.headers)


_DETAILS = {
    404: "there is nothing at this path; the API's paths are in /v1/openapi.json",
    405: "this path does not take this method; see the header Allow",
}


def _invalid_request(error: RequestValidationError) -> JSONResponse:
    return _broken_rules(error.errors())


def _invalid_declaration(error: ValidationError) -> JSONResponse:
    """What was made of the body breaks a rule of its own."""
    errors = error.errors(include_url=False)
    return _broken_rules([{**each, "loc": ("body", *each["loc"])} for each in errors])


def _broken_rules(errors: Any) -> JSONResponse:  # Any: pydantic's ErrorDetails
    places = [tuple(error["loc"]) for error in errors]
    around = {place[:end] for place in places for end in range(len(place))}
    innermost = [  # what is said of a list because of what is wrong inside it is left out
        error for error, place in zip(errors, places, strict=True) if place not in around
    ]
    rules = [_broken_rule(error) for error in innermost[:_MOST_RULES]]
    first = rules[0]
    more = f" (and {len(innermost) - 1} more)" if len(innermost) > 1 else ""
    where = f"{first.field}: " if first.field else ""
    return refusal(f"{where}{first.rule}{more}", rules)


_NAMED = re.compile(r"([a-z_]\w*(?:\.\w+)*|[A-Z]\w*-\w+): ")
"""How what names a field or a header begins."""


def _refused(detail: str) -> JSONResponse:
    """The answer where one rule is broken, in words that may begin with the field."""
    named = _NAMED.match(detail)
    field, rule = (named[1], detail[named.end() :]) if named else ("request", detail)
    return refusal(detail, [BrokenRule(field=field, rule=rule)])


def _broken_rule(error: Any) -> BrokenRule:  # Any: pydantic's ErrorDetails
    if error["type"] == "json_invalid":
        return BrokenRule(field="body", rule=f"is not valid JSON: {error['ctx']['error']}")
    if isinstance(error["input"], bytes):
        return BrokenRule(field="body", rule="must be JSON, under Content-Type: application/json")
    place, rule = broken_rule(error)
    source, *names = place or ("body",)
    return BrokenRule(field=dotted(names) or str(source), rule=rule)


def _database(error: Exception) -> JSONResponse:
    if collided(error):
        _log.warning("others changed the same thing: %s", in_a_line(error))
        return problem(
            503,
            "others change the same thing at this moment; try again",
            headers={"Retry-After": _RETRY_SECONDS},
        )
    if isinstance(error, DatabaseProblem | PoolTimeout) or away(error):
        _log.warning("the database does not answer: %s", in_a_line(error))
        return problem(
            503,
            "the database does not answer; look again soon, before you repeat a change",
            headers={"Retry-After": _RETRY_SECONDS},
        )
    return unforeseen(error)


def unforeseen(error: Exception) -> JSONResponse:
    """The answer to an error that nobody foresaw; the log tells it whole."""
    _log.error("a request failed", exc_info=error)
    return problem(500, "this is an error of the server; its log says more under this request id")
