"""A moving average whose memory is driven so that a wanted share of the weights flips."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim.base import Parameters, sign
from tuner.optim.family.in_torch import InTorch
from tuner.optim.filters import along, lerp_, state_like
from tuner.optim.flip import Flipping, flip_where
from tuner.optim.groups import Group, Known, Value, either
from tuner.optim.parameters import State, is_flat_part
from tuner.optim.schedules import Decay

_LONG_AGO = 2**40
"""Steps after which a filter from rest is full, whatever its alpha."""

FURTHEST = math.log(1000)
"""Feedback moves alpha a thousandfold away from what the law gives, and no further."""


class TargetFlipRatio(InTorch, Flipping):
    """FilterFlip of first order, with alpha driven so that the flip ratio follows a schedule.

    a_t = 1 - cos(pi rho_t),    alpha_t = min(1, a_t exp(u_{t-1})),    u_0 = 0
    s_t = (1 - alpha_t) s_{t-1} + alpha_t g_t;    flip b where s_t b > 0
    u_t = clamp(u_{t-1} + kappa (e_t - r_t) / (e_t + r_t))

    r_t is the share of a parameter's weights that the step flipped. a is what the law of flip
    ratios gives for white noise; e_t is what a filter of that alpha flips in its t-th step from
    rest, which is 1/2 in the first and falls to rho:

    e_t = arccos((1 - a) sqrt((1 - q^(t-1)) / (1 - q^t))) / pi,    q = (1 - a)^2

    So feedback stands still where gradients are white noise, also while the filter still fills.
    Each parameter has an alpha of its own, and so has each trial.

    Args:
        params: As in ``FilterFlip``.
        flip_ratio: rho, the share of the weights that is to flip at each step, in (0, 1], shape
            [] or [K]; beyond 0.5 no average flips more. 0.01 if left out. It lies under ``lr`` in
            the groups, where torch's schedulers drive it.
        feedback: kappa, in [0, 1], shape [] or [K]; 0 is FilterFlip with alpha = a_t.
        lr: Another name for the flip ratio.
        schedule: Factor on the flip ratio at each step.

    Raises:
        InvalidInput: If a hyperparameter is out of range, or this process has but a part of a
            parameter.

    Source: this project; the flip ratio as the quantity to tune is of Quist et al. (2023),
    arXiv:2303.02452, the law that of ``law.flip_ratio``.
    """

    known = Known("target_flip_ratio", driven="flip_ratio")
    averages = ("s",)
    recordable = False  # what it expects counts the steps

    def __init__(
        self,
        params: Parameters,
        flip_ratio: Value | None = None,
        feedback: Value = 0.1,
        *,
        lr: Value | None = None,
        schedule: Decay | None = None,
    ) -> None:
        driven = either("TargetFlipRatio", "flip_ratio", flip_ratio, lr)
        defaults = {"lr": 1e-2 if driven is None else driven, "feedback": feedback}
        super().__init__(params, defaults, schedule)

    def _together(self, group: Group) -> None:
        if any(map(is_flat_part, group["params"])):
            raise InvalidInput(
                "TargetFlipRatio: it counts the flips of whole parameters, and of these "
                "FullyShardedDataParallel keeps a part here; shard the network by fully_shard"
            )

    def _start(self, param: Tensor, group: Group) -> State:  # noqa: ARG002
        param.copy_(sign(param))
        s, trials = state_like(param), param.shape[:1] if self.per_trial else ()
        return {"s": s, "u": torch.zeros(trials, dtype=s.dtype, device=s.device), "step": 0}

    @torch.no_grad()
    def settle(self, levels: Sequence[Tensor]) -> None:
        """See ``Flipping``; what it expects to flip is that of a filter that filled long ago."""
        super().settle(levels)
        for state in self.state.values():
            state["step"] = _LONG_AGO

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        s, u = state["s"], state["u"]
        wanted = torch.as_tensor(self._rate(group), dtype=torch.float64, device=u.device)
        by_law = 2 * (wanted.clamp(max=0.5) * (math.pi / 2)).sin().square()
        alpha = (by_law * u.double().exp()).clamp(max=1)
        lerp_(s, self._as_state(gradient, s), along(alpha, s))
        flips = self._count(flip_where(param, s * param > 0))
        state["step"] += 1
        whole = flips.full_tensor() if hasattr(flips, "full_tensor") else flips
        ratio = whole * (max(1, whole.numel()) / param.numel())
        expected = _from_rest(by_law, state["step"])
        total = expected + ratio
        error = torch.where(total > 0, (expected - ratio) / total, torch.zeros_like(total))
        feedback = torch.as_tensor(group["feedback"], dtype=error.dtype, device=u.device)
        state["u"] = (u + feedback * error).clamp(-FURTHEST, FURTHEST).to(u.dtype)
        return flips


def _from_rest(alpha: Tensor, step: int) -> Tensor:
    """The flip ratio of a moving average in its ``step``-th step from rest, under white noise.

    Args:
        alpha: In [0, 1], float64, shape [] or [K]; at 0 nothing flips.
        step: 1 or more.
    """
    log_q = 2 * torch.log1p(-alpha)
    filled = torch.expm1((step - 1) * log_q) if step > 1 else torch.zeros_like(alpha)
    correlation = (1 - alpha) * (filled / torch.expm1(step * log_q)).sqrt()
    ratio = correlation.clamp(-1, 1).arccos() / math.pi
    return torch.where(alpha > 0, ratio, torch.zeros_like(ratio))
