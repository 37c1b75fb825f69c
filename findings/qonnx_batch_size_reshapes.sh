#!/usr/bin/env bash
# qonnx changes the shape of weights when it changes the size of a batch.
#
# Expected: ChangeBatchSize changes the batch axis of what depends on the input.
# Seen (qonnx 1.0.0): the first number of the shape of every Reshape becomes the batch size, that of
#   constants among them. A model that reshapes its weights, such as one that unpacks them from
#   bits, is another model after it: from batch size 1 to 1 its 4x2 weights become 1x8.
# Why it matters: it goes wrong without a word, and runs on where shapes happen to fit. Folding
#   constants first (qonnx.util.cleanup) leaves no such Reshape.
# Source: https://github.com/fastmachinelearning/qonnx/blob/main/src/qonnx/transformation/change_batchsize.py
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv qonnx==1.0.0 onnx==1.23.1 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PY'
import sys
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model

weights = np.arange(8, dtype=np.float32)
graph = helper.make_graph(
    [
        helper.make_node("Reshape", ["flat", "shape"], ["weights"]),
        helper.make_node("Transpose", ["weights"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ],
    "reshaped",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    [
        numpy_helper.from_array(weights, "flat"),
        numpy_helper.from_array(np.array([4, -1]), "shape"),
    ],
)
imports = [helper.make_opsetid("", 13)]
made = helper.make_model(graph, opset_imports=imports, ir_version=8)
whole = ModelWrapper(made, make_deepcopy=True).transform(InferShapes())
changed = whole.transform(ChangeBatchSize(1)).transform(InferShapes())
before, after = (list(each.get_tensor_shape("weights")) for each in (whole, changed))
clean = cleanup_model(ModelWrapper(made, make_deepcopy=True)).transform(ChangeBatchSize(1))
left = [node.op_type for node in clean.graph.node]
print(f"expected: weights of shape {before}, whatever the batch")
print(f"seen: weights of shape {after} after ChangeBatchSize(1); after cleanup {left} is left")
if after != [1, 8] or "Reshape" in left:
    sys.exit("CHANGED: ChangeBatchSize leaves the shapes of constants alone, or cleanup does not")
PY
