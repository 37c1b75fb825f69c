"""Files that hang on trials and studies: what Optuna keeps of them, and when they go.

A file lies in the folder of the artifacts under a name of its own, its id. What it is stands in an
attribute, as JSON: of its trial where a loop uploaded it by Optuna, of the study where Optuna's
dashboard keeps those of trials that have ended.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from optuna.storages._rdb import models
from sqlalchemy import Connection, Table, or_, select

from tuner import config

if TYPE_CHECKING:
    from optuna.artifacts import FileSystemArtifactStore

OF_TRIALS = "dashboard:artifacts:{trial_id}:"
"""How the names of a study's attributes begin that are about files of that trial."""

BY_OPTUNA = "artifacts:"
"""How those of a trial or a study begin that Optuna wrote itself."""

_IDS = 500
"""So many trials are asked for at a time."""

_ABOUT_A_FILE = re.compile(r"((?:dashboard:)?artifacts:(?:\d+:)?)([^:]+)", re.DOTALL)

_of_study: Table = models.StudySystemAttributeModel.__table__
_of_trial: Table = models.TrialSystemAttributeModel.__table__
_trials: Table = models.TrialModel.__table__
_log = logging.getLogger(__name__)


def artifact_files() -> "FileSystemArtifactStore":
    """Optuna's store of the files; its package imports boto3 where that is, half a second."""
    from optuna.artifacts import FileSystemArtifactStore

    return FileSystemArtifactStore(config.artifact_dir())


def remove_files(
    connection: Connection, study_ids: Collection[int], trial_ids: Collection[int]
) -> None:
    """Remove what hangs on these studies, or by theirs on trials, and on these trials.

    Once they are to be deleted for good: whatever becomes of the transaction, the files are gone.
    One that another study's record names too, as a copy of a study does, stays. So does one that
    is not in the folder here, and one that cannot be removed, of which a warning tells.

    Args:
        connection: A transaction.
        study_ids: Optuna's numbers of studies.
        trial_ids: Optuna's numbers of trials.
    """
    begin = (_of_study.c.key.startswith(start) for start in (BY_OPTUNA, "dashboard:artifacts:"))
    about = or_(*begin)
    its = _of_study.c.study_id.in_(study_ids)
    found = _ids(connection.scalars(select(_of_study.c.key).where(its, about)))
    listed = list(trial_ids)
    uploaded = _of_trial.c.key.startswith(BY_OPTUNA)
    for first in range(0, len(listed), _IDS):
        some = _of_trial.c.trial_id.in_(listed[first : first + _IDS])
        found |= _ids(connection.scalars(select(_of_trial.c.key).where(some, uploaded)))
    if not found:
        return
    folder = artifact_files()
    here = {artifact_id for artifact_id in found if _is_in(folder, artifact_id)}
    if not here:
        return
    others = _ids(connection.scalars(select(_of_study.c.key).where(~its, about)))
    keys = [f"{BY_OPTUNA}{artifact_id}" for artifact_id in here]
    of_others = (
        select(_of_trial.c.key)
        .join(_trials, _trials.c.trial_id == _of_trial.c.trial_id)
        .where(_of_trial.c.key.in_(keys), _trials.c.study_id.not_in(study_ids))
    )
    others |= _ids(connection.scalars(of_others))
    from optuna.artifacts.exceptions import ArtifactNotFound

    for artifact_id in here - others:
        try:
            with suppress(ArtifactNotFound):  # by another process just now
                folder.remove(artifact_id)
        except OSError as error:
            _log.warning("the file of a deleted trial stays: %s", error)


@contextmanager
def second_names() -> Iterator[Callable[[Mapping[str, Any]], dict[str, Any]]]:
    """What gives files that records are copied of a second name, for the copies to name.

    So each record has a file of its own, that goes with it. A file that is not in the folder here
    keeps its name. If the block fails, all second names go.

    Yields:
        A function from attributes to the same attributes with the second names.
    """
    made: list[Path] = []

    def own(attributes: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON
        return dict(_own(key, value, made) for key, value in attributes.items())

    try:
        yield own
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _own(key: str, value: Any, made: list[Path]) -> tuple[str, Any]:  # Any: JSON
    about = _ABOUT_A_FILE.fullmatch(key)
    if about is None or not isinstance(value, str):
        return key, value
    artifact_id = str(uuid4())
    folder = config.artifact_dir()
    try:
        kept = json.loads(value)
    except ValueError:
        return key, value
    if not isinstance(kept, dict) or not _is_in(artifact_files(), about[2]):
        return key, value
    made.append(folder / artifact_id)
    try:
        os.link(folder / about[2], folder / artifact_id)
    except OSError:  # not every file system has links
        shutil.copyfile(folder / about[2], folder / artifact_id)
    return f"{about[1]}{artifact_id}", json.dumps({**kept, "artifact_id": artifact_id})


def _is_in(folder: "FileSystemArtifactStore", artifact_id: str) -> bool:
    """Whether there is such a file; anything may stand where its id does."""
    from optuna.artifacts.exceptions import ArtifactNotFound

    try:
        folder.open_reader(artifact_id).close()
    except (ArtifactNotFound, ValueError, OSError):
        return False
    return True


def _ids(keys: Iterable[str]) -> set[str]:
    """The ids of files that the names of attributes end in."""
    return {about[2] for key in keys if (about := _ABOUT_A_FILE.fullmatch(key)) is not None}
