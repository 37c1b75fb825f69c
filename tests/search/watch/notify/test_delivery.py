"""Notices on their way: signed, posted, mailed; and what counts as delivered."""

import base64
import hashlib
import hmac
import json
from email import message_from_string
from typing import Any

import pytest
from receivers import mail as mail_server
from receivers import web

from tests.documents import ROOT, steps
from tuner.search.watch.notify import mail, webhook
from tuner.search.watch.notify.notifier import send_sample
from tuner.search.watch.notify.settings import MailSettings, NotifySettings, WebhookSettings
from tuner.search.watch.notify.webhook import NotDelivered

SECRET = b"a secret of theirs"
CONTENT = json.dumps(
    {
        "type": "comparison.ended",
        "data": {"comparison": "small", "message": "small is complete", "url": "https://t/x"},
    }
)


def mailing(port: int) -> MailSettings:
    return MailSettings(
        "127.0.0.1", port, False, "", "", "me@a.example", ("you@b.example", "they@c.example")
    )


def test_a_notice_is_posted_once_with_its_id_and_a_signature_that_can_be_checked():
    with web() as (url, received):
        webhook.post(WebhookSettings(url, SECRET), "n1", CONTENT)
    ((headers, body),) = received
    assert body.decode() == CONTENT
    assert headers["content-type"] == "application/json"
    signed = f"n1.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == "n1"


def test_the_signature_is_that_of_standard_webhooks():
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # the example of its own libraries
    made = webhook.signature(
        key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_documents_checks_a_signature():
    page = ROOT / "docs" / "service.md"
    (program,) = (s.text for s in steps(page) if s.kind == "python" and "is_genuine" in s.text)
    names: dict[str, Any] = {}
    exec(compile(program, page.name, "exec"), names)
    with web() as (url, received):
        webhook.post(WebhookSettings(url, SECRET), "n1", CONTENT)
    ((headers, body),) = received
    genuine = names["is_genuine"]
    assert genuine(headers, body, SECRET)
    assert not genuine(headers, body + b" ", SECRET)
    assert not genuine(headers, body, SECRET + b"x")
    for name, value in (("webhook-id", "n2"), ("webhook-timestamp", "1614265330")):
        assert not genuine({**headers, name: value}, body, SECRET)


@pytest.mark.parametrize("status", [302, 307, 400, 410, 500, 503])
def test_any_other_answer_is_no_delivery_and_redirections_are_not_followed(status: int):
    with web(status) as (url, received):
        with pytest.raises(NotDelivered, match=f"the webhook answered {status}"):
            webhook.post(WebhookSettings(url, SECRET), "n1", CONTENT)
        assert len(received) == 1


def test_nobody_there_is_no_delivery():
    with web() as (url, _):
        pass
    with pytest.raises(NotDelivered, match=r"the webhook did not answer: .*refused"):
        webhook.post(WebhookSettings(url, SECRET), "n1", CONTENT)
    with pytest.raises(NotDelivered, match="the mail server did not take it"):
        mail.send(mailing(int(url.split(":")[2].split("/")[0])), "n1", CONTENT)


def test_a_notice_is_mailed_to_everybody_under_its_id():
    with mail_server() as (port, messages):
        mail.send(mailing(port), "n1", CONTENT)
    (text,) = messages
    message = message_from_string(text)
    assert message["Subject"] == "[bnn-tuner] small: comparison.ended"
    assert (message["From"], message["To"]) == ("me@a.example", "you@b.example, they@c.example")
    assert message["Message-ID"] == "<n1@bnn-tuner.invalid>"
    assert message.get_payload().strip() == "small is complete\n\nhttps://t/x"


def test_mail_that_is_refused_is_no_delivery():
    with mail_server(takes=False) as (port, messages):
        with pytest.raises(NotDelivered, match="the mail server did not take it"):
            mail.send(mailing(port), "n1", CONTENT)
        assert not messages


def test_a_test_goes_every_way_and_says_which_fails():
    with web(500) as (url, received), mail_server() as (port, messages):
        settings = NotifySettings(
            WebhookSettings(url, SECRET), mailing(port), public_url="https://t"
        )
        outcomes = send_sample(settings)
    assert outcomes == {"webhook": "the webhook answered 500", "mail": ""}
    assert len(received) == len(messages) == 1
    assert json.loads(received[0][1])["type"] == "comparison.test"
