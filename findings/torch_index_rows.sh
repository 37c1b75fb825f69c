#!/usr/bin/env bash
# torch: images[rows] takes several times as long as images.index_select(0, rows).
#
# Expected: both copy the same rows of 784 bytes and take the same time.
# Seen (torch 2.14.1, CPU): indexing takes 4 to 13 times as long for uint8 images: it computes an
#   address for each element, index_select copies whole rows.
# Why it matters: every step draws its batch so from a data set in memory, and the steps of small
#   BNNs are short.
# Source: aten/src/ATen/native/TensorAdvancedIndexing.cpp.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 numpy==2.4.6
python - <<'PY'
import statistics, sys, time
import torch

torch.set_num_threads(1)
images = torch.randint(0, 256, (60_000, 1, 28, 28), dtype=torch.uint8)
rows = torch.randint(0, 60_000, (8, 128))

def indexed():
    return images[rows]

def selected():
    return images.index_select(0, rows.view(-1)).view(8, 128, 1, 28, 28)

def seconds(function):
    began = time.perf_counter()
    for _ in range(20):
        function()
    return time.perf_counter() - began

assert torch.equal(indexed(), selected())
ratio = statistics.median(seconds(indexed) / seconds(selected) for _ in range(15))
print("expected: the same time, a ratio of 1")
print(f"seen: images[rows] takes {ratio:.1f} times as long (median of 15 pairs)")
if ratio < 2:
    sys.exit("CHANGED: indexing takes less than twice as long as index_select")
PY
