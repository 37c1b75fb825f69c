"""Posting a notice, signed as Standard Webhooks has it (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
import time
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError, URLError

from tuner import __version__
from tuner.search.watch.notify.settings import WebhookSettings

SECONDS = 10.0
"""So long an answer is waited for."""


class NotDelivered(Exception):
    """A notice did not arrive, and why."""


def post(settings: WebhookSettings, notice_id: str, content: str) -> None:
    """Post a notice; any answer of the 200s says that it arrived.

    Raises:
        NotDelivered: If there is no such answer. Redirections are not followed: what was signed
            for one address goes to no other.
    """
    now = int(time.time())
    request = urllib.request.Request(
        settings.url,
        content.encode(),
        {
            "Content-Type": "application/json",
            "User-Agent": f"bnn-tuner/{__version__}",
            "webhook-id": notice_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(settings.secret, notice_id, now, content),
        },
        method="POST",
    )
    try:
        with _opener.open(request, timeout=SECONDS):
            return
    except HTTPError as error:
        with error:
            raise NotDelivered(f"the webhook answered {error.code}") from error
    except (URLError, HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise NotDelivered(f"the webhook did not answer: {reason}") from error


def signature(secret: bytes, notice_id: str, timestamp: int, content: str) -> str:
    """``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.content``."""
    signed = f"{notice_id}.{timestamp}.{content}".encode()
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Lets an answer that leads elsewhere be the error that it is here."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Nothing: it is not followed."""
        del req, fp, code, msg, headers, newurl


_opener = urllib.request.build_opener(_NoRedirects)
