"""From a name to a function of the user's: only what this machine's configuration allows."""

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints
from weakref import WeakKeyDictionary

from tuner import config
from tuner.errors import InvalidInput, TunerError
from tuner.workload import OPTION, AnyWorkload

if TYPE_CHECKING:
    from pydantic import BaseModel

GROUP = "bnn_tuner.workloads"
"""Entry points by which an installed package allows its functions."""

_versions: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()
"""Package or module of the user's -> which version of it was imported."""

Function = Callable[..., Any]  # Any: whatever the user's function returns
Returned = TypeVar("Returned")

_TAKES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "objective": ("trial",),
        "model": ("shape", "n_classes"),
        "dataset": (),
        "loss": ("outputs", "targets"),
        "metric": ("outputs", "targets"),
    }
)
"""Field of a workload -> what its function is called with before its options."""

OPTIONS: Mapping[str, str] = MappingProxyType(
    {"objective": "options", "model": "model_options", "dataset": "dataset_options"}
)
"""Field of a workload -> the field of its function's options."""


def allowed() -> frozenset[str]:
    """The modules and packages that functions may be taken from."""
    return frozenset(config.workload_modules()) | _installed(tuple(sys.path))


@lru_cache(maxsize=2)
def _installed(_path: tuple[str, ...]) -> frozenset[str]:
    """What the packages on the path allow; looking through them all takes a while."""
    return frozenset(entry.module for entry in entry_points(group=GROUP))


def check_allowed(workload: AnyWorkload) -> None:
    """Refuse functions that the configuration does not allow; nothing is imported.

    Raises:
        InvalidInput: Says how they are allowed.
    """
    for field, name in workload.functions.items():
        module = name.partition(":")[0]
        parents = {module[:end] for end, sign in enumerate(module) if sign == "."} | {module}
        if not parents & allowed():
            raise InvalidInput(
                f"workload.{field}: {name!r} may not be imported here; whoever runs this allows "
                f"it with TUNER_WORKLOADS={module.partition('.')[0]} (names of modules, separated "
                f"by commas), or by an entry point of the group {GROUP}"
            )


def function(workload: AnyWorkload, field: str) -> Function:
    """The function that a field names, imported; it takes what it is to be called with.

    A module that is not installed is looked for in the working directory, last.

    Args:
        workload: Names it.
        field: ``"objective"``, ``"model"``, ``"dataset"``, ``"loss"`` or ``"metric"``.

    Raises:
        InvalidInput: If it may not be imported, cannot be, is no function, or does not take what
            it is to be called with.
    """
    check_allowed(workload)
    module_name, _, name = workload.functions[field].partition(":")
    try:
        module = _imported(field, module_name)
    except InvalidInput:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"workload.{field}: importing {module_name} raised {type(error).__name__}: "
            f"{' '.join(str(error).split())}; import it in Python to see where"
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        there = ", ".join(sorted(_functions_of(module))) or "none"
        raise InvalidInput(
            f"workload.{field}: {module_name} has no function {name!r} (there are {there})"
        )
    _check_signature(workload, field, found)
    return found  # type: ignore[no-any-return]


def options(workload: AnyWorkload, field: str) -> Mapping[str, OPTION]:
    """The options of the function that a field names; a loss or a metric has none."""
    given: Mapping[str, OPTION] = getattr(workload, OPTIONS[field]) if field in OPTIONS else {}
    return given


def arguments(workload: AnyWorkload, field: str, called: Function) -> dict[str, Any]:
    """What a function is called with beside what all of its kind are: its options.

    Where a parameter is annotated with a pydantic model, they are that model, which checks them;
    else each is an argument of its own.

    Raises:
        InvalidInput: If the model refuses them; names the option and the rule.
    """
    given = options(workload, field)
    found = _options_model(called)
    if found is None:
        return dict(given)
    from pydantic import ValidationError

    parameter, model = found
    try:
        return {parameter: model.model_validate(dict(given))}
    except ValidationError as error:
        broken = error.errors(include_url=False, include_input=False)[0]
        place = ".".join((f"workload.{OPTIONS[field]}", *map(str, broken["loc"])))
        raise InvalidInput(
            f"{place}: {broken['msg']}, by {model.__name__} of {workload.functions[field]} "
            f"(its options are {', '.join(model.model_fields)})"
        ) from error


def _options_model(called: Function) -> "tuple[str, type[BaseModel]] | None":
    """The parameter of a function that is annotated with a pydantic model, and the model."""
    from pydantic import BaseModel

    try:
        hints = get_type_hints(called)
    except (TypeError, NameError, AttributeError):  # not Python's, or annotated with what is not
        return None
    for name, kind in hints.items():
        if name != "return" and isinstance(kind, type) and issubclass(kind, BaseModel):
            return name, kind
    return None


def takes(called: Function, name: str) -> bool:
    """Whether a function names this parameter."""
    try:
        return name in inspect.signature(called).parameters
    except (TypeError, ValueError):  # one that is not written in Python
        return False


def setting_up(what: str, call: Callable[[], Returned]) -> Returned:
    """What a call of the user's code returns that no trial can do without.

    Args:
        what: The field and the function, for the message.
        call: Calls it.

    Raises:
        InvalidInput: If it raises or calls ``sys.exit``; says what and where, with the user's own
            traceback as a note.
    """
    try:
        return call()
    except TunerError:
        raise
    except (Exception, SystemExit) as error:
        raise refused(what, error) from error


def refused(what: str, error: BaseException) -> InvalidInput:
    """What code of the user's raised, as a refusal: a line that says where, and its traceback."""
    if isinstance(error, SystemExit):
        words = f"called sys.exit({error.code!r})"
    else:
        words = f"raised {type(error).__name__}: {' '.join(str(error).split())}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent)
    theirs = [frame for frame in frames if not frame.filename.startswith(ours)] or frames
    place = next((f for f in reversed(theirs) if "site-packages" not in f.filename), theirs[-1])
    made = InvalidInput(f"{what} {words} ({place.filename}, line {place.lineno})")
    made.add_note("".join(["Traceback:\n", *traceback.format_list(theirs)]).rstrip())
    return made


def code_version(workload: AnyWorkload) -> str:
    """Which version of the user's code this is: of its distribution, or a hash of its files.

    What an editable installation holds is hashed too: its version says nothing of its files. It
    is the version that this process imported and runs, whatever became of the files since.

    Raises:
        InvalidInput: If it may not be imported, or cannot be.
    """
    check_allowed(workload)
    tops = {}
    for field, name in workload.functions.items():
        top = name.partition(":")[0].partition(".")[0]
        tops[top] = _imported(field, top)
    return " and ".join(_version_of(top, module) for top, module in tops.items())


def _version_of(top: str, module: ModuleType) -> str:
    if module not in _versions:
        _versions[module] = _version_now(top, module)
    return _versions[module]


def _version_now(top: str, module: ModuleType) -> str:
    files = sorted(_files_of(module))
    if any("site-packages" in file.parts for file in files):
        distributions = _distributions().get(top, ())
        if distributions:
            return f"{distributions[0]} {version(distributions[0])}"
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()[:16]}"


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Which distribution each package came with; reading it takes tenths of a second."""
    return packages_distributions()


def _imported(field: str, name: str) -> ModuleType:
    """The module; which version it is of is seen now, before anybody changes its files."""
    module = _found(field, name)
    top = name.partition(".")[0]
    _version_of(top, sys.modules[top])
    return module


def _found(field: str, name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that the module needs
        here = str(Path.cwd())
        if here in sys.path or not (Path(f"{top}.py").is_file() or Path(top).is_dir()):
            raise InvalidInput(
                f"workload.{field}: there is no module {name}; install it, add its folder to "
                f"PYTHONPATH, or start in its folder (this is {here})"
            ) from error
        sys.path.append(here)
        return import_module(name)


def _files_of(module: ModuleType) -> Iterator[Path]:
    """The Python files of a module, or of the package that it is."""
    for folder in map(Path, getattr(module, "__path__", ())):
        yield from folder.rglob("*.py")
    if module.__file__ is not None:
        yield Path(module.__file__)


def _functions_of(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]


def _check_signature(workload: AnyWorkload, field: str, found: Function) -> None:
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # one that is not written in Python
        return
    first, given = _TAKES[field], arguments(workload, field, found)
    if field == "model" and "n_trials" in signature.parameters:
        given = {**given, "n_trials": None}
    try:
        signature.bind(*(None for _ in first), **given)
    except TypeError as error:
        whole = workload.functions[field]
        name = whole.partition(":")[2]
        call = ", ".join((*first, *(f"{option}=..." for option in given)))
        raise InvalidInput(
            f"workload.{OPTIONS.get(field, field)}: {whole} is called as {name}({call}), "
            f"but is {name}{signature}: {error}"
        ) from error
