"""What the API answers with."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from tuner.search.declared.arm_spec import Name as SpecName
from tuner.search.declared.arm_spec import Pruner, Sampler, SpaceOrName
from tuner.search.declared.files import Count as NTrials
from tuner.search.declared.files import Declared
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import Seed, StudySpec, WorkloadSpec
from tuner.search.foreign.arm import SAMPLERS
from tuner.search.foreign.record import Direction
from tuner.search.watch.progress import ArmProgress

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next: str | None = Field(description="the cursor of the next page; null on the last")


class ComparisonSummary(BaseModel):
    """A comparison in a list."""

    name: str
    status: str = Field(examples=["active"], description="active, paused, complete or cancelled")
    revision: int
    created: float = Field(description="seconds since 1970")
    code_version: str = Field(description="the version of bnn-tuner that runs its trials")


class Comparison(ComparisonSummary):
    """A comparison, and how far it is."""

    arms: list[ArmProgress]
    note: str | None = Field(description="what it waits for, if nobody works on it")
    spec: ComparisonSpec


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
    status: str = Field(examples=["active"], description="active, paused, complete or cancelled")
    revision: int
    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int
    best: float | None = Field(description="best validation accuracy so far")


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
    value: float | None = Field(description="validation accuracy after its last epoch")
    worker: str | None
    attempts: int = Field(description="how often a worker took it")
    failures: int = Field(description="how often it raised")


class Trial(TrialSummary):
    """A trial, with all that was recorded about it."""

    optuna_state: str
    params: Mapping[str, Any]  # Any: a number, a string or a boolean
    seed: int | None
    started: str | None
    ended: str | None
    pruned: bool
    diverged: bool
    test_accuracy: float | None = Field(description="of what is trained afresh only")
    run: Mapping[str, Any] | None = Field(  # Any: any JSON value
        description="settings, filter, curve, seconds, device, precision, versions"
    )
    error: str | None = Field(description="the traceback of its last failure")


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
    started: float
    last_seen: float
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


class StudiesToCompare(BaseModel):
    """Optuna studies of this server's database, and what was fixed before they ran."""

    model_config = {"extra": "forbid"}

    studies: list[str] = Field(
        min_length=2,
        max_length=20,
        description="their names, the new space first and the old one second",
    )
    target: float | None = Field(
        default=None, allow_inf_nan=False, description="score that counts as good"
    )
    k: int | None = Field(default=None, ge=1, description="budget of the verdict, in trials")
    rope: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="difference that does not matter"
    )
    unit: str = Field(
        default="score",
        max_length=100,
        description="accuracy for shares in [0, 1], else the score's name",
    )
    workload: str = Field(default="the workload of these studies", max_length=1000)
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
