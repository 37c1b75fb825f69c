"""Every update rule beside its slow twin, alone and along the trial axis."""

import copy
import math
import pickle

import pytest
import torch

from tests import reference
from tuner import kernels
from tuner.errors import InvalidInput, UnknownName
from tuner.optim.base import sign
from tuner.optim.decay import factor
from tuner.optim.rules import OPTIMIZERS, build_optimizer
from tuner.rules import RULES as HYPERPARAMETERS
from tuner.rules import Number, complete

STEPS = 60
DECAYS = ("alpha_decay", "cutoff_decay", "learning_rate_decay", "flip_ratio_decay")
TRIALS = {
    "filter_flip": [
        {"alpha": 0.02, "gamma": 0.3, "alpha_decay": "cosine"},
        {"alpha": 1.0, "gamma": 1.0},
        {"alpha": 0.5, "gamma": 0.01, "alpha_decay": "step"},
    ],
    "designed_filter": [
        {"family": "butterworth", "order": 3, "memory": 20.0, "cutoff_decay": "cosine"},
        {"family": "ema", "order": 1, "memory": 1.0},
        {"family": "ema", "order": 2, "memory": 5.0, "cutoff_decay": "linear"},
        {"family": "bessel", "order": 4, "memory": 3.0, "cutoff_decay": "step"},
        {"family": "chebyshev1", "order": 2, "memory": 8.0},
        {"family": "moving_average", "order": 4, "memory": 4.0, "cutoff_decay": "cosine"},
        {"family": "moving_average", "order": 3, "memory": 10.0},
        {"family": "damped", "order": 2, "memory": 6.0, "damping": 0.3, "cutoff_decay": "step"},
        {"family": "damped", "order": 3, "memory": 6.0, "damping": 3.0},
    ],
    "latent_sgd": [
        {"learning_rate": 0.3, "weight_decay": 0.05, "momentum": 0.9, "clip": 0.4},
        {"learning_rate": 0.01, "init_scale": 0.1, "learning_rate_decay": "linear"},
        {"learning_rate": 1.5, "weight_decay": 0.3, "momentum": 0.5, "init_scale": 3.0},
    ],
    "latent_adam": [
        {"learning_rate": 0.05, "weight_decay": 0.1, "beta1": 0.8},
        {"learning_rate": 0.2, "clip": 0.5, "learning_rate_decay": "cosine"},
    ],
    "bop": [{"gamma": 0.1, "tau": 0.05}, {"gamma": 0.01, "tau": 0.0}],
}
TRIALS["latent_adamw"] = TRIALS["latent_adam"]
TRIALS["latent_signsgd"] = [
    {"learning_rate": 0.05, "weight_decay": 0.5, "momentum": 0.8, "learning_rate_decay": "linear"},
    {"learning_rate": 0.3, "clip": 0.5, "momentum": 0.0},
]
TRIALS["latent_lion"] = [
    {"learning_rate": 0.05, "weight_decay": 0.5, "beta1": 0.8, "learning_rate_decay": "cosine"},
    {"learning_rate": 0.3, "clip": 0.5, "beta1": 0.5, "beta2": 0.7},
]
TRIALS["bop2nd_order"] = [
    {"gamma": 0.1, "sigma": 0.01, "tau": 0.05},
    {"gamma": 0.01, "sigma": 0.3, "tau": 0.0},
]
TRIALS["sgdat"] = [
    {"learning_rate": 0.1, "threshold": 0.02, "learning_rate_decay": "step"},
    {"learning_rate": 1e-4, "threshold": 0.0},
    {"learning_rate": 1.0, "threshold": 0.5},
]
TRIALS["bayes_binn"] = [
    {"learning_rate": 0.1, "learning_rate_decay": "cosine"},
    {"learning_rate": 1e-3, "momentum": 0.9, "init": 0.5, "train_set_size": 10},
]
TRIALS["target_flip_ratio"] = [
    {"flip_ratio": 0.2, "flip_ratio_decay": "linear"},
    {"flip_ratio": 0.05, "feedback": 0.0},
    {"flip_ratio": 0.7, "feedback": 1.0},
]


def gradients(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(STEPS, *shape, generator=generator, dtype=torch.float64)


def run(rule, start, trials, g):
    """The signs after each step, shape [T, K, P], and the flips of each step, shape [T, K]."""
    weights = torch.nn.Parameter(start.clone())
    optimizer = build_optimizer(rule, [weights], trials, steps=STEPS)
    signs, flips = [], []
    for gradient in g:
        weights.grad = gradient.clone()
        optimizer.step()
        signs.append(weights.detach().clone())
        flips.append(optimizer.flips.clone())
    return torch.stack(signs), torch.stack(flips)


def test_the_registries_name_the_same_rules():
    assert set(OPTIMIZERS) == set(HYPERPARAMETERS) == set(reference.TWINS) == set(TRIALS)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_every_rule_gives_the_signs_of_its_slow_twin(rule):
    trials = TRIALS[rule]
    start = 2 * torch.rand(len(trials), 7, dtype=torch.float64) - 1
    g = gradients(1, len(trials), 7)
    signs, _ = run(rule, start, trials, g)
    for k, trial in enumerate(trials):
        settings = complete(rule, trial)
        decay = next((settings[n] for n in settings if n in DECAYS), None)
        kept = {n: v for n, v in settings.items() if n not in (*DECAYS, "scaling")}
        if decay:
            kept["factor"] = lambda t, decay=decay: factor(decay, t, STEPS)
        expected = reference.signs_of(rule, start[k].tolist(), g[:, k].tolist(), **kept)
        assert signs[:, k].tolist() == expected


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_trial_in_a_batch_does_exactly_what_it_does_alone(rule):
    trials = TRIALS[rule]
    start = 2 * torch.rand(len(trials), 11, dtype=torch.float64) - 1
    g = gradients(2, len(trials), 11)
    together, flips = run(rule, start, trials, g)
    for k in range(len(trials)):
        alone, alone_flips = run(rule, start[k : k + 1], trials[k : k + 1], g[:, k : k + 1])
        assert torch.equal(alone[:, 0], together[:, k])
        assert torch.equal(alone_flips[:, 0], flips[:, k])


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_flips_counts_the_signs_that_changed(rule):
    trials = TRIALS[rule]
    start = 2 * torch.rand(len(trials), 50, dtype=torch.float64) - 1
    signs, flips = run(rule, start, trials, gradients(3, len(trials), 50))
    before = torch.cat([sign(start)[None], signs[:-1]])
    assert torch.equal(flips, (before != signs).sum(2))
    assert flips.sum() > 0


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_trials_that_leave_do_not_change_those_that_stay(rule):
    trials = TRIALS[rule]
    k = len(trials)
    start = 2 * torch.rand(k, 5, dtype=torch.float64) - 1
    g = gradients(4, k, 5)
    whole, _ = run(rule, start, trials, g)
    weights = torch.nn.Parameter(start.clone())
    optimizer = build_optimizer(rule, [weights], trials, steps=STEPS)
    keep = torch.tensor([k - 1])
    for t in range(STEPS):
        if t == STEPS // 2:
            weights.data = weights.data[keep]
            optimizer.select_trials(keep)
        weights.grad = (g[t] if t < STEPS // 2 else g[t][keep]).clone()
        optimizer.step()
    assert torch.equal(weights.data, whole[-1][keep])
    assert optimizer.flips.shape == (1,)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_saved_state_goes_on_bit_for_bit(rule, tmp_path):
    trials = TRIALS[rule]
    start = 2 * torch.rand(len(trials), 5, dtype=torch.float64) - 1
    g = gradients(5, len(trials), 5)
    whole, _ = run(rule, start, trials, g)
    weights = torch.nn.Parameter(start.clone())
    optimizer = build_optimizer(rule, [weights], trials, steps=STEPS)
    for t in range(STEPS):
        if t == 25:
            torch.save((weights.data, optimizer.state_dict()), tmp_path / "state.pt")
            weights = torch.nn.Parameter(start.clone())
            optimizer = build_optimizer(rule, [weights], trials, steps=STEPS)
            data, state = torch.load(tmp_path / "state.pt", weights_only=True)
            weights.data = data
            optimizer.load_state_dict(state)
        weights.grad = g[t].clone()
        optimizer.step()
    assert torch.equal(weights.data, whole[-1])


@pytest.mark.parametrize("copy", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_copy_goes_on_as_the_original(rule, copy):
    trials = TRIALS[rule]
    weights = torch.nn.Parameter(2 * torch.rand(len(trials), 5, dtype=torch.float64) - 1)
    pair = [weights, build_optimizer(rule, [weights], trials, steps=STEPS)]
    g = gradients(6, len(trials), 5)
    for t in range(STEPS):
        if t == 20:
            other = copy(pair)
            assert other[1].param_groups[0]["params"][0] is other[0]
        for p, optimizer in [pair] if t < 20 else [pair, other]:
            p.grad = g[t].clone()
            optimizer.step()
    assert torch.equal(pair[0], other[0])
    assert torch.equal(pair[1].flips, other[1].flips)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_rule_trains_any_module_with_plain_floats(rule):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(6, 20, bias=False), torch.nn.Tanh(), torch.nn.Linear(20, 3, bias=False)
    )
    plain = {n: v for n, v in TRIALS[rule][0].items() if not n.endswith("_decay")}
    optimizer = OPTIMIZERS[rule](module.parameters(), **plain)
    x, target = torch.randn(64, 6), torch.randint(3, (64,))
    for _ in range(5):
        loss = optimizer.step(closure(module, optimizer, x, target))
    assert math.isfinite(loss)
    assert optimizer.flips.dim() == 0
    assert all(set(p.unique().tolist()) <= {-1.0, 1.0} for p in module.parameters())


def closure(module, optimizer, x, target):
    def run():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(x), target)
        loss.backward()
        return loss.item()

    return run


NUMBERS = [
    (rule, name, number)
    for rule, known in HYPERPARAMETERS.items()
    for name, number in known.items()
    if isinstance(number, Number)
]


@pytest.mark.parametrize(("rule", "name", "number"), NUMBERS)
def test_a_number_outside_its_range_is_refused_by_name(rule, name, number):
    outside = [math.nan, number.low - 1, number.high if number.open_high else number.high + 1]
    outside += [number.low] if number.open_low else []
    for value in outside:
        if value == math.inf and not number.open_high:
            continue
        with pytest.raises(InvalidInput, match=rf"{rule}\.{name} must be in"):
            complete(rule, {name: value})
        weights = torch.nn.Parameter(torch.ones(1, 2))
        with pytest.raises(InvalidInput, match=rf"{name} must be in"):
            build_optimizer(rule, [weights], [{name: value}], steps=3)


def test_a_whole_number_beyond_all_floats_is_refused_by_name():
    for rule, name in (("bop", "tau"), ("latent_sgd", "clip")):
        with pytest.raises(InvalidInput, match=rf"{rule}\.{name} must be in .*, got 1000"):
            complete(rule, {name: 10**400})


def test_names_that_do_not_exist_are_refused_with_the_choices():
    with pytest.raises(UnknownName, match=r"update rule 'filterflip' is unknown.*filter_flip"):
        complete("filterflip", {})
    with pytest.raises(UnknownName, match=r"'alfa' is unknown; did you mean 'alpha'"):
        complete("filter_flip", {"alfa": 1e-3})
    with pytest.raises(InvalidInput, match="alpha_decay must be one of constant, linear"):
        complete("filter_flip", {"alpha_decay": "cosin"})
    with pytest.raises(InvalidInput, match="scaling must be one of false, true, got 1"):
        complete("latent_sgd", {"scaling": 1})


def test_options_that_do_not_go_together_are_refused():
    for settings, words in (
        ({"nesterov": True, "momentum": 0.9}, "coupled form only"),
        ({"coupled": True, "nesterov": True}, "nesterov needs momentum > 0"),
        ({"coupled": True, "nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening 0"),
    ):
        with pytest.raises(InvalidInput, match=words):
            complete("latent_sgd", settings)
    with pytest.raises(InvalidInput, match="coupled must be the same for all trials"):
        build_optimizer(
            "latent_sgd",
            torch.nn.Parameter(torch.ones(2, 3)),
            [{"coupled": True}, {"coupled": False}],
            steps=3,
        )


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_saved_state_keeps_its_precision_beside_low_precision_weights(rule, dtype):
    weights = torch.nn.Parameter(torch.randn(2, 5).to(dtype))
    optimizer = build_optimizer(rule, [weights], TRIALS[rule][:1] * 2, steps=STEPS)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        weights.grad = torch.randn(2, 5, generator=generator).to(dtype)
        optimizer.step()
    other = build_optimizer(rule, [weights.detach().clone()], TRIALS[rule][:1] * 2, steps=STEPS)
    other.load_state_dict(optimizer.state_dict())
    (state,), (loaded,) = optimizer.state.values(), other.state.values()
    assert state.keys() == loaded.keys()
    for name, value in state.items():
        if name == "step":
            assert loaded[name] == value == 3
            continue
        assert loaded[name].dtype == value.dtype == torch.float32
        assert torch.equal(loaded[name], value)


@pytest.mark.parametrize("compiled", [True, False], ids=["kernels", "torch"])
@pytest.mark.parametrize("rule", ["filter_flip", "latent_sgd", "latent_adamw"])
def test_a_trial_without_decay_steps_alike_beside_one_with_a_schedule(rule, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(kernels, "library", lambda: None)
    rate = "alpha" if rule == "filter_flip" else "learning_rate"
    trial = {rate: 0.1} | ({} if rate == "alpha" else {"weight_decay": 1e-6})
    ends = []
    for other in ("constant", "cosine"):
        weights = torch.nn.Parameter(gradients(1, 2, 500)[0].float())
        trials = [trial, {**trial, f"{rate}_decay": other}]
        optimizer = build_optimizer(rule, [weights], trials, steps=STEPS)
        assert (optimizer.schedule is None) == (other == "constant")
        for g in gradients(2, 2, 500).float():
            weights.grad = g
            optimizer.step()
        ends.append((weights.detach(), *optimizer.state[weights].values()))
    for ours, theirs in zip(*ends, strict=True):
        assert not torch.is_tensor(ours) or torch.equal(ours[0], theirs[0])
