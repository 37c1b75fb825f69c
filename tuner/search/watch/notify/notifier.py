"""Noting occasions and sending notices, from a thread of a server."""

import json
import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.search.database.patience import in_a_line
from tuner.search.database.store import Store
from tuner.search.watch.notify import mail, webhook
from tuner.search.watch.notify.occasions import content, note_occasions, sample_occasion
from tuner.search.watch.notify.outbox import note_failed, note_sent, take
from tuner.search.watch.notify.settings import NotifySettings
from tuner.search.watch.notify.webhook import NotDelivered

_log = logging.getLogger(__name__)


@contextmanager
def notified(
    store: Store, settings: NotifySettings, *, every_seconds: float = 5.0
) -> Iterator[None]:
    """Tell people what happens, as long as the block lasts; nothing where no way is set."""
    if not settings.channels:
        yield
        return
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(every_seconds):
            try:
                note_occasions(store, settings)
                send_due(store, settings, ended)
            except (DBAPIError, StorageInternalError) as error:
                _log.warning("nobody is told what happens: %s", in_a_line(error))
            except Exception:  # one comparison that cannot be read is not to silence the others
                _log.exception("nobody is told what happens")

    thread = threading.Thread(target=tell, name="notifier", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def send_due(store: Store, settings: NotifySettings, ended: threading.Event) -> None:
    """Send the notices that are due, one after another, until told to end."""
    while not ended.is_set() and (notice := take(store)) is not None:
        try:
            deliver(settings, notice.channel, notice.id, notice.content)
        except NotDelivered as error:
            again = note_failed(store, notice, str(error))
            _log.warning(
                "notice %s was not delivered: %s; %s",
                notice.id,
                error,
                "it is tried again" if again else "it is given up",
            )
        else:
            note_sent(store, notice)


def deliver(settings: NotifySettings, channel: str, notice_id: str, text: str) -> None:
    """Send a notice on its way.

    Raises:
        NotDelivered: If it did not arrive, or this server does not have that way of telling.
    """
    if channel == "webhook" and settings.webhook is not None:
        webhook.post(settings.webhook, notice_id, text)
    elif channel == "mail" and settings.mail is not None:
        mail.send(settings.mail, notice_id, text)
    else:
        raise NotDelivered(f"this server has no settings for {channel}")


def send_sample(settings: NotifySettings) -> dict[str, str]:
    """Send a notice that says it is a test; returns channel -> why it failed, or nothing."""
    outcomes = {}
    for channel in settings.channels:
        notice_id = secrets.token_hex(16)
        text = json.dumps(content(notice_id, sample_occasion(), settings.public_url))
        try:
            deliver(settings, channel, notice_id, text)
            outcomes[channel] = ""
        except NotDelivered as error:
            outcomes[channel] = str(error)
    return outcomes
