#!/usr/bin/env bash
# torch: logits.argmax(-1) takes several times as long as logits.max(-1).indices.
#
# Expected: argmax computes less than max, which returns the values too; it is not slower.
# Seen (torch 2.14.1, CPU): 5 times as long over ten classes where the samples are innermost in
#   memory (a transposed product), 1.5 times where the classes are. The indices are the same.
# Why it matters: accuracy is argmax over the classes, after each epoch and over all of the
#   validation split.
# Source: measured; aten/src/ATen/native/cpu/ReduceOpsKernel.cpp and TensorCompareKernel.cpp.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 numpy==2.4.6
python - <<'PY'
import statistics, sys, time
import torch

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
logits = torch.randn(8, 10, 1024, generator=generator).transpose(1, 2)

def seconds(function):
    began = time.perf_counter()
    for _ in range(20):
        function()
    return time.perf_counter() - began

def ratio(values):
    assert torch.equal(values.argmax(2), values.max(2).indices)
    return statistics.median(
        seconds(lambda: values.argmax(2)) / seconds(lambda: values.max(2)) for _ in range(15)
    )

strided, dense = ratio(logits), ratio(logits.contiguous())
print("expected: argmax takes no longer than max, a ratio of at most 1")
print(f"seen: {strided:.1f} with the samples innermost, {dense:.1f} with the classes innermost")
if strided < 2:
    sys.exit("CHANGED: argmax takes less than twice as long as max with the samples innermost")
PY
