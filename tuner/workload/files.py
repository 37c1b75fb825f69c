"""The folder and the file that a workload may name: where they lie, and whether they are there."""

from pathlib import Path
from stat import S_ISDIR, S_ISREG

from tuner import config
from tuner.errors import DataMissing, InvalidInput
from tuner.workload.workload import Workload

_MADE_BY = (
    "it must be a packed file, which tuner export TRIAL --to FILE.safetensors makes of a trial, "
    "and tuner.export.write of any torch network"
)


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
        InvalidInput: If it may not lie there, or is no regular file.
    """
    path = config.below(config.folder_root(), workload.teacher, "workload.teacher")
    try:
        about = path.stat()
    except OSError as error:
        raise DataMissing(
            f"workload.teacher: {path} cannot be read ({error.strerror}); {_MADE_BY}"
        ) from error
    if not S_ISREG(about.st_mode):
        what = "a folder" if S_ISDIR(about.st_mode) else "no regular file"
        raise InvalidInput(f"workload.teacher: {path} is {what}; {_MADE_BY}")
    return path, about.st_mtime_ns


def _check_teacher(workload: Workload) -> None:
    """Refuse what does not begin as a safetensors file: eight bytes of length, then JSON.

    Raises:
        DataMissing, InvalidInput: As ``teacher_at`` does, and InvalidInput if so.
    """
    path, _ = teacher_at(workload)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise DataMissing(
            f"workload.teacher: {path} cannot be read ({error.strerror}); {_MADE_BY}"
        ) from error
    if start[8:] != b"{":
        onnx = ", not ONNX" if path.suffix == ".onnx" else ""
        raise InvalidInput(f"workload.teacher: {path} is no safetensors file; {_MADE_BY}{onnx}")


def check_files(workload: Workload) -> None:
    """Refuse, before data are read, a workload whose folder or teacher is not there or is none.

    Raises:
        DataMissing: Naming all that is missing.
        InvalidInput: If one of them may not lie where it is said to, or the teacher is none.
    """
    missing = []
    try:
        if workload.folder:
            existing_folder(config.image_folder_at(workload.folder, config.folder_root()))
    except DataMissing as error:
        missing.append(str(error))
    try:
        if workload.teacher:
            _check_teacher(workload)
    except DataMissing as error:
        missing.append(str(error))
    if missing:
        raise DataMissing("; and ".join(missing))
