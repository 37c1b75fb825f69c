"""Files that hang on trials, as Optuna's artifacts: its dashboard shows and sends them too.

Optuna lets a trial take files until it ends, and networks are exported afterwards. So what a file
is stands where the dashboard keeps it of trials that have ended: in the study, under the trial's
number. The files lie in one folder, which the server has to reach.
"""

import json
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import update

from tuner import config
from tuner.errors import Conflict, NotFound
from tuner.search.database.storage.hanging import BY_OPTUNA, OF_TRIALS, artifact_files
from tuner.search.database.store import Store
from tuner.search.database.tables import DELETING, studies


@dataclass(frozen=True)
class Artifact:
    """A file that hangs on a trial.

    Args:
        artifact_id: Its name in the folder.
        filename: What it is called for people.
        mimetype: Of its content.
        encoding: Of its content, as compressed files have one.
    """

    artifact_id: str
    filename: str
    mimetype: str
    encoding: str | None


def attach(store: Store, study_name: str, trial_id: int, file: Path) -> Artifact:
    """Hang a file on a trial, in the place of one of the same name.

    Args:
        store: The database.
        study_name: The trial's study.
        trial_id: The trial.
        file: What to copy into the folder of the artifacts.

    Raises:
        NotFound: If the study is gone.
        Conflict: If it is being deleted.
        OSError: If the folder cannot be written to; nothing hangs on the trial then.
    """
    study_id = _study_id(store, study_name)
    before = [each for each in attached(store, study_name, trial_id) if each.filename == file.name]
    kind, encoding = mimetypes.guess_type(file.name)
    made = Artifact(str(uuid4()), file.name, kind or "application/octet-stream", encoding)
    folder = config.artifact_dir()
    folder.mkdir(parents=True, exist_ok=True)
    prefix = OF_TRIALS.format(trial_id=trial_id)
    records = {prefix + made.artifact_id: json.dumps(asdict(made))}
    records |= {prefix + old.artifact_id: "null" for old in before}
    try:
        with file.open("rb") as content:
            artifact_files().write(made.artifact_id, content)
        _record(store, study_name, study_id, records)
    except BaseException:
        (folder / made.artifact_id).unlink(missing_ok=True)
        raise
    for old in before:
        (folder / old.artifact_id).unlink(missing_ok=True)
    return made


def _record(store: Store, study_name: str, study_id: int, records: Mapping[str, str]) -> None:
    """Write attributes of the study; whoever deletes it waits, and nothing comes after that.

    Raises:
        NotFound: If the study is gone.
        Conflict: If it is being deleted.
    """
    ours = studies.c.study_name == study_name
    with store.transaction() as connection:
        locked = update(studies).where(ours).values(revision=studies.c.revision)
        row = connection.execute(locked.returning(studies.c.status)).first()
        if row is not None and row.status == DELETING:
            raise Conflict(f"study {study_name!r} is being deleted; no file can hang there")
        try:
            for key, text in records.items():
                store.rdb.set_study_system_attr(study_id, key, text)
        except KeyError as error:
            raise NotFound(f"study {study_name!r} was deleted from outside") from error


def attached(store: Store, study_name: str, trial_id: int) -> list[Artifact]:
    """The files that hang on a trial, those that its own loop uploaded among them.

    Raises:
        NotFound: If study or trial is gone.
    """
    study_id, prefix = _study_id(store, study_name), OF_TRIALS.format(trial_id=trial_id)
    try:
        of_study = store.rdb.get_study_system_attrs(study_id)
        of_trial = store.rdb.get_trial_system_attrs(trial_id)
    except KeyError as error:
        raise NotFound(f"trial {trial_id} was deleted from outside") from error
    found = [value for key, value in of_study.items() if key.startswith(prefix)]
    found += [value for key, value in of_trial.items() if key.startswith(BY_OPTUNA)]
    return sorted(_read(found), key=lambda artifact: artifact.filename)


def content_of(artifact: Artifact) -> Path:
    """The file that holds it.

    Raises:
        NotFound: If the folder of the artifacts has no such file.
    """
    from optuna.artifacts.exceptions import ArtifactNotFound

    try:
        artifact_files().open_reader(artifact.artifact_id).close()
    except (ArtifactNotFound, ValueError) as error:
        raise NotFound(
            f"{artifact.filename} is not in the folder of the artifacts here "
            "(TUNER_ARTIFACT_DIR); share it with where the file was exported"
        ) from error
    return config.artifact_dir() / artifact.artifact_id


def _study_id(store: Store, study_name: str) -> int:
    if (study_id := store.study_id(study_name)) is None:
        raise NotFound(f"study {study_name!r} was deleted from outside")
    return study_id


def _read(written: list[object]) -> Iterator[Artifact]:
    """What is known of each; what was deleted is null, and anything may stand there."""
    for text in written:
        try:
            fields = json.loads(text) if isinstance(text, str) else None
            if isinstance(fields, dict):
                encoding = fields.get("encoding")
                yield Artifact(
                    str(fields["artifact_id"]),
                    str(fields["filename"]),
                    str(fields["mimetype"]),
                    None if encoding is None else str(encoding),
                )
        except (ValueError, KeyError):
            continue
