"""Activations first, weights second: what the second step begins with.

In the first step the weights of binary layers are real, and Adam trains them as it trains all
others; only activations are binary. In the second an update rule trains them as +1 and -1, and
Adam begins anew on the rest.

Source: Martinez et al. (2020), arXiv:2003.11535; Liu et al. (2020), arXiv:2003.03488.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tuner.optim import FilterFlip
from tuner.optim.base import BinaryOptimizer
from tuner.optim.equivalence import firmness
from tuner.optim.flip import Flipping
from tuner.trial import TrialConfig


def no_rule() -> BinaryOptimizer:
    """What stands in for the update rule in the first step: it counts the steps, no more."""
    return FilterFlip([{"params": []}], alpha=1.0)


@torch.no_grad()
def pulls(
    weights: Sequence[Tensor], moments: Sequence[Mapping[str, Tensor]], beta2: float, n_trials: int
) -> list[Tensor]:
    """For each weight the gradient that would have made it, and scale the weights to 1 at most.

    -sigma w / rms(w), where sigma^2 is the mean of Adam's second moments: a gradient of the size
    that they had at last, and of the sign that makes the weight's. Of each trial's weights by
    themselves, as is the largest weight, which is 1 afterwards: first weights are that large.

    Args:
        weights: Real weights of the layers, [K, ...], or [...] where K is 1; changed in place.
        moments: Of each, Adam's state, empty where it never got a gradient.
        beta2: Adam's.
        n_trials: K.
    """
    found = []
    for weight, state in zip(weights, moments, strict=True):
        pull = torch.zeros_like(weight)
        rows = weight.reshape(n_trials, -1)
        if state:
            square = state["exp_avg_sq"].reshape(n_trials, -1) / (1 - beta2 ** state["step"])
            sigma = square.mean(1, keepdim=True).sqrt()
            size = rows.square().mean(1, keepdim=True).sqrt()
            pull = (-sigma * rows / _or_one(size)).reshape(weight.shape)
        largest = _or_one(rows.abs().amax(1, keepdim=True))
        weight.copy_((rows / largest).reshape(weight.shape))
        found.append(pull)
    return found


def begin(
    rule: BinaryOptimizer, pulls: Sequence[Tensor], trials: Sequence[TrialConfig], *, steps: int
) -> None:
    """Have a rule begin where the real weights point, where it would begin at rest.

    Every average of gradients begins as after an even gradient: the pull of ``pulls`` times the
    root of its filter's noise gain, by which gradients of that size spread it (``firmness``).

    Args:
        rule: Made of the real weights.
        pulls: Of its parameters, in order.
        trials: Along the trial axis.
        steps: Length of the second step.
    """
    if not isinstance(rule, Flipping) or not rule.averages:
        return
    firm = [firmness(trial.rule, trial.settings, steps) for trial in trials]
    levels = []
    for pull in pulls:
        factors = torch.tensor(firm, dtype=pull.dtype, device=pull.device)
        rows = pull.reshape(len(trials), -1) * factors[:, None]
        levels.append(rows.reshape(pull.shape))
    rule.settle(levels)


def _or_one(sizes: Tensor) -> Tensor:
    """The sizes, and 1 where all is 0."""
    return torch.where(sizes > 0, sizes, 1.0)
