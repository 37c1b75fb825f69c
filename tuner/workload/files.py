"""The folder and the file that a workload may name: where they lie, and whether they are there."""

from pathlib import Path

from tuner import config
from tuner.errors import DataMissing
from tuner.workload.workload import Workload


def existing_folder(folder: Path) -> Path:
    """The folder of images.

    Raises:
        DataMissing: If there is none.
    """
    if not folder.is_dir():
        raise DataMissing(f"workload.folder: there is no folder {folder}; name one that exists")
    return folder


def teacher_at(workload: Workload) -> tuple[Path, int]:
    """Where the teacher lies, and when it was changed, in nanoseconds.

    Raises:
        DataMissing: If it cannot be read; says how one is made.
        InvalidInput: If it may not lie there.
    """
    path = config.below(config.folder_root(), workload.teacher, "workload.teacher")
    try:
        return path, path.stat().st_mtime_ns
    except OSError as error:
        raise DataMissing(
            f"workload.teacher: {path} cannot be read ({error.strerror}); make it by tuner export "
            "TRIAL --to FILE.safetensors, or of any torch network by tuner.export.write"
        ) from error


def check_files(workload: Workload) -> None:
    """Refuse, before anything is read, a workload whose folder or teacher is not there.

    Raises:
        DataMissing: Naming all that is missing.
        InvalidInput: If one of them may not lie where it is said to.
    """
    missing = []
    try:
        if workload.folder:
            existing_folder(config.image_folder_at(workload.folder, config.folder_root()))
    except DataMissing as error:
        missing.append(str(error))
    try:
        if workload.teacher:
            teacher_at(workload)
    except DataMissing as error:
        missing.append(str(error))
    if missing:
        raise DataMissing("; and ".join(missing))
