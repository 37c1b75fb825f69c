"""What an optimizer knows of its parameters: which can be binary, their names, their state."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from tuner.errors import InvalidInput
from tuner.optim.groups import Group
from tuner.optim.plain import Sight, columns, is_plain

State = dict[str, Any]
"""Of one parameter: tensors of its shape, or with one number a trial, and a count of steps."""


@dataclass(frozen=True, eq=False)
class Lot:
    """Parameters of one group that take a step, and what goes with each, in parallel lists.

    Args:
        params: The parameters.
        gradients: Theirs.
        states: Theirs.
        settled: Of each whether nobody wrote to it or its state since the optimizer's last step.
        per_trial: Whether their leading axis is the trials'.
        sight: What is seen of them, where all of them took one compiled step last, and are as that
            left them.
    """

    params: Sequence[Tensor]
    gradients: Sequence[Tensor]
    states: Sequence[State]
    settled: Sequence[bool]
    per_trial: bool
    sight: Sight | None = None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, State]]:
        """Parameter, gradient and state, one parameter after the other."""
        return zip(self.params, self.gradients, self.states, strict=True)

    @cached_property
    def columns(self) -> Mapping[str, Sequence[Tensor]] | None:
        """The tensors, name by name: those of the states, and the parameters under "".

        None if the states hold different ones.
        """
        if self.sight is not None:
            return self.sight.columns
        found = columns(self.states)
        return None if found is None else {"": self.params, **found}

    @cached_property
    def addresses(self) -> Mapping[str, Sequence[int]]:
        """Where the tensors of the columns lie."""
        if self.sight is not None:
            return self.sight.addresses
        return {n: list(map(Tensor.data_ptr, each)) for n, each in (self.columns or {}).items()}

    def part(self, positions: Sequence[int]) -> "Lot":
        """Those at these positions."""
        return Lot(
            [self.params[position] for position in positions],
            [self.gradients[position] for position in positions],
            [self.states[position] for position in positions],
            [self.settled[position] for position in positions],
            self.per_trial,
        )


def marked(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> weight, of all layers whose ``binary_names`` say which of theirs are to be binary.

    The mark lies on the layer: torch puts other parameters in the place of the first ones where
    it shards a network, moves it off ``meta``, or loads with ``assign=True``.

    Raises:
        InvalidInput: If such a weight is no parameter any more.
    """
    found: dict[str, nn.Parameter] = {}
    for prefix, layer in model.named_modules():
        for name in getattr(layer, "binary_names", ()):
            inside = own_name(layer, name)
            whole = f"{prefix}.{inside}".lstrip(".")
            there = getattr(layer, inside, None)
            if isinstance(there, Tensor) and not isinstance(there, nn.Parameter):
                raise InvalidInput(
                    f"{whole} is a tensor, no parameter any more, so it cannot be trained; where "
                    f"FullyShardedDataParallel made it so, {_FSDP}"
                )
            found[whole] = layer.get_parameter(inside)
    return once(found)


def own_name(layer: nn.Module, name: str) -> str:
    """What a layer's own parameter is called, which it may have parametrized."""
    return (
        f"parametrizations.{name}.original" if parametrize.is_parametrized(layer, name) else name
    )


def once(named: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    """Each parameter under the first of its names."""
    names: dict[int, str] = {}
    for name, param in named.items():
        names.setdefault(id(param), name)
    return {name: named[name] for name in names.values()}


_FSDP = "wrap the network with use_orig_params=True, or shard it by fully_shard"


def is_flat_part(param: Tensor) -> bool:
    """Whether it is what FullyShardedDataParallel left of a weight here: some of its numbers."""
    return bool(getattr(param, "_fsdp_flattened", False)) and param.dim() == 1


def trainable(param: Tensor, who: str) -> None:
    """Refuse what cannot be made binary.

    Args:
        param: A parameter.
        who: The optimizer, and what it calls the parameter.

    Raises:
        InvalidInput: Saying what it is, and what would do.
    """
    if getattr(param, "_is_flat_param", False):
        raise InvalidInput(
            f"{who} holds whole layers of FullyShardedDataParallel's in one, binary weights and "
            f"others; {_FSDP}"
        )
    if is_lazy(param):
        raise InvalidInput(
            f"{who} has no values yet: run the network once on a batch, then make the optimizer"
        )
    if param.layout is not torch.strided:
        raise InvalidInput(f"{who} is sparse; binary weights are dense")
    if not param.is_floating_point():
        raise InvalidInput(f"{who} is of {param.dtype}; binary weights are of a real float type")
    if param.is_inference():
        raise InvalidInput(
            f"{who} was made under torch.inference_mode, so it has no gradient; make the network "
            "outside of it"
        )


def dense(gradient: Tensor, owner: str) -> None:
    """Refuse a sparse gradient.

    Raises:
        InvalidInput: If it is one.
    """
    if gradient.layout is not torch.strided:
        raise InvalidInput(
            f"{owner}: does not support sparse gradients; an embedding makes dense ones with "
            "sparse=False"
        )


def each(groups: Sequence[Group]) -> Iterator[tuple[Group, int, Tensor]]:
    """All parameters: their group, their number in it, themselves."""
    for group in groups:
        for number, param in enumerate(group["params"]):
            yield group, number, param


def called(groups: Sequence[Group], param: Tensor) -> str:
    """What to call a parameter before its user: its name if it came with one, else its place."""
    for position, group in enumerate(groups):
        for number, other in enumerate(group["params"]):
            if other is not param:
                continue
            if "param_names" in group:
                return str(group["param_names"][number])
            name = f" {group['name']!r}" if "name" in group else ""
            shape = "" if is_lazy(param) else f", shape {list(param.shape)}"
            return f"parameter {number} of group {position}{name}{shape}"
    return f"a parameter of shape {list(param.shape)}"


def tensors(state: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
    """What a parameter's state holds beside a count of steps."""
    return [(name, value) for name, value in state.items() if isinstance(value, Tensor)]


def same_shape(
    param: Tensor, state: Mapping[str, Any], owner: str, groups: Sequence[Group]
) -> None:
    """Refuse state, or a gradient, of another shape than the parameter's.

    Args:
        param: A parameter.
        state: Its own.
        owner: The optimizer's name.
        groups: The optimizer's, to find the parameter's name.

    Raises:
        RuntimeError: If there is one, as torch's optimizers do.
    """
    gradient = [] if param.grad is None else [("gradient", param.grad)]
    for name, value in [*tensors(state), *gradient]:
        of_trials = name in state and value.dim() < 2 and value.shape == param.shape[: value.dim()]
        if value.shape != param.shape and not of_trials:
            raise RuntimeError(
                f"{owner}: {called(groups, param)}, has {name} of shape {list(value.shape)}; "
                "load the state of this very network, and make an optimizer after its network "
                "has its shape"
            )


def total(flips: list[Tensor]) -> Tensor:
    """The sum of all parameters' counts, wherever they lie."""
    flips = [f if is_plain(f) or not hasattr(f, "full_tensor") else f.full_tensor() for f in flips]
    if len(flips) == 1:
        return flips[0]
    devices = [f.device for f in flips]
    device = next((d for d in devices if d.type == "meta"), devices[0])
    return torch.stack([f if f.device == device else f.to(device) for f in flips]).sum(0)


def refuse_others(
    state_dict: Mapping[str, Any],
    owner: str,
    *,
    keys: set[str],
    others: frozenset[str],
    names: set[str],
) -> None:
    """Refuse what another optimizer saved.

    Args:
        state_dict: What is to be loaded.
        owner: The optimizer's name.
        keys: What its groups hold.
        others: What those of other optimizers alone do.
        names: What its parameters' state holds; empty if it has none yet.

    Raises:
        InvalidInput: Naming what is missing, or what is there instead.
    """
    other = f"{owner}: this is the state of another optimizer"
    for group in state_dict["param_groups"]:
        if missing := sorted(keys - set(group)):
            raise InvalidInput(
                f"{other}, its groups have no {missing[0]}; load what a {owner} saved"
            )
        if strange := sorted(others & set(group)):
            raise InvalidInput(f"{other}, its groups have {strange[0]}; load what a {owner} saved")
    for state in state_dict["state"].values():
        if state and names and not names & set(state):
            raise InvalidInput(
                f"{other}, it keeps {', '.join(map(str, state))}; load what a {owner} saved"
            )


def keep_types(
    state_dict: Mapping[str, Any],
    states: Mapping[Tensor, State],
    groups: Sequence[Group],
    before: Sequence[Group],
) -> None:
    """Put right what torch's optimizers do to types and devices of what they load.

    Args:
        state_dict: What was loaded.
        states: The optimizer's, by parameter.
        groups: The optimizer's groups.
        before: Those that it had before.
    """
    for old, new in zip(before, groups, strict=True):
        for name, value in new.items():
            if isinstance(value, Tensor) and isinstance(old.get(name), Tensor):
                new[name] = value.to(old[name].device)
    saved = (index for group in state_dict["param_groups"] for index in group["params"])
    for index, (_, _, param) in zip(saved, each(groups), strict=True):
        for name, value in state_dict["state"].get(index, {}).items():
            if isinstance(value, Tensor):  # torch rounds it to the param's type
                states[param][name] = value.to(param.device)
