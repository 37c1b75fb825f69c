"""How good an exported network is: accuracy and confusion, by what runs its kind of file."""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tuner.bnn.data.dataset import load_data
from tuner.bnn.data.splits import Split
from tuner.errors import InvalidInput, UnknownName
from tuner.export.formats import onnx_file, qonnx_file
from tuner.export.signs import KINDS
from tuner.graphs.card import Card
from tuner.graphs.packed import read_packed
from tuner.graphs.running import run
from tuner.train.threads import one_thread
from tuner.workload import DATASETS, Workload

Ints = npt.NDArray[np.int64]
Predict = Callable[[Tensor], Tensor]
"""Samples [N, ...] -> logits [N, O]."""

BATCH = 512


@dataclass(frozen=True)
class Evaluation:
    """What a network says of labelled samples.

    Args:
        predicted: The classes that it says, [N].
        labels: Those that are right, [N].
        n_classes: How many it knows.
        software: What ran it.
    """

    predicted: Ints
    labels: Ints
    n_classes: int
    software: str

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float((self.predicted == self.labels).mean())

    @property
    def confusion(self) -> Ints:
        """How many samples of each class (row) were taken for each class (column), [O, O]."""
        pairs = self.labels * self.n_classes + self.predicted
        counts = np.bincount(pairs, minlength=self.n_classes**2)
        return counts.reshape(self.n_classes, self.n_classes)


def evaluate(file: Path, data: str | None = None, *, batch: int = BATCH) -> Evaluation:
    """Have the network in a file classify labelled samples.

    A packed file is run by torch, in the precision of the training and with its operations; ONNX
    by onnxruntime, QONNX by qonnx, in float32.

    Args:
        file: As ``export`` wrote it.
        data: A data set of ``tuner.workload.DATASETS``, whose test split is taken; a folder of
            images; or an ``.npz`` file with ``inputs`` [N, ...] and ``labels`` [N]. The test
            split that the network was exported with if ``None``.
        batch: Samples at once.

    Raises:
        InvalidInput: If the file is damaged, of another version, or does not fit the data.
        DataMissing: If the data are not there.
        OSError: If it cannot be read.
    """
    predict, card, software = opened(file)
    return classified(predict, samples_of(card, data), software, batch=batch)


def classified(predict: Predict, split: Split, software: str, *, batch: int = BATCH) -> Evaluation:
    """Have a network classify a split.

    Args:
        predict: The network.
        split: Labelled samples.
        software: What runs it.
        batch: Samples at once.

    Raises:
        InvalidInput: If labels are no classes that it knows.
    """
    labels = split.labels.numpy()
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise InvalidInput("evaluate: accuracy is of classes, and these targets are none")
    with one_thread():
        logits = [predict(samples) for samples in _parts(split, batch)]
    n_classes = logits[0].shape[1]
    if labels.min() < 0 or labels.max() >= n_classes:
        raise InvalidInput(
            f"evaluate: labels must be classes in 0 .. {n_classes - 1}, which the network knows, "
            f"got {labels.min()} .. {labels.max()}"
        )
    predicted = torch.cat(logits).max(1).indices.numpy()
    return Evaluation(predicted, labels.astype(np.int64), n_classes, software)


def opened(file: Path) -> tuple[Predict, Card, str]:
    """The network in a file, its card, and what runs it.

    Raises:
        InvalidInput: If the file is damaged or of another version.
        OSError: If it cannot be read.
    """
    with file.open("rb") as opening:
        if opening.read(9)[8:] == b"{":  # the length of a header, then the header
            graph, card = read_packed(file)
            return (
                (lambda samples: run(graph, samples, kinds=KINDS)),
                card,
                f"torch, {graph.precision}",
            )
    model, card = onnx_file.read_model(file)
    if qonnx_file.is_qonnx(model):
        return qonnx_file.runner(model), card, "qonnx"
    return onnx_file.runner(model), card, "onnxruntime"


def samples_of(card: Card, data: str | None) -> Split:
    """The labelled samples that are meant; see ``evaluate``.

    Raises:
        InvalidInput: If they are of another shape or type than the network takes.
        DataMissing: If they are not there.
    """
    if data is not None and data.endswith(".npz"):
        split = _arrays(Path(data))
    else:
        split = load_data(_workload(card, data)).test
    shape, takes = tuple(split.images[:1].shape[1:]), tuple(card["network"]["shape"])
    if shape != takes:
        raise InvalidInput(
            f"evaluate: the network takes samples of shape {list(takes)}, the data have "
            f"{list(shape)}"
        )
    if card["network"]["bytes_in"] and split.images[:1].dtype != torch.uint8:
        raise InvalidInput(
            f"evaluate: the network takes bytes (uint8, 0 to 255), got {split.images[:1].dtype}"
        )
    return split


def _workload(card: Card, data: str | None) -> Workload:
    known = card.get("workload")
    if data is None:
        if known is None:
            raise InvalidInput("evaluate: the file names no data; name a data set or an .npz file")
        return Workload(**{**known, "widths": tuple(known["widths"])})
    named = [name for name in DATASETS if name != "folder"]
    if data in named:
        return Workload(dataset=data)
    if Path(data).is_file():
        raise InvalidInput(f"evaluate: {data} is no .npz file; give one, a data set or a folder")
    if not data or ("/" not in data and not Path(data).exists()):
        raise UnknownName("evaluate: data set, folder or .npz file", data, named)
    shape = card["network"]["shape"]
    size = shape[1] if len(shape) == 3 and shape[1] == shape[2] else 0
    return Workload(dataset="folder", folder=data, size=size)


def _arrays(file: Path) -> Split:
    try:
        with np.load(file, allow_pickle=False) as held:
            inputs, labels = held["inputs"], held["labels"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(
            f"{file}: must be what np.savez(FILE, inputs=..., labels=...) writes ({error})"
        ) from error
    if len(inputs) != len(labels):
        raise InvalidInput(f"{file}: has {len(inputs)} inputs and {len(labels)} labels")
    if labels.dtype.kind not in "iu" or inputs.dtype.kind not in "iufb":
        raise InvalidInput(
            f"{file}: inputs must be numbers and labels classes (whole numbers from 0), got "
            f"{inputs.dtype} and {labels.dtype}"
        )
    numbers = inputs if inputs.dtype == np.uint8 else inputs.astype(np.float32)
    return Split(torch.from_numpy(numbers), torch.from_numpy(labels))


def _parts(split: Split, batch: int) -> Iterator[Tensor]:
    for start in range(0, len(split), batch):
        yield split.images[start : start + batch]
