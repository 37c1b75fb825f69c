"""The form that launches a study: what it starts from, and what is wrong with what was sent."""

import tomllib
from dataclasses import dataclass

from pydantic import ValidationError

from tuner.api import limits
from tuner.api.settings import Settings
from tuner.errors import Conflict, InvalidInput, UnknownName
from tuner.search.database.store import Store
from tuner.search.declared.files import broken_rule, dotted
from tuner.search.declared.spec import ComparisonSpec, declared
from tuner.search.queue import control


@dataclass(frozen=True)
class Mistake:
    """A field of the declaration, if it is about one, and the rule that it breaks."""

    field: str
    rule: str


def declaration(store: Store, study: str) -> str:
    """A declared study's TOML, under a name that the database does not hold yet.

    Raises:
        UnknownName: If none of that name is declared.
    """
    if study not in (known := declared()):
        raise UnknownName("study", study, known)
    taken = set(store.names())
    number = next(n for n in range(1, len(taken) + 2) if _numbered(study, n) not in taken)
    return f'name = "{_numbered(study, number)}"\n{known[study].read_text(encoding="utf-8")}'


def launch(store: Store, settings: Settings, text: str) -> str | list[Mistake]:
    """Submit the declaration; returns its name, or what is wrong with it.

    Args:
        store: The database.
        settings: The server's, for its limits.
        text: A comparison as TOML.
    """
    try:
        given = ComparisonSpec.model_validate(tomllib.loads(text.replace("\r\n", "\n")))
        spec = limits.check(given, settings)
        control.submit(store, spec)
    except RecursionError:
        return [Mistake("", "the TOML is nested too deeply")]
    except ValidationError as error:
        return [_mistake(each) for each in error.errors(include_url=False)]
    except (InvalidInput, Conflict) as error:
        return [Mistake("", str(error))]
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        return [Mistake("", f"this is not valid TOML: {error}")]
    return spec.name


def _numbered(study: str, number: int) -> str:
    return study if number == 1 else f"{study}-{number}"


def _mistake(error: object) -> Mistake:
    """One of pydantic's errors, in our words."""
    place, rule = broken_rule(error)
    return Mistake(dotted(place), rule)
