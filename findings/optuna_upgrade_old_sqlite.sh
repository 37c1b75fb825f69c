#!/usr/bin/env bash
# `optuna storage upgrade` cannot bring a SQLite file from before Optuna 2.4 up to date.
#
# Expected: a file that Optuna 2.3 made in 2020 is upgraded by the command that the error names.
# Seen (Optuna 5.0.0): "no such column: direction". SQLAlchemy before 1.4 gave a column of choices a
#   named check; the migration to 2.4 drops the column, and alembic copies the check to the new
#   table, which has no such column.
# Why it matters: old studies can no longer be opened, compared or continued, by any later Optuna.
# Source: optuna/storages/_rdb/alembic/versions/v2.4.0.a.py (drop_column in a batch); SQLAlchemy 1.4
#   changelog (Enum: create_constraint is False by default).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv optuna==2.3.0 sqlalchemy==1.3.24 alembic==1.4.3 numpy==1.26.4
python - <<'PY'
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(storage="sqlite:///old.db", study_name="old")
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
PY
venv optuna==5.0.0 sqlalchemy==2.1.9
echo "expected: optuna storage upgrade ends with status 0"
if optuna storage upgrade --storage sqlite:///old.db >said 2>&1; then
    echo "CHANGED: the file was brought up to date"
    exit 1
fi
grep -m1 -o "no such column: direction" said | sed 's/^/seen: it fails with: /' || {
    echo "CHANGED: it fails with other words"
    tail -n 3 said
    exit 1
}
