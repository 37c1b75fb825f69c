"""Mailing a notice by SMTP."""

import json
import smtplib
import ssl
from email.message import EmailMessage

from tuner.search.watch.notify.settings import MailSettings, on_this_machine
from tuner.search.watch.notify.webhook import NotDelivered

_SECONDS = 30.0


def send(settings: MailSettings, notice_id: str, content: str) -> None:
    """Mail a notice to all recipients.

    Raises:
        NotDelivered: If the server does not take it.
    """
    try:
        with _connected(settings) as server:
            if settings.user:
                server.login(settings.user, settings.password)
            server.send_message(letter(settings, notice_id, content))
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"the mail server did not take it: {error}") from error


def letter(settings: MailSettings, notice_id: str, content: str) -> EmailMessage:
    """The notice as a message; its id is the notice's, so that a second copy is known for one."""
    said = json.loads(content)["data"]
    message = EmailMessage()
    message["Subject"] = f"[bnn-tuner] {said['comparison']}: {json.loads(content)['type']}"
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Message-ID"] = f"<{notice_id}@bnn-tuner.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [said["message"], *([said["url"]] if said["url"] else [])]
    message.set_content("\n\n".join(lines) + "\n")
    return message


def _connected(settings: MailSettings) -> smtplib.SMTP:
    """The server, over TLS unless it is on this machine and has none."""
    context = ssl.create_default_context()
    if settings.tls:
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=_SECONDS, context=context)
    server = smtplib.SMTP(settings.host, settings.port, timeout=_SECONDS)
    try:
        server.ehlo()
        if server.has_extn("starttls") or not on_this_machine(settings.host):
            server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server
