"""What routes depend on: the store, what a path names, the revision a change is meant for."""

import base64
import binascii
import json
import math
import re
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request

from tuner.api.auth import Known
from tuner.api.settings import Settings
from tuner.api.threads import Later
from tuner.errors import InvalidInput, NotFound, Stale
from tuner.search.database.store import Store
from tuner.search.declared.suite_spec import SuiteSpec, declared_suites, load_suite
from tuner.search.watch import views

_TAG = re.compile(r'"([0-9]{1,9})"')


async def _store(request: Request) -> Store:  # async: no thread is needed for this
    store: Store = request.app.state.store
    return store


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Database = Annotated[Store, Depends(_store)]
Configured = Annotated[Settings, Depends(_settings)]


async def _comparison(
    _who: Known, store: Database, name: Annotated[str, Path(description="the comparison's name")]
) -> Later:
    return Later(views.get_comparison, store, name)


async def _study(
    _who: Known, store: Database, study_id: Annotated[int, Path(ge=1, le=2**31 - 1)]
) -> Later:
    return Later(views.get_study, store, study_id)


async def _suite(
    _who: Known, suite: Annotated[str, Path(description="the suite's name")]
) -> Later:
    return Later(_declared_suite, suite)


def _declared_suite(name: str) -> SuiteSpec:
    if name not in (known := declared_suites()):  # a file of the client's choice is not read
        raise NotFound(f"no suite {name!r} is declared (there are {', '.join(known)})")
    return load_suite(name)


Suite = Annotated[SuiteSpec, Depends(_suite)]
"""The declared suite that the path names, or 404."""

Comparison = Annotated[views.ComparisonRow, Depends(_comparison)]
"""The comparison that the path names, or 404."""

Study = Annotated[views.StudyRow, Depends(_study)]
"""The study that the path names, or 404."""


async def _revision(
    if_match: Annotated[
        str | None, Header(description="the ETag last read: change nothing if it is another now")
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        raise Stale(f'If-Match: must be an ETag as it was read, such as "3", got {if_match!r}')
    return int(tag.group(1))


Revision = Annotated[int | None, Depends(_revision)]
"""The revision that the request names in If-Match, if any."""

FleetId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="the fleet's id")]
Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]


def etag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def encode_cursor(*key: str | int | float) -> str:
    """A place in a list, opaque to clients."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *kinds: type) -> list[Any] | None:
    """The place in a list, as it was encoded; None for the beginning.

    Raises:
        InvalidInput: If no list gave this cursor.
    """
    if cursor is None:
        return None
    try:
        key = json.loads(base64.b64decode(f"{cursor}{'=' * (-len(cursor) % 4)}", b"-_", True))
    except (ValueError, binascii.Error):
        key = None
    parts: list[Any] = key if isinstance(key, list) else []
    if [type(part) for part in parts] != list(kinds) or not all(map(_may_be_a_key, parts)):
        raise InvalidInput("cursor: take it from `next` of the page before, as it is")
    return parts


def _may_be_a_key(part: str | int | float) -> bool:
    """Whether a database can be asked about it: a name, a number of a row, a time."""
    match part:
        case str():
            return part.isascii() and part.isprintable()
        case int():
            return 0 <= part < 2**31
    return math.isfinite(part)
