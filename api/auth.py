"""Who asks, and whether they may: API keys, browsers' sessions, and the machine's own user.

Without any valid key the server answers programs and browsers of its own machine only.
"""

import hashlib
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from itsdangerous import BadSignature, Signer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from tuner.api.middleware.rate import Rate
from tuner.api.settings import Settings
from tuner.search.database import keys, sessions
from tuner.search.database.store import Store

COOKIE = "tuner_session"
HTTPS_COOKIE = f"__Host-{COOKIE}"
"""By https: browsers take a cookie of such a name from this very host alone."""

SAFE = ("GET", "HEAD", "OPTIONS")
_TRUST_SECONDS = 5.0
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Args:
        id: A key's id, or ``local``.
        name: What the key is called.
        scopes: What they may do: read, write.
        session: What their browser shows; empty for a program.
    """

    id: str
    name: str
    scopes: frozenset[str]
    session: str = field(default="", repr=False)


LOCAL = Principal("local", "this machine", frozenset(keys.SCOPES))


@dataclass
class Authority:
    """Knows the keys of a database, and how often each was used.

    What the database said of a key is trusted for five seconds, so that a program's request costs
    no query, and a key that is revoked ends as quickly. About a session it is asked each time:
    once logged out, or once its key is revoked, it is over on every server.

    Args:
        store: The database.
        settings: The server's.
    """

    store: Store
    settings: Settings
    _known: dict[str, tuple[Principal | None, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._signer = Signer(self.settings.secret, salt="session")
        self._rate = Rate()

    def identify(self, request: HTTPConnection) -> Principal | None:
        """Who asks, if they are anybody.

        Raises:
            HTTPException: 403 without any key from elsewhere or from another site; 429.
        """
        self.check_origin(request)
        if self.is_open():
            _check_local(request)
            self.count("address", _address(request), self.settings.requests_per_minute)
            return LOCAL
        bearer = _bearer(request)
        if bearer is not None:
            principal = self._trusted(f"key {bearer}", lambda: self._holder(bearer))
        else:
            principal = self._logged_in(self.session(request))
        if principal is None:  # whoever shows a right one does not pay for others of an address
            self.count("address", _address(request), self.settings.requests_per_minute)
        else:
            self.count("key", principal.id, self.settings.requests_per_minute)
        return principal

    def remembers(self, request: HTTPConnection) -> bool:
        """Whether ``identify`` needs no query."""
        now = time.monotonic()
        principal, until = self._known.get(_digest("open"), (None, 0.0))
        if now >= until:
            return False
        bearer = _bearer(request)
        if principal is LOCAL:
            return True
        if bearer is None:
            return not self.session(request)
        return now < self._known.get(_digest(f"key {bearer}"), (None, 0.0))[1]

    def still(self, who: Principal) -> bool:
        """Whether who asked once may still ask, after a while."""
        if who == LOCAL:
            return self.is_open()
        if who.session:
            return sessions.key_of(self.store, who.session) is not None
        return keys.valid(self.store, who.id) is not None

    def is_open(self) -> bool:
        """Whether no key was ever made: once there was one, its revocation opens nothing."""
        return self._trusted("open", self._local) is LOCAL

    def begin_session(self, request: HTTPConnection, key: keys.Key) -> str:
        """The cookie of a browser that showed a key; the session that it had before ends."""
        self.end_session(request)
        self._known.clear()
        return self._signer.sign(sessions.begin(self.store, key.id)).decode()

    def end_session(self, request: HTTPConnection) -> None:
        """End the browser's session, for whoever else shows its cookie too."""
        if session := self.session(request):
            sessions.end(self.store, session)

    def session(self, request: HTTPConnection) -> str:
        """What the session is known by that the browser shows, valid or not; empty without."""
        try:
            return self._signer.unsign(request.cookies.get(self.cookie(request), "")).decode()
        except BadSignature:  # guesses, of which the database need not be asked
            return ""

    def cookie(self, request: HTTPConnection) -> str:
        """What the browser's cookie is called; the other one's is not looked at."""
        return HTTPS_COOKIE if self.by_https(request) else COOKIE

    def by_https(self, request: HTTPConnection) -> bool:
        """Whether the browser came by https, as a trusted proxy or the settings say."""
        return self.settings.https or request.url.scheme == "https"

    def count(self, kind: str, who: str, most: int) -> None:
        """Count a request.

        Raises:
            HTTPException: 429, if there were too many in the last minute.
        """
        if not self._rate.allows(kind, who, most):
            detail = f"more than {most} requests in a minute; wait, then go on"
            raise HTTPException(429, detail, {"Retry-After": "10"})

    def _local(self) -> Principal | None:
        return None if keys.any_made(self.store) else LOCAL

    def _holder(self, bearer: str) -> Principal | None:
        key = keys.verify(self.store, bearer)
        return None if key is None else Principal(key.id, key.name, frozenset(key.scopes))

    def _logged_in(self, session: str) -> Principal | None:
        key = sessions.key_of(self.store, session) if session else None
        if key is None:
            return None
        return Principal(key.id, key.name, frozenset(key.scopes), session)

    def _trusted(self, about: str, look_up: Callable[[], Principal | None]) -> Principal | None:
        """Whom it looked up lately, or looks up now."""
        digest, now = _digest(about), time.monotonic()
        principal, until = self._known.get(digest, (None, 0.0))
        if now >= until:
            if len(self._known) > 10_000:  # somebody is guessing
                self._known.clear()
            principal = look_up()
            self._known[digest] = principal, now + _TRUST_SECONDS
        return principal

    def check_origin(self, request: HTTPConnection) -> None:
        """Refuse changes that another site has a browser make (CSRF)."""
        if request.scope["method"] in SAFE or _bearer(request) is not None:
            return
        site = request.headers.get("sec-fetch-site", "none")
        origin = request.headers.get("origin")
        own = origin is None or _place(origin)[0] == request.headers.get("host", "")
        if site not in ("same-origin", "none") or not own:
            raise HTTPException(403, "a change has to come from this server's own pages")


def authority(request: HTTPConnection) -> Authority:
    """The application's."""
    installed: Authority = request.app.state.authority
    return installed


def present(request: HTTPConnection) -> Principal:
    """Who asks.

    Raises:
        HTTPException: 401 if nobody known asks.
    """
    who = getattr(request.state, "principal", None) or authority(request).identify(request)
    request.state.principal = who
    if who is None:
        detail = "show an API key as 'Authorization: Bearer KEY'; make one with: tuner keys create"
        raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
    return who


def permitted(request: HTTPConnection, scope: str) -> Principal:
    """Who asks, if they may.

    Raises:
        HTTPException: 401 if nobody known asks, 403 if their key has not the scope.
    """
    who = present(request)
    if scope not in who.scopes:
        raise HTTPException(403, f"key {who.id} ({who.name}) has not the scope {scope!r}")
    return who


_BROWSER = f"a browser's session; by https the cookie is called {HTTPS_COOKIE}"
_SCHEMES = (
    Depends(HTTPBearer(auto_error=False, description="an API key, tuner_ID_SECRET")),
    Depends(APIKeyCookie(name=COOKIE, auto_error=False, description=_BROWSER)),
)
"""For the OpenAPI document only: ``permitted`` decides."""


async def _known(request: Request) -> Principal:
    """``present``, in a thread only if the database is to be asked."""
    if authority(request).remembers(request):
        return present(request)
    return await run_in_threadpool(present, request)


Known = Annotated[Principal, Depends(_known)]
"""A principal, whatever they may do: strangers do not learn what there is."""


async def _reading(request: Request, _who: Known) -> Principal:
    return permitted(request, "read")


async def _writing(request: Request, _who: Known) -> Principal:
    return permitted(request, "write")


Reader = Annotated[Principal, Depends(_reading)]
"""A principal that may read."""

Writer = Annotated[Principal, Depends(_writing)]
"""A principal that may change."""

DOCUMENTED = list(_SCHEMES)
"""Put these into ``dependencies`` of a router that asks for a principal."""


def _digest(about: str) -> str:
    return hashlib.sha256(about.encode()).hexdigest()


def _bearer(request: HTTPConnection) -> str | None:
    """The key that a program shows, if it shows one; it goes before a browser's cookie."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client else "unknown"


def _check_local(request: HTTPConnection) -> None:
    """Refuse all but this machine, by address and by name (DNS rebinding)."""
    name = _place(f"//{request.headers.get('host', '')}")[1]
    if not (is_loopback(_address(request)) and name in _LOCAL_NAMES):
        raise HTTPException(
            403, "without an API key only this machine is answered; make one: tuner keys create"
        )


@lru_cache(maxsize=1000)
def _place(url: str) -> tuple[str, str]:
    """Host and port as they are written, and the host alone; both empty if it is no address."""
    try:
        parts = urlsplit(url)
        return parts.netloc, parts.hostname or ""
    except ValueError:  # such as "//["
        return "", ""


@lru_cache(maxsize=1000)
def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
