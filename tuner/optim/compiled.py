"""Steps of update rules as compiled operations: one pass over the weights, flips counted.

One call is for all parameters of a group. Each does what its rule does in torch, up to rounding;
``parted`` says to which parameters it can.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from tuner import kernels
from tuner.optim.groups import Group, Value
from tuner.optim.parameters import Lot
from tuner.optim.plain import all_plain

_TYPES = (torch.float32, torch.bfloat16)
_SHAPE, _MEMORY = attrgetter("shape"), attrgetter("dtype", "layout", "is_cpu")


def there_for(dtype: torch.dtype) -> bool:
    """Whether there are compiled steps for weights of this type."""
    return dtype in _TYPES and kernels.library() is not None


def fits(lot: Lot) -> bool:
    """Whether the compiled steps can work on all of these: a CPU's plain memory, all of one type.

    Without gaps and as it is to be read, not negated when it is; state is float32, and each
    parameter's tensors are of its shape.
    """
    dtype, found = lot.params[0].dtype, lot.columns
    if found is None or not there_for(dtype):
        return False
    shapes = list(map(_SHAPE, lot.params)) if lot.sight is None else lot.sight.shapes
    if not _reachable(lot.gradients, shapes, dtype):
        return False
    return lot.sight is not None or all(
        _reachable(column, shapes, torch.float32 if name else dtype)
        for name, column in found.items()
    )


def _reachable(tensors: Sequence[Tensor], shapes: list[torch.Size], dtype: torch.dtype) -> bool:
    return (
        all_plain(tensors)
        and set(map(_MEMORY, tensors)) == {(dtype, torch.strided, True)}
        and list(map(_SHAPE, tensors)) == shapes
        and all(map(Tensor.is_contiguous, tensors))
        and not any(map(Tensor.is_neg, tensors))
    )


def parted(lot: Lot, *, by: str | None) -> tuple[list[Lot], Lot]:
    """Lots that take a compiled step in one call each, and a lot of those that take none.

    Args:
        lot: Parameters of one group.
        by: What in their states must be the same within a call, if anything.
    """

    def kinds(these: Lot) -> set[tuple[object, ...]]:
        first = {param.shape[:1] for param in these.params} if lot.per_trial else {None}
        value = {state[by] for state in these.states} if by else {None}
        return {(trials, common) for trials in first for common in value}

    if len(kinds(lot)) == 1 and fits(lot):
        return [lot], lot.part([])
    together: dict[tuple[object, ...], list[int]] = {}
    rest = []
    for position, (param, _, state) in enumerate(lot):
        alone = lot.part([position])
        if fits(alone):
            kind = (param.dtype, *state, *kinds(alone))
            together.setdefault(kind, []).append(position)
        else:
            rest.append(position)
    return [lot.part(positions) for positions in together.values()], lot.part(rest)


def cascade(lot: Lot, *, alpha: Value, gamma: Value) -> Tensor:
    """``FilterFlip``'s step with a cascade of averages.

    Args:
        lot: Parameters that take it in one call; see ``parted``.
        alpha: At this step.
        gamma: As the rule has it.

    Returns:
        How many signs changed, int64, [] or [K].
    """
    return _call("cascade", lot, _states(lot, "m", "s"), _per_row(lot, alpha, gamma))


def slots(lot: Lot, rows: Tensor) -> Tensor:
    """The step of a filter in slots; returns how many signs changed.

    Args:
        lot: As in ``cascade``.
        rows: The slots, as ``rows_of`` gives them.
    """
    return _call("slots", lot, [_slot_states(lot, rows)], (rows.shape[1], rows))


@dataclass(frozen=True)
class Bounds:
    """How large the states of some parameters' filters are, as ``slots_behind`` left them.

    Args:
        most: Shape [tensors, trials, S].
        least: For each parameter numbers, as ``Bounds.none`` makes them.
    """

    most: Tensor
    least: Sequence[Tensor]

    @classmethod
    def none(cls, lot: Lot, rows: Tensor) -> "Bounds":
        """Bounds that say nothing: of each trial a number for at least every four weights."""
        trials = trials_of(lot)
        sizes = [trials * ((param.numel() // trials + 3) // 4) for param in lot.params]
        return cls(torch.zeros(len(sizes), trials, rows.shape[1]), list(map(torch.zeros, sizes)))


def slots_ahead(
    lot: Lot, rows: Tensor, kept: Sequence[Tensor], bounds: Bounds, *, last_rows: Tensor
) -> Tensor:
    """The signs of a filter's step; its gradient is kept, and enters by ``slots_behind``.

    Args:
        lot: As in ``cascade``; its states are not written.
        rows: As in ``slots``.
        kept: Like the gradients, which are copied there.
        bounds: Of the states.
        last_rows: The rows of the step before.

    Returns:
        How many signs changed.
    """
    return _call("slots_ahead", lot, *_more(lot, rows, kept, bounds, last_rows))


def slots_behind(
    lot: Lot, rows: Tensor, kept: Sequence[Tensor], bounds: Bounds, *, last_rows: Tensor
) -> Tensor:
    """The step after ``slots_ahead``, of the same parameters: what that kept enters first.

    Args:
        lot: As in ``cascade``.
        rows: As in ``slots``.
        kept: The gradients that were kept.
        bounds: Brought up to the states.
        last_rows: The rows of the step before.

    Returns:
        How many signs changed.
    """
    return _call("slots_behind", lot, *_more(lot, rows, kept, bounds, last_rows))


def _more(
    lot: Lot, rows: Tensor, kept: Sequence[Tensor], bounds: Bounds, last_rows: Tensor
) -> tuple[list["array[int]"], tuple[kernels.Argument, ...]]:
    """The states, and what both take beside them."""
    least = _addresses(bounds.least)
    more = (rows.shape[1], rows, _addresses(kept), last_rows, bounds.most, least)
    return [_slot_states(lot, rows)], more


def rows_of(lot: Lot, numbers: Tensor | Sequence[Sequence[float]]) -> Tensor:
    """Slots of shape [S, 8] or [K, S, 8] as the compiled steps read them, float32, [K, S, 8]."""
    every = torch.as_tensor(numbers, dtype=torch.float32)
    return every.expand(trials_of(lot), *every.shape[-2:]).contiguous()


def _slot_states(lot: Lot, rows: Tensor) -> "array[int]":
    names = [f"{letter}{i}" for i in range(rows.shape[1]) for letter in "wv"]
    return array("q", chain.from_iterable(_states(lot, *names)))


def bop(lot: Lot, *, gamma: Value, tau: Value) -> Tensor:
    """``Bop``'s step; returns how many signs changed.

    Args:
        lot: As in ``cascade``.
        gamma: At this step.
        tau: As the rule has it.
    """
    return _call("bop", lot, _states(lot, "m"), _per_row(lot, gamma, tau))


def latent_sgd(lot: Lot, group: Group, *, learning_rate: Value, channels: Sequence[int]) -> Tensor:
    """``LatentSGD``'s step; returns how many signs changed.

    Args:
        lot: As in ``cascade``.
        group: The rule's hyperparameters.
        learning_rate: At this step.
        channels: Output channels of a trial of each parameter, each with a scale of its own.
    """
    fresh = [state.get("unset", False) for state in lot.states]
    names = ("weight_decay", "momentum", "clip", "scaling")
    more: tuple[kernels.Argument, ...] = (
        array("q", channels),
        array("q", fresh),
        *_per_row(lot, learning_rate, *map(group.__getitem__, names)),
        float(group["dampening"]),
        group["coupled"],
        group["nesterov"],
    )
    return _call("latent_sgd", lot, _states(lot, "w", "m"), more)


def latent_adam(
    lot: Lot, group: Group, *, learning_rate: Value, channels: Sequence[int], coupled: bool
) -> Tensor:
    """``LatentAdam``'s step, or ``LatentAdamW``'s; returns how many signs changed.

    Args:
        lot: As in ``cascade``; its parameters have taken equally many steps.
        group: The rule's hyperparameters.
        learning_rate: At this step.
        channels: As in ``latent_sgd``.
        coupled: Whether weight decay is added to the gradient.
    """
    beta1, beta2, decay = group["beta1"], group["beta2"], group["weight_decay"]
    steps = lot.states[0]["step"] + 1
    rate = learning_rate / (1 - beta1**steps)
    new = (1 - beta1, 1 - beta2)
    rows = (rate, decay, 1 - learning_rate * decay, *new, 1 - beta2**steps)
    more: tuple[kernels.Argument, ...] = (
        array("q", channels),
        *_per_row(lot, *rows, group["clip"], group["scaling"]),
        float(group["eps"]),
        coupled,
    )
    return _call("latent_adam", lot, _states(lot, "w", "m", "v"), more)


def _call(
    rule: str, lot: Lot, states: Iterable["array[int]"], more: Iterable[kernels.Argument]
) -> Tensor:
    """Have a rule's step done on these of the states, with what it takes beside them."""
    trials = trials_of(lot)
    flips = torch.empty(trials if lot.per_trial else (), dtype=torch.int64)
    kernels.call(
        f"tuner_{rule}_{kernels.suffix(lot.params[0].dtype)}",
        len(lot.params),
        trials,
        array("q", [numel // trials for numel in map(Tensor.numel, lot.params)]),
        flips,
        array("q", lot.settled),
        *_states(lot, ""),
        *states,
        _addresses(lot.gradients),
        *more,
    )
    increment_version(chain.from_iterable((lot.columns or {}).values()))
    return flips


def _states(lot: Lot, *names: str) -> list["array[int]"]:
    """Where the tensors of these columns lie; null pointers if there are none."""
    nowhere = [0] * len(lot.params)
    return [array("q", lot.addresses.get(name, nowhere)) for name in names]


def trials_of(lot: Lot) -> int:
    """How many trials lie along the leading axis."""
    return len(lot.params[0]) if lot.per_trial else 1


def _addresses(tensors: Sequence[Tensor]) -> "array[int]":
    return array("q", map(Tensor.data_ptr, tensors))


def _per_row(lot: Lot, *values: Value) -> list[Tensor]:
    """The hyperparameters as float32, each with a number for each trial."""
    rows = (torch.as_tensor(value, dtype=torch.float32) for value in values)
    return [row.expand(trials_of(lot)).contiguous() for row in rows]
