"""Plain reads, answered without what a framework does for those that are not.

FastAPI looks for a route in every router that lies in another, and asks anew for each request what
the route's arguments are: with a dozen of them that takes longer than all else. A read is plain
where its path is as it must be and nothing is asked after a question mark; its arguments are known
beforehand but for the path's. All other requests go on to the routes themselves, and plain ones
get the same answer from them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Self

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Receive, Scope, Send

_TAKEN = "tuner.short_way"
_JSON = (b"content-type", b"application/json")


@dataclass(frozen=True)
class _Step:
    """A function that a route needs the answer of, or the route's own.

    Args:
        call: The function, a coroutine's.
        first: What is called before it: the argument that its answer is, if any, and the step.
        fixed: Arguments that are the same for all plain requests.
        of_path: Arguments that the path gives.
        request: The argument that is the request, if one is.
        response: The argument that is the answer's headers, if one is.
    """

    call: Callable[..., Any]  # Any: whatever a route needs
    first: tuple[tuple[str | None, "_Step"], ...]
    fixed: Mapping[str, Any]
    of_path: tuple[str, ...]
    request: str | None
    response: str | None

    @classmethod
    def of(cls, dependant: Dependant) -> Self | None:
        """The step that FastAPI knows so; None where it is more than this way knows."""
        first = [(each.name, cls.of(each)) for each in dependant.dependencies]
        others = (*dependant.header_params, *dependant.cookie_params, *dependant.body_params)
        needed = any(field.field_info.is_required() for field in dependant.query_params)
        if others or needed or not iscoroutinefunction(dependant.call):
            return None
        known = tuple((name, step) for name, step in first if step is not None)
        if len(known) < len(first):
            return None
        return cls(
            dependant.call,
            known,
            {field.name: field.field_info.get_default() for field in dependant.query_params},
            tuple(field.name for field in dependant.path_params),
            dependant.request_param_name,
            dependant.response_param_name,
        )

    async def take(
        self,
        given: Mapping[str, Any],
        request: Request,
        response: Response,
        answers: dict[Callable[..., Any], Any],
    ) -> Any:  # Any: whatever the function returns
        """What the function answers; each is called once for a request."""
        arguments = {name: given[name] for name in self.of_path}
        arguments.update(self.fixed)
        for name, step in self.first:
            if step.call not in answers:
                answers[step.call] = await step.take(given, request, response, answers)
            if name is not None:
                arguments[name] = answers[step.call]
        if self.request is not None:
            arguments[self.request] = request
        if self.response is not None:
            arguments[self.response] = response
        return await self.call(**arguments)


class _Way:
    """A route, and how it is taken by plain reads.

    Args:
        prefix: What its path is under.
        route: The route.
    """

    def __init__(self, prefix: str, route: APIRoute) -> None:
        self.route = route
        self.pattern, _, _ = compile_path(prefix + route.path)
        self.step = _Step.of(route.dependant) if route.response_model else None
        self._fields = {field.name: field for field in _of_path(route.dependant)}

    def given(self, written: Mapping[str, str]) -> dict[str, Any] | None:  # Any: as declared
        """The arguments that the path gives; None if one is not as it must be."""
        arguments = {}
        for name, text in written.items():
            arguments[name], errors = self._fields[name].validate(text)
            if errors:
                return None
        return arguments


def _of_path(dependant: Dependant) -> Iterable[Any]:  # Any: fields of FastAPI's own
    yield from dependant.path_params
    for each in dependant.dependencies:
        yield from _of_path(each)


class ShortWay(BaseRoute):
    """A route that answers plain reads of others; to be put before them.

    Args:
        prefix: What their paths are under.
        routers: Where the others are, in their order.
    """

    def __init__(self, prefix: str, routers: Iterable[APIRouter]) -> None:
        self._ways = [
            _Way(prefix, route)
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute) and "GET" in (route.methods or ())
        ]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether it answers this."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return Match.NONE, {}
        if scope.get("query_string") or scope.get("root_path"):
            return Match.NONE, {}
        for way in self._ways:
            if match := way.pattern.match(scope["path"]):
                written = match.groupdict()
                given = way.given(written) if way.step is not None else None
                if given is None:
                    break
                return Match.FULL, {
                    "route": way.route,
                    "endpoint": way.route.endpoint,
                    "path_params": written,
                    _TAKEN: (way.step, given),
                }
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that it answers."""
        step, given = scope[_TAKEN]
        response = Response()
        answer = await step.take(given, Request(scope, receive), response, {})
        if isinstance(answer, BaseModel):
            body = answer.model_dump_json(by_alias=True).encode()
            length = (b"content-length", str(len(body)).encode())
            more = [header for header in response.raw_headers if header[0] != length[0]]
            start = {"type": "http.response.start", "status": 200}
            await send({**start, "headers": [length, _JSON, *more]})
            await send({"type": "http.response.body", "body": body})
        else:
            await answer(scope, receive, send)
