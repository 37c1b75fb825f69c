"""What a trial's page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.api.pages.drawing import Chart, chart
from tuner.api.routes.trials import shown
from tuner.api.schemas import Trial
from tuner.search.database.store import Store
from tuner.search.results.artifacts import Artifact, attached
from tuner.search.results.tried import Report, reports
from tuner.search.watch import views
from tuner.wording import count
from tuner.workload import ACCURACY

_COLUMNS = {
    "epoch": "Epoch",
    "train_loss": "Training loss",
    "val_accuracy": "Validation",
    "flip_ratio": "Flipped per step",
    "seconds": "Seconds",
}


@dataclass(frozen=True)
class TrialPage:
    """A trial with its curves.

    Args:
        trial: All that was recorded.
        comparison: Whose it is.
        arm: The arm of it that its study belongs to.
        charts: Its curves, as far as they are known.
        ran: Where and how it was trained, by what it is called.
        reports: What it reported, an epoch after another.
        columns: What is known of them, in the order of the table: name and words.
        unit: What its score is called.
        artifacts: The files that hang on it.
    """

    trial: Trial
    comparison: str
    arm: str
    charts: tuple[Chart, ...]
    ran: Mapping[str, str]
    reports: Sequence[Report]
    columns: Mapping[str, str]
    unit: str
    artifacts: Sequence[Artifact]


def trial_page(store: Store, trial_id: int) -> TrialPage:
    """The trial as it is now.

    Raises:
        NotFound: If there is none of that number.
    """
    trial = shown(store, trial_id)
    reported = reports(views.get_trial(store, trial_id)[1])
    unit = store.study(trial.study_name).workload.unit
    charts = (
        _chart(f"Validation {unit} after each epoch", reported, "val_accuracy", unit),
        _chart("Share of binary weights that flipped per step", reported, "flip_ratio", ACCURACY),
    )
    known = {name for report in reported for name in report}
    return TrialPage(
        trial=trial,
        comparison=trial.study_name.split("/")[0],
        arm=trial.study_name.split("/")[1],
        charts=tuple(drawn for drawn in charts if drawn is not None),
        ran=_ran(trial.run or {}),
        reports=reported,
        columns={name: words for name, words in _COLUMNS.items() if name in known},
        unit=unit,
        artifacts=attached(store, trial.study_name, trial_id),
    )


def _chart(title: str, reported: Sequence[Report], name: str, unit: str) -> Chart | None:
    known = [(report["epoch"], report[name]) for report in reported if name in report]
    epochs, values = [epoch or 0.0 for epoch, _ in known], [value for _, value in known]
    return chart(title, epochs, values, shares=unit == ACCURACY)


def _ran(run: Mapping[str, Any]) -> dict[str, str]:
    rows = {
        "device": run.get("device"),
        "precision": run.get("precision"),
        "compiled kernels": run.get("kernels"),
        "binary convolutions": run.get("convolutions"),
        "trained together with": run.get("batch") and count(run["batch"] - 1, "other trial"),
        "batch size measured": (run.get("batch_size") or {}).get("measured_at", [None])[-1],
        **run.get("versions", {}),
    }
    return {name: _word(value) for name, value in rows.items() if value is not None}


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
