"""A suite: comparisons of the same search spaces on several workloads, to be answered as one.

The file of a suite, in ``studies/suites`` or anywhere, lists its comparisons: by the name or file
of a declared one, or as tables that hold what differs from ``[common]``.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from tuner.errors import InvalidInput, UnknownName
from tuner.search.declared.arm_spec import ArmSpec, Name
from tuner.search.declared.files import (
    Declared,
    a_list,
    parse,
    read_toml,
    refuse_unknown_keys,
    shown,
    studies_dir,
)
from tuner.search.declared.spec import ComparisonSpec, declaration_hash, load

COMMON = "common"
"""The table of what all comparisons of a suite declare alike."""

Arms = Annotated[
    tuple[Name, ...],
    Field(min_length=2),
    a_list('arms, the new one first, then the old one, such as ["filter", "magnitude"]'),
]


class SuiteSpec(Declared):
    """Comparisons over several workloads, and the arms that all of them have.

    Args:
        name: What the suite is called.
        description: What it asks, for people.
        arms: The arm claimed to need less tuning, the one it is held against, and further ones
            that the performance profile shows. In every comparison each of them searches the same
            space at random, and the first is the new arm of the verdict.
        comparisons: At least two, each with a target; their names differ.

    Raises:
        InvalidInput: If the comparisons do not ask the same question.
    """

    name: Name
    description: str = ""
    arms: Arms
    comparisons: Annotated[tuple[ComparisonSpec, ...], Field(min_length=2)]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:  # Any: whatever the file held
        if not isinstance(data, dict):
            return data
        refuse_unknown_keys(data, [*cls.model_fields, COMMON])
        given = {key: value for key, value in data.items() if key != COMMON}
        common, comparisons = data.get(COMMON, {}), data.get("comparisons")
        if not isinstance(common, dict):
            raise InvalidInput(f"{COMMON}: must be a table, got {shown(common)}")
        if isinstance(comparisons, list):
            if len(comparisons) < 2:
                raise InvalidInput(
                    f"comparisons: must have at least 2 items, got {shown(comparisons)}"
                )
            given["comparisons"] = tuple(_comparison(each, common) for each in comparisons)
        return given

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, names in (
            ("arms", list(self.arms)),
            ("comparisons", [spec.name for spec in self.comparisons]),
        ):
            twice = next((name for name, times in Counter(names).items() if times > 1), None)
            if twice is not None:
                raise InvalidInput(f"{what}: {twice!r} occurs twice; name each once")
        first = self.comparisons[0]
        for spec in self.comparisons:
            if spec.verdict.target is None:
                raise InvalidInput(
                    f"comparison {spec.name!r}: a suite asks how many trials reach the target, "
                    "and it declares none; give it a verdict.target"
                )
            if spec.primary[0] != self.arms[0]:
                raise InvalidInput(
                    f"comparison {spec.name!r}: its verdict is about {spec.primary[0]!r}, and the "
                    f"suite's about {self.arms[0]!r}; name the same new arm first in both"
                )
            for name in self.arms:
                _check_alike(name, spec, first)
        return self

    @property
    def declaration_hash(self) -> str:
        """SHA-256 of the arms and of every comparison's declaration, in hex."""
        declared = [list(self.arms), *map(declaration_hash, self.comparisons)]
        return hashlib.sha256(json.dumps(declared).encode()).hexdigest()


def _comparison(item: Any, common: Mapping[str, Any]) -> Any:  # Any: whatever the file held
    """One item of the list as a comparison: loaded by its name, or a table over the common one."""
    if isinstance(item, str):
        return load(item)
    if not isinstance(item, dict):
        return item
    table = {**common, **item}
    for key, value in common.items():
        if isinstance(value, dict) and isinstance(item.get(key), dict):
            table[key] = {**value, **item[key]}
    return parse(ComparisonSpec, table, f"comparison {item.get('name', '(without a name)')}")


def _check_alike(name: str, spec: ComparisonSpec, first: ComparisonSpec) -> None:
    arm, other = _arm(name, spec), _arm(name, first)
    if not arm.independent or name in (spec.verdict.repeated or ()):
        raise InvalidInput(
            f"comparison {spec.name!r}: arm {name!r} must be one random search that is run to its "
            "end in every comparison of a suite: only then is there a number of trials to the "
            "target that can be held against others"
        )
    if _searched(arm) != _searched(other):
        raise InvalidInput(
            f"comparison {spec.name!r}: arm {name!r} searches another space than in "
            f"{first.name!r}; a suite speaks of the same spaces everywhere"
        )


def _arm(name: str, spec: ComparisonSpec) -> ArmSpec:
    arms = {arm.name: arm for arm in spec.arms}
    if name not in arms:
        raise UnknownName(f"arm of comparison {spec.name!r}", name, arms)
    return arms[name]


def _searched(arm: ArmSpec) -> object:
    return arm.space.model_dump(mode="json", exclude={"name", "description"})


def declared_suites() -> dict[str, Path]:
    """Name -> file of every declared suite."""
    return {path.stem: path for path in sorted((studies_dir() / "suites").glob("*.toml"))}


def load_suite(name_or_path: str) -> SuiteSpec:
    """The suite that a TOML file declares.

    Args:
        name_or_path: A path to a TOML file, or the name of a declared suite.

    Raises:
        UnknownName: If no suite of that name is declared.
        InvalidInput: If the file is missing or breaks a rule.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return read_toml(SuiteSpec, path)
    if name_or_path not in (known := declared_suites()):
        raise UnknownName("suite", name_or_path, known)
    return read_toml(SuiteSpec, known[name_or_path])
