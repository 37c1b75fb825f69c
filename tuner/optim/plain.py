"""Whether a tensor is plain memory, what is written there, and who wrote it last."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

Mark = tuple[Any, ...]
Method = Callable[..., None]

_ORDINARY = Tensor.__torch_dispatch__
_FORM, _VERSION = attrgetter("shape", "dtype"), attrgetter("_version")
_contiguous = Tensor.is_contiguous


def is_plain(tensor: Tensor) -> bool:
    """Whether the tensor is memory and nothing else, so that its address may be used.

    False for ``DTensor``, ``FakeTensor`` and all others that decide themselves what an operation
    on them does.
    """
    return type(tensor).__torch_dispatch__ is _ORDINARY


def numbers(tensor: Tensor) -> Tensor | None:
    """The part of a tensor whose numbers this process knows; None for ``meta`` and the like."""
    if not is_plain(tensor):
        local = getattr(tensor, "to_local", None)  # a DTensor, as under FSDP2
        if local is None:
            return None
        tensor = local()
    return None if tensor.device.type == "meta" or not is_plain(tensor) else tensor


def first_values(tensor: Tensor) -> Tensor:
    """A few of its numbers, without a copy of all."""
    if tensor.is_contiguous():
        return tensor.view(-1)[:64]
    return tensor[(0,) * (tensor.dim() - 1)][:64]


def not_signs(values: Tensor) -> bool:
    """Whether any is neither +1 nor -1."""
    return bool((values.abs() != 1).any())


def all_plain(tensors: Iterable[Tensor]) -> bool:
    """Whether ``is_plain`` holds for all of them, however many."""
    kinds: set[type[Tensor]] = set(map(type, tensors))
    return all(kind.__torch_dispatch__ is _ORDINARY for kind in kinds)


def columns(states: Sequence[Mapping[str, Any]]) -> dict[str, list[Tensor]] | None:
    """The tensors of some parameters' states, name by name; None if they hold different ones."""
    names = states[0].keys()
    if any(state.keys() != names for state in states):
        return None
    found = {}
    for name in names:
        column = [state[name] for state in states]
        are_tensors = {issubclass(kind, Tensor) for kind in set(map(type, column))}
        if len(are_tensors) > 1:
            return None
        if are_tensors == {True}:
            found[name] = column
    return found


def marks(params: Sequence[Tensor], states: Sequence[Mapping[str, Any]]) -> list[Mark]:
    """Of each parameter what changes whenever torch writes to it or its state, or replaces them.

    A parameter's version comes first. Writes through ``.data`` go unseen, as they do to autograd.
    """
    found = columns(states)
    tensors = [] if found is None else [params, *found.values()]
    plain = all(map(all_plain, tensors))
    if found is None or not (plain or len(params) == 1):
        pairs = zip(params, states, strict=True)
        return [mark for param, state in pairs for mark in marks([param], [state])]
    address = Tensor.data_ptr if plain else id
    seen = (map(see, column) for column in tensors for see in (_VERSION, address, _contiguous))
    return list(zip(*seen, map(_FORM, params), strict=True))


def outside_inference(method: Method) -> Method:
    """The method, of an optimizer, as it is outside of ``torch.inference_mode``.

    What is made inside could not be written to outside.
    """

    @wraps(method)
    def call(*arguments: Any) -> None:
        if not torch.is_inference_mode_enabled():
            return method(*arguments)
        with torch.inference_mode(False):
            return method(*arguments)

    return call


def may_look(param: Tensor, *, urgent: bool) -> bool:
    """Whether to look at values, though a GPU is waited for, and cannot be while it records."""
    if param.is_cpu:
        return True
    return urgent and not (param.is_cuda and torch.cuda.is_current_stream_capturing())
