"""ONNX files: written from a graph, run by onnxruntime."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.export.formats.onnx_nodes import Nodes
from tuner.graphs.card import KEY, Card, parsed
from tuner.graphs.files import library, write
from tuner.graphs.graph import INPUT, Graph

OPSET, IR_VERSION = 13, 8
"""Old ones, which every runtime reads."""


def write_onnx(path: Path, graph: Graph, card: Card) -> None:
    """Write the file: samples [N, ...] in, logits [N, O] out; bytes where samples are bytes.

    Raises:
        InvalidInput: If onnx is not installed.
        OSError: If it cannot be written.
    """
    model = model_of(Nodes(graph), batch="N", bytes_in=graph.bytes_in)
    write_model(path, model, card)


def write_model(path: Path, model: Any, card: Card) -> None:
    """Put the card into a model, and write it."""
    described = {**card, "file": {"sha256": _digest(model)}}
    library("onnx.helper").set_model_props(model, {KEY: json.dumps(described)})
    write(path, model.SerializeToString())


def model_of(nodes: Nodes, *, batch: int | str, bytes_in: bool) -> Any:  # Any: onnx's
    """The model of these nodes.

    Args:
        nodes: Of a graph.
        batch: How many samples it takes: a number, or a name for any number.
        bytes_in: Whether its input is of uint8.
    """
    onnx, helper = library("onnx"), library("onnx.helper")
    graph = nodes.graph
    types = onnx.TensorProto.UINT8 if bytes_in else onnx.TensorProto.FLOAT

    def value(name: str, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, [batch, *nodes.shapes[name][1:]])

    made = helper.make_graph(
        nodes.nodes,
        "bnn-tuner",
        [value(INPUT, types)],
        [value(graph.output, onnx.TensorProto.FLOAT)],
        [
            library("onnx.numpy_helper").from_array(array, name)
            for name, array in sorted(nodes.numbers.items())
        ],
    )
    opsets = {"": OPSET, **nodes.domains}
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return helper.make_model(
        made, opset_imports=imports, ir_version=IR_VERSION, producer_name="bnn-tuner"
    )


def read_model(path: Path) -> tuple[Any, Card]:  # Any: onnx's
    """The model in a file, and its card.

    Raises:
        InvalidInput: If it is no such file, is damaged, of another version, or its card does not
            fit its weights.
        OSError: If it cannot be read.
    """
    onnx = library("onnx")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors are of no public type
        raise InvalidInput(
            f"{path}: is damaged or no ONNX file ({error}); export the trial again"
        ) from error
    card = parsed(path, next((p.value for p in model.metadata_props if p.key == KEY), None))
    known = card.get("file")
    if not isinstance(known, dict) or known.get("sha256") != _digest(model):
        raise InvalidInput(
            f"{path}: its card does not fit its weights: their SHA-256 is another; export the "
            "trial again"
        )
    return model, card


def runner(model: Any) -> Callable[[Tensor], Tensor]:  # Any: onnx's
    """The model as onnxruntime runs it, in one thread: samples [N, ...] -> logits [N, O]."""
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    kind = np.uint8 if given.type == "tensor(uint8)" else np.float32

    def run(samples: Tensor) -> Tensor:
        (logits,) = session.run(None, {given.name: samples.numpy().astype(kind)})
        return torch.from_numpy(logits)

    return run


def _digest(model: Any) -> str:  # Any: onnx's
    """SHA-256 of the model's nodes and numbers, in hexadecimal."""
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()
