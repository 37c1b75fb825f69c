"""What can be set about the server; everything through environment variables."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tuner.config import database_url
from tuner.errors import InvalidInput


@dataclass(frozen=True)
class Settings:
    """The server's settings.

    Args:
        database: ``TUNER_DATABASE_URL``.
        secret: ``TUNER_SECRET``: signs the sessions of browsers. Without it they end when the
            server does; servers that share a database need the same one.
        data_root: ``TUNER_FOLDER_ROOT``: image folders are taken from below it, from nowhere if
            it is not set.
        max_trials: ``TUNER_MAX_TRIALS``: of a comparison, in all.
        max_studies: ``TUNER_MAX_STUDIES``: of a comparison, arms times repeats.
        max_epochs: ``TUNER_MAX_EPOCHS``: of a trial.
        max_arms: ``TUNER_MAX_ARMS``: of a comparison.
        max_width: ``TUNER_MAX_WIDTH``: of a layer.
        max_layers: ``TUNER_MAX_LAYERS``: of a network that names its widths.
        max_batch_size: ``TUNER_MAX_BATCH_SIZE``: samples per step.
        max_body_bytes: ``TUNER_MAX_BODY_BYTES``: of a request.
        requests_per_minute: ``TUNER_REQUESTS_PER_MINUTE``: of a key, or of an address without one.
        logins_per_minute: ``TUNER_LOGINS_PER_MINUTE``: of an address.
        dashboard_writes: ``TUNER_DASHBOARD_WRITES``: whether the Optuna dashboard may change
            studies (1), or only show them (0).
    """

    database: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    data_root: Path | None = None
    max_trials: int = 100_000
    max_studies: int = 1000
    max_epochs: int = 10_000
    max_arms: int = 50
    max_width: int = 8192
    max_layers: int = 100
    max_batch_size: int = 65_536
    max_body_bytes: int = 1_048_576
    requests_per_minute: int = 600
    logins_per_minute: int = 10
    dashboard_writes: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The settings that the environment gives.

        Raises:
            InvalidInput: If a value is out of range.
        """
        numbers: dict[str, Any] = {  # Any: whole numbers, which replace does not know
            name: _count(f"TUNER_{name.upper()}", environment, getattr(cls, name))
            for name in (
                "max_trials",
                "max_studies",
                "max_epochs",
                "max_arms",
                "max_width",
                "max_layers",
                "max_batch_size",
                "max_body_bytes",
                "requests_per_minute",
                "logins_per_minute",
            )
        }
        secret = environment.get("TUNER_SECRET", "") or secrets.token_urlsafe(32)
        if len(secret) < 16:
            raise InvalidInput("TUNER_SECRET: must have at least 16 characters")
        root = environment.get("TUNER_FOLDER_ROOT", "")
        writes = environment.get("TUNER_DASHBOARD_WRITES", "") or "0"
        if writes not in ("0", "1"):
            raise InvalidInput(f"TUNER_DASHBOARD_WRITES: must be 0 or 1, got {writes!r}")
        given = cls(
            database=environment.get("TUNER_DATABASE_URL", "") or database_url(),
            secret=secret,
            data_root=Path(root) if root else None,
            dashboard_writes=writes == "1",
        )
        return replace(given, **numbers)


def _count(variable: str, environment: Mapping[str, str], default: int) -> int:
    text = environment.get(variable, "") or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InvalidInput(f"{variable}: must be a whole number of at least 1, got {text!r}")
    return int(text)
