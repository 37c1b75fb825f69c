"""Update rules that look at gradients alone: the binary weight is all there is."""

from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim import compiled
from tuner.optim.base import BinaryOptimizer, Parameters, sign
from tuner.optim.filters import (
    Cascade,
    Filter,
    Sections,
    Value,
    along,
    legal,
    lerp_,
    product,
    state_like,
)
from tuner.optim.schedules import Schedule


class FilterFlip(BinaryOptimizer):
    """Flip a binary weight to the side that the filtered gradient asks for.

    s_t = filter(g_1, ..., g_t);    flip b where s_t b > 0;    at s_t = 0 the sign stays

    The filter is a cascade of two moving averages (see ``Cascade``), a single one if gamma is 1,
    or any stable linear filter given as second-order sections (see ``Sections``).

    The filter starts at rest, so the first step sets every weight against its first gradient: the
    initial signs are forgotten at once. To keep them, as when training goes on from a trained
    network, start the filter on their side: ``rule.state[p]["s"].copy_(-strength * p)``.

    Args:
        params: Parameters to make binary and train, each of shape [...] or [K, ...].
        alpha: Filter coefficient in (0, 1], shape [] or [K]. Memory is about 1/alpha steps.
        gamma: Second coefficient in (0, 1], shape [] or [K]; 1 if left out.
        schedule: Factor on alpha at each step; gamma is not decayed.
        sos: Second-order sections, instead of alpha and gamma.

    Raises:
        InvalidInput: If a coefficient is out of range, the sections are unstable, or both or
            neither of alpha and sos are given.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([0.3, -0.2]))
        >>> rule = FilterFlip([weight], alpha=0.1, gamma=0.5)
        >>> weight.data
        tensor([ 1., -1.])
        >>> weight.grad = torch.tensor([1.0, 1.0])
        >>> rule.step()
        >>> weight.data
        tensor([-1., -1.])

    Source: Quist et al. (2023), arXiv:2303.02452.
    """

    def __init__(
        self,
        params: Parameters,
        alpha: Value | None = None,
        gamma: Value | None = None,
        *,
        schedule: Schedule | None = None,
        sos: object = None,
    ) -> None:
        if (alpha is None) == (sos is None):
            raise InvalidInput("FilterFlip: give alpha (and gamma), or sos, and not both")
        if sos is not None and not (schedule is None and gamma is None):
            raise InvalidInput("FilterFlip: sos replaces alpha, gamma, schedule; leave them out")
        self.filter: Filter
        if alpha is None:
            self.filter = Sections(sos)
        else:
            self.filter = Cascade(alpha) if gamma is None else Cascade(alpha, gamma)
        self.schedule = schedule
        super().__init__(params)

    def _start(self, param: Tensor) -> dict[str, Tensor]:
        param.copy_(sign(param))
        return self.filter.init(param)

    def _update(self, param: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        if isinstance(self.filter, Cascade) and compiled.fits(param, gradient, state):
            flips = self._no_flips(param)
            alpha, gamma = product(self.filter.alpha, self.factor), self.filter.gamma
            compiled.cascade(
                flips,
                param,
                gradient,
                state,
                alpha=alpha,
                gamma=gamma,
                settled=self._settled(param),
            )
            return flips
        s = self.filter.update(state, gradient.to(next(iter(state.values())).dtype), self.factor)
        return self._count(flip_where(param, s * param > 0))


class Bop(BinaryOptimizer):
    """Binary optimizer: flip where the averaged gradient is strong and agrees with the weight.

    m_t = (1 - gamma) m_{t-1} + gamma g_t;    flip b where m_t b > tau

    With tau = 0 it is FilterFlip with alpha = gamma_Bop and gamma = 1.

    Args:
        params: Parameters to make binary and train, each of shape [...] or [K, ...].
        gamma: Weight of the newest gradient, in (0, 1], shape [] or [K].
        tau: Threshold on the averaged gradient, >= 0, shape [] or [K].

    Raises:
        InvalidInput: If gamma or tau is out of range.

    Source: Helwegen et al. (2019), arXiv:1906.02107.
    """

    def __init__(self, params: Parameters, gamma: Value = 1e-4, tau: Value = 1e-8) -> None:
        legal("bop", gamma=gamma, tau=tau)
        self.gamma = gamma
        self.tau = tau
        super().__init__(params)

    def _start(self, param: Tensor) -> dict[str, Tensor]:
        param.copy_(sign(param))
        return {"m": state_like(param)}

    def _update(self, param: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        m = lerp_(state["m"], gradient.to(state["m"].dtype), along(self.gamma, param))
        return self._count(flip_where(param, m * param > along(self.tau, param)))


def flip_where(weight: Tensor, where: Tensor) -> Tensor:
    """Negate the weights where the condition holds, in place; returns the condition."""
    weight.addcmul_(where.to(weight.dtype), weight, value=-2)
    return where
