"""A batch trained in parts, one after the other, where its device cannot hold it at once."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tuner.kept import at
from tuner.train import files
from tuner.train.checkpoint import digest
from tuner.train.files import check_curve
from tuner.trial import EpochPoint, EpochReport, TrialConfig, TrialResult
from tuner.workload import Workload

_log = logging.getLogger(__name__)


class Parts:
    """The results of those parts that are trained, kept until the whole batch is.

    How large the parts are is kept too: a trial's result depends, to the last bits, on the
    company it is trained in, and the file of a part half trained is found by its trials.

    Args:
        folder: Where to keep them, as ``checkpoint.Keep`` takes it.
        workload: As ``train`` takes it.
        trials: The whole batch.
        device: As ``train`` takes it.
        test: As ``train`` takes it.

    Attributes:
        results: Of the first trials of the batch, as many as are trained.
        most: The most trials of a part.
    """

    def __init__(
        self,
        folder: Path | str,
        workload: Workload,
        trials: Sequence[TrialConfig],
        device: str,
        *,
        test: bool,
    ) -> None:
        self._n_trials = len(trials)
        self._place = at(folder)
        self._name = f"{digest(workload, trials, device, parts=True, test=test)}.pt"
        self.results: list[TrialResult] = []
        self.most = len(trials)
        kept = files.restore(self._place, self._name)
        if kept is None:
            return
        try:
            results, most = [_result(values) for values in kept["results"]], kept["most"]
            for result in results:
                check_curve(result.curve, workload)
            if len(results) >= len(trials) or type(most) is not int or not 0 < most <= len(trials):
                raise ValueError(f"{len(results)} results and parts of {most!r} of {len(trials)}")
        except Exception as error:  # a file can hold anything
            files.discard(self._place, self._name, error)
        else:
            self.results, self.most = results, most

    def limit(self, most: int) -> None:
        """Have parts of at most so many trials from now on, in a later attempt too."""
        self.most = most
        self._write()

    def add(self, results: Sequence[TrialResult]) -> None:
        """The next part is trained."""
        self.results += results
        if len(self.results) < self._n_trials:
            self._write()

    def remove(self) -> None:
        """The batch is complete."""
        files.remove(self._place, self._name)

    def _write(self) -> None:
        content = {"results": [asdict(result) for result in self.results], "most": self.most}
        try:
            files.save(self._place, self._name, content)
        except OSError as error:
            _log.warning("the trained part of a batch cannot be kept: %s", error)


def shifted(
    on_epoch: Callable[[EpochReport], Collection[int]], first: int
) -> Callable[[EpochReport], Collection[int]]:
    """``on_epoch`` of a batch, for the part of it that begins at a position."""

    def on_epoch_of_part(report: EpochReport) -> Collection[int]:
        trials = tuple(first + position for position in report.trials)
        return [position - first for position in on_epoch(replace(report, trials=trials))]

    return on_epoch_of_part


def _result(values: Mapping[str, Any]) -> TrialResult:
    """The result that ``asdict`` made these of."""
    curve = tuple(EpochPoint(**point) for point in values["curve"])
    return TrialResult(**{**values, "curve": curve})
