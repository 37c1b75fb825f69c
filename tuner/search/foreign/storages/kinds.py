"""Which reader a storage has: the registry of all that can be read."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.exports.packed import unpacker_of
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.shown import printable, typed
from tuner.search.foreign.storages import (
    grpc_proxy,
    journal,
    mlflow_export,
    pickled,
    ray_results,
    server,
    sqlite,
    trials_table,
    wandb_export,
)
from tuner.wording import count

_MOST_NAMED = 20
_MOST_IN_A_FOLDER = 5

Opened = AbstractContextManager[Mapping[str, StudyRecord]]
"""Name of each study in an open storage -> the study, read when it is asked for."""


@dataclass(frozen=True)
class Kind:
    """A kind of file or folder that studies are read from.

    Args:
        words: What it is.
        recognises: Whether a path is one.
        studies_in: Opens it.
    """

    words: str
    recognises: Callable[[Path], bool]
    studies_in: Callable[[Path], Opened]


KINDS: tuple[Kind, ...] = (
    Kind("SQLite file of Optuna's or MLflow's", sqlite.recognises, sqlite.studies_in),
    Kind("journal of Optuna's", journal.recognises, journal.studies_in),
    Kind("pickled study of Optuna's", pickled.recognises, pickled.studies_in),
    Kind("result folder of Ray Tune", ray_results.recognises, ray_results.studies_in),
    Kind("folder or table of MLflow's", mlflow_export.recognises, mlflow_export.studies_in),
    Kind("table of W&B's runs", wandb_export.recognises, wandb_export.studies_in),
    Kind("table of an Optuna study's trials", trials_table.recognises, trials_table.studies_in),
)
"""In the order in which they are asked."""


def study_at(address: Address) -> StudyRecord:
    """The study at an address; the only one of its storage where none is named.

    Raises:
        InvalidInput: If there is no such study, none is named and the storage holds several, or
            see ``opened``.
        DatabaseProblem: See ``opened``.
    """
    with opened(address) as studies:
        names = list(studies)
        if address.study is None:
            if len(names) == 1:
                return studies[names[0]]
            raise InvalidInput(
                f"storage {address.shown}: holds {_named(names)}; name one of them, such as "
                f"{typed(f'{address.shown}::{names[0]}') if names else 'another storage'}"
            )
        if address.study not in names:
            close = get_close_matches(address.study, names, n=3)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise InvalidInput(
                f"study {address.study!r}: is not in {address.shown}{hint} (it holds "
                f"{_named(names)})"
            )
        return studies[address.study]


def _named(names: Sequence[str]) -> str:
    if not names:
        return "no studies"
    more = ", ..." if len(names) > _MOST_NAMED else ""
    shown = ", ".join(map(printable, names[:_MOST_NAMED]))
    return f"{count(len(names), 'study', 'studies')}: {shown}{more}"


def opened(address: Address) -> Opened:
    """The storage, open for reading.

    Raises:
        InvalidInput: If it is of no kind that can be read.
        DatabaseProblem: If it is not there, or cannot be read.
    """
    scheme = (address.scheme or "").partition("+")[0]
    if scheme in server.SCHEMES:
        return server.studies_at(address.storage)
    if scheme == "grpc":
        return grpc_proxy.studies_at(address.storage)
    if scheme not in ("", "sqlite", "journal", "file"):
        raise InvalidInput(
            f"storage {scheme}://...: is not known; write the path of a file or folder, "
            "sqlite:///FILE, journal:///FILE, postgresql://..., mysql://... or grpc://HOST:PORT"
        )
    path = address.path
    try:
        kind = _kind_of(path)
        within = [] if kind or not path.is_dir() else _readable_in(path)
    except FileNotFoundError as error:
        raise DatabaseProblem(
            f"storage {address.shown}: there is no file {path}{_alike(path)}; check the name"
        ) from error
    except PermissionError as error:
        raise DatabaseProblem(
            f"storage {address.shown}: you may not read {error.filename or path}; ask its owner "
            f"to allow it, such as with: chmod +r {typed(str(error.filename or path))}"
        ) from error
    except OSError as error:
        raise DatabaseProblem(f"storage {address.shown}: {error.strerror}") from error
    if kind is not None:
        return kind.studies_in(path)
    if within:
        raise InvalidInput(
            f"storage {address.shown}: is a folder; name what in it is meant, such as "
            f"{' or '.join(typed(str(each)) for each in within[:_MOST_IN_A_FOLDER])}"
        )
    if path.is_file() and not path.stat().st_size:
        raise InvalidInput(
            f"storage {address.shown}: is empty; copy it afresh, or name another file"
        )
    if path.is_file() and (unpacker := unpacker_of(path)):
        raise InvalidInput(
            f"storage {address.shown}: is packed; unpack it first, such as with: "
            f"{unpacker} {typed(str(path))}"
        )
    known = ", ".join(kind.words for kind in KINDS)
    raise InvalidInput(
        f"storage {address.shown}: holds no studies that can be read; what can be: {known}"
    )


def is_a_study(folder: Path) -> bool:
    """Whether a folder by itself is what others wrote, such as ``mlruns``, if it is one."""
    return folder.is_dir() and _kind_of(folder) is not None


def _kind_of(path: Path) -> Kind | None:
    return next((kind for kind in KINDS if kind.recognises(path)), None)


def _alike(path: Path) -> str:
    """Files beside it that are called almost so."""
    try:
        beside = [each.name for each in path.parent.iterdir()]
    except OSError:
        return ""
    close = get_close_matches(path.name, beside, n=3)
    return f" (but {' and '.join(str(path.parent / each) for each in close)})" if close else ""


def _readable_in(folder: Path) -> list[Path]:
    """What right in a folder can be read by itself; what may not be looked into cannot."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            if _kind_of(path) is not None:
                found.append(path)
        except (OSError, InvalidInput, DatabaseProblem):
            continue
    return found
