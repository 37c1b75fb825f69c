"""Update rules that look at gradients alone: the binary weight is all there is."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim import compiled, filters
from tuner.optim.base import BinaryOptimizer, Parameters, sign
from tuner.optim.designed import running, slots
from tuner.optim.designed.behind import WritesBehind
from tuner.optim.filters import along, lerp_, state_like
from tuner.optim.groups import Group, Known, Value, either
from tuner.optim.parameters import Lot, State
from tuner.optim.plain import not_signs
from tuner.optim.schedules import Decay

_CASCADE = Known("filter_flip", driven="alpha")
_SECTIONS = Known("filter_flip", driven="alpha", without=("gamma",))


class Flipping(BinaryOptimizer):
    """What the rules share whose parameters are signs and nothing else: no state, as yet."""

    averages: tuple[str, ...] = ()
    """What of a state is an average of the gradients, 0 at rest; as far as a state has it."""

    @torch.no_grad()
    def settle(self, levels: Sequence[Tensor]) -> None:
        """Begin as after even gradients, in place of at rest.

        Args:
            levels: What each average then is, of each parameter, shaped as it.
        """
        params = [param for group in self.param_groups for param in group["params"]]
        for param, level in zip(params, levels, strict=True):
            for name in self.averages:
                if name in self.state[param]:
                    self.state[param][name].copy_(level)

    def _start(self, param: Tensor, group: Group) -> State:  # noqa: ARG002
        param.copy_(sign(param))
        return {}

    def holds(self, values: Tensor, state: State, group: Group) -> bool:  # noqa: ARG002
        """See ``BinaryOptimizer``."""
        return not not_signs(values)

    def _adopt(self, param: Tensor, state: State, group: Group) -> None:  # noqa: ARG002
        param.copy_(sign(param))

    _adopted = "they were made +1 and -1 again, and the rule's averages were kept"


class FilterFlip(WritesBehind, Flipping):
    """Flip a binary weight to the side that the filtered gradient asks for.

    s_t = filter(g_1, ..., g_t);    flip b where s_t b > 0;    at s_t = 0 the sign stays

    The filter is a cascade of two moving averages (see ``cascade``), a single one if gamma is 1,
    or any stable linear low-pass given as second-order sections (see ``running``).

    The filter starts at rest, so the first step sets every weight against its first gradient: the
    initial signs are forgotten at once. ``from_trained`` keeps them.

    Args:
        params: Parameters to make binary and train, each of shape [...] or [K, ...]; or parameter
            groups with hyperparameters of their own.
        alpha: Filter coefficient in (0, 1], shape [] or [K]. Memory is about 1/alpha steps. It
            lies under ``lr`` in the groups, where torch's schedulers drive it.
        gamma: Second coefficient in (0, 1], shape [] or [K]; 1 if left out.
        lr: Another name for alpha.
        schedule: Factor on alpha at each step; gamma is not decayed.
        sos: Second-order sections, instead of alpha and gamma.

    Raises:
        InvalidInput: If a coefficient is out of range, the sections are not causal, unstable or no
            low-pass, or both or neither of alpha and sos are given.

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

    averages = ("s", "m")

    def __init__(
        self,
        params: Parameters,
        alpha: Value | None = None,
        gamma: Value | None = None,
        *,
        lr: Value | None = None,
        schedule: Decay | None = None,
        sos: object = None,
    ) -> None:
        driven = either("FilterFlip", "alpha", alpha, lr)
        defaults: dict[str, Any]
        if sos is None:
            defaults = {"lr": driven, "gamma": 1.0 if gamma is None else gamma}
        elif driven is not None:
            raise InvalidInput("FilterFlip: give alpha (and gamma), or sos, and not both")
        elif not (schedule is None and gamma is None):
            raise InvalidInput("FilterFlip: sos replaces alpha, gamma, schedule; leave them out")
        else:
            defaults = {"lr": 1.0, "slots": running.slots_of(sos)}
        super().__init__(params, defaults, schedule)

    @classmethod
    def from_trained(
        cls,
        params: Parameters,
        strength: float,
        alpha: Value | None = None,
        gamma: Value | None = None,
        *,
        lr: Value | None = None,
        schedule: Decay | None = None,
    ) -> Self:
        """An optimizer that goes on from the parameters' signs instead of forgetting them.

        s_0 = -strength b: a sign stays until the filtered gradient outweighs it.

        Args:
            params: Trained parameters; their signs are kept.
            strength: How firmly, > 0, in units of the gradient. A latent weight w under weight
                decay lambda is as firm as strength = lambda |w|.
            alpha: As for the class.
            gamma: As for the class.
            lr: As for the class.
            schedule: As for the class.

        Raises:
            InvalidInput: If strength is not positive and finite, and as the class does.
        """
        if not 0 < strength < float("inf"):
            raise InvalidInput(f"FilterFlip: strength must be in (0, inf), got {strength}")
        rule = cls(params, alpha, gamma, lr=lr, schedule=schedule)
        with torch.no_grad():
            for group in rule.param_groups:
                for param in group["params"]:
                    rule.state[param]["s"].copy_(param).mul_(-strength)
        rule.resumed = True
        return rule

    @property
    def known(self) -> Known:  # type: ignore[override]  # it depends on what was given
        """See ``BinaryOptimizer``."""
        return _SECTIONS if "slots" in self.defaults else _CASCADE

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See ``BinaryOptimizer``; numbers are loaded, the state of other sections is refused."""
        if "slots" in self.defaults:
            saved, owner = state_dict["param_groups"], type(self).__name__
            running.refuse_others(saved, self.param_groups, owner, "slots", slots.in_words)
        super().load_state_dict(state_dict)

    def _together(self, group: Group) -> None:
        if "slots" in group and not (isinstance(group["lr"], float) and group["lr"] == 1):
            raise InvalidInput(
                "FilterFlip: sos takes no schedule, its coefficients are constant; leave lr at 1"
            )

    def _start(self, param: Tensor, group: Group) -> State:
        super()._start(param, group)
        if "slots" in group:
            return running.at_rest(param, group["slots"])
        return filters.cascade_at_rest(param, group["gamma"])

    def _states_of(self, params: Sequence[Tensor], group: Group) -> list[State]:
        states = super()._states_of(params, group)
        if "slots" not in group and not filters.one_average(group["gamma"]):
            for param, state in zip(params, states, strict=True):
                if "m" not in state:
                    state["m"] = state_like(param)
        return states

    def _update_together(self, lot: Lot, group: Group) -> Tensor:
        if "slots" in group:
            return self._behind.step(lot, group["slots"])
        return compiled.cascade(lot, alpha=self._rate(group), gamma=group["gamma"])

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        if "slots" in group:
            self._behind.let_go([param])
            gradient = self._as_state(gradient, state.get("w0", param))
            s = running.run(state, gradient, group["slots"])
        else:
            gradient = self._as_state(gradient, state["s"])
            s = filters.cascade(state, gradient, self._rate(group), group["gamma"])
        return self._count(flip_where(param, s * param > 0))


class Bop(Flipping):
    """Binary optimizer: flip where the averaged gradient is strong and agrees with the weight.

    m_t = (1 - gamma) m_{t-1} + gamma g_t;    flip b where m_t b > tau

    With tau = 0 it is FilterFlip with alpha = gamma_Bop and gamma = 1.

    Args:
        params: As in ``FilterFlip``.
        gamma: Weight of the newest gradient, in (0, 1], shape [] or [K]; 1e-4 if left out. It
            lies under ``lr`` in the groups, where torch's schedulers drive it.
        tau: Threshold on the averaged gradient, >= 0, shape [] or [K].
        lr: Another name for gamma.
        schedule: Factor on gamma at each step.

    Raises:
        InvalidInput: If gamma or tau is out of range.

    Source: Helwegen et al. (2019), arXiv:1906.02107.
    """

    known = Known("bop", driven="gamma")
    averages = ("m",)

    def __init__(
        self,
        params: Parameters,
        gamma: Value | None = None,
        tau: Value = 1e-8,
        *,
        lr: Value | None = None,
        schedule: Decay | None = None,
    ) -> None:
        driven = either("Bop", "gamma", gamma, lr)
        super().__init__(params, {"lr": 1e-4 if driven is None else driven, "tau": tau}, schedule)

    def _start(self, param: Tensor, group: Group) -> State:
        return {**super()._start(param, group), "m": state_like(param)}

    def _update_together(self, lot: Lot, group: Group) -> Tensor:
        return compiled.bop(lot, gamma=self._rate(group), tau=group["tau"])

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        gradient = self._as_state(gradient, state["m"])
        m = lerp_(state["m"], gradient, along(self._rate(group), param))
        return self._count(flip_where(param, m * param > along(group["tau"], param)))


def flip_where(weight: Tensor, where: Tensor) -> Tensor:
    """Negate the weights where the condition holds, in place; returns the condition."""
    weight.addcmul_(where.to(weight.dtype), weight, value=-2)
    return where
