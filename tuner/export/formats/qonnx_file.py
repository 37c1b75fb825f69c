"""QONNX files, the way into FINN and hls4ml: ONNX with ``BipolarQuant`` for binary numbers.

``BipolarQuant`` is +1 at both zeros, as training is. The bits of the weights are unpacked before
it; qonnx's ``cleanup`` folds that into numbers, as the tools that read QONNX expect them.

Source: Pappalardo et al. (2022), arXiv:2206.07527.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuner.export.formats.onnx_file import model_of, write_model
from tuner.export.formats.onnx_nodes import Nodes
from tuner.graphs.card import Card
from tuner.graphs.files import library
from tuner.graphs.graph import INPUT, Graph, Step

DOMAIN = "qonnx.custom_op.general"
_GREATEST = 3.3895313892515355e38
"""Of bfloat16's numbers."""


class _Bipolar(Nodes):
    """Nodes of QONNX's where numbers are binary."""

    domains = {DOMAIN: 1}  # noqa: RUF012  # never changed

    def samples(self) -> str:
        """They come as float32: most of what reads QONNX knows nothing else."""
        return INPUT

    def sign(self, x: str, output: str) -> None:
        """See ``Nodes``."""
        self.emit("BipolarQuant", [x, self.number("one", 1)], output, domain=DOMAIN)

    def binary_weight(self, step: Step, name: str, signs: str, *, transposed: bool) -> str:
        """See ``Nodes``."""
        scaled = "scale" in step.tensors
        scale = self.scale(step, transposed=transposed) if scaled else self.number("one", 1)
        return self.emit("BipolarQuant", [signs, scale], name, domain=DOMAIN)

    def narrow(self, value: str, output: str) -> None:
        """See ``Nodes``; with bfloat16's own bias, 127, qonnx overflows."""
        bits = {"exponent": 8, "mantissa": 7, "bias": 128, "greatest": _GREATEST}
        names = [self.number(f"bfloat16.{name}", value) for name, value in bits.items()]
        self.emit(
            "FloatQuant",
            [value, self.number("one", 1), *names],
            output,
            domain=DOMAIN,
            rounding_mode="ROUND",
            **dict.fromkeys(("has_inf", "has_nan"), 0),
            **dict.fromkeys(("has_subnormal", "saturation"), 1),
        )

    def threshold(self, step: Step) -> None:
        """See ``Nodes``."""
        (x,), (output,) = step.inputs, step.outputs
        level, direction = (
            self.graph.tensors[step.tensors[role]].numpy() for role in ("threshold", "direction")
        )
        if (direction != 1).any():
            turns = self.number(step.tensors["direction"], self.along(x, direction))
            x = self.emit("Mul", [x, turns], f"{output}.turned")
        levels = self.number(step.tensors["threshold"], level[:, None])
        self.emit(
            "MultiThreshold",
            [x, levels],
            output,
            domain=DOMAIN,
            out_dtype="BIPOLAR",
            out_scale=2.0,
            out_bias=-1.0,
        )


def write_qonnx(path: Path, graph: Graph, card: Card) -> None:
    """Write the file: float32 samples [1, ...] in, logits [1, O] out.

    Samples that are bytes come as float32 numbers from 0 to 255.

    Raises:
        InvalidInput: If onnx is not installed.
        OSError: If it cannot be written.
    """
    model = model_of(_Bipolar(graph), batch=1, bytes_in=False)
    write_model(path, _shaped(model).model, card)


def is_qonnx(model: Any) -> bool:  # Any: onnx's
    """Whether it takes operators of QONNX's."""
    return any(opset.domain == DOMAIN for opset in model.opset_import)


def runner(model: Any) -> Callable[[Tensor], Tensor]:  # Any: onnx's
    """The model as qonnx runs it, after its ``cleanup``: samples [N, ...] -> logits [N, O]."""
    execute = library("qonnx.core.onnx_exec").execute_onnx
    wrapper = library("qonnx.core.modelwrapper").ModelWrapper
    resized = library("qonnx.transformation.change_batchsize").ChangeBatchSize
    folded = library("qonnx.transformation.fold_constants").FoldConstantsFiltered
    # All bits at once: cleanup looks through the whole model anew after each node that it folds.
    unpacked = wrapper(model, make_deepcopy=True).transform(
        folded(lambda _, node: node.domain != DOMAIN)
    )
    # Before: the size of a batch would be taken for that of weights that are reshaped, too.
    clean = library("qonnx.util.cleanup").cleanup_model(unpacked)
    (given,), (found,) = clean.graph.input, clean.graph.output

    def run(samples: Tensor) -> Tensor:
        sized = _shaped(clean.model, resized(len(samples)))
        out = execute(sized, {given.name: samples.numpy().astype(np.float32)})
        return torch.from_numpy(out[found.name])

    return run


def _shaped(model: Any, *transformations: Any) -> Any:  # Any: onnx's and qonnx's
    """A copy of the model, transformed, that names the shape of each value."""
    wrapper = library("qonnx.core.modelwrapper").ModelWrapper(model, make_deepcopy=True)
    for each in (*transformations, library("qonnx.transformation.infer_shapes").InferShapes()):
        wrapper = wrapper.transform(each)
    return wrapper
