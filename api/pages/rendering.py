"""From a template to an answer: numbers in words, and headers that keep other code out."""

import hashlib
import time
from functools import cache
from pathlib import Path
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from tuner import __version__
from tuner.api.auth import LOCAL
from tuner.compare import words
from tuner.wording import count

ASSETS = Path(__file__).parent / "assets"
SWAGGER = "/assets/swagger"
"""Where Swagger UI's files are served, which show the API's document."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "Cache-Control": "no-store",
}
PICTURE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "private, max-age=60",
}
"""The headers of a picture that stands alone."""

_AGES = ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h"))


def page(request: Request, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """The answer that a template makes of its context.

    Args:
        request: What was asked, and by whom.
        template: A file in ``templates``, without its ending.
        status: The HTTP status.
        context: What the template names.
    """
    who = getattr(request.state, "principal", None)
    text = (
        _templates()
        .get_template(f"{template}.html.j2")
        .render(
            who=who,
            has_session=who is not None and who != LOCAL,
            may_write=who is not None and "write" in who.scopes,
            path=request.url.path,
            version=__version__,
            **context,
        )
    )
    shown = text.encode(errors="backslashreplace")  # messages may hold bytes that are no text
    return HTMLResponse(shown, status, _HEADERS)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("tuner.api.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "counted": count,
        "percent": percent,
        "score": words.written,
        "setting": setting,
        "duration": words.duration,
        "when": when,
        "seconds": in_seconds,
        "ago": ago,
        "path": lambda part: quote(str(part), safe=""),
    }
    templates.globals["asset"] = asset
    return templates


@cache
def asset(name: str) -> str:
    """The address of one of the page's files; another one whenever the file changes."""
    digest = hashlib.sha256((ASSETS / name).read_bytes()).hexdigest()
    return f"/assets/{name}?v={digest[:12]}"


def percent(share: float | None) -> str:
    """A share in per cent, or a dash."""
    return "–" if share is None else f"{share:.2%}"


def setting(value: object) -> str:
    """A hyperparameter's value, short."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def in_seconds(seconds: float | None) -> str:
    """A short time, or a dash."""
    if seconds is None:
        return "–"
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def when(seconds: float) -> str:
    """A moment, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def ago(seconds: float) -> str:
    """How long ago a moment was."""
    age = max(0.0, time.time() - seconds)
    for limit, divisor, unit in _AGES:
        if age < limit:
            return f"{age / divisor:.0f} {unit} ago"
    return f"{age / 86_400:.0f} days ago"
