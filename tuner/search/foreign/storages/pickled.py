"""Studies of Optuna's that were pickled, by ``pickle.dump`` or ``joblib.dump``."""

import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from tuner.errors import InvalidInput
from tuner.search.foreign.exports.cells import Setting
from tuner.search.foreign.exports.distributions import distribution_of, plain, setting_of
from tuner.search.foreign.exports.inert import Inert, loaded
from tuner.search.foreign.exports.packed import unpacked
from tuner.search.foreign.exports.tables import told_apart
from tuner.search.foreign.record import Direction, StudyRecord

_STARTS = (
    *(bytes([0x80, protocol]) for protocol in range(2, 6)),
    b"ccopy_reg\n",
    b"ccopyreg\n",
    b"(lp0\n",
)
_DIRECTIONS: dict[object, Direction] = {
    1: "minimize",
    2: "maximize",
    "MINIMIZE": "minimize",
    "MAXIMIZE": "maximize",
}
_UNNAMED = "no-name"
_TUPLE = (
    *("trial_id", "state", "value", "datetime_start", "datetime_complete", "params"),
    *("user_attrs", "system_attrs", "intermediate_values", "params_in_internal_repr"),
)
"""What a trial was made from when it was a tuple, before Optuna 0.10."""


def recognises(path: Path) -> bool:
    """Whether a file is a pickle, packed or not."""
    if path.is_dir():
        return False
    try:
        return unpacked(path, 64).startswith(_STARTS)
    except InvalidInput:
        return False


@contextmanager
def studies_in(path: Path) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies in a pickle: a study, a list of trials, or what holds studies.

    Nothing that it names is imported or run.

    Raises:
        InvalidInput: If it is no whole pickle or holds no study, or the study's trials are
            elsewhere.
    """
    try:
        content = loaded(unpacked(path))
    except pickle.UnpicklingError as error:
        words = " ".join(str(error).split())[:200]
        raise InvalidInput(
            f"pickle {path}: cannot be read ({words}); copy it afresh, or export the study with "
            "study.trials_dataframe().to_csv(FILE)"
        ) from error
    try:
        records = [_record(path, *pair) for pair in _studies(path, content)]
    except RecursionError as error:
        raise InvalidInput(
            f"pickle {path}: an attribute of its study holds itself; remove it, and pickle the "
            "study again"
        ) from error
    if not records:
        raise InvalidInput(
            f"pickle {path}: must hold a study of Optuna's or a list of its trials, got "
            f"{type(content).__name__}; pickle the study itself"
        )
    names = told_apart([record.name for record in records])
    yield {name: replace(record, name=name) for name, record in zip(names, records, strict=True)}


def _studies(path: Path, content: object) -> Iterator[tuple[str, Inert | list[object]]]:
    """The studies in a pickle as their names and what has their trials."""
    seen: set[int] = set()
    waiting = deque([content])
    while waiting:
        each = waiting.popleft()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Inert):
            if each.is_a("Study"):
                yield _of_study(path, each)
            elif each.is_a("InMemoryStorage"):
                yield from _of_storage(each)
            else:
                waiting += each.fields.values()
        elif isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            if each and all(isinstance(it, Inert) and it.is_a("FrozenTrial") for it in each):
                yield path.name.partition(".")[0], list(each)
            else:
                waiting += each


def _of_study(path: Path, study: Inert) -> tuple[str, Inert]:
    storage = study.get("storage")
    if not isinstance(storage, Inert):
        raise InvalidInput(f"pickle {path}: its study has no storage; export the study afresh")
    if not storage.is_a("InMemoryStorage"):
        name = study.get("study_name")
        raise InvalidInput(
            f"pickle {path}: holds only the address of the study {name}, not its trials; read "
            f"them there: {_address(storage)}::{name}"
        )
    studies = dict(_of_storage(storage))
    name = str(study.get("study_name") or next(iter(studies), _UNNAMED))
    if name in studies:
        return name, studies[name]
    identifier = study.get("study_id", 0)
    kept = storage.get("studies")
    found = kept.get(identifier) if isinstance(kept, Mapping) else storage
    if not isinstance(found, Inert):
        raise InvalidInput(
            f"pickle {path}: its study {name} has no trials; export the study afresh"
        )
    return name, found


def _of_storage(storage: Inert) -> Iterator[tuple[str, Inert]]:
    """The studies in memory; of Optuna before 1.4 the one that the storage itself was."""
    kept = storage.get("studies")
    if isinstance(kept, Mapping):
        for study in kept.values():
            if isinstance(study, Inert):
                yield str(study.get("name")), study
    elif isinstance(storage.get("trials"), list):
        yield str(storage.get("study_name") or _UNNAMED), storage


def _address(storage: Inert) -> str:
    """Where a storage keeps its studies, without a password."""
    inner = storage.get("backend")
    if isinstance(inner, Inert):
        return _address(inner)
    if storage.get("file_path") is not None:
        return str(storage.get("file_path"))
    if storage.get("host") is not None:
        return f"grpc://{storage.get('host')}:{storage.get('port')}"
    try:
        return make_url(str(storage.get("url"))).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return f"its {type(storage).__name__}"


def _record(path: Path, name: str, kept: Inert | list[object]) -> StudyRecord:
    if isinstance(kept, list):
        return StudyRecord(name=name, trials=_trials(path, kept, {}))
    trials = kept.get("trials")
    directions = kept.get("directions")
    said = directions if isinstance(directions, list | tuple) else [kept.get("direction")]
    known = [_DIRECTIONS.get(_member(each)) for each in said]
    system_attrs = _mapping(kept.get("system_attrs", kept.get("study_system_attrs")))
    metrics = system_attrs.get("study:metric_names")
    return StudyRecord(
        name=name,
        trials=_trials(
            path, trials if isinstance(trials, list) else [], kept.get("param_distribution")
        ),
        objectives=tuple(map(str, metrics)) if isinstance(metrics, list) else (),
        directions=tuple(each for each in known if each is not None),
        user_attrs=_mapping(kept.get("user_attrs", kept.get("study_user_attrs"))),
        system_attrs=system_attrs,
    )


def _trials(path: Path, kept: Iterable[object], ranges: object) -> tuple[FrozenTrial, ...]:
    trials = [_trial(path, number, each, ranges) for number, each in enumerate(kept)]
    return tuple(sorted(trials, key=lambda trial: trial.number))


def _trial(path: Path, position: int, kept: object, ranges: object) -> FrozenTrial:
    """A trial, whichever Optuna pickled it: the names of its attributes changed.

    Args:
        path: The file, for messages.
        position: Where the trial is in its study.
        kept: What the pickle has of it.
        ranges: The study's, for trials of which each has none of its own.
    """
    if isinstance(kept, Inert) and len(kept.args) == len(_TUPLE):
        kept.fields |= dict(zip(_TUPLE, kept.args, strict=True))
    state = _state(_member(kept.get("state"))) if isinstance(kept, Inert) else None
    if not isinstance(kept, Inert) or state is None:
        raise InvalidInput(
            f"pickle {path}: trial {position} has no state that is known; export the study with "
            "the Optuna that made it: study.trials_dataframe().to_csv(FILE)"
        )
    number = kept.get("number")
    params = _params(kept.get("params"))
    own = kept.get("distributions", ranges)
    items = own.items() if isinstance(own, Mapping) else ()
    try:
        distributions = {
            str(name): distribution_of(each) for name, each in items if name in params
        }
    except (ValueError, ArithmeticError) as error:
        raise InvalidInput(
            f"pickle {path}: trial {position}: {error}; export the study with the Optuna that "
            "made it: study.trials_dataframe().to_csv(FILE)"
        ) from error
    return FrozenTrial(
        number=number if isinstance(number, int) else position,
        state=state,
        value=None,
        values=_values(kept),
        datetime_start=_moment(kept.get("datetime_start")),
        datetime_complete=_moment(kept.get("datetime_complete")),
        params=params,
        distributions=distributions,
        user_attrs=_mapping(kept.get("user_attrs")),
        system_attrs=_mapping(kept.get("system_attrs")),
        intermediate_values=_intermediate(kept.get("intermediate_values")),
        trial_id=position,
    )


def _values(kept: Inert) -> list[float] | None:
    values = kept.get("values")
    if isinstance(values, list | tuple):
        return [float(each) for each in values if isinstance(each, int | float)]
    value = kept.get("value")
    return [float(value)] if isinstance(value, int | float) else None


def _state(member: object) -> TrialState | None:
    if isinstance(member, str):
        return TrialState.__members__.get(member)
    return next((state for state in TrialState if state.value == member), None)


def _member(kept: object) -> object:
    """The value, or the name, of a member of an enumeration."""
    return kept.args[0] if isinstance(kept, Inert) and kept.args else kept


def _moment(kept: object) -> datetime | None:
    return kept if isinstance(kept, datetime) else None


def _params(kept: object) -> dict[str, Setting]:
    items = kept.items() if isinstance(kept, Mapping) else ()
    return {str(name): setting_of(value) for name, value in items}


def _mapping(kept: object) -> dict[str, object]:
    items = kept.items() if isinstance(kept, Mapping) else ()
    return {str(name): plain(value) for name, value in items}


def _intermediate(kept: object) -> dict[int, float]:
    items = kept.items() if isinstance(kept, Mapping) else ()
    return {
        int(step): float(value)
        for step, value in items
        if isinstance(step, int | float) and isinstance(value, int | float)
    }
