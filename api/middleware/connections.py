"""Connections that no client can keep for nothing: an HTTP protocol of uvicorn's with limits.

uvicorn waits for a request for ever, its time for idle connections begins anew with every byte,
and it keeps a request's head at any length. Here a request has a deadline for its head, and a
connection that is still being written to without anybody reading it ends too. Where there are as
many connections as may be, the one that waits longest for its client makes room: so silent ones
never keep others out. What a request's body may take, in time and size, is ``RequestLimit``'s.
"""

import asyncio
import logging
import resource
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Self

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from tuner.api.problems import problem
from tuner.logs import request_id

MAX_HEAD_BYTES = 65_536
"""Most bytes of a request's first line and headers together."""

_OTHER_FILES = 256
"""Files that a process has open beside its connections: databases, modules, pipes."""

_LINGER_SECONDS = 2.0
"""So long a client that was refused may go on sending, so that it gets to read why."""

_MOST_AHEAD = 100
"""Requests that may be sent on a connection before the first of them is answered."""

_LOOK_SECONDS = 1.0
_log = logging.getLogger("api.access")


@dataclass(frozen=True)
class Limits:
    """What a server's connections may take.

    Args:
        most: Connections at once.
        request_seconds: Within which a request's head has to come, and what is sent has to be
            read.
    """

    most: int
    request_seconds: float

    @classmethod
    def possible(cls, most: int, request_seconds: float) -> Self:
        """These, with no more connections than the system has files for."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY:
            most = min(most, max(1, files - _OTHER_FILES))
        return cls(most, request_seconds)


class Connection(HttpToolsProtocol):
    """A connection with a deadline; its ``Limits`` are under ``limits`` in the lifespan's state.

    Those that may wait for their client are under ``idle`` there, the one that does so for longest
    first: who looks for it must not ask a thousand others.

    Args:
        config: As uvicorn has it.
        server_state: As uvicorn has it.
        app_state: What the application's lifespan yielded.
        _loop: As uvicorn has it.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # Any: as uvicorn has it
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits: Limits = app_state["limits"]
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._idle: OrderedDict[Connection, None] = app_state.setdefault("idle", OrderedDict())
        self._in_head = False
        self._refused = False
        self._head_bytes = 0

    @property
    def _answers(self) -> bool:
        """Whether a request is being answered, or waits for its body."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _waits(self) -> bool:
        """Whether nothing is to be done before the client sends more."""
        awaited = not self._answers or (self.cycle.more_body and not self.pipeline)
        return (
            awaited
            and not self.transport.is_closing()
            and not self.transport.get_write_buffer_size()
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or make room for it."""
        super().connection_made(transport)
        self._arm()
        if len(self.connections) > self._limits.most:
            longest = next((each for each in self._idle if each._waits), None)
            if longest is not None:
                longest._end()
            else:
                self._refuse(503, "the server has as many connections as it takes")
                return
        self._idle[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._disarm()
        self._idle.pop(self, None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is more of a head than may be."""
        if self._refused:
            return
        self._arm()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self._refused and self.parser is not None:
            self._refuse(431, f"a request's line and headers may have {MAX_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A request begins, unless too many wait for their turn."""
        if len(self.pipeline) >= _MOST_AHEAD:
            raise ValueError(f"more than {_MOST_AHEAD} requests wait for their turn")
        super().on_message_begin()
        self._in_head = True
        self._disarm()
        self._arm()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body is there; what else comes meanwhile is no body and has to end."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._head_bytes = 0
        self._disarm()
        super().on_message_complete()
        if self._answers:
            self._idle.pop(self, None)
        else:  # it was answered before it was there: uvicorn waits for ever now
            self._arm(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        """It is answered; the client has to read that."""
        self._idle.pop(self, None)
        self._idle[self] = None
        super().on_response_complete()
        if self.transport.is_closing():
            self._end()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, in uvicorn's words."""
        self._refuse(400, msg)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that was idle for long enough."""
        self._end()

    def pause_writing(self) -> None:
        """The client reads nothing: it is not waited for longer than for a request."""
        super().pause_writing()
        self._have_it_read()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _arm(self, seconds: float | None = None) -> None:
        """Give the client its time, unless it is running out already."""
        if self._deadline is None:
            seconds = self._limits.request_seconds if seconds is None else seconds
            self._deadline = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        """The client's time is up."""
        self._deadline = None
        if self._answers:  # what came before, or without its body: RequestLimit refuses that
            self._arm(_LOOK_SECONDS)
        elif self._in_head:
            seconds = f"{self._limits.request_seconds:g} seconds (TUNER_REQUEST_SECONDS)"
            self._refuse(408, f"a request's headers have to come within {seconds}")
        else:
            self._end()

    def _end(self) -> None:
        """Close the connection; a client that does not read the rest is not waited for."""
        self._idle.pop(self, None)
        if self._answers:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._have_it_read()

    def _have_it_read(self) -> None:
        """Give the client its time to read what was sent."""
        if self._unread is None:
            seconds = self._limits.request_seconds
            self._unread = self.loop.call_later(seconds, self.transport.abort)

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what the application never saw, and read no more of it."""
        self._refused = True
        self._disarm()
        if self.transport.is_closing():
            return
        if self.pipeline or (self._answers and self.cycle.response_started):
            self._end()
            return
        if self._answers:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._unset_keepalive_if_required()
        token = request_id.set(secrets.token_hex(8))
        answer = problem(status, detail, headers={"Connection": "close"})
        _log.info("refused", extra={"status": status})
        request_id.reset(token)
        head = [b"%s: %s\r\n" % header for header in answer.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *head, b"\r\n", answer.body]))
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self._end)
