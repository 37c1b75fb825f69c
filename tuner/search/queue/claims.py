"""What workers hear of the queue: what waits, what is theirs, how it stands; what they tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from optuna.trial import TrialState

Trial = TypeVar("Trial")


class TrialsLost(Exception):
    """Trials are someone else's by now, or were cancelled, or are gone."""


@dataclass(frozen=True)
class NextUp:
    """Where trials wait: study and first position, whether they raised, how often they died.

    ``batch`` is how many trials of the study train together, None as long as nobody fixed it.
    """

    study_name: str
    position: int
    retry: bool
    strikes: int
    batch: int | None = None


@dataclass(frozen=True)
class Claim:
    """Trials of one study that one worker holds; parallel tuples.

    ``batch`` is the batch that they are a part of, tried apart since one of its trials may be what
    ended a process. How large a batch is decides how the sums of each of its trials are rounded:
    with copies in the places of its mates a trial gives, to the last bit, what it would have given
    among them.
    """

    study_name: str
    trial_ids: tuple[int, ...]
    positions: tuple[int, ...]
    batch: range | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """Where in its company each trial trains."""
        if self.batch is None:
            return tuple(range(len(self.positions)))
        return tuple(position - self.batch.start for position in self.positions)

    def company(self, trials: Sequence[Trial]) -> list[Trial]:
        """The claim's trials at their places, copies of them in turn at all others."""
        size = len(trials) if self.batch is None else len(self.batch)
        company = [trials[place % len(trials)] for place in range(size)]
        for place, trial in zip(self.places, trials, strict=True):
            company[place] = trial
        return company


@dataclass(frozen=True)
class Standing:
    """How a worker stands with its trials.

    Args:
        held: The trial ids that it still holds.
        wanted: Whether they are to go on; not if their study or comparison was paused.
    """

    held: frozenset[int]
    wanted: bool


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended.

    Args:
        state: COMPLETE or PRUNED.
        value: Validation accuracy at the last epoch trained.
        attributes: What goes into the trial's user attributes, JSON-able.
        intermediate: Epoch -> validation accuracy not reported yet.
    """

    state: TrialState
    value: float
    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: any JSON value
    intermediate: Mapping[int, float] = field(default_factory=dict)
