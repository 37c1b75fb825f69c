"""Trains trials by calling an objective, one trial at a time."""

import hashlib
import json
import math
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tuner import config
from tuner.errors import Interrupted, InvalidInput, TunerError
from tuner.guard import Overtime
from tuner.kept import at
from tuner.named import Function, arguments, code_version, function
from tuner.rules import Setting
from tuner.search.objective.folders import TrialFolder, opened
from tuner.search.objective.said import heard
from tuner.search.objective.trial import Given, Trial, TrialStopped, checked
from tuner.trial import EpochPoint, EpochReport, TrialResult
from tuner.workload import ACCURACY, Objective


class ObjectiveFailed(RuntimeError):
    """What an objective did that ends no trial: it returned no score, or called ``sys.exit``."""


class ObjectiveTrainer:
    """Calls objectives; see ``tuner.search.work.trainer.Trainer``.

    Args:
        device: A torch device, for the trials to know.
        checkpoints: Where the trials' folders lie; ``config.checkpoint_dir()`` if None.
    """

    def __init__(self, device: str, *, checkpoints: Path | str | None = None) -> None:
        self._device = device
        root = config.checkpoint_dir() if checkpoints is None else checkpoints
        self._root = at(root).below("objectives")

    def batch_size(self, _workload: Objective) -> int:
        """One: nothing is known of the function that would let trials share a program."""
        return 1

    def conditions(self, workload: Objective) -> dict[str, str | bool]:
        """Which code runs, and on which kind of device."""
        function(workload, "objective")
        return {"code": code_version(workload), "device": self._device}

    def train(
        self,
        workload: Objective,
        rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        on_epoch: Callable[[EpochReport], Collection[int]],
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> list[TrialResult]:
        """Call the objective for each trial in turn.

        Raises:
            InvalidInput: If the function cannot be called.
            Interrupted: If it was told to stop; the trial's folder is kept.
            ObjectiveFailed: If it returned no score, or called ``sys.exit``.
            ValueError: If it returned or reported what is no score; see ``trial.Trial.report``.
        """
        call = function(workload, "objective")
        results = []
        for place, (settings, seed) in enumerate(trials):
            if place and stopping():
                raise Interrupted(f"told to stop after {place} of {len(trials)} trials")
            name = _name_of(workload, rule, settings, seed)
            with opened(self._root, name) as folder:
                given = Given(
                    rule=rule,
                    settings=settings,
                    seed=seed,
                    epochs=workload.epochs,
                    test=test,
                    device=self._device,
                    folder=folder.path,
                    shares=workload.metric == ACCURACY,
                )
                report = partial(_reported, on_epoch, place)
                results.append(_run(call, workload, given, folder, report, stopping))
        return results

    def cost(
        self, workload: Objective, rule: str, settings: Mapping[str, Setting]
    ) -> tuple[float, float]:
        """Seconds that a trial takes once, and for each epoch, measured until its second report.

        Of one that reports nothing the whole trial is run.

        Raises:
            InvalidInput: If the objective raised.
        """
        function(workload, "objective")  # imported
        times = self._reports(workload, rule, settings)
        if len(times) > 1:  # what is slow once only is no part of it
            times = self._reports(workload, rule, settings)
        if len(times) == 1:
            return times[0], 0.0
        return max(0.0, times[0] - times[1]), times[1]

    def _reports(
        self, workload: Objective, rule: str, settings: Mapping[str, Setting]
    ) -> list[float]:
        """Seconds to the first report and on to the second; of the whole trial without any."""
        began = time.monotonic()
        ends: list[float] = []

        def enough(_report: EpochReport) -> tuple[int, ...]:
            ends.append(time.monotonic())
            return (0,) if len(ends) > 1 else ()

        with TemporaryDirectory(prefix="tuner-") as folder:
            elsewhere = ObjectiveTrainer(self._device, checkpoints=Path(folder))
            try:
                elsewhere.train(
                    workload, rule, [(settings, 0)], enough, test=False, stopping=lambda: False
                )
            except TunerError:
                raise
            except Exception as error:
                raise InvalidInput(_in_a_line(workload, error)) from error
        ends = ends or [time.monotonic()]
        return [end - start for start, end in zip((began, *ends), ends, strict=False)]


def _name_of(workload: Objective, rule: str, settings: Mapping[str, Setting], seed: int) -> str:
    """What a trial's folder is called: the same for the same trial of the same code."""
    code = [workload.objective, code_version(workload), dict(workload.options)]
    which = [*code, rule, dict(settings), seed]
    return hashlib.sha256(json.dumps(which, sort_keys=True).encode()).hexdigest()[:32]


def _reported(
    on_epoch: Callable[[EpochReport], Collection[int]], place: int, curve: Sequence[EpochPoint]
) -> bool:
    """Hand one trial's last line on as an epoch's report; returns whether it is pruned."""
    point = curve[-1]
    report = EpochReport(
        epoch=point.epoch,
        trials=(place,),
        train_loss=(point.train_loss,),
        val_accuracy=(point.val_accuracy,),
        flip_ratio=(point.flip_ratio,),
        seconds=(point.seconds,),
        train_seconds=(point.seconds,),
        curves=(curve,),
    )
    return place in on_epoch(report)


def _run(
    call: Function,
    workload: Objective,
    given: Given,
    folder: TrialFolder,
    on_report: Callable[[Sequence[EpochPoint]], bool],
    stopping: Callable[[], bool],
) -> TrialResult:
    """Call the objective for one trial.

    What ``on_report`` raises is raised when the objective has ended, so that none of its own
    handlers takes it.
    """
    raised: list[Exception] = []
    interrupted = pruned = False

    def reported(_point: EpochPoint) -> bool:
        nonlocal interrupted, pruned
        try:
            pruned = on_report(trial.curve)
        except Exception as error:
            raised.append(error)
        interrupted = stopping()
        folder.reported()
        return bool(pruned or interrupted or raised)

    began = time.monotonic()
    trial = Trial(given, reported)
    try:
        with heard():
            returned = call(trial, **arguments(workload, "objective", call))
    except TrialStopped:
        returned = None
    except (SystemExit, TunerError) as error:
        folder.remove()
        if isinstance(error, TunerError):  # about this trial: others may run
            raise ObjectiveFailed(str(error)) from error
        raise ObjectiveFailed(f"{workload.objective} called sys.exit({error.code!r})") from error
    except (Exception, Overtime):
        if not (raised or interrupted):
            folder.remove()  # the next attempt begins afresh
            raise
        returned = None
    if raised:
        folder.keep()
        raise raised[0]
    if interrupted and not pruned and (returned is None or trial.curve[-1].epoch < trial.epochs):
        folder.keep()
        raise Interrupted(f"told to stop after epoch {trial.curve[-1].epoch}")
    folder.remove()
    return _result(workload, trial, returned, pruned, time.monotonic() - began)


def _result(
    workload: Objective, trial: Trial, returned: object, pruned: bool, seconds: float
) -> TrialResult:
    score, tested = (
        (trial.curve[-1].val_accuracy, None) if pruned else _scores(workload, returned, trial.test)
    )
    return TrialResult(
        val_accuracy=_or_chance(workload, score),
        test_accuracy=None if tested is None else _or_chance(workload, tested),
        curve=tuple(trial.curve),
        diverged=math.isnan(score),
        stopped=pruned,
        seconds=seconds,
        steps=trial.steps,
    )


def _or_chance(workload: Objective, score: float) -> float:
    """The score; of a run that diverged that of guessing."""
    if not math.isnan(score):
        return score
    if workload.chance is not None:
        return workload.chance
    if workload.metric == ACCURACY:
        return 0.0
    raise ObjectiveFailed(
        f"{workload.objective}: the {workload.metric} is NaN, and nobody said what a run that "
        "diverged scores: declare workload.chance, the score of guessing"
    )


def _scores(workload: Objective, returned: object, test: bool) -> tuple[float, float | None]:
    """Score and test score, as returned; a test score that nobody asked for is left out."""
    name = workload.objective
    check = partial(checked, shares=workload.metric == ACCURACY)
    if returned is None:
        raise ObjectiveFailed(f"{name} returned nothing; it must return the trial's score")
    if isinstance(returned, tuple) and len(returned) == 2:
        tested = check(f"{name}: test score", returned[1]) if test else None
        return check(f"{name}: score", returned[0]), tested
    if test:
        raise ObjectiveFailed(
            f"{name} returned one score where trial.test is true; it must return two, (score, "
            "test score): what was selected is judged on data that nothing was selected on"
        )
    return check(f"{name}: score", returned), None


def _in_a_line(workload: Objective, error: Exception) -> str:
    """What an objective raised, and where."""
    *_, last = traceback.extract_tb(error.__traceback__)
    words = " ".join(str(error).split())
    return (
        f"{workload.objective} raised {type(error).__name__}: {words} ({last.filename}, line "
        f"{last.lineno}); tuner.search.objective.once calls it for one setting"
    )
