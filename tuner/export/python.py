"""Networks of one's own, exported from Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuner.bnn.finding import Choices
from tuner.errors import InvalidInput
from tuner.export.formats.writing import FORMATS, write_graph
from tuner.export.reading.walking import Samples, walked
from tuner.export.thresholds import with_thresholds
from tuner.graphs.card import Card
from tuner.graphs.files import check_place
from tuner.graphs.graph import Graph
from tuner.graphs.packed import read_packed
from tuner.graphs.running import run

_TRIED = 16


def write(
    file: Path | str,
    network: nn.Module,
    shape: Sequence[int],
    *,
    layers: Choices = (),
    thresholds: bool = False,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    about: Mapping[str, Any] | None = None,  # Any: JSON
) -> Path:
    """Export a trained network; the file's name says how: .safetensors, .onnx or .qonnx.onnx.

    Its binary weights are those of ``tuner.bnn.binary_parameters``: of ``binarize``, of layers
    marked so, of Brevitas's layers of one bit. The network is put into evaluation mode, and what
    it says then is held against what the file says of a few samples.

    Args:
        file: Where to.
        network: Any torch network of layers that can be exported.
        shape: Of one sample.
        layers: Other layers whose weights are binary, as ``binary_parameters`` takes them.
        thresholds: Whether batch norms and signs become whole numbers wherever sums are integers.
        scale: Where samples are bytes: what they are multiplied by, shaped to go along them.
        shift: What is added then; zeros if ``None``.
        about: What else the card is to say.

    Returns:
        The file.

    Raises:
        InvalidInput: If a layer cannot be exported, a binary weight is not binary, the file cannot
            be written or a library is missing; says which. Nothing is written then.
    """
    path = Path(file)
    check_place(path)
    form = _format_of(path)
    if scale is not None:
        shift = torch.zeros_like(scale) if shift is None else shift
    graph = walked(network, Samples(tuple(shape), scale, shift), layers)
    _hold_against(network, graph)
    write_graph(path, form, with_thresholds(graph) if thresholds else graph, about or {})
    return path


@dataclass(frozen=True)
class Network:
    """A network from a packed file.

    Args:
        graph: Its steps and numbers.
        card: What the file says about it.
    """

    graph: Graph
    card: Card

    def __call__(self, samples: Tensor) -> Tensor:
        """Samples [N, ...] -> logits [N, O], in the precision and with the sums of training."""
        return run(self.graph, samples)

    @property
    def weights(self) -> dict[str, Tensor]:
        """Name -> binary weights, +1 and -1."""
        return {name: self.graph.tensors[name] for name in sorted(self.graph.binary)}


def load(file: Path | str) -> Network:
    """The network in a packed file.

    Raises:
        InvalidInput: If the file is damaged, of another version, or its card does not fit.
        OSError: If it cannot be read.
    """
    return Network(*read_packed(Path(file)))


def _format_of(path: Path) -> str:
    fitting = [form for form, (end, _) in FORMATS.items() if path.name.endswith(end)]
    if not fitting:
        raise InvalidInput(
            f"export: the name of {path} must end in {', '.join(e for e, _ in FORMATS.values())}"
        )
    return fitting[-1]  # .qonnx.onnx ends in .onnx too


@torch.no_grad()
def _hold_against(network: nn.Module, graph: Graph) -> None:
    """Refuse what was read of a network if that says something else than the network does."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(_TRIED, *graph.shape, generator=generator)
    given = samples
    if graph.bytes_in:
        samples = (samples * 40 + 128).clamp(0, 255).to(torch.uint8)
        scale, shift = (graph.tensors[f"input.{name}"] for name in ("scale", "shift"))
        given = samples * scale + shift
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    try:
        said = network(given.to(device)).cpu()
    except Exception as error:  # forward is anybody's code
        raise InvalidInput(
            f"export: the network does not take samples of shape {list(graph.shape)} "
            f"({' '.join(str(error).split())})"
        ) from error
    if not torch.allclose(said.float(), run(graph, samples).float(), rtol=1e-3, atol=1e-3):
        raise InvalidInput(
            "export: the network says something else than its layers as they were read; its "
            "forward does what cannot be seen by following it, so write it as a path of layers"
        )
