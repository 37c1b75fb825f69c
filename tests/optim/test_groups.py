"""Hyperparameters lie in parameter groups, and torch's schedulers drive them."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler, swa_utils

from tests.optim.common import MAKERS, RATE, make, train, weight
from tuner.errors import InvalidInput
from tuner.optim import Bop, FilterFlip, LatentSGD, Schedule

PER_EPOCH, EPOCHS = 7, 8
SCHEDULERS = {
    "step": (lambda o: lr_scheduler.StepLR(o, 2, 0.5), lambda e: 0.5 ** (e // 2)),
    "lambda": (lambda o: lr_scheduler.LambdaLR(o, lambda e: 1 / (1 + e)), lambda e: 1 / (1 + e)),
    "cosine": (
        lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS),
        lambda e: (1 + math.cos(math.pi * e / EPOCHS)) / 2,
    ),
    "sequential": (
        lambda o: lr_scheduler.SequentialLR(
            o,
            [lr_scheduler.ConstantLR(o, 0.5, 3), lr_scheduler.ExponentialLR(o, 0.25)],
            milestones=[3],
        ),
        lambda e: 0.5 if e < 3 else 0.25 ** (e - 3),
    ),
}


def latent_or_signs(optimizer, param):
    return optimizer.state[param].get("w", param).clone()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", MAKERS)
def test_decay_by_a_scheduler_of_torch_gives_the_flips_of_the_same_schedule(name, scheduler):
    attach, factor = SCHEDULERS[scheduler]
    theirs, ours = (weight(0, 40, 50, dtype=torch.float64) for _ in range(2))
    driven = make(name, [theirs])
    decay = attach(driven)

    def end_of_epoch(step):
        if step % PER_EPOCH == PER_EPOCH - 1:
            decay.step()

    scheduled = make(name, [ours], schedule=lambda step: factor(step // PER_EPOCH))
    one = train(driven, theirs, PER_EPOCH * EPOCHS, after=end_of_epoch)
    two = train(scheduled, ours, PER_EPOCH * EPOCHS)
    assert int((one != two).sum()) == 0
    assert (one[1:] != one[:-1]).any()
    constant = train(make(name, [weight(0, 40, 50, dtype=torch.float64)]), ours, 1)
    assert constant.shape == one[:1].shape


@pytest.mark.parametrize("name", MAKERS)
def test_one_cycle_plateau_and_swa_drive_every_rule(name):
    for attach in (
        lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=20, cycle_momentum=False),
        lambda o: swa_utils.SWALR(o, swa_lr=0.01),
    ):
        param = weight()
        optimizer = make(name, [param])
        decay = attach(optimizer)
        rates = []
        train(
            optimizer,
            param,
            10,
            after=lambda _, d=decay, o=optimizer, r=rates: (
                d.step(),
                r.append(o.param_groups[0]["lr"]),
            ),
        )
        assert len(set(rates)) == 10
    param = weight()
    optimizer = make(name, [param])
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    train(optimizer, param, 4, after=lambda _: plateau.step(1.0))
    assert optimizer.param_groups[0]["lr"] == RATE / 8


def test_a_momentum_that_a_scheduler_cycles_is_used():
    param = weight()
    optimizer = LatentSGD([param], lr=0.1)
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=20)
    train(optimizer, param, 5, after=lambda _: cycle.step())
    assert optimizer.param_groups[0]["momentum"] > 0.8
    assert optimizer.state[param]["m"].any()


@pytest.mark.parametrize("name", MAKERS)
def test_both_names_of_the_rate_make_the_same_optimizer_and_not_both_at_once(name):
    kind, driven, options = MAKERS[name]
    one, two = weight(), weight()
    first, second = kind([one], lr=0.3, **options), kind([two], **{driven: 0.3}, **options)
    assert first.param_groups[0]["lr"] == second.param_groups[0]["lr"] == 0.3
    assert torch.equal(train(first, one, 10), train(second, two, 10))
    with pytest.raises(ValueError, match=f"{driven} and lr are two names of one hyperparameter"):
        kind([one], lr=0.3, **{driven: 0.3})
    with pytest.raises(ValueError, match=f"{driven} and lr are two names of one hyperparameter"):
        kind([{"params": [one], "lr": 0.3, driven: 0.3}], lr=0.1)


@pytest.mark.parametrize("name", MAKERS)
def test_groups_have_hyperparameters_of_their_own(name):
    driven = MAKERS[name][1]
    apart = [weight(0), weight(1)]
    together = [weight(0), weight(1)]
    groups = [{"params": [together[0]], driven: 0.05, "name": "first"}, {"params": [together[1]]}]
    optimizer = make(name, groups)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, RATE]
    assert "name: first" in repr(optimizer)
    alone = [make(name, [apart[0]], lr=0.05), make(name, [apart[1]])]
    for seed in range(20):
        for params in (apart, together):
            for number, param in enumerate(params):
                param.grad = torch.sin(torch.arange(30.0).view(6, 5) * (seed + 2 + number))
        for each in (optimizer, *alone):
            each.step()
    for one, two in zip(apart, together, strict=True):
        assert torch.equal(one, two)
    assert int(optimizer.flips) == sum(int(each.flips) for each in alone)


@pytest.mark.parametrize("name", MAKERS)
def test_a_rate_changed_between_two_steps_holds_from_the_next_one_on(name):
    one, two, three = weight(), weight(), weight()
    changed, renamed, kept = make(name, [one]), make(name, [two]), make(name, [three])
    for optimizer, param in ((changed, one), (renamed, two), (kept, three)):
        train(optimizer, param, 5)
    changed.param_groups[0]["lr"] = 0.9
    renamed.param_groups[0][MAKERS[name][1]] = 0.9
    signs = [train(o, p, 20, begin=5) for o, p in ((changed, one), (renamed, two), (kept, three))]
    assert torch.equal(signs[0], signs[1])
    assert torch.equal(one, two)
    ends = [latent_or_signs(o, p) for o, p in ((changed, one), (kept, three))]
    assert not torch.equal(*ends) or not torch.equal(signs[0], signs[2])


@pytest.mark.parametrize("name", MAKERS)
def test_what_was_saved_brings_hyperparameters_and_the_schedules_place(name, tmp_path):
    schedule = Schedule("linear", 40)
    param = weight(0, 40)
    whole = train(make(name, [param], schedule=schedule), param, 30)
    param = weight(0, 40)
    optimizer = make(name, [param], schedule=schedule)
    train(optimizer, param, 12)
    torch.save([param.data, optimizer.state_dict()], tmp_path / "saved.pt")
    values, state = torch.load(tmp_path / "saved.pt", weights_only=True)
    other = torch.nn.Parameter(values)
    with pytest.warns(UserWarning, match="came as") if "scaled" not in name else _nothing():
        resumed = make(name, [torch.nn.Parameter(values.clone())], lr=0.9)
        resumed.param_groups[0]["params"][0].grad = torch.ones(40)
        resumed.step()
    resumed = make(name, [other], lr=0.9, schedule=schedule)
    resumed.load_state_dict(state)
    assert resumed.param_groups[0]["lr"] == RATE
    assert resumed.step_count == 12
    assert torch.equal(train(resumed, other, 18, begin=12), whole[12:])


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


def test_the_representation_shows_all_hyperparameters():
    words = repr(FilterFlip([weight()], alpha=0.25, gamma=0.5, schedule=Schedule("cosine", 9)))
    for word in ("lr: 0.25", "gamma: 0.5", "step_count: 0", "schedule: Schedule('cosine', 9)"):
        assert word in words


def test_bop_takes_a_schedule():
    param = weight(0, 400)
    optimizer = Bop([param], gamma=0.5, tau=0.0, schedule=lambda step: 1.0 if step < 5 else 0.0)
    signs = train(optimizer, param, 20)
    assert (signs[4] != signs[3]).any()
    assert torch.equal(signs[4], signs[-1])


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("number", [np.float32(0.25), np.float64(0.25), np.array(0.25)])
def test_numbers_of_numpy_are_numbers(name, number):
    for dtype in (torch.float32, torch.float64):
        one, two = weight(0, 9, dtype=dtype), weight(0, 9, dtype=dtype)
        first, second = make(name, [one], lr=number), make(name, [two], lr=0.25)
        assert torch.equal(train(first, one, 5), train(second, two, 5))
        first.param_groups[0]["lr"] = second.param_groups[0]["lr"] = number
        assert torch.equal(train(first, one, 5), train(second, two, 5))


@pytest.mark.parametrize("name", MAKERS)
def test_a_tensor_as_rate_is_filled_by_schedulers(name):
    one, two = weight(0, 50), weight(0, 50)
    first, second = make(name, [one], lr=torch.tensor(RATE)), make(name, [two])
    decays = [lr_scheduler.StepLR(o, 2, 0.5) for o in (first, second)]
    signs = [
        train(o, p, 10, after=lambda _, d=d: d.step())
        for o, p, d in ((first, one, decays[0]), (second, two, decays[1]))
    ]
    assert float(first.param_groups[0]["lr"]) == pytest.approx(RATE / 32)
    assert torch.equal(*signs)


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"weight_decay": 0.1}, r"has weight_decay, which is no .*lr \(alpha\), gamma"),
        ({"alpha": "0.1"}, r"alpha must be in \(0, 1\], got '0.1'"),
        ({"alpha": True}, r"alpha must be in \(0, 1\], got True"),
        ({"alpha": 0.0}, r"alpha must be in \(0, 1\], got 0"),
        ({"alpha": torch.ones(2, 2)}, r"a number, or a tensor of shape \[K\], got shape \[2, 2\]"),
        ({"alpha": torch.tensor([0.1, 0.2])}, r"lr has 2 values, one per trial.*shape \[6, 5\]"),
        ({"alpha": None}, "give alpha"),
    ],
)
def test_what_a_group_cannot_hold_is_refused_and_leaves_no_group(group, words):
    optimizer = FilterFlip([weight()], alpha=0.1)
    with pytest.raises(InvalidInput, match=words):
        optimizer.add_param_group({"params": [weight(1)], **group})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("value", [2.0, -0.1, math.nan, "0.1"])
def test_a_rate_out_of_range_is_refused_at_the_next_step(value):
    param = weight()
    optimizer = FilterFlip([param], alpha=0.1)
    optimizer.param_groups[0]["lr"] = value
    param.grad = torch.ones(6, 5)
    with pytest.raises(InvalidInput, match=r"alpha must be in \(0, 1\]"):
        optimizer.step()


def test_a_factor_that_makes_the_filter_unstable_is_refused():
    for factor, words in ((30.0, "alpha must be in"), (math.nan, "schedule must give"), (-1, "0")):
        param = weight()
        optimizer = FilterFlip([param], alpha=0.1, schedule=lambda _, f=factor: f)
        param.grad = torch.ones(6, 5)
        with pytest.raises(InvalidInput, match=words):
            optimizer.step()


def test_sections_take_no_scheduler():
    param = weight()
    optimizer = FilterFlip([param], sos=[[0.1, 0, 0, 1, -0.9, 0]])
    train(optimizer, param, 3)
    lr_scheduler.StepLR(optimizer, 1, 0.5).optimizer.param_groups[0]["lr"] = 0.5
    with pytest.raises(InvalidInput, match="sos takes no schedule"):
        train(optimizer, param, 1)


@pytest.mark.parametrize("name", MAKERS)
def test_the_state_of_another_optimizer_is_refused(name):
    param = weight()
    adam = torch.optim.Adam([param])
    param.grad = torch.ones(6, 5)
    adam.step()
    with pytest.raises(InvalidInput, match="state of another optimizer"):
        make(name, [weight()]).load_state_dict(adam.state_dict())


@pytest.mark.parametrize(
    ("saved", "loading", "words"),
    [
        ("latent_sgd", "latent_signsgd", "its groups have coupled"),
        ("latent_adam", "latent_lion", "its groups have eps"),
        ("bop2nd_order", "bop", "its groups have sigma"),
    ],
)
def test_the_state_of_a_rule_that_has_more_is_refused(saved, loading, words):
    other, optimizer = make(saved, [weight()]), make(loading, [weight()])
    with pytest.raises(InvalidInput, match=rf"state of another optimizer, {words}; load what a"):
        optimizer.load_state_dict(other.state_dict())


def test_hyperparameters_per_trial_are_compacted_in_groups_and_defaults():
    param = torch.nn.Parameter(torch.randn(3, 4))
    optimizer = FilterFlip([param], alpha=torch.tensor([0.1, 0.2, 0.3]), gamma=0.5)
    keep = torch.tensor([0, 2])
    param.data = param.data[keep]
    optimizer.select_trials(keep)
    torch.testing.assert_close(optimizer.param_groups[0]["lr"], torch.tensor([0.1, 0.3]))
    assert optimizer.param_groups[0]["gamma"] == 0.5
    frozen = torch.nn.Parameter(torch.randn(2, 4), requires_grad=False)
    optimizer.add_param_group({"params": [frozen]})
    train(optimizer, param, 3)
    assert optimizer.flips.shape == (2,)


def test_a_copy_steps_itself_though_a_scheduler_hangs_on_the_original():
    param = weight()
    optimizer = FilterFlip([param], alpha=0.1)
    lr_scheduler.StepLR(optimizer, 1)
    other, theirs = copy.deepcopy((optimizer, param))
    theirs.grad = torch.ones(6, 5)
    other.step()
    assert other.step_count == 1
    assert optimizer.step_count == 0
