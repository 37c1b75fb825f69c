"""From a torch network to a graph: its forward is followed, and each layer read into a step.

Layers and functions of a kind that is not known are refused by their name. What does not depend
on the samples is computed here. Networks of ``bnn.layers`` have a trial axis, of one trial, which
is left out.
"""

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from tuner.bnn import finding
from tuner.bnn.layers import BatchNorm, Conv2d, Linear, side_by_side, trials_first
from tuner.bnn.own_network import Alone
from tuner.export.reading.function_steps import FUNCTIONS, METHODS, OWN, Size
from tuner.export.reading.layer_steps import names, reader_of
from tuner.export.reading.walk import Value, Walk, refused
from tuner.graphs.graph import INPUT, Graph

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Samples:
    """What a network takes.

    Args:
        shape: Of one sample.
        scale: Where samples come as bytes: what they are multiplied by first, [C, 1, 1].
        shift: What is added then.
        precision: The type of the activations in training, a name in ``graph.PRECISIONS``.
    """

    shape: tuple[int, ...]
    scale: Tensor | None = None
    shift: Tensor | None = None
    precision: str = "float32"


def walked(network: nn.Module, samples: Samples, layers: finding.Choices = ()) -> Graph:
    """The graph of a trained network, which is put into evaluation mode.

    Args:
        network: Any torch network, or one of ``bnn.layers`` with a single trial.
        samples: What it takes.
        layers: Other layers whose weights are binary; see ``bnn.layers.binary_parameters``.

    Raises:
        InvalidInput: If forward cannot be followed, a layer is of a kind that cannot be exported,
            or a binary weight is not binary; says which.
    """
    if isinstance(network, Alone):
        network = network.network
    network.eval()
    marked = {id(weight) for weight in finding.weights(network, layers).values()}
    trials = any(isinstance(layer, Linear | Conv2d | BatchNorm) for layer in network.modules())
    walk = Walk(trials, marked)
    start = INPUT
    if samples.scale is not None and samples.shift is not None:
        roles = {
            "scale": walk.real("input.scale", samples.scale),
            "shift": walk.real("input.shift", samples.shift),
        }
        start = walk.step("shift", [INPUT], "scaled", roles)
    output = _Reader(walk, network).read(start)
    last = walk.steps[-1].outputs if walk.steps else ()
    if last != (output,):
        raise refused(
            "the network must return its logits alone, a tensor that its last layer gives"
        )
    return Graph(
        samples.shape,
        samples.scale is not None,
        tuple(walk.steps),
        walk.tensors,
        frozenset(walk.binary),
        samples.precision,
    )


class _Tracer(fx.Tracer):
    """Follows forward into modules that are not layers of a known kind, or of torch."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=OWN)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        if isinstance(m, _CONTAINERS):
            return False
        top = type(m).__module__.partition(".")[0]
        return reader_of(m) is not None or top in ("torch", "brevitas")


class _Reader:
    """Reads a network node by node.

    Args:
        walk: Gets the steps.
        network: In evaluation mode.
    """

    def __init__(self, walk: Walk, network: nn.Module) -> None:
        self._walk = walk
        self._network = network
        self._values: dict[str, Any] = {}  # Any: values, tuples of them, constants, sizes
        self._with_trials: set[str] = set()
        self._binary: dict[int, Tensor] = {}

    def read(self, start: str) -> Any:  # Any: whatever forward returns
        """Read all of it; returns what forward returns."""
        name = type(self._network).__name__
        try:
            traced = _Tracer().trace(self._network)
        except Exception as error:  # forward is anybody's code, and is called with no numbers
            raise refused(
                f"forward of {name} cannot be followed ({' '.join(str(error).split())}); write it "
                "as one path through layers, without branches that hang on the samples"
            ) from error
        for node in traced.nodes:
            if node.op == "output":
                return self._given(node.args[0])
            self._values[node.name] = self._value(node, start)
        raise refused(f"forward of {name} returns nothing")

    def _value(self, node: fx.Node, start: str) -> Any:  # Any: see __init__
        if node.op == "placeholder":
            if self._values:
                raise refused("forward takes more than the samples")
            return self._marked(start, with_trials=self._walk.trials)
        if node.op == "get_attr":
            return self._constant(str(node.target))
        given, options = self._given(node.args), self._given(node.kwargs)
        if node.op == "call_module":
            return self._layer(str(node.target), given)
        flat = list(_flat([given, options]))
        if not any(isinstance(each, Value | Size) for each in flat):
            return self._computed(node, given, options, flat)
        if node.target in (getattr, "size", operator.getitem) and not (
            isinstance(given[0], tuple)
        ):
            if node.target is getattr and given[1] != "shape":
                raise refused(f"forward reads {given[1]!r} of a value")
            if node.target is operator.getitem and isinstance(given[0], Value):
                raise refused(f"{node.name}: takes a part of a value")
            return Size()
        if node.target is operator.getitem:
            return given[0][given[1]]
        return self._function(node, given, options)

    def _given(self, argument: Any) -> Any:  # Any: an argument of fx's
        return fx.node.map_arg(argument, lambda node: self._values[node.name])

    def _marked(self, name: str, *, with_trials: bool) -> Value:
        if with_trials:
            self._with_trials.add(name)
        return Value(name)

    def _constant(self, name: str) -> Any:  # Any: parameter, buffer or another attribute
        owner, _, own = name.rpartition(".")
        found = getattr(self._network.get_submodule(owner), own)
        if id(found) in self._walk.marked:
            self._binary[id(found)] = found
        return found

    @torch.no_grad()
    def _computed(self, node: fx.Node, given: Any, options: Any, flat: list[Any]) -> Any:
        """What does not depend on the samples."""
        if node.op == "call_method":
            found = getattr(given[0], str(node.target))(*given[1:], **options)
        else:
            found = node.target(*given, **options)  # type: ignore[operator]  # a function
        if isinstance(found, Tensor) and any(id(each) in self._binary for each in flat):
            self._binary[id(found)] = found
        return found

    def _layer(self, name: str, given: Any) -> Any:
        layer = self._network.get_submodule(name)
        read = reader_of(layer)
        if read is None:
            raise refused(
                f"{name} is a {type(layer).__name__}, which cannot be exported (layers that can: "
                f"{', '.join(names())})"
            )
        given = [each for each in given if each is not None]
        if not all(isinstance(each, Value) for each in given):
            raise refused(f"{name} takes other than values of the network")
        with_trials = given[0] in self._with_trials
        outputs = read(self._walk, name, layer, [str(each) for each in given])
        made = tuple(self._marked(each, with_trials=with_trials) for each in outputs)
        return made if len(made) > 1 else made[0]

    def _function(self, node: fx.Node, given: Any, options: Any) -> Value:
        name = node.name
        with_trials = any(each in self._with_trials for each in given if isinstance(each, Value))
        if node.target in _PRODUCTS:
            made = self._product(node, given, options)
            return self._marked(made, with_trials=with_trials)
        table: Mapping[Any, Any] = METHODS if node.op == "call_method" else FUNCTIONS
        read = table.get(node.target)
        if read is None:
            called = getattr(node.target, "__name__", node.target)
            advice = "; it is 0 at 0, take tuner.bnn.sign_ste" if called == "sign" else ""
            raise refused(f"forward calls {called}, which cannot be exported{advice}")
        if node.target in ("flatten", torch.flatten):
            options = {**options, "trials": with_trials}
        try:
            made = read(self._walk, name, *given, **options)
        except TypeError as error:
            raise refused(f"{name}: it takes what cannot be exported ({error})") from error
        own = node.target is trials_first
        return self._marked(
            made, with_trials=own or (with_trials and node.target is not side_by_side)
        )

    def _product(self, node: fx.Node, given: Any, options: Any) -> str:
        """``F.linear`` or ``F.conv2d`` with weights that do not depend on the samples."""
        name, kind = node.name, _PRODUCTS[node.target]
        named = {**dict(zip(_ARGUMENTS, given, strict=False)), **options}
        x, weight, bias = (named.get(role) for role in _ARGUMENTS[:3])
        if (
            not isinstance(x, Value)
            or not isinstance(weight, Tensor)
            or not isinstance(bias, Tensor | None)
        ):
            raise refused(f"{name}: its weights depend on the samples")
        roles = self._walk.weight(name, weight, bias, binary=id(weight) in self._binary)
        if kind == "linear":
            return self._walk.step(kind, [x], name, roles)
        pairs = {}
        for option, usual in (("stride", 1), ("padding", 0), ("dilation", 1)):
            value = named.get(option, usual)
            if isinstance(value, str):
                raise refused(f"{name}: pads by {value!r}; give it a number")
            pairs[option] = [value] * 2 if isinstance(value, int) else list(value)
        return self._walk.step(kind, [x], name, roles, **pairs, groups=named.get("groups", 1))


_PRODUCTS: Mapping[Any, str] = {F.linear: "linear", F.conv2d: "conv"}
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def _flat(given: Any) -> Iterator[Any]:
    """All that is in lists, tuples and dicts."""
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list) or (isinstance(given, tuple) and not isinstance(given, str)):
        for each in given:
            yield from _flat(each)
    else:
        yield given
