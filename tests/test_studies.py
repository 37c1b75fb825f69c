"""What lies in ``studies/`` is valid, and its README speaks of what is there."""

import re
import tomllib
from pathlib import Path

import pytest

from tuner.search.declared import studies_dir
from tuner.search.spaces import declared_spaces, load_space
from tuner.search.spec import ComparisonSpec, declared, load

README = (Path(__file__).resolve().parents[1] / "studies" / "README.md").read_text("utf-8")


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


def test_the_study_that_the_readme_shows_is_valid():
    (text,) = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    spec = ComparisonSpec.model_validate({"name": "mine", **tomllib.loads(text)})
    assert spec.arms[1].space.rule == "latent_sgd"


def test_the_declared_studies_are_those_of_the_checkout():
    assert (studies_dir() / "digits.toml").exists()
