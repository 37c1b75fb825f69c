"""What is to be run: a comparison of arms, and the studies it consists of.

The same model is the TOML file in ``studies/``, the argument of ``launch.run`` and a request's
body. A comparison gives each arm ``repeats`` studies of ``n_trials`` trials, unless the arm has
numbers of its own; trial i of every arm has the same seed, so the same data order and the same
initial draw.
"""

import hashlib
import json
from collections.abc import Sequence
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
from tuner.search.declared.files import Declared, read_toml, refuse_unknown_keys, studies_dir
from tuner.search.declared.spaces import Space, load_space
from tuner.workload import Workload

Searching = Literal["random", "tpe", "cmaes", "gp"]
"""The samplers that choose the next trial's parameters; ``samplers.SAMPLERS`` makes them."""

Sampler = Literal[Searching, "defaults"]
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


def _unless_none() -> Any:  # Any: as pydantic's Field
    """A field that is written down only if it is given, so that older declarations keep theirs."""
    return Field(default=None, exclude_if=lambda value: value is None)


SpaceOrName = Annotated[Space, BeforeValidator(_space, json_schema_input_type=Space | str)]
"""A search space, or the name of a declared one."""

WorkloadSpec = Annotated[Workload, BeforeValidator(_workload, json_schema_input_type=Workload)]
"""A workload whose keys and types are checked in our words."""


class ArmSpec(Declared):
    """One side of a comparison: a search space and how it is searched.

    Args:
        name: What the arm is called.
        space: The name of a declared space, or an inline one.
        sampler: Chooses the next trial's parameters; ``random`` gives the whole tuning curve,
            ``defaults`` searches nothing: every trial has the space's documented setting.
        pruner: Stops trials early; ``none`` for the primary comparison.
        n_trials: Trials per repeat, in place of the comparison's.
        repeats: Independent searches, in place of the comparison's.
    """

    name: Name
    space: SpaceOrName
    sampler: Sampler = "random"
    pruner: Pruner = "none"
    n_trials: Count | None = _unless_none()
    repeats: Count | None = _unless_none()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sampler == "defaults" and not self.space.defaults:
            raise InvalidInput(
                f"arm {self.name!r}: the sampler 'defaults' needs a space that has [defaults], "
                f"{self.space.name!r} has none"
            )
        return self

    @property
    def ranges(self) -> dict[str, str]:
        """Optuna parameter name -> the range searched, in words; the settings if none is."""
        if self.sampler != "defaults":
            return self.space.ranges
        return {name: f"{value} (fixed)".lower() for name, value in self.space.setting.items()}

    @property
    def learns(self) -> bool:
        """Whether what a trial tries depends on how earlier ones ended."""
        return self.sampler not in ("random", "defaults")


class VerdictSpec(Declared):
    """The question, fixed before the first trial runs.

    Args:
        primary: The arm claimed to need less tuning, then the arm it is held against.
        control: The arm with the old space's narrow literature ranges, if any.
        exact: The arm that searches the old space at the exact map of the new one, if any: it
            should do as the new one does.
        repeated: The two arms, new and old, whose searches are repeated with a sampler that
            learns: the secondary endpoint.
        k: Budget of the primary endpoint, in trials; a twentieth of ``n_trials``,
            but at least 2, if not given.
        target: A validation accuracy in (0, 1) that counts as good, if any.
        rope: Region of practical equivalence, in percentage points.
    """

    primary: tuple[str, str] | None = None
    control: str | None = None
    exact: str | None = _unless_none()
    repeated: tuple[str, str] | None = _unless_none()
    k: Count | None = None
    target: Annotated[StrictFloat, Field(gt=0, lt=1)] | None = None
    rope: Annotated[StrictFloat, Field(ge=0, le=100)] = 0.3

    def check(self, names: Sequence[str]) -> None:
        """Check that the arms it names are there, and that none has two parts.

        Raises:
            UnknownName: If an arm is not there.
            InvalidInput: If an arm has two parts.
        """
        pairs = {"primary": self.primary, "repeated": self.repeated}
        named = [name for pair in pairs.values() if pair for name in pair]
        for name in (*named, self.control, self.exact):
            if name is not None and name not in names:
                raise UnknownName("verdict: arm", name, names)
        for field, pair in pairs.items():
            if pair and pair[0] == pair[1]:
                raise InvalidInput(f"verdict.{field}: name two different arms")
        taken = list(self.primary or names[:2])
        for field, name in (("control", self.control), ("exact", self.exact)):
            if name in taken:
                raise InvalidInput(f"verdict.{field}: must be a third arm, not {name!r} again")
            taken += [name] if name else []


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

    @model_validator(mode="before")
    @classmethod
    def _refuse_claim(cls, data: Any) -> Any:  # Any: whatever the file or request held
        if isinstance(data, dict) and "kind" in data and "arms" not in data:
            raise InvalidInput("declares a claim, not a comparison; use: tuner claims FILE")
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [arm.name for arm in self.arms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidInput(f"arms: every arm needs a name of its own, {twice!r} occurs twice")
        self.verdict.check(names)
        if self.verdict.k is not None and self.verdict.k > self._smallest:
            raise InvalidInput(
                f"verdict.k: must be at most n_trials={self._smallest}, got {self.verdict.k}"
            )
        self._check_repeated()
        return self

    def _check_repeated(self) -> None:
        pair = [arm for arm in self.arms if arm.name in (self.verdict.repeated or ())]
        for what, of in (("repeats", self.repeats_of), ("n_trials", self.trials_of)):
            numbers = [of(arm) for arm in pair]
            if len(set(numbers)) > 1:
                raise InvalidInput(
                    f"verdict.repeated: both arms need the same {what}, got {numbers}"
                )

    @property
    def _smallest(self) -> int:
        """Trials of the smallest arm that the primary endpoint is about."""
        primary = self.verdict.primary or [arm.name for arm in self.arms[:2]]
        asked = (*primary, self.verdict.control)
        return min(self.trials_of(arm) for arm in self.arms if arm.name in asked)

    @property
    def k(self) -> int:
        """Budget of the primary endpoint, in trials."""
        return self.verdict.k or min(self._smallest, max(2, self._smallest // 20))

    def trials_of(self, arm: ArmSpec) -> int:
        """Trials of each of the arm's searches."""
        return arm.n_trials or self.n_trials

    def repeats_of(self, arm: ArmSpec) -> int:
        """How many searches the arm has."""
        return arm.repeats or self.repeats

    @property
    def n_searched(self) -> int:
        """Trials of all searches together, those of retraining not among them."""
        return sum(self.trials_of(arm) * self.repeats_of(arm) for arm in self.arms)

    def studies(self) -> list["StudySpec"]:
        """The searches it consists of: one study per arm and repeat, repeats in turn."""
        return [
            StudySpec(
                comparison=self.name,
                arm=arm,
                repeat=repeat,
                repeats=self.repeats_of(arm),
                workload=self.workload,
                n_trials=self.trials_of(arm),
                seed=self.seed,
            )
            for repeat in range(max(map(self.repeats_of, self.arms)))
            for arm in self.arms
            if repeat < self.repeats_of(arm)
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
        return self.arm.learns and not self.retrain

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
        return read_toml(ComparisonSpec, path)
    if name_or_path not in (known := declared()):
        raise UnknownName("comparison", name_or_path, known)
    return read_toml(ComparisonSpec, known[name_or_path])
