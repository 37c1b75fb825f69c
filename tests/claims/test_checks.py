"""Each check sees its claim hold, and sees it broken where it is broken."""

import numpy as np
import pytest

from tests.claims.small import check, small
from tuner.claims import clip_inert, flip_rate_law, initial_scale, iso_alpha, scaling, schedule
from tuner.claims.iso_alpha import GridCell, explained
from tuner.optim.equivalence import Averages, alphas_from_decoupled, flip_ratio, rescale

pytestmark = pytest.mark.usefixtures("single_thread")


def named(outcome, words):
    (figure,) = [figure for figure in outcome.figures if words in figure.label]
    return figure


def test_scaling_by_powers_of_two_changes_no_flip():
    outcome = check(small("scaling", seeds=[0], counter_factors=[3.0, 0.7]))
    assert outcome.verdict == "holds"
    assert named(outcome, "scaled by 0.125").value == 0
    assert named(outcome, "validation curves").value == 0
    assert named(outcome, "rounded").verdict is None


@pytest.mark.parametrize("left_alone", ["weight_decay", "init_scale", "clip", "learning_rate"])
def test_a_scaling_that_leaves_one_setting_alone_does_not_hold(monkeypatch, left_alone):
    def incomplete(magnitude, k):
        from dataclasses import replace

        return replace(rescale(magnitude, k), **{left_alone: getattr(magnitude, left_alone)})

    monkeypatch.setattr(scaling, "rescale", incomplete)
    claim = small("scaling", seeds=[0])
    outcome = check(claim.model_copy(update={"settings": claim.settings[:1]}))
    assert outcome.verdict == "does not hold"
    assert named(outcome, "twice").verdict == "holds"


@pytest.mark.slow
def test_the_initial_scale_is_forgotten_with_weight_decay_and_kept_without():
    claim = small(
        "initial_scale",
        seeds=[0, 1],
        recorded=1,
        workload={"epochs": 20, "n_train": 0},
        rope=100.0,
    )
    outcome = check(claim)
    assert named(outcome, "sequence, with weight decay").verdict == "holds"
    assert named(outcome, "sequence, without weight decay").verdict == "holds"
    assert named(outcome, "scales, with weight decay").verdict == "holds"
    kept = named(outcome, "scales, without weight decay")
    assert kept.verdict == "does not hold"  # every difference lies within 100 points


@pytest.mark.slow
def test_a_run_shorter_than_its_half_lives_has_not_forgotten():
    claim = small("initial_scale", seeds=[0, 1], recorded=1)
    outcome = check(
        claim.model_copy(update={"settings": {**claim.settings, "weight_decay": 1e-4}})
    )
    assert named(outcome, "half-lives").verdict == "not settled"
    assert named(outcome, "sequence, with weight decay").verdict == "does not hold"


def test_half_lives_are_counted_along_the_schedule():
    from tuner.optim.equivalence import Magnitude, half_life_steps

    constant = Magnitude(learning_rate=0.5, weight_decay=0.1)
    assert initial_scale.half_lives(constant, 70) == pytest.approx(70 / half_life_steps(0.05))
    linear = Magnitude(learning_rate=0.5, weight_decay=0.1, learning_rate_decay="linear")
    factors = [1 - 0.05 * (1 - step / 70) for step in range(70)]
    assert initial_scale.half_lives(linear, 70) == pytest.approx(-np.log2(np.prod(factors)))


@pytest.mark.slow
def test_runs_of_equal_product_are_equal_where_start_and_clip_are_held():
    outcome = check(small("iso_alpha", size=4, seeds=[0, 1, 2]))
    assert named(outcome, "equal product").verdict == "holds"
    assert named(outcome, "distinct").shown == "7 of 16"


@pytest.mark.slow
def test_runs_of_equal_product_differ_where_the_start_is_not_held(monkeypatch):
    trial = iso_alpha.IsoAlpha._trial
    monkeypatch.setattr(
        iso_alpha.IsoAlpha,
        "_trial",
        lambda self, cell, seed, held: trial(self, cell, seed, held=False),  # noqa: ARG005
    )
    outcome = check(small("iso_alpha_usual_start", size=3, seeds=[0, 1, 2]))
    assert named(outcome, "equal product").verdict == "does not hold"
    assert named(outcome, "distinct").verdict == "does not hold"


def grid(score, *, noise=0.01):
    """Noisy values of each cell of a grid with four seeds, shape [4, 49]."""
    cells = [GridCell(i, j) for i in range(7) for j in range(7)]
    return np.array([score(cell) for cell in cells]) + np.random.default_rng(0).normal(
        0, noise, (4, 49)
    )


def test_what_the_product_explains_is_found_and_what_one_factor_explains_is_not_credited():
    claim = small("iso_alpha")
    shown = claim._explained(grid(lambda cell: 0.9 - 0.01 * (cell.product - 6) ** 2))[0]
    assert shown.verdict == "holds" and shown.value == pytest.approx(1, abs=0.02)
    shown = claim._explained(grid(lambda cell: 0.9 - 0.05 * cell.rate))[0]
    assert shown.verdict == "does not hold"
    shown = claim._explained(grid(lambda _: 0.9))[0]
    assert shown.verdict == "not settled" and shown.value is None


def test_a_product_that_explains_about_as_much_as_it_should_is_not_settled():
    accuracies = grid(lambda c: 0.9 - 0.01 * (c.product - 6) ** 2 - 0.02 * c.rate, noise=0.06)
    part = small("iso_alpha", least_share=0.01)._explained(accuracies)[0]
    assert part.verdict == "holds" and part.low < part.value < part.high
    close = small("iso_alpha", least_share=round(part.value, 4))._explained(accuracies)[0]
    assert close.verdict == "not settled"


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "noise", "odd"), [(4, 0.04, 0.0), (12, 0.005, 0.04)])
def test_the_parts_interval_covers_the_part_of_the_true_means(seeds, noise, odd):
    claim, rng = small("iso_alpha"), np.random.default_rng(2)
    means = np.array([0.9 - 0.01 * (c.product - 6) ** 2 - 0.03 * c.rate for c in claim.cells])
    means += rng.normal(0, odd, means.size)  # what cells of one product differ in
    truth = claim._part(np.stack([means] * 3)).value
    held = 0
    for _ in range(300):
        found = claim._part(means + rng.normal(0, noise, (seeds, means.size)))
        held += found.low <= truth <= found.high
    assert held / 300 >= 0.91  # 93% less the chance of 300 draws


def test_the_explained_share_does_not_grow_with_the_number_of_groups():
    draw = np.random.default_rng(1)
    shares = [explained(list(range(40)), draw.normal(size=(2, 40))) for _ in range(200)]
    assert abs(np.mean(shares)) < 0.04
    assert explained([0, 0, 1, 1], np.array([[1.0, 1.0, 2.0, 2.0]] * 2)) == 1
    assert explained([0, 0, 1, 1], np.array([[1.0, 3.0, 1.0, 3.0]] * 2)) == 0
    assert explained([0, 0, 1, 1], np.ones((2, 4))) == 0


def test_the_clip_is_inert_at_its_bound_and_acts_far_below_it():
    outcome = check(small("clip_inert", seeds=[0], violated=0.001))
    assert outcome.verdict == "holds"
    assert named(outcome, "bound max").value > 0.1


def test_a_clip_set_by_too_small_a_gradient_is_not_inert(monkeypatch):
    monkeypatch.setattr(clip_inert.ClipInert, "_largest_gradient", lambda *_: 1e-6)
    claim = small("clip_inert", seeds=[0])
    settings = {**claim.settings, "init_scale": 0.001}
    outcome = check(claim.model_copy(update={"settings": settings}))
    assert named(outcome, "condition holds").verdict == "does not hold"


@pytest.mark.slow
def test_the_mapped_alphas_flip_the_same_weights_under_every_schedule():
    outcome = check(small("schedule"))
    assert outcome.verdict == "holds"
    assert named(outcome, "constant, weight decay").value > 0
    assert sum("alpha by the map" in figure.label for figure in outcome.figures) == 2


def test_alphas_of_another_schedule_do_not_hold(monkeypatch):
    def half_as_fast(rates, decays, *, start_norm):
        found = alphas_from_decoupled(rates, decays, start_norm=start_norm)
        return Averages(np.sqrt(found.alpha * found.alpha[0]), found.norm)

    monkeypatch.setattr(schedule, "alphas_from_decoupled", half_as_fast)
    outcome = check(small("schedule", schedules=["linear"], without_weight_decay=False))
    assert outcome.verdict == "does not hold"


LAW = {
    "alphas": [0.1],
    "gammas": [1.0, 0.3],
    "blocks": 8,
    "weights": 4000,
    "steps": 200,
    "tolerance": 0.03,
}


@pytest.mark.slow
def test_the_flip_rate_under_white_noise_is_the_laws():
    outcome = check(small("flip_rate_law", **LAW))
    assert outcome.verdict == "holds"
    assert sum("real training" in figure.label for figure in outcome.figures) == 2
    assert all(f.verdict is None for f in outcome.figures if "real training" in f.label)


@pytest.mark.slow
def test_a_law_that_is_off_by_a_tenth_does_not_hold(monkeypatch):
    monkeypatch.setattr(flip_rate_law, "flip_ratio", lambda f: 1.1 * flip_ratio(f))
    assert check(small("flip_rate_law", **LAW)).verdict == "does not hold"


@pytest.mark.slow
def test_too_few_flips_settle_nothing():
    few = {**LAW, "weights": 20, "steps": 20, "tolerance": 0.001}
    assert check(small("flip_rate_law", **few)).verdict != "holds"
