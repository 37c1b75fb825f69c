"""Declared data: TOML files in ``studies/``, read strictly, refused in one line."""

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from tuner.errors import InvalidInput, UnknownName
from tuner.search.declared.whole_trials import STORED
from tuner.wording import count

MOST_ITEMS = 1000
"""No list or table that is declared has more: what each holds is checked one by one."""


class Declared(BaseModel):
    """A frozen model that refuses NaN, infinity, unknown keys and lists without end.

    An unknown key is refused with a suggestion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_at_once(
        cls,
        data: Any,  # Any: whatever the file or request held
        info: ValidationInfo,
    ) -> Any:
        if isinstance(data, dict):
            refuse_unknown_keys(data, cls.__pydantic_fields__)
            if info.context != STORED:
                refuse_too_many_items(data)
        return data


Count = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
"""How many of something there are."""


def unless_none() -> Any:  # Any: as pydantic's Field
    """A field that is written down only if it is given, so that older declarations keep theirs."""
    return Field(default=None, exclude_if=lambda value: value is None)


def a_list(of: str) -> BeforeValidator:
    """Refuses what is no list; ``of`` says what belongs into it, with an example."""

    def check(data: Any) -> Any:  # Any: unchecked outside data
        if not isinstance(data, list | tuple):
            raise InvalidInput(f"must be a list of {of}, got {shown(data)}")
        return data

    return BeforeValidator(check)


Model = TypeVar("Model", bound=Declared)


def refuse_unknown_keys(data: Iterable[str], known: Collection[str]) -> None:
    """Raise UnknownName for the first key of ``data`` that is not a known one."""
    for key in data:
        if key not in known:
            raise UnknownName("key", key, known)


def refuse_too_many_items(data: Mapping[str, object]) -> None:
    """Raise InvalidInput for the first list or table in ``data`` that is longer than any is."""
    for key, value in data.items():
        if isinstance(value, list | dict) and len(value) > MOST_ITEMS:
            raise InvalidInput(f"{key}: must have at most {MOST_ITEMS} items, got {len(value)}")


@cache
def studies_dir() -> Path:
    """The folder of the declared studies: inside the installed package, or of the checkout.

    Raises:
        InvalidInput: If neither exists; the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "studies", package.parent / "studies"):
        if (folder / "spaces").is_dir():
            return folder
    raise InvalidInput(f"the declared studies are not at {package / 'studies'}; install again")


def read_toml(model: type[Model], path: Path) -> Model:
    """The model that a TOML file declares; its name is the file's unless the file says one.

    Args:
        model: What the file declares; has a field ``name``.
        path: The file.

    Raises:
        InvalidInput: If the file is missing, is not TOML, or breaks a rule; names file, field,
            rule and value.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: is not UTF-8 text, so not TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path}: is not valid TOML: {error}") from error
    return parse(model, {"name": path.stem, **data}, str(path))


def parse(model: type[Model], data: Any, where: str) -> Model:  # Any: unchecked outside data
    """The model that ``data`` declares.

    Raises:
        InvalidInput: If it breaks a rule; one line that starts with ``where`` and names field,
            rule and value.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInput(f"{where}: {_one_line(first)}") from error


_TAGS = ("range", "choice", "of-tuner", "of-user", "of-study", "the-same")
"""What pydantic puts among the names of fields where a value may be of several kinds."""

_NAMED = re.compile(r"([a-z_]\w*(?:\.\w+)*): ")
"""How a check of several fields at once begins: it names the one that it refuses."""


def _one_line(error: Any) -> str:  # Any: pydantic's ErrorDetails, a loosely typed dict
    place, rule = broken_rule(error)
    return ": ".join(filter(None, (dotted(place), rule)))


def dotted(place: Iterable[str | int]) -> str:
    """A place in what was given as every answer names it: keys and places in lists, from 0."""
    return ".".join(map(str, place))


def broken_rule(error: Any) -> tuple[tuple[str | int, ...], str]:  # Any: as _one_line
    """The field whose value breaks a rule, as its place in what was given, and the rule.

    A check that names its field does so from where it stands or from further out: of what is said
    of `workload` both `epochs: ...` and `workload.epochs: ...` are about `workload.epochs`.
    """
    place = [part for part in error["loc"] if part not in _TAGS]
    rule = _rule_in_words(error)
    if error["type"] == "value_error" and (said := _NAMED.match(rule)):
        named = said[1].split(".")
        around = place.index(named[0]) if named[0] in place else len(place)
        place, rule = [*place[:around], *named], rule[said.end() :]
    return tuple(place), rule


def _rule_in_words(error: Any) -> str:  # Any: pydantic's ErrorDetails, a loosely typed dict
    """The rule that a value breaks, and the value, in our words."""
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing" if not isinstance(error["loc"][-1], int):
            return "this key is required"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return "this key is unknown"
    return f"{_rule(error)}, got {shown(error['input'])}"


_A_LIST = "must be a list"
_A_TABLE = "must be a table of keys and values (in JSON an object)"
_KINDS = {
    "missing": "this item of the list is required",
    "tuple_type": _A_LIST,
    "list_type": _A_LIST,
    "dict_type": _A_TABLE,
    "mapping_type": _A_TABLE,
    "model_type": _A_TABLE,
    "model_attributes_type": _A_TABLE,
    "dataclass_type": _A_TABLE,
}
"""What pydantic finds wrong with a list or a table -> the rule, without Python's types."""


def _rule(error: Any) -> str:  # Any: pydantic's ErrorDetails, a loosely typed dict
    match error["type"]:
        case "too_short":
            return f"must have at least {_items(error['ctx']['min_length'])}"
        case "too_long":
            return f"must have at most {_items(error['ctx']['max_length'])}"
    return _KINDS.get(error["type"]) or error["msg"][:1].lower() + error["msg"][1:]


def _items(number: int) -> str:
    return count(number, "item")


def shown(value: object, most: int = 200) -> str:
    """The value as an error shows it, not at any length."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
