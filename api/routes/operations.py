"""Operations: long work that goes on after the request for it was answered."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from tuner.api import deps, schemas
from tuner.api.auth import Reader
from tuner.api.problems import errors
from tuner.api.threads import InThread
from tuner.search.queue import operations

router = APIRouter(prefix="/operations", tags=["operations"], route_class=InThread)

BEGUN = {
    "model": schemas.Operation,
    "description": "It takes longer than a second, and goes on by itself",
    "headers": {
        "Location": {"schema": {"type": "string"}, "description": "where its progress can be seen"}
    },
}
"""How a route that may leave an operation to the keepers documents that."""


@router.get(
    "/{operation_id}",
    operation_id="get_operation",
    summary="Look at an operation",
    responses=errors(401, 404, 422),
)
def get(
    store: deps.Database, operation_id: Annotated[int, Path(ge=1, le=2**31 - 1)], _who: Reader
) -> schemas.Operation:
    """How far it is; for a week after its end, how it ended. Every twentieth of it is an event."""
    return schemas.Operation(**vars(operations.get(store, operation_id)))


def begun(operation: operations.Operation) -> Response:
    """The answer to a request whose operation goes on."""
    shown = schemas.Operation(**vars(operation)).model_dump()
    return JSONResponse(shown, 202, {"Location": f"/v1/operations/{operation.id}"})
