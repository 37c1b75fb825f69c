"""Reading an export: each line, and what the lines say together, before anything is written."""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    json_to_distribution,
)
from optuna.trial import TrialState, create_trial
from pydantic import Field, TypeAdapter, ValidationError

from tuner.errors import InvalidInput
from tuner.search.database.export_format import (
    FORMAT,
    VERSION,
    ComparisonLine,
    Content,
    Footer,
    Header,
    Place,
    StudyLine,
    TrialLine,
    footer,
)
from tuner.search.database.imported.trial_record import check_json, check_record, first_of
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.declared.study_spec import StudySpec
from tuner.search.declared.whole_trials import STORED
from tuner.workload import ACCURACY

MOST_TRIALS = 1_000_000
"""Of a comparison that is imported; far more than were ever searched."""

MOST_VALUE = 1e300
"""A metric of one's own may be any number; of greater ones no figure can be drawn."""

Line = Annotated[Header | Content | Footer, Field(discriminator="kind")]
_LINE: TypeAdapter[Header | Content | Footer] = TypeAdapter(Line)


@dataclass(frozen=True)
class ExportedStudy:
    """A study with its trials; ``spec`` is what its comparison declares."""

    spec: StudySpec
    line: StudyLine
    trials: list[TrialLine]


@dataclass(frozen=True)
class Exported:
    """A comparison with its studies."""

    comparison: ComparisonLine
    studies: list[ExportedStudy]


def read_export(lines: Iterable[str]) -> list[Exported]:
    """What is between header and footer.

    Args:
        lines: The file's.

    Raises:
        InvalidInput: If it is no such file, is of another version, is cut off, or is damaged; or
            if a line says what this software would never have written. Names the line, the rule
            and the way out.
    """
    sums, counts = hashlib.sha256(), Counter[str]()
    contents: list[tuple[int, Content]] = []
    last: Footer | None = None
    number = 0
    for number, text in enumerate(lines, start=1):
        line = _parsed(text, number)
        if last is not None or (number == 1) != isinstance(line, Header):
            raise _damaged(number, f"a {line.kind} is out of place")
        if isinstance(line, Footer):
            last = line
            continue
        sums.update(f"{text.rstrip()}\n".encode())
        if not isinstance(line, Header):
            contents.append((number, line))
            counts[line.kind] += 1
    if last is None:
        raise InvalidInput(
            f"the file is cut off after line {number}: its footer is missing; "
            "nothing was imported; export it again"
        )
    exported = _put_together(contents)
    if last != footer(counts, sums.hexdigest()):
        raise InvalidInput(
            "the file was changed or lines are missing: it is not what its footer says; "
            "nothing was imported; export it again"
        )
    return exported


def _put_together(contents: Sequence[tuple[int, Content]]) -> list[Exported]:
    """The comparisons, each with its studies and trials.

    Args:
        contents: Lines, each with its number.

    Raises:
        InvalidInput: If a line does not belong where it is, or breaks a rule.
    """
    starts = [place for place, (_, line) in enumerate(contents) if line.kind == "comparison"]
    together = _Contents()
    for place, (number, line) in enumerate(contents):
        try:
            match line:
                case ComparisonLine():
                    stop = next((start for start in starts if start > place), None)
                    below = Counter(line.kind for _, line in contents[place:stop])
                    together.add_comparison(line, n_studies=below["study"])
                case StudyLine():
                    together.add_study(line)
                case TrialLine():
                    together.add_trial(line)
        except ValueError as error:
            raise _damaged(number, str(error)) from error
    return together.exported


class _Contents:
    """Puts lines together, and checks each against those before it: raises ValueError."""

    def __init__(self) -> None:
        self.exported: list[Exported] = []
        self._specs: dict[str, StudySpec] = {}
        self._budgets: list[dict[str, int]] = []
        self._taken: set[int] = set()
        self._distributions: dict[str, BaseDistribution] = {}

    def add_comparison(self, line: ComparisonLine, *, n_studies: int) -> None:
        """Take the next comparison, of which the file has so many studies."""
        try:
            spec = ComparisonSpec.model_validate_json(line.spec, context=STORED)
        except ValidationError as error:
            raise ValueError(f"the declaration is not valid: {first_of(error)}") from error
        if spec.name != line.name:
            raise ValueError(f"{line.name!r} is declared as {spec.name!r}")
        if line.name in {each.comparison.name for each in self.exported}:
            raise ValueError(f"comparison {line.name!r} is there twice")
        if line.declaration_hash != declaration_hash(spec):
            raise ValueError("declaration_hash is not that of the declaration")
        n_searches, n_trials = (
            sum(map(spec.repeats_of, spec.arms)),
            spec.n_searched + spec.n_afresh,
        )
        if n_searches > n_studies or n_trials > MOST_TRIALS:  # before anything is made of them
            raise ValueError(
                f"{n_searches:,} searches with {n_trials:,} trials are declared; the file must "
                f"have them all, has {n_studies:,}, and trials may be {MOST_TRIALS:,} at most"
            )
        self._specs = {each.study_name: each for each in spec.every_study()}
        at_looks = spec.looks if spec.verdict.stop else ()
        self._budgets = [spec.budgets(searches) for searches in (*at_looks, None)]
        self.exported.append(Exported(line, []))

    def add_study(self, line: StudyLine) -> None:
        """Take the next study of the comparison."""
        spec = self._specs.pop(line.study_name, None)
        budgets = {budgets.get(line.study_name) for budgets in self._budgets}
        if spec is None or spec.comparison != line.comparison or line.n_trials not in budgets:
            raise ValueError(f"study {line.study_name!r} is not of the comparison above it")
        declared = (spec.arm.name, spec.repeat, spec.trains_afresh)
        if (line.arm, line.repeat, line.retrain) != declared:
            raise ValueError(
                f"study {line.study_name!r}: arm, repeat and retrain must be {declared}, as the "
                f"comparison declares, got {(line.arm, line.repeat, line.retrain)}"
            )
        if line.optuna is not None:
            check_json("optuna.user_attrs", line.optuna.user_attrs)
            check_json("optuna.system_attrs", line.optuna.system_attrs)
        self.exported[-1].studies.append(ExportedStudy(spec, line, []))
        self._taken = set()
        self._distributions = spec.arm.space.distributions

    def add_trial(self, line: TrialLine) -> None:
        """Take the next trial of the study."""
        study = next((each.studies[-1] for each in self.exported[-1:] if each.studies), None)
        if study is None or line.study_name != study.line.study_name or not study.line.optuna:
            raise ValueError(f"the trial of {line.study_name!r} is not below its study")
        check_json("user_attrs", line.user_attrs)
        check_json("system_attrs", line.system_attrs)
        check_json("params", line.params)
        _check_ends(line)
        self._check_params(line)
        if line.place is not None:
            self._check_place(line, line.place, study)
            self._taken.add(line.place.position)
        study.trials.append(line)

    def _check_params(self, line: TrialLine) -> None:
        if line.params.keys() != line.distributions.keys():
            raise ValueError("not every parameter has a distribution")
        for name, text in line.distributions.items():
            try:
                distribution = _distribution(text)
                distribution.to_internal_repr(line.params[name])
                known = self._distributions.setdefault(name, distribution)
                check_distribution_compatibility(known, distribution)
            except _UNFIT as error:
                raise ValueError(
                    f"params.{name}: a parameter does not fit its distribution, or that of "
                    "another trial"
                ) from error

    def _check_place(self, line: TrialLine, place: Place, study: ExportedStudy) -> None:
        """Hold a trial of the queue to what workers write."""
        if place.position >= study.spec.n_trials or place.position in self._taken:
            raise ValueError(f"position {place.position} is taken, or beyond the budget")
        if line.state not in _OPTUNA_STATES[place.state]:
            raise ValueError(
                f"place.state: a trial that is {place.state} must be "
                f"{' or '.join(_OPTUNA_STATES[place.state])} in Optuna, got {line.state}"
            )
        declared = study.spec.arm.space.distributions
        if (
            line.params
            and {n: _distribution(t) for n, t in line.distributions.items()} != declared
        ):
            raise ValueError(f"distributions: must be those of the space, {', '.join(declared)}")
        try:
            create_trial(
                state=TrialState[line.state],
                values=line.values,
                params=line.params,
                distributions=declared if line.params else {},
            )
        except _UNFIT as error:
            raise ValueError(f"values, params: {error}") from error
        shares = study.spec.workload.unit == ACCURACY
        if not isinstance(line.system_attrs.get("fixed_params", {}), dict):
            raise ValueError("system_attrs.fixed_params: must be an object")
        if check_record(line.user_attrs, shares=shares).index != place.position:
            raise ValueError(f"user_attrs.index: must be the position, {place.position}")


def _check_ends(line: TrialLine) -> None:
    """Refuse a trial whose values and times do not go with its state, and values beyond reason.

    The dashboard lets people end a trial with any number.
    """
    finished, valued = line.state != "WAITING", line.values is not None
    if finished != (line.ended is not None):
        raise ValueError(f"ended: must {'be a time' if finished else 'be null'} of {line.state}")
    if line.state == "COMPLETE" and not valued:
        raise ValueError("values: must hold the value of a trial that is COMPLETE")
    if line.state in ("FAIL", "WAITING") and valued:
        raise ValueError(f"values: must be null of a trial that is {line.state}")
    given = {
        "values": line.values[0] if line.values else None,
        "place.value": line.place.value if line.place else None,
    }
    for where, value in given.items():
        if value is not None and not abs(value) <= MOST_VALUE:
            raise ValueError(f"{where}: must be finite, at most {MOST_VALUE:g}, got {value}")


_OPTUNA_STATES: Mapping[str, tuple[str, ...]] = {
    "held": ("WAITING", "COMPLETE", "PRUNED", "FAIL"),  # ended in the dashboard, not noted yet
    "waiting": ("WAITING", "COMPLETE", "PRUNED", "FAIL"),
    "done": ("COMPLETE", "PRUNED"),
    "failed": ("FAIL",),
    "cancelled": ("COMPLETE", "PRUNED", "FAIL"),
}
"""State in the queue -> those that the trial may have in Optuna."""

_UNFIT = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    AssertionError,
)
"""What Optuna raises on distributions that are none, and on values that do not fit theirs."""


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges that their steps do not divide
        return json_to_distribution(text)


def _parsed(text: str, number: int) -> Header | Content | Footer:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        if number == 1:
            raise _no_export() from error
        raise _damaged(number, "it is not JSON") from error
    if number == 1:
        _check_header(data)
    try:
        return _LINE.validate_python(data)
    except ValidationError as error:
        raise _damaged(number, first_of(error)) from error


def _check_header(data: Any) -> None:  # Any: unchecked JSON
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _no_export()
    if data.get("version") != VERSION:
        raise InvalidInput(
            f"the file is of version {data.get('version')!r} of its format, this software reads "
            f"{VERSION}; nothing was imported; use the bnn-tuner that wrote it, "
            f"{data.get('software')!r}"
        )


def _no_export() -> InvalidInput:
    return InvalidInput("line 1: not a file of tuner db export; nothing was imported")


def _damaged(number: int, rule: str) -> InvalidInput:
    return InvalidInput(
        f"line {number} is damaged: {rule}; nothing was imported; export the file again"
    )
