"""What is made of a comparison's trials, in a process that does nothing else; see ``maker``.

That process has matplotlib, which takes a second to import; the server, which knows what can be
made, does without.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tuner import __version__
from tuner.api.schemas import Question
from tuner.compare import compare, compare_scores
from tuner.compare.arm import Arm
from tuner.compare.comparison import Comparison, detailed
from tuner.compare.figures import standalone
from tuner.compare.protocol import Protocol
from tuner.compare.report.data import to_json
from tuner.compare.report.suite.data import suite_to_json
from tuner.compare.summary import ArmSummary
from tuner.errors import Conflict, InvalidInput
from tuner.search.database.finished import uncollected
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import COMPLETE
from tuner.search.declared.suite_spec import SuiteSpec
from tuner.search.foreign.address import Address
from tuner.search.foreign.compare import judged_studies, stored_studies
from tuner.search.results.arms import arms as read_arms
from tuner.search.results.arms import arms_in_full, study_summary
from tuner.search.results.suites import collected

Read = Callable[[Store, str], tuple[list[Arm], Protocol]]


@dataclass(frozen=True)
class Compared:
    """A comparison, for its page, and its figure: without what lies behind."""

    comparison: Comparison
    svg: str

    @property
    def picture(self) -> str:
        """The figure as a file that stands alone."""
        return standalone(self.svg)


@dataclass(frozen=True)
class Report:
    """What came out of a comparison with all that lies behind, written out."""

    json: str
    html: str


def compared(database: str, name: str) -> Compared:
    """What came out of the comparison, as far as it was run.

    Raises:
        Conflict: If an arm has no finished trial yet, or there is one arm only.
    """
    from tuner.compare.figures.gallery import main_picture

    with uncollected():
        comparison, _ = _compare(_store(database), name, read_arms)
        return Compared(comparison, svg=main_picture(comparison).svg)


def looked_at(database: str, name: str) -> Comparison:
    """The same without its figure, as the last look saw it."""
    return _compare(_store(database), name, read_arms)[0]


def report(database: str, name: str) -> Report:
    """The comparison's report, as far as it was run; it takes seconds for each arm.

    Raises:
        Conflict: If an arm has no finished trial yet, or there is one arm only.
    """
    from tuner.compare.report.html import to_html

    where = {"Made by": f"bnn-tuner {__version__}, tuner compare {name}"}
    with uncollected():
        comparison = detailed(*_compare(_store(database), name, arms_in_full))
        return Report(json=_as_json(to_json(comparison)), html=to_html(comparison, where))


def suite_report(database: str, spec: SuiteSpec) -> Report:
    """What a suite's comparisons say together, as far as they were run.

    Raises:
        Conflict: If nothing came out of any of them yet, or they cannot be answered as one.
    """
    from tuner.compare.report.suite.html import suite_to_html

    where = {"Made by": f"bnn-tuner {__version__}, tuner suite {spec.name} --collect"}
    with uncollected():
        try:
            suite = collected(_store(database), spec)
        except InvalidInput as error:
            raise Conflict(str(error)) from error
        return Report(json=_as_json(suite_to_json(suite)), html=suite_to_html(suite, where))


def searched(database: str, comparison: str, study_name: str) -> tuple[ArmSummary, Protocol]:
    """One search by itself, and its rules.

    Raises:
        Conflict: If it has no finished trial yet.
    """
    store = _store(database)
    every = store.comparison(comparison).every_study()
    spec = next(study for study in every if study.study_name == study_name)
    try:
        return study_summary(store, spec)
    except InvalidInput as error:
        raise Conflict(f"study {study_name!r}: {error}") from error


def studies_compared(database: str, studies: Sequence[str | Address], question: Question) -> str:
    """The report, as JSON, on Optuna's studies, the new one first.

    Args:
        database: Where studies are that have a name alone.
        studies: Names, or where else they are.
        question: What is asked about them.

    Raises:
        InvalidInput: If they cannot be compared.
        NotFound: If one of them is not there.
    """
    names = [each for each in studies if isinstance(each, str)]
    stored = iter(stored_studies(_store(database), names))
    found = [next(stored) if isinstance(each, str) else each for each in studies]
    compared = judged_studies(
        found, question.protocol, reading=question.reading, names=question.names
    )
    return _as_json(to_json(compared))


def scores_compared(question: Question) -> str:
    """The report, as JSON, on two lists of scores.

    Raises:
        InvalidInput: If they cannot be compared.
    """
    scores, reading = question.scores, question.reading
    assert scores is not None
    compared = compare_scores(
        scores.new,
        scores.old,
        target=question.target,
        k=question.k,
        rope=question.rope,
        unit=question.unit,
        workload=question.workload,
        sampler=reading.sampler or "unknown",
        direction=reading.direction or "maximize",
        names=question.names or ("new", "old"),
    )
    return _as_json(to_json(compared))


@lru_cache(maxsize=1)
def _store(database: str) -> Store:
    """The database, kept open: trials that were read once are not read again."""
    return open_store(database, must_exist=True)


def _compare(store: Store, name: str, read: Read) -> tuple[Comparison, list[Arm]]:
    if len(store.comparison(name).arms) < 2:
        raise Conflict(
            f"comparison {name!r} has one arm, so there is nothing to compare; ask its study for "
            "its best trials and its tuning curve"
        )
    try:
        arms, protocol = read(store, name)
        return compare(arms, protocol), arms
    except InvalidInput as error:
        raise Conflict(f"comparison {name!r}: {_gone(store, name) or error}") from error


def _gone(store: Store, name: str) -> str | None:
    """That studies of a comparison that is complete were deleted from outside, if they were."""
    if store.status(name) != COMPLETE:
        return None  # they are run again
    studies = store.comparison(name).studies()
    gone = [study.study_name for study in studies if store.our_study(study.study_name) is None]
    if not gone:
        return None
    return (
        f"{', '.join(gone)}: deleted in Optuna after the comparison was complete, and so not run "
        "again; delete the comparison and submit it anew"
    )


def _as_json(value: object) -> str:
    """As FastAPI writes it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
