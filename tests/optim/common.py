"""Small settings of every update rule, for what is tried with all of them."""

import torch

from tuner.optim import (
    SGDAT,
    BayesBiNN,
    Bop,
    Bop2ndOrder,
    DesignedFilter,
    FilterFlip,
    LatentAdam,
    LatentAdamW,
    LatentLion,
    LatentSGD,
    LatentSignSGD,
    TargetFlipRatio,
)

COMPILED = {
    "filter_flip": (FilterFlip, "alpha", {"gamma": 0.5}),
    "filter_flip first order": (FilterFlip, "alpha", {}),
    "designed_filter": (DesignedFilter, "cutoff", {"family": "bessel", "order": 3}),
    "latent_sgd": (LatentSGD, "learning_rate", {"momentum": 0.9, "weight_decay": 0.01}),
    "latent_sgd coupled": (LatentSGD, "learning_rate", {"momentum": 0.9, "coupled": True}),
    "latent_sgd scaled": (LatentSGD, "learning_rate", {"scaling": True}),
    "latent_adam": (LatentAdam, "learning_rate", {}),
    "latent_adamw": (LatentAdamW, "learning_rate", {"weight_decay": 0.01}),
    "bop": (Bop, "gamma", {"tau": 1e-3}),
}
"""Rules with a compiled step: class, its own name for ``lr``, and other arguments."""

MAKERS = {
    **COMPILED,
    "latent_signsgd": (LatentSignSGD, "learning_rate", {"weight_decay": 0.01}),
    "latent_lion": (LatentLion, "learning_rate", {"weight_decay": 0.01}),
    "bop2nd_order": (Bop2ndOrder, "gamma", {"tau": 1e-3}),
    "sgdat": (SGDAT, "learning_rate", {"threshold": 1e-3}),
    "bayes_binn": (BayesBiNN, "learning_rate", {"momentum": 0.5}),
    "target_flip_ratio": (TargetFlipRatio, "flip_ratio", {}),
}
"""All rules."""

RATE = 0.2


def make(name, params, **more):
    """The rule with a rate of 0.2, unless there is another."""
    kind, _, options = MAKERS[name]
    return kind(params, **{"lr": RATE, **options, **more})


def weight(seed=0, *shape, dtype=torch.float32):
    """Random values, not yet binary."""
    return torch.nn.Parameter(noise(seed, *shape, dtype=dtype))


def noise(seed, *shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or (6, 5)), generator=generator, dtype=dtype)


def train(optimizer, param, steps, *, after=lambda _: None, begin=0):
    """Take steps on noise; the signs after each."""
    signs = []
    for step in range(begin, begin + steps):
        param.grad = noise(100 + step, *param.shape, dtype=param.dtype)
        optimizer.step()
        after(step)
        signs.append(param.detach().sign())
    return torch.stack(signs)
