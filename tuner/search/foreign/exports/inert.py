"""Pickles read without running anything that is in them.

Unpickling calls whatever a file names. Here it gets plain containers, dates and numbers, and for
every other class or function one that keeps what it is given and does nothing: a sampler or a
callback of any library is read over, whether the library is installed or not.
"""

import io
import operator
import pickle
import re
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from functools import reduce
from typing import Any, ClassVar, Literal, Never

import numpy as np

_CODE = re.compile(r"[A-Za-z?]\d*")


class Inert:
    """What stands for an object of a pickle.

    Args:
        args: What it was made from.
    """

    module = ""
    """Where its class is said to be."""

    args: tuple[object, ...]
    fields: dict[str, object]

    def __new__(cls, *args: object, **named: object) -> "Inert":
        """An object as it is before its attributes are set; ``__init__`` may never be called."""
        made = super().__new__(cls)
        made.args, made.fields = args, dict(named)
        return made

    def __setstate__(self, state: object) -> None:
        """Keep its attributes, which a pickle has in a dictionary or in two."""
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, Mapping):
                self.fields |= {str(name): value for name, value in part.items()}

    def __setitem__(self, name: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Nothing: what a list of another class holds is not needed."""

    def extend(self, values: Iterable[object]) -> None:
        """Nothing."""

    def add(self, value: object) -> None:
        """Nothing."""

    def is_a(self, name: str) -> bool:
        """Whether its class is Optuna's of this name, whichever module had it."""
        return type(self).__name__ == name and self.module.partition(".")[0] == "optuna"

    def get(self, name: str, default: object = None) -> object:
        """An attribute, whether its name began with an underscore then or not."""
        return self.fields.get(name, self.fields.get(f"_{name}", default))

    @property
    def words(self) -> str:
        """Its class and what it was made from, as text."""
        said = ", ".join(
            [
                *(words_of(each) for each in self.args),
                *(f"{name}={words_of(each)}" for name, each in self.fields.items()),
            ]
        )
        return f"{self.module}.{type(self).__name__}({said})"


def words_of(value: object) -> str:
    """A value as text; of an object its class alone, for it may refer to itself."""
    if isinstance(value, Inert):
        return type(value).__name__
    return value.__name__ if isinstance(value, type) else repr(value)[:200]


class _Maker:
    """What stands for a function; no pickle can alter it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *args: Any, **named: Any) -> object:  # Any: the pickle's
        make: Callable[..., object] = object.__getattribute__(self, "_make")
        return make(*args, **named)

    def __setattr__(self, name: str, value: object) -> Never:
        raise pickle.UnpicklingError(f"it sets {name} of a function")

    def __setstate__(self, state: object) -> Never:
        raise pickle.UnpicklingError("it sets the attributes of a function")


class _Kind(Inert):
    """What stands for a type of NumPy's numbers."""

    order: Literal["=", "<", ">"] = "="

    def __setstate__(self, state: object) -> None:
        """Keep the order of the bytes, which is all that a plain type has."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = "<" if state[1] == "<" else ">"

    @property
    def dtype(self) -> np.dtype[Any]:  # Any: what the pickle says
        """The type itself; Python's objects and structures are but so many bytes."""
        code = self.args[0] if self.args else None
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"a number is of the type {code!r}")
        return np.dtype(code).newbyteorder(self.order)


class _Array(Inert):
    """What stands for an array of which joblib writes the numbers behind the object."""

    module = "joblib.numpy_pickle"


def loaded(content: bytes) -> object:
    """The object in a pickle of ``pickle.dump`` or ``joblib.dump``.

    Raises:
        pickle.UnpicklingError: If it is no whole pickle, or does what no study needs.
    """
    try:
        return _Reader(io.BytesIO(content)).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # whatever the bytes of a file lead to
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error


class _Reader(pickle._Unpickler):
    """Reads a pickle in Python, so that the arrays of joblib can be read over."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="latin1")
        self._file = file
        self._classes: dict[tuple[str, str], type[Inert]] = {}

    def find_class(self, module: str, name: str) -> object:
        """What stands for a class or a function."""
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        if name == "NumpyArrayWrapper" and module.endswith("joblib.numpy_pickle"):
            return _Array  # scikit-learn had a joblib of its own
        if (module, name) not in self._classes:
            self._classes[module, name] = type(name, (Inert,), {"module": module})
        return self._classes[module, name]

    def load_build(self) -> None:
        """Set an object's attributes, and read over the numbers of an array."""
        super().load_build()  # type: ignore[misc]  # typeshed lacks it
        if isinstance(self.stack[-1], _Array):  # type: ignore[attr-defined]  # nor this
            _read_over(self._file, self.stack[-1])  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build


def _read_over(file: io.BytesIO, array: _Array) -> None:
    kind, shape = array.get("dtype"), array.get("shape")
    if not isinstance(kind, _Kind) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("an array has no type or no shape")
    if kind.dtype.hasobject:
        _Reader(file).load()
        return
    if array.get("numpy_array_alignment_bytes") is not None:
        file.seek(file.read(1)[0], io.SEEK_CUR)
    file.seek(reduce(operator.mul, map(int, shape), 1) * kind.dtype.itemsize, io.SEEK_CUR)


def _number(kind: object, content: object = b"") -> object:
    """A number of NumPy's as one of Python's."""
    raw = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(kind, _Kind) or kind.dtype.hasobject or not isinstance(raw, bytes):
        return Inert(kind)
    return np.frombuffer(raw, kind.dtype)[0].item()


def _moment(*args: Any) -> object:  # Any: the pickle's
    """A date and time; in a time zone that only a library knows it stays without one."""
    zone = args[-1] if len(args) == 2 else None
    plain = args[:1] if isinstance(zone, Inert) else args
    if isinstance(plain[0], str):
        plain = (plain[0].encode("latin1"), *plain[1:])
    return datetime(*plain)


def _made(made: object, *args: object) -> object:
    """An object without attributes yet, of an old pickle."""
    return made() if isinstance(made, type) and issubclass(made, Inert) else Inert(made, *args)


def _member(owner: object, name: str) -> object:
    """A member of an enumeration, as Python 3.11 pickles it."""
    return owner(name) if isinstance(owner, type) and issubclass(owner, Inert) else Inert(name)


def _bytes(text: str, _: str = "latin1") -> bytes:
    return text.encode("latin1")


_PLAIN: dict[str, object] = {
    each.__name__: each for each in (set, frozenset, list, dict, tuple, complex, slice, int, float)
} | {"str": str, "bool": bool, "bytes": bytes, "object": Inert, "getattr": _Maker(_member)}

_KNOWN: dict[tuple[str, str], object] = {
    **{
        (module, name): known
        for module in ("builtins", "__builtin__")
        for name, known in _PLAIN.items()
    },
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("collections", "deque"): deque,
    ("datetime", "datetime"): _Maker(_moment),
    ("datetime", "date"): date,
    ("datetime", "time"): time,
    ("datetime", "timedelta"): timedelta,
    ("datetime", "timezone"): timezone,
    ("_codecs", "encode"): _Maker(_bytes),
    ("numpy", "dtype"): _Kind,
    **{(f"numpy.{core}.multiarray", "scalar"): _Maker(_number) for core in ("core", "_core")},
    **{(module, "_reconstructor"): _Maker(_made) for module in ("copyreg", "copy_reg")},
}
"""All that a pickle gets as it is: it can neither run anything nor be altered."""
