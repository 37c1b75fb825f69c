"""A suite's file: comparisons by name or over a common table, and what is refused."""

from pathlib import Path

import pytest

from tuner.errors import InvalidInput
from tuner.search.declared.spec import load
from tuner.search.declared.suite_spec import declared_suites, load_suite

SUITE = """
arms = ["filter", "magnitude"]

[common]
n_trials = 8
retrain_seeds = 0
workload = {dataset = "digits", widths = [16, 16], epochs = 1, batch_size = 32}
arms = [{name = "filter", space = "filter"}, {name = "magnitude", space = "magnitude"}]
verdict = {primary = ["filter", "magnitude"], k = 2, target = 0.5}

[[comparisons]]
name = "first"

[[comparisons]]
name = "second"
workload = {widths = [8, 8]}
verdict = {target = 0.4}
"""


@pytest.fixture
def suite(tmp_path: Path):
    def read(text: str):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return load_suite(str(path))

    return read


def test_a_comparison_has_what_is_common_unless_it_says_otherwise(suite):
    first, second = suite(SUITE).comparisons
    assert (first.workload.widths, second.workload.widths) == ((16, 16), (8, 8))
    assert first.workload.epochs == second.workload.epochs == 1
    assert (first.verdict.target, second.verdict.target) == (0.5, 0.4)
    assert first.verdict.k == second.verdict.k == 2


def test_declared_comparisons_are_named(suite):
    named = suite('arms = ["filter", "magnitude"]\ncomparisons = ["digits", "fashion_mnist_mlp"]')
    assert named.comparisons == (load("digits"), load("fashion_mnist_mlp"))
    assert named.name == "mine"


def test_the_declaration_hangs_on_the_arms_and_on_every_comparison(suite):
    hashes = {
        suite(text).declaration_hash
        for text in (
            SUITE,
            SUITE.replace("0.4", "0.41"),
            SUITE.replace('"filter", "magnitude"]\n\n', '"filter", "magnitude"]\n# said\n\n'),
            SUITE.replace("n_trials = 8", "n_trials = 9"),
        )
    }
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("target = 0.5", "rope = 0.5", "'first': a suite asks how many trials reach the target"),
        ('arms = ["filter", "magnitude"]\n\n', 'arms = ["filter"]\n\n', "at least 2 items"),
        ('"magnitude"]\n\n', '"filter"]\n\n', "arms: 'filter' occurs twice"),
        ('"magnitude"]\n\n', '"magnitud"]\n\n', "'magnitud' is unknown; did you mean 'magnitude'"),
        ('["filter", "magnitude"]\n\n', '["magnitude", "filter"]\n\n', "same new arm first"),
        ('name = "second"', 'name = "first"', "comparisons: 'first' occurs twice"),
        ("[common]", "[comon]", "'comon' is unknown; did you mean 'common'"),
        ("widths = [8, 8]", "width = [8, 8]", "comparison second: .*'width' is unknown"),
        (
            "target = 0.4}",
            'target = 0.4, repeated = ["filter", "magnitude"]}',
            "one random search",
        ),
        (
            'space = "magnitude"}',
            'space = "magnitude", sampler = "tpe"}',
            "'first': arm 'magnitude' must be one random search that is run to its end",
        ),
        (
            'name = "second"',
            'name = "second"\narms = [{name = "filter", space = "filter"}, '
            '{name = "magnitude", space = "magnitude_narrow"}]',
            "'second': arm 'magnitude' searches another space than in 'first'",
        ),
    ],
)
def test_what_asks_no_common_question_is_refused_in_a_line(suite, old, new, words):
    assert old in SUITE
    with pytest.raises(InvalidInput, match=words) as refusal:
        suite(SUITE.replace(old, new))
    assert "\n" not in str(refusal.value)


def test_a_single_comparison_is_no_suite(suite):
    with pytest.raises(
        InvalidInput, match=r"comparisons: must have at least 2 items, got \['digits'\]"
    ):
        suite('arms = ["filter", "magnitude"]\ncomparisons = ["digits"]')


def test_an_unknown_suite_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match="suite 'five_smal' is unknown; did you mean"):
        load_suite("five_smal")


@pytest.mark.parametrize("name", declared_suites())
def test_a_declared_suite_is_valid_and_described(name):
    spec = load_suite(name)
    assert spec.description.strip()
    readme = (declared_suites()[name].parents[1] / "README.md").read_text("utf-8")
    row = next(line for line in readme.splitlines() if f"](suites/{name}.toml)" in line)
    trials = spec.comparisons[0].n_searched
    assert f"| {len(spec.comparisons)} x {trials} |" in row
