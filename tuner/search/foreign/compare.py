"""The comparison of any studies: the command, the server and Python share it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import optuna
from optuna.study import Study

from tuner.compare.comparison import Comparison, judged
from tuner.compare.protocol import ACCURACY, Protocol
from tuner.config import without_password
from tuner.errors import InvalidInput, NotFound, UnknownName
from tuner.search.database.store import Store
from tuner.search.foreign.address import Address, parse
from tuner.search.foreign.arm import AS_IT_STANDS, SAMPLERS, ForeignArm, Reading, arm_of
from tuner.search.foreign.names import arm_names
from tuner.search.foreign.record import StudyRecord, record_of
from tuner.search.foreign.storages.kinds import study_at
from tuner.search.results.trial_importance import importances

_WIDEST_ROPE = 0.1
"""Of accuracies: a wider one was meant in points."""
_MOST_NAMED = 20
"""Studies that an error names."""


def compare_studies(
    studies: Sequence[Study | str],
    protocol: Protocol,
    *,
    reading: Reading = AS_IT_STANDS,
    names: Sequence[str] = (),
    with_importances: bool = False,
    on_arm: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare any studies.

    An arm is called by its study, by its storage where two studies have one name, or as is said.
    All scores are turned so that higher is better; where the studies minimize, the protocol's
    target is turned too. A trial without a result scores the worst value that any of the studies
    saw, 0 for accuracies.

    Args:
        studies: The new space first, the old one second, then any others: studies, or addresses
            such as ``sqlite:///a.db::new``, ``sweep.csv`` or ``journal.log::old``.
        protocol: What was fixed beforehand, its target in the studies' own units; ``primary``
            is the first study against the second.
        reading: How the studies are read, where they do not say it or say otherwise.
        names: What to call the first arms.
        with_importances: Whether to say which hyperparameters matter: seconds for each study.
        on_arm: Hears the name of each arm whose importances are next.

    Raises:
        InvalidInput: If a study cannot be compared (see ``arm_of``), the studies trained
            different workloads, some of them are minimized and others maximized, or the region
            of equivalence is wider than accuracies can sensibly have.
        UnknownName: If a study, an objective or the sampler does not exist.
        DatabaseProblem: If a storage cannot be read.
    """
    _check(protocol, reading)
    read = _read(studies, reading, names)
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
        protocol = _with_looks(protocol, read[0], read[1])
        worst = 0.0 if protocol.unit == ACCURACY else min(float(arm.scores.min()) for arm in arms)
        arms = [
            replace(arm, scores=np.where(each.without | arm.failed, worst, arm.scores))
            for each, arm in zip(read, arms, strict=True)
        ]
    if with_importances:
        for i, each in enumerate(read):
            if on_arm is not None:
                on_arm(arms[i].name)
            found = importances(each.trials, arms[i].scores, sampler=arms[i].sampler)
            arms[i] = replace(arms[i], importance=found)
    return judged(arms, protocol, notes=[note for each in read for note in each.notes])


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


def _check(protocol: Protocol, reading: Reading) -> None:
    if protocol.unit == ACCURACY and protocol.rope >= _WIDEST_ROPE:
        rope = protocol.rope
        raise InvalidInput(
            f"--rope: accuracies are shares, so {rope:g} is ±{100 * rope:g} points; for "
            f"±{rope:g} points give {rope / 100:g}"
        )
    if reading.sampler is not None and reading.sampler not in SAMPLERS:
        raise UnknownName("--sampler", reading.sampler, SAMPLERS)


def _read(
    studies: Sequence[Study | str], reading: Reading, names: Sequence[str]
) -> list[ForeignArm]:
    """The arms, in the order of the studies."""
    twice = next((study for i, study in enumerate(studies) if study in studies[:i]), None)
    if twice is not None:
        name = without_password(twice) if isinstance(twice, str) else twice.study_name
        raise InvalidInput(f"study {name!r} is given twice: a study is not held against itself")
    found = [_found(study) for study in studies]
    arms = [
        arm_of(_introduced(record, address, name), name=name, reading=reading)
        for (address, record), name in zip(found, arm_names(found, names), strict=True)
    ]
    check_workloads(arms)
    return arms


def _found(study: Study | str) -> tuple[Address | None, StudyRecord]:
    if isinstance(study, Study):
        return None, record_of(study)
    address = parse(study)
    return address, study_at(address)


def _introduced(record: StudyRecord, address: Address | None, name: str) -> StudyRecord:
    """The study with a note on which it is, if its arm is called otherwise."""
    if name == record.name:
        return record
    where = "" if address is None else f" of {address.shown}"
    return replace(record, notes=(f"{name}: study {record.name!r}{where}", *record.notes))


def _with_looks(protocol: Protocol, new: ForeignArm, old: ForeignArm) -> Protocol:
    """The protocol with the looks that were declared for both, if they are of one comparison.

    Whether it ended at a look, or goes on, its studies do not say.
    """
    one, other = new.arm.selected, old.arm.selected
    if new.looks is None or new.looks != old.looks or one is None or other is None:
        return protocol
    planned = min(one.planned, other.planned)
    ended = min(one.in_order.size, other.in_order.size)
    return replace(
        protocol,
        looks=tuple((searches - 0.5) / planned for searches in new.looks[1] if searches < planned),
        interim=f"{ended} of {planned} searches" if ended < planned else protocol.interim,
    )


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
