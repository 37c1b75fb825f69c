"""From a comparison's finished trials to the arms and the protocol of ``tuner.compare``."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from tuner.compare.arm import Arm, Retrained, SelectedRuns
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.batches import batch_of
from tuner.compare.summary import ArmSummary, summarize
from tuner.search.database.finished import finished_trials, incumbent, run_of, uncollected
from tuner.search.database.store import Store
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.declared.study_spec import Part, StudySpec
from tuner.search.results.records import (
    code_of,
    data_of,
    epochs_of,
    filters_of,
    hits_of,
    selected_runs,
)
from tuner.search.results.scores import NothingToCompare, failures, score
from tuner.search.results.trial_importance import importances
from tuner.workload import ACCURACY, AnyWorkload, chance, in_words, scored_on


def arms(store: Store, comparison: str) -> tuple[list[Arm], Protocol]:
    """The arms of a comparison as far as it was run, and what was declared about it.

    Args:
        store: The database.
        comparison: Its name.

    An arm outside the primary contrast of which no trial has a score yet is left out, and
    ``protocol.interim`` names it.

    Raises:
        UnknownName: If the database holds no such comparison.
        InvalidInput: If no trial of an arm of the primary contrast has a score yet.
    """
    spec = store.comparison(comparison)
    arms = [arm for arm, _ in _read(store, spec)]
    return arms, _protocol(store, spec, arms)


def arms_in_full(
    store: Store, comparison: str, *, on_arm: Callable[[str], None] | None = None
) -> tuple[list[Arm], Protocol]:
    """As ``arms``, with how much each hyperparameter matters: that takes seconds for each arm.

    Not for repeated searches, and not for arms that search nothing.

    Args:
        store: The database.
        comparison: Its name.
        on_arm: Hears the name of each arm whose turn it is.
    """
    spec = store.comparison(comparison)
    with uncollected():
        read = _read(store, spec)
        protocol = _protocol(store, spec, [arm for arm, _ in read])
        arms = []
        for arm, trials in read:
            if arm.searched and protocol.searched_once(arm.name):
                if on_arm is not None:
                    on_arm(arm.name)
                found = importances(trials, arm.scores, sampler=arm.sampler)
                arm = replace(arm, importance=found)
            arms.append(arm)
    return arms, protocol


def _protocol(store: Store, spec: ComparisonSpec, arms: Sequence[Arm]) -> Protocol:
    """What was declared, as far as these arms have the trials for it."""
    verdict, names, pair = spec.verdict, {arm.name for arm in arms}, spec.verdict.repeated
    accuracy = spec.workload.unit == ACCURACY
    declared = Protocol(
        primary=verdict.primary,
        control=_control(spec, arms),
        exact=verdict.exact if verdict.exact in names else None,
        repeated=pair if pair is not None and names.issuperset(pair) else None,
        k=spec.k,
        target=verdict.target,
        rope=verdict.rope / 100 if accuracy else verdict.rope,
        unit=spec.workload.unit,
        looks=verdict.looks or (),
        workload=in_words(spec.workload),
        declaration_hash=declaration_hash(spec),
        chance=chance(spec.workload),
        scored_on=scored_on(spec.workload),
        data=next((data for arm in arms for data in arm.data), None),
        interim=_interim(store, spec, arms),
    )
    return declared.turned if spec.workload.minimized else declared


def _control(spec: ComparisonSpec, arms: Sequence[Arm]) -> str | None:
    """The control, if it has the trials to judge."""
    enough = {arm.name for arm in arms if arm.n >= spec.k}
    return spec.verdict.control if spec.verdict.control in enough else None


def _interim(store: Store, spec: ComparisonSpec, arms: Sequence[Arm]) -> str:
    """What is missing of the declared trials, in words; empty if nothing is."""
    names, budgets = {arm.name for arm in arms}, store.budgets(spec.name)
    absent = [arm.name for arm in spec.arms if arm.name not in names]
    ended, control = sum(arm.n for arm in arms), spec.verdict.control
    whole = (
        spec.n_searched
        if spec.undecided(budgets)
        else sum(budgets[study.study_name] for study in spec.studies())
    )
    if ended < whole:
        none = f", {' and '.join(absent)} without any that has a score" if absent else ""
        how = "cancelled with " if store.status(spec.name) == "cancelled" else ""
        sentence = f"{how}{ended:,} of {spec.n_searched:,} declared trials{none}"
        if control != _control(spec, arms):
            sentence += f"; too few of {control} to tell whether the verdict hangs on the ranges"
        return sentence
    lost = {arm.name for arm in arms if arm.failed.all()}
    waiting: dict[Part, list[str]] = {}
    for arm in spec.arms:
        for study in spec.afresh(arm):
            ended = len(finished_trials(store, study.study_name))
            if arm.name not in lost and ended < budgets.get(study.study_name, 0):
                waiting.setdefault(study.part, []).append(arm.name)
    if untried := waiting.get("selected"):
        return f"what the searches of {', '.join(untried)} selected is not yet trained afresh"
    if untried := waiting.get("retrain"):
        return f"the best settings of {', '.join(untried)} are not yet retrained"
    return ""


def study_summary(store: Store, study: StudySpec) -> tuple[ArmSummary, Protocol]:
    """One search by itself, its scores as they are compared, and by which rules.

    Raises:
        InvalidInput: If it has no finished trial yet.
    """
    protocol = Protocol(
        workload=in_words(study.workload),
        unit=study.workload.unit,
        minimized=study.workload.minimized,
    )
    trials = finished_trials(store, study.study_name)
    searched = _searched(study.arm, study.study_name, trials, study.workload)
    summary = summarize(searched, 1, protocol)
    return summary, protocol


def _read(store: Store, spec: ComparisonSpec) -> list[tuple[Arm, list[FrozenTrial]]]:
    """The arms and their trials, but for those that the verdict can do without and must."""
    read = []
    for arm in spec.arms:
        try:
            read.append(_arm(store, spec, arm))
        except NothingToCompare:
            if arm.name in spec.primary:
                raise
    return read


def _arm(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> tuple[Arm, list[FrozenTrial]]:
    """The arm, and its trials: read once, since others may finish meanwhile."""
    with_repeats = [
        (study.repeat, trial)
        for study in spec.studies()
        if study.arm == arm
        for trial in finished_trials(store, study.study_name)
    ]
    trials = [trial for _, trial in with_repeats]
    repeats = np.array([repeat for repeat, _ in with_repeats])
    read = replace(
        _searched(arm, arm.name, trials, spec.workload),
        retrained=_retrained(store, spec, arm),
        selected=_selected(store, spec, arm),
        repeat=repeats if spec.repeats_of(arm) > 1 else None,
        search_length=spec.trials_of(arm),
    )
    return read, trials


def _searched(
    arm: ArmSpec, name: str, trials: Sequence[FrozenTrial], workload: AnyWorkload
) -> Arm:
    """The arm's trials, without what was retrained."""
    seconds = [run_of(trial).get("seconds", math.nan) for trial in trials]
    return Arm(
        name=name,
        scores=score(trials, name, sign=_sign(workload), worst=_worst(workload)),
        seconds=np.array(seconds),
        batch=batch_of(np.array(seconds)),
        failed=failures(trials),
        pruned=np.array([trial.state == TrialState.PRUNED for trial in trials]),
        sampler=arm.sampler,
        ranges=arm.ranges,
        epochs=epochs_of(trials),
        filters=filters_of(trials),
        code=code_of(trials),
        data=data_of(trials),
        settings=tuple(trial.params for trial in trials),
        carried="" if arm.carried is None else arm.carried.in_words(in_words(workload)),
    )


def _retrained(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> Retrained | None:
    if not spec.retrain_seeds:
        return None
    again = [
        trial
        for trial in finished_trials(store, spec.retraining(arm).study_name)
        if trial.state == TrialState.COMPLETE and "test_accuracy" in trial.user_attrs
    ]  # one that was ended by hand, in the dashboard, was tested on nothing
    best = incumbent(store, spec, arm)
    if not again or best is None:
        return None
    return Retrained(
        settings=run_of(best).get("settings", best.params),
        val=_sign(spec.workload) * np.array([trial.value for trial in again]) + 0.0,
        test=_sign(spec.workload)
        * np.array([trial.user_attrs["test_accuracy"] for trial in again])
        + 0.0,
        hits=hits_of(again),
    )


def _selected(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> SelectedRuns | None:
    """What the arm's searches selected, trained afresh."""
    study = spec.selected(arm)
    if study is None:
        return None
    runs = finished_trials(store, study.study_name)
    return selected_runs(
        runs,
        planned=study.n_trials,
        k=study.k,
        minimized=spec.workload.minimized,
        worst=_worst(spec.workload),
    )


def _sign(workload: AnyWorkload) -> int:
    """What turns its values into scores of which more is better."""
    return -1 if workload.minimized else 1


def _worst(workload: AnyWorkload) -> float | None:
    """What a trial without a value scores; ``None`` where a score has no known bounds."""
    return 0.0 if workload.unit == ACCURACY else None
