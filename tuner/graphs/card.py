"""What a file says about the network in it: where it is from, and how good it is.

A card is JSON, in the metadata of every format, and names the digest of the network, so that it
cannot be put beside other weights.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuner import __version__
from tuner.errors import InvalidInput
from tuner.graphs.graph import Graph, graph_of

FORMAT, VERSION = "bnn-tuner network", 1
KEY = "bnn-tuner"
"""Under which a card stands in a file's metadata."""

Card = Mapping[str, Any]  # Any: JSON


def card_of(graph: Graph, about: Card) -> dict[str, Any]:
    """The card of a network.

    Args:
        graph: The network.
        about: What else is to be said, by name: ``rule``, ``settings``, ``accuracy``, ...
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "versions": {"bnn-tuner": __version__, "torch": version("torch")},
        **about,
        "weights": {
            "binary": graph.n_binary,
            "real": graph.n_real,
            "sha256": graph.digest(),
        },
        "network": graph.structure(),
    }


def parsed(path: Path, text: str | None) -> Card:
    """The card as it stands in a file.

    Raises:
        InvalidInput: If there is none, or one of another version.
    """
    try:
        card = json.loads(text or "")
        kind, number = card["format"], card["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path}: is no network that bnn-tuner exported: it has no card; name a file that "
            "tuner export wrote"
        ) from error
    if (kind, number) != (FORMAT, VERSION):
        raise InvalidInput(
            f"{path}: is of version {number!r} of {kind!r}, this software reads version {VERSION} "
            f"of {FORMAT!r}; export the trial again"
        )
    return card  # type: ignore[no-any-return]  # JSON


def checked(path: Path, card: Card, tensors: Mapping[str, Any]) -> Graph:
    """The network that a card describes, with these numbers.

    Raises:
        InvalidInput: If the card is another network's.
    """
    try:
        graph = graph_of(card["network"], tensors)
        known = card["weights"]["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(
            f"{path}: its card does not fit its weights ({error}); export the trial again"
        ) from error
    if graph.digest() != known:
        raise InvalidInput(
            f"{path}: its card does not fit its weights: their SHA-256 is another; export the "
            "trial again"
        )
    return graph
