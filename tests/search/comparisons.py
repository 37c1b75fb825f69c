"""Small comparisons to test with, and a worker in this process."""

from typing import Any

from light_trainer import LightTrainer

from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import ACTIVE
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import control, filling
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper
from tuner.search.work.worker import Worker

SMALL: dict[str, Any] = {
    "name": "small",
    "workload": {"epochs": 3},
    "arms": [{"name": "old", "space": "magnitude"}, {"name": "new", "space": "filter"}],
    "n_trials": 6,
    "retrain_seeds": 2,
    "verdict": {"primary": ["new", "old"]},
}


def comparison(**changes: Any) -> ComparisonSpec:
    """The small comparison, changed."""
    return ComparisonSpec.model_validate(SMALL | changes)


def enqueue(store: Store, spec: ComparisonSpec) -> None:
    """Declare the comparison, unless it is, and fill its queues."""
    store.declare(spec)
    filling.enqueue(store, spec)


def enqueue_afresh(store: Store, spec: ComparisonSpec) -> None:
    """Enqueue what every arm trains afresh; their searches have ended."""
    for arm in spec.arms:
        for slices in (filling.selected_in_slices, filling.incumbent_in_slices):
            for _ in slices(store, spec, arm):
                pass


def remove(store: Store, name: str) -> None:
    """Pause the comparison, if it is active, and delete it."""
    if store.status(name) == ACTIVE:
        control.change_comparison(store, name, "pause")
    control.delete(store, name)


def work_here(
    store: Store,
    *,
    trainer: Any = None,
    name: str = "here",
    queue: Queue | None = None,
    comparison: str = "small",
) -> None:
    """Run a worker in this process until nothing waits or runs."""
    queue = queue or Queue(store)

    def nothing_left() -> bool:
        studies = study_progress(store, comparison).values()
        return all(study.finished == study.queued for study in studies)

    Worker(
        queue,
        trainer or LightTrainer("cpu"),
        name=name,
        stopping=nothing_left,
        comparison=comparison,
    ).run()


def keep_and_finish(store: Store, name: str = "small") -> None:
    """Have the comparison run to its end by a keeper and a worker."""
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, comparison=name)
    Keeper(store).tend()


def run(store: Store, **how: Any) -> None:
    """Have the small comparison run to its end."""
    keeper = Keeper(store)
    while store.status("small") == ACTIVE:
        keeper.tend()
        work_here(store, **how)


def outcomes(store: Store, spec: ComparisonSpec) -> dict[str, dict[int, object]]:
    """Of every study: index -> parameters and value of each finished trial."""
    return {
        study.study_name: {
            trial.user_attrs["index"]: (trial.params, trial.value)
            for trial in finished_trials(store, study.study_name)
        }
        for study in spec.every_study()
    }
