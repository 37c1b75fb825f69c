#!/usr/bin/env bash
# A process that still holds a deleted study writes its trials into the next study made, silently.
#
# Expected: the worker of a study that was deleted meanwhile gets an error ("no such study").
# Seen (Optuna 5.0.0 on SQLite): the next study gets the deleted one's number, since Optuna's
#   tables have no AUTOINCREMENT, and the worker's trials appear in it, with another search's
#   hyperparameters and without a warning.
# Why it matters: delete a search, start the next, and a worker that was left over spoils it: its
#   scores count as trials of the new search.
# Source: https://www.sqlite.org/autoinc.html; optuna/storages/_rdb/models.py.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0 sqlalchemy==2.1.9
python - <<'PY'
import subprocess, sys
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
left_over = optuna.create_study(study_name="old", storage="sqlite:///a.db")
left_over.optimize(lambda trial: trial.suggest_float("old_x", 0, 1), n_trials=3)
subprocess.run([sys.executable, "-c", """
import optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
optuna.delete_study(study_name="old", storage="sqlite:///a.db")
optuna.create_study(study_name="new", storage="sqlite:///a.db")
"""], check=True)
print("expected: an error for the worker of 'old', and 0 trials in 'new'")
left_over.optimize(lambda trial: trial.suggest_float("old_x", 0, 1), n_trials=2)
trials = optuna.load_study(study_name="new", storage="sqlite:///a.db").trials
strangers = [trial for trial in trials if "old_x" in trial.params]
print(f"seen: no error, and 'new' has {len(strangers)} trials of 'old': {strangers[0].params}")
if len(strangers) != 2:
    sys.exit("CHANGED: the trials of a deleted study's worker are not in the next study")
PY
