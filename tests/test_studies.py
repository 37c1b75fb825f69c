"""What lies in ``studies/`` is valid, and its README speaks of what is there."""

import json
import re
from pathlib import Path

import pytest

from tuner.compare import words
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.speedup import Speedup
from tuner.search.declared.files import studies_dir
from tuner.search.declared.spaces import declared_spaces, load_space
from tuner.search.declared.spec import declared, load

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "studies" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", declared())
def test_a_declared_study_is_valid_and_described(name):
    spec = load(name)
    assert spec.description.strip()
    assert spec.verdict.primary == ("filter", "magnitude")
    row = next(line for line in README.splitlines() if f"]({name}.toml)" in line)
    alike = all(arm.n_trials is None and arm.repeats is None for arm in spec.arms)
    arms = len(spec.arms)
    trials = f"{arms} x {spec.n_trials}" if alike else f"{spec.n_searched:,} in {arms} arms"
    assert f"{trials}, {arms} x {spec.retrain_seeds} retrained" in row


@pytest.mark.parametrize("name", declared_spaces())
def test_a_declared_space_is_valid_and_described(name):
    space = load_space(name)
    assert set(space.parameters) <= set(space.defaults)
    assert f"| {name} | `{space.rule}` |" in README


def test_the_declared_studies_are_those_of_the_checkout():
    assert (studies_dir() / "digits.toml").exists()


@pytest.mark.parametrize(("name", "column"), [("digits_full", 2), ("fashion_mnist_full", 3)])
def test_the_table_of_whole_comparisons_has_the_numbers_of_the_reports(name, column):
    rows = {
        cells[1].strip(): cells[column]
        for line in (ROOT / "docs" / "method.md").read_text("utf-8").splitlines()
        if len(cells := line.split("|")) == 5
    }
    report = json.loads((ROOT / f"studies/examples/{name}.json").read_text("utf-8"))
    protocol = Protocol()

    def difference(told: dict[str, float]) -> str:
        return words.difference(Estimate(**told), protocol)

    contrasts = {(one["first"], one["second"]): one for one in report["contrasts"]}
    primary, repeated = (
        contrasts[pair] for pair in (("filter", "magnitude"), ("filter_tpe", "magnitude_tpe"))
    )
    assert report["verdict"]["kind"] in rows["verdict"]
    for row, told in {
        "best of 10 random trials, filter - magnitude": primary["best_of_k"],
        "the same against narrow ranges": contrasts["filter", "magnitude_narrow"]["best_of_k"],
        "by TPE, ten searches of 40 trials each": repeated["repeats"]["difference"],
        "incumbents on test, ten fresh seeds": primary["test"],
        "filter space - magnitude space at its exact map": contrasts["filter", "magnitude_exact"][
            "best_of_k"
        ],
    }.items():
        assert difference(told) in rows[row]
    for row, told in {
        "times fewer random trials to the target": primary["speedups"]["trials"],
        "by TPE, ten searches of 40 trials each": repeated["repeats"]["speedup"],
    }.items():
        times = words.speedup(Speedup(**told), protocol)
        value, interval = times.split(" ", 1)
        assert re.search(rf"\b{re.escape(value)} .*{re.escape(interval)}", rows[row])
    for arm in report["arms"]:
        if arm["sampler"] == "defaults":
            shown = f"{100 * arm['retrained']['test']['value']:.2f}% {arm['name'][:-9]}"
            assert shown in rows["documented settings without any search, test"]


@pytest.mark.parametrize("page", ["README.md", "docs/method.md"])
def test_what_is_said_of_the_demo_is_in_its_report(page):
    report = json.loads((ROOT / "studies/examples/digits.json").read_text("utf-8"))
    text = " ".join((ROOT / page).read_text("utf-8").split())
    new, old, narrow = (f"{100 * arm['target']['share']['value']:.1f}%" for arm in report["arms"])
    assert f"{new} of the trials in the filter space reach 97%, {old} of those in the" in text
    assert f" {narrow} in its narrow literature ranges" in text
    if page == "docs/method.md":
        tests = [f"{100 * arm['retrained']['test']['value']:.1f}%" for arm in report["arms"]]
        assert f"end at {tests[0]}, {tests[1]} and {tests[2]} on the test set" in text
        times = words.speedup(Speedup(**report["contrasts"][0]["speedups"]["trials"]), Protocol())
        value, interval = times.split(" ", 1)
        assert f"{value} times fewer trials than in the wide ranges" in text and interval in text
