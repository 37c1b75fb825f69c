"""A gradient filter in place of latent weights, in a plain torch training loop.

The same small network learns scikit-learn's 8x8 digits twice: its binary weights are flipped by
``FilterFlip``, then trained through hidden real weights by ``LatentSGD``. An optimizer of this
package turns its parameters into +1 and -1 when it is made, and keeps them so; all else is torch.

    python examples/plain_loop.py

Needs nothing but an installed bnn-tuner; takes a few seconds on one core.
"""

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from tuner.optim import FilterFlip, LatentSGD, Schedule
from tuner.optim.base import BinaryOptimizer

torch.set_num_threads(1)  # of tensors as small as these, several wait for each other longer

EPOCHS, BATCH = 15, 64
N_TRAIN = 1200


def network() -> tuple[nn.Sequential, list[Tensor]]:
    """A network, and those of its weights that are to be binary: the first two layers'."""
    layers = nn.Sequential(
        nn.Linear(64, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.Hardtanh(),
        nn.Linear(128, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.Hardtanh(),
        nn.Linear(128, 10),
    )
    return layers, [layers[0].weight, layers[3].weight]


def train(name: str, rule: Callable[[list[Tensor], Schedule], BinaryOptimizer]) -> None:
    """Train a network by the rule and print its accuracy on images it never saw."""
    torch.manual_seed(0)
    digits = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 16
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x))
    training, test = order[:N_TRAIN], order[N_TRAIN:]

    net, binary = network()
    real = [p for p in net.parameters() if all(p is not weight for weight in binary)]
    flipping = rule(binary, Schedule("cosine", EPOCHS * (N_TRAIN // BATCH)))
    adam = torch.optim.Adam(real, lr=1e-2)
    for _ in range(EPOCHS):
        flips = 0
        for batch in training[torch.randperm(N_TRAIN)].split(BATCH):
            if len(batch) < BATCH:
                continue
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            for optimizer in (flipping, adam):
                optimizer.step()
                optimizer.zero_grad()
            flips += int(flipping.flips)

    net.eval()
    accuracy = (net(x[test]).argmax(1) == y[test]).float().mean()
    values = sorted({value for weight in binary for value in weight.unique().tolist()})
    print(
        f"{name:<10} test accuracy {accuracy:.1%}, weights {values}, "
        f"{flips} flips in the last epoch"
    )


if __name__ == "__main__":
    train(
        "FilterFlip",
        lambda weights, decay: FilterFlip(weights, alpha=1e-2, gamma=0.1, schedule=decay),
    )
    train(
        "LatentSGD",
        lambda weights, decay: LatentSGD(
            weights,
            learning_rate=0.1,
            momentum=0.9,
            weight_decay=0.1,
            init_scale=0.1,
            schedule=decay,
        ),
    )
