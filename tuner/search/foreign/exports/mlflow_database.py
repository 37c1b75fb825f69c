"""MLflow's tables in a SQLite file of our own, of every version of its schema."""

import math
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tuner.search.foreign.exports.cells import Setting, setting_in
from tuner.search.foreign.exports.runs import Source
from tuner.search.foreign.exports.tracked import TrackedRun, milliseconds, studies_of
from tuner.search.foreign.record import StudyRecord

_MLFLOW = {"experiments", "runs", "metrics", "params", "tags"}
_OPTUNA = {"studies", "trials"}


def holds_runs(copy: Path) -> bool:
    """Whether a SQLite file has MLflow's tables, and none of Optuna's."""
    with closing(sqlite3.connect(copy)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {str(name) for (name,) in rows}
    return tables >= _MLFLOW and not tables >= _OPTUNA


def studies_of_database(copy: Path, where: str) -> Mapping[str, StudyRecord]:
    """Name of each experiment -> its study.

    Args:
        copy: The file; nobody else uses it.
        where: What it is a copy of, for messages.

    Raises:
        InvalidInput: If a run's status is none of MLflow's.
    """
    with closing(sqlite3.connect(copy)) as connection:
        runs = list(_runs(connection))
    return studies_of(runs, Source(where))


def _runs(connection: sqlite3.Connection) -> Iterator[TrackedRun]:
    params, history = _params(connection), _history(connection)
    tags: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for run_id, key, value in connection.execute("SELECT run_uuid, key, value FROM tags"):
        tags[run_id][str(key)] = str(value)
    rows = connection.execute(
        "SELECT run_uuid, experiments.name, status, start_time, end_time FROM runs "
        "JOIN experiments ON runs.experiment_id = experiments.experiment_id "
        "WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active' "
        "ORDER BY start_time"
    )
    for run_id, experiment, status, start, end in rows:
        metrics = history.get(run_id, {})
        yield TrackedRun(
            run_id=run_id,
            experiment=experiment,
            status=str(status),
            params=params.get(run_id, {}),
            metrics={name: steps[max(steps)] for name, steps in metrics.items()},
            history=metrics,
            tags=tags.get(run_id, {}),
            start=milliseconds(start),
            end=milliseconds(end),
        )


def _params(connection: sqlite3.Connection) -> dict[str, dict[str, Setting]]:
    found: dict[str, dict[str, Setting]] = defaultdict(dict)
    for run_id, name, value in connection.execute("SELECT run_uuid, key, value FROM params"):
        found[run_id][name] = setting_in(value)
    return found


def _history(connection: sqlite3.Connection) -> dict[str, dict[str, dict[int, float]]]:
    """Run -> metric -> step -> its last value. Old tables have no steps: then all are 0."""
    columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(metrics)")}
    step = "step" if "step" in columns else "0"
    is_nan = "is_nan" if "is_nan" in columns else "0"
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    rows = connection.execute(
        f"SELECT run_uuid, key, value, {step}, {is_nan} FROM metrics ORDER BY timestamp, value"
    )
    for run_id, name, value, at, no_number in rows:
        found[run_id][name][int(at)] = math.nan if no_number else _unbounded(value)
    return found


def _unbounded(value: float) -> float:
    """MLflow writes the largest float there is for infinity."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else float(value)
