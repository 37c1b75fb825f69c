"""Where people are told: what the environment may say, and what it may not."""

import base64

import pytest

from tuner.errors import InvalidInput
from tuner.search.watch.notify.settings import NotifySettings, from_environment

HOOK = {"TUNER_WEBHOOK_URL": "https://a.example/x", "TUNER_WEBHOOK_SECRET": "0123456789abcdef"}
MAIL = {
    "TUNER_SMTP_URL": "smtps://me%40x:p%3Aw@mail.example",
    "TUNER_MAIL_FROM": "me@a.example",
    "TUNER_MAIL_TO": "you@b.example, they@c.example",
}


def test_without_any_variable_nobody_is_told():
    assert from_environment({}) == NotifySettings()
    assert from_environment({}).channels == ()


def test_a_webhook_and_mail_are_read():
    read = from_environment(
        {**HOOK, **MAIL, "TUNER_STALL_SECONDS": "60", "TUNER_PUBLIC_URL": "https://t.example/"}
    )
    assert read.channels == ("webhook", "mail")
    assert (read.stall_seconds, read.public_url) == (60.0, "https://t.example")
    assert read.webhook is not None and read.webhook.secret == b"0123456789abcdef"
    mail = read.mail
    assert mail is not None
    assert (mail.host, mail.port, mail.tls) == ("mail.example", 465, True)
    assert (mail.user, mail.password) == ("me@x", "p:w")
    assert mail.recipients == ("you@b.example", "they@c.example")
    assert "p:w" not in repr(read) and "0123456789abcdef" not in repr(read)
    assert "a.example/x" not in repr(read)  # such an address is often a secret


def test_a_secret_of_standard_webhooks_is_base64():
    secret = "whsec_" + base64.b64encode(b"twenty-four bytes of it!").decode()
    read = from_environment({**HOOK, "TUNER_WEBHOOK_SECRET": secret})
    assert read.webhook is not None and read.webhook.secret == b"twenty-four bytes of it!"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"TUNER_WEBHOOK_URL": "http://a.example/x"}, "must begin with https://"),
        ({"TUNER_WEBHOOK_URL": "ftp://a.example"}, "TUNER_WEBHOOK_URL: must be an address"),
        ({"TUNER_WEBHOOK_URL": "https://"}, "TUNER_WEBHOOK_URL: must be an address"),
        ({"TUNER_WEBHOOK_URL": "https://a.example:x/"}, "TUNER_WEBHOOK_URL: must be an address"),
        ({"TUNER_WEBHOOK_URL": "https://a.example/\nX: y"}, "TUNER_WEBHOOK_URL: must be an"),
        ({"TUNER_WEBHOOK_SECRET": "short"}, "TUNER_WEBHOOK_SECRET: must have at least 16"),
        ({"TUNER_WEBHOOK_SECRET": ""}, "TUNER_WEBHOOK_SECRET: must have at least 16"),
        ({"TUNER_WEBHOOK_SECRET": "whsec_!!!!!!!!!!!!!"}, "must be base64 after whsec_"),
        (
            {"TUNER_SMTP_URL": "https://a.example"},
            "TUNER_SMTP_URL: must be an address such as smtp",
        ),
        ({"TUNER_MAIL_FROM": ""}, "TUNER_MAIL_FROM: must be an address"),
        ({"TUNER_MAIL_FROM": "me@x.example\nBcc: all@y.example"}, "TUNER_MAIL_FROM: must be an"),
        ({"TUNER_MAIL_TO": " , "}, "TUNER_MAIL_TO: must be"),
        ({"TUNER_MAIL_TO": "you@b.example, nobody"}, "TUNER_MAIL_TO: must be"),
        ({"TUNER_STALL_SECONDS": "0"}, "TUNER_STALL_SECONDS: must be whole seconds"),
        ({"TUNER_STALL_SECONDS": "nan"}, "TUNER_STALL_SECONDS: must be whole seconds"),
        ({"TUNER_PUBLIC_URL": "javascript:alert(1)"}, "TUNER_PUBLIC_URL: must be an address"),
    ],
)
def test_what_is_malformed_or_missing_is_refused_by_the_name_of_its_variable(
    given: dict[str, str], words: str
):
    with pytest.raises(InvalidInput, match=words):
        from_environment({**HOOK, **MAIL, **given})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_webhook_on_this_machine_needs_no_tls(host: str):
    read = from_environment({**HOOK, "TUNER_WEBHOOK_URL": f"http://{host}:9/x"})
    assert read.webhook is not None
