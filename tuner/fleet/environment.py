"""Ray's runtime environment of a fleet's workers, looked at before a cluster gets it.

Ray ignores fields that it does not know, and says of much else that no worker could start.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tuner.errors import InvalidInput
from tuner.fleet.cluster import ray_here

_WORKLOADS = "TUNER_WORKLOADS"
_OF_RAY_ITSELF = "_"
_MORE = ("excludes", "nsight", "rocprof_sys")
"""Fields that Ray keeps under other names, or does not list."""


def check_environment(given: Mapping[str, Any]) -> None:  # Any: as Ray documents it
    """Refuse what Ray would ignore, or would fail of on every node.

    Raises:
        InvalidInput: If Ray is not installed, or a field is unknown, of another type, or names a
            file that is not here.
    """
    ray_here()
    from ray.runtime_env import RuntimeEnv

    known = {name for name in RuntimeEnv.known_fields if not name.startswith(_OF_RAY_ITSELF)}
    known.update(_MORE)
    if unknown := sorted(given.keys() - known):
        raise InvalidInput(
            f"runtime environment: Ray has no field {unknown[0]!r}; choose from "
            f"{', '.join(sorted(known))}"
        )
    _check_variables(given.get("env_vars", {}))
    modules = given.get("py_modules", [])
    for field, places in (("py_modules", modules), ("working_dir", [given.get("working_dir")])):
        for place in places if isinstance(places, list) else ():
            _check_place(field, place)
    try:
        RuntimeEnv(**given)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"runtime environment: {' '.join(str(error).split())}") from error


def modules_of(given: Mapping[str, Any]) -> list[str]:  # Any: as Ray documents it
    """The modules that its variables allow objectives to be taken from."""
    names = given.get("env_vars", {}).get(_WORKLOADS, "").split(",")
    return [name.strip() for name in names if name.strip()]


def not_importable(modules: list[str]) -> str:
    """The first of the modules that cannot be imported here, with why; empty if all can be."""
    for module in modules:
        try:
            import_module(module)
        except (Exception, SystemExit) as error:
            return f"{module}: {type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _check_variables(variables: object) -> None:
    if not isinstance(variables, dict):
        raise InvalidInput(
            f"runtime environment: env_vars must be an object of names and texts, got {variables}"
        )
    for name, value in variables.items():
        if not isinstance(value, str):
            raise InvalidInput(
                f"runtime environment: env_vars: {name} must be text in quotes, got {value!r}"
            )


def _check_place(field: str, place: object) -> None:
    """Refuse a path to nothing; what has a scheme is fetched by the nodes."""
    if not isinstance(place, str) or "://" in place or Path(place).exists():
        return
    raise InvalidInput(
        f"runtime environment: {field}: there is no {place!r} here ({Path(place).absolute()}); "
        "a path is taken from where this command runs"
    )
