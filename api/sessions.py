"""Logging a browser in with an API key, and out again."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse

from tuner.api.auth import authority
from tuner.search.database import keys
from tuner.search.database.sessions import SESSION_SECONDS

router = APIRouter(include_in_schema=False)


@router.post("/login")
def log_in(
    request: Request, key: Annotated[str, Form()], next: Annotated[str, Form()] = "/"
) -> RedirectResponse:
    """Begin a session, if the key is valid; then go where the browser wanted to."""
    known = authority(request)
    known.check_origin(request)
    address = request.client.host if request.client else "unknown"
    known.count("login", address, known.settings.logins_per_minute)
    key_row = keys.verify(known.store, key.strip())
    target = local_path(next)
    if key_row is None:
        return RedirectResponse(f"/login?failed=1&next={quote(target)}", 303)
    answer = RedirectResponse(target, 303)
    answer.set_cookie(
        known.cookie(request),
        known.begin_session(request, key_row),
        max_age=SESSION_SECONDS,
        secure=known.by_https(request),
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout")
def log_out(request: Request) -> RedirectResponse:
    """End the browser's session, on every server."""
    known = authority(request)
    known.check_origin(request)
    known.end_session(request)
    answer = RedirectResponse("/login", 303)
    secure = known.by_https(request)
    answer.delete_cookie(known.cookie(request), secure=secure, httponly=True, samesite="strict")
    return answer


def local_path(wanted: str) -> str:
    """The path, if it is one of this server; else the first page (no open redirect)."""
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if plain and wanted.startswith("/") and not wanted.startswith("//") else "/"
