"""Where things lie: the database, the data sets. Each has one environment variable."""

import os
from pathlib import Path

DEFAULT_DATABASE = "sqlite:///tuner.db"


def database_url() -> str:
    """The database in use: ``$TUNER_DATABASE_URL``, or ``tuner.db`` in the working directory."""
    return os.environ.get("TUNER_DATABASE_URL", "") or DEFAULT_DATABASE


def data_dir() -> Path:
    """The folder of the data sets: ``$TUNER_DATA_DIR``, or ``~/.local/share/bnn-tuner/data``."""
    given = os.environ.get("TUNER_DATA_DIR", "")
    return Path(given) if given else Path.home() / ".local" / "share" / "bnn-tuner" / "data"
