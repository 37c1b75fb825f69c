"""Any studies compared on the page: those of this database, or in files that are sent to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import optuna
from pydantic import ValidationError

from tuner import __version__
from tuner.api.pages.launching import Mistake
from tuner.api.schemas import Question
from tuner.errors import DatabaseProblem, InvalidInput, NotFound, UnknownName
from tuner.search.database.store import NUMBERS, Store
from tuner.search.declared.files import broken_rule, dotted
from tuner.search.foreign.compare import check_question, judged_studies, stored_studies

OFFERED = 500
"""So many names are offered; any other can be typed."""

REFUSALS = (DatabaseProblem, InvalidInput, NotFound, UnknownName)
"""What is wrong with studies, or with what is asked about them."""


@dataclass(frozen=True)
class Form:
    """What the form holds, as it was written.

    Args:
        new: The new study's name.
        old: The old study's.
        others: Further ones, a line each.
        target: The score that counts as good.
        k: Budget of the verdict, in trials.
        rope: The difference that does not matter.
        unit: Of the scores.
        sampler: What drew the trials.
        direction: Whether higher or lower is better.
        objective: Which of several.
        last_reports: Whether pruned trials count by their last report.
    """

    new: str = ""
    old: str = ""
    others: str = ""
    target: str = ""
    k: str = ""
    rope: str = ""
    unit: str = ""
    sampler: str = ""
    direction: str = ""
    objective: str = ""
    last_reports: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether two studies are named."""
        return bool(self.new and self.old)

    @property
    def names(self) -> list[str]:
        """The studies, the new one first."""
        others = (line.strip() for line in self.others.splitlines())
        return [self.new.strip(), self.old.strip(), *filter(None, others)]

    def question(self, names: Sequence[str]) -> Question | list[Mistake]:
        """What is asked about studies of these names, or what is wrong with it."""
        given: dict[str, object] = {
            name: value.strip()
            for name, value in vars(self).items()
            if name not in ("new", "old", "others") and value.strip()
        }
        try:
            question = Question.model_validate({**given, "studies": list(names)})
            check_question(question.protocol, question.reading)
        except InvalidInput as error:
            return [Mistake("", str(error))]
        except ValidationError as error:
            broken = map(broken_rule, error.errors(include_url=False))
            return [Mistake(dotted(place), rule) for place, rule in broken]
        return question


def report(store: Store, form: Form) -> str | list[Mistake]:
    """The page of what came out, as ``tuner compare`` makes it, or what is wrong."""
    question = form.question(form.names)
    if isinstance(question, list):
        return question
    try:
        comparison = judged_studies(
            stored_studies(store, form.names),
            question.protocol,
            reading=question.reading,
            with_importances=True,
        )
    except REFUSALS as error:
        return [Mistake("", str(error))]
    from tuner.compare.report.html import to_html  # and matplotlib, which takes a second

    return to_html(comparison, made_by(form.names))


def made_by(studies: Sequence[str]) -> Mapping[str, str]:
    """The last row of a report: what it was made by."""
    return {"Made by": f"bnn-tuner {__version__}, comparing {', '.join(studies)}"}


def offered(store: Store) -> Collection[str]:
    """Names of studies of this database, whoever made them, or of the last ones of very many."""
    names = optuna.get_all_study_names(store.optuna)
    return [name for name in names if not name.startswith(NUMBERS)][-OFFERED:]
