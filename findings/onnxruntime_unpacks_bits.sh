#!/usr/bin/env bash
# onnxruntime blows binary weights that were stored as bits up to floats when it loads them.
#
# Expected: an ONNX model with a million binary weights in 125 kB, unpacked by the graph itself
#   with BitShift and BitwiseAnd, needs 125 kB for them when it runs, too.
# Seen (onnxruntime 1.32.0, onnx 1.23.1): the operators that unpack have constant inputs, so they
#   are folded at load: the session holds a million float32 numbers, 32 times as much. With all
#   optimizations off (ORT_DISABLE_ALL) the bits stay bits, and each run unpacks them anew.
# Why it matters: the size of the file says nothing of the memory of a deployed BNN. ONNX has no
#   1-bit type; INT2 and UINT2 are the smallest.
# Source: https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv onnx==1.23.1 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PY'
import sys
from pathlib import Path
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

weights = np.random.default_rng(0).choice([-1.0, 1.0], (1000, 1000)).astype(np.float32)
constants = {
    "bits": np.packbits(weights > 0).reshape(-1, 1),
    "shifts": np.arange(7, -1, -1, dtype=np.uint8),
    "one": np.array(1, np.uint8),
    "two": np.array(2, np.float32),
    "minus_one": np.array(-1, np.float32),
    "shape": np.array([1000, 1000]),
}
nodes = [
    helper.make_node("BitShift", ["bits", "shifts"], ["shifted"], direction="RIGHT"),
    helper.make_node("BitwiseAnd", ["shifted", "one"], ["bit"]),
    helper.make_node("Cast", ["bit"], ["number"], to=TensorProto.FLOAT),
    helper.make_node("Mul", ["number", "two"], ["doubled"]),
    helper.make_node("Add", ["doubled", "minus_one"], ["signs"]),
    helper.make_node("Reshape", ["signs", "shape"], ["weights"]),
    helper.make_node("MatMul", ["x", "weights"], ["y"]),
]
graph = helper.make_graph(
    nodes, "binary",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1000])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1000])],
    [numpy_helper.from_array(value, name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
onnx.checker.check_model(model)
onnx.save(model, "bits.onnx")
x = np.random.default_rng(1).normal(size=(1, 1000)).astype(np.float32)

def loaded(level):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = level
    options.optimized_model_filepath = "loaded.onnx"
    session = onnxruntime.InferenceSession("bits.onnx", options, ["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ weights, rtol=1e-3, atol=1e-3)
    return Path("loaded.onnx").stat().st_size

stored = Path("bits.onnx").stat().st_size
levels = onnxruntime.GraphOptimizationLevel
usual, off = loaded(levels.ORT_ENABLE_ALL), loaded(levels.ORT_DISABLE_ALL)
print(f"expected: the file has {stored:,} bytes, and so has the model that onnxruntime runs")
print(f"seen: the model that runs has {usual:,} bytes by default, {off:,} without optimizations")
if not (usual > 20 * stored and off < 2 * stored):
    sys.exit("CHANGED: onnxruntime does not fold the unpacked weights, or folds them always")
PY
