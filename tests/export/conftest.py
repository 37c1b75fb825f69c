"""A finished comparison whose networks are exported; ``networks``, importable."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tuner.search.database.store import Store, open_store

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "search")]

DECLARED = {
    "name": "mine",
    "workload": {"widths": [24, 24, 24], "epochs": 3, "n_train": 256, "batch_size": 32},
    "arms": [
        {"name": "filter", "space": "filter"},
        {"name": "magnitude", "space": "magnitude", "pruner": "asha"},
    ],
    "n_trials": 6,
    "retrain_seeds": 2,
    "verdict": {"primary": ["filter", "magnitude"], "k": 2},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a database with a comparison that was trained."""
    from comparisons import comparison, enqueue, enqueue_afresh, work_here

    from tuner.search.queue.queue import Queue
    from tuner.search.work.torch_trainer import TorchTrainer

    url = f"sqlite:///{tmp_path_factory.mktemp('export')}/tuner.db"
    with closing(open_store(url)) as store:
        spec = comparison(**DECLARED)
        enqueue(store, spec)
        for study in spec.every_study():  # nobody need measure how many pay
            Queue(store).batch(study.study_name, 3)
        work_here(store, trainer=TorchTrainer("cpu"), comparison="mine")
        enqueue_afresh(store, spec)
        work_here(store, trainer=TorchTrainer("cpu"), comparison="mine")
    return url


@pytest.fixture
def store(finished: str) -> Iterator[Store]:
    with closing(open_store(finished)) as opened:
        yield opened
