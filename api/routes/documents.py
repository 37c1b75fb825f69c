"""The OpenAPI document, and a page that shows it."""

from copy import deepcopy
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tuner.api.auth import Reader
from tuner.api.idempotency import HEADER
from tuner.api.pages.rendering import SWAGGER, asset
from tuner.api.problems import Problem, Refusal, errors

PATH = "/v1/openapi.json"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>bnn-tuner API</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{swagger}/swagger-ui.css">
</head>
<body>
<div id="operations"></div>
<script src="{swagger}/swagger-ui-bundle.js"></script>
<script src="{program}"></script>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)

_IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    "description": "a name for this request: repeated with it and the same body, it is answered "
    "the same and carried out once",
}


@router.get(PATH)
def openapi(request: Request, _who: Reader) -> dict[str, Any]:  # Any: OpenAPI
    """The OpenAPI document of /v1."""
    document: dict[str, Any] = deepcopy(request.app.openapi())  # FastAPI keeps its own
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for kind in (Problem, Refusal):
        made = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(made.pop("$defs", {}), **{kind.__name__: made})
    for path in document["paths"].values():
        for method, operation in path.items():
            if method == "post" and "202" in operation["responses"]:
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
            for status, response in operation["responses"].items():
                if status == "422":  # FastAPI's own idea of it is not ours
                    response.update(errors(422)[422])
                stream = response.get("content", {}).get("text/event-stream", {})
                if stream.pop("itemSchema", None):  # OpenAPI 3.2 has it, this is 3.1
                    stream["schema"] = {"type": "string"}
    return document


@router.get("/v1/docs")
def documentation(_who: Reader) -> HTMLResponse:
    """The document for people; all that the page loads comes from this server."""
    page = _PAGE.format(icon=asset("icon.svg"), swagger=SWAGGER, program=asset("documentation.js"))
    return HTMLResponse(page)
