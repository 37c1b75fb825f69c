"""The Bayesian learning rule for binary weights, at the temperature its authors run it at."""

from torch import Tensor, dtype

from tuner.optim.base import Parameters, sign
from tuner.optim.family.in_torch import InTorch
from tuner.optim.filters import along, lerp_, state_like
from tuner.optim.flip import Flipping
from tuner.optim.groups import Group, Known, Value, either
from tuner.optim.latent import descend_
from tuner.optim.parameters import State
from tuner.optim.plain import numbers
from tuner.optim.schedules import Decay

EPS = 1e-10
"""What the authors add to 1 - w^2 and to 1 - tanh^2(lambda); their temperature is as large."""


class BayesBiNN(InTorch, Flipping):
    """Each weight is +1 with a probability, whose log-odds decay and are driven by the gradient.

    r_t = N g_t / (1 - tanh^2(lambda_{t-1}) + 1e-10) + lambda_{t-1},    lambda_0 = +-init
    m_t = mu m_{t-1} + (1 - mu) r_t
    lambda_t = lambda_{t-1} - eta_t m_t / (1 - mu^t);    b = sign(lambda)

    Of the published rule it is the limit in which the authors run it, temperature 1e-10: the
    relaxed weight is +1 or -1, and its factor (1 - w^2 + 1e-10) / temperature is 1. The noise in
    the log-odds is left out: it turns a weight with probability 1 / (1 + exp(2 |lambda|)), 2e-9 at
    their init of 10, and |lambda| grows beyond that at the first gradients.

    There tanh^2 is 1 in float32, so that the gradient's factor is the constant N / 1e-10: with
    mu = 0 it is then a leaky sum, FilterFlip with alpha = eta and gamma = 1, whatever N is.

    Args:
        params: As in ``FilterFlip``; lambda begins on the side of their signs.
        learning_rate: eta in (0, 1], shape [] or [K]; 1e-4 if left out.
        momentum: mu in [0, 1), shape [] or [K].
        init: |lambda_0| > 0, shape [] or [K].
        train_set_size: N, the number of training samples, >= 1, shape [] or [K].
        lr: Another name for the learning rate, where torch's schedulers drive it.
        schedule: Factor on the learning rate at each step.

    Raises:
        InvalidInput: If a hyperparameter is out of range.

    Source: Meng et al. (2020), arXiv:2002.10778; defaults, temperature and 1e-10 of the authors'
    code, github.com/team-approx-bayes/BayesBiNN.
    """

    known = Known("bayes_binn", driven="learning_rate")
    recordable = False  # its bias correction counts the steps
    _adopted = "their signs are where lambda begins anew"

    def __init__(
        self,
        params: Parameters,
        learning_rate: Value | None = None,
        *,
        momentum: Value = 0.0,
        init: Value = 10.0,
        train_set_size: Value = 50_000.0,
        lr: Value | None = None,
        schedule: Decay | None = None,
    ) -> None:
        driven = either("BayesBiNN", "learning_rate", learning_rate, lr)
        defaults = {
            "lr": 1e-4 if driven is None else driven,
            "momentum": momentum,
            "init": init,
            "train_set_size": train_set_size,
        }
        super().__init__(params, defaults, schedule)

    def _start(self, param: Tensor, group: Group) -> State:
        state = {"odds": state_like(param), "m": state_like(param), "step": 0}
        self._begin(param, state, group)
        return state

    def _begin(self, param: Tensor, state: State, group: Group) -> None:
        param.copy_(sign(param))
        state["odds"].copy_(param).mul_(along(group["init"], param))

    def holds(self, values: Tensor, state: State, group: Group) -> bool:
        """See ``BinaryOptimizer``."""
        odds = numbers(state["odds"])
        if odds is None:
            return True
        other = (sign(odds) * values < 0) & ~odds.isnan()  # what diverged has any sign
        return super().holds(values, state, group) and not bool(other.any())

    def _adopt(self, param: Tensor, state: State, group: Group) -> None:
        self._begin(param, state, group)

    def _rewrites(self, dtype: dtype) -> bool:  # noqa: ARG002
        return True

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        odds = state["odds"]
        mu, mean = along(group["momentum"], odds), odds.tanh()
        scale = along(group["train_set_size"], odds) / (1 - mean * mean + EPS)
        m = lerp_(state["m"], scale * self._as_state(gradient, odds) + odds, 1 - mu)
        state["step"] += 1
        descend_(odds, along(self._rate(group), odds) / (1 - mu ** state["step"]), m)
        signs = sign(odds)
        flips = self._count(signs * param < 0)
        param.copy_(signs)
        return flips
