"""The server: who may use it, how it signs, whom it believes, and room on its disks."""

import ipaddress
import os
import secrets
import shutil
from pathlib import Path

from sqlalchemy import func, select

from tuner import config
from tuner.config import without_password
from tuner.doctor.setup import Finding, Setup
from tuner.errors import InvalidInput, TunerError
from tuner.kept import at
from tuner.kept.places import is_address
from tuner.search.database.tables import keys as keys_table

SCARCE_BYTES, NONE_LEFT_BYTES = 1_000_000_000, 50_000_000
_PROXIES = "FORWARDED_ALLOW_IPS"


def keys(setup: Setup) -> Finding | None:
    """Who may use the server."""
    if (connection := setup.readable) is None:
        return None
    made = connection.scalar(select(func.count()).select_from(keys_table)) or 0
    valid = _n_valid(setup)
    if not made:
        return Finding("ok", "none: the server answers this machine only, to everybody on it")
    if not valid:
        fix = "make one with: tuner keys create NAME"
        return Finding("warning", "all are revoked, so nobody can use the server", fix)
    return Finding("ok", f"{valid:,} valid of {made:,}")


def secret(setup: Setup) -> Finding | None:
    """Whether browsers stay logged in when the server starts again."""
    given = setup.environment.get("TUNER_SECRET", "")
    if given and len(given) < 16:
        fix = "set it to 16 or more, such as the output of: openssl rand -hex 32"
        return Finding("problem", "TUNER_SECRET has fewer than 16 characters", fix)
    if given:
        return Finding("ok", "TUNER_SECRET is set")
    if not _n_valid(setup):
        return Finding("ok", "TUNER_SECRET is not set, and no key is there to log in with")
    return Finding(
        "warning",
        "TUNER_SECRET is not set: sessions of browsers end at each restart of the server, and "
        "servers that share the database do not share them",
        "set it to the same text for all of them, such as the output of: openssl rand -hex 32",
    )


def proxy(setup: Setup) -> Finding:
    """Whose word is taken for where requests come from."""
    given = setup.environment.get(_PROXIES, "")
    strangers = [each for each in given.split(",") if each.strip() and not _is_known(each)]
    fix = f"name the proxy's address, or its network: {_PROXIES}=172.16.0.0/12"
    if strangers == ["*"]:
        found = f"{_PROXIES} is *: whoever reaches the server may claim any address, and https"
        return Finding("warning", found, fix)
    if strangers:
        return Finding("warning", f"{_PROXIES}: {strangers[0].strip()!r} is no address", fix)
    return Finding("ok", f"{given} is believed" if given else f"{_PROXIES} is not set")


def _is_known(place: str) -> bool:
    try:
        ipaddress.ip_network(place.strip(), strict=False)
    except ValueError:
        return False
    return True


def disk(setup: Setup) -> Finding:
    """Whether there is room where this software writes, and whether it may write there."""
    left: dict[Path, int] = {}
    for folder in _written(setup):
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        if not os.access(there, os.W_OK | os.X_OK):
            fix = "let this user write there, or name another folder (docs/service.md)"
            return Finding("problem", f"{folder} cannot be written", fix)
        left[folder] = shutil.disk_usage(there).free
    folder, free = min(left.items(), key=lambda pair: pair[1])
    words = f"{free / 1e9:,.1f} GB are free for {folder}"
    if free < NONE_LEFT_BYTES:
        return Finding("problem", words, "make room: nothing can be written down")
    if free < SCARCE_BYTES:
        return Finding("warning", words, "make room: databases and checkpoints grow")
    return Finding("ok", words)


def _written(setup: Setup) -> list[Path]:
    """The folders that are written to, made or yet to be made."""
    folders = [config.data_dir(), config.cache_dir()]
    if not is_address(config.checkpoint_dir()):
        folders.append(Path(config.checkpoint_dir()))
    try:
        folders += [setup.file.parent] if setup.file is not None else []
    except TunerError:  # no address, as the check of the database says
        pass
    return [folder.expanduser().absolute() for folder in folders]


def checkpoints(setup: Setup) -> Finding:
    """Whether unfinished training can be kept at its address; the disk's check sees to folders."""
    del setup
    address = config.checkpoint_dir()
    if not is_address(address):
        return Finding("ok", f"in {address}")
    name = f"{secrets.token_hex(32)}.pt"
    fix = "set TUNER_CHECKPOINT_DIR to one that does; see docs/clusters.md"
    try:
        place = at(address)
        place.write(name, name.encode())
        read = place.read(name)
        place.remove(name)
    except InvalidInput as error:
        return Finding("problem", str(error), "or set TUNER_CHECKPOINT_DIR to a folder")
    except OSError as error:
        return Finding("problem", f"training cannot be kept: {error}", fix)
    if read != name.encode():
        return Finding("problem", f"{without_password(address)} does not give back files", fix)
    return Finding("ok", f"{without_password(address)} takes files and gives them back")


def folders(setup: Setup) -> Finding:
    """Where image folders may lie."""
    given = setup.environment.get("TUNER_FOLDER_ROOT", "")
    if not given:
        return Finding("ok", "TUNER_FOLDER_ROOT is not set: the server takes no image folders")
    if not Path(given).is_dir() or not os.access(given, os.R_OK | os.X_OK):
        fix = "make it, let this user read it, or set another"
        return Finding("problem", f"TUNER_FOLDER_ROOT: {given} is no folder to be read", fix)
    return Finding("ok", f"below {given}")


def _n_valid(setup: Setup) -> int:
    if setup.readable is None:
        return 0
    query = select(func.count()).select_from(keys_table).where(keys_table.c.revoked.is_(None))
    return setup.readable.scalar(query) or 0
