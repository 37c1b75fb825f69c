"""Any Optuna study as an arm of a comparison, whoever made it."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.compare.arm import Arm, SelectedRuns
from tuner.compare.comparison import Comparison, judged
from tuner.compare.protocol import ACCURACY, Protocol
from tuner.compare.statistics.batches import batch_of
from tuner.errors import InvalidInput, NotFound, UnknownName
from tuner.search.database.opening import connect_optuna, normalise
from tuner.search.database.store import Store
from tuner.search.declared.arm_spec import Searching
from tuner.search.results.draws import draws
from tuner.search.results.records import epochs_of, filters_of, selected_runs
from tuner.search.results.scores import failures, score
from tuner.search.results.trial_importance import importances

Direction = Literal["maximize", "minimize"]
SAMPLERS: tuple[str, ...] = (*get_args(Searching), "other")
"""What may be said to have drawn the trials of a study that does not say so itself."""
_WIDEST_ROPE = 0.1
"""Of accuracies: a wider one was meant in points."""
_MOST_NAMED = 20
"""Studies that an error names."""


@dataclass(frozen=True)
class ForeignArm:
    """A study as an arm.

    Args:
        arm: Its finished trials, turned so that higher is better.
        minimized: Whether they were turned, so that a score is the value with the opposite sign.
        notes: What was done to them, for the reader of the comparison.
        trials: The finished trials, in the arm's order.
        workload: What was trained, if the study says so: those of this software do.
    """

    arm: Arm
    minimized: bool
    notes: tuple[str, ...]
    trials: tuple[FrozenTrial, ...]
    workload: Mapping[str, object] | None = None


def foreign_arm(
    address: str,
    *,
    name: str | None = None,
    direction: Direction | None = None,
    sampler: str | None = None,
) -> ForeignArm:
    """The finished trials of the Optuna study at an address as an arm; see ``arm_of``.

    Args:
        address: ``URL::STUDY``, such as ``sqlite:///a.db::old``.
        name: What to call the arm; the study's name if not given.
        direction: ``"maximize"`` or ``"minimize"`` in place of the study's own direction.
        sampler: In place of the one that the study names, one of ``SAMPLERS``.

    Raises:
        InvalidInput: If the address is malformed, the study has several objectives, or none of
            its trials has a value.
        UnknownName: If the database holds no such study.
        DatabaseProblem: If the database cannot be read.
    """
    url, study_name = _parts(address)
    storage = connect_optuna(normalise(url), must_exist=True, foreign=True)
    try:
        names = optuna.get_all_study_names(storage)
        if study_name not in names:
            raise UnknownName(f"study in {url}", study_name, names)
        study = optuna.load_study(study_name=study_name, storage=storage)
        return arm_of(study, name=name, direction=direction, sampler=sampler)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _parts(address: str) -> tuple[str, str]:
    """Database and study: they part at the first ``::`` that is not of an IPv6 host."""
    parts = re.fullmatch(r"((?:\[[^]]*\]|.)+?)::(.+)", address, re.DOTALL)
    if parts is None:
        raise InvalidInput(
            f"study {address!r}: write DATABASE::STUDY, such as sqlite:///a.db::old"
        )
    return parts[1], parts[2]


def arm_of(
    study: Study,
    *,
    name: str | None = None,
    direction: Direction | None = None,
    sampler: str | None = None,
) -> ForeignArm:
    """The finished trials of an Optuna study as an arm.

    Failed trials, and those that ended without a finite value, score the worst value that the
    study saw; pruned trials score their last reported value; unfinished trials are left out, and
    so is what is no draw of the sampler (``draws``).

    Args:
        study: Of one objective.
        name: What to call the arm; the study's name if not given.
        direction: ``"maximize"`` or ``"minimize"`` in place of the study's own direction.
        sampler: In place of the one that the study names, one of ``SAMPLERS``.

    Raises:
        InvalidInput: If the study has several objectives, or none of its trials has a value.
    """
    if len(study.directions) > 1:
        raise InvalidInput(
            f"study {study.study_name!r} has {len(study.directions)} objectives; "
            "only studies with one can be compared"
        )
    trials = study.get_trials(deepcopy=False)
    declared = "minimize" if study.direction == StudyDirection.MINIMIZE else "maximize"
    own = study.user_attrs.get("spec")  # ours is a table; others may call anything so
    spec = own if isinstance(own, dict) and isinstance(own.get("arm"), dict) else {}
    minimized = (direction or declared) == "minimize"
    said = spec.get("arm", {}).get("sampler", "unknown")
    called = name or study.study_name
    arm = _arm(trials, name=called, minimized=minimized, sampler=sampler or said)
    notes = arm.notes
    if sampler is not None and said not in ("unknown", sampler):
        notes = (*notes, f"{called}: the study says {said}; --sampler {sampler} overrides it")
    if direction not in (None, declared):
        notes = (
            f"{arm.arm.name}: the study says {declared}; --direction {direction} overrides it",
            *notes,
        )
    chosen = _selected(study, minimized=minimized) if spec else None
    return replace(
        arm,
        arm=replace(arm.arm, selected=chosen),
        notes=notes,
        workload=spec.get("workload"),
    )


def _selected(study: Study, *, minimized: bool) -> SelectedRuns | None:
    """What the searches in a study of ours selected, trained afresh, if its database has it."""
    name, storage = f"{study.study_name}/selected", study._storage
    if minimized or name not in optuna.get_all_study_names(storage):
        return None
    afresh = optuna.load_study(study_name=name, storage=storage)
    spec = afresh.user_attrs.get("spec")
    if not (isinstance(spec, dict) and spec.get("part") == "selected"):
        return None
    trials = afresh.get_trials(deepcopy=False)
    return selected_runs(trials, planned=spec["n_trials"], k=spec.get("k"))


def compare_studies(
    studies: Sequence[Study | str],
    protocol: Protocol,
    *,
    direction: Direction | None = None,
    sampler: str | None = None,
    with_importances: bool = False,
    on_arm: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare any Optuna studies, whoever made them; the command, the server and Python share it.

    An arm is called by its study, with its database if two studies have one name. All scores are
    turned so that higher is better; where the studies minimize, the protocol's target is turned
    too. A failed trial scores the worst value that any of the studies saw, 0 for accuracies.

    Args:
        studies: The new space first, the old one second, then any others: studies, or addresses
            such as ``sqlite:///a.db::new``.
        protocol: What was fixed beforehand, its target in the studies' own units; ``primary``
            is the first study against the second.
        direction: In place of the studies' own.
        sampler: In place of what the studies say of themselves, one of ``SAMPLERS``.
        with_importances: Whether to say which hyperparameters matter: seconds for each study.
        on_arm: Hears the name of each arm whose importances are next.

    Raises:
        InvalidInput: If a study cannot be compared (see ``arm_of``), the studies trained
            different workloads, some of them are minimized and others maximized, or the region
            of equivalence is wider than accuracies can sensibly have.
        UnknownName: If a study or the sampler does not exist.
        DatabaseProblem: If a database cannot be read.
    """
    if protocol.unit == ACCURACY and protocol.rope >= _WIDEST_ROPE:
        rope = protocol.rope
        raise InvalidInput(
            f"--rope: accuracies are shares, so {rope:g} is ±{100 * rope:g} points; for "
            f"±{rope:g} points give {rope / 100:g}"
        )
    if sampler is not None and sampler not in SAMPLERS:
        raise UnknownName("--sampler", sampler, SAMPLERS)
    read = _read(studies, direction, sampler)
    check_workloads(read)
    twice = next((study for i, study in enumerate(studies) if study in studies[:i]), None)
    if twice is not None:
        name = twice if isinstance(twice, str) else twice.study_name
        raise InvalidInput(f"study {name!r} is given twice: a study is not held against itself")
    if len({each.minimized for each in read}) > 1:
        raise InvalidInput(
            "some of these studies minimize and others maximize; --direction says what holds"
        )
    if read and read[0].minimized:
        target = None if protocol.target is None else -protocol.target
        protocol = replace(protocol, target=target, unit=f"negated {protocol.unit}")
    arms = [each.arm for each in read]
    if len(arms) > 1:
        protocol = replace(protocol, primary=(arms[0].name, arms[1].name))
        worst = 0.0 if protocol.unit == ACCURACY else min(float(arm.scores.min()) for arm in arms)
        arms = [replace(arm, scores=np.where(arm.failed, worst, arm.scores)) for arm in arms]
    if with_importances:
        for i, each in enumerate(read):
            if on_arm is not None:
                on_arm(arms[i].name)
            found = importances(each.trials, arms[i].scores, sampler=arms[i].sampler)
            arms[i] = replace(arms[i], importance=found)
    notes = [note for each in read for note in each.notes]
    return judged(arms, protocol, notes=notes)


def stored_studies(store: Store, names: Sequence[str]) -> list[Study]:
    """Studies of one database by their names, whoever made them.

    Raises:
        NotFound: If there is none of a name.
    """
    there = set(optuna.get_all_study_names(store.optuna))
    for name in names:
        if name not in there:
            known = ", ".join(sorted(there)[:_MOST_NAMED]) or "none yet"
            more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
            raise NotFound(f"there is no study {name!r} (there are {known}{more})")
    return [optuna.load_study(study_name=name, storage=store.optuna) for name in names]


def _read(
    studies: Sequence[Study | str], direction: Direction | None, sampler: str | None
) -> list[ForeignArm]:
    names = [_parts(study)[1] if isinstance(study, str) else study.study_name for study in studies]
    return [
        arm_of(study, direction=direction, sampler=sampler)
        if isinstance(study, Study)
        else foreign_arm(
            study,
            name=name if names.count(name) == 1 else study,
            direction=direction,
            sampler=sampler,
        )
        for study, name in zip(studies, names, strict=True)
    ]


def check_workloads(arms: Sequence[ForeignArm]) -> None:
    """Refuse studies that say that they trained different workloads.

    Raises:
        InvalidInput: Names the studies and what differs.
    """
    known = [(each.arm.name, each.workload) for each in arms if each.workload is not None]
    for name, workload in known[1:]:
        first, reference = known[0]
        for field in sorted({*workload, *reference}):
            ours, theirs = reference.get(field), workload.get(field)
            if ours != theirs:
                raise InvalidInput(
                    f"studies {first!r} and {name!r} trained different workloads ({field}: "
                    f"{ours!r} and {theirs!r}), so their scores do not compare"
                )


def _arm(trials: list[FrozenTrial], *, name: str, minimized: bool, sampler: str) -> ForeignArm:
    finished = [trial for trial in trials if trial.state.is_finished()]
    ended, notes = draws(finished, name, random=sampler == "random")
    failed = failures(ended)
    seconds = np.array([_seconds(trial) for trial in ended])
    arm = Arm(
        name=name,
        scores=score(ended, name, sign=-1 if minimized else 1),
        seconds=seconds,
        failed=failed,
        pruned=np.array([trial.state == TrialState.PRUNED for trial in ended]),
        sampler=sampler,
        ranges=_ranges(ended),
        epochs=epochs_of(ended),
        batch=batch_of(seconds) if all(_run(trial) for trial in ended) else None,
        filters=filters_of(ended) if ended else None,
    )
    if left_out := len(trials) - len(finished):
        notes.append(f"{name}: {left_out} unfinished trials are left out")
    if without := sum(trial.state == TrialState.FAIL for trial in ended):
        notes.append(
            f"{name}: {without} failed trials score the worst value seen, 0 for accuracies"
        )
    if pruned := sum(trial.state == TrialState.PRUNED for trial in ended):
        notes.append(
            f"{name}: {pruned} pruned trials score their last reported value, which is no result "
            "of a whole trial"
        )
    if backwards := sum(not _run(trial) and _clock(trial) < 0 for trial in ended):
        notes.append(
            f"{name}: {backwards} trials ended before they began by their machine's clock, as at "
            "the end of summer time; how long they took is not known"
        )
    if minimized:
        notes.append(f"{name}: minimized, so its values are shown with the opposite sign")
    if arm.filters is None:
        notes.append(
            f"{name}: its trials recorded no gradient filter and no epochs, so the plane of "
            "filters, the redundancy and the budget in epochs are left out"
        )
    return ForeignArm(arm, minimized, tuple(notes), tuple(ended))


def _run(trial: FrozenTrial) -> dict[str, Any]:  # Any: what our trainer recorded
    """What this software recorded of the trial; empty if another trained it."""
    said = trial.user_attrs.get("run")
    return said if isinstance(said, dict) and isinstance(said.get("seconds"), float) else {}


def _seconds(trial: FrozenTrial) -> float:
    if ours := _run(trial):
        return float(ours["seconds"])  # its batch took longer
    lasted = _clock(trial)
    return lasted if lasted >= 0 else math.nan


def _clock(trial: FrozenTrial) -> float:
    """Seconds from its beginning to its end by the clock on the wall; NaN where unknown."""
    return trial.duration.total_seconds() if trial.duration is not None else math.nan


def _ranges(trials: list[FrozenTrial]) -> dict[str, str]:
    distributions: dict[str, BaseDistribution] = {}
    for trial in trials:
        distributions |= trial.distributions
    return {name: _in_words(kind) for name, kind in distributions.items()}


def _in_words(kind: BaseDistribution) -> str:
    if isinstance(kind, CategoricalDistribution):
        return ", ".join(map(_choice, kind.choices))
    if isinstance(kind, FloatDistribution | IntDistribution):
        step = "" if kind.step in (None, 1) else f", step {kind.step:.12g}"
        return f"{kind.low:.12g} .. {kind.high:.12g}" + (", log" if kind.log else step)
    return str(kind)


def _choice(choice: Any) -> str:  # Any: None, a truth value, a number or a text
    """As in TOML, but a text without quotes where it cannot be taken for anything else."""
    if isinstance(choice, str):
        plain = re.fullmatch(r"(?!(true|false|None)$)[^\W\d][\w.-]*", choice)
        return choice if plain else json.dumps(choice, ensure_ascii=False)
    return str(choice).lower() if isinstance(choice, bool) else str(choice)
