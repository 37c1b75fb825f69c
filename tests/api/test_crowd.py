"""A little of what ``crowd.py`` measures: everything is answered, and nobody misses an event."""

from pathlib import Path

import pytest

from tests.api.crowd import Crowd
from tests.api.waits import table


@pytest.mark.slow
def test_people_are_answered_while_large_things_are_done_and_a_crowd_looks_on(
    database: str, tmp_path: Path
):
    sizes = {"filled": 100, "cancelled": 60, "reported": 40, "onlookers": 5, "silent": 10}
    crowd = Crowd(database, **sizes, rate=4.0, quiet=1.0)
    answers = crowd.run(tmp_path)
    assert crowd.wrong == []
    assert {answer.kind for answer in answers} >= {"page: all", "list", "submit", "dashboard"}
    assert [phase.name for phase in crowd.phases][2:] == [
        "filling 100",
        "cancelling 60",
        "report of 40",
        "sheet of 40",
    ]
    assert "cancelling 60: " in table(crowd.phases, answers)
    assert "5 listeners heard" in crowd.looked_on
