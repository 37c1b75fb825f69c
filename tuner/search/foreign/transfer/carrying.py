"""Which trials of a study are settings of a space of filters, how exactly, and which are not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tuner.errors import InvalidInput
from tuner.search.declared.carried import Carried, CarriedTrial
from tuner.search.declared.spaces import Space
from tuner.search.foreign.objectives import objective_number
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.shown import printable
from tuner.search.foreign.transfer.mapping import ParameterMapping, guessed
from tuner.translation import OPEN, AsFilter, as_filter, filter_of_sgd
from tuner.wording import count

TO_RULE = "filter_flip"
"""The rule of the spaces that can be carried into."""

_OTHER_RULES = (
    *("adam", "adamw", "nadam", "radam", "adamax", "sparseadam", "amsgrad", "adagrad", "adadelta"),
    *("rmsprop", "rprop", "lion", "lamb", "lbfgs", "adafactor", "muon"),
)
"""Optimizers that are no SGD, as a choice among optimizers names them."""


@dataclass(frozen=True)
class LeftOut:
    """A trial that is not carried, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class Transfer:
    """What becomes of a study's finished trials.

    Args:
        source: The study's name, or how it is called.
        space: The space that they are carried into.
        trials: Those carried.
        reasons: Number of each carried trial that is not exactly its filter -> why.
        left_out: The others.
        minimized: Whether a lower value is better; ``None`` where the study does not say.
        workload: What they trained, in words, of a study of this software; else ``None``.
    """

    source: str
    space: Space
    trials: tuple[CarriedTrial, ...]
    reasons: Mapping[int, str]
    left_out: tuple[LeftOut, ...]
    minimized: bool | None
    workload: str | None

    @property
    def carried(self) -> Carried:
        """For an arm.

        Raises:
            InvalidInput: If no trial was carried.
        """
        if not self.trials:
            raise InvalidInput(
                f"{self.source}: none of its {count(len(self.left_out), 'finished trial')} can be "
                f"carried into space {self.space.name!r}; the first: {self.left_out[0].reason}"
                if self.left_out
                else f"{self.source}: has no finished trial; run the study first"
            )
        return Carried(
            source=self.source,
            trials=self.trials,
            minimized=self.minimized,
            workload=self.workload,
        )


def transfer(
    record: StudyRecord,
    space: Space,
    *,
    source: str,
    least: float,
    mapping: ParameterMapping | None = None,
    objective: str | None = None,
) -> Transfer:
    """The finished trials of a study as settings of a space of filters.

    Args:
        record: The study.
        space: Of the rule ``filter_flip``.
        source: What to call the study.
        least: Weight below which a trial is left out; see ``translation.as_filter``.
        mapping: What its parameters are; guessed from their names if ``None``. Trials of this
            software have their filters recorded and need none.
        objective: Name or number of the one whose values are carried, if there are several.

    Raises:
        InvalidInput: If the space is of another rule, the study has several objectives and none
            is chosen, or the mapping does not fit it.
        UnknownName: If it has no such objective.
    """
    if space.rule != TO_RULE:
        raise InvalidInput(
            f"--to: trials are carried into spaces of the rule {TO_RULE}, and {space.name!r} is "
            f"one of {space.rule}"
        )
    number, unsaid = objective_number(record, objective), ""
    if mapping is None and not _all_recorded(record):
        mapping = guessed(record)
        unsaid = mapping.unsaid
    if mapping is not None:
        mapping.check(record)
    carried: list[CarriedTrial] = []
    reasons: dict[int, str] = {}
    left_out: list[LeftOut] = []
    for trial in record.trials:
        if not trial.state.is_finished():
            continue
        found = _found(trial, mapping, unsaid)
        try:
            one = _carried(trial, number, found, space, least)
        except InvalidInput as error:
            left_out.append(LeftOut(trial.number, str(error)))
            continue
        carried.append(one)
        if found.reason:
            reasons[trial.number] = found.reason
    said = record.directions[number : number + 1]
    return Transfer(
        source=source,
        space=space,
        trials=tuple(carried),
        reasons=reasons,
        left_out=tuple(left_out),
        minimized=said[0] == "minimize" if said else None,
        workload=record.trained,
    )


def _all_recorded(record: StudyRecord) -> bool:
    """Whether every trial with a value says itself which filter it is."""
    ended = [trial for trial in record.trials if trial.state == TrialState.COMPLETE]
    return bool(ended) and all(_recorded(trial) is not None for trial in ended)


def _recorded(trial: FrozenTrial) -> Mapping[str, Any] | None:  # Any: JSON
    run = trial.user_attrs.get("run")
    record = run.get("filter") if isinstance(run, dict) else None
    known = {"real", "alpha", "gamma", "schedule", "conditions"}
    return record if isinstance(record, dict) and known <= record.keys() else None


def _found(trial: FrozenTrial, mapping: ParameterMapping | None, unsaid: str) -> AsFilter:
    """The trial as a filter: by the mapping, else by its own record.

    Args:
        trial: It.
        mapping: What its parameters are; ``None`` if it recorded its filter.
        unsaid: What the mapping took for granted that nobody said.
    """
    if mapping is None:
        record = _recorded(trial)
        if record is None:
            return AsFilter(None, 0.0, "it recorded no filter, for it did not end")
        return as_filter(record)
    unknown = sorted(trial.params.keys() - mapping.parameters)
    for name in unknown:
        if str(trial.params[name]).lower() in _OTHER_RULES:
            return AsFilter(None, 0.0, f"its {printable(name)} is {trial.params[name]}, no SGD")
    try:
        settings = mapping.of(trial)
    except InvalidInput as error:
        return AsFilter(None, 0.0, str(error))
    found = as_filter(asdict(filter_of_sgd(settings, mapping.steps)[0]))
    doubts = []
    if unsaid:
        doubts.append(f"nobody said that it had {unsaid}: name them in --mapping FILE")
    if unknown:
        names = ", ".join(map(printable, unknown))
        doubts.append(f"what {names} did is not known: not in the mapping")
    if not doubts:
        return found
    reason = "; ".join(filter(None, (*doubts, found.reason)))
    return replace(found, weight=min(found.weight, OPEN), reason=reason)


def _carried(
    trial: FrozenTrial, objective: int, found: AsFilter, space: Space, least: float
) -> CarriedTrial:
    """The trial as one of the space, with its value in one of the objectives.

    Raises:
        InvalidInput: With the reason why it is none.
    """
    if trial.state != TrialState.COMPLETE or trial.values is None:
        raise InvalidInput(f"it did not complete ({trial.state.name.lower()})")
    if not isfinite(value := trial.values[objective]):
        raise InvalidInput(f"its value is {value}")
    if found.settings is None:
        raise InvalidInput(found.reason)
    if found.weight < least:
        raise InvalidInput(f"weight {found.weight:g} is below {least:g}: {found.reason}")
    fixed = [name for name, value in space.fixed.items() if found.settings.get(name) != value]
    if fixed:
        raise InvalidInput(f"space {space.name!r} fixes {fixed[0]} at {space.fixed[fixed[0]]}")
    searched = {name: found.settings[name] for name in space.parameters}
    one = CarriedTrial(number=trial.number, settings=searched, value=value, weight=found.weight)
    one.in_space(space)
    return one
