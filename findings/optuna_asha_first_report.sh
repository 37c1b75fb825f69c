#!/usr/bin/env bash
# Optuna's ASHA files a late first report under the earliest rung.
#
# Expected: a trial that goes on from a checkpoint and reports from epoch 7 on is compared with
#   what the others have after seven epochs, and at the rungs before that with nobody.
# Seen (Optuna 5.0.0): its score of epoch 7 is filed under the rung of epoch 1. Trials that have
#   three times its own score of epoch 1 are stopped there, since none has that of its epoch 7.
# Why it matters: one checkpoint taken over from another study ends good trials after an epoch.
#   Report the epochs before, each with the question whether to stop, and they go on.
# Source: the code of SuccessiveHalvingPruner.prune; its documentation does not say.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0
python - <<'PY'
import sys
import optuna
from optuna.pruners import SuccessiveHalvingPruner

optuna.logging.set_verbosity(optuna.logging.WARNING)

def run(first_report):
    """Score in the lowest rung, and how many of four others are stopped after an epoch."""
    asha = SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)
    study = optuna.create_study(direction="maximize", pruner=asha)
    gone_on = study.ask()
    for epoch in range(first_report, 9):
        gone_on.report(epoch / 10, epoch)
        gone_on.should_prune()
    study.tell(gone_on, 0.8)
    stopped = 0
    for _ in range(4):
        other = study.ask()
        other.report(0.3, 1)
        stopped += other.should_prune()
        study.tell(other, 0.3)
    return study.trials[0].system_attrs["completed_rung_0"], stopped

whole, late = run(1), run(7)
print("expected: a trial that scores 0.1 after an epoch stops nobody who then scores 0.3")
print(f"seen: reported from epoch 1 on, the lowest rung holds {whole[0]}, {whole[1]} of 4 stopped; "
      f"from epoch 7 on {late[0]}, {late[1]} of 4 stopped")
if whole != (0.1, 0) or late != (0.7, 4):
    sys.exit("CHANGED: a late first report is no longer filed under the earliest rung")
PY
