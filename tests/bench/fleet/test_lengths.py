"""How long simulated training takes, as it is written."""

from statistics import mean

import pytest

from tuner.bench.fleet.lengths import lengths
from tuner.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant:3", 3.0),
        ("uniform:1,5", 3.0),
        ("exponential:0.5", 0.5),
        ("lognormal:2,0.5", 2.2663),  # 2 exp(0.5^2 / 2)
    ],
)
def test_draws_have_the_mean_that_is_said_and_hang_on_the_seed_alone(text, expected):
    drawn = lengths(text)
    assert drawn.mean == pytest.approx(expected, rel=1e-4)
    values = [drawn.draw(seed) for seed in range(4000)]
    assert mean(values) == pytest.approx(expected, rel=0.05)
    assert values == [lengths(str(drawn)).draw(seed) for seed in range(4000)]
    assert min(values) > 0
    assert mean(value > drawn.longest for value in values) < 0.003


NONE = (
    *("", "normal:1", "constant", "constant:", "constant:0", "constant:nan", "constant:inf"),
    *("uniform:1", "uniform:5,1", "lognormal:2", "exponential:1,2", "exponential:-1"),
)


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_distribution_is_refused(text):
    with pytest.raises(InvalidInput, match=r"must be one of constant:SECONDS, .* above 0, got"):
        lengths(text)
