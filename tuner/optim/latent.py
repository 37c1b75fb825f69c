"""The magnitude parametrization: a real latent weight behind every binary one.

The parameter holds sign(w), times mean|w| per channel with ``scaling``; the latent weight w is
optimizer state and takes the parameter's gradient as its own (straight-through estimator).
"""

import math
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim import compiled
from tuner.optim.base import BinaryOptimizer, Parameters, sign
from tuner.optim.filters import Value, along, legal, lerp_, product, state_like
from tuner.optim.schedules import Schedule


class LatentOptions(TypedDict, total=False):
    """The arguments that all latent rules share; see ``Latent``."""

    weight_decay: Value
    init_scale: Value
    clip: Value
    scaling: bool | Tensor
    schedule: Schedule | None


class Latent(BinaryOptimizer):
    """What the latent rules share: initial scale, clip, channel scaling, learning-rate schedule.

    w_0 = init_scale p;    after each step of the rule w <- clamp(w, -clip, clip);
    p = sign(w), or sign(w) mean|w| with the mean over each output channel

    Args:
        params: Parameters to make binary and train, each of shape [...] or [K, ...]; their
            values, times ``init_scale``, are the first latent weights.
        learning_rate: eta > 0, shape [] or [K].
        weight_decay: lambda >= 0, shape [] or [K].
        init_scale: Factor on the first latent weights, > 0, shape [] or [K].
        clip: Bound on |w|, > 0; infinite for none; shape [] or [K].
        scaling: Whether to scale by the channel's mean |w|; bool, or bools of shape [K].
        schedule: Factor on the learning rate at each step.

    Raises:
        InvalidInput: If a hyperparameter is out of range.
    """

    def __init__(
        self,
        params: Parameters,
        *,
        learning_rate: Value,
        weight_decay: Value = 0.0,
        init_scale: Value = 1.0,
        clip: Value = math.inf,
        scaling: bool | Tensor = False,
        schedule: Schedule | None = None,
    ) -> None:
        legal(
            "latent_sgd",
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            init_scale=init_scale,
            clip=clip,
        )
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.init_scale = init_scale
        self.clip = clip
        self.scaling = scaling
        self.scales = bool(torch.as_tensor(scaling).any())
        self.schedule = schedule
        super().__init__(params)

    def _start(self, param: Tensor) -> dict[str, Tensor]:
        w = state_like(param).copy_(param).mul_(along(self.init_scale, param))
        self._write(param, w)
        return {"w": w}

    def _update(self, param: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        w = state["w"]
        self._move(w, gradient.to(w.dtype), state, along(self._rate(), w))
        if isinstance(self.clip, Tensor) or self.clip < math.inf:
            clip = torch.as_tensor(along(self.clip, w), dtype=w.dtype, device=w.device)
            w.clamp_(-clip, clip)
        flips = self._count(sign(w) * param < 0)
        self._write(param, w)
        return flips

    def _rate(self) -> Value:
        """The learning rate at this step."""
        return product(self.learning_rate, self.factor)

    def _move(
        self, w: Tensor, gradient: Tensor, state: dict[str, Tensor], learning_rate: Value
    ) -> None:
        """Take one step on the latent weight, in place."""
        raise NotImplementedError

    def _write(self, param: Tensor, w: Tensor) -> None:
        """Let the parameter hold the signs of w, scaled where asked."""
        param.copy_(sign(w))
        self._scale(param, w)

    def _scale(self, param: Tensor, w: Tensor) -> None:
        """Multiply each output channel by its mean |w|, in the trials that want it."""
        if not self.scales:
            return
        wanted = torch.as_tensor(self.scaling, device=w.device)
        means = w.abs().mean(tuple(range(self._first_scaled(w), w.dim())), keepdim=True)
        factors = torch.where(wanted.view(-1, *[1] * (w.dim() - 1)), means, torch.ones_like(means))
        param.mul_(factors)

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
        learning_rate: As in ``Latent``.
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

    def __init__(
        self,
        params: Parameters,
        *,
        learning_rate: Value,
        momentum: Value = 0.0,
        coupled: bool = False,
        nesterov: bool = False,
        dampening: float = 0.0,
        **options: Unpack[LatentOptions],
    ) -> None:
        legal("latent_sgd", momentum=momentum, dampening=dampening)
        if not coupled and (nesterov or dampening):
            raise InvalidInput("LatentSGD: nesterov and dampening need coupled=True")
        if nesterov and (dampening or not bool((torch.as_tensor(momentum) > 0).all())):
            raise InvalidInput("LatentSGD: nesterov needs momentum > 0 and dampening 0")
        self.momentum = momentum
        self.coupled = coupled
        self.nesterov = nesterov
        self.dampening = dampening
        super().__init__(params, learning_rate=learning_rate, **options)

    def _start(self, param: Tensor) -> dict[str, Tensor]:
        state = super()._start(param)
        return state if self._plain or self.coupled else {**state, "m": state_like(param)}

    def _update(self, param: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        if not compiled.fits(param, gradient, state):
            return super()._update(param, gradient, state)
        fresh = not self._plain and "m" not in state
        if fresh:
            state["m"] = torch.empty_like(state["w"])
        flips = self._no_flips(param)
        compiled.latent_sgd(
            flips,
            param,
            gradient,
            state,
            learning_rate=self._rate(),
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            clip=self.clip,
            scaling=self.scaling,
            dampening=self.dampening,
            coupled=self.coupled,
            nesterov=self.nesterov,
            fresh=fresh,
            settled=self._settled(param),
            channels=math.prod(param.shape[int(self.per_trial) : self._first_scaled(param)]),
        )
        return flips

    @property
    def _plain(self) -> bool:
        """Whether there is no momentum, hence no buffer."""
        return not isinstance(self.momentum, Tensor) and self.momentum == 0

    def _move(
        self, w: Tensor, gradient: Tensor, state: dict[str, Tensor], learning_rate: Value
    ) -> None:
        mu, decay = along(self.momentum, w), along(self.weight_decay, w)
        if self.coupled:
            direction = self._torch_direction(gradient + decay * w, state, mu)
            descend_(w, learning_rate, direction)
            return
        m = gradient
        if not self._plain:
            m = lerp_(state["m"], gradient, 1 - mu)
        descend_(w.mul_(1 - learning_rate * decay), learning_rate, m)

    def _torch_direction(self, d: Tensor, state: dict[str, Tensor], mu: Value) -> Tensor:
        """torch.optim.SGD's direction; where momentum is 0 it ignores the dampening."""
        if self._plain:
            return d
        if "m" not in state:
            state["m"] = d.clone()
        else:
            used = (mu > 0).to(d.dtype) if isinstance(mu, Tensor) else 1.0
            state["m"].mul_(mu).add_((1 - self.dampening * used) * d)
        return d + mu * state["m"] if self.nesterov else state["m"]


class LatentAdam(Latent):
    """Adam on latent weights, with weight decay added to the gradient.

    Not a linear filter of the gradient: each weight is divided by its own gradient's size.

    Args:
        params: As in ``Latent``.
        learning_rate: As in ``Latent``.
        beta1: Memory of the gradient average, in [0, 1), shape [] or [K].
        beta2: Memory of the squared gradient's average, in [0, 1), shape [] or [K].
        eps: Added to the denominator.
        options: The other arguments of ``Latent``.

    Raises:
        InvalidInput: If a hyperparameter is out of range.

    Source: Kingma & Ba (2015), arXiv:1412.6980.
    """

    recordable = False  # its bias correction counts the steps

    def __init__(
        self,
        params: Parameters,
        *,
        learning_rate: Value = 1e-3,
        beta1: Value = 0.9,
        beta2: Value = 0.999,
        eps: float = 1e-8,
        **options: Unpack[LatentOptions],
    ) -> None:
        legal("latent_adam", beta1=beta1, beta2=beta2)
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        super().__init__(params, learning_rate=learning_rate, **options)

    def _start(self, param: Tensor) -> dict[str, Tensor]:
        return {**super()._start(param), "m": state_like(param), "v": state_like(param)}

    def _move(
        self, w: Tensor, gradient: Tensor, state: dict[str, Tensor], learning_rate: Value
    ) -> None:
        self._adam(w, gradient + along(self.weight_decay, w) * w, state, learning_rate)

    def _adam(
        self, w: Tensor, gradient: Tensor, state: dict[str, Tensor], learning_rate: Value
    ) -> None:
        """Adam's step without weight decay."""
        beta1, beta2 = along(self.beta1, w), along(self.beta2, w)
        m = lerp_(state["m"], gradient, 1 - beta1)
        v = lerp_(state["v"], gradient.square(), 1 - beta2)
        steps = self.step_count
        root = (v / (1 - beta2**steps)).sqrt_().add_(self.eps)
        descend_(w, learning_rate / (1 - beta1**steps), m / root)


class LatentAdamW(LatentAdam):
    """Adam on latent weights, with decoupled weight decay: w <- (1 - eta lambda) w - eta Adam(g).

    Takes ``LatentAdam``'s arguments. Equals a moving average with alpha = eta lambda over
    Adam's normalised gradient: exact, but not linear in the gradient.

    Source: Loshchilov & Hutter (2019), arXiv:1711.05101.
    """

    def _move(
        self, w: Tensor, gradient: Tensor, state: dict[str, Tensor], learning_rate: Value
    ) -> None:
        w.mul_(1 - learning_rate * along(self.weight_decay, w))
        self._adam(w, gradient, state, learning_rate)
