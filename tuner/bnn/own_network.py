"""A network of the user's own: from what a function returns to a network of K trials."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from tuner.bnn.layers import WITH_TRIALS, binary_parameters, initialise
from tuner.errors import InvalidInput, TunerError
from tuner.named import arguments, function, refused, setting_up, takes
from tuner.workload import Workload

Layer = TypeVar("Layer", bound=nn.Module)


def binary(layer: Layer) -> Layer:
    """The layer, its weights marked as binary: those with two axes or more, not biases and norms.

    Whatever update rule trains the network makes them +1 and -1; forward must use them as they
    are.

    Example:
        >>> hidden = binary(nn.Linear(64, 64, bias=False))
    """
    for owner in layer.modules():
        own = owner.named_parameters(recurse=False)
        owner.binary_names = tuple(name for name, param in own if param.dim() > 1)  # type: ignore[assignment]  # no tensor
    return layer


class Alone(nn.Module):
    """An ordinary network as one of a single trial.

    Args:
        network: Takes samples [N, ...] and returns logits [N, O].
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, samples: Tensor) -> Tensor:
        """[1, N, ...] -> [1, N, O], float32 at least.

        Raises:
            InvalidInput: If the network returns anything but a tensor.
        """
        logits = self.network(samples[0])
        if not isinstance(logits, Tensor):
            raise InvalidInput(
                "workload.model: the network must return logits [samples, classes], a tensor, got "
                f"{type(logits).__name__}"
            )
        return logits[None].to(torch.promote_types(logits.dtype, torch.float32))


def trains_alone(workload: Workload) -> bool:
    """Whether its trials train one a program: its network is the user's, without a trial axis."""
    return workload.own_model and not takes(function(workload, "model"), "n_trials")


def own_network(
    workload: Workload, shape: Sequence[int], n_classes: int, seeds: Sequence[int]
) -> nn.Module:
    """The network that the user's function makes, for K trials.

    A function that has a parameter ``n_trials`` is called with K and returns a network of
    ``bnn.layers``, which takes samples [K, N, ...] and returns logits [K, N, O]: each trial's
    first weights are drawn from its seed. Any other function returns an ordinary module of one
    trial, whose first weights it draws itself, after ``torch.manual_seed`` of the trial's seed.

    Args:
        workload: Names the function and its options.
        shape: Of one sample.
        n_classes: O.
        seeds: The K trials' seeds; one for an ordinary module.

    Raises:
        InvalidInput: If the function cannot be called, raises or returns no such network.
    """
    make, where = function(workload, "model"), f"workload.model: {workload.model}"
    given = arguments(workload, "model", make)
    alone = trains_alone(workload)
    if not alone:
        given["n_trials"] = len(seeds)
    with seeded(seeds[0]):
        network = setting_up(where, lambda: make(tuple(shape), n_classes, **given))
    if not isinstance(network, nn.Module):
        raise InvalidInput(
            f"{where} returned {type(network).__name__}; it must return a torch.nn.Module"
        )
    if not binary_parameters(network):
        raise InvalidInput(
            f"{where}: the network has no binary weight, so there is nothing to compare; mark a "
            "layer with tuner.bnn.binary(layer)"
            + ("" if alone else ", or give layers of tuner.bnn.layers binary=True")
        )
    if alone:
        return Alone(network)
    _check_trial_axis(network, where, len(seeds))
    initialise(network, list(seeds))
    return network


def try_out(
    network: nn.Module, samples: Tensor, n_classes: int | None, workload: Workload
) -> None:
    """Refuse a network that does not take the data; layers without a shape get theirs.

    Args:
        network: Of K trials, of the user's own.
        samples: A few, [K, n, ...].
        n_classes: O; ``None`` where targets are no classes, and outputs of any shape.
        workload: Names it.

    Raises:
        InvalidInput: Says what the network raised, or what it returned.
    """
    k, n, *shape = samples.shape
    alone = isinstance(network, Alone)
    where = f"workload.model: {workload.model}'s network"
    network.eval()
    try:
        with torch.no_grad():
            logits = network(samples)
    except TunerError:
        raise
    except (Exception, SystemExit) as error:
        given = f"{where}, given {n} samples of shape {shape}, {samples.dtype},"
        raise refused(given, error) from error
    outputs = logits.shape[2:] if n_classes is None else (n_classes,)
    expected = (k, n, *outputs)
    if logits.shape != expected or not logits.is_floating_point():
        got, want = (list(s)[1:] if alone else list(s) for s in (logits.shape, expected))
        if n_classes is None:
            raise InvalidInput(
                f"{where} must return an output for each of {n} samples, of floating point, got "
                f"{logits.dtype} of shape {got}"
            )
        raise InvalidInput(
            f"{where} must return logits of shape {want} for {n} samples of {n_classes} classes, "
            f"got {logits.dtype} of shape {got}"
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from this seed; afterwards its processor goes on as before.

    ``torch.manual_seed`` takes ten times as long: it looks at all kinds of devices.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def _check_trial_axis(network: nn.Module, where: str, n_trials: int) -> None:
    """Refuse parameters without a trial axis, and those that ``initialise`` does not know."""
    for owner_name, owner in network.named_modules():
        ours = isinstance(owner, WITH_TRIALS)
        for name, held in (
            *owner.named_parameters(recurse=False),
            *owner.named_buffers(recurse=False),
        ):
            called = f"{owner_name}.{name}".lstrip(".")
            if not ours:
                raise InvalidInput(
                    f"{where}: {called} is of {type(owner).__name__}, which has no trial axis; a "
                    "function with a parameter n_trials makes its network of tuner.bnn.layers "
                    "(Linear, Conv2d, BatchNorm, NormSign, NormAddSign, RSign, RPReLU) alone; "
                    "without n_trials it may return any torch module, and its trials train one "
                    "at a time"
                )
            if held.shape[0] != n_trials:
                raise InvalidInput(
                    f"{where}: {called} has shape {list(held.shape)}, which must begin with "
                    f"n_trials, {n_trials}"
                )
