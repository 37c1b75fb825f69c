"""One training step of all trials: its work on tensors."""

import torch
from torch import Tensor, nn

from tuner.bnn.losses import Loss
from tuner.optim.base import BinaryOptimizer


def operations(
    network: nn.Module,
    rule: BinaryOptimizer,
    adam: torch.optim.Adam,
    loss: Loss,
    inputs: Tensor,
    *targets: Tensor,
) -> Tensor:
    """Forward, backward, update; returns the losses [K].

    All that changes from step to step lies in tensors, so that it can be recorded and replayed.

    Args:
        network: K networks in one.
        rule: Updates the binary weights, after its ``tick``.
        adam: Updates the real ones.
        loss: Of each trial.
        inputs: [K, N, ...], such as images [K, N, C, H, W].
        targets: Labels [K, N], or numbers [K, N, ...]; and what a teacher says, [K, N, O].
    """
    loss_K = loss(network(inputs), *targets)
    torch.autograd.backward(loss_K.sum())
    rule.update()
    adam.step()
    network.zero_grad()
    return loss_K.detach()
