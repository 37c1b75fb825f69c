"""One training step of all trials: its work on tensors."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuner.optim.base import BinaryOptimizer


def operations(
    network: nn.Module,
    rule: BinaryOptimizer,
    adam: torch.optim.Adam,
    images: Tensor,
    labels_KN: Tensor,
) -> Tensor:
    """Forward, backward, update; returns the losses [K].

    All that changes from step to step lies in tensors, so that it can be recorded and replayed.

    Args:
        network: K networks in one.
        rule: Updates the binary weights, after its ``tick``.
        adam: Updates the real ones.
        images: [K, N, C, H, W].
        labels_KN: [K, N].
    """
    loss_K = _cross_entropy(network(images), labels_KN)
    torch.autograd.backward(loss_K.sum())
    rule.update()
    adam.step()
    network.zero_grad()
    return loss_K.detach()


def _cross_entropy(logits_KNO: Tensor, labels_KN: Tensor) -> Tensor:
    """Mean cross-entropy of each trial, shape [K], in nats."""
    logits_KON = logits_KNO.transpose(1, 2).contiguous()  # torch is slow over a short last axis
    return F.cross_entropy(logits_KON, labels_KN, reduction="none").mean(1)
