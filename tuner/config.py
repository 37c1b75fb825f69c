"""Where things lie: database, data sets, checkpoints, cache. Each has one environment variable."""

import os
import re
from pathlib import Path

DEFAULT_DATABASE = "sqlite:///tuner.db"


def database_url() -> str:
    """The database in use: ``$TUNER_DATABASE_URL``, or ``tuner.db`` in the working directory."""
    return os.environ.get("TUNER_DATABASE_URL", "") or DEFAULT_DATABASE


def data_dir() -> Path:
    """The folder of the data sets: ``$TUNER_DATA_DIR``, or ``~/.local/share/bnn-tuner/data``."""
    given = os.environ.get("TUNER_DATA_DIR", "")
    return Path(given) if given else Path.home() / ".local" / "share" / "bnn-tuner" / "data"


def checkpoint_dir() -> Path:
    """Where unfinished training is kept: ``$TUNER_CHECKPOINT_DIR``, or beside the data sets.

    Workers on several machines go on with each other's trials if they share it; bit for bit where
    their processors, or their GPUs, are of one kind.
    """
    given = os.environ.get("TUNER_CHECKPOINT_DIR", "")
    return Path(given) if given else data_dir().parent / "checkpoints"


def cache_dir() -> Path:
    """The folder of what can be made again: ``$TUNER_CACHE_DIR``, or ``~/.cache/bnn-tuner``."""
    given = os.environ.get("TUNER_CACHE_DIR", "")
    root = os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache"
    return Path(given) if given else Path(root) / "bnn-tuner"


def without_password(address: str) -> str:
    """A database's address as a person may see it; any other text as it is."""
    return re.sub(r"(://[^/@:]*):.*@", r"\1:***@", address)
