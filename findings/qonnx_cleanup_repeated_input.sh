#!/usr/bin/env bash
# qonnx's cleanup loses a value that one node takes twice.
#
# Expected: cleanup gives the nodes and values of a model readable names and changes nothing else.
# Seen (qonnx 1.0.0): a Concat of a value with itself, or an Add of it to itself, takes that value
#   once under its new name and once under the old one, which nobody makes any more.
# Why it matters: channels are doubled so in ReActNet; cleanup says nothing, and onnxruntime then
#   refuses the model. Tile, or a factor of 2, says the same of one input.
# Source: the loop over inputs in qonnx.core.modelwrapper.ModelWrapper.rename_tensor.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv qonnx==1.0.0 onnx==1.23.1 onnxruntime==1.32.0 numpy==2.4.6
python - <<'PY'
import sys
import onnxruntime
from onnx import TensorProto, checker, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model

def model(last, width):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["positive"]), last],
        "twice",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, width])],
    )
    imports = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)

def runs(made):
    try:
        onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True

onnxruntime.set_default_logger_severity(4)
lost = {}
for name, width, more in (("Concat", 4, {"axis": 1}), ("Add", 2, {})):
    made = model(helper.make_node(name, ["positive", "positive"], ["y"], **more), width)
    checker.check_model(made)
    assert runs(made)
    clean = cleanup_model(ModelWrapper(made, make_deepcopy=True))
    nodes = clean.graph.node
    there = {value.name for value in clean.graph.input} | {o for n in nodes for o in n.output}
    assert not runs(clean.model)
    lost[name] = [taken for n in nodes for taken in n.input if taken not in there]
print("expected: every value that a node takes is made by another")
print(f"seen: after cleanup nobody makes {lost}, and onnxruntime refuses both models")
if not all(lost.values()):
    sys.exit("CHANGED: cleanup keeps a value that one node takes twice")
PY
