#!/usr/bin/env bash
# After a TPE search, PED-ANOVA says that the decisive hyperparameter matters nothing.
#
# Expected: one switch is worth 10 points, two numbers at most 1 point each. The default
#   importances of a default study (both TPE and PED-ANOVA are defaults) name the switch.
# Seen (Optuna 5.0.0): the switch gets less than 0.01 of the importance; of a random search of the
#   same space about 0.1; fANOVA gives 0.99 in both. PED-ANOVA compares the best trials with all
#   trials of the study, and TPE has set the switch rightly in nearly all of them.
# Why it matters: the sampler of a search decides the ranking, so importances of two searches by
#   different samplers do not compare; whoever drops the "unimportant" switch loses the 10 points.
# Source: the argument evaluate_on_local=True of PedAnovaImportanceEvaluator, a default.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0 scikit-learn==1.9.1
python - <<'PY'
import sys
import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.samplers import RandomSampler, TPESampler

optuna.logging.set_verbosity(optuna.logging.WARNING)

def objective(trial):
    switch = trial.suggest_categorical("switch", ["off", "on"])
    return 10 * (switch == "on") + trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)

def study(sampler):
    made = optuna.create_study(direction="maximize", sampler=sampler)
    made.optimize(objective, n_trials=200)
    return made

print("expected: the switch, worth 10 points of 12, matters most, whichever sampler searched")
ped, fanova = [], []
for seed in range(3):
    after_tpe, after_random = study(TPESampler(seed=seed)), study(RandomSampler(seed=seed))
    ped.append(get_param_importances(after_tpe)["switch"])
    forest = FanovaImportanceEvaluator(seed=0)
    fanova.append(get_param_importances(after_tpe, evaluator=forest)["switch"])
    print(f"seen: the switch's share after TPE {ped[-1]:.3f} (fANOVA {fanova[-1]:.3f}), "
          f"after random search {get_param_importances(after_random)['switch']:.3f}")
if max(ped) > 0.05 or min(fanova) < 0.9:
    sys.exit("CHANGED: the switch's share after TPE is above 0.05, or fANOVA's is below 0.9")
PY
