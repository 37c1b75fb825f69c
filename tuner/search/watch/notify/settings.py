"""Where people are told: whoever runs the server says so in its environment, nobody else."""

import base64
import binascii
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from tuner.errors import InvalidInput

STALL_SECONDS = 3600.0
_LEAST_SECRET = 16


@dataclass(frozen=True)
class WebhookSettings:
    """Where notices are posted.

    Args:
        url: ``TUNER_WEBHOOK_URL``; https, or http on this machine.
        secret: ``TUNER_WEBHOOK_SECRET``, in bytes: signs them.
    """

    url: str = field(repr=False)
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class MailSettings:
    """How notices are mailed.

    Args:
        host: Of the SMTP server; this and the next four are ``TUNER_SMTP_URL``.
        port: Its port.
        tls: Whether it speaks TLS from the first byte on (smtps); else it is asked to (STARTTLS),
            unless it is on this machine.
        user: Whom to log in as, or nobody.
        password: Theirs.
        sender: ``TUNER_MAIL_FROM``.
        recipients: ``TUNER_MAIL_TO``, separated by commas.
    """

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class NotifySettings:
    """Where people are told, and of what.

    Args:
        webhook: Where notices are posted, if anywhere.
        mail: How they are mailed, if they are.
        stall_seconds: ``TUNER_STALL_SECONDS``: a comparison has stalled once no trial of it ended
            for so long.
        public_url: ``TUNER_PUBLIC_URL``: where people see this server's pages; notices link there.
    """

    webhook: WebhookSettings | None = None
    mail: MailSettings | None = None
    stall_seconds: float = STALL_SECONDS
    public_url: str = ""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the ways in which people are told."""
        known = {"webhook": self.webhook, "mail": self.mail}
        return tuple(name for name, settings in known.items() if settings is not None)


def from_environment(environment: Mapping[str, str] = os.environ) -> NotifySettings:
    """What the environment says.

    Raises:
        InvalidInput: If a value is malformed, or one of those that belong together is missing.
    """
    return NotifySettings(
        webhook=_webhook(environment),
        mail=_mail(environment),
        stall_seconds=_stall_seconds(environment),
        public_url=_public_url(environment),
    )


def _webhook(environment: Mapping[str, str]) -> WebhookSettings | None:
    url = environment.get("TUNER_WEBHOOK_URL", "")
    if not url:
        return None
    parts = _address("TUNER_WEBHOOK_URL", url, ("https", "http"))
    if parts.scheme == "http" and not on_this_machine(parts.hostname or ""):
        raise InvalidInput("TUNER_WEBHOOK_URL: must begin with https:// (http only on localhost)")
    secret = environment.get("TUNER_WEBHOOK_SECRET", "")
    if len(secret) < _LEAST_SECRET:
        raise InvalidInput(
            f"TUNER_WEBHOOK_SECRET: must have at least {_LEAST_SECRET} characters; the receiver "
            "checks the signature with it"
        )
    return WebhookSettings(url, _key(secret))


def _key(secret: str) -> bytes:
    """The secret's bytes: what follows ``whsec_`` is base64, as in Standard Webhooks."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise InvalidInput("TUNER_WEBHOOK_SECRET: must be base64 after whsec_") from error


def _mail(environment: Mapping[str, str]) -> MailSettings | None:
    url = environment.get("TUNER_SMTP_URL", "")
    if not url:
        return None
    parts = _address("TUNER_SMTP_URL", url, ("smtp", "smtps"))
    sender = environment.get("TUNER_MAIL_FROM", "").strip()
    listed = (each.strip() for each in environment.get("TUNER_MAIL_TO", "").split(","))
    recipients = tuple(filter(None, listed))
    for variable, addresses in (("TUNER_MAIL_FROM", (sender,)), ("TUNER_MAIL_TO", recipients)):
        if not addresses or not all(map(_is_mailbox, addresses)):
            raise InvalidInput(
                f"{variable}: must be {'an address' if sender in addresses else 'addresses'} such "
                "as me@example.org where TUNER_SMTP_URL is set"
            )
    tls = parts.scheme == "smtps"
    return MailSettings(
        host=parts.hostname or "",
        port=parts.port or (465 if tls else 587),
        tls=tls,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        sender=sender,
        recipients=recipients,
    )


def _is_mailbox(address: str) -> bool:
    name, _, host = address.rpartition("@")
    return bool(name and host) and address.isprintable() and " " not in address


def _stall_seconds(environment: Mapping[str, str]) -> float:
    text = environment.get("TUNER_STALL_SECONDS", "") or f"{STALL_SECONDS:.0f}"
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InvalidInput(f"TUNER_STALL_SECONDS: must be whole seconds, 1 or more, got {text!r}")
    return float(text)


def _public_url(environment: Mapping[str, str]) -> str:
    url = environment.get("TUNER_PUBLIC_URL", "").rstrip("/")
    if url:
        _address("TUNER_PUBLIC_URL", url, ("https", "http"))
    return url


def _address(variable: str, url: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of an address; it is not shown in errors, for it may hold a password."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port that is no number
        sound = False
    if not sound or not url.isprintable() or " " in url:
        known = " or ".join(f"{scheme}://HOST" for scheme in schemes)
        raise InvalidInput(f"{variable}: must be an address such as {known}")
    return parts


def on_this_machine(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
