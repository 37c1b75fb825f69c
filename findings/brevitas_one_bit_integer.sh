#!/usr/bin/env bash
# A Brevitas layer with weight_bit_width=1 has weights that are not a number.
#
# Expected: one bit makes the weights binary, or is refused.
# Seen (brevitas 0.13.4): the default integer quantiser takes it for a signed integer of one bit
#   with a narrow range, which holds 0 alone, and divides by its size: weights and gradients are NaN.
#   In a network with binary activations nothing shows it, since the sign of NaN is a number again.
#   With weight_quant_type="binary" beside it the weights are -1 and +1 times a scale.
# Why it matters: the loss stays finite while those weights never learn.
# Source: https://github.com/Xilinx/brevitas, src/brevitas/core/quant/int.py and
#   src/brevitas/core/scaling/int_scaling.py.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 brevitas==0.13.4 numpy==2.4.6
python -W ignore - <<'PY'
import sys
import torch
from brevitas.nn import QuantLinear

def layer(**options):
    torch.manual_seed(0)
    linear = QuantLinear(8, 4, bias=False, weight_bit_width=1, **options)
    linear(torch.randn(5, 8)).sum().backward()
    weights = linear.quant_weight()
    weights = getattr(weights, "value", weights)
    return int(weights.isnan().sum()), int(linear.weight.grad.isnan().sum())

print("expected: none of 32 weights and of 32 gradients is NaN")
seen = {"weight_bit_width=1": layer(), "and weight_quant_type='binary'": layer(weight_quant_type="binary")}
for name, (weights, gradients) in seen.items():
    print(f"seen: {name}: {weights} weights and {gradients} gradients are NaN")
if list(seen.values()) != [(32, 32), (0, 0)]:
    sys.exit("CHANGED: other weights with one bit")
PY
