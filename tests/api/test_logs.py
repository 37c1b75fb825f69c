"""Log lines: for people, for machines, and never more than one for what was one."""

import json
import logging

import pytest

from tuner.logs import configure, request_id


def log(capsys: pytest.CaptureFixture[str], style: str) -> str:
    configure(style)
    token = request_id.set("abc")
    try:
        more = {"study": "digits/filter", "trial": 7, "path": "/a\nERROR forged"}
        logging.getLogger("tuner.test").warning("trials %s raised", [7], extra=more)
        return capsys.readouterr().err
    finally:
        request_id.reset(token)


def test_a_line_for_machines_is_one_json_object_with_its_fields(capsys):
    line = json.loads(log(capsys, "json"))
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"]) == ("warning", "tuner.test")
    assert line["message"] == "trials [7] raised"
    assert (line["study"], line["trial"], line["request_id"]) == ("digits/filter", 7, "abc")
    assert line["path"] == "/a\nERROR forged"
    assert "worker" not in line


def test_a_line_for_people_cannot_be_forged(capsys):
    (line,) = log(capsys, "text").splitlines()
    assert "WARNING tuner.test: trials [7] raised study=digits/filter trial=7" in line
    assert "request_id=abc" in line


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_error_carries_its_traceback(capsys, style):
    configure(style)
    try:
        raise ValueError("out of luck")
    except ValueError:
        logging.getLogger("tuner.test").exception("it failed")
    shown = capsys.readouterr().err
    told = json.loads(shown)["traceback"] if style == "json" else shown
    assert "ValueError: out of luck" in told
    assert "Traceback" in told


def test_what_others_chat_about_is_left_out(capsys):
    configure()
    logging.getLogger("alembic").info("Context impl SQLiteImpl")
    logging.getLogger("tuner.test").debug("too much")
    assert capsys.readouterr().err == ""
