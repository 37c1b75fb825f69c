"""What can be set about the server; everything through environment variables."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tuner.api.storages import VARIABLE, storages_in
from tuner.config import database_url
from tuner.errors import InvalidInput
from tuner.search.watch.notify.settings import NotifySettings
from tuner.search.watch.notify.settings import from_environment as notify_settings


@dataclass(frozen=True)
class Settings:
    """The server's settings.

    Args:
        database: ``TUNER_DATABASE_URL``.
        secret: ``TUNER_SECRET``: signs the sessions of browsers. Without it they end when the
            server does; servers that share a database need the same one.
        https: ``TUNER_HTTPS``: whether browsers come by https alone (1), where the proxy in front
            does not say so in X-Forwarded-Proto, or is not trusted.
        data_root: ``TUNER_FOLDER_ROOT``: image folders are taken from below it, from nowhere if
            it is not set.
        max_trials: ``TUNER_MAX_TRIALS``: of a comparison, in all.
        max_studies: ``TUNER_MAX_STUDIES``: of a comparison, arms times repeats.
        max_epochs: ``TUNER_MAX_EPOCHS``: of a trial.
        max_arms: ``TUNER_MAX_ARMS``: of a comparison.
        max_width: ``TUNER_MAX_WIDTH``: of a layer.
        max_layers: ``TUNER_MAX_LAYERS``: of a network that names its widths.
        max_weights: ``TUNER_MAX_WEIGHTS``: of a network, as far as they are known without data.
        max_batch_size: ``TUNER_MAX_BATCH_SIZE``: samples per step.
        max_body_bytes: ``TUNER_MAX_BODY_BYTES``: of a request.
        max_connections: ``TUNER_MAX_CONNECTIONS``: at once.
        request_seconds: ``TUNER_REQUEST_SECONDS``: within which a request's headers have to come,
            and its body.
        max_upload_bytes: ``TUNER_MAX_UPLOAD_BYTES``: of the files that are sent to be compared.
        requests_per_minute: ``TUNER_REQUESTS_PER_MINUTE``: of a key, or of an address without one.
        logins_per_minute: ``TUNER_LOGINS_PER_MINUTE``: of an address.
        dashboard_writes: ``TUNER_DASHBOARD_WRITES``: whether the Optuna dashboard may change
            studies (1), or only show them (0).
        storages: ``TUNER_STORAGES``: name -> address or path of those that clients may have
            studies compared from, beside the database.
        notify: Who is told of what, and how: see ``tuner.search.watch.notify.settings``.
    """

    database: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    https: bool = False
    data_root: Path | None = None
    max_trials: int = 100_000
    max_studies: int = 1000
    max_epochs: int = 10_000
    max_arms: int = 50
    max_width: int = 8192
    max_layers: int = 100
    max_weights: int = 250_000_000
    max_batch_size: int = 65_536
    max_body_bytes: int = 1_048_576
    max_connections: int = 1000
    request_seconds: int = 30
    max_upload_bytes: int = 67_108_864
    requests_per_minute: int = 600
    logins_per_minute: int = 10
    dashboard_writes: bool = False
    storages: Mapping[str, str] = field(default_factory=dict, repr=False)
    notify: NotifySettings = field(default_factory=NotifySettings)

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
                "max_weights",
                "max_batch_size",
                "max_body_bytes",
                "max_connections",
                "request_seconds",
                "max_upload_bytes",
                "requests_per_minute",
                "logins_per_minute",
            )
        }
        secret = environment.get("TUNER_SECRET", "") or secrets.token_urlsafe(32)
        if len(secret) < 16:
            raise InvalidInput("TUNER_SECRET: must have at least 16 characters")
        root = environment.get("TUNER_FOLDER_ROOT", "")
        given = cls(
            database=environment.get("TUNER_DATABASE_URL", "") or database_url(),
            secret=secret,
            https=_switch("TUNER_HTTPS", environment),
            data_root=Path(root) if root else None,
            dashboard_writes=_switch("TUNER_DASHBOARD_WRITES", environment),
            storages=storages_in(environment.get(VARIABLE, "")),
            notify=notify_settings(environment),
        )
        return replace(given, **numbers)


def _switch(variable: str, environment: Mapping[str, str]) -> bool:
    text = environment.get(variable, "") or "0"
    if text not in ("0", "1"):
        raise InvalidInput(f"{variable}: must be 0 or 1, got {text!r}")
    return text == "1"


def _count(variable: str, environment: Mapping[str, str], default: int) -> int:
    text = environment.get(variable, "") or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InvalidInput(f"{variable}: must be a whole number of at least 1, got {text!r}")
    return int(text)
