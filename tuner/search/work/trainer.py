"""What a worker needs of the training code, as a protocol, and how large its batches are.

No torch is imported here. ``trainers.Trainers`` is what users get.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from tuner.errors import InvalidInput
from tuner.guard import TimeLimitReached, guarded
from tuner.rules import Setting
from tuner.search.declared.study_spec import StudySpec
from tuner.trial import EpochReport, TrialResult
from tuner.workload import AnyWorkload, in_words

OnEpoch = Callable[[EpochReport], Collection[int]]

LEARNING_BATCHES = 20
"""A sampler that learns is asked in at least this many batches, so that it has what to learn."""

MEASURED_TRIALS = 4
"""A measurement takes some short trainings, together no longer than so many trials."""


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


def batch_size(n_trials: int, most: int, share: int) -> int:
    """How many trials of a study to train at once: even parts, one per worker if they are few.

    It is fixed for the whole study, so that a trial trains in the same company, and so gives the
    same result to the last bit, whoever runs it and however often a run was interrupted. A fused
    batch costs a good part of its time however small it is, hence at least a quarter of ``most``.

    Args:
        n_trials: Trials of the study.
        most: The most to train at once, at least 1.
        share: How many workers share the queue, at least 1.
    """
    least = math.ceil(most / 4)
    batches = max(math.ceil(n_trials / most), min(share, math.ceil(n_trials / least)))
    if batches > share:
        batches = math.ceil(batches / share) * share  # all workers end at about the same time
    return math.ceil(n_trials / batches)


def batch_of(study: StudySpec, trainer: Trainer, share: int) -> int:
    """How many trials of the study to train at once with this trainer; see ``batch_size``.

    Raises:
        InvalidInput: If code or data of the user's outlast the study's limit of time meanwhile.
    """
    try:
        with guarded(study.time_limit and MEASURED_TRIALS * study.time_limit):
            most = trainer.batch_size(study.workload)
    except TimeLimitReached as error:
        where = in_words(study.workload)
        raise InvalidInput(f"{where}: while it was measured how many fit, {error}") from error
    if study.learns:
        most = min(most, math.ceil(study.n_trials / LEARNING_BATCHES))
    return batch_size(study.n_trials, most, share)
