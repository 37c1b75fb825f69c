"""The magnitude parametrization: a real latent weight behind every binary one.

The parameter holds sign(w), times mean|w| per channel with ``scaling``; the latent weight w is
optimizer state and takes the parameter's gradient as its own (straight-through estimator).
"""

import math
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim import compiled
from tuner.optim.base import BinaryOptimizer, Parameters, sign
from tuner.optim.filters import along, lerp_, state_like
from tuner.optim.groups import Group, Known, Value, either
from tuner.optim.parameters import Lot, State, is_flat_part
from tuner.optim.plain import is_plain, numbers
from tuner.optim.schedules import Decay
from tuner.rules import Number


class LatentOptions(TypedDict, total=False):
    """The arguments that all latent rules share; see ``Latent``."""

    lr: Value | None
    weight_decay: Value
    init_scale: Value
    clip: Value
    scaling: bool | Tensor
    schedule: Decay | None


class Latent(BinaryOptimizer):
    """What the latent rules share: initial scale, clip, channel scaling, learning-rate schedule.

    w_0 = init_scale p;    after each step of the rule w <- clamp(w, -clip, clip);
    p = sign(w), or sign(w) mean|w| with the mean over each output channel

    Args:
        params: Parameters to make binary and train, each of shape [...] or [K, ...]; their
            values, times ``init_scale``, are the first latent weights. Or parameter groups with
            hyperparameters of their own.
        own: The hyperparameters of the rule itself, as a group has them.
        learning_rate: eta > 0, shape [] or [K].
        lr: Another name for the learning rate.
        weight_decay: lambda >= 0, shape [] or [K].
        init_scale: Factor on the first latent weights, > 0, shape [] or [K].
        clip: Bound on |w|, > 0; infinite for none; shape [] or [K].
        scaling: Whether to scale by the channel's mean |w|; bool, or bools of shape [K].
        schedule: Factor on the learning rate at each step.

    Raises:
        InvalidInput: If a hyperparameter is out of range.
    """

    _adopted = "their values are the latent weights now"

    def __init__(
        self,
        params: Parameters,
        own: dict[str, Any],
        learning_rate: Value | None,
        *,
        lr: Value | None = None,
        weight_decay: Value = 0.0,
        init_scale: Value = 1.0,
        clip: Value = math.inf,
        scaling: bool | Tensor = False,
        schedule: Decay | None = None,
    ) -> None:
        defaults = {
            "lr": either(type(self).__name__, "learning_rate", learning_rate, lr),
            "weight_decay": weight_decay,
            "init_scale": init_scale,
            "clip": clip,
            "scaling": scaling,
            **own,
        }
        super().__init__(params, defaults, schedule)

    def _start(self, param: Tensor, group: Group) -> State:
        w = state_like(param)
        self._begin_at(param, w, group)
        return {"w": w}

    def _together(self, group: Group) -> None:
        if group["scaling"] is not False and any(map(is_flat_part, group["params"])):
            raise InvalidInput(
                f"{type(self).__name__}: scaling needs whole output channels, and of these "
                "weights FullyShardedDataParallel keeps a part here; leave scaling out, or shard "
                "the network by fully_shard"
            )

    def _begin_at(self, param: Tensor, w: Tensor, group: Group) -> None:
        """Let the parameter's values be the latent weights, and its signs be the parameter."""
        w.copy_(param).mul_(along(group["init_scale"], param))
        self._write(param, w, group)

    def holds(self, values: Tensor, state: State, group: Group) -> bool:
        """See ``BinaryOptimizer``."""
        w = numbers(state["w"])
        if w is None:
            return True
        other = sign(w) * values < 0
        if group["scaling"] is False:
            other |= values.abs() != 1
        elif is_plain(state["w"]):  # of a part alone the mean is another
            expected = torch.empty_like(values)
            self._write(expected, w, group)
            other |= (values - expected).abs() > 0.02 * expected.abs()  # it may have been rounded
        return not bool((other & ~w.isnan()).any())  # what diverged has any sign

    def _rewrites(self, dtype: torch.dtype) -> bool:
        return not compiled.there_for(dtype)  # that writes what turns

    def _is_strange(self, param: Tensor, group: Group) -> bool:
        return group["scaling"] is False and super()._is_strange(param, group)

    def _adopt(self, param: Tensor, state: State, group: Group) -> None:
        self._begin_at(param, state["w"], group)

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        w, clip = state["w"], group["clip"]
        self._move(self._as_state(gradient, w), state, group, along(self._rate(group), w))
        if isinstance(clip, Tensor):
            bound = torch.as_tensor(along(clip, w), dtype=w.dtype)
            w.clamp_(-bound, bound)
        elif clip < math.inf:
            w.clamp_(-clip, clip)
        flips = self._count(sign(w) * param < 0)
        self._write(param, w, group)
        return flips

    def _move(self, gradient: Tensor, state: State, group: Group, learning_rate: Value) -> None:
        """Take one step on the latent weight, in place."""
        raise NotImplementedError

    def _write(self, param: Tensor, w: Tensor, group: Group) -> None:
        """Let the parameter hold the signs of w, scaled where asked."""
        param.copy_(sign(w))
        scaling = group["scaling"]
        if scaling is False:
            return
        means = w.abs().mean(tuple(range(self._first_scaled(w), w.dim())), keepdim=True)
        if isinstance(scaling, Tensor):
            wanted = along(scaling, w)
            means = torch.where(torch.as_tensor(wanted), means, torch.ones_like(means))
        param.mul_(means)

    def _channels(self, lot: Lot, group: Group) -> list[int]:
        """How many output channels a trial of each parameter has; where none is scaled, one."""
        if group["scaling"] is False:
            return [1] * len(lot.params)
        first = int(self.per_trial)
        return [max(1, math.prod(p.shape[first : self._first_scaled(p)])) for p in lot.params]

    def _first_scaled(self, w: Tensor) -> int:
        """The first axis inside an output channel."""
        return min(2 if self.per_trial else 1, w.dim() - 1)


def descend_(w: Tensor, rate: Value, direction: Tensor) -> None:
    """Subtract rate times direction from w, in place."""
    if isinstance(rate, Tensor):
        w.addcmul_(rate.to(w.dtype), direction, value=-1)
    else:
        w.add_(direction, alpha=-rate)


class LatentSGD(Latent):
    """Stochastic gradient descent on latent weights.

    Decoupled (the default):
        m_t = mu m_{t-1} + (1 - mu) g_t,    w <- (1 - eta_t lambda) w - eta_t m_t

    Coupled, as torch.optim.SGD:
        d_t = g_t + lambda w,    m_1 = d_1,    m_t = mu m_{t-1} + (1 - dampening) d_t
        w <- w - eta_t m_t,    or w - eta_t (d_t + mu m_t) with nesterov

    Args:
        params: As in ``Latent``.
        learning_rate: As in ``Latent``; the same as ``lr``.
        momentum: mu in [0, 1), shape [] or [K].
        coupled: Whether weight decay enters the momentum, as in torch.optim.SGD.
        nesterov: Nesterov momentum; coupled form only, momentum above 0, dampening 0.
        dampening: In [0, 1]; coupled form only.
        options: The other arguments of ``Latent``.

    Raises:
        InvalidInput: If a hyperparameter is out of range or the options do not go together.

    Source: Courbariaux et al. (2015), arXiv:1511.00363, for latent weights; torch.optim.SGD for
    the coupled form.
    """

    known = Known(
        "latent_sgd", driven="learning_rate", for_all=("dampening", "coupled", "nesterov")
    )

    def __init__(
        self,
        params: Parameters,
        learning_rate: Value | None = None,
        *,
        momentum: Value = 0.0,
        coupled: bool = False,
        nesterov: bool = False,
        dampening: float = 0.0,
        **options: Unpack[LatentOptions],
    ) -> None:
        own = {
            "momentum": momentum,
            "coupled": coupled,
            "nesterov": nesterov,
            "dampening": dampening,
        }
        super().__init__(params, own, learning_rate, **options)

    def _together(self, group: Group) -> None:
        super()._together(group)
        nesterov, dampening = group["nesterov"], group["dampening"]
        if not group["coupled"] and (nesterov or dampening):
            raise InvalidInput("LatentSGD: nesterov and dampening need coupled=True")
        if nesterov and (dampening or not bool((torch.as_tensor(group["momentum"]) > 0).all())):
            raise InvalidInput("LatentSGD: nesterov needs momentum > 0 and dampening 0")

    def _start(self, param: Tensor, group: Group) -> State:
        state = super()._start(param, group)
        self._make_average(param, state, group)
        return state

    def _make_average(self, param: Tensor, state: State, group: Group) -> None:
        """Have an average where there is momentum: at rest, or in torch's form yet to be set."""
        if "m" in state or _plain(group):
            return
        state["m"] = state_like(param)
        if group["coupled"]:
            state["unset"] = True

    def _states_of(self, params: Sequence[Tensor], group: Group) -> list[State]:
        states = super()._states_of(params, group)
        for param, state in zip(params, states, strict=True):
            self._make_average(param, state, group)
        return states

    def _update_together(self, lot: Lot, group: Group) -> Tensor:
        rate, channels = self._rate(group), self._channels(lot, group)
        flips = compiled.latent_sgd(lot, group, learning_rate=rate, channels=channels)
        for state in lot.states:
            if "unset" in state:
                state["unset"] = False
        return flips

    def _move(self, gradient: Tensor, state: State, group: Group, learning_rate: Value) -> None:
        w = state["w"]
        mu, decay = along(group["momentum"], w), along(group["weight_decay"], w)
        if group["coupled"]:
            direction = _torch_direction(gradient + decay * w, state, mu, group)
            descend_(w, learning_rate, direction)
            return
        m = gradient
        if "m" in state:
            m = lerp_(state["m"], gradient, 1 - mu)
        descend_(w.mul_(1 - learning_rate * decay), learning_rate, m)


def _plain(group: Group) -> bool:
    """Whether there is no momentum, hence no average."""
    return not isinstance(group["momentum"], Tensor) and group["momentum"] == 0


def _torch_direction(d: Tensor, state: State, mu: Value, group: Group) -> Tensor:
    """torch.optim.SGD's direction; where momentum is 0 it ignores the dampening."""
    if _plain(group):
        return d
    if state.get("unset", False):
        state["m"].copy_(d)
        state["unset"] = False
    else:
        used = (mu > 0).to(d.dtype) if isinstance(mu, Tensor) else 1.0
        state["m"].mul_(mu).add_((1 - group["dampening"] * used) * d)
    m: Tensor = state["m"]
    return d + mu * m if group["nesterov"] else m


class LatentAdam(Latent):
    """Adam on latent weights, with weight decay added to the gradient.

    Not a linear filter of the gradient: each weight is divided by its own gradient's size.

    Args:
        params: As in ``Latent``.
        learning_rate: As in ``Latent``, 1e-3 if left out; the same as ``lr``.
        beta1: Memory of the gradient average, in [0, 1), shape [] or [K].
        beta2: Memory of the squared gradient's average, in [0, 1), shape [] or [K].
        eps: Added to the denominator.
        options: The other arguments of ``Latent``.

    Raises:
        InvalidInput: If a hyperparameter is out of range.

    Source: Kingma & Ba (2015), arXiv:1412.6980.
    """

    known = Known(
        "latent_adam",
        driven="learning_rate",
        more={"eps": Number(1e-8, open_high=True)},
        for_all=("eps",),
    )
    recordable = False  # its bias correction counts the steps
    counted_by = "step"
    _coupled = True

    def __init__(
        self,
        params: Parameters,
        learning_rate: Value | None = None,
        *,
        beta1: Value = 0.9,
        beta2: Value = 0.999,
        eps: float = 1e-8,
        **options: Unpack[LatentOptions],
    ) -> None:
        if learning_rate is None and options.get("lr") is None:
            learning_rate = 1e-3
        own = {"beta1": beta1, "beta2": beta2, "eps": eps}
        super().__init__(params, own, learning_rate, **options)

    def _start(self, param: Tensor, group: Group) -> State:
        averages = {"m": state_like(param), "v": state_like(param)}
        return {**super()._start(param, group), **averages, "step": 0}

    def _update_together(self, lot: Lot, group: Group) -> Tensor:
        rate, channels = self._rate(group), self._channels(lot, group)
        flips = compiled.latent_adam(
            lot, group, learning_rate=rate, channels=channels, coupled=self._coupled
        )
        for state in lot.states:
            state["step"] += 1
        return flips

    def _move(self, gradient: Tensor, state: State, group: Group, learning_rate: Value) -> None:
        w = state["w"]
        self._adam(gradient + along(group["weight_decay"], w) * w, state, group, learning_rate)

    def _adam(self, gradient: Tensor, state: State, group: Group, learning_rate: Value) -> None:
        """Adam's step without weight decay."""
        w = state["w"]
        beta1, beta2 = along(group["beta1"], w), along(group["beta2"], w)
        m = lerp_(state["m"], gradient, 1 - beta1)
        v = lerp_(state["v"], gradient.square(), 1 - beta2)
        state["step"] += 1
        steps = state["step"]
        root = (v / (1 - beta2**steps)).sqrt_().add_(group["eps"])
        descend_(w, learning_rate / (1 - beta1**steps), m / root)


class LatentAdamW(LatentAdam):
    """Adam on latent weights, with decoupled weight decay: w <- (1 - eta lambda) w - eta Adam(g).

    Takes ``LatentAdam``'s arguments. Equals a moving average with alpha = eta lambda over
    Adam's normalised gradient: exact, but not linear in the gradient.

    Source: Loshchilov & Hutter (2019), arXiv:1711.05101.
    """

    known = Known(
        "latent_adamw",
        driven="learning_rate",
        more=LatentAdam.known.more,
        for_all=LatentAdam.known.for_all,
    )
    _coupled = False

    def _move(self, gradient: Tensor, state: State, group: Group, learning_rate: Value) -> None:
        w = state["w"]
        w.mul_(1 - learning_rate * along(group["weight_decay"], w))
        self._adam(gradient, state, group, learning_rate)
