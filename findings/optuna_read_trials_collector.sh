#!/usr/bin/env bash
# Reading an Optuna study takes twice as long as it must: Python's garbage collector is in the way.
#
# Expected: reading 1,000 trials from SQLite takes as long with the garbage collector as without;
#   nothing in them is garbage.
# Seen (Optuna 5.0.0, SQLAlchemy 2.1.9, Python 3.11): 1.8 times the CPU time. Every row becomes
#   objects that stay, and the collector walks over all of them again and again as they grow.
# Why it matters: each worker reads all trials when it starts, dashboards and comparisons each
#   time; gc.disable() around the call takes one line.
# Source: https://docs.python.org/3/library/gc.html#gc.freeze and gc.set_threshold.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==5.0.0 sqlalchemy==2.1.9
python - <<'PY'
import gc, statistics, sys, time
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

optuna.logging.set_verbosity(optuna.logging.WARNING)
names = ("alpha", "gamma", "tau", "lr", "decay", "momentum")
template = create_trial(
    value=0.5,
    params=dict.fromkeys(names, 0.5),
    distributions=dict.fromkeys(names, FloatDistribution(0, 1)),
    intermediate_values=dict.fromkeys(range(10), 0.5),
)
optuna.create_study(study_name="s", storage="sqlite:///a.db").add_trials([template] * 1000)

def seconds(collect):
    study = optuna.load_study(study_name="s", storage="sqlite:///a.db")
    gc.enable() if collect else gc.disable()
    began = time.process_time()
    assert len(study.get_trials(deepcopy=False)) == 1000
    took = time.process_time() - began
    gc.enable()
    gc.collect()
    return took

pairs = [(seconds(True), seconds(False)) for _ in range(5)]
ratio = statistics.median(on / off for on, off in pairs)
print("expected: no difference, a ratio of 1")
print(f"seen: {pairs[0][0]:.2f} s with the collector, {pairs[0][1]:.2f} s without; "
      f"median ratio {ratio:.2f} of {len(pairs)} pairs")
if ratio < 1.3:
    sys.exit("CHANGED: reading takes less than 1.3 times as long with the garbage collector on")
PY
