"""The stock Optuna dashboard, at the paths that it is built for, behind the same login."""

from typing import cast
from urllib.parse import quote

import optuna_dashboard
from a2wsgi import WSGIMiddleware
from optuna.storages import get_storage
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tuner.api.auth import SAFE, permitted
from tuner.api.problems import problem
from tuner.search.database.store import Store

_PATHS = ("/dashboard", "/api", "/static", "/csv", "/artifacts")
_NO_BODY = (b"accept-encoding", b"identity")


def dashboard(store: Store) -> ASGIApp:
    """The dashboard of a store's studies."""
    return cast(ASGIApp, WSGIMiddleware(optuna_dashboard.wsgi(get_storage(store.rdb)), workers=8))


class Dashboard:
    """Hands the dashboard's paths over to it, unchanged, if who asks may see it.

    Args:
        app: Gets everything else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not any(f"{path}/".startswith(f"{p}/") for p in _PATHS):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = await run_in_threadpool(_refusal, request)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if "accept-encoding" not in request.headers:  # its static files need one
            scope = {**scope, "headers": [*scope["headers"], _NO_BODY]}
        await scope["app"].state.dashboard(scope, receive, send)


def _refusal(request: Request) -> Response | None:
    """The answer to who may not do this."""
    changes = request.method not in SAFE
    if changes and not request.app.state.settings.dashboard_writes:
        detail = "the dashboard shows studies and changes none (TUNER_DASHBOARD_WRITES)"
        return problem(403, detail)
    try:
        permitted(request, "write" if changes else "read")
    except HTTPException as error:
        wants_page = "text/html" in request.headers.get("accept", "")
        if error.status_code == 401 and wants_page:
            return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)
        return problem(error.status_code, error.detail, headers=error.headers)
    return None
