"""What lies in ``studies/`` is valid, and its README speaks of what is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tuner.compare import words
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.speedup import Speedup
from tuner.search.declared.files import studies_dir
from tuner.search.declared.spaces import declared_spaces, load_space
from tuner.search.declared.spec import declared, load
from tuner.search.declared.suite_spec import load_suite

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "studies" / "README.md").read_text("utf-8")

PRIMARY = {"designed": ("filter_design", "filter")}
"""What a study compares that is not about filters and magnitudes."""


@pytest.mark.parametrize("name", declared())
def test_a_declared_study_is_valid_and_described(name):
    spec = load(name)
    assert spec.description.strip()
    assert spec.verdict.primary == PRIMARY.get(name, ("filter", "magnitude"))
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


@pytest.mark.parametrize(
    "page", sorted((ROOT / "studies" / "examples").glob("*.html")), ids=lambda page: page.stem
)
def test_a_committed_report_names_a_command_that_anybody_can_give(page):
    (command,) = re.findall(r"Command</th><td>(.*?)</td>", page.read_text("utf-8"))
    assert command.startswith("tuner ")
    assert not re.search(r"(^|[ =]|sqlite:///)/", command), "paths of one machine"


def report_of(name: str) -> dict:
    return json.loads((ROOT / f"studies/examples/{name}.json").read_text("utf-8"))


def rows_of_whole_comparisons(column: int) -> dict[str, str]:
    """Label -> cell of the method's table."""
    return {
        cells[1].strip(): cells[column]
        for line in (ROOT / "docs" / "method.md").read_text("utf-8").splitlines()
        if len(cells := line.split("|")) == 5
    }


def difference(estimate: dict[str, float]) -> str:
    return words.difference(Estimate(**estimate), Protocol())


def assert_times(cell: str, speedup: dict[str, float]) -> None:
    value, interval = words.speedup(Speedup(**speedup), Protocol()).split(" ", 1)
    assert re.search(rf"\b{re.escape(value)} .*{re.escape(interval)}", cell)


@pytest.mark.parametrize(("column", "name"), [(2, "digits_full"), (3, "fashion_mnist_full")])
def test_the_table_of_whole_comparisons_has_the_numbers_of_the_reports(column, name):
    rows, report = rows_of_whole_comparisons(column), report_of(name)
    contrasts = {(each["first"], each["second"]): each for each in report["contrasts"]}
    primary, narrow, exact, repeated = (
        contrasts[pair]
        for pair in (
            ("filter", "magnitude"),
            ("filter", "magnitude_narrow"),
            ("filter", "magnitude_exact"),
            ("filter_tpe", "magnitude_tpe"),
        )
    )
    assert report["schema_version"] == 4
    assert report["verdict"]["kind"] in rows["verdict"]
    for row, estimate in {
        "settings selected by 10 random trials, filter - magnitude": primary["selected"][
            "difference"
        ],
        "the same, on other test images": primary["selected"]["other_images"],
        "the same against narrow ranges": narrow["selected"]["difference"],
        "the same at the exact map of the filter space": exact["selected"]["difference"],
        "the same by TPE, ten searches of 40 trials each": repeated["selected"]["difference"],
        "best of 10 random trials on validation": primary["best_of_k"],
        "incumbents on test, ten fresh seeds": primary["test_typical"],
    }.items():
        assert difference(estimate) in rows[row], row
    assert_times(rows["times fewer random trials to the target"], primary["speedups"]["trials"])
    assert_times(rows["times fewer trials by TPE"], repeated["repeats"]["speedup"])
    for arm in report["arms"]:
        if arm["sampler"] == "defaults":
            shown = f"{100 * arm['retrained']['test']['value']:.2f}% {arm['name'][:-9]}"
            assert shown in rows["documented settings without any search, test"]


def said_of(study: str) -> str:
    """What the page says of a study, in one line."""
    return " ".join(README.partition(f"- `{study}`: ")[2].partition("\n- ")[0].split())


def ranks_of(report: dict[str, Any]) -> dict[str, float]:
    many = report["many_arms"]
    return dict(zip(many["names"], many["ranks"]["ranks"], strict=True))


def hits_of(report: dict[str, Any]) -> dict[str, int]:
    """Of a hundred trials of each rule how many reach the target."""
    return {arm["name"]: arm["target"]["hits"] for arm in report["arms"]}


def told_apart(report: dict[str, Any]) -> list[tuple[str, str]]:
    many = report["many_arms"]
    names, pairs = many["names"], many["pairs"]
    return [(names[p["first"]], names[p["second"]]) for p in pairs if p["p_holm"] < 0.05]


def test_what_is_said_of_eleven_rules_is_in_their_report():
    report, said = report_of("rules_digits"), said_of("rules_digits")
    ranks, hits = ranks_of(report), hits_of(report)
    for name, shown in (
        ("target_flip_ratio", "mean rank {:.2f} of 11"),
        ("bayes_binn", "BayesBiNN ({:.2f})"),
        ("filter", "the filter ({:.2f})"),
        ("bop", "Bop ({:.2f})"),
        ("bop2nd_order", "Bop2ndOrder ({:.2f})"),
    ):
        assert shown.format(ranks[name]) in said
    assert f"less than {report['many_arms']['ranks']['critical']:.2f} apart" in said
    assert [first for first, _ in told_apart(report)] == ["bop", "bop"]
    assert f"{hits.pop('target_flip_ratio')}% of the first's trials" in said
    assert f"{hits.pop('filter')}% of the filter's, at most {max(hits.values())}% of any" in said


def test_what_is_said_of_the_same_rules_on_fashion_mnist_is_in_their_report():
    report, said = report_of("rules_fashion"), said_of("rules_fashion")
    ranks, hits = ranks_of(report), hits_of(report)
    best, *_, worst = sorted(ranks, key=lambda name: ranks[name])
    assert (best, worst) == ("latent_adam", "bop")
    for name, shown in (
        ("latent_adam", "mean rank {:.2f} of 11"),
        ("latent_lion", "Lion ({:.2f})"),
        ("sgdat", "SGDAT ({:.2f})"),
        ("filter", "({:.2f} each)"),
        ("target_flip_ratio", "({:.2f} each)"),
        ("bop", "Bop worst ({:.2f})"),
    ):
        assert shown.format(ranks[name]) in said
    many = report["many_arms"]
    for page in (said, (ROOT / "docs/method.md").read_text("utf-8")):
        assert f"(Friedman, p = {many['ranks']['p']:.2f})" in page
    assert f"less than {many['ranks']['critical']:.2f} apart" in said
    assert told_apart(report) == []
    assert f"{hits.pop('filter')}% of the filter's trials reach 86%" in said
    assert (
        f"{hits.pop('magnitude')}% of the magnitude space's, at most {max(hits.values())}% of"
        in said
    )
    assert difference(report["contrasts"][0]["selected"]["difference"]) in said
    medians = [100 * arm["selected"]["median"]["value"] for arm in report["arms"]]
    assert max(medians) - min(medians) < 0.5


@pytest.mark.parametrize("page", ["README.md", "docs/method.md"])
def test_what_is_said_of_the_demo_is_in_its_report(page):
    report = json.loads((ROOT / "studies/examples/digits.json").read_text("utf-8"))
    text = " ".join((ROOT / page).read_text("utf-8").split())
    new, old, narrow = (f"{100 * arm['target']['share']['value']:.1f}%" for arm in report["arms"])
    assert f"{new} of the trials in the filter space reach 97%, {old} of those in the" in text
    assert f" {narrow} in its narrow literature ranges" in text
    if page == "docs/method.md":
        tests = [f"{100 * arm['selected']['median']['value']:.1f}%" for arm in report["arms"]]
        assert f"end at {tests[0]}, {tests[1]} and {tests[2]} on the test set" in text
        times = words.speedup(Speedup(**report["contrasts"][0]["speedups"]["trials"]), Protocol())
        value, interval = times.split(" ", 1)
        assert f"{value} times fewer trials than in the wide ranges" in text and interval in text


def test_what_is_said_of_the_suite_are_the_numbers_of_its_report():
    report = report_of("five_small")
    said = README.partition("- `five_small`:")[2].partition("\n\n")[0]
    factors = [each["speedups"]["trials"]["value"] for each in report["workloads"]]
    known = sorted(factor for factor in factors if factor is not None)
    assert f"{known[0]:.1f} to {known[-1]:.1f} times fewer" in said
    assert f"at least {report['pooled']['trials']['speedup']['low']:.1f} times fewer" in said
    narrow = report["against"]["magnitude_narrow"]["speedup"]["low"]
    assert f"{narrow:.1f} against the narrow ranges" in said
    assert report["suite"]["declaration_hash"] == load_suite("five_small").declaration_hash
