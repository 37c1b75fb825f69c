"""One whole run, readable from top to bottom: which search space needs less tuning?

A network whose weights and activations are all +1 and -1 learns scikit-learn's 8x8 digits. Random
search tries as many settings of a gradient filter (alpha, gamma) as of SGD on latent weights
(learning rate, momentum, weight decay, initial scale); the expected best of k trials says how
much tuning each needs. It is plain torch around ``tuner.optim``; ``tuner.compare`` does the
statistics. ``tuner run`` does the same at full length, many trials as one program, and trains
afresh what the searches select: until then a difference is unconfirmed.

    python examples/whole_run.py

Takes about a quarter of a minute on one core.
"""

import math
import time
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from tuner.compare import Arm, Protocol, compare
from tuner.optim import FilterFlip, LatentSGD, Schedule

torch.set_num_threads(1)  # of tensors as small as these, several wait for each other longer

N_TRIALS, EPOCHS, BATCH = 30, 6, 64
STEPS = EPOCHS * (900 // BATCH)


# Data: 900 images to train on, 897 to validate on.

torch.manual_seed(0)
digits = load_digits()
order = torch.randperm(len(digits.data))
x = torch.tensor(digits.data, dtype=torch.float32)[order] / 8 - 1
y = torch.tensor(digits.target)[order]
x_train, y_train, x_val, y_val = x[:900], y[:900], x[900:], y[900:]


# Network: binary weights, which an optimizer of tuner.optim keeps binary, and binary activations.


class SignSTE(torch.autograd.Function):
    """Sign forward; backward the gradient where |x| <= 1 (straight-through estimator)."""

    @staticmethod
    def forward(ctx, x):
        """+1 where x >= 0, else -1."""
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        """As if it were the identity, cut off at 1."""
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1)


class Network(nn.Module):
    """Linear, batch norm, sign; again; a last linear layer and its batch norm."""

    def __init__(self, widths=(64, 128, 128, 10)):
        super().__init__()
        pairs = list(pairwise(widths))
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for _, b in pairs)

    def forward(self, x):
        """Logits."""
        for i, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            x = norm(linear(SignSTE.apply(x) if i else x))
        return x


# Training: the rule flips the weights, Adam moves batch norm.


def train(make_rule, settings: dict[str, float], seed: int) -> float:
    """Validation accuracy after training with these settings."""
    torch.manual_seed(seed)
    net = Network()
    rule = make_rule(net.linears.parameters(), settings)
    adam = torch.optim.Adam(net.norms.parameters(), lr=1e-2)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x_train))[: 900 // BATCH * BATCH].split(BATCH):
            F.cross_entropy(net(x_train[batch]), y_train[batch]).backward()
            for optimizer in (rule, adam):
                optimizer.step()
                optimizer.zero_grad()
    net.eval()
    accuracy = (net(x_val).argmax(1) == y_val).double().mean().item()
    return accuracy if math.isfinite(accuracy) else 0.1  # nothing is dropped: it scores chance


# The two search spaces, and random search.

FILTER = {"alpha": (1e-5, 1e-1), "gamma": (1e-3, 1.0)}
MAGNITUDE = {
    "init_scale": (1e-2, 10.0),
    "learning_rate": (1e-4, 10.0),
    "one_minus_momentum": (1e-3, 1.0),
    "weight_decay": (1e-6, 1e-1),
}


def filter_flip(weights: list[Tensor], settings: dict[str, float]) -> FilterFlip:
    """No latent weights: a filtered gradient, and a flip where it agrees with the weight."""
    return FilterFlip(weights, **settings, schedule=Schedule("cosine", STEPS))


def latent_sgd(weights: list[Tensor], settings: dict[str, float]) -> LatentSGD:
    """The usual way: SGD on a hidden real weight behind every binary one."""
    others = {name: value for name, value in settings.items() if name != "one_minus_momentum"}
    momentum = 1 - settings["one_minus_momentum"]
    return LatentSGD(weights, momentum=momentum, **others, schedule=Schedule("cosine", STEPS))


def search(name: str, make_rule, space: dict[str, tuple[float, float]]) -> Arm:
    """Random search, uniform in the logarithms; trial i of either space has the same seed."""
    draw = np.random.default_rng(0)
    scores, seconds = [], []
    for seed in range(N_TRIALS):
        settings = {key: math.exp(draw.uniform(*np.log(span))) for key, span in space.items()}
        start = time.perf_counter()
        scores.append(train(make_rule, settings, seed))
        seconds.append(time.perf_counter() - start)
        if scores[-1] == max(scores):
            chosen = ", ".join(f"{key} {value:.2g}" for key, value in settings.items())
            print(f"{name}, trial {seed + 1}: {scores[-1]:.1%} with {chosen}")
    no = np.zeros(N_TRIALS, dtype=bool)
    ranges = {key: f"{low:g} .. {high:g}, log" for key, (low, high) in space.items()}
    return Arm(name, np.array(scores), np.array(seconds), no, no, "random", ranges)


# The comparison: expected best of k trials, and the verdict at a budget fixed beforehand.

if __name__ == "__main__":
    arms = [search("filter", filter_flip, FILTER), search("magnitude", latent_sgd, MAGNITUDE)]
    comparison = compare(arms, Protocol(primary=("filter", "magnitude"), k=3, workload="digits"))
    print(f"\nbest of  {arms[0].name:>20}  {arms[1].name:>20}")
    for points in zip(*(arm.curve for arm in comparison.arms), strict=True):
        if points[0].k in (1, 2, 3, 5, 10, 20, N_TRIALS):
            cells = [f"{p.value:.1%} [{p.low:.1%}, {p.high:.1%}]" for p in points]
            print(f"{points[0].k:>7}  {cells[0]:>20}  {cells[1]:>20}")
    print(f"\n{comparison.verdict.heading}\n{comparison.verdict.text}")
