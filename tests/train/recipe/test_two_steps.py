"""Activations first, weights second: what each step trains, and what the second begins with."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuner.errors import InvalidInput
from tuner.optim.equivalence import describe, describe_from_real, firmness
from tuner.optim.flip import Flipping
from tuner.optim.rules import OPTIMIZERS, build_optimizer
from tuner.train import TrialConfig, train
from tuner.train.recipe import two_steps
from tuner.train.run import Run
from tuner.workload import Workload

CPU = torch.device("cpu")
SMALL = Workload(
    widths=(12, 9), epochs=4, real_epochs=2, batch_size=32, n_train=96, precision="float64"
)
FILTER = {"alpha": 3e-2, "gamma": 0.4, "alpha_decay": "cosine"}
NOISY = {
    "filter_flip": [{"alpha": 0.02, "gamma": 0.3}, {"alpha": 0.1}],
    "designed_filter": [
        {"memory": 30.0, "family": "butterworth", "order": 3},
        {"memory": 20.0, "family": "damped", "order": 2, "damping": 0.5},
    ],
    "target_flip_ratio": [{"flip_ratio": 0.03}, {"flip_ratio": 0.1}],
    "bop": [{"gamma": 0.02}, {"gamma": 0.1}],
    "bop2nd_order": [{"gamma": 0.02}, {"gamma": 0.1}],
}
"""Rules that average gradients, and settings that forget within a hundred steps."""


def trials(rule="filter_flip", settings=FILTER, seeds=(7, 8)):
    return [TrialConfig(rule, settings, seed) for seed in seeds]


def plainly(run: Run) -> tuple[list[Tensor], list[Tensor]]:
    """The first step, written down for one trial of an mlp: its weights, and Adam's moments."""
    network, real = run.network, list(run.network.parameters())
    m, v = ([torch.zeros_like(p) for p in real] for _ in range(2))
    steps, done = 2 * run.batches.steps_per_epoch, 0
    for epoch in (1, 2):
        for images, labels in run.batches.epoch([run.trials[0].seed], epoch):
            x = images[0].flatten(1)
            for linear, norm in zip(network.hidden, network.norms, strict=True):
                x = F.linear(x, linear.weight[0])
                x = F.batch_norm(x, None, None, norm.weight[0], norm.bias[0], training=True)
                x = (x.sign() - F.hardtanh(x)).detach() + F.hardtanh(x)
            logits = F.linear(x, network.last.weight[0], network.last.bias[0, 0])
            gradients = torch.autograd.grad(F.cross_entropy(logits, labels[0]), real)
            rate = 1e-2 * 0.5 * (1 + math.cos(math.pi * done / steps))
            done += 1
            for p, g, first, second in zip(real, gradients, m, v, strict=True):
                first.mul_(0.9).add_(g, alpha=0.1)
                second.mul_(0.999).add_(g * g, alpha=0.001)
                root = (second / (1 - 0.999**done)).sqrt() + 1e-8
                with torch.no_grad():
                    p.sub_(rate * (first / (1 - 0.9**done)) / root)
    moments = [second / (1 - 0.999**done) for second in v]
    return [p.detach().clone() for p in real], moments


def test_the_second_step_begins_with_the_signs_of_the_weights_that_adam_trained():
    run = Run(SMALL, trials(seeds=[7]), CPU)
    twin = Run(SMALL, trials(seeds=[7]), CPU)
    weights, moments = plainly(twin)
    for epoch in (1, 2):
        report = run.epoch(epoch)
        assert report.flip_ratio == (0.0,)
    (binary,) = run.binary
    (place,) = [i for i, p in enumerate(run.network.parameters()) if p is binary]
    w, sigma = weights[place], moments[place].mean().sqrt()
    assert torch.equal(binary, torch.where(w >= 0, 1.0, -1.0).double())
    expected = -sigma * firmness("filter_flip", FILTER, run.steps) * w / w.square().mean().sqrt()
    for name in ("s", "m"):
        torch.testing.assert_close(run.rule.state[binary][name], expected)
    for ours, theirs in zip(run.network.parameters(), weights, strict=True):
        if ours is not binary:
            torch.testing.assert_close(ours.detach(), theirs)
    assert run.rule.step_count == 0 and not run.adam.state
    assert run.steps == run.binary_steps == 2 * run.batches.steps_per_epoch


def test_latent_weights_begin_as_the_real_ones_of_which_the_largest_is_one():
    rule = "latent_sgd"
    run = Run(SMALL, trials(rule, {"learning_rate": 0.1, "init_scale": 0.5}), CPU)
    run.epoch(1)
    kept = {}
    begin = two_steps.pulls

    def note(weights, *rest):
        kept["before"] = weights[0].detach().clone()
        return begin(weights, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_steps, "pulls", note)
        run.epoch(2)
    w = kept["before"]
    latent = run.rule.state[run.binary[0]]["w"]
    torch.testing.assert_close(latent, 0.5 * w / w.abs().amax((1, 2), keepdim=True))
    assert latent.abs().amax((1, 2)).tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("rule", NOISY)
def test_an_average_begins_as_far_from_zero_as_noise_spreads_it(rule):
    generator = torch.Generator().manual_seed(3)
    shape, sigma = (2, 50, 60), 0.7
    real = torch.randn(shape, generator=generator, dtype=torch.float64)
    moments = [{"exp_avg_sq": torch.full(shape, sigma**2), "step": torch.tensor(1e9)}]
    weight = nn.Parameter(real.clone())
    pulls = two_steps.pulls([weight], moments, 0.999, 2)
    optimizer = build_optimizer(rule, [weight], NOISY[rule], steps=500)
    configs = [TrialConfig(rule, settings, 0) for settings in NOISY[rule]]
    two_steps.begin(optimizer, pulls, configs, steps=500)
    assert torch.equal(weight.detach(), real.sign())
    name = {"filter_flip": "s", "target_flip_ratio": "s", "designed_filter": "w0"}.get(rule, "m")
    before = optimizer.state[weight][name].square().mean((1, 2)).sqrt()
    flips = []
    for _ in range(300):
        weight.grad = sigma * torch.randn(shape, generator=generator, dtype=torch.float64)
        optimizer.step()
        flips.append(optimizer.flips / (50 * 60))
    if rule != "designed_filter":  # whose last slot is s
        after = optimizer.state[weight][name].square().mean((1, 2)).sqrt()
        torch.testing.assert_close(before, after, rtol=0.1, atol=0)
    early, late = torch.stack(flips[:40]).mean(0), torch.stack(flips[-100:]).mean(0)
    assert bool((early < 1.5 * late).all())  # at rest the first step alone flips half


def test_every_rule_that_averages_is_described_so():
    averaging = {
        name for name, kind in OPTIMIZERS.items() if issubclass(kind, Flipping) and kind.averages
    }
    assert averaging == set(NOISY)
    for rule in OPTIMIZERS:
        settings = NOISY.get(rule, [{}])[0]
        rest, begun = describe(rule, settings, 400), describe_from_real(rule, settings, 400)
        if rule not in averaging:
            assert begun == rest
            continue
        assert begun.start_state.startswith("every average at -sigma sqrt(G) w")
        (forgotten,) = [each for each in begun.conditions if each.name == "start_forgotten"]
        if rule == "filter_flip":  # ln 100 / 0.02
            assert forgotten.holds and "after 228 steps, the run has 400" in forgotten.why
    short = describe_from_real("filter_flip", {"alpha": 1e-3}, 400)
    assert [each.holds for each in short.conditions if each.name == "start_forgotten"] == [False]


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["filter_flip", "latent_adam"])
def test_a_trial_of_a_batch_gives_the_result_it_gives_alone(rule):
    settings = [FILTER, {"alpha": 0.3}] if rule == "filter_flip" else [{}, {"learning_rate": 0.1}]
    configs = [TrialConfig(rule, each, seed) for seed, each in enumerate(settings)]
    together = train(SMALL, configs, test=True)
    for config, fused in zip(configs, together, strict=True):
        (alone,) = train(SMALL, [config], test=True)
        for a, b in zip(alone.curve, fused.curve, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-9)
            assert a.flip_ratio == pytest.approx(b.flip_ratio, abs=1e-9)
        assert alone.test_accuracy == fused.test_accuracy
        assert alone.steps == fused.steps == 6


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidInput, match="must be < 4 epochs, got 4"):
        replace(SMALL, real_epochs=4)
    with pytest.raises(InvalidInput, match=r"workload.real_epochs: must be >= 0, got -1"):
        replace(SMALL, real_epochs=-1)
