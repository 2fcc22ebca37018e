"""Embeddings on disk, in any of the forms that ``fiqa-eval embed`` writes.

| form       | content                                                                            |
|------------|------------------------------------------------------------------------------------|
| a folder   | `<name>.npy` per image, as CR-FIQA's evaluation reads it                           |
| `.npz`     | the arrays `names` (N,) and `embeddings` (N, D)                                    |
| `.parquet` | the columns name (string) and embedding (fixed-size list of float32); needs pyarrow |
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.system.files import replacing
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import read_embeddings

Vectors = NDArray[np.floating]
ARCHIVES = (".npz", ".parquet")


def read_vectors(path: Path, names: Sequence[str]) -> Vectors:
    """Embeddings (N, D) of the images `names`, in their order.

    Raises InputError where the file is damaged, lacks an image, or a vector is zero or not finite.
    """
    suffix = path.suffix.lower()
    if suffix not in ARCHIVES:
        if not path.is_dir():
            raise InputError(f"no folder {path}; name in --embeddings the one with a NAME.npy for each image")
        return read_embeddings(path, names)
    known, vectors = _read_npz(path) if suffix == ".npz" else _read_parquet(path)
    if len(known) != len(vectors) or vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise InputError(f"{path} does not hold one vector of numbers per name; embed the images again")
    places = {name: place for place, name in enumerate(known)}
    if len(places) < len(known):
        raise InputError(f"{path} names an image twice; embed the images again")
    missing = [name for name in names if name not in places]
    if missing:
        raise InputError(
            f"{path} lacks {len(missing)} of {len(names)} images, as '{missing[0]}'; embed them too, or prepare again"
        )
    rows = np.array([places[name] for name in names], np.int64)
    chosen = vectors if np.array_equal(rows, np.arange(len(vectors))) else vectors[rows]
    lengths = np.einsum("ij,ij->i", chosen, chosen)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        where = names[int(np.argmin(np.isfinite(lengths) & (lengths > 0)))]
        raise InputError(f"the embedding of '{where}' in {path} is zero or not finite; embed it again")
    return chosen


def write_vectors(path: Path, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Write embeddings (N, D) in the form that `path` asks for."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with replacing(path) as target, target.open("wb") as stream:
            np.savez(stream, names=np.array(names), embeddings=vectors)
    elif suffix == ".parquet":
        _write_parquet(path, names, vectors)
    else:
        for name, vector in zip(names, vectors, strict=True):
            file = path / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, vector)


def require_pyarrow() -> None:
    """Raise DependencyError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise DependencyError("Parquet needs pyarrow; pip install 'fiqa-edge[parquet]', or write .npz") from error


def _read_npz(path: Path) -> tuple[list[str], Vectors]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["names"].tolist(), archive["embeddings"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except Exception as error:  # a damaged archive raises a dozen classes, and asks for terabytes
        raise InputError(f"{path} holds no names and embeddings ({error}); embed the images again") from error


def _read_parquet(path: Path) -> tuple[list[str], Vectors]:
    require_pyarrow()
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=["name", "embedding"])
        column = table["embedding"].combine_chunks()
        values = column.flatten().to_numpy(zero_copy_only=False)
        return table["name"].to_pylist(), values.reshape(len(column), -1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (pyarrow.ArrowException, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is not a table of name and embedding ({error}); embed the images again") from error


def _write_parquet(path: Path, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
    require_pyarrow()
    import pyarrow
    from pyarrow import parquet

    values = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.reshape(-1)), vectors.shape[1])
    table = pyarrow.table({"name": pyarrow.array(names, pyarrow.string()), "embedding": values})
    with replacing(path) as target:
        parquet.write_table(table, target)
