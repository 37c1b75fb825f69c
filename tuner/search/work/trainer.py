"""What a worker needs of the training code, as a protocol: no torch is imported here.

``trainers.Trainers`` is what users get.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from tuner.rules import Setting
from tuner.trial import EpochReport, TrialResult
from tuner.workload import AnyWorkload

OnEpoch = Callable[[EpochReport], Collection[int]]


class Trainer(Protocol):
    """Trains the trials of one batch on one device."""

    def batch_size(self, workload: AnyWorkload) -> int:
        """How many trials of the workload to train at once, at least 1."""

    def train(
        self,
        workload: AnyWorkload,
        rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        on_epoch: OnEpoch,
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> Sequence[TrialResult]:
        """Train trials of one update rule, given as (settings, seed); one result each, in order.

        ``on_epoch`` returns the positions to stop for good. ``stopping`` is asked after every
        epoch; once true the training is kept, to be gone on with by the same call, here or
        elsewhere, and Interrupted is raised. What ``on_epoch`` raises ends it, not kept.
        """

    def conditions(self, workload: AnyWorkload) -> Mapping[str, Any]:
        """How trials of the workload are trained here, for their record; JSON-able."""

    def describe(
        self, workload: AnyWorkload, rule: str, settings: Mapping[str, Setting], steps: int
    ) -> dict[str, Any]:
        """The gradient filter that a configuration is, as a JSON-able dict."""
