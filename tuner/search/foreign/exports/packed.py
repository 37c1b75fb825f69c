"""What is in a file that may be packed."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

from tuner.errors import InvalidInput


def unpacked(path: Path, most_bytes: int = -1) -> bytes:
    """What is in a file, out of gzip, bzip2, xz, lzma, zlib or lz4 if it is in one of them.

    Args:
        path: The file.
        most_bytes: How much of it is wanted; all by default.

    Raises:
        InvalidInput: If it is packed and damaged, or what unpacks lz4 is not installed.
    """
    with path.open("rb") as file:
        start = file.read(max(map(len, _PACKED)))
        unpack = next((each for magic, each in _PACKED.items() if start.startswith(magic)), None)
        if unpack is None:
            file.seek(0)
            return file.read(most_bytes)
    try:
        return unpack(path, most_bytes)
    except ImportError as error:
        raise InvalidInput(
            f"file {path}: is packed by lz4, and what unpacks that is not installed; install it "
            "with: pip install lz4"
        ) from error
    except (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError) as error:
        raise InvalidInput(
            f"file {path}: is packed and cannot be unpacked ({error}); it is damaged or cut off: "
            "copy it afresh"
        ) from error


def text_in(path: Path) -> str:
    """A file's text, packed or not.

    Raises:
        InvalidInput: If it is not in UTF-8, or is packed and damaged.
    """
    try:
        return unpacked(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"file {path}: is not in UTF-8 (byte {error.start}); save it as UTF-8, or copy it "
            "afresh"
        ) from error


def unpacker_of(path: Path) -> str | None:
    """The command that unpacks a file which is packed in a way that is not read here."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _UNREAD)))
    return next((command for magic, command in _UNREAD.items() if start.startswith(magic)), None)


def _gzip(path: Path, most_bytes: int) -> bytes:
    with gzip.open(path) as file:
        return file.read(most_bytes)


def _bzip2(path: Path, most_bytes: int) -> bytes:
    with bz2.open(path) as file:
        return file.read(most_bytes)


def _lzma(path: Path, most_bytes: int) -> bytes:
    with lzma.open(path) as file:
        return file.read(most_bytes)


def _lz4(path: Path, most_bytes: int) -> bytes:
    import lz4.frame  # of the extra "storages"

    with lz4.frame.open(path) as file:
        return bytes(file.read(most_bytes))


def _zlib(path: Path, most_bytes: int) -> bytes:
    packed = zlib.decompressobj()
    if most_bytes >= 0:
        return packed.decompress(path.read_bytes(), most_bytes)
    everything = packed.decompress(path.read_bytes())
    if not packed.eof:
        raise EOFError("it ends too early")
    return everything


_PACKED: dict[bytes, Callable[[Path, int], bytes]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\xfd7zXZ": _lzma,
    b"\x5d\x00\x00": _lzma,
    b"\x04\x22\x4d\x18": _lz4,
    b"\x78\x01": _zlib,
    b"\x78\x5e": _zlib,
    b"\x78\x9c": _zlib,
    b"\x78\xda": _zlib,
}
"""How a packed file begins -> what unpacks it."""

_UNREAD = {b"\x04\x22\x4d\x18": "lz4 -d", b"\x28\xb5\x2f\xfd": "zstd -d"}
"""How a packed file begins that may not be unpacked here -> the command that does it."""
