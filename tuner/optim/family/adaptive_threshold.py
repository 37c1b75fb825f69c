"""The sum of all gradients, and a threshold that rises with every flip of a weight."""

from torch import Tensor

from tuner.optim.base import Parameters, sign
from tuner.optim.family.in_torch import InTorch
from tuner.optim.filters import along, state_like
from tuner.optim.flip import Flipping, flip_where
from tuner.optim.groups import Group, Known, Value, either
from tuner.optim.latent import descend_
from tuner.optim.parameters import State
from tuner.optim.schedules import Decay


class SGDAT(InTorch, Flipping):
    """Set a weight to the side of its summed gradients, once these outweigh its flips so far.

    m_t = m_{t-1} - eta_t g_t,    m_0 = 0,    n the flips of this weight so far
    b_t = sign(m_t) where |m_t| > tau n,    else b_{t-1};    n rises by 1 where b_t is not b_{t-1}

    Nothing is forgotten: m is the filter of alpha -> 0. Only tau / eta matters, for m and tau n
    scale alike: eta and tau times the same number change no sign.

    Args:
        params: As in ``FilterFlip``.
        learning_rate: eta > 0, shape [] or [K]; 1e-4 if left out.
        threshold: tau, what each flip adds to a weight's threshold, >= 0, shape [] or [K].
        lr: Another name for the learning rate, where torch's schedulers drive it.
        schedule: Factor on the learning rate at each step.

    Raises:
        InvalidInput: If a hyperparameter is out of range.

    Source: Gu et al. (2023), doi:10.1016/j.neucom.2023.126431, as the authors run it, without
    momentum and weight decay: github.com/gushan/SGDAT.
    """

    known = Known("sgdat", driven="learning_rate")

    def __init__(
        self,
        params: Parameters,
        learning_rate: Value | None = None,
        threshold: Value = 1e-7,
        *,
        lr: Value | None = None,
        schedule: Decay | None = None,
    ) -> None:
        driven = either("SGDAT", "learning_rate", learning_rate, lr)
        defaults = {"lr": 1e-4 if driven is None else driven, "threshold": threshold}
        super().__init__(params, defaults, schedule)

    def _start(self, param: Tensor, group: Group) -> State:  # noqa: ARG002
        param.copy_(sign(param))
        return {"m": state_like(param), "n": state_like(param)}

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        m, n = state["m"], state["n"]
        descend_(m, along(self._rate(group), m), self._as_state(gradient, m))
        turns = m * param < 0
        turns &= m.abs() > along(group["threshold"], m) * n
        n.add_(turns)
        return self._count(flip_where(param, turns))
