"""What can be trained and searched, who works, and the translation between the two spaces."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Body, Response
from fastapi.responses import JSONResponse

from tuner.api import deps, schemas
from tuner.api.auth import Reader
from tuner.api.problems import errors
from tuner.api.reports import remembered as reports
from tuner.api.threads import InThread, Promised
from tuner.errors import InvalidInput, NotFound, UnknownName
from tuner.search.declared.spaces import Space, declared_spaces, load_space
from tuner.search.declared.spec import ComparisonSpec, declared, load
from tuner.search.watch import views
from tuner.translation import filter_of_sgd, sgd_of_filter
from tuner.workload import AUGMENTATIONS, DATASETS, MODELS, PRECISIONS

router = APIRouter(tags=["tools"], route_class=InThread)


@router.get("/workers", operation_id="list_workers", summary="Who works", responses=errors(401))
def workers(store: deps.Database, _who: Reader) -> schemas.Workers:
    """The workers of the last week: where they run, what they train, when they were last seen."""
    rows = views.list_workers(store)
    return schemas.Workers(items=[schemas.Worker(**vars(row)) for row in rows])


@router.get(
    "/workloads",
    operation_id="list_workloads",
    summary="What can be trained",
    responses=errors(401),
)
def workloads(_who: Reader) -> schemas.Workloads:
    """Data sets, networks with their default widths, augmentations, precisions."""
    return schemas.Workloads(
        datasets=list(DATASETS),
        models={name: list(widths) for name, widths in MODELS.items()},
        augmentations=list(AUGMENTATIONS),
        precisions=list(PRECISIONS),
    )


@router.get(
    "/spaces",
    operation_id="list_spaces",
    summary="The declared search spaces",
    responses=errors(401),
)
def spaces(_who: Reader) -> schemas.Names:
    """Their names."""
    return schemas.Names(items=list(declared_spaces()))


@router.get(
    "/spaces/{name}",
    operation_id="get_space",
    summary="A declared search space",
    responses=errors(401, 404),
)
def space(name: str, _who: Reader) -> Space:
    """What it varies, between which bounds."""
    try:
        return load_space(name)
    except UnknownName as error:
        raise NotFound(str(error)) from error


@router.get(
    "/declared",
    operation_id="list_declared",
    summary="The declared comparisons",
    responses=errors(401),
)
def all_declared(_who: Reader) -> schemas.Names:
    """Their names."""
    return schemas.Names(items=list(declared()))


@router.get(
    "/declared/{name}",
    operation_id="get_declared",
    summary="A declared comparison, ready to be edited and submitted",
    responses=errors(401, 404),
)
def one_declared(name: str, _who: Reader) -> ComparisonSpec:
    """What submit_comparison takes."""
    if name not in (known := declared()):
        raise NotFound(str(UnknownName("comparison", name, known)))
    return load(name)


@router.post(
    "/translate",
    operation_id="translate",
    summary="Settings of SGD to a gradient filter, or back",
    responses=errors(401, 422),
)
def translate(
    body: Annotated[
        schemas.TranslateRequest,
        Body(
            openapi_examples={
                "to a filter": {
                    "value": {
                        "magnitude": {
                            "learning_rate": 0.1,
                            "weight_decay": 5e-4,
                            "momentum": 0.9,
                        },
                        "steps": 50_000,
                    }
                },
                "back": {"value": {"filter": {"alpha": 1e-3, "gamma": 0.1}}},
            }
        ),
    ],
    _who: Reader,
) -> schemas.Translation:
    """The exact filter, what the equivalence needs, and which knobs are redundant; or the SGD."""
    if (body.magnitude is None) == (body.filter is None):
        raise InvalidInput("body: give either magnitude or filter")
    if body.magnitude is not None:
        given = body.magnitude.model_dump(exclude_none=True)
        record, _ = filter_of_sgd({**given, "learning_rate_decay": body.schedule}, body.steps)
        return schemas.Translation(filter=asdict(record), sgd=None)
    assert body.filter is not None
    record, sgd = sgd_of_filter(
        **body.filter.model_dump(), schedule=body.schedule, steps=body.steps
    )
    return schemas.Translation(filter=asdict(record), sgd=sgd)


@router.post(
    "/compare",
    operation_id="compare_studies",
    summary="Which of two searches needed less tuning, whoever made them",
    response_class=JSONResponse,
    response_model=None,
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}}}},
        **errors(401, 404, 422),
    },
)
def compare(
    store: deps.Database,
    settings: deps.Configured,
    body: Annotated[
        schemas.Question,
        Body(
            openapi_examples={
                "two searches of a comparison": {
                    "value": {
                        "studies": ["digits/filter", "digits/magnitude"],
                        "target": 0.97,
                        "unit": "accuracy",
                    }
                },
                "two lists of scores": {
                    "value": {
                        "scores": {"new": [0.91, 0.93, 0.95], "old": [0.72, None, 0.88]},
                        "sampler": "random",
                        "unit": "accuracy",
                        "k": 1,
                    }
                },
            }
        ),
    ],
    _who: Reader,
) -> Promised:
    """The verdict with its numbers, as a report.

    On Optuna studies of this server's database, on studies in storages that its settings name
    (TUNER_STORAGES), or on two lists of scores.
    """
    return Promised(
        reports.of_question(store, settings.storages, body),
        lambda made: Response(made, media_type="application/json"),
    )
