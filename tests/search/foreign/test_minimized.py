"""Studies that minimize x are compared as those that maximize -x, and shown as they are."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from tests.compare.mirrored import (
    intervals_in,
    mirrored,
    mirrored_intervals,
    numbers_of,
    sizes_in,
    texts,
)
from tuner.compare import Protocol
from tuner.compare.report.data import to_json
from tuner.compare.report.sheets import sheets
from tuner.errors import InvalidInput
from tuner.search.foreign.arm import Reading
from tuner.search.foreign.compare import judged_studies

RANDOM = Reading(sampler="random")
RANGE = {"x": FloatDistribution(0.0, 1.0)}
N = 40


@pytest.fixture(autouse=True)
def quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def study_of(name: str, losses: Sequence[float], *, sign: int) -> optuna.Study:
    """A study that minimizes these losses, or maximizes them with the opposite sign."""
    direction = "minimize" if sign > 0 else "maximize"
    study = optuna.create_study(study_name=name, direction=direction)
    places = np.random.default_rng(len(name)).random(len(losses))
    for place, loss in zip(places, losses, strict=True):
        state = TrialState.FAIL if math.isnan(loss) else TrialState.COMPLETE
        study.add_trial(
            create_trial(
                state=state,
                value=None if math.isnan(loss) else sign * loss,
                params={"x": float(place)},
                distributions=RANGE,
            )
        )
    return study


def both_ways(
    losses: dict[str, Sequence[float]], reading: Reading, target: float | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report of studies that maximize -x, and that of those that minimize x."""
    reports = []
    for sign in (-1, 1):
        studies = [study_of(name, each, sign=sign) for name, each in losses.items()]
        protocol = Protocol(unit="loss", target=None if target is None else sign * target)
        reports.append(to_json(judged_studies(studies, protocol, reading=reading)))
    return reports[0], reports[1]


def losses_of(seed: int, shift: float, decimals: int) -> dict[str, Sequence[float]]:
    """Two studies, the second of them higher, with failures and, rounded, with ties."""
    rng = np.random.default_rng(seed)
    new, old = (np.round(rng.random(N), decimals) + up for up in (0.0, shift))
    new[3] = old[7] = math.nan
    return {"new": new.tolist(), "old": old.tolist()}


@pytest.mark.slow
@pytest.mark.parametrize("reading", [RANDOM, Reading()], ids=["random", "unknown"])
@pytest.mark.parametrize("target", [None, 0.3])
@pytest.mark.parametrize(
    ("seed", "shift", "decimals"), [(0, 0.5, 6), (1, 0.0, 1), (2, -0.5, 6), (3, 0.05, 2)]
)
def test_a_minimized_loss_is_judged_as_its_maximized_opposite(
    seed: int, shift: float, decimals: int, target: float | None, reading: Reading
):
    opposite, losses = both_ways(losses_of(seed, shift, decimals), reading, target)
    assert losses["verdict"]["kind"] == opposite["verdict"]["kind"]
    assert losses["verdict"]["winner"] == opposite["verdict"]["winner"]
    assert numbers_of(losses) == mirrored(numbers_of(opposite))
    for ours, theirs in zip(texts(losses), texts(opposite), strict=True):
        if "accuracies" not in theirs:  # without a result they score 0, or 1 where minimized
            assert sizes_in(ours) == sizes_in(theirs)
        assert intervals_in(ours) == mirrored_intervals(theirs)
    assert losses["protocol"]["target"] == target


def test_losses_are_shown_as_the_study_has_them():
    losses = losses_of(0, 0.5, 6)
    studies = [study_of(name, each, sign=1) for name, each in losses.items()]
    comparison = judged_studies(
        studies, Protocol(unit="loss", target=0.3, rope=0.0), reading=RANDOM
    )
    report = to_json(comparison)
    for arm, values in zip(report["arms"], losses.values(), strict=True):
        assert arm["best"] == np.nanmin(values)
        assert arm["target"]["hits"] == np.sum(np.array(values) <= 0.3)
        bests = [point["best"] for point in arm["trace"][0]]
        assert bests == sorted(bests, reverse=True)
    assert report["verdict"]["heading"] == "Unconfirmed: new scores lower"
    assert report["contrasts"][0]["best_of_k"]["high"] < 0
    assert (report["protocol"]["minimized"], report["protocol"]["unit"]) == (True, "loss")
    assert not any("negated" in text or "opposite" in text for text in texts(report))
    rows = [line.split(",") for line in sheets(comparison)["trials"].splitlines()[1:]]
    shown = [float(row[3]) for row in rows]
    worst = np.nanmax([*losses["new"], *losses["old"]])
    expected = np.nan_to_num(np.concatenate([*losses.values()]), nan=worst)
    assert shown == expected.tolist()


def test_bounds_are_those_of_the_losses():
    studies = [study_of(name, each, sign=1) for name, each in losses_of(0, 0.0, 6).items()]
    bounded = judged_studies(
        studies, Protocol(unit="loss", bounds=(0.0, 2.0), rope=0.0), reading=RANDOM
    )
    assert bounded.protocol.range == (-2.0, 0.0)
    assert to_json(bounded)["protocol"]["bounds"] == [0.0, 2.0]
    assert any("scores lie within 0 to 2." in note for note in bounded.notes)
    with pytest.raises(InvalidInput, match=r"must lie in \[2, 3\], got 0\.\d+; name another"):
        judged_studies(studies, Protocol(unit="loss", bounds=(2.0, 3.0)), reading=RANDOM)


def test_error_rates_are_shares_of_which_a_failure_has_the_worst():
    losses = {"new": [0.1, 0.2, math.nan], "old": [0.3, 0.4, 0.5]}
    studies = [study_of(name, each, sign=1) for name, each in losses.items()]
    comparison = judged_studies(studies, Protocol())
    report = to_json(comparison)
    assert comparison.details[0].arm.scores.tolist() == [-0.1, -0.2, -1.0]
    assert "new: 1 failed trial scores the worst value seen, 1 for accuracies" in report["notes"]
    assert (
        "The best so far by trial 1: 10.00% in new and 30.00% in old"
        in (report["verdict"]["text"])
    )


@pytest.mark.parametrize("minimized", [False, True])
def test_which_way_scores_are_better_is_what_the_studies_say(minimized: bool):
    for sign in (1, -1):
        studies = [study_of(name, [0.1, 0.2, 0.3], sign=sign) for name in ("new", "old")]
        declared = Protocol(unit="loss", target=sign * 0.2, minimized=minimized)
        comparison = judged_studies(studies, declared, reading=RANDOM)
        assert comparison.protocol.minimized == (sign > 0)
        assert comparison.protocol.target == -0.2
        assert comparison.arms[0].target is not None and comparison.arms[0].target.hits == 2


def test_a_trend_of_losses_is_told_as_it_is():
    falling = np.linspace(1.0, 0.1, N) + 0.01 * np.random.default_rng(0).random(N)
    told = {}
    for sign in (1, -1):
        studies = [study_of(name, falling, sign=sign) for name in ("new", "old")]
        comparison = judged_studies(studies, Protocol(unit="loss"), reading=RANDOM)
        told[sign] = next(note for note in comparison.notes if "with the trial number" in note)
    assert "the scores fall with the trial number (Spearman's rho -1.00" in told[1]
    assert "the scores rise with the trial number (Spearman's rho +1.00" in told[-1]
