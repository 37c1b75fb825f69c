#!/usr/bin/env bash
# Two workers with the same sampler seed draw the same trials: half the budget is spent twice.
#
# Expected: one script with RandomSampler(seed=0), started twice on one study, which is how Optuna
#   searches in parallel, draws 80 different settings: the study knows what was drawn.
# Seen (Optuna 5.0.0): 40 different ones, each twice. The seed starts the same sequence in every
#   process; a worker that is started again repeats it from the beginning, too.
# Why it matters: best-of-k curves and their intervals take trials for independent draws; here
#   every second one is a copy, so n is half of what it says.
# Source: optuna/samplers/_random.py, one generator per sampler object.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0
cat > worker.py <<'PY'
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.load_study(
    study_name="search",
    storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("log")),
    sampler=optuna.samplers.RandomSampler(seed=0),
)
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=40)
PY
python - <<'PY'
import subprocess, sys
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("log"))
study = optuna.create_study(study_name="search", storage=storage)
workers = [subprocess.Popen([sys.executable, "worker.py"]) for _ in range(2)]
assert not any([worker.wait() for worker in workers])
settings = [trial.params["x"] for trial in study.trials]
print("expected: 80 trials with 80 different settings")
print(f"seen: {len(settings)} trials with {len(set(settings))} different settings")
if len(set(settings)) > 60:
    sys.exit("CHANGED: two workers with the same seed draw different settings")
PY
