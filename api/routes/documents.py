"""The OpenAPI document, and a page that shows it."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from api.auth import Reader
from api.problems import Problem

PATH = "/v1/openapi.json"
router = APIRouter(include_in_schema=False)


@router.get(PATH)
def openapi(request: Request, _who: Reader) -> dict[str, Any]:  # Any: OpenAPI
    """The OpenAPI document of /v1."""
    document: dict[str, Any] = request.app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    if "Problem" not in schemas:
        made = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(made.pop("$defs", {}))
        schemas["Problem"] = made
    return document


@router.get("/v1/docs")
def documentation(_who: Reader) -> HTMLResponse:
    """The document for people; the page loads its program from the Internet."""
    return get_swagger_ui_html(openapi_url=PATH, title="bnn-tuner API")
