"""What a comparison will cost on this machine, known before anything runs.

Each worker process that a run would start trains a batch of every kind for a few epochs, all of
them at the same time, since cores share caches and memory. The rest of a worker's time, such as
asking the sampler and writing trials down, is timed on a database of its own (``idle``).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from tuner.errors import InvalidInput, TunerError
from tuner.guard import TimeLimitReached, guarded, leave
from tuner.machine import cores, gpus
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import StudySpec
from tuner.search.work.idle import coordination_seconds
from tuner.search.work.surroundings import spawn
from tuner.search.work.trainer import MEASURED_TRIALS, batch_of
from tuner.search.work.trainers import Trainers
from tuner.trial import DataCounts
from tuner.workload import in_words

REPORT_SECONDS = 4.0
"""Of a full report for each arm that searches once, at 200 trials on one core of an AMD EPYC."""


@dataclass(frozen=True)
class ArmPlan:
    """What one arm takes.

    Args:
        name: The arm.
        sampler: What chooses its trials' parameters.
        repeats: How many searches it has.
        n_trials: Trials of each.
        retrained: Settings trained afresh: what its searches select, its best with fresh seeds.
        batch: Trials that train together.
        epochs: Of all its trials together, none being pruned.
        seconds: Of one worker for all of them.
    """

    name: str
    sampler: str
    repeats: int
    n_trials: int
    retrained: int
    batch: int
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a comparison takes.

    Args:
        arms: Its arms.
        workers: Worker processes.
        start_seconds: Until they train.
        data: How much there is to train on, where the data are the user's own.
        notes: What was passed over in the data, how they are read, and what may mislead.
    """

    arms: tuple[ArmPlan, ...]
    workers: int
    start_seconds: float
    data: DataCounts | None
    notes: tuple[str, ...] = ()

    @property
    def n_trials(self) -> int:
        """All trials, those of retraining among them."""
        return sum(arm.repeats * arm.n_trials + arm.retrained for arm in self.arms)

    @property
    def epochs(self) -> int:
        """Of all trials together."""
        return sum(arm.epochs for arm in self.arms)

    @property
    def report_seconds(self) -> float:
        """Of a full report, which needs the importances of every arm that searches once."""
        searched = [arm for arm in self.arms if arm.repeats == 1 and arm.sampler != "defaults"]
        return REPORT_SECONDS * len(searched)

    @property
    def seconds(self) -> float:
        """From beginning to end, without a full report."""
        return self.start_seconds + sum(arm.seconds for arm in self.arms) / self.workers


@dataclass(frozen=True)
class _Measured:
    """What one study takes: trials that train together; seconds once per batch, per epoch."""

    batch: int
    start_seconds: float
    epoch_seconds: float

    def of(self, study: StudySpec) -> float:
        """Seconds of one worker for the whole study; a smaller last batch counts as a part."""
        batches = study.n_trials / self.batch
        return batches * (self.start_seconds + study.workload.epochs * self.epoch_seconds)


def plan(
    spec: ComparisonSpec,
    *,
    workers: int | None = None,
    on_measuring: Callable[[], object] = lambda: None,
) -> Plan:
    """What the comparison will take on this machine; measures for some seconds, stores nothing.

    Args:
        spec: The comparison.
        workers: Worker processes, as for ``launch.run``.
        on_measuring: Called once it is measured, after what the workload names was looked at.

    Raises:
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
    """
    searches = {study.arm.name: study for study in spec.studies() if not study.repeat}
    again = [study for arm in spec.arms for study in spec.afresh(arm)]
    asked = [*searches.values(), *again]
    size = min(workers or len(gpus()) or cores(), spec.n_searched)
    began = time.monotonic()
    per_worker, ready, data, notes = _measure(asked, size, on_measuring)
    by_study = dict(zip([study.study_name for study in asked], _means(per_worker), strict=True))
    arms = []
    for arm in spec.arms:
        search, afresh = searches[arm.name], spec.afresh(arm)
        repeats, retrained = spec.repeats_of(arm), sum(study.n_trials for study in afresh)
        measured = by_study[search.study_name]
        seconds = repeats * (measured.of(search) + coordination_seconds(spec, arm, measured.batch))
        seconds += sum(by_study[study.study_name].of(study) for study in afresh)
        arms.append(
            ArmPlan(
                name=arm.name,
                sampler=arm.sampler,
                repeats=repeats,
                n_trials=search.n_trials,
                retrained=retrained,
                batch=measured.batch,
                epochs=(repeats * search.n_trials + retrained) * spec.workload.epochs,
                seconds=seconds,
            )
        )
    notes = (*notes, *_misleading(spec))
    return Plan(tuple(arms), size, ready - began, data, notes)


def _misleading(spec: ComparisonSpec) -> Iterator[str]:
    """Of each arm that begins from trials of another workload, that it does."""
    for arm in spec.arms:
        other = arm.carried.of_other(in_words(spec.workload)) if arm.carried is not None else ""
        if other:
            yield (
                f"{arm.name}: begins from trials that trained {other}; their values are taken as "
                "they are, and may mislead the search"
            )


def _measure(
    asked: Sequence[StudySpec], size: int, on_measuring: Callable[[], object]
) -> tuple[list[list[_Measured]], float, DataCounts | None, tuple[str, ...]]:
    """What each worker measured; when, by the monotonic clock, all were ready; on what data.

    And what is to be said of these.
    """
    members: list[tuple[BaseProcess, Connection]] = []
    try:
        for slot in range(size):
            members.append(spawn(_measure_here, list(asked), size, slot=slot))
        for _, pipe in members:
            _heard(pipe)
        on_measuring()
        data: list[tuple[DataCounts | None, tuple[str, ...]]]
        data = [_heard(pipe) for _, pipe in members]
        ready = time.monotonic()
        for _, pipe in members:
            pipe.send("all are ready")
        return [_heard(pipe) for _, pipe in members], ready, *data[0]
    finally:
        for process, pipe in members:
            process.kill()
            process.join()
            pipe.close()


def _heard(pipe: Connection) -> Any:  # Any: what the process sends
    """What a process sends next; its error, if it has one."""
    try:
        said = pipe.recv()
    except EOFError:
        raise TunerError("a process died while it measured; is there too little memory?") from None
    if isinstance(said, Exception):
        raise said
    return said


def _measure_here(asked: Sequence[StudySpec], share: int, device: str, pipe: Connection) -> None:
    """What each study takes in this process; the same rule and batch are measured once."""
    try:
        trainer = Trainers(device)
        trainer.check_teacher(asked[0].workload)
        pipe.send("now it is measured")
        known: dict[tuple[str, int], _Measured] = {}
        batches = [min(batch_of(study, trainer, share), study.n_trials) for study in asked]
        pipe.send((trainer.counts(asked[0].workload), trainer.notes(asked[0].workload)))
        pipe.recv()
        for study, batch in zip(asked, batches, strict=True):
            key = study.arm.space.rule, batch
            if key not in known:
                limit = study.time_limit and MEASURED_TRIALS * batch * study.time_limit
                with guarded(limit):
                    known[key] = _Measured(batch, *trainer.cost(study, batch))
        pipe.send(
            [
                known[study.arm.space.rule, batch]
                for study, batch in zip(asked, batches, strict=True)
            ]
        )
    except TunerError as error:
        pipe.send(error)
    except TimeLimitReached as error:
        pipe.send(InvalidInput(f"{in_words(asked[0].workload)}: while measured, {error}"))
    leave(0)


def _means(per_worker: Sequence[Sequence[_Measured]]) -> list[_Measured]:
    """The workers' means, study by study."""
    return [
        _Measured(
            of_study[0].batch,
            math.fsum(measured.start_seconds for measured in of_study) / len(of_study),
            math.fsum(measured.epoch_seconds for measured in of_study) / len(of_study),
        )
        for of_study in zip(*per_worker, strict=True)
    ]
