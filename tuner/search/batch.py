"""One claimed batch, from its sampler's suggestions to its trials' records in the database."""

import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import Trial, TrialState

from tuner.rules import Setting
from tuner.search.queue import Claim, LeaseLost, Outcome, Queue
from tuner.search.samplers import make_pruner, make_sampler
from tuner.search.spaces import suggest
from tuner.search.spec import StudySpec
from tuner.search.trainer import EpochReport, Trainer, TrialResult

_REPORT_SECONDS = 2.0


class Batch:
    """The trials of a claim while they are trained.

    Args:
        queue: Where they were claimed.
        worker: Who claimed them.
        claim: The trials.
        spec: Their study.
        stopping: Asked after every epoch; once true the trials stop, unfinished.
        ran_on: What to record about where they ran, JSON-able.
    """

    def __init__(
        self,
        queue: Queue,
        worker: str,
        claim: Claim,
        spec: StudySpec,
        *,
        stopping: Callable[[], bool],
        ran_on: Mapping[str, Any],  # Any: any JSON value
    ) -> None:
        self._queue = queue
        self._worker = worker
        self._claim = claim
        self._spec = spec
        self._stopping = stopping
        self._ran_on = {**ran_on, "worker": worker, "batch": len(claim.trial_ids)}
        self._pruner = make_pruner(spec.arm.pruner, spec.workload.epochs)
        self._prunes = spec.arm.pruner != "none" and not spec.retrain
        self._last_report = time.monotonic()
        self._pruned: set[int] = set()
        self._abandoned: set[int] = set()

    def train(self, trainer: Trainer) -> None:
        """Suggest, train, and record; trials stopped before their end are left as they are."""
        spec, claim = self._spec, self._claim
        settings = [
            self._suggest(trial_id, index)
            for trial_id, index in zip(claim.trial_ids, claim.positions, strict=True)
        ]
        seeds = [spec.trial_seed(index) for index in claim.positions]
        results = trainer.train(
            spec.workload,
            spec.arm.space.rule,
            list(zip(settings, seeds, strict=True)),
            self._on_epoch,
            test=spec.retrain,
        )
        for place, result in enumerate(results):
            if place not in self._abandoned:
                record = trainer.describe(spec.arm.space.rule, settings[place], result.steps)
                self._record(place, result, settings=settings[place], filter=record)

    def _suggest(self, trial_id: int, index: int) -> dict[str, Setting]:
        """The settings of a trial: all its parameters are written, or none."""
        spec = self._spec
        study = Study(
            study_name=spec.study_name,
            storage=self._queue.store.optuna,
            sampler=make_sampler(spec.arm.sampler, spec.sampler_seed(index)),
            pruner=self._pruner,
        )
        with self._queue.store.transaction():
            return suggest(spec.arm.space, Trial(study, trial_id))

    def _on_epoch(self, report: EpochReport) -> Collection[int]:
        """Report, if due, and say which trials stop: pruned, lost, or all of them."""
        last = report.epoch == self._spec.workload.epochs
        if not last and self._stopping():
            self._abandoned.update(set(report.trials) - self._pruned)
            return report.trials
        due = time.monotonic() - self._last_report >= _REPORT_SECONDS
        if last or not (self._prunes or due):
            return ()
        self._last_report = time.monotonic()
        ids = self._claim.trial_ids
        values = {
            ids[place]: value
            for place, value in zip(report.trials, report.val_accuracy, strict=True)
        }
        held = self._queue.report(self._worker, report.epoch, values)
        lost = {place for place in report.trials if ids[place] not in held}
        self._abandoned |= lost
        if not self._prunes:
            return lost
        pruned = {
            place
            for place in report.trials
            if place not in lost and self._should_prune(ids[place], report.epoch)
        }
        self._pruned |= pruned
        return lost | pruned

    def _should_prune(self, trial_id: int, epoch: int) -> bool:
        """The pruner's decision; epochs of an earlier, interrupted attempt are not looked at."""
        study = Study(
            study_name=self._spec.study_name,
            storage=self._queue.store.optuna,
            pruner=self._pruner,
        )
        trial = self._queue.store.optuna.get_trial(trial_id)
        trial.intermediate_values = {
            step: value for step, value in trial.intermediate_values.items() if step <= epoch
        }
        return self._pruner.prune(study, trial)

    def _record(self, place: int, result: TrialResult, **attributes: object) -> None:
        """Finish a trial, unless somebody else has it by now."""
        fields = ("epoch", "train_loss", "val_accuracy", "flip_ratio", "seconds")
        attributes |= {
            "curve": {name: [getattr(point, name) for point in result.curve] for name in fields},
            "diverged": result.diverged,
            "seconds": result.seconds,
            "ran_on": self._ran_on,
        }
        if result.test_accuracy is not None:
            attributes["test_accuracy"] = result.test_accuracy
        outcome = Outcome(
            TrialState.PRUNED if place in self._pruned else TrialState.COMPLETE,
            result.val_accuracy,
            {name: _jsonable(value) for name, value in attributes.items()},
            {len(result.curve): result.val_accuracy},
        )
        try:
            self._queue.finish(self._worker, self._claim.trial_ids[place], outcome)
        except LeaseLost:
            return  # whoever holds it now finishes it


def _jsonable(value: Any) -> Any:  # Any: any value made of JSON's types, NaN and infinity
    """The value with NaN as null and infinity as a word: JSON has neither."""
    match value:
        case float() if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        case Mapping():
            return {key: _jsonable(part) for key, part in value.items()}
        case list() | tuple():
            return [_jsonable(part) for part in value]
    return value
