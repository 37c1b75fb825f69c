"""One study of a comparison: everything a worker needs to run its trials."""

import hashlib
import json
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    GetPydanticSchema,
    SerializerFunctionWrapHandler,
    StrictFloat,
    StrictInt,
    Tag,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tuner.errors import InvalidInput
from tuner.search.declared.arm_spec import ArmSpec, Name
from tuner.search.declared.files import (
    Count,
    Declared,
    refuse_too_many_items,
    refuse_unknown_keys,
    shown,
    unless_none,
)
from tuner.search.declared.whole_trials import STORED
from tuner.workload import CAME_LATER, OPTION, Objective, Workload

Part = Literal["search", "selected", "retrain"]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**53)]
CodeChanges = Literal["refused", "noted"]
TimeLimit = Annotated[StrictFloat, Field(gt=0, le=1e7)]


_WORKLOAD, _OBJECTIVE = ([field.name for field in fields(each)] for each in (Workload, Objective))
"""The fields of each."""

_KINDS = {
    field.name: type(field.default)
    for field in fields(Workload)
    if isinstance(field.default, str | bool | int | float)
}
"""Fields of a workload that are of one plain type."""


_OBJECTIVE_KINDS = {
    "objective": str,
    "epochs": int,
    "scored_on": str,
    "metric": str,
    "direction": str,
}


def _workload(
    data: Any,  # Any: unchecked outside data
    read: ValidatorFunctionWrapHandler,
    info: ValidationInfo,
) -> Workload:
    if not isinstance(data, dict):
        return read(data)  # type: ignore[no-any-return]  # pydantic's
    refuse_unknown_keys(data, _WORKLOAD)
    if info.context != STORED:
        refuse_too_many_items(data)
    for name, kind in _KINDS.items():
        if name not in data:
            continue
        value = data[name]
        if not (type(value) is kind or (kind is float and type(value) is int)):
            raise InvalidInput(f"{name}: must be of type {kind.__name__}, got {shown(value)}")
    widths = data.get("widths")
    if isinstance(widths, list) and any(isinstance(width, bool | str) for width in widths):
        raise InvalidInput(f"widths: must be whole numbers, got {shown(widths)}")
    for name in ("dataset_options", "model_options"):
        _check_options(name, data.get(name, {}))
    workload: Workload = read(data)
    if info.context != STORED:
        workload.check_network()
    return workload


def _objective(data: Any) -> Any:  # Any: unchecked outside data
    if not isinstance(data, dict):
        return data
    refuse_unknown_keys(data, _OBJECTIVE)
    refuse_too_many_items(data)
    _check_options("options", data.get("options", {}))
    for name, kind in _OBJECTIVE_KINDS.items():
        if name in data and type(data[name]) is not kind:
            raise InvalidInput(f"{name}: must be of type {kind.__name__}, got {shown(data[name])}")
    chance = data.get("chance")
    if isinstance(chance, bool) or not isinstance(chance, int | float | None):
        raise InvalidInput(f"chance: must be a number, got {shown(chance)}")
    return data


def _check_options(field: str, options: Any) -> None:  # Any: unchecked outside data
    if not isinstance(options, dict):
        raise InvalidInput(f"{field}: must be a table, got {shown(options)}")
    for name, value in options.items():
        if not isinstance(value, OPTION):
            raise InvalidInput(
                f"{field}.{name}: must be a number, a text, true or false, got {shown(value)}"
            )


def _trained_by(data: Any) -> str:  # Any: unchecked outside data
    own = isinstance(data, Objective) or (isinstance(data, dict) and "objective" in data)
    return "of-user" if own else "of-tuner"


def _as_before(
    workload: Workload | Objective, write: SerializerFunctionWrapHandler
) -> Any:  # Any: JSON
    """Leave out what came later where it says nothing: what was declared before stays the same."""
    written = write(workload)
    for name, said_nothing in CAME_LATER.items():
        if name in written and written[name] == said_nothing:
            del written[name]
    return written


def _described_as_read(schema: CoreSchema, describe: GetJsonSchemaHandler) -> JsonSchemaValue:
    """What is written looks as what is read does, of which some may be left out."""
    return describe({name: part for name, part in schema.items() if name != "serialization"})


WorkloadSpec = Annotated[
    Workload,
    WrapValidator(_workload, json_schema_input_type=Workload),
    WrapSerializer(_as_before),
    GetPydanticSchema(get_pydantic_json_schema=_described_as_read),
]
"""A workload whose keys and types are checked in our words, and whose network can be."""

ObjectiveSpec = Annotated[
    Objective,
    BeforeValidator(_objective, json_schema_input_type=Objective),
    WrapSerializer(_as_before),
    GetPydanticSchema(get_pydantic_json_schema=_described_as_read),
]
"""An objective of the user's, checked so too."""

AnyWorkloadSpec = Annotated[
    Annotated[WorkloadSpec, Tag("of-tuner")] | Annotated[ObjectiveSpec, Tag("of-user")],
    Discriminator(_trained_by),
]
"""One of the two: an objective where the key ``objective`` is given."""


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
        time_limit: Seconds that training a trial may take; of trials that train together, so
            many each. What takes longer fails.
        code_changes: What becomes of trials whose worker has another version of the user's code
            than the comparison's first had: refused, unless they are to be noted.
        seed: The comparison's.
    """

    comparison: Name
    arm: ArmSpec
    repeat: Annotated[StrictInt, Field(ge=0)] = 0
    repeats: Count = 1
    part: Part = "search"
    workload: AnyWorkloadSpec
    n_trials: Count
    k: Count | None = unless_none()
    stages: tuple[Count, ...] | None = unless_none()
    time_limit: TimeLimit | None = unless_none()
    code_changes: CodeChanges | None = unless_none()
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
