"""What the API answers with."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, Field

from tuner.compare.protocol import SCORE, UNNAMED, Protocol
from tuner.search.database.tables import LONGEST_NOTES
from tuner.search.declared.arm_spec import Name as SpecName
from tuner.search.declared.arm_spec import Pruner, Sampler, SpaceOrName
from tuner.search.declared.files import Count as NTrials
from tuner.search.declared.files import Declared
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import Seed, StudySpec, WorkloadSpec
from tuner.search.foreign.arm import SAMPLERS, Reading
from tuner.search.foreign.record import Direction
from tuner.search.queue.labels import MOST_TAGS
from tuner.search.watch.progress import ArmProgress

Item = TypeVar("Item")
_STATUS = "active, paused, complete, cancelled or deleting"


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next: str | None = Field(description="the cursor of the next page; null on the last")

    @classmethod
    def of(cls, rows: Sequence[object], next_: str | None) -> Self:
        """The page of these rows, whose attributes are the items'."""
        return cls.model_validate({"items": rows, "next": next_}, from_attributes=True)


class ComparisonSummary(BaseModel):
    """A comparison in a list."""

    name: str
    status: str = Field(examples=["active"], description=_STATUS)
    revision: int
    created: float = Field(description="seconds since 1970, UTC")
    code_version: str = Field(description="the version of bnn-tuner that runs its trials")
    notes: str = Field(description="what people wrote about it")
    tags: list[str]
    archived: bool = Field(description="whether lists leave it out unless asked for it")


class Comparison(ComparisonSummary):
    """A comparison, and how far it is."""

    arms: list[ArmProgress]
    note: str | None = Field(
        description="what it waits for, if nobody works on it, or what is amiss with its studies"
    )
    spec: ComparisonSpec


class Operation(BaseModel):
    """Long work on a comparison, which goes on whatever becomes of the request for it."""

    id: int
    kind: str = Field(examples=["delete"], description="delete or retry")
    comparison: str
    state: str = Field(examples=["running"], description="running, done or failed")
    done: int = Field(description="trials that it came to so far")
    total: int = Field(description="trials that there are for it")
    error: str | None = Field(description="why it failed")
    created: float = Field(description="seconds since 1970")
    ended: float | None = Field(description="seconds since 1970; null while it runs")


class LabelChanges(BaseModel):
    """What to write on a comparison; what is left out stays as it is."""

    model_config = {"extra": "forbid"}

    notes: str | None = Field(default=None, max_length=LONGEST_NOTES)
    tags: list[str] | None = Field(default=None, max_length=MOST_TAGS)
    archived: bool | None = None


class StudySubmission(Declared):
    """A single search: a comparison of one arm, whose best trial is not retrained."""

    name: SpecName
    workload: WorkloadSpec
    space: SpaceOrName
    sampler: Sampler = "random"
    pruner: Pruner = "none"
    n_trials: NTrials
    seed: Seed = 0


class StudySummary(BaseModel):
    """A study in a list, with its trials by state."""

    id: int
    study_name: str
    comparison: str
    arm: str
    repeat: int
    retrain: bool = Field(description="whether it trains afresh what a search selected")
    n_trials: int
    status: str = Field(examples=["active"], description=_STATUS)
    revision: int
    waiting: int = Field(description="to be trained yet, whether they can be seen or not")
    running: int
    done: int
    failed: int
    cancelled: int = Field(description="called off, or not needed any more; all five: n_trials")
    best: float | None = Field(description="best validation score so far")


class Study(StudySummary):
    """A study."""

    spec: StudySpec
    dashboard: str | None = Field(description="where the Optuna dashboard shows it")


class TrialSummary(BaseModel):
    """A trial in a list."""

    trial_id: int
    study_name: str
    position: int = Field(description="its index in the study")
    state: str = Field(description="waiting, running, done, failed or cancelled")
    value: float | None = Field(
        description="validation score after its last epoch: accuracy, or the workload's metric"
    )
    worker: str | None
    attempts: int = Field(description="how often a worker took it")
    failures: int = Field(description="how often it raised")
    deaths: int = Field(description="how often a process ended while it trained it")
    losses: int = Field(description="how often a worker that trained it fell silent")


class Trial(TrialSummary):
    """A trial, with all that was recorded about it."""

    optuna_state: str
    params: Mapping[str, Any]  # Any: a number, a string or a boolean
    seed: int | None
    started: str | None = Field(examples=["2026-01-31T11:00:00+00:00"], description="in UTC")
    ended: str | None = Field(description="in UTC")
    pruned: bool
    diverged: bool
    test_accuracy: float | None = Field(description="test score, of what is trained afresh only")
    run: Mapping[str, Any] | None = Field(  # Any: any JSON value
        description="settings, filter, curve, seconds, device, precision, versions"
    )
    reports: Mapping[int, float] = Field(
        description="epoch -> validation score as far as its worker reported it meanwhile"
    )
    error: str | None = Field(
        description="the traceback of its last failure, or the last lines of its process"
    )


class Artifact(BaseModel):
    """A file that hangs on a trial."""

    artifact_id: str
    filename: str = Field(examples=["trial-12.safetensors"])
    mimetype: str
    encoding: str | None


class Artifacts(BaseModel):
    """The files that hang on a trial, by their names."""

    items: list[Artifact]


class BestTrials(BaseModel):
    """A study's best trials, the best first."""

    items: list[Trial]


class CurvePoint(BaseModel):
    """The expected best of k random trials, with its band."""

    k: int
    value: float
    low: float | None
    high: float | None


class TuningCurve(BaseModel):
    """How good the best of k random trials is expected to be."""

    study_name: str
    n_trials: int
    confidence: float
    points: list[CurvePoint]


class Worker(BaseModel):
    """A worker process."""

    name: str
    host: str
    pid: int
    device: str
    code_version: str
    started: float = Field(description="seconds since 1970, UTC")
    last_seen: float = Field(description="seconds since 1970, UTC")
    state: str = Field(
        description="starting, idle, working, stopped, broken, or gone without a word"
    )
    study_name: str | None
    running: int
    finished: int
    epochs: int
    training_seconds: float
    message: str | None


class Workers(BaseModel):
    """The workers of the last week."""

    items: list[Worker]


class Workloads(BaseModel):
    """What can be trained."""

    datasets: list[str]
    models: dict[str, list[int]] = Field(description="each with its default widths")
    augmentations: list[str]
    precisions: list[str]


class Names(BaseModel):
    """Names of declared things."""

    items: list[str]


class MagnitudeSettings(BaseModel):
    """Settings of SGD on latent weights; what is left out is the rule's default."""

    model_config = {"extra": "forbid"}

    learning_rate: float
    weight_decay: float | None = None
    momentum: float | None = None
    coupled: bool = True
    nesterov: bool | None = None
    dampening: float | None = None
    init_scale: float | None = None
    clip: float | None = None
    scaling: bool | None = None


class FilterSettings(BaseModel):
    """A gradient filter."""

    model_config = {"extra": "forbid"}

    alpha: float
    gamma: float = 1.0


class TranslateRequest(BaseModel):
    """One of the two: settings to translate into a filter, or a filter to translate back."""

    model_config = {"extra": "forbid"}

    magnitude: MagnitudeSettings | None = None
    filter: FilterSettings | None = None
    schedule: str = "constant"
    steps: int | None = Field(
        default=None, ge=1, le=100_000, description="length of the run, in steps"
    )


class Translation(BaseModel):
    """The filter, what the equivalence needs, and the settings of SGD that are this filter."""

    filter: dict[str, Any]  # Any: any JSON value
    sgd: dict[str, Any] | None


class StudyElsewhere(BaseModel):
    """A study in a storage that the server's settings name."""

    model_config = {"extra": "forbid"}

    storage: str = Field(max_length=200, description="its name in TUNER_STORAGES")
    path: str | None = Field(
        default=None, max_length=1000, description="what is meant in a storage that is a folder"
    )
    study: str | None = Field(
        default=None, max_length=1000, description="the study's name, where there are several"
    )


Score = Annotated[float, Field(allow_inf_nan=False)]
Scores = Annotated[list[Score | None], Field(min_length=1, max_length=5000)]


class TwoSearches(BaseModel):
    """One score a trial of two searches, in the order in which they were drawn."""

    model_config = {"extra": "forbid"}

    new: Scores = Field(description="of the new search space; null where a trial failed")
    old: Scores = Field(description="of the old one")


class Question(BaseModel):
    """What is compared, either studies or scores, and what was fixed before."""

    model_config = {"extra": "forbid"}

    studies: list[str | StudyElsewhere] | None = Field(
        default=None,
        min_length=2,
        max_length=20,
        description="names of studies in this server's database, or where else they are; the new "
        "space first and the old one second",
    )
    scores: TwoSearches | None = Field(default=None, description="in place of studies")
    names: list[str] = Field(
        default=[], max_length=20, description="what to call them, the new one first"
    )
    target: float | None = Field(
        default=None, allow_inf_nan=False, description="score that counts as good"
    )
    k: int | None = Field(default=None, ge=1, description="budget of the verdict, in trials")
    rope: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="difference that does not matter"
    )
    unit: str = Field(
        default=SCORE,
        max_length=100,
        description="accuracy for shares in [0, 1], else the score's name",
    )
    workload: str = Field(default=UNNAMED, max_length=1000)
    sampler: str | None = Field(
        default=None, description=f"what drew the trials: {', '.join(SAMPLERS)}"
    )
    direction: Direction | None = Field(
        default=None, description="in place of what the studies say"
    )
    objective: str | None = Field(
        default=None,
        max_length=200,
        description="of studies with several, the name or the number from 0 of the one to compare",
    )
    last_reports: bool = Field(
        default=False, description="take a pruned trial's last report for its result"
    )

    @property
    def protocol(self) -> Protocol:
        """What was fixed before they ran."""
        return Protocol(
            target=self.target, k=self.k, rope=self.rope, unit=self.unit, workload=self.workload
        )

    @property
    def reading(self) -> Reading:
        """How they are read."""
        return Reading(self.direction, self.sampler, self.objective, self.last_reports)
