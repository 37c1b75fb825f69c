"""Bodies of JSON that cannot be meant are refused before anybody looks at what they say.

A key that occurs twice: which of the two was meant? More values than any declaration has: each is
looked at, and meanwhile nobody else is answered. Lists in lists without end: nothing reads them.
"""

import json
import re
from collections import Counter
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException

from tuner.search.declared.files import shown

MOST_VALUES = 10_000
"""A comparison of 50 arms, each with a space of its own, has a fifth of that."""

MOST_LEVELS = 100
"""A comparison has lists and objects in each other on seven levels."""

_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class StrictRequest(Request):
    """A request whose JSON has every key once."""

    async def json(self) -> Any:  # Any: any JSON value
        """The body's value.

        Raises:
            HTTPException: 422 if a key occurs twice in one object, or there are too many values
                or levels of them.
            json.JSONDecodeError: If the body is no JSON.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            if body.count(b",") > MOST_VALUES:
                raise HTTPException(
                    422, f"body: must have at most {MOST_VALUES} keys and values, got more"
                )
            _refuse_depth(body)
            self._json = json.loads(body, object_pairs_hook=_each_once)
        return self._json


def strict(request: Request) -> StrictRequest:
    """The request, strict from here on; its body may have been read only if it was so before."""
    if isinstance(request, StrictRequest):
        return request
    return StrictRequest(request.scope, request.receive)


def _refuse_depth(body: bytes) -> None:
    levels = 0
    for found in _BRACKET.finditer(body):
        if found[0] in b"[{":
            levels += 1
        elif found[0] in b"]}":
            levels -= 1
        if levels > MOST_LEVELS:
            raise HTTPException(
                422,
                f"body: is nested too deeply; lists and objects must lie in each other on at most "
                f"{MOST_LEVELS} levels",
            )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: any JSON value
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise HTTPException(
            422, f"body: the key {shown(twice)} occurs twice in one object; give it once"
        )
    return found
