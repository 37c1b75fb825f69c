"""What the commands have in common: where results are written, and how."""

import io
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tuner.compare import Comparison
from tuner.compare.figures.gallery import FIGURES, main_picture, pictures
from tuner.compare.report.data import to_json
from tuner.compare.report.html import to_html
from tuner.compare.report.sheets import sheets
from tuner.compare.report.terminal import print_table
from tuner.errors import InvalidInput
from tuner.machine import processor

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
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object")]

_KINDS = ("png", "svg")


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

    def write(self, comparison: Comparison) -> None:
        """Print the comparison and write the files asked for."""
        print_table(comparison, self.console)
        written: list[Path] = []
        if self.json == "-":
            sys.stdout.write(as_text(to_json(comparison)))
        elif self.json is not None:
            written.append(Path(self.json))
            written[-1].write_text(as_text(to_json(comparison)), encoding="utf-8")
        if self.html is not None:
            written.append(self.html)
            self.html.write_text(to_html(comparison, provenance()), encoding="utf-8")
        if self.picture is not None:
            written.append(self.picture)
            main_picture(comparison).drawing.savefig(self.picture, dpi=200)
        if self.folder is not None:
            _write_all(comparison, self.folder)
            written.append(self.folder)
        for file in written:
            self.console.print(f"written: {file}", soft_wrap=True)


def _write_all(comparison: Comparison, folder: Path) -> None:
    """Report, data, sheets and figures; figures of an earlier report that this one lacks go.

    Nothing is written or removed before everything is made.
    """
    texts = {
        "report.html": to_html(comparison, provenance()),
        "report.json": as_text(to_json(comparison)),
        **{f"{name}.csv": text for name, text in sheets(comparison).items()},
    }
    files = {name: text.encode() for name, text in texts.items()}
    for picture in pictures(comparison):
        for kind in _KINDS:
            image = io.BytesIO()
            picture.drawing.savefig(image, format=kind, dpi=200)
            files[f"{picture.name}.{kind}"] = image.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for old in (folder / f"{name}.{kind}" for name in FIGURES for kind in _KINDS):
        if old.name not in files and old.is_file():
            old.unlink()


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


def when(seconds: float) -> str:
    """A time as people read it, in their time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def provenance() -> dict[str, str]:
    """What a reader needs to remake the report, beside the versions: command and hardware."""
    return {
        "Command": " ".join(["tuner", *sys.argv[1:]]),
        "System": f"{platform.system()} {platform.machine()}",
        "Processor": processor(),
    }
