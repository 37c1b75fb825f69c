#!/usr/bin/env bash
# HyperbandPruner leaves a bracket out where the longest trial is a power of the reduction factor.
#
# Expected: Hyperband has floor(log_eta(R)) + 1 brackets: six for R = 243 = 3^5 and eta = 3.
# Seen (Optuna 5.0.0): five. math.log(243, 3) is 4.999999999999999 and is rounded down; the same
#   for R = 1000, eta = 10 (three, not four). R = 81 and R = 729 are right.
# Why it matters: a power of eta is the resource one chooses on purpose. The bracket that is
#   missing is the one with the longest first rung, the guard against pruning slow starters.
# Source: Li et al. (2018), Hyperband, algorithm 1; optuna/pruners/_hyperband.py.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0
python - 2>log <<'PY'
import optuna

optuna.logging.set_verbosity(optuna.logging.DEBUG)
for longest, eta in ((81, 3), (243, 3), (729, 3), (1000, 10)):
    pruner = optuna.pruners.HyperbandPruner(max_resource=longest, reduction_factor=eta)
    trial = optuna.create_study(pruner=pruner).ask()
    trial.report(0.0, step=1)
    trial.should_prune()
PY
seen=$(grep -oE 'Hyperband has [0-9]+' log | grep -oE '[0-9]+' | paste -sd' ')
echo "expected: 5 6 7 4 brackets for R, eta = 81, 3; 243, 3; 729, 3; 1000, 10"
echo "seen: $seen"
[ "$seen" = "5 5 7 3" ] || { echo "CHANGED: other numbers of brackets than 5 5 7 3" >&2; exit 1; }
