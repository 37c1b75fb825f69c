"""What a trial's page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.api.pages.drawing import Chart, chart
from tuner.api.routes.trials import shown
from tuner.api.schemas import Trial
from tuner.search.database.store import Store

_CURVES = {
    "val_accuracy": "Validation accuracy after each epoch",
    "flip_ratio": "Share of binary weights that flipped per step",
}


@dataclass(frozen=True)
class TrialPage:
    """A trial with its curves.

    Args:
        trial: All that was recorded.
        comparison: Whose it is.
        charts: Its curves, as far as they are known.
        ran: Where and how it was trained, by what it is called.
    """

    trial: Trial
    comparison: str
    charts: tuple[Chart, ...]
    ran: Mapping[str, str]


def trial_page(store: Store, trial_id: int) -> TrialPage:
    """The trial as it is now.

    Raises:
        NotFound: If there is none of that number.
    """
    trial = shown(store, trial_id)
    run = trial.run or {}
    curve = run.get("curve", {})
    charts = (_chart(title, curve, name) for name, title in _CURVES.items())
    return TrialPage(
        trial=trial,
        comparison=trial.study_name.partition("/")[0],
        charts=tuple(drawn for drawn in charts if drawn is not None),
        ran=_ran(run),
    )


def _chart(title: str, curve: Mapping[str, Sequence[Any]], name: str) -> Chart | None:
    return chart(title, curve["epoch"], curve[name]) if name in curve else None


def _ran(run: Mapping[str, Any]) -> dict[str, str]:
    rows = {
        "device": run.get("device"),
        "precision": run.get("precision"),
        "compiled kernels": run.get("kernels"),
        "trained together with": run.get("batch") and f"{run['batch'] - 1} other trials",
        **run.get("versions", {}),
    }
    return {name: _word(value) for name, value in rows.items() if value is not None}


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
