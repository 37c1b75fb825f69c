"""What a trial's page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.api.pages.drawing import Chart, chart
from tuner.api.routes.trials import shown
from tuner.api.schemas import Trial
from tuner.errors import InvalidInput
from tuner.optim.designed import slots
from tuner.optim.designed.sections import check_low_pass
from tuner.optim.equivalence.responses import responses
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
        responses: The curves of the filter that it is, at the first step's rate; nothing where it
            is none.
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
    responses: tuple[Chart, ...]
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
    row, frozen = views.get_trial(store, trial_id)
    trial, reported = shown(row, frozen), reports(frozen)
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
        responses=filter_charts((trial.run or {}).get("filter")),
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


def filter_charts(written: object) -> tuple[Chart, ...]:
    """Answer to an even gradient, and gain by the period of an oscillation."""
    try:
        numbers = slots.of_sections(check_low_pass(written["sos"], "it"))  # type: ignore[index]
    except (InvalidInput, LookupError, TypeError, ValueError):
        return ()  # no filter, or what somebody wrote over it
    curves = responses(numbers)
    periods, gains = 1 / curves.frequencies[::-1], abs(curves.response[::-1]) / curves.gain
    drawn = (
        chart(
            "Share of an even gradient in s, by steps since it began",
            curves.steps.tolist(),
            (curves.step / curves.gain).tolist(),
            log_steps=True,
        ),
        chart(
            "What is left of an oscillation, by its period in steps",
            periods.tolist(),
            gains.tolist(),
            log_steps=True,
        ),
    )
    return tuple(each for each in drawn if each is not None)


def _ran(run: Mapping[str, Any]) -> dict[str, str]:
    rows = {
        "device": run.get("device"),
        "precision": run.get("precision"),
        "compiled kernels": run.get("kernels"),
        "binary convolutions": run.get("convolutions"),
        "binary products": run.get("products"),
        "trained together with": run.get("batch") and count(run["batch"] - 1, "other trial"),
        "batch size measured": (run.get("batch_size") or {}).get("measured_at", [None])[-1],
        **run.get("versions", {}),
    }
    return {name: _word(value) for name, value in rows.items() if value is not None}


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
