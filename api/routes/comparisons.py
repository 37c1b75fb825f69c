"""Comparisons: submit, list, look at, label, pause, resume, cancel, retry, delete; results."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse

from tuner.api import deps, limits, schemas
from tuner.api.auth import Reader, Writer
from tuner.api.idempotency import Idempotent
from tuner.api.problems import errors
from tuner.api.reports import remembered as reports
from tuner.api.routes.operations import BEGUN, begun
from tuner.api.threads import Promised
from tuner.search.database.store import Store
from tuner.search.database.tables import DONE
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import control
from tuner.search.queue.labels import Labels, change_labels
from tuner.search.queue.operations import PROMPT_SECONDS
from tuner.search.watch import views, waits
from tuner.search.watch.progress import ArmProgress
from tuner.search.watch.searching import Sought

router = APIRouter(prefix="/comparisons", tags=["comparisons"], route_class=Idempotent)

Status = Literal["active", "paused", "complete", "cancelled", "deleting"]
EXAMPLE = {
    "summary": "a small comparison on 8x8 digits",
    "value": {
        "name": "first",
        "workload": {"dataset": "digits", "model": "mlp", "widths": [32, 32], "epochs": 5},
        "arms": [
            {"name": "magnitude", "space": "magnitude"},
            {"name": "filter", "space": "filter"},
        ],
        "n_trials": 20,
        "retrain_seeds": 3,
        "verdict": {"primary": ["filter", "magnitude"], "k": 2, "target": 0.9},
    },
}
TAGGED = {"headers": {"ETag": {"schema": {"type": "string"}, "description": "its revision"}}}
ACCEPTED = {
    "headers": {
        **TAGGED["headers"],
        "Location": {"schema": {"type": "string"}, "description": "where it can be seen"},
    }
}


@router.post(
    "",
    operation_id="submit_comparison",
    summary="Submit a comparison",
    status_code=202,
    responses={
        200: {"model": schemas.Comparison, "description": "It was there already", **ACCEPTED},
        202: ACCEPTED,
        **errors(401, 409, 422),
    },
)
def submit(
    store: deps.Database,
    settings: deps.Configured,
    response: Response,
    spec: Annotated[ComparisonSpec, Body(openapi_examples={"digits": EXAMPLE})],
    _who: Writer,
) -> schemas.Comparison:
    """Accept it: whatever dies from here on, it will be run by the workers.

    The body is what a study's TOML file declares. The same declaration submitted again changes
    nothing (200); another one of the same name is refused (409).
    """
    spec = limits.check(spec, settings)
    created = control.accept(store, spec)
    response.headers["Location"] = f"/v1/comparisons/{spec.name}"
    response.status_code = 200 if created is None else 202
    if created is None:
        return _now(store, spec.name, response)
    row, arms = views.just_accepted(spec, created), views.arms_at_first(spec)
    return _written(store, row, spec, arms, response)


@router.get(
    "",
    operation_id="list_comparisons",
    summary="List comparisons, newest first",
    responses=errors(401, 422),
)
def list_(
    store: deps.Database,
    _who: Reader,
    limit: deps.Limit = 50,
    cursor: deps.Cursor = None,
    status: Annotated[Status | None, Query(description="only those in this state")] = None,
    q: Annotated[
        str, Query(max_length=200, description="words in its name, tags or notes, all of them")
    ] = "",
    tag: Annotated[str, Query(max_length=40, description="only those with this tag")] = "",
    archived: Annotated[bool, Query(description="those that were archived instead")] = False,
) -> schemas.Page[schemas.ComparisonSummary]:
    """A page of comparisons without their declarations."""
    place = deps.decode_cursor(cursor, float, str)
    before = None if place is None else (place[0], place[1])
    sought = Sought(q, tag, status, archived)
    rows = views.list_comparisons(store, limit=limit, before=before, sought=sought)
    more = deps.encode_cursor(rows[-1].created, rows[-1].name) if len(rows) == limit else None
    return schemas.Page[schemas.ComparisonSummary].of(rows, more)


@router.get(
    "/{name}",
    operation_id="get_comparison",
    summary="Look at a comparison",
    responses={200: TAGGED, **errors(401, 404)},
)
def get(
    store: deps.Database, row: deps.Comparison, response: Response, _who: Reader
) -> schemas.Comparison:
    """Its declaration, its state, and how far each arm is."""
    return _shown(store, row, response)


@router.patch(
    "/{name}",
    operation_id="label_comparison",
    summary="Write notes and tags on a comparison, archive it",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def label(
    store: deps.Database,
    row: deps.Comparison,
    revision: deps.Revision,
    response: Response,
    body: schemas.LabelChanges,
    _who: Writer,
) -> schemas.Comparison:
    """What is left out stays as it is; an active one cannot be archived."""
    change_labels(store, row.name, Labels(**body.model_dump()), revision=revision)
    return _now(store, row.name, response)


@router.post(
    "/{name}/pause",
    operation_id="pause_comparison",
    summary="Pause a comparison",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def pause(
    store: deps.Database,
    row: deps.Comparison,
    revision: deps.Revision,
    response: Response,
    _who: Writer,
) -> schemas.Comparison:
    """Within an epoch nothing of it runs; trials in training are kept, to be gone on with."""
    control.change_comparison(store, row.name, "pause", revision=revision)
    return _now(store, row.name, response)


@router.post(
    "/{name}/resume",
    operation_id="resume_comparison",
    summary="Resume a paused comparison",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def resume(
    store: deps.Database,
    row: deps.Comparison,
    revision: deps.Revision,
    response: Response,
    _who: Writer,
) -> schemas.Comparison:
    """Its trials go on where they were."""
    control.change_comparison(store, row.name, "resume", revision=revision)
    return _now(store, row.name, response)


@router.post(
    "/{name}/cancel",
    operation_id="cancel_comparison",
    summary="Cancel a comparison for good",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def cancel(
    store: deps.Database,
    row: deps.Comparison,
    revision: deps.Revision,
    response: Response,
    _who: Writer,
) -> schemas.Comparison:
    """What is not finished ends within an epoch; what is finished stays."""
    control.change_comparison(
        store, row.name, "cancel", revision=revision, within_seconds=PROMPT_SECONDS
    )
    return _now(store, row.name, response)


@router.post(
    "/{name}/retry",
    operation_id="retry_comparison",
    summary="Run failed trials again",
    response_model=schemas.Comparison,
    responses={200: TAGGED, 202: BEGUN, **errors(401, 404, 409, 412, 422)},
)
def retry(
    store: deps.Database,
    row: deps.Comparison,
    revision: deps.Revision,
    response: Response,
    _who: Writer,
) -> schemas.Comparison | Response:
    """Each gets the same parameters and seed; what changed searches select is trained anew."""
    operation = control.retry_failed(
        store, row.name, revision=revision, within_seconds=PROMPT_SECONDS
    )
    if operation.state != DONE:
        return begun(operation)
    return _now(store, row.name, response)


@router.delete(
    "/{name}",
    operation_id="delete_comparison",
    summary="Delete a comparison that is not active",
    status_code=204,
    response_model=None,
    responses={202: BEGUN, **errors(401, 404, 409, 412, 422)},
)
def delete(
    store: deps.Database, row: deps.Comparison, revision: deps.Revision, _who: Writer
) -> Response:
    """Its studies and trials are deleted too, in Optuna as well; until then its name is taken."""
    operation = control.delete(store, row.name, revision=revision, within_seconds=PROMPT_SECONDS)
    return Response(status_code=204) if operation.state == DONE else begun(operation)


@router.get(
    "/{name}/report",
    operation_id="get_report",
    summary="What came out of a comparison",
    response_class=JSONResponse,
    response_model=None,
    responses={
        200: {
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/html": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            }
        },
        **errors(401, 404, 409, 422),
    },
)
def report(
    store: deps.Database,
    row: deps.Comparison,
    _who: Reader,
    format: Annotated[Literal["json", "html", "csv"], Query(description="how")] = "json",
) -> Response | Promised:
    """The verdict with its numbers as JSON or as a page; all trials as CSV.

    It may be read while the comparison runs, once every arm has a finished trial.
    """
    if format == "csv":
        return StreamingResponse(reports.csv_of(store, row.name), media_type="text/csv")
    kind, what = ("text/html", "html") if format == "html" else ("application/json", "json")
    return Promised(
        reports.in_full(store, row),
        lambda made: Response(getattr(made, what), media_type=kind),
    )


@router.get(
    "/{name}/figure.svg",
    operation_id="get_figure",
    summary="The tuning curves as a picture",
    response_class=Response,
    response_model=None,
    responses={
        200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}},
        **errors(401, 404, 409),
    },
)
def figure(store: deps.Database, row: deps.Comparison, _who: Reader) -> Promised:
    """Expected best validation score against the number of trials."""
    return Promised(
        reports.of(store, row), lambda made: Response(made.picture, media_type="image/svg+xml")
    )


def _now(store: Store, name: str, response: Response) -> schemas.Comparison:
    """The comparison after a change."""
    return _shown(store, views.get_comparison(store, name), response)


def _shown(store: Store, row: views.ComparisonRow, response: Response) -> schemas.Comparison:
    """The comparison as it is."""
    spec = store.comparison(row.name)
    return _written(store, row, spec, views.arms_of(store, spec), response)


def _written(
    store: Store,
    row: views.ComparisonRow,
    spec: ComparisonSpec,
    arms: Sequence[ArmProgress],
    response: Response,
) -> schemas.Comparison:
    """The answer; the comparison's revision becomes its ETag."""
    response.headers["ETag"] = deps.etag(row.revision)
    note = waits.note(store, row, arms)
    return schemas.Comparison(**vars(row), arms=list(arms), note=note, spec=spec)
