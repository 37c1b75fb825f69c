"""What is to be run: a comparison of arms, and the studies it consists of.

The same model is the TOML file in ``studies/``, the argument of ``launch.run`` and a request's
body. A comparison gives each arm ``repeats`` studies of ``n_trials`` trials; trial i of every arm
has the same seed, so the same data order and the same initial draw.
"""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StrictFloat,
    StrictInt,
    StringConstraints,
    model_validator,
)

from tuner.errors import InvalidInput, UnknownName
from tuner.search.declared import Declared, read, refuse_unknown_keys, studies_dir
from tuner.search.spaces import Space, load_space
from tuner.workload import Workload

Sampler = Literal["random", "tpe", "cmaes", "gp"]
Pruner = Literal["none", "median", "asha", "hyperband"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Count = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**53)]


def _space(data: Any) -> Any:  # Any: unchecked outside data; a name or an inline table
    if isinstance(data, str):
        return load_space(data)
    return {"name": "inline", **data} if isinstance(data, dict) else data


def _workload(data: Any) -> Any:  # Any: unchecked outside data
    if isinstance(data, dict):
        refuse_unknown_keys(data, (field.name for field in fields(Workload)))
        for field in fields(Workload):
            value, kind = data.get(field.name, field.default), type(field.default)
            exact = type(value) is kind or (kind is float and type(value) is int)
            if not exact and kind is not tuple:
                raise InvalidInput(f"{field.name}: must be of type {kind.__name__}, got {value!r}")
    return data


SpaceOrName = Annotated[Space, BeforeValidator(_space, json_schema_input_type=Space | str)]
"""A search space, or the name of a declared one."""

WorkloadSpec = Annotated[Workload, BeforeValidator(_workload, json_schema_input_type=Workload)]
"""A workload whose keys and types are checked in our words."""


class ArmSpec(Declared):
    """One side of a comparison: a search space and how it is searched.

    Args:
        name: What the arm is called.
        space: The name of a declared space, or an inline one.
        sampler: Chooses the next trial's parameters; ``random`` gives the whole tuning curve.
        pruner: Stops trials early; ``none`` for the primary comparison.
    """

    name: Name
    space: SpaceOrName
    sampler: Sampler = "random"
    pruner: Pruner = "none"


class VerdictSpec(Declared):
    """The question, fixed before the first trial runs.

    Args:
        primary: The arm claimed to need less tuning, then the arm it is held against.
        control: The arm with the old space's narrow literature ranges, if any.
        k: Budget of the primary endpoint, in trials; ``n_trials // 20`` if not given.
        target: A validation accuracy in (0, 1) that counts as good, if any.
        rope: Region of practical equivalence, in percentage points.
    """

    primary: tuple[str, str] | None = None
    control: str | None = None
    k: Count | None = None
    target: Annotated[StrictFloat, Field(gt=0, lt=1)] | None = None
    rope: Annotated[StrictFloat, Field(ge=0, le=100)] = 0.3


class ComparisonSpec(Declared):
    """A comparison: arms searched on one workload at equal budgets, and the question asked.

    Args:
        name: What it is called; its studies are named after it.
        description: What it asks, for people.
        workload: What is trained.
        arms: At least one; names are unique.
        n_trials: Trials per arm and repeat.
        repeats: Independent searches per arm.
        seed: Everything random derives from it.
        retrain_seeds: Fresh seeds that each arm's incumbent is retrained with; 0 for none.
        verdict: The question.
    """

    name: Name
    description: str = ""
    workload: WorkloadSpec
    arms: Annotated[tuple[ArmSpec, ...], Field(min_length=1)]
    n_trials: Count
    repeats: Count = 1
    seed: Seed = 0
    retrain_seeds: Annotated[StrictInt, Field(ge=0, le=10_000)] = 10
    verdict: VerdictSpec = Field(default_factory=VerdictSpec)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [arm.name for arm in self.arms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidInput(f"arms: every arm needs a name of its own, {twice!r} occurs twice")
        for name in (*(self.verdict.primary or ()), self.verdict.control):
            if name is not None and name not in names:
                raise UnknownName("verdict: arm", name, names)
        if self.verdict.primary and self.verdict.primary[0] == self.verdict.primary[1]:
            raise InvalidInput("verdict.primary: name two different arms")
        if self.verdict.control in (self.verdict.primary or names[:2]):
            raise InvalidInput(
                f"verdict.control: must be a third arm, not {self.verdict.control!r} again"
            )
        if self.verdict.k is not None and self.verdict.k > self.n_trials:
            raise InvalidInput(
                f"verdict.k: must be at most n_trials={self.n_trials}, got {self.verdict.k}"
            )
        return self

    @property
    def k(self) -> int:
        """Budget of the primary endpoint, in trials."""
        return self.verdict.k or max(1, self.n_trials // 20)

    def studies(self) -> list["StudySpec"]:
        """The searches it consists of: one study per arm and repeat, repeats in turn."""
        return [
            StudySpec(
                comparison=self.name,
                arm=arm,
                repeat=repeat,
                repeats=self.repeats,
                workload=self.workload,
                n_trials=self.n_trials,
                seed=self.seed,
            )
            for repeat in range(self.repeats)
            for arm in self.arms
        ]

    def every_study(self) -> list["StudySpec"]:
        """All its studies: the searches, then the retraining of each arm's incumbent."""
        return [*self.studies(), *map(self.retraining, self.arms if self.retrain_seeds else ())]

    def retraining(self, arm: ArmSpec) -> "StudySpec":
        """The study that retrains the arm's incumbent with fresh seeds."""
        return StudySpec(
            comparison=self.name,
            arm=arm,
            retrain=True,
            workload=self.workload,
            n_trials=self.retrain_seeds,
            seed=self.seed,
        )


class StudySpec(Declared):
    """One Optuna study: everything a worker needs to run its trials.

    Args:
        comparison: The comparison it belongs to.
        arm: Space, sampler and pruner.
        repeat: Which of the arm's searches, from 0.
        repeats: How many searches the arm has.
        retrain: Whether it retrains an incumbent, test accuracy included, instead of searching.
        workload: What is trained.
        n_trials: Its budget.
        seed: The comparison's.
    """

    comparison: Name
    arm: ArmSpec
    repeat: Annotated[StrictInt, Field(ge=0)] = 0
    repeats: Count = 1
    retrain: bool = False
    workload: WorkloadSpec
    n_trials: Count
    seed: Seed = 0

    @property
    def learns(self) -> bool:
        """Whether what a trial tries depends on how earlier ones ended."""
        return self.arm.sampler != "random" and not self.retrain

    @property
    def study_name(self) -> str:
        """What the study is called in Optuna: comparison/arm, /repeat if several, or /retrain."""
        name = f"{self.comparison}/{self.arm.name}"
        if self.retrain:
            return f"{name}/retrain"
        return name if self.repeats == 1 else f"{name}/{self.repeat}"

    def trial_seed(self, index: int) -> int:
        """Seed of trial ``index``, below 2^53: the same in every arm; odd for retrained trials."""
        return 2 * _stable_hash(self.seed, self.repeat, index, bits=52) + self.retrain

    def sampler_seed(self, index: int) -> int:
        """Seed of the sampler for trial ``index``, below 2^32; every arm has its own."""
        return _stable_hash(self.seed, self.arm.name, self.repeat, index, bits=32)


def _stable_hash(*parts: int | str, bits: int) -> int:
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)


def declaration_hash(spec: ComparisonSpec) -> str:
    """SHA-256 of everything declared, ranges included, without the descriptions; in hex."""
    declared = spec.model_dump(
        mode="json",
        exclude={"description": True, "arms": {"__all__": {"space": {"description"}}}},
    )
    canonical = json.dumps(declared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def declared() -> dict[str, Path]:
    """Name -> file of every declared comparison."""
    return {path.stem: path for path in sorted(studies_dir().glob("*.toml"))}


def load(name_or_path: str) -> ComparisonSpec:
    """The comparison that a TOML file declares.

    Args:
        name_or_path: A path to a TOML file, or the name of a declared comparison.

    Raises:
        UnknownName: If no comparison of that name is declared.
        InvalidInput: If the file is missing or breaks a rule.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return read(ComparisonSpec, path)
    if name_or_path not in (known := declared()):
        raise UnknownName("comparison", name_or_path, known)
    return read(ComparisonSpec, known[name_or_path])
