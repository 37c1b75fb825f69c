"""One study of a comparison: everything a worker needs to run its trials."""

import hashlib
import json
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from tuner.errors import InvalidInput
from tuner.search.declared.arm_spec import ArmSpec, Name
from tuner.search.declared.files import Count, Declared, refuse_unknown_keys, unless_none
from tuner.workload import Workload

Part = Literal["search", "selected", "retrain"]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**53)]


def _workload(data: Any) -> Any:  # Any: unchecked outside data
    if isinstance(data, dict):
        refuse_unknown_keys(data, (field.name for field in fields(Workload)))
        for field in fields(Workload):
            value, kind = data.get(field.name, field.default), type(field.default)
            exact = type(value) is kind or (kind is float and type(value) is int)
            if not exact and kind is not tuple:
                raise InvalidInput(f"{field.name}: must be of type {kind.__name__}, got {value!r}")
    return data


WorkloadSpec = Annotated[Workload, BeforeValidator(_workload, json_schema_input_type=Workload)]
"""A workload whose keys and types are checked in our words."""


class StudySpec(Declared):
    """One Optuna study: everything a worker needs to run its trials.

    Args:
        comparison: The comparison it belongs to.
        arm: Space, sampler and pruner.
        repeat: Which of the arm's searches, from 0.
        repeats: How many searches the arm has.
        part: What it is of the comparison: a search; or, test accuracy included, the settings
            that an arm's searches selected, or its incumbent, trained afresh.
        workload: What is trained.
        n_trials: Its budget.
        k: Of settings selected: the trials of each search; ``None`` of whole searches.
        stages: Numbers of its trials after which there is a look: those before and after one never
            train together, so that nothing hangs on when they were handed out.
        seed: The comparison's.
    """

    comparison: Name
    arm: ArmSpec
    repeat: Annotated[StrictInt, Field(ge=0)] = 0
    repeats: Count = 1
    part: Part = "search"
    workload: WorkloadSpec
    n_trials: Count
    k: Count | None = unless_none()
    stages: tuple[Count, ...] | None = unless_none()
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _as_written_before(cls, data: Any) -> Any:  # Any: what a database holds
        """Databases of version 0.1 say ``retrain``."""
        if isinstance(data, dict) and "retrain" in data:
            data = dict(data)
            data["part"] = "retrain" if data.pop("retrain") else "search"
        return data

    @property
    def learns(self) -> bool:
        """Whether what a trial tries depends on how earlier ones ended."""
        return self.arm.learns and not self.trains_afresh

    @property
    def trains_afresh(self) -> bool:
        """Whether it trains settings of a search again instead of searching."""
        return self.part != "search"

    @property
    def study_name(self) -> str:
        """What it is called in Optuna: comparison/arm, /repeat if several, /selected, /retrain."""
        name = f"{self.comparison}/{self.arm.name}"
        if self.trains_afresh:
            return f"{name}/{self.part}"
        return name if self.repeats == 1 else f"{name}/{self.repeat}"

    def batch_at(self, position: int, size: int) -> range:
        """The positions of the batch that a trial belongs to, of this size where it is whole."""
        stages = (0, *(self.stages or ()), self.n_trials)
        start = max(stage for stage in stages if stage <= position)
        stop = min(stage for stage in stages if stage > position)
        first = start + (position - start) // size * size
        return range(first, min(first + size, stop))

    def trial_seed(self, index: int) -> int:
        """Seed of trial ``index``, below 2^53: the same in every arm; odd if trained afresh."""
        what = ("selected",) if self.part == "selected" else ()
        return 2 * _stable_hash(self.seed, self.repeat, index, *what, bits=52) + self.trains_afresh

    def sampler_seed(self, index: int) -> int:
        """Seed of the sampler for trial ``index``, below 2^32; every arm has its own."""
        return _stable_hash(self.seed, self.arm.name, self.repeat, index, bits=32)


def _stable_hash(*parts: int | str, bits: int) -> int:
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)
