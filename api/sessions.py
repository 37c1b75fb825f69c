"""Logging a browser in with an API key, and out again."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse

from tuner.api.auth import COOKIE, SESSION_SECONDS, authority
from tuner.search.database import keys

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
        COOKIE,
        known.session(key_row),
        max_age=SESSION_SECONDS,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout")
def log_out(request: Request) -> RedirectResponse:
    """End the browser's session."""
    authority(request).check_origin(request)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def local_path(wanted: str) -> str:
    """The path, if it is one of this server; else the first page (no open redirect)."""
    plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if plain and wanted.startswith("/") and not wanted.startswith("//") else "/"
