"""What the rows of an Optuna storage say of a study's trials, read with SQL alone."""

import json
import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

_SIGNED = {"INF_POS": math.inf, "INF_NEG": -math.inf}


@dataclass(frozen=True)
class Row:
    """One trial: its values by objective, and what is to be known of how it ended."""

    state: str
    seconds: float
    values: dict[int, float]
    infeasible: bool
    enqueued: bool

    @property
    def ended(self) -> bool:
        return self.state in ("COMPLETE", "PRUNED", "FAIL")

    def result(self, objective: int) -> float | None:
        """The value, where the trial has a finite one and broke no constraint."""
        value = self.values.get(objective, math.nan)
        complete = self.state == "COMPLETE" and not self.infeasible
        return value if complete and math.isfinite(value) else None


@dataclass(frozen=True)
class Trials:
    """The trials of a study that count, with scores of which higher is better."""

    name: str
    random: bool
    scores: np.ndarray
    seconds: np.ndarray
    failed: int
    pruned: int

    @property
    def n(self) -> int:
        return len(self.scores)


def read_rows(path: Path, study: str) -> list[Row]:
    """All trials of a study in the order of their numbers."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        found = database.execute(
            "select trial_id, state, datetime_start, datetime_complete from trials join studies "
            "using (study_id) where study_name = ? order by number",
            [study],
        ).fetchall()
        return [_row(database, *columns) for columns in found]


def _row(
    database: sqlite3.Connection, trial: int, state: str, begun: str | None, ended: str | None
) -> Row:
    values = database.execute(
        "select objective, value, value_type from trial_values where trial_id = ?", [trial]
    )
    found = database.execute(
        "select key, value_json from trial_system_attributes where trial_id = ?", [trial]
    )
    attributes = {key: json.loads(text) for key, text in found}
    limits = [limit for key, limit in attributes.items() if key.startswith("constraints:")]
    return Row(
        state=state,
        seconds=_seconds(begun, ended),
        values={number: _SIGNED.get(kind, value) for number, value, kind in values},
        infeasible=any(limit > 0 for limit in limits),
        enqueued="fixed_params" in attributes,
    )


def _seconds(begun: str | None, ended: str | None) -> float:
    if begun is None or ended is None:
        return math.nan
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


def minimizes(path: Path, study: str, objective: int) -> bool:
    """Whether lower values of an objective are better."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        ((direction,),) = database.execute(
            "select direction from study_directions join studies using (study_id) "
            "where study_name = ? and objective = ?",
            [study, objective],
        )
    return bool(direction == "MINIMIZE")


def ends_of_ranges(path: Path, study: str) -> dict[str, list[float]]:
    """The lowest and the highest value of each hyperparameter; none of a categorical one."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        found = database.execute(
            "select distinct param_name, distribution_json from trial_params "
            "join trials using (trial_id) join studies using (study_id) where study_name = ?",
            [study],
        ).fetchall()
    kinds = {name: json.loads(text)["attributes"] for name, text in found}
    return {
        name: [kind[end] for end in ("low", "high") if end in kind] for name, kind in kinds.items()
    }


def trials_of(
    path: Path, studies: Sequence[tuple[str, int, bool]], *, worst: float | None
) -> list[Trials]:
    """The trials of each study: its name, the objective, and whether it counts as random search.

    A trial without a result scores the worst that any of them saw, or what is given. Settings
    enqueued by hand are no random draws.
    """
    kept: list[list[Row]] = []
    results: list[list[float | None]] = []
    for name, objective, random in studies:
        rows = [row for row in read_rows(path, name) if row.ended]
        rows = [row for row in rows if not (random and row.enqueued)]
        sign = -1 if minimizes(path, name, objective) else 1
        found = [row.result(objective) for row in rows]
        kept.append(rows)
        results.append([None if value is None else sign * value for value in found])
    seen = min(value for found in results for value in found if value is not None)
    least = seen if worst is None else worst
    return [
        Trials(
            name=name,
            random=random and not any(row.state == "PRUNED" for row in rows),
            scores=np.array([least if value is None else value for value in found]),
            seconds=np.array([row.seconds for row in rows]),
            failed=sum(
                value is None and row.state != "PRUNED"
                for row, value in zip(rows, found, strict=True)
            ),
            pruned=sum(row.state == "PRUNED" for row in rows),
        )
        for (name, _, random), rows, found in zip(studies, kept, results, strict=True)
    ]
