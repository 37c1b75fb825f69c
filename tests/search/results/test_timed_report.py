"""The script that times whole reports makes whole ones."""

import json
import re

import pytest
from timed_report import make, report


@pytest.mark.slow
def test_the_report_that_is_timed_has_fresh_runs_and_what_they_hit(tmp_path):
    database = f"sqlite:///{tmp_path}/big.db"
    make(database, 180)
    assert re.fullmatch(
        r"[\d.]+ s, [\d.]+ s of CPU, [\d,]+ MiB at most", report(database, tmp_path)
    )
    written = json.loads((tmp_path / "report.json").read_text("utf-8"))
    primary = written["contrasts"][0]
    assert primary["selected"]["other_images"] is not None
    assert primary["test_other_images"] is not None
    assert all(detail["redundancy"]["predictions"] for detail in written["details"])
    assert (tmp_path / "report.html").stat().st_size > 100_000
