#!/usr/bin/env bash
# torch's Adam on bfloat16 parameters never forgets a large gradient.
#
# Expected: after 100 steps with gradients of 1 and 10,000 with gradients of 0.001, the second
#   moment (beta2 = 0.999) has forgotten the first: e^-10 of it is left.
# Seen (torch 2.14.1): it stays at what it was for ever, so the step size stays a hundred times too
#   small. The state has the parameter's type; v * 0.999 rounds to v again, since neighbouring
#   bfloat16 numbers differ by 0.4-0.8%. float32 and float16 forget as they should.
# Why it matters: any running mean with a coefficient under about 0.002 stands still in bfloat16:
#   Adam's second moment, gradient filters, slow batch-norm statistics. Bfloat16 weights look
#   harmless.
# Source: torch/optim/adam.py (states are made by zeros_like).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 numpy==2.4.6
python - <<'PY'
import sys
import torch

def left(dtype):
    parameter = torch.nn.Parameter(torch.zeros(4, dtype=dtype))
    adam = torch.optim.Adam([parameter], lr=1e-3)
    state = []
    for steps, gradient in ((100, 1.0), (10_000, 1e-3)):
        parameter.grad = torch.full_like(parameter, gradient)
        for _ in range(steps):
            adam.step()
        state.append(float(adam.state[parameter]["exp_avg_sq"][0]))
    return state[1] / state[0]

print("expected: after 10,000 small gradients about 0.0001 of the second moment is left")
seen = {dtype: left(dtype) for dtype in (torch.float32, torch.float16, torch.bfloat16)}
for dtype, share in seen.items():
    print(f"seen: {dtype}: {share:.4f} is left")
if seen[torch.bfloat16] < 0.9 or seen[torch.float32] > 0.001:
    sys.exit("CHANGED: Adam's second moment decays in bfloat16, or does not in float32")
PY
