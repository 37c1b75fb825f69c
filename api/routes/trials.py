"""Trials: a study's, a page at a time, and one with all that was recorded about it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse
from optuna.trial import FrozenTrial, TrialState

from tuner.api import deps, schemas
from tuner.api.auth import Reader
from tuner.api.problems import errors
from tuner.api.threads import InThread
from tuner.errors import NotFound
from tuner.search.database.finished import run_of
from tuner.search.results.artifacts import attached, content_of
from tuner.search.watch import views

router = APIRouter(tags=["trials"], route_class=InThread)

Kind = TypeVar("Kind")
TrialId = Annotated[int, Path(ge=0, le=2**31 - 1)]
ArtifactId = Annotated[str, Path(max_length=100)]
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@router.get(
    "/studies/{study_id}/trials",
    operation_id="list_trials",
    summary="List the trials of a study",
    responses=errors(401, 404, 422),
)
def list_(
    store: deps.Database,
    row: deps.Study,
    _who: Reader,
    limit: deps.Limit = 50,
    cursor: deps.Cursor = None,
    state: Annotated[State | None, Query(description="only those in this state")] = None,
) -> schemas.Page[schemas.TrialSummary]:
    """A page of trials by position, without what Optuna knows of them."""
    place = deps.decode_cursor(cursor, int)
    rows = views.list_trials(
        store, row.study_name, limit=limit, after=place[0] if place else -1, state=state
    )
    more = deps.encode_cursor(rows[-1].position) if len(rows) == limit else None
    return schemas.Page[schemas.TrialSummary].of(rows, more)


@router.get(
    "/trials/{trial_id}",
    operation_id="get_trial",
    summary="Look at a trial",
    responses=errors(401, 404, 422),
)
def get(store: deps.Database, trial_id: TrialId, _who: Reader) -> schemas.Trial:
    """Its settings, its filter, its curve, where it ran, and why it failed if it did."""
    return shown(*views.get_trial(store, trial_id))


@router.get(
    "/trials/{trial_id}/artifacts",
    operation_id="list_artifacts",
    summary="List the files that hang on a trial",
    responses=errors(401, 404, 422),
)
def artifacts(store: deps.Database, trial_id: TrialId, _who: Reader) -> schemas.Artifacts:
    """Exported networks, and what a loop of the user's uploaded by Optuna."""
    row, _ = views.get_trial(store, trial_id)
    there = attached(store, row.study_name, trial_id)
    return schemas.Artifacts(items=[schemas.Artifact(**asdict(each)) for each in there])


@router.get(
    "/trials/{trial_id}/artifacts/{artifact_id}",
    operation_id="get_artifact",
    summary="Download a file that hangs on a trial",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "The file"},
        **errors(401, 404, 422),
    },
)
def artifact(
    store: deps.Database, trial_id: TrialId, artifact_id: ArtifactId, _who: Reader
) -> FileResponse:
    """The file as it was exported, to be saved under its name."""
    row, _ = views.get_trial(store, trial_id)
    there = {each.artifact_id: each for each in attached(store, row.study_name, trial_id)}
    if artifact_id not in there:
        raise NotFound(f"no artifact {artifact_id!r} hangs on trial {trial_id}")
    name = there[artifact_id].filename
    return FileResponse(
        content_of(there[artifact_id]), media_type="application/octet-stream", filename=name
    )


def shown(row: views.TrialRow, trial: FrozenTrial) -> schemas.Trial:
    """The trial, in the queue and in Optuna."""
    attributes = trial.user_attrs
    return schemas.Trial(
        **row._asdict(),
        optuna_state=trial.state.name,
        params=trial.params,
        seed=_of_kind(int, attributes.get("seed")),
        started=_iso(trial.datetime_start),
        ended=_iso(trial.datetime_complete),
        pruned=trial.state == TrialState.PRUNED,
        diverged=bool(attributes.get("diverged", False)),
        test_accuracy=_of_kind(float, attributes.get("test_accuracy")),
        run=run_of(trial) or None,
        reports=trial.intermediate_values,
        error=_unicode(_of_kind(str, attributes.get("error"))),
    )


def _of_kind(kind: type[Kind], written: object) -> Kind | None:
    """An attribute as we write it; in Optuna's dashboard people can write anything over it."""
    return written if isinstance(written, kind) else None


def _unicode(text: str | None) -> str | None:
    """The text, with what is no Unicode spelled out: messages hold bytes that were no text."""
    return None if text is None else text.encode(errors="backslashreplace").decode()


def _iso(time: datetime | None) -> str | None:
    """A moment, in UTC; Optuna gives the machine's own time, without saying so."""
    return None if time is None else time.astimezone(UTC).isoformat(timespec="seconds")
