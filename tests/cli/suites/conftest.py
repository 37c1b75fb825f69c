"""Every test of the command starts in an empty folder, with a suite of two small comparisons."""

import pytest

SUITE = """
description = "Two tiny networks."
arms = ["filter", "magnitude"]

[common]
n_trials = 6
retrain_seeds = 0
workload = {dataset = "digits", binary_ends = true, epochs = 1, n_train = 128, batch_size = 32}
arms = [{name = "filter", space = "filter"}, {name = "magnitude", space = "magnitude"}]
verdict = {primary = ["filter", "magnitude"], k = 2, target = 0.3}

[[comparisons]]
name = "narrow"
workload = {widths = [8, 8]}

[[comparisons]]
name = "wide"
workload = {widths = [16, 16]}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNER_DATABASE_URL", raising=False)
    (tmp_path / "two.toml").write_text(SUITE, encoding="utf-8")
    return tmp_path
