"""Studies: single searches, and the studies that comparisons consist of."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tuner.api import deps, limits, schemas
from tuner.api.auth import Reader, Writer
from tuner.api.idempotency import Idempotent
from tuner.api.problems import errors
from tuner.api.reports import remembered as reports
from tuner.api.routes.comparisons import ACCEPTED, TAGGED, Status
from tuner.api.routes.trials import shown
from tuner.api.threads import Promised
from tuner.compare.protocol import Protocol
from tuner.compare.report.own_sign import curve_in_own_sign
from tuner.compare.summary import ArmSummary
from tuner.search.database.store import Store
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import control
from tuner.search.queue.operations import PROMPT_SECONDS
from tuner.search.watch import views

router = APIRouter(prefix="/studies", tags=["studies"], route_class=Idempotent)


@router.post(
    "",
    operation_id="submit_study",
    summary="Submit a single search",
    status_code=202,
    responses={
        200: {"model": schemas.Study, "description": "It was there already", **ACCEPTED},
        202: ACCEPTED,
        **errors(401, 409, 422),
    },
)
def submit(
    store: deps.Database,
    settings: deps.Configured,
    response: Response,
    body: schemas.StudySubmission,
    _who: Writer,
) -> schemas.Study:
    """A comparison of one arm of that name, whose best trial is not retrained."""
    arm = ArmSpec(name="search", space=body.space, sampler=body.sampler, pruner=body.pruner)
    shared = body.model_dump(include={"name", "n_trials", "seed"})
    spec = ComparisonSpec(workload=body.workload, arms=(arm,), retrain_seeds=0, **shared)
    spec = limits.check(spec, settings)
    response.status_code = 202 if control.submit(store, spec) else 200
    (row,) = views.list_studies(store, limit=1, comparison=spec.name)
    response.headers["Location"] = f"/v1/studies/{row.id}"
    return _shown(store, row, response)


@router.get("", operation_id="list_studies", summary="List studies", responses=errors(401, 422))
def list_(
    store: deps.Database,
    _who: Reader,
    limit: deps.Limit = 50,
    cursor: deps.Cursor = None,
    comparison: Annotated[str | None, Query(description="only this comparison's")] = None,
    status: Annotated[Status | None, Query(description="only those in this state")] = None,
) -> schemas.Page[schemas.StudySummary]:
    """A page of studies, in the order of their submission."""
    place = deps.decode_cursor(cursor, int)
    rows = views.list_studies(
        store, limit=limit, after=place[0] if place else 0, comparison=comparison, status=status
    )
    more = deps.encode_cursor(rows[-1].id) if len(rows) == limit else None
    return schemas.Page[schemas.StudySummary].of(rows, more)


@router.get(
    "/{study_id}",
    operation_id="get_study",
    summary="Look at a study",
    responses={200: TAGGED, **errors(401, 404, 422)},
)
def get(store: deps.Database, row: deps.Study, response: Response, _who: Reader) -> schemas.Study:
    """What it searches, and how far it is."""
    return _shown(store, row, response)


@router.post(
    "/{study_id}/pause",
    operation_id="pause_study",
    summary="Pause one study of a comparison",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def pause(
    store: deps.Database,
    row: deps.Study,
    revision: deps.Revision,
    response: Response,
    _who: Writer,
) -> schemas.Study:
    """Its trials in training are kept, to be gone on with."""
    control.change_study(store, row.id, "pause", revision=revision)
    return _shown(store, views.get_study(store, row.id), response)


@router.post(
    "/{study_id}/resume",
    operation_id="resume_study",
    summary="Resume a paused study",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def resume(
    store: deps.Database,
    row: deps.Study,
    revision: deps.Revision,
    response: Response,
    _who: Writer,
) -> schemas.Study:
    """Its trials go on where they were."""
    control.change_study(store, row.id, "resume", revision=revision)
    return _shown(store, views.get_study(store, row.id), response)


@router.post(
    "/{study_id}/cancel",
    operation_id="cancel_study",
    summary="Cancel one study of a comparison for good",
    responses={200: TAGGED, **errors(401, 404, 409, 412, 422)},
)
def cancel(
    store: deps.Database,
    row: deps.Study,
    revision: deps.Revision,
    response: Response,
    _who: Writer,
) -> schemas.Study:
    """Of an arm of which a search is cancelled nothing is trained afresh."""
    control.change_study(store, row.id, "cancel", revision=revision, within_seconds=PROMPT_SECONDS)
    return _shown(store, views.get_study(store, row.id), response)


@router.get(
    "/{study_id}/best",
    operation_id="get_best",
    summary="The best trials of a study",
    responses=errors(401, 404, 422),
)
def best(
    store: deps.Database,
    row: deps.Study,
    _who: Reader,
    limit: Annotated[int, Query(ge=1, le=50, description="how many at most")] = 1,
) -> schemas.BestTrials:
    """By validation score, the best first; none before one has finished."""
    rows = views.best_trials(store, row.study_name, limit)
    return schemas.BestTrials(items=[shown(row, views.in_optuna(store, row)) for row in rows])


@router.get(
    "/{study_id}/tuning-curve",
    operation_id="get_tuning_curve",
    summary="The expected best of k random trials",
    response_model=schemas.TuningCurve,
    responses=errors(401, 404, 409, 422),
)
def curve(store: deps.Database, row: deps.Study, _who: Reader) -> Promised:
    """Unbiased, with a simultaneous band; random search only, since others' trials depend."""
    return Promised(
        reports.curve_of(store, row, store.study(row.study_name)),
        lambda made: _curve(row, *made),
    )


def _curve(row: views.StudyRow, summary: ArmSummary, protocol: Protocol) -> schemas.TuningCurve:
    if not summary.curve:  # some were pruned
        raise reports.dependent(row.study_name)
    curve = curve_in_own_sign(summary, protocol)
    points = [schemas.CurvePoint(**vars(point)) for point in curve]
    return schemas.TuningCurve(
        study_name=row.study_name,
        n_trials=summary.n,
        confidence=protocol.confidence,
        points=points,
    )


def _shown(store: Store, row: views.StudyRow, response: Response) -> schemas.Study:
    """The study; its revision becomes the answer's ETag."""
    number = store.study_id(row.study_name)
    response.headers["ETag"] = deps.etag(row.revision)
    return schemas.Study(
        **vars(row),
        spec=store.study(row.study_name),
        dashboard=None if number is None else f"/dashboard/studies/{number}",
    )
