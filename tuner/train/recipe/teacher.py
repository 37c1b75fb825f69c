"""A teacher: a trained network in a packed file, whose logits a trial learns to say.

Source: Hinton et al. (2015), arXiv:1503.02531.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from tuner.bnn.data.dataset import Dataset
from tuner.errors import DataMissing, InvalidInput
from tuner.graphs.graph import Graph
from tuner.graphs.packed import read_packed
from tuner.graphs.running import run, shapes
from tuner.workload import Workload
from tuner.workload.files import teacher_at


class Teacher:
    """What a packed network says of training samples.

    Args:
        graph: The network.
        device: Where it is to run.
    """

    def __init__(self, graph: Graph, device: torch.device) -> None:
        tensors = {name: tensor.to(device) for name, tensor in graph.tensors.items()}
        self._graph = replace(graph, tensors=tensors)

    def __call__(self, samples: Tensor) -> Tensor:
        """Samples [K, N, ...], as the data have them -> logits [K, N, O]."""
        return run(self._graph, samples.flatten(0, 1)).reshape(*samples.shape[:2], -1)


def teacher_of(workload: Workload, data: Dataset, device: torch.device) -> Teacher | None:
    """The workload's teacher; ``None`` if it names none.

    Args:
        workload: Names the file.
        data: What it is to speak of.
        device: Where it is to run.

    Raises:
        DataMissing: If there is no such file.
        InvalidInput: If the file is damaged or of another version, or its network takes other
            samples or knows other classes; says what to do.
    """
    if not workload.teacher:
        return None
    graph = _graph(workload)
    where = f"workload.teacher: {workload.teacher}"
    if data.known_classes is None:
        raise InvalidInput(f"{where}: a teacher speaks of classes, and the targets are none")
    if graph.shape != data.shape:
        raise InvalidInput(
            f"{where}: takes samples of shape {list(graph.shape)}, the data have "
            f"{list(data.shape)}; name a teacher of such samples"
        )
    if graph.bytes_in != data.scaled:
        given, taken = ("bytes", "numbers") if data.scaled else ("numbers", "bytes")
        raise InvalidInput(
            f"{where}: takes {taken} and the data are {given}; export it "
            + ("with scale and shift" if data.scaled else "without scale and shift")
            + " (tuner.export.write)"
        )
    (_, *known) = shapes(graph)[graph.output]
    if known != [data.n_classes]:
        raise InvalidInput(
            f"{where}: says logits of shape {known}, the data have {data.n_classes} classes; name "
            "a teacher that was trained on these classes"
        )
    return Teacher(graph, device)


def version_of(workload: Workload) -> str:
    """Which network the teacher is: changes with its weights.

    Raises:
        DataMissing, InvalidInput: As ``teacher_of`` does.
    """
    return f"teacher {_graph(workload).digest()[:16]}"


def _graph(workload: Workload) -> Graph:
    return _read(*teacher_at(workload))


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int) -> Graph:
    try:
        return read_packed(path)[0]
    except OSError as error:
        raise DataMissing(f"workload.teacher: {path} cannot be read ({error.strerror})") from error
    except InvalidInput as error:
        raise InvalidInput(f"workload.teacher: {error}") from error
