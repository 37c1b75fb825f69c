"""This software's networks as data: their names, widths, and which widths they can have. No torch.

The same ``check`` is asked when a workload is declared, of as much as is known by then, and when
its network is made, of the images that there are.
"""

from collections.abc import Sequence
from itertools import pairwise

from tuner.errors import InvalidInput
from tuner.wording import count

MODELS: dict[str, tuple[int, ...]] = {
    "mlp": (64, 64, 64),
    "cnn": (32, 32, 64, 64, 128, 128),
    "bireal_resnet20": (16, 32, 64),
    "bireal_resnet18": (64, 128, 256, 512),
    "reactnet": (16, 32, 32, 64, 64, 128, 128),
    "reactnet_a": (32, 64, *(128,) * 2, *(256,) * 2, *(512,) * 6, *(1024,) * 2),
}
"""Model names and the widths each takes when a workload names none."""

BINARY_ENDS = ("mlp", "cnn")
"""Those whose first and last layer may be binary too."""

_REACTNETS = ("reactnet", "reactnet_a")
_BINARY_FROM_THE_SECOND = (*BINARY_ENDS, *_REACTNETS)
"""Those in which the first width is a real layer's, so that one width makes no binary layer."""


def check(
    model: str,
    widths: Sequence[int],
    *,
    binary_ends: bool,
    image: tuple[int, int] | None,
) -> None:
    """Refuse a network that cannot be.

    Args:
        model: One of ``MODELS``.
        widths: Its widths, one or more.
        binary_ends: Whether its first and last layer are to be binary.
        image: Height and width of the images that it is to take, if they are known.

    Raises:
        InvalidInput: Saying why, and which could be.
    """
    if binary_ends and model not in BINARY_ENDS:
        raise InvalidInput(f"workload.binary_ends: {model} keeps its ends real; drop it")
    if len(widths) < 2 and model in _BINARY_FROM_THE_SECOND and not binary_ends:
        more = ", or set workload.binary_ends" if model in BINARY_ENDS else ""
        raise InvalidInput(
            f"workload.widths: {model} needs a binary layer and has none with {list(widths)}; "
            f"name two widths or more{more}"
        )
    if model in _REACTNETS:
        _check_doubling(model, widths)
    if model == "cnn" and image is not None:
        _check_halving(widths, image)


def _check_doubling(model: str, widths: Sequence[int]) -> None:
    """A block of a ReActNet has as many channels as the one before, or twice as many."""
    for before, after in pairwise(widths):
        if after not in (before, 2 * before):
            raise InvalidInput(
                f"workload.widths: each width of {model} must be the one before or twice that, "
                f"got {after} after {before} in {list(widths)}; name {before} or {2 * before}"
            )


def _check_halving(widths: Sequence[int], image: tuple[int, int]) -> None:
    """Every second layer of a cnn halves the image."""
    most = 2 * min(image).bit_length() - 1
    if len(widths) > most:
        raise InvalidInput(
            f"workload.widths: {len(widths)} layers of a cnn halve images of "
            f"{image[0]}x{image[1]} to nothing; name at most {count(most, 'width')}"
        )
