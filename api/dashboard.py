"""The stock Optuna dashboard, at the paths that it is built for, behind the same login."""

from threading import Lock
from typing import cast
from urllib.parse import quote

from a2wsgi import WSGIMiddleware
from optuna.storages import get_storage
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner import config
from tuner.api.auth import SAFE, permitted
from tuner.api.problems import problem
from tuner.search.database.store import Store

_PATHS = ("/dashboard", "/api", "/static", "/csv", "/artifacts")
_AS_IT_IS = (b"accept-encoding", b"identity")
_LENGTHS = (b"content-length", b"transfer-encoding")
"""How a body comes; it is handed over whole."""


class DashboardOf:
    """The dashboard of a store's studies, made when it is first asked for.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._app: ASGIApp | None = None

    def app(self) -> ASGIApp:
        """The application, the same every time; the first time takes seconds."""
        with self._lock:
            if self._app is None:
                import optuna_dashboard  # it imports scikit-learn
                from optuna.artifacts import FileSystemArtifactStore  # it imports boto3

                artifacts = FileSystemArtifactStore(config.artifact_dir())
                studies = optuna_dashboard.wsgi(get_storage(self._store.rdb), artifacts)
                self._app = cast(ASGIApp, WSGIMiddleware(studies, workers=8))
            return self._app


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
        try:
            body = await request.body()  # here, since each of its few threads would wait for it
        except HTTPException as error:  # too large or too slow
            await problem(error.status_code, error.detail)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        headers = [(name, value) for name, value in scope["headers"] if name not in _LENGTHS]
        headers.append((b"content-length", str(len(body)).encode()))
        if "accept-encoding" not in request.headers:  # its static files need one
            headers.append(_AS_IT_IS)

        async def receive_whole() -> Message:
            return {"type": "http.request", "body": body}

        app = await run_in_threadpool(scope["app"].state.dashboard.app)
        await app({**scope, "headers": headers}, receive_whole, send)


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
