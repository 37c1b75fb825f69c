"""What is to be run: a comparison of arms, and the studies it consists of.

The same model is the TOML file in ``studies/``, the argument of ``launch.run`` and a request's
body. A comparison gives each arm ``repeats`` studies of ``n_trials`` trials, unless the arm has
numbers of its own; trial i of every arm has the same seed, so the same data order and the same
initial draw.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StrictInt, model_validator

from tuner.errors import InvalidInput, UnknownName
from tuner.rules import OWN, RULES
from tuner.search.declared.arm_spec import ArmSpec, Name
from tuner.search.declared.files import Count, Declared, read_toml, studies_dir, unless_none
from tuner.search.declared.question import VerdictSpec
from tuner.search.declared.study_spec import (
    AnyWorkloadSpec,
    CodeChanges,
    Part,
    Seed,
    StudySpec,
    TimeLimit,
)
from tuner.wording import count
from tuner.workload import Objective

_CONFIDENCE = 0.95
"""Of every interval of a declared comparison."""


@dataclass(frozen=True)
class Selection:
    """One independent search: which trials of which repeat it consists of."""

    repeat: int
    trials: range


class ComparisonSpec(Declared):
    """A comparison: arms searched on one workload at equal budgets, and the question asked.

    Args:
        name: What it is called; its studies are named after it.
        description: What it asks, for people.
        workload: What is trained.
        arms: At least one; names are unique.
        n_trials: Trials per arm and repeat.
        repeats: Independent searches per arm.
        time_limit: Seconds that training a trial may take; see ``StudySpec``.
        code_changes: Whether the user's code may change in the middle; see ``StudySpec``.
        seed: Everything random derives from it.
        retrain_seeds: Fresh seeds that each arm's incumbent is retrained with; 0 for none.
        verdict: The question.
    """

    name: Name
    description: str = ""
    workload: AnyWorkloadSpec
    arms: Annotated[tuple[ArmSpec, ...], Field(min_length=1)]
    n_trials: Count
    repeats: Count = 1
    time_limit: TimeLimit | None = unless_none()
    code_changes: CodeChanges | None = unless_none()
    seed: Seed = 0
    retrain_seeds: Annotated[StrictInt, Field(ge=0, le=10_000)] = 10
    verdict: VerdictSpec = Field(default_factory=VerdictSpec)

    @model_validator(mode="before")
    @classmethod
    def _refuse_claim(cls, data: Any) -> Any:  # Any: whatever the file or request held
        if isinstance(data, dict) and "kind" in data and "arms" not in data:
            raise InvalidInput("declares a claim, not a comparison; use: tuner claims FILE")
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [arm.name for arm in self.arms]
        twice = next((name for name, times in Counter(names).items() if times > 1), None)
        if twice is not None:
            raise InvalidInput(f"arms: every arm needs a name of its own, {twice!r} occurs twice")
        ruleless = [arm for arm in self.arms if arm.space.rule == OWN]
        if ruleless and not isinstance(self.workload, Objective):
            raise InvalidInput(
                f"arms: the space of {ruleless[0].name!r} needs an update rule, such as "
                f'rule = "filter_flip" (there are {", ".join(RULES)}); only an objective of your '
                "own (workload.objective) needs none"
            )
        self._check_pruners()
        self._check_carried()
        self.verdict.check(names)
        self.verdict.check_unit(self.workload)
        if self.verdict.k is not None and self.verdict.k > self._smallest:
            raise InvalidInput(
                f"verdict.k: must be at most n_trials={self._smallest}, got {self.verdict.k}"
            )
        self._check_repeated()
        self._check_looks()
        return self

    def _check_pruners(self) -> None:
        first = 0 if isinstance(self.workload, Objective) else self.workload.real_epochs
        pruned = next((arm for arm in self.arms if arm.pruner != "none"), None)
        if first and pruned is not None:
            raise InvalidInput(
                f"arms: the pruner of {pruned.name!r} would judge trials by scores that their "
                f"weights had while they were real, in the first {count(first, 'epoch')} "
                '(workload.real_epochs); use the pruner "none"'
            )

    def _check_carried(self) -> None:
        better = ("higher", "lower")
        for arm in self.arms:
            said = arm.carried.minimized if arm.carried is not None else None
            if said is not None and said != self.workload.minimized:
                raise InvalidInput(
                    f"arms: {arm.name!r} begins from trials whose {better[said]} values are "
                    f"better, and of what is searched here the {better[not said]} ones are; carry "
                    "values of the same metric (tuner transfer --objective)"
                )

    def _check_repeated(self) -> None:
        pair = [arm for arm in self.arms if arm.name in (self.verdict.repeated or ())]
        for what, of in (("repeats", self.repeats_of), ("n_trials", self.trials_of)):
            numbers = [of(arm) for arm in pair]
            if len(set(numbers)) > 1:
                raise InvalidInput(
                    f"verdict.repeated: both arms need the same {what}, got {numbers}"
                )

    def _check_looks(self) -> None:
        shares = self.verdict.looks
        if shares is None:
            return
        from tuner.compare.statistics.looks import looks  # scipy takes a second to load

        planned = self.planned
        if planned == 0 or len(self.arms) < 2:
            raise InvalidInput(
                "verdict.looks: there is nothing to look at before the end, since a verdict needs "
                "two arms whose searches' settings are trained afresh: declare retrain_seeds of 1 "
                "or more, and random search or repeats"
            )
        useful = looks(planned, _CONFIDENCE, shares)
        for share in shares:
            if (number := ceil(share * planned)) not in useful:
                raise InvalidInput(
                    f"verdict.looks: {share:g} of {planned} searches is {number}, too few to say "
                    "anything; leave that look out, or declare more trials (n_trials), or fewer "
                    "for each search (verdict.k)"
                )

    @property
    def planned(self) -> int:
        """Searches of each arm of the primary contrast, of the one that has fewer."""
        return min(self.n_selections(arm) for arm in self.arms if arm.name in self.primary)

    @property
    def primary(self) -> tuple[str, ...]:
        """The new arm and the old one, as far as there are two."""
        return self.verdict.primary or tuple(arm.name for arm in self.arms[:2])

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many searches of each arm the verdict is looked at, before all have ended."""
        numbers = {ceil(share * self.planned) for share in self.verdict.looks or ()}
        return tuple(sorted(numbers - {self.planned}))

    @property
    def judged(self) -> list[ArmSpec]:
        """The arms that the verdict is about: those of the primary contrast, and the control."""
        names = (*self.primary, self.verdict.control)
        return [arm for arm in self.arms if arm.name in names]

    @property
    def _smallest(self) -> int:
        """Trials of the smallest arm that the primary endpoint is about."""
        return min(map(self.trials_of, self.judged))

    @property
    def k(self) -> int:
        """Budget of the primary endpoint, in trials."""
        return self.verdict.k or min(self._smallest, max(2, self._smallest // 20))

    def trials_of(self, arm: ArmSpec) -> int:
        """Trials of each of the arm's searches."""
        return arm.n_trials or self.n_trials

    def repeats_of(self, arm: ArmSpec) -> int:
        """How many searches the arm has."""
        return arm.repeats or self.repeats

    def selections(self, arm: ArmSpec) -> list[Selection]:
        """The arm's independent searches, each of which selects a setting to be trained afresh.

        Random trials that run to their end are as many searches of k trials as they fill; of any
        other sampler each repeat is a search, if there are several. None where nothing is trained
        afresh, or nothing searched.
        """
        searches, repeats = self.n_selections(arm), self.repeats_of(arm)
        size = self.k if arm.independent else self.trials_of(arm)
        each = searches // repeats
        return [
            Selection(repeat, range(piece * size, (piece + 1) * size))
            for repeat in range(repeats)
            for piece in range(each)
        ]

    def n_selections(self, arm: ArmSpec) -> int:
        """How many ``selections`` the arm has."""
        if not self.retrain_seeds or arm.sampler == "defaults":
            return 0
        repeats = self.repeats_of(arm)
        if arm.independent:
            return repeats * (self.trials_of(arm) // self.k)
        return repeats if repeats > 1 else 0

    @property
    def n_afresh(self) -> int:
        """Settings trained afresh: incumbents with each seed, and what each search selected."""
        return sum(self.retrain_seeds + self.n_selections(arm) for arm in self.arms)

    @property
    def n_searched(self) -> int:
        """Trials of all searches together, those of retraining not among them."""
        return sum(self.trials_of(arm) * self.repeats_of(arm) for arm in self.arms)

    def studies(self) -> list[StudySpec]:
        """The searches it consists of: one study per arm and repeat, repeats in turn."""
        return [
            StudySpec(
                comparison=self.name,
                arm=arm,
                repeat=repeat,
                repeats=self.repeats_of(arm),
                workload=self.workload,
                n_trials=self.trials_of(arm),
                stages=self._stages(arm, repeat),
                time_limit=self.time_limit,
                code_changes=self.code_changes,
                seed=self.seed,
            )
            for repeat in range(max(map(self.repeats_of, self.arms)))
            for arm in self.arms
            if repeat < self.repeats_of(arm)
        ]

    def every_study(self) -> list[StudySpec]:
        """All its studies: the searches, then what is trained afresh of each arm."""
        return [*self.studies(), *(study for arm in self.arms for study in self.afresh(arm))]

    def afresh(self, arm: ArmSpec) -> list[StudySpec]:
        """The arm's studies that train afresh: what its searches selected, then its incumbent."""
        sizes: dict[Part, int] = {
            "selected": self.n_selections(arm),
            "retrain": self.retrain_seeds,
        }
        return [self._afresh(arm, part, size) for part, size in sizes.items() if size]

    def selected(self, arm: ArmSpec) -> StudySpec | None:
        """The study that trains afresh what the arm's searches selected, where there is one."""
        return next((study for study in self.afresh(arm) if study.part == "selected"), None)

    def retraining(self, arm: ArmSpec) -> StudySpec:
        """The study that retrains the arm's incumbent with fresh seeds."""
        return self._afresh(arm, "retrain", self.retrain_seeds)

    def _afresh(self, arm: ArmSpec, part: Part, n_trials: int) -> StudySpec:
        return StudySpec(
            comparison=self.name,
            arm=arm,
            part=part,
            workload=self.workload,
            n_trials=n_trials,
            k=self.k if part == "selected" and arm.independent else None,
            stages=self._shown(arm) if part == "selected" else None,
            time_limit=self.time_limit,
            code_changes=self.code_changes,
            seed=self.seed,
        )

    def budgets(self, searches: int | None = None) -> dict[str, int]:
        """Name of each study -> how many trials it has when it ends at a look, or at its end.

        At a look incumbents are not retrained yet: they may be others at the next one.

        Args:
            searches: Searches of each judged arm up to the look; ``None`` at the end.
        """
        budgets = {study.study_name: study.n_trials for study in self.every_study()}
        if searches is None:
            return budgets
        for arm in self.judged:
            chosen = self.selections(arm)[:searches]
            for study in self.studies():
                if study.arm == arm and chosen:
                    budgets[study.study_name] = _until(chosen, study.repeat)
            for study in self.afresh(arm):
                budgets[study.study_name] = len(chosen) if study.part == "selected" else 0
        return budgets

    @property
    def first_budgets(self) -> dict[str, int]:
        """Name of each study -> how many trials it has from its submission on."""
        return self.budgets(self.looks[0] if self.verdict.stop and self.looks else None)

    def undecided(self, budgets: Mapping[str, int]) -> bool:
        """Whether a look is still to say if it ends there: no incumbent is retrained before.

        Args:
            budgets: Study name -> its trials now.
        """
        if self.verdict.stop is None:
            return False
        incumbents = [self.retraining(arm).study_name for arm in self.judged]
        return any(budgets.get(name) == 0 for name in incumbents)

    def _stages(self, arm: ArmSpec, repeat: int) -> tuple[int, ...] | None:
        """Numbers of trials after which a search that may end at a look does."""
        if self.verdict.stop is None or arm not in self.judged:
            return None
        chosen = self.selections(arm)
        ends = sorted({_until(chosen[:look], repeat) for look in self.looks} - {0})
        return tuple(ends) or None

    def _shown(self, arm: ArmSpec) -> tuple[int, ...] | None:
        """Numbers of fresh runs after which there is a look."""
        if arm not in self.judged:
            return None
        return tuple(look for look in self.looks if look < self.n_selections(arm)) or None


def _until(chosen: Sequence[Selection], repeat: int) -> int:
    """How many trials of this repeat these searches consist of."""
    return max((each.trials.stop for each in chosen if each.repeat == repeat), default=0)


def declaration_hash(spec: ComparisonSpec) -> str:
    """SHA-256 of everything declared, ranges included, without the descriptions; in hex."""
    declared = spec.model_dump(
        mode="json",
        exclude={"description": True, "arms": {"__all__": {"space": {"description"}}}},
    )
    canonical = json.dumps(declared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def declared() -> dict[str, Path]:
    """Name -> file of every declared comparison."""
    return {path.stem: path for path in sorted(studies_dir().glob("*.toml"))}


def load(name_or_path: str) -> ComparisonSpec:
    """The comparison that a TOML file declares.

    Args:
        name_or_path: A path to a TOML file, or the name of a declared comparison.

    Raises:
        UnknownName: If no comparison of that name is declared.
        InvalidInput: If the file is missing or breaks a rule.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return read_toml(ComparisonSpec, path)
    if name_or_path not in (known := declared()):
        raise UnknownName("comparison", name_or_path, known)
    return read_toml(ComparisonSpec, known[name_or_path])
