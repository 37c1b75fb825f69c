"""Alpha by feedback: the flip ratio is what was asked for."""

import math

import pytest
import torch

from tests.optim.common import noise, train, weight
from tuner.optim import FilterFlip, Schedule, TargetFlipRatio
from tuner.optim.family.flip_ratio import FURTHEST

N = (100, 200)


def ratios(rule, param, steps, gradient):
    seen = []
    for step in range(steps):
        param.grad = gradient(step)
        rule.step()
        seen.append(rule.flips / param[0].numel() if rule.per_trial else rule.flips / N[0] / N[1])
    return torch.stack(seen)


def white(step, *size):
    return noise(1000 + step, *(size or N))


def smooth():
    """Gradients that change slowly, of which a filter flips fewer signs than of white noise."""
    state = torch.zeros(N)

    def gradient(step):
        state.mul_(0.95).add_(white(step))
        return state.clone()

    return gradient


def test_without_feedback_it_is_the_filter_of_the_flip_ratio_law():
    one, two = weight(0, 40, 50), weight(0, 40, 50)
    ours = train(TargetFlipRatio([one], flip_ratio=0.05, feedback=0.0), one, 40)
    alpha = 1 - math.cos(math.pi * 0.05)
    assert torch.equal(ours, train(FilterFlip([two], alpha=alpha), two, 40))


@pytest.mark.parametrize("wanted", [0.05, 0.3])
def test_under_white_noise_feedback_has_nothing_to_do_even_while_the_filter_fills(wanted):
    param = weight(0, *N)
    rule = TargetFlipRatio([param], flip_ratio=wanted)
    seen = ratios(rule, param, 200, white)
    assert float(seen[0]) == pytest.approx(0.5, abs=0.02)
    assert float(seen[-50:].mean()) == pytest.approx(wanted, rel=0.03)
    assert abs(float(rule.state[param]["u"])) < 0.1


def test_under_gradients_that_change_slowly_the_wanted_share_flips_all_the_same():
    param, plain = weight(0, *N), weight(0, *N)
    seen = ratios(TargetFlipRatio([param], flip_ratio=0.05), param, 300, smooth())
    alone = FilterFlip([plain], alpha=1 - math.cos(math.pi * 0.05))
    assert float(seen[-50:].mean()) == pytest.approx(0.05, rel=0.05)
    assert float(ratios(alone, plain, 300, smooth())[-50:].mean()) < 0.03


def test_the_flip_ratio_follows_its_schedule():
    param = weight(0, *N)
    rule = TargetFlipRatio([param], flip_ratio=0.1, schedule=Schedule("linear", 400))
    seen = ratios(rule, param, 401, smooth())
    for step in (150, 250, 350):
        wanted = 0.1 * (1 - step / 400)
        assert float(seen[step - 10 : step + 10].mean()) == pytest.approx(wanted, rel=0.15)
    assert float(seen[-1]) == 0


def test_each_parameter_and_each_trial_has_an_alpha_of_its_own():
    size = (2, 100, 50)
    first, second = weight(0, *size), weight(1, *size)
    wanted = torch.tensor([0.2, 0.1])
    rule = TargetFlipRatio([first, second], flip_ratio=wanted)
    held, turned = torch.zeros(size), [torch.zeros(2, dtype=torch.float64) for _ in range(2)]
    for step in range(200):
        first.grad = white(step, *size)
        held = 0.7 * held + white(2000 + step, *size)
        second.grad = held
        before = first.detach().clone(), second.detach().clone()
        rule.step()
        if step >= 150:
            for param, then, sums in zip((first, second), before, turned, strict=True):
                sums += (param != then).flatten(1).double().mean(1)
    for sums in turned:
        torch.testing.assert_close(sums / 50, wanted.double(), rtol=0.1, atol=0)
    u = [rule.state[param]["u"] for param in (first, second)]
    assert (u[1] > u[0] + 0.2).all()
    rule.select_trials(torch.tensor([1]))
    assert rule.state[first]["u"].shape == (1,)


def test_gradients_that_are_zero_drive_alpha_so_far_and_no_further():
    param = weight(0, 4, 5)
    rule = TargetFlipRatio([param], flip_ratio=1e-3, feedback=1.0)
    train(rule, param, 1)
    with pytest.warns(UserWarning, match="zero everywhere"):
        for _ in range(40):
            param.grad = torch.zeros(4, 5)
            rule.step()
        other = TargetFlipRatio([weight(1, 4, 5)], flip_ratio=0.5)
        for _ in range(3):
            other.param_groups[0]["params"][0].grad = torch.zeros(4, 5)
            other.step()
    assert float(rule.state[param]["u"]) == pytest.approx(FURTHEST)
