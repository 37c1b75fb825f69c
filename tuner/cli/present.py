"""What the commands have in common: their options, where results go, and in what form."""

import json
import os
import platform
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tuner.config import without_password
from tuner.errors import InvalidInput
from tuner.machine import processor
from tuner.rules import Setting
from tuner.search.foreign.shown import typed

Database = Annotated[
    str | None,
    typer.Option(
        help="sqlite:///FILE or postgresql://USER@HOST/NAME "
        "\\[TUNER_DATABASE_URL, or sqlite:///tuner.db]"
    ),
]
JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="write the results as JSON; - prints")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="write the report, one HTML file")
]
PictureFile = Annotated[
    Path | None,
    typer.Option("--picture", metavar="FILE", help="write the figure: .png, .svg or .pdf"),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="write everything: report.html, report.json, CSV sheets, each figure as PNG and SVG",
    ),
]
RuntimeEnv = Annotated[
    str | None,
    typer.Option(
        "--runtime-env-json", metavar="JSON", help="Ray's runtime environment of the workers"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object")]

_NAME = "tuner"

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


@dataclass(frozen=True)
class Outputs:
    """Where the results of a comparison go, besides the terminal.

    Args:
        json: A file, or ``-`` for standard output.
        html: A file.
        picture: A file ending in .png, .svg or .pdf.
        folder: Where everything goes; made if it is missing.
    """

    json: str | None = None
    html: Path | None = None
    picture: Path | None = None
    folder: Path | None = None

    @property
    def in_full(self) -> bool:
        """Whether a report is written, and not only the terminal's table and the picture."""
        return any(place is not None for place in (self.json, self.html, self.folder))

    def check(self) -> None:
        """Refuse, before any work is done, what could not be written afterwards.

        Raises:
            InvalidInput: If a folder does not exist, a picture's ending is not known, or anything
                but the JSON is to be printed.
        """
        files = {"--html": self.html, "--picture": self.picture}
        for option, place in {**files, "--folder": self.folder}.items():
            if place == Path("-"):
                raise InvalidInput(f"{option}: only --json prints with -; name a file or folder")
        if self.json not in (None, "-"):
            files["--json"] = Path(str(self.json))
        for option, file in files.items():
            if file is not None and not _folder(file).is_dir():
                raise InvalidInput(f"{option}: the folder {file.parent} does not exist; make it")
            if file is not None and file.is_dir():
                raise InvalidInput(f"{option}: {file} is a folder; name a file")
            if file is not None and not _writable(file):
                raise InvalidInput(f"{option}: {file} cannot be written; name another file")
        if self.folder is not None and not _can_be_made(self.folder):
            raise InvalidInput(
                f"--folder: {self.folder} cannot be written to; name another folder"
            )
        if self.picture is not None and self.picture.suffix not in (".png", ".svg", ".pdf"):
            raise InvalidInput(
                f"--picture: the file must end in .png, .svg or .pdf, got {self.picture.name!r}"
            )

    @property
    def console(self) -> Console:
        """The console for people: standard error when standard output carries the JSON."""
        return Console(stderr=self.json == "-")


def _folder(file: Path) -> Path:
    return file.resolve().parent


def _can_be_made(folder: Path) -> bool:
    """Whether the folder is there and can be written to, or can be made with those above it."""
    there = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK, effective_ids=True)


def _writable(file: Path) -> bool:
    place = file if file.exists() else _folder(file)
    return os.access(place, os.W_OK, effective_ids=True)


def as_text(data: object) -> str:
    """JSON for people and programs: indented, without NaN and Infinity, one line feed after."""
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def setting(text: str, where: str) -> tuple[str, Setting]:
    """NAME=VALUE as a setting: a number, true, false, or a word.

    Raises:
        InvalidInput: If it is not written so; ``where`` it was written is named.
    """
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise InvalidInput(f"{where} {text!r}: write NAME=VALUE, such as alpha=1e-3")
    if value in ("true", "false"):
        return name, value == "true"
    try:
        return name, float(value)
    except ValueError:
        return name, value


def runtime_env(text: str | None) -> dict[str, Any] | None:  # Any: JSON
    """What ``--runtime-env-json`` says.

    Raises:
        InvalidInput: If it is no JSON object.
    """
    if text is None:
        return None
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"--runtime-env-json: is no JSON ({error})") from error
    if not isinstance(given, dict):
        raise InvalidInput(f"--runtime-env-json: must be a JSON object, got {text}")
    return given


def when(seconds: float) -> str:
    """A time as people read it, in their time zone, which it names."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


def as_typed(text: str) -> str:
    """A line that names commands, each as it can be typed where this one was.

    ``tuner`` is what a shell finds once the environment is activated; before, what was started is
    named by its path, such as ``.venv/bin/tuner``, or ``python -m tuner``.
    """
    program = _program()
    if program == _NAME:
        return text
    return re.sub(rf"(?<=: ){_NAME} (?=[a-z]+\b)|^{_NAME} (?=[a-z]+\b)", f"{program} ", text)


def _program() -> str:
    """What starts this software here."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.name == _NAME:
        return f"{_found(Path(sys.executable))} -m {_NAME}"
    return _found(started) if started.name == _NAME else _NAME


def _found(program: Path) -> str:
    """A program by its name, where a shell finds it so, else by its path."""
    known = shutil.which(program.name)
    here = known is not None and Path(known).absolute() == program.absolute()
    return program.name if here else typed(str(program))


def provenance() -> dict[str, str]:
    """What a reader needs to remake the report, beside the versions: command and hardware."""
    return {
        "Command": " ".join(["tuner", *(typed(without_password(each)) for each in sys.argv[1:])]),
        "System": f"{platform.system()} {platform.machine()}",
        "Processor": processor(),
    }
