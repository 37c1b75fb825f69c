#!/usr/bin/env bash
# Under successive halving Optuna's CMA-ES stays in its first generation: it is random search.
#
# Expected: a sampler and a pruner that the same library offers work together: with pruning CMA-ES
#   sees more, shorter trials and moves towards the optimum.
# Seen (Optuna 5.0.0, cmaes 0.13.1): after 120 trials it still is in generation 0, without a word,
#   since only trials that run to the end count and a generation needs six. Without a pruner it
#   reaches generation 19; TPE does learn from pruned trials.
# Why it matters: a comparison of samplers under ASHA compares random search under another name.
#   consider_pruned_trials=True lets CMA-ES see them; it is off by default and experimental.
# Source: CmaEsSampler's documentation of consider_pruned_trials.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0 cmaes==0.13.1
python - <<'PY'
import sys
import optuna
from optuna.pruners import NopPruner, SuccessiveHalvingPruner
from optuna.samplers import CmaEsSampler, TPESampler

optuna.logging.set_verbosity(optuna.logging.WARNING)

def distance(params):
    return (params["x"] - 0.3) ** 2 + (params["y"] - 0.7) ** 2

def objective(trial):
    loss = distance({name: trial.suggest_float(name, 0, 1) for name in ("x", "y")})
    for epoch in range(1, 28):
        trial.report(loss + 1 / epoch, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss

def run(sampler, pruner):
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=120)
    late = [distance(trial.params) for trial in study.trials[-40:]]
    generation = max(t.system_attrs.get("cma:generation", -1) for t in study.trials)
    return generation, sum(late) / len(late)

asha = SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
alone, _ = run(CmaEsSampler(seed=0), NopPruner())
pruned, cma_loss = run(CmaEsSampler(seed=0), asha)
_, tpe_loss = run(TPESampler(seed=0), asha)
print("expected: CMA-ES advances by a generation every six trials, about 19 in 120 trials")
print(f"seen: generation {alone} without a pruner, {pruned} under successive halving; "
      f"mean loss of the last 40 trials there {cma_loss:.3f}, TPE's {tpe_loss:.3f}")
if not (pruned <= 1 and alone >= 15):
    sys.exit("CHANGED: CMA-ES advances under successive halving, or does not without it")
PY
