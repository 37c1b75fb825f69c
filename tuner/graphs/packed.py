"""The packed file: binary weights as bits, all other numbers as they are, and a card.

It is a safetensors file. Binary weights are tensors of uint8, eight signs a byte in the order of
the weight, the first in the highest bit, 1 for +1; the card has their shapes.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from tuner.errors import InvalidInput
from tuner.graphs.card import KEY, Card, checked, parsed
from tuner.graphs.files import library, write
from tuner.graphs.graph import Graph
from tuner.graphs.weights import packed, unpacked


def write_packed(path: Path, graph: Graph, card: Card) -> None:
    """Write the file.

    Raises:
        InvalidInput: If safetensors is not installed.
        OSError: If it cannot be written.
    """
    tensors = {
        name: packed(tensor) if name in graph.binary else tensor
        for name, tensor in graph.tensors.items()
    }
    write(path, library("safetensors.torch").save(tensors, metadata={KEY: json.dumps(card)}))


def read_packed(path: Path) -> tuple[Graph, Card]:
    """The network and its card.

    Raises:
        InvalidInput: If it is no such file, is damaged, of another version, or its card does not
            fit its weights.
        OSError: If it cannot be read.
    """
    safetensors = library("safetensors")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InvalidInput(f"{path}: is no regular file; name the file that was exported")
    with path.open("rb") as opened:  # what is not there is no damaged file
        start = opened.read(9)
    if start[8:] not in (b"", b"{"):  # after eight bytes of length comes JSON
        raise InvalidInput(
            f"{path}: is no safetensors file; name a packed network, as tuner export TRIAL --to "
            "FILE.safetensors writes it"
        )
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}
    except safetensors.SafetensorError as error:
        raise InvalidInput(
            f"{path}: is damaged or no safetensors file ({error}); export the trial again"
        ) from error
    card = parsed(path, text)
    try:
        shapes: dict[str, Any] = card["network"]["binary"]
        tensors |= {name: unpacked(tensors[name], tuple(shapes[name])) for name in shapes}
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"{path}: its card does not fit its weights ({error}); export the trial again"
        ) from error
    return checked(path, card, tensors), card
