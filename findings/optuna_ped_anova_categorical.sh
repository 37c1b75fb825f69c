#!/usr/bin/env bash
# PED-ANOVA gives a categorical hyperparameter a fraction of what its integer twin gets.
#
# Expected: the score is the sum of two hyperparameters with the values 0, 1, 2, 3; one is declared
#   as an integer and one as categorical. They matter equally, so they get the same importance.
# Seen (Optuna 5.0.0): the categorical one gets about a sixth of the integer's, at 200 trials as at
#   2,000. Categories are smoothed with a prior far wider than the kernel of an integer.
# Why it matters: PED-ANOVA is Optuna's default importance, and switches such as which filter,
#   schedule or optimizer is used are categorical: they rank below numbers that do less.
# Source: optuna/importance/_ped_anova; Watanabe, Bansal & Hutter (2023), arXiv:2304.10255.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0
python - <<'PY'
import sys
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)

def objective(trial):
    number = trial.suggest_int("number", 0, 3)
    return number + trial.suggest_categorical("choice", [0, 1, 2, 3])

print("expected: the same importance, a ratio of 1")
ratios = []
for trials in (200, 2000):
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=trials)
    found = optuna.importance.get_param_importances(study)
    ratios.append(found["choice"] / found["number"])
    print(f"seen: {trials} trials: integer {found['number']:.3f}, "
          f"categorical {found['choice']:.3f}, ratio {ratios[-1]:.2f}")
if max(ratios) > 0.5:
    sys.exit("CHANGED: the categorical twin gets more than half of the integer's importance")
PY
