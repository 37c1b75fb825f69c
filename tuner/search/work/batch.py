"""One claimed batch, from its sampler's suggestions to its trials' records in the database."""

import base64
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.exceptions import StorageInternalError
from optuna.study import Study
from optuna.trial import Trial, TrialState
from sqlalchemy.exc import DBAPIError

from tuner.guard import guarded
from tuner.rules import Setting
from tuner.search.database.patience import away, patiently
from tuner.search.declared.carried import past_of
from tuner.search.declared.samplers import make_pruner, make_sampler
from tuner.search.declared.spaces import suggest
from tuner.search.declared.study_spec import StudySpec
from tuner.search.declared.with_past import with_past
from tuner.search.queue.claims import Claim, TrialOutcome, TrialsLost
from tuner.search.queue.queue import Queue
from tuner.search.work.trainer import Trainer
from tuner.signals import stoppable
from tuner.trial import EpochReport, TrialResult

_REPORT_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_PARTS = ("params", "values", "user_attributes", "system_attributes", "intermediate_values")
"""All that makes a trial of Optuna's, in its names."""

_log = logging.getLogger(__name__)


class Batch:
    """The trials of a claim while they are trained.

    Args:
        queue: Where they were claimed.
        worker: Who claimed them.
        claim: The trials.
        spec: Their study.
        stopping: Asked after every epoch; once true the trials stop, their training kept.
        ran_on: What to record about where they ran, JSON-able.

    Attributes:
        training_seconds: How much of ``train`` went by inside ``trainer.train``.
        epochs: Trial epochs trained.
        finished: Trials recorded.
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
        self._places = claim.places
        size = len(claim.batch or claim.trial_ids)
        self._ran_on = {**ran_on, "worker": worker, "batch": size}
        if copies := size - len(claim.trial_ids):
            self._ran_on["copies"] = copies
        self._pruner = make_pruner(spec.arm.pruner, spec.workload.epochs)
        self._prunes = spec.arm.pruner != "none" and not spec.trains_afresh
        self.training_seconds = 0.0
        self.epochs = 0
        self.finished = 0
        self._last_report = self._last_look = time.monotonic()
        self._reported = False
        self._wanted = True

    def train(self, trainer: Trainer) -> None:
        """Suggest, train, and record.

        Raises:
            Interrupted: If it was told to stop, or the study was paused.
            TimeLimitReached: If training took longer than the study allows.
            TrialsLost: If the trials are to be left alone.
        """
        spec, claim = self._spec, self._claim
        settings = patiently(self._suggest_all, stopping=self._stopping)
        self._ran_on |= trainer.conditions(spec.workload)
        seeds = [spec.trial_seed(index) for index in claim.positions]
        began = time.monotonic()
        company = claim.company(list(zip(settings, seeds, strict=True)))
        try:
            with (
                guarded(spec.time_limit and spec.time_limit * len(company)) as guard,
                stoppable(guard.sheltered(self._called_off)),
            ):
                results = trainer.train(
                    spec.workload,
                    spec.arm.space.rule,
                    company,
                    guard.sheltered(self._on_epoch),
                    test=spec.trains_afresh,
                    stopping=guard.sheltered(lambda: not self._wanted or self._stopping()),
                )
        finally:
            self.training_seconds = time.monotonic() - began
        outcomes = {
            trial_id: self._outcome(
                result,
                chosen,
                trainer.describe(spec.workload, spec.arm.space.rule, chosen, result.steps),
            )
            for trial_id, result, chosen in zip(
                claim.trial_ids, (results[place] for place in self._places), settings, strict=True
            )
        }
        self.finished = len(patiently(lambda: self._queue.finish(self._worker, outcomes)))

    def _called_off(self) -> bool:
        """Whether the trials are not to be trained any more, before their first epoch."""
        if self._stopping():
            return True
        try:
            standing = self._queue.standing(self._worker, self._claim.trial_ids)
        except (DBAPIError, StorageInternalError) as error:
            if not away(error):
                raise
            return False
        return not standing.wanted or len(standing.held) < len(self._claim.trial_ids)

    def _suggest_all(self) -> list[dict[str, Setting]]:
        """The trials' settings, asked for in one transaction; what an earlier attempt got stays.

        A sampler that learns is asked in a transaction for each: it is to see what it said
        before, and it may think for seconds, in which others could write nothing.

        Raises:
            TrialsLost: If somebody took trials away meanwhile.
        """
        spec = self._spec
        trials = list(zip(self._claim.trial_ids, self._claim.positions, strict=True))
        settings: list[dict[str, Setting]] = []
        for together in [[trial] for trial in trials] if spec.learns else [trials]:
            study = self._study_with_past()
            ids = [trial_id for trial_id, _ in together]
            with self._queue.store.transaction() as connection:
                self._queue.only_while_held(connection, self._worker, ids)
                self._queue.store.read_ahead(ids, *_PARTS)
                for trial_id, index in together:
                    if spec.arm.sampler == "defaults":
                        settings.append(spec.arm.space.setting)
                        continue
                    study.sampler = make_sampler(spec.arm.sampler, spec.sampler_seed(index))
                    settings.append(suggest(spec.arm.space, Trial(study, trial_id)))
        return settings

    def _study(self) -> Study:
        """The study for one question: it remembers the trials that it saw."""
        return Study(self._spec.study_name, self._queue.store.optuna, pruner=self._pruner)

    def _study_with_past(self) -> Study:
        """The same, with the trials that its search began from; a pruner sees none of them."""
        arm, store = self._spec.arm, self._queue.store
        past = past_of(arm.carried, arm.space) if self._spec.learns else ()
        return Study(self._spec.study_name, with_past(store.optuna, past))

    def _on_epoch(self, report: EpochReport) -> Collection[int]:
        """Look where the trials stand and report, if due; returns the places of those to prune."""
        accuracy = dict(zip(report.trials, report.val_accuracy, strict=True))
        values = {
            trial_id: accuracy[place]
            for place, trial_id in zip(self._places, self._claim.trial_ids, strict=True)
            if place in accuracy
        }
        self.epochs += len(values)
        if not values:
            return report.trials  # copies are left, of trials that are not
        now = time.monotonic()
        look = self._prunes or now - self._last_look >= _LOOK_SECONDS
        if report.epoch == self._spec.workload.epochs or not look:
            return ()
        self._last_look = now
        due = self._prunes or now - self._last_report >= _REPORT_SECONDS
        try:
            standing = self._queue.standing(self._worker, values)
            leaving = self._catch_up(report) if self._prunes and not self._reported else set()
            if due:
                self._queue.report(self._worker, report.epoch, values)
                self._last_report = now
                self._reported = True
        except (DBAPIError, StorageInternalError) as error:
            if not away(error) or self._prunes:
                raise
            _log.warning("the database is away; training goes on")
            return ()
        if len(standing.held) < len(values):
            raise TrialsLost
        self._wanted = standing.wanted
        if not self._prunes:
            return ()
        return {
            place
            for place, trial_id in zip(self._places, self._claim.trial_ids, strict=True)
            if trial_id in values
            and (trial_id in leaving or self._should_prune(trial_id, report.epoch))
        }

    def _catch_up(self, report: EpochReport) -> set[int]:
        """Report the epochs before this one that the study does not know; returns whom to prune.

        A checkpoint is found by what is trained, so another database's study may have made it; and
        a pruner is to see every trial from its first epoch on.
        """
        ids = dict(zip(self._places, self._claim.trial_ids, strict=True))
        untold: dict[int, dict[int, float]] = defaultdict(dict)  # epoch -> trial id -> score
        for place, curve in zip(report.trials, report.curves, strict=False):
            if place in ids and len(curve) > 1:
                known = self._queue.store.optuna.get_trial(ids[place]).intermediate_values
                for point in curve[:-1]:
                    if point.epoch not in known:
                        untold[point.epoch][ids[place]] = point.val_accuracy
        leaving: set[int] = set()
        for epoch, values in sorted(untold.items()):
            left = {trial_id: v for trial_id, v in values.items() if trial_id not in leaving}
            self._queue.report(self._worker, epoch, left)
            leaving |= {trial_id for trial_id in left if self._should_prune(trial_id, epoch)}
        return leaving

    def _should_prune(self, trial_id: int, epoch: int) -> bool:
        """The pruner's decision; epochs of an earlier, interrupted attempt are not looked at."""
        trial = self._queue.store.optuna.get_trial(trial_id)
        trial.intermediate_values = {
            step: value for step, value in trial.intermediate_values.items() if step <= epoch
        }
        return self._pruner.prune(self._study(), trial)

    def _outcome(
        self, result: TrialResult, settings: Mapping[str, Setting], record: object
    ) -> TrialOutcome:
        """How a trial ended; in few user attributes, since each costs two statements."""
        fields = ("epoch", "train_loss", "val_accuracy", "flip_ratio", "seconds")
        curve = {name: [getattr(point, name) for point in result.curve] for name in fields}
        run = {
            **self._ran_on,
            "seconds": result.seconds,
            "settings": settings,
            "filter": record,
            "curve": curve,
        }
        reported = result.curve if self._reported else ()
        attributes: dict[str, object] = {"run": run}
        if result.diverged:
            attributes["diverged"] = True
        if result.test_accuracy is not None:
            attributes["test_accuracy"] = result.test_accuracy
        if result.test_hits is not None:
            attributes["test_hits"] = packed(result.test_hits)
        return TrialOutcome(
            TrialState.PRUNED if result.stopped else TrialState.COMPLETE,
            result.val_accuracy,
            {name: _jsonable(value) for name, value in attributes.items()},
            {point.epoch: result.val_accuracy for point in reported[-1:]},
        )


def packed(hits: Sequence[bool]) -> dict[str, object]:
    """Whether each test image was classified rightly, a bit each, as JSON can hold it."""
    bits = np.packbits(np.array(hits, dtype=np.bool_))
    return {"n": len(hits), "bits": base64.b64encode(bits.tobytes()).decode("ascii")}


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
