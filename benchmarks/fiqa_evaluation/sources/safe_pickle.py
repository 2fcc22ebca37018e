"""Unpickles files of strangers without running anything that stands in them.

A pickle is a program: what it names is imported and called. This reader knows lists, tuples, bytes, texts, numbers and
booleans, which need no name, and makes numpy scalars itself from the two names that numpy writes for them. Any other
name is refused before it is looked for.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from fiqa_runtime.errors import InputError

_SCALARS = frozenset(f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)) - {"f1"} | {"b1", "?"}
"""Codes of the numpy types that are read."""


class _Type:
    """Stands for `numpy.dtype` in a pickle."""

    def __init__(self, code: object, *_: object) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin-1")
        if not isinstance(code, str) or code.lstrip("<>|=") not in _SCALARS:
            raise pickle.UnpicklingError(f"it holds a numpy type {code!r:.40}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order in (">", b">"):
            self.dtype = self.dtype.newbyteorder(">")


def _scalar(kind: object, data: object) -> Any:
    """Stands for the function of numpy that makes a scalar."""
    data = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(kind, _Type) or not isinstance(data, bytes) or len(data) != kind.dtype.itemsize:
        raise pickle.UnpicklingError("it holds a numpy scalar that is damaged")
    return np.frombuffer(data, kind.dtype)[0].item()


def _encode(text: object, code: object = "latin1", *_: object) -> bytes:
    """Stands for `_codecs.encode`, by which Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or code not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("it encodes something else than bytes")
    return text.encode("latin-1")


_KNOWN = {
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _KNOWN.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it wants to call {module}.{name}, which no data set needs")
        return found

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside")


def load_plain(path: Path) -> Any:
    """The lists, bytes, booleans and numbers in a pickle of Python 2 or 3; texts of Python 2 become bytes.

    Raises InputError where the file cannot be read, is damaged, or names anything else.
    """
    try:
        with path.open("rb") as stream:
            return _Reader(stream, encoding="bytes").load()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except MemoryError as error:
        raise InputError(f"{path} is damaged: it asks for more memory than there is; download it again") from error
    except Exception as error:  # a damaged pickle raises a dozen classes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is not read: {reason[:160]}; download it again, from its authors") from error
