"""Where things lie: database, data sets, checkpoints, cache. Each has one environment variable."""

import os
import re
from pathlib import Path

from tuner.errors import InvalidInput

DEFAULT_DATABASE = "sqlite:///tuner.db"


def database_url() -> str:
    """The database in use: ``$TUNER_DATABASE_URL``, or ``tuner.db`` in the working directory."""
    return os.environ.get("TUNER_DATABASE_URL", "") or DEFAULT_DATABASE


def data_dir() -> Path:
    """The folder of the data sets: ``$TUNER_DATA_DIR``, or ``~/.local/share/bnn-tuner/data``."""
    given = os.environ.get("TUNER_DATA_DIR", "")
    return Path(given) if given else Path.home() / ".local" / "share" / "bnn-tuner" / "data"


def checkpoint_dir() -> str:
    """Where unfinished training is kept: ``$TUNER_CHECKPOINT_DIR``, or beside the data sets.

    A folder, or an address such as ``s3://bucket/name``. Workers on several machines go on with
    each other's trials if they share it; bit for bit where their processors, or their GPUs, are of
    one kind.
    """
    given = os.environ.get("TUNER_CHECKPOINT_DIR", "")
    return given or str(data_dir().parent / "checkpoints")


def artifact_dir() -> Path:
    """The folder of files that hang on trials: ``$TUNER_ARTIFACT_DIR``, or beside the data sets.

    What exports networks and the server have to share it.
    """
    given = os.environ.get("TUNER_ARTIFACT_DIR", "")
    return Path(given) if given else data_dir().parent / "artifacts"


def cache_dir() -> Path:
    """The folder of what can be made again: ``$TUNER_CACHE_DIR``, or ``~/.cache/bnn-tuner``."""
    given = os.environ.get("TUNER_CACHE_DIR", "")
    root = os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache"
    return Path(given) if given else Path(root) / "bnn-tuner"


def workload_modules() -> tuple[str, ...]:
    """Modules and packages that objectives may be taken from: ``$TUNER_WORKLOADS``, by commas."""
    given = os.environ.get("TUNER_WORKLOADS", "")
    return tuple(name.strip() for name in given.split(",") if name.strip())


def folder_root() -> Path | None:
    """What image folders have to lie below: ``$TUNER_FOLDER_ROOT``; None where they need not."""
    given = os.environ.get("TUNER_FOLDER_ROOT", "")
    return Path(given) if given else None


def image_bytes() -> int | None:
    """Bytes of images that a process keeps in memory: ``$TUNER_IMAGE_BYTES``; None if not said.

    Raises:
        InvalidInput: If it is no number.
    """
    given = os.environ.get("TUNER_IMAGE_BYTES", "")
    if not given:
        return None
    if not given.isdecimal():
        raise InvalidInput(f"TUNER_IMAGE_BYTES must be a number of bytes, got {given!r}")
    return int(given)


def image_folder_at(folder: str, root: Path | None) -> Path:
    """Where an image folder lies; see ``below``."""
    return below(root, folder, "workload.folder")


def below(root: Path | None, name: str, field: str) -> Path:
    """Where a folder or file lies, for the server that accepts it and the worker that opens it.

    A relative one is taken from the root, or from the working directory where there is no root.

    Args:
        root: What it has to lie below, with ``..`` and symbolic links followed, if anything.
        name: As a workload names it.
        field: The field that does.

    Raises:
        InvalidInput: If it does not lie there, or is no path.
    """
    try:
        place = ((root or Path()) / Path(name).expanduser()).resolve()
        inside = root is None or place.is_relative_to(root.resolve())
        place.exists()  # raises where nothing can be called so
    except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, links in a circle
        raise InvalidInput(f"{field}: {name!r} is no path ({error})") from error
    if not inside:
        raise InvalidInput(f"{field}: must lie below {root} (TUNER_FOLDER_ROOT), got {name!r}")
    return place


def without_password(address: str) -> str:
    """A database's address as a person may see it; any other text as it is."""
    return re.sub(r"(://[^/@:]*):.*@", r"\1:***@", address)
