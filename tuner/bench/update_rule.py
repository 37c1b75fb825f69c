"""Jobs that take steps of one update rule on many weights: ours and torch's own SGD."""

import time

import torch

from tuner.bench.child import Job, Slice
from tuner.optim import rules
from tuner.rules import Setting

SETTINGS: dict[str, dict[str, Setting]] = {
    "filter_flip": {"alpha": 1e-3, "gamma": 0.1},
    "latent_sgd": {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
}


class UpdateSteps(Job):
    """Steps of an update rule; ours also turn weights into signs and count the flips.

    Args:
        rule: A key of ``SETTINGS``, or ``sgd`` for ``torch.optim.SGD(fused=True)``.
        n_weights: Weights in one buffer.
        seconds: How long a slice is to last.
        precision: ``float32`` or ``bfloat16``, of weights and gradients; state is float32.
    """

    def __init__(
        self, rule: str, *, n_weights: int, seconds: float, precision: str = "float32"
    ) -> None:
        self.rule = rule
        self.precision = precision
        self.n_weights = n_weights
        self.seconds = seconds

    def start(self) -> None:
        """Make weights and gradient, and take the first step."""
        torch.set_num_threads(1)
        generator = torch.Generator().manual_seed(0)
        weights = torch.nn.Parameter(torch.randn(1, self.n_weights, generator=generator))
        self._optimizer: torch.optim.Optimizer
        if self.rule == "sgd":
            self._optimizer = torch.optim.SGD(
                [weights], lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True
            )
        else:
            settings = [SETTINGS[self.rule]]
            self._optimizer = rules.build_optimizer(self.rule, [weights], settings, steps=10**6)
        weights.data = weights.data.to(getattr(torch, self.precision))
        weights.grad = torch.randn(1, self.n_weights, generator=generator).to(weights.dtype)
        self._take(1)

    def gauge(self) -> None:
        """Find out how many steps make a slice."""
        few = 3
        self._steps = max(few, round(few * self.seconds / self._take(few)))

    def run(self, number: int) -> Slice:  # noqa: ARG002  # every slice is the same
        """Take the steps; see ``Job``."""
        return Slice(self._steps * self.n_weights, self._take(self._steps))

    def _take(self, steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            self._optimizer.step()
        return time.perf_counter() - start
