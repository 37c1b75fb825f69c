"""Studies in files that somebody sends: read in a process of its own, in a folder that goes.

Nothing is known about such a file: it may take for ever to read, or all memory. Only what was
sent is opened, under a name that this server gives it.
"""

import json
import logging
import os
import re
import traceback
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from optuna.study import Study

from tuner.api.pages.comparing.form import REFUSALS, Form, made_by
from tuner.api.pages.launching import Mistake
from tuner.api.reports.maker import IMPORTED
from tuner.api.schemas import Question
from tuner.search.database.store import open_store
from tuner.search.foreign.compare import judged_studies, stored_studies
from tuner.search.foreign.storages import pickled
from tuner.search.work.surroundings import ONE_THREAD, fork

SIDES = ("new", "old")
MOST_SECONDS = 120
"""A file that takes longer to read and compare is given up."""
MOST_BYTES = 4 * 2**30
"""Of memory, as far as the system can limit it."""

_log = logging.getLogger(__name__)
_KEPT_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Sent:
    """A file as it was sent: what it was called there, and its content."""

    name: str
    content: BinaryIO


@dataclass(frozen=True)
class Upload:
    """What was sent.

    Args:
        form: What was asked; ``new`` and ``old`` name a study where its file holds several.
        files: ``new`` or ``old`` -> its file. Whichever has none is in the other's.
        stored: Which of the two are no files but studies of this database.
    """

    form: Form
    files: Mapping[str, Sent]
    stored: Collection[str]


def report_of(database: str, upload: Upload) -> str | list[Mistake]:
    """The page of what came out, or what is wrong.

    Args:
        database: Where the studies of this database are.
        upload: What was sent.
    """
    if not upload.files:
        return [Mistake("new_file", "choose a file")]
    asked = _asked(upload.form, len(upload.files), upload.stored)
    if isinstance(asked, list):
        return asked
    with TemporaryDirectory(prefix="tuner-upload-") as folder:
        paths = {side: _written(Path(folder) / side, file) for side, file in upload.files.items()}
        task = {
            "database": database,
            "form": asdict(upload.form),
            "paths": {side: str(path) for side, path in paths.items()},
            "stored": list(upload.stored),
        }
        found = _pickles(paths.values()) or _in_a_process(task, Path(folder))
        if isinstance(found, str):
            return found
        return [replace(m, rule=_as_sent(m.rule, paths, upload.files)) for m in found]


def _written(folder: Path, file: Sent) -> Path:
    """The file under a name without anything but letters, digits and few signs."""
    folder.mkdir()
    stem = _KEPT_NAME.sub("_", file.name.replace("\\", "/").rpartition("/")[2])[-60:].lstrip(".")
    path = folder / (stem or "study")
    with path.open("wb") as target:
        while part := file.content.read(2**20):
            target.write(part)
    return path


def _as_sent(rule: str, paths: Mapping[str, Path], sent: Mapping[str, Sent]) -> str:
    """A refusal that calls the files as they were called where they came from."""
    for side, path in paths.items():
        rule = rule.replace(str(path), sent[side].name)
    return rule


def _in_a_process(task: Mapping[str, Any], folder: Path) -> str | list[Mistake]:
    """What ``_answer`` says about the task."""
    process, pipe = fork(_answer, task, str(folder), variables=ONE_THREAD, imported=IMPORTED)
    try:
        if not pipe.poll(MOST_SECONDS):
            words = f"these files took more than {MOST_SECONDS} s; use tuner compare for them"
            return [Mistake("", words)]
        found = json.loads(pipe.recv_bytes())
    except (EOFError, OSError):
        found = {"died": "its process ended without a word"}
    finally:
        process.kill()
        process.join()
        pipe.close()
    if "died" in found:
        _log.warning("files that were sent could not be compared: %s", found["died"])
        return [
            Mistake("", "these files could not be read with the memory that is allowed for it")
        ]
    return str(found["html"]) if "html" in found else [Mistake(**m) for m in found["mistakes"]]


def _answer(task: Mapping[str, Any], folder: str, pipe: Connection) -> None:
    """Compare what the task describes; send the page, or what is wrong, as JSON.

    JSON, because the server is to run nothing that such a file may have made of this process.
    """
    os.chdir(folder)
    _limit_memory()
    try:
        found = _compared(task["database"], Form(**task["form"]), task["paths"], task["stored"])
        key = "html" if isinstance(found, str) else "mistakes"
        answer = {key: found if isinstance(found, str) else [asdict(m) for m in found]}
    except Exception:
        answer = {"died": traceback.format_exc()[-2000:]}
    pipe.send_bytes(json.dumps(answer).encode())


def _compared(
    database: str, form: Form, paths: Mapping[str, str], stored: Collection[str]
) -> str | list[Mistake]:
    question = _asked(form, len(paths), stored)
    if isinstance(question, list):
        return question
    named = _names(form)
    (only, *_) = paths.values()
    try:
        with ExitStack() as stack:
            studies: list[Study | str] = []
            for side in SIDES:
                if side in stored:
                    store = stack.enter_context(closing(open_store(database)))
                    studies += stored_studies(store, [named[side]])
                else:
                    path = paths.get(side, only)
                    studies.append(f"{path}::{named[side]}" if named[side] else path)
            comparison = judged_studies(
                studies, question.protocol, reading=question.reading, with_importances=True
            )
    except REFUSALS as error:
        return [Mistake("", str(error))]
    from tuner.compare.report.html import to_html  # and matplotlib, which takes a second

    return to_html(comparison, made_by(comparison.names))


def _asked(form: Form, n_files: int, stored: Collection[str]) -> Question | list[Mistake]:
    """What is asked about the files, or what is wrong with it whatever is in them."""
    named = _names(form)
    if n_files == 1 and not stored and "" in named.values():
        return [Mistake("new, old", "both studies are in one file, so both are to be named")]
    return form.question([named[side] or side for side in SIDES])


def _names(form: Form) -> dict[str, str]:
    return {"new": form.new.strip(), "old": form.old.strip()}


def _pickles(paths: Iterable[Path]) -> list[Mistake]:
    """What is wrong with files that are pickles."""
    return [
        Mistake("", f"{path}: a pickle is not taken here; use tuner compare for it")
        for path in paths
        if pickled.recognises(path)
    ]


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # no such thing on Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
