"""The Idempotency-Key header: a POST that is repeated is carried out once."""

import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from tuner.api.auth import permitted
from tuner.api.middleware.json_body import strict
from tuner.api.threads import InThread, in_lane
from tuner.errors import InvalidInput
from tuner.search.database import requests
from tuner.search.database.store import Store

HEADER = "Idempotency-Key"
_FORM = re.compile(r"[!-~]{1,200}")
_KEPT = ("content-type", "etag", "location")


class Idempotent(InThread):
    """A route whose POSTs may be repeated: the same key gets the same answer.

    The same key with another request is refused (422), and so is one that is being carried out
    (409, with Retry-After), however long that takes. A request that was refused may be made again
    with its key.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own, once for each key."""
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method != "POST":
                return await handle(request)
            if not _FORM.fullmatch(key):
                raise InvalidInput(
                    f"{HEADER}: must be 1 to 200 printable ASCII characters without blanks"
                )
            request = strict(request)  # its body is read here already
            who = await run_in_threadpool(permitted, request, "write")
            store: Store = request.app.state.store
            where = request.url.path.encode(), request.scope["query_string"]
            asked = b"\0".join([*where, await request.body()])
            digest = hashlib.sha256(asked).hexdigest()
            known = await in_lane("writes", requests.begin, store, who.id, key, digest)
            if known is not None:
                return Response(known.body, known.status, dict(known.headers))
            answer = None
            try:
                with requests.carried_out(store, who.id, key):
                    response = await handle(request)
                if response.status_code < 500:
                    answer = _answer(response)
            finally:
                await in_lane("writes", requests.end, store, who.id, key, answer)
            return response

        return once


def _answer(response: Response) -> requests.Answer:
    headers = Headers(raw=response.raw_headers)
    kept = {name: headers[name] for name in _KEPT if name in headers}
    return requests.Answer(response.status_code, kept, bytes(response.body).decode())
