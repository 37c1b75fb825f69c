"""Errors as pages, for browsers; everybody else gets problem documents."""

import inspect
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles
from starlette.responses import RedirectResponse, Response

from tuner.api.pages.rendering import ASSETS, SWAGGER, page

Handler = Callable[[Request, Exception], Response]

_TITLES = {
    401: "Log in first",
    403: "Not allowed",
    404: "Not found",
    409: "Not possible now",
    422: "Not understood",
    429: "Too many requests",
    503: "The database does not answer",
}


def install(app: FastAPI) -> None:
    """Serve the page's files, and have browsers see the application's errors as pages.

    Args:
        app: Its handlers of errors, which answer with problem documents, are there already.
    """
    app.mount(SWAGGER, StaticFiles(packages=[("fastapi_offline", "static")]), name="swagger")
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")
    for kind, answer in list(app.exception_handlers.items()):
        if not inspect.iscoroutinefunction(answer):
            app.add_exception_handler(kind, _as_page(answer))


def _as_page(answer: Any) -> Handler:  # Any: Starlette's type allows handlers of web sockets too
    """The handler, answering browsers with a page."""

    def handle(request: Request, error: Exception) -> Response:
        problem: Response = answer(request, error)
        if "text/html" not in request.headers.get("accept", ""):
            return problem
        path, status = request.url.path, problem.status_code
        if status == 401 and request.method == "GET":
            wanted = f"{path}?{request.url.query}" if request.url.query else path
            return RedirectResponse(f"/login?next={quote(wanted)}", 303)
        return problem if path.startswith("/v1/") else _shown(request, problem)

    return handle


def _shown(request: Request, problem: Response) -> Response:
    """The problem as a page, under its own headers."""
    document = json.loads(bytes(problem.body))
    status = problem.status_code
    answer = page(
        request,
        "failure",
        status=status,
        title=_TITLES.get(status, document["title"]),
        document=document,
    )
    for name in ("allow", "retry-after", "www-authenticate"):
        if name in problem.headers:
            answer.headers[name] = problem.headers[name]
    return answer
