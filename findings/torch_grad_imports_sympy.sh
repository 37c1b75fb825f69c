#!/usr/bin/env bash
# torch: autograd.grad, told the gradient of its output, imports sympy.
#
# Expected: eager code on plain tensors needs nothing of torch's symbolic shapes: what is imported
#   for a sum's gradient is all that is imported for any gradient.
# Seen (torch 2.14.1, CPU): `torch.autograd.grad(out, x, gradient)` and `out.backward(gradient)`
#   import torch.fx.experimental.symbolic_shapes, and with it sympy and mpmath: some 500 modules,
#   0.4 to 2 s of computing and 34 MiB, once per process. `torch.autograd.grad(out.sum(), x)`
#   imports none of them; a hook on `out` that returns the gradient makes both the same.
# Why it matters: of processes forked from one that has imported torch, each pays it for itself.
# Source: torch/autograd/__init__.py, _make_grads.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 numpy==2.4.6
python - <<'PY'
import resource, sys, time
import torch

def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

x = torch.ones(3, requires_grad=True)
gradient = torch.tensor([1.0, 2.0, 3.0])
out = 2 * x
out.register_hook(lambda _: gradient)
(by_hook,) = torch.autograd.grad(out.sum(), x)
before = "sympy" in sys.modules
loaded, began, held = len(sys.modules), time.process_time(), memory()
(told,) = torch.autograd.grad(2 * x, x, gradient)
after = "sympy" in sys.modules
print("expected: sympy is imported for neither")
print(
    f"seen: sympy imported for the sum: {before}; for a gradient that is told: {after}, "
    f"{len(sys.modules) - loaded} modules, {time.process_time() - began:.1f} s, "
    f"{memory() - held:.0f} MiB; the same gradients: {torch.equal(told, by_hook)}"
)
if before or not after:
    sys.exit("CHANGED: torch.autograd.grad with a gradient does not import sympy, or all does")
PY
