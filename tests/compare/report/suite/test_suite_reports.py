"""A suite on the terminal, as JSON, as a page."""

import json
from io import StringIO
from xml.etree import ElementTree

import pytest
from made_suites import FIVE, MISSES, suite
from rich.console import Console

from tuner.compare.figures.suite.registry import SUITE_FIGURES, saved, svg
from tuner.compare.report.suite.data import suite_to_json
from tuner.compare.report.suite.html import suite_to_html
from tuner.compare.report.suite.terminal import print_suite


def test_the_json_has_misses_as_null_and_says_so():
    document = json.loads(json.dumps(suite_to_json(suite(MISSES)), allow_nan=False))
    four = next(each for each in document["workloads"] if each["comparison"] == "four")
    assert four["arms"]["old"] == {
        "n": 40,
        "hits": 0,
        "trials_to_target": None,
        "ratio": None,
        "missed": True,
    }
    assert four["speedups"]["trials"]["value"] is None
    assert document["pooled"]["trials"]["missed_by_old"] == 1
    assert document["pooled"]["trials"]["left_out"] == 1
    assert document["answer"]["winner"] in (None, "new")
    assert document["profiles"]["old"][-1]["share"]["value"] == pytest.approx(4 / 6)
    assert set(document["without"]) == set(MISSES)


def test_the_page_stands_alone_and_leads_with_the_answer():
    page = suite_to_html(suite(MISSES, missing=("seven",)), {"Command": "tuner suite made"})
    assert page.index("<h1>Interim, over 6 workloads") < page.index("<svg")
    assert "Nothing came out yet of seven." in page
    assert page.count("<svg") == len(SUITE_FIGURES)
    assert "missed (0/40)" in page and "tuner suite made" in page
    assert "http" not in page and "<script" not in page


def test_the_terminal_prints_tables_and_ends_with_the_answer():
    console = Console(file=StringIO(), width=160)
    print_suite(suite(FIVE), console)
    text = console.file.getvalue()
    assert "2.0 (20/40)" in text
    assert "trials, all but two" in text
    assert text.rindex("fewest trials") < text.index("OVER 5 WORKLOADS: NEW NEEDS FEWER TRIALS")


@pytest.mark.parametrize("name", SUITE_FIGURES)
@pytest.mark.parametrize("hits", [FIVE, MISSES, {"a": (0, 0, 0), "b": (40, 40, 40)}])
def test_every_figure_is_drawn_whatever_is_missed(name, hits):
    made = suite(hits)
    ElementTree.fromstring(svg(name, made).replace("xlink:href", "href"))
    assert saved(name, made, "png").startswith(b"\x89PNG")
    caption = SUITE_FIGURES[name].caption(made)
    assert caption.endswith(".")
    assert ("An arrow" in caption) == (name == "forest" and hits is MISSES)
