"""Jobs that take steps of one update rule on many weights: ours and torch's own SGD."""

import time

import torch

from tuner.bench.child import Job, Slice
from tuner.optim import rules
from tuner.rules import Setting

RULES: dict[str, tuple[str, dict[str, Setting]]] = {
    "FilterFlip": ("filter_flip", {"alpha": 1e-3, "gamma": 0.1}),
    "DesignedFilter": ("designed_filter", {"memory": 1e3, "family": "butterworth"}),
    "DesignedFilter of order 3": (
        "designed_filter",
        {"memory": 1e3, "family": "butterworth", "order": 3},
    ),
    "DesignedFilter of order 4": (
        "designed_filter",
        {"memory": 1e3, "family": "butterworth", "order": 4},
    ),
    "Bop": ("bop", {"gamma": 1e-3}),
    "LatentSGD": (
        "latent_sgd",
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
    ),
    "LatentAdam": ("latent_adam", {"learning_rate": 1e-3, "weight_decay": 1e-4}),
}
"""What is timed, in words: the rule and its settings."""


class UpdateSteps(Job):
    """Steps of an update rule; ours also turn weights into signs and count the flips.

    Args:
        rule: A key of ``RULES``, or ``sgd`` for ``torch.optim.SGD(fused=True)``.
        shape: Of each weight tensor.
        n_tensors: How many there are.
        seconds: How long a slice is to last.
        precision: ``float32`` or ``bfloat16``, of weights and gradients; state is float32.
    """

    def __init__(
        self,
        rule: str,
        *,
        shape: tuple[int, ...],
        n_tensors: int = 1,
        seconds: float,
        precision: str = "float32",
    ) -> None:
        self.rule = rule
        self.shape = shape
        self.n_tensors = n_tensors
        self.seconds = seconds
        self.precision = precision

    def start(self) -> None:
        """Make weights and gradients, and take the first step."""
        torch.set_num_threads(1)
        generator = torch.Generator().manual_seed(0)
        weights = [
            torch.nn.Parameter(torch.randn(self.shape, generator=generator))
            for _ in range(self.n_tensors)
        ]
        self._n_weights = sum(weight.numel() for weight in weights)
        self._optimizer: torch.optim.Optimizer
        if self.rule == "sgd":
            self._optimizer = torch.optim.SGD(
                weights, lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True
            )
        else:
            rule, settings = RULES[self.rule]
            self._optimizer = rules.optimizer_of(rule, weights, settings, steps=10**6)
        for weight in weights:
            weight.data = weight.data.to(getattr(torch, self.precision))
            weight.grad = torch.randn(self.shape, generator=generator).to(weight.dtype)
        self._take(1)

    def gauge(self) -> None:
        """Find out how many steps make a slice."""
        few = 3
        self._steps = max(few, round(few * self.seconds / self._take(few)))

    def run(self, number: int) -> Slice:  # noqa: ARG002  # every slice is the same
        """Take the steps; see ``Job``."""
        return Slice(self._steps * self._n_weights, self._take(self._steps))

    def _take(self, steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            self._optimizer.step()
        return time.perf_counter() - start
