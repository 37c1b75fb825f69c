import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tuner.compare import Arm, Comparison, Protocol, Retrained, compare
from tuner.compare.arm import SelectedRuns
from tuner.compare.figures.tuning_curves import draw
from tuner.compare.report.data import SCHEMA_VERSION, to_json
from tuner.compare.report.html import to_html
from tuner.compare.report.sheets import sheets
from tuner.compare.report.terminal import print_table

Make = Callable[..., Arm]


@pytest.fixture
def random_search(
    arm: Make, retrained: Callable[..., Retrained], selected: Callable[..., SelectedRuns]
) -> Comparison:
    rng = np.random.default_rng(0)
    arms = [
        arm(
            name,
            top - 0.1 * rng.random(200),
            retrained=retrained(top),
            selected=selected(top),
        )
        for name, top in (("filter", 0.97), ("magnitude", 0.93), ("magnitude_narrow", 0.94))
    ]
    protocol = Protocol(control="magnitude_narrow", target=0.96, declaration_hash="c0ffee")
    return compare(arms, protocol)


@pytest.fixture
def foreign(arm: Make) -> Comparison:
    """Minimized losses, turned round, of samplers unknown and unbounded; one study has a trial."""
    spans = {"<script>alert(1)</script>": "0 .. 1"}
    return compare(
        [
            arm("old", [-3.5, -1e3, -2.0], sampler="unknown", ranges=spans),
            arm("new", [-1.0], seconds=[np.nan]),
        ],
        Protocol(unit="negated loss"),
    )


@pytest.fixture(params=["random_search", "foreign"])
def comparison(request: pytest.FixtureRequest) -> Comparison:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Comparison)
    return found


def test_json_is_valid_and_complete(random_search: Comparison) -> None:
    told = json.loads(json.dumps(to_json(random_search), allow_nan=False))
    assert told["schema_version"] == SCHEMA_VERSION
    assert told["verdict"]["kind"] == "supported"
    assert told["verdict"]["heading"] == "Supported: filter ahead"
    assert told["protocol"]["declaration_hash"] == "c0ffee"
    assert [arm["name"] for arm in told["arms"]] == ["filter", "magnitude", "magnitude_narrow"]
    for point in told["arms"][0]["curve"]:
        assert set(point) == {"k", "value", "low", "high"}
    assert set(told["contrasts"][0]["best_of_k"]) == {"value", "low", "high"}
    assert len(told["arms"][0]["retrained"]["test_scores"]) == 10


def test_terminal_json_and_sheets_hold_what_incumbents_show_on_other_test_images(
    arm: Make, retrained: Callable[..., Retrained]
) -> None:
    rng = np.random.default_rng(0)
    arms = [
        arm(name, 0.9 * rng.random(60), retrained=replace(retrained(mean), hits=hits))
        for name, mean in (("new", 0.95), ("old", 0.93))
        for hits in [rng.random((10, 449)) < mean]
    ]
    found = compare(arms, Protocol())
    told, terminal, csv = to_json(found), StringIO(), sheets(found)["contrasts"]
    print_table(found, Console(file=terminal, width=100))
    for key, words in (("test", "mean"), ("test_typical", "median")):
        narrow, wide = (told["contrasts"][0][name] for name in (key, f"{key}_other_images"))
        assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]
        assert f"incumbents on other images, {words}" in terminal.getvalue()
        assert f",{wide['value']},{wide['low']},{wide['high']}," in csv


def test_json_writes_what_is_unknown_as_null(foreign: Comparison) -> None:
    told = json.loads(json.dumps(to_json(foreign), allow_nan=False))
    assert told["arms"][1]["seconds"] is None
    assert told["arms"][1]["curve"] == [{"k": 1, "value": -1.0, "low": None, "high": None}]
    assert told["arms"][0]["curve"] == []


class Page(HTMLParser):
    """What a page loads, and whether every tag that it opens it closes."""

    VOID = frozenset({"meta", "br", "wbr", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [
            value or "" for name, value in attrs if name.split(":")[-1] in {"href", "src"}
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.slow
def test_the_page_is_one_file_that_loads_nothing(comparison: Comparison) -> None:
    text = to_html(comparison)
    page = Page(text)
    assert page.open == []
    assert "svg" in page.seen
    assert not page.seen & {"script", "link", "img", "iframe"}
    assert all(link.startswith("#") for link in page.links)
    assert "http" not in text and "@import" not in text and "nan" not in text.lower().split()


@pytest.mark.slow
def test_the_page_says_the_verdict_first(random_search: Comparison) -> None:
    text = to_html(random_search, {"command": "tuner run digits"})
    assert text.index(": filter ahead</h1>") < text.index("<svg") < text.index("<h2>Arms")
    assert random_search.verdict.text in text
    assert "c0ffee" in text and "tuner run digits" in text


def test_the_page_escapes_names_that_others_chose(foreign: Comparison) -> None:
    assert "&lt;script&gt;alert(1)" in to_html(foreign)


def test_long_names_in_table_heads_break_after_an_underscore_only(arm: Make) -> None:
    arms = [arm(name, [0.5, 0.6, 0.7]) for name in ("magnitude_narrow", "a_<b>")]
    text = to_html(compare(arms, Protocol()))
    assert '<th scope="col">magnitude_<wbr>narrow</th>' in text
    assert '<th scope="col">a_<wbr>&lt;b&gt;</th>' in text
    heads = [line for line in text.splitlines() if line.startswith("<thead>")]
    assert heads and not any("magnitude_narrow" in head for head in heads)
    rules = [rule for rule in text.split("}") if "overflow-wrap: anywhere" in rule]
    assert [rule.split("{")[0].strip() for rule in rules] == ["code"]


@pytest.mark.slow
def test_the_same_comparison_gives_the_same_page(random_search: Comparison) -> None:
    assert to_html(random_search) == to_html(random_search)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_figure_is_saved(
    comparison: Comparison, tmp_path: Path, kind: str, magic: bytes
) -> None:
    path = tmp_path / f"curve.{kind}"
    draw(comparison).savefig(path)
    assert path.read_bytes().startswith(magic)


def test_the_figure_shows_test_scores_only_of_retrained_incumbents(
    random_search: Comparison, foreign: Comparison
) -> None:
    assert len(draw(random_search).axes) == 2
    assert len(draw(foreign).axes) == 1


def test_the_table_shows_arms_notes_and_verdict(comparison: Comparison) -> None:
    out = StringIO()
    print_table(comparison, Console(file=out, width=3000))
    text = out.getvalue()
    for arm in comparison.arms:
        assert arm.name in text
    for note in comparison.notes:
        assert note in text
    assert comparison.verdict.kind.upper() in text and comparison.verdict.text in text


def test_the_table_gives_figures_in_the_units_a_reader_knows(random_search: Comparison) -> None:
    out = StringIO()
    print_table(random_search, Console(file=out, width=200))
    text = out.getvalue()
    assert "97.00% [96.95, 97.05]" in text
    assert "expected best of 10 (k*)" in text
    assert "points (95% CI +" in text
    assert "at least " in text


def test_markup_in_a_name_is_printed_as_it_stands(arm: Make) -> None:
    out = StringIO()
    arms = [arm("[red]a[/red]", [0.5, 0.6]), arm("b[/]", [0.5, 0.6])]
    print_table(compare(arms, Protocol()), Console(file=out, width=200))
    assert "[red]a[/red]" in out.getvalue() and "b[/]" in out.getvalue()
