#!/usr/bin/env bash
# torch passes no gradient through a clip at exactly -1 and +1, where binary weights are.
#
# Expected: clamp(w, -1, 1) is the identity on [-1, 1], both ends included, so its gradient at +-1
#   is 1, as in the usual equation of the straight-through estimator, 1 where |w| <= 1.
# Seen (torch 2.14.1): 0 at exactly -1 and +1 for clamp and hardtanh. Brevitas 0.13.4's binary
#   quantiser gives 1 there.
# Why it matters: a layer that clips its weights in forward, with an update rule that keeps weights
#   at exactly +-1 (Bop, flip rules), never moves: all its gradients are 0, and it is left with the
#   random weights it began with.
# Source: https://github.com/pytorch/pytorch/issues/184574, where clamp of 2.12.0 still gives 1;
#   https://github.com/pytorch/pytorch/issues/120258 for hardtanh and its documentation.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 brevitas==0.13.4 numpy==2.4.6
python -W ignore - <<'PY'
import sys
import torch
from brevitas.core.quant import ClampedBinaryQuant
from brevitas.core.scaling import ConstScaling

def gradient(function):
    weights = torch.tensor([-1.0, -0.5, 0.5, 1.0], requires_grad=True)
    function(weights).sum().backward()
    return weights.grad.tolist()

binary = ClampedBinaryQuant(ConstScaling(1.0))
print("expected: the gradient at -1, -0.5, 0.5, 1 is [1, 1, 1, 1]")
seen = {
    "torch clamp": gradient(lambda w: w.clamp(-1, 1)),
    "torch hardtanh": gradient(torch.nn.functional.hardtanh),
    "Brevitas": gradient(lambda w: binary(w)[0]),
}
for name, values in seen.items():
    print(f"seen: {name} {values}")
blocked = [0.0, 1.0, 1.0, 0.0]
if seen != {"torch clamp": blocked, "torch hardtanh": blocked, "Brevitas": [1.0] * 4}:
    sys.exit("CHANGED: other gradients at -1 and +1")
PY
