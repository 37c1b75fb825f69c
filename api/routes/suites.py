"""Suites: what comparisons over several workloads say together."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from tuner.api import deps
from tuner.api.auth import Reader
from tuner.api.problems import errors
from tuner.api.reports import remembered as reports
from tuner.api.threads import InThread, Promised, slow

router = APIRouter(prefix="/suites", tags=["suites"], route_class=InThread)


@router.get(
    "/{suite}/report",
    operation_id="get_suite_report",
    summary="What the comparisons of a declared suite say together",
    response_class=JSONResponse,
    response_model=None,
    responses={
        200: {
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/html": {"schema": {"type": "string"}},
            }
        },
        **errors(401, 404, 409, 422),
    },
)
@slow
def report(
    store: deps.Database,
    spec: deps.Suite,
    _who: Reader,
    format: Annotated[Literal["json", "html"], Query(description="how")] = "json",
) -> Promised:
    """The speed-up over workloads, performance profiles, and the estimate without each workload.

    It may be read while comparisons run, once one of them has a finished trial in every arm.
    """
    kind, what = ("text/html", "html") if format == "html" else ("application/json", "json")
    return Promised(
        reports.of_suite(store, spec),
        lambda made: Response(getattr(made, what), media_type=kind),
    )
