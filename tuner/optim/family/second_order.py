"""Bop with the averaged gradient divided by the gradient's root mean square."""

from torch import Tensor

from tuner.optim.base import Parameters, sign
from tuner.optim.family.in_torch import InTorch
from tuner.optim.filters import along, lerp_, state_like
from tuner.optim.flip import Flipping, flip_where
from tuner.optim.groups import Group, Known, Value, either
from tuner.optim.parameters import State
from tuner.optim.schedules import Decay

EPS = 1e-10
"""What the authors add to the root."""


class Bop2ndOrder(InTorch, Flipping):
    """Bop whose threshold is on the averaged gradient in units of the gradient's own size.

    m_t = (1 - gamma) m_{t-1} + gamma g_t,    v_t = (1 - sigma) v_{t-1} + sigma g_t^2
    flip b where m_t b / (sqrt(v_t) + 1e-10) > tau

    The authors' biased form. With tau = 0 the divisor changes no sign, so that it is FilterFlip
    with alpha = gamma_Bop2ndOrder and gamma = 1, whatever sigma is.

    Args:
        params: As in ``FilterFlip``.
        gamma: Weight of the newest gradient, in (0, 1], shape [] or [K]; 1e-6 if left out. It
            lies under ``lr`` in the groups, where torch's schedulers drive it.
        sigma: Weight of the newest squared gradient, in (0, 1], shape [] or [K].
        tau: Threshold on the ratio, >= 0, shape [] or [K].
        lr: Another name for gamma.
        schedule: Factor on gamma at each step.

    Raises:
        InvalidInput: If a hyperparameter is out of range.

    Source: Suarez-Ramirez et al. (2021), arXiv:2104.05124; defaults of the authors' code,
    github.com/CuauSuarez/Bop2ndOrder.
    """

    known = Known("bop2nd_order", driven="gamma")
    averages = ("m",)

    def __init__(
        self,
        params: Parameters,
        gamma: Value | None = None,
        sigma: Value = 1e-2,
        tau: Value = 1e-6,
        *,
        lr: Value | None = None,
        schedule: Decay | None = None,
    ) -> None:
        driven = either("Bop2ndOrder", "gamma", gamma, lr)
        defaults = {"lr": 1e-6 if driven is None else driven, "sigma": sigma, "tau": tau}
        super().__init__(params, defaults, schedule)

    def _start(self, param: Tensor, group: Group) -> State:  # noqa: ARG002
        param.copy_(sign(param))
        return {"m": state_like(param), "v": state_like(param)}

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        gradient = self._as_state(gradient, state["m"])
        m = lerp_(state["m"], gradient, along(self._rate(group), param))
        v = lerp_(state["v"], gradient.square(), along(group["sigma"], param))
        ratio = m / v.sqrt().add_(EPS)
        return self._count(flip_where(param, ratio * param > along(group["tau"], param)))
