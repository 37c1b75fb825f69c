#!/usr/bin/env bash
# Widen one range of a running CMA-ES search and it draws every hyperparameter at random for good.
#
# Expected: after widening one range of three, CMA-ES goes on with the two others, or starts anew.
# Seen (Optuna 5.0.0, cmaes 0.13.1): all three are drawn uniformly in every further trial; one
#   warning of a "dynamic search space" is logged, at the first. TPE keeps most of what it knows.
# Why it matters: "the best value lies at the edge, so widen the range" is what one does in the
#   middle of a search; what follows is random search that bears CMA-ES's name.
# Source: optuna/samplers/_cmaes.py: the optimizer stored with an old trial has another dimension.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0 cmaes==0.13.1
python - <<'PY'
import sys
import optuna
from optuna.samplers import CmaEsSampler, TPESampler

optuna.logging.set_verbosity(optuna.logging.WARNING)

def objective(upper):
    def loss(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return (x - 0.3) ** 2 + (y - 0.7) ** 2 + (trial.suggest_float("z", 0, upper) - 0.5) ** 2
    return loss

def error_of_x(sampler, upper):
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective(1.0), n_trials=150)
    study.optimize(objective(upper), n_trials=60)
    return sum(abs(trial.params["x"] - 0.3) for trial in study.trials[-60:]) / 60

kept, widened = (error_of_x(CmaEsSampler(seed=0), upper) for upper in (1.0, 1.5))
print("expected: after 150 trials x is known, whether z's range is widened or not")
print(f"seen: CMA-ES, |x - best x| over the next 60 trials: {kept:.3f} with the old range of z, "
      f"{widened:.3f} with the wider one (uniform: 0.290)")
print(f"seen: TPE with the wider one: {error_of_x(TPESampler(seed=0), 1.5):.3f}")
if not (kept < 0.05 and 0.2 < widened < 0.4):
    sys.exit("CHANGED: CMA-ES does not turn to uniform draws of x when the range of z is widened")
PY
