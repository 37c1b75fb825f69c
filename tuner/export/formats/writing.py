"""Exported files in each of the formats."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tuner.errors import UnknownName
from tuner.export.formats.onnx_file import write_onnx
from tuner.export.formats.qonnx_file import write_qonnx
from tuner.graphs.card import Card, card_of
from tuner.graphs.graph import Graph
from tuner.graphs.packed import write_packed

Write = Callable[[Path, Graph, Card], None]
FORMATS: Mapping[str, tuple[str, Write]] = MappingProxyType(
    {
        "packed": (".safetensors", write_packed),
        "onnx": (".onnx", write_onnx),
        "qonnx": (".qonnx.onnx", write_qonnx),
    }
)
"""Format -> how its files' names end, and what writes them."""


def ending(form: str) -> str:
    """How the names of files in that format end.

    Raises:
        UnknownName: If there is no such format.
    """
    if form not in FORMATS:
        raise UnknownName("format", form, FORMATS)
    return FORMATS[form][0]


def write_graph(path: Path, form: str, graph: Graph, about: Card) -> Card:
    """Write a network in that format; returns its card.

    Raises:
        UnknownName: If there is no such format.
        InvalidInput: If a library is missing.
        OSError: If the file cannot be written; what it held before stays.
    """
    ending(form)
    card = card_of(graph, about)
    FORMATS[form][1](path, graph, card)
    return card
