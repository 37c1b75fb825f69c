#!/usr/bin/env bash
# torch: the usual way to write a BNN's sign is several times slower than copysign.
#
# Expected: torch.where(x >= 0, 1, -1) reads and writes each number once, as torch.copysign(one, x)
#   does: both are bound by memory and take the same time.
# Seen (torch 2.14.1, CPU): where takes 5 to 13 times as long. They differ in one value: -0.0 >= 0
#   is true, its sign bit is set, so where gives +1 and copysign -1; x + 0.0 makes them agree.
# Why it matters: each activation and each weight of a BNN goes through it, and without a compiler
#   it costs more than the convolutions; a network trained with one and exported with the other
#   differs.
# Source: measured; IEEE 754 for the zeros.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 numpy==2.4.6
python - <<'PY'
import statistics, sys, time
import torch

torch.set_num_threads(1)
x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
one = torch.ones(())

def where(x):
    return torch.where(x >= 0, 1.0, -1.0)

def copysign(x):
    return torch.copysign(one, x)

def seconds(function):
    began = time.perf_counter()
    for _ in range(5):
        function(x)
    return time.perf_counter() - began

assert torch.equal(where(x), copysign(x))
ratio = statistics.median(seconds(where) / seconds(copysign) for _ in range(15))
zero = torch.tensor(-0.0)
print("expected: the same time, a ratio of 1, and the same signs")
print(f"seen: where takes {ratio:.1f} times as long (median of 15 pairs); "
      f"of -0.0 where makes {where(zero):.0f}, copysign {copysign(zero):.0f}")
if ratio < 3 or (where(zero), copysign(zero)) != (1, -1):
    sys.exit("CHANGED: where takes less than three times as long, or the signs of -0.0 agree")
PY
