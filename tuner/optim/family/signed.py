"""Latent weights that move by the same length at each step, whatever the gradient's size."""

from typing import Unpack

from torch import Tensor, dtype

from tuner.optim.base import Parameters
from tuner.optim.family.in_torch import InTorch
from tuner.optim.filters import along, lerp_, state_like
from tuner.optim.groups import Group, Known, Value
from tuner.optim.latent import Latent, LatentOptions, descend_
from tuner.optim.parameters import State


class _Signed(InTorch, Latent):
    """What they share: an average m beside the latent weight, and decoupled weight decay."""

    def _start(self, param: Tensor, group: Group) -> State:
        return {**super()._start(param, group), "m": state_like(param)}

    def _rewrites(self, dtype: dtype) -> bool:  # noqa: ARG002
        return True

    def _descend(self, w: Tensor, direction: Tensor, group: Group, learning_rate: Value) -> None:
        """W <- (1 - eta lambda) w - eta sign(direction), where sign(0) = 0."""
        w.mul_(1 - learning_rate * along(group["weight_decay"], w))
        descend_(w, learning_rate, direction.sign())


class LatentSignSGD(_Signed):
    """Signum on latent weights: steps of one length, against the averaged gradient.

    m_t = mu m_{t-1} + (1 - mu) g_t,    w <- (1 - eta_t lambda) w - eta_t sign(m_t)

    With mu = 0 it is SignSGD. Not a linear filter of the gradient; of sign(m_t) it is exactly a
    moving average with alpha = eta lambda.

    Args:
        params: As in ``Latent``.
        learning_rate: As in ``Latent``, 0.01 if left out; the same as ``lr``.
        momentum: mu in [0, 1), shape [] or [K].
        options: The other arguments of ``Latent``.

    Raises:
        InvalidInput: If a hyperparameter is out of range.

    Source: Bernstein et al. (2018), arXiv:1802.04434; defaults of the authors' Signum in MXNet.
    """

    known = Known("latent_signsgd", driven="learning_rate")

    def __init__(
        self,
        params: Parameters,
        learning_rate: Value | None = None,
        *,
        momentum: Value = 0.9,
        **options: Unpack[LatentOptions],
    ) -> None:
        if learning_rate is None and options.get("lr") is None:
            learning_rate = 1e-2
        super().__init__(params, {"momentum": momentum}, learning_rate, **options)

    def _move(self, gradient: Tensor, state: State, group: Group, learning_rate: Value) -> None:
        m = lerp_(state["m"], gradient, 1 - along(group["momentum"], gradient))
        self._descend(state["w"], m, group, learning_rate)


class LatentLion(_Signed):
    """Lion on latent weights: two averages of one state, one to step by and one to remember.

    c_t = beta1 m_{t-1} + (1 - beta1) g_t,    w <- (1 - eta_t lambda) w - eta_t sign(c_t)
    m_t = beta2 m_{t-1} + (1 - beta2) g_t

    Not a linear filter of the gradient; of sign(c_t) it is exactly a moving average with alpha =
    eta lambda. With beta1 = beta2 it is ``LatentSignSGD``.

    Args:
        params: As in ``Latent``.
        learning_rate: As in ``Latent``, 1e-4 if left out; the same as ``lr``.
        beta1: Share of the past in what is stepped by, in [0, 1), shape [] or [K].
        beta2: Share of the past in what is remembered, in [0, 1), shape [] or [K].
        options: The other arguments of ``Latent``.

    Raises:
        InvalidInput: If a hyperparameter is out of range.

    Source: Chen et al. (2023), arXiv:2302.06675, algorithm 2 and its defaults.
    """

    known = Known("latent_lion", driven="learning_rate")

    def __init__(
        self,
        params: Parameters,
        learning_rate: Value | None = None,
        *,
        beta1: Value = 0.9,
        beta2: Value = 0.99,
        **options: Unpack[LatentOptions],
    ) -> None:
        if learning_rate is None and options.get("lr") is None:
            learning_rate = 1e-4
        super().__init__(params, {"beta1": beta1, "beta2": beta2}, learning_rate, **options)

    def _move(self, gradient: Tensor, state: State, group: Group, learning_rate: Value) -> None:
        m = state["m"]
        step = lerp_(m.clone(), gradient, 1 - along(group["beta1"], m))
        lerp_(m, gradient, 1 - along(group["beta2"], m))
        self._descend(state["w"], step, group, learning_rate)
