"""Journals of Optuna's ``JournalFileBackend``: one JSON record a line."""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from tuner.errors import DatabaseProblem
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.storages.files import head
from tuner.search.foreign.storages.optuna_storage import OptunaStudies, unwarned
from tuner.wording import count

_OPENS = b'{"op_code"'


def recognises(path: Path) -> bool:
    """Whether a file is a journal."""
    return head(path).lstrip().startswith(_OPENS)


@contextmanager
def studies_in(path: Path) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies in a journal, as they stand.

    Raises:
        DatabaseProblem: If it cannot be read, or a newer Optuna wrote it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = _Journal(path)
    try:
        with unwarned():
            storage = JournalStorage(journal)
    except OSError as error:
        raise DatabaseProblem(f"journal {path}: {error.strerror}") from error
    except Exception as error:  # whatever a record of another version leads to in Optuna
        raise DatabaseProblem(
            f"journal {path}: Optuna {optuna.__version__} cannot replay its records "
            f"({type(error).__name__}: {error}); read it with the Optuna that wrote it"
        ) from error
    yield OptunaStudies(storage, journal.notes)


class _Journal(BaseJournalBackend):
    """A journal to be read once and never written.

    A record that was torn when its writer died was never there for anyone who replayed the
    journal; the next writer may have appended its own to the same line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = False
        self.notes: tuple[str, ...] = ()

    def read_logs(
        self,
        log_number_from: int,  # noqa: ARG002 (Optuna asks again from the last record on)
    ) -> Generator[dict[str, Any], None, None]:
        """All records, once."""
        if self._read:
            return
        self._read = True
        torn = []
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                record = _decoded(line)
                if record is None:
                    torn.append(number)
                    record = _decoded(line[line.rfind(_OPENS) :]) if _OPENS in line[1:] else None
                if record is not None:
                    yield record
        if torn:
            lines_of = ", ".join(map(str, torn[:5])) + (", ..." if len(torn) > 5 else "")
            left_out = count(
                len(torn),
                f"torn record is left out (line {lines_of}): its writer died",
                f"torn records are left out (line {lines_of}): their writers died",
            )
            self.notes = (f"{self._path}: {left_out}",)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002
        """Refused: it is somebody else's."""
        raise DatabaseProblem(f"journal {self._path}: is only read")


def _decoded(line: bytes) -> dict[str, Any] | None:
    """The record, None if it is torn. A last one without its line's end may yet be written on."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "op_code" in record else None
