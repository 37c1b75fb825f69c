"""What is measured once on a machine: kept in the cache folder, so that all workers agree."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tuner import config

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Kept:
    """Where the answer to one question is kept.

    Args:
        kind: How its file's name begins.
        about: All that the answer depends on, as JSON values.
    """

    kind: str
    about: Mapping[str, object]

    @property
    def file(self) -> Path:
        """The file, which need not be there."""
        digest = hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()[:20]
        return config.cache_dir() / f"{self.kind}-{digest}.json"

    def answer(self, read: Callable[[Any], Answer]) -> Answer | None:
        """What is kept; None if nothing is, and what is no answer is removed.

        Args:
            read: Takes the answer from a JSON object; raises ValueError, KeyError or TypeError
                if it is none.
        """
        with suppress(OSError):
            try:
                return read(json.loads(self.file.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError):
                self.file.unlink()  # not an answer
        return None

    def write(self, answer: Mapping[str, object], *, instead: bool = False) -> None:
        """Keep an answer, where there is a folder to keep it in.

        Args:
            answer: A JSON object.
            instead: Whether it takes the place of what is there; otherwise that stays.
        """
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.file.parent) as scratch:
                written = Path(scratch, self.file.name)
                content = {**answer, "measured_on": self.about}
                written.write_text(json.dumps(content, indent=1), encoding="utf-8")
                if instead:
                    written.replace(self.file)
                    return
                with suppress(FileExistsError):
                    os.link(written, self.file)


def measured_once(
    kind: str,
    about: Mapping[str, object],
    measure: Callable[[], Mapping[str, object]],
    read: Callable[[Any], Answer],
) -> Answer:
    """The answer that is kept, or else what is measured now, which is kept.

    Of several processes that measure at once all take the answer of the first. Without a cache
    folder every process measures for itself.

    Args:
        kind: As ``Kept`` takes it.
        about: As ``Kept`` takes it.
        measure: Measures it; returns a JSON object.
        read: As ``Kept.answer`` takes it.
    """
    kept = Kept(kind, about)
    answer = kept.answer(read)
    if answer is not None:
        return answer
    measured = measure()
    kept.write(measured)
    answer = kept.answer(read)
    return read(measured) if answer is None else answer


def all_kept(kind: str) -> Iterator[Mapping[str, Any]]:
    """All answers of a kind that are kept on this machine, as they were written."""
    for file in sorted(config.cache_dir().glob(f"{kind}-*.json")):
        with suppress(OSError, ValueError):
            content = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(content, Mapping):
                yield content
