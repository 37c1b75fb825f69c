#!/usr/bin/env bash
# Optuna hands the objective one integer and stores another, from 2^53 on.
#
# Expected: study.trials[i].params holds what the objective got, so that a trial can be run again.
# Seen (Optuna 5.0.0): suggest_int gives 2^53 + 1 to the objective, and the study keeps 2^53: every
#   parameter is stored as a double. No warning, in any storage.
# Why it matters: a 64-bit seed of the training as a parameter or in enqueue_trial: the recorded
#   seed is not the one that trained, and the best trial cannot be repeated.
# Source: IntDistribution.to_internal_repr in optuna/distributions.py returns a float.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0
python - <<'PY'
import sys
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
got = []

def objective(trial):
    got.append(trial.suggest_int("seed", 0, 2**63 - 1))
    return 0.0

study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
study.enqueue_trial({"seed": 2**53 + 1})
study.optimize(objective, n_trials=1)
stored = study.trials[0].params["seed"]
print(f"expected: the objective's seed is the stored one, {2**53 + 1}")
print(f"seen: the objective got {got[0]}, the study stores {stored}")
if got[0] != 2**53 + 1 or stored == got[0]:
    sys.exit("CHANGED: the objective's integer and the stored one are equal above 2^53")
PY
