"""Whether a tensor is plain memory, what is written there, and who wrote it last."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

Mark = tuple[Any, ...]
Method = Callable[..., None]

_ORDINARY = Tensor.__torch_dispatch__
_VERSION, _SHAPE, _DTYPE = map(attrgetter, ("_version", "shape", "dtype"))


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


def is_strange(tensor: Tensor) -> bool:
    """Whether a tensor whose numbers are at hand has others than signs among the first of them."""
    if not (tensor.is_cpu and is_plain(tensor)):
        return False
    few = tensor.view(-1) if tensor.is_contiguous() else tensor[(0,) * (tensor.dim() - 1)]
    return not_signs(few[:64])


def not_signs(values: Tensor) -> bool:
    """Whether any is neither +1 nor -1."""
    return bool((values.abs() != 1).any())


def all_plain(tensors: Iterable[Tensor]) -> bool:
    """Whether ``is_plain`` holds for all of them, however many."""
    kinds: set[type[Tensor]] = set(map(type, tensors))
    return all(kind.__torch_dispatch__ is _ORDINARY for kind in kinds)


def columns(states: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Tensor]] | None:
    """The tensors of some parameters' states, name by name; None if they hold different ones."""
    names = states[0].keys()
    if any(state.keys() != names for state in states):
        return None
    found = dict[str, Sequence[Tensor]]()
    for name in names:
        column = [state[name] for state in states]
        are_tensors = {issubclass(kind, Tensor) for kind in set(map(type, column))}
        if len(are_tensors) > 1:
            return None
        if are_tensors == {True}:
            found[name] = column
    return found


@dataclass(frozen=True)
class Sight:
    """What changes whenever torch writes to some parameters or their states, or replaces them.

    Writes through ``.data`` go unseen, as they do to autograd.

    Args:
        columns: The tensors, name by name: the parameters under "", those of their states.
        versions: Of each column, the parameters' first.
        addresses: Of each column.
        without_gaps: Of each column, whether its tensors are.
        shapes: The parameters'.
        dtypes: The parameters'.
        ids: The parameters'.
    """

    columns: Mapping[str, Sequence[Tensor]] = field(compare=False)
    versions: list[list[int]]
    addresses: dict[str, list[int]]
    without_gaps: list[list[bool]]
    shapes: list[torch.Size]
    dtypes: list[torch.dtype]
    ids: list[int]

    @classmethod
    def of(cls, params: Sequence[Tensor], states: Sequence[Mapping[str, Any]]) -> "Sight | None":
        """That of some parameters; None if they cannot be seen together."""
        found = columns(states)
        if found is None:
            return None
        found = {"": params, **found}
        plain = all(map(all_plain, found.values()))
        if not (plain or len(params) == 1):
            return None
        address = Tensor.data_ptr if plain else id
        return cls(
            columns=found,
            versions=_versions(found),
            addresses={name: list(map(address, column)) for name, column in found.items()},
            without_gaps=[list(map(Tensor.is_contiguous, column)) for column in found.values()],
            shapes=list(map(_SHAPE, params)),
            dtypes=list(map(_DTYPE, params)),
            ids=list(map(id, params)),
        )

    def written(self) -> "Sight":
        """As it is after a step that wrote to all of them and replaced none."""
        return replace(self, versions=_versions(self.columns))

    def marks(self) -> dict[int, Mark]:
        """What of it is each parameter's, by the parameter's id; its version comes first."""
        rest = (*self.addresses.values(), *self.without_gaps, self.shapes, self.dtypes)
        return dict(zip(self.ids, zip(*self.versions, *rest, strict=True), strict=True))


def _versions(found: Mapping[str, Sequence[Tensor]]) -> list[list[int]]:
    return [list(map(_VERSION, column)) for column in found.values()]


def marks(params: Sequence[Tensor], states: Sequence[Mapping[str, Any]]) -> dict[int, Mark]:
    """The marks of parameters of all kinds; see ``Sight``."""
    sight = Sight.of(params, states)
    if sight is not None:
        return sight.marks()
    each = [marks([param], [state]) for param, state in zip(params, states, strict=True)]
    return {key: mark for one in each for key, mark in one.items()}


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
