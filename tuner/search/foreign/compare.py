"""The comparison of any studies: the command, the server and Python share it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import optuna
from optuna.study import Study

from tuner.compare.comparison import Comparison, judged
from tuner.compare.protocol import ACCURACY, SCORE, UNNAMED, Protocol, check_rope
from tuner.config import without_password
from tuner.errors import DatabaseProblem, InvalidInput, NotFound, UnknownName
from tuner.search.database.store import Store
from tuner.search.foreign.address import Address, parse
from tuner.search.foreign.arm import AS_IT_STANDS, SAMPLERS, ForeignArm, Reading, arm_of
from tuner.search.foreign.names import arm_names
from tuner.search.foreign.record import Direction, StudyRecord, record_of
from tuner.search.foreign.storages.kinds import study_at
from tuner.search.results.trial_importance import importances
from tuner.wording import setting

_log = logging.getLogger(__name__)

AnyStudy = Study | str | Address
"""A study of Optuna's, or where one is kept."""

_MOST_NAMED = 20
"""Studies that an error names."""


def compare_studies(
    new: AnyStudy,
    old: AnyStudy,
    *others: AnyStudy,
    target: float | None = None,
    k: int | None = None,
    rope: float = 0.0,
    unit: str = SCORE,
    workload: str = UNNAMED,
    confidence: float = 0.95,
    sampler: str | None = None,
    direction: Direction | None = None,
    objective: str | None = None,
    last_reports: bool = False,
    names: Sequence[str] = (),
) -> Comparison:
    """Compare any studies, wherever they are kept, in one call.

    comparison = compare_studies("a.db::new", "b.db::old", sampler="random", target=0.95)
    print(comparison)

    What decides the verdict is to be fixed before the trials are looked at: ``target``, ``k``,
    ``rope`` and ``unit``. What is not said is not assumed: without ``sampler="random"`` the trials
    of studies that others made are no random draws, without ``unit="accuracy"`` scores have no
    bounds and medians are compared.

    Args:
        new: The study over the new search space: Optuna's, or an address such as
            ``sqlite:///a.db::new``, ``sweep.csv``, ``journal.log::old`` or ``grpc://host:13000``.
        old: The one it is held against.
        others: Further ones, each of which the new one is held against.
        target: The score that counts as good, in the studies' own sign.
        k: The budget of the verdict, in trials; a twentieth of the smaller study by default.
        rope: The difference that does not matter, in units of the score.
        unit: ``"accuracy"`` for shares in [0, 1], else what the scores are called.
        workload: The workload in words, for the verdict.
        confidence: Of every interval, in (0, 1).
        sampler: What drew the trials, in place of what the studies say.
        direction: ``"maximize"`` or ``"minimize"``, in place of what the studies say.
        objective: The name, or the number from 0, of the one to compare of several.
        last_reports: Whether a pruned trial's last report is its result; else it has none.
        names: What to call the studies, the new one first.

    Raises:
        InvalidInput: If the studies cannot be compared; see ``judged_studies``.
        UnknownName: If a study, an objective or the sampler does not exist.
        DatabaseProblem: If a storage cannot be read.
    """
    protocol = Protocol(
        target=target, k=k, rope=rope, unit=unit, workload=workload, confidence=confidence
    )
    reading = Reading(direction, sampler, objective, last_reports)
    return judged_studies([new, old, *others], protocol, reading=reading, names=names)


def judged_studies(
    studies: Sequence[AnyStudy],
    protocol: Protocol,
    *,
    reading: Reading = AS_IT_STANDS,
    names: Sequence[str] = (),
    with_importances: bool = False,
    on_arm: Callable[[str], None] | None = None,
) -> Comparison:
    """What ``compare_studies`` answers, as a protocol declares it.

    An arm is called by its study, by its storage where two studies have one name, or as is said.
    All scores are turned so that higher is better; where the studies minimize, the protocol's
    target and bounds are turned too, and whatever is written for a reader is turned back. A trial
    without a result scores the worst value that any of the studies saw, or accuracies can have.

    Args:
        studies: The new space first, the old one second, then any others: studies, or addresses
            such as ``sqlite:///a.db::new``, ``sweep.csv`` or ``journal.log::old``.
        protocol: What was fixed beforehand, its target and bounds as the studies have them;
            ``primary`` is the first study against the second, ``minimized`` what the studies say.
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
    check_question(protocol, reading)
    read = _read(studies, reading, names)
    if len({each.minimized for each in read}) > 1:
        downwards, upwards = (
            ", ".join(each.arm.name for each in read if each.minimized is minimized)
            for minimized in (True, False)
        )
        raise InvalidInput(
            f"some of these studies minimize ({downwards}) and others maximize ({upwards}); if "
            f"they measure the same, {setting('direction')} says what holds"
        )
    protocol = replace(protocol, minimized=False)
    if read and read[0].minimized:
        protocol = protocol.turned
    arms = [each.arm for each in read]
    if len(arms) > 1:
        protocol = replace(protocol, primary=(arms[0].name, arms[1].name))
        protocol = _with_looks(protocol, read[0], read[1])
        seen = min(float(arm.scores.min()) for arm in arms)
        worst = protocol.range[0] if protocol.unit == ACCURACY else seen
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
        InvalidInput: If one is named twice.
    """
    there = set(optuna.get_all_study_names(store.optuna))
    for name in names:
        if name not in there:
            known = ", ".join(sorted(there)[:_MOST_NAMED]) or "none yet"
            more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
            raise NotFound(f"there is no study {name!r} (there are {known}{more})")
    _check_once(names)
    return [optuna.load_study(study_name=name, storage=store.optuna) for name in names]


def _check_once(studies: Sequence[AnyStudy]) -> None:
    twice = next((study for i, study in enumerate(studies) if study in studies[:i]), None)
    if twice is not None:
        name = twice.study_name if isinstance(twice, Study) else _shown(twice)
        raise InvalidInput(f"study {name!r} is given twice: a study is not held against itself")


def _shown(study: str | Address) -> str:
    if isinstance(study, str):
        return without_password(study)
    return study.shown if study.study is None else f"{study.shown}::{study.study}"


def check_question(protocol: Protocol, reading: Reading) -> None:
    """Refuse, before anything is read, what would be refused of any studies.

    Raises:
        InvalidInput: If the region of equivalence is wider than accuracies can sensibly have.
        UnknownName: If there is no such sampler.
    """
    check_rope(protocol)
    if reading.sampler is not None and reading.sampler not in SAMPLERS:
        raise UnknownName(setting("sampler"), reading.sampler, SAMPLERS)


def _read(studies: Sequence[AnyStudy], reading: Reading, names: Sequence[str]) -> list[ForeignArm]:
    """The arms, in the order of the studies."""
    _check_once(studies)
    found = [_found(study) for study in studies]
    arms = [
        arm_of(_introduced(record, address, name), name=name, reading=reading)
        for (address, record), name in zip(found, arm_names(found, names), strict=True)
    ]
    check_workloads(arms)
    return arms


def _found(study: AnyStudy) -> tuple[Address | None, StudyRecord]:
    if isinstance(study, Study):
        return None, record_of(study)
    address = parse(study) if isinstance(study, str) else study
    try:
        record = study_at(address)
    except InvalidInput as error:
        raise InvalidInput(address.veiled(str(error))) from error
    except DatabaseProblem as error:
        if not address.called:
            raise
        _log.warning("storage %s: %s", address.called, error)
        raise DatabaseProblem(
            f"storage {address.called}: cannot be read; the server's log says why"
        ) from None
    return address, replace(record, notes=tuple(map(address.veiled, record.notes)))


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
