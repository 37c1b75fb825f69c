"""What training lowers and trials are scored by: of this software, or functions of the user's."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tuner.errors import InvalidInput
from tuner.named import function
from tuner.workload import Workload

Loss = Callable[..., Tensor]
"""Takes outputs [K, N, ...] and targets [K, N, ...], and a teacher's logits [K, N, O] where there
is one, and returns each trial's mean loss, [K]."""

Metric = Callable[[Tensor, Tensor], float]
"""Takes outputs [n, ...] of one trial for a whole split, and targets [n, ...]."""


def loss_of(workload: Workload) -> Loss:
    """What training lowers.

    Raises:
        InvalidInput: If it is a function that may not be imported, or cannot be called.
    """
    if workload.loss == "cross_entropy":
        return _cross_entropy
    if workload.loss == "mse":
        return _squared_error
    call, where = function(workload, "loss"), f"workload.loss: {workload.loss}"

    def losses(outputs: Tensor, targets: Tensor) -> Tensor:
        each = [call(*of_one) for of_one in zip(outputs, targets, strict=True)]
        for loss in each:
            if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
                raise InvalidInput(
                    f"{where} must return the mean loss, a tensor of one number that gradients "
                    f"flow back from, got {_kind(loss)}"
                )
        return torch.stack([loss.reshape(()) for loss in each])

    return losses


def taught(workload: Workload) -> Loss:
    """What training by a teacher lowers, of logits z, labels and the teacher's logits t.

    share T^2 KL(softmax(t / T) || softmax(z / T)) + (1 - share) loss(z, labels)

    T^2 keeps the gradients' size whatever the temperature T is.

    Source: Hinton et al. (2015), arXiv:1503.02531.
    """
    plain, share, heat = loss_of(workload), workload.teacher_share, workload.temperature

    def losses(logits_KNO: Tensor, labels_KN: Tensor, said_KNO: Tensor) -> Tensor:
        ours, theirs = (F.log_softmax(x / heat, 2) for x in (logits_KNO, said_KNO))
        apart = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(2).mean(1)
        taught_K = share * heat**2 * apart
        return taught_K if share == 1 else taught_K + (1 - share) * plain(logits_KNO, labels_KN)

    return losses


def metric_of(workload: Workload) -> Metric:
    """What a trial is scored by, where that is not accuracy.

    Raises:
        InvalidInput: If it is a function that may not be imported, or cannot be called.
    """
    if not workload.own_metric:
        loss = loss_of(workload)

        def mean_loss(outputs: Tensor, targets: Tensor) -> float:
            with torch.enable_grad():  # a loss must be one that gradients flow back from
                return float(loss(outputs[None].requires_grad_(), targets[None]).detach())

        return mean_loss
    call, where = function(workload, "metric"), f"workload.metric: {workload.metric}"

    def score(outputs: Tensor, targets: Tensor) -> float:
        value = call(outputs, targets)
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidInput(f"{where} must return a number, got {_kind(value)}") from error

    return score


def _cross_entropy(logits_KNO: Tensor, labels_KN: Tensor) -> Tensor:
    """Mean cross-entropy of each trial, shape [K], in nats."""
    logits_KON = logits_KNO.transpose(1, 2).contiguous()  # torch is slow over a short last axis
    return F.cross_entropy(logits_KON, labels_KN, reduction="none").mean(1)


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of each trial, shape [K]; [N, 1] and [N] are the same targets."""
    if outputs.numel() != targets.numel():
        raise InvalidInput(
            "workload.loss: mse needs an output for each number of the targets, got outputs of "
            f"shape {list(outputs.shape[1:])} for targets of shape {list(targets.shape[1:])}"
        )
    errors = outputs - targets.reshape(outputs.shape).to(outputs.dtype)
    return errors.square().flatten(1).mean(1)


def _kind(value: Any) -> str:  # Any: whatever the user's function returned
    if isinstance(value, Tensor):
        grad = "" if value.requires_grad else ", without gradient"
        return f"a tensor of shape {list(value.shape)}{grad}"
    return f"{type(value).__name__}"
