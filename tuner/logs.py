"""Log lines for people, or as JSON objects for machines; the same for server and workers."""

import json
import logging
import sys
import time
from contextvars import ContextVar
from enum import StrEnum

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that this code runs for, if any."""

_FIELDS = ("study", "trial", "worker", "method", "path", "status", "seconds")
"""What a log call may give as ``extra``."""


class LogFormat(StrEnum):
    """How log lines look."""

    text = "text"
    json = "json"


def configure(style: str = LogFormat.text, *, level: int = logging.INFO) -> None:
    """Send all log lines of this process to standard error.

    Args:
        style: A ``LogFormat``.
        level: The least level shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == LogFormat.json else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for quiet in ("alembic", "optuna", "sqlalchemy", "urllib3", "a2wsgi", "matplotlib"):
        logging.getLogger(quiet).setLevel(logging.WARNING)


def fields(record: logging.LogRecord) -> dict[str, object]:
    """What the log call gave beside its message, and the request it was for."""
    found = {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
    if current := request_id.get():
        found["request_id"] = current
    return found


class _Text(logging.Formatter):
    """As in 2026-01-31 12:00:00+0100 WARNING tuner.search.work.worker: message study=a/b."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        when = time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(record.created))
        more = "".join(f" {name}={_word(value)}" for name, value in fields(record).items())
        line = f"{when} {record.levelname} {record.name}: {record.getMessage()}{more}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _word(value: object) -> str:
    """The value without anything that could end the line and forge another."""
    text = str(value)
    return text if text.isprintable() else repr(text)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        found = {
            "time": f"{when}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found, default=str)
